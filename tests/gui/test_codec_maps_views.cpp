// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/shown_pane.h"
#include "views/chart_widget.h"
#include "views/codec_session.h"
#include "views/entropy_view.h"
#include "views/plan_brush.h"
#include "views/rate_harm_view.h"

#include <QDoubleSpinBox>
#include <QToolButton>
#include <QUndoStack>

#include <map>

using namespace kvscope;
using namespace kvscope::views;
using Shown = kvscope::testing::ShownPane;

/// Bits against harm, bits against entropy, and bits painted with the mouse.
class TestCodecMapsViews : public QObject {
    Q_OBJECT

private slots:
    void curvesTradeBitsForError();
    void measuringStopsAndGoesOn();
    void entropyIsBelowWhatIsSpent();
    void aStrokePaintsChunks();
    void enterPaintsAndEscapeLeaves();

private:
    static constexpr kvscope::testing::HeatmapFixture kShape{.layers = 3, .heads = 2, .headDim = 8, .tokens = 600};
};

void TestCodecMapsViews::curvesTradeBitsForError() {
    ThreadPool pool{2};
    Document document(kvscope::testing::makeHeatmapCache(kShape), pool);
    SelectionModel selection;
    RateHarmView view(&document, &selection);
    view.resize(600, 420);
    view.show();
    QTRY_VERIFY_WITH_TIMEOUT(view.isReady() && view.numbers().rows.size() == 6 * 5, 60000);
    const StatisticsTable table = view.numbers();
    std::map<std::pair<qlonglong, QString>, std::vector<std::pair<double, double>>> lines;
    int savings = 0;
    for (const auto& row : table.rows) {
        lines[{row[0].toLongLong(), row[1].toString()}].emplace_back(row[4].toDouble(), row[6].toDouble());
        if (!row[8].isValid())
            continue;
        ++savings;
        QCOMPARE(row[3].toLongLong(), 0);
        QVERIFY(row[8].toDouble() > 0);
    }
    QCOMPARE(savings, 6);
    QCOMPARE(lines.size(), std::size_t{6});
    for (const auto& [cell, points] : lines) {
        // The finest first: fewer bits, more error.
        for (std::size_t i = 1; i < points.size(); ++i) {
            QVERIFY(points[i].first < points[i - 1].first);
            QVERIFY(points[i].second > points[i - 1].second);
        }
    }
    // What the column says follows from the rows beside it and from the cell's share of the energy of its kind; K and V
    // have as many values here.
    std::map<QString, double> shares;
    for (std::size_t i = 1; i < table.rows.size(); ++i) {
        const auto& row = table.rows[i];
        const auto& finer = table.rows[i - 1];
        if (row[8].isValid()) {
            const double ofCell = (row[6].toDouble() - finer[6].toDouble()) / (finer[5].toDouble() - row[5].toDouble());
            const double share = row[8].toDouble() / ofCell;
            QVERIFY(share > 0);
            shares[row[1].toString()] += share;
        }
    }
    QCOMPARE(shares.size(), std::size_t{2});
    for (const auto& [kind, share] : shares)
        QVERIFY2(std::abs(share - 0.5) < 1e-6, qPrintable(kind + QStringLiteral(": %1").arg(share)));
    QCOMPARE(view.chart().data().series.size(), std::size_t{6});
    QVERIFY(view.toCsv().contains(QStringLiteral("Error saved")));
    QVERIFY(!view.panel().summary().isEmpty());
}

void TestCodecMapsViews::measuringStopsAndGoesOn() {
    ThreadPool pool{2};
    Document document(kvscope::testing::makeHeatmapCache({.layers = 6, .heads = 4, .headDim = 16, .tokens = 3000}),
                      pool);
    SelectionModel selection;
    RateHarmView view(&document, &selection);
    view.resize(600, 420);
    view.show();
    auto* stop = view.findChild<QToolButton*>(QStringLiteral("stop"));
    QVERIFY(stop != nullptr);
    QTRY_VERIFY_WITH_TIMEOUT(!view.numbers().rows.empty(), 60000);
    stop->click();
    QTRY_VERIFY(view.isReady());
    const std::size_t before = view.numbers().rows.size();
    QVERIFY(before < 12 * 5);
    stop->click();
    QTRY_VERIFY_WITH_TIMEOUT(view.numbers().rows.size() > before, 60000);
}

void TestCodecMapsViews::entropyIsBelowWhatIsSpent() {
    ThreadPool pool{2};
    Document document(kvscope::testing::makeHeatmapCache(kShape), pool);
    SelectionModel selection;
    EntropyView view(&document, &selection);
    view.resize(600, 420);
    view.show();
    QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 60000);
    const auto channels = view.channelsOf(PlaneKind::Key);
    QVERIFY(channels.has_value());
    QCOMPARE(channels->spent.size(), std::size_t{16});
    QCOMPARE(channels->entropy.size(), std::size_t{16});
    const EncodeTotals totals = CodecSession::of(document).report().totals(LayerIndex(0), PlaneKind::Key);
    QVERIFY(std::abs(channels->meanSpent - totals.bitsPerValue()) < 0.01);
    QVERIFY(channels->meanEntropy > 0.5);
    QVERIFY(channels->meanSpent > channels->meanEntropy);
    QVERIFY(view.panel().summary().contains(QStringLiteral("entropy")));
    QCOMPARE(view.chart().data().series.size(), std::size_t{4});
    Selection next = selection.current();
    next.layers = layerRange(2, 3);
    selection.select(next);
    QTRY_VERIFY(view.panel().summary().contains(QStringLiteral("Layer 2")));
}

void TestCodecMapsViews::aStrokePaintsChunks() {
    Shown shown(kShape);
    QVERIFY(QTest::qWaitForWindowExposed(&shown.pane));
    QTRY_VERIFY(shown.pane.isReady());
    shown.plot().setFocus();
    QTest::keyClick(&shown.plot(), Qt::Key_B);
    QVERIFY(shown.pane.brush().isOpen());
    QCOMPARE(shown.pane.settings().plan, PlanView::Bits);
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 60000);
    auto* bits = shown.pane.findChild<QDoubleSpinBox*>(QStringLiteral("paintBits"));
    QVERIFY(bits != nullptr);
    bits->setValue(1.5);
    CodecSession& session = CodecSession::of(shown.document);
    const CodecPlan before = session.plan();
    const int steps = session.undoStack().count();
    // From layer 1, chunk 0 down to layer 2, chunk 1: the chunks on the way, one undo step.
    shown.drag(shown.pixel(30, 1), shown.pixel(300, 2), Qt::LeftButton);
    QCOMPARE(session.undoStack().count(), steps + 1);
    const auto isPainted = [&](std::int64_t layer, PlaneKind kind, std::int64_t chunk) {
        return session.plan().pipelineFor(LayerIndex(layer), kind, chunk) !=
               before.pipelineFor(LayerIndex(layer), kind, chunk);
    };
    QVERIFY(isPainted(1, PlaneKind::Key, 0));
    QVERIFY(isPainted(2, PlaneKind::Key, 1));
    QVERIFY(!isPainted(0, PlaneKind::Key, 0));
    QVERIFY(!isPainted(1, PlaneKind::Key, 2));
    QVERIFY(!isPainted(1, PlaneKind::Value, 0));
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 60000);
    const QStringList rows = shown.pane.toCsv().split(QLatin1Char('\n'));
    const QStringList painted = rows[2].split(QLatin1Char(','));
    QVERIFY(painted[2].toDouble() < 0.8 * painted.last().toDouble());
    session.undoStack().undo();
    QCOMPARE(session.plan(), before);
}

void TestCodecMapsViews::enterPaintsAndEscapeLeaves() {
    Shown shown(kShape);
    QVERIFY(QTest::qWaitForWindowExposed(&shown.pane));
    QTRY_VERIFY(shown.pane.isReady());
    shown.pane.openBrush();
    QTRY_VERIFY_WITH_TIMEOUT(shown.pane.isReady(), 60000);
    CodecSession& session = CodecSession::of(shown.document);
    const CodecPlan before = session.plan();
    shown.plot().setCrosshair(MapCell{10, 2});
    QTest::keyClick(&shown.plot(), Qt::Key_Return);
    QVERIFY(session.plan().pipelineFor(LayerIndex(2), PlaneKind::Key, 0) !=
            before.pipelineFor(LayerIndex(2), PlaneKind::Key, 0));
    QTest::keyClick(&shown.plot(), Qt::Key_Escape);
    QVERIFY(!shown.pane.brush().isOpen());
    // Without the brush a drag moves the map again.
    const CodecPlan painted = session.plan();
    shown.drag(shown.pixel(30, 1), shown.pixel(300, 2), Qt::LeftButton);
    QCOMPARE(session.plan(), painted);
}

QTEST_MAIN(TestCodecMapsViews)
#include "test_codec_maps_views.moc"
