// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/io/scale_match.h"
#include "core/io/side_files.h"
#include "tests/unit/npy_writer.h"

#include <QFile>
#include <QTemporaryDir>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

namespace {

/// `count` floats first, first + 1 ...
std::vector<float> counted(std::int64_t count, float first = 1) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = first + static_cast<float>(i);
    return values;
}

SafetensorsEntry floats(const std::string& name, const std::vector<std::int64_t>& shape,
                        const std::vector<float>& values) {
    return {name, "F32", shape, floatBytes(values)};
}

SafetensorsEntry bytes8(const std::string& name, const char* dtype, const std::vector<std::int64_t>& shape,
                        const std::vector<int>& values) {
    Bytes data;
    for (const int value : values)
        data.push_back(static_cast<std::byte>(value));
    return {name, dtype, shape, data};
}

SafetensorsEntry integers(const std::string& name, const std::vector<std::int64_t>& shape,
                          const std::vector<std::int64_t>& values) {
    Bytes data;
    for (const std::int64_t value : values)
        appendLittle(data, static_cast<std::uint64_t>(value), 8);
    return {name, "I64", shape, data};
}

Result<OpenedDump> openEntries(const std::vector<SafetensorsEntry>& entries, const OpenOptions& options = {},
                               const std::string& metadata = {}) {
    return openDumpBytes(memorySource(safetensorsFile(entries, metadata), "x.safetensors"), "", options);
}

std::vector<float> valuesOf(const KvCache& cache, std::int64_t layer, PlaneKind kind, std::int64_t sequence = 0) {
    const PlaneId id{LayerIndex(layer), kind, SequenceIndex(sequence)};
    const PlaneGeometry* plane = cache.geometry().find(id);
    if (plane == nullptr)
        return {};
    std::vector<float> values(static_cast<std::size_t>(plane->values()));
    if (!cache.readRows(id, tokenRange(0, plane->tokens), values))
        values.clear();
    return values;
}

bool notesSay(const KvCache& cache, const char* text) {
    const auto& notes = cache.info().notes;
    return std::any_of(notes.begin(), notes.end(),
                       [text](const CacheNote& note) { return note.text.find(text) != std::string::npos; });
}

void writeFile(const QString& path, const Bytes& bytes) {
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
    QCOMPARE(file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<qint64>(bytes.size())),
             static_cast<qint64>(bytes.size()));
}

OpenOptions withAxes(const char* axes) {
    OpenOptions options;
    options.axes = axes;
    return options;
}

} // namespace

class TestAssembledDumps : public QObject {
    Q_OBJECT

private slots:
    void matchesScales_data();
    void matchesScales();
    void scalesByTokenAndZeroPoints();
    void scalesThatDoNotFitAreReported();
    void latentWithItsRotaryKey();
    void latentByItsWidth();
    void latentByTheConfiguration();
    void paddingIsLeftOut();
    void zeroLayersAreKept();
    void tokensAndPositions();
    void layersOfAPartKeepTheirRotation();
    void configurationBesideTheDump();
    void contradictionsAreNotes();
    void badSideFilesAreNotes();
    void tokensBesideTheDump();
    void aTypeInTheNameThatIsWrong();
    void bitsAreReadAsTheUserSays();
    void crossAttentionIsLeftOut();
    void namesThatSayNothingAreRefused();
    void fingerprintsChangeWithTheFile();
    void metadataDescribeTheRun();
};

void TestAssembledDumps::matchesScales_data() {
    QTest::addColumn<QList<qint64>>("shape");
    QTest::addColumn<QList<qint64>>("strides"); // layer, kind, sequence, head, token, dim; empty: no match
    QTest::newRow("scalar") << QList<qint64>{} << QList<qint64>{0, 0, 0, 0, 0, 0};
    QTest::newRow("one") << QList<qint64>{1} << QList<qint64>{0, 0, 0, 0, 0, 0};
    QTest::newRow("layers") << QList<qint64>{3} << QList<qint64>{1, 0, 0, 0, 0, 0};
    QTest::newRow("heads") << QList<qint64>{4} << QList<qint64>{0, 0, 0, 1, 0, 0};
    QTest::newRow("layers, kinds") << QList<qint64>{3, 2} << QList<qint64>{2, 1, 0, 0, 0, 0};
    QTest::newRow("layers, heads") << QList<qint64>{3, 4} << QList<qint64>{4, 0, 0, 1, 0, 0};
    QTest::newRow("heads, tokens") << QList<qint64>{4, 5} << QList<qint64>{0, 0, 0, 5, 1, 0};
    QTest::newRow("layers, channels") << QList<qint64>{3, 28} << QList<qint64>{28, 0, 0, 7, 0, 1};
    QTest::newRow("broadcast") << QList<qint64>{3, 1, 4, 1, 1} << QList<qint64>{4, 0, 0, 1, 0, 0};
    QTest::newRow("all") << QList<qint64>{3, 2, 4, 5, 7} << QList<qint64>{280, 140, 0, 35, 7, 1};
    QTest::newRow("none") << QList<qint64>{6} << QList<qint64>{};
    QTest::newRow("order") << QList<qint64>{5, 4} << QList<qint64>{};
}

void TestAssembledDumps::matchesScales() {
    QFETCH(QList<qint64>, shape);
    QFETCH(QList<qint64>, strides);
    const std::vector<TensorAxis> axes{{'L', 3, 0}, {'X', 2, 0}, {'H', 4, 0}, {'T', 5, 0}, {'D', 7, 0}};
    const auto match = matchScale(std::vector<std::int64_t>(shape.begin(), shape.end()), axes);
    QCOMPARE(match.has_value(), !strides.isEmpty());
    if (match)
        QCOMPARE((QList<qint64>{match->layer, match->kind, match->sequence, match->head, match->token, match->dim}),
                 strides);
}

void TestAssembledDumps::scalesByTokenAndZeroPoints() {
    // K: one scale and one zero point a token; V: one scale a layer. [T=3][H=1][D=2], value = (stored - zero) * scale.
    const auto opened = openEntries(
        {bytes8("layers.0.k", "U8", {3, 1, 2}, {10, 12, 20, 22, 30, 32}),
         floats("layers.0.k_scale", {3, 1, 1}, {1, 2, 3}), floats("layers.0.k_zero", {3}, {10, 20, 30}),
         bytes8("layers.0.v", "I8", {3, 1, 2}, {-1, 2, -3, 4, -5, 6}), floats("layers.0.v_scale", {}, {0.5F})},
        withAxes("THD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(valuesOf(opened->cache, 0, PlaneKind::Key), (std::vector<float>{0, 2, 0, 4, 0, 6}));
    QCOMPARE(valuesOf(opened->cache, 0, PlaneKind::Value), (std::vector<float>{-0.5, 1, -1.5, 2, -2.5, 3}));
    const PlaneId key{LayerIndex(0), PlaneKind::Key, {}};
    QVERIFY(!opened->cache.nativeIsExact(key));
    std::vector<std::byte> native(6);
    QVERIFY(opened->cache.readNative(key, tokenRange(0, 3), native));
    QCOMPARE(std::to_integer<int>(native[3]), 22);
}

void TestAssembledDumps::scalesThatDoNotFitAreReported() {
    const auto opened = openEntries(
        {bytes8("layers.0.k", "I8", {3, 1, 2}, {1, 2, 3, 4, 5, 6}), floats("layers.0.k_scale", {7}, counted(7))},
        withAxes("THD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(valuesOf(opened->cache, 0, PlaneKind::Key), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    QVERIFY(notesSay(opened->cache, "do not fit") || notesSay(opened->cache, "does not go with the values"));
}

void TestAssembledDumps::latentWithItsRotaryKey() {
    // Latent of 6 channels and a rotary key of 4, 3 tokens, 2 layers.
    std::vector<SafetensorsEntry> entries;
    for (int layer = 0; layer < 2; ++layer) {
        const std::string prefix = "layers." + std::to_string(layer);
        entries.push_back(floats(prefix + ".kv_c", {3, 6}, counted(18, 1.0F + 100.0F * static_cast<float>(layer))));
        entries.push_back(floats(prefix + ".k_pe", {3, 4}, counted(12, 50.0F + 100.0F * static_cast<float>(layer))));
    }
    const auto opened = openEntries(entries);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const PlaneGeometry* plane = opened->cache.geometry().find(LayerIndex(1), PlaneKind::Latent);
    QVERIFY(plane != nullptr);
    QCOMPARE(plane->heads, std::int64_t{1});
    QCOMPARE(plane->headDim, std::int64_t{10});
    QCOMPARE(valuesOf(opened->cache, 1, PlaneKind::Latent),
             (std::vector<float>{101, 102, 103, 104, 105, 106, 150, 151, 152, 153, 107, 108, 109, 110, 111,
                                 112, 154, 155, 156, 157, 113, 114, 115, 116, 117, 118, 158, 159, 160, 161}));
}

void TestAssembledDumps::latentByItsWidth() {
    const std::vector<float> values = counted(2LL * 3 * 576);
    const auto opened = openEntries({floats("kv_cache", {2, 3, 576}, values)}, withAxes("LTC"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const auto perLayer = openEntries({floats("layers.0.kv_cache", {1, 3, 576}, counted(3 * 576)),
                                       floats("layers.1.kv_cache", {1, 3, 576}, counted(3 * 576, 5))});
    QVERIFY2(perLayer, perLayer ? "" : perLayer.error().message().c_str());
    QCOMPARE(perLayer->cache.geometry().kinds(), std::vector{PlaneKind::Latent});
    QCOMPARE(valuesOf(perLayer->cache, 1, PlaneKind::Latent), counted(3 * 576, 5));
}

void TestAssembledDumps::latentByTheConfiguration() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.safetensors");
    writeFile(path, safetensorsFile({floats("layers.0.keys", {1, 1, 3, 6}, counted(18)),
                                     floats("layers.0.values", {1, 1, 3, 4}, counted(12, 50))}));
    writeFile(folder.filePath("config.json"),
              bytesOf(R"({"model_type": "deepseek_v3", "num_hidden_layers": 1, "num_attention_heads": 2,
                          "kv_lora_rank": 6, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4})"));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().kinds(), std::vector{PlaneKind::Latent});
    QCOMPARE(opened->cache.geometry().maxChannels(PlaneKind::Latent), std::int64_t{10});
}

void TestAssembledDumps::paddingIsLeftOut() {
    // 2 layers of 100 slots, 37 and 100 used; K and V [1,1,T,2].
    std::vector<SafetensorsEntry> entries;
    for (int layer = 0; layer < 2; ++layer) {
        const std::int64_t used = layer == 0 ? 37 : 100;
        for (const char* kind : {"key", "value"}) {
            std::vector<float> values(200, 0.0F);
            for (std::int64_t i = 0; i < used * 2; ++i)
                values[static_cast<std::size_t>(i)] = static_cast<float>(i + 1);
            entries.push_back(floats("layers." + std::to_string(layer) + "." + kind, {1, 1, 100, 2}, values));
        }
    }
    const auto opened = openEntries(entries, withAxes("SHTD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->tokens, std::int64_t{37});
    QCOMPARE(opened->cache.geometry().find(LayerIndex(1), PlaneKind::Key)->tokens, std::int64_t{100});
    QCOMPARE(valuesOf(opened->cache, 0, PlaneKind::Value), counted(74));
    QVERIFY(notesSay(opened->cache, "up to 63 empty slots"));
}

void TestAssembledDumps::zeroLayersAreKept() {
    const auto opened = openEntries({floats("layers.0.key", {1, 1, 4, 2}, counted(8)),
                                     floats("layers.0.value", {1, 1, 4, 2}, counted(8)),
                                     floats("layers.1.key", {1, 1, 4, 2}, std::vector<float>(8)),
                                     floats("layers.1.value", {1, 1, 4, 2}, std::vector<float>(8))},
                                    withAxes("SHTD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().find(LayerIndex(1), PlaneKind::Key)->tokens, std::int64_t{4});
}

void TestAssembledDumps::tokensAndPositions() {
    const auto opened = openEntries(
        {floats("layers.0.key", {1, 1, 3, 2}, counted(6)), floats("layers.0.value", {1, 1, 3, 2}, counted(6)),
         floats("layers.1.key", {1, 1, 3, 2}, counted(6)), floats("layers.1.value", {1, 1, 3, 2}, counted(6)),
         integers("input_ids", {1, 3}, {7, 8, 9}), integers("layers.0.positions", {3}, {4, 5, 6}),
         integers("layers.1.positions", {3}, {0, 5, 9}), integers("attention_mask", {1, 3}, {1, 1, 1})},
        withAxes("SHTD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvCache& cache = opened->cache;
    QCOMPARE(cache.info().tokens.size(), std::size_t{1});
    QCOMPARE(cache.info().tokens[0].ids, (std::vector<std::int64_t>{7, 8, 9}));
    QCOMPARE(cache.geometry().find(LayerIndex(0), PlaneKind::Key)->firstPosition, std::int64_t{4});
    QVERIFY(cache.geometry().find(LayerIndex(0), PlaneKind::Key)->positions.empty());
    QCOMPARE(cache.geometry().find(LayerIndex(1), PlaneKind::Value)->positions, (std::vector<std::int64_t>{0, 5, 9}));
    QVERIFY(notesSay(cache, "attention_mask"));
}

void TestAssembledDumps::layersOfAPartKeepTheirRotation() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.safetensors");
    writeFile(path, safetensorsFile({floats("layers.4.key", {1, 1, 3, 4}, counted(12)),
                                     floats("layers.4.value", {1, 1, 3, 4}, counted(12)),
                                     floats("layers.5.key", {1, 1, 3, 4}, counted(12)),
                                     floats("layers.5.value", {1, 1, 3, 4}, counted(12))}));
    writeFile(folder.filePath("config.json"),
              bytesOf(R"({"model_type": "gemma3_text", "num_hidden_layers": 6, "num_attention_heads": 1, "head_dim": 4,
                          "rope_theta": 1000000, "rope_local_base_freq": 10000, "sliding_window_pattern": 6})"));
    const auto opened = openDump(path.toStdString(), withAxes("SHTD"));
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QVERIFY(notesSay(opened->cache, "names its layers 4, 5"));
    QVERIFY(std::abs(opened->cache.rope(LayerIndex(0))->inverseFrequencies[1] - 0.01) < 1e-9);
    QVERIFY(std::abs(opened->cache.rope(LayerIndex(1))->inverseFrequencies[1] - 0.001) < 1e-9);
}

void TestAssembledDumps::configurationBesideTheDump() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.npy");
    writeFile(path, npyFile("<f4", {2, 2, 6, 8}, floatBytes(counted(2 * 2 * 6 * 8))));
    writeFile(folder.filePath("config.json"),
              bytesOf(R"({"model_type": "llama", "_name_or_path": "tiny", "num_hidden_layers": 2,
                          "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 16,
                          "rope_theta": 500000})"));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const PlaneGeometry* key = opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key);
    QCOMPARE(key->heads, std::int64_t{2});
    QCOMPARE(key->headDim, std::int64_t{4});
    QCOMPARE(opened->cache.info().model, std::string("tiny"));
    QVERIFY(std::abs(opened->cache.rope(LayerIndex(1))->inverseFrequencies[1] - std::pow(500000.0, -0.5)) < 1e-12);

    writeFile(folder.filePath("other.json"), bytesOf(R"({"num_hidden_layers": 2, "num_attention_heads": 1,
        "head_dim": 8, "rope_theta": 100})"));
    OpenOptions options;
    options.configPath = folder.filePath("other.json").toStdString();
    const auto other = openDump(path.toStdString(), options);
    QVERIFY2(other, other ? "" : other.error().message().c_str());
    QCOMPARE(other->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->heads, std::int64_t{1});
    options.configPath = folder.filePath("none.json").toStdString();
    QVERIFY(!openDump(path.toStdString(), options));
}

void TestAssembledDumps::contradictionsAreNotes() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.npy");
    writeFile(path, npyFile("<f4", {2, 2, 2, 6, 8}, floatBytes(counted(2 * 2 * 2 * 6 * 8))));
    writeFile(folder.filePath("config.json"),
              bytesOf(R"({"model_type": "llama", "num_hidden_layers": 3, "num_attention_heads": 4,
                          "num_key_value_heads": 2, "head_dim": 16, "rope_theta": 10000})"));
    OpenOptions options = withAxes("LXHTD");
    const auto opened = openDump(path.toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QVERIFY(notesSay(opened->cache, "says 3 layers but the dump holds 2"));
    QVERIFY(notesSay(opened->cache, "says 16 dimensions a head but the dump holds 8"));
    QVERIFY(!notesSay(opened->cache, "KV heads but"));
}

void TestAssembledDumps::badSideFilesAreNotes() {
    QTemporaryDir folder;
    const QString path = folder.filePath("cache.npy");
    writeFile(path, npyFile("<f4", {2, 2, 6, 8}, floatBytes(counted(2 * 2 * 6 * 8))));
    writeFile(folder.filePath("config.json"), bytesOf("{\"num_hidden_layers\": 0}"));
    writeFile(folder.filePath("cache.tokens.json"), bytesOf("{\"ids\": [1, \"x\"]}"));
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QVERIFY(notesSay(opened->cache, "num_hidden_layers"));
    QVERIFY(notesSay(opened->cache, "\"ids\" holds something that is no integer at place 1"));
}

void TestAssembledDumps::tokensBesideTheDump() {
    QTemporaryDir folder;
    const QString path = folder.filePath("a.kv.npy");
    writeFile(path, npyFile("<f4", {2, 2, 3, 8}, floatBytes(counted(2 * 2 * 3 * 8))));
    writeFile(folder.filePath("a.tokens.npy"), npyFile(">i2", {3}, bytesOf(std::string("\0\5\0\6\1\0", 6))));
    auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.info().tokens[0].ids, (std::vector<std::int64_t>{5, 6, 256}));
    writeFile(folder.filePath("a.kv.npy.tokens.json"), bytesOf(R"({"text": ["x", "y", "z"]})"));
    opened = openDump(path.toStdString());
    QVERIFY(opened);
    QCOMPARE(opened->cache.tokenText({}, 1), std::string("y"));
}

void TestAssembledDumps::aTypeInTheNameThatIsWrong() {
    QTemporaryDir folder;
    const Bytes bytes = npyFile("<f4", {2, 2, 3, 8}, floatBytes(counted(2 * 2 * 3 * 8)));
    writeFile(folder.filePath("llama_fp16.npy"), bytes);
    writeFile(folder.filePath("llama_f32.npy"), bytes);
    const auto wrong = openDump(folder.filePath("llama_fp16.npy").toStdString());
    QVERIFY(wrong);
    QVERIFY(notesSay(wrong->cache, "This dump is f32 although its name says fp16"));
    // Whole numbers up to 2048 are f16 values.
    QVERIFY(notesSay(wrong->cache, "is a value of f16"));
    const auto right = openDump(folder.filePath("llama_f32.npy").toStdString());
    QVERIFY(right);
    QVERIFY(!notesSay(right->cache, "although its name says"));
}

void TestAssembledDumps::bitsAreReadAsTheUserSays() {
    Bytes data;
    for (int i = 0; i < 2 * 2 * 3 * 8; ++i)
        appendLittle(data, 0x3C00, 2); // 1 as f16, 0.0078125 as bf16
    const auto bytes = memorySource(npyFile("<u2", {2, 2, 3, 8}, data), "x.npy");
    const auto bfloat = openDumpBytes(bytes, "");
    QVERIFY2(bfloat, bfloat ? "" : bfloat.error().message().c_str());
    QCOMPARE(valuesOf(bfloat->cache, 0, PlaneKind::Key)[0], 0.0078125F);
    QVERIFY(notesSay(bfloat->cache, "bits of bf16"));
    OpenOptions options;
    options.dtype = DType::F16;
    const auto half = openDumpBytes(bytes, "", options);
    QVERIFY(half);
    QCOMPARE(valuesOf(half->cache, 0, PlaneKind::Key)[0], 1.0F);
    options.dtype = DType::F32;
    QVERIFY(!openDumpBytes(memorySource(npyFile("<f2", {2, 2, 3, 8}, data), "x.npy"), "", options));
}

void TestAssembledDumps::crossAttentionIsLeftOut() {
    const auto opened = openEntries({floats("present.0.decoder.key", {1, 1, 3, 2}, counted(6)),
                                     floats("present.0.decoder.value", {1, 1, 3, 2}, counted(6)),
                                     floats("present.0.encoder.key", {1, 1, 5, 2}, counted(10)),
                                     floats("present.0.encoder.value", {1, 1, 5, 2}, counted(10))});
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().maxTokens(PlaneKind::Key), std::int64_t{3});
    QVERIFY(notesSay(opened->cache, "present.0.encoder.key"));
}

void TestAssembledDumps::namesThatSayNothingAreRefused() {
    const auto refused = openEntries({floats("alpha", {3, 2}, counted(6)), floats("beta", {3, 2}, counted(6))});
    QVERIFY(!refused);
    QVERIFY(QString::fromStdString(refused.error().message()).contains("alpha, beta"));
    const auto weights = openEntries({floats("model.layers.0.self_attn.k_proj.weight", {4, 4}, counted(16))});
    QVERIFY(!weights);
    const auto twice =
        openEntries({floats("layers.0.k", {3, 2}, counted(6)), floats("layers.0.key", {3, 2}, counted(6))});
    QVERIFY(!twice);
    QVERIFY(QString::fromStdString(twice.error().message()).contains("two tensors for the same layer"));
}

void TestAssembledDumps::fingerprintsChangeWithTheFile() {
    QTemporaryDir folder;
    const QString path = folder.filePath("a.npy");
    writeFile(path, npyFile("<f4", {2, 2, 3, 8}, floatBytes(counted(2 * 2 * 3 * 8))));
    const auto first = openDump(path.toStdString());
    const auto again = openDump(path.toStdString());
    QCOMPARE(first->cache.info().fingerprint, again->cache.info().fingerprint);
    OpenOptions options;
    options.heads = 2;
    const auto split = openDump(path.toStdString(), options);
    QVERIFY(split->cache.info().fingerprint != first->cache.info().fingerprint);
    writeFile(path, npyFile("<f4", {2, 2, 4, 8}, floatBytes(counted(2 * 2 * 4 * 8))));
    const auto longer = openDump(path.toStdString());
    QVERIFY(longer->cache.info().fingerprint != first->cache.info().fingerprint);
}

void TestAssembledDumps::metadataDescribeTheRun() {
    const std::vector<SafetensorsEntry> entries{floats("layers.0.key", {1, 1, 3, 4}, counted(12)),
                                                floats("layers.0.value", {1, 1, 3, 4}, counted(12))};
    const auto opened = openEntries(
        entries, withAxes("SHTD"),
        R"({"kvscope": "{\"model\": \"m\", \"synthetic\": true, \"rope_theta\": 100, \"rope_pairing\": \"interleaved\"}"})");
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.info().model, std::string("m"));
    QVERIFY(opened->cache.info().synthetic);
    QCOMPARE(opened->cache.rope(LayerIndex(0))->pairing, Rope::Pairing::Interleaved);
    QVERIFY(std::abs(opened->cache.rope(LayerIndex(0))->inverseFrequencies[1] - 0.1) < 1e-12);
    const auto bad = openEntries(entries, withAxes("SHTD"), R"({"kvscope": "{\"rope_theta\": -5}"})");
    QVERIFY(bad);
    QVERIFY(notesSay(bad->cache, "\"rope_theta\" is not"));
}

QTEST_APPLESS_MAIN(TestAssembledDumps)
#include "test_assembled_dumps.moc"
