// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/tensor_names.h"

#include <QtTest>

#include <algorithm>

using namespace kvscope;

class TestTensorNames : public QObject {
    Q_OBJECT

private slots:
    void understandsNames_data();
    void understandsNames();
    void scalesAndZeroPoints();
    void numbersOfTuples();
    void countsAsPeopleDo();
};

void TestTensorNames::understandsNames_data() {
    QTest::addColumn<QString>("name");
    QTest::addColumn<int>("role");
    QTest::addColumn<int>("layer");
    const auto row = [](const char* name, TensorRole role, int layer) {
        QTest::newRow(name) << QString(name) << static_cast<int>(role) << layer;
    };
    row("layers.3.keys", TensorRole::Key, 3);
    row("layers.3.values", TensorRole::Value, 3);
    row("layer_12_key", TensorRole::Key, 12);
    row("layer_12.value", TensorRole::Value, 12);
    row("past_key_values.7.key", TensorRole::Key, 7);
    row("past_key_values.7.value", TensorRole::Value, 7);
    row("past_key_values.7", TensorRole::KeyValue, 7);
    row("present.4.decoder.key", TensorRole::Key, 4);
    row("model.layers.30.self_attn.k_cache", TensorRole::Key, 30);
    row("model.layers.30.self_attn.v_cache", TensorRole::Value, 30);
    row("key_cache.5", TensorRole::Key, 5);
    row("static_cache.value_cache_5", TensorRole::Value, 5);
    row("cache_k_l7", TensorRole::Key, 7);
    row("k_0", TensorRole::Key, 0);
    row("v11", TensorRole::Value, 11);
    row("keys", TensorRole::Key, -1);
    row("kv_chunk", TensorRole::KeyValue, -1);
    row("kv_cache", TensorRole::KeyValue, -1);
    row("layers.2.kv_c", TensorRole::Latent, 2);
    row("layers.2.compressed_kv", TensorRole::Latent, 2);
    row("layers.2.k_pe", TensorRole::LatentRope, 2);
    row("layers.2.key_before_rope", TensorRole::KeyBeforeRope, 2);
    row("k_pre_2", TensorRole::KeyBeforeRope, 2);
    row("kpre", TensorRole::KeyBeforeRope, -1);
    row("layers.2.query", TensorRole::Query, 2);
    row("keyCache3", TensorRole::Key, 3);
    row("layers.2.k_fp8", TensorRole::Key, 2);
    row("layers.2.key_int8", TensorRole::Key, 2);
    row("e4m3.layers.2.v", TensorRole::Value, 2);
    row("gpu.0.layers.3.k", TensorRole::Key, 3);
    row("input_ids", TensorRole::Tokens, -1);
    row("tokens", TensorRole::Tokens, -1);
    row("position_ids", TensorRole::Positions, -1);
    row("attention_mask", TensorRole::Other, -1);
    row("logits", TensorRole::Other, -1);
    row("arr_0", TensorRole::Unknown, 0);
    row("", TensorRole::Unknown, -1);
}

void TestTensorNames::understandsNames() {
    QFETCH(QString, name);
    QFETCH(int, role);
    QFETCH(int, layer);
    const TensorName parsed = parseTensorName(name.toStdString());
    QCOMPARE(static_cast<int>(parsed.role), role);
    QCOMPARE(parsed.layer.value_or(-1), std::int64_t{layer});
    QVERIFY(!parsed.scale);
    QVERIFY(!parsed.zeroPoint);
}

void TestTensorNames::scalesAndZeroPoints() {
    const TensorName scale = parseTensorName("layers.9.k_scale");
    QVERIFY(scale.scale);
    QCOMPARE(scale.role, TensorRole::Key);
    QCOMPARE(scale.layer.value_or(-1), std::int64_t{9});
    const TensorName zero = parseTensorName("layers.9.value_zero_point");
    QVERIFY(zero.zeroPoint);
    QCOMPARE(zero.role, TensorRole::Value);
    QVERIFY(parseTensorName("present.2.encoder.key").cross);
}

void TestTensorNames::numbersOfTuples() {
    const TensorName pair = parseTensorName("3.1");
    QCOMPARE(pair.numbers, (std::vector<std::int64_t>{3, 1}));
    QVERIFY(!pair.layer);
    QVERIFY(parseTensorName("99999999999999999999.k").numbers.empty());
}

void TestTensorNames::countsAsPeopleDo() {
    std::vector<std::string> names{"layer10", "layer9", "layer2.b", "layer2.a", "layer", "layer02.c"};
    std::sort(names.begin(), names.end(), naturalLess);
    QCOMPARE(names, (std::vector<std::string>{"layer", "layer2.a", "layer2.b", "layer02.c", "layer9", "layer10"}));
}

QTEST_APPLESS_MAIN(TestTensorNames)
#include "test_tensor_names.moc"
