// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"
#include "views/codec_report.h"
#include "views/number_format.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QLocale>

namespace kvscope::app {

namespace {

QString figureText(const QVariant& figure) {
    if (!figure.isValid())
        return QStringLiteral("-");
    return figure.typeId() == QMetaType::LongLong ? views::formatCount(figure.toLongLong())
                                                  : views::formatNumber(figure.toDouble(), 4, true);
}

/// Every figure of a level in lines, K, V and both beside each other.
QString figuresOf(const EncodeReport& level) {
    std::vector<PlaneKind> kinds;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}) {
        if (level.totals(kind).values > 0)
            kinds.push_back(kind);
    }
    const views::StatisticsTable table = views::reportSummaryTable({{QString(), &level}}, kinds);
    constexpr int kNameWidth = 32;
    constexpr int kNumberWidth = 14;
    QString text = QString(4 + kNameWidth, QLatin1Char(' '));
    for (std::size_t column = 2; column < table.columns.size(); ++column)
        text += table.columns[column].title.rightJustified(kNumberWidth);
    for (const auto& row : table.rows) {
        const QString unit = row[1].toString();
        text +=
            QStringLiteral("\n    ") +
            (row[0].toString() + (unit.isEmpty() ? QString() : QStringLiteral(", ") + unit)).leftJustified(kNameWidth);
        for (std::size_t column = 2; column < row.size(); ++column)
            text += (figureText(row[column])).rightJustified(kNumberWidth);
    }
    return text + QLatin1Char('\n');
}

QString toText(const KvzReport& report, const QString& out) {
    QString text = QObject::tr("%1: %2\n").arg(out, QLocale().formattedDataSize(report.fileBytes));
    if (report.textBytes > 0)
        text +=
            QObject::tr("  text: %1, the tokens themselves: the level below all others, from which a model computes "
                        "K and V again\n")
                .arg(QLocale().formattedDataSize(report.textBytes));
    for (const EncodeReport& level : report.levels) {
        const EncodeTotals all = level.totals();
        text += QObject::tr("  %1: %2, %3 bits a value, ratio %4 to 16 bit, %5 to the dump")
                    .arg(QString::fromStdString(level.plan.name), QLocale().formattedDataSize(all.bytes()))
                    .arg(all.bitsPerValue(), 0, 'f', 3)
                    .arg(all.ratio(), 0, 'f', 2)
                    .arg(all.ratioToDump(), 0, 'f', 2);
        text += QLatin1Char('\n') + figuresOf(level);
    }
    return text;
}

QJsonObject toJson(const KvzReport& report, const QString& out, bool detailed) {
    QJsonArray levels;
    for (const EncodeReport& level : report.levels)
        levels.append(QJsonDocument::fromJson(QByteArray::fromStdString(kvscope::toJson(level, detailed))).object());
    return {{QStringLiteral("out"), out},
            {QStringLiteral("bytes"), static_cast<qint64>(report.fileBytes)},
            {QStringLiteral("text_bytes"), static_cast<qint64>(report.textBytes)},
            {QStringLiteral("levels"), levels}};
}

/// The presets that are named, without the text level, which every file of a dump with tokens has.
std::vector<std::string> presetNames(const QCommandLineParser& parser) {
    std::vector<std::string> names;
    for (const QString& name : parser.value(QStringLiteral("preset")).split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        if (std::string trimmed = name.trimmed().toStdString(); trimmed != kTextLevelName)
            names.push_back(std::move(trimmed));
    }
    return names;
}

/// The plans that the options ask for, presets first.
Result<std::vector<CodecPlan>> plansFrom(const QCommandLineParser& parser, const KvCache& cache,
                                         std::optional<std::int64_t> chunkTokens) {
    std::vector<CodecPlan> plans;
    for (const std::string& name : presetNames(parser)) {
        KVSCOPE_ASSIGN(CodecPlan plan, makePreset(name, cache));
        if (chunkTokens)
            plan.chunkTokens = *chunkTokens;
        plans.push_back(std::move(plan));
    }
    for (const QString& path : parser.values(QStringLiteral("plan"))) {
        KVSCOPE_ASSIGN(CodecPlan plan, readPlanFile(path));
        plans.push_back(std::move(plan));
    }
    return plans;
}

} // namespace

int runEncode(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Encodes a dump into one .kvz file with a level for each preset and plan."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The dump, or a folder of one."));
    const auto add = [&](const char* name, const QString& help, const char* value) {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value)));
    };
    add("o", QObject::tr("The .kvz file to write."), "OUT.kvz");
    QStringList names;
    for (const PresetInfo& preset : presets())
        names.append(QString::fromStdString(preset.name));
    add("preset",
        QObject::tr("One or several of: %1. The tokens of the dump go with them as the level \"text\"; \"text\" alone "
                    "writes nothing else.")
            .arg(names.join(QStringLiteral(", "))),
        "NAME[,NAME...]");
    add("plan", QObject::tr("A plan in JSON, edited by hand or saved by the window; may be repeated."), "PLAN.json");
    add("chunk-tokens", QObject::tr("Tokens a chunk, for presets (default 256)."), "N");
    add("prefill-rate", QObject::tr("Tokens a second that the model computes, to compare encoding with."), "RATE");
    parser.addOption(QCommandLineOption(
        QStringLiteral("append"),
        QObject::tr("Go on with an existing OUT.kvz: encode the tokens that FILE has more, at every level, and add "
                    "levels for new presets and plans.")));
    parser.addOption(QCommandLineOption(QStringLiteral("no-errors"), QObject::tr("Do not decode to measure errors.")));
    parser.addOption(QCommandLineOption(QStringLiteral("json"),
                                        QObject::tr("Print JSON: also every layer's K and V and their heads.")));
    parser.addOption(QCommandLineOption(QStringLiteral("detail"),
                                        QObject::tr("Print JSON with every chunk, channel and token as well.")));
    addOpenOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const QString out = parser.value(QStringLiteral("o"));
    const bool append = parser.isSet(QStringLiteral("append"));
    const bool named = parser.isSet(QStringLiteral("preset")) || parser.isSet(QStringLiteral("plan"));
    if (parser.positionalArguments().size() != 1 || out.isEmpty() || (!named && !append))
        return complain(QObject::tr("encode needs FILE, -o OUT.kvz and --preset or --plan; see kvscope encode --help"),
                        kExitBadUsage);
    if (!out.endsWith(QLatin1String(".kvz")))
        return complain(QObject::tr("-o: \"%1\" does not end in .kvz").arg(out), kExitBadUsage);
    EncodeOptions options;
    options.measureError = !parser.isSet(QStringLiteral("no-errors"));
    if (parser.isSet(QStringLiteral("prefill-rate"))) {
        options.prefillTokensPerSecond = positiveNumber(parser, QStringLiteral("prefill-rate"));
        if (!options.prefillTokensPerSecond)
            return kExitBadUsage;
    }
    std::optional<std::int64_t> chunkTokens;
    if (parser.isSet(QStringLiteral("chunk-tokens"))) {
        chunkTokens = wholeNumber(parser, QStringLiteral("chunk-tokens"), 1);
        if (!chunkTokens)
            return kExitBadUsage;
    }
    for (const std::string& name : presetNames(parser)) {
        if (const auto known = findPreset(name); !known)
            return complain(QObject::tr("--preset: %1").arg(QString::fromStdString(known.error().message())),
                            kExitBadUsage);
    }
    const auto open = openOptionsFrom(parser);
    if (!open)
        return kExitBadUsage;
    const auto dump = openDump(parser.positionalArguments().front().toStdString(), *open);
    if (!dump)
        return complain(dump.error());
    const auto plans = plansFrom(parser, dump->cache, chunkTokens);
    if (!plans)
        return complain(plans.error());
    ThreadPool pool;
    const auto report = append ? appendKvz(out.toStdString(), dump->cache, *plans, pool, options)
                               : writeKvz(out.toStdString(), dump->cache, *plans, pool, options);
    if (!report)
        return complain(report.error());
    const bool detailed = parser.isSet(QStringLiteral("detail"));
    if (detailed || parser.isSet(QStringLiteral("json")))
        print(toJson(*report, out, detailed));
    else
        print(toText(*report, out));
    return kExitDone;
}

} // namespace kvscope::app
