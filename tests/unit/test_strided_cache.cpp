// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/float_formats.h"
#include "core/kv/strided_cache.h"

#include <QTest>

#include <cstring>
#include <random>
#include <vector>

using namespace kvscope;

namespace {

constexpr std::int64_t kHeads = 3;
constexpr std::int64_t kDim = 4;
constexpr std::int64_t kTokens = 11;
constexpr std::int64_t kChannels = kHeads * kDim;

KvGeometry onePlane(DType dtype) {
    KvGeometry geometry;
    geometry.layers.resize(1);
    geometry.layers[0].plane(PlaneKind::Key) = PlaneGeometry{kHeads, kDim, kTokens, dtype, {}, 0, {}};
    return geometry;
}

/// Element (t, h, d) has this value; exact in binary16.
float valueAt(std::int64_t token, std::int64_t head, std::int64_t dim) {
    return static_cast<float>(token * 100 + head * 10 + dim) * 0.25F;
}

struct Layout {
    std::int64_t tokenStride;
    std::int64_t headStride;
    std::int64_t dimStride;
};

std::vector<std::byte> store(Layout layout, std::int64_t leading, DType dtype, bool bigEndian) {
    const std::int64_t size = sizeOf(dtype);
    const std::int64_t last =
        (kTokens - 1) * layout.tokenStride + (kHeads - 1) * layout.headStride + (kDim - 1) * layout.dimStride;
    std::vector<std::byte> bytes(static_cast<std::size_t>(leading + (last + 1) * size));
    for (std::int64_t t = 0; t < kTokens; ++t)
        for (std::int64_t h = 0; h < kHeads; ++h)
            for (std::int64_t d = 0; d < kDim; ++d) {
                std::byte raw[4];
                const float value = valueAt(t, h, d);
                const std::uint16_t half = halfFromFloat(value);
                if (dtype == DType::F32)
                    std::memcpy(raw, &value, 4);
                else
                    std::memcpy(raw, &half, 2);
                if (bigEndian)
                    std::reverse(raw, raw + size);
                const auto at =
                    leading + (t * layout.tokenStride + h * layout.headStride + d * layout.dimStride) * size;
                std::memcpy(bytes.data() + at, raw, static_cast<std::size_t>(size));
            }
    return bytes;
}

StridedPart partOf(std::vector<std::byte> bytes, Layout layout, std::int64_t leading, DType dtype) {
    StridedPart part;
    part.bytes = memorySource(std::move(bytes), "test");
    part.offset = leading;
    part.stored = dtype;
    part.tokenStride = layout.tokenStride;
    part.headStride = layout.headStride;
    part.dimStride = layout.dimStride;
    part.tokenCount = kTokens;
    part.headCount = kHeads;
    return part;
}

void compareAllWindows(const KvCache& cache, float scale = 1.0F) {
    const PlaneId id;
    for (std::int64_t t0 = 0; t0 <= kTokens; ++t0)
        for (std::int64_t t1 = t0; t1 <= kTokens; ++t1)
            for (std::int64_t c0 = 0; c0 <= kChannels; ++c0)
                for (std::int64_t c1 = c0; c1 <= kChannels; ++c1) {
                    std::vector<float> rows(static_cast<std::size_t>((t1 - t0) * (c1 - c0)));
                    const auto read = cache.readRows(id, tokenRange(t0, t1), channelRange(c0, c1), rows);
                    QVERIFY2(read.has_value(), read ? "" : read.error().message().c_str());
                    for (std::int64_t t = t0; t < t1; ++t)
                        for (std::int64_t c = c0; c < c1; ++c)
                            QCOMPARE(rows[static_cast<std::size_t>((t - t0) * (c1 - c0) + c - c0)],
                                     valueAt(t, c / kDim, c % kDim) * scale);
                }
}

} // namespace

class TestStridedCache : public QObject {
    Q_OBJECT

private slots:
    void everyLayoutReadsTheSame_data() {
        QTest::addColumn<qint64>("tokenStride");
        QTest::addColumn<qint64>("headStride");
        QTest::addColumn<qint64>("dimStride");
        QTest::newRow("tokens of merged heads") << qint64(kChannels) << qint64(kDim) << qint64(1);
        QTest::newRow("heads of tokens") << qint64(kDim) << qint64(kTokens * kDim) << qint64(1);
        QTest::newRow("transposed") << qint64(1) << qint64(kDim * kTokens) << qint64(kTokens);
        QTest::newRow("K and V interleaved innermost") << qint64(2 * kChannels) << qint64(2 * kDim) << qint64(2);
        QTest::newRow("dimensions outside of heads") << qint64(kChannels) << qint64(1) << qint64(kHeads);
        QTest::newRow("sparse rows") << qint64(10 * kChannels) << qint64(kDim) << qint64(1);
    }

    void everyLayoutReadsTheSame() {
        QFETCH(qint64, tokenStride);
        QFETCH(qint64, headStride);
        QFETCH(qint64, dimStride);
        const Layout layout{tokenStride, headStride, dimStride};
        for (const DType dtype : {DType::F16, DType::F32})
            for (const bool bigEndian : {false, true}) {
                auto part = partOf(store(layout, 7, dtype, bigEndian), layout, 7, dtype);
                part.bigEndian = bigEndian;
                auto cache = makeStridedCache(onePlane(dtype), {}, {{PlaneId{}, {part}}});
                QVERIFY(cache.has_value());
                compareAllWindows(*cache);

                std::vector<std::byte> native(static_cast<std::size_t>(kTokens * kChannels * sizeOf(dtype)));
                QVERIFY(cache->readNative(PlaneId{}, tokenRange(0, kTokens), native));
                QVERIFY(native == store({kChannels, kDim, 1}, 0, dtype, false));
                QVERIFY(cache->nativeIsExact(PlaneId{}));

                QVERIFY(cache->readNativeByHead(PlaneId{}, tokenRange(0, kTokens), native));
                QVERIFY(native == store({kDim, kTokens * kDim, 1}, 0, dtype, false));
                QCOMPARE(cache->headsLieApart(PlaneId{}), tokenStride == kDim);
            }
    }

    void scaleIsAppliedOnlyToFloats() {
        const Layout layout{kChannels, kDim, 1};
        auto part = partOf(store(layout, 0, DType::F16, false), layout, 0, DType::F16);
        part.scale = 0.5F;
        const auto cache = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}});
        QVERIFY(cache.has_value());
        compareAllWindows(*cache, 0.5F);
        QVERIFY(!cache->nativeIsExact(PlaneId{}));
    }

    void pagesInAnyOrder() {
        const Layout layout{kChannels, kDim, 1};
        const auto plain = store(layout, 0, DType::F16, false);
        constexpr std::int64_t kBlock = 4;
        const std::vector<std::int64_t> blocks{2, 0, 3};
        std::vector<std::byte> paged(static_cast<std::size_t>(4 * kBlock * kChannels * 2));
        for (std::int64_t t = 0; t < kTokens; ++t)
            std::memcpy(paged.data() +
                            (blocks[static_cast<std::size_t>(t / kBlock)] * kBlock + t % kBlock) * kChannels * 2,
                        plain.data() + t * kChannels * 2, kChannels * 2);
        auto part = partOf(std::move(paged), layout, 0, DType::F16);
        part.pages = std::make_shared<PageTable>(PageTable{kBlock, kBlock * kChannels, blocks});
        const auto cache = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}});
        QVERIFY(cache.has_value());
        compareAllWindows(*cache);

        part.pages = std::make_shared<PageTable>(PageTable{kBlock, kBlock * kChannels, {2, 0, 4}});
        QVERIFY(!makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}}));
        part.pages = std::make_shared<PageTable>(PageTable{kBlock, kBlock * kChannels, {2, 0}});
        QVERIFY(!makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}}));
    }

    void partsAreJoinedAndMustTile() {
        const Layout layout{kChannels, kDim, 1};
        const auto whole = partOf(store(layout, 0, DType::F16, false), layout, 0, DType::F16);
        auto left = whole;
        left.headCount = 1;
        auto top = whole;
        top.headBegin = 1;
        top.headCount = 2;
        top.tokenCount = 5;
        top.offset = kDim * 2;
        auto bottom = top;
        bottom.tokenBegin = 5;
        bottom.tokenCount = kTokens - 5;
        bottom.offset = (5 * kChannels + kDim) * 2;
        const auto cache = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {bottom, left, top}}});
        QVERIFY(cache.has_value());
        compareAllWindows(*cache);

        const auto lacking = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {left, top}}});
        QVERIFY(!lacking && lacking.error().what.find("lacks") != std::string::npos);
        const auto twice = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {whole, left}}});
        QVERIFY(!twice && twice.error().what.find("twice") != std::string::npos);
    }

    void lyingHeadersAreRefused() {
        const Layout layout{kChannels, kDim, 1};
        const auto good = partOf(store(layout, 0, DType::F16, false), layout, 0, DType::F16);
        for (const int what : {0, 1, 2, 3, 4}) {
            auto part = good;
            if (what == 0)
                part.offset = 2;
            if (what == 1)
                part.tokenStride = INT64_MAX / 2;
            if (what == 2)
                part.dimStride = -1;
            if (what == 3)
                part.tokenBegin = INT64_MAX;
            if (what == 4)
                part.stored = DType::BF16;
            QVERIFY(!makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}}));
        }
        auto huge = onePlane(DType::F16);
        huge.layers[0].plane(PlaneKind::Key)->tokens = INT64_MAX / 8;
        QVERIFY(!makeStridedCache(huge, {}, {{PlaneId{}, {good}}}));
    }

    void readsOutsideOfThePlaneAreErrors() {
        const Layout layout{kChannels, kDim, 1};
        const auto part = partOf(store(layout, 0, DType::F16, false), layout, 0, DType::F16);
        const auto cache = makeStridedCache(onePlane(DType::F16), {}, {{PlaneId{}, {part}}});
        std::vector<float> rows(static_cast<std::size_t>(kChannels));
        QVERIFY(cache->readRows(PlaneId{}, tokenRange(0, 1), rows));
        QVERIFY(!cache->readRows(PlaneId{}, tokenRange(kTokens, kTokens + 1), rows));
        QVERIFY(!cache->readRows(PlaneId{}, tokenRange(-1, 0), rows));
        QVERIFY(!cache->readRows(PlaneId{LayerIndex(1), PlaneKind::Key, {}}, tokenRange(0, 1), rows));
        QVERIFY(!cache->readRows(PlaneId{LayerIndex(0), PlaneKind::Value, {}}, tokenRange(0, 1), rows));
        QVERIFY(!cache->readRows(PlaneId{}, tokenRange(0, 2), rows));
    }

    void differenceSubtractsWhatBothHold() {
        auto geometry = onePlane(DType::F32);
        std::vector<float> a(static_cast<std::size_t>(kTokens * kChannels), 3.0F);
        const auto first = makeMemoryCache(geometry, {}, {a});
        geometry.layers[0].plane(PlaneKind::Key)->tokens = 5;
        const auto second = makeMemoryCache(geometry, {}, {std::vector<float>(5 * kChannels, 1.0F)});
        const auto difference = makeDifferenceCache(*first, *second);
        QVERIFY(difference.has_value());
        QCOMPARE(difference->geometry().find(PlaneId{})->tokens, std::int64_t(5));
        std::vector<float> rows(static_cast<std::size_t>(5 * kChannels));
        QVERIFY(difference->readRows(PlaneId{}, tokenRange(0, 5), rows));
        QVERIFY(std::all_of(rows.begin(), rows.end(), [](float value) { return value == 2.0F; }));
        QCOMPARE(difference->info().notes.size(), std::size_t(1));
    }
};

QTEST_APPLESS_MAIN(TestStridedCache)
#include "test_strided_cache.moc"
