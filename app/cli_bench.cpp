// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/io/synth.h"
#include "views/own_levels.h"

#include <QTemporaryDir>

namespace kvscope::app {

namespace {

/// A synthetic cache of two layers of 1,024 channels; small enough for seconds, large enough for all workers.
Result<OpenedDump> syntheticDump(const QTemporaryDir& folder, std::int64_t tokens, ThreadPool& pool) {
    if (!folder.isValid())
        return fail("cannot be made: " + folder.errorString().toStdString(), "temporary folder",
                    "Make room, or set TMPDIR", Error::Kind::System);
    const std::string path = folder.filePath(QStringLiteral("synthetic.safetensors")).toStdString();
    SynthOptions synth;
    synth.layers = 2;
    synth.tokens = tokens;
    KVSCOPE_TRY(writeSyntheticDump(path, synth, pool));
    return openDump(path);
}

} // namespace

int runBench(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Measures how fast this machine decodes, in bytes of 16-bit output a second on all its cores: what "
                    "stream and fetch reckon with as --decode."));
    parser.addPositionalArgument(QStringLiteral("IN"), QObject::tr("A dump; without one a synthetic cache."),
                                 QStringLiteral("[IN]"));
    addOpenOptions(parser);
    parser.addOption(QCommandLineOption(QStringLiteral("levels"), QObject::tr("Codec presets."),
                                        QStringLiteral("PRESETS"), QStringLiteral("raw,kvz-high,kvz-medium,kvz-low")));
    parser.addOption(QCommandLineOption(QStringLiteral("synthetic-tokens"),
                                        QObject::tr("Tokens of the synthetic cache."), QStringLiteral("N"),
                                        QStringLiteral("4096")));
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON.")));
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    if (parser.positionalArguments().size() > 1)
        return complain(QObject::tr("bench takes one dump at most; see kvscope bench --help"), kExitBadUsage);
    const auto open = openOptionsFrom(parser);
    const auto tokens = wholeNumber(parser, QStringLiteral("synthetic-tokens"), 64);
    if (!open || !tokens)
        return kExitBadUsage;
    ThreadPool pool;
    const QTemporaryDir folder;
    const bool isSynthetic = parser.positionalArguments().isEmpty();
    const auto dump = isSynthetic ? syntheticDump(folder, *tokens, pool)
                                  : openDump(parser.positionalArguments().front().toStdString(), *open);
    if (!dump)
        return complain(dump.error());
    const bool isJson = parser.isSet(QStringLiteral("json"));
    if (!isJson)
        print(QObject::tr("%1%2; %3 workers\n\n")
                  .arg(QString::fromStdString(dump->cache.info().name),
                       isSynthetic ? QObject::tr(" (synthetic)") : QString())
                  .arg(pool.threadCount()));
    QJsonObject levels;
    for (const QString& preset : parser.value(QStringLiteral("levels")).split(u',', Qt::SkipEmptyParts)) {
        views::OwnLevelsRequest request;
        request.presets = {preset.trimmed().toStdString()};
        const auto encoded = views::encodeOwnLevels(dump->cache, request, pool, {});
        if (!encoded)
            return complain(encoded.error());
        levels[preset.trimmed()] = encoded->decodeBytesPerSecond;
        if (!isJson)
            print(QStringLiteral("%1 %2 GB/s\n")
                      .arg(preset.trimmed(), -16)
                      .arg(encoded->decodeBytesPerSecond / 1e9, 8, 'f', 3));
    }
    if (isJson)
        print(QJsonObject{{QStringLiteral("workers"), static_cast<qint64>(pool.threadCount())},
                          {QStringLiteral("synthetic"), isSynthetic},
                          {QStringLiteral("decode_bytes_per_second"), levels}});
    return kExitDone;
}

} // namespace kvscope::app
