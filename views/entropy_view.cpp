// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/entropy_view.h"

#include "views/chart_widget.h"
#include "views/number_format.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kvscope::views {

namespace {

/// Docks behind others are shown for a moment while the window is laid out; that is no reason to encode.
constexpr int kSettleMs = 60;

QString kindName(PlaneKind kind) {
    const std::string_view name = nameOf(kind);
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

double meanOf(const std::vector<double>& values) {
    return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

} // namespace

EntropyView::EntropyView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , session_(&CodecSession::of(*document)) {
    askTimer_.setSingleShot(true);
    askTimer_.setInterval(kSettleMs);
    connect(&askTimer_, &QTimer::timeout, this, [this] {
        if (session_ && isVisible())
            session_->want(this, {.pinned = false, .first = planes()});
    });
    connect(session_, &CodecSession::changed, this, [this] { refresh(); });
    connect(session_, &CodecSession::progressed, this, [this] {
        if (isVisible())
            showState();
    });
}

std::vector<PlaneId> EntropyView::planes() const {
    std::vector<PlaneId> planes;
    for (const PlaneKind kind : session_->kinds())
        planes.push_back({selection().layer(), kind, selection().sequence});
    return planes;
}

std::vector<StatisticsService::Job> EntropyView::neededJobs() const {
    return {};
}

std::optional<double> EntropyView::ownProgress() const {
    if (!session_ || session_->isIdle(this))
        return {};
    return session_->progress(this);
}

QString EntropyView::ownError() const {
    const Error* error = session_ ? session_->error() : nullptr;
    return error != nullptr ? QString::fromStdString(error->message()) : QString();
}

bool EntropyView::isReady() const {
    return SingleChartView::isReady() && !askTimer_.isActive() && session_ && session_->isIdle(this);
}

std::optional<EntropyView::Channels> EntropyView::channelsOf(PlaneKind kind) const {
    const PlaneReport* plane =
        session_ ? session_->report().find({selection().layer(), kind, selection().sequence}) : nullptr;
    if (plane == nullptr || plane->chunks.empty() || plane->tokens == 0)
        return {};
    const auto count = static_cast<std::size_t>(plane->channels());
    Channels channels;
    channels.spent.assign(count, 0.0);
    channels.coded.assign(count, 0.0);
    channels.entropy.assign(count, 0.0);
    for (const ChunkReport& chunk : plane->chunks) {
        if (chunk.channelBits.size() != count)
            return {};
        // All but the payload is shared out evenly.
        const double beside = 8.0 * static_cast<double>(chunk.parts.total() - chunk.parts[BytePart::Payload]) /
                              static_cast<double>(count);
        for (std::size_t i = 0; i < count; ++i) {
            channels.spent[i] += static_cast<double>(chunk.channelBits[i]);
            channels.coded[i] += static_cast<double>(chunk.channelBits[i]) - beside;
        }
        if (chunk.channelEntropyBits.size() != channels.entropy.size()) {
            // A part without symbols has no entropy to compare with.
            channels.entropy.clear();
            continue;
        }
        for (std::size_t i = 0; i < channels.entropy.size(); ++i)
            channels.entropy[i] += static_cast<double>(chunk.channelEntropyBits[i]);
    }
    for (auto* bits : {&channels.spent, &channels.coded, &channels.entropy}) {
        for (double& value : *bits)
            value /= static_cast<double>(plane->tokens);
    }
    channels.meanSpent = meanOf(channels.spent);
    channels.meanCoded = meanOf(channels.coded);
    channels.meanEntropy = meanOf(channels.entropy);
    return channels;
}

void EntropyView::display() {
    if (!session_)
        return;
    ChartData chart;
    chart.xTitle = tr("channel");
    chart.yTitle = tr("bits/symbol");
    chart.xIndex = true;
    chart.fromZero = true;
    chart.emptyText = tr("Encoding\u2026");
    chart.xName = [](double channel) { return tr("channel %1").arg(formatNumber(channel)); };
    chart.explanation =
        tr("Dashed: the order-0 entropy of a channel's symbols, the least that a table for this channel "
           "alone could spend. Solid: what the coder's own table spends on them. Where the lines part, "
           "the table does not fit the channel. Tables, scales and headers come on top.");
    if (const auto& channels = selection().channels; channels && channels->size() == 1)
        chart.selected = static_cast<double>(channels->begin.value);
    QStringList sentences;
    for (const PlaneKind kind : session_->kinds()) {
        const auto found = channelsOf(kind);
        if (!found)
            continue;
        const auto add = [&](const QString& name, const std::vector<double>& values, ChartSeries::Look look) {
            ChartSeries series;
            series.name = name;
            series.kind = kind;
            series.look = look;
            series.y = values;
            for (std::size_t i = 0; i < values.size(); ++i)
                series.x.push_back(static_cast<double>(i));
            chart.series.push_back(std::move(series));
        };
        add(tr("%1 by its table").arg(kindName(kind)), found->coded, ChartSeries::Look::Solid);
        if (found->entropy.empty() || found->meanEntropy <= 0) {
            sentences
                << tr("%1 %2 bits, no symbols to compare with").arg(kindName(kind), formatNumber(found->meanSpent, 3));
            continue;
        }
        add(tr("%1 entropy").arg(kindName(kind)), found->entropy, ChartSeries::Look::Dashed);
        const double over = 100 * (found->meanCoded / found->meanEntropy - 1);
        sentences << tr("%1 entropy %2 bits a symbol, by its table %3 (%4%5 %), everything included %6")
                         .arg(kindName(kind), formatNumber(found->meanEntropy, 3, true),
                              formatNumber(found->meanCoded, 3, true),
                              over < 0 ? QStringLiteral("\u2212") : QStringLiteral("+"),
                              formatNumber(std::abs(over), 2), formatNumber(found->meanSpent, 3, true));
    }
    this->chart().setData(std::move(chart), true);
    panel().setTable([this] { return numbers(); });
    panel().setSummary(sentences.isEmpty()
                           ? QString()
                           : tr("Layer %1: %2. The entropy is what an ideal table for each channel would spend, itself "
                                "free of charge.")
                                 .arg(formatCount(selection().layer().value), sentences.join(tr("; "))));
}

StatisticsTable EntropyView::numbers() const {
    StatisticsTable table;
    table.columns.push_back({tr("Channel"), {}, {}});
    std::vector<Channels> kinds;
    std::size_t rows = 0;
    for (const PlaneKind kind : session_ ? session_->kinds() : std::vector<PlaneKind>()) {
        auto channels = channelsOf(kind);
        if (!channels)
            continue;
        table.columns.push_back({tr("%1 spent").arg(kindName(kind)), tr("bits a symbol"),
                                 tr("Everything included: coded symbols, tables, scales, headers")});
        table.columns.push_back({tr("%1 by its table").arg(kindName(kind)), tr("bits a symbol"),
                                 tr("What the coder's table spends on the channel's symbols alone")});
        table.columns.push_back({tr("%1 entropy").arg(kindName(kind)), tr("bits a symbol"),
                                 tr("Order-0 entropy of the channel's symbols")});
        rows = std::max(rows, channels->spent.size());
        kinds.push_back(std::move(*channels));
    }
    for (std::size_t i = 0; i < rows; ++i) {
        std::vector<QVariant> row{static_cast<qlonglong>(i)};
        for (const Channels& kind : kinds) {
            row.push_back(i < kind.spent.size() ? QVariant(kind.spent[i]) : QVariant());
            row.push_back(i < kind.coded.size() ? QVariant(kind.coded[i]) : QVariant());
            row.push_back(i < kind.entropy.size() ? QVariant(kind.entropy[i]) : QVariant());
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

QString EntropyView::exportName() const {
    return tr("symbol entropy layer %1").arg(selection().layer().value);
}

void EntropyView::showEvent(QShowEvent* event) {
    askTimer_.start();
    SingleChartView::showEvent(event);
}

void EntropyView::hideEvent(QHideEvent* event) {
    SingleChartView::hideEvent(event);
    askTimer_.stop();
    if (session_)
        session_->release(this);
}

} // namespace kvscope::views
