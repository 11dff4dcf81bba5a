// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/cache_map.h"
#include "core/stats/pyramid_folder.h"
#include "naive_map.h"

#include <QtTest>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>

using namespace kvscope;
using namespace kvscope::test;

namespace fs = std::filesystem;

/// Kept pyramids of small dumps, told apart by their fingerprints.
class TestPyramidFolder : public QObject {
    Q_OBJECT

private slots:
    void init() {
        folder_ = std::make_unique<QTemporaryDir>();
        path_ = folder_->path().toStdString();
    }

    void theOneUsedLongestAgoGoesFirst() {
        for (std::uint64_t dump = 1; dump <= 3; ++dump) {
            QVERIFY(build(dump, {}));
            // The first is the oldest.
            age(dump, std::chrono::hours(10 - dump));
        }
        const std::int64_t each = static_cast<std::int64_t>(fs::file_size(fileOf(1)));
        // Opening counts as use.
        QVERIFY(isKept(1));
        QVERIFY(build(4, 3 * each));
        QVERIFY(!isKept(2));
        QVERIFY(isKept(1));
        QVERIFY(isKept(3));
        QVERIFY(isKept(4));
    }

    void aPyramidAboveTheLimitIsBuiltButNotKept() {
        QVERIFY(build(1, {}));
        QVERIFY(build(2, static_cast<std::int64_t>(fs::file_size(fileOf(1))) - 1));
        QVERIFY(isKept(1));
        QVERIFY(!isKept(2));
        QVERIFY(build(2, 0));
        QVERIFY(!isKept(2));
    }

    void loweringTheLimitRemovesWhatIsAbove() {
        QVERIFY(build(1, {}));
        QVERIFY(build(2, {}));
        age(1, std::chrono::hours(1));
        const std::ofstream foreign(path_ / "notes.txt");
        const auto size = static_cast<std::int64_t>(fs::file_size(fileOf(1)));
        QVERIFY(makeRoom({path_, 2 * size}, 0));
        QVERIFY(isKept(1) && isKept(2));
        age(1, std::chrono::hours(1));
        QVERIFY(makeRoom({path_, size}, 0));
        QVERIFY(!isKept(1) && isKept(2));
        QVERIFY(makeRoom({path_, 0}, 0));
        QVERIFY(!isKept(2));
        QVERIFY(fs::exists(path_ / "notes.txt"));
    }

    void withoutALimitAShareOfTheDiskIsTaken() {
        QCOMPARE(limitOf({}), std::int64_t{0});
        QCOMPARE(limitOf({path_, 7}), std::int64_t{7});
        const std::int64_t limit = limitOf({path_, {}});
        QVERIFY(limit > 0);
        QVERIFY(limit <= std::int64_t{10} << 30);
        QVERIFY(limit <= static_cast<std::int64_t>(fs::space(path_).capacity / 10));
    }

private:
    static KvCache dump(std::uint64_t fingerprint) {
        return makeKnownCache({{2, 16, 600, 600}}, DType::F16, PlausibleValues(3), 1, fingerprint).cache;
    }

    CacheMapOptions options(std::optional<std::int64_t> limit) const {
        CacheMapOptions options;
        options.cacheFolder = path_;
        options.cacheLimit = limit;
        return options;
    }

    bool build(std::uint64_t fingerprint, std::optional<std::int64_t> limit) {
        const auto map = CacheMap::create(dump(fingerprint), pool_, options(limit));
        QSemaphore changed;
        map->setChangedCallback([&changed] { changed.release(); });
        map->prepare(Quantity::Value);
        while (!map->isComplete(Quantity::Value)) {
            if (map->buildError(Quantity::Value) || !changed.tryAcquire(1, 60000))
                return false;
        }
        map->setChangedCallback({});
        return true;
    }

    /// Whether a pyramid is found again without being built.
    bool isKept(std::uint64_t fingerprint) {
        return CacheMap::create(dump(fingerprint), pool_, options({}))->isComplete(Quantity::Value);
    }

    [[nodiscard]] fs::path fileOf(std::uint64_t fingerprint) const {
        const std::string start = QString::number(fingerprint, 16).rightJustified(16, u'0').toStdString() + "-";
        for (const auto& entry : fs::directory_iterator(path_)) {
            if (entry.path().filename().string().starts_with(start))
                return entry.path();
        }
        return {};
    }

    void age(std::uint64_t fingerprint, std::chrono::hours by) const {
        fs::last_write_time(fileOf(fingerprint), fs::file_time_type::clock::now() - by);
    }

    std::unique_ptr<QTemporaryDir> folder_;
    fs::path path_;
    ThreadPool pool_{2};
};

QTEST_APPLESS_MAIN(TestPyramidFolder)
#include "test_pyramid_folder.moc"
