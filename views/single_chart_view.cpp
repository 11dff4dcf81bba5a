// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/single_chart_view.h"

#include "views/chart_widget.h"

#include <QPainter>

namespace kvscope::views {

SingleChartView::SingleChartView(Document* document, SelectionModel* selection, QWidget* parent)
    : StatisticsView(document, selection, parent)
    , choices_(choicesOf(document->cache()))
    , chart_(new ChartWidget) {
    setContent(chart_);
}

void SingleChartView::paintTo(QPainter& painter, const QRectF& target) {
    chart_->paintTo(painter, panel().paintSummary(painter, target));
}

QString SingleChartView::toCsv() const {
    return panel().currentTable().toCsv();
}

std::vector<StatisticsService::Job>
SingleChartView::selectedLayerJobs(StatisticsService::Job (*make)(const Document&, const StatisticsScope&)) const {
    std::vector<StatisticsService::Job> jobs;
    for (const KindChoice choice : choices_) {
        if (holds(cache(), choice, selection().layer(), selection().sequence))
            jobs.push_back(make(document(), layerScope(choice, selection().layer(), selection().sequence)));
    }
    return jobs;
}

const PlaneStatistics* SingleChartView::planeOf(KindChoice choice, LayerIndex layer) const {
    const auto* statistics = result<CacheStatistics>(statisticsKey(layerScope(choice, layer, selection().sequence)));
    return statistics != nullptr && !statistics->planes.empty() ? &statistics->planes.front() : nullptr;
}

} // namespace kvscope::views
