// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/pareto_view.h"

#include "core/codec/presets.h"
#include "views/chart_parts.h"
#include "views/equal_error.h"
#include "views/number_format.h"
#include "views/preset_survey.h"
#include "views/theme.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>

namespace kvscope::views {

namespace {

constexpr std::array kFamilies{PresetFamily::Kvz, PresetFamily::CacheGen, PresetFamily::Quantiser,
                               PresetFamily::Lossless, PresetFamily::Baseline};
constexpr std::size_t kTriedGroup = kFamilies.size();
/// Errors below this are rounding of the dump's own type; the axis need not reach them.
constexpr double kLeastError = 1e-12;

std::size_t groupOf(PresetFamily family) {
    return static_cast<std::size_t>(std::ranges::find(kFamilies, family) - kFamilies.begin());
}

} // namespace

std::vector<std::size_t> paretoFront(const std::vector<QPointF>& points) {
    std::vector<std::size_t> order(points.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        return points[a].x() != points[b].x() ? points[a].x() > points[b].x() : points[a].y() < points[b].y();
    });
    std::vector<std::size_t> front;
    double least = std::numeric_limits<double>::infinity();
    for (const std::size_t i : order) {
        if (points[i].y() < least) {
            least = points[i].y();
            front.push_back(i);
        }
    }
    std::ranges::reverse(front);
    return front;
}

ParetoView::ParetoView(Document* document, SelectionModel* selection, QWidget* parent)
    : CodecView(document, selection, parent)
    , kind_(new QComboBox)
    , tableButton_(new QToolButton)
    , summary_(new QLabel)
    , pages_(new QStackedWidget)
    , chart_(new ScatterChart)
    , table_(new StatisticsTableView) {
    kind_->setObjectName(QStringLiteral("kind"));
    kind_->addItem(tr("all, weighted by size"));
    for (const PlaneKind kind : session().kinds())
        kind_->addItem(kindText(kind), static_cast<int>(kind));
    kind_->setToolTip(tr("Whose ratio and error the points show"));
    kind_->setAccessibleName(tr("Kind"));
    tableButton_->setText(tr("Table"));
    tableButton_->setCheckable(true);
    tableButton_->setFocusPolicy(Qt::TabFocus);
    tableButton_->setToolTip(tr("Show the numbers behind the chart; they sort by column and copy with Ctrl+C"));
    summary_->setWordWrap(true);
    summary_->setTextFormat(Qt::PlainText);
    auto* controls = new QHBoxLayout;
    controls->addWidget(kind_);
    controls->addStretch();
    controls->addWidget(tableButton_);
    rows()->addLayout(controls);
    rows()->addWidget(summary_);
    addState();
    rows()->addWidget(pages_, 1);
    pages_->addWidget(chart_);
    pages_->addWidget(table_);
    setFocusProxy(chart_);
    connect(kind_, &QComboBox::currentIndexChanged, this, &ParetoView::refresh);
    connect(tableButton_, &QToolButton::toggled, this, [this](bool on) {
        pages_->setCurrentIndex(on ? 1 : 0);
        refresh();
    });
    connect(&session().survey(), &PresetSurvey::changed, this, &ParetoView::refreshSoon);
    connect(chart_, &ScatterChart::picked, this, &ParetoView::load);
    connect(table_, &StatisticsTableView::rowActivated, this, [this](int row) { load(static_cast<std::size_t>(row)); });
}

std::optional<PlaneKind> ParetoView::kind() const {
    const QVariant data = kind_->currentData();
    return data.isValid() ? std::optional(static_cast<PlaneKind>(data.toInt())) : std::nullopt;
}

void ParetoView::setKind(std::optional<PlaneKind> kind) {
    const int index = kind ? kind_->findData(static_cast<int>(*kind)) : 0;
    if (index >= 0)
        kind_->setCurrentIndex(index);
}

QString ParetoView::summary() const {
    return summary_->text();
}

std::vector<std::string> ParetoView::pointNames() const {
    std::vector<std::string> names;
    for (const Point& point : shown_)
        names.push_back(point.name);
    return names;
}

const EncodeTotals& ParetoView::totalsOf(const MeasuredPlan& plan) const {
    const auto shown = kind();
    if (!shown)
        return plan.all;
    return *shown == PlaneKind::Key ? plan.keys : *shown == PlaneKind::Value ? plan.values : plan.latents;
}

double ParetoView::errorOf(const MeasuredPlan& plan) const {
    if (const auto shown = kind())
        return headlineError(*shown, totalsOf(plan).error);
    return weightedError(plan.keys, plan.values, plan.latents);
}

std::vector<ParetoView::Point> ParetoView::points() const {
    std::vector<Point> points;
    const PresetSurvey& survey = session().survey();
    std::map<std::uint64_t, std::size_t> known;
    const auto add = [&](const MeasuredPlan& measured, std::string name, std::size_t group, bool preset) {
        points.push_back({&measured, std::move(name), group, preset, totalsOf(measured).ratio(), errorOf(measured)});
    };
    for (const PresetSurvey::Point& point : survey.points()) {
        known.emplace(point.measured.hash, points.size());
        add(point.measured, point.info.name, groupOf(point.info.family), true);
    }
    std::map<std::string, int> used;
    for (const MeasuredPlan& plan : session().tried()) {
        if (const auto preset = known.find(plan.hash); preset != known.end()) {
            // The same plan on the whole dump is better than on some layers of it.
            if (!survey.isWhole()) {
                Point& point = points[preset->second];
                point.measured = &plan;
                point.ratio = totalsOf(plan).ratio();
                point.error = errorOf(plan);
            }
            continue;
        }
        const int times = ++used[plan.plan.name];
        add(plan, times > 1 ? plan.plan.name + " (" + std::to_string(times) + ")" : plan.plan.name, kTriedGroup, false);
    }
    return points;
}

ScatterData ParetoView::chartData(const std::vector<Point>& points) const {
    ScatterData chart;
    const auto shown = kind();
    chart.xTitle = shown ? tr("%1: ratio to 16 bit (\u00d7)").arg(kindText(*shown)) : tr("ratio to 16 bit (\u00d7)");
    chart.yTitle =
        shown ? tr("%1: %2").arg(kindText(*shown), errorName(*shown)) : tr("error (NMSEc of K, NMSE of V, weighted)");
    chart.yLog = true;
    chart.emptyText = tr("Measuring presets\u2026");
    for (const PresetFamily family : kFamilies) {
        const std::string_view name = nameOf(family);
        chart.groups.push_back({QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size())),
                                static_cast<int>(chart.groups.size())});
    }
    chart.groups.push_back({tr("tried here"), 0});
    double least = std::numeric_limits<double>::infinity();
    for (const Point& point : points) {
        if (point.error > kLeastError)
            least = std::min(least, point.error);
    }
    // What comes back bit by bit has no place on a logarithmic axis; it gets a line of its own below the others.
    const double exact = (std::isfinite(least) ? least : 1e-3) / 5;
    bool anyExact = false;
    std::vector<QPointF> places;
    const std::uint64_t current = session().planCount() > 0 ? hashOf(session().plan()) : 0;
    for (const Point& point : points) {
        const bool isExact = point.error <= kLeastError;
        anyExact = anyExact || isExact;
        places.emplace_back(point.ratio, isExact ? exact : point.error);
        // Two presets may do the same; the one that was loaded is meant.
        if (point.measured->hash == current && (!chart.marked || point.name == session().plan().name))
            chart.marked = places.size() - 1;
        const MeasuredPlan& plan = *point.measured;
        QStringList lines{QString::fromStdString(point.name),
                          tr("%1\u00d7 smaller than 16 bit, %2 bits a value")
                              .arg(formatNumber(plan.all.ratio(), 3), formatNumber(plan.all.bitsPerValue(), 3))};
        for (const auto& [kind, totals] :
             {std::pair{PlaneKind::Key, &plan.keys}, std::pair{PlaneKind::Value, &plan.values},
              std::pair{PlaneKind::Latent, &plan.latents}}) {
            if (totals->values > 0)
                lines << tr("%1: %2\u00d7, %3 %4")
                             .arg(kindText(kind), formatNumber(totals->ratio(), 3), errorName(kind),
                                  formatNumber(headlineError(kind, totals->error), 3));
        }
        lines << tr("Click to load it");
        chart.points.push_back({places.back().x(), places.back().y(), QString::fromStdString(point.name),
                                lines.join(QLatin1Char('\n')), point.group, false});
    }
    for (const std::size_t i : paretoFront(places)) {
        chart.points[i].important = true;
        chart.line.push_back(places[i]);
    }
    chart.lineName = tr("best so far");
    if (anyExact) {
        chart.level = exact;
        chart.levelName = tr("lossless: no error");
    }
    return chart;
}

QString ParetoView::sentence(const std::vector<Point>& points) const {
    const PresetSurvey& survey = session().survey();
    QStringList sentences;
    if (const auto gain = gainOverPresets(session()))
        sentences << tr("The current plan is %1.").arg(toText(*gain));
    if (!points.empty())
        sentences << tr("The dashed line joins the plans that none beats in both; a click loads a plan.");
    if (!survey.isWhole()) {
        QStringList layers;
        for (const LayerIndex layer : survey.layers())
            layers << QString::number(layer.value);
        sentences
            << tr("Presets are measured on layer %1 of %2.").arg(layers.join(tr(", "))).arg(geometry().layerCount());
    }
    if (const QString name = survey.atWork(); !name.isEmpty() && !survey.isDone())
        sentences << tr("Measuring %1 \u2026").arg(name);
    if (!survey.failures().empty()) {
        QStringList names;
        for (const auto& [name, error] : survey.failures())
            names << QString::fromStdString(name);
        sentences << tr("Not for this dump: %1.").arg(names.join(tr(", ")));
    }
    return sentences.join(QLatin1Char(' '));
}

void ParetoView::display() {
    shown_ = points();
    summary_->setText(sentence(shown_));
    if (tableButton_->isChecked())
        table_->setTable(numbers());
    else
        chart_->setData(chartData(shown_), true);
}

void ParetoView::load(std::size_t index) {
    if (index >= shown_.size())
        return;
    const Point& point = shown_[index];
    if (point.preset) {
        session().loadPreset(QString::fromStdString(point.name));
        return;
    }
    const CodecPlan plan = point.measured->plan;
    if (const auto done = session().edit(tr("plan %1").arg(QString::fromStdString(point.name)), plan); !done)
        showError(QString::fromStdString(done.error().message()));
}

std::optional<double> ParetoView::share() const {
    const PresetSurvey& survey = session().survey();
    if (!session().isIdle(this))
        return survey.progress();
    return survey.isDone() ? std::nullopt : std::optional(survey.progress());
}

void ParetoView::cancelWork() {
    session().survey().cancel();
}

void ParetoView::resumeWork() {
    session().resume();
    session().survey().start();
}

bool ParetoView::isWorkCancelled() const {
    return session().survey().isCancelled();
}

void ParetoView::showEvent(QShowEvent* event) {
    CodecView::showEvent(event);
    if (hasSession())
        session().survey().want(this);
}

void ParetoView::hideEvent(QHideEvent* event) {
    CodecView::hideEvent(event);
    if (hasSession())
        session().survey().release(this);
}

StatisticsTable ParetoView::numbers() const {
    StatisticsTable table;
    table.columns = {{tr("Plan"), {}, {}},
                     {tr("Sort"), {}, {}},
                     {tr("Bits"), tr("a value"), explain::bitsPerValue()},
                     {tr("Ratio"), tr("to 16 bit"), explain::ratio()}};
    for (const PlaneKind kind : session().kinds()) {
        table.columns.push_back({kindText(kind) + tr(" ratio"), tr("to 16 bit"), explain::ratio()});
        table.columns.push_back(
            {kindText(kind) + QLatin1Char(' ') + errorName(kind), {}, explain::headlineError(kind)});
    }
    for (const Point& point : points()) {
        const MeasuredPlan& plan = *point.measured;
        const std::string_view family = point.preset ? nameOf(kFamilies[point.group]) : std::string_view("tried here");
        std::vector<QVariant> row{QString::fromStdString(point.name),
                                  QString::fromUtf8(family.data(), static_cast<qsizetype>(family.size())),
                                  plan.all.bitsPerValue(), plan.all.ratio()};
        for (const PlaneKind kind : session().kinds()) {
            const EncodeTotals& totals = kind == PlaneKind::Key     ? plan.keys
                                         : kind == PlaneKind::Value ? plan.values
                                                                    : plan.latents;
            row.emplace_back(totals.ratio());
            row.emplace_back(headlineError(kind, totals.error));
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

QString ParetoView::exportName() const {
    const auto shown = kind();
    return shown ? tr("pareto %1").arg(kindText(*shown)) : tr("pareto");
}

void ParetoView::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    painter.fillRect(target, theme.background);
    const QRectF inside = target.adjusted(8, 6, -8, -4);
    painter.save();
    painter.setFont(chartFont(*this));
    painter.setPen(theme.text);
    QRectF used;
    painter.drawText(inside, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, summary(), &used);
    painter.restore();
    chart_->paintTo(painter, inside.adjusted(0, used.height() + 6, 0, 0));
}

QString ParetoView::toCsv() const {
    return numbers().toCsv();
}

} // namespace kvscope::views
