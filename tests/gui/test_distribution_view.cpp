// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/heatmap_fixture.h"
#include "tests/gui/statistics_bench.h"
#include "views/distribution_view.h"
#include "views/histogram_grid.h"
#include "views/number_format.h"

#include <QApplication>
#include <QBuffer>
#include <QPainter>
#include <QSet>
#include <QSvgGenerator>
#include <QToolButton>

using namespace kvscope;
using namespace kvscope::views;
using namespace kvscope::testing;
using nlohmann::json;

/// The histograms and their readouts, driven as a user does, against numpy's numbers.
class TestDistributionView : public QObject {
    Q_OBJECT

    KvCache cache_;
    json golden_;

private slots:
    void initTestCase() {
        cache_ = goldenCache();
        QVERIFY(!cache_.isNull());
        golden_ = goldenStatistics();
        QVERIFY(golden_.contains("planes"));
    }

    void histogramsCountEveryValue() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        QCOMPARE(view.charts().size(), std::size_t(3));
        // 53 x 32 values and 52 x 32 deltas, less the few beyond the range (the 99.9th percentile).
        for (const ChartWidget* chart : view.charts()) {
            const auto& series = chart->data().series;
            QVERIFY(series.size() >= 2);
            double values = 0;
            for (const double count : series[0].y)
                values += count;
            QVERIFY(values <= 53 * 32 && values >= 53 * 32 * 0.998 - 2);
            double deltas = 0;
            for (const double count : series[1].y)
                deltas += count;
            QVERIFY(deltas <= 52 * 32 && deltas >= 52 * 32 * 0.998 - 2);
            QCOMPARE(series[0].x, series[1].x);
        }
        const double countTop = view.charts()[0]->visibleRange().bottom();
        toggle(view, "density");
        const auto& density = view.charts()[0]->data().series[0];
        double area = 0;
        for (const double value : density.y)
            area += value * (density.x[1] - density.x[0]);
        QVERIFY(std::abs(area - 1) < 0.005);
        QVERIFY(view.charts()[0]->visibleRange().bottom() < countTop);
        toggle(view, "log");
        QVERIFY(view.charts()[0]->data().yLog);
    }

    void chartsStandWhereTheirScalesCanBeRead() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        const auto at = [&view](std::size_t chart) { return view.charts()[chart]->mapTo(&view, QPoint()); };
        QCOMPARE(at(0).y(), at(2).y());
        QVERIFY(at(0).x() < at(1).x() && at(1).x() < at(2).x());
        // High and narrow, as a dock of a high window is.
        view.resize(540, 900);
        QTRY_VERIFY(at(0).x() == at(2).x() && at(0).y() < at(1).y() && at(1).y() < at(2).y());
        QVERIFY(view.charts()[0]->width() > 500);
        view.resize(1000, 500);
        QTRY_VERIFY(at(0).y() == at(2).y());
    }

    void readoutsEqualNumpys() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        const StatisticsTable& table = view.readouts().table();
        const auto cell = [&table](const QString& row, const QString& column) {
            for (const auto& cells : table.rows) {
                if (cells.front().toString() != row)
                    continue;
                for (std::size_t i = 1; i < table.columns.size(); ++i) {
                    if (table.columns[i].title == column)
                        return cells[i];
                }
            }
            return QVariant();
        };
        for (const char* kind : {"K", "V"}) {
            const json& plane = golden_["planes"][kind][0];
            const QString column = QString::fromLatin1(kind);
            COMPARE_NEAR(cell(QStringLiteral("Variance ratio, previous token"), column).toDouble(),
                         plane["delta_prev"]["variance_ratio"].get<double>());
            COMPARE_NEAR(cell(QStringLiteral("Variance ratio, anchor"), column).toDouble(),
                         plane["delta_anchor"]["variance_ratio"].get<double>());
            COMPARE_NEAR(cell(QStringLiteral("Excess kurtosis"), column).toDouble(), plane["kurtosis"].get<double>());
            COMPARE_NEAR(cell(QStringLiteral("Gaussian \u03c3"), column).toDouble(),
                         plane["fits"]["gaussian"]["sigma"].get<double>());
            COMPARE_NEAR(cell(QStringLiteral("Laplace b"), column).toDouble(),
                         plane["fits"]["laplace"]["b"].get<double>());
            const bool gaussian =
                plane["fits"]["gaussian"]["nll"].get<double>() < plane["fits"]["laplace"]["nll"].get<double>();
            QCOMPARE(cell(QStringLiteral("Better fit"), column).toString(),
                     gaussian ? QStringLiteral("Gaussian") : QStringLiteral("Laplace"));
        }
    }

    void theDistributionFollowsTheSelectionUnlessTold() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        Selection next = bench.selection.current();
        next.tokens = tokenRange(10, 20);
        next.head = HeadIndex(1);
        bench.selection.select(next);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        const auto countOf = [&view] { return view.panel().currentTable().rows[0][2].toLongLong(); };
        QCOMPARE(countOf(), 10 * 8);
        choose(view, "scope", 1);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QCOMPARE(countOf(), 53 * 32);
        choose(view, "scope", 2);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QCOMPARE(countOf(), 3 * 53 * 32);
        QVERIFY(view.toCsv().startsWith(QStringLiteral("plane,of,bin low,bin high,count,density\n")));
    }

    void aSingleValueHasNoDistribution() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        Selection next = bench.selection.current();
        next.tokens = tokenRange(10, 11);
        next.channels = channelRange(3, 4);
        bench.selection.select(next);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        for (const ChartWidget* chart : view.charts()) {
            QVERIFY(chart->data().series.empty());
            const QImage picture = view.charts().front()->grab().toImage();
            const QColor ground = picture.pixelColor(2, 2);
            int written = 0;
            for (int x = 0; x < picture.width(); ++x) {
                for (int y = picture.height() / 2 - 8; y < picture.height() / 2 + 8; ++y)
                    written += picture.pixelColor(x, y) != ground ? 1 : 0;
            }
            QVERIFY2(written > 50, "nothing is written in the empty chart");
            QVERIFY2(chart->data().emptyText.endsWith(QStringLiteral(": 1 value")),
                     qPrintable(chart->data().emptyText));
        }
        QVERIFY2(view.summary().contains(QStringLiteral("needs at least 16 values")), qPrintable(view.summary()));
        next.tokens.reset();
        bench.selection.select(next);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QVERIFY(!view.charts()[0]->data().series.empty());
        QVERIFY2(!view.summary().contains(QStringLiteral("needs at least")), qPrintable(view.summary()));
    }

    void everyLayerHasASmallHistogram() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        choose(view, "scope", 3);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        HistogramGrid& grid = view.layers();
        QVERIFY(grid.isVisible());
        QTRY_COMPARE(grid.cells().size(), std::size_t(3 * 3));
        for (std::size_t layer = 0; layer < 3; ++layer) {
            const HistogramGrid::Cell& cell = grid.cells()[layer * 3];
            QTRY_COMPARE(cell.curves.size(), std::size_t(2));
            double area = 0;
            for (const double height : cell.curves[0].heights)
                area += height * cell.curves[0].range.width();
            QVERIFY(std::abs(area - 1) < 0.005);
            const double ratio = golden_["planes"]["K"][layer]["delta_prev"]["variance_ratio"].get<double>();
            QCOMPARE(cell.note, QStringLiteral("ratio ") + formatNumber(ratio, 3));
        }
        QVERIFY2(view.summary().contains(QStringLiteral("K in 3 of 3 layers")), qPrintable(view.summary()));
        // A click selects layer and kind everywhere.
        QTest::mouseClick(&grid, Qt::LeftButton, {}, grid.cellRect(2, 2).center().toPoint());
        QCOMPARE(bench.selection.current().layer(), LayerIndex(2));
        QCOMPARE(bench.selection.current().kind, PlaneKind::Value);
        grid.setFocus();
        QTest::keyClick(&grid, Qt::Key_Up);
        QTest::keyClick(&grid, Qt::Key_Return);
        QCOMPARE(bench.selection.current().layer(), LayerIndex(1));
        QVERIFY(view.toCsv().startsWith(QStringLiteral("plane,of,bin low,bin high,count,density,layer\n")));
        QCOMPARE(view.panel().currentTable().rows.size(), std::size_t(3 * 3 * 3));
    }

    void picturesOfManyLayersCanBeRead() {
        HistogramGrid grid;
        constexpr int kLayers = 80;
        const QStringList columns{QStringLiteral("K"), QStringLiteral("K before RoPE"), QStringLiteral("V")};
        std::vector<HistogramGrid::Cell> cells(static_cast<std::size_t>(kLayers * columns.size()));
        grid.setCells(columns, cells);
        // In a picture of a fixed size the rows go on beside each other; none is lower than its title and a curve.
        const QRectF picture(0, 0, 1280, 700);
        double area = 0;
        for (int row = 0; row < kLayers; ++row) {
            for (int column = 0; column < columns.size(); ++column) {
                const QRectF cell = grid.cellRect(row, column, picture);
                QVERIFY(picture.contains(cell.adjusted(0.01, 0.01, -0.01, -0.01)));
                QVERIFY2(cell.height() >= 2.5 * QFontMetricsF(chartFont(grid)).height() && cell.width() >= 72,
                         qPrintable(QStringLiteral("%1 x %2").arg(cell.width()).arg(cell.height())));
                area += cell.width() * cell.height();
            }
        }
        QVERIFY(area <= picture.width() * picture.height());
        QVERIFY(!grid.cellRect(0, 0, picture).intersects(grid.cellRect(40, 0, picture)));
        // In the window, which scrolls, a layer has a row of its own.
        grid.resize(500, grid.minimumSizeHint().height());
        QVERIFY(grid.cellRect(79, 0).top() > grid.cellRect(78, 2).top());
    }

    void saysThatNoValueIsFinite() {
        HeatmapFixture shape{.layers = 1, .heads = 1, .headDim = 4, .tokens = 8};
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            for (std::int64_t i = 0; i < 32; ++i)
                shape.planted.push_back({0, kind, i / 4, i % 4, std::numeric_limits<float>::quiet_NaN()});
        }
        Bench bench(makeHeatmapCache(shape));
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        QCOMPARE(view.summary(), QStringLiteral("Layer 0: every value of K and V is NaN or infinite."));
        // A mean of nothing is no 0.
        const StatisticsTable& readouts = view.readouts().table();
        const auto mean = std::find_if(readouts.rows.begin(), readouts.rows.end(),
                                       [](const auto& row) { return row.front().toString() == QLatin1String("Mean"); });
        QVERIFY(mean != readouts.rows.end());
        QCOMPARE(mean->size(), std::size_t(3));
        QVERIFY(!mean->at(1).isValid() && !mean->at(2).isValid());
    }

    void withoutRopeThereIsNoKBeforeIt() {
        Bench bench(goldenCache(false));
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        QCOMPARE(view.charts().size(), std::size_t(2));
    }

    void tabReachesEveryControl() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        view.activateWindow();
        auto* scope = view.findChild<QComboBox*>(QStringLiteral("scope"));
        scope->setFocus();
        QTRY_VERIFY(scope->hasFocus());
        QSet<QWidget*> reached;
        for (int i = 0; i < 30; ++i) {
            QTest::keyClick(QApplication::focusWidget(), Qt::Key_Tab);
            reached.insert(QApplication::focusWidget());
        }
        for (const char* name : {"scope", "deltas", "fits", "log", "density"})
            QVERIFY2(reached.contains(view.findChild<QWidget*>(QString::fromLatin1(name))), name);
        QVERIFY(reached.contains(&view.panel().tableButton()));
        for (ChartWidget* chart : view.charts())
            QVERIFY(reached.contains(chart));
        QVERIFY(reached.contains(&view.readouts()));
    }

    void picturesHoldChartsAndReadouts() {
        Bench bench(cache_);
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        QByteArray svg;
        {
            QBuffer buffer(&svg);
            QSvgGenerator generator;
            generator.setOutputDevice(&buffer);
            generator.setSize({900, 600});
            generator.setViewBox(QRect(0, 0, 900, 600));
            QPainter painter(&generator);
            view.paintTo(painter, QRectF(0, 0, 900, 600));
        }
        for (const char* text : {"K value", "V value", ">K before RoPE<", "Excess kurtosis", "Gaussian"})
            QVERIFY2(svg.contains(text), text);
    }
};

QTEST_MAIN(TestDistributionView)
#include "test_distribution_view.moc"
