// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/single_chart_view.h"

#include <optional>

class QCheckBox;
class QComboBox;
class QTabBar;

namespace kvscope::views {

/// Statistics of every layer as bars, K, K before RoPE and V side by side: one statistic at a time, the gain of deltas
/// (CacheGen's figure 3) and the entropy by grouping (its figure 5). Clicking a bar selects its layer.
class LayerChartsView : public SingleChartView {
    Q_OBJECT

public:
    enum class Page : std::uint8_t { PerLayer, DeltaGain, EntropyGroups };
    enum class Statistic : std::uint8_t {
        Rms,
        Std,
        MaxAbs,
        Kurtosis,
        Entropy,
        VarianceRatioPrevious,
        VarianceRatioAnchor,
        OutlierRatio,
        Outlier
    };

    LayerChartsView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setPage(Page page);
    void setStatistic(Statistic statistic);

    [[nodiscard]] QString exportName() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;

private:
    [[nodiscard]] Page page() const;
    [[nodiscard]] Statistic statistic() const;
    [[nodiscard]] Statistic shownStatistic() const;
    [[nodiscard]] bool withinChannels() const;
    [[nodiscard]] std::optional<double> valueOf(Statistic statistic, KindChoice choice, LayerIndex layer) const;
    [[nodiscard]] ChartData layerChart(Statistic statistic) const;
    [[nodiscard]] ChartData groupChart() const;
    /// Whether the numbers of a statistic are there for every layer.
    [[nodiscard]] bool knowsAllLayers(Statistic statistic) const;
    [[nodiscard]] QString extremeSentence(Statistic statistic) const;
    [[nodiscard]] QString outlierSentence() const;
    [[nodiscard]] QString deltaSentence() const;
    [[nodiscard]] QString groupSentence() const;
    [[nodiscard]] StatisticsTable layerTable() const;
    [[nodiscard]] StatisticsTable groupTable() const;

    QTabBar* pages_;
    QComboBox* statistic_;
    QComboBox* delta_;
    QCheckBox* withinChannels_;
};

} // namespace kvscope::views
