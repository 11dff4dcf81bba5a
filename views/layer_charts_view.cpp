// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/layer_charts_view.h"

#include "views/chart_widget.h"
#include "views/number_format.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QTabBar>
#include <QToolButton>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace kvscope::views {

namespace {

using Statistic = LayerChartsView::Statistic;

struct StatisticText {
    Statistic statistic;
    const char* name;
    const char* unit;
    QString (*explanation)();
};

QString explainStd() {
    return LayerChartsView::tr("Standard deviation of all values of the plane around their common mean.");
}

QString explainMaxAbs() {
    return LayerChartsView::tr("The largest magnitude: max |value|.");
}

const std::array kStatistics{
    StatisticText{Statistic::Rms, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "rms"), "", explain::rms},
    StatisticText{Statistic::Std, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "standard deviation"), "",
                  explainStd},
    StatisticText{Statistic::MaxAbs, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "max-abs"), "",
                  explainMaxAbs},
    StatisticText{Statistic::Kurtosis, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "excess kurtosis"), "",
                  explain::kurtosis},
    StatisticText{Statistic::Entropy, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "entropy at 32 bins"),
                  "bits per value", explain::entropy},
    StatisticText{Statistic::VarianceRatioPrevious,
                  QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "variance ratio, delta to previous token"), "",
                  explain::varianceRatio},
    StatisticText{Statistic::VarianceRatioAnchor,
                  QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "variance ratio, delta to anchor"), "",
                  explain::varianceRatio},
    StatisticText{Statistic::OutlierRatio,
                  QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "largest / median channel rms"), "",
                  explain::outlierRatio},
    StatisticText{Statistic::Outlier, QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "largest outlier"),
                  QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "\u00d7 rms of the plane"), explain::outlier},
};

const StatisticText& textOf(Statistic statistic) {
    return *std::find_if(kStatistics.begin(), kStatistics.end(),
                         [statistic](const StatisticText& text) { return text.statistic == statistic; });
}

QString nameOfStatistic(Statistic statistic) {
    return LayerChartsView::tr(textOf(statistic).name);
}

QString capitalised(QString text) {
    if (!text.isEmpty())
        text[0] = text[0].toUpper();
    return text;
}

bool isVarianceRatio(Statistic statistic) {
    return statistic == Statistic::VarianceRatioPrevious || statistic == Statistic::VarianceRatioAnchor;
}

/// The deltas to one earlier token.
struct Against {
    QString name;
    SeriesStatistics SeriesSet::*deltas;
    std::vector<Moments> PlaneStatistics::*channelDeltas;
};

/// var(values) / var(deltas) over all planes together, or with each channel's own mean taken out first.
std::optional<double> pooledRatio(const std::vector<const PlaneStatistics*>& planes, const Against& against,
                                  bool withinChannels) {
    if (withinChannels) {
        double value = 0;
        double delta = 0;
        for (const PlaneStatistics* plane : planes) {
            for (const Moments& moments : plane->channels)
                value += moments.variance();
            for (const Moments& moments : plane->*against.channelDeltas)
                delta += moments.variance();
        }
        return delta > 0 ? std::optional(value / delta) : std::nullopt;
    }
    Moments value;
    Moments delta;
    for (const PlaneStatistics* plane : planes) {
        value.merge(plane->series.value.moments);
        delta.merge((plane->series.*against.deltas).moments);
    }
    if (delta.variance() <= 0)
        return {};
    return value.variance() / delta.variance();
}

struct Grouping {
    const char* name;
    double GroupedEntropy::*value;
};
constexpr std::array kGroupings{
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "all together"), &GroupedEntropy::all},
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "by token"), &GroupedEntropy::token},
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "by layer"), &GroupedEntropy::layer},
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "by channel"), &GroupedEntropy::channel},
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "by layer\nand token"), &GroupedEntropy::layerToken},
    Grouping{QT_TRANSLATE_NOOP("kvscope::views::LayerChartsView", "by layer\nand channel"),
             &GroupedEntropy::layerChannel},
};

QString groupingName(const Grouping& grouping) {
    return LayerChartsView::tr(grouping.name);
}

} // namespace

LayerChartsView::LayerChartsView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , pages_(new QTabBar)
    , statistic_(new QComboBox)
    , delta_(new QComboBox)
    , withinChannels_(new QCheckBox(tr("Within channels"))) {
    pages_->setObjectName(QStringLiteral("pages"));
    pages_->setDocumentMode(true);
    pages_->setDrawBase(false);
    pages_->addTab(tr("Per layer"));
    pages_->addTab(tr("Delta gain"));
    pages_->addTab(tr("Entropy by grouping"));
    pages_->setTabToolTip(0, tr("One statistic of every layer"));
    pages_->setTabToolTip(1, tr("CacheGen's figure 3. %1").arg(explain::varianceRatio()));
    pages_->setTabToolTip(2,
                          tr("CacheGen's figure 5: how many bits a value needs when the values that share a layer, a "
                             "channel or a token share a symbol table. %1 %2")
                              .arg(explain::entropy(), explain::symbolTable()));
    pages_->setFocusPolicy(Qt::TabFocus);
    panel().addControl(pages_, QString());

    statistic_->setObjectName(QStringLiteral("statistic"));
    for (const StatisticText& text : kStatistics) {
        statistic_->addItem(tr(text.name));
        statistic_->setItemData(statistic_->count() - 1, text.explanation(), Qt::ToolTipRole);
    }
    statistic_->setCurrentIndex(static_cast<int>(Statistic::Rms));
    panel().addControl(statistic_, tr("What the bars show"));
    delta_->setObjectName(QStringLiteral("delta"));
    delta_->addItem(tr("anchor of 10 tokens"));
    delta_->addItem(tr("previous token"));
    delta_->setItemData(0, explain::anchor(), Qt::ToolTipRole);
    delta_->setItemData(1, explain::delta(), Qt::ToolTipRole);
    panel().addControl(delta_, tr("Which earlier token the deltas are taken to. %1").arg(explain::anchor()));

    withinChannels_->setObjectName(QStringLiteral("within"));
    panel().addControl(withinChannels_,
                       tr("Take each channel's own mean out first: what is left to gain for a coder that has a symbol "
                          "table for each channel"));

    connect(withinChannels_, &QCheckBox::toggled, this, &LayerChartsView::refresh);
    connect(pages_, &QTabBar::currentChanged, this, &LayerChartsView::refresh);
    connect(statistic_, &QComboBox::currentIndexChanged, this, &LayerChartsView::refresh);
    connect(delta_, &QComboBox::currentIndexChanged, this, &LayerChartsView::refresh);
    connect(&panel().tableButton(), &QToolButton::toggled, this, &LayerChartsView::refresh);
    connect(&chart(), &ChartWidget::picked, this, [this](double x) {
        if (page() != Page::EntropyGroups)
            selectLayer(LayerIndex(static_cast<std::int64_t>(x)));
    });
    connect(&panel().table(), &StatisticsTableView::rowActivated, this, [this](int row) {
        if (page() != Page::EntropyGroups)
            selectLayer(LayerIndex(panel().table().table().rows[static_cast<std::size_t>(row)].front().toLongLong()));
    });
}

bool LayerChartsView::withinChannels() const {
    return page() == Page::DeltaGain && withinChannels_->isChecked();
}

LayerChartsView::Page LayerChartsView::page() const {
    return static_cast<Page>(pages_->currentIndex());
}

LayerChartsView::Statistic LayerChartsView::statistic() const {
    return static_cast<Statistic>(statistic_->currentIndex());
}

LayerChartsView::Statistic LayerChartsView::shownStatistic() const {
    if (page() == Page::PerLayer)
        return statistic();
    return delta_->currentIndex() == 0 ? Statistic::VarianceRatioAnchor : Statistic::VarianceRatioPrevious;
}

void LayerChartsView::setPage(Page page) {
    pages_->setCurrentIndex(static_cast<int>(page));
}

void LayerChartsView::setStatistic(Statistic statistic) {
    statistic_->setCurrentIndex(static_cast<int>(statistic));
}

std::vector<StatisticsService::Job> LayerChartsView::neededJobs() const {
    std::vector<StatisticsService::Job> layers;
    std::vector<StatisticsService::Job> entropies;
    const SequenceIndex sequence = selection().sequence;
    for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
        for (const KindChoice choice : choices()) {
            if (holds(cache(), choice, layer, sequence))
                layers.push_back(statisticsJob(document(), layerScope(choice, layer, sequence)));
        }
    }
    for (const KindChoice choice : choices()) {
        if (!layersOf(cache(), choice, sequence).empty())
            entropies.push_back(entropyJob(document(), cacheScope(choice, sequence)));
    }
    if (page() == Page::EntropyGroups)
        return entropies;
    if (page() == Page::DeltaGain)
        return layers;
    const bool table = panel().tableButton().isChecked();
    if (statistic() == Statistic::Entropy) {
        if (table)
            entropies.insert(entropies.end(), layers.begin(), layers.end());
        return entropies;
    }
    if (table)
        layers.insert(layers.end(), entropies.begin(), entropies.end());
    return layers;
}

std::optional<double> LayerChartsView::valueOf(Statistic statistic, KindChoice choice, LayerIndex layer) const {
    if (statistic == Statistic::Entropy) {
        const auto* entropy = result<EntropyStatistics>(entropyKey(cacheScope(choice, selection().sequence)));
        if (entropy == nullptr)
            return {};
        const auto found = std::find_if(entropy->planes.begin(), entropy->planes.end(),
                                        [layer](const PlaneEntropy& plane) { return plane.plane.layer == layer; });
        return found != entropy->planes.end() ? std::optional(found->all) : std::nullopt;
    }
    const PlaneStatistics* plane = planeOf(choice, layer);
    if (plane == nullptr)
        return {};
    const Moments& moments = plane->series.value.moments;
    switch (statistic) {
    case Statistic::Rms:
        return moments.rms();
    case Statistic::Std:
        return moments.stddev();
    case Statistic::MaxAbs:
        return moments.maxAbs();
    case Statistic::Kurtosis:
        return moments.excessKurtosis();
    case Statistic::VarianceRatioPrevious:
        return withinChannels() ? plane->varianceRatioPreviousWithinChannels() : plane->series.varianceRatioPrevious();
    case Statistic::VarianceRatioAnchor:
        return withinChannels() ? plane->varianceRatioAnchorWithinChannels() : plane->series.varianceRatioAnchor();
    case Statistic::OutlierRatio:
        return plane->channelOutlierRatio;
    case Statistic::Outlier:
        if (const auto outlier = largestOutlier(*plane))
            return outlier->timesRms;
        break;
    case Statistic::Entropy:
        break;
    }
    return {};
}

ChartData LayerChartsView::layerChart(Statistic statistic) const {
    const StatisticText& text = textOf(statistic);
    ChartData chart;
    chart.explanation = text.explanation();
    chart.xTitle = tr("layer");
    chart.yTitle = tr(text.name);
    if (*text.unit != '\0')
        chart.yTitle += QStringLiteral(" (") + tr(text.unit) + u')';
    chart.xIndex = true;
    chart.fromZero = true;
    chart.xName = [](double layer) { return tr("layer %1").arg(formatNumber(layer)); };
    chart.selected = static_cast<double>(selection().layer().value);
    chart.emptyText = tr("Computing\u2026");
    for (const KindChoice choice : choices()) {
        ChartSeries series;
        series.name = choice.name();
        series.shape = ChartSeries::Shape::Bars;
        series.kind = choice.colourKind();
        series.look = choice.barLook();
        for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
            if (const auto value = valueOf(statistic, choice, layer)) {
                series.x.push_back(static_cast<double>(layer.value));
                series.y.push_back(*value);
            }
        }
        chart.series.push_back(std::move(series));
    }
    if (isVarianceRatio(statistic))
        chart.levels.push_back({1, tr("above 1 the delta helps")});
    return chart;
}

ChartData LayerChartsView::groupChart() const {
    ChartData chart;
    chart.explanation = explain::entropy() + u' ' + explain::symbolTable();
    chart.xTitle = tr("values that share one symbol table");
    chart.yTitle = tr("entropy (bits per value)");
    chart.fromZero = true;
    chart.emptyText = tr("Computing\u2026");
    for (const Grouping& grouping : kGroupings)
        chart.categories << groupingName(grouping);
    for (const KindChoice choice : choices()) {
        ChartSeries series;
        series.name = choice.name();
        series.shape = ChartSeries::Shape::Bars;
        series.kind = choice.colourKind();
        series.look = choice.barLook();
        if (const auto* entropy = result<EntropyStatistics>(entropyKey(cacheScope(choice, selection().sequence)))) {
            for (std::size_t i = 0; i < kGroupings.size(); ++i) {
                series.x.push_back(static_cast<double>(i));
                series.y.push_back(entropy->grouped.*kGroupings[i].value);
            }
        }
        chart.series.push_back(std::move(series));
    }
    constexpr std::int64_t kSymbols = 2 * (kEntropyBins / 2 - 1) + 1;
    const double symbols = std::log2(static_cast<double>(kSymbols));
    chart.levels.push_back({symbols, tr("not coded: log2(31) = %1 bits").arg(formatNumber(symbols, 3))});
    return chart;
}

bool LayerChartsView::knowsAllLayers(Statistic statistic) const {
    for (const KindChoice choice : choices()) {
        for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
            if (!holds(cache(), choice, layer, selection().sequence))
                continue;
            if (statistic == Statistic::Entropy ? !valueOf(statistic, choice, layer).has_value()
                                                : planeOf(choice, layer) == nullptr)
                return false;
        }
    }
    return true;
}

QString LayerChartsView::extremeSentence(Statistic statistic) const {
    // The most of some layers is not the most of all.
    if (!knowsAllLayers(statistic))
        return {};
    double highest = -std::numeric_limits<double>::infinity();
    double lowest = std::numeric_limits<double>::infinity();
    QString highName;
    QString lowName;
    for (const KindChoice choice : choices()) {
        for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
            const auto value = valueOf(statistic, choice, layer);
            if (!value || !std::isfinite(*value))
                continue;
            const QString name = tr("layer %1 %2").arg(formatCount(layer.value), choice.name());
            // Turning back the rotation keeps some statistics but for the last digits: then K itself is meant.
            const auto alike = [&](double other) {
                return choice.beforeRope && formatNumber(*value, 3) == formatNumber(other, 3);
            };
            if (*value > highest && !alike(highest)) {
                highest = *value;
                highName = name;
            }
            if (*value < lowest && !alike(lowest)) {
                lowest = *value;
                lowName = name;
            }
        }
    }
    if (highName.isEmpty())
        return {};
    const QString unit = statistic == Statistic::Entropy   ? tr(" bits")
                         : statistic == Statistic::Outlier ? tr("\u00d7 the rms of its plane")
                                                           : QString();
    // The largest outlier of all has a sentence of its own, which says where it is.
    if (statistic == Statistic::Outlier)
        return tr("Smallest of the layers' largest outliers: %1, %2%3.").arg(lowName, formatNumber(lowest, 3), unit);
    const QString what = statistic == Statistic::OutlierRatio ? tr("ratio of the largest to the median channel's rms")
                                                              : nameOfStatistic(statistic);
    return tr("Highest %1: %2, %3%5; lowest: %6, %4%5.")
        .arg(what, highName, formatNumber(highest, 3), formatNumber(lowest, 3), unit, lowName);
}

QString LayerChartsView::outlierSentence() const {
    struct Found {
        KindChoice choice;
        LayerIndex layer;
        LargestOutlier outlier;
    };
    if (!knowsAllLayers(Statistic::Outlier))
        return {};
    std::vector<Found> found;
    for (const KindChoice choice : choices()) {
        if (choice.beforeRope)
            continue;
        std::optional<Found> most;
        for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
            const PlaneStatistics* plane = planeOf(choice, layer);
            const auto outlier = plane != nullptr ? largestOutlier(*plane) : std::nullopt;
            if (outlier && (!most || outlier->timesRms > most->outlier.timesRms))
                most = Found{choice, layer, *outlier};
        }
        if (most)
            found.push_back(*most);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Found& a, const Found& b) { return a.outlier.timesRms > b.outlier.timesRms; });
    QStringList parts;
    for (const Found& one : found) {
        const PlaneGeometry& shape =
            *cache().geometry().find(PlaneId{one.layer, one.choice.kind, selection().sequence});
        parts << tr("layer %1 %2 channel %3: %4")
                     .arg(formatCount(one.layer.value), one.choice.name(), channelName(shape, one.outlier.channel),
                          outlierText(one.outlier.value, one.outlier.timesRms));
    }
    return parts.isEmpty() ? QString() : tr("Largest outlier: %1.").arg(parts.join(tr("; then ")));
}

QString LayerChartsView::deltaSentence() const {
    const std::array against{
        Against{tr("the previous token"), &SeriesSet::deltaPrevious, &PlaneStatistics::channelDeltaPrevious},
        Against{tr("the anchor of 10"), &SeriesSet::deltaAnchor, &PlaneStatistics::channelDeltaAnchor}};
    QStringList sentences;
    for (const Against& which : against) {
        QStringList helped;
        QStringList hurt;
        for (const KindChoice choice : choices()) {
            std::vector<const PlaneStatistics*> planes;
            for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
                if (const PlaneStatistics* plane = planeOf(choice, layer))
                    planes.push_back(plane);
            }
            const auto ratio = pooledRatio(planes, which, withinChannels());
            if (!ratio)
                continue;
            const bool first = (*ratio > 1 ? helped : hurt).isEmpty();
            (*ratio > 1 ? helped : hurt)
                << (first ? tr("%1 (variance ratio %2)") : tr("%1 (%2)")).arg(choice.name(), formatNumber(*ratio, 3));
        }
        QStringList parts;
        if (!helped.isEmpty())
            parts << tr("helps %1").arg(helped.join(tr(" and ")));
        if (!hurt.isEmpty())
            parts << tr("hurts %1").arg(hurt.join(tr(" and ")));
        if (!parts.isEmpty())
            sentences << (withinChannels() ? tr("Within channels, the delta to %1 %2.") : tr("The delta to %1 %2."))
                             .arg(which.name, parts.join(tr(", ")));
    }
    return sentences.join(u' ');
}

QString LayerChartsView::groupSentence() const {
    QStringList sentences;
    for (const KindChoice choice : choices()) {
        const auto* entropy = result<EntropyStatistics>(entropyKey(cacheScope(choice, selection().sequence)));
        if (entropy == nullptr || entropy->grouped.all <= 0)
            continue;
        const GroupedEntropy& grouped = entropy->grouped;
        sentences << tr("%1: a table for each layer and channel needs %2 bits a value instead of %3 (%4 % less).")
                         .arg(choice.name(), formatNumber(grouped.layerChannel, 3), formatNumber(grouped.all, 3),
                              formatNumber(100 * (1 - grouped.layerChannel / grouped.all), 2));
    }
    return sentences.join(u' ');
}

StatisticsTable LayerChartsView::layerTable() const {
    StatisticsTable table;
    table.columns.push_back({tr("Layer"), {}, tr("Layer of the model, counted from 0")});
    table.columns.push_back({tr("Plane"), {}, explain::plane()});
    for (const StatisticText& text : kStatistics)
        table.columns.push_back({capitalised(tr(text.name)), tr(text.unit), text.explanation()});
    table.columns.push_back({tr("Mean"), {}, {}});
    table.columns.push_back({tr("Values beyond 6 sigma"),
                             {},
                             tr("Values further than 6 standard deviations from the "
                                "mean of their plane")});
    table.columns.push_back({tr("NaN or infinite"), {}, {}});
    for (LayerIndex layer(0); layer.value < cache().geometry().layerCount(); ++layer) {
        for (const KindChoice choice : choices()) {
            if (!holds(cache(), choice, layer, selection().sequence))
                continue;
            std::vector<QVariant> row{static_cast<qlonglong>(layer.value), choice.name()};
            for (const StatisticText& text : kStatistics) {
                const auto value = valueOf(text.statistic, choice, layer);
                row.push_back(value ? QVariant(*value) : QVariant());
            }
            if (const PlaneStatistics* plane = planeOf(choice, layer)) {
                row.emplace_back(plane->series.value.moments.mean);
                row.emplace_back(static_cast<qlonglong>(plane->series.value.outliers.back()));
                row.emplace_back(static_cast<qlonglong>(plane->series.value.moments.nonFinite));
            }
            row.resize(table.columns.size());
            table.rows.push_back(std::move(row));
        }
    }
    return table;
}

StatisticsTable LayerChartsView::groupTable() const {
    StatisticsTable table;
    table.columns.push_back({tr("Values that share a table"), {}, explain::symbolTable()});
    for (const KindChoice choice : choices())
        table.columns.push_back({choice.name(), tr("bits per value"), explain::entropy()});
    for (const Grouping& grouping : kGroupings) {
        std::vector<QVariant> row{groupingName(grouping).replace(u'\n', u' ')};
        for (const KindChoice choice : choices()) {
            const auto* entropy = result<EntropyStatistics>(entropyKey(cacheScope(choice, selection().sequence)));
            row.push_back(entropy != nullptr ? QVariant(entropy->grouped.*grouping.value) : QVariant());
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

void LayerChartsView::display() {
    statistic_->setVisible(page() == Page::PerLayer);
    delta_->setVisible(page() == Page::DeltaGain);
    withinChannels_->setVisible(page() == Page::DeltaGain);
    if (page() == Page::EntropyGroups) {
        chart().setData(groupChart(), true);
        panel().setSummary(groupSentence());
        panel().setTable([this] { return groupTable(); });
        return;
    }
    chart().setData(layerChart(shownStatistic()), true);
    panel().setTable([this] { return layerTable(); });
    if (isVarianceRatio(shownStatistic())) {
        panel().setSummary(deltaSentence());
        return;
    }
    QStringList sentences{extremeSentence(shownStatistic()), outlierSentence()};
    sentences.removeAll(QString());
    panel().setSummary(sentences.join(u' '));
}

QString LayerChartsView::exportName() const {
    switch (page()) {
    case Page::PerLayer:
        return tr("layers %1").arg(nameOfStatistic(statistic()));
    case Page::DeltaGain:
        return tr("delta gain");
    case Page::EntropyGroups:
        break;
    }
    return tr("entropy by grouping");
}

} // namespace kvscope::views
