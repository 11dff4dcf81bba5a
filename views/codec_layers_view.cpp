// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_layers_view.h"

#include "views/chart_widget.h"
#include "views/codec_plan_bar.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QGridLayout>
#include <QPainter>
#include <QStackedWidget>
#include <QTabBar>
#include <QToolButton>
#include <QVBoxLayout>

namespace kvscope::views {

namespace {

constexpr int kTablePage = 3;
/// Points along the tokens that a chart can show apart.
constexpr std::int64_t kTokenPoints = 256;

QString layerName(double layer) {
    return CodecLayersView::tr("layer %1").arg(formatNumber(layer));
}

} // namespace

CodecLayersView::CodecLayersView(Document* document, SelectionModel* selection, QWidget* parent)
    : CodecView(document, selection, parent)
    , pages_(new QTabBar)
    , tableButton_(new QToolButton)
    , plans_(new CodecPlanBar(session()))
    , stack_(new QStackedWidget)
    , table_(new StatisticsTableView) {
    pages_->setObjectName(QStringLiteral("pages"));
    pages_->setDocumentMode(true);
    pages_->setDrawBase(false);
    pages_->setFocusPolicy(Qt::TabFocus);
    pages_->addTab(tr("Ratio and error"));
    pages_->addTab(tr("Bits by part"));
    pages_->addTab(tr("By token"));
    pages_->setTabToolTip(2, tr("Bits and error along the tokens, over all layers"));
    pages_->setTabToolTip(0, tr("How many times smaller each layer becomes, and what it loses"));
    pages_->setTabToolTip(1, tr("What the bits are for: coded values, tables, scales, exceptions, headers"));
    tableButton_->setText(tr("Table"));
    tableButton_->setCheckable(true);
    tableButton_->setFocusPolicy(Qt::TabFocus);
    tableButton_->setToolTip(tr("Show the numbers behind the charts; they sort by column and copy with Ctrl+C"));
    auto* controls = new QHBoxLayout;
    controls->addWidget(pages_);
    controls->addStretch();
    controls->addWidget(tableButton_);
    rows()->addLayout(controls);
    rows()->addWidget(plans_);
    addState();
    rows()->addWidget(stack_, 1);

    auto* lines = new QWidget;
    auto* lineGrid = new QGridLayout(lines);
    auto* parts = new QWidget;
    auto* partGrid = new QGridLayout(parts);
    auto* tokens = new QWidget;
    auto* tokenGrid = new QGridLayout(tokens);
    for (QGridLayout* grid : {lineGrid, partGrid, tokenGrid}) {
        grid->setContentsMargins(0, 0, 0, 0);
        grid->setSpacing(4);
    }
    int row = 0;
    for (const PlaneKind kind : session().kinds()) {
        lines_.push_back(makePanel(kind, Measure::Ratio));
        lineGrid->addWidget(lines_.back().chart, row, 0);
        lines_.push_back(makePanel(kind, Measure::Error));
        lineGrid->addWidget(lines_.back().chart, row, 1);
        parts_.push_back(makePanel(kind, Measure::Parts));
        partGrid->addWidget(parts_.back().chart, row, 0);
        tokens_.push_back(makePanel(kind, Measure::TokenBits));
        tokenGrid->addWidget(tokens_.back().chart, row, 0);
        tokens_.push_back(makePanel(kind, Measure::TokenError));
        tokenGrid->addWidget(tokens_.back().chart, row, 1);
        ++row;
    }
    stack_->addWidget(lines);
    stack_->addWidget(parts);
    stack_->addWidget(tokens);
    stack_->addWidget(table_);
    const auto turn = [this] {
        stack_->setCurrentIndex(tableButton_->isChecked() ? kTablePage : pages_->currentIndex());
        refresh();
    };
    connect(pages_, &QTabBar::currentChanged, this, turn);
    connect(tableButton_, &QToolButton::toggled, this, turn);
    connect(table_, &StatisticsTableView::rowActivated, this, [this](int number) {
        const auto& cells = table_->table().rows[static_cast<std::size_t>(number)];
        if (page() == Page::ByToken) {
            selectToken(cells[1].toLongLong());
            return;
        }
        Selection next = selectionModel().current();
        next.layers = layerRange(cells[1].toLongLong(), cells[1].toLongLong() + 1);
        selectionModel().select(next);
    });
}

CodecLayersView::Panel CodecLayersView::makePanel(PlaneKind kind, Measure measure) {
    auto* chart = new ChartWidget;
    chart->setObjectName(QStringLiteral("%1-%2").arg(kindText(kind)).arg(static_cast<int>(measure)));
    connect(chart, &ChartWidget::picked, this, [this, kind, measure](double x) {
        if (measure == Measure::TokenBits || measure == Measure::TokenError) {
            selectToken(static_cast<std::int64_t>(x));
            return;
        }
        const LayerIndex layer(static_cast<std::int64_t>(x));
        Selection next = selectionModel().current();
        next.layers = {layer, layer + 1};
        next.kind = kind;
        selectionModel().select(next);
    });
    return {kind, measure, chart};
}

CodecLayersView::Page CodecLayersView::page() const {
    return static_cast<Page>(pages_->currentIndex());
}

void CodecLayersView::setPage(Page page) {
    pages_->setCurrentIndex(static_cast<int>(page));
}

std::vector<ChartWidget*> CodecLayersView::charts() const {
    std::vector<ChartWidget*> charts;
    for (const Panel& panel : panels())
        charts.push_back(panel.chart);
    return charts;
}

const std::vector<CodecLayersView::Panel>& CodecLayersView::panels() const {
    switch (page()) {
    case Page::BitsByPart:
        return parts_;
    case Page::ByToken:
        return tokens_;
    case Page::RatioAndError:
        break;
    }
    return lines_;
}

void CodecLayersView::selectToken(std::int64_t token) {
    Selection next = selectionModel().current();
    next.tokens = tokenRange(token, token + 1);
    selectionModel().select(next);
}

CodecSession::Interest CodecLayersView::interest() const {
    return {.pinned = true, .first = {}};
}

ChartData CodecLayersView::chartOf(PlaneKind kind, Measure measure) const {
    ChartData chart;
    chart.xTitle = tr("layer");
    chart.xIndex = true;
    chart.xName = layerName;
    chart.selected = static_cast<double>(selectionModel().current().layer().value);
    chart.emptyText = tr("Encoding\u2026");
    if (measure == Measure::Ratio) {
        chart.yTitle = tr("%1: ratio (\u00d7)").arg(kindText(kind));
        chart.explanation = explain::ratio();
        chart.fromZero = true;
    } else {
        chart.yTitle = tr("%1: %2").arg(kindText(kind), errorName(kind));
        chart.yLog = true;
    }
    bool anyError = false;
    for (std::size_t slot = 0; slot < session().planCount(); ++slot) {
        ChartSeries series;
        series.name = planTitle(session(), slot);
        series.shape = ChartSeries::Shape::Line;
        series.tone = ChartSeries::Tone::Series;
        series.toneIndex = static_cast<int>(slot);
        series.look = slot == 0 ? ChartSeries::Look::Solid : ChartSeries::Look::Dashed;
        series.markers = true;
        series.inLegend = false;
        for (LayerIndex layer(0); layer.value < geometry().layerCount(); ++layer) {
            const EncodeTotals totals = session().report(slot).totals(layer, kind);
            if (totals.values == 0 || (measure == Measure::Error && !totals.hasError))
                continue;
            const double value = measure == Measure::Ratio ? totals.ratio() : headlineError(kind, totals.error);
            anyError = anyError || value > 0;
            series.x.push_back(static_cast<double>(layer.value));
            series.y.push_back(value);
        }
        chart.series.push_back(std::move(series));
    }
    // Without any error there is nothing that a logarithm could show.
    if (measure == Measure::Error && !anyError) {
        const bool some =
            std::ranges::any_of(chart.series, [](const ChartSeries& series) { return !series.x.empty(); });
        if (some)
            chart.emptyText = tr("%1: every bit comes back").arg(kindText(kind));
        chart.series.clear();
    }
    return chart;
}

ChartData CodecLayersView::partsOf(PlaneKind kind) const {
    ChartData chart;
    chart.xTitle = tr("layer");
    chart.yTitle = tr("%1: bits/value").arg(kindText(kind));
    chart.xIndex = true;
    chart.fromZero = true;
    chart.xName = layerName;
    chart.selected = static_cast<double>(selectionModel().current().layer().value);
    chart.emptyText = tr("Encoding\u2026");
    for (std::size_t slot = 0; slot < session().planCount(); ++slot) {
        for (const BytePart part : kAllByteParts) {
            ChartSeries series;
            series.name =
                session().planCount() > 1 ? CodecSession::letter(slot) + QLatin1Char(' ') + nameOf(part) : nameOf(part);
            series.shape = ChartSeries::Shape::Bars;
            series.tone = ChartSeries::Tone::Series;
            series.toneIndex = static_cast<int>(part);
            series.stack = static_cast<int>(slot);
            series.inLegend = slot == 0;
            for (LayerIndex layer(0); layer.value < geometry().layerCount(); ++layer) {
                const EncodeTotals totals = session().report(slot).totals(layer, kind);
                if (totals.values == 0)
                    continue;
                series.x.push_back(static_cast<double>(layer.value));
                series.y.push_back(8.0 * static_cast<double>(totals.parts[part]) / static_cast<double>(totals.values));
            }
            chart.series.push_back(std::move(series));
        }
    }
    return chart;
}

ChartData CodecLayersView::tokensOf(PlaneKind kind, Measure measure) const {
    const bool bits = measure == Measure::TokenBits;
    ChartData chart;
    chart.xTitle = tr("token");
    chart.yTitle = bits ? tr("%1: bits/value").arg(kindText(kind)) : tr("%1: NMSE").arg(kindText(kind));
    chart.explanation = bits
                            ? tr("All bytes of the chunk that the token is in, shared out evenly over its tokens, over "
                                 "all layers")
                            : tr("Energy of the error over the energy of the values of the token, over all layers");
    chart.xIndex = true;
    chart.fromZero = bits;
    chart.yLog = !bits;
    chart.xName = [](double token) { return tr("token %1").arg(formatNumber(token, 9)); };
    chart.emptyText = tr("Encoding\u2026");
    if (const auto& tokens = selectionModel().current().tokens; tokens && tokens->size() == 1)
        chart.selected = static_cast<double>(tokens->begin.value);
    bool any = false;
    for (std::size_t slot = 0; slot < session().planCount(); ++slot) {
        ChartSeries series;
        series.name = planTitle(session(), slot);
        series.shape = bits ? ChartSeries::Shape::Steps : ChartSeries::Shape::Line;
        series.tone = ChartSeries::Tone::Series;
        series.toneIndex = static_cast<int>(slot);
        series.look = slot == 0 ? ChartSeries::Look::Solid : ChartSeries::Look::Dashed;
        series.inLegend = false;
        for (const TokenPoint& point : byToken(session().report(slot), kind, tokenStride())) {
            const double value = bits ? point.bitsPerValue : point.nmse;
            any = any || value > 0;
            series.x.push_back(static_cast<double>(point.tokens.begin.value));
            series.y.push_back(value);
        }
        if (!series.x.empty())
            chart.series.push_back(std::move(series));
    }
    if (!any && !chart.series.empty()) {
        chart.emptyText = tr("%1: every bit comes back").arg(kindText(kind));
        chart.series.clear();
    }
    return chart;
}

std::int64_t CodecLayersView::tokenStride() const {
    std::int64_t longest = 0;
    for (const PlaneKind kind : session().kinds())
        longest = std::max(longest, geometry().maxTokens(kind));
    return std::max<std::int64_t>(1, longest / kTokenPoints);
}

StatisticsTable CodecLayersView::tokenNumbers() const {
    StatisticsTable table;
    table.columns = {{tr("Plan"), {}, {}},
                     {tr("First token"), {}, tr("Slot of the first token of the row")},
                     {tr("Tokens"), {}, {}},
                     {tr("Kind"), {}, {}},
                     {tr("Bits"), tr("a value"), explain::bitsPerValue()},
                     {tr("NMSE"), {}, tr("Energy of the error over the energy of the values")}};
    for (std::size_t slot = 0; slot < session().planCount(); ++slot) {
        for (const PlaneKind kind : session().kinds()) {
            for (const TokenPoint& point : byToken(session().report(slot), kind, tokenStride()))
                table.rows.push_back({planTitle(session(), slot), static_cast<qlonglong>(point.tokens.begin.value),
                                      static_cast<qlonglong>(point.tokens.size()), kindText(kind), point.bitsPerValue,
                                      point.nmse});
        }
    }
    return table;
}

void CodecLayersView::display() {
    if (tableButton_->isChecked()) {
        table_->setTable(numbers());
        return;
    }
    for (const Panel& panel : panels()) {
        switch (panel.measure) {
        case Measure::Parts:
            panel.chart->setData(partsOf(panel.kind), true);
            break;
        case Measure::TokenBits:
        case Measure::TokenError:
            panel.chart->setData(tokensOf(panel.kind, panel.measure), true);
            break;
        case Measure::Ratio:
        case Measure::Error:
            panel.chart->setData(chartOf(panel.kind, panel.measure), true);
            break;
        }
    }
}

StatisticsTable CodecLayersView::numbers() const {
    if (page() == Page::ByToken)
        return tokenNumbers();
    StatisticsTable table;
    table.columns = {{tr("Plan"), {}, {}},
                     {tr("Layer"), {}, {}},
                     {tr("Kind"), {}, {}},
                     {tr("Bits"), tr("a value"), explain::bitsPerValue()},
                     {tr("Ratio"), tr("to 16 bit"), explain::ratio()},
                     {tr("Error"), tr("NMSEc of K, NMSE of V"), explain::headlineError(PlaneKind::Key)}};
    for (const BytePart part : kAllByteParts) {
        QString title = nameOf(part);
        title[0] = title[0].toUpper();
        table.columns.push_back({title, tr("bits a value"), explain::bytePart(part)});
    }
    table.columns.push_back({tr("Entropy"), tr("bits a value"), {}});
    for (std::size_t slot = 0; slot < session().planCount(); ++slot) {
        for (LayerIndex layer(0); layer.value < geometry().layerCount(); ++layer) {
            for (const PlaneKind kind : session().kinds()) {
                const EncodeTotals totals = session().report(slot).totals(layer, kind);
                if (totals.values == 0)
                    continue;
                std::vector<QVariant> row{planTitle(session(), slot),
                                          static_cast<qlonglong>(layer.value),
                                          kindText(kind),
                                          totals.bitsPerValue(),
                                          totals.ratio(),
                                          totals.hasError ? QVariant(headlineError(kind, totals.error)) : QVariant()};
                for (const BytePart part : kAllByteParts)
                    row.emplace_back(8.0 * static_cast<double>(totals.parts[part]) /
                                     static_cast<double>(totals.values));
                const auto entropy = totals.entropyPerValue();
                row.push_back(entropy ? QVariant(*entropy) : QVariant());
                table.rows.push_back(std::move(row));
            }
        }
    }
    return table;
}

QString CodecLayersView::exportName() const {
    switch (page()) {
    case Page::BitsByPart:
        return tr("codec bits by part");
    case Page::ByToken:
        return tr("codec by token");
    case Page::RatioAndError:
        break;
    }
    return tr("codec layers");
}

void CodecLayersView::paintTo(QPainter& painter, const QRectF& target) {
    painter.fillRect(target, Theme::from(palette()).background);
    const QRectF rest = paintError(painter, plans_->paintTo(painter, target.adjusted(8, 6, -8, -4)));
    const auto& panels = this->panels();
    const std::size_t columns = page() == Page::BitsByPart ? 1 : 2;
    const double width = rest.width() / static_cast<double>(columns);
    const double height = rest.height() * static_cast<double>(columns) / static_cast<double>(panels.size());
    for (std::size_t i = 0; i < panels.size(); ++i) {
        const std::size_t row = i / columns;
        const QRectF area(rest.left() + static_cast<double>(i % columns) * width,
                          rest.top() + static_cast<double>(row) * height, width, height);
        panels[i].chart->paintTo(painter, area);
    }
}

QString CodecLayersView::toCsv() const {
    return numbers().toCsv();
}

} // namespace kvscope::views
