// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/channel_view.h"

#include "views/chart_widget.h"
#include "views/number_format.h"

#include <QCheckBox>
#include <QComboBox>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kvscope::views {

namespace {
constexpr std::size_t kNamedOutliers = 8;
/// Up to this many channels, each gets a bar of its own.
constexpr std::size_t kMostBars = 160;
} // namespace

ChannelView::ChannelView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , kind_(new QComboBox)
    , statistic_(new QComboBox)
    , sorted_(new QCheckBox(tr("Sorted"))) {
    kind_->setObjectName(QStringLiteral("kind"));
    for (const KindChoice& choice : choices())
        kind_->addItem(choice.name());
    panel().addControl(kind_, tr("Which plane of the selected layer. %1").arg(explain::plane()));
    statistic_->setObjectName(QStringLiteral("statistic"));
    statistic_->addItem(tr("mean \u00b1 spread"));
    statistic_->addItem(tr("rms"));
    statistic_->addItem(tr("spread (standard deviation)"));
    statistic_->addItem(tr("excess kurtosis"));
    statistic_->addItem(tr("max-abs"));
    statistic_->setItemData(0, tr("Mean of each channel over the tokens, with one standard deviation around it"),
                            Qt::ToolTipRole);
    statistic_->setItemData(1, explain::rms(), Qt::ToolTipRole);
    statistic_->setItemData(2, tr("How far the values of a channel lie around their mean"), Qt::ToolTipRole);
    statistic_->setItemData(4, tr("The largest magnitude of each channel"), Qt::ToolTipRole);
    statistic_->setItemData(3, explain::kurtosis(), Qt::ToolTipRole);
    panel().addControl(statistic_, tr("What is shown of each channel"));
    sorted_->setObjectName(QStringLiteral("sorted"));
    panel().addControl(sorted_, tr("Largest first instead of in channel order"));

    connect(kind_, &QComboBox::activated, this, [this](int index) {
        Selection next = this->selection();
        next.kind = choices()[static_cast<std::size_t>(index)].kind;
        if (next == this->selection())
            refresh();
        else
            selectionModel().select(next);
    });
    connect(statistic_, &QComboBox::currentIndexChanged, this, &ChannelView::refresh);
    connect(sorted_, &QCheckBox::toggled, this, &ChannelView::refresh);
    connect(&chart(), &ChartWidget::picked, this, [this](double x) {
        const auto rank = static_cast<std::size_t>(std::max(0.0, x));
        if (rank < order_.size())
            selectChannel(order_[rank]);
    });
    connect(&panel().table(), &StatisticsTableView::rowActivated, this, [this](int row) {
        selectChannel(ChannelIndex(panel().table().table().rows[static_cast<std::size_t>(row)].front().toLongLong()));
    });
    connect(selection, &SelectionModel::changed, this, &ChannelView::fillKinds);
    fillKinds();
}

void ChannelView::fillKinds() {
    // The box follows the selected kind; K before RoPE stays while K is selected.
    if (choices().empty() || choice().kind == selection().kind)
        return;
    for (std::size_t i = 0; i < choices().size(); ++i) {
        if (choices()[i].kind == selection().kind) {
            kind_->setCurrentIndex(static_cast<int>(i));
            refresh();
            return;
        }
    }
}

KindChoice ChannelView::choice() const {
    const auto index = static_cast<std::size_t>(std::max(0, kind_->currentIndex()));
    return index < choices().size() ? choices()[index] : KindChoice{};
}

ChannelView::Statistic ChannelView::statistic() const {
    return static_cast<Statistic>(statistic_->currentIndex());
}

void ChannelView::setStatistic(Statistic statistic) {
    statistic_->setCurrentIndex(static_cast<int>(statistic));
}

void ChannelView::setSorted(bool sorted) {
    sorted_->setChecked(sorted);
}

const PlaneGeometry* ChannelView::geometry() const {
    return cache().geometry().find(PlaneId{selection().layer(), choice().kind, selection().sequence});
}

const PlaneStatistics* ChannelView::plane() const {
    return planeOf(choice(), selection().layer());
}

std::vector<StatisticsService::Job> ChannelView::neededJobs() const {
    if (!holds(cache(), choice(), selection().layer(), selection().sequence))
        return {};
    return {statisticsJob(document(), layerScope(choice(), selection().layer(), selection().sequence))};
}

void ChannelView::selectChannel(ChannelIndex channel) {
    Selection next = selection();
    next.kind = choice().kind;
    next.channels = ChannelRange{channel, channel + 1};
    const PlaneGeometry* shape = geometry();
    if (next.head && shape != nullptr && shape->headOf(channel) != *next.head)
        next.head.reset();
    selectionModel().select(next);
}

double ChannelView::valueOf(const Moments& moments) const {
    switch (statistic()) {
    case Statistic::MeanAndSpread:
        return moments.mean;
    case Statistic::Rms:
        return moments.rms();
    case Statistic::Std:
        return moments.stddev();
    case Statistic::Kurtosis:
        return moments.excessKurtosis();
    case Statistic::MaxAbs:
        return moments.maxAbs();
    }
    return 0;
}

ChartData ChannelView::chartOf(const PlaneStatistics& plane, const PlaneGeometry& geometry) {
    const auto& channels = plane.channels;
    order_.resize(channels.size());
    for (std::size_t i = 0; i < order_.size(); ++i)
        order_[i] = plane.channelRange.begin + static_cast<std::int64_t>(i);
    const auto momentsOf = [&](ChannelIndex channel) -> const Moments& {
        return channels[static_cast<std::size_t>(channel - plane.channelRange.begin)];
    };
    const bool sorted = sorted_->isChecked();
    if (sorted)
        std::stable_sort(order_.begin(), order_.end(),
                         [&](ChannelIndex a, ChannelIndex b) { return valueOf(momentsOf(a)) > valueOf(momentsOf(b)); });

    ChartData chart;
    chart.explanation = statistic_->currentData(Qt::ToolTipRole).toString();
    chart.xTitle = sorted ? tr("rank (largest first)") : tr("channel");
    chart.yTitle = statistic_->currentText();
    chart.xIndex = true;
    chart.fromZero = true;
    chart.xName = [order = order_, geometry](double x) {
        const auto rank = static_cast<std::size_t>(x);
        return rank < order.size() ? tr("channel %1").arg(channelName(geometry, order[rank])) : QString();
    };
    ChartSeries series;
    series.name = statistic_->currentText();
    series.kind = choice().colourKind();
    const bool bars = channels.size() <= kMostBars && statistic() != Statistic::MeanAndSpread;
    series.shape = bars ? ChartSeries::Shape::Bars : ChartSeries::Shape::Steps;
    series.filled = statistic() != Statistic::MeanAndSpread;
    ChartSeries band = series;
    band.name = tr("\u00b1 one standard deviation");
    band.shape = ChartSeries::Shape::Band;
    band.filled = false;
    for (std::size_t rank = 0; rank < order_.size(); ++rank) {
        const Moments& moments = momentsOf(order_[rank]);
        series.x.push_back(static_cast<double>(rank));
        series.y.push_back(valueOf(moments));
        band.x.push_back(static_cast<double>(rank));
        band.y.push_back(moments.mean + moments.stddev());
        band.low.push_back(moments.mean - moments.stddev());
    }
    if (statistic() == Statistic::MeanAndSpread) {
        series.name = tr("mean");
        chart.series.push_back(std::move(band));
    }
    chart.series.push_back(std::move(series));

    for (const ChannelIndex channel : plane.outlierChannels) {
        const auto rank = std::find(order_.begin(), order_.end(), channel) - order_.begin();
        // Beyond the first few, names would only hide each other; the triangles remain.
        const QString name = chart.marks.size() < kNamedOutliers ? formatCount(channel.value) : QString();
        chart.marks.push_back({static_cast<double>(rank), valueOf(momentsOf(channel)), name});
    }
    const auto& selected = selection().channels;
    if (selected && selected->size() == 1 && selection().kind == choice().kind) {
        const auto found = std::find(order_.begin(), order_.end(), selected->begin);
        if (found != order_.end())
            chart.selected = static_cast<double>(found - order_.begin());
    }
    return chart;
}

QString ChannelView::sentence(const PlaneStatistics& plane, const PlaneGeometry& geometry) const {
    if (plane.channels.empty())
        return {};
    const auto outlier = largestOutlier(plane);
    if (!outlier)
        return tr("Layer %1 %2 holds no value other than zero.")
            .arg(formatCount(plane.plane.layer.value), choice().name());
    QString text = tr("Layer %1 %2: the largest outlier is in channel %3: %4.")
                       .arg(formatCount(plane.plane.layer.value), choice().name(),
                            channelName(geometry, outlier->channel), outlierText(outlier->value, outlier->timesRms));
    const QString ratio = plane.channelOutlierRatio ? formatNumber(*plane.channelOutlierRatio, 3) : tr("?");
    if (plane.outlierChannels.empty()) {
        text += u' ' + tr("No outlier channels (large at every token: rms above %1\u00d7 the median channel's); the "
                          "largest has %2\u00d7.")
                           .arg(formatNumber(kOutlierChannelFactor), ratio);
    } else {
        QStringList names;
        for (std::size_t i = 0; i < std::min(kNamedOutliers, plane.outlierChannels.size()); ++i)
            names << formatCount(plane.outlierChannels[i].value);
        if (plane.outlierChannels.size() > kNamedOutliers)
            names << QStringLiteral("\u2026");
        text += u' ' + tr("%1 (large at every token: rms above %2\u00d7 the median channel's): %3, up to %4\u00d7.")
                           .arg(plane.outlierChannels.size() == 1
                                    ? tr("1 outlier channel")
                                    : tr("%1 outlier channels").arg(plane.outlierChannels.size()),
                                formatNumber(kOutlierChannelFactor), names.join(tr(", ")), ratio);
    }
    return text;
}

StatisticsTable ChannelView::tableOf(const PlaneStatistics& plane, const PlaneGeometry& geometry) const {
    StatisticsTable table;
    table.columns = {
        {tr("Channel"), {}, tr("Channel of the plane: head times head dimension plus dimension")},
        {tr("Head"), {}, {}},
        {tr("Dim"), {}, tr("Dimension within the head")},
        {tr("Mean"), {}, {}},
        {tr("Std"), {}, tr("Standard deviation over the tokens")},
        {tr("Rms"), {}, explain::rms()},
        {tr("Rms / median"), {}, explain::outlierRatio()},
        {tr("Max-abs"), {}, {}},
        {tr("Largest outlier"), tr("\u00d7 rms of the plane"), explain::outlier()},
        {tr("Min"), {}, {}},
        {tr("Max"), {}, {}},
        {tr("Excess kurtosis"), {}, explain::kurtosis()},
        {tr("Variance ratio, previous token"), {}, explain::varianceRatio()},
        {tr("Variance ratio, anchor"), {}, explain::varianceRatio()},
        {tr("Outlier channel"),
         {},
         tr("Channels that are large at every token: whose rms is above %1 times that of the median channel")
             .arg(formatNumber(kOutlierChannelFactor))}};
    std::vector<double> rms;
    for (const Moments& moments : plane.channels)
        rms.push_back(moments.rms());
    std::sort(rms.begin(), rms.end());
    const double median = rms.empty() ? 0 : (rms[(rms.size() - 1) / 2] + rms[rms.size() / 2]) / 2;
    const double planeRms = plane.series.value.moments.rms();
    const auto ratio = [](const Moments& value, const std::vector<Moments>& deltas, std::size_t i) {
        return i < deltas.size() && deltas[i].variance() > 0 ? QVariant(value.variance() / deltas[i].variance())
                                                             : QVariant();
    };
    for (std::size_t i = 0; i < plane.channels.size(); ++i) {
        const Moments& moments = plane.channels[i];
        const ChannelIndex channel = plane.channelRange.begin + static_cast<std::int64_t>(i);
        const bool outlier = std::find(plane.outlierChannels.begin(), plane.outlierChannels.end(), channel) !=
                             plane.outlierChannels.end();
        table.rows.push_back(
            {static_cast<qlonglong>(channel.value), static_cast<qlonglong>(geometry.headOf(channel).value),
             static_cast<qlonglong>(channel.value % geometry.headDim), moments.mean, moments.stddev(), moments.rms(),
             median > 0 ? QVariant(moments.rms() / median) : QVariant(), moments.maxAbs(),
             planeRms > 0 ? QVariant(moments.maxAbs() / planeRms) : QVariant(), moments.min, moments.max,
             moments.excessKurtosis(), ratio(moments, plane.channelDeltaPrevious, i),
             ratio(moments, plane.channelDeltaAnchor, i), outlier ? tr("yes") : QString()});
    }
    return table;
}

void ChannelView::display() {
    const PlaneStatistics* statistics = plane();
    const PlaneGeometry* shape = geometry();
    if (statistics == nullptr || shape == nullptr) {
        ChartData empty;
        empty.emptyText =
            holds(cache(), choice(), selection().layer(), selection().sequence)
                ? tr("Computing\u2026")
                : tr("Layer %1 holds no %2.").arg(formatCount(selection().layer().value), choice().name());
        order_.clear();
        chart().setData(std::move(empty));
        panel().setSummary({});
        panel().setTable(nullptr);
        return;
    }
    chart().setData(chartOf(*statistics, *shape), true);
    panel().setSummary(sentence(*statistics, *shape));
    panel().setTable([this] {
        const PlaneStatistics* now = plane();
        const PlaneGeometry* form = geometry();
        return now != nullptr && form != nullptr ? tableOf(*now, *form) : StatisticsTable();
    });
}

QString ChannelView::exportName() const {
    return tr("channels layer %1 %2").arg(QString::number(selection().layer().value), choice().name());
}

} // namespace kvscope::views
