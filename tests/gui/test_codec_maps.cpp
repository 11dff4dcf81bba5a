// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/shown_pane.h"
#include "views/codec_session.h"
#include "views/colour_bar.h"
#include "views/heatmap_plan_layers.h"

#include <QComboBox>
#include <QUndoStack>

using namespace kvscope;
using namespace kvscope::views;
using kvscope::testing::near;
using Shown = kvscope::testing::ShownPane;

/// What heatmaps show of the codec's current plan: decoded values, error, bits, and the wipe between them.
class TestCodecMaps : public QObject {
    Q_OBJECT

private slots:
    void theBoxOffersThePlan();
    void decodedSharesTheRange();
    void errorIsDecodedMinusOriginal();
    void bitsAddUpToTheReport();
    void picturesFollowAnEdit();
    void theWipeMovesByMouseAndKeys();
    void nothingIsEncodedUnseen();
    void settingsAreKept();

private:
    static constexpr kvscope::testing::HeatmapFixture kShape{.layers = 3, .heads = 2, .headDim = 8, .tokens = 600};
};

namespace {

/// Room for a pixel of its own for every token, whatever stands beside the map.
constexpr QSize kWide{1600, 420};

HeatmapSettings plane() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key);
    return settings;
}

/// The value of a plane of the current plan as the codec gives it back.
float decodedValue(Document& document, PlaneId plane, std::int64_t token, std::int64_t channel) {
    const KvCache decoded = makeDecodedCache(document.cache(), CodecSession::of(document).encodedPlanes());
    float value = 0;
    const auto read =
        decoded.readRows(plane, tokenRange(token, token + 1), channelRange(channel, channel + 1), std::span(&value, 1));
    return read ? value : std::numeric_limits<float>::quiet_NaN();
}

void coarsen(Document& document, LayerKind cell, double bits) {
    const auto done =
        CodecSession::of(document).adjustCells(QStringLiteral("test"), std::span(&cell, 1),
                                               [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); });
    QVERIFY(done.has_value());
}

} // namespace

void TestCodecMaps::theBoxOffersThePlan() {
    Shown shown(kShape, plane());
    QComboBox* quantity = nullptr;
    for (auto* box : shown.pane.findChildren<QComboBox*>()) {
        if (box->accessibleName() == QStringLiteral("Quantity"))
            quantity = box;
    }
    QVERIFY(quantity != nullptr);
    const int decoded = quantity->findText(QStringLiteral("decoded"));
    QVERIFY(decoded > 0);
    quantity->setCurrentIndex(decoded);
    emit quantity->activated(decoded);
    QCOMPARE(shown.pane.settings().plan, PlanView::Decoded);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    QCOMPARE(quantity->currentText(), QStringLiteral("decoded"));
    QVERIFY(shown.pane.colourBar().contents().label.contains(QStringLiteral("decoded")));
    shown.pane.setPlansOffered(false);
    QCOMPARE(quantity->findText(QStringLiteral("decoded")), -1);
}

void TestCodecMaps::decodedSharesTheRange() {
    Shown shown(kShape, plane().withPlan(PlanView::Decoded), kWide);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    coarsen(shown.document, {LayerIndex(0), PlaneKind::Key}, 1.5);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    const ColourScale scale = shown.pane.colourBar().contents().scale;
    QCOMPARE(scale.range(), shown.plot().heatmap().colouring().scale.range());
    const PlaneId id{LayerIndex(0), PlaneKind::Key, {}};
    int different = 0;
    for (const auto& [token, channel] : {std::pair{10, 3}, {200, 7}, {431, 15}, {599, 0}}) {
        const float decoded = decodedValue(shown.document, id, token, channel);
        QVERIFY(near(shown.shown(token, channel), QColor(scale.colour(std::abs(decoded)))));
        different += std::abs(decoded - shown.value(0, PlaneKind::Key, token, channel)) > 0.05F ? 1 : 0;
    }
    QVERIFY(different > 0);
}

void TestCodecMaps::errorIsDecodedMinusOriginal() {
    HeatmapSettings settings = plane().withPlan(PlanView::Error);
    settings.markOutliers = false;
    Shown shown(kShape, settings);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    const ColourScale scale = shown.pane.colourBar().contents().scale;
    QVERIFY(isDiverging(scale.map()));
    QCOMPARE(scale.range().lower, -scale.range().upper);
    // Far less than the values: the error has a range of its own.
    QVERIFY(scale.range().upper < 1.0);
    const PlaneId id{LayerIndex(0), PlaneKind::Key, {}};
    for (const auto& [token, channel] : {std::pair{10, 3}, {200, 7}, {431, 15}}) {
        const float error =
            decodedValue(shown.document, id, token, channel) - shown.value(0, PlaneKind::Key, token, channel);
        QVERIFY(near(shown.shown(token, channel), QColor(scale.colour(error))));
    }
    QVERIFY(shown.pane.toCsv().contains(QStringLiteral("error")));
}

void TestCodecMaps::bitsAddUpToTheReport() {
    Shown shown(kShape, plane().withPlan(PlanView::Bits));
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    QVERIFY(!isDiverging(shown.pane.colourBar().contents().scale.map()));
    QVERIFY(shown.pane.colourBar().contents().label.endsWith(QStringLiteral("bits/value")));
    double sum = 0;
    int cells = 0;
    const QStringList rows = shown.pane.toCsv().split(QLatin1Char('\n'), Qt::SkipEmptyParts).mid(1);
    for (const QString& row : rows) {
        for (const QString& cell : row.split(QLatin1Char(',')).mid(1)) {
            sum += cell.toDouble();
            ++cells;
        }
    }
    const auto totals = CodecSession::of(shown.document).report().totals(LayerIndex(0), PlaneKind::Key);
    QVERIFY(cells > 0);
    QVERIFY2(std::abs(sum / cells - totals.bitsPerValue()) < 0.02 * totals.bitsPerValue(),
             qPrintable(QStringLiteral("%1 %2").arg(sum / cells).arg(totals.bitsPerValue())));
}

void TestCodecMaps::picturesFollowAnEdit() {
    Shown shown(kShape, HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key).withPlan(PlanView::Bits));
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    const QImage before = shown.plot().grab().toImage();
    const QString numbers = shown.pane.toCsv();
    coarsen(shown.document, {LayerIndex(0), PlaneKind::Key}, 2);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady() && shown.pane.toCsv() != numbers, 30000);
    const QStringList now = shown.pane.toCsv().split(QLatin1Char('\n'));
    const QStringList then = numbers.split(QLatin1Char('\n'));
    QVERIFY(now[1] != then[1]);
    QCOMPARE(now[2], then[2]);
    CodecSession::of(shown.document).undoStack().undo();
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady() && shown.pane.toCsv() == numbers, 30000);
    QTRY_COMPARE(shown.plot().grab().toImage(), before);
}

void TestCodecMaps::theWipeMovesByMouseAndKeys() {
    HeatmapSettings settings = plane().withPlan(PlanView::Wipe);
    settings.markOutliers = false;
    Shown shown(kShape, settings, kWide);
    QVERIFY(QTest::qWaitForWindowExposed(&shown.pane));
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    QVERIFY(shown.pane.errorBar().isVisible());
    WipeHandle& first = shown.pane.planLayers().handle(0);
    WipeHandle& second = shown.pane.planLayers().handle(1);
    QVERIFY(first.isVisible() && second.isVisible());
    const PlaneId id{LayerIndex(0), PlaneKind::Key, {}};
    const ColourScale values = shown.pane.colourBar().contents().scale;
    const auto original = [&](int token, int channel) {
        return QColor(values.colour(std::abs(shown.value(0, PlaneKind::Key, token, channel))));
    };
    const auto error = [&](int token, int channel) {
        return QColor(shown.pane.errorBar().contents().scale.colour(decodedValue(shown.document, id, token, channel) -
                                                                    shown.value(0, PlaneKind::Key, token, channel)));
    };
    QVERIFY(near(shown.shown(50, 9), original(50, 9)));
    QVERIFY(near(shown.shown(580, 9), error(580, 9)));

    // Dragging the right border to the left brings the error with it, as far as the other border.
    const QPoint grip = second.rect().center();
    QTest::mousePress(&second, Qt::LeftButton, {}, grip);
    const double before = second.place();
    QMouseEvent move(QEvent::MouseMove, grip - QPoint(100, 0), second.mapToGlobal(grip - QPoint(100, 0)),
                     Qt::LeftButton, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&second, &move);
    QTest::mouseRelease(&second, Qt::LeftButton, {}, second.rect().center());
    QVERIFY(second.place() < before - 0.05);
    const int between = static_cast<int>(600 * (before + second.place()) / 2);
    QTRY_VERIFY(near(shown.shown(between, 9), error(between, 9)));

    first.setFocus();
    const double start = first.place();
    QTest::keyClick(&first, Qt::Key_Right);
    QVERIFY(std::abs(first.place() - start - 0.01) < 1e-9);
    QTest::keyClick(&first, Qt::Key_Right, Qt::ShiftModifier);
    QVERIFY(first.place() > start + 0.05);
    QTest::keyClick(&first, Qt::Key_End);
    QCOMPARE(first.place(), second.place());
    QTest::keyClick(&first, Qt::Key_Home);
    QCOMPARE(first.place(), 0.0);

    shown.pane.editSettings(shown.pane.settings().withPlan(PlanView::None));
    QVERIFY(!first.isVisible() && !shown.pane.errorBar().isVisible());
    QTRY_VERIFY(near(shown.shown(580, 9), original(580, 9)));
}

void TestCodecMaps::nothingIsEncodedUnseen() {
    Shown shown(kShape, plane());
    QTRY_VERIFY(shown.pane.isReady());
    // Nothing is encoded while nobody looks at the plan.
    QCOMPARE(CodecSession::of(shown.document).planesEncoded(), 0);
    shown.pane.editSettings(shown.pane.settings().withPlan(PlanView::Error));
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 30000);
    QVERIFY(CodecSession::of(shown.document).planesEncoded() > 0);
}

void TestCodecMaps::settingsAreKept() {
    HeatmapSettings settings = plane().withPlan(PlanView::Error);
    settings.lockedRange(PlaneKind::Key) = ValueRange{-0.5, 0.5};
    QCOMPARE(settings.lockedErrorRanges[0], std::optional(ValueRange{-0.5, 0.5}));
    QVERIFY(!settings.withPlan(PlanView::None).lockedRange(PlaneKind::Key));
    const auto read = HeatmapSettings::fromJson(settings.toJson());
    QVERIFY(read.has_value());
    QCOMPARE(*read, settings);
    QCOMPARE(settings.withPlan(PlanView::None).reduction, Reduction::Rms);
}

QTEST_MAIN(TestCodecMaps)
#include "test_codec_maps.moc"
