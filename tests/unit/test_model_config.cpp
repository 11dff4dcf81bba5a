// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/model_config.h"
#include "tests/unit/golden_dump.h"
#include "tests/unit/zip_writer.h"

#include <QtTest>

#include <cmath>

using namespace kvscope;
using namespace kvscope::test;

namespace {

Result<ModelConfig> parse(const std::string& text) {
    return readModelConfig(*memorySource(bytesOf(text), "config.json"));
}

} // namespace

class TestModelConfig : public QObject {
    Q_OBJECT

private slots:
    void rotatesAsTransformersDoes_data();
    void rotatesAsTransformersDoes();
    void readsGeometry();
    void localAndGlobalLayers();
    void pairings();
    void modelsWithoutRotation();
    void describesDumps();
    void badFieldsAreNamed_data();
    void badFieldsAreNamed();
};

void TestModelConfig::rotatesAsTransformersDoes_data() {
    QTest::addColumn<QJsonObject>("golden");
    const QJsonObject cases = readJsonObject(goldenFolder("model_config/rope.json"))["cases"].toObject();
    QVERIFY(!cases.isEmpty());
    for (const QString& name : cases.keys())
        QTest::newRow(qPrintable(name)) << cases[name].toObject();
}

void TestModelConfig::rotatesAsTransformersDoes() {
    QFETCH(QJsonObject, golden);
    const auto config = parse(QJsonDocument(golden["config"].toObject()).toJson().toStdString());
    QVERIFY2(config, config ? "" : config.error().message().c_str());
    QCOMPARE(config->headDim.value_or(0), std::int64_t{golden["head_dim"].toInt()});
    const auto ropes = config->ropes(2, *config->headDim);
    QCOMPARE(ropes.size(), std::size_t{2});
    QVERIFY(ropes[1]);
    const QJsonArray expected = golden["inverse_frequencies"].toArray();
    QCOMPARE(static_cast<qsizetype>(ropes[1]->inverseFrequencies.size()), expected.size());
    for (qsizetype i = 0; i < expected.size(); ++i) {
        const double want = expected[i].toDouble();
        const double got = ropes[1]->inverseFrequencies[static_cast<std::size_t>(i)];
        // transformers computes in float32.
        QVERIFY2(std::abs(got - want) <= 1e-6 * std::abs(want),
                 qPrintable(QString("%1: %2, %3").arg(i).arg(got).arg(want)));
    }
    QVERIFY(std::abs(ropes[1]->attentionScale - golden["attention_factor"].toDouble()) < 1e-6);
    QCOMPARE(ropes[1]->pairing, Rope::Pairing::HalfSplit);
}

void TestModelConfig::readsGeometry() {
    const auto llama = parse(R"({"model_type": "llama", "_name_or_path": "a/model", "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096, "sliding_window": null})");
    QVERIFY(llama);
    QCOMPARE(llama->layers.value_or(0), std::int64_t{32});
    QCOMPARE(llama->kvHeads.value_or(0), std::int64_t{8});
    QCOMPARE(llama->headDim.value_or(0), std::int64_t{128});
    QCOMPARE(llama->model, std::string("a/model"));
    QVERIFY(!llama->slidingWindow);

    const auto gpt = parse(R"({"model_type": "gpt_neox", "num_hidden_layers": 2, "num_attention_heads": 8,
        "hidden_size": 512, "rotary_pct": 0.25, "rotary_emb_base": 10000})");
    QVERIFY(gpt);
    QCOMPARE(gpt->kvHeads.value_or(0), std::int64_t{8});
    QCOMPARE(gpt->ropes(2, 64)[0]->rotaryDim(), std::int64_t{16});

    const auto falcon = parse(R"({"num_hidden_layers": 2, "num_attention_heads": 71, "multi_query": true,
        "hidden_size": 4544})");
    QVERIFY(falcon);
    QCOMPARE(falcon->kvHeads.value_or(0), std::int64_t{1});

    const auto deepseek = parse(R"({"model_type": "deepseek_v2", "num_hidden_layers": 2, "num_attention_heads": 16,
        "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "rope_theta": 10000})");
    QVERIFY(deepseek);
    QCOMPARE(deepseek->latentDim.value_or(0), std::int64_t{512});
    QCOMPARE(deepseek->latentRopeDim.value_or(0), std::int64_t{64});
    QCOMPARE(deepseek->headDim.value_or(0), std::int64_t{192});
}

void TestModelConfig::localAndGlobalLayers() {
    // Gemma 3: five sliding layers, then a global one; scaling is for the global ones only.
    const auto gemma = parse(R"({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text",
        "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "rope_theta": 1000000, "rope_local_base_freq": 10000, "sliding_window": 512, "sliding_window_pattern": 6,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}}})");
    QVERIFY2(gemma, gemma ? "" : gemma.error().message().c_str());
    const auto ropes = gemma->ropes(6, 256);
    const double local = std::pow(10000.0, -2.0 / 256);
    const double global = std::pow(1000000.0, -2.0 / 256) / 8;
    QVERIFY(std::abs(ropes[0]->inverseFrequencies[1] - local) < 1e-12);
    QVERIFY(std::abs(ropes[4]->inverseFrequencies[1] - local) < 1e-12);
    QVERIFY(std::abs(ropes[5]->inverseFrequencies[1] - global) < 1e-12);
    QCOMPARE(gemma->slidingWindow.value_or(0), std::int64_t{512});

    // transformers 5 writes the two rotations apart.
    const auto newer = parse(R"({"model_type": "gemma3_text", "num_hidden_layers": 2, "head_dim": 256,
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000},
                            "sliding_attention": {"rope_type": "default", "rope_theta": 10000}}})");
    QVERIFY2(newer, newer ? "" : newer.error().message().c_str());
    QVERIFY(std::abs(newer->ropes(2, 256)[0]->inverseFrequencies[1] - global) < 1e-12);
    QVERIFY(std::abs(newer->ropes(2, 256)[1]->inverseFrequencies[1] - local) < 1e-12);

    const auto smol = parse(R"({"model_type": "smollm3", "num_hidden_layers": 4, "head_dim": 8, "rope_theta": 10000,
        "no_rope_layers": [1, 1, 1, 0]})");
    QVERIFY(smol);
    QVERIFY(smol->ropes(4, 8)[2].has_value());
    QVERIFY(!smol->ropes(4, 8)[3].has_value());
}

void TestModelConfig::pairings() {
    const auto pairing = [](const std::string& text) { return parse(text)->ropes(1, 8)[0]->pairing; };
    QCOMPARE(pairing(R"({"model_type": "gptj", "n_layer": 1})"), Rope::Pairing::Interleaved);
    QCOMPARE(pairing(R"({"model_type": "cohere", "rope_theta": 10000})"), Rope::Pairing::Interleaved);
    QCOMPARE(pairing(R"({"model_type": "mistral", "rope_theta": 10000})"), Rope::Pairing::HalfSplit);
    QCOMPARE(pairing(R"({"model_type": "deepseek_v3", "rope_interleave": false, "rope_theta": 10000})"),
             Rope::Pairing::HalfSplit);
    const auto rotary = parse(R"({"model_type": "gptj", "n_layer": 1, "rotary_dim": 4})");
    QCOMPARE(rotary->ropes(1, 8)[0]->rotaryDim(), std::int64_t{4});
}

void TestModelConfig::modelsWithoutRotation() {
    const auto gpt2 = parse(R"({"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 16})");
    QVERIFY(gpt2);
    QVERIFY(gpt2->rotatesNothing);
    QCOMPARE(gpt2->ropes(2, 8).size(), std::size_t{2});
    QVERIFY(!gpt2->ropes(2, 8)[0]);
    const auto unknown = parse(R"({"layers": 2, "heads": 2})");
    QVERIFY(unknown);
    QVERIFY(unknown->ropes(2, 8).empty());
}

void TestModelConfig::describesDumps() {
    const auto dump = parse(R"({"model": "m.bin", "layers": 5, "heads": 8, "kv_heads": 4, "head_dim": 8,
        "rope": "interleaved pairs", "synthetic": true})");
    QVERIFY(dump);
    QCOMPARE(dump->queryHeads.value_or(0), std::int64_t{8});
    QCOMPARE(dump->kvHeads.value_or(0), std::int64_t{4});
    QVERIFY(dump->synthetic);
    QCOMPARE(dump->ropes(5, 8)[0]->pairing, Rope::Pairing::Interleaved);
    QVERIFY(std::abs(dump->ropes(5, 8)[0]->inverseFrequencies[1] - 0.1) < 1e-12);
    QVERIFY(!dump->notes.empty()); // theta was assumed
}

void TestModelConfig::badFieldsAreNamed_data() {
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("message");
    QTest::newRow("not JSON") << "{\"a\": }"
                              << "byte";
    QTest::newRow("list") << "[1]"
                          << "not a JSON object";
    QTest::newRow("negative layers") << R"({"num_hidden_layers": -3})"
                                     << "num_hidden_layers";
    QTest::newRow("giant heads") << R"({"num_attention_heads": 99999999999})"
                                 << "num_attention_heads";
    QTest::newRow("fraction") << R"({"head_dim": 1.5})"
                              << "head_dim";
    QTest::newRow("theta zero") << R"({"rope_theta": 0})"
                                << "rope_theta";
    QTest::newRow("factor") << R"({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": -2}})"
                            << "factor";
    QTest::newRow("llama3 factors") << R"({"rope_theta": 1e4, "rope_scaling": {"rope_type": "llama3", "factor": 8,
        "low_freq_factor": 4, "high_freq_factor": 1, "original_max_position_embeddings": 8192}})"
                                    << "high_freq_factor";
    QTest::newRow("deep") << QString(200, '[') + QString(200, ']') << "nested deeper";
}

void TestModelConfig::badFieldsAreNamed() {
    QFETCH(QString, text);
    QFETCH(QString, message);
    const auto config = parse(text.toStdString());
    QVERIFY(!config);
    QVERIFY2(QString::fromStdString(config.error().message()).contains(message), config.error().message().c_str());
    QVERIFY(!config.error().advice.empty());
}

QTEST_APPLESS_MAIN(TestModelConfig)
#include "test_model_config.moc"
