// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_parts.h"
#include "views/chart_widget.h"
#include "views/number_format.h"
#include "views/statistics_table.h"

#include <QAbstractItemModelTester>
#include <QBuffer>
#include <QClipboard>
#include <QGuiApplication>
#include <QHeaderView>
#include <QImage>
#include <QPainter>
#include <QSignalSpy>
#include <QSvgGenerator>
#include <QTest>
#include <QVBoxLayout>
#include <QWheelEvent>
#include <qcustomplot.h>

#include <cmath>
#include <limits>

using namespace kvscope::views;

namespace {

ChartData barsOfTwoKinds() {
    ChartData data;
    data.xTitle = QStringLiteral("layer");
    data.yTitle = QStringLiteral("rms");
    data.xIndex = true;
    data.fromZero = true;
    for (const auto kind : {kvscope::PlaneKind::Key, kvscope::PlaneKind::Value}) {
        ChartSeries series;
        series.name = kind == kvscope::PlaneKind::Key ? QStringLiteral("K") : QStringLiteral("V");
        series.shape = ChartSeries::Shape::Bars;
        series.kind = kind;
        for (int layer = 0; layer < 12; ++layer) {
            series.x.push_back(layer);
            series.y.push_back(kind == kvscope::PlaneKind::Key ? 2.5 + layer : 1234.5678 / (layer + 1));
        }
        data.series.push_back(series);
    }
    return data;
}

QCustomPlot* plotOf(ChartWidget& chart) {
    return chart.findChild<QCustomPlot*>();
}

QPoint inPlot(ChartWidget& chart, double x, double y) {
    return plotOf(chart)->mapFrom(&chart, chart.pointAt(x, y).toPoint());
}

void turnWheel(QWidget* widget, const QPoint& at, int steps) {
    QWheelEvent event(at, widget->mapToGlobal(at), QPoint(), QPoint(0, 120 * steps), Qt::NoButton, Qt::NoModifier,
                      Qt::NoScrollPhase, false);
    QCoreApplication::sendEvent(widget, &event);
}

void showAt(ChartWidget& chart, const QSize& size) {
    chart.resize(size);
    chart.show();
    QVERIFY(QTest::qWaitForWindowExposed(&chart));
    plotOf(chart)->replot(QCustomPlot::rpImmediateRefresh);
}

StatisticsTable threeRows() {
    StatisticsTable table;
    table.columns = {{QStringLiteral("Layer"), {}, {}},
                     {QStringLiteral("Entropy"), QStringLiteral("bits per value"), QStringLiteral("what it is")},
                     {QStringLiteral("Plane"), {}, {}}};
    table.rows = {{qlonglong(9), 4.4123456789, QStringLiteral("K")},
                  {qlonglong(10), std::numeric_limits<double>::quiet_NaN(), QStringLiteral("V, old")},
                  {qlonglong(1048576), 12.5, QStringLiteral("V")}};
    return table;
}

} // namespace

class TestCharts : public QObject {
    Q_OBJECT

private slots:
    void numbersAreReadable_data() {
        QTest::addColumn<double>("value");
        QTest::addColumn<QString>("text");
        QTest::newRow("zero") << 0.0 << "0";
        QTest::newRow("small") << 0.012345678 << "0.01235";
        QTest::newRow("trailing zeros") << 2.5 << "2.5";
        QTest::newRow("thousands") << 1234567.0 << "1,234,567";
        QTest::newRow("rounds up a digit") << 9999.96 << "10,000";
        QTest::newRow("negative") << -4.41234 << "-4.412";
        QTest::newRow("tiny") << 1.5e-7 << "1.5e-07";
        QTest::newRow("huge") << 3.0e12 << "3e+12";
        QTest::newRow("nan") << std::numeric_limits<double>::quiet_NaN() << QStringLiteral("\u2013");
    }
    void numbersAreReadable() {
        QFETCH(double, value);
        QFETCH(QString, text);
        QCOMPARE(formatNumber(value), text);
    }

    void aTitleLongerThanItsAxisIsElided() {
        ChartWidget chart;
        ChartData data = barsOfTwoKinds();
        data.yTitle = QStringLiteral("ratio to 16 bit, all side information included (\u00d7)");
        chart.setData(data);
        showAt(chart, {500, 120});
        const auto* axis = plotOf(chart)->yAxis;
        QVERIFY(axis->label().endsWith(QChar(0x2026)));
        QVERIFY(QFontMetrics(axis->labelFont()).horizontalAdvance(axis->label()) < 120);
        chart.resize(500, 600);
        QTRY_COMPARE(axis->label(), data.yTitle);
    }

    void tooltipsGiveExactValues() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {600, 400});
        const QString text = chart.toolTipAt(chart.pointAt(3, 200));
        QVERIFY2(text.contains(QStringLiteral("layer 3")), qPrintable(text));
        QVERIFY2(text.contains(QStringLiteral("K: 5.5")), qPrintable(text));
        QVERIFY2(text.contains(QStringLiteral("V: 308.642")), qPrintable(text));
        QCOMPARE(chart.toolTipAt(QPointF(1, 1)), QString());
    }

    void aClickPicksTheNearestPointAndADragDoesNot() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {600, 400});
        QSignalSpy picked(&chart, &ChartWidget::picked);
        QTest::mouseClick(plotOf(chart), Qt::LeftButton, {}, inPlot(chart, 7.2, 300));
        QCOMPARE(picked.count(), 1);
        QCOMPARE(picked.front().front().toDouble(), 7.0);
        const QPoint from = inPlot(chart, 4, 300);
        QTest::mousePress(plotOf(chart), Qt::LeftButton, {}, from);
        QTest::mouseMove(plotOf(chart), from + QPoint(60, 0));
        QTest::mouseRelease(plotOf(chart), Qt::LeftButton, {}, from + QPoint(60, 0));
        QCOMPARE(picked.count(), 1);
    }

    void wheelZoomsAndDoubleClickReturns() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {600, 400});
        const QRectF home = chart.visibleRange();
        QVERIFY(home.left() <= 0 && home.right() >= 11);
        turnWheel(plotOf(chart), inPlot(chart, 5, 600), 3);
        const QRectF near = chart.visibleRange();
        QVERIFY(near.width() < home.width() * 0.8);
        QVERIFY(near.height() < home.height() * 0.8);
        // What is under the mouse stays there.
        QVERIFY(near.contains(QPointF(5, 600)));
        turnWheel(plotOf(chart), inPlot(chart, 5, 600), -12);
        QCOMPARE(chart.visibleRange(), home);
        turnWheel(plotOf(chart), inPlot(chart, 5, 600), 2);
        QTest::mouseDClick(plotOf(chart), Qt::LeftButton, {}, inPlot(chart, 5, 600));
        QCOMPARE(chart.visibleRange(), home);
    }

    void aFocusIsShownFirstAndTheRestCanBeReached() {
        ChartWidget chart;
        ChartData data = barsOfTwoKinds();
        data.xFocus = std::pair(3.0, 6.0);
        chart.setData(data);
        showAt(chart, {600, 400});
        QCOMPARE(chart.visibleRange().left(), 3.0);
        QCOMPARE(chart.visibleRange().right(), 6.0);
        turnWheel(plotOf(chart), inPlot(chart, 5, 600), -20);
        QVERIFY(chart.visibleRange().left() < 0);
        QVERIFY(chart.visibleRange().right() > 11);
        QTest::mouseDClick(plotOf(chart), Qt::LeftButton, {}, inPlot(chart, 5, 600));
        QCOMPARE(chart.visibleRange().right(), 6.0);
    }

    void newValuesKeepTheZoomAndNewAxesDoNot() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {600, 400});
        turnWheel(plotOf(chart), inPlot(chart, 5, 600), 2);
        const QRectF near = chart.visibleRange();
        chart.setData(barsOfTwoKinds(), true);
        QCOMPARE(chart.visibleRange(), near);
        ChartData other = barsOfTwoKinds();
        other.yTitle = QStringLiteral("entropy");
        chart.setData(other, true);
        QVERIFY(chart.visibleRange().width() > near.width());
    }

    void keysMoveTheCursorPickZoomAndReturn() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {600, 400});
        chart.setFocus();
        QSignalSpy picked(&chart, &ChartWidget::picked);
        QTest::keyClick(&chart, Qt::Key_Right);
        QTest::keyClick(&chart, Qt::Key_Right);
        QTest::keyClick(&chart, Qt::Key_Right);
        QCOMPARE(chart.cursor(), std::optional(2.0));
        QTest::keyClick(&chart, Qt::Key_Right, Qt::ShiftModifier);
        QCOMPARE(chart.cursor(), std::optional(11.0));
        QTest::keyClick(&chart, Qt::Key_Left);
        QTest::keyClick(&chart, Qt::Key_Return);
        QCOMPARE(picked.count(), 1);
        QCOMPARE(picked.front().front().toDouble(), 10.0);
        const QRectF home = chart.visibleRange();
        QTest::keyClick(&chart, Qt::Key_Plus);
        QTest::keyClick(&chart, Qt::Key_Plus);
        QVERIFY(chart.visibleRange().width() < home.width());
        QTest::keyClick(&chart, Qt::Key_Home);
        QCOMPARE(chart.visibleRange(), home);
        QTest::keyClick(&chart, Qt::Key_Escape);
        QVERIFY(!chart.cursor());
    }

    void logarithmicCountsShowEmptyBinsAtTheBottom() {
        ChartWidget chart;
        ChartData data;
        data.yLog = true;
        ChartSeries steps;
        steps.shape = ChartSeries::Shape::Steps;
        steps.x = {0, 1, 2};
        steps.y = {1000, 0, 1};
        data.series.push_back(steps);
        chart.setData(data);
        showAt(chart, {400, 300});
        const QRectF visible = chart.visibleRange();
        QVERIFY(visible.top() > 0);
        QVERIFY(visible.top() < 1);
        QVERIFY(visible.bottom() > 1000);
        QVERIFY(chart.toolTipAt(chart.pointAt(1, 10)).contains(QStringLiteral(": 0")));
    }

    void followsTheTheme() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {400, 300});
        QVERIFY(chart.grab().toImage().pixelColor(2, 150).lightness() > 200);
        QPalette dark;
        dark.setColor(QPalette::Base, QColor(30, 30, 30));
        dark.setColor(QPalette::Text, Qt::white);
        chart.setPalette(dark);
        plotOf(chart)->replot(QCustomPlot::rpImmediateRefresh);
        QCOMPARE(chart.grab().toImage().pixelColor(2, 150), QColor(30, 30, 30));
    }

    void theLegendLiesOutsideTheData() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {400, 300});
        const QCustomPlot* plot = plotOf(chart);
        QCOMPARE(plot->legend->itemCount(), 2);
        QVERIFY(!plot->legend->outerRect().intersects(plot->axisRect()->rect()));
    }

    void theLegendTakesTheWidthThatThereIs() {
        QWidget window;
        auto* layout = new QVBoxLayout(&window);
        auto* chart = new ChartWidget;
        layout->addWidget(chart);
        window.resize(900, 300);
        // Filled before it is shown, when the plot in it has no size of its own yet.
        ChartData data = barsOfTwoKinds();
        for (int i = 0; i < 4; ++i)
            data.series.push_back(data.series.front());
        chart->setData(data);
        window.show();
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        QTRY_VERIFY(plotOf(*chart)->legend->outerRect().height() < 22);
        window.resize(120, 300);
        QTRY_VERIFY(plotOf(*chart)->legend->outerRect().height() > 25);
    }

    void picturesNameTheirMarks() {
        ChartData data;
        ChartSeries series;
        series.x = {0, 1, 2};
        series.y = {-1, 0, 1};
        series.endName = QStringLiteral("end");
        data.series = {series};
        data.marks = {{.x = 0, .y = -1, .name = QStringLiteral("low")},
                      {.x = 1, .y = 0, .name = QStringLiteral("middle")}};
        ChartWidget chart;
        chart.setData(data);
        QImage image(600, 400, QImage::Format_RGB32);
        QPainter painter(&image);
        chart.paintTo(painter, QRectF(0, 0, 600, 400));
        QMap<QString, QPointF> places;
        for (int i = 0; i < plotOf(chart)->itemCount(); ++i) {
            if (const auto* text = qobject_cast<QCPItemText*>(plotOf(chart)->item(i));
                text != nullptr && text->visible())
                places.insert(text->text(), text->position->coords());
        }
        QCOMPARE(places.size(), 3);
        QVERIFY(places[QStringLiteral("low")].x() < 150 && places[QStringLiteral("low")].y() > 250);
        QVERIFY(places[QStringLiteral("middle")].x() > 200 && places[QStringLiteral("middle")].x() < 400);
        QVERIFY(places[QStringLiteral("end")].x() > 450 && places[QStringLiteral("end")].y() < 150);
    }

    void crowdedEndsAreNamedOnlyWhereThereIsRoom() {
        ChartData data;
        for (int i = 0; i < 6; ++i) {
            ChartSeries series;
            series.x = {0, 10};
            // Six lines that end within a few pixels of one another, and one apart.
            series.y = {1, i == 0 ? 0.0 : 0.8 + 0.004 * i};
            series.endName = QStringLiteral("line %1").arg(i);
            series.look = i == 3 ? ChartSeries::Look::Solid : ChartSeries::Look::Pale;
            data.series.push_back(series);
        }
        ChartWidget chart;
        chart.setData(data);
        QImage image(600, 400, QImage::Format_RGB32);
        QPainter painter(&image);
        chart.paintTo(painter, QRectF(0, 0, 600, 400));
        QStringList shown;
        for (int i = 0; i < plotOf(chart)->itemCount(); ++i) {
            if (const auto* text = qobject_cast<QCPItemText*>(plotOf(chart)->item(i));
                text != nullptr && text->visible())
                shown << text->text();
        }
        QVERIFY2(shown.contains(QStringLiteral("line 0")) && shown.contains(QStringLiteral("line 3")),
                 qPrintable(shown.join(u',')));
        QVERIFY2(shown.size() < 5, qPrintable(shown.join(u',')));
    }

    void anAxisHasNoNumbersBeyondWhatCanBe() {
        ChartData data;
        ChartSeries series;
        series.x = {0, 1, 2};
        series.y = {0, 60, 100};
        data.series = {series};
        data.fromZero = true;
        data.marks = {{.x = 1, .y = 60, .name = QStringLiteral("mark")}};
        const auto highest = [&data] {
            ChartWidget chart;
            chart.resize(600, 500);
            chart.setData(data);
            chart.show();
            plotOf(chart)->replot(QCustomPlot::rpImmediateRefresh);
            const auto ticks = plotOf(chart)->yAxis->ticker();
            QVector<double> places;
            ticks->generate(plotOf(chart)->yAxis->range(), QLocale(), u'g', 6, places, nullptr, nullptr);
            return *std::max_element(places.begin(), places.end());
        };
        QVERIFY(highest() > 100);
        data.yMost = 100;
        QCOMPARE(highest(), 100.0);
    }

    void aLowAxisHasTwoNumbers() {
        ChartData data;
        ChartSeries series;
        series.x = {0, 1, 2, 3};
        data.series = {series};
        for (const auto& [values, logarithmic] : {std::pair(std::vector<double>{0.007, 0.003, 0.0029, 0.016}, true),
                                                  std::pair(std::vector<double>{0.01665, 0.0171, 0.017, 0.01705}, true),
                                                  std::pair(std::vector<double>{9.2, 6.1, 5.5, 5.9}, false)}) {
            data.series.front().y = values;
            data.yLog = logarithmic;
            ChartWidget chart;
            chart.resize(380, 110);
            chart.setData(data);
            chart.show();
            plotOf(chart)->replot(QCustomPlot::rpImmediateRefresh);
            const QCPRange range = plotOf(chart)->yAxis->range();
            QVector<double> places;
            plotOf(chart)->yAxis->ticker()->generate(range, QLocale(), u'g', 6, places, nullptr, nullptr);
            const auto seen =
                std::count_if(places.cbegin(), places.cend(), [&range](double place) { return range.contains(place); });
            QVERIFY2(seen >= 2 && seen <= 6, qPrintable(QString::number(seen)));
        }
    }

    void paintedTablesSayWhatIsLeftOut() {
        StatisticsTable table = threeRows();
        const auto drawn = [&table](double height) {
            QBuffer buffer;
            QSvgGenerator svg;
            svg.setOutputDevice(&buffer);
            QPainter painter(&svg);
            const QWidget widget;
            paintTable(painter, QRectF(0, 0, 400, height), table, Theme::from(widget.palette()), chartFont(widget));
            painter.end();
            return QString::fromUtf8(buffer.data());
        };
        QVERIFY(!drawn(400).contains(QStringLiteral("more rows")));
        for (int i = 0; i < 40; ++i)
            table.rows.push_back(table.rows.front());
        QVERIFY(drawn(200).contains(QStringLiteral("more rows; the CSV file has them all")));
        QVERIFY(!drawn(2000).contains(QStringLiteral("more rows")));
    }

    void paintsIntoAnyRectangle() {
        ChartWidget chart;
        chart.setData(barsOfTwoKinds());
        showAt(chart, {300, 200});
        QImage image(900, 700, QImage::Format_RGB32);
        image.fill(Qt::magenta);
        {
            QPainter painter(&image);
            chart.paintTo(painter, QRectF(100, 50, 800, 600));
        }
        QCOMPARE(image.pixelColor(50, 300), QColor(Qt::magenta));
        QCOMPARE(image.pixelColor(895, 645), QColor(Qt::white));
        const QColor key = Theme::from(chart.palette()).kind(kvscope::PlaneKind::Key);
        bool found = false;
        for (int y = 50; y < 650 && !found; ++y) {
            for (int x = 100; x < 900 && !found; ++x)
                found = image.pixelColor(x, y) == key;
        }
        QVERIFY(found);
    }

    void tablesAreModels() {
        StatisticsTableModel model;
        const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.setTable(threeRows());
        StatisticsSortModel sorted;
        sorted.setSourceModel(&model);
        const QAbstractItemModelTester sortedTester(&sorted, QAbstractItemModelTester::FailureReportingMode::QtTest);
        sorted.sort(0, Qt::DescendingOrder);
        model.setTable(threeRows());
        StatisticsTable shorter = threeRows();
        shorter.rows.pop_back();
        model.setTable(shorter);
        QCOMPARE(sorted.rowCount(), 2);
        model.setTable({});
        QCOMPARE(sorted.rowCount(), 0);
    }

    void tablesShowFourDigitsRightAligned() {
        StatisticsTableModel model;
        model.setTable(threeRows());
        QCOMPARE(model.index(0, 1).data().toString(), QStringLiteral("4.412"));
        QCOMPARE(model.index(2, 1).data().toString(), QStringLiteral("12.50"));
        QCOMPARE(model.index(2, 0).data().toString(), QStringLiteral("1,048,576"));
        QVERIFY(model.index(0, 1).data(Qt::TextAlignmentRole).toInt() & Qt::AlignRight);
        QVERIFY(model.index(0, 2).data(Qt::TextAlignmentRole).toInt() & Qt::AlignLeft);
        QCOMPARE(model.headerData(1, Qt::Horizontal, Qt::DisplayRole).toString(),
                 QStringLiteral("Entropy (bits per value)"));
        QCOMPARE(model.headerData(1, Qt::Horizontal, Qt::ToolTipRole).toString(), QStringLiteral("what it is"));
    }

    void aHeaderClickSortsByNumberWithNaNLast() {
        StatisticsTableView view;
        view.setTable(threeRows());
        view.resize(500, 300);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        const auto layerAt = [&view](int row) {
            return view.model()->index(row, 0).data(StatisticsTableModel::kValueRole).toInt();
        };
        QCOMPARE(layerAt(0), 9);
        const QHeaderView* header = view.horizontalHeader();
        const QPoint entropy(header->sectionViewportPosition(1) + 10, header->height() / 2);
        QTest::mouseClick(header->viewport(), Qt::LeftButton, {}, entropy);
        const bool ascending = header->sortIndicatorOrder() == Qt::AscendingOrder;
        QCOMPARE(layerAt(0), ascending ? 9 : 1048576);
        QCOMPARE(layerAt(2), 10);
        QTest::mouseClick(header->viewport(), Qt::LeftButton, {}, entropy);
        QCOMPARE(layerAt(0), ascending ? 1048576 : 9);
        QCOMPARE(layerAt(2), 10);
    }

    void controlCCopiesTsvWithHeadersInTheOrderShown() {
        StatisticsTableView view;
        view.setTable(threeRows());
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        view.sortByColumn(0, Qt::DescendingOrder);
        view.setFocus();
        QTest::keyClick(&view, Qt::Key_C, Qt::ControlModifier);
        QCOMPARE(QGuiApplication::clipboard()->text(), QStringLiteral("Layer\tEntropy (bits per value)\tPlane\n"
                                                                      "1048576\t12.5\tV\n"
                                                                      "10\t\tV, old\n"
                                                                      "9\t4.4123456789\tK\n"));
        view.selectRow(0);
        QTest::keyClick(&view, Qt::Key_C, Qt::ControlModifier);
        QCOMPARE(QGuiApplication::clipboard()->text(),
                 QStringLiteral("Layer\tEntropy (bits per value)\tPlane\n1048576\t12.5\tV\n"));
    }

    void csvQuotesWhatNeedsIt() {
        QCOMPARE(threeRows().toCsv(), QStringLiteral("Layer,Entropy (bits per value),Plane\n9,4.4123456789,K\n"
                                                     "10,,\"V, old\"\n1048576,12.5,V\n"));
    }
};

QTEST_MAIN(TestCharts)
#include "test_charts.moc"
