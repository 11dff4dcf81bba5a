// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/single_chart_view.h"

#include <QTimer>

#include <optional>
#include <vector>

namespace kvscope::views {

/// Bits a symbol of each channel of the selected layer: the order-0 entropy of the symbols that the current plan makes,
/// what its coder spends on them with its table, and that with everything else included.
class EntropyView : public SingleChartView {
    Q_OBJECT

public:
    EntropyView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] bool isReady() const override;
    [[nodiscard]] QString exportName() const override;

    /// One plane, summed up over its chunks, in bits a symbol.
    struct Channels {
        /// Everything included.
        std::vector<double> spent;
        /// What the coder's table (its model of the symbols) costs: spent less tables, scales, exceptions and headers.
        std::vector<double> coded;
        /// Empty where the plan's coder has no symbols (lossless and byte coders).
        std::vector<double> entropy;
        double meanSpent = 0;
        double meanCoded = 0;
        double meanEntropy = 0;
    };
    /// Nothing while the plane is not encoded.
    [[nodiscard]] std::optional<Channels> channelsOf(PlaneKind kind) const;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    [[nodiscard]] std::optional<double> ownProgress() const override;
    [[nodiscard]] QString ownError() const override;
    void display() override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    [[nodiscard]] StatisticsTable numbers() const;
    [[nodiscard]] std::vector<PlaneId> planes() const;

    QPointer<CodecSession> session_;
    /// Asks the session for what is needed, soon after the view is shown.
    QTimer askTimer_;
};

} // namespace kvscope::views
