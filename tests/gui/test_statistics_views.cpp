// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/statistics_bench.h"
#include "views/channel_view.h"
#include "views/correlation_view.h"
#include "views/layer_charts_view.h"
#include "views/position_view.h"
#include "views/surprises.h"

#include <atomic>
#include <thread>

using namespace kvscope;
using namespace kvscope::views;
using namespace kvscope::testing;
using nlohmann::json;

namespace {

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

} // namespace

/// Channels, correlation and positions against numpy's numbers, and how statistics views share and stop their work.
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

    void surprisesAreCountedAndPlaced() {
        std::vector<PlaneStatistics> planes(8);
        for (std::size_t i = 0; i < planes.size(); ++i) {
            planes[i].plane = PlaneId{LayerIndex(static_cast<std::int64_t>(i)), PlaneKind::Key, {}};
            planes[i].series.value.moments.count = 100;
        }
        std::vector<const PlaneStatistics*> all;
        for (const PlaneStatistics& plane : planes)
            all.push_back(&plane);
        QVERIFY(surprisesIn(all).isEmpty());
        planes[3].series.value.moments.nonFinite = 1234;
        for (const std::size_t i : {0U, 1U, 2U, 5U, 6U})
            planes[i].series.value.moments.zeros = 100;
        planes[4].series.value.moments.denormals = 2;
        planes[7].series.value.moments.denormals = 3;
        planes[7].outlierChannels = {ChannelIndex(9), ChannelIndex(1)};
        const QStringList surprises = surprisesIn(all);
        QCOMPARE(surprises.size(), 4);
        QCOMPARE(surprises[0], QStringLiteral("NaN or infinite values: layer 3 K (1,234)"));
        QCOMPARE(surprises[1], QStringLiteral("All zero: layer 0 K, layer 1 K, layer 2 K, layer 5 K and 1 more"));
        QVERIFY(surprises[3].startsWith(QStringLiteral("Denormal values")));
        QVERIFY(surprises[3].endsWith(QStringLiteral("5 in 2 of 8 planes")));
        QVERIFY(surprises[2].endsWith(QStringLiteral("layer 7 K channel 9 (and 1 more)")));
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

    void theAxisHoldsTheBandAroundTheMeans() {
        Bench bench(cache_);
        ChannelView view(&bench.document, &bench.selection);
        bench.show(view);
        const ChartData& data = view.chart().data();
        QCOMPARE(data.series.front().shape, ChartSeries::Shape::Band);
        // In data units the range lies from its top(), the lower end, to its bottom().
        const QRectF range = view.chart().visibleRange();
        for (const double y : data.series.front().y)
            QVERIFY(y < range.bottom());
        for (const double y : data.series.front().low)
            QVERIFY(y > range.top());
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
