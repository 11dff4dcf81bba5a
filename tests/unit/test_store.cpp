// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/fetch_fixture.h"
#include "tests/unit/redis_server.h"

#include <QDirIterator>
#include <QElapsedTimer>
#include <QFile>
#include <QTest>

#include <set>
#include <string>
#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

void checkStored(const std::shared_ptr<ContextStore>& store, const EncodedFile& encoded) {
    const auto first = putContext(*store, "seeded", *contextOf(encoded.file()));
    QVERIFY2(first, first ? "" : first.error().message().c_str());
    QVERIFY(first->newChunks == first->chunks && first->bytes > 0);
    const auto again = putContext(*store, "other-name", *contextOf(encoded.file()));
    QVERIFY(again);
    QCOMPARE(again->newChunks, std::int64_t{0});
    QCOMPARE(*store->contexts(), (std::vector<std::string>{"other-name", "seeded"}));
    const auto context = openContext(store, "seeded");
    QVERIFY(context);
    for (std::size_t level = 0; level < encoded.file()->levels().size(); ++level) {
        for (const auto& [id, plane] : encoded.file()->levels()[level].planes) {
            for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk) {
                const auto bytes = (*context)->readChunk(level, id, chunk);
                QVERIFY(bytes);
                QVERIFY(*bytes == *encoded.file()->readChunk(level, id, chunk));
            }
        }
    }
    QVERIFY(!openContext(store, "nothing"));
    QVERIFY(!openContext(store, "../seeded"));
    QVERIFY(!putContext(*store, "a/b", *contextOf(encoded.file())));
}

void checkServed(const std::string& location, const EncodedFile& encoded) {
    auto shelf = openShelf(location);
    QVERIFY2(shelf, shelf ? "" : shelf.error().message().c_str());
    const auto sender = Sender::start(*shelf, {});
    QVERIFY(sender);
    ThreadPool pool;
    FetchOptions fetch = fetchFrom({sender->get()}, "kvz-medium");
    auto fetched = fetchContext(fetch, pool);
    QVERIFY2(!fetched && fetched.error().message().find("other-name, seeded") != std::string::npos,
             "which of several contexts is meant must be said");
    fetch.context = "seeded";
    fetched = fetchContext(fetch, pool);
    QVERIFY(fetched && !fetched->problem);
    QVERIFY(sameNative(fetched->cache(), encoded.file()->cache(1)));
}

} // namespace

class TestStore : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() { encoded_ = std::make_unique<EncodedFile>(codecCache(600, 2, 2, 16)); }

    void aFolderKeepsContexts() {
        const QTemporaryDir folder;
        const std::string path = folder.filePath("store").toStdString();
        {
            const auto store = openFolderStore(path, true);
            QVERIFY(store);
            checkStored(*store, *encoded_);
        }
        QVERIFY(isFolderStore(path));
        checkServed(path, *encoded_);
    }

    void whatNoContextNeedsIsCollected_data() {
        QTest::addColumn<bool>("redis");
        QTest::newRow("folder") << false;
        QTest::newRow("redis") << true;
    }
    void whatNoContextNeedsIsCollected() {
        QFETCH(bool, redis);
        if (redis && !Redis::isInstalled())
            QSKIP("redis-server is not installed");
        Redis server;
        QVERIFY(!redis || server.start());
        const QTemporaryDir folder;
        const auto store =
            redis ? openRedisStore(server.url()) : openFolderStore(folder.filePath("store").toStdString(), true);
        QVERIFY(store);
        // Two contexts that share the chunks of a level.
        const EncodedFile other(codecCache(600, 2, 2, 16), {"kvz-high", "quant8"});
        const auto kept = putContext(**store, "kept", *contextOf(encoded_->file()));
        const auto gone = putContext(**store, "gone", *contextOf(other.file()));
        QVERIFY(kept && gone);
        QVERIFY(gone->newChunks > 0 && gone->newChunks < gone->chunks);
        const auto all = (*store)->chunks();
        QVERIFY(all);
        QCOMPARE(static_cast<std::int64_t>(all->size()), kept->newChunks + gone->newChunks);
        QCOMPARE(collectGarbage(**store, 0)->removedChunks, std::int64_t{0});
        QVERIFY((*store)->removeContext("gone"));
        QVERIFY(!(*store)->removeContext("gone"));
        QCOMPARE(*(*store)->contexts(), std::vector<std::string>{"kept"});
        // A writer may be about to need them.
        QCOMPARE(collectGarbage(**store, 3600)->removedChunks, std::int64_t{0});
        const auto collected = collectGarbage(**store, 0);
        QVERIFY(collected);
        QCOMPARE(collected->removedChunks, gone->newChunks);
        QCOMPARE(collected->removedBytes, gone->newBytes);
        QCOMPARE(static_cast<std::int64_t>((*store)->chunks()->size()), kept->newChunks);
        // The other context is whole, and the first can be put there again.
        const auto context = openContext(*store, "kept");
        QVERIFY(context);
        for (std::size_t level = 0; level < (*context)->directory().levels.size(); ++level) {
            for (const auto& [id, plane] : (*context)->directory().levels[level].planes) {
                for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk)
                    QVERIFY((*context)->readChunk(level, id, chunk));
            }
        }
        QCOMPARE(putContext(**store, "gone", *contextOf(other.file()))->newChunks, gone->newChunks);
    }

    void keysAreReadBack() {
        const ChunkKey key{0x0123456789abcdef, 98304};
        QVERIFY(chunkKeyFrom(key.text()) == key);
        for (const char* text : {"", "12-3", "0123456789abcdef", "0123456789abcdef-", "0123456789abcdef--1",
                                 "0123456789ABCDEF-1", "0123456789abcdef-1x"})
            QVERIFY2(!chunkKeyFrom(text), text);
    }

    void aDamagedRecordIsNamed() {
        const QTemporaryDir folder;
        const std::string path = folder.filePath("store").toStdString();
        auto store = *openFolderStore(path, true);
        QVERIFY(putContext(*store, "seeded", *contextOf(encoded_->file())));
        QStringList chunks;
        for (QDirIterator files(folder.path(), {QStringLiteral("*.chunk")}, QDir::Files, QDirIterator::Subdirectories);
             files.hasNext();)
            chunks.append(files.next());
        for (const QString& name : chunks) {
            QFile file(name);
            QVERIFY(file.open(QIODevice::ReadWrite) && file.seek(file.size() / 2));
            const char byte = file.peek(1).at(0);
            file.putChar(static_cast<char>(byte ^ 1));
        }
        const auto context = openContext(store, "seeded");
        QVERIFY(context);
        const PlaneId plane = encoded_->file()->geometry().allPlanes().front();
        const auto damaged = (*context)->readChunk(0, plane, 0);
        QVERIFY(!damaged);
        QVERIFY(damaged.error().message().find("is damaged") != std::string::npos);
        for (const QString& name : chunks)
            QVERIFY(QFile::remove(name));
        QVERIFY(!(*context)->readChunk(0, plane, 0));

        QFile record(folder.filePath("store/contexts/seeded.context"));
        QVERIFY(record.open(QIODevice::ReadWrite) && record.seek(100));
        record.putChar('\0');
        record.close();
        const auto broken = openContext(store, "seeded");
        QVERIFY(!broken);
        QVERIFY(broken.error().message().find("damaged") != std::string::npos);
    }

    void onlyStoresAreWrittenTo() {
        const QTemporaryDir folder;
        QFile other(folder.filePath("mine.txt"));
        QVERIFY(other.open(QIODevice::WriteOnly));
        QVERIFY(!openFolderStore(folder.path().toStdString(), true));
        QVERIFY(!openFolderStore(folder.filePath("nowhere").toStdString(), false));
        QVERIFY(!openShelf(folder.path().toStdString()));
        QVERIFY(openShelf(encoded_->folder()));
        QCOMPARE(contextNameFrom("a b/c"), std::string("a-b-c"));
        QCOMPARE(contextNameFrom(".hidden"), std::string("_.hidden"));
        QVERIFY(isContextName(contextNameFrom(std::string(500, '.'))));
    }

    void redisKeepsContexts() {
        if (!Redis::isInstalled())
            QSKIP("redis-server is not installed");
        Redis redis;
        QVERIFY(redis.start());
        checkStored(*openRedisStore(redis.url()), *encoded_);
        checkServed(redis.url(), *encoded_);
        const auto bySocket = openRedisStore(redis.socketUrl());
        QVERIFY(bySocket);
        QCOMPARE((*bySocket)->contexts()->size(), std::size_t{2});
        // Another database is another store.
        QVERIFY((*openRedisStore(redis.url() + "/3"))->contexts()->empty());
        const auto wrong = openRedisStore("redis://:secret@" + redis.url().substr(8));
        QVERIFY(!wrong);
        QVERIFY(wrong.error().message().find("secret") == std::string::npos);
    }

    void redisMayVanishInTheMiddle() {
        if (!Redis::isInstalled())
            QSKIP("redis-server is not installed");
        class Killer : public FetchObserver {
        public:
            void ready(const Timeline&, std::size_t) override { redis.kill(); }
            void note(const std::string& text) override {
                if (const auto at = text.find("is asked for again: "); at != std::string::npos)
                    causes.push_back(text.substr(at));
            }
            std::vector<std::string> causes;
            Redis redis;
        };
        Killer killer;
        QVERIFY(killer.redis.start());
        QVERIFY(putContext(**openRedisStore(killer.redis.url()), "seeded", *contextOf(encoded_->file())));
        SenderOptions options;
        options.bitsPerSecond = 1e6;
        const auto sender = Sender::start(*openShelf(killer.redis.url()), options);
        QVERIFY(sender);
        FetchOptions fetch = fetchFrom({sender->get()}, "kvz-medium");
        fetch.observer = &killer;
        fetch.attempts = 3;
        ThreadPool pool;
        QElapsedTimer clock;
        clock.start();
        const auto fetched = fetchContext(fetch, pool);
        QVERIFY(clock.elapsed() < 10000);
        QVERIFY(fetched && fetched->problem);
        QVERIFY2(fetched->problem->message().find("redis://127.0.0.1") != std::string::npos,
                 fetched->problem->message().c_str());
        const auto held = fetched->heldChunks();
        QVERIFY(!held.empty() && held.size() < 5);
        QVERIFY(fetched->cache().info().name.find("partial") != std::string::npos);
        // However many chunks it fails, one cause is noted once.
        const std::set<std::string> causes(killer.causes.begin(), killer.causes.end());
        QVERIFY(!causes.empty() && causes.size() == killer.causes.size());

        // The sender finds the server again when it is back, though not what it had forgotten.
        QVERIFY(killer.redis.start());
        QVERIFY(putContext(**openRedisStore(killer.redis.url()), "seeded", *contextOf(encoded_->file())));
        fetch.observer = nullptr;
        const auto again = fetchContext(fetch, pool);
        QVERIFY(again && !again->problem);
        QVERIFY(sameNative(again->cache(), encoded_->file()->cache(1)));
    }

    void redisMayHang() {
        if (!Redis::isInstalled())
            QSKIP("redis-server is not installed");
        Redis redis;
        QVERIFY(redis.start());
        const auto store = openRedisStore(redis.url(), {1, 0.3});
        QVERIFY(store);
        redis.halt();
        QElapsedTimer clock;
        clock.start();
        const auto names = (*store)->contexts();
        QVERIFY(clock.elapsed() < 5000);
        QVERIFY(!names);
        QVERIFY2(names.error().message().find("answer") != std::string::npos, names.error().message().c_str());
        redis.resume();
        QVERIFY((*store)->contexts());
    }

    void wrongAddressesAreRefused() {
        for (const char* url : {"redis://127.0.0.1:port", "redis://127.0.0.1:70000", "redis://127.0.0.1/x",
                                "redis+unix://relative", "redis://127.0.0.1:1"}) {
            const auto store = openRedisStore(url);
            QVERIFY2(!store, url);
            QVERIFY(!store.error().advice.empty());
        }
    }

private:
    std::unique_ptr<EncodedFile> encoded_;
};

QTEST_GUILESS_MAIN(TestStore)
#include "test_store.moc"
