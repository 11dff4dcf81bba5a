// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/sweep_run.h"

#include "core/codec/pipeline_json.h"
#include "core/codec/presets.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QObject>

#include <algorithm>
#include <array>
#include <tuple>

namespace kvscope::app {

namespace {

/// Presets and plans on one dump; a preset that does not fit it gives a row that says why.
Result<std::vector<SweepRow>> sweepDump(const SweepDump& dump, const QStringList& names,
                                        const std::vector<CodecPlan>& plans, const SweepOptions& options,
                                        ThreadPool& pool, const JobControl& job) {
    std::vector<SweepRow> rows;
    std::vector<CodecPlan> fitting;
    for (const QString& name : names) {
        auto plan = makePreset(name.toStdString(), dump.cache, JobControl{job.stop, nullptr});
        if (plan) {
            fitting.push_back(std::move(*plan));
            continue;
        }
        if (plan.error().kind == Error::Kind::Cancelled)
            return tl::unexpected<Error>(std::move(plan.error()));
        rows.push_back({dump.corpus, dump.run, dump.name, name.toStdString(), plan.error().message(), {}, {}, {}, {}});
        job.advance(1);
        if (options.rowDone)
            options.rowDone(rows.back());
    }
    fitting.insert(fitting.end(), plans.begin(), plans.end());
    KVSCOPE_ASSIGN(auto measured, sweep(dump, fitting, pool, options, job));
    measured.insert(measured.end(), rows.begin(), rows.end());
    return measured;
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

} // namespace

Result<SweepDump> openForSweep(const QString& path, const OpenOptions& options) {
    KVSCOPE_ASSIGN(OpenedDump opened, openDump(path.toStdString(), options));
    const QDir folder = QFileInfo(path).absoluteDir();
    QDir above = folder;
    const bool hasAbove = above.cdUp() && !above.isRoot();
    return SweepDump{std::move(opened.cache), QFileInfo(path).fileName().toStdString(),
                     hasAbove ? above.dirName().toStdString() : std::string(), folder.dirName().toStdString()};
}

Result<std::vector<SweepDump>> readSweepManifest(const QString& path, const OpenOptions& options) {
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return fail("cannot be read", path.toStdString(), "Check the path", Error::Kind::System);
    const QJsonValue list = QJsonDocument::fromJson(file.readAll()).object().value(QStringLiteral("dumps"));
    if (!list.isArray())
        return fail("holds no list \"dumps\"", path.toStdString(),
                    R"(Write {"dumps": [{"file": "a.npy", "corpus": "news", "run": "1"}]})");
    std::vector<SweepDump> dumps;
    for (const auto& item : list.toArray()) {
        const QJsonValue entry = item;
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

Result<SweepOutcome> runSweepRequest(const SweepRequest& request, ThreadPool& pool, const JobControl& job) {
    SweepOutcome outcome;
    outcome.thresholds = request.options.thresholds;
    const std::array searches{std::tuple(SearchSpace::BlockNorm, "best block-norm", &outcome.blockNorm),
                              std::tuple(SearchSpace::KvzStep, "best kvz step", &outcome.kvz)};
    if (job.progress != nullptr) {
        const auto methods = request.presets.size() + request.plans.size() + (request.search ? searches.size() : 0);
        auto total = static_cast<std::int64_t>(methods * (request.dumps.size() + request.heldOut.size()));
        for (const auto& [space, name, result] : searches)
            total += request.search ? searchTrials(request.dumps, space) : 0;
        job.progress->start(total);
    }
    const std::array sides{std::pair(&request.dumps, &outcome.rows), std::pair(&request.heldOut, &outcome.heldOut)};
    std::vector<std::vector<SweepRow>> found;
    const auto measure = [&](const QStringList& names, const std::vector<CodecPlan>& plans) -> Result<void> {
        std::size_t place = 0;
        for (const auto& [dumps, rows] : sides) {
            for (const SweepDump& dump : *dumps) {
                if (request.stage)
                    request.stage(QObject::tr("measuring %1").arg(QString::fromStdString(dump.name)));
                KVSCOPE_ASSIGN(const auto measured, sweepDump(dump, names, plans, request.options, pool, job));
                found.resize(std::max(found.size(), place + 1));
                found[place].insert(found[place].end(), measured.begin(), measured.end());
                ++place;
            }
        }
        return {};
    };
    // The search comes last: whoever stops it has all the rest.
    KVSCOPE_TRY(measure(request.presets, request.plans));
    if (request.search) {
        std::vector<CodecPlan> best;
        for (const auto& [space, name, result] : searches) {
            if (request.stage)
                request.stage(QObject::tr("searching the smallest that passes: %1").arg(QLatin1String(name)));
            KVSCOPE_ASSIGN(*result, searchBest(request.dumps, space, request.options.thresholds, pool, job));
            best.push_back((*result)->plan(name));
        }
        KVSCOPE_TRY(measure({}, best));
    }
    std::size_t place = 0;
    for (const auto& [dumps, rows] : sides) {
        for (std::size_t i = 0; i < dumps->size() && place < found.size(); ++i, ++place)
            rows->insert(rows->end(), found[place].begin(), found[place].end());
    }
    return outcome;
}

QString sweepText(const SweepOutcome& outcome, SweepFormat format) {
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
                        "NMSEc: energy of the error over that of K about the mean of each channel; NMSE: over that of "
                        "V; cos: cosine of values and decoded values; MAE, max: mean and largest absolute error; "
                        "attention: relative error of the attention output where the dump has queries, root mean "
                        "square over layers.\n"
                        "enc, dec: bytes of the dump (10^9) a second of processor time; enc/prefill: time to encode "
                        "over that of the prefill of the same tokens at --prefill-rate.\n"
                        "strict: K and V cosine >= %1, K MAE <= %2, V MAE <= %3.\n")
                .arg(outcome.thresholds.cosine)
                .arg(outcome.thresholds.keyMae)
                .arg(outcome.thresholds.valueMae);
    return text;
}

} // namespace kvscope::app
