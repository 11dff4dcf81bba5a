// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_panel.h"

#include "views/chart_parts.h"
#include "views/elided_label.h"
#include "views/explanations.h"
#include "views/flow_layout.h"
#include "views/theme.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QProgressBar>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

namespace kvscope::views {

ChartPanel::ChartPanel(QWidget* content, QWidget* parent)
    : QWidget(parent)
    , controls_(new FlowLayout(nullptr, 6))
    , caption_(new ElidedLabel(this))
    , summary_(new QLabel(this))
    , error_(new QLabel(this))
    , progress_(new QProgressBar(this))
    , pages_(new QStackedWidget(this))
    , table_(new StatisticsTableView(this))
    , tableButton_(new QToolButton(this)) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(6, 4, 6, 4);
    layout->setSpacing(4);
    QFont bold = caption_->font();
    bold.setBold(true);
    caption_->setFont(bold);
    caption_->hide();
    layout->addWidget(caption_);
    layout->addLayout(controls_);
    layout->addWidget(summary_);
    layout->addWidget(error_);
    layout->addWidget(progress_);
    layout->addWidget(pages_, 1);

    tableButton_->setText(tr("Table"));
    tableButton_->setCheckable(true);
    tableButton_->setToolTip(tr("Show the numbers behind the chart; they sort by column and copy with Ctrl+C"));
    tableButton_->setFocusPolicy(Qt::TabFocus);
    controls_->addWidget(tableButton_);
    connect(tableButton_, &QToolButton::toggled, this, [this](bool on) {
        if (on)
            table_->setTable(currentTable());
        pages_->setCurrentIndex(on ? 1 : 0);
    });

    summary_->setWordWrap(true);
    summary_->setTextFormat(Qt::PlainText);
    summary_->setTextInteractionFlags(Qt::TextSelectableByMouse);
    // Two lines at most: the charts below must not jump when the sentence changes.
    summary_->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    summary_->hide();
    error_->setWordWrap(true);
    error_->setTextFormat(Qt::PlainText);
    error_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    error_->hide();
    progress_->setTextVisible(false);
    progress_->setRange(0, 1000);
    progress_->setFixedHeight(3);
    QSizePolicy keepsRoom = progress_->sizePolicy();
    keepsRoom.setRetainSizeWhenHidden(true);
    progress_->setSizePolicy(keepsRoom);
    progress_->setAccessibleName(tr("Progress of the statistics"));
    progress_->hide();

    pages_->addWidget(content);
    pages_->addWidget(table_);
}

void ChartPanel::addControl(const QString& label, QWidget* control, const QString& explanation) {
    // One item of the row, so that a label never stands at the end of a line and its control in the next.
    auto* pair = new QWidget(this);
    auto* row = new QHBoxLayout(pair);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(4);
    auto* text = new QLabel(label, pair);
    text->setBuddy(control);
    text->setToolTip(explanation);
    row->addWidget(text);
    row->addWidget(control);
    insertControl(pair, control, explanation);
}

void ChartPanel::addControl(QWidget* control, const QString& explanation) {
    insertControl(control, control, explanation);
}

void ChartPanel::insertControl(QWidget* item, QWidget* control, const QString& explanation) {
    if (control->toolTip().isEmpty())
        control->setToolTip(explanation);
    if (auto* box = qobject_cast<QComboBox*>(control))
        explainChoice(box, explanation);
    control->setAccessibleDescription(explanation);
    controls_->addWidget(item);
    controls_->moveLastTo(controls_->count() - 2);
    // By keyboard: the controls from left to right, the table button, then the table or the charts.
    if (lastControl_ != nullptr)
        setTabOrder(lastControl_, control);
    setTabOrder(control, tableButton_);
    lastControl_ = control;
}

void ChartPanel::setCaption(const QString& text, bool shown) {
    caption_->setText(text);
    caption_->setVisible(shown);
}

QString ChartPanel::caption() const {
    return caption_->text();
}

void ChartPanel::setSummary(const QString& text) {
    summary_->setText(text);
    // Views that never say a sentence need no room for it; the others keep it.
    if (!text.isEmpty())
        summary_->show();
}

QString ChartPanel::summary() const {
    return summary_->text();
}

void ChartPanel::setTable(std::function<StatisticsTable()> make) {
    makeTable_ = std::move(make);
    if (tableButton_->isChecked())
        table_->setTable(currentTable());
}

StatisticsTable ChartPanel::currentTable() const {
    return makeTable_ ? makeTable_() : StatisticsTable();
}

void ChartPanel::setProgress(std::optional<double> share) {
    progress_->setVisible(share.has_value());
    if (share)
        progress_->setValue(static_cast<int>(*share * 1000));
}

void ChartPanel::setError(const QString& text) {
    error_->setText(text.isEmpty() ? QString() : QStringLiteral("\u26a0 ") + text);
    error_->setVisible(!text.isEmpty());
}

QString ChartPanel::error() const {
    return error_->text();
}

QRectF ChartPanel::paintSummary(QPainter& painter, const QRectF& target) const {
    const Theme theme = Theme::from(palette());
    painter.fillRect(target, theme.background);
    const QRectF inside = target.adjusted(8, 6, -8, -4);
    QStringList parts{caption(), summary()};
    parts.removeAll(QString());
    if (parts.isEmpty())
        return inside;
    painter.save();
    painter.setFont(chartFont(*this));
    painter.setPen(theme.text);
    QRectF used;
    painter.drawText(inside, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, parts.join(QStringLiteral(" \u00b7 ")),
                     &used);
    painter.restore();
    return inside.adjusted(0, used.height() + 6, 0, 0);
}

} // namespace kvscope::views
