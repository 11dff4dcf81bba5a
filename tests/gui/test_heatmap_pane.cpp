// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/shown_pane.h"
#include "views/colour_bar.h"
#include "views/heatmap_readout.h"
#include "views/theme.h"

#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QSignalSpy>

using namespace kvscope;
using namespace kvscope::views;
using kvscope::testing::HeatmapFixture;
using kvscope::testing::makeHeatmapCache;
using kvscope::testing::near;
using Shown = kvscope::testing::ShownPane;

/// What the heatmap pane draws, and how its colours, range and settings are changed.
class TestHeatmapPane : public QObject {
    Q_OBJECT

private slots:
    void showsTheNaivePicture();
    void hidesNoOutlier();
    void marksNonFiniteAndOutside();
    void aFrameKeepsNothingOfTheLast();
    void readsOnlyOnWorkers();
    void recoloursWithoutReading();
    void draggingTheBarLocksTheRange();
    void typingAnEndOfTheRange();
    void kindsHaveTheirOwnRanges();
    void boxesEditTheSettings();
    void countsClippedCells();
    void saysWhatACountedCellIs();
    void lowPanesGiveTheMapTheirRoom();
    void saysWhyThereIsNothing();
    void survivesLosingItsDocument();
    void exportsPictureAndNumbers();
    void followsThePalette();
};

void TestHeatmapPane::showsTheNaivePicture() {
    Shown shown({.tokens = 300});
    QTRY_VERIFY(shown.pane.isReady());
    const ColourScale& scale = shown.plot().heatmap().colouring().scale;
    for (const std::int64_t layer : {0, 3, 5}) {
        std::vector<float> plane(std::size_t{300} * 64);
        const PlaneId id{LayerIndex(layer), PlaneKind::Key, {}};
        QVERIFY(shown.document.cache().readRows(id, tokenRange(0, 300), plane).has_value());
        double all = 0;
        for (const float value : plane)
            all += static_cast<double>(value) * value / static_cast<double>(plane.size());
        for (const std::int64_t token : {6, 101, 290}) {
            double sum = 0;
            for (std::int64_t c = 0; c < 64; ++c)
                sum += std::pow(static_cast<double>(plane[static_cast<std::size_t>(token * 64 + c)]), 2) / 64;
            const QColor expected(scale.colour(static_cast<float>(std::sqrt(sum / all))));
            QVERIFY2(near(shown.shown(token, layer), expected),
                     qPrintable(shown.shown(token, layer).name() + u' ' + expected.name()));
        }
    }
}

void TestHeatmapPane::hidesNoOutlier() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key);
    settings.reduction = Reduction::MaxAbs;
    settings.lockedRange(PlaneKind::Key) = ValueRange{0, 30};
    // 20,000 tokens in 800 pixels: 25 tokens a pixel, one of which stands out.
    Shown shown(
        {.layers = 2, .heads = 1, .headDim = 8, .tokens = 20000, .planted = {{1, PlaneKind::Key, 13579, 3, 5e4F}}},
        settings);
    QTRY_VERIFY(shown.pane.isReady());
    const QColor above(specialColours(ColourMapId::Viridis).above);
    const QImage picture = shown.plot().grab().toImage();
    const QPoint centre = shown.pixel(13579, 1);
    bool found = false;
    for (int x = centre.x() - 2; x <= centre.x() + 2; ++x)
        found = found || near(picture.pixelColor(x, centre.y()), above);
    QVERIFY(found);
    QVERIFY(!near(picture.pixelColor(centre.x() + 40, centre.y()), above));

    settings.reduction = Reduction::Rms;
    shown.pane.setSettings(settings);
    const auto marked = [&shown] {
        const VisibleCells visible = shown.plot().heatmap().visibleCells(1);
        std::int64_t marks = 0;
        Q_UNUSED(visible);
        const QImage now = shown.plot().grab().toImage();
        const QPoint at = shown.pixel(13579, 1);
        for (int x = at.x() - 2; x <= at.x() + 2; ++x)
            marks += now.pixelColor(x, at.y()) == QColor(Qt::white) ? 1 : 0;
        return marks > 0;
    };
    QTRY_VERIFY(marked());
    settings.markOutliers = false;
    shown.pane.setSettings(settings);
    QTRY_VERIFY(!marked());
}

void TestHeatmapPane::marksNonFiniteAndOutside() {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    Shown shown({.tokens = 200, .raggedLayer = 2, .missingTokens = 80, .planted = {{4, PlaneKind::Key, 60, 5, nan}}});
    QTRY_VERIFY(shown.pane.isReady());
    QVERIFY(near(shown.shown(60, 4), QColor(specialColours(ColourMapId::Viridis).nonFinite)));
    QVERIFY(!near(shown.shown(64, 4), QColor(specialColours(ColourMapId::Viridis).nonFinite)));
    QVERIFY(near(shown.shown(190, 2), Theme::from(shown.pane.palette()).grid));
    QVERIFY(!near(shown.shown(100, 2), Theme::from(shown.pane.palette()).grid));
}

void TestHeatmapPane::aFrameKeepsNothingOfTheLast() {
    Shown shown({.tokens = 3000, .raggedLayer = 2, .missingTokens = 2400});
    QTRY_VERIFY(shown.pane.isReady());
    HeatmapPlot& plot = shown.plot();
    plot.setCrosshair(std::nullopt);
    const QImage home = plot.grab().toImage();
    // The crosshair goes over the picture without a trace.
    plot.setCrosshair(MapCell{1500, 3});
    QVERIFY(plot.grab().toImage() != home);
    plot.setCrosshair(std::nullopt);
    QCOMPARE(plot.grab().toImage(), home);
    // Wider labels, other tiles and the ground right of the ragged layer's end come and go.
    for (const QCPRange& columns : {QCPRange(400, 900), QCPRange(2000, 2010), QCPRange(0, 300)}) {
        plot.setView({columns, plot.view().rows}, false);
        plot.replot(QCustomPlot::rpImmediateRefresh);
        QTRY_VERIFY(shown.pane.isReady());
        QVERIFY(plot.grab().toImage() != home);
    }
    plot.goHome();
    QTRY_VERIFY(shown.pane.isReady());
    QTRY_COMPARE(plot.grab().toImage(), home);
    const QSize size = shown.pane.size();
    shown.pane.resize(size + QSize(120, 60));
    QTRY_VERIFY(plot.grab().toImage().size() != home.size());
    shown.pane.resize(size);
    QTRY_COMPARE(plot.grab().toImage(), home);
}

void TestHeatmapPane::readsOnlyOnWorkers() {
    Shown shown({}, HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key));
    QTRY_VERIFY(shown.pane.isReady());
    shown.wheel(shown.pixel(1000, 30), 6);
    QTRY_VERIFY(shown.pane.isReady());
    QTest::mouseMove(&shown.plot(), shown.pixel(1000, 30));
    QTRY_VERIFY(!shown.pane.readout().values().isEmpty());
    QVERIFY(shown.source->reads() > 0);
    QVERIFY(!shown.source->wasReadByMaker());
}

void TestHeatmapPane::recoloursWithoutReading() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    const int reads = shown.source->reads();
    const QColor before = shown.shown(500, 2);
    HeatmapSettings settings = shown.pane.settings();
    settings.colours = ColourChoice::Magma;
    settings.reduction = Reduction::MaxAbs;
    settings.lockedRange(PlaneKind::Key) = ValueRange{0, 50};
    shown.pane.setSettings(settings);
    QTRY_VERIFY(shown.shown(500, 2) != before);
    QVERIFY(shown.pane.isReady());
    QCOMPARE(shown.source->reads(), reads);
}

void TestHeatmapPane::draggingTheBarLocksTheRange() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    QSignalSpy edited(&shown.pane, &HeatmapPane::settingsEdited);
    ColourBar& bar = shown.pane.colourBar();
    const double upper = bar.contents().scale.range().upper;
    const QPoint end(10, bar.height() / 8);
    QTest::mousePress(&bar, Qt::LeftButton, {}, end);
    for (int y = 0; y <= 60; y += 20) {
        QMouseEvent move(QEvent::MouseMove, end + QPoint(0, y), bar.mapToGlobal(end + QPoint(0, y)), Qt::LeftButton,
                         Qt::LeftButton, {});
        QCoreApplication::sendEvent(&bar, &move);
    }
    QVERIFY(shown.plot().heatmap().colouring().scale.range().upper < upper);
    QCOMPARE(edited.count(), 0);
    QTest::mouseRelease(&bar, Qt::LeftButton, {}, end + QPoint(0, 60));
    QCOMPARE(edited.count(), 1);
    QVERIFY(shown.pane.settings().lockedRange(PlaneKind::Key)->upper < upper);
    QTest::mouseDClick(&bar, Qt::LeftButton, {}, QPoint(10, bar.height() / 2));
    QCOMPARE(edited.count(), 2);
    QVERIFY(!shown.pane.settings().lockedRange(PlaneKind::Key).has_value());
    QCOMPARE(shown.plot().heatmap().colouring().scale.range().upper, upper);
}

void TestHeatmapPane::typingAnEndOfTheRange() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    ColourBar& bar = shown.pane.colourBar();
    const double lower = shown.plot().heatmap().colouring().scale.range().lower;
    bar.setFocus();
    QTest::keyClick(&bar, Qt::Key_Return);
    auto* edit = bar.findChild<QLineEdit*>();
    QVERIFY(edit->isVisible());
    edit->selectAll();
    QTest::keyClicks(edit, QStringLiteral("2.5"));
    QTest::keyClick(edit, Qt::Key_Return);
    QVERIFY(!edit->isVisible());
    QVERIFY((shown.pane.settings().lockedRange(PlaneKind::Key) == ValueRange{lower, 2.5}));
    QTest::keyClick(&bar, Qt::Key_Down);
    QVERIFY(shown.pane.settings().lockedRange(PlaneKind::Key)->upper < 2.5);
    QTest::keyClick(&bar, Qt::Key_Delete);
    QVERIFY(!shown.pane.settings().lockedRange(PlaneKind::Key).has_value());
}

void TestHeatmapPane::kindsHaveTheirOwnRanges() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::TokenChannel);
    Shown shown({}, settings);
    QTRY_VERIFY(shown.pane.isReady());
    const double key = shown.plot().heatmap().colouring().scale.range().upper;
    Selection selection = shown.selection.current();
    selection.kind = PlaneKind::Value;
    shown.selection.select(selection);
    QTRY_COMPARE(shown.pane.shownMap()->kind, PlaneKind::Value);
    QTRY_VERIFY(shown.pane.isReady());
    QVERIFY(shown.plot().heatmap().colouring().scale.range().upper < key / 2);
    settings.lockedRange(PlaneKind::Value) = ValueRange{0, 77};
    shown.pane.setSettings(settings);
    QCOMPARE(shown.plot().heatmap().colouring().scale.range().upper, 77.0);
    selection.kind = PlaneKind::Key;
    shown.selection.select(selection);
    QTRY_COMPARE(shown.pane.shownMap()->kind, PlaneKind::Key);
    QTRY_VERIFY(shown.pane.isReady());
    QCOMPARE(shown.plot().heatmap().colouring().scale.range().upper, key);
}

void TestHeatmapPane::boxesEditTheSettings() {
    Shown shown;
    QTRY_VERIFY(shown.pane.isReady());
    QSignalSpy edited(&shown.pane, &HeatmapPane::settingsEdited);
    const auto box = [&shown](const QString& name) {
        for (auto* candidate : shown.pane.findChildren<QComboBox*>()) {
            if (candidate->accessibleName() == name)
                return candidate;
        }
        return static_cast<QComboBox*>(nullptr);
    };
    QTest::keyClick(box(QStringLiteral("Reduction")), Qt::Key_Down);
    QCOMPARE(shown.pane.settings().reduction, Reduction::MaxAbs);
    QTest::keyClick(box(QStringLiteral("Map")), Qt::Key_Down);
    QCOMPARE(shown.pane.settings().map, MapKind::HeadToken);
    QVERIFY(!shown.pane.settings().relative);
    QTest::keyClick(box(QStringLiteral("Quantity")), Qt::Key_Down);
    QCOMPARE(shown.pane.settings().quantity, Quantity::Magnitude);
    QTest::keyClick(box(QStringLiteral("Kind")), Qt::Key_Down);
    QVERIFY(shown.pane.settings().kind == PlaneKind::Value);
    QCOMPARE(edited.count(), 4);
    const auto before = edited[1][0].value<HeatmapSettings>();
    const auto after = edited[1][1].value<HeatmapSettings>();
    QCOMPARE(before.map, MapKind::LayerToken);
    QCOMPARE(after.map, MapKind::HeadToken);
    QTRY_VERIFY(shown.pane.isReady());
    QCOMPARE(shown.plot().heatmap().shape().rows, std::int64_t{4});
    // Keys before RoPE are unknown for this cache, and so not offered; what the plan does is, after a separator.
    const QComboBox* quantities = box(QStringLiteral("Quantity"));
    QCOMPARE(quantities->count(), 5 + 1 + static_cast<int>(kAllPlanViews.size()));
    QVERIFY(quantities->findText(QString::fromUtf8(nameOf(Quantity::KeyBeforeRope).data())) < 0);
}

void TestHeatmapPane::countsClippedCells() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key);
    settings.reduction = Reduction::Max;
    settings.lockedRange(PlaneKind::Key) = ValueRange{-2, 3};
    Shown shown({.tokens = 200}, settings);
    QTRY_VERIFY(shown.pane.isReady());
    std::vector<float> plane(std::size_t{200} * 64);
    QVERIFY(shown.document.cache().readRows(PlaneId{}, tokenRange(0, 200), plane).has_value());
    const auto clipped = std::count_if(plane.begin(), plane.end(), [](float value) { return value > 3 || value < -2; });
    QVERIFY(clipped > 0);
    QTRY_COMPARE(
        shown.pane.readout().clipped(),
        QStringLiteral("%1 of 12,800 values clipped").arg(QLocale(QLocale::English).toString(qlonglong{clipped})));
}

void TestHeatmapPane::saysWhatACountedCellIs() {
    Shown shown({.tokens = 20000});
    QTRY_VERIFY(shown.pane.isReady());
    const std::int64_t step = shown.plot().heatmap().visibleCells(1).step.columns;
    QVERIFY(step > 1);
    QTRY_VERIFY2(shown.pane.readout().clipped().endsWith(
                     QStringLiteral("cells clipped, each %1 tokens × 64 channels").arg(step)),
                 qPrintable(shown.pane.readout().clipped()));
    QVERIFY(shown.pane.readout().toolTip().contains(QStringLiteral("rms of value / layer rms below")));
    // A map of zeros is explained.
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key);
    settings.reduction = Reduction::Std;
    Shown single({.tokens = 100}, settings);
    QTRY_VERIFY2(single.pane.readout().clipped().contains(QStringLiteral("its std is 0")),
                 qPrintable(single.pane.readout().clipped()));
}

void TestHeatmapPane::lowPanesGiveTheMapTheirRoom() {
    // So narrow that the controls take several rows.
    Shown shown({.tokens = 300}, HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key), {290, 420});
    QTRY_VERIFY(shown.pane.isReady());
    HeatmapReadout& readout = shown.pane.readout();
    QVERIFY(!readout.isCompact());
    const int tall = readout.height();
    shown.pane.resize(290, 260);
    QTRY_VERIFY(readout.isCompact());
    QTRY_VERIFY(readout.height() < tall);
    QCOMPARE(readout.lines().size(), std::size_t{2});
    // At its smallest the pane still leaves the plot what it needs.
    shown.pane.resize(shown.pane.minimumSizeHint().expandedTo({290, 0}));
    QTRY_VERIFY(shown.plot().height() >= shown.plot().minimumHeight());
    shown.pane.resize(290, 420);
    QTRY_COMPARE(readout.height(), tall);
}

void TestHeatmapPane::saysWhyThereIsNothing() {
    SelectionModel selection;
    HeatmapPane empty(nullptr, &selection, {});
    QVERIFY(empty.isReady());
    QVERIFY(!empty.shownMap().has_value());
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Value);
    settings.quantity = Quantity::KeyBeforeRope;
    Shown shown({.tokens = 50}, settings);
    QTest::qWait(0);
    QVERIFY(!shown.pane.shownMap().has_value());
    QVERIFY(shown.pane.isReady());
    settings.quantity = Quantity::Value;
    shown.pane.setSettings(settings);
    QTRY_VERIFY(shown.pane.shownMap().has_value());
}

void TestHeatmapPane::survivesLosingItsDocument() {
    ThreadPool pool;
    SelectionModel selection;
    auto document = std::make_unique<Document>(makeHeatmapCache(), pool);
    HeatmapPane pane(document.get(), &selection, {});
    pane.resize(600, 300);
    pane.show();
    document.reset();
    QVERIFY(pane.document() == nullptr);
    QVERIFY(!pane.shownMap().has_value());
    document = std::make_unique<Document>(makeHeatmapCache({.tokens = 100}), pool);
    pane.setDocument(document.get());
    QTRY_VERIFY(pane.isReady() && pane.shownMap().has_value());
    QCOMPARE(pane.plot().heatmap().shape().columns, std::int64_t{100});
    QVERIFY(pane.grab().toImage().pixelColor(pane.plot().geometry().center()) != QColor());
    pane.setDocument(nullptr);
    pane.grab();
}

void TestHeatmapPane::exportsPictureAndNumbers() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key);
    settings.reduction = Reduction::Mean;
    Shown shown({.tokens = 100}, settings);
    QTRY_VERIFY(shown.pane.isReady());
    const QStringList lines = shown.pane.toCsv().split(u'\n', Qt::SkipEmptyParts);
    QCOMPARE(lines.size(), 65);
    QVERIFY(lines[0].startsWith(QStringLiteral("channel (mean of value),token 0,token 1,")));
    const QStringList row = lines[1 + 42].split(u',');
    QCOMPARE(row.size(), 101);
    QCOMPARE(row[0], QStringLiteral("42"));
    QCOMPARE(row[1 + 77].toFloat(), shown.value(0, PlaneKind::Key, 77, 42));

    // Larger than the window: prepared first.
    shown.pane.resize(300, 200);
    QTRY_VERIFY(shown.pane.isReady());
    shown.pane.prepare(QSizeF(1000, 600));
    QTRY_VERIFY(shown.pane.isReady());
    QImage picture(1000, 600, QImage::Format_RGB32);
    picture.fill(Qt::red);
    QPainter painter(&picture);
    shown.pane.paintTo(painter, picture.rect());
    painter.end();
    QCOMPARE(picture.pixelColor(1, 598), Theme::from(shown.pane.palette()).background);
    const ColourScale& scale = shown.plot().heatmap().colouring().scale;
    int same = 0;
    for (int x = 200; x < 800; x += 10) {
        // The picture has the window's proportions of axis to size, to within the title.
        const double token = (x - 45.0) / (1000 - 45.0 - 80) * 100;
        for (std::int64_t t = static_cast<std::int64_t>(token) - 3; t <= static_cast<std::int64_t>(token) + 3; ++t) {
            if (near(picture.pixelColor(x, 300), QColor(scale.colour(shown.value(0, PlaneKind::Key, t, 32)))) ||
                near(picture.pixelColor(x, 300), QColor(scale.colour(shown.value(0, PlaneKind::Key, t, 31))))) {
                ++same;
                break;
            }
        }
    }
    QVERIFY2(same > 50, qPrintable(QString::number(same)));
}

void TestHeatmapPane::followsThePalette() {
    Shown shown({.tokens = 100});
    QTRY_VERIFY(shown.pane.isReady());
    QPalette dark;
    dark.setColor(QPalette::Base, QColor(20, 22, 24));
    dark.setColor(QPalette::Text, Qt::white);
    shown.pane.setPalette(dark);
    QTRY_COMPARE(shown.plot().grab().toImage().pixelColor(2, shown.plot().height() - 2), QColor(20, 22, 24));
    QCOMPARE(shown.plot().xAxis->tickLabelColor(), QColor(Qt::white));
}

QTEST_MAIN(TestHeatmapPane)
#include "test_heatmap_pane.moc"
