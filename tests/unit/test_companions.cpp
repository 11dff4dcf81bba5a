// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "stats_test_data.h"

#include <QTemporaryDir>
#include <QtTest>

#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

/// Recordings that lie beside a dump, with the committed slice of a real model's dump.
class TestCompanions : public QObject {
    Q_OBJECT

private slots:
    void init() {
        folder_ = std::make_unique<QTemporaryDir>();
        put("small.kv.npy", "slice.kv.npy");
        options_.headDim = 8;
        options_.ropeTheta = 10000.0;
        options_.ropePairing = Rope::Pairing::Interleaved;
    }

    void withoutRecordingsThereIsNone() {
        const auto opened = openDump(pathOf("slice.kv.npy"), options_);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        QCOMPARE(opened->cache.geometry().kinds(), (std::vector{PlaneKind::Key, PlaneKind::Value}));
    }

    void keysBeforeRopeBelongToTheDump() {
        put("small.kpre.npy", "slice.kpre.npy");
        const auto opened = openDump(pathOf("slice.kv.npy"), options_);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        const KvGeometry& geometry = opened->cache.geometry();
        QCOMPARE(geometry.kinds(), (std::vector{PlaneKind::Key, PlaneKind::Value, PlaneKind::KeyBeforeRope}));
        QCOMPARE(geometry.layerCount(), 3);
        const auto recording = loadFloatNpy(goldenStats() / "small.kpre.npy");
        QVERIFY(recording);
        for (std::int64_t layer = 0; layer < 3; ++layer) {
            const PlaneGeometry& plane = *geometry.find(LayerIndex(layer), PlaneKind::Key);
            QCOMPARE(plane.heads, 4);
            QCOMPARE(plane.headDim, 8);
            const auto before = read(opened->cache, layer, PlaneKind::KeyBeforeRope);
            const auto start = recording->begin() + layer * plane.values();
            QVERIFY(std::equal(before.begin(), before.end(), start, start + plane.values()));
            // The same tokens of the same run: what RoPE made of them are the keys of the dump.
            auto turned = before;
            QVERIFY(opened->cache.rope(LayerIndex(layer)) != nullptr);
            rotate(*opened->cache.rope(LayerIndex(layer)), RopeDirection::Apply, plane, tokenRange(0, plane.tokens),
                   turned);
            const auto keys = read(opened->cache, layer, PlaneKind::Key);
            for (std::size_t i = 0; i < keys.size(); ++i)
                QVERIFY(std::abs(keys[i] - turned[i]) < 2e-4F);
        }
    }

    void queriesBelongToTheDump() {
        put("small.kpre.npy", "slice.q.npy");
        const auto opened = openDump(pathOf("slice.kv.npy"), options_);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        QCOMPARE(opened->cache.geometry().kinds(), (std::vector{PlaneKind::Key, PlaneKind::Value, PlaneKind::Query}));
        const auto recording = loadFloatNpy(goldenStats() / "small.kpre.npy");
        const auto queries = read(opened->cache, 0, PlaneKind::Query);
        QVERIFY(recording && std::equal(queries.begin(), queries.end(), recording->begin()));
    }

    void recordingsOfOtherDumpsAreLeftAlone() {
        put("small.kpre.npy", "other.kpre.npy");
        const auto opened = openDump(pathOf("slice.kv.npy"), options_);
        QVERIFY(opened);
        QCOMPARE(opened->cache.geometry().kinds(), (std::vector{PlaneKind::Key, PlaneKind::Value}));
    }

    void aRecordingAloneIsOne() {
        put("small.kpre.npy", "slice.kpre.npy");
        const auto opened = openDump(pathOf("slice.kpre.npy"), options_);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        QCOMPARE(opened->cache.geometry().kinds(), std::vector{PlaneKind::KeyBeforeRope});
    }

private:
    [[nodiscard]] std::filesystem::path pathOf(const char* name) const {
        return folder_->filePath(QLatin1String(name)).toStdString();
    }

    void put(const char* fixture, const char* name) const {
        std::filesystem::copy_file(goldenStats() / fixture, pathOf(name));
    }

    static std::vector<float> read(const KvCache& cache, std::int64_t layer, PlaneKind kind) {
        const PlaneId id{LayerIndex(layer), kind, {}};
        const PlaneGeometry& plane = *cache.geometry().find(id);
        std::vector<float> values(static_cast<std::size_t>(plane.values()));
        return cache.readRows(id, tokenRange(0, plane.tokens), values) ? values : std::vector<float>();
    }

    std::unique_ptr<QTemporaryDir> folder_;
    OpenOptions options_;
};

QTEST_APPLESS_MAIN(TestCompanions)
#include "test_companions.moc"
