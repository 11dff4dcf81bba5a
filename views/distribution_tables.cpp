// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/distribution_parts.h"
#include "views/distribution_view.h"

#include <algorithm>
#include <utility>

namespace kvscope::views {

namespace {

/// A number about values of which some are finite; nothing where none is.
QVariant known(const SeriesStatistics& series, double value) {
    return series.moments.count > 0 ? QVariant(value) : QVariant();
}

QVariant optionalNumber(const std::optional<double>& value) {
    return value ? QVariant(*value) : QVariant();
}

} // namespace

QString betterFit(const SeriesStatistics& series) {
    if (!series.gaussian || !series.laplace)
        return {};
    return series.gaussian->logLikelihood >= series.laplace->logLikelihood ? DistributionView::tr("Gaussian")
                                                                           : DistributionView::tr("Laplace");
}

StatisticsTable DistributionView::readoutTable() const {
    struct Row {
        QString name;
        QString explanation;
        std::function<QVariant(const SeriesSet&)> value;
    };
    const std::vector<Row> rows{
        {tr("Variance ratio, previous token"), explain::varianceRatio(),
         [](const SeriesSet& set) { return optionalNumber(set.varianceRatioPrevious()); }},
        {tr("Variance ratio, anchor"), explain::varianceRatio(),
         [](const SeriesSet& set) { return optionalNumber(set.varianceRatioAnchor()); }},
        {tr("Std"), {}, [](const SeriesSet& set) { return known(set.value, set.value.moments.stddev()); }},
        {tr("Std of delta, previous"),
         {},
         [](const SeriesSet& set) { return known(set.deltaPrevious, set.deltaPrevious.moments.stddev()); }},
        {tr("Std of delta, anchor"),
         {},
         [](const SeriesSet& set) { return known(set.deltaAnchor, set.deltaAnchor.moments.stddev()); }},
        {tr("Mean"), {}, [](const SeriesSet& set) { return known(set.value, set.value.moments.mean); }},
        {tr("Median"), {}, [](const SeriesSet& set) { return known(set.value, set.value.ranks.median); }},
        {tr("Excess kurtosis"), explain::kurtosis(),
         [](const SeriesSet& set) { return known(set.value, set.value.moments.excessKurtosis()); }},
        {tr("Gaussian \u03bc"),
         {},
         [](const SeriesSet& set) { return set.value.gaussian ? QVariant(set.value.gaussian->mu) : QVariant(); }},
        {tr("Gaussian \u03c3"),
         {},
         [](const SeriesSet& set) { return set.value.gaussian ? QVariant(set.value.gaussian->sigma) : QVariant(); }},
        {tr("Laplace b"),
         {},
         [](const SeriesSet& set) { return set.value.laplace ? QVariant(set.value.laplace->scale) : QVariant(); }},
        {tr("Better fit"), explain::fits(), [](const SeriesSet& set) { return QVariant(betterFit(set.value)); }},
    };
    StatisticsTable table;
    table.columns.push_back({tr("Readout"), {}, {}});
    for (const KindChoice choice : choices_) {
        if (statisticsOf(choice) != nullptr)
            table.columns.push_back({choice.name(), {}, choice.beforeRope ? explain::rope() : QString()});
    }
    if (table.columns.size() == 1)
        return {};
    for (const Row& row : rows) {
        std::vector<QVariant> cells{row.name};
        for (const KindChoice choice : choices_) {
            if (const CacheStatistics* statistics = statisticsOf(choice))
                cells.push_back(row.value(statistics->total));
        }
        table.rows.push_back(std::move(cells));
        table.rowExplanations.push_back(row.explanation.isEmpty() ? row.name : row.name + u'\n' + row.explanation);
    }
    return table;
}

StatisticsTable DistributionView::fullTable() const {
    StatisticsTable table;
    table.columns = {{tr("Plane"), {}, explain::plane()},
                     {tr("Of"), {}, explain::delta()},
                     {tr("Count"), {}, {}},
                     {tr("Mean"), {}, {}},
                     {tr("Std"), {}, {}},
                     {tr("Variance ratio"), {}, explain::varianceRatio()},
                     {tr("Min"), {}, {}},
                     {tr("Max"), {}, {}},
                     {tr("Median"), {}, {}},
                     {tr("Skewness"), {}, {}},
                     {tr("Excess kurtosis"), {}, explain::kurtosis()},
                     {tr("Gaussian \u03bc"), {}, explain::fits()},
                     {tr("Gaussian \u03c3"), {}, explain::fits()},
                     {tr("Gaussian log-likelihood"), tr("nats per value"), explain::fits()},
                     {tr("Laplace median"), {}, explain::fits()},
                     {tr("Laplace b"), {}, explain::fits()},
                     {tr("Laplace log-likelihood"), tr("nats per value"), explain::fits()},
                     {tr("Better fit"), {}, explain::fits()},
                     {tr("Beyond 6 sigma"), {}, {}},
                     {tr("NaN or infinite"), {}, {}}};
    if (scope() == Scope::EachLayer)
        table.columns.push_back({tr("Layer"), {}, {}});
    for (const auto& [layer, choice, statistics] : shownStatistics()) {
        for (const DistributionPart& part : kDistributionParts) {
            const SeriesStatistics& series = statistics->total.*part.series;
            const Moments& moments = series.moments;
            std::optional<double> ratio;
            if (part.series == &SeriesSet::deltaPrevious)
                ratio = statistics->total.varianceRatioPrevious();
            else if (part.series == &SeriesSet::deltaAnchor)
                ratio = statistics->total.varianceRatioAnchor();
            const auto& gaussian = series.gaussian;
            const auto& laplace = series.laplace;
            table.rows.push_back({choice.name(),
                                  tr(part.name),
                                  static_cast<qlonglong>(moments.count),
                                  known(series, moments.mean),
                                  known(series, moments.stddev()),
                                  optionalNumber(ratio),
                                  known(series, moments.min),
                                  known(series, moments.max),
                                  known(series, series.ranks.median),
                                  known(series, moments.skewness()),
                                  known(series, moments.excessKurtosis()),
                                  gaussian ? QVariant(gaussian->mu) : QVariant(),
                                  gaussian ? QVariant(gaussian->sigma) : QVariant(),
                                  gaussian ? QVariant(gaussian->logLikelihood) : QVariant(),
                                  laplace ? QVariant(laplace->median) : QVariant(),
                                  laplace ? QVariant(laplace->scale) : QVariant(),
                                  laplace ? QVariant(laplace->logLikelihood) : QVariant(),
                                  betterFit(series),
                                  static_cast<qlonglong>(series.outliers.back()),
                                  static_cast<qlonglong>(moments.nonFinite)});
            if (layer)
                table.rows.back().emplace_back(static_cast<qlonglong>(layer->value));
        }
    }
    return table;
}

} // namespace kvscope::views
