// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "core/codec/kvz_directory.h"
#include "core/io/dump_writer.h"
#include "core/io/kvz_dump.h"

#include <QFileInfo>
#include <QJsonArray>
#include <QLocale>
#include <QSaveFile>

namespace kvscope::app {

namespace {

QString kindName(PlaneKind kind) {
    const std::string_view name = nameOf(kind);
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

QJsonObject toJson(const ConvertReport& report, const QString& out) {
    QJsonArray losses;
    for (const ConversionLoss& loss : report.losses) {
        losses.append(QJsonObject{{QStringLiteral("kind"), kindName(loss.kind)},
                                  {QStringLiteral("values"), static_cast<qint64>(loss.values)},
                                  {QStringLiteral("max_abs_error"), loss.maxAbsError},
                                  {QStringLiteral("mean_abs_error"), loss.meanAbsError},
                                  {QStringLiteral("relative_error"), loss.relativeError},
                                  {QStringLiteral("overflowed"), static_cast<qint64>(loss.overflowed)},
                                  {QStringLiteral("underflowed"), static_cast<qint64>(loss.underflowed)}});
    }
    const std::string_view dtype = nameOf(report.dtype);
    return {{QStringLiteral("out"), out},
            {QStringLiteral("dtype"), QString::fromUtf8(dtype.data(), static_cast<qsizetype>(dtype.size()))},
            {QStringLiteral("bytes"), static_cast<qint64>(report.bytes)},
            {QStringLiteral("losses"), losses}};
}

QString toText(const ConvertReport& report, const QString& out) {
    QString text = QObject::tr("%1: %2, %3\n")
                       .arg(out, QLocale().formattedDataSize(report.bytes),
                            toJson(report, out).value(QStringLiteral("dtype")).toString());
    for (const ConversionLoss& loss : report.losses) {
        if (loss.maxAbsError == 0 && loss.overflowed == 0) {
            text += QObject::tr("  %1: exact\n").arg(kindName(loss.kind));
            continue;
        }
        text += QObject::tr(
                    "  %1: largest error %2, mean %3, relative %4; %5 overflowed to infinity, %6 underflowed to zero\n")
                    .arg(kindName(loss.kind))
                    .arg(loss.maxAbsError, 0, 'g', 4)
                    .arg(loss.meanAbsError, 0, 'g', 4)
                    .arg(loss.relativeError, 0, 'g', 4)
                    .arg(loss.overflowed)
                    .arg(loss.underflowed);
    }
    return text;
}

/// Writes the tokens of a .kvz as text or as JSON.
int decodeText(const QString& path, const QString& out, bool json) {
    const bool plain = out.endsWith(QLatin1String(".txt"));
    if (!plain && !out.endsWith(QLatin1String(".json")))
        return complain(
            QObject::tr("-o: \"%1\" does not end in .txt or .json, as which the level text is written").arg(out),
            kExitBadUsage);
    const auto text = readKvzText(path.toStdString());
    if (!text)
        return complain(text.error());
    QSaveFile file(out);
    const QByteArray bytes = QByteArray::fromStdString(plain ? plainText(text->tokens) : tokensToJson(text->tokens));
    if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size() || !file.commit())
        return complain(QObject::tr("%1 cannot be written: %2").arg(out, file.errorString()));
    if (json)
        print(QJsonObject{{QStringLiteral("out"), out}, {QStringLiteral("bytes"), static_cast<qint64>(bytes.size())}});
    else
        print(QObject::tr("%1: %2 of text\n").arg(out, QLocale().formattedDataSize(bytes.size())));
    return kExitDone;
}

using Open = Result<OpenedDump> (*)(const std::filesystem::path& path, const OpenOptions& options);

Result<OpenedDump> openAny(const std::filesystem::path& path, const OpenOptions& options) {
    return openDump(path, options);
}

Result<OpenedDump> openContainer(const std::filesystem::path& path, const OpenOptions& options) {
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(path));
    return openKvz(bytes, path, options);
}

/// What convert and decode have in common: everything but what they open.
int convert(QCommandLineParser& parser, const QStringList& arguments, const QString& usage, Open open) {
    parser.addOption(
        QCommandLineOption(QStringLiteral("o"),
                           QObject::tr("File to write: .npy, .npz, .safetensors, .bin or .raw (with a JSON sidecar)."),
                           QStringLiteral("OUT")));
    parser.addOption(QCommandLineOption(QStringLiteral("to"),
                                        QObject::tr("Type to write: f64, f32, f16 or bf16 (default: the dump's own)."),
                                        QStringLiteral("TYPE")));
    parser.addOption(QCommandLineOption(QStringLiteral("rope"), QObject::tr("Change K: undo or apply RoPE."),
                                        QStringLiteral("undo|apply")));
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON.")));
    addOpenOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const QString out = parser.value(QStringLiteral("o"));
    if (parser.positionalArguments().size() != 1 || out.isEmpty())
        return complain(usage, kExitBadUsage);

    if (open == &openContainer && parser.value(QStringLiteral("level")) == QLatin1String(kTextLevelName.data()))
        return decodeText(parser.positionalArguments().front(), out, parser.isSet(QStringLiteral("json")));

    ConvertOptions conversion;
    const auto format = dumpFormatOf(out.toStdString());
    if (!format)
        return complain(QObject::tr("-o: \"%1\" does not end in .npy, .npz, .safetensors, .bin or .raw").arg(out),
                        kExitBadUsage);
    conversion.format = *format;
    if (parser.isSet(QStringLiteral("to"))) {
        conversion.dtype = dtypeFromName(parser.value(QStringLiteral("to")).toStdString());
        if (!conversion.dtype)
            return complain(QObject::tr("--to: \"%1\" is not a known type").arg(parser.value(QStringLiteral("to"))),
                            kExitBadUsage);
    }
    if (parser.isSet(QStringLiteral("rope"))) {
        const QString direction = parser.value(QStringLiteral("rope"));
        if (direction != QLatin1String("undo") && direction != QLatin1String("apply"))
            return complain(QObject::tr("--rope: \"%1\" is neither undo nor apply").arg(direction), kExitBadUsage);
        conversion.rope = direction == QLatin1String("undo") ? RopeDirection::Undo : RopeDirection::Apply;
    }
    const auto options = openOptionsFrom(parser);
    if (!options)
        return kExitBadUsage;
    const auto dump = open(parser.positionalArguments().front().toStdString(), *options);
    if (!dump)
        return complain(dump.error());
    const auto report = convertDump(dump->cache, out.toStdString(), conversion);
    if (!report)
        return complain(report.error());
    if (parser.isSet(QStringLiteral("json")))
        print(toJson(*report, out));
    else
        print(toText(*report, out));
    return kExitDone;
}

} // namespace

int runConvert(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr("Writes a dump in another format."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The dump, or a folder of one."));
    return convert(parser, arguments, QObject::tr("convert needs FILE and -o OUT; see kvscope convert --help"),
                   &openAny);
}

int runDecode(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(
        QObject::tr("Decodes a .kvz container into a dump of another format; with --level text, writes its "
                    "tokens as OUT.txt or OUT.json."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The .kvz file."));
    return convert(parser, arguments, QObject::tr("decode needs IN.kvz and -o OUT; see kvscope decode --help"),
                   &openContainer);
}

} // namespace kvscope::app
