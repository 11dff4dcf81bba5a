// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/codec/pipeline_json.h"
#include "core/codec/plan_search.h"
#include "core/codec/presets.h"
#include "core/codec/sweep.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QSaveFile>

namespace kvscope::app {

namespace {

/// What the command line asks for.
struct SweepRequest {
    std::vector<SweepDump> dumps;
    std::vector<SweepDump> heldOut;
    QStringList presets;
    std::vector<CodecPlan> plans;
    bool search = false;
    SweepFormat format = SweepFormat::Text;
    QString out;
    SweepOptions options;
};

/// All that is printed.
struct SweepOutcome {
    std::vector<SweepRow> rows;
    std::vector<SweepRow> heldOut;
    std::optional<SearchResult> blockNorm;
    std::optional<SearchResult> kvz;
};

/// A dump that belongs to the corpus and run that its folders name: .../<corpus>/<run>/<file>.
Result<SweepDump> openForSweep(const QString& path, const OpenOptions& options) {
    KVSCOPE_ASSIGN(OpenedDump opened, openDump(path.toStdString(), options));
    const QDir folder = QFileInfo(path).absoluteDir();
    QDir above = folder;
    const bool hasAbove = above.cdUp() && !above.isRoot();
    return SweepDump{std::move(opened.cache), QFileInfo(path).fileName().toStdString(),
                     hasAbove ? above.dirName().toStdString() : std::string(), folder.dirName().toStdString()};
}

/// {"dumps": [{"file": ..., "corpus": ..., "run": ...}]}; files are relative to the manifest.
Result<std::vector<SweepDump>> readManifest(const QString& path, const OpenOptions& options) {
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return fail("cannot be read", path.toStdString(), "Check the path", Error::Kind::System);
    const QJsonValue list = QJsonDocument::fromJson(file.readAll()).object().value(QStringLiteral("dumps"));
    if (!list.isArray())
        return fail("holds no list \"dumps\"", path.toStdString(),
                    R"(Write {"dumps": [{"file": "a.npy", "corpus": "news", "run": "1"}]})");
    std::vector<SweepDump> dumps;
    for (const QJsonValue& entry : list.toArray()) {
        const QString name = entry[QStringLiteral("file")].toString();
        if (name.isEmpty())
            return fail("has an entry without \"file\"", path.toStdString(), "Name the dump");
        KVSCOPE_ASSIGN(SweepDump dump, openForSweep(QFileInfo(path).dir().filePath(name), options));
        if (entry[QStringLiteral("corpus")].isString())
            dump.corpus = entry[QStringLiteral("corpus")].toString().toStdString();
        if (entry[QStringLiteral("run")].isString())
            dump.run = entry[QStringLiteral("run")].toString().toStdString();
        dumps.push_back(std::move(dump));
    }
    return dumps;
}

/// Presets and plans on one dump; a preset that does not fit it gives a row that says why.
Result<std::vector<SweepRow>> sweepDump(const SweepDump& dump, const QStringList& names,
                                        const std::vector<CodecPlan>& plans, const SweepOptions& options,
                                        ThreadPool& pool) {
    std::vector<SweepRow> rows;
    std::vector<CodecPlan> fitting;
    for (const QString& name : names) {
        auto plan = makePreset(name.toStdString(), dump.cache);
        if (plan)
            fitting.push_back(std::move(*plan));
        else
            rows.push_back(
                {dump.corpus, dump.run, dump.name, name.toStdString(), plan.error().message(), {}, {}, {}, {}});
    }
    fitting.insert(fitting.end(), plans.begin(), plans.end());
    KVSCOPE_ASSIGN(auto measured, sweep(dump, fitting, pool, options));
    measured.insert(measured.end(), rows.begin(), rows.end());
    return measured;
}

Result<SweepOutcome> runRequest(const SweepRequest& request) {
    ThreadPool pool;
    SweepOutcome outcome;
    std::vector<CodecPlan> tuned = request.plans;
    if (request.search) {
        for (const auto& [space, name, result] :
             {std::tuple(SearchSpace::BlockNorm, "best block-norm", &outcome.blockNorm),
              std::tuple(SearchSpace::KvzStep, "best kvz step", &outcome.kvz)}) {
            KVSCOPE_ASSIGN(*result, searchBest(request.dumps, space, request.options.thresholds, pool));
            tuned.push_back((*result)->plan(name));
        }
    }
    for (const SweepDump& dump : request.dumps) {
        KVSCOPE_ASSIGN(const auto rows, sweepDump(dump, request.presets, tuned, request.options, pool));
        outcome.rows.insert(outcome.rows.end(), rows.begin(), rows.end());
    }
    for (const SweepDump& dump : request.heldOut) {
        KVSCOPE_ASSIGN(const auto rows, sweepDump(dump, request.presets, tuned, request.options, pool));
        outcome.heldOut.insert(outcome.heldOut.end(), rows.begin(), rows.end());
    }
    return outcome;
}

QString describe(const char* title, const SearchResult& search) {
    QString text = QObject::tr("%1 (%2 tried):\n").arg(QLatin1String(title)).arg(search.tried);
    if (search.kinds.empty())
        text += QObject::tr("  none passes\n");
    for (const auto& [kind, best] : search.kinds)
        text += QObject::tr("  %1: %2 bits a value: %3\n")
                    .arg(QString::fromStdString(std::string(nameOf(kind))))
                    .arg(best.bitsPerValue, 0, 'f', 3)
                    .arg(QString::fromStdString(kvscope::describe(best.pipeline)));
    return text;
}

QJsonObject toJson(const SearchResult& search) {
    QJsonObject kinds;
    for (const auto& [kind, best] : search.kinds) {
        const std::string pipeline = kvscope::toJson(best.pipeline).dump();
        kinds.insert(QString::fromStdString(std::string(nameOf(kind))),
                     QJsonObject{{QStringLiteral("bits_per_value"), best.bitsPerValue},
                                 {QStringLiteral("pipeline"),
                                  QJsonDocument::fromJson(QByteArray::fromStdString(pipeline)).object()}});
    }
    return {{QStringLiteral("tried"), static_cast<qint64>(search.tried)}, {QStringLiteral("kinds"), kinds}};
}

QString toText(const SweepOutcome& outcome, SweepFormat format) {
    const auto rows = [&](const std::vector<SweepRow>& list) {
        return QString::fromStdString(sweepToText(list, groupRows(list), format));
    };
    if (format == SweepFormat::Csv) {
        QString text = rows(outcome.rows);
        if (!outcome.heldOut.empty()) {
            const QString more = rows(outcome.heldOut);
            text += more.mid(more.indexOf(QLatin1Char('\n')) + 1);
        }
        return text;
    }
    if (format == SweepFormat::Json) {
        QJsonObject json = QJsonDocument::fromJson(rows(outcome.rows).toUtf8()).object();
        if (!outcome.heldOut.empty())
            json.insert(QStringLiteral("held_out"), QJsonDocument::fromJson(rows(outcome.heldOut).toUtf8()).object());
        if (outcome.blockNorm)
            json.insert(QStringLiteral("search"),
                        QJsonObject{{QStringLiteral("block_norm"), toJson(*outcome.blockNorm)},
                                    {QStringLiteral("kvz_step"), toJson(*outcome.kvz)}});
        return QString::fromUtf8(QJsonDocument(json).toJson(QJsonDocument::Indented));
    }
    QString text = rows(outcome.rows);
    if (!outcome.heldOut.empty())
        text +=
            QObject::tr("Held out: the same plans on dumps that they were not tuned on\n\n") + rows(outcome.heldOut);
    if (outcome.blockNorm)
        text += describe("Smallest block-norm configuration that passes", *outcome.blockNorm) +
                describe("Smallest kvz step that passes", *outcome.kvz);
    text += QObject::tr("bits: a value, everything included; ratio: to 16 bit; published: bits by the method's own "
                        "accounting; no tables: bits without the coder's tables; entropy: order 0 of the symbols.\n"
                        "strict: K and V cosine >= %1, K MAE <= %2, V MAE <= %3.\n")
                .arg(StrictThresholds{}.cosine)
                .arg(StrictThresholds{}.keyMae)
                .arg(StrictThresholds{}.valueMae);
    return text;
}

void addOptions(QCommandLineParser& parser) {
    const auto add = [&](const char* name, const QString& help, const char* value, const char* fallback = nullptr) {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value), QLatin1String(fallback)));
    };
    add("presets", QObject::tr("Which methods: all, or names."), "all|NAME[,NAME...]", "all");
    add("plan", QObject::tr("A plan in JSON beside the presets; may be repeated."), "PLAN.json");
    add("manifest", QObject::tr("Dumps with their corpus and run: {\"dumps\": [{\"file\", \"corpus\", \"run\"}]}."),
        "FILE.json");
    add("held-out", QObject::tr("A dump to try the same plans on without tuning; may be repeated."), "FILE");
    parser.addOption(QCommandLineOption(
        QStringLiteral("search"),
        QObject::tr("Also find the smallest configuration that passes, over bits, block size and top-k.")));
    add("prefill-rate", QObject::tr("Tokens a second that the model computes, to compare encoding with."), "RATE");
    add("format", QObject::tr("text, csv or json."), "FORMAT", "text");
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("The same as --format json.")));
    add("o", QObject::tr("File to write (default: the standard output)."), "OUT");
    addOpenOptions(parser);
}

/// Reads usage; nothing, after a line on stderr with the exit code in `code`, when something is wrong.
std::optional<SweepRequest> requestFrom(const QCommandLineParser& parser, int& code) {
    SweepRequest request;
    code = kExitBadUsage;
    const QString manifest = parser.value(QStringLiteral("manifest"));
    if (parser.positionalArguments().isEmpty() && manifest.isEmpty()) {
        complain(QObject::tr("sweep needs FILE or --manifest; see kvscope sweep --help"), kExitBadUsage);
        return std::nullopt;
    }
    const QString format =
        parser.isSet(QStringLiteral("json")) ? QStringLiteral("json") : parser.value(QStringLiteral("format"));
    const QStringList formats{QStringLiteral("text"), QStringLiteral("csv"), QStringLiteral("json")};
    if (!formats.contains(format)) {
        complain(QObject::tr("--format: \"%1\" is none of text, csv, json").arg(format), kExitBadUsage);
        return std::nullopt;
    }
    request.format = static_cast<SweepFormat>(formats.indexOf(format));
    for (const QString& name : parser.value(QStringLiteral("presets")).split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        if (name == QLatin1String("all")) {
            for (const PresetInfo& preset : presets())
                request.presets.append(QString::fromStdString(preset.name));
        } else if (const auto known = findPreset(name.toStdString())) {
            request.presets.append(name);
        } else {
            complain(QObject::tr("--presets: %1").arg(QString::fromStdString(known.error().message())), kExitBadUsage);
            return std::nullopt;
        }
    }
    if (parser.isSet(QStringLiteral("prefill-rate"))) {
        request.options.prefillTokensPerSecond = positiveNumber(parser, QStringLiteral("prefill-rate"));
        if (!request.options.prefillTokensPerSecond)
            return std::nullopt;
    }
    const auto open = openOptionsFrom(parser);
    if (!open)
        return std::nullopt;
    request.search = parser.isSet(QStringLiteral("search"));
    request.out = parser.value(QStringLiteral("o"));
    code = kExitBadInput;
    const auto take = [&](Result<std::vector<SweepDump>> dumps, std::vector<SweepDump>& into) {
        if (!dumps) {
            complain(dumps.error());
            return false;
        }
        std::move(dumps->begin(), dumps->end(), std::back_inserter(into));
        return true;
    };
    const auto openAll = [&](const QStringList& paths) -> Result<std::vector<SweepDump>> {
        std::vector<SweepDump> dumps;
        for (const QString& path : paths) {
            KVSCOPE_ASSIGN(SweepDump dump, openForSweep(path, *open));
            dumps.push_back(std::move(dump));
        }
        return dumps;
    };
    if (!take(openAll(parser.positionalArguments()), request.dumps) ||
        !take(openAll(parser.values(QStringLiteral("held-out"))), request.heldOut) ||
        (!manifest.isEmpty() && !take(readManifest(manifest, *open), request.dumps)))
        return std::nullopt;
    for (const QString& path : parser.values(QStringLiteral("plan"))) {
        auto plan = readPlanFile(path);
        if (!plan) {
            complain(plan.error());
            return std::nullopt;
        }
        request.plans.push_back(std::move(*plan));
    }
    return request;
}

} // namespace

int runSweep(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Encodes dumps with many methods and compares bits, errors and speed. Dumps are grouped by the two "
                    "folders that they lie in, .../CORPUS/RUN/FILE, or as a manifest says."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The dumps."), QStringLiteral("FILE..."));
    addOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    int code = kExitDone;
    const auto request = requestFrom(parser, code);
    if (!request)
        return code;
    const auto outcome = runRequest(*request);
    if (!outcome)
        return complain(outcome.error());
    const QString text = toText(*outcome, request->format);
    if (request->out.isEmpty()) {
        print(text);
        return kExitDone;
    }
    QSaveFile file(request->out);
    if (!file.open(QIODevice::WriteOnly) || file.write(text.toUtf8()) < 0 || !file.commit())
        return complain(QObject::tr("%1 cannot be written: %2").arg(request->out, file.errorString()));
    return kExitDone;
}

} // namespace kvscope::app
