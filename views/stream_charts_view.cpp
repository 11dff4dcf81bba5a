// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_charts_view.h"

#include "core/stream/model_geometry.h"
#include "views/chart_panel.h"
#include "views/chart_widget.h"
#include "views/number_format.h"
#include "views/regime_chart.h"
#include "views/run_async.h"
#include "views/timeline_picture.h"

#include <QComboBox>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <array>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr int kPauseMs = 120;
constexpr int kTickMs = 60;
constexpr int kSweepSteps = 37;
constexpr int kContextSteps = 17;
constexpr int kRegimeColumns = 73;
constexpr int kRegimeRows = 33;
constexpr double kLeastContext = 512;
constexpr double kMostContext = 131072;
/// Longest context in chunks that a sweep simulates: longer ones get longer chunks.
constexpr std::int64_t kMostChunks = 128;

/// Strategies that choose are solid, the fixed levels dashed, the other fixed forms dotted.
ChartSeries lineOf(const std::string& policy) {
    static const std::array kAdaptive{"kvscope", "cachegen", "cachegen-code", "oracle"};
    static const std::array kWhole{"text", "raw", "8-bit"};
    ChartSeries series;
    series.name = QString::fromStdString(policy);
    series.shape = ChartSeries::Shape::Line;
    series.tone = ChartSeries::Tone::Series;
    const auto place = [&](const auto& names) {
        return static_cast<int>(std::ranges::find(names, policy) - names.begin());
    };
    if (const int index = place(kAdaptive); index < static_cast<int>(kAdaptive.size())) {
        series.toneIndex = index;
    } else if (const int form = place(kWhole); form < static_cast<int>(kWhole.size())) {
        series.toneIndex = form;
        series.look = ChartSeries::Look::Dotted;
    } else {
        series.look = ChartSeries::Look::Dashed;
    }
    return series;
}

/// The settings as far as a computation depends on them.
StreamSettings relevant(StreamSettings settings) {
    settings.pulls.clear();
    return settings;
}

} // namespace

StreamChartsView::StreamChartsView(Document* document, SelectionModel* /*selection*/, QWidget* parent)
    : QWidget(parent)
    , session_(&StreamSession::of(*document))
    , chart_(new QComboBox)
    , axis_(new QComboBox)
    , cancel_(new QToolButton)
    , pages_(new QStackedWidget)
    , lines_(new ChartWidget)
    , regimes_(new RegimeChart) {
    chart_->setObjectName(QStringLiteral("streamChart"));
    chart_->addItem(tr("time to first token"));
    chart_->addItem(tr("missed SLOs"));
    chart_->addItem(tr("quality"));
    chart_->addItem(tr("regime map"));
    chart_->addItem(tr("distribution of the first token"));
    axis_->setObjectName(QStringLiteral("streamAxis"));
    axis_->addItem(tr("bandwidth"));
    axis_->addItem(tr("context length"));
    cancel_->setAutoRaise(true);
    pages_->addWidget(lines_);
    pages_->addWidget(regimes_);
    panel_ = new ChartPanel(pages_, this);
    panel_->addControl(tr("&Show"), chart_, tr("What is computed over a range of settings"));
    panel_->addControl(tr("&over"), axis_, tr("What changes from left to right"));
    panel_->addControl(cancel_, tr("Stop computing"));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(panel_);
    panel_->setTable([this] { return numbers(); });

    connect(chart_, &QComboBox::currentIndexChanged, this, [this] {
        display();
        request();
    });
    connect(axis_, &QComboBox::currentIndexChanged, this, [this] {
        display();
        request();
    });
    connect(cancel_, &QToolButton::clicked, this, [this] {
        cancelled_ = running_ != nullptr;
        if (cancelled_)
            stop();
        else
            request();
        showState();
    });
    connect(session_, &StreamSession::changed, this, &StreamChartsView::requestSoon);
    connect(session_, &StreamSession::progressed, this, &StreamChartsView::showState);
    connect(lines_, &ChartWidget::picked, this, [this](double x) {
        if (!session_ || chart() == Chart::Distribution)
            return;
        StreamSettings next = session_->settings();
        if (axis() == Axis::Bandwidth) {
            session_->setBandwidth(x * 1e9);
        } else {
            next.contextTokens = std::llround(x);
            (void)session_->edit(tr("context"), next);
        }
    });
    connect(regimes_, &RegimeChart::picked, this, [this](double rate, double tokens) {
        if (!session_)
            return;
        session_->beginStroke(tr("bandwidth and context"));
        session_->setBandwidth(rate);
        StreamSettings next = session_->settings();
        next.contextTokens = std::llround(tokens);
        (void)session_->edit(tr("context"), next);
        session_->endStroke();
    });
    requestTimer_.setSingleShot(true);
    requestTimer_.setInterval(kPauseMs);
    connect(&requestTimer_, &QTimer::timeout, this, &StreamChartsView::request);
    progressTimer_.setInterval(kTickMs);
    connect(&progressTimer_, &QTimer::timeout, this, &StreamChartsView::showState);
    display();
}

StreamChartsView::~StreamChartsView() {
    stop();
}

void StreamChartsView::setChart(Chart chart) {
    chart_->setCurrentIndex(static_cast<int>(chart));
}

void StreamChartsView::setAxis(Axis axis) {
    axis_->setCurrentIndex(static_cast<int>(axis));
}

StreamChartsView::Chart StreamChartsView::chart() const {
    return static_cast<Chart>(chart_->currentIndex());
}

StreamChartsView::Axis StreamChartsView::axis() const {
    return static_cast<Axis>(axis_->currentIndex());
}

StreamChartsView::Kind StreamChartsView::kind() const {
    if (chart() == Chart::Regimes)
        return Kind::Regimes;
    if (chart() == Chart::Distribution)
        return Kind::Distribution;
    return axis() == Axis::Bandwidth ? Kind::Bandwidth : Kind::Context;
}

bool StreamChartsView::isCurrent() const {
    return session_ && computed_ && computed_->kind == kind() && computed_->settings == relevant(session_->settings());
}

void StreamChartsView::requestSoon() {
    if (!isVisible() || !session_)
        return;
    cancelled_ = false;
    regimes_->setCurrent(session_->bandwidth(), static_cast<double>(session_->settings().contextTokens));
    if (!isCurrent())
        requestTimer_.start();
    else
        display();
    showState();
}

Result<StreamChartsView::Computed> StreamChartsView::compute(Computed job, const StreamRates& rates,
                                                             const StreamInput& input, const StreamSetup& setup,
                                                             const JobControl& control) {
    const StreamSettings& settings = job.settings;
    const ModelGeometry* model = findModelGeometry(settings.model);
    const bool projects = job.kind == Kind::Context || job.kind == Kind::Regimes;
    if (projects && model == nullptr)
        return fail("the dump as it is has one length", "stream", "choose a model to project to");
    ProjectionTarget target;
    if (model != nullptr)
        target = {*model, settings.contextTokens,
                  std::max(settings.chunkTokens, static_cast<std::int64_t>(kMostContext) / kMostChunks)};
    switch (job.kind) {
    case Kind::Bandwidth: {
        const auto steps = logarithmicSteps(StreamSession::kLeastRate, StreamSession::kMostRate, kSweepSteps);
        KVSCOPE_ASSIGN(job.sweep, sweepBandwidth(input, setup, steps, kSweepStarts, control));
        break;
    }
    case Kind::Context: {
        const auto steps = logarithmicSteps(kLeastContext, kMostContext, kContextSteps);
        KVSCOPE_ASSIGN(job.sweep, sweepContext(rates.rates, target, setup, steps, kSweepStarts, control));
        break;
    }
    case Kind::Regimes: {
        const auto bandwidths = logarithmicSteps(StreamSession::kLeastRate, StreamSession::kMostRate, kRegimeColumns);
        const auto contexts = logarithmicSteps(kLeastContext, kMostContext, kRegimeRows);
        KVSCOPE_ASSIGN(job.regimes, mapRegimes(rates.rates, target, setup, bandwidths, contexts, control));
        break;
    }
    case Kind::Distribution: {
        KVSCOPE_ASSIGN(job.distributions, ttftOverStarts(input, setup, kStarts, control));
        break;
    }
    }
    return job;
}

void StreamChartsView::request() {
    if (!isVisible() || !session_ || session_->rates() == nullptr || session_->input() == nullptr || isCurrent())
        return;
    stop();
    requestTimer_.stop();
    cancelled_ = false;
    running_ = std::make_shared<Running>();
    progressTimer_.start();
    Computed job;
    job.kind = kind();
    job.settings = relevant(session_->settings());
    // Starting points are spread over the trace as it is, without what was pulled while playing.
    StreamSetup setup = session_->setup();
    setup.link.paths.front().trace = job.settings.trace;
    setup.faults.clear();
    runAsync(
        session_->pool(), this,
        [job, rates = session_->sharedRates(), input = session_->sharedInput(), setup, running = running_] {
            return compute(job, *rates, *input, setup, JobControl{running->stop.get_token(), &running->progress});
        },
        [this, running = running_](Result<Computed> result) {
            if (running == running_)
                finish(std::move(result));
        });
    showState();
}

void StreamChartsView::finish(Result<Computed> result) {
    running_.reset();
    progressTimer_.stop();
    error_.clear();
    if (result) {
        computed_ = std::move(*result);
    } else if (result.error().kind != Error::Kind::Cancelled) {
        error_ = QString::fromStdString(result.error().message());
        computed_ = Computed{relevant(session_->settings()), kind(), {}, {}, {}};
    }
    display();
}

void StreamChartsView::stop() {
    if (running_)
        running_->stop.request_stop();
    running_.reset();
    progressTimer_.stop();
}

ChartData StreamChartsView::sweepChart(const StreamSweep& sweep) const {
    const bool overBandwidth = axis() == Axis::Bandwidth;
    ChartData data;
    data.xLog = true;
    data.xTitle = overBandwidth ? tr("mean bandwidth (Gbit/s)") : tr("context (tokens)");
    data.xName = [overBandwidth](double x) {
        return overBandwidth ? formatRate(x * 1e9) : tr("%1 tokens").arg(formatCount(std::llround(x)));
    };
    const StreamSettings& settings = session_->settings();
    int level = 0;
    data.selected = overBandwidth ? session_->bandwidth() / 1e9 : static_cast<double>(settings.contextTokens);
    for (std::size_t p = 0; p < sweep.policies.size(); ++p) {
        ChartSeries series = lineOf(sweep.policies[p]);
        if (series.look == ChartSeries::Look::Dashed)
            series.toneIndex = level++;
        for (std::size_t i = 0; i < sweep.x.size(); ++i) {
            const SweepOutcome& outcome = sweep.outcomes[p][i];
            const double value = chart() == Chart::Ttft         ? outcome.ttft
                                 : chart() == Chart::Violations ? 100 * outcome.violations
                                                                : outcome.quality;
            if (!std::isfinite(value))
                continue;
            series.x.push_back(overBandwidth ? sweep.x[i] / 1e9 : sweep.x[i]);
            series.y.push_back(value);
        }
        data.series.push_back(std::move(series));
    }
    if (chart() == Chart::Ttft) {
        data.yLog = true;
        data.yTitle = tr("time to first token (s)");
        data.levels.push_back({settings.sloSeconds, tr("SLO %1").arg(formatSeconds(settings.sloSeconds))});
        data.explanation = tr("Median over starting points of the trace, from the request to the first token");
    } else if (chart() == Chart::Violations) {
        data.yTitle = tr("missed SLOs (%)");
        data.yMost = 100;
        data.fromZero = true;
        data.explanation = tr("Share of the starting points in the trace from which the first token is late");
    } else {
        data.yTitle = tr("quality");
        data.yMost = 1;
        data.explanation = tr("1 minus the mean relative rms error of the chunks; 1: nothing lost");
    }
    return data;
}

ChartData StreamChartsView::distributionChart(const std::vector<TtftDistribution>& distributions) const {
    ChartData data;
    data.xLog = true;
    data.xTitle = tr("time to first token (s); band: the SLO");
    data.yTitle = tr("starting points (%)");
    data.yMost = 100;
    data.fromZero = true;
    data.selected = session_->settings().sloSeconds;
    data.explanation = tr("Share of %1 starting points from which the first token has come by then; the line: the SLO")
                           .arg(formatCount(kStarts));
    data.xName = [](double x) { return formatSeconds(x); };
    int level = 0;
    for (const TtftDistribution& distribution : distributions) {
        ChartSeries series = lineOf(distribution.policy);
        if (series.look == ChartSeries::Look::Dashed)
            series.toneIndex = level++;
        const auto count = static_cast<double>(distribution.ttft.size());
        for (std::size_t i = 0; i < distribution.ttft.size(); ++i) {
            if (!std::isfinite(distribution.ttft[i]))
                break;
            series.x.push_back(distribution.ttft[i]);
            series.y.push_back(100 * static_cast<double>(i + 1) / count);
        }
        data.series.push_back(std::move(series));
        if (distribution.policy != session_->focusName())
            continue;
        for (const auto& [share, name] : {std::pair(0.5, "p50"), std::pair(0.95, "p95"), std::pair(0.99, "p99")}) {
            const double x = distribution.quantile(share);
            if (std::isfinite(x))
                data.marks.push_back({x, 100 * share, QLatin1String(name) + QLatin1Char(' ') + formatSeconds(x)});
        }
    }
    return data;
}

StatisticsTable StreamChartsView::numbers() const {
    StatisticsTable table;
    if (!computed_)
        return table;
    if (computed_->sweep) {
        const StreamSweep& sweep = *computed_->sweep;
        const bool overBandwidth = computed_->kind == Kind::Bandwidth;
        table.columns = {overBandwidth ? StatisticsTable::Column{tr("Bandwidth"), tr("Gbit/s"), {}}
                                       : StatisticsTable::Column{tr("Context"), tr("tokens"), {}},
                         {tr("Strategy"), {}, {}},
                         {tr("TTFT"), tr("s"), tr("Median over starting points of the trace")},
                         {tr("Missed"), tr("%"), tr("Share of the starting points from which the SLO is missed")},
                         {tr("Quality"), {}, tr("Mean over the starting points")}};
        for (std::size_t i = 0; i < sweep.x.size(); ++i) {
            for (std::size_t p = 0; p < sweep.policies.size(); ++p) {
                const SweepOutcome& outcome = sweep.outcomes[p][i];
                table.rows.push_back({overBandwidth ? sweep.x[i] / 1e9 : std::round(sweep.x[i]),
                                      QString::fromStdString(sweep.policies[p]),
                                      std::isfinite(outcome.ttft) ? QVariant(outcome.ttft) : QVariant(tr("never")),
                                      100 * outcome.violations, outcome.quality});
            }
        }
    } else if (computed_->regimes) {
        table.columns = {{tr("Bandwidth"), tr("Gbit/s"), {}},
                         {tr("Context"), tr("tokens"), {}},
                         {tr("Fastest"), {}, {}},
                         {tr("Saved"), tr("ms"), tr("Against the next one")},
                         {tr("Text"), tr("s"), {}},
                         {tr("Compressed"), tr("s"), {}},
                         {tr("Raw"), tr("s"), {}}};
        const RegimeMap& map = *computed_->regimes;
        for (std::size_t c = 0; c < map.contexts.size(); ++c) {
            for (std::size_t r = 0; r < map.rates.size(); ++r) {
                const RegimeCell& cell = map.at(r, c);
                table.rows.push_back({map.rates[r] / 1e9, std::round(map.contexts[c]), nameOf(cell.fastest()),
                                      cell.saved() * 1e3, cell.ttft[0], cell.ttft[1], cell.ttft[2]});
            }
        }
    } else if (computed_->distributions) {
        table.columns = {{tr("Strategy"), {}, {}},
                         {tr("p50"), tr("s"), tr("Half of the starting points are as fast")},
                         {tr("p95"), tr("s"), tr("95 of 100 starting points are as fast")},
                         {tr("p99"), tr("s"), tr("99 of 100 starting points are as fast")},
                         {tr("Missed"), tr("%"), tr("Share of the starting points from which the SLO is missed")}};
        const auto seconds = [](double value) {
            return std::isfinite(value) ? QVariant(value) : QVariant(tr("never"));
        };
        for (const TtftDistribution& distribution : *computed_->distributions)
            table.rows.push_back({QString::fromStdString(distribution.policy), seconds(distribution.quantile(0.5)),
                                  seconds(distribution.quantile(0.95)), seconds(distribution.quantile(0.99)),
                                  100 * (1 - distribution.within(computed_->settings.sloSeconds))});
    }
    return table;
}

QString StreamChartsView::sentence() const {
    if (!session_ || !computed_ || computed_->kind != kind())
        return {};
    if (computed_->distributions) {
        if (computed_->settings.trace->points().size() < 2)
            return tr("The bandwidth is constant: all starting points are alike. Choose a network under Streaming.");
        for (const TtftDistribution& distribution : *computed_->distributions) {
            if (distribution.policy == session_->focusName())
                return tr("%1 over %2 starting points: p50 %3, p95 %4, p99 %5; %6 % miss the SLO of %7.")
                    .arg(QString::fromStdString(distribution.policy), formatCount(kStarts),
                         formatSeconds(distribution.quantile(0.5)), formatSeconds(distribution.quantile(0.95)),
                         formatSeconds(distribution.quantile(0.99)),
                         formatNumber(100 * (1 - distribution.within(computed_->settings.sloSeconds)), 3),
                         formatSeconds(computed_->settings.sloSeconds));
        }
    }
    if (computed_->regimes) {
        const double context = static_cast<double>(session_->settings().contextTokens);
        const RegimeMap& map = *computed_->regimes;
        const auto row =
            std::ranges::min_element(map.contexts, {}, [context](double c) { return std::abs(std::log(c / context)); });
        const auto c = static_cast<std::size_t>(row - map.contexts.begin());
        std::optional<double> first;
        std::optional<double> last;
        for (std::size_t r = 0; r < map.rates.size(); ++r) {
            if (map.at(r, c).fastest() == Regime::Compressed) {
                first = first.value_or(map.rates[r]);
                last = map.rates[r];
            }
        }
        if (first && last)
            return tr("At %1 tokens compressing is the fastest from %2 to %3. Click to go there.")
                .arg(formatCount(std::llround(*row)), formatRate(*first), formatRate(*last));
        return tr("At %1 tokens compressing never is the fastest. Click to go there.")
            .arg(formatCount(std::llround(*row)));
    }
    return {};
}

void StreamChartsView::display() {
    if (!session_)
        return;
    axis_->setEnabled(chart() != Chart::Regimes && chart() != Chart::Distribution);
    pages_->setCurrentIndex(chart() == Chart::Regimes ? 1 : 0);
    const StreamInput* input = session_->input();
    if (input != nullptr)
        panel_->setCaption(input->projected() ? tr("projected: %1").arg(QString::fromStdString(input->source()))
                                              : QString::fromStdString(input->source()),
                           true);
    ChartData data;
    data.emptyText = error_.isEmpty() ? tr("Simulating every strategy ...") : QString();
    if (computed_ && computed_->kind == kind()) {
        if (computed_->regimes)
            regimes_->setMap(*computed_->regimes);
        else if (computed_->sweep)
            data = sweepChart(*computed_->sweep);
        else if (computed_->distributions)
            data = distributionChart(*computed_->distributions);
    }
    lines_->setData(std::move(data), true);
    regimes_->setCurrent(session_->bandwidth(), static_cast<double>(session_->settings().contextTokens));
    panel_->setTable([this] { return numbers(); });
    panel_->setSummary(sentence());
    showState();
}

void StreamChartsView::showState() {
    if (!session_)
        return;
    QString message = error_;
    if (session_->error() != nullptr)
        message = QString::fromStdString(session_->error()->message());
    panel_->setError(message);
    if (session_->isMeasuring())
        panel_->setProgress(session_->progress());
    else
        panel_->setProgress(running_ ? std::optional(running_->progress.fraction()) : std::nullopt);
    cancel_->setVisible(running_ != nullptr || cancelled_);
    cancel_->setText(cancelled_ ? tr("Go on") : tr("Stop"));
    cancel_->setToolTip(cancelled_ ? tr("Compute the chart") : tr("Stop computing"));
}

bool StreamChartsView::isReady() const {
    if (!isVisible() || !session_)
        return false;
    return session_->error() != nullptr || session_->isCancelled() || cancelled_ ||
           (session_->isIdle() && !running_ && isCurrent());
}

QString StreamChartsView::exportName() const {
    static const char* const kNames[] = {"ttft", "missed-slos", "quality", "regimes", "distribution"};
    return QStringLiteral("streaming-charts ") + QLatin1String(kNames[chart_->currentIndex()]);
}

void StreamChartsView::paintTo(QPainter& painter, const QRectF& target) {
    const QRectF rest = panel_->paintSummary(painter, target);
    if (chart() == Chart::Regimes)
        regimes_->paintTo(painter, rest);
    else
        lines_->paintTo(painter, rest);
}

QString StreamChartsView::toCsv() const {
    return numbers().toCsv();
}

void StreamChartsView::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (session_)
        session_->want(this);
    requestSoon();
}

void StreamChartsView::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    stop();
    if (session_)
        session_->release(this);
}

} // namespace kvscope::views
