// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/distribution_view.h"

#include "views/chart_parts.h"
#include "views/chart_widget.h"
#include "views/distribution_parts.h"
#include "views/histogram_grid.h"
#include "views/number_format.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGridLayout>
#include <QHeaderView>
#include <QPainter>
#include <QStackedWidget>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <utility>

namespace kvscope::views {

namespace {

constexpr int kCurvePoints = 1024;
/// A bar of less than this share of the highest is hardly a pixel.
constexpr double kVisibleShare = 0.004;
/// Fewer values than this have no distribution worth drawing.
constexpr std::int64_t kFewestValues = 16;
/// A chart this wide has room for a scale with several numbers.
constexpr int kWideChart = 260;
/// Least heights of a chart below others, and of the controls and readouts around them.
constexpr int kHighChart = 150;
constexpr int kHighRest = 280;

/// Where bars are high enough to be seen beside the highest one; heavy tails would squeeze them into a needle.
std::optional<std::pair<double, double>> visiblePart(const std::vector<ChartSeries>& series, double binWidth) {
    std::optional<std::pair<double, double>> part;
    for (const ChartSeries& bins : series) {
        if (bins.y.empty())
            continue;
        const double least = *std::max_element(bins.y.begin(), bins.y.end()) * kVisibleShare;
        for (std::size_t i = 0; i < bins.y.size(); ++i) {
            if (bins.y[i] <= 0 || bins.y[i] < least)
                continue;
            const double low = bins.x[i] - 2 * binWidth;
            const double high = bins.x[i] + 2 * binWidth;
            part = part ? std::pair(std::min(part->first, low), std::max(part->second, high)) : std::pair(low, high);
        }
    }
    return part;
}

} // namespace

DistributionView::DistributionView(Document* document, SelectionModel* selection, QWidget* parent)
    : StatisticsView(document, selection, parent)
    , choices_(choicesOf(document->cache()))
    , scope_(new QComboBox)
    , deltas_(new QComboBox)
    , fits_(new QComboBox)
    , logCounts_(new QCheckBox(tr("Log")))
    , density_(new QCheckBox(tr("Density")))
    , readouts_(new StatisticsTableView)
    , pages_(new QStackedWidget) {
    auto* content = new QWidget;
    grid_ = new QGridLayout(content);
    grid_->setContentsMargins(0, 0, 0, 0);
    grid_->setSpacing(4);
    for (const KindChoice& choice : choices_) {
        auto* chart = new ChartWidget;
        chart->setAccessibleName(tr("Histogram of %1").arg(choice.name()));
        charts_.push_back(chart);
    }
    arrangeCharts();
    pages_->addWidget(content);
    pages_->addWidget(makeLayersPage());
    setContent(pages_);

    scope_->setObjectName(QStringLiteral("scope"));
    scope_->addItem(tr("selection"));
    scope_->addItem(tr("layer"));
    scope_->addItem(tr("all layers"));
    scope_->addItem(tr("each layer"));
    scope_->setItemData(0, tr("The selected layers, head or channels, and tokens"), Qt::ToolTipRole);
    scope_->setItemData(1, tr("The whole selected layer"), Qt::ToolTipRole);
    scope_->setItemData(2, tr("The values of all layers together"), Qt::ToolTipRole);
    scope_->setItemData(3, tr("A small histogram for every layer, beside the others"), Qt::ToolTipRole);
    panel().addControl(tr("Of"), scope_, tr("Which values are counted"));
    deltas_->setObjectName(QStringLiteral("deltas"));
    deltas_->addItem(tr("previous token"));
    deltas_->addItem(tr("anchor of 10"));
    deltas_->addItem(tr("both"));
    deltas_->addItem(tr("none"));
    deltas_->setItemData(0, explain::delta(), Qt::ToolTipRole);
    deltas_->setItemData(1, explain::anchor(), Qt::ToolTipRole);
    panel().addControl(tr("Delta to"), deltas_, explain::delta() + u'\n' + explain::anchor());
    fits_->setObjectName(QStringLiteral("fits"));
    fits_->addItem(tr("values"));
    fits_->addItem(tr("deltas"));
    fits_->addItem(tr("none"));
    panel().addControl(tr("Fits of"), fits_, explain::fits());
    logCounts_->setObjectName(QStringLiteral("log"));
    panel().addControl(logCounts_, tr("Logarithmic counts: shows the tails"));
    density_->setObjectName(QStringLiteral("density"));
    panel().addControl(density_, tr("Show densities (area 1) instead of counts"));
    readouts_->setAccessibleName(tr("Readouts"));
    readouts_->setSortingEnabled(false);

    for (QComboBox* box : {scope_, deltas_, fits_})
        connect(box, &QComboBox::currentIndexChanged, this, &DistributionView::refresh);
    for (QCheckBox* box : {logCounts_, density_})
        connect(box, &QCheckBox::toggled, this, &DistributionView::refresh);
}

void DistributionView::arrangeCharts() {
    const int count = static_cast<int>(charts_.size());
    const bool stacked = width() < count * kWideChart && height() > count * kHighChart + kHighRest;
    const int columns = stacked ? 1 : std::max(1, count);
    const int rows = stacked ? count : 1;
    if (std::exchange(columns_, columns) == columns)
        return;
    for (int i = 0; i < count; ++i) {
        grid_->addWidget(charts_[static_cast<std::size_t>(i)], i / columns, i % columns);
        grid_->setColumnStretch(i, i < columns ? 1 : 0);
        grid_->setRowStretch(i, 0);
    }
    // The readouts have the whole width below, where their names can be read.
    grid_->addWidget(readouts_, rows, 0, 1, columns);
    for (int row = 0; row < rows; ++row)
        grid_->setRowStretch(row, 3);
    grid_->setRowStretch(rows, 2);
}

void DistributionView::resizeEvent(QResizeEvent* event) {
    StatisticsView::resizeEvent(event);
    arrangeCharts();
}

DistributionView::Scope DistributionView::scope() const {
    return static_cast<Scope>(scope_->currentIndex());
}

void DistributionView::setScope(Scope scope) {
    scope_->setCurrentIndex(static_cast<int>(scope));
}

bool DistributionView::isWholeLayer(const StatisticsScope& scope) const {
    return !scope.channels && !scope.tokens && scope.layers && scope.layers->size() == 1;
}

StatisticsScope DistributionView::scopeOf(KindChoice choice) const {
    switch (scope()) {
    case Scope::Selection:
        return selectionScope(cache(), choice, selection());
    case Scope::Layer:
        return layerScope(choice, selection().layer(), selection().sequence);
    case Scope::AllLayers:
    case Scope::EachLayer:
        break;
    }
    return cacheScope(choice, selection().sequence);
}

std::vector<StatisticsService::Job> DistributionView::neededJobs() const {
    std::vector<StatisticsService::Job> jobs;
    for (LayerIndex layer(0); scope() == Scope::EachLayer && layer.value < cache().geometry().layerCount(); ++layer) {
        for (const KindChoice choice : choices_) {
            if (holds(cache(), choice, layer, selection().sequence))
                jobs.push_back(statisticsJob(document(), layerScope(choice, layer, selection().sequence)));
        }
    }
    if (scope() == Scope::EachLayer)
        return jobs;
    for (const KindChoice choice : choices_) {
        const StatisticsScope wanted = scopeOf(choice);
        // Whole layers are shared with the other views and kept; what depends on a selection is kept for a while.
        if (valuesIn(cache(), wanted) >= kFewestValues)
            jobs.push_back(statisticsJob(document(), wanted, scope() == Scope::Selection && !isWholeLayer(wanted)));
    }
    return jobs;
}

const CacheStatistics* DistributionView::statisticsOf(KindChoice choice) const {
    return result<CacheStatistics>(statisticsKey(scopeOf(choice)));
}

std::vector<DistributionView::Shown> DistributionView::shownStatistics() const {
    std::vector<Shown> shown;
    if (scope() != Scope::EachLayer) {
        for (const KindChoice choice : choices_) {
            if (const CacheStatistics* statistics = statisticsOf(choice))
                shown.push_back({std::nullopt, choice, statistics});
        }
        return shown;
    }
    for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
        for (const KindChoice choice : choices_) {
            if (const CacheStatistics* statistics = layerStatistics(choice, layer))
                shown.push_back({layer, choice, statistics});
        }
    }
    return shown;
}

bool DistributionView::showsPrevious() const {
    const auto deltas = static_cast<Deltas>(deltas_->currentIndex());
    return deltas == Deltas::Previous || deltas == Deltas::Both;
}

bool DistributionView::showsAnchor() const {
    const auto deltas = static_cast<Deltas>(deltas_->currentIndex());
    return deltas == Deltas::Anchor || deltas == Deltas::Both;
}

void DistributionView::addFits(ChartData& chart, const SeriesStatistics& fitted, const BinRange& range) const {
    const double scale =
        density_->isChecked() ? 1.0 : static_cast<double>(fitted.histogram.total()) * fitted.histogram.range.width();
    const auto addCurve = [&](const QString& name, ChartSeries::Look look, const auto& fit) {
        ChartSeries curve;
        curve.name = name;
        curve.tone = ChartSeries::Tone::Text;
        curve.look = look;
        for (int i = 0; i <= kCurvePoints; ++i) {
            const double x = range.low + (range.high - range.low) * i / kCurvePoints;
            curve.x.push_back(x);
            curve.y.push_back(fit.density(x) * scale);
        }
        chart.series.push_back(std::move(curve));
    };
    if (fitted.gaussian)
        addCurve(tr("Gaussian"), ChartSeries::Look::Dashed, *fitted.gaussian);
    if (fitted.laplace)
        addCurve(tr("Laplace"), ChartSeries::Look::Dotted, *fitted.laplace);
}

ChartData DistributionView::chartOf(KindChoice choice, const CacheStatistics& statistics) const {
    ChartData chart;
    chart.xTitle = choice.beforeRope ? choice.name() : tr("%1 value").arg(choice.name());
    chart.yTitle = density_->isChecked() ? tr("density") : tr("count");
    chart.yLog = logCounts_->isChecked();
    chart.explanation = explain::delta() + u' ' + explain::fits();
    chart.fromZero = true;
    const BinRange range = statistics.histogramRange;
    chart.xName = [range](double x) {
        const auto bin = static_cast<std::int64_t>(std::floor((x - range.low) / range.width()));
        const double low = range.low + static_cast<double>(bin) * range.width();
        return tr("%1 to %2").arg(formatNumber(low, 5), formatNumber(low + range.width(), 5));
    };
    for (const DistributionPart& part : kDistributionParts) {
        if ((part.series == &SeriesSet::deltaPrevious && !showsPrevious()) ||
            (part.series == &SeriesSet::deltaAnchor && !showsAnchor()))
            continue;
        const Histogram& histogram = (statistics.total.*part.series).histogram;
        ChartSeries series;
        series.name = part.series == &SeriesSet::value ? choice.name() : tr(part.shortName);
        series.shape = ChartSeries::Shape::Steps;
        series.kind = choice.colourKind();
        series.tone = part.tone;
        series.filled = part.series == &SeriesSet::value;
        for (std::size_t bin = 0; bin < histogram.counts.size(); ++bin) {
            series.x.push_back(histogram.range.centre(static_cast<std::int64_t>(bin)));
            series.y.push_back(density_->isChecked() ? histogram.density(static_cast<std::int64_t>(bin))
                                                     : static_cast<double>(histogram.counts[bin]));
        }
        chart.series.push_back(std::move(series));
    }
    if (!chart.yLog)
        chart.xFocus = visiblePart(chart.series, range.width());
    switch (static_cast<Fits>(fits_->currentIndex())) {
    case Fits::Values:
        addFits(chart, statistics.total.value, range);
        break;
    case Fits::Deltas:
        addFits(chart,
                showsAnchor() && !showsPrevious() ? statistics.total.deltaAnchor : statistics.total.deltaPrevious,
                range);
        break;
    case Fits::None:
        break;
    }
    return chart;
}

QString DistributionView::scopeName() const {
    const Selection& now = selection();
    if (scope() == Scope::AllLayers)
        return tr("All layers");
    if (scope() == Scope::EachLayer)
        return tr("Each layer");
    const bool several = scope() == Scope::Selection && now.layers.size() > 1;
    QString name = several ? tr("Layers %1\u2013%2").arg(now.layers.begin.value).arg(now.layers.end.value - 1)
                           : tr("Layer %1").arg(now.layer().value);
    if (scope() == Scope::Layer)
        return name;
    if (now.channels)
        name += now.channels->size() == 1
                    ? tr(", channel %1").arg(formatCount(now.channels->begin.value))
                    : tr(", channels %1\u2013%2")
                          .arg(formatCount(now.channels->begin.value), formatCount(now.channels->end.value - 1));
    else if (now.head)
        name += tr(", head %1").arg(now.head->value);
    if (now.tokens)
        name += now.tokens->size() == 1
                    ? tr(", token %1").arg(formatCount(now.tokens->begin.value))
                    : tr(", tokens %1\u2013%2")
                          .arg(formatCount(now.tokens->begin.value), formatCount(now.tokens->end.value - 1));
    return name;
}

QString DistributionView::tooFewSentence() const {
    const bool tooFew = std::all_of(choices_.begin(), choices_.end(), [this](KindChoice choice) {
        return valuesIn(cache(), scopeOf(choice)) < kFewestValues;
    });
    return tooFew
               ? tr("%1: a distribution needs at least %2 values. Select more (Shift+drag in a map, Esc for all), or "
                    "choose \u201clayer\u201d above.")
                     .arg(scopeName())
                     .arg(kFewestValues)
               : QString();
}

QString DistributionView::nothingFiniteSentence() const {
    QStringList names;
    for (const KindChoice choice : choices_) {
        const CacheStatistics* statistics = statisticsOf(choice);
        if (statistics == nullptr)
            continue;
        if (statistics->total.value.moments.count > 0)
            return {};
        names << choice.name();
    }
    return names.isEmpty() ? QString()
                           : tr("%1: every value of %2 is NaN or infinite.").arg(scopeName(), names.join(tr(" and ")));
}

QString DistributionView::sentence() const {
    if (QString tooFew = tooFewSentence(); !tooFew.isEmpty())
        return tooFew;
    if (QString none = nothingFiniteSentence(); !none.isEmpty())
        return none;
    const bool anchor = showsAnchor() && !showsPrevious();
    QStringList helped;
    QStringList hurt;
    QStringList fits;
    for (const KindChoice choice : choices_) {
        const CacheStatistics* statistics = statisticsOf(choice);
        if (statistics == nullptr)
            continue;
        const auto ratio = anchor ? statistics->total.varianceRatioAnchor() : statistics->total.varianceRatioPrevious();
        if (ratio)
            (*ratio > 1 ? helped : hurt) << tr("%1 (%2)").arg(choice.name(), formatNumber(*ratio, 3));
        const QString better = betterFit(statistics->total.value);
        if (!better.isEmpty())
            fits << tr("%1 %2").arg(choice.name(), better);
    }
    QStringList verdicts;
    if (!helped.isEmpty())
        verdicts << tr("helps %1").arg(helped.join(tr(", ")));
    if (!hurt.isEmpty())
        verdicts << tr("hurts %1").arg(hurt.join(tr(", ")));
    QString text;
    if (!verdicts.isEmpty())
        text = tr("%1: the delta to the %2 %3 (variance ratio).")
                   .arg(scopeName(), anchor ? tr("anchor") : tr("previous token"), verdicts.join(tr("; ")));
    if (!fits.isEmpty())
        text += u' ' + tr("Better fit: %1.").arg(fits.join(tr(", ")));
    return text;
}

void DistributionView::display() {
    const bool each = scope() == Scope::EachLayer;
    pages_->setCurrentIndex(each ? 1 : 0);
    for (QWidget* control : std::initializer_list<QWidget*>{fits_, logCounts_, density_})
        control->setEnabled(!each);
    if (each) {
        displayLayers();
        panel().setTable([this] { return fullTable(); });
        return;
    }
    for (std::size_t i = 0; i < choices_.size(); ++i) {
        if (const CacheStatistics* statistics = statisticsOf(choices_[i])) {
            charts_[i]->setData(chartOf(choices_[i], *statistics), true);
            continue;
        }
        const std::int64_t values = valuesIn(cache(), scopeOf(choices_[i]));
        ChartData empty;
        if (values >= kFewestValues)
            empty.emptyText = tr("%1: computing\u2026").arg(choices_[i].name());
        else if (values == 0)
            empty.emptyText = tr("%1: nothing in\nthe selection").arg(choices_[i].name());
        else
            empty.emptyText = values == 1 ? tr("%1: 1 value").arg(choices_[i].name())
                                          : tr("%1: %2 values").arg(choices_[i].name()).arg(values);
        charts_[i]->setData(std::move(empty));
    }
    readouts_->setTable(readoutTable());
    readouts_->setVisible(tooFewSentence().isEmpty());
    if (readouts_->horizontalHeader()->count() > 0) {
        readouts_->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
        readouts_->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    }
    panel().setSummary(sentence());
    panel().setTable([this] { return fullTable(); });
}

QString DistributionView::exportName() const {
    return tr("distribution %1").arg(scopeName().toLower());
}

void DistributionView::paintTo(QPainter& painter, const QRectF& target) {
    const QRectF area = panel().paintSummary(painter, target);
    if (scope() == Scope::EachLayer) {
        layers_->paintTo(painter, area);
        return;
    }
    std::vector<std::size_t> order;
    for (const bool before : {false, true}) {
        for (std::size_t i = 0; i < choices_.size(); ++i) {
            if (choices_[i].beforeRope == before)
                order.push_back(i);
        }
    }
    // A page has room for two charts side by side; the readouts fill the place that is left.
    const int cells = static_cast<int>(order.size()) + 1;
    const int columns = 2;
    const int rows = (cells + columns - 1) / columns;
    const QSizeF size(area.width() / columns, area.height() / rows);
    const auto cell = [&](int index) {
        const int row = index / columns;
        const int column = index % columns;
        return QRectF(area.topLeft() + QPointF(column * size.width(), row * size.height()), size)
            .adjusted(0, 0, -8, -6);
    };
    for (int i = 0; i + 1 < cells; ++i)
        charts_[order[static_cast<std::size_t>(i)]]->paintTo(painter, cell(i));
    paintTable(painter, cell(cells - 1).adjusted(8, 8, 0, 0), readoutTable(), Theme::from(palette()), chartFont(*this));
}

QString DistributionView::toCsv() const {
    StatisticsTable table;
    table.columns = {{tr("plane"), {}, {}},    {tr("of"), {}, {}},    {tr("bin low"), {}, {}},
                     {tr("bin high"), {}, {}}, {tr("count"), {}, {}}, {tr("density"), {}, {}}};
    if (scope() == Scope::EachLayer)
        table.columns.push_back({tr("layer"), {}, {}});
    for (const auto& [layer, choice, statistics] : shownStatistics()) {
        for (const DistributionPart& part : kDistributionParts) {
            const Histogram& histogram = (statistics->total.*part.series).histogram;
            for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
                const auto bin = static_cast<std::int64_t>(i);
                const double low = histogram.range.low + static_cast<double>(bin) * histogram.range.width();
                table.rows.push_back({choice.name(), tr(part.name), low, low + histogram.range.width(),
                                      static_cast<qlonglong>(histogram.counts[i]), histogram.density(bin)});
                if (layer)
                    table.rows.back().emplace_back(static_cast<qlonglong>(layer->value));
            }
        }
    }
    return table.toCsv();
}

} // namespace kvscope::views
