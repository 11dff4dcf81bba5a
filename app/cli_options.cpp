// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"

#include <QFileInfo>
#include <QJsonDocument>

namespace kvscope::app {

void addOpenOptions(QCommandLineParser& parser) {
    const auto add = [&](const char* name, const QString& help, const char* value) {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value)));
    };
    add("axes",
        QObject::tr("Axes, outermost first: S batch, L layer, X key/value, H head, T token, D dimension, C heads "
                    "merged; e.g. LXHTD."),
        "LETTERS");
    add("dtype", QObject::tr("Type of the values: f16, bf16, f32, f64, f8_e4m3, f8_e5m2, i8, u8."), "TYPE");
    add("layers", QObject::tr("Number of layers."), "N");
    add("heads", QObject::tr("Number of KV heads."), "N");
    add("head-dim", QObject::tr("Dimension of a head."), "N");
    add("tokens", QObject::tr("Number of tokens."), "N");
    add("offset", QObject::tr("Bytes before the first value of raw data."), "BYTES");
    add("sequence",
        QObject::tr("Which sequence of a llama.cpp state whose sequences differ in length (default: the longest)."),
        "ID");
    add("level", QObject::tr("Which level of a .kvz file (default: the best)."), "NAME");
    add("first-position", QObject::tr("Text position of the first token, where the dump does not say it."), "N");
    add("rope-theta", QObject::tr("Base of the rotary position embedding."), "THETA");
    add("rope-pairs", QObject::tr("Dimensions that turn together: half or interleaved."), "KIND");
    add("config", QObject::tr("The model's config.json (default: the one beside the dump)."), "FILE");
    add("order", QObject::tr("A file of a folder, by name or LMCache hash; repeat in the order of the tokens."),
        "NAME");
    add("hadamard",
        QObject::tr("Whether llama.cpp stored quantised values rotated by a Hadamard matrix: yes (undo it) or no."),
        "ANSWER");
}

std::optional<std::int64_t> wholeNumber(const QCommandLineParser& parser, const QString& option, std::int64_t least) {
    bool valid = false;
    const qlonglong number = parser.value(option).toLongLong(&valid);
    if (valid && number >= least)
        return number;
    complain(
        QObject::tr("--%1: \"%2\" is not a whole number of at least %3").arg(option, parser.value(option)).arg(least),
        kExitBadUsage);
    return std::nullopt;
}

std::optional<double> positiveNumber(const QCommandLineParser& parser, const QString& option) {
    bool valid = false;
    const double number = parser.value(option).toDouble(&valid);
    if (valid && number > 0 && qIsFinite(number))
        return number;
    complain(QObject::tr("--%1: \"%2\" is not a number above 0").arg(option, parser.value(option)), kExitBadUsage);
    return std::nullopt;
}

std::optional<double> percentage(const QCommandLineParser& parser, const QString& option) {
    bool valid = false;
    const double number = parser.value(option).toDouble(&valid);
    if (valid && number >= 0 && number <= 100)
        return number / 100;
    complain(QObject::tr("--%1: \"%2\" is not a number from 0 to 100").arg(option, parser.value(option)),
             kExitBadUsage);
    return std::nullopt;
}

Result<CodecPlan> readPlanFile(const QString& path) {
    constexpr std::int64_t kLimit = std::int64_t{16} << 20;
    KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(path.toStdString()));
    if (file->size() > kLimit)
        return fail("is too large to be a plan", file->name(), "Choose a plan in JSON");
    KVSCOPE_ASSIGN(const auto bytes, file->read(0, file->size()));
    KVSCOPE_ASSIGN(CodecPlan plan,
                   planFromJson({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file->name()));
    if (plan.name.empty())
        plan.name = QFileInfo(path).completeBaseName().toStdString();
    return plan;
}

std::optional<OpenOptions> openOptionsFrom(const QCommandLineParser& parser) {
    OpenOptions options;
    const auto given = [&](const char* name) { return parser.isSet(QLatin1String(name)); };
    const auto text = [&](const char* name) { return parser.value(QLatin1String(name)); };
    if (given("axes"))
        options.axes = text("axes").toStdString();
    if (given("level"))
        options.level = text("level").toStdString();
    if (given("dtype")) {
        options.dtype = dtypeFromName(text("dtype").toStdString());
        if (!options.dtype) {
            complain(QObject::tr("--dtype: \"%1\" is not a known type").arg(text("dtype")), kExitBadUsage);
            return std::nullopt;
        }
    }
    struct Number {
        const char* option;
        std::int64_t least;
        std::optional<std::int64_t>* target;
    };
    for (const Number& number : {Number{"layers", 1, &options.layers}, Number{"heads", 1, &options.heads},
                                 Number{"head-dim", 1, &options.headDim}, Number{"tokens", 1, &options.tokens},
                                 Number{"offset", 0, &options.offset}, Number{"sequence", 0, &options.sequence},
                                 Number{"first-position", 0, &options.firstPosition}}) {
        if (!given(number.option))
            continue;
        *number.target = wholeNumber(parser, QLatin1String(number.option), number.least);
        if (!*number.target)
            return std::nullopt;
    }
    if (given("rope-theta")) {
        bool valid = false;
        options.ropeTheta = text("rope-theta").toDouble(&valid);
        if (!valid || !(*options.ropeTheta > 0)) {
            complain(QObject::tr("--rope-theta: \"%1\" is not a positive number").arg(text("rope-theta")),
                     kExitBadUsage);
            return std::nullopt;
        }
    }
    if (given("rope-pairs")) {
        const QString pairs = text("rope-pairs");
        if (pairs != QLatin1String("half") && pairs != QLatin1String("interleaved")) {
            complain(QObject::tr("--rope-pairs: \"%1\" is neither half nor interleaved").arg(pairs), kExitBadUsage);
            return std::nullopt;
        }
        options.ropePairing = pairs == QLatin1String("half") ? Rope::Pairing::HalfSplit : Rope::Pairing::Interleaved;
    }
    if (given("config"))
        options.configPath = text("config").toStdString();
    for (const QString& name : parser.values(QStringLiteral("order")))
        options.fileOrder.push_back(name.toStdString());
    if (given("hadamard")) {
        const QString answer = text("hadamard");
        if (answer != QLatin1String("yes") && answer != QLatin1String("no")) {
            complain(QObject::tr("--hadamard: \"%1\" is neither yes nor no").arg(answer), kExitBadUsage);
            return std::nullopt;
        }
        options.undoHadamard = answer == QLatin1String("yes");
    }
    return options;
}

std::optional<int> parseArguments(QCommandLineParser& parser, const QStringList& arguments) {
    const QCommandLineOption help({QStringLiteral("h"), QStringLiteral("help")}, QObject::tr("Show this help."));
    parser.addOption(help);
    if (!parser.parse(arguments))
        return complain(parser.errorText(), kExitBadUsage);
    if (parser.isSet(help)) {
        print(parser.helpText());
        return kExitDone;
    }
    return std::nullopt;
}

int complain(const QString& text, int code) {
    std::fprintf(stderr, "kvscope: %s\n", text.toUtf8().constData());
    return code;
}

int complain(const Error& error) {
    return complain(QString::fromStdString(error.message()));
}

void print(const QString& text) {
    std::fputs(text.toUtf8().constData(), stdout);
}

void print(const QJsonObject& json) {
    std::fputs(QJsonDocument(json).toJson(QJsonDocument::Indented).constData(), stdout);
}

} // namespace kvscope::app
