// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/sweep_run.h"
#include "core/codec/presets.h"

#include <QSaveFile>

#include <cmath>
#include <unistd.h>

namespace kvscope::app {

namespace {

/// What the command line asks for.
struct SweepCommand {
    SweepRequest sweep;
    SweepFormat format = SweepFormat::Text;
    QString out;
};

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
std::optional<SweepCommand> requestFrom(const QCommandLineParser& parser, int& code) {
    SweepCommand command;
    SweepRequest& request = command.sweep;
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
    command.format = static_cast<SweepFormat>(formats.indexOf(format));
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
    command.out = parser.value(QStringLiteral("o"));
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
        (!manifest.isEmpty() && !take(readSweepManifest(manifest, *open), request.dumps)))
        return std::nullopt;
    for (const QString& path : parser.values(QStringLiteral("plan"))) {
        auto plan = readPlanFile(path);
        if (!plan) {
            complain(plan.error());
            return std::nullopt;
        }
        request.plans.push_back(std::move(*plan));
    }
    return command;
}

/// Replaces the last line on the terminal.
void showProgress(const QString& text) {
    std::fprintf(stderr, "\r\033[K%s", text.toUtf8().constData());
    std::fflush(stderr);
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
    auto request = requestFrom(parser, code);
    if (!request)
        return code;
    ThreadPool pool;
    Progress progress;
    // On a terminal a line says how far it is; it does not get into files.
    if (isatty(STDERR_FILENO) != 0) {
        request->sweep.stage = [](const QString& stage) { showProgress(stage); };
        request->sweep.options.rowDone = [&progress](const SweepRow& row) {
            showProgress(QObject::tr("%1 %, %2, %3")
                             .arg(std::lround(100 * progress.fraction()))
                             .arg(QString::fromStdString(row.dump), QString::fromStdString(row.method)));
        };
    }
    const auto outcome = runSweepRequest(request->sweep, pool, JobControl{{}, &progress});
    if (request->sweep.stage)
        showProgress({});
    if (!outcome)
        return complain(outcome.error());
    const QString text = sweepText(*outcome, request->format);
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
