// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/stats/entropy.h"
#include "core/stats/outliers.h"
#include "core/stats/plane_statistics.h"
#include "views/navigator.h"
#include "views/statistics_jobs.h"
#include "views/surprises.h"

#include <QJsonArray>
#include <QTextStream>

#include <utility>

namespace kvscope::app {

namespace {

constexpr std::int64_t kOutliersShown = 5;

QString fromName(std::string_view name) {
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

QJsonValue orNull(const std::optional<double>& number) {
    return number ? QJsonValue(*number) : QJsonValue();
}

/// Everything `inspect` says, computed once and then printed as text or JSON.
struct Report {
    OpenedDump dump;
    std::vector<CacheStatistics> statistics;
    std::vector<EntropyStatistics> entropies;
    std::vector<Outlier> outliers;
    QStringList surprises;
};

QString planeTitle(PlaneId plane) {
    return QObject::tr("layer %1 %2").arg(plane.layer.value).arg(fromName(nameOf(plane.kind)));
}

Result<Report> makeReport(const QString& path, const OpenOptions& options) {
    ThreadPool pool;
    KVSCOPE_ASSIGN(OpenedDump dump, openDump(path.toStdString(), options));
    Report report{std::move(dump), {}, {}, {}, {}};
    const KvCache& cache = report.dump.cache;
    for (const PlaneKind kind : cache.geometry().kinds()) {
        if (!isCacheKind(kind) || cache.geometry().maxTokens(kind) == 0)
            continue;
        StatisticsScope scope;
        scope.kind = kind;
        KVSCOPE_ASSIGN(CacheStatistics statistics, computeStatistics(cache, scope, {}, pool));
        report.statistics.push_back(std::move(statistics));
        KVSCOPE_ASSIGN(EntropyStatistics entropy, computeEntropy(cache, scope, 32, pool));
        report.entropies.push_back(std::move(entropy));
        KVSCOPE_ASSIGN(const std::vector<Outlier> outliers,
                       findOutliers(cache, kind, Quantity::Value, kOutliersShown, pool));
        report.outliers.insert(report.outliers.end(), outliers.begin(), outliers.end());
    }
    std::vector<const PlaneStatistics*> planes;
    for (const CacheStatistics& statistics : report.statistics) {
        for (const PlaneStatistics& plane : statistics.planes)
            planes.push_back(&plane);
    }
    report.surprises = views::surprisesIn(planes);
    std::sort(report.outliers.begin(), report.outliers.end(),
              [](const Outlier& a, const Outlier& b) { return a.sigma > b.sigma; });
    return report;
}

QJsonObject toJson(const Report& report) {
    const KvCache& cache = report.dump.cache;
    const CacheInfo& info = cache.info();
    QJsonObject json{{QStringLiteral("name"), QString::fromStdString(info.name)},
                     {QStringLiteral("format"), QString::fromStdString(info.format)},
                     {QStringLiteral("layout"), QString::fromStdString(info.layout)},
                     {QStringLiteral("model"), QString::fromStdString(info.model)},
                     {QStringLiteral("synthetic"), info.synthetic},
                     {QStringLiteral("sequences"), static_cast<qint64>(cache.geometry().sequences)},
                     {QStringLiteral("layers"), static_cast<qint64>(cache.geometry().layerCount())},
                     {QStringLiteral("cache_bytes"), static_cast<qint64>(cache.geometry().cacheBytes())}};
    QJsonArray notes;
    for (const CacheNote& note : info.notes)
        notes.append(QString::fromStdString(note.text));
    for (const QString& surprise : report.surprises)
        notes.append(surprise);
    json.insert(QStringLiteral("notes"), notes);
    QJsonArray layouts;
    for (const LayoutCandidate& layout : report.dump.layouts)
        layouts.append(QJsonObject{{QStringLiteral("axes"), QString::fromStdString(layout.axes)},
                                   {QStringLiteral("confidence"), layout.confidence},
                                   {QStringLiteral("evidence"), QString::fromStdString(layout.evidence)}});
    json.insert(QStringLiteral("layouts"), layouts);
    QJsonArray planes;
    for (std::size_t i = 0; i < report.statistics.size(); ++i) {
        for (std::size_t j = 0; j < report.statistics[i].planes.size(); ++j) {
            const PlaneStatistics& plane = report.statistics[i].planes[j];
            const PlaneGeometry& shape = *cache.geometry().find(plane.plane);
            const Moments& moments = plane.series.value.moments;
            planes.append(
                QJsonObject{{QStringLiteral("layer"), static_cast<qint64>(plane.plane.layer.value)},
                            {QStringLiteral("kind"), fromName(nameOf(plane.plane.kind))},
                            {QStringLiteral("heads"), static_cast<qint64>(shape.heads)},
                            {QStringLiteral("head_dim"), static_cast<qint64>(shape.headDim)},
                            {QStringLiteral("tokens"), static_cast<qint64>(shape.tokens)},
                            {QStringLiteral("first_position"), static_cast<qint64>(shape.firstPosition)},
                            {QStringLiteral("dtype"), shape.storage.empty() ? fromName(nameOf(shape.dtype))
                                                                            : QString::fromStdString(shape.storage)},
                            {QStringLiteral("mean"), moments.mean},
                            {QStringLiteral("std"), moments.stddev()},
                            {QStringLiteral("rms"), moments.rms()},
                            {QStringLiteral("min"), moments.min},
                            {QStringLiteral("max"), moments.max},
                            {QStringLiteral("excess_kurtosis"), moments.excessKurtosis()},
                            {QStringLiteral("non_finite"), static_cast<qint64>(moments.nonFinite)},
                            {QStringLiteral("zeros"), static_cast<qint64>(moments.zeros)},
                            {QStringLiteral("denormals"), static_cast<qint64>(moments.denormals)},
                            {QStringLiteral("variance_ratio_previous"), orNull(plane.series.varianceRatioPrevious())},
                            {QStringLiteral("variance_ratio_anchor"), orNull(plane.series.varianceRatioAnchor())},
                            {QStringLiteral("entropy_32_bins_bits"), report.entropies[i].planes[j].all},
                            {QStringLiteral("entropy_32_bins_per_channel_bits"), report.entropies[i].planes[j].channel},
                            {QStringLiteral("channel_outlier_ratio"), orNull(plane.channelOutlierRatio)}});
        }
    }
    json.insert(QStringLiteral("planes"), planes);
    QJsonArray outliers;
    for (const Outlier& outlier : report.outliers) {
        outliers.append(QJsonObject{{QStringLiteral("layer"), static_cast<qint64>(outlier.plane.layer.value)},
                                    {QStringLiteral("kind"), fromName(nameOf(outlier.plane.kind))},
                                    {QStringLiteral("channel"), static_cast<qint64>(outlier.channel.value)},
                                    {QStringLiteral("token"), static_cast<qint64>(outlier.token.value)},
                                    {QStringLiteral("value"), static_cast<double>(outlier.value)},
                                    {QStringLiteral("times_rms"), outlier.sigma}});
    }
    json.insert(QStringLiteral("outliers"), outliers);
    return json;
}

QString column(double value, int width = 10) {
    return QString::number(value, 'g', 4).rightJustified(width);
}

QString column(const std::optional<double>& value, int width = 10) {
    return value ? column(*value, width) : QStringLiteral("-").rightJustified(width);
}

/// The plane of one kind whose entropy is the highest, or the lowest.
const PlaneEntropy& extremeEntropy(const EntropyStatistics& entropies, bool highest) {
    const auto less = [](const PlaneEntropy& a, const PlaneEntropy& b) { return a.all < b.all; };
    return highest ? *std::max_element(entropies.planes.begin(), entropies.planes.end(), less)
                   : *std::min_element(entropies.planes.begin(), entropies.planes.end(), less);
}

/// "helps K more than V": whose variance the delta lowers more; empty for less than two kinds.
QString gainText(const std::vector<std::pair<QString, double>>& ratios) {
    if (ratios.size() < 2)
        return {};
    const auto& [most, high] = *std::max_element(ratios.begin(), ratios.end(),
                                                 [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto& [least, low] = *std::min_element(ratios.begin(), ratios.end(),
                                                 [](const auto& a, const auto& b) { return a.second < b.second; });
    if (low >= 1)
        return QObject::tr("helps %1 more than %2").arg(most, least);
    return high > 1 ? QObject::tr("helps %1, does not help %2").arg(most, least)
                    : QObject::tr("helps neither; hurts %1 more than %2").arg(least, most);
}

/// What people open a dump to know, each under its name.
void writeAnswers(QTextStream& out, const Report& report) {
    const auto line = [&out](const QString& name, const QString& answer) {
        out << "  " << name.leftJustified(24) << answer << '\n';
    };
    if (std::ranges::all_of(report.statistics, [](const CacheStatistics& statistics) {
            return statistics.total.value.moments.count == 0;
        }))
        return;
    out << QObject::tr("\nIn short\n");
    for (const CacheStatistics& statistics : report.statistics) {
        const auto found = std::ranges::find_if(
            report.outliers, [&](const Outlier& outlier) { return outlier.plane.kind == statistics.scope.kind; });
        if (found == report.outliers.end())
            continue;
        line(QObject::tr("Largest outlier of %1").arg(fromName(nameOf(statistics.scope.kind))),
             QObject::tr("layer %1, channel %2, token %3: %4")
                 .arg(QString::number(found->plane.layer.value), QString::number(found->channel.value),
                      QString::number(found->token.value),
                      views::outlierText(static_cast<double>(found->value), found->sigma)));
    }
    using Ratio = std::optional<double> (SeriesSet::*)() const;
    for (const auto& [name, ratio] :
         {std::pair<QString, Ratio>(QObject::tr("Delta to previous token"), &SeriesSet::varianceRatioPrevious),
          std::pair<QString, Ratio>(QObject::tr("Delta to anchor"), &SeriesSet::varianceRatioAnchor)}) {
        std::vector<std::pair<QString, double>> ratios;
        QStringList texts;
        for (const CacheStatistics& statistics : report.statistics) {
            if (const auto value = (statistics.total.*ratio)()) {
                ratios.emplace_back(fromName(nameOf(statistics.scope.kind)), *value);
                texts << ratios.back().first + u' ' + QString::number(*value, 'g', 4);
            }
        }
        if (ratios.empty())
            continue;
        const QString gain = gainText(ratios);
        line(name, QObject::tr("variance ratio %1").arg(texts.join(QStringLiteral(", "))) +
                       (gain.isEmpty() ? gain : QStringLiteral(": ") + gain));
    }
    for (std::size_t i = 0; i < report.entropies.size(); ++i) {
        const EntropyStatistics& entropies = report.entropies[i];
        if (entropies.planes.empty() || report.statistics[i].total.value.moments.count == 0)
            continue;
        const PlaneEntropy& high = extremeEntropy(entropies, true);
        const PlaneEntropy& low = extremeEntropy(entropies, false);
        line(QObject::tr("Highest entropy of %1").arg(fromName(nameOf(entropies.scope.kind))),
             QObject::tr("layer %1, %2 bits a value (lowest: layer %3, %4)")
                 .arg(QString::number(high.plane.layer.value), QString::number(high.all, 'g', 4),
                      QString::number(low.plane.layer.value), QString::number(low.all, 'g', 4)));
    }
}

QString toText(const Report& report) {
    QString text;
    QTextStream out(&text);
    const KvCache& cache = report.dump.cache;
    out << QString::fromStdString(cache.info().name) << '\n';
    for (const auto& [name, value] : views::describe(cache))
        out << "  " << name.leftJustified(12) << value << '\n';
    for (const CacheNote& note : cache.info().notes)
        out << "  note: " << QString::fromStdString(note.text) << '\n';
    for (const QString& surprise : report.surprises)
        out << "  note: " << surprise << '\n';
    if (report.dump.layouts.size() > 1) {
        out << QObject::tr("\nThe shape can be read in more than one way (choose with --axes):\n");
        for (const LayoutCandidate& layout : report.dump.layouts)
            out << "  " << QString::fromStdString(layout.axes).leftJustified(10)
                << QString::number(layout.confidence * 100, 'f', 1).rightJustified(6) << " %  "
                << QString::fromStdString(layout.evidence) << '\n';
    }
    writeAnswers(out, report);
    out << QObject::tr("\nlayer kind          mean       std       rms       min       max  kurtosis  var x/dx  "
                       "x/anchor  H32 bits  per chan.\n");
    for (std::size_t i = 0; i < report.statistics.size(); ++i) {
        for (std::size_t j = 0; j < report.statistics[i].planes.size(); ++j) {
            const PlaneStatistics& plane = report.statistics[i].planes[j];
            const Moments& moments = plane.series.value.moments;
            const auto known = [&moments](double value, int width = 10) {
                return column(moments.count > 0 ? std::optional(value) : std::nullopt, width);
            };
            out << QString::number(plane.plane.layer.value).rightJustified(5) << ' '
                << fromName(nameOf(plane.plane.kind)).leftJustified(7) << known(moments.mean) << known(moments.stddev())
                << known(moments.rms()) << known(moments.min) << known(moments.max) << known(moments.excessKurtosis())
                << column(plane.series.varianceRatioPrevious()) << column(plane.series.varianceRatioAnchor())
                << known(report.entropies[i].planes[j].all) << known(report.entropies[i].planes[j].channel, 11) << '\n';
        }
    }
    out << QObject::tr("var x/dx: variance over that of the delta to the previous token (above 1 the delta helps); "
                       "x/anchor: the same for the delta "
                       "to the first token of each group of 10; H32: entropy of 32-bin per-token quantised values; per "
                       "chan.: the same with a table for each channel\n");
    // By kind, as the window goes through them: the first of a list is that kind's largest outlier.
    for (const PlaneKind kind : cache.geometry().kinds()) {
        bool first = true;
        for (const Outlier& outlier : report.outliers) {
            if (outlier.plane.kind != kind)
                continue;
            if (std::exchange(first, false))
                out << QObject::tr("\nLargest values of %1, in rms of their plane:\n").arg(fromName(nameOf(kind)));
            out << "  " << planeTitle(outlier.plane)
                << QObject::tr(", channel %1, token %2: ").arg(outlier.channel.value).arg(outlier.token.value)
                << views::outlierText(static_cast<double>(outlier.value), outlier.sigma) << '\n';
        }
    }
    return text;
}

} // namespace

int runInspect(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr("Prints what is in a dump."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The dump, or a folder of one."));
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON.")));
    addOpenOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    if (parser.positionalArguments().size() != 1)
        return complain(QObject::tr("inspect needs one FILE; see kvscope inspect --help"), kExitBadUsage);
    const auto options = openOptionsFrom(parser);
    if (!options)
        return kExitBadUsage;
    const auto report = makeReport(parser.positionalArguments().front(), *options);
    if (!report)
        return complain(report.error());
    if (parser.isSet(QStringLiteral("json")))
        print(toJson(*report));
    else
        print(toText(*report));
    return kExitDone;
}

} // namespace kvscope::app
