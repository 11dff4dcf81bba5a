// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/golden_cache.h"
#include "views/channel_view.h"
#include "views/chart_widget.h"
#include "views/correlation_view.h"
#include "views/distribution_view.h"
#include "views/layer_charts_view.h"
#include "views/position_view.h"

#include <QApplication>
#include <QBuffer>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QPainter>
#include <QSet>
#include <QSignalSpy>
#include <QSvgGenerator>
#include <QTabBar>
#include <QTest>
#include <QToolButton>
#include <qcustomplot.h>

#include <atomic>
#include <cmath>
#include <thread>

using namespace kvscope;
using namespace kvscope::views;
using nlohmann::json;

namespace {

/// Relative tolerance: the golden numbers have ten digits.
constexpr double kTolerance = 1e-6;

bool near(double actual, double expected) {
    return std::abs(actual - expected) <= kTolerance * std::max(1e-3, std::abs(expected));
}

#define COMPARE_NEAR(actual, expected)                                                                                 \
    do {                                                                                                               \
        const double gotValue = (actual);                                                                              \
        const double wantedValue = (expected);                                                                         \
        QVERIFY2(near(gotValue, wantedValue),                                                                          \
                 qPrintable(QString::number(gotValue, 'g', 12) + QStringLiteral(" is not ") +                          \
                            QString::number(wantedValue, 'g', 12)));                                                   \
    } while (false)

/// A cache whose values cannot be read.
class BrokenSource : public CacheSource {
public:
    explicit BrokenSource(const KvCache& like)
        : like_(like) {}
    [[nodiscard]] const KvGeometry& geometry() const override { return like_.geometry(); }
    [[nodiscard]] const CacheInfo& info() const override { return like_.info(); }
    [[nodiscard]] Result<void> readRows(PlaneId, TokenRange, ChannelRange, std::span<float>) const override {
        return fail("the file ends before its values do", "broken.npy, byte 4096", "Copy the file again");
    }
    [[nodiscard]] Result<void> readNative(PlaneId, TokenRange, std::span<std::byte>) const override {
        return fail("the file ends before its values do", "broken.npy, byte 4096", "Copy the file again");
    }
    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }

private:
    KvCache like_;
};

struct Bench {
    explicit Bench(const KvCache& cache)
        : document(cache, pool) {}

    ThreadPool pool{2};
    Document document;
    SelectionModel selection;

    template <class View> void show(View& view) {
        view.resize(800, 560);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
    }
};

/// Chooses an entry of a combo box by keyboard.
void choose(QWidget& view, const char* name, int index) {
    auto* box = view.findChild<QComboBox*>(QString::fromLatin1(name));
    QVERIFY(box != nullptr);
    QVERIFY(box->isVisible());
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = 0; i < index; ++i)
        QTest::keyClick(box, Qt::Key_Down);
    QCOMPARE(box->currentIndex(), index);
}

void toggle(QWidget& view, const char* name) {
    auto* box = view.findChild<QCheckBox*>(QString::fromLatin1(name));
    QVERIFY(box != nullptr);
    const bool before = box->isChecked();
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Space);
    QCOMPARE(box->isChecked(), !before);
}

void openPage(QWidget& view, int index) {
    auto* pages = view.findChild<QTabBar*>(QStringLiteral("pages"));
    QVERIFY(pages != nullptr);
    QTest::mouseClick(pages, Qt::LeftButton, {}, pages->tabRect(index).center());
    QCOMPARE(pages->currentIndex(), index);
}

void clickAt(ChartWidget& chart, double x, double y) {
    auto* plot = chart.findChild<QCustomPlot*>();
    plot->replot(QCustomPlot::rpImmediateRefresh);
    QTest::mouseClick(plot, Qt::LeftButton, {}, plot->mapFrom(&chart, chart.pointAt(x, y).toPoint()));
}

const ChartSeries* seriesNamed(const ChartWidget& chart, const QString& name) {
    for (const ChartSeries& series : chart.data().series) {
        if (series.name == name)
            return &series;
    }
    return nullptr;
}

const char* goldenKind(const QString& name) {
    return name == QLatin1String("K") ? "K" : name == QLatin1String("V") ? "V" : "Kpre";
}

} // namespace

class TestStatisticsViews : public QObject {
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

    void layerBarsEqualNumpys_data() {
        QTest::addColumn<int>("entry");
        QTest::addColumn<QString>("path");
        QTest::newRow("rms") << 0 << "/rms";
        QTest::newRow("std") << 1 << "/std";
        QTest::newRow("kurtosis") << 3 << "/kurtosis";
        QTest::newRow("entropy") << 4 << "/entropy/plane";
        QTest::newRow("variance ratio, previous") << 5 << "/delta_prev/variance_ratio";
        QTest::newRow("variance ratio, anchor") << 6 << "/delta_anchor/variance_ratio";
        QTest::newRow("outlier ratio") << 7 << "/channel_outlier_ratio";
    }
    void layerBarsEqualNumpys() {
        QFETCH(int, entry);
        QFETCH(QString, path);
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        choose(view, "statistic", entry);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QCOMPARE(view.chart().data().series.size(), std::size_t(3));
        for (const ChartSeries& series : view.chart().data().series) {
            QCOMPARE(series.y.size(), std::size_t(3));
            // K before RoPE is undone in float32 here and recorded from the model there; compare it loosely below.
            if (series.name == QLatin1String("K before RoPE"))
                continue;
            for (std::size_t layer = 0; layer < 3; ++layer)
                COMPARE_NEAR(series.y[layer], golden_["planes"][goldenKind(series.name)][layer]
                                                  .at(json::json_pointer(path.toStdString()))
                                                  .get<double>());
        }
        const ChartSeries* before = seriesNamed(view.chart(), QStringLiteral("K before RoPE"));
        QVERIFY(before != nullptr);
        for (std::size_t layer = 0; layer < 3; ++layer) {
            const double expected =
                golden_["planes"]["Kpre"][layer].at(json::json_pointer(path.toStdString())).get<double>();
            QVERIFY(std::abs(before->y[layer] - expected) <= 2e-3 * std::max(1.0, std::abs(expected)));
        }
    }

    void saysWhichLayerHasTheHighestEntropy() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        choose(view, "statistic", 4);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        // numpy: V of the third layer has 4.639 bits, K before RoPE of the third 3.822.
        const QString text = view.summary();
        QVERIFY2(text.contains(QStringLiteral("Highest entropy")), qPrintable(text));
        QVERIFY2(text.contains(QStringLiteral("layer 2 V, 4.64 bits")), qPrintable(text));
        QVERIFY2(text.contains(QStringLiteral("layer 2 K before RoPE, 3.82 bits")), qPrintable(text));
    }

    void saysWhatTheDeltaDoesToKAndV() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        openPage(view, 1);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        const QString text = view.summary();
        QVERIFY2(text.contains(QStringLiteral("helps K (variance ratio")), qPrintable(text));
        QVERIFY2(text.contains(QStringLiteral("hurts V (variance ratio 0.5")), qPrintable(text));
        QCOMPARE(view.chart().data().levels.size(), std::size_t(1));
        const ChartSeries* value = seriesNamed(view.chart(), QStringLiteral("V"));
        QVERIFY(value != nullptr);
        COMPARE_NEAR(value->y[1], golden_["planes"]["V"][1]["delta_anchor"]["variance_ratio"].get<double>());
        choose(view, "delta", 1);
        value = seriesNamed(view.chart(), QStringLiteral("V"));
        COMPARE_NEAR(value->y[1], golden_["planes"]["V"][1]["delta_prev"]["variance_ratio"].get<double>());
    }

    void deltasWithinChannelsLoseWhatOffsetsGained() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        openPage(view, 1);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        choose(view, "delta", 1);
        toggle(view, "within");
        // numpy's per-channel spreads give the numerator, its delta's variance and mean the denominator to a few
        // percent (the channels' mean deltas are small).
        for (const char* kind : {"K", "V"}) {
            const ChartSeries* series = seriesNamed(view.chart(), QString::fromLatin1(kind));
            QVERIFY(series != nullptr);
            for (std::size_t layer = 0; layer < 3; ++layer) {
                const json& plane = golden_["planes"][kind][layer];
                double variance = 0;
                for (const json& spread : plane["channel"]["std"])
                    variance += spread.get<double>() * spread.get<double>() / 32;
                const double expected = variance / plane["delta_prev"]["var"].get<double>();
                QVERIFY(std::abs(series->y[layer] / expected - 1) < 0.02);
            }
        }
        QVERIFY2(view.summary().contains(QStringLiteral("Within channels, the delta to the previous token")),
                 qPrintable(view.summary()));
    }

    void entropyByGroupingEqualsNumpys() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        openPage(view, 2);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        const char* const order[] = {"all", "token", "layer", "channel", "layer_token", "layer_channel"};
        for (const char* kind : {"K", "V"}) {
            const ChartSeries* series = seriesNamed(view.chart(), QString::fromLatin1(kind));
            QVERIFY(series != nullptr);
            for (std::size_t i = 0; i < std::size(order); ++i)
                COMPARE_NEAR(series->y[i], golden_["entropy"][kind][order[i]].get<double>());
        }
        QVERIFY(view.summary().contains(QStringLiteral("2.55 bits a value instead of 4.02")));
    }

    void aClickOnABarSelectsItsLayer() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        QSignalSpy edits(&bench.selection, &SelectionModel::edited);
        clickAt(view.chart(), 2, 1);
        QCOMPARE(edits.count(), 1);
        QCOMPARE(bench.selection.current().layer(), LayerIndex(2));
        QCOMPARE(view.chart().data().selected, std::optional(2.0));
    }

    void theTableIsBehindTheChart() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        QVERIFY(!view.panel().table().isVisible());
        QTest::mouseClick(&view.panel().tableButton(), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QVERIFY(view.panel().table().isVisible());
        QVERIFY(!view.chart().isVisible());
        QCOMPARE(view.panel().table().model()->rowCount(), 9);
        view.panel().table().setFocus();
        QTest::keyClick(&view.panel().table(), Qt::Key_C, Qt::ControlModifier);
        const QStringList lines = QGuiApplication::clipboard()->text().split(u'\n');
        const QStringList header = lines.front().split(u'\t');
        const QStringList first = lines[1].split(u'\t');
        const auto column = header.indexOf(QStringLiteral("Entropy at 32 bins (bits per value)"));
        QVERIFY2(column > 0, qPrintable(lines.front()));
        QCOMPARE(first[1], QStringLiteral("K"));
        COMPARE_NEAR(first[column].toDouble(), golden_["planes"]["K"][0]["entropy"]["plane"].get<double>());
        QVERIFY(view.toCsv().startsWith(QStringLiteral("Layer,Plane,Rms")));
    }

    void viewsShareTheirWork() {
        Bench bench(cache_);
        LayerChartsView layers(&bench.document, &bench.selection);
        bench.show(layers);
        const auto& service = StatisticsService::of(bench.document);
        const auto before = service.jobsStarted();
        QVERIFY(before >= 9);
        ChannelView channels(&bench.document, &bench.selection);
        bench.show(channels);
        QVERIFY(!channels.chart().data().series.empty());
        QCOMPARE(service.jobsStarted(), before);
    }

    void hiddenViewsComputeNothing() {
        Bench bench(cache_);
        ChannelView view(&bench.document, &bench.selection);
        Selection next = bench.selection.current();
        next.layers = layerRange(1, 2);
        bench.selection.select(next);
        QCOMPARE(StatisticsService::of(bench.document).jobsStarted(), std::int64_t(0));
        bench.show(view);
        QVERIFY(StatisticsService::of(bench.document).jobsStarted() > 0);
        const auto before = StatisticsService::of(bench.document).jobsStarted();
        view.hide();
        next.layers = layerRange(2, 3);
        bench.selection.select(next);
        QCOMPARE(StatisticsService::of(bench.document).jobsStarted(), before);
    }

    void channelsEqualNumpysAndAClickSelectsOne() {
        Bench bench(cache_);
        ChannelView view(&bench.document, &bench.selection);
        bench.show(view);
        choose(view, "statistic", 1);
        const json& channel = golden_["planes"]["K"][0]["channel"];
        const auto& series = view.chart().data().series;
        QCOMPARE(series.size(), std::size_t(1));
        QCOMPARE(series[0].y.size(), std::size_t(32));
        for (std::size_t i = 0; i < 32; ++i)
            COMPARE_NEAR(series[0].y[i], channel["rms"][i].get<double>());

        // Those above four times the median, by numpy's numbers.
        auto rms = channel["rms"].get<std::vector<double>>();
        auto sortedRms = rms;
        std::sort(sortedRms.begin(), sortedRms.end());
        const double median = (sortedRms[15] + sortedRms[16]) / 2;
        std::vector<double> outliers;
        for (std::size_t i = 0; i < rms.size(); ++i) {
            if (rms[i] > 4 * median)
                outliers.push_back(static_cast<double>(i));
        }
        QVERIFY(!outliers.empty());
        std::vector<double> marked;
        for (const ChartMark& mark : view.chart().data().marks)
            marked.push_back(mark.x);
        std::sort(marked.begin(), marked.end());
        QCOMPARE(marked, outliers);

        const auto largest = std::max_element(rms.begin(), rms.end());
        toggle(view, "sorted");
        QVERIFY(std::is_sorted(view.chart().data().series[0].y.rbegin(), view.chart().data().series[0].y.rend()));
        COMPARE_NEAR(view.chart().data().series[0].y[0], *largest);
        clickAt(view.chart(), 0, *largest / 2);
        const auto expected = ChannelIndex(largest - rms.begin());
        QCOMPARE(bench.selection.current().channels, std::optional(ChannelRange{expected, expected + 1}));
        QCOMPARE(view.chart().data().selected, std::optional(0.0));
        QVERIFY2(view.summary().contains(QStringLiteral("outlier channel")), qPrintable(view.summary()));
    }

    void theChannelViewFollowsKindAndLayer() {
        Bench bench(cache_);
        ChannelView view(&bench.document, &bench.selection);
        bench.show(view);
        choose(view, "statistic", 4);
        Selection next = bench.selection.current();
        next.kind = PlaneKind::Value;
        next.layers = layerRange(2, 3);
        bench.selection.select(next);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        const json& channel = golden_["planes"]["V"][2]["channel"];
        for (std::size_t i = 0; i < 32; ++i)
            COMPARE_NEAR(view.chart().data().series.back().y[i],
                         std::max(std::abs(channel["min"][i].get<double>()), channel["max"][i].get<double>()));
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

    void withoutRopeThereIsNoKBeforeIt() {
        Bench bench(goldenCache(false));
        DistributionView view(&bench.document, &bench.selection);
        bench.show(view);
        QCOMPARE(view.charts().size(), std::size_t(2));
    }

    void correlationEqualsNumpys() {
        Bench bench(cache_);
        CorrelationView view(&bench.document, &bench.selection);
        bench.show(view);
        for (const bool unbiased : {false, true}) {
            if (unbiased)
                toggle(view, "unbiased");
            for (const char* kind : {"K", "V"}) {
                const json& expected = golden_["planes"][kind][0][unbiased ? "correlation_unbiased" : "correlation"];
                const ChartSeries* series = seriesNamed(view.chart(), QString::fromLatin1(kind));
                QVERIFY(series != nullptr);
                QVERIFY(series->y.size() >= expected.size());
                for (std::size_t i = 0; i < expected.size(); ++i)
                    COMPARE_NEAR(series->y[i], expected[i].get<double>());
            }
        }
    }

    void positionsEqualNumpysAndAClickSelectsTheToken() {
        Bench bench(cache_);
        PositionView view(&bench.document, &bench.selection);
        bench.show(view);
        const ChartSeries* value = seriesNamed(view.chart(), QStringLiteral("V"));
        QVERIFY(value != nullptr);
        const json& token = golden_["planes"]["V"][0]["token"];
        QCOMPARE(value->y.size(), std::size_t(53));
        for (std::size_t i = 0; i < 53; ++i)
            COMPARE_NEAR(value->y[i], token["rms"][i].get<double>());
        clickAt(view.chart(), 7, value->y[7]);
        QCOMPARE(bench.selection.current().tokens, std::optional(tokenRange(7, 8)));
        toggle(view, "log");
        QVERIFY(view.chart().data().xLog);
        QCOMPARE(view.chart().data().series[0].x.front(), 1.0);
        clickAt(view.chart(), 1, 3);
        QCOMPARE(bench.selection.current().tokens, std::optional(tokenRange(0, 1)));
    }

    void errorsAreShownInPlace() {
        Bench bench(KvCache(std::make_shared<BrokenSource>(cache_)));
        ChannelView view(&bench.document, &bench.selection);
        bench.show(view);
        QTRY_VERIFY(view.panel().error().contains(QStringLiteral("byte 4096")));
        QVERIFY(view.panel().error().contains(QStringLiteral("Copy the file again")));
    }

    void unwantedJobsAreStoppedAndSharedOnesAreNot() {
        Bench bench(cache_);
        auto& service = StatisticsService::of(bench.document);
        std::atomic<int> begun{0};
        std::atomic<int> stopped{0};
        std::atomic<bool> release{false};
        const auto waiting = [&](const char* key) {
            return StatisticsService::job<int>(key, [&](const JobControl& job) -> Result<int> {
                ++begun;
                while (!job.stopRequested() && !release.load())
                    std::this_thread::yield();
                if (job.stopRequested()) {
                    ++stopped;
                    return cancelled();
                }
                return 7;
            });
        };
        const QObject first;
        const QObject second;
        service.want(&first, {waiting("a")});
        QTRY_COMPARE(begun.load(), 1);
        service.want(&first, {});
        QTRY_COMPARE(stopped.load(), 1);
        QVERIFY(service.find<int>("a") == nullptr);

        service.want(&first, {waiting("b")});
        service.want(&second, {waiting("b")});
        service.want(&first, {});
        QVERIFY(!service.isIdle(&second));
        release = true;
        QTRY_VERIFY(service.isIdle(&second));
        QCOMPARE(*service.find<int>("b"), 7);
        QCOMPARE(stopped.load(), 1);
        QCOMPARE(service.progress(&second), 1.0);
    }

    void aDestroyedViewStopsItsJobs() {
        Bench bench(cache_);
        auto& service = StatisticsService::of(bench.document);
        std::atomic<bool> begun{false};
        std::atomic<bool> stopped{false};
        {
            const QObject view;
            service.want(&view, {StatisticsService::job<int>("c", [&](const JobControl& job) -> Result<int> {
                begun = true;
                while (!job.stopRequested())
                    std::this_thread::yield();
                stopped = true;
                return cancelled();
            })});
            QTRY_VERIFY(begun.load());
        }
        QTRY_VERIFY(stopped.load());
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
        for (const char* text : {"K value", "V value", "K before RoPE value", "Excess kurtosis", "Gaussian"})
            QVERIFY2(svg.contains(text), text);
    }

    void aViewOutlivesItsDocument() {
        SelectionModel selection;
        ThreadPool pool(2);
        auto document = std::make_unique<Document>(cache_, pool);
        LayerChartsView view(document.get(), &selection);
        view.show();
        document.reset();
        Selection next = selection.current();
        next.layers = layerRange(1, 2);
        selection.select(next);
        view.hide();
        view.show();
        QVERIFY(!view.isReady());
    }
};

QTEST_MAIN(TestStatisticsViews)
#include "test_statistics_views.moc"
