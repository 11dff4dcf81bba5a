// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/unit/golden_dump.h"

#include <QTemporaryDir>
#include <QtTest>

#include <numbers>

using namespace kvscope;
using namespace kvscope::test;

/// A real model's dump with its companions, from the extra data; and copies of it under other circumstances.
class TestOpenStories : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void companionsBelongToTheDump();
    void undoingRopeGivesTheRecordedKeys();
    void aCompanionAloneIsARecording();
    void logitsAreNoCache();
    void headsOfMergedChannelsAreFound();

private:
    QString dumps_;
};

void TestOpenStories::initTestCase() {
    if (extraData().isEmpty())
        QSKIP("KVSCOPE_TEST_DATA (or ../shared/data) is not there");
    dumps_ = extraData() + "/dumps/";
}

void TestOpenStories::companionsBelongToTheDump() {
    const auto opened = openDump((dumps_ + "stories260K.story_a.kv.npy").toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvCache& cache = opened->cache;
    const KvGeometry& geometry = cache.geometry();
    QCOMPARE(geometry.layerCount(), 5);
    QCOMPARE(geometry.kinds(),
             (std::vector{PlaneKind::Key, PlaneKind::Value, PlaneKind::Query, PlaneKind::KeyBeforeRope}));
    const PlaneGeometry* key = geometry.find(LayerIndex(0), PlaneKind::Key);
    QCOMPARE(key->heads, 4);
    QCOMPARE(key->headDim, 8);
    QCOMPARE(key->tokens, 256);
    QCOMPARE(geometry.find(LayerIndex(4), PlaneKind::Query)->heads, 8);
    QCOMPARE(geometry.find(LayerIndex(4), PlaneKind::KeyBeforeRope)->heads, 4);
    QCOMPARE(cache.info().tokens.size(), std::size_t{1});
    QCOMPARE(cache.info().tokens[0].ids.size(), std::size_t{256});
    QVERIFY(QString::fromStdString(cache.info().model).contains("stories260K"));
    QVERIFY(cache.info().layout.find("layer, K/V, token, channel") != std::string::npos);
    const Rope* rope = cache.rope(LayerIndex(0));
    QVERIFY(rope != nullptr);
    QCOMPARE(rope->pairing, Rope::Pairing::Interleaved);
    QCOMPARE(rope->rotaryDim(), 8);
    QCOMPARE(opened->layouts.size(), std::size_t{1}); // the description's sizes leave one reading
}

void TestOpenStories::undoingRopeGivesTheRecordedKeys() {
    const auto opened = openDump((dumps_ + "stories260K.story_b.kv.npy").toStdString());
    QVERIFY(opened);
    for (std::int64_t layer = 0; layer < 5; ++layer) {
        const PlaneId key{LayerIndex(layer), PlaneKind::Key, {}};
        const PlaneId before{LayerIndex(layer), PlaneKind::KeyBeforeRope, {}};
        const PlaneGeometry& plane = *opened->cache.geometry().find(key);
        const auto tokens = tokenRange(0, plane.tokens);
        std::vector<float> rotated(static_cast<std::size_t>(plane.values()));
        std::vector<float> recorded(rotated.size());
        QVERIFY(opened->cache.readRows(key, tokens, rotated));
        QVERIFY(opened->cache.readRows(before, tokens, recorded));
        rotate(*opened->cache.rope(LayerIndex(layer)), RopeDirection::Undo, plane, tokens, rotated);
        for (std::size_t i = 0; i < rotated.size(); ++i)
            QVERIFY(std::abs(rotated[i] - recorded[i]) < 2e-4F);
    }
}

void TestOpenStories::aCompanionAloneIsARecording() {
    const auto opened = openDump((dumps_ + "stories260K.story_a.q.npy").toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.geometry().kinds(), std::vector{PlaneKind::Query});
    QCOMPARE(opened->cache.geometry().maxTokens(PlaneKind::Query), 256);
}

void TestOpenStories::logitsAreNoCache() {
    QVERIFY(!openDump((dumps_ + "stories260K.story_a.logits.npy").toStdString()));
    QVERIFY(!openDump((dumps_ + "stories260K.story_a.tokens.npy").toStdString()));
}

void TestOpenStories::headsOfMergedChannelsAreFound() {
    QTemporaryDir folder;
    for (const char* story : {"a", "b"}) {
        const QString copy = folder.filePath(QString("%1.npy").arg(story));
        QVERIFY(QFile::copy(dumps_ + "stories260K.story_" + story + ".kv.npy", copy));
        const auto opened = openDump(copy.toStdString());
        QVERIFY(opened);
        const PlaneGeometry* key = opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key);
        QCOMPARE(key->heads, 4);
        QCOMPARE(key->headDim, 8);
        QVERIFY(opened->layouts.size() > 1);
        QVERIFY(opened->layouts.front().confidence > 0.9);
        QVERIFY(std::any_of(opened->cache.info().notes.begin(), opened->cache.info().notes.end(), [](const auto& note) {
            return note.text.find("guessed from the rotation") != std::string::npos;
        }));
    }
}

QTEST_APPLESS_MAIN(TestOpenStories)
#include "test_open_stories.moc"
