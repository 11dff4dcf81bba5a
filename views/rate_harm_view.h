// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/rate_harm.h"
#include "views/single_chart_view.h"

#include <QTimer>

class QComboBox;
class QToolButton;

namespace kvscope::views {

/// What each layer's K and V would cost and lose at finer and coarser steps than the current plan's: all-in bits a
/// value against the harm, a line for each layer and kind, and what the next finer step would save for each KiB.
class RateHarmView : public SingleChartView {
    Q_OBJECT

public:
    RateHarmView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] bool isReady() const override;
    [[nodiscard]] QString exportName() const override;
    [[nodiscard]] StatisticsTable numbers() const;
    /// Moves each cell of the plan to where a KiB saves as much as anywhere else: one undo step.
    void evenOut();

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    /// The layers and kinds that a plan encodes, the selected layer first.
    [[nodiscard]] std::vector<LayerKind> cells() const;
    [[nodiscard]] const RateCurve* curveOf(LayerKind cell) const;
    /// Whether harm is the error of the attention output: where the dump has queries, unless the user says otherwise.
    [[nodiscard]] bool ofAttention() const;
    [[nodiscard]] ChartData chartOf(bool attention) const;
    [[nodiscard]] std::vector<const RateCurve*> knownCurves() const;
    [[nodiscard]] QString eveningSentence(const std::vector<Evening>& evening) const;

    QPointer<CodecSession> session_;
    /// Asks the session for what is needed, soon after the view is shown.
    QTimer askTimer_;
    QComboBox* harm_;
    QToolButton* even_;
    QToolButton* stop_;
};

} // namespace kvscope::views
