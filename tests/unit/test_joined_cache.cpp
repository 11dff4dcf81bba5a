// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/joined_cache.h"
#include "core/kv/strided_cache.h"

#include <QTest>

#include <cstring>

using namespace kvscope;

namespace {

constexpr std::int64_t kDim = 3;

/// Two layers of K and V whose values tell layer, kind, token and channel of the joined cache.
KvCache makePart(std::int64_t layers, std::int64_t heads, std::int64_t tokens, std::int64_t firstLayer,
                 std::int64_t firstHead, std::int64_t firstToken) {
    KvGeometry geometry;
    geometry.layers.resize(static_cast<std::size_t>(layers));
    std::vector<std::vector<float>> values;
    for (std::int64_t layer = 0; layer < layers; ++layer)
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            geometry.layers[static_cast<std::size_t>(layer)].plane(kind) =
                PlaneGeometry{heads, kDim, tokens, DType::F32, {}, 0, {}};
            std::vector<float> plane;
            for (std::int64_t t = 0; t < tokens; ++t)
                for (std::int64_t c = 0; c < heads * kDim; ++c)
                    plane.push_back(static_cast<float>((layer + firstLayer) * 100000 + static_cast<int>(kind) * 10000 +
                                                       (t + firstToken) * 100 + c + firstHead * kDim));
            values.push_back(std::move(plane));
        }
    return *makeMemoryCache(geometry, {}, std::move(values));
}

void compare(const KvCache& cache, std::int64_t layers, std::int64_t heads, std::int64_t tokens) {
    const std::int64_t channels = heads * kDim;
    QCOMPARE(cache.geometry().layerCount(), layers);
    for (const PlaneId id : cache.geometry().allPlanes()) {
        QCOMPARE(cache.geometry().find(id)->heads, heads);
        QCOMPARE(cache.geometry().find(id)->tokens, tokens);
        for (std::int64_t t0 = 0; t0 < tokens; ++t0)
            for (std::int64_t c0 = 0; c0 < channels; ++c0) {
                std::vector<float> rows(static_cast<std::size_t>((tokens - t0) * (channels - c0)));
                QVERIFY(cache.readRows(id, tokenRange(t0, tokens), channelRange(c0, channels), rows));
                for (std::int64_t t = t0; t < tokens; ++t)
                    for (std::int64_t c = c0; c < channels; ++c)
                        QCOMPARE(rows[static_cast<std::size_t>((t - t0) * (channels - c0) + c - c0)],
                                 static_cast<float>(id.layer.value * 100000 + static_cast<int>(id.kind) * 10000 +
                                                    t * 100 + c));
            }
        std::vector<float> native(static_cast<std::size_t>(tokens * channels));
        QVERIFY(cache.readNative(id, tokenRange(0, tokens), std::as_writable_bytes(std::span(native))));
        std::vector<float> rows(native.size());
        QVERIFY(cache.readRows(id, tokenRange(0, tokens), rows));
        QVERIFY(native == rows);
    }
}

} // namespace

class TestJoinedCache : public QObject {
    Q_OBJECT

private slots:
    void layersHeadsAndTokens() {
        const auto byLayer = joinCaches(JoinAxis::Layers, {makePart(1, 2, 5, 0, 0, 0), makePart(2, 2, 5, 1, 0, 0)}, {});
        QVERIFY(byLayer.has_value());
        compare(*byLayer, 3, 2, 5);
        const auto byHead = joinCaches(JoinAxis::Heads, {makePart(2, 1, 5, 0, 0, 0), makePart(2, 3, 5, 0, 1, 0)}, {});
        QVERIFY(byHead.has_value());
        compare(*byHead, 2, 4, 5);
        const auto byToken = joinCaches(
            JoinAxis::Tokens, {makePart(2, 2, 4, 0, 0, 0), makePart(2, 2, 1, 0, 0, 4), makePart(2, 2, 3, 0, 0, 5)}, {});
        QVERIFY(byToken.has_value());
        compare(*byToken, 2, 2, 8);
        QCOMPARE(byToken->geometry().find(LayerIndex(0), PlaneKind::Key)->position(TokenIndex(7)), std::int64_t(7));
    }

    void whatDoesNotFitIsRefused() {
        QVERIFY(!joinCaches(JoinAxis::Heads, {makePart(1, 2, 5, 0, 0, 0), makePart(1, 2, 4, 0, 0, 0)}, {}));
        QVERIFY(!joinCaches(JoinAxis::Tokens, {makePart(1, 2, 5, 0, 0, 0), makePart(1, 3, 5, 0, 0, 0)}, {}));
        QVERIFY(!joinCaches(JoinAxis::Tokens, {makePart(1, 2, 5, 0, 0, 0), makePart(2, 2, 5, 0, 0, 0)}, {}));
        QVERIFY(!joinCaches(JoinAxis::Layers, {}, {}));
    }
};

QTEST_APPLESS_MAIN(TestJoinedCache)
#include "test_joined_cache.moc"
