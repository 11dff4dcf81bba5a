// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "golden_dump.h"

#include <QDirIterator>
#include <QTest>

#include <algorithm>

using namespace kvscope;
using namespace kvscope::test;

namespace {

/// Paths of the fixtures, relative to their folder.
QStringList fixtures() {
    QStringList names;
    const QDir folder(goldenFolder("llamacpp"));
    QDirIterator files(folder.path(), {"*.expected.json"}, QDir::Files, QDirIterator::Subdirectories);
    while (files.hasNext()) {
        auto name = folder.relativeFilePath(files.next());
        names.append(name.chopped(static_cast<int>(qstrlen(".expected.json"))));
    }
    names.sort();
    return names;
}

QString pathOf(const QString& fixture) {
    return goldenFolder("llamacpp/") + fixture;
}

Result<OpenedDump> open(const QString& path, const OpenOptions& options = {}) {
    return openDump(path.toStdString(), options);
}

OpenOptions withHeads(const QJsonObject& expected) {
    OpenOptions options;
    const auto plane = expected["planes"].toArray().first().toObject();
    if (plane["kind"].toString() == "K")
        options.heads = plane["kv_heads"].toInteger();
    return options;
}

QString messageOf(const Result<OpenedDump>& opened) {
    return opened ? QString() : QString::fromStdString(opened.error().message());
}

/// The planes of one item of a batch, as if it were alone.
QJsonObject onlySequence(QJsonObject expected, int batch) {
    QJsonArray planes;
    for (const auto& item : expected["planes"].toArray()) {
        auto plane = item.toObject();
        if (plane["batch"].toInt() != batch)
            continue;
        plane["batch"] = 0;
        planes.append(plane);
    }
    expected["planes"] = planes;
    expected["batch"] = 1;
    return expected;
}

/// Two memories lie one behind the other. In a session, which names the architecture, layers get the numbers that they
/// have in the model; in a sequence file they keep the order of the file.
QJsonObject asNumbered(QJsonObject expected) {
    QJsonArray planes;
    for (const auto& item : expected["planes"].toArray()) {
        auto plane = item.toObject();
        if (expected["file"].toString() == "session" && plane.contains("model_layer"))
            plane["layer"] = plane["model_layer"];
        planes.append(plane);
    }
    expected["planes"] = planes;
    return expected;
}

QString differentPosition(const KvCache& cache, const QJsonObject& expected) {
    for (const auto& item : expected["planes"].toArray()) {
        const auto want = item.toObject();
        const auto layer = LayerIndex(want["layer"].toInteger());
        const auto kind = want["kind"].toString();
        const auto* plane = cache.geometry().find(layer, kind == "K"   ? PlaneKind::Key
                                                         : kind == "V" ? PlaneKind::Value
                                                                       : PlaneKind::Latent);
        const auto positions = want["positions"].toArray();
        if (positions.size() != plane->tokens)
            return QString("layer %1 lists %2 positions").arg(layer.value).arg(positions.size());
        for (qsizetype t = 0; t < positions.size(); ++t) {
            if (plane->position(TokenIndex(t)) != positions[t].toInteger())
                return QString("layer %1 slot %2 has position %3")
                    .arg(layer.value)
                    .arg(t)
                    .arg(plane->position(TokenIndex(t)));
        }
    }
    return {};
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
        for (const auto& name : fixtures())
            QTest::newRow(qPrintable(name)) << pathOf(name);
    }
    void readsEveryFixture() {
        QFETCH(QString, path);
        const auto expected = asNumbered(readJsonObject(path + ".expected.json"));
        auto options = withHeads(expected);
        const auto opened = open(path, options);
        QVERIFY2(opened, qPrintable(messageOf(opened)));
        const auto& cache = opened->cache;
        QCOMPARE(hasNote(cache, "alternate"), expected["memories"].toInt() == 2 && expected["file"] == "sequence");
        const auto id = cache.geometry().allPlanes().front();
        const auto& plane = *cache.geometry().find(id);
        const auto type =
            QString::fromStdString(plane.storage.empty() ? std::string(nameOf(plane.dtype)) : plane.storage);
        QVERIFY2(expected["dtype"].toString().contains(type.toLower()), qPrintable(type));
        QCOMPARE(cache.nativeIsExact(id), plane.storage.empty());
        if (cache.geometry().sequences == expected["batch"].toInteger()) {
            QCOMPARE(differenceFromExpected(cache, expected), QString());
            QCOMPARE(differentPosition(cache, expected), QString());
            return;
        }
        // Sequences of different lengths: one at a time, and a note says so.
        QVERIFY(hasNote(cache, "sequences"));
        const auto ids = expected["sequences"].toArray();
        for (int i = 0; i < ids.size(); ++i) {
            options.sequence = ids[i].toInteger();
            const auto one = open(path, options);
            QVERIFY2(one, qPrintable(messageOf(one)));
            QCOMPARE(differenceFromExpected(one->cache, onlySequence(expected, i)), QString());
            QCOMPARE(differentPosition(one->cache, onlySequence(expected, i)), QString());
        }
        // What is offered to choose from is what there is.
        const auto offered = open(path, options);
        QVERIFY(offered && offered->sequences.all.size() == static_cast<std::size_t>(ids.size()));
        for (qsizetype i = 0; i < ids.size(); ++i)
            QCOMPARE(offered->sequences.all[static_cast<std::size_t>(i)].id, ids[i].toInteger());
        QCOMPARE(offered->sequences.all[offered->sequences.shown].id, *options.sequence);
        options.sequence = 77;
        QVERIFY(messageOf(open(path, options)).contains("no sequence 77"));
    }
    void undoesTheHadamardRotation_data() {
        QTest::addColumn<QString>("path");
        for (const auto& name : fixtures()) {
            if (readJsonObject(pathOf(name) + ".expected.json").contains("unrotated"))
                QTest::newRow(qPrintable(name)) << pathOf(name);
        }
    }
    void undoesTheHadamardRotation() {
        QFETCH(QString, path);
        const auto expected = readJsonObject(path + ".expected.json");
        auto options = withHeads(expected);
        const auto stored = open(path, options);
        QVERIFY2(stored, qPrintable(messageOf(stored)));
        QVERIFY(hasNote(stored->cache, "Say when opening whether to undo it"));
        options.undoHadamard = false;
        const auto told = open(path, options);
        QVERIFY2(told, qPrintable(messageOf(told)));
        QVERIFY(hasNote(told->cache, "not Hadamard-rotated, as told"));
        QVERIFY(!hasNote(told->cache, "Say when opening"));
        options.undoHadamard = true;
        const auto opened = open(path, options);
        QVERIFY2(opened, qPrintable(messageOf(opened)));
        QVERIFY(opened->cache.info().fingerprint != stored->cache.info().fingerprint);
        const auto unrotated = expected["unrotated"].toObject();
        for (const auto& item : unrotated["probes"].toArray()) {
            const auto probe = item.toArray();
            float value = 0;
            const auto kind = probe[1].toString() == "K" ? PlaneKind::Key : PlaneKind::Value;
            const PlaneId id{LayerIndex(probe[0].toInteger()), kind, SequenceIndex(0)};
            const auto token = probe[2].toInteger();
            const auto channel = probe[3].toInteger();
            QVERIFY(opened->cache.readRows(id, tokenRange(token, token + 1), channelRange(channel, channel + 1),
                                           std::span(&value, 1)));
            QVERIFY2(std::abs(static_cast<double>(value) - probe[4].toString().toDouble()) <=
                         unrotated["tolerance"].toDouble(),
                     qPrintable(QStringLiteral("%1 instead of %2").arg(value).arg(probe[4].toString())));
        }
    }
    void countsBytesAsStored() {
        // 2 layers of K and V: Q8_0 blocks of 34 bytes, or 11 cells of 64 halves.
        OpenOptions options;
        options.heads = 2;
        const auto quantised = open(pathOf("v0.3.36/session.q8_0.bin"), options);
        QVERIFY2(quantised, qPrintable(messageOf(quantised)));
        const auto& geometry = quantised->cache.geometry();
        const auto rows = 4 * geometry.find(LayerIndex(0), PlaneKind::Key)->tokens;
        const auto blocks = geometry.find(LayerIndex(0), PlaneKind::Key)->channels() / 32;
        QCOMPARE(geometry.cacheBytes(), rows * blocks * 34);
        const auto halves = open(pathOf("v0.3.36/session.f16.bin"), options);
        QVERIFY2(halves, qPrintable(messageOf(halves)));
        QCOMPARE(halves->cache.geometry().cacheBytes(), 4 * 11 * 64 * 2);
    }
    void refusesHostileFiles_data() {
        QTest::addColumn<QString>("path");
        QTest::addColumn<QString>("must");
        QFile list(goldenFolder("hostile/hostile.json"));
        QVERIFY(list.open(QIODevice::ReadOnly));
        for (const auto& item : QJsonDocument::fromJson(list.readAll()).array()) {
            const auto name = item.toObject()["file"].toString();
            if (name.contains(".ggs"))
                QTest::newRow(qPrintable(name))
                    << goldenFolder("hostile/") + name << item.toObject()["must"].toString();
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
    /// The message is that of the layout which explains most of the file, not of the last one tried.
    void namesWhatIsWrong() {
        for (const auto& [file, what] : {std::pair("type_unknown.ggsn.bin", "ggml type 999"),
                                         std::pair("row_giant.ggsn.bin", "rows of 9223372036854775808 bytes")}) {
            const auto message = messageOf(open(goldenFolder("hostile/") + file));
            QVERIFY2(message.contains(what), qPrintable(message));
        }
    }
    void truncatedFilesAreRefused() {
        QFile whole(pathOf("v0.3.36/session.f16.tiny.bin"));
        QVERIFY(whole.open(QIODevice::ReadOnly));
        const auto bytes = whole.readAll();
        for (qsizetype length = 4; length < bytes.size(); ++length) {
            const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
            const auto cut = memorySource(std::vector<std::byte>(begin, begin + length), "cut.bin");
            const auto opened = openDumpBytes(cut, {});
            QVERIFY2(!opened, qPrintable(QString::number(length)));
            QVERIFY2(messageOf(opened).contains("byte"), qPrintable(messageOf(opened)));
        }
    }
};

QTEST_APPLESS_MAIN(TestLlamaState)
#include "test_llama_state.moc"
