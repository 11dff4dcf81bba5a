// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/statistics_view.h"

#include <QTimer>

#include <array>
#include <vector>

namespace kvscope::views {

class ChartWidget;

/// The held-out check: the current plan on the dump that it is tuned on and on the one that it is compared with, bits
/// and error side by side, by layer and by token.
class HeldOutView : public StatisticsView {
    Q_OBJECT

public:
    HeldOutView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] bool isReady() const override;
    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

    /// What the plan came to on the other dump, as far as it is measured.
    [[nodiscard]] EncodeReport heldOutReport() const;
    [[nodiscard]] StatisticsTable numbers() const;
    /// Bits and error by layer, bits and error by token.
    [[nodiscard]] std::vector<ChartWidget*> charts() const { return {charts_.begin(), charts_.end()}; }

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    [[nodiscard]] std::optional<double> ownProgress() const override;
    [[nodiscard]] QString ownError() const override;
    void display() override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    /// The layers and kinds that both dumps have.
    [[nodiscard]] std::vector<LayerKind> cells() const;
    [[nodiscard]] std::string keyOf(LayerKind cell) const;
    [[nodiscard]] QString name(bool heldOut) const;
    void fillLayers(const EncodeReport& here, const EncodeReport& there);
    void fillTokens(const EncodeReport& here, const EncodeReport& there);
    [[nodiscard]] QString sentence(const EncodeReport& here, const EncodeReport& there) const;

    QPointer<CodecSession> session_;
    /// Asks the session for what is needed, soon after the view is shown.
    QTimer askTimer_;
    std::array<ChartWidget*, 4> charts_{};
};

} // namespace kvscope::views
