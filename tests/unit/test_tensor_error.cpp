// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/tensor_error.h"
#include "tests/unit/golden_stats.h"

#include <QTest>

#include <limits>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

void compareError(const TensorError& error, const Json& golden) {
    KVSCOPE_NEAR(error.meanAbs, golden["mae"], 0);
    KVSCOPE_NEAR(error.meanSquared, golden["mse"], 0);
    KVSCOPE_NEAR(error.max, golden["max"], 0);
    QVERIFY(error.relativeL2 && error.nmse && error.nmseCentred && error.cosine && error.snrDb && error.psnrDb);
    KVSCOPE_NEAR(*error.relativeL2, golden["rel_l2"], 0);
    KVSCOPE_NEAR(*error.nmse, golden["nmse"], 0);
    KVSCOPE_NEAR(*error.nmseCentred, golden["nmsec"], 0);
    KVSCOPE_NEAR(*error.cosine, golden["cosine"], 0);
    KVSCOPE_NEAR(*error.snrDb, golden["snr_db"], 0);
}

} // namespace

class TestTensorError : public QObject {
    Q_OBJECT

private slots:
    void roundingEqualsNumpy_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("rounding");
        for (const char* name : {"small", "stories260K.story_a", "stories260K.story_b"})
            for (const char* rounding : {"fp16", "bf16"})
                QTest::addRow("%s/%s", name, rounding) << QString(name) << QString(rounding);
    }

    void roundingEqualsNumpy() {
        QFETCH(QString, name);
        QFETCH(QString, rounding);
        const auto original = loadGolden(name.toStdString());
        if (!original)
            QSKIP("the dump is not there (KVSCOPE_TEST_DATA)");
        const auto rounded = loadGolden(name.toStdString(), rounding == "fp16" ? DType::F16 : DType::BF16);
        QVERIFY(rounded.has_value());
        ThreadPool pool(2);
        Progress progress;
        const auto error = compareCaches(original->cache, rounded->cache, pool, {{}, &progress});
        QVERIFY(error.has_value());
        QVERIFY(progress.total() > 0);
        QCOMPARE(progress.done(), progress.total());
        for (const PlaneError& plane : error->planes) {
            const char* kind = plane.plane.kind == PlaneKind::Key     ? "K"
                               : plane.plane.kind == PlaneKind::Value ? "V"
                                                                      : "Kpre";
            compareError(plane.error, original->golden["planes"][kind][static_cast<std::size_t>(
                                          plane.plane.layer.value)]["error"][rounding.toStdString()]);
        }
        QCOMPARE(error->kinds.size(), std::size_t(3));
        QCOMPARE(error->kinds[0].error.count, error->planes[0].error.count * original->golden["layers"].get<int>());
    }

    void kindsAddUpTheirPlanes() {
        auto a = std::make_shared<MemorySource>();
        auto b = std::make_shared<MemorySource>();
        addPlane(*a, planeId(0, PlaneKind::Key), 1, 1, {0, 2});
        addPlane(*b, planeId(0, PlaneKind::Key), 1, 1, {1, 2});
        addPlane(*a, planeId(1, PlaneKind::Key), 1, 1, {5, 7});
        addPlane(*b, planeId(1, PlaneKind::Key), 1, 1, {5, 4});
        ThreadPool pool(1);
        const auto error = compareCaches(KvCache(a), KvCache(b), pool);
        QVERIFY(error.has_value());
        const TensorError& all = error->kinds[0].error;
        QCOMPARE(all.count, std::int64_t(4));
        KVSCOPE_NEAR(all.meanAbs, 1.0, 0);
        KVSCOPE_NEAR(all.meanSquared, 2.5, 0);
        KVSCOPE_NEAR(all.max, 3.0, 0);
        KVSCOPE_NEAR(*all.nmse, 10.0 / 78.0, 0);
        // Centred about each plane's own channel means: 2 + 2.
        KVSCOPE_NEAR(*all.nmseCentred, 10.0 / 4.0, 0);
        KVSCOPE_NEAR(*all.cosine, (4.0 + 25 + 28) / std::sqrt(78.0 * (1 + 4 + 25 + 16)), 0);
        KVSCOPE_NEAR(*all.psnrDb, 20 * std::log10(7 / std::sqrt(2.5)), 0);
    }

    void equalTensorsAreExact() {
        TensorErrorAccumulator error(2);
        const std::vector<float> x{1, 2, 3, 5};
        error.add(x, x);
        const TensorError result = error.result();
        QVERIFY(result.isExact());
        QCOMPARE(*result.nmse, 0.0);
        KVSCOPE_NEAR(*result.cosine, 1.0, 0);
        QVERIFY(!result.snrDb);
        QVERIFY(!result.psnrDb);
    }

    void zerosConstantsAndNothing() {
        QCOMPARE(TensorErrorAccumulator(3).result(), TensorError());
        TensorErrorAccumulator zeros(1);
        zeros.add(std::vector<float>{0, 0}, std::vector<float>{0, 1});
        const TensorError result = zeros.result();
        QVERIFY(!result.isExact());
        QVERIFY(!result.nmse && !result.relativeL2 && !result.cosine && !result.snrDb && !result.nmseCentred);
        TensorErrorAccumulator constant(1);
        constant.add(std::vector<float>{3, 3}, std::vector<float>{3, 2});
        QVERIFY(constant.result().snrDb && !constant.result().psnrDb && !constant.result().nmseCentred);
    }

    void nonFinitePairs() {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const float inf = std::numeric_limits<float>::infinity();
        TensorErrorAccumulator error(1);
        error.add(std::vector<float>{1, nan, inf, inf, 4, 2}, std::vector<float>{1, nan, inf, -inf, nan, 3});
        const TensorError result = error.result();
        QCOMPARE(result.count, std::int64_t(2));
        QCOMPARE(result.mismatches, std::int64_t(2));
        QCOMPARE(result.max, 1.0);
    }

    void partsMerge() {
        const auto cache = loadSmall(false);
        QVERIFY(cache.has_value());
        std::vector<float> x(53 * 32);
        QVERIFY(cache->readRows(planeId(1, PlaneKind::Key), tokenRange(0, 53), x));
        std::vector<float> y = x;
        for (float& value : y)
            value = floatFromHalf(halfFromFloat(value));
        TensorErrorAccumulator whole(32);
        whole.add(x, y);
        TensorErrorAccumulator parts(32);
        for (std::size_t begin = 0; begin < x.size(); begin += 10 * 32) {
            TensorErrorAccumulator part(32);
            const std::size_t size = std::min<std::size_t>(10 * 32, x.size() - begin);
            part.add(std::span(x).subspan(begin, size), std::span(y).subspan(begin, size));
            parts.merge(part);
        }
        KVSCOPE_NEAR(*parts.result().nmseCentred, *whole.result().nmseCentred, 0);
        KVSCOPE_NEAR(*parts.result().psnrDb, *whole.result().psnrDb, 0);
        QCOMPARE(parts.result().count, whole.result().count);
    }

    void shapesMustMeet() {
        ThreadPool pool(1);
        const auto a = singlePlane(1, 2, {1, 2, 3, 4});
        QVERIFY(!compareCaches(a, singlePlane(2, 1, {1, 2, 3, 4}), pool));
        const auto shorter = compareCaches(a, singlePlane(1, 2, {1, 2}), pool);
        QVERIFY(shorter && shorter->planes[0].error.count == 2);
    }
};

QTEST_APPLESS_MAIN(TestTensorError)
#include "test_tensor_error.moc"
