// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "core/io/torch_reader.h"
#include "golden_dump.h"

#include <QDirIterator>
#include <QTest>

using namespace kvscope;
using namespace kvscope::test;

namespace {

Result<TensorTable> read(const QString& name) {
    const std::filesystem::path path = (goldenFolder("") + name).toStdString();
    KVSCOPE_ASSIGN(auto file, openFile(path));
    KVSCOPE_ASSIGN(const auto head, file->read(0, std::min<std::int64_t>(file->size(), 16)));
    if (!looksLikeZip(head))
        return readTorchLegacy(file, path);
    KVSCOPE_ASSIGN(const auto archive, ZipArchive::open(file));
    return readTorchZip(archive, path);
}

QString messageOf(const Result<TensorTable>& table) {
    return table ? QString() : QString::fromStdString(table.error().message());
}

QStringList namesOf(const TensorTable& table) {
    QStringList names;
    for (const auto& tensor : table.tensors)
        names.append(QString::fromStdString(tensor.name));
    return names;
}

QString shapeOf(const StoredTensor& tensor) {
    QStringList shape;
    for (const auto size : tensor.shape)
        shape.append(QString::number(size));
    return shape.join("x") + " " + QString::fromStdString(tensor.typeName);
}

} // namespace

class TestTorchReader final : public QObject {
    Q_OBJECT

private slots:
    void namesEveryTensor_data() {
        QTest::addColumn<QString>("fixture");
        QTest::addColumn<QStringList>("names");
        QTest::addColumn<QString>("firstShape");
        const auto pairs = QStringList{"0.0", "0.1", "1.0", "1.1", "2.0", "2.1"};
        QTest::newRow("one tensor") << "torch/tensor.f16.lkhtd.pt" << QStringList{""} << "3x2x4x9x8 torch.float16";
        QTest::newRow("one tensor, legacy")
            << "torch/tensor.f16.lkhtd.legacy.pt" << QStringList{""} << "3x2x4x9x8 torch.float16";
        QTest::newRow("tuples") << "torch/tuples.bf16.pt" << pairs << "1x4x9x8 torch.bfloat16";
        QTest::newRow("tuples, legacy") << "torch/tuples.bf16.legacy.pt" << pairs << "1x4x9x8 torch.bfloat16";
        QTest::newRow("tuples, protocol 4") << "torch/tuples.f16.protocol4.pt" << pairs << "1x4x9x8 torch.float16";
        QTest::newRow("tuples, legacy, protocol 5")
            << "torch/tuples.f16.protocol5.legacy.pt" << pairs << "1x4x9x8 torch.float16";
        QTest::newRow("views") << "torch/views.f16.pt" << pairs << "1x4x9x8 torch.float16";
        QTest::newRow("fp8") << "torch/tuples.e4m3.pt" << pairs << "1x4x9x8 torch.float8_e4m3fn";
        QTest::newRow("parameters") << "torch/parameters.f16.pt" << pairs << "1x4x9x8 torch.float16";
        QTest::newRow("lists in a dict") << "torch/dict.f16.caches.pt"
                                         << QStringList{"key_cache.0",   "key_cache.1",   "key_cache.2",
                                                        "value_cache.0", "value_cache.1", "value_cache.2"}
                                         << "1x4x9x8 torch.float16";
        QTest::newRow("cache and context")
            << "torch/dict.f16.context.pt"
            << QStringList{"input_ids",           "attention_mask",      "past_key_values.0.0", "past_key_values.0.1",
                           "past_key_values.1.0", "past_key_values.1.1", "past_key_values.2.0", "past_key_values.2.1"}
            << "1x9 torch.int64";
        QTest::newRow("state dict") << "torch/statedict.f16.pt"
                                    << QStringList{"static_cache.key_cache_0", "static_cache.value_cache_0",
                                                   "static_cache.key_cache_1", "static_cache.value_cache_1",
                                                   "static_cache.key_cache_2", "static_cache.value_cache_2"}
                                    << "1x4x9x8 torch.float16";
        const auto layers = QStringList{"layers.0.keys",   "layers.0.values", "layers.1.keys",
                                        "layers.1.values", "layers.2.keys",   "layers.2.values"};
        QTest::newRow("DynamicCache of 5.23")
            << "transformers/v5.23.0/llama.dynamic.f32.pt" << layers << "1x2x13x8 torch.float32";
        QTest::newRow("DynamicCache of 4.56")
            << "transformers/v4.56.2/llama.dynamic.f32.pt" << layers << "1x2x13x8 torch.float32";
        const auto lists =
            QStringList{"key_cache.0", "key_cache.1", "key_cache.2", "value_cache.0", "value_cache.1", "value_cache.2"};
        QTest::newRow("DynamicCache of 4.46")
            << "transformers/v4.46.3/llama.dynamic.f32.pt" << lists << "1x2x13x8 torch.float32";
        QTest::newRow("DynamicCache of 4.40")
            << "transformers/v4.40.2/llama.dynamic.f32.pt" << lists << "1x2x13x8 torch.float32";
    }
    void namesEveryTensor() {
        QFETCH(QString, fixture);
        QFETCH(QStringList, names);
        QFETCH(QString, firstShape);
        const auto table = read(fixture);
        QVERIFY2(table, qPrintable(messageOf(table)));
        QCOMPARE(namesOf(*table), names);
        QCOMPARE(shapeOf(table->tensors.front()), firstShape);
        if (fixture.startsWith("transformers"))
            QCOMPARE(QString::fromStdString(table->metadata.at("class")),
                     QString("transformers.cache_utils.DynamicCache"));
    }
    void knowsWhatCachesHold() {
        // Layers: window of 8, full attention (24 slots), window of 8; 19 tokens have passed.
        const auto full = read("transformers/v5.23.0/gemma2.static.f16.pt");
        QVERIFY2(full, qPrintable(messageOf(full)));
        QCOMPARE(full->tensors.size(), 6U);
        QCOMPARE(full->tensors[0].firstPosition.value(), 11);
        QCOMPARE(full->tensors[0].heldTokens.value(), 8);
        QCOMPARE(full->tensors[2].firstPosition.value(), 0);
        QCOMPARE(full->tensors[2].heldTokens.value(), 19);
        const auto shorter = read("transformers/v5.23.0/gemma2.static.short.f16.pt");
        QVERIFY2(shorter, qPrintable(messageOf(shorter)));
        for (const auto& tensor : shorter->tensors) {
            QCOMPARE(tensor.firstPosition.value(), 0);
            QCOMPARE(tensor.heldTokens.value(), 5);
        }
        const auto sliding = read("transformers/v5.23.0/mistral.sliding.f16.pt");
        QVERIFY2(sliding, qPrintable(messageOf(sliding)));
        for (const auto& tensor : sliding->tensors) {
            QCOMPARE(tensor.firstPosition.value(), 12);
            QVERIFY(!tensor.heldTokens);
        }
    }
    void opensEverySavedCache_data() {
        QTest::addColumn<QString>("path");
        const QDir golden(goldenFolder(""));
        for (const auto* name : {"torch", "transformers", "pickle"}) {
            QDirIterator files(golden.filePath(name), {"*.expected.json"}, QDir::Files, QDirIterator::Subdirectories);
            while (files.hasNext()) {
                const auto path = files.next().chopped(static_cast<int>(qstrlen(".expected.json")));
                QTest::newRow(qPrintable(golden.relativeFilePath(path))) << path;
            }
        }
    }
    void opensEverySavedCache() {
        QFETCH(QString, path);
        const auto expected = readJsonObject(path + ".expected.json");
        OpenOptions options;
        if (!expected["needs"].toArray().isEmpty())
            options.heads = expected["planes"].toArray().first().toObject()["kv_heads"].toInteger();
        const auto opened = openDump(path.toStdString(), options);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        QCOMPARE(differenceFromExpected(opened->cache, expected), QString());
        for (const auto& item : expected["planes"].toArray()) {
            const auto want = item.toObject();
            const auto kind = want["kind"].toString() == "V" ? PlaneKind::Value : PlaneKind::Key;
            const auto* plane = opened->cache.geometry().find(LayerIndex(want["layer"].toInteger()), kind);
            QVERIFY(plane != nullptr);
            QCOMPARE(plane->position(TokenIndex(0)), want["first_position"].toInteger());
        }
    }
    void scalarsGoToTheMetadata() {
        const auto table = read("torch/dict.f16.context.pt");
        QVERIFY2(table, qPrintable(messageOf(table)));
        const auto& metadata = table->metadata;
        QCOMPARE(QString::fromStdString(metadata.at("model")), QString("stories260K"));
        QCOMPARE(QString::fromStdString(metadata.at("config.rope_theta")), QString("10000"));
        QCOMPARE(QString::fromStdString(metadata.at("config.num_key_value_heads")), QString("4"));
        QCOMPARE(QString::fromStdString(metadata.at("shape")), QString("[3,2,1,4,9,8]"));
        const auto ids = readIntegers(table->tensors.front(), 100);
        QVERIFY(ids);
        QCOMPARE(*ids, (std::vector<std::int64_t>{1, 403, 407, 261, 378, 31, 19, 285, 401}));
    }
    void refusesHostileFiles_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("must");
        QFile list(goldenFolder("hostile/hostile.json"));
        QVERIFY(list.open(QIODevice::ReadOnly));
        for (const auto& item : QJsonDocument::fromJson(list.readAll()).array()) {
            const auto name = item.toObject()["file"].toString();
            if (name.endsWith(".pt"))
                QTest::newRow(qPrintable(name)) << "hostile/" + name << item.toObject()["must"].toString();
        }
    }
    void refusesHostileFiles() {
        QFETCH(QString, name);
        QFETCH(QString, must);
        // These hold tensors that are no cache: for the assembler to refuse.
        if (name == "hostile/zero_tokens.pt" || name == "hostile/expanded.pt")
            must = "open";
        const auto table = read(name);
        if (must == "open") {
            QVERIFY2(table, qPrintable(messageOf(table)));
        } else if (must == "error") {
            QVERIFY(!table);
            QVERIFY2(messageOf(table).size() > 40, qPrintable(messageOf(table)));
        }
    }
};

QTEST_APPLESS_MAIN(TestTorchReader)
#include "test_torch_reader.moc"
