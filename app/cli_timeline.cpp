// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_timeline.h"

#include "app/cli_options.h"
#include "core/stream/trace_presets.h"
#include "core/stream/trace_reader.h"
#include "core/stream/trace_shapes.h"

#include <QJsonArray>

#include <cmath>
#include <initializer_list>
#include <utility>

namespace kvscope::app {

namespace {

QString fromName(std::string_view name) {
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

/// A positive number with one of the units behind it, in the units' base; nothing after a line on stderr.
std::optional<double> quantity(const QCommandLineParser& parser, const char* option,
                               std::initializer_list<std::pair<const char*, double>> units) {
    const QString text = parser.value(QLatin1String(option)).trimmed();
    for (const auto& [unit, factor] : units) {
        const QLatin1String suffix(unit);
        if (!text.endsWith(suffix, Qt::CaseInsensitive))
            continue;
        bool valid = false;
        const double value = text.left(text.size() - suffix.size()).trimmed().toDouble(&valid) * factor;
        if (valid && value >= 0 && std::isfinite(value))
            return value;
        break;
    }
    complain(QObject::tr("--%1: \"%2\" is not an amount such as %3%4")
                 .arg(QLatin1String(option), text)
                 .arg(2)
                 .arg(QLatin1String(units.begin()->first)),
             kExitBadUsage);
    return std::nullopt;
}

QJsonValue finite(double value) {
    return std::isfinite(value) ? QJsonValue(value) : QJsonValue();
}

QJsonArray toJson(const Interval& interval) {
    return {finite(interval.begin), finite(interval.end)};
}

} // namespace

std::optional<double> bandwidth(const QCommandLineParser& parser, const char* option) {
    return quantity(parser, option,
                    {{"Gbps", 1e9},
                     {"Mbps", 1e6},
                     {"kbps", 1e3},
                     {"Gbit/s", 1e9},
                     {"Mbit/s", 1e6},
                     {"kbit/s", 1e3},
                     {"GB/s", 8e9},
                     {"MB/s", 8e6}});
}

std::optional<double> duration(const QCommandLineParser& parser, const char* option) {
    return quantity(parser, option, {{"ms", 1e-3}, {"s", 1}});
}

Result<BandwidthTrace> makeTrace(const QCommandLineParser& parser, std::optional<double> mean, std::uint64_t seed) {
    const auto scaled = [&](const BandwidthTrace& trace) -> Result<BandwidthTrace> {
        return mean ? trace.scaledToMean(*mean) : Result<BandwidthTrace>(trace);
    };
    if (parser.isSet(QStringLiteral("trace"))) {
        KVSCOPE_ASSIGN(const auto trace, openTrace(parser.value(QStringLiteral("trace")).toStdString()));
        return scaled(trace);
    }
    if (parser.isSet(QStringLiteral("network"))) {
        const TracePreset* preset = findTracePreset(parser.value(QStringLiteral("network")).toStdString());
        if (preset == nullptr) {
            return fail("there is no network called " + parser.value(QStringLiteral("network")).toStdString(),
                        "--network", "choose lte, 5g, wifi, phone or datacentre");
        }
        return presetTrace(*preset, mean.value_or(preset->meanBitsPerSecond), 600, seed);
    }
    return constantTrace(mean.value_or(4e9));
}

QJsonObject toJson(const Timeline& timeline, const StreamInput& input) {
    QJsonArray chunks;
    for (const ChunkTimes& chunk : timeline.chunks) {
        QJsonObject object{{QStringLiteral("ready_s"), finite(chunk.ready)}};
        if (chunk.candidate != kNoIndex)
            object[QStringLiteral("form")] = QString::fromStdString(input.candidates()[chunk.candidate].name);
        if (!chunk.send.empty()) {
            object[QStringLiteral("send_s")] = toJson(chunk.send);
            object[QStringLiteral("receive_s")] = toJson(chunk.receive);
            object[QStringLiteral("decode_s")] = toJson(chunk.decode);
            object[QStringLiteral("bytes")] = chunk.wireBytes;
        }
        if (!chunk.recompute.empty())
            object[QStringLiteral("recompute_s")] = toJson(chunk.recompute);
        if (chunk.decision != kNoIndex)
            object[QStringLiteral("reason")] = fromName(timeline.decisions[chunk.decision].reason);
        chunks.append(object);
    }
    return {{QStringLiteral("policy"), QString::fromStdString(timeline.policy)},
            {QStringLiteral("projected"), timeline.projected},
            {QStringLiteral("ttft_s"), finite(timeline.ttft)},
            {QStringLiteral("slo_met"), timeline.meetsSlo()},
            {QStringLiteral("margin_s"), finite(timeline.margin())},
            {QStringLiteral("bytes"), timeline.wireBytes},
            {QStringLiteral("abandoned_bytes"), timeline.abandonedBytes},
            {QStringLiteral("mean_level"), finite(timeline.meanLevel)},
            {QStringLiteral("quality"), timeline.quality},
            {QStringLiteral("error_nmse"), timeline.error},
            {QStringLiteral("compute_s"), timeline.computeSeconds},
            {QStringLiteral("decode_s"), timeline.decodeSeconds},
            {QStringLiteral("chunks"), chunks}};
}

} // namespace kvscope::app
