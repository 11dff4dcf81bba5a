// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/held_out_view.h"

#include "core/codec/encode_job.h"
#include "views/chart_widget.h"
#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/rate_harm.h"
#include "views/theme.h"

#include <QComboBox>
#include <QGridLayout>
#include <QPainter>

#include <algorithm>
#include <cmath>
#include <set>

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

std::int64_t strideOf(const KvGeometry& geometry) {
    std::int64_t longest = 0;
    for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent})
        longest = std::max(longest, geometry.maxTokens(kind));
    return std::max<std::int64_t>(1, longest / kTokenPoints);
}

} // namespace

HeldOutView::HeldOutView(Document* document, SelectionModel* selection, QWidget* parent)
    : StatisticsView(document, selection, parent)
    , session_(&CodecSession::of(*document))
    , kind_(new QComboBox) {
    auto* content = new QWidget;
    auto* grid = new QGridLayout(content);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setSpacing(4);
    for (std::size_t i = 0; i < charts_.size(); ++i) {
        charts_[i] = new ChartWidget;
        grid->addWidget(charts_[i], static_cast<int>(i / 2), static_cast<int>(i % 2));
    }
    setContent(content);
    kind_->setObjectName(QStringLiteral("heldOutKind"));
    for (const PlaneKind kind : session_->kinds())
        kind_->addItem(kindText(kind), static_cast<int>(kind));
    panel().addControl(tr("Kind"), kind_,
                       tr("Which kind the charts show while several plans stand side by side: pin plans in the codec "
                          "panel to compare up to four"));
    connect(kind_, &QComboBox::currentIndexChanged, this, [this] { refresh(); });
    for (const Chart one : {kLayerBits, kLayerError})
        connect(charts_[one], &ChartWidget::picked, this,
                [this](double layer) { selectLayer(LayerIndex(static_cast<std::int64_t>(layer))); });
    askTimer_.setSingleShot(true);
    askTimer_.setInterval(kSettleMs);
    connect(&askTimer_, &QTimer::timeout, this, [this] {
        if (session_ && isVisible() && session_->heldOut())
            session_->want(this, {.pinned = true, .first = {}});
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

std::string HeldOutView::keyOf(std::size_t slot, LayerKind cell) const {
    return "held out/" + std::to_string(session_->heldOutNumber()) + "/" + std::to_string(cell.layer.value) + "/" +
           std::to_string(static_cast<int>(cell.kind)) + "/" +
           std::to_string(hashOf(planOfCell(session_->plan(slot), cell)));
}

std::vector<StatisticsService::Job> HeldOutView::neededJobs() const {
    std::vector<StatisticsService::Job> jobs;
    if (!session_)
        return jobs;
    const auto cells = this->cells();
    std::set<std::string> asked;
    for (std::size_t slot = 0; slot < session_->planCount(); ++slot) {
        for (const LayerKind cell : cells) {
            // Plans that do the same to a cell share its result.
            if (!asked.insert(keyOf(slot, cell)).second)
                continue;
            jobs.push_back(StatisticsService::job<EncodeReport>(
                keyOf(slot, cell),
                [cache = *session_->heldOut(), plan = planOfCell(session_->plan(slot), cell), cell,
                 &pool = document().pool()](const JobControl& job) -> Result<EncodeReport> {
                    EncodeOptions options;
                    options.only = std::vector<LayerKind>{cell};
                    options.measureAttention = false;
                    KVSCOPE_ASSIGN(Encoding encoding, encodeCache(cache, plan, pool, options, job));
                    return std::move(encoding.report);
                }));
        }
    }
    return jobs;
}

EncodeReport HeldOutView::heldOutReport(std::size_t slot) const {
    EncodeReport report;
    if (!session_ || slot >= session_->planCount())
        return report;
    for (const LayerKind cell : cells()) {
        if (const auto* found = result<EncodeReport>(keyOf(slot, cell)))
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

std::vector<PlaneKind> HeldOutView::shownKinds() const {
    if (session_->planCount() < 2 || kind_->currentIndex() < 0)
        return session_->kinds();
    return {static_cast<PlaneKind>(kind_->currentData().toInt())};
}

void HeldOutView::setKind(PlaneKind kind) {
    kind_->setCurrentIndex(kind_->findData(static_cast<int>(kind)));
}

std::vector<HeldOutView::Pair> HeldOutView::pairs() const {
    std::vector<Pair> pairs;
    for (std::size_t slot = 0; slot < session_->planCount(); ++slot)
        pairs.push_back({slot, &session_->report(slot), heldOutReport(slot)});
    return pairs;
}

ChartSeries HeldOutView::seriesOf(const Pair& pair, PlaneKind kind, bool heldOut, std::size_t plans) const {
    ChartSeries series;
    if (plans > 1) {
        series.name = planTitle(*session_, pair.slot) + QStringLiteral(", ") + name(heldOut);
        series.tone = ChartSeries::Tone::Series;
        series.toneIndex = static_cast<int>(pair.slot);
    } else {
        series.name = kindText(kind) + QLatin1Char(' ') + name(heldOut);
        series.kind = kind;
    }
    series.look = heldOut ? ChartSeries::Look::Dashed : ChartSeries::Look::Solid;
    return series;
}

ChartData HeldOutView::layerChart(const std::vector<Pair>& pairs, bool error) const {
    const auto kinds = shownKinds();
    ChartData chart;
    chart.xTitle = tr("layer");
    const QString subject = kinds.size() == 1 ? kindText(kinds.front()) + QStringLiteral(": ") : QString();
    chart.yTitle = subject + (!error              ? tr("bits/value")
                              : kinds.size() == 1 ? errorName(kinds.front())
                                                  : tr("error (NMSEc of K, NMSE of V)"));
    chart.xIndex = true;
    chart.fromZero = !error;
    chart.yLog = error;
    chart.xName = [](double layer) { return tr("layer %1").arg(formatNumber(layer)); };
    chart.selected = static_cast<double>(selection().layer().value);
    chart.emptyText =
        session_->heldOut() ? tr("Encoding\u2026") : tr("Compare with another dump (Ctrl+D) to try the plan on it.");
    for (const Pair& pair : pairs) {
        for (const PlaneKind kind : kinds) {
            for (const bool heldOut : {false, true}) {
                ChartSeries series = seriesOf(pair, kind, heldOut, pairs.size());
                series.markers = true;
                for (const LayerKind cell : cells()) {
                    const EncodeTotals totals = (heldOut ? pair.there : *pair.here).totals(cell.layer, kind);
                    if (cell.kind != kind || totals.values == 0)
                        continue;
                    const double value = error ? headlineError(kind, totals.error) : totals.bitsPerValue();
                    if (error && value <= 0)
                        continue;
                    series.x.push_back(static_cast<double>(cell.layer.value));
                    series.y.push_back(value);
                }
                if (!series.x.empty())
                    chart.series.push_back(std::move(series));
            }
        }
    }
    return chart;
}

ChartData HeldOutView::tokenChart(const std::vector<Pair>& pairs, bool error) const {
    const auto kinds = shownKinds();
    ChartData chart;
    chart.xTitle = tr("token");
    const QString subject = kinds.size() == 1 ? kindText(kinds.front()) + QStringLiteral(": ") : QString();
    chart.yTitle = subject + (error ? tr("NMSE, all layers") : tr("bits/value, all layers"));
    chart.xIndex = true;
    chart.fromZero = !error;
    chart.yLog = error;
    chart.xName = [](double token) { return tr("token %1").arg(formatNumber(token, 9)); };
    if (!session_->heldOut())
        return chart;
    chart.emptyText = tr("Encoding\u2026");
    for (const Pair& pair : pairs) {
        for (const PlaneKind kind : kinds) {
            for (const bool heldOut : {false, true}) {
                ChartSeries series = seriesOf(pair, kind, heldOut, pairs.size());
                series.inLegend = false;
                if (!error)
                    series.shape = ChartSeries::Shape::Steps;
                const std::int64_t stride = strideOf(heldOut ? session_->heldOut()->geometry() : cache().geometry());
                for (const TokenPoint& point : byToken(heldOut ? pair.there : *pair.here, kind, stride)) {
                    const double value = error ? point.nmse : point.bitsPerValue;
                    if (error && value <= 0)
                        continue;
                    series.x.push_back(static_cast<double>(point.tokens.begin.value));
                    series.y.push_back(value);
                }
                if (!series.x.empty())
                    chart.series.push_back(std::move(series));
            }
        }
    }
    return chart;
}

QString HeldOutView::sentence(const Pair& pair) const {
    if (pair.there.planes.empty() || pair.here->planes.empty())
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
    const QString plan = session_->planCount() > 1 ? planTitle(*session_, pair.slot)
                                                   : QString::fromStdString(session_->plan(pair.slot).name);
    return tr("%1 tuned on %2: %3. Held out, on %4: %5.")
        .arg(plan, name(false), figures(*pair.here, nullptr), name(true), figures(pair.there, pair.here));
}

void HeldOutView::display() {
    if (!session_)
        return;
    const auto pairs = this->pairs();
    kind_->setEnabled(pairs.size() > 1);
    // Without another dump one chart says so for all.
    for (std::size_t i = 1; i < charts_.size(); ++i)
        charts_[i]->setVisible(session_->heldOut().has_value());
    for (const bool error : {false, true}) {
        charts_[error ? kLayerError : kLayerBits]->setData(layerChart(pairs, error), true);
        charts_[error ? kTokenError : kTokenBits]->setData(tokenChart(pairs, error), true);
    }
    panel().setTable([this] { return numbers(); });
    QStringList sentences;
    for (const Pair& pair : pairs)
        sentences << sentence(pair);
    sentences.removeAll(QString());
    panel().setSummary(sentences.join(QLatin1Char('\n')));
}

StatisticsTable HeldOutView::numbers() const {
    StatisticsTable table;
    table.columns = {{tr("Plan"), {}, {}},
                     {tr("Layer"), {}, {}},
                     {tr("Kind"), {}, {}},
                     {tr("Bits"), tr("a value"), tr("On the dump that the plan is tuned on")},
                     {tr("Bits held out"), tr("a value"), tr("On the other dump")},
                     {tr("Change"), tr("%"), {}},
                     {tr("Error"), tr("NMSEc of K, NMSE of V"), explain::headlineError(PlaneKind::Key)},
                     {tr("Error held out"), tr("NMSEc of K, NMSE of V"), {}},
                     {tr("Change of the error"), tr("%"), {}}};
    if (!session_)
        return table;
    for (const Pair& pair : pairs()) {
        const auto add = [&](const QVariant& layer, PlaneKind kind, const EncodeTotals& one,
                             const EncodeTotals& other) {
            if (one.values == 0 || other.values == 0)
                return;
            const double error = headlineError(kind, one.error);
            const double heldOut = headlineError(kind, other.error);
            table.rows.push_back({planTitle(*session_, pair.slot), layer, kindText(kind), one.bitsPerValue(),
                                  other.bitsPerValue(), 100 * (other.bitsPerValue() / one.bitsPerValue() - 1), error,
                                  heldOut, error > 0 ? QVariant(100 * (heldOut / error - 1)) : QVariant()});
        };
        for (const LayerKind cell : cells())
            add(static_cast<qlonglong>(cell.layer.value), cell.kind, pair.here->totals(cell.layer, cell.kind),
                pair.there.totals(cell.layer, cell.kind));
        for (const PlaneKind kind : session_->kinds())
            add(tr("all"), kind, pair.here->totals(kind), pair.there.totals(kind));
    }
    return table;
}

QString HeldOutView::exportName() const {
    return tr("held out");
}

void HeldOutView::paintTo(QPainter& painter, const QRectF& target) {
    painter.fillRect(target, Theme::from(palette()).background);
    const QRectF rest = panel().paintSummary(painter, target);
    if (!session_ || !session_->heldOut()) {
        charts_.front()->paintTo(painter, rest);
        return;
    }
    for (std::size_t i = 0; i < charts_.size(); ++i) {
        const std::size_t row = i / 2;
        charts_[i]->paintTo(painter, QRectF(rest.left() + static_cast<double>(i % 2) * rest.width() / 2,
                                            rest.top() + static_cast<double>(row) * rest.height() / 2, rest.width() / 2,
                                            rest.height() / 2));
    }
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
