// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/held_out_view.h"

#include "core/codec/encode_job.h"
#include "views/chart_widget.h"
#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/rate_harm.h"
#include "views/theme.h"

#include <QGridLayout>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

/// Docks behind others are shown for a moment while the window is laid out; that is no reason to encode.
constexpr int kSettleMs = 60;
/// Points along the tokens that a chart can show apart.
constexpr std::int64_t kTokenPoints = 256;

enum Chart : std::uint8_t { kLayerBits, kLayerError, kTokenBits, kTokenError };

/// "+3 %".
QString change(double from, double to) {
    if (from <= 0)
        return {};
    const double percent = 100 * (to / from - 1);
    return (percent < 0 ? QStringLiteral("\u2212") : QStringLiteral("+")) + formatNumber(std::abs(percent), 2) +
           QStringLiteral(" %");
}

ChartSeries seriesOf(PlaneKind kind, bool heldOut, const QString& name) {
    ChartSeries series;
    series.name = kindText(kind) + QLatin1Char(' ') + name;
    series.kind = kind;
    series.look = heldOut ? ChartSeries::Look::Dashed : ChartSeries::Look::Solid;
    return series;
}

std::int64_t strideOf(const KvGeometry& geometry) {
    std::int64_t longest = 0;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent})
        longest = std::max(longest, geometry.maxTokens(kind));
    return std::max<std::int64_t>(1, longest / kTokenPoints);
}

} // namespace

HeldOutView::HeldOutView(Document* document, SelectionModel* selection, QWidget* parent)
    : StatisticsView(document, selection, parent)
    , session_(&CodecSession::of(*document)) {
    auto* content = new QWidget;
    auto* grid = new QGridLayout(content);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setSpacing(4);
    for (std::size_t i = 0; i < charts_.size(); ++i) {
        charts_[i] = new ChartWidget;
        grid->addWidget(charts_[i], static_cast<int>(i / 2), static_cast<int>(i % 2));
    }
    setContent(content);
    for (const Chart one : {kLayerBits, kLayerError})
        connect(charts_[one], &ChartWidget::picked, this,
                [this](double layer) { selectLayer(LayerIndex(static_cast<std::int64_t>(layer))); });
    askTimer_.setSingleShot(true);
    askTimer_.setInterval(kSettleMs);
    connect(&askTimer_, &QTimer::timeout, this, [this] {
        if (session_ && isVisible() && session_->heldOut())
            session_->want(this, {});
    });
    connect(session_, &CodecSession::changed, this, [this] { refresh(); });
    connect(session_, &CodecSession::plansChanged, this, [this] {
        if (!session_->inStroke())
            refresh();
    });
    connect(session_, &CodecSession::heldOutChanged, this, [this] {
        if (isVisible())
            askTimer_.start();
        refresh();
    });
    connect(session_, &CodecSession::progressed, this, [this] {
        if (isVisible())
            showState();
    });
}

std::vector<LayerKind> HeldOutView::cells() const {
    std::vector<LayerKind> cells;
    if (!session_ || !session_->heldOut())
        return cells;
    for (const PlaneId plane : session_->planes()) {
        if (plane.sequence == SequenceIndex(0) && session_->heldOut()->geometry().find(plane) != nullptr)
            cells.push_back({plane.layer, plane.kind});
    }
    return cells;
}

std::string HeldOutView::keyOf(LayerKind cell) const {
    return "held out/" + std::to_string(session_->heldOutNumber()) + "/" + std::to_string(cell.layer.value) + "/" +
           std::to_string(static_cast<int>(cell.kind)) + "/" +
           std::to_string(hashOf(planOfCell(session_->plan(), cell)));
}

std::vector<StatisticsService::Job> HeldOutView::neededJobs() const {
    std::vector<StatisticsService::Job> jobs;
    if (!session_ || session_->planCount() == 0)
        return jobs;
    for (const LayerKind cell : cells())
        jobs.push_back(StatisticsService::job<EncodeReport>(
            keyOf(cell),
            [cache = *session_->heldOut(), plan = planOfCell(session_->plan(), cell), cell,
             &pool = document().pool()](const JobControl& job) -> Result<EncodeReport> {
                EncodeOptions options;
                options.only = std::vector<LayerKind>{cell};
                options.measureAttention = false;
                KVSCOPE_ASSIGN(Encoding encoding, encodeCache(cache, plan, pool, options, job));
                return std::move(encoding.report);
            }));
    return jobs;
}

EncodeReport HeldOutView::heldOutReport() const {
    EncodeReport report;
    if (!session_ || session_->planCount() == 0)
        return report;
    for (const LayerKind cell : cells()) {
        if (const auto* found = result<EncodeReport>(keyOf(cell)))
            merge(report, *found);
    }
    return report;
}

std::optional<double> HeldOutView::ownProgress() const {
    if (!session_ || session_->isIdle(this))
        return {};
    return session_->progress(this);
}

QString HeldOutView::ownError() const {
    const Error* error = session_ ? session_->error() : nullptr;
    return error != nullptr ? QString::fromStdString(error->message()) : QString();
}

bool HeldOutView::isReady() const {
    return StatisticsView::isReady() && !askTimer_.isActive() && session_ && session_->isIdle(this);
}

QString HeldOutView::name(bool heldOut) const {
    const CacheInfo& info = heldOut && session_->heldOut() ? session_->heldOut()->info() : cache().info();
    return QString::fromStdString(info.name);
}

void HeldOutView::fillLayers(const EncodeReport& here, const EncodeReport& there) {
    for (const Chart which : {kLayerBits, kLayerError}) {
        ChartData chart;
        chart.xTitle = tr("layer");
        chart.yTitle = which == kLayerBits ? tr("bits/value") : tr("error (NMSEc of K, NMSE of V)");
        chart.xIndex = true;
        chart.fromZero = which == kLayerBits;
        chart.yLog = which == kLayerError;
        chart.xName = [](double layer) { return tr("layer %1").arg(formatNumber(layer)); };
        chart.selected = static_cast<double>(selection().layer().value);
        chart.emptyText = session_->heldOut() ? tr("Encoding\u2026")
                                              : tr("Compare with another dump (Ctrl+D) to try the plan on it.");
        for (const PlaneKind kind : session_->kinds()) {
            for (const bool heldOut : {false, true}) {
                ChartSeries series = seriesOf(kind, heldOut, name(heldOut));
                series.markers = true;
                for (const LayerKind cell : cells()) {
                    const EncodeTotals totals = (heldOut ? there : here).totals(cell.layer, kind);
                    if (cell.kind != kind || totals.values == 0)
                        continue;
                    const double value =
                        which == kLayerBits ? totals.bitsPerValue() : headlineError(kind, totals.error);
                    if (which == kLayerError && value <= 0)
                        continue;
                    series.x.push_back(static_cast<double>(cell.layer.value));
                    series.y.push_back(value);
                }
                if (!series.x.empty())
                    chart.series.push_back(std::move(series));
            }
        }
        charts_[which]->setData(std::move(chart), true);
    }
}

void HeldOutView::fillTokens(const EncodeReport& here, const EncodeReport& there) {
    for (const Chart which : {kTokenBits, kTokenError}) {
        ChartData chart;
        chart.xTitle = tr("token");
        chart.yTitle = which == kTokenBits ? tr("bits/value, all layers") : tr("NMSE, all layers");
        chart.xIndex = true;
        chart.fromZero = which == kTokenBits;
        chart.yLog = which == kTokenError;
        chart.xName = [](double token) { return tr("token %1").arg(formatNumber(token, 9)); };
        chart.emptyText = session_->heldOut() ? tr("Encoding\u2026") : QString();
        for (const PlaneKind kind : session_->kinds()) {
            for (const bool heldOut : {false, true}) {
                if (!session_->heldOut())
                    break;
                ChartSeries series = seriesOf(kind, heldOut, name(heldOut));
                series.inLegend = false;
                if (which == kTokenBits)
                    series.shape = ChartSeries::Shape::Steps;
                const std::int64_t stride = strideOf(heldOut ? session_->heldOut()->geometry() : cache().geometry());
                for (const TokenPoint& point : byToken(heldOut ? there : here, kind, stride)) {
                    const double value = which == kTokenBits ? point.bitsPerValue : point.nmse;
                    if (which == kTokenError && value <= 0)
                        continue;
                    series.x.push_back(static_cast<double>(point.tokens.begin.value));
                    series.y.push_back(value);
                }
                if (!series.x.empty())
                    chart.series.push_back(std::move(series));
            }
        }
        charts_[which]->setData(std::move(chart), true);
    }
}

QString HeldOutView::sentence(const EncodeReport& here, const EncodeReport& there) const {
    if (there.planes.empty() || here.planes.empty())
        return {};
    const auto figures = [this](const EncodeReport& report, const EncodeReport* against) {
        const auto compare = [&](double value, double before) {
            const QString moved = against != nullptr ? change(before, value) : QString();
            return formatNumber(value, 3) + (moved.isEmpty() ? QString() : QStringLiteral(" (") + moved + u')');
        };
        QStringList parts{tr("%1 bits/value")
                              .arg(compare(report.totals().bitsPerValue(),
                                           against != nullptr ? against->totals().bitsPerValue() : 0))};
        for (const PlaneKind kind : session_->kinds()) {
            const double error = headlineError(kind, report.totals(kind).error);
            const double before = against != nullptr ? headlineError(kind, against->totals(kind).error) : 0;
            parts << kindText(kind) + u' ' + errorName(kind) + u' ' + compare(error, before);
        }
        return parts.join(tr(", "));
    };
    return tr("%1 tuned on %2: %3. Held out, on %4: %5.")
        .arg(QString::fromStdString(session_->plan().name), name(false), figures(here, nullptr), name(true),
             figures(there, &here));
}

void HeldOutView::display() {
    if (!session_)
        return;
    const EncodeReport there = heldOutReport();
    const EncodeReport& here = session_->report();
    fillLayers(here, there);
    fillTokens(here, there);
    panel().setTable([this] { return numbers(); });
    panel().setSummary(session_->planCount() > 0 ? sentence(here, there) : QString());
}

StatisticsTable HeldOutView::numbers() const {
    StatisticsTable table;
    table.columns = {{tr("Layer"), {}, {}},
                     {tr("Kind"), {}, {}},
                     {tr("Bits"), tr("a value"), tr("On the dump that the plan is tuned on")},
                     {tr("Bits held out"), tr("a value"), tr("On the other dump")},
                     {tr("Change"), tr("%"), {}},
                     {tr("Error"), tr("NMSEc of K, NMSE of V"), explain::headlineError(PlaneKind::Key)},
                     {tr("Error held out"), tr("NMSEc of K, NMSE of V"), {}},
                     {tr("Change of the error"), tr("%"), {}}};
    if (!session_ || session_->planCount() == 0)
        return table;
    const EncodeReport there = heldOutReport();
    const auto add = [&](const QVariant& layer, PlaneKind kind, const EncodeTotals& one, const EncodeTotals& other) {
        if (one.values == 0 || other.values == 0)
            return;
        const double error = headlineError(kind, one.error);
        const double heldOut = headlineError(kind, other.error);
        table.rows.push_back({layer, kindText(kind), one.bitsPerValue(), other.bitsPerValue(),
                              100 * (other.bitsPerValue() / one.bitsPerValue() - 1), error, heldOut,
                              error > 0 ? QVariant(100 * (heldOut / error - 1)) : QVariant()});
    };
    const EncodeReport& here = session_->report();
    for (const LayerKind cell : cells())
        add(static_cast<qlonglong>(cell.layer.value), cell.kind, here.totals(cell.layer, cell.kind),
            there.totals(cell.layer, cell.kind));
    for (const PlaneKind kind : session_->kinds())
        add(tr("all"), kind, here.totals(kind), there.totals(kind));
    return table;
}

QString HeldOutView::exportName() const {
    return tr("held out");
}

void HeldOutView::paintTo(QPainter& painter, const QRectF& target) {
    painter.fillRect(target, Theme::from(palette()).background);
    const QRectF rest = panel().paintSummary(painter, target);
    for (std::size_t i = 0; i < charts_.size(); ++i)
        charts_[i]->paintTo(painter, QRectF(rest.left() + static_cast<double>(i % 2) * rest.width() / 2,
                                            rest.top() + static_cast<double>(i / 2) * rest.height() / 2,
                                            rest.width() / 2, rest.height() / 2));
}

QString HeldOutView::toCsv() const {
    return numbers().toCsv();
}

void HeldOutView::showEvent(QShowEvent* event) {
    askTimer_.start();
    StatisticsView::showEvent(event);
}

void HeldOutView::hideEvent(QHideEvent* event) {
    StatisticsView::hideEvent(event);
    askTimer_.stop();
    if (session_)
        session_->release(this);
}

} // namespace kvscope::views
