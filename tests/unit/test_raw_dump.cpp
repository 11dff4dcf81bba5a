// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/io/raw_dump.h"
#include "tests/unit/npy_writer.h"

#include <QFile>
#include <QTemporaryDir>
#include <QtTest>

#include <cmath>
#include <functional>
#include <limits>

using namespace kvscope;
using namespace kvscope::test;

namespace {

void writeFile(const QString& path, const Bytes& bytes) {
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
    QCOMPARE(file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<qint64>(bytes.size())),
             static_cast<qint64>(bytes.size()));
}

/// 0, 1, 2 ... as float32.
Bytes counted(int count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        values[static_cast<std::size_t>(i)] = static_cast<float>(i);
    return floatBytes(values);
}

std::vector<float> rowOf(const KvCache& cache, std::int64_t layer, PlaneKind kind, std::int64_t token) {
    const PlaneGeometry* plane = cache.geometry().find(LayerIndex(layer), kind);
    std::vector<float> row(static_cast<std::size_t>(plane->channels()));
    if (!cache.readRows({LayerIndex(layer), kind, {}}, tokenRange(token, token + 1), row))
        row.clear();
    return row;
}

const std::string kGood = R"({"dtype": "f32", "axes": "LXHTD", "layers": 2, "heads": 2, "head_dim": 2, "tokens": 3,
    "rope": {"theta": 500, "pairing": "interleaved"}, "model": "m", "synthetic": true, "first_position": 7})";

} // namespace

class TestRawDump : public QObject {
    Q_OBJECT

private slots:
    void sidecarDescribesValues();
    void sizeOfTheFileGivesTheTokens();
    void userComesBeforeTheSidecar();
    void layersMayDiffer();
    void theFirstPositionMayBeGiven();
    void tokensFile();
    void fieldsAreValidated_data();
    void fieldsAreValidated();
    void unknownFieldsAreReported();
    void withoutDescriptionItSaysWhatIsNeeded();
};

void TestRawDump::sidecarDescribesValues() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(2 * 2 * 2 * 3 * 2));
    writeFile(path + ".json", bytesOf(kGood));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvCache& cache = opened->cache;
    QCOMPARE(cache.geometry().layerCount(), std::int64_t{2});
    QCOMPARE(cache.geometry().find(LayerIndex(0), PlaneKind::Key)->firstPosition, std::int64_t{7});
    QCOMPARE(rowOf(cache, 1, PlaneKind::Value, 2), (std::vector<float>{40, 41, 46, 47}));
    QCOMPARE(cache.info().model, std::string("m"));
    QVERIFY(cache.info().synthetic);
    QCOMPARE(cache.rope(LayerIndex(1))->pairing, Rope::Pairing::Interleaved);
    QVERIFY(opened->layouts.empty());
    QVERIFY(cache.info().fingerprint != 0);
}

void TestRawDump::sizeOfTheFileGivesTheTokens() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    Bytes bytes = bytesOf("12345");
    const Bytes values = counted(2 * 2 * 5 * 4);
    bytes.insert(bytes.end(), values.begin(), values.end());
    appendText(bytes, "ab");
    writeFile(path, bytes);
    OpenOptions options;
    options.dtype = DType::F32;
    options.axes = "XLTC";
    options.layers = 2;
    options.heads = 2;
    options.headDim = 2;
    options.offset = 5;
    const auto opened = openDump(path.toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->tokens, std::int64_t{5});
    QCOMPARE(rowOf(opened->cache, 1, PlaneKind::Value, 4), (std::vector<float>{76, 77, 78, 79}));
    const auto& notes = opened->cache.info().notes;
    const auto says = [&](const char* text) {
        return std::any_of(notes.begin(), notes.end(),
                           [text](const CacheNote& note) { return note.text.find(text) != std::string::npos; });
    };
    QVERIFY(says("gives 5 for tokens"));
    QVERIFY(says("2 bytes behind the values"));
    options.tokens = 6;
    const auto tooMany = openDump(path.toStdString(), options);
    QVERIFY(!tooMany);
    QVERIFY(QString::fromStdString(tooMany.error().message()).contains("data end at 327"));
}

void TestRawDump::userComesBeforeTheSidecar() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(2 * 2 * 2 * 3 * 2));
    writeFile(path + ".json", bytesOf(kGood));
    OpenOptions options;
    options.axes = "LXTHD";
    options.ropeTheta = 123;
    const auto opened = openDump(path.toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(rowOf(opened->cache, 1, PlaneKind::Value, 2), (std::vector<float>{44, 45, 46, 47}));
    QCOMPARE(opened->cache.rope(LayerIndex(0))->inverseFrequencies, std::vector<double>{1.0});
}

void TestRawDump::layersMayDiffer() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(2 * 2 * 3 * 2 + 2 * 1 * 2 * 4));
    writeFile(path + ".json", bytesOf(R"({"dtype": "f32", "axes": "LXHTD", "layers": 2, "heads": 2, "head_dim": 2,
        "tokens": 3, "rope": {"theta": 10000}, "layer_overrides": [{"layer": 1, "heads": 1, "head_dim": 4, "tokens": 2,
        "first_position": 1, "rope": null}]})"));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvGeometry& geometry = opened->cache.geometry();
    QCOMPARE(geometry.find(LayerIndex(0), PlaneKind::Key)->tokens, std::int64_t{3});
    const PlaneGeometry* second = geometry.find(LayerIndex(1), PlaneKind::Value);
    QCOMPARE(second->heads, std::int64_t{1});
    QCOMPARE(second->headDim, std::int64_t{4});
    QCOMPARE(second->tokens, std::int64_t{2});
    QCOMPARE(second->firstPosition, std::int64_t{1});
    QCOMPARE(rowOf(opened->cache, 1, PlaneKind::Value, 1), (std::vector<float>{36, 37, 38, 39}));
    QVERIFY(opened->cache.rope(LayerIndex(0)) != nullptr);
    QVERIFY(opened->cache.rope(LayerIndex(1)) == nullptr);
}

void TestRawDump::theFirstPositionMayBeGiven() {
    // One pair of dimensions: RoPE turns (1, 0) at position p to (cos p, sin p), whatever theta is.
    std::vector<float> values;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
        for (int token = 0; token < 5; ++token) {
            values.push_back(kind == PlaneKind::Key ? std::cos(100.0F + static_cast<float>(token)) : 3.0F);
            values.push_back(kind == PlaneKind::Key ? std::sin(100.0F + static_cast<float>(token)) : 4.0F);
        }
    }
    const QTemporaryDir folder;
    const QString path = folder.filePath("later.raw");
    writeFile(path, floatBytes(values));
    OpenOptions options;
    options.dtype = DType::F32;
    options.axes = "LXTHD";
    options.layers = 1;
    options.heads = 1;
    options.headDim = 2;
    options.ropeTheta = 10000.0;
    options.firstPosition = 100;
    const auto opened = openDump(path.toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const PlaneGeometry& plane = *opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key);
    QCOMPARE(plane.position(TokenIndex(4)), std::int64_t{104});
    std::vector<float> keys(10);
    QVERIFY(opened->cache.readRows({LayerIndex(0), PlaneKind::Key, {}}, tokenRange(0, 5), keys));
    rotate(*opened->cache.rope(LayerIndex(0)), RopeDirection::Undo, plane, tokenRange(0, 5), keys);
    for (std::size_t i = 0; i < keys.size(); ++i)
        QVERIFY2(std::abs(keys[i] - (i % 2 == 0 ? 1.0F : 0.0F)) < 1e-5F, qPrintable(QString::number(keys[i])));
    options.firstPosition = -1;
    QVERIFY(!openDump(path.toStdString(), options));
    options.firstPosition = std::numeric_limits<std::int64_t>::max();
    QVERIFY(!openDump(path.toStdString(), options));
}

void TestRawDump::tokensFile() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(2 * 2 * 2 * 3 * 2));
    std::string text = kGood;
    text.insert(text.size() - 1, R"(, "tokens_file": "words.json")");
    writeFile(path + ".json", bytesOf(text));
    QVERIFY(!openDump(path.toStdString())); // it is named but not there
    writeFile(folder.filePath("words.json"), bytesOf(R"({"ids": [5, 6, 7], "text": ["a", "b", "\u00e9"]})"));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.info().tokens[0].ids, (std::vector<std::int64_t>{5, 6, 7}));
    QCOMPARE(opened->cache.tokenText({}, 2), std::string("é"));
}

void TestRawDump::fieldsAreValidated_data() {
    QTest::addColumn<QString>("from");
    QTest::addColumn<QString>("to");
    QTest::addColumn<QString>("message");
    const auto row = [](const char* name, const char* from, const char* to, const char* message) {
        QTest::newRow(name) << from << to << message;
    };
    row("dtype", "\"f32\"", "\"f99\"", "\"dtype\"");
    row("dtype type", "\"f32\"", "32", "\"dtype\"");
    row("axes", "LXHTD", "LXHHD", "\"axes\"");
    row("axes type", "\"LXHTD\"", "[]", "\"axes\"");
    row("layers zero", "\"layers\": 2", "\"layers\": 0", "\"layers\"");
    row("layers text", "\"layers\": 2", "\"layers\": \"2\"", "\"layers\"");
    row("heads negative", "\"heads\": 2", "\"heads\": -2", "\"heads\"");
    row("head_dim fraction", "\"head_dim\": 2", "\"head_dim\": 2.5", "\"head_dim\"");
    row("tokens past the end", "\"tokens\": 3", "\"tokens\": 4", "data end at");
    row("tokens past 2^63", "\"tokens\": 3", "\"tokens\": 9223372036854775807", "pass 2^63");
    row("tokens past 2^64", "\"tokens\": 3", "\"tokens\": 99999999999999999999", "\"tokens\"");
    row("theta", "500", "-1", "\"rope.theta\"");
    row("pairing", "interleaved", "diagonal", "\"rope.pairing\"");
    row("rope", "{\"theta\": 500, \"pairing\": \"interleaved\"}", "5", "\"rope\"");
    row("synthetic", "true", "\"yes\"", "\"synthetic\"");
    row("model", "\"m\"", "7", "\"model\"");
    row("position", "\"first_position\": 7", "\"first_position\": -7", "\"first_position\"");
    row("offset", "\"first_position\": 7", "\"offset\": 5000", "offset 5000");
    row("offset negative", "\"first_position\": 7", "\"offset\": -1", "\"offset\"");
    row("byte order", "\"first_position\": 7", "\"byte_order\": \"middle\"", "\"byte_order\"");
    row("tokens_file", "\"first_position\": 7", "\"tokens_file\": \"../x.json\"", "\"tokens_file\"");
    row("overrides", "\"first_position\": 7", "\"layer_overrides\": {}", "\"layer_overrides\"");
    row("override without layer", "\"first_position\": 7", "\"layer_overrides\": [{}]", "layer_overrides[0].layer");
    row("override outside", "\"first_position\": 7", "\"layer_overrides\": [{\"layer\": 2}]", "names layer 2 of 2");
    row("override twice", "\"first_position\": 7", "\"layer_overrides\": [{\"layer\": 1}, {\"layer\": 1}]",
        "second time");
    row("missing dtype", "\"dtype\": \"f32\",", "", "dtype is not known");
    row("two sizes missing", "\"heads\": 2, \"head_dim\": 2,", "", "heads, head_dim");
    row("not JSON", "{\"dtype\"", "{dtype", "not valid JSON");
}

void TestRawDump::fieldsAreValidated() {
    QFETCH(QString, from);
    QFETCH(QString, to);
    QFETCH(QString, message);
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(2 * 2 * 2 * 3 * 2));
    const QString good = QString::fromStdString(kGood);
    QVERIFY(good.contains(from));
    QString bad = good;
    bad.replace(from, to);
    writeFile(path + ".json", bytesOf(bad.toStdString()));
    const auto opened = openDump(path.toStdString());
    QVERIFY(!opened);
    QVERIFY2(QString::fromStdString(opened.error().message()).contains(message), opened.error().message().c_str());
    QVERIFY(!opened.error().advice.empty());
}

void TestRawDump::unknownFieldsAreReported() {
    std::string text = kGood;
    text.insert(text.size() - 1, R"(, "head_dimension": 2)");
    const auto description = readRawSidecar(*memorySource(bytesOf(text), "x.json"));
    QVERIFY(description);
    QCOMPARE(description->unknownFields, std::vector<std::string>{"head_dimension"});
}

void TestRawDump::withoutDescriptionItSaysWhatIsNeeded() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.bin");
    writeFile(path, counted(10));
    const auto opened = openDump(path.toStdString());
    QVERIFY(!opened);
    QVERIFY(QString::fromStdString(opened.error().message()).contains("cache.bin.json"));
    const auto gone = openDump((path + ".gone").toStdString());
    QVERIFY(!gone);
    QVERIFY(QString::fromStdString(gone.error().message()).contains("does not exist"));
    QVERIFY(!openDump("/dev/null"));
    writeFile(folder.filePath("empty"), {});
    const auto empty = openDump(folder.filePath("empty").toStdString());
    QVERIFY(!empty);
    QVERIFY(QString::fromStdString(empty.error().message()).contains("is empty"));
}

QTEST_APPLESS_MAIN(TestRawDump)
#include "test_raw_dump.moc"
