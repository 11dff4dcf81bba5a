// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/shown_pane.h"
#include "views/chart_parts.h"
#include "views/heatmap_bars.h"
#include "views/heatmap_link.h"
#include "views/outlier_navigator.h"

#include <QLineEdit>
#include <QSignalSpy>

using namespace kvscope;
using namespace kvscope::views;
using kvscope::testing::HeatmapFixture;
using kvscope::testing::makeHeatmapCache;
using kvscope::testing::near;
using Shown = kvscope::testing::ShownPane;

namespace {

/// Replaces the text of a box of the go-to bar.
QLineEdit* type(const HeatmapPane& pane, const char* name, const char* text) {
    auto* edit = pane.findChild<QLineEdit*>(QString::fromLatin1(name));
    edit->setFocus();
    edit->selectAll();
    QTest::keyClicks(edit, QString::fromLatin1(text));
    return edit;
}

/// The box in which a token's text is typed, while it is open.
QLineEdit* findEdit(const HeatmapPane& pane) {
    for (auto* candidate : pane.findChildren<QLineEdit*>()) {
        if (candidate->isVisible() && candidate->placeholderText().startsWith(QStringLiteral("Find")))
            return candidate;
    }
    return nullptr;
}

} // namespace

/// How one moves in the heatmap pane, selects, finds and is told what lies where: driven as a user does.
class TestHeatmapPlaces : public QObject {
    Q_OBJECT

private slots:
    void wheelZoomsAndBackspaceReturns();
    void dragPansAndBoxZooms();
    void clickAndShiftDragSelect();
    void keysMoveTheCrosshair();
    void readoutNamesTheExactValue();
    void findsTokensByText();
    void goesToAPlace();
    void oneBarAtATime();
    void saysWhichPlacesThereAre();
    void markAndCrosshairFollowTheSelection();
    void linkedPanesMarkWhatIsFound();
    void narrowReadoutsAreWhole();
    void narrowAxisTitlesAreWhole();
    void showCellMarksAndNames();
    void stepsThroughOutliers();
    void linkedPanesMoveTogether();
};

void TestHeatmapPlaces::oneBarAtATime() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    const auto goTo = [&shown] { return shown.pane.findChild<GoToBar*>()->isVisible(); };
    shown.plot().setFocus();
    QTest::keyClick(&shown.plot(), Qt::Key_F, Qt::ControlModifier);
    QVERIFY(findEdit(shown.pane) != nullptr && !goTo());
    shown.pane.openGoTo();
    QVERIFY(findEdit(shown.pane) == nullptr && goTo());
    shown.pane.openFind();
    QVERIFY(findEdit(shown.pane) != nullptr && !goTo());
}

void TestHeatmapPlaces::wheelZoomsAndBackspaceReturns() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    const PlotView home = shown.plot().view();
    QCOMPARE(home.columns.size(), 2000.0);
    const QPoint at = shown.pixel(1500, 3);
    const double before = shown.plot().xAxis->pixelToCoord(at.x());
    shown.wheel(at, 5);
    QVERIFY(shown.plot().view().columns.size() < 1000);
    QVERIFY(std::abs(shown.plot().xAxis->pixelToCoord(at.x()) - before) < 1);
    QCOMPARE(shown.plot().view().rows.size(), home.rows.size());
    QTest::keyClick(&shown.plot(), Qt::Key_Backspace);
    QVERIFY(shown.plot().view() == home);
    QTest::keyClick(&shown.plot(), Qt::Key_Plus);
    QVERIFY(shown.plot().view().columns.size() < home.columns.size());
    QTest::keyClick(&shown.plot(), Qt::Key_Home);
    QVERIFY(shown.plot().view() == home);
    shown.wheel(QPoint(10, at.y()), 2);
    QVERIFY(shown.plot().view().rows.size() < home.rows.size());
    QCOMPARE(shown.plot().view().columns.size(), home.columns.size());
}

void TestHeatmapPlaces::dragPansAndBoxZooms() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    shown.plot().setView({QCPRange(500, 700), shown.plot().view().rows}, false);
    shown.drag(shown.pixel(600, 2), shown.pixel(600, 2) - QPoint(100, 0), Qt::LeftButton);
    const QCPRange panned = shown.plot().view().columns;
    const double perPixel = 200.0 / shown.plot().axisRect()->width();
    QVERIFY(std::abs(panned.lower - (500 + 100 * perPixel)) < 0.5);
    QCOMPARE(panned.size(), 200.0);
    QTest::keyClick(&shown.plot(), Qt::Key_Left, Qt::AltModifier);
    QCOMPARE(shown.plot().view().columns.lower, 500.0);

    const QPoint from = shown.pixel(550, 1);
    const QPoint to = shown.pixel(600, 4);
    shown.drag(from, to, Qt::RightButton);
    QVERIFY(std::abs(shown.plot().view().columns.lower - 550) < 1);
    QVERIFY(std::abs(shown.plot().view().columns.upper - 600) < 1);
    QVERIFY(shown.plot().view().rows.size() < 5);
    shown.plot().goHome();
    QTest::qWait(0);
    shown.drag(shown.pixel(1000, 0), shown.pixel(1200, 5), Qt::LeftButton, Qt::ControlModifier);
    QVERIFY(std::abs(shown.plot().view().columns.size() - 200) < 5);
    QVERIFY(!shown.selection.current().tokens.has_value());
}

void TestHeatmapPlaces::clickAndShiftDragSelect() {
    Shown shown({.tokens = 300});
    QTRY_VERIFY(shown.pane.isReady());
    QSignalSpy edited(&shown.selection, &SelectionModel::edited);
    QTest::mouseClick(&shown.plot(), Qt::LeftButton, {}, shown.pixel(120, 4));
    QCOMPARE(edited.count(), 1);
    QVERIFY(shown.selection.current().layers == layerRange(4, 5));
    QVERIFY(shown.selection.current().tokens == tokenRange(120, 121));
    QVERIFY(shown.plot().overlay().selection() == QRectF(120, 4, 1, 1));
    shown.drag(shown.pixel(50, 1), shown.pixel(80, 2), Qt::LeftButton, Qt::ShiftModifier);
    QVERIFY(shown.selection.current().layers == layerRange(1, 3));
    QVERIFY(shown.selection.current().tokens == tokenRange(50, 81));
    QTest::keyClick(&shown.plot(), Qt::Key_Escape);
    QVERIFY(!shown.selection.current().tokens.has_value());
}

void TestHeatmapPlaces::keysMoveTheCrosshair() {
    Shown shown({.tokens = 300});
    QTRY_VERIFY(shown.pane.isReady());
    QTest::mouseMove(&shown.plot(), shown.pixel(100, 2));
    QTRY_VERIFY((shown.plot().crosshair() == MapCell{100, 2}));
    QTest::keyClick(&shown.plot(), Qt::Key_Right);
    QTest::keyClick(&shown.plot(), Qt::Key_Down);
    QVERIFY((shown.plot().crosshair() == MapCell{101, 3}));
    QVERIFY(shown.selection.hover().has_value());
    QCOMPARE(shown.selection.hover()->token->value, std::int64_t{101});
    QCOMPARE(shown.selection.hover()->layer.value, std::int64_t{3});
    QTest::keyClick(&shown.plot(), Qt::Key_Return);
    QVERIFY(shown.selection.current().tokens == tokenRange(101, 102));
    QVERIFY(shown.selection.current().layers == layerRange(3, 4));
}

void TestHeatmapPlaces::readoutNamesTheExactValue() {
    Shown shown({.tokens = 300, .firstPosition = 40},
                HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Value));
    Selection selection = shown.selection.current();
    selection.layers = layerRange(3, 4);
    shown.selection.select(selection);
    QTRY_VERIFY(shown.pane.isReady());
    shown.plot().setView({QCPRange(200, 230), QCPRange(30, 50)}, false);
    QTRY_VERIFY(shown.pane.isReady());
    QTest::mouseMove(&shown.plot(), shown.pixel(210, 37));
    QTRY_COMPARE(shown.pane.readout().place(),
                 QStringLiteral("V · layer 3 · head 2 · channel 37 · token 210 “ needle” (position 250)"));
    const float value = shown.value(3, PlaneKind::Value, 210, 37);
    const QString text = shown.pane.readout().values();
    const double named = text.section(u' ', 1, 1).toDouble();
    QVERIFY2(text.startsWith(QStringLiteral("value ")) && std::abs(named - static_cast<double>(value)) < 1e-5,
             qPrintable(text));
}

void TestHeatmapPlaces::findsTokensByText() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    QTest::keyClick(&shown.plot(), Qt::Key_F, Qt::ControlModifier);
    QLineEdit* edit = findEdit(shown.pane);
    QVERIFY(edit != nullptr);
    QTest::keyClicks(edit, QStringLiteral("needle"));
    QTRY_COMPARE(shown.plot().strip().matches().size(), std::size_t{4});
    QTRY_VERIFY(shown.plot().view().columns.contains(250) && shown.plot().view().columns.size() < 200);
    QTest::keyClick(edit, Qt::Key_Return);
    QVERIFY(shown.plot().view().columns.contains(750));
    QTest::keyClick(edit, Qt::Key_Return, Qt::ShiftModifier);
    QTest::keyClick(edit, Qt::Key_Return, Qt::ShiftModifier);
    QVERIFY(shown.plot().view().columns.contains(1750));
    const auto pieces = shown.plot().strip().visiblePieces();
    QVERIFY(!pieces.empty());
    QString text;
    for (const auto& piece : pieces)
        text += piece.text;
    QVERIFY2(text.contains(QStringLiteral("needle")), qPrintable(text));
    // Under columns too narrow for texts the running text is that of other columns: what was found is written there.
    const auto at = [&shown](double slot) { return shown.plot().xAxis->coordToPixel(slot); };
    auto found = shown.plot().strip().foundText();
    QVERIFY(found.has_value());
    QCOMPARE(found->text, QStringLiteral("needle"));
    QVERIFY(std::abs(found->box.center().x() - at(1750)) < 1);
    const QImage strip = shown.plot().grab().toImage();
    QCOMPARE(strip.pixelColor(found->box.topLeft().toPoint() + QPoint(2, 2)),
             shown.plot().palette().highlight().color());
    // At the end of the strip it is whole.
    shown.plot().setView({QCPRange(1749, 1900), shown.plot().yAxis->range()}, false);
    found = shown.plot().strip().foundText();
    QVERIFY(found.has_value() && found->box.left() >= at(1749) - 1);
    shown.plot().setView({QCPRange(1900, 2000), shown.plot().yAxis->range()}, false);
    QVERIFY(!shown.plot().strip().foundText().has_value());
    shown.plot().setView({QCPRange(1740, 1760), shown.plot().yAxis->range()}, false);
    QVERIFY(!shown.plot().strip().foundText().has_value());
    QTest::keyClick(edit, Qt::Key_Escape);
    QVERIFY(!edit->isVisible());
    QVERIFY(shown.plot().strip().matches().empty());
}

void TestHeatmapPlaces::goesToAPlace() {
    Shown shown({}, HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key));
    QTRY_VERIFY(shown.pane.isReady());
    QTest::keyClick(&shown.plot(), Qt::Key_G);
    type(shown.pane, "layer", "4");
    type(shown.pane, "channel", "50");
    QTest::keyClick(type(shown.pane, "token", "1,234"), Qt::Key_Return);
    QVERIFY(shown.selection.current().layers == layerRange(4, 5));
    QTRY_VERIFY(shown.plot().overlay().mark().has_value());
    QCOMPARE(shown.plot().overlay().mark()->topLeft(), QPointF(1234, 50));
    QVERIFY(shown.plot().view().columns.contains(1234) && shown.plot().view().rows.contains(50));
    QCOMPARE(shown.pane.shownMap()->layer.value, std::int64_t{4});
}

void TestHeatmapPlaces::saysWhichPlacesThereAre() {
    Shown shown({.raggedLayer = 2, .missingTokens = 500});
    QTRY_VERIFY(shown.pane.isReady());
    const int narrowest = shown.pane.minimumSizeHint().width();
    QTest::keyClick(&shown.plot(), Qt::Key_G);
    const auto* bar = shown.pane.findChild<GoToBar*>();
    QVERIFY(bar->isVisible());
    QCOMPARE(shown.pane.minimumSizeHint().width(), narrowest);
    const Selection before = shown.selection.current();
    QLineEdit* token = type(shown.pane, "token", "12345");
    QTest::keyClick(token, Qt::Key_Return);
    QCOMPARE(token->text(), QStringLiteral("12345"));
    QVERIFY2(bar->problem().contains(QStringLiteral("0 to 1,999")), qPrintable(bar->problem()));
    QVERIFY(shown.selection.current() == before);
    QCOMPARE(shown.pane.minimumSizeHint().width(), narrowest);
    // There in other layers, but not in this one.
    type(shown.pane, "token", "1700");
    QTest::keyClick(type(shown.pane, "layer", "2"), Qt::Key_Return);
    QVERIFY2(bar->problem().contains(QStringLiteral("K of layer 2 has tokens 0 to 1,499")), qPrintable(bar->problem()));
    QVERIFY(shown.selection.current() == before);
    QTest::keyClick(type(shown.pane, "layer", "3"), Qt::Key_Return);
    QVERIFY(bar->problem().isEmpty());
    QVERIFY(shown.selection.current().tokens == tokenRange(1700, 1701));
}

void TestHeatmapPlaces::markAndCrosshairFollowTheSelection() {
    Shown shown({.tokens = 300});
    QTRY_VERIFY(shown.pane.isReady());
    const Selection before = shown.selection.current();
    shown.pane.showCell(PlaneId{LayerIndex(5), PlaneKind::Key, {}}, TokenIndex(170), ChannelIndex(20));
    const Selection first = shown.selection.current();
    QVERIFY((shown.plot().crosshair() == MapCell{170, 5}));
    shown.pane.showCell(PlaneId{LayerIndex(2), PlaneKind::Key, {}}, TokenIndex(31), ChannelIndex(60));
    QTRY_VERIFY(shown.pane.readout().place().contains(QStringLiteral("layer 2 · head 3 · channel 60 · token 31")));
    // As undo does.
    shown.selection.reset(first);
    QVERIFY(shown.plot().overlay().mark() == QRectF(170, 5, 1, 1));
    QVERIFY((shown.plot().crosshair() == MapCell{170, 5}));
    QTRY_VERIFY(shown.pane.readout().place().contains(QStringLiteral("layer 5 · head 1 · channel 20 · token 170")));
    shown.selection.reset(before);
    QVERIFY(!shown.plot().overlay().mark().has_value());
    QVERIFY(!shown.plot().crosshair().has_value());
    QVERIFY(shown.pane.readout().place().isEmpty());

    shown.selection.select(first);
    QVERIFY(shown.plot().overlay().mark().has_value());
    QTest::keyClick(&shown.plot(), Qt::Key_Escape);
    QVERIFY(!shown.plot().overlay().mark().has_value());
    shown.selection.select(first);
    shown.plot().goHome();
    QTest::mouseClick(&shown.plot(), Qt::LeftButton, {}, shown.pixel(250, 1));
    QVERIFY(shown.plot().overlay().mark() == QRectF(250, 1, 1, 1));
}

void TestHeatmapPlaces::linkedPanesMarkWhatIsFound() {
    Shown shown;
    HeatmapPane other(&shown.document, &shown.selection, HeatmapSettings::defaults(MapKind::TokenChannel));
    other.resize(900, 420);
    other.show();
    HeatmapLink link;
    link.add(&shown.pane);
    link.add(&other);
    QTRY_VERIFY(shown.pane.isReady() && other.isReady());
    QTest::keyClick(&shown.plot(), Qt::Key_F, Qt::ControlModifier);
    QLineEdit* edit = findEdit(shown.pane);
    QVERIFY(edit != nullptr);
    QTest::keyClicks(edit, QStringLiteral("needle"));
    QTRY_COMPARE(other.plot().strip().matches().size(), std::size_t{4});
    QVERIFY(findEdit(other) == nullptr);
    // Another map of the other pane keeps the marks.
    Selection selection = shown.selection.current();
    selection.layers = layerRange(4, 5);
    shown.selection.select(selection);
    QTRY_COMPARE(other.shownMap()->layer.value, std::int64_t{4});
    QTRY_COMPARE(other.plot().strip().matches().size(), std::size_t{4});
    QTest::keyClick(edit, Qt::Key_Escape);
    QVERIFY(shown.plot().strip().matches().empty());
    QVERIFY(other.plot().strip().matches().empty());
    QVERIFY(!shown.plot().overlay().guide().has_value());
}

void TestHeatmapPlaces::narrowReadoutsAreWhole() {
    // As wide as the upper panes of a window of 1440 x 900.
    Shown shown({.tokens = 20000, .firstPosition = 40}, HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key),
                {340, 400});
    QTRY_VERIFY(shown.pane.isReady());
    QTest::mouseMove(&shown.plot(), shown.pixel(12345, 3));
    QTRY_VERIFY(shown.pane.readout().values().contains(QStringLiteral("rms ")));
    const QFontMetrics metrics(chartFont(shown.pane.readout()));
    QString all;
    for (const auto& line : shown.pane.readout().lines()) {
        all += line.left + line.right;
        QVERIFY2(metrics.horizontalAdvance(line.left) <= shown.pane.readout().width() - 12, qPrintable(line.left));
    }
    for (const char* part : {"K", "layer 3", "token 12,", "position 12,", "rms ", "mean ", "clipped"})
        QVERIFY2(all.contains(QString::fromLatin1(part)), qPrintable(all));
}

void TestHeatmapPlaces::narrowAxisTitlesAreWhole() {
    Shown shown({.firstPosition = 12}, HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key), {900, 400});
    QTRY_VERIFY(shown.pane.isReady());
    shown.plot().replot(QCustomPlot::rpImmediateRefresh);
    const QCPAxis* axis = shown.plot().xAxis;
    QCOMPARE(axis->label(), QStringLiteral("token (slot; text position = slot + 12)"));
    // As wide as an upper pane of a window of 1280 x 720: a title cut after "slot + 1" would be wrong.
    shown.pane.resize(270, 300);
    shown.plot().replot(QCustomPlot::rpImmediateRefresh);
    QCOMPARE(axis->label(), QStringLiteral("slot (position \u2212 12)"));
    QVERIFY(QFontMetrics(axis->labelFont()).horizontalAdvance(axis->label()) <= axis->axisRect()->width());
}

void TestHeatmapPlaces::showCellMarksAndNames() {
    Shown shown({.planted = {{5, PlaneKind::Key, 1700, 20, -321.5F}}});
    QTRY_VERIFY(shown.pane.isReady());
    shown.pane.showCell(PlaneId{LayerIndex(5), PlaneKind::Key, {}}, TokenIndex(1700), ChannelIndex(20));
    QVERIFY(shown.plot().overlay().mark() == QRectF(1700, 5, 1, 1));
    QTRY_COMPARE(shown.pane.readout().place(),
                 QStringLiteral("K · layer 5 · head 1 · channel 20 · token 1,700 “ w1700”"));
    QVERIFY2(shown.pane.readout().values().startsWith(QStringLiteral("value -321.5")),
             qPrintable(shown.pane.readout().values()));
    shown.plot().goHome();
    shown.pane.showCell(PlaneId{LayerIndex(5), PlaneKind::Value, {}}, TokenIndex(3), ChannelIndex(2));
    QVERIFY(shown.plot().overlay().mark() == QRectF(1700, 5, 1, 1));
}

void TestHeatmapPlaces::stepsThroughOutliers() {
    Shown shown({.planted = {{1, PlaneKind::Key, 900, 7, 4e3F}, {4, PlaneKind::Key, 30, 60, -9e3F}}});
    OutlierNavigator navigator(&shown.document);
    QSignalSpy reached(&navigator, &OutlierNavigator::reached);
    navigator.step(1);
    QTRY_COMPARE(reached.count(), 1);
    navigator.step(1);
    navigator.step(-1);
    QCOMPARE(reached.count(), 3);
    const auto place = [&reached](int i) {
        const auto outlier = reached[i][0].value<Outlier>();
        return std::tuple(outlier.plane.layer.value, outlier.token.value, outlier.channel.value);
    };
    QVERIFY((place(0) == std::tuple(4, 30, 60)) || (place(0) == std::tuple(1, 900, 7)));
    QVERIFY((place(1) == std::tuple(4, 30, 60)) || (place(1) == std::tuple(1, 900, 7)));
    QVERIFY(place(0) != place(1));
    QVERIFY(place(2) == place(0));
}

void TestHeatmapPlaces::linkedPanesMoveTogether() {
    Shown shown;
    HeatmapPane other(&shown.document, &shown.selection, HeatmapSettings::defaults(MapKind::TokenChannel));
    other.resize(900, 420);
    other.show();
    HeatmapLink link;
    link.add(&shown.pane);
    link.add(&other);
    QTRY_VERIFY(shown.pane.isReady() && other.isReady());
    shown.wheel(shown.pixel(900, 2), 4);
    QVERIFY(other.plot().view().columns == shown.plot().view().columns);
    QCOMPARE(other.plot().view().rows.size(), 64.0);
    link.setEnabled(false);
    const QCPRange before = other.plot().view().columns;
    shown.plot().goHome();
    QVERIFY(other.plot().view().columns == before);
    // The pointer in one shows in the other.
    const QPoint at = shown.pixel(700, 0);
    QMouseEvent move(QEvent::MouseMove, at, shown.plot().mapToGlobal(at), Qt::NoButton, Qt::NoButton, {});
    QCoreApplication::sendEvent(&shown.plot(), &move);
    QVERIFY(shown.selection.hover().has_value());
    QVERIFY(other.plot().overlay().guide().has_value());
}

QTEST_MAIN(TestHeatmapPlaces)
#include "test_heatmap_places.moc"
