// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_view.h"

#include <optional>
#include <vector>

class QCheckBox;
class QComboBox;
class QGridLayout;
class QStackedWidget;

namespace kvscope::views {

class ChartWidget;
class HistogramGrid;

/// Histograms of values and of their deltas on one range, K, K before RoPE and V side by side, with Gaussian and
/// Laplace fits and what they say: spread, tails, and whether deltas help.
class DistributionView : public StatisticsView {
    Q_OBJECT

public:
    enum class Scope : std::uint8_t { Selection, Layer, AllLayers, EachLayer };

    DistributionView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setScope(Scope scope);
    /// The charts by kind, in the order of choicesOf().
    [[nodiscard]] const std::vector<ChartWidget*>& charts() const { return charts_; }
    /// The small histograms of every layer.
    [[nodiscard]] HistogramGrid& layers() const { return *layers_; }
    /// The table of readouts beside the charts.
    [[nodiscard]] StatisticsTableView& readouts() const { return *readouts_; }

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    /// The histograms, a line for each bin of each set of values.
    [[nodiscard]] QString toCsv() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;
    void resizeEvent(QResizeEvent* event) override;

private:
    enum class Deltas : std::uint8_t { Previous, Anchor, Both, None };
    enum class Fits : std::uint8_t { Values, Deltas, None };

    [[nodiscard]] Scope scope() const;
    [[nodiscard]] StatisticsScope scopeOf(KindChoice choice) const;
    [[nodiscard]] bool isWholeLayer(const StatisticsScope& scope) const;
    [[nodiscard]] const CacheStatistics* statisticsOf(KindChoice choice) const;
    [[nodiscard]] const CacheStatistics* layerStatistics(KindChoice choice, LayerIndex layer) const;
    /// What is shown, in order; the layer where each has its own histogram.
    struct Shown {
        std::optional<LayerIndex> layer;
        KindChoice choice;
        const CacheStatistics* statistics = nullptr;
    };
    [[nodiscard]] std::vector<Shown> shownStatistics() const;
    /// Charts beside each other where they are wide enough for a scale, else below each other if the height allows.
    void arrangeCharts();
    QWidget* makeLayersPage();
    void displayLayers();
    [[nodiscard]] QString layersSentence() const;
    [[nodiscard]] bool showsPrevious() const;
    [[nodiscard]] bool showsAnchor() const;
    [[nodiscard]] ChartData chartOf(KindChoice choice, const CacheStatistics& statistics) const;
    void addFits(ChartData& chart, const SeriesStatistics& fitted, const BinRange& range) const;
    /// What to do where the selection is too small for a distribution; empty where it is not.
    [[nodiscard]] QString tooFewSentence() const;
    [[nodiscard]] QString nothingFiniteSentence() const;
    [[nodiscard]] QString sentence() const;
    [[nodiscard]] QString scopeName() const;
    [[nodiscard]] StatisticsTable readoutTable() const;
    [[nodiscard]] StatisticsTable fullTable() const;

    std::vector<KindChoice> choices_;
    QComboBox* scope_;
    QComboBox* deltas_;
    QComboBox* fits_;
    QCheckBox* logCounts_;
    QCheckBox* density_;
    std::vector<ChartWidget*> charts_;
    StatisticsTableView* readouts_;
    QGridLayout* grid_ = nullptr;
    /// Columns of charts in it.
    int columns_ = 0;
    QStackedWidget* pages_;
    HistogramGrid* layers_ = nullptr;
};

} // namespace kvscope::views
