// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/gui/statistics_bench.h"
#include "views/channel_view.h"
#include "views/distribution_view.h"
#include "views/layer_charts_view.h"
#include "views/number_format.h"
#include "views/outlier_navigator.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QSignalSpy>
#include <QToolButton>

using namespace kvscope;
using namespace kvscope::views;
using namespace kvscope::testing;
using nlohmann::json;

/// The charts by layer, driven as a user does, against numpy's numbers.
class TestLayerChartsView : public QObject {
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

    void theLargestOutlierIsTheOneOfAllLayers() {
        Bench bench(cache_);
        // One layer's numbers are there already, for another view.
        DistributionView layer(&bench.document, &bench.selection);
        layer.setScope(DistributionView::Scope::Layer);
        bench.show(layer);
        LayerChartsView view(&bench.document, &bench.selection);
        view.setStatistic(LayerChartsView::Statistic::Entropy);
        bench.show(view);
        QVERIFY(view.summary().contains(QStringLiteral("Highest entropy")));
        QVERIFY2(!view.summary().contains(QStringLiteral("Largest outlier")), qPrintable(view.summary()));
        view.setStatistic(LayerChartsView::Statistic::Outlier);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        QVERIFY2(view.summary().contains(QStringLiteral("Largest outlier")), qPrintable(view.summary()));
        const QString all = view.summary().section(QStringLiteral("Largest outlier"), 1);
        view.setStatistic(LayerChartsView::Statistic::Entropy);
        QTRY_COMPARE(view.summary().section(QStringLiteral("Largest outlier"), 1), all);
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

    void whatRopeKeepsIsSaidOfK() {
        // Its rms before RoPE is larger in the seventh digit, which is rounding.
        const auto opened = openDump((qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + "/passkey.pt").toStdString());
        QVERIFY(opened);
        Bench bench(opened->cache);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        QVERIFY2(view.summary().startsWith(QStringLiteral("Highest rms: layer 2 K, 3.46; lowest: layer 4 K, 1.66")),
                 qPrintable(view.summary()));
    }

    void theLargestOutlierIsTheSameEverywhere() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        // The largest |value| / rms of its plane, by numpy's numbers, of K and of V.
        for (const char* kind : {"K", "V"}) {
            double most = 0;
            std::size_t layerOfMost = 0;
            std::size_t channelOfMost = 0;
            for (std::size_t layer = 0; layer < 3; ++layer) {
                const json& plane = golden_["planes"][kind][layer];
                for (std::size_t c = 0; c < 32; ++c) {
                    const double largest = std::max(std::abs(plane["channel"]["min"][c].get<double>()),
                                                    std::abs(plane["channel"]["max"][c].get<double>()));
                    if (largest / plane["rms"].get<double>() > most) {
                        most = largest / plane["rms"].get<double>();
                        layerOfMost = layer;
                        channelOfMost = c;
                    }
                }
            }
            const QString times = formatNumber(most, 3) + QStringLiteral("\u00d7 the rms of its plane");
            const QString place =
                QStringLiteral("layer %1 %2 channel %3 ").arg(layerOfMost).arg(QLatin1String(kind)).arg(channelOfMost);
            QVERIFY2(view.summary().contains(place) && view.summary().contains(times), qPrintable(view.summary()));

            Selection next = bench.selection.current();
            next.kind = kind[0] == 'K' ? PlaneKind::Key : PlaneKind::Value;
            next.layers =
                layerRange(static_cast<std::int64_t>(layerOfMost), static_cast<std::int64_t>(layerOfMost) + 1);
            bench.selection.select(next);
            ChannelView channels(&bench.document, &bench.selection);
            bench.show(channels);
            QVERIFY2(
                channels.summary().contains(QStringLiteral("largest outlier is in channel %1 ").arg(channelOfMost)) &&
                    channels.summary().contains(times),
                qPrintable(channels.summary()));

            OutlierNavigator navigator(&bench.document);
            navigator.setScope(next.kind, Quantity::Value, {});
            QSignalSpy reached(&navigator, &OutlierNavigator::reached);
            navigator.step(1);
            QTRY_COMPARE(reached.count(), 1);
            const auto outlier = reached[0][0].value<Outlier>();
            QCOMPARE(outlier.plane.layer.value, static_cast<std::int64_t>(layerOfMost));
            QCOMPARE(outlier.channel.value, static_cast<std::int64_t>(channelOfMost));
            COMPARE_NEAR(outlier.sigma, most);
        }
    }

    void whatALevelMeansStandsInTheLegend() {
        Bench bench(cache_);
        LayerChartsView view(&bench.document, &bench.selection);
        bench.show(view);
        openPage(view, 1);
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
        const auto* plot = view.chart().findChild<QCustomPlot*>();
        QStringList names;
        for (int i = 0; i < plot->legend->itemCount(); ++i) {
            if (auto* item = qobject_cast<QCPPlottableLegendItem*>(plot->legend->item(i)))
                names << item->plottable()->name();
        }
        QVERIFY2(names.contains(QStringLiteral("above 1 the delta helps")), qPrintable(names.join(u'|')));
        // Nothing is written over the bars.
        for (int i = 0; i < plot->itemCount(); ++i)
            QVERIFY(qobject_cast<QCPItemText*>(plot->item(i)) == nullptr);
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
};

QTEST_MAIN(TestLayerChartsView)
#include "test_layer_charts_view.moc"
