// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/correlation_view.h"

#include "views/chart_widget.h"
#include "views/number_format.h"

#include <QCheckBox>

#include <algorithm>

namespace kvscope::views {

CorrelationView::CorrelationView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , unbiased_(new QCheckBox(tr("Correct for few pairs"))) {
    unbiased_->setObjectName(QStringLiteral("unbiased"));
    panel().addControl(unbiased_, tr("Divide by the number of pairs of tokens that lie so far apart instead of by the "
                                     "number of all tokens: unbiased, but noisy at large lags"));
    connect(unbiased_, &QCheckBox::toggled, this, &CorrelationView::refresh);
}

std::vector<StatisticsService::Job> CorrelationView::neededJobs() const {
    return selectedLayerJobs(&correlationJob);
}

const LagCorrelation* CorrelationView::correlationOf(KindChoice choice) const {
    return ofSelectedLayer<LagCorrelation>(&correlationKey, choice);
}

void CorrelationView::display() {
    ChartData chart;
    chart.xTitle = tr("lag (tokens apart)");
    chart.yTitle = tr("correlation");
    chart.xIndex = true;
    chart.fromZero = true;
    chart.emptyText = tr("Computing\u2026");
    chart.xName = [](double lag) {
        return lag == 1 ? tr("1 token apart") : tr("%1 tokens apart").arg(formatNumber(lag));
    };
    StatisticsTable table;
    table.columns.push_back({tr("Lag"), tr("tokens"), tr("How far apart the two tokens lie")});
    QStringList sentences;
    std::size_t lags = 0;
    std::vector<const std::vector<double>*> columns;
    for (const KindChoice choice : choices()) {
        const LagCorrelation* correlation = correlationOf(choice);
        if (correlation == nullptr)
            continue;
        const auto& values = unbiased_->isChecked() ? correlation->byLagUnbiased : correlation->byLag;
        ChartSeries series;
        series.name = choice.name();
        series.kind = choice.colourKind();
        series.look = choice.lineLook();
        series.y = values;
        for (std::size_t i = 0; i < values.size(); ++i)
            series.x.push_back(static_cast<double>(i + 1));
        chart.series.push_back(std::move(series));
        table.columns.push_back({choice.name(), {}, tr("Mean over the channels of the correlation at this lag")});
        columns.push_back(&values);
        lags = std::max(lags, values.size());
        if (!values.empty())
            sentences << tr("%1 %2").arg(choice.name(), formatNumber(values.front(), 3));
    }
    for (std::size_t i = 0; i < lags; ++i) {
        std::vector<QVariant> row{static_cast<qlonglong>(i + 1)};
        for (const auto* values : columns)
            row.push_back(i < values->size() ? QVariant((*values)[i]) : QVariant());
        table.rows.push_back(std::move(row));
    }
    chart.levels.push_back({0.5, tr("above 0.5 at lag 1 the delta helps within a channel")});
    this->chart().setData(std::move(chart), true);
    panel().setTable([table = std::move(table)] { return table; });
    panel().setSummary(sentences.isEmpty()
                           ? QString()
                           : tr("Layer %1, correlation of neighbouring tokens: %2.")
                                 .arg(formatCount(selection().layer().value), sentences.join(tr(", "))));
}

QString CorrelationView::exportName() const {
    return tr("token correlation layer %1").arg(selection().layer().value);
}

} // namespace kvscope::views
