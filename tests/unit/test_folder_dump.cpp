// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/folder_dump.h"
#include "core/io/lmcache_key.h"
#include "tests/unit/golden_dump.h"

#include <QDirIterator>
#include <QTemporaryDir>
#include <QTest>

using namespace kvscope;

namespace {

/// What the user would say for a fixture whose files leave it open.
OpenOptions optionsFor(const QJsonObject& expected) {
    OpenOptions options;
    const QJsonArray needs = expected["needs"].toArray();
    const QJsonObject plane = expected["planes"].toArray().at(0).toObject();
    if (needs.contains(QStringLiteral("kv_heads"))) {
        options.heads = plane["kv_heads"].toInt();
        options.headDim = plane["head_dim"].toInt();
    }
    if (needs.contains(QStringLiteral("layers")))
        options.layers = expected["layers"].toInt();
    return options;
}

QJsonArray hostileFiles() {
    QFile file(test::goldenFolder("hostile") + QStringLiteral("/hostile.json"));
    return file.open(QIODevice::ReadOnly) ? QJsonDocument::fromJson(file.readAll()).array() : QJsonArray();
}

void copyFolder(const QString& from, const QString& to) {
    QDirIterator files(from, QDir::Files, QDirIterator::Subdirectories);
    while (files.hasNext()) {
        const QString path = files.next();
        const QString target = to + path.mid(from.size());
        QDir().mkpath(QFileInfo(target).path());
        QVERIFY(QFile::copy(path, target));
    }
}

} // namespace

class TestFolderDump : public QObject {
    Q_OBJECT

private slots:
    void foldersOfTheirProducers_data() {
        QTest::addColumn<QString>("folder");
        for (const char* producer : {"vllm", "lmcache"}) {
            const QDir golden(test::goldenFolder(producer));
            for (const QFileInfo& entry : golden.entryInfoList(QDir::Dirs | QDir::NoDotAndDotDot))
                if (QFile::exists(entry.filePath() + QStringLiteral(".expected.json")))
                    QTest::addRow("%s %s", producer, qPrintable(entry.fileName())) << entry.filePath();
        }
    }

    void aChunkAloneIsSentToItsFolder() {
        // One of these begins like a pickle.
        const QDir folder(test::goldenFolder("lmcache") + QStringLiteral("/fs.f16.layerwise"));
        const auto files = folder.entryInfoList({QStringLiteral("*.data")}, QDir::Files);
        QCOMPARE(files.size(), 9);
        for (const QFileInfo& file : files) {
            const auto opened = openDump(file.filePath().toStdString(), {});
            QVERIFY(!opened);
            QVERIFY2(opened.error().message().find("Open the folder of the chunks") != std::string::npos,
                     opened.error().message().c_str());
        }
    }

    void workersWhoseHeadsAreGuessedAgree() {
        // Rotation shows in the K of one of the two workers alone.
        const QString folder = test::goldenFolder("vllm") + QStringLiteral("/v0.10.2.f16.tp2");
        const auto opened = openDump(folder.toStdString(), {});
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        const PlaneGeometry& keys = *opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key);
        QCOMPARE(keys.heads, 4);
        QCOMPARE(keys.headDim, 8);
        QVERIFY(std::ranges::any_of(opened->cache.info().notes, [](const CacheNote& note) {
            return note.text.find("guessed from the rotation") != std::string::npos;
        }));
    }

    void foldersOfTheirProducers() {
        QFETCH(QString, folder);
        const QJsonObject expected = test::readJsonObject(folder + QStringLiteral(".expected.json"));
        const auto opened = openDump(folder.toStdString(), optionsFor(expected));
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message().c_str());
        const QString difference = test::differenceFromExpected(opened->cache, expected);
        QVERIFY2(difference.isEmpty(), qPrintable(difference));
    }

    void pagedBlocks_data() {
        QTest::addColumn<QString>("file");
        const QDir golden(test::goldenFolder("vllm"));
        for (const QFileInfo& entry :
             golden.entryInfoList({QStringLiteral("paged.*.safetensors"), QStringLiteral("paged.*.pt")}, QDir::Files))
            QTest::addRow("%s", qPrintable(entry.fileName())) << entry.filePath();
    }

    void pagedBlocks() {
        QFETCH(QString, file);
        const auto opened = openDump(file.toStdString());
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message().c_str());
        const QString difference =
            test::differenceFromExpected(opened->cache, test::readJsonObject(file + QStringLiteral(".expected.json")));
        QVERIFY2(difference.isEmpty(), qPrintable(difference));
    }

    void chunksWithoutTokensFollowTheHand() {
        const QTemporaryDir folder;
        const QString source = test::goldenFolder("lmcache") + QStringLiteral("/fs.bf16");
        copyFolder(source, folder.path());
        QVERIFY(QFile::remove(folder.filePath(QStringLiteral("context.json"))));
        const QJsonObject expected = test::readJsonObject(source + QStringLiteral(".expected.json"));
        OpenOptions options = optionsFor(expected);
        const auto guessed = openDump(folder.path().toStdString(), options);
        QVERIFY2(guessed.has_value(), guessed ? "" : guessed.error().message().c_str());
        const auto& notes = guessed->cache.info().notes;
        QVERIFY(std::any_of(notes.begin(), notes.end(),
                            [](const CacheNote& note) { return note.text.find("by the times") != std::string::npos; }));

        for (const QJsonValue& key : expected["keys_in_order"].toArray())
            options.fileOrder.push_back(key.toString().section(QLatin1Char('@'), 3, 3).toStdString());
        const auto ordered = openDump(folder.path().toStdString(), options);
        QVERIFY2(ordered.has_value(), ordered ? "" : ordered.error().message().c_str());
        QCOMPARE(test::differenceFromExpected(ordered->cache, expected), QString());

        std::swap(options.fileOrder[0], options.fileOrder[1]);
        const auto swapped = openDump(folder.path().toStdString(), options);
        QVERIFY(swapped.has_value());
        QVERIFY(!test::differenceFromExpected(swapped->cache, expected).isEmpty());
        options.fileOrder = {"1234567890abcdef"};
        QVERIFY(!openDump(folder.path().toStdString(), options));
    }

    void headsAreGuessedOnceForAllLayers() {
        const QString folder = test::goldenFolder("vllm") + QStringLiteral("/v0.10.2.bf16");
        const auto opened = openDump(folder.toStdString());
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message().c_str());
        const auto& geometry = opened->cache.geometry();
        for (const PlaneId id : geometry.allPlanes())
            QCOMPARE(geometry.find(id)->heads, geometry.find(PlaneId{})->heads);
    }

    void hostileFolders_data() {
        QTest::addColumn<QString>("folder");
        QTest::addColumn<QString>("must");
        QTest::addColumn<QString>("about");
        for (const QJsonValue& value : hostileFiles()) {
            const QJsonObject file = value.toObject();
            const QString name = file["file"].toString();
            if (name.startsWith(QStringLiteral("folder_")) || name.startsWith(QStringLiteral("paged_")))
                QTest::addRow("%s", qPrintable(name)) << test::goldenFolder("hostile") + QLatin1Char('/') + name
                                                      << file["must"].toString() << file["about"].toString();
        }
    }

    void hostileFolders() {
        QFETCH(QString, folder);
        QFETCH(QString, must);
        const auto opened = openDump(folder.toStdString());
        if (must == QLatin1String("open"))
            QVERIFY2(opened.has_value(), opened ? "" : opened.error().message().c_str());
        if (must == QLatin1String("error"))
            QVERIFY(!opened && !opened.error().what.empty() && !opened.error().where.empty());
        if (folder.endsWith(QStringLiteral("folder_damaged_layer")))
            QVERIFY2(opened.error().message().find("model.layers.1.") != std::string::npos,
                     opened.error().message().c_str());
        if (folder.endsWith(QStringLiteral("folder_missing_layer"))) {
            QVERIFY(opened.has_value());
            const auto& notes = opened->cache.info().notes;
            QVERIFY(std::any_of(notes.begin(), notes.end(), [](const CacheNote& note) {
                return note.text.find("Layer 1 is missing") != std::string::npos;
            }));
        }
    }

    void hostileChunks() {
        const QString folder = test::goldenFolder("hostile");
        int tried = 0;
        for (const QJsonValue& value : hostileFiles()) {
            const QJsonObject file = value.toObject();
            if (file["format"].toString() != QLatin1String("data"))
                continue;
            // Under the name that makes it a chunk.
            const QTemporaryDir chunk;
            QVERIFY(QFile::copy(folder + QLatin1Char('/') + file["file"].toString(),
                                chunk.filePath(QStringLiteral("model@1@0@1a2b3c4d@bfloat16.data"))));
            const auto opened = openFolder(chunk.path().toStdString(), {});
            QVERIFY2(opened.has_value() == (file["must"].toString() == QLatin1String("open")),
                     qPrintable(file["about"].toString() +
                                (opened ? QString() : QString::fromStdString(opened.error().message()))));
            ++tried;
        }
        QVERIFY(tried > 10);
    }

    void keysAreRead() {
        const auto key = parseLmcacheKey("vendor-SEP-model@2@1@-2aed1ef88fef1121@half@7.data");
        QVERIFY(key.has_value());
        QCOMPARE(key->model, std::string("vendor/model"));
        QCOMPARE(key->worldSize, std::int64_t(2));
        QCOMPARE(key->worker, std::int64_t(1));
        QCOMPARE(key->hash, std::string("-2aed1ef88fef1121"));
        QVERIFY(key->dtype == DType::F16);
        QCOMPARE(*key->layer, std::int64_t(7));
        QVERIFY(parseLmcacheKey("vllm@vendor/model@1@0@1c5ba89a16aca907.data").has_value());
        QVERIFY(!parseLmcacheKey("model.layers.0.safetensors"));
        QVERIFY(!parseLmcacheKey("a@b@c@d"));
    }
};

QTEST_APPLESS_MAIN(TestFolderDump)
#include "test_folder_dump.moc"
