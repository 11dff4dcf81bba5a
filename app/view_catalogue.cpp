// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/view_catalogue.h"

#include "views/channel_view.h"
#include "views/codec_layers_view.h"
#include "views/codec_panel.h"
#include "views/codec_report_view.h"
#include "views/correlation_view.h"
#include "views/distribution_view.h"
#include "views/entropy_view.h"
#include "views/held_out_view.h"
#include "views/layer_charts_view.h"
#include "views/pareto_view.h"
#include "views/position_view.h"
#include "views/rate_harm_view.h"
#include "views/statistics_jobs.h"
#include "views/stream_charts_view.h"
#include "views/timeline_view.h"

#include <QCoreApplication>

#include <algorithm>

namespace kvscope::app {

namespace {

template <class View> QWidget* make(views::Document* document, views::SelectionModel* selection) {
    return new View(document, selection);
}

QString tr(const char* text) {
    return QCoreApplication::translate("ViewCatalogue", text);
}

template <class View, class Show> std::function<void(QWidget*)> part(Show show) {
    return [show](QWidget* widget) {
        if (auto* view = qobject_cast<View*>(widget))
            show(*view);
    };
}

ViewPart distributionPart(const char* name, const QString& title, const QString& help,
                          views::DistributionView::Scope scope) {
    return {QLatin1String(name), title, help,
            part<views::DistributionView>([scope](views::DistributionView& view) { view.setScope(scope); })};
}

ViewPart layersPart(const char* name, const QString& title, const QString& help,
                    views::LayerChartsView::Statistic statistic) {
    return {QLatin1String(name), title, help, part<views::LayerChartsView>([statistic](views::LayerChartsView& view) {
                view.setPage(views::LayerChartsView::Page::PerLayer);
                view.setStatistic(statistic);
            })};
}

ViewPart layersPage(const char* name, const QString& title, const QString& help, views::LayerChartsView::Page page) {
    return {QLatin1String(name), title, help,
            part<views::LayerChartsView>([page](views::LayerChartsView& view) { view.setPage(page); })};
}

ViewPart codecPage(const char* name, const QString& title, const QString& help, views::CodecLayersView::Page page) {
    return {QLatin1String(name), title, help,
            part<views::CodecLayersView>([page](views::CodecLayersView& view) { view.setPage(page); })};
}

ViewPart reportPart(const char* name, const QString& title, views::ReportRows rows) {
    return {QLatin1String(name), title, tr("Bytes, ratios and errors"),
            part<views::CodecReportView>([rows](views::CodecReportView& view) { view.setRows(rows); })};
}

ViewPart channelsPart(const char* name, const QString& title, const QString& help,
                      views::ChannelView::Statistic statistic) {
    return {QLatin1String(name), title, help,
            part<views::ChannelView>([statistic](views::ChannelView& view) { view.setStatistic(statistic); })};
}

ViewPart positionsPart(const char* name, const QString& title, const QString& help,
                       views::PositionView::Statistic statistic) {
    return {QLatin1String(name), title, help,
            part<views::PositionView>([statistic](views::PositionView& view) { view.setStatistic(statistic); })};
}

QList<ViewPart> distributionParts() {
    using Scope = views::DistributionView::Scope;
    return {distributionPart("selection", tr("Distribution of the selection"),
                             tr("Histograms of the selected layers, channels and tokens, and of their deltas"),
                             Scope::Selection),
            distributionPart("layer", tr("Distribution of the layer"),
                             tr("Histograms of the whole selected layer and of its deltas"), Scope::Layer),
            distributionPart("all-layers", tr("Distribution of all layers together"),
                             tr("Histograms of all layers and of their deltas"), Scope::AllLayers),
            distributionPart("each-layer", tr("Distribution of each layer"),
                             tr("A small histogram of every layer and of its deltas, on one range"), Scope::EachLayer)};
}

QList<ViewPart> layersParts() {
    using Statistic = views::LayerChartsView::Statistic;
    using Page = views::LayerChartsView::Page;
    return {layersPart("rms", tr("Rms of each layer"), views::explain::rms(), Statistic::Rms),
            layersPart("std", tr("Standard deviation of each layer"), tr("Spread of all values of a plane"),
                       Statistic::Std),
            layersPart("max-abs", tr("Max-abs of each layer"), tr("The largest magnitude of each plane"),
                       Statistic::MaxAbs),
            layersPart("outlier", tr("Largest outlier of each layer"), views::explain::outlier(), Statistic::Outlier),
            layersPart("kurtosis", tr("Kurtosis of each layer"), views::explain::kurtosis(), Statistic::Kurtosis),
            layersPart("entropy", tr("Entropy of each layer"), views::explain::entropy(), Statistic::Entropy),
            layersPart("channel-rms", tr("Largest against median channel of each layer"),
                       views::explain::outlierRatio(), Statistic::OutlierRatio),
            layersPage("delta-gain", tr("Delta gain: does the delta help?"), views::explain::varianceRatio(),
                       Page::DeltaGain),
            layersPage("entropy-grouping", tr("Entropy by grouping"), views::explain::entropy(), Page::EntropyGroups)};
}

QList<ViewPart> channelsParts() {
    using Statistic = views::ChannelView::Statistic;
    return {channelsPart("mean", tr("Mean and spread of each channel"),
                         tr("Mean of each channel over the tokens, with one standard deviation around it"),
                         Statistic::MeanAndSpread),
            channelsPart("rms", tr("Rms of each channel"), views::explain::rms(), Statistic::Rms),
            channelsPart("std", tr("Spread of each channel"), tr("Standard deviation over the tokens"), Statistic::Std),
            channelsPart("kurtosis", tr("Kurtosis of each channel"), views::explain::kurtosis(), Statistic::Kurtosis),
            channelsPart("max-abs", tr("Max-abs of each channel"), tr("The largest magnitude of each channel"),
                         Statistic::MaxAbs)};
}

QList<ViewPart> positionsParts() {
    using Statistic = views::PositionView::Statistic;
    return {positionsPart("rms", tr("Rms by token position"), views::explain::rms(), Statistic::Rms),
            positionsPart("norm", tr("Norm by token position"),
                          tr("Euclidean length of each token's row: attention sinks stand out"), Statistic::Norm),
            positionsPart("max-abs", tr("Max-abs by token position"), tr("The largest magnitude of each token"),
                          Statistic::MaxAbs),
            positionsPart("cosine", tr("Cosine to the mean token by position"),
                          tr("How alike each token is to the mean of all"), Statistic::Cosine)};
}

ViewPart streamPart(const char* name, const QString& title, const QString& help, views::StreamChartsView::Chart chart,
                    views::StreamChartsView::Axis axis) {
    return {QLatin1String(name), title, help,
            part<views::StreamChartsView>([chart, axis](views::StreamChartsView& view) {
                view.setAxis(axis);
                view.setChart(chart);
            })};
}

QList<ViewPart> streamParts() {
    using Chart = views::StreamChartsView::Chart;
    using Axis = views::StreamChartsView::Axis;
    return {
        streamPart("ttft-bandwidth", tr("First token by bandwidth"),
                   tr("Time to first token of every strategy by mean bandwidth"), Chart::Ttft, Axis::Bandwidth),
        streamPart("ttft-context", tr("First token by context length"),
                   tr("Time to first token of every strategy by context length"), Chart::Ttft, Axis::Context),
        streamPart("missed-bandwidth", tr("Missed SLOs by bandwidth"),
                   tr("How often each strategy misses the SLO by mean bandwidth"), Chart::Violations, Axis::Bandwidth),
        streamPart("missed-context", tr("Missed SLOs by context length"),
                   tr("How often each strategy misses the SLO by context length"), Chart::Violations, Axis::Context),
        streamPart("quality-bandwidth", tr("Quality by bandwidth"),
                   tr("Predicted quality of what each strategy brings by mean bandwidth"), Chart::Quality,
                   Axis::Bandwidth),
        streamPart("quality-context", tr("Quality by context length"),
                   tr("Predicted quality of what each strategy brings by context length"), Chart::Quality,
                   Axis::Context),
        streamPart("regimes", tr("Regime map: text, compressed or raw"),
                   tr("Which way is the fastest by bandwidth and context length, and the time it saves"),
                   Chart::Regimes, Axis::Bandwidth),
        streamPart("distribution", tr("Distribution of the time to first token"),
                   tr("Time to first token over 1,000 starting points of the trace: p50, p95, p99"),
                   Chart::Distribution, Axis::Bandwidth)};
}

} // namespace

QString nameOf(Arrangement arrangement) {
    switch (arrangement) {
    case Arrangement::Explore:
        break;
    case Arrangement::Tune:
        return QStringLiteral("tune");
    case Arrangement::Stream:
        return QStringLiteral("stream");
    }
    return QStringLiteral("explore");
}

std::optional<Arrangement> arrangementNamed(const QString& name) {
    const auto* found = std::find_if(kAllArrangements.begin(), kAllArrangements.end(),
                                     [&name](Arrangement one) { return nameOf(one) == name; });
    return found != kAllArrangements.end() ? std::optional(*found) : std::nullopt;
}

const QList<ViewEntry>& viewCatalogue() {
    static const QList<ViewEntry> entries{
        {QStringLiteral("distribution"), tr("Distribution"), tr("Histograms of values and of their deltas, with fits"),
         QKeySequence(tr("Alt+1")), make<views::DistributionView>, distributionParts()},
        {QStringLiteral("layers"), tr("Layers"),
         tr("Statistics of every layer; does the delta help, where is the entropy"), QKeySequence(tr("Alt+2")),
         make<views::LayerChartsView>, layersParts()},
        {QStringLiteral("channels"), tr("Channels"), tr("Mean, spread and kurtosis of every channel; outlier channels"),
         QKeySequence(tr("Alt+3")), make<views::ChannelView>, channelsParts()},
        {QStringLiteral("correlation"),
         tr("Correlation"),
         tr("How alike neighbouring tokens are, by distance"),
         QKeySequence(tr("Alt+4")),
         make<views::CorrelationView>,
         {}},
        {QStringLiteral("positions"), tr("Positions"), tr("Statistics by token position: sinks and recency"),
         QKeySequence(tr("Alt+5")), make<views::PositionView>, positionsParts()},
        {QStringLiteral("codec"),
         tr("Codec"),
         tr("Settings of the codec for every layer, what they cost and what they lose"),
         QKeySequence(tr("Alt+6")),
         make<views::CodecPanel>,
         {},
         Arrangement::Tune},
        {QStringLiteral("codec-layers"),
         tr("Codec layers"),
         tr("Ratio, error and bits by part of every layer, for up to four plans side by side"),
         QKeySequence(tr("Alt+7")),
         make<views::CodecLayersView>,
         {codecPage("parts", tr("Bits by part"), tr("What the bits of every layer are for"),
                    views::CodecLayersView::Page::BitsByPart),
          codecPage("tokens", tr("By token"), tr("Bits and error along the tokens"),
                    views::CodecLayersView::Page::ByToken)},
         Arrangement::Tune},
        {QStringLiteral("codec-report"),
         tr("Codec report"),
         tr("Every figure measured of the plans: bytes by part, ratios, errors and speed, by kind, layer, head and "
            "channel"),
         QKeySequence(tr("Alt+Shift+2")),
         make<views::CodecReportView>,
         {reportPart("layers", tr("Report by layer"), views::ReportRows::Layers),
          reportPart("heads", tr("Report by head"), views::ReportRows::Heads),
          reportPart("channels", tr("Report by channel"), views::ReportRows::Channels)},
         Arrangement::Tune},
        {QStringLiteral("pareto"),
         tr("Pareto"),
         tr("Ratio against error of every preset and every plan tried; a click loads one"),
         QKeySequence(tr("Alt+8")),
         make<views::ParetoView>,
         {},
         Arrangement::Tune},
        {QStringLiteral("rate-harm"),
         tr("Rate and harm"),
         tr("Bits a value against the error of every layer's K and V at finer and coarser steps than the plan's"),
         QKeySequence(tr("Alt+9")),
         make<views::RateHarmView>,
         {},
         Arrangement::Tune},
        {QStringLiteral("entropy"),
         tr("Symbol entropy"),
         tr("Real bits a symbol of every channel against what the plan's coder spends"),
         QKeySequence(tr("Alt+0")),
         make<views::EntropyView>,
         {},
         Arrangement::Tune},
        {QStringLiteral("held-out"),
         tr("Held out"),
         tr("The plan on the dump that it is tuned on and on the one compared with, bits and error side by side"),
         QKeySequence(tr("Alt+Shift+1")),
         make<views::HeldOutView>,
         {},
         Arrangement::Tune},
        {QStringLiteral("timeline"),
         tr("Streaming"),
         tr("How the context streams under every strategy while the bandwidth is dragged: which level for which chunk, "
            "and when the first token comes"),
         QKeySequence(tr("Alt+T")),
         make<views::TimelineView>,
         {},
         Arrangement::Stream},
        {QStringLiteral("stream-charts"), tr("Streaming charts"),
         tr("First token, missed SLOs and quality of every strategy by bandwidth and context length; which way is the "
            "fastest; the distribution over starting points"),
         QKeySequence(tr("Alt+Shift+T")), make<views::StreamChartsView>, streamParts(), Arrangement::Stream},
    };
    return entries;
}

} // namespace kvscope::app
