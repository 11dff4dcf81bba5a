// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/io/synth.h"

#include <QFileInfo>
#include <QLocale>

namespace kvscope::app {

namespace {

void addNumber(QCommandLineParser& parser, const char* name, const QString& help, std::int64_t fallback) {
    parser.addOption(QCommandLineOption(QLatin1String(name), help, QStringLiteral("N"), QString::number(fallback)));
}

} // namespace

int runSynth(const QStringList& arguments) {
    SynthOptions synth;
    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr(
        "Makes a synthetic dump: per-channel offsets and spreads, outlier channels, RoPE, token correlation and an "
        "attention sink, from a seed. Wherever it is shown it is labelled synthetic."));
    parser.addOption(QCommandLineOption(QStringLiteral("o"),
                                        QObject::tr("File to write: .safetensors, or .bin or .raw with a sidecar."),
                                        QStringLiteral("OUT")));
    addNumber(parser, "layers", QObject::tr("Layers."), synth.layers);
    addNumber(parser, "heads", QObject::tr("KV heads."), synth.heads);
    addNumber(parser, "head-dim", QObject::tr("Dimension of a head."), synth.headDim);
    addNumber(parser, "tokens", QObject::tr("Tokens."), synth.tokens);
    addNumber(parser, "seed", QObject::tr("Seed; the same one makes the same bytes."),
              static_cast<std::int64_t>(synth.seed));
    parser.addOption(QCommandLineOption(QStringLiteral("dtype"), QObject::tr("f16, bf16 or f32."),
                                        QStringLiteral("TYPE"), QStringLiteral("f16")));
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON.")));
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const QString out = parser.value(QStringLiteral("o"));
    if (out.isEmpty() || !parser.positionalArguments().isEmpty())
        return complain(QObject::tr("synth needs -o OUT; see kvscope synth --help"), kExitBadUsage);
    const auto format = dumpFormatOf(out.toStdString());
    if (format != DumpFileFormat::Safetensors && format != DumpFileFormat::Raw)
        return complain(QObject::tr("-o: \"%1\" does not end in .safetensors, .bin or .raw").arg(out), kExitBadUsage);
    synth.format = *format;
    const auto dtype = dtypeFromName(parser.value(QStringLiteral("dtype")).toStdString());
    if (!dtype)
        return complain(QObject::tr("--dtype: \"%1\" is not a known type").arg(parser.value(QStringLiteral("dtype"))),
                        kExitBadUsage);
    synth.dtype = *dtype;
    for (const auto& [name, target] : {std::pair("layers", &synth.layers), std::pair("heads", &synth.heads),
                                       std::pair("head-dim", &synth.headDim), std::pair("tokens", &synth.tokens)}) {
        const auto number = wholeNumber(parser, QLatin1String(name), 1);
        if (!number)
            return kExitBadUsage;
        *target = *number;
    }
    const auto seed = wholeNumber(parser, QStringLiteral("seed"), 0);
    if (!seed)
        return kExitBadUsage;
    synth.seed = static_cast<std::uint64_t>(*seed);
    ThreadPool pool;
    if (const auto written = writeSyntheticDump(out.toStdString(), synth, pool); !written)
        return complain(written.error());
    const qint64 bytes = QFileInfo(out).size();
    if (parser.isSet(QStringLiteral("json")))
        print(QJsonObject{{QStringLiteral("out"), out},
                          {QStringLiteral("bytes"), bytes},
                          {QStringLiteral("seed"), static_cast<qint64>(synth.seed)}});
    else
        print(QObject::tr("%1: %2, synthetic, seed %3\n").arg(out, QLocale().formattedDataSize(bytes)).arg(*seed));
    return kExitDone;
}

} // namespace kvscope::app
