// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/single_chart_view.h"

class QCheckBox;
class QComboBox;

namespace kvscope::views {

/// Statistics of every channel of the selected layer, in channel order or sorted, with outlier channels marked and
/// named. Clicking a channel selects it everywhere.
class ChannelView : public SingleChartView {
    Q_OBJECT

public:
    enum class Statistic : std::uint8_t { MeanAndSpread, Rms, Std, Kurtosis, MaxAbs };

    ChannelView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setStatistic(Statistic statistic);
    void setSorted(bool sorted);

    [[nodiscard]] QString exportName() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;

private:
    [[nodiscard]] KindChoice choice() const;
    [[nodiscard]] Statistic statistic() const;
    [[nodiscard]] const PlaneStatistics* plane() const;
    [[nodiscard]] const PlaneGeometry* geometry() const;
    void fillKinds();
    void selectChannel(ChannelIndex channel);
    [[nodiscard]] double valueOf(const Moments& moments) const;
    [[nodiscard]] ChartData chartOf(const PlaneStatistics& plane, const PlaneGeometry& geometry);
    [[nodiscard]] QString sentence(const PlaneStatistics& plane, const PlaneGeometry& geometry) const;
    [[nodiscard]] StatisticsTable tableOf(const PlaneStatistics& plane, const PlaneGeometry& geometry) const;

    QComboBox* kind_;
    QComboBox* statistic_;
    QCheckBox* sorted_;
    /// Channel at each rank of the chart.
    std::vector<ChannelIndex> order_;
};

} // namespace kvscope::views
