// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/fetch_fixture.h"

#include <QTest>

#include <thread>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr std::int64_t kTokens = 600;

std::unique_ptr<Sender> serve(const EncodedFile& encoded, SenderOptions options = {}) {
    auto sender = Sender::start(encoded.shelf(), options);
    return sender ? std::move(*sender) : nullptr;
}

/// What the observer was told.
class Log : public FetchObserver {
public:
    void started(const ContextInput& input, const KvzDirectory&) override { chunks = input.input.chunkCount(); }
    void decided(const Timeline&, const Decision&) override { ++decisions; }
    void arrived(const Timeline&, std::size_t) override { ++arrivals; }
    void ready(const Timeline&, std::size_t chunk) override { order.push_back(chunk); }
    void note(const std::string& text) override { notes.push_back(text); }

    std::size_t chunks = 0;
    std::size_t decisions = 0;
    std::size_t arrivals = 0;
    std::vector<std::size_t> order;
    std::vector<std::string> notes;
};

} // namespace

class TestFetch : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        cache_ = codecCache(kTokens, 3, 2, 16);
        encoded_ = std::make_unique<EncodedFile>(cache_);
        QVERIFY(encoded_->file() != nullptr);
    }

    void everyLevelComesValueForValue() {
        const auto sender = serve(*encoded_);
        QVERIFY(sender);
        for (std::size_t level = 0; level < encoded_->file()->levels().size(); ++level) {
            Log log;
            FetchOptions options = fetchFrom({sender.get()}, encoded_->file()->levels()[level].name);
            options.observer = &log;
            const auto fetched = fetchContext(options, pool_);
            QVERIFY2(fetched, fetched ? "" : fetched.error().message().c_str());
            QVERIFY2(!fetched->problem, fetched->problem ? fetched->problem->message().c_str() : "");
            QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(level)));
            QCOMPARE(log.chunks, std::size_t{5});
            QCOMPARE(log.decisions, std::size_t{5});
            QCOMPARE(log.arrivals, std::size_t{5});
            QCOMPARE(log.order.size(), std::size_t{5});
            const Timeline& timeline = fetched->timeline;
            QVERIFY(timeline.complete() && timeline.quality > 0);
            for (const ChunkTimes& chunk : timeline.chunks) {
                QVERIFY(chunk.queued <= chunk.receive.begin && chunk.receive.begin <= chunk.receive.end);
                QVERIFY(chunk.decode.begin <= chunk.decode.end && chunk.decode.end <= chunk.ready);
                QVERIFY(chunk.wireBytes > 0);
            }
            // Bytes on the wire are what the input said, ids included.
            double expected = fetched->input.input.idBytes();
            for (std::size_t chunk = 0; chunk < 5; ++chunk)
                expected += fetched->input.input.option(chunk, timeline.chunks[chunk].candidate).bytes;
            QCOMPARE(timeline.wireBytes, expected);
        }
    }

private:
    KvCache cache_;
    std::unique_ptr<EncodedFile> encoded_;
    ThreadPool pool_;
};

QTEST_APPLESS_MAIN(TestFetch)
#include "test_fetch.moc"
