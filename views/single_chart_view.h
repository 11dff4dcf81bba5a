// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_view.h"

#include <optional>
#include <vector>

namespace kvscope::views {

class ChartWidget;

/// A statistics view that is one chart: what such views share in set-up, in the results of single layers, and in being
/// written to files.
class SingleChartView : public StatisticsView {
    Q_OBJECT

public:
    SingleChartView(Document* document, SelectionModel* selection, QWidget* parent);

    [[nodiscard]] ChartWidget& chart() const { return *chart_; }

    void paintTo(QPainter& painter, const QRectF& target) override;
    /// The table behind the chart.
    [[nodiscard]] QString toCsv() const override;

protected:
    /// What the dump has to be put side by side.
    [[nodiscard]] const std::vector<KindChoice>& choices() const { return choices_; }
    /// Jobs over the selected layer, one for each choice that it holds.
    [[nodiscard]] std::vector<StatisticsService::Job>
        selectedLayerJobs(StatisticsService::Job (*make)(const Document&, const StatisticsScope&)) const;
    /// The statistics of a choice in a layer, or null while they are not there.
    [[nodiscard]] const PlaneStatistics* planeOf(KindChoice choice, LayerIndex layer) const;
    /// What a job over the selected layer found for its plane, or null while it is not there.
    template <class T>
    [[nodiscard]] const T* ofSelectedLayer(std::string (*key)(const StatisticsScope&), KindChoice choice) const {
        const auto* planes = result<std::vector<T>>(key(layerScope(choice, selection().layer(), selection().sequence)));
        return planes != nullptr && !planes->empty() ? &planes->front() : nullptr;
    }

private:
    std::vector<KindChoice> choices_;
    ChartWidget* chart_;
};

} // namespace kvscope::views
