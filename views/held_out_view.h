// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/statistics_view.h"

#include <QTimer>

#include <array>
#include <vector>

class QComboBox;

namespace kvscope::views {

class ChartWidget;
struct ChartData;
struct ChartSeries;

/// The held-out check: the current plan and the pinned ones on the dump that they are tuned on and on the one that it
/// is compared with, bits and error side by side, by layer and by token.
class HeldOutView : public StatisticsView {
    Q_OBJECT

public:
    HeldOutView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] bool isReady() const override;
    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

    /// What a plan came to on the other dump, as far as it is measured.
    [[nodiscard]] EncodeReport heldOutReport(std::size_t slot = 0) const;
    /// The kind that the charts show while several plans stand side by side; one plan shows all kinds.
    void setKind(PlaneKind kind);
    /// The charts name both dumps themselves.
    void setCaption(const QString& /*role*/) override {}
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
    [[nodiscard]] std::string keyOf(std::size_t slot, LayerKind cell) const;
    [[nodiscard]] QString name(bool heldOut) const;
    [[nodiscard]] std::vector<PlaneKind> shownKinds() const;
    /// One plan on both dumps.
    struct Pair {
        std::size_t slot = 0;
        const EncodeReport* here = nullptr;
        EncodeReport there;
    };
    [[nodiscard]] std::vector<Pair> pairs() const;
    [[nodiscard]] ChartSeries seriesOf(const Pair& pair, PlaneKind kind, bool heldOut, std::size_t plans) const;
    [[nodiscard]] ChartData layerChart(const std::vector<Pair>& pairs, bool error) const;
    [[nodiscard]] ChartData tokenChart(const std::vector<Pair>& pairs, bool error) const;
    [[nodiscard]] QString sentence(const Pair& pair) const;

    QPointer<CodecSession> session_;
    QComboBox* kind_;
    /// Asks the session for what is needed, soon after the view is shown.
    QTimer askTimer_;
    std::array<ChartWidget*, 4> charts_{};
};

} // namespace kvscope::views
