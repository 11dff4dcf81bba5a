// SPDX-License-Identifier: GPL-3.0-or-later
// The distribution view's small histograms of every layer.
#include "views/distribution_view.h"
#include "views/histogram_grid.h"
#include "views/number_format.h"

#include <QScrollArea>

namespace kvscope::views {

namespace {

HistogramGrid::Curve curveOf(const SeriesStatistics& series, ChartSeries::Tone tone, bool filled) {
    HistogramGrid::Curve curve{tone, filled, series.histogram.range, {}};
    for (std::size_t bin = 0; bin < series.histogram.counts.size(); ++bin)
        curve.heights.push_back(series.histogram.density(static_cast<std::int64_t>(bin)));
    return curve;
}

} // namespace

QWidget* DistributionView::makeLayersPage() {
    layers_ = new HistogramGrid;
    auto* scroll = new QScrollArea;
    scroll->setWidget(layers_);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    connect(layers_, &HistogramGrid::picked, this, [this](int row, int column) {
        Selection next = selection();
        next.kind = choices_[static_cast<std::size_t>(column)].kind;
        next.layers = LayerRange{LayerIndex(row), LayerIndex(row + 1)};
        selectionModel().select(next);
    });
    return scroll;
}

const CacheStatistics* DistributionView::layerStatistics(KindChoice choice, LayerIndex layer) const {
    return result<CacheStatistics>(statisticsKey(layerScope(choice, layer, selection().sequence)));
}

void DistributionView::displayLayers() {
    std::vector<HistogramGrid::Cell> cells;
    QStringList columns;
    for (const KindChoice choice : choices_)
        columns << choice.name();
    for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
        for (const KindChoice choice : choices_) {
            HistogramGrid::Cell cell;
            cell.title = tr("layer %1").arg(formatCount(layer.value));
            cell.kind = choice.colourKind();
            const CacheStatistics* statistics = layerStatistics(choice, layer);
            if (statistics == nullptr) {
                cell.emptyText = holds(cache(), choice, layer, selection().sequence)
                                     ? tr("computing\u2026")
                                     : tr("holds no %1").arg(choice.name());
                cells.push_back(std::move(cell));
                continue;
            }
            const SeriesSet& set = statistics->total;
            cell.curves.push_back(curveOf(set.value, ChartSeries::Tone::Kind, true));
            if (showsPrevious())
                cell.curves.push_back(curveOf(set.deltaPrevious, ChartSeries::Tone::DeltaPrevious, false));
            if (showsAnchor())
                cell.curves.push_back(curveOf(set.deltaAnchor, ChartSeries::Tone::DeltaAnchor, false));
            const bool anchor = showsAnchor() && !showsPrevious();
            const auto ratio = anchor ? set.varianceRatioAnchor() : set.varianceRatioPrevious();
            if (ratio)
                cell.note = tr("ratio %1").arg(formatNumber(*ratio, 3));
            cell.toolTip = tr("%1, layer %2: standard deviation %3, of the delta %4, excess kurtosis %5.\n%6")
                               .arg(choice.name(), formatCount(layer.value), formatNumber(set.value.moments.stddev()),
                                    formatNumber((anchor ? set.deltaAnchor : set.deltaPrevious).moments.stddev()),
                                    formatNumber(set.value.moments.excessKurtosis()), explain::varianceRatio());
            cells.push_back(std::move(cell));
        }
    }
    layers_->setCells(columns, std::move(cells));
    layers_->setSelectedRow(static_cast<int>(selection().layer().value));
    panel().setSummary(layersSentence());
}

QString DistributionView::layersSentence() const {
    const bool anchor = showsAnchor() && !showsPrevious();
    QStringList parts;
    for (const KindChoice choice : choices_) {
        int known = 0;
        int helped = 0;
        for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
            const CacheStatistics* statistics = layerStatistics(choice, layer);
            if (statistics == nullptr)
                continue;
            const auto ratio =
                anchor ? statistics->total.varianceRatioAnchor() : statistics->total.varianceRatioPrevious();
            ++known;
            helped += ratio && *ratio > 1 ? 1 : 0;
        }
        if (known > 0)
            parts << tr("%1 in %2 of %3 layers").arg(choice.name()).arg(helped).arg(known);
    }
    return parts.isEmpty() ? QString()
                           : tr("The delta to the %1 helps %2 (variance ratio above 1). Filled: values; line: delta. A "
                                "column shares one range; each is as high as its highest bar.")
                                 .arg(anchor ? tr("anchor") : tr("previous token"), parts.join(tr(", ")));
}

} // namespace kvscope::views
