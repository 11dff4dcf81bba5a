// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_settings_store.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QtEndian>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace kvscope::views {

namespace {

constexpr int kVersion = 1;
/// More than any trace that can be opened comes to.
constexpr quint32 kMostBytes = 256U << 20U;

Error unreadable() {
    return {"has streaming settings that cannot be read", "layout", "Save the layout again", Error::Kind::Input};
}

QString text(const std::string& from) {
    return QString::fromStdString(from);
}

/// Integers of 64 bits do not fit into JSON's numbers.
QString number(std::int64_t value) {
    return QString::number(value);
}

QJsonArray pairs(const std::vector<std::pair<double, double>>& from) {
    QJsonArray array;
    for (const auto& [first, second] : from) {
        array.append(first);
        array.append(second);
    }
    return array;
}

QJsonObject traceObject(const BandwidthTrace& trace) {
    std::vector<std::pair<double, double>> points;
    for (const TracePoint& point : trace.points())
        points.emplace_back(point.seconds, point.bitsPerSecond);
    return {{QStringLiteral("name"), text(trace.name())},
            {QStringLiteral("duration"), trace.duration()},
            {QStringLiteral("holds"), trace.end() == TraceEnd::Hold},
            {QStringLiteral("points"), pairs(points)}};
}

QJsonObject computeObject(const ComputeModel& compute) {
    return {{QStringLiteral("prefill"), compute.prefillTokensPerSecond},
            {QStringLiteral("reference"), compute.referenceTokens},
            {QStringLiteral("attention"), compute.attentionShare},
            {QStringLiteral("decode"), compute.decodeBytesPerSecond},
            {QStringLiteral("unpack"), compute.unpackBytesPerSecond},
            {QStringLiteral("pieces"), compute.decodePieces},
            {QStringLiteral("contention"), compute.gpuContention},
            {QStringLiteral("step"), compute.firstStepSeconds}};
}

/// Takes values out of an object; remembers whether one was missing or of another type.
class Reader {
public:
    explicit Reader(QJsonObject object)
        : object_(std::move(object)) {}

    double real(const QString& name) {
        const QJsonValue value = object_.value(name);
        ok_ = ok_ && value.isDouble();
        return value.toDouble();
    }
    bool flag(const QString& name) {
        const QJsonValue value = object_.value(name);
        ok_ = ok_ && value.isBool();
        return value.toBool();
    }
    QString string(const QString& name) {
        const QJsonValue value = object_.value(name);
        ok_ = ok_ && value.isString();
        return value.toString();
    }
    std::int64_t integer(const QString& name) {
        bool isNumber = false;
        const auto value = string(name).toLongLong(&isNumber);
        ok_ = ok_ && isNumber;
        return value;
    }
    /// A whole number in int's range.
    int small(const QString& name) {
        const double value = real(name);
        ok_ = ok_ && value == std::floor(value) && std::abs(value) <= std::numeric_limits<int>::max();
        return ok_ ? static_cast<int>(value) : 0;
    }
    std::vector<std::pair<double, double>> pairs(const QString& name) {
        const QJsonArray array = object_.value(name).toArray();
        ok_ = ok_ && object_.value(name).isArray() && array.size() % 2 == 0;
        std::vector<std::pair<double, double>> read;
        for (int i = 0; i + 1 < array.size(); i += 2) {
            ok_ = ok_ && array[i].isDouble() && array[i + 1].isDouble();
            read.emplace_back(array[i].toDouble(), array[i + 1].toDouble());
        }
        return read;
    }
    QJsonArray array(const QString& name) {
        ok_ = ok_ && object_.value(name).isArray();
        return object_.value(name).toArray();
    }
    [[nodiscard]] bool has(const QString& name) const { return object_.contains(name); }
    QJsonObject object(const QString& name) {
        ok_ = ok_ && object_.value(name).isObject();
        return object_.value(name).toObject();
    }
    [[nodiscard]] bool ok() const { return ok_; }

private:
    QJsonObject object_;
    bool ok_ = true;
};

std::shared_ptr<const BandwidthTrace> readTrace(const QJsonObject& from) {
    Reader in(from);
    const std::string name = in.string(QStringLiteral("name")).toStdString();
    const double duration = in.real(QStringLiteral("duration"));
    const TraceEnd end = in.flag(QStringLiteral("holds")) ? TraceEnd::Hold : TraceEnd::Loop;
    std::vector<TracePoint> points;
    for (const auto& [seconds, rate] : in.pairs(QStringLiteral("points")))
        points.push_back({seconds, rate});
    if (!in.ok())
        return nullptr;
    auto trace = BandwidthTrace::make(std::move(points), duration, end, name);
    return trace ? std::make_shared<const BandwidthTrace>(std::move(*trace)) : nullptr;
}

} // namespace

QByteArray toBytes(const StreamSettings& settings) {
    std::vector<std::pair<double, double>> pulls;
    for (const BandwidthPull& pull : settings.pulls)
        pulls.emplace_back(pull.seconds, pull.factor);
    QJsonArray faults;
    for (const Fault& fault : settings.faults)
        faults.append(QJsonObject{{QStringLiteral("kind"), static_cast<int>(fault.kind)},
                                  {QStringLiteral("chunk"), number(static_cast<std::int64_t>(fault.chunk))},
                                  {QStringLiteral("seconds"), fault.seconds}});
    QJsonObject out{{QStringLiteral("version"), kVersion},
                    {QStringLiteral("model"), text(settings.model)},
                    {QStringLiteral("context"), number(settings.contextTokens)},
                    {QStringLiteral("chunk"), number(settings.chunkTokens)},
                    {QStringLiteral("trace"), traceObject(*settings.trace)},
                    {QStringLiteral("pulls"), pairs(pulls)},
                    {QStringLiteral("start"), settings.traceStart},
                    {QStringLiteral("rtt"), settings.rttSeconds},
                    {QStringLiteral("loss"), settings.lossRate},
                    {QStringLiteral("jitter"), settings.jitterSeconds},
                    {QStringLiteral("seed"), number(static_cast<std::int64_t>(settings.seed))},
                    {QStringLiteral("known"), settings.bandwidthKnown},
                    {QStringLiteral("compute"), computeObject(settings.compute)},
                    {QStringLiteral("slo"), settings.sloSeconds},
                    {QStringLiteral("faults"), faults}};
    if (settings.second)
        out.insert(QStringLiteral("second"),
                   QJsonObject{{QStringLiteral("trace"), traceObject(*settings.second->trace)},
                               {QStringLiteral("rtt"), settings.second->rttSeconds}});
    return qCompress(QJsonDocument(out).toJson(QJsonDocument::Compact));
}

Result<StreamSettings> streamSettingsFrom(const QByteArray& bytes) {
    // qUncompress() believes the length in front.
    if (bytes.size() < 4 || qFromBigEndian<quint32>(bytes.constData()) > kMostBytes)
        return tl::unexpected<Error>(unreadable());
    const QJsonDocument document = QJsonDocument::fromJson(qUncompress(bytes));
    Reader in(document.object());
    if (in.small(QStringLiteral("version")) != kVersion || !in.ok())
        return tl::unexpected<Error>(unreadable());
    StreamSettings settings;
    settings.model = in.string(QStringLiteral("model")).toStdString();
    settings.contextTokens = in.integer(QStringLiteral("context"));
    settings.chunkTokens = in.integer(QStringLiteral("chunk"));
    settings.trace = readTrace(in.object(QStringLiteral("trace")));
    for (const auto& [seconds, factor] : in.pairs(QStringLiteral("pulls")))
        settings.pulls.push_back({seconds, factor});
    settings.traceStart = in.real(QStringLiteral("start"));
    settings.rttSeconds = in.real(QStringLiteral("rtt"));
    settings.lossRate = in.real(QStringLiteral("loss"));
    settings.jitterSeconds = in.real(QStringLiteral("jitter"));
    settings.seed = static_cast<std::uint64_t>(in.integer(QStringLiteral("seed")));
    settings.bandwidthKnown = in.flag(QStringLiteral("known"));
    settings.sloSeconds = in.real(QStringLiteral("slo"));
    if (in.has(QStringLiteral("second"))) {
        Reader second(in.object(QStringLiteral("second")));
        settings.second =
            SecondPath{readTrace(second.object(QStringLiteral("trace"))), second.real(QStringLiteral("rtt"))};
        if (!second.ok() || settings.second->trace == nullptr)
            return tl::unexpected<Error>(unreadable());
    }
    Reader compute(in.object(QStringLiteral("compute")));
    settings.compute.prefillTokensPerSecond = compute.real(QStringLiteral("prefill"));
    settings.compute.referenceTokens = compute.real(QStringLiteral("reference"));
    settings.compute.attentionShare = compute.real(QStringLiteral("attention"));
    settings.compute.decodeBytesPerSecond = compute.real(QStringLiteral("decode"));
    settings.compute.unpackBytesPerSecond = compute.real(QStringLiteral("unpack"));
    settings.compute.decodePieces = compute.small(QStringLiteral("pieces"));
    settings.compute.gpuContention = compute.real(QStringLiteral("contention"));
    settings.compute.firstStepSeconds = compute.real(QStringLiteral("step"));
    bool ok =
        in.ok() && compute.ok() && settings.trace != nullptr && settings.contextTokens > 0 && settings.chunkTokens > 0;
    for (const QJsonValue value : in.array(QStringLiteral("faults"))) {
        Reader fault(value.toObject());
        const int kind = fault.small(QStringLiteral("kind"));
        const std::int64_t chunk = fault.integer(QStringLiteral("chunk"));
        const double seconds = fault.real(QStringLiteral("seconds"));
        ok = ok && fault.ok() && kind >= 0 && kind <= static_cast<int>(Fault::Kind::Delay) && chunk >= 0;
        settings.faults.push_back({static_cast<Fault::Kind>(ok ? kind : 0), static_cast<std::size_t>(chunk), seconds});
    }
    double before = 0;
    for (const BandwidthPull& pull : settings.pulls) {
        ok = ok && pull.seconds >= before && pull.factor >= 0;
        before = pull.seconds;
    }
    if (!ok || !in.ok())
        return tl::unexpected<Error>(unreadable());
    KVSCOPE_TRY(makeStreamSetup(settings));
    return settings;
}

} // namespace kvscope::views
