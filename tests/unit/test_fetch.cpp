// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/duration_text.h"
#include "core/stream/wire.h"
#include "tests/unit/fetch_fixture.h"

#include <QElapsedTimer>
#include <QTest>

#include <array>
#include <atomic>
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

    void largeRawPartsComeWhole_data() {
        QTest::addColumn<QString>("fault");
        QTest::addColumn<double>("rate");
        for (const double rate : {0.0, 2e9}) {
            for (const char* fault : {"", "corrupt:1", "lose:1", "drop:2"})
                QTest::addRow("%s, %s", *fault != 0 ? fault : "no fault", rate > 0 ? "shaped" : "unlimited")
                    << QString::fromLatin1(fault) << rate;
        }
    }
    /// Parts of many segments of any length, which go straight to where they are kept.
    void largeRawPartsComeWhole() {
        QFETCH(QString, fault);
        QFETCH(double, rate);
        const EncodedFile large(codecCache(2048, 1, 8, 64), {"raw"}, 512);
        SenderOptions options;
        if (rate > 0)
            options.bitsPerSecond = rate;
        if (!fault.isEmpty())
            options.faults = {*parseFault(fault.toStdString())};
        const auto sender = serve(large, options);
        FetchOptions fetch = fetchFrom({sender.get()}, "raw");
        fetch.chunkTokens = 512;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(sameNative(fetched->cache(), large.file()->cache(0)));
        QCOMPARE(fetched->parts->size(), std::size_t{8});
        for (const auto& [place, part] : *fetched->parts) {
            QVERIFY(part.encoded.size() > wire::kMaxSegment);
            // Nothing is decoded that travels as it is.
            QCOMPARE(part.decoded.span().data(), part.encoded.span().data());
        }
    }

    void chunksHaveTheirPlacesInWhatWasFetched() {
        const auto sender = serve(*encoded_);
        auto fetched = fetchContext(fetchFrom({sender.get()}, "kvz-medium"), pool_);
        QVERIFY(fetched && !fetched->problem);
        QCOMPARE(fetched->places(),
                 (std::vector<TokenRange>{tokenRange(0, 128), tokenRange(128, 256), tokenRange(256, 384),
                                          tokenRange(384, 512), tokenRange(512, 600)}));
        // As if chunk 1 had not come.
        fetched->timeline.chunks[1] = {};
        const auto places = fetched->places();
        QCOMPARE(places, (std::vector<TokenRange>{tokenRange(0, 128), tokenRange(0, 0), tokenRange(128, 256),
                                                  tokenRange(256, 384), tokenRange(384, 472)}));
        const KvCache part = fetched->cache();
        const KvCache whole = encoded_->file()->cache(1);
        const PlaneId plane = part.geometry().allPlanes().front();
        const auto row = static_cast<std::size_t>(part.geometry().find(plane)->channels());
        for (std::size_t chunk = 0; chunk < places.size(); ++chunk) {
            const auto size = static_cast<std::size_t>(places[chunk].size());
            std::vector<std::byte> here(size * row * 2);
            std::vector<std::byte> there(here.size());
            if (here.empty())
                continue;
            const TokenRange tokens = fetched->input.tokensOf(chunk);
            QVERIFY(part.readNative(plane, places[chunk], here));
            QVERIFY(whole.readNative(plane, tokens, there));
            QVERIFY(here == there);
            QCOMPARE(part.geometry().find(plane)->position(places[chunk].begin), tokens.begin.value);
        }
    }

    void aDroppedConnectionIsResumed() {
        SenderOptions options;
        options.faults = {{SenderFault::Kind::Drop, 2, 0}};
        const auto sender = serve(*encoded_, options);
        Log log;
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-medium");
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QCOMPARE(fetched->reconnects, 1);
        QCOMPARE(log.notes.size(), std::size_t{1});
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
        // What had arrived before is not sent again, nor is the directory.
        QVERIFY(fetched->timeline.wireBytes <
                1.2 * (fetched->input.input.idBytes() + fetched->input.input.bytesBefore(2, 5)));
    }

    void lostAndCorruptChunksAreSentAgain_data() {
        QTest::addColumn<QString>("fault");
        QTest::newRow("lost") << "lose:2";
        QTest::newRow("corrupt") << "corrupt:2";
    }
    void lostAndCorruptChunksAreSentAgain() {
        QFETCH(QString, fault);
        SenderOptions options;
        options.faults = {*parseFault(fault.toStdString())};
        const auto sender = serve(*encoded_, options);
        Log log;
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-low");
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QCOMPARE(fetched->reconnects, 0);
        QCOMPARE(log.notes.size(), std::size_t{1});
        QVERIFY(log.notes[0].find("chunk 2") != std::string::npos);
        QCOMPARE(fetched->timeline.abandoned.size(), std::size_t{1});
        QCOMPARE(fetched->timeline.abandoned[0].chunk, std::size_t{2});
        QCOMPARE(fetched->timeline.abandonedBytes > 0, fault == QStringLiteral("corrupt:2"));
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(2)));
    }

    void aDelayedChunkComesLate() {
        SenderOptions options;
        options.faults = {*parseFault("delay:3:0.3")};
        const auto sender = serve(*encoded_, options);
        const auto fetched = fetchContext(fetchFrom({sender.get()}, "kvz-low"), pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(fetched->timeline.chunks[3].ready >= 0.3);
        QVERIFY(fetched->timeline.chunks[2].ready < 0.3);
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(2)));
    }

    void aSenderThatIsNotThereIsNamedOnce() {
        const auto gone = serve(*encoded_, {});
        Log log;
        FetchOptions fetch = fetchFrom({gone.get(), gone.get()}, "kvz-high");
        // Ports that were free a moment ago.
        for (SenderAddress& address : fetch.senders)
            address.port = serve(*encoded_, {})->port();
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("Check that the sender runs there") != std::string::npos);
        // One note for each that it tries again, one for the first that it goes on without.
        QCOMPARE(
            std::ranges::count_if(log.notes, [](const std::string& note) { return note.ends_with("trying again"); }),
            fetch.senders[0].port == fetch.senders[1].port ? 1 : 2);
    }

    void faultsAreReadStrictly() {
        QVERIFY(parseFault("drop:12"));
        QCOMPARE(parseFault("delay:1:2.5")->seconds, 2.5);
        for (const char* wrong : {"", "lose", "lose:", "lose:x", "lose:1:2", "delay:1", "delay:1:-1", "burn:1"})
            QVERIFY2(!parseFault(wrong), wrong);
    }

    void aChunkThatNeverArrivesWholeEndsTheFetch() {
        SenderOptions options;
        for (int i = 0; i < 3; ++i)
            options.faults.push_back({SenderFault::Kind::Corrupt, 1, 0});
        const auto sender = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-high");
        fetch.attempts = 3;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && fetched->problem);
        QVERIFY(fetched->problem->message().find("chunk 1") != std::string::npos);
        QVERIFY(!fetched->timeline.complete());
        // Chunk 0 is kept, at its place, and marked.
        const auto held = fetched->heldChunks();
        QVERIFY(!held.empty() && held.front() == 0);
        QVERIFY(fetched->cache().info().name.find("partial") != std::string::npos);
    }

    void aSharedFaultStrikesOnce() {
        SenderOptions options;
        options.sharedFaults = std::make_shared<FaultList>();
        const auto first = serve(*encoded_, options);
        const auto second = serve(*encoded_, options);
        // Told to one, it strikes wherever its chunk is sent next, and nowhere else.
        first->inject({SenderFault::Kind::Corrupt, 1, 0});
        for (const std::size_t expected : {1U, 0U}) {
            const auto fetched = fetchContext(fetchFrom({second.get()}, "kvz-high"), pool_);
            QVERIFY(fetched && !fetched->problem);
            QCOMPARE(fetched->timeline.abandoned.size(), expected);
        }
        const auto plain = fetchContext(fetchFrom({first.get()}, "kvz-high"), pool_);
        QVERIFY(plain && !plain->problem);
        QVERIFY(plain->timeline.abandoned.empty());
        // Taken back before its chunk is sent.
        options.sharedFaults->add({SenderFault::Kind::Lose, 2, 0});
        options.sharedFaults->remove({SenderFault::Kind::Lose, 2, 0});
        QVERIFY(!options.sharedFaults->take(2));
    }

    void twoSendersShareAContext() {
        // Some 45 kB at 0.4 and 1.2 Mbit/s.
        SenderOptions slow;
        slow.bitsPerSecond = 4e5;
        SenderOptions fast;
        fast.bitsPerSecond = 12e5;
        const auto first = serve(*encoded_, fast);
        const auto second = serve(*encoded_, slow);
        FetchOptions fetch = fetchFrom({first.get(), second.get()}, "kvz-medium");
        fetch.chunkTokens = 64;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
        std::array<std::size_t, 2> chunks{};
        for (const ChunkTimes& chunk : fetched->timeline.chunks)
            ++chunks[chunk.path];
        QVERIFY2(chunks[0] > chunks[1] && chunks[1] > 0, "the better path brings more");
        const auto alone = fetchContext(fetchFrom({first.get()}, "kvz-medium"), pool_);
        QVERIFY(alone && !alone->problem);
        QVERIFY(fetched->timeline.ttft < alone->timeline.ttft);
        QCOMPARE(fetched->measured.size(), std::size_t{2});
    }

    void aSlowSenderDoesNotHoldUpTheEnd() {
        SenderOptions slow;
        slow.bitsPerSecond = 4e4;
        SenderOptions fast;
        fast.bitsPerSecond = 12e5;
        const auto first = serve(*encoded_, fast);
        const auto second = serve(*encoded_, slow);
        const auto fetched = fetchContext(fetchFrom({first.get(), second.get()}, "kvz-medium"), pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
        // A chunk of some 9 kB alone would take the slow one 1.8 s.
        QVERIFY2(fetched->timeline.ttft < 1.2, std::to_string(fetched->timeline.ttft).c_str());
        QVERIFY(!fetched->timeline.abandoned.empty());
    }

    void sendersOfDifferentContextsAreNotMixed() {
        const EncodedFile other(codecCache(300, 2, 2, 16));
        const auto first = serve(*encoded_);
        const auto second = serve(other);
        Log log;
        FetchOptions fetch = fetchFrom({first.get(), second.get()}, "kvz-medium");
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
        for (const ChunkTimes& chunk : fetched->timeline.chunks)
            QCOMPARE(chunk.path, std::size_t{0});
    }

    void oneOfTwoSendersMayDisappear() {
        class Killer : public Log {
        public:
            void decided(const Timeline& soFar, const Decision& decision) override {
                Log::decided(soFar, decision);
                if (decisions == 4)
                    victim.reset();
            }
            std::unique_ptr<Sender> victim;
        };
        SenderOptions options;
        options.bitsPerSecond = 1e6;
        const auto first = serve(*encoded_, options);
        Killer log;
        log.victim = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({first.get(), log.victim.get()}, "kvz-medium");
        fetch.chunkTokens = 64;
        fetch.attempts = 2;
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched);
        QVERIFY2(!fetched->problem, fetched->problem ? fetched->problem->message().c_str() : "");
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
        QVERIFY(!log.notes.empty());
    }

    void aSenderThatDisappearsLeavesAPartialCache() {
        class Killer : public Log {
        public:
            void ready(const Timeline& soFar, std::size_t chunk) override {
                Log::ready(soFar, chunk);
                if (order.size() == 2)
                    victim.reset();
            }
            std::unique_ptr<Sender> victim;
        };
        SenderOptions options;
        options.bitsPerSecond = 1e6;
        Killer log;
        log.victim = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({log.victim.get()}, "kvz-medium");
        fetch.attempts = 2;
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && fetched->problem);
        QCOMPARE(fetched->heldChunks(), (std::vector<std::size_t>{0, 1}));
        checkPartial(*fetched, 256);
    }

    void stoppingKeepsWhatHasArrived() {
        class Stopper : public Log {
        public:
            void ready(const Timeline& soFar, std::size_t chunk) override {
                Log::ready(soFar, chunk);
                stop.request_stop();
            }
            std::stop_source stop;
        };
        SenderOptions options;
        options.bitsPerSecond = 1e6;
        const auto sender = serve(*encoded_, options);
        Stopper log;
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-medium");
        fetch.observer = &log;
        const auto fetched = fetchContext(fetch, pool_, {log.stop.get_token(), nullptr});
        QVERIFY(fetched && fetched->problem);
        QVERIFY(fetched->problem->kind == Error::Kind::Cancelled);
        const auto held = fetched->heldChunks();
        QVERIFY(!held.empty() && held.size() < 5);
        checkPartial(*fetched, static_cast<std::int64_t>(held.size()) * 128);
    }

    void theBandwidthCanBeChangedWhileBytesAreUnderWay() {
        std::atomic<Sender*> running = nullptr;
        SenderOptions options;
        options.bitsPerSecond = 0;
        options.watch = [&](const SenderEvent& event) {
            if (event.kind == SenderEvent::Kind::Connected)
                running.load()->setRate(2e6);
        };
        const auto sender = serve(*encoded_, options);
        running = sender.get();
        const auto fetched = fetchContext(fetchFrom({sender.get()}, "kvz-medium"), pool_);
        QVERIFY(fetched && !fetched->problem);
        const double least = 8 * fetched->timeline.wireBytes / 2e6;
        QVERIFY2(fetched->timeline.ttft > least * 0.95, "it was not sent faster than the bandwidth");
    }

    void aLinkWithoutBandwidthEndsInBoundedTime() {
        SenderOptions options;
        options.bitsPerSecond = 0;
        const auto sender = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-medium");
        fetch.stallSeconds = 0.2;
        fetch.attempts = 2;
        QElapsedTimer clock;
        clock.start();
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("sent nothing whole for 200 ms") != std::string::npos);
        QVERIFY(clock.elapsed() < 5000);
    }

    void theTimeOfTheWholeFetchIsBounded() {
        SenderOptions options;
        options.bitsPerSecond = 2e5;
        const auto sender = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({sender.get()}, "kvz-medium");
        fetch.totalSeconds = 0.3;
        const auto fetched = fetchContext(fetch, pool_);
        const std::string why = fetched ? fetched->problem.value_or(Error{}).message() : fetched.error().message();
        QVERIFY2(why.find("took longer than 300 ms") != std::string::npos, why.c_str());
        QCOMPARE(durationText(0.8), std::string("800 ms"));
        QCOMPARE(durationText(0.00025), std::string("0.25 ms"));
        QCOMPARE(durationText(0.9999), std::string("1 second"));
        QCOMPARE(durationText(2.5), std::string("2.5 seconds"));
        QCOMPARE(durationText(600), std::string("600 seconds"));
    }

    void severalReceiversShareTheLink() {
        constexpr std::size_t kReceivers = 4;
        SenderOptions options;
        options.bitsPerSecond = 4e6;
        const auto sender = serve(*encoded_, options);
        std::array<std::optional<Fetched>, kReceivers> results;
        {
            std::vector<std::jthread> receivers;
            for (auto& result : results) {
                receivers.emplace_back([&] {
                    if (auto fetched = fetchContext(fetchFrom({sender.get()}, "kvz-high"), pool_))
                        result = std::move(*fetched);
                });
            }
        }
        double bytes = 0;
        double last = 0;
        for (const auto& result : results) {
            QVERIFY(result && !result->problem);
            QVERIFY(sameNative(result->cache(), encoded_->file()->cache(0)));
            bytes += result->timeline.wireBytes;
            last = std::max(last, result->timeline.ttft);
        }
        QVERIFY(last > 0.9 * 8 * bytes / 4e6);
    }

    void adaptivePoliciesFetchWhateverTheyChoose_data() {
        QTest::addColumn<QString>("policy");
        QTest::addColumn<bool>("text");
        for (const char* policy : {"kvscope", "cachegen", "cachegen-code"}) {
            QTest::addRow("%s", policy) << policy << false;
            QTest::addRow("%s, text allowed", policy) << policy << true;
        }
        QTest::newRow("text") << "text" << true;
    }
    void adaptivePoliciesFetchWhateverTheyChoose() {
        QFETCH(QString, policy);
        QFETCH(bool, text);
        SenderOptions options;
        options.bitsPerSecond = 1.5e6;
        const auto sender = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({sender.get()}, policy.toStdString());
        fetch.text = text;
        fetch.chunkTokens = 64;
        fetch.compute.prefillTokensPerSecond = 4000;
        fetch.sloSeconds = 0.25;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched);
        QVERIFY2(!fetched->problem, fetched->problem ? fetched->problem->message().c_str() : "");
        std::int64_t tokens = 0;
        for (std::size_t i = 0; i < fetched->timeline.chunks.size(); ++i) {
            const ChunkTimes& chunk = fetched->timeline.chunks[i];
            QVERIFY(chunk.candidate != kNoIndex);
            if (chunk.candidate == StreamInput::textCandidate()) {
                QVERIFY(text && !chunk.recompute.empty());
                continue;
            }
            tokens += fetched->input.input.tokens(i);
            const TokenRange range = fetched->input.tokensOf(i);
            checkTokens(fetched->cache(), range, encoded_->file()->cache(fetched->input.levels[chunk.candidate]));
        }
        if (policy == QStringLiteral("text"))
            QCOMPARE(tokens, std::int64_t{0});
        else if (!text)
            QCOMPARE(tokens, kTokens);
        // Lanes do not overlap: one chunk after the other is recomputed, and decoded.
        for (const auto lane : {&ChunkTimes::recompute, &ChunkTimes::decode}) {
            std::vector<Interval> busy;
            for (const ChunkTimes& chunk : fetched->timeline.chunks) {
                if (!(chunk.*lane).empty())
                    busy.push_back(chunk.*lane);
            }
            std::ranges::sort(busy, {}, &Interval::begin);
            for (std::size_t i = 1; i < busy.size(); ++i)
                QVERIFY(busy[i].begin >= busy[i - 1].end - 1e-9);
        }
    }

    void whatWasFetchedIsServedAgain() {
        SenderOptions options;
        options.bitsPerSecond = 2e6;
        const auto sender = serve(*encoded_, options);
        FetchOptions fetch = fetchFrom({sender.get()}, "kvscope");
        fetch.chunkTokens = 64;
        fetch.sloSeconds = 0.25;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QTemporaryDir folder;
        const std::string path = folder.filePath("again.kvz").toStdString();
        const auto written = fetched->writeKvz(path);
        QVERIFY2(written, written ? "" : written.error().message().c_str());
        const auto file = KvzFile::open(*openFile(path));
        QVERIFY(file);
        QVERIFY(sameNative((*file)->cache(0), fetched->cache()));
        QVERIFY(!(*file)->levels()[0].errors.empty());
        auto again = Sender::start(*openShelf(path), {});
        QVERIFY(again);
        const auto copy = fetchContext(fetchFrom({again->get()}, (*file)->levels()[0].name), pool_);
        QVERIFY(copy && !copy->problem);
        QVERIFY(sameNative(copy->cache(), fetched->cache()));
    }

    void errorsOfLevelsAreThoseThatWereMeasured() {
        auto plan = makePreset("kvz-medium", cache_);
        ThreadPool pool;
        const auto encoding = encodeCache(cache_, *plan, pool);
        QVERIFY(encoding);
        plan->chunkTokens = 64;
        const auto cut = encodeCache(cache_, *plan, pool);
        const auto input = contextInput(encoded_->file()->directory(), 128, 1000, "seeded");
        QVERIFY(input && !input->errorsReckoned);
        const auto expected = headlineError(PlaneKind::Key, cut->report.totals(LayerIndex(1), PlaneKind::Key).error);
        const auto& stored = encoded_->file()->levels()[1].errors;
        QCOMPARE(stored.size(), std::size_t{3});
        QVERIFY(std::abs(*stored[1][0] - expected) < 1e-12);
        QVERIFY(input->input.option(0, 1).error < input->input.option(0, 2).error);
        QVERIFY(input->input.option(0, 2).error < input->input.option(0, 3).error);
    }

    void wrongRequestsAreRefused() {
        const auto sender = serve(*encoded_);
        FetchOptions fetch = fetchFrom({sender.get()}, "no-such-policy");
        auto fetched = fetchContext(fetch, pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("kvz-medium") != std::string::npos);
        fetch = fetchFrom({sender.get()}, "kvz-medium");
        fetch.context = "nothing";
        fetched = fetchContext(fetch, pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("seeded") != std::string::npos);
        fetch.context.clear();
        fetch.maxCacheBytes = 1000;
        fetched = fetchContext(fetch, pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("limit") != std::string::npos);
        QVERIFY(!parseSenderAddress("localhost"));
        QVERIFY(!parseSenderAddress("localhost:99999"));
        QCOMPARE(parseSenderAddress("[::1]:80")->host, std::string("::1"));
    }

private:
    /// Whether the tokens of a range (slots of `whole`) have the same values in a cache that holds only some.
    static void checkTokens(const KvCache& part, TokenRange range, const KvCache& whole) {
        for (const PlaneId plane : whole.geometry().allPlanes()) {
            const PlaneGeometry& all = *whole.geometry().find(plane);
            const PlaneGeometry& some = *part.geometry().find(plane);
            TokenIndex slot(0);
            while (slot.value < some.tokens && some.position(slot) != all.position(range.begin))
                ++slot;
            QVERIFY(slot.value + range.size() <= some.tokens);
            const auto size = static_cast<std::size_t>(range.size() * all.channels() * sizeOf(all.dtype));
            std::vector<std::byte> left(size);
            std::vector<std::byte> right(size);
            QVERIFY(part.readNative(plane, {slot, slot + range.size()}, left));
            QVERIFY(whole.readNative(plane, range, right));
            QVERIFY(left == right);
        }
    }

    /// A partial cache holds its first `tokens` tokens, says so, and survives being written.
    void checkPartial(const Fetched& fetched, std::int64_t tokens) {
        const KvCache cache = fetched.cache();
        QCOMPARE(cache.geometry().maxTokens(PlaneKind::Key), tokens);
        QVERIFY(cache.info().name.find("partial") != std::string::npos);
        QVERIFY(!cache.info().notes.empty());
        checkTokens(cache, tokenRange(0, tokens), encoded_->file()->cache(1));
        QTemporaryDir folder;
        const std::string path = folder.filePath("part.kvz").toStdString();
        QVERIFY(fetched.writeKvz(path));
        const auto file = KvzFile::open(*openFile(path));
        QVERIFY(file);
        QVERIFY(sameNative((*file)->cache(0), cache));
        QVERIFY((*file)->info().name.find("partial") != std::string::npos);
    }

    KvCache cache_;
    std::unique_ptr<EncodedFile> encoded_;
    ThreadPool pool_;
};

QTEST_APPLESS_MAIN(TestFetch)
#include "test_fetch.moc"
