// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_report_view.h"

#include "views/chart_parts.h"
#include "views/codec_plan_bar.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QVBoxLayout>

namespace kvscope::views {

CodecReportView::CodecReportView(Document* document, SelectionModel* selection, QWidget* parent)
    : CodecView(document, selection, parent)
    , which_(new QComboBox)
    , plans_(new CodecPlanBar(session()))
    , summary_(new QLabel)
    , table_(new StatisticsTableView) {
    which_->setObjectName(QStringLiteral("reportRows"));
    which_->addItem(tr("all layers together"));
    which_->addItem(tr("each layer"));
    which_->addItem(tr("each head of the selected layer"));
    which_->addItem(tr("each channel of the selected layer"));
    which_->setToolTip(tr("Of what the figures are"));
    which_->setAccessibleName(tr("Figures of"));
    auto* controls = new QHBoxLayout;
    auto* label = new QLabel(tr("&Figures of"));
    label->setBuddy(which_);
    controls->addWidget(label);
    controls->addWidget(which_);
    controls->addStretch();
    summary_->setWordWrap(true);
    summary_->setTextFormat(Qt::PlainText);
    rows()->addLayout(controls);
    rows()->addWidget(plans_);
    rows()->addWidget(summary_);
    addState();
    rows()->addWidget(table_, 1);
    setFocusProxy(table_);
    connect(which_, &QComboBox::currentIndexChanged, this, &CodecReportView::refresh);
    connect(table_, &StatisticsTableView::rowActivated, this, [this](int number) {
        if (shownRows() == ReportRows::Kinds)
            return;
        const qlonglong layer = table_->table().rows[static_cast<std::size_t>(number)][1].toLongLong();
        Selection next = selectionModel().current();
        next.layers = layerRange(layer, layer + 1);
        selectionModel().select(next);
    });
}

ReportRows CodecReportView::shownRows() const {
    return static_cast<ReportRows>(which_->currentIndex());
}

void CodecReportView::setRows(ReportRows rows) {
    which_->setCurrentIndex(static_cast<int>(rows));
}

CodecSession::Interest CodecReportView::interest() const {
    return {.pinned = true, .first = {}};
}

StatisticsTable CodecReportView::numbers() const {
    std::vector<NamedReport> reports;
    for (std::size_t slot = 0; slot < session().planCount(); ++slot)
        reports.push_back({planTitle(session(), slot), &session().report(slot)});
    if (shownRows() == ReportRows::Kinds)
        return reportSummaryTable(reports, session().kinds());
    const auto layer =
        shownRows() == ReportRows::Layers ? std::nullopt : std::optional(selectionModel().current().layer());
    return reportTable(reports, session().kinds(), shownRows(), layer);
}

QString CodecReportView::sentence() const {
    if (shownRows() == ReportRows::Kinds)
        return tr("Point at a figure for what it means. The prefill that encoding is compared with is %1 tokens/s, as "
                  "given in the codec panel: nothing has measured it.")
            .arg(formatNumber(session().prefillTokensPerSecond()));
    if (shownRows() == ReportRows::Layers)
        return tr("Point at a column's title for what it means.");
    return tr("Layer %1. Bytes of a head or channel are its share of its chunks'.")
        .arg(selectionModel().current().layer().value);
}

void CodecReportView::display() {
    summary_->setText(sentence());
    table_->setTable(numbers());
}

QString CodecReportView::exportName() const {
    switch (shownRows()) {
    case ReportRows::Layers:
        return tr("codec report by layer");
    case ReportRows::Heads:
        return tr("codec report by head");
    case ReportRows::Channels:
        return tr("codec report by channel");
    case ReportRows::Kinds:
        break;
    }
    return tr("codec report");
}

void CodecReportView::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    painter.fillRect(target, theme.background);
    const QRectF rest = paintError(painter, plans_->paintTo(painter, target.adjusted(8, 6, -8, -6)));
    paintTable(painter, rest.adjusted(4, 0, -4, 0), numbers(), theme, chartFont(*this));
}

QString CodecReportView::toCsv() const {
    return numbers().toCsv();
}

} // namespace kvscope::views
