// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/cli_timeline.h"
#include "core/codec/encode_job.h"
#include "core/codec/presets.h"
#include "core/stream/measured_rates.h"
#include "core/stream/oracle.h"

#include <QJsonArray>

namespace kvscope::app {

namespace {

QString fromName(std::string_view name) {
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

void addOptions(QCommandLineParser& parser) {
    const auto add = [&](const char* name, const QString& help, const char* value, const char* fallback = "") {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value), QLatin1String(fallback)));
    };
    add("trace", QObject::tr("Bandwidth over time: a Mahimahi, Pensieve, CSV or CacheGen file."), "FILE");
    add("network", QObject::tr("Bandwidth of a kind of network: lte, 5g, wifi, phone or datacentre."), "NAME");
    add("bandwidth",
        QObject::tr("Constant bandwidth, or the mean to which --trace or --network is scaled; 4Gbps "
                    "where there is neither."),
        "RATE");
    add("start", QObject::tr("Where in the trace the request is made."), "TIME", "0s");
    add("seed", QObject::tr("Seed of --network, of loss and of jitter."), "N", "1");
    add("rtt", QObject::tr("Round trip."), "TIME", "20ms");
    add("loss", QObject::tr("Share of packets lost, in percent."), "PERCENT", "0");
    add("jitter", QObject::tr("Standard deviation of a chunk's extra delay."), "TIME", "0ms");
    add("slo", QObject::tr("Target for the first token."), "TIME", "2s");
    add("policy",
        QObject::tr("all, or names with commas between: text, raw, 8-bit, a level, cachegen, cachegen-code, "
                    "kvscope, oracle."),
        "NAMES", "all");
    add("levels", QObject::tr("Codec presets, the finest first."), "PRESETS", "kvz-high,kvz-medium,kvz-low");
    add("model", QObject::tr("Model to project to, or \"none\": the dump's own size. --model list lists them."), "NAME",
        "llama-3.1-8b");
    add("context", QObject::tr("Tokens of the projected context."), "N", "16384");
    add("chunk", QObject::tr("Tokens a chunk."), "N", "1024");
    add("prefill", QObject::tr("Tokens a second that the model computes."), "N", "8000");
    add("decode", QObject::tr("Speed of decoding, of 16-bit output."), "RATE", "10GB/s");
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON, chunks included.")));
}

/// The dump encoded at each level, with the 8-bit baseline.
Result<std::vector<Encoding>> encodeLevels(const KvCache& cache, const QStringList& presets) {
    ThreadPool pool;
    std::vector<Encoding> encodings;
    EncodeOptions options;
    options.measureAttention = false;
    for (const QString& preset : QStringList{QStringLiteral("quant8")} + presets) {
        KVSCOPE_ASSIGN(const CodecPlan plan, makePreset(preset.trimmed().toStdString(), cache));
        KVSCOPE_ASSIGN(Encoding encoding, encodeCache(cache, plan, pool, options));
        encodings.push_back(std::move(encoding));
    }
    return encodings;
}

Result<StreamInput> makeInput(const KvCache& cache, const QStringList& presets, const ModelGeometry* model,
                              std::int64_t context, std::int64_t chunk) {
    KVSCOPE_ASSIGN(const std::vector<Encoding> encodings, encodeLevels(cache, presets));
    std::vector<LevelReport> levels{{ChunkForm::EightBit, 0, "8-bit", &encodings.front().report}};
    for (qsizetype i = 0; i < presets.size(); ++i) {
        levels.push_back({ChunkForm::Level, static_cast<int>(i), presets[i].trimmed().toStdString(),
                          &encodings[static_cast<std::size_t>(i) + 1].report});
    }
    if (model == nullptr)
        return measuredInput(levels, chunk);
    KVSCOPE_ASSIGN(const MeasuredRates rates, measuredRates(levels));
    return project(rates, {*model, context, chunk});
}

std::optional<std::vector<PolicyName>> choosePolicies(const QString& wanted, const StreamInput& input) {
    const auto all = policiesFor(input);
    if (wanted == QStringLiteral("all"))
        return all;
    std::vector<PolicyName> chosen;
    for (const QString& name : wanted.split(u',')) {
        const auto found = std::ranges::find(all, name.trimmed().toStdString(), &PolicyName::name);
        if (found == all.end()) {
            QStringList names;
            for (const PolicyName& policy : all)
                names.append(QString::fromStdString(policy.name));
            complain(
                QObject::tr("--policy: there is no \"%1\"; there are %2").arg(name, names.join(QStringLiteral(", "))),
                kExitBadUsage);
            return std::nullopt;
        }
        chosen.push_back(*found);
    }
    return chosen;
}

void printTable(const std::vector<Timeline>& timelines, const StreamInput& input, const StreamSetup& setup) {
    const BandwidthTrace& trace = *setup.link.paths.front().trace;
    print(QObject::tr("%1%2\n%3 chunks, %4 MB in 16 bit; %5, mean %6 Gbit/s; target %7 s\n\n")
              .arg(input.projected() ? QObject::tr("projected: ") : QString(), QString::fromStdString(input.source()))
              .arg(input.chunkCount())
              .arg(input.rawBytes() / 1e6, 0, 'f', 1)
              .arg(QString::fromStdString(trace.name()))
              .arg(trace.meanBitsPerSecond() / 1e9, 0, 'g', 4)
              .arg(setup.sloSeconds));
    print(QObject::tr("%1 %2 %3 %4 %5 %6 %7\n")
              .arg(QObject::tr("policy"), -16)
              .arg(QObject::tr("TTFT s"), 9)
              .arg(QObject::tr("margin s"), 9)
              .arg(QObject::tr("MB"), 10)
              .arg(QObject::tr("error"), 9)
              .arg(QObject::tr("quality"), 8)
              .arg(QObject::tr("compute s"), 10));
    for (const Timeline& t : timelines) {
        const bool done = t.complete();
        print(QStringLiteral("%1 %2 %3 %4 %5 %6 %7  %8\n")
                  .arg(QString::fromStdString(t.policy), -16)
                  .arg(done ? QString::number(t.ttft, 'f', 3) : QObject::tr("never"), 9)
                  .arg(done ? QString::number(t.margin(), 'f', 3) : QStringLiteral("-"), 9)
                  .arg(t.wireBytes / 1e6, 10, 'f', 1)
                  .arg(t.error, 9, 'g', 3)
                  .arg(t.quality, 8, 'f', 4)
                  .arg(t.computeSeconds, 10, 'f', 3)
                  .arg(t.meetsSlo() ? QObject::tr("met") : QObject::tr("missed")));
    }
}

} // namespace

int runStream(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Simulates how a context streams to a model under every policy: the sizes and errors of the dump's "
                    "own levels, applied to the geometry of a model (\"projected\") or as they are."));
    parser.addPositionalArgument(QStringLiteral("IN"), QObject::tr("A dump."));
    addOptions(parser);
    addOpenOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const QString modelName = parser.value(QStringLiteral("model"));
    if (modelName == QStringLiteral("list")) {
        for (const ModelGeometry& model : modelGeometries())
            print(QObject::tr("%1 %2, %3 kB a token\n")
                      .arg(fromName(model.id), -18)
                      .arg(fromName(model.name))
                      .arg(static_cast<double>(model.bytesPerToken()) / 1e3, 0, 'f', 1));
        return kExitDone;
    }
    if (parser.positionalArguments().size() != 1)
        return complain(QObject::tr("stream needs one dump; see kvscope stream --help"), kExitBadUsage);
    const ModelGeometry* model = findModelGeometry(modelName.toStdString());
    if (model == nullptr && modelName != QStringLiteral("none"))
        return complain(QObject::tr("--model: \"%1\" is not known; --model list lists them").arg(modelName),
                        kExitBadUsage);
    const auto open = openOptionsFrom(parser);
    const auto context = wholeNumber(parser, QStringLiteral("context"), 1);
    const auto chunk = wholeNumber(parser, QStringLiteral("chunk"), 1);
    const auto prefill = wholeNumber(parser, QStringLiteral("prefill"), 1);
    const auto seed = wholeNumber(parser, QStringLiteral("seed"), 0);
    if (!open || !context || !chunk || !prefill || !seed)
        return kExitBadUsage;
    const auto start = duration(parser, "start");
    const auto rtt = duration(parser, "rtt");
    const auto slo = duration(parser, "slo");
    const auto decode = bandwidth(parser, "decode");
    std::optional<double> mean;
    if (!start || !rtt || !slo || !decode)
        return kExitBadUsage;
    if (parser.isSet(QStringLiteral("bandwidth"))) {
        mean = bandwidth(parser, "bandwidth");
        if (!mean)
            return kExitBadUsage;
    }
    const auto loss = percentage(parser, QStringLiteral("loss"));
    const auto jitter = duration(parser, "jitter");
    if (!loss || !jitter)
        return kExitBadUsage;

    const auto trace = makeTrace(parser, mean, static_cast<std::uint64_t>(*seed));
    if (!trace)
        return complain(trace.error());
    StreamSetup setup;
    setup.link = simpleLink(*trace, *rtt);
    setup.link.seed = static_cast<std::uint64_t>(*seed);
    setup.link.paths[0].traceStart = *start;
    setup.link.paths[0].lossRate = *loss;
    setup.link.paths[0].jitterSeconds = *jitter;
    setup.sloSeconds = *slo;
    setup.compute.prefillTokensPerSecond = static_cast<double>(*prefill);
    setup.compute.decodeBytesPerSecond = *decode / 8;
    if (model != nullptr)
        setup.compute.attentionShare = model->attentionShare;
    if (const auto valid = validate(setup); !valid)
        return complain(valid.error());

    const auto dump = openDump(parser.positionalArguments().first().toStdString(), *open);
    if (!dump)
        return complain(dump.error());
    const auto input =
        makeInput(dump->cache, parser.value(QStringLiteral("levels")).split(u','), model, *context, *chunk);
    if (!input)
        return complain(input.error());
    const auto policies = choosePolicies(parser.value(QStringLiteral("policy")), *input);
    if (!policies)
        return kExitBadUsage;
    const auto timelines = simulateAll(*input, setup, *policies);
    if (!parser.isSet(QStringLiteral("json"))) {
        printTable(timelines, *input, setup);
        return kExitDone;
    }
    QJsonArray runs;
    for (const Timeline& timeline : timelines)
        runs.append(toJson(timeline, *input));
    print(QJsonObject{{QStringLiteral("source"), QString::fromStdString(input->source())},
                      {QStringLiteral("projected"), input->projected()},
                      {QStringLiteral("raw_bytes"), input->rawBytes()},
                      {QStringLiteral("slo_s"), setup.sloSeconds},
                      {QStringLiteral("mean_bits_per_second"), trace->meanBitsPerSecond()},
                      {QStringLiteral("policies"), runs}});
    return kExitDone;
}

} // namespace kvscope::app
