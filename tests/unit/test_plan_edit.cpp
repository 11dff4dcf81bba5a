// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan_edit.h"
#include "tests/unit/kvz_pipelines.h"

#include <QTest>

#include <cmath>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr LayerKind kCell{LayerIndex(2), PlaneKind::Key};

Pipeline uniform(int bits) {
    Pipeline pipeline;
    pipeline.quantiser = Uniform{.bits = bits};
    return pipeline;
}

CodecPlan painted() {
    CodecPlan plan;
    plan.fallback = kvzSteps(0.45);
    plan.set(layerRange(0, 4), {PlaneKind::Key}, tokenRange(256, 512), uniform(4));
    return plan;
}

} // namespace

class TestPlanEdit : public QObject {
    Q_OBJECT

private slots:
    void segmentsSayWhatEachStretchOfTokensGets() {
        const auto segments = segmentsOf(painted(), kCell);
        QCOMPARE(segments.size(), std::size_t(3));
        QVERIFY(segments[0].tokens == tokenRange(0, 256) && segments[0].pipeline == kvzSteps(0.45));
        QVERIFY(segments[1].tokens == tokenRange(256, 512) && segments[1].pipeline == uniform(4));
        QVERIFY(segments[2].tokens == tokenRange(512, kOpenEnd) && segments[2].pipeline == kvzSteps(0.45));
        QCOMPARE(segmentsOf(painted(), {LayerIndex(2), PlaneKind::Value}).size(), std::size_t(1));
        QCOMPARE(segmentsOf(painted(), {LayerIndex(4), PlaneKind::Key}).size(), std::size_t(1));
        // A plane that ends before the stretch does not have it.
        QCOMPARE(segmentsOf(painted(), kCell, 256).size(), std::size_t(1));
    }

    void copiedSegmentsReadBack() {
        CodecPlan plan = painted();
        const LayerKind target{LayerIndex(9), PlaneKind::Value};
        setSegments(plan, target, segmentsOf(plan, kCell));
        QVERIFY(segmentsOf(plan, target) == segmentsOf(plan, kCell));
        QVERIFY(segmentsOf(plan, kCell) == segmentsOf(painted(), kCell));
    }

    void adjustChangesEachStretchByItself() {
        CodecPlan plan = painted();
        adjust(plan, std::array{kCell}, [](const Pipeline& pipeline) { return coarser(pipeline, 1); });
        const auto segments = segmentsOf(plan, kCell);
        QCOMPARE(segments.size(), std::size_t(3));
        QVERIFY(segments[1].pipeline == uniform(3));
        QCOMPARE(std::get<Step>(segments[0].pipeline.quantiser).step, 0.482);
        QVERIFY(segmentsOf(plan, {LayerIndex(1), PlaneKind::Key}) ==
                segmentsOf(painted(), {LayerIndex(1), PlaneKind::Key}));
        adjust(
            plan, std::array{kCell}, [](const Pipeline&) { return uniform(7); }, tokenRange(512, 768));
        QVERIFY(plan.pipelineFor(kCell.layer, kCell.kind, 2) == uniform(7));
        QVERIFY(plan.pipelineFor(kCell.layer, kCell.kind, 1) == uniform(3));
        QVERIFY(validate(plan));
    }

    void rangesFollowTheChunks() {
        const CodecPlan plan = withChunkTokens(painted(), 400);
        QVERIFY(validate(plan));
        const auto segments = segmentsOf(plan, kCell);
        QCOMPARE(segments.size(), std::size_t(1));
        const CodecPlan fine = withChunkTokens(painted(), 128);
        QVERIFY(validate(fine));
        QVERIFY(segmentsOf(fine, kCell)[1].tokens == tokenRange(256, 512));
    }

    void gaussianBitsAgreeWithTheory() {
        // Fine steps: the differential entropy log2(sqrt(2 pi e)) = 2.0471 less log2(step).
        for (const double step : {0.01, 0.05, 0.1})
            QVERIFY(std::abs(gaussianBits(step) - (2.0470956 - std::log2(step))) < 1e-3);
        // A step of 2 sigma: cells at 0, +-2, +-4 with the normal probabilities 0.682689, 0.157305 and 0.00135.
        const double expected =
            -0.682689 * std::log2(0.682689) - 2 * 0.157305 * std::log2(0.157305) - 2 * 0.0013496 * std::log2(0.0013496);
        QVERIFY(std::abs(gaussianBits(2) - expected) < 1e-3);
        for (const double bits : {0.5, 2.0, 3.5, 6.0})
            QVERIFY(std::abs(gaussianBits(gaussianStep(bits)) - bits) < 1e-6);
    }

    void bitsSuitEveryQuantiser() {
        Pipeline bins;
        bins.quantiser = MaxAbsBins{};
        QCOMPARE(std::get<MaxAbsBins>(withBits(bins, 4).quantiser).bins, 16);
        QCOMPARE(std::get<Uniform>(withBits(uniform(8), 2).quantiser).bits, 2);
        QVERIFY(std::abs(gaussianBits(std::get<Step>(withBits(kvzSteps(0.45), 2).quantiser).step) - 2) < 0.01);
        const Pipeline lossy = withBits(Pipeline{}, 3);
        QVERIFY(std::holds_alternative<Step>(lossy.quantiser));
        QVERIFY(validate(lossy));
        for (const double bits : {0.05, 1.0, 16.0}) {
            for (const Quantiser& quantiser :
                 {Quantiser(Lossless{}), Quantiser(MaxAbsBins{}), Quantiser(Uniform{}), Quantiser(BlockNorm{}),
                  Quantiser(Float8{}), Quantiser(Kivi{}), Quantiser(AnchorDelta{}), Quantiser(Step{})}) {
                Pipeline pipeline;
                pipeline.quantiser = quantiser;
                QVERIFY(validate(withBits(pipeline, bits)));
                QVERIFY(validate(coarser(pipeline, 1000)));
                QVERIFY(validate(coarser(pipeline, -1000)));
            }
        }
    }

    void strengthsAreReadAsPeopleTypeThem_data() {
        using Unit = Strength::Unit;
        QTest::addColumn<QString>("text");
        QTest::addColumn<int>("unit");
        QTest::addColumn<double>("value");
        QTest::newRow("number") << "2" << static_cast<int>(Unit::Bits) << 2.0;
        QTest::newRow("bits") << " 3.5 bits " << static_cast<int>(Unit::Bits) << 3.5;
        QTest::newRow("step") << "0.45s" << static_cast<int>(Unit::Step) << 0.45;
        QTest::newRow("sigma") << "0.45 sigma" << static_cast<int>(Unit::Step) << 0.45;
        QTest::newRow("sign") << QStringLiteral("1.5 \u03c3") << static_cast<int>(Unit::Step) << 1.5;
        QTest::newRow("bins") << "32 bins" << static_cast<int>(Unit::Bins) << 32.0;
        for (const char* bad : {"", "x", "2 apples", "nan", "inf", "2,5", "1e999"})
            QTest::newRow(bad) << QString::fromLatin1(bad) << -1 << 0.0;
    }

    void strengthsAreReadAsPeopleTypeThem() {
        QFETCH(const QString, text);
        QFETCH(const int, unit);
        QFETCH(const double, value);
        const auto strength = strengthFromText(text.toStdString());
        QCOMPARE(strength.has_value(), unit >= 0);
        if (!strength)
            return;
        QCOMPARE(static_cast<int>(strength->unit), unit);
        QCOMPARE(strength->value, value);
        QVERIFY(strengthFromText(toText(*strength)).value() == *strength);
    }

    void strengthsOutsideTheRangeNameTheField() {
        const auto bits = withStrength(uniform(4), {Strength::Unit::Bits, 40});
        QVERIFY(!bits && bits.error().where == "quantiser.bits");
        const auto step = withStrength(kvzSteps(1), {Strength::Unit::Step, 1000});
        QVERIFY(!step && step.error().where == "quantiser.step");
        QVERIFY(!withStrength(uniform(4), {Strength::Unit::Step, 0.5}));
        QVERIFY(!withStrength(uniform(4), {Strength::Unit::Bits, 3.5}));
        QVERIFY(!withStrength(kvzSteps(1), {Strength::Unit::Bits, 100}));
        QCOMPARE(std::get<Step>(withStrength(kvzSteps(1), {Strength::Unit::Step, 0.3})->quantiser).step, 0.3);
    }

    void shortFormsFitInACell() {
        QCOMPARE(QString::fromStdString(shortForm(kvzSteps(0.45))), QStringLiteral("kvz 0.45\u03c3"));
        QCOMPARE(QString::fromStdString(shortForm(uniform(4))), QStringLiteral("4b"));
        QCOMPARE(QString::fromStdString(shortForm(Pipeline{})), QStringLiteral("raw"));
    }
};

QTEST_APPLESS_MAIN(TestPlanEdit)
#include "test_plan_edit.moc"
