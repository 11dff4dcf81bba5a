// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_reader.h"
#include "golden_dump.h"

#include <QTemporaryDir>
#include <QTest>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

Result<OpenedDump> open(const QString& path, const OpenOptions& options = {}) {
    const std::filesystem::path file = path.toStdString();
    return openFile(file).and_then([&](const ByteSourcePtr& bytes) { return openLlamaState(bytes, file, options); });
}

OpenOptions withHeads(const QJsonObject& expected) {
    OpenOptions options;
    options.heads = expected["planes"].toArray().first().toObject()["kv_heads"].toInteger();
    return options;
}

QString messageOf(const Result<OpenedDump>& opened) {
    return opened ? QString() : QString::fromStdString(opened.error().message());
}

bool hasNote(const KvCache& cache, const QString& text) {
    const auto& notes = cache.info().notes;
    return std::any_of(notes.begin(), notes.end(),
                       [&](const CacheNote& note) { return QString::fromStdString(note.text).contains(text); });
}

} // namespace

class TestLlamaState final : public QObject {
    Q_OBJECT

private slots:
    void readsEveryFixture_data() {
        QTest::addColumn<QString>("path");
        for (const auto& name : goldenFixtures("llamacpp"))
            QTest::newRow(qPrintable(name)) << goldenPath("llamacpp/" + name);
    }
    void readsEveryFixture() {
        QFETCH(QString, path);
        const auto expected = goldenExpectation(path);
        auto options = withHeads(expected);
        const auto opened = open(path, options);
        QVERIFY2(opened, qPrintable(messageOf(opened)));
        const auto& cache = opened->cache;
        const auto batch = expected["batch"].toInteger();
        QCOMPARE(cache.geometry().layerCount(), expected["layers"].toInteger());
        const auto types = expected["dtype"].toString();
        const auto& key = *cache.geometry().find(LayerIndex(0), PlaneKind::Key);
        const auto type = QString::fromStdString(key.storage.empty() ? std::string(nameOf(key.dtype)) : key.storage);
        QVERIFY2(types.startsWith("K " + type.toLower()), qPrintable(type));
        QCOMPARE(cache.nativeIsExact({LayerIndex(0), PlaneKind::Key, SequenceIndex(0)}), key.storage.empty());
        if (cache.geometry().sequences == batch) {
            QCOMPARE(differenceFromGolden(expected, cache), QString());
            return;
        }
        // Sequences of different lengths: one at a time, and the note says so.
        QVERIFY(hasNote(cache, "sequences"));
        const auto ids = expected["sequences"].toArray();
        for (int i = 0; i < ids.size(); ++i) {
            options.sequence = ids[i].toInteger();
            const auto one = open(path, options);
            QVERIFY2(one, qPrintable(messageOf(one)));
            QCOMPARE(differenceFromGolden(expected, one->cache, i, i), QString());
        }
        options.sequence = 77;
        QVERIFY(messageOf(open(path, options)).contains("no sequence 77"));
    }
    void undoesTheHadamardRotation_data() {
        QTest::addColumn<QString>("path");
        for (const auto& name : goldenFixtures("llamacpp")) {
            if (goldenExpectation(goldenPath("llamacpp/" + name)).contains("unrotated"))
                QTest::newRow(qPrintable(name)) << goldenPath("llamacpp/" + name);
        }
    }
    void undoesTheHadamardRotation() {
        QFETCH(QString, path);
        const auto expected = goldenExpectation(path);
        auto options = withHeads(expected);
        const auto stored = open(path, options);
        QVERIFY2(stored, qPrintable(messageOf(stored)));
        QVERIFY(hasNote(stored->cache, "Hadamard"));
        options.undoHadamard = true;
        const auto opened = open(path, options);
        QVERIFY2(opened, qPrintable(messageOf(opened)));
        QVERIFY(opened->cache.info().fingerprint != stored->cache.info().fingerprint);
        const auto unrotated = expected["unrotated"].toObject();
        for (const auto& item : unrotated["probes"].toArray()) {
            const auto probe = item.toArray();
            float value = 0;
            const PlaneId id{LayerIndex(probe[0].toInteger()), kindFromGolden(probe[1].toString()), SequenceIndex(0)};
            const auto token = probe[2].toInteger();
            const auto channel = probe[3].toInteger();
            QVERIFY(opened->cache.readRows(id, tokenRange(token, token + 1), channelRange(channel, channel + 1),
                                           std::span(&value, 1)));
            QVERIFY2(std::abs(static_cast<double>(value) - probe[4].toString().toDouble()) <=
                         unrotated["tolerance"].toDouble(),
                     qPrintable(QStringLiteral("%1 instead of %2").arg(value).arg(probe[4].toString())));
        }
    }
    void refusesHostileFiles_data() {
        QTest::addColumn<QString>("path");
        QTest::addColumn<QString>("must");
        QFile list(goldenPath("hostile/hostile.json"));
        QVERIFY(list.open(QIODevice::ReadOnly));
        for (const auto& item : QJsonDocument::fromJson(list.readAll()).array()) {
            const auto name = item.toObject()["file"].toString();
            if (name.contains(".ggs"))
                QTest::newRow(qPrintable(name)) << goldenPath("hostile/" + name) << item.toObject()["must"].toString();
        }
    }
    void refusesHostileFiles() {
        QFETCH(QString, path);
        QFETCH(QString, must);
        const auto opened = open(path);
        if (must == "open") {
            QVERIFY2(opened, qPrintable(messageOf(opened)));
        } else if (must == "error") {
            QVERIFY(!opened);
            QVERIFY2(messageOf(opened).contains("byte"), qPrintable(messageOf(opened)));
        }
    }
    void truncatedFilesAreRefused() {
        QFile whole(goldenPath("llamacpp/v0.3.36/session.f16.tiny.bin"));
        QVERIFY(whole.open(QIODevice::ReadOnly));
        const auto bytes = whole.readAll();
        const QTemporaryDir folder;
        for (qsizetype length = 4; length < bytes.size(); ++length) {
            QFile file(folder.filePath("cut.bin"));
            QVERIFY(file.open(QIODevice::WriteOnly));
            file.write(bytes.left(length));
            file.close();
            const auto opened = open(file.fileName());
            QVERIFY2(!opened, qPrintable(QString::number(length)));
            QVERIFY2(messageOf(opened).contains("byte"), qPrintable(messageOf(opened)));
        }
    }
};

QTEST_APPLESS_MAIN(TestLlamaState)
#include "test_llama_state.moc"
