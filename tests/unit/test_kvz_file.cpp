// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"
#include "core/io/dump_writer.h"
#include "core/io/kvz_dump.h"
#include "core/io/open_dump.h"
#include "core/io/side_files.h"
#include "tests/unit/codec_cache.h"

#include <QTemporaryDir>
#include <QTest>

#include <fstream>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytesOf(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Bytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

Result<KvzFilePtr> openBytes(Bytes bytes) {
    return KvzFile::open(memorySource(std::move(bytes), "copy.kvz"));
}

std::vector<CodecPlan> plansFor(const KvCache& cache, std::initializer_list<const char*> names,
                                std::int64_t chunkTokens) {
    std::vector<CodecPlan> plans;
    for (const char* name : names) {
        plans.push_back(makePreset(name, cache.geometry()).value());
        plans.back().chunkTokens = chunkTokens;
    }
    return plans;
}

/// What encoding and decoding the cache in memory gives.
KvCache inMemory(const KvCache& cache, const CodecPlan& plan, ThreadPool& pool) {
    return encodeCache(cache, plan, pool).value().decoded();
}

} // namespace

class TestKvzFile : public QObject {
    Q_OBJECT

private:
    ThreadPool pool_{2};
    QTemporaryDir folder_;

    std::filesystem::path path(const char* name) { return folder_.filePath(QLatin1String(name)).toStdString(); }

private slots:
    void everyLevelComesBack() {
        const KvCache cache = codecCache(70);
        const auto plans = plansFor(cache, {"quant8-gear-delta", "gear", "kivi-2", "clip-quant8", "int4"}, 32);
        const auto written = writeKvz(path("all.kvz"), cache, plans, pool_);
        QVERIFY2(written, written ? "" : written.error().message().c_str());
        QCOMPARE(written->fileBytes, static_cast<std::int64_t>(bytesOf(path("all.kvz")).size()));
        QCOMPARE(written->levels.size(), plans.size());
        const auto file = KvzFile::open(openFile(path("all.kvz")).value());
        QVERIFY2(file, file ? "" : file.error().message().c_str());
        QCOMPARE((*file)->levels().size(), plans.size());
        QCOMPARE((*file)->bestLevel().value(), std::size_t{1});
        for (std::size_t i = 0; i < plans.size(); ++i) {
            QVERIFY((*file)->levels()[i].plan == plans[i]);
            QVERIFY2(sameValues((*file)->cache(i), inMemory(cache, plans[i], pool_)), plans[i].name.c_str());
            QCOMPARE((*file)->levels()[i].bytes(), written->levels[i].totals().bytes());
        }
        QVERIFY(sameValues((*file)->cache(1), cache));
        QVERIFY((*file)->geometry() == cache.geometry());
        QVERIFY((*file)->info().rope == cache.info().rope);
        QCOMPARE((*file)->info().tokens.size(), std::size_t{1});
        QVERIFY((*file)->info().tokens[0].texts == cache.info().tokens[0].texts);
        QVERIFY((*file)->info().tokens[0].ids == cache.info().tokens[0].ids);
    }

    void itOpensLikeAnyDump() {
        const KvCache cache = codecCache(70);
        QVERIFY(writeKvz(path("dump.kvz"), cache, plansFor(cache, {"quant8", "gear"}, 64), pool_));
        const auto best = openDump(path("dump.kvz"));
        QVERIFY2(best, best ? "" : best.error().message().c_str());
        QVERIFY(sameValues(best->cache, cache));
        QVERIFY(best->cache.info().fingerprint != 0);
        QCOMPARE(best->cache.info().format, std::string(".kvz, level gear"));
        OpenOptions options;
        options.level = "quant8";
        const auto other = openDump(path("dump.kvz"), options);
        QVERIFY(other && !sameValues(other->cache, cache));
        QVERIFY(other->cache.info().fingerprint != best->cache.info().fingerprint);
        options.level = "kvz-9";
        const auto none = openDump(path("dump.kvz"), options);
        QVERIFY(!none && none.error().advice.find("quant8, gear") != std::string::npos);
        const auto converted = convertDump(best->cache, path("back.safetensors"), {});
        QVERIFY(converted);
        QVERIFY(sameValues(openDump(path("back.safetensors"))->cache, cache));
        // Native rows of any range, also across chunks.
        const PlaneId plane{LayerIndex(1), PlaneKind::Key, SequenceIndex(0)};
        Bytes ours(30 * 16 * 2);
        Bytes theirs(ours.size());
        QVERIFY(best->cache.readNative(plane, tokenRange(38, 68), ours));
        QVERIFY(cache.readNative(plane, tokenRange(38, 68), theirs));
        QVERIFY(ours == theirs);
        QVERIFY(best->cache.nativeIsExact(plane));
        QVERIFY(!other->cache.nativeIsExact(plane));
    }

    void theTokensAreALevelOfTheirOwn() {
        const KvCache cache = codecCache(70);
        const auto both = writeKvz(path("both.kvz"), cache, plansFor(cache, {"gear"}, 64), pool_);
        QVERIFY(both && both->textBytes > 0);
        QVERIFY(openDump(path("both.kvz"))->levels.names == (std::vector<std::string>{"gear", "text"}));
        OpenOptions options;
        options.level = "text";
        const auto text = openDump(path("both.kvz"), options);
        QVERIFY(!text && text.error().what.find("tokens alone") != std::string::npos);

        // Alone it is a file too: small, without values, and growing into one with levels.
        const auto alone = writeKvz(path("alone.kvz"), cache, {}, pool_);
        QVERIFY2(alone, alone ? "" : alone.error().message().c_str());
        QVERIFY(alone->fileBytes < both->fileBytes - both->levels[0].totals().bytes());
        const auto refused = openDump(path("alone.kvz"));
        QVERIFY(!refused && refused.error().what.find("level text") != std::string::npos);
        const auto read = readKvzText(path("alone.kvz"));
        QVERIFY2(read, read ? "" : read.error().message().c_str());
        QVERIFY(read->levels.empty());
        QCOMPARE(read->bytes, alone->textBytes);
        QVERIFY(read->tokens[0].ids == cache.info().tokens[0].ids);
        QVERIFY(read->tokens[0].texts == cache.info().tokens[0].texts);
        const std::string json = tokensToJson(read->tokens);
        Bytes bytes(json.size());
        std::memcpy(bytes.data(), json.data(), json.size());
        QVERIFY(readTokensJson(*memorySource(std::move(bytes), "t.json"))->ids == cache.info().tokens[0].ids);
        QVERIFY(appendKvz(path("alone.kvz"), cache, plansFor(cache, {"quant8"}, 64), pool_));
        QVERIFY(openDump(path("alone.kvz"))->levels.names == (std::vector<std::string>{"quant8", "text"}));

        // No plan may take its name, and without tokens there is no such level.
        auto named = plansFor(cache, {"gear"}, 64);
        named[0].name = "text";
        QVERIFY(!writeKvz(path("named.kvz"), cache, named, pool_));
        CacheInfo info = cache.info();
        info.tokens.clear();
        auto writer = KvzWriter::create(path("none.kvz"), cache.geometry(), info).value();
        QVERIFY(!writer.finish());
    }

    void appendingTokensEqualsEncodingThemAll_data() {
        QTest::addColumn<QString>("preset");
        for (const char* preset : {"gear", "quant8-gear-delta", "kivi-2", "cachegen-2", "kvz-lossless", "kvz-medium"})
            QTest::newRow(preset) << QString(QLatin1String(preset));
    }
    void appendingTokensEqualsEncodingThemAll() {
        QFETCH(QString, preset);
        const KvCache whole = codecCache(230);
        const auto plans = plansFor(whole, {preset.toLatin1().constData()}, 32);
        const auto first = writeKvz(path("grow.kvz"), codecCache(75), plans, pool_);
        QVERIFY2(first, first ? "" : first.error().message().c_str());
        const auto before = KvzFile::open(openFile(path("grow.kvz")).value()).value();
        for (const std::int64_t tokens : {76, 160, 160, 230}) {
            const auto grown = appendKvz(path("grow.kvz"), codecCache(tokens), {}, pool_);
            QVERIFY2(grown, grown ? "" : grown.error().message().c_str());
        }
        const auto after = KvzFile::open(openFile(path("grow.kvz")).value()).value();
        QCOMPARE(after->geometry().find(LayerIndex(0), PlaneKind::Key)->tokens, std::int64_t{230});
        QCOMPARE(after->info().tokens[0].ids.size(), std::size_t{230});
        // The first chunks are where they were, byte for byte, unless KIVI's residual reached them.
        const PlaneId plane{LayerIndex(1), PlaneKind::Value, SequenceIndex(0)};
        if (preset != QLatin1String("kivi-2"))
            QVERIFY(after->levels()[0].planes.at(plane).chunks[1] == before->levels()[0].planes.at(plane).chunks[1]);
        // With the same calibration, encoding everything at once gives the same chunks.
        for (const auto& [id, held] : after->levels()[0].planes) {
            const auto fresh = encodePlane(whole, id, plans[0], pool_, {}, {}, held.pipelines);
            QVERIFY(fresh);
            QCOMPARE(fresh->plane->parts.size(), held.chunks.size());
            for (std::size_t i = 0; i < held.chunks.size(); ++i)
                QVERIFY2(after->readChunk(0, id, i).value() == fresh->plane->parts[i].bytes,
                         qPrintable(QString::number(i)));
        }
    }

    void levelsCanBeAdded() {
        const KvCache cache = codecCache(40);
        QVERIFY(writeKvz(path("more.kvz"), cache, plansFor(cache, {"quant8"}, 32), pool_));
        QVERIFY(appendKvz(path("more.kvz"), cache, plansFor(cache, {"gear"}, 16), pool_));
        const auto file = KvzFile::open(openFile(path("more.kvz")).value()).value();
        QCOMPARE(file->levels().size(), std::size_t{2});
        QVERIFY(sameValues(file->cache(1), cache));
        const auto twice = appendKvz(path("more.kvz"), cache, plansFor(cache, {"gear"}, 16), pool_);
        QVERIFY(!twice && twice.error().what.find("gear") != std::string::npos);
        // Neither another cache nor a shorter one is a continuation.
        QVERIFY(!appendKvz(path("more.kvz"), codecCache(39), {}, pool_));
        QVERIFY(!appendKvz(path("more.kvz"), codecCache(50, 3), {}, pool_));
        auto other = codecSource(50);
        other->description.tokens[0].ids[5] = 1;
        QVERIFY(!appendKvz(path("more.kvz"), KvCache(other), {}, pool_));
        QCOMPARE(bytesOf(path("more.kvz")).size(), static_cast<std::size_t>(file->root().fileBytes));
    }

    void aCrashWhileAppendingLeavesTheOldFileWhole() {
        const KvCache old = codecCache(20, 1, 1, 4);
        const KvCache grown = codecCache(30, 1, 1, 4);
        const auto plans = plansFor(old, {"gear"}, 8);
        QVERIFY(writeKvz(path("crash.kvz"), old, plans, pool_));
        const Bytes before = bytesOf(path("crash.kvz"));
        QVERIFY(appendKvz(path("crash.kvz"), grown, {}, pool_));
        const Bytes after = bytesOf(path("crash.kvz"));
        QVERIFY(after.size() > before.size());
        for (std::size_t size = before.size(); size < after.size(); ++size) {
            // Died while writing chunks or directory: the root is not switched yet.
            Bytes torn(after.begin(), after.begin() + static_cast<std::ptrdiff_t>(size));
            std::copy_n(before.begin(), kKvzHeaderBytes, torn.begin());
            const auto file = openBytes(torn);
            QVERIFY2(file && sameValues((*file)->cache(0), old), qPrintable(QString::number(size)));
            // The end was lost after the switch: the former root still holds.
            Bytes cut(after.begin(), after.begin() + static_cast<std::ptrdiff_t>(size));
            const auto rest = openBytes(cut);
            QVERIFY2(rest && sameValues((*rest)->cache(0), old), qPrintable(QString::number(size)));
        }
        // Died while writing the root itself.
        for (std::size_t written = 0; written < static_cast<std::size_t>(kKvzRootBytes); ++written) {
            Bytes torn = after;
            const auto slot = static_cast<std::ptrdiff_t>(kKvzRootOffsets[0]);
            std::copy(before.begin() + slot + static_cast<std::ptrdiff_t>(written),
                      before.begin() + slot + kKvzRootBytes,
                      torn.begin() + slot + static_cast<std::ptrdiff_t>(written));
            const auto file = openBytes(torn);
            QVERIFY(file);
            QVERIFY(sameValues((*file)->cache(0), old) || sameValues((*file)->cache(0), grown));
        }
        for (std::size_t size = 0; size < before.size(); ++size) {
            const auto file = openBytes({before.begin(), before.begin() + static_cast<std::ptrdiff_t>(size)});
            QVERIFY2(!file && !file.error().message().empty(), qPrintable(QString::number(size)));
        }
        // A torn append does not keep the next one from working.
        Bytes torn(after.begin(), after.end() - 5);
        std::copy_n(before.begin(), kKvzHeaderBytes, torn.begin());
        std::ofstream(path("torn.kvz"), std::ios::binary)
            .write(reinterpret_cast<const char*>(torn.data()), static_cast<std::streamsize>(torn.size()));
        QVERIFY(appendKvz(path("torn.kvz"), grown, {}, pool_));
        QVERIFY(sameValues(KvzFile::open(openFile(path("torn.kvz")).value()).value()->cache(0), grown));
    }

    void aBrokenChunkIsNamedAndOthersStillDecode() {
        const KvCache cache = codecCache(64);
        QVERIFY(writeKvz(path("broken.kvz"), cache, plansFor(cache, {"gear"}, 32), pool_));
        Bytes bytes = bytesOf(path("broken.kvz"));
        const PlaneId plane{LayerIndex(1), PlaneKind::Value, SequenceIndex(0)};
        const auto whole = openBytes(bytes).value();
        const KvzChunk chunk = whole->levels()[0].planes.at(plane).chunks[1];
        bytes[static_cast<std::size_t>(chunk.offset + chunk.bytes / 2)] ^= std::byte{1};
        const auto file = openBytes(bytes).value();
        const KvCache damaged = file->cache(0);
        std::vector<float> rows(32 * 16);
        const auto bad = damaged.readRows(plane, tokenRange(32, 64), rows);
        QVERIFY(!bad);
        QVERIFY2(bad.error().what.find("chunk 1 (tokens 32..64) of layer 1 V") != std::string::npos,
                 bad.error().message().c_str());
        QVERIFY(damaged.readRows(plane, tokenRange(0, 32), rows));
        std::vector<float> expected(rows.size());
        QVERIFY(cache.readRows(plane, tokenRange(0, 32), expected));
        QVERIFY(rows == expected);
        QVERIFY(damaged.readRows({LayerIndex(0), PlaneKind::Value, SequenceIndex(0)}, tokenRange(32, 64), rows));
    }

    void noFlippedByteIsTrusted() {
        const KvCache cache = codecCache(12, 1, 1, 4);
        QVERIFY(writeKvz(path("flip.kvz"), cache, plansFor(cache, {"gear"}, 8), pool_));
        const Bytes bytes = bytesOf(path("flip.kvz"));
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            Bytes changed = bytes;
            changed[i] ^= std::byte{0x41};
            const auto file = openBytes(changed);
            if (!file)
                continue;
            const KvCache opened = (*file)->cache(0);
            for (const PlaneId plane : opened.geometry().allPlanes()) {
                std::vector<float> rows(12 * 4);
                if (opened.readRows(plane, tokenRange(0, 12), rows))
                    QVERIFY2(rows == rowsOf(cache, plane), qPrintable(QString::number(i)));
            }
        }
    }

    void hostileDirectoriesAreRefused() {
        const KvCache cache = codecCache(12, 1, 1, 4);
        QVERIFY(writeKvz(path("seed.kvz"), cache, plansFor(cache, {"gear"}, 8), pool_));
        const auto file = KvzFile::open(openFile(path("seed.kvz")).value()).value();
        const auto refused = [&](auto change) {
            KvzDirectory directory = file->directory();
            change(directory);
            return !directoryFromBytes(toBytes(directory), file->root().directoryOffset, "forged");
        };
        const PlaneId key{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
        QVERIFY(!refused([](KvzDirectory&) {}));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.at(key).chunks[0].offset = 0; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.at(key).chunks[0].offset = INT64_MAX - 4; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.at(key).chunks[0].bytes = 1 << 30; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.at(key).chunks[0].pipeline = 7; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.at(key).chunks.pop_back(); }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].planes.erase(key); }));
        QVERIFY(refused([&](KvzDirectory& d) { d.geometry.sequences = std::int64_t{1} << 40; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.geometry.layers.resize(5, d.geometry.layers[0]); }));
        QVERIFY(refused([&](KvzDirectory& d) { d.geometry.layers[0].plane(PlaneKind::Key)->tokens = 1 << 30; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.geometry.layers[0].plane(PlaneKind::Key)->headDim = 1 << 30; }));
        QVERIFY(refused([&](KvzDirectory& d) { d.levels[0].plan.chunkTokens = 7; }));
        QVERIFY(!refused([&](KvzDirectory& d) { d.levels.clear(); }));
        QVERIFY(refused([&](KvzDirectory& d) {
            d.levels.clear();
            d.info.tokens.clear();
        }));
        QVERIFY(refused([&](KvzDirectory& d) {
            d.levels.clear();
            d.geometry.sequences = 1 << 20;
        }));
        QVERIFY(refused([&](KvzDirectory& d) { d.info.rope[0] = Rope::plain(1e4, 1000, Rope::Pairing::HalfSplit); }));
        const Bytes good = toBytes(file->directory());
        for (std::size_t size = 0; size < good.size(); ++size)
            QVERIFY(!directoryFromBytes(std::span(good).first(size), file->root().directoryOffset, "cut"));
    }
};

QTEST_APPLESS_MAIN(TestKvzFile)
#include "test_kvz_file.moc"
