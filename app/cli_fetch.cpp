// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/cli_timeline.h"
#include "core/io/dump_writer.h"
#include "core/stream/fetch.h"

#include <QFileInfo>
#include <QJsonArray>
#include <QLocale>

#include <csignal>
#include <cstdio>
#include <thread>

namespace kvscope::app {

namespace {

void addOptions(QCommandLineParser& parser) {
    const auto add = [&](const char* name, const QString& help, const char* value, const char* fallback = "") {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value), QLatin1String(fallback)));
    };
    add("o",
        QObject::tr("Keep the cache: .kvz holds the chunks as they came; .npy, .npz, .safetensors and raw hold values. "
                    "One that is not complete gets \".partial\" into its name."),
        "OUT");
    add("context", QObject::tr("Name of the context where the sender has several."), "NAME");
    add("policy",
        QObject::tr("What chooses each chunk's form: a level, raw, 8-bit, text, cachegen, cachegen-code, kvscope."),
        "NAME", "kvscope");
    add("slo", QObject::tr("Target for the first token."), "TIME", "2s");
    add("chunk", QObject::tr("Tokens a chunk."), "N", "1024");
    add("prefill",
        QObject::tr("Tokens a second that a model would compute: chunks may then come as text. Recomputing them is "
                    "simulated, and their tokens are missing in OUT."),
        "N");
    add("decode", QObject::tr("Speed of decoding to reckon with, of 16-bit output."), "RATE", "1GB/s");
    add("timeout", QObject::tr("How long the whole fetch may take."), "TIME", "600s");
    add("stall", QObject::tr("How long a sender may be silent."), "TIME", "10s");
    add("attempts", QObject::tr("Connections that may fail in a row, and transfers of one chunk."), "N", "5");
    add("max-memory", QObject::tr("Largest cache to take, in MiB (default: three quarters of the memory)."), "N");
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON, chunks included.")));
}

/// Notes go to stderr as they come.
class Notes : public FetchObserver {
public:
    void note(const std::string& text) override { std::fprintf(stderr, "kvscope: %s\n", text.c_str()); }
};

/// Stops the fetch when the process is asked to end, so that what has arrived is kept.
class StopOnSignal {
public:
    StopOnSignal() {
        sigemptyset(&ends_);
        for (const int signal : {SIGINT, SIGTERM, SIGUSR1})
            sigaddset(&ends_, signal);
        pthread_sigmask(SIG_BLOCK, &ends_, nullptr);
        waiter_ = std::thread([this] {
            int which = 0;
            sigwait(&ends_, &which);
            stop_.request_stop();
        });
    }
    ~StopOnSignal() {
        pthread_kill(waiter_.native_handle(), SIGUSR1);
        waiter_.join();
    }
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;

    [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

private:
    sigset_t ends_;
    std::stop_source stop_;
    std::thread waiter_;
};

std::optional<FetchOptions> fetchOptionsFrom(const QCommandLineParser& parser) {
    FetchOptions options;
    for (const QString& text : parser.positionalArguments()) {
        const auto address = parseSenderAddress(text.toStdString());
        if (!address) {
            complain(QString::fromStdString(address.error().message()), kExitBadUsage);
            return std::nullopt;
        }
        options.senders.push_back(*address);
    }
    options.context = parser.value(QStringLiteral("context")).toStdString();
    options.policy = parser.value(QStringLiteral("policy")).toStdString();
    const auto slo = duration(parser, "slo");
    const auto timeout = duration(parser, "timeout");
    const auto stall = duration(parser, "stall");
    const auto chunk = wholeNumber(parser, QStringLiteral("chunk"), 1);
    const auto attempts = wholeNumber(parser, QStringLiteral("attempts"), 1);
    const auto decode = bandwidth(parser, "decode");
    if (!slo || !timeout || !stall || !chunk || !attempts || !decode)
        return std::nullopt;
    options.sloSeconds = *slo;
    options.totalSeconds = *timeout;
    options.stallSeconds = *stall;
    options.chunkTokens = *chunk;
    options.attempts = static_cast<int>(std::min<std::int64_t>(*attempts, 1000));
    options.compute.decodeBytesPerSecond = *decode / 8;
    if (parser.isSet(QStringLiteral("prefill"))) {
        const auto prefill = positiveNumber(parser, QStringLiteral("prefill"));
        if (!prefill)
            return std::nullopt;
        options.text = true;
        options.compute.prefillTokensPerSecond = *prefill;
    }
    if (parser.isSet(QStringLiteral("max-memory"))) {
        const auto memory = wholeNumber(parser, QStringLiteral("max-memory"), 1);
        if (!memory)
            return std::nullopt;
        options.maxCacheBytes = std::min<std::int64_t>(*memory, std::int64_t{1} << 40) << 20;
    }
    return options;
}

/// OUT, or OUT with ".partial" before its ending.
QString outName(const QString& out, bool isWhole) {
    if (isWhole)
        return out;
    const qsizetype dot = out.lastIndexOf(QLatin1Char('.'));
    return out.left(dot) + QStringLiteral(".partial") + out.mid(dot);
}

Result<void> keep(const Fetched& fetched, const QString& out) {
    const std::string path = out.toStdString();
    if (out.endsWith(QLatin1String(".kvz")))
        return fetched.writeKvz(path);
    const auto format = dumpFormatOf(path);
    if (!format)
        return fail("has an ending that is not written", path, "Use .kvz, .npy, .npz, .safetensors or .bin");
    ConvertOptions options;
    options.format = *format;
    KVSCOPE_TRY(convertDump(fetched.cache(), path, options));
    return {};
}

QString milliseconds(const Interval& interval) {
    return interval.empty()
               ? QStringLiteral("-")
               : QStringLiteral("%1..%2").arg(interval.begin * 1e3, 0, 'f', 1).arg(interval.end * 1e3, 0, 'f', 1);
}

void printTimeline(const Fetched& fetched) {
    const Timeline& timeline = fetched.timeline;
    const StreamInput& input = fetched.input.input;
    print(QObject::tr("%1: %2 chunks, %3 tokens; policy %4, target %5 s\n\n")
              .arg(QString::fromStdString(input.source()))
              .arg(input.chunkCount())
              .arg(input.totalTokens())
              .arg(QString::fromStdString(timeline.policy))
              .arg(timeline.sloSeconds));
    const auto row = [](const QString& chunk, const QString& form, const QString& path, const QString& receive,
                        const QString& decode, const QString& ready, const QString& bytes) {
        print(QStringLiteral("%1 %2 %3 %4 %5 %6 %7\n")
                  .arg(chunk, 5)
                  .arg(form, -16)
                  .arg(path, 4)
                  .arg(receive, 18)
                  .arg(decode, 18)
                  .arg(ready, 9)
                  .arg(bytes, 10));
    };
    row(QObject::tr("chunk"), QObject::tr("form"), QObject::tr("path"), QObject::tr("receive ms"),
        QObject::tr("decode ms"), QObject::tr("ready ms"), QObject::tr("bytes"));
    for (std::size_t i = 0; i < timeline.chunks.size(); ++i) {
        const ChunkTimes& chunk = timeline.chunks[i];
        const bool isReady = chunk.candidate != kNoIndex;
        QString form = QObject::tr("missing");
        if (isReady)
            form = QString::fromStdString(input.candidates()[chunk.candidate].name);
        if (chunk.candidate == StreamInput::textCandidate())
            form += QObject::tr(" (simulated)");
        row(QString::number(i), form, chunk.path == kNoIndex ? QStringLiteral("-") : QString::number(chunk.path),
            milliseconds(chunk.receive), milliseconds(chunk.recompute.empty() ? chunk.decode : chunk.recompute),
            isReady ? QString::number(chunk.ready * 1e3, 'f', 1) : QStringLiteral("-"),
            QString::number(chunk.wireBytes, 'f', 0));
    }
    const bool isDone = timeline.complete();
    const QString ttft = isDone ? QObject::tr("%1 s (%2 ms of it for a model's first step)")
                                      .arg(timeline.ttft, 0, 'f', 4)
                                      .arg(ComputeModel().firstStepSeconds * 1e3)
                                : QObject::tr("never: chunks are missing");
    print(QObject::tr("\nTTFT %1, target %2; %3 in all, %4 of them in vain; quality %5%6\n")
              .arg(ttft, timeline.meetsSlo() ? QObject::tr("met") : QObject::tr("missed"),
                   QLocale().formattedDataSize(static_cast<qint64>(timeline.wireBytes)),
                   QLocale().formattedDataSize(static_cast<qint64>(timeline.abandonedBytes)))
              .arg(timeline.quality, 0, 'f', 4)
              .arg(fetched.input.errorsReckoned ? QObject::tr(" (reckoned from bits a value)") : QString()));
}

QJsonObject toJson(const Fetched& fetched, const QString& out) {
    QJsonObject object = app::toJson(fetched.timeline, fetched.input.input);
    QJsonArray paths;
    for (std::size_t p = 0; p < fetched.measured.size(); ++p)
        paths.append(QJsonObject{{QStringLiteral("rtt_s"), fetched.rttSeconds[p]},
                                 {QStringLiteral("mean_bits_per_second"), fetched.measured[p].meanBitsPerSecond()}});
    object[QStringLiteral("source")] = QString::fromStdString(fetched.input.input.source());
    object[QStringLiteral("chunk_tokens")] = static_cast<qint64>(fetched.input.chunkTokens);
    object[QStringLiteral("paths")] = paths;
    object[QStringLiteral("reconnects")] = fetched.reconnects;
    object[QStringLiteral("complete")] = !fetched.problem;
    if (!out.isEmpty())
        object[QStringLiteral("out")] = out;
    return object;
}

} // namespace

int runFetch(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Fetches a context from one sender (kvscope serve), or from two that hold the same one, decodes it "
                    "while it arrives, and prints the timeline that was measured."));
    parser.addPositionalArgument(QStringLiteral("HOST:PORT"), QObject::tr("Where a sender listens; one or two."),
                                 QStringLiteral("HOST:PORT [HOST:PORT]"));
    addOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const auto senders = parser.positionalArguments().size();
    if (senders < 1 || senders > 2)
        return complain(QObject::tr("fetch needs one or two HOST:PORT; see kvscope fetch --help"), kExitBadUsage);
    auto options = fetchOptionsFrom(parser);
    if (!options)
        return kExitBadUsage;
    const QString wanted = parser.value(QStringLiteral("o"));
    if (!wanted.isEmpty() && !wanted.endsWith(QLatin1String(".kvz")) && !dumpFormatOf(wanted.toStdString()))
        return complain(QObject::tr("-o: \"%1\" has an ending that is not written").arg(wanted), kExitBadUsage);
    Notes notes;
    options->observer = &notes;
    const StopOnSignal ends;
    ThreadPool pool;
    const auto fetched = fetchContext(*options, pool, {ends.token(), nullptr});
    if (!fetched)
        return complain(fetched.error());
    const auto held = fetched->heldChunks();
    QString out;
    std::optional<Error> problem = fetched->problem;
    if (!wanted.isEmpty() && !held.empty()) {
        out = outName(wanted, held.size() == fetched->input.input.chunkCount());
        if (const auto kept = keep(*fetched, out); !kept) {
            out.clear();
            problem = kept.error();
        }
    }
    if (parser.isSet(QStringLiteral("json"))) {
        print(toJson(*fetched, out));
    } else {
        printTimeline(*fetched);
        if (!out.isEmpty())
            print(QObject::tr("kept %1 of %2 chunks in %3\n")
                      .arg(held.size())
                      .arg(fetched->input.input.chunkCount())
                      .arg(out));
        else if (!wanted.isEmpty() && held.empty())
            print(QObject::tr("nothing is kept in %1: no chunk came whole\n").arg(wanted));
    }
    std::fflush(stdout);
    return problem ? complain(*problem) : kExitDone;
}

} // namespace kvscope::app
