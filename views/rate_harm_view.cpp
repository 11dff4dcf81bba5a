// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/rate_harm_view.h"

#include "core/codec/plan_edit.h"
#include "views/chart_widget.h"
#include "views/number_format.h"

#include <QComboBox>
#include <QToolButton>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

/// Docks behind others are shown for a moment while the window is laid out; that is no reason to encode.
constexpr int kSettleMs = 60;

QString kindName(PlaneKind kind) {
    const std::string_view name = nameOf(kind);
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

/// The cell's own error, which its line shows.
double harmOf(const RatePoint& point, bool ofAttention) {
    return ofAttention ? point.attention.value_or(point.error) : point.error;
}

/// "3 [" for three notches finer.
QString pressesText(int notches) {
    if (notches == 0)
        return QStringLiteral("0");
    return QString::number(std::abs(notches)) + (notches < 0 ? QStringLiteral(" [") : QStringLiteral(" ]"));
}

QString cellName(LayerKind cell) {
    return RateHarmView::tr("layer %1 %2").arg(cell.layer.value).arg(kindName(cell.kind));
}

} // namespace

RateHarmView::RateHarmView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , session_(&CodecSession::of(*document))
    , harm_(new QComboBox)
    , even_(new QToolButton)
    , stop_(new QToolButton) {
    harm_->setObjectName(QStringLiteral("harm"));
    harm_->addItem(tr("attention output"), true);
    harm_->addItem(tr("values"), false);
    panel().addControl(
        tr("Error of the"), harm_,
        tr("What the harm is: how far the attention output moves (where the dump has queries), or the "
           "error of K and V themselves, of which each layer has its share, as the Pareto chart has it"));
    connect(harm_, &QComboBox::currentIndexChanged, this, [this] { refresh(); });
    even_->setObjectName(QStringLiteral("evenOut"));
    even_->setText(tr("Even out"));
    panel().addControl(even_,
                       tr("Press [ and ] in the codec panel as often as the table's last column says, for every "
                          "layer at once: then a KiB saves the same everywhere, and the plan is smaller at about "
                          "the same error. One undo step"));
    connect(even_, &QToolButton::clicked, this, &RateHarmView::evenOut);
    stop_->setObjectName(QStringLiteral("stop"));
    stop_->setText(tr("Stop"));
    stop_->setCheckable(true);
    panel().addControl(stop_, tr("Stop measuring; what is done already stays"));
    connect(stop_, &QToolButton::toggled, this, [this](bool stopped) {
        stop_->setText(stopped ? tr("Go on") : tr("Stop"));
        refresh();
    });
    askTimer_.setSingleShot(true);
    askTimer_.setInterval(kSettleMs);
    connect(&askTimer_, &QTimer::timeout, this, [this] {
        if (session_ && isVisible())
            session_->want(this, {});
    });
    connect(session_, &CodecSession::plansChanged, this, [this] {
        // A mouse drag ends before all its steps could be measured.
        if (!session_->inStroke())
            refresh();
    });
}

std::vector<LayerKind> RateHarmView::cells() const {
    std::vector<LayerKind> cells;
    const std::int64_t selected = selection().layer().value;
    for (const PlaneId plane : session_->planes()) {
        if (plane.sequence == SequenceIndex(0))
            cells.push_back({plane.layer, plane.kind});
    }
    std::stable_partition(cells.begin(), cells.end(),
                          [selected](LayerKind cell) { return cell.layer.value == selected; });
    return cells;
}

std::vector<StatisticsService::Job> RateHarmView::neededJobs() const {
    std::vector<StatisticsService::Job> jobs;
    if (!session_ || session_->planCount() == 0 || stop_->isChecked())
        return jobs;
    for (const LayerKind cell : cells())
        jobs.push_back(rateCurveJob(document(), session_->plan(), cell));
    return jobs;
}

const RateCurve* RateHarmView::curveOf(LayerKind cell) const {
    return result<RateCurve>(rateCurveKey(session_->plan(), cell));
}

std::vector<const RateCurve*> RateHarmView::knownCurves() const {
    std::vector<const RateCurve*> curves;
    if (!session_ || session_->planCount() == 0)
        return curves;
    for (const LayerKind cell : cells()) {
        if (const RateCurve* curve = curveOf(cell))
            curves.push_back(curve);
    }
    return curves;
}

void RateHarmView::evenOut() {
    const auto curves = knownCurves();
    if (curves.empty())
        return;
    CodecPlan plan = session_->plan();
    for (const Evening& one : eveningOut(curves, HarmMeasure(curves, ofAttention())))
        adjust(plan, std::span(&one.cell, 1),
               [&one](const Pipeline& pipeline) { return coarser(pipeline, one.notches); });
    if (const auto done = session_->edit(tr("even out"), std::move(plan)); !done)
        panel().setError(QString::fromStdString(done.error().message()));
}

bool RateHarmView::ofAttention() const {
    if (!harm_->currentData().toBool() || !session_ || session_->planCount() == 0)
        return false;
    const auto all = cells();
    return std::ranges::any_of(all, [this](LayerKind cell) {
        const RateCurve* curve = curveOf(cell);
        return curve != nullptr && !curve->points.empty() && curve->points.front().attention.has_value();
    });
}

ChartData RateHarmView::chartOf(bool attention) const {
    ChartData chart;
    chart.xTitle = tr("bits/value, everything included");
    chart.yTitle = attention ? tr("relative error of the attention output") : tr("error (NMSEc of K, NMSE of V)");
    chart.yLog = true;
    chart.explanation =
        attention ? tr("How far the attention output moves, relative to its norm, when this plane alone is decoded "
                       "and all else is as in the dump.")
                  : tr("Energy of the error over that of the values, of K about the mean of each channel.");
    chart.emptyText = stop_->isChecked() ? tr("Stopped.") : tr("Computing\u2026");
    std::vector<PlaneKind> named;
    for (const LayerKind cell : cells()) {
        const RateCurve* curve = curveOf(cell);
        if (curve == nullptr)
            continue;
        const bool selected = cell.layer == selection().layer();
        ChartSeries series;
        series.kind = cell.kind;
        series.look = selected ? ChartSeries::Look::Solid : ChartSeries::Look::Pale;
        series.name = cellName(cell);
        series.inLegend = selected;
        series.endName = QString::number(cell.layer.value) + QLatin1Char(' ') + kindName(cell.kind);
        for (const RatePoint& point : curve->points) {
            if (harmOf(point, attention) <= 0)
                continue;
            series.x.push_back(point.bitsPerValue);
            series.y.push_back(harmOf(point, attention));
        }
        if (const RatePoint* current = curve->current();
            selected && current != nullptr && harmOf(*current, attention) > 0)
            chart.marks.push_back(
                {current->bitsPerValue, harmOf(*current, attention), tr("%1 now").arg(kindName(cell.kind))});
        if (!series.x.empty())
            chart.series.push_back(std::move(series));
    }
    // What is selected lies on top.
    std::ranges::reverse(chart.series);
    return chart;
}

StatisticsTable RateHarmView::numbers() const {
    StatisticsTable table;
    table.columns = {
        {tr("Layer"), {}, {}},
        {tr("Kind"), {}, {}},
        {tr("Setting"), {}, tr("What the plan does to the layer, or would do")},
        {tr("Step"), {}, tr("Steps of about a bit finer (\u2212) or coarser (+) than the plan; 0 is the plan itself")},
        {tr("Bits"), tr("a value"), tr("All bytes that a decoder needs, tables, scales and headers included")},
        {tr("Size"), QStringLiteral("KiB"), {}},
        {tr("Error"), tr("NMSEc of K, NMSE of V"), tr("Energy of the error over the energy of the values")},
        {tr("Attention error"), tr("relative"), tr("Of the attention output, with this plane alone decoded")},
        {tr("Error saved"), tr("per KiB"),
         tr("How much less the error chosen above would be at the next finer step, for each KiB that it costs more: "
            "where this is largest, bits are best spent")},
        {tr("Error added"), tr("per KiB freed"),
         tr("How much more the error chosen above would be at the next coarser step, for each KiB that it frees: where "
            "this is smallest, bits are best taken")},
        {tr("To even out"), tr("presses"),
         tr("How often to press [ (finer) or ] (coarser) on the cell in the codec panel so that a KiB saves the same "
            "everywhere while the error of the whole stays about the same")}};
    if (!session_ || session_->planCount() == 0)
        return table;
    const auto curves = knownCurves();
    const HarmMeasure harm(curves, ofAttention());
    const auto evening = eveningOut(curves, harm);
    std::vector<LayerKind> all = cells();
    std::ranges::sort(all);
    for (const LayerKind cell : all) {
        const RateCurve* curve = curveOf(cell);
        if (curve == nullptr)
            continue;
        for (const RatePoint& point : curve->points) {
            const auto saved = point.step == 0 ? harm.savedPerKiB(*curve) : std::nullopt;
            const auto added = point.step == 0 ? harm.addedPerKiB(*curve) : std::nullopt;
            const auto move = std::ranges::find(evening, cell, &Evening::cell);
            table.rows.push_back(
                {static_cast<qlonglong>(cell.layer.value), kindName(cell.kind), QString::fromStdString(point.setting),
                 static_cast<qlonglong>(point.step), point.bitsPerValue, static_cast<double>(point.bytes) / 1024.0,
                 point.error, point.attention ? QVariant(*point.attention) : QVariant(),
                 saved ? QVariant(*saved) : QVariant(), added ? QVariant(*added) : QVariant(),
                 point.step == 0 && move != evening.end() ? QVariant(pressesText(move->notches)) : QVariant()});
        }
    }
    return table;
}

QString RateHarmView::eveningSentence(const std::vector<Evening>& evening) const {
    double bits = 0;
    double values = 0;
    std::ptrdiff_t moved = 0;
    for (const Evening& one : evening) {
        const RateCurve* curve = curveOf(one.cell);
        bits += static_cast<double>(curve->values) * one.notches / curve->notchesPerBit;
        values += static_cast<double>(curve->values) * curve->current()->bitsPerValue;
        moved += one.notches != 0 ? 1 : 0;
    }
    const double share = values > 0 ? 100 * bits / values : 0;
    if (moved == 0 || share <= 0)
        return tr("The plan is even: no KiB would save more elsewhere.");
    return tr("Evening out %1 of %2 cells makes the plan about %3 % smaller at the same error.")
        .arg(moved)
        .arg(evening.size())
        .arg(formatNumber(share, 2));
}

void RateHarmView::display() {
    if (!session_)
        return;
    const auto curves = knownCurves();
    const HarmMeasure harm(curves, ofAttention());
    const RateCurve* best = nullptr;
    const RateCurve* cheapest = nullptr;
    bool known = false;
    for (const RateCurve* curve : curves) {
        known = known || (!curve->points.empty() && curve->points.front().attention);
        const auto saved = harm.savedPerKiB(*curve);
        if (saved && (best == nullptr || *saved > *harm.savedPerKiB(*best)))
            best = curve;
        const auto added = harm.addedPerKiB(*curve);
        if (added && (cheapest == nullptr || *added < *harm.addedPerKiB(*cheapest)))
            cheapest = curve;
    }
    harm_->setEnabled(known);
    if (session_->planCount() > 0)
        chart().setData(chartOf(harm.ofAttention()), true);
    panel().setTable([this] { return numbers(); });
    const auto evening = eveningOut(curves, harm);
    const bool complete = !curves.empty() && curves.size() == cells().size();
    even_->setEnabled(complete && std::ranges::any_of(evening, [](const Evening& one) { return one.notches != 0; }));
    QStringList sentences;
    if (best != nullptr)
        sentences << tr("A finer step saves most in %1: %2 of the error for each KiB more.")
                         .arg(cellName(best->cell), formatNumber(*harm.savedPerKiB(*best), 3));
    if (cheapest != nullptr)
        sentences << tr("A coarser step harms least in %1: %2 for each KiB freed.")
                         .arg(cellName(cheapest->cell), formatNumber(*harm.addedPerKiB(*cheapest), 3));
    if (complete && !evening.empty())
        sentences << eveningSentence(evening);
    panel().setSummary(sentences.join(QLatin1Char(' ')));
}

bool RateHarmView::isReady() const {
    return SingleChartView::isReady() && !askTimer_.isActive() && session_ &&
           (session_->planCount() > 0 || session_->error() != nullptr);
}

QString RateHarmView::exportName() const {
    return tr("rate and harm");
}

void RateHarmView::showEvent(QShowEvent* event) {
    askTimer_.start();
    SingleChartView::showEvent(event);
}

void RateHarmView::hideEvent(QHideEvent* event) {
    SingleChartView::hideEvent(event);
    askTimer_.stop();
    if (session_)
        session_->release(this);
}

} // namespace kvscope::views
