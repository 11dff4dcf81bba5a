// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_bars.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QSpinBox>
#include <QToolButton>

#include <algorithm>
#include <limits>

namespace kvscope::views {

namespace {

QToolButton* makeButton(QWidget* parent, Qt::ArrowType arrow, const QString& name) {
    auto* button = new QToolButton(parent);
    button->setArrowType(arrow);
    button->setAutoRaise(true);
    button->setAccessibleName(name);
    button->setToolTip(name);
    button->setFocusPolicy(Qt::StrongFocus);
    return button;
}

QSpinBox* makeNumber(QWidget* parent, QHBoxLayout* layout, const QString& name) {
    auto* label = new QLabel(name, parent);
    auto* box = new QSpinBox(parent);
    box->setAccessibleName(name);
    box->setGroupSeparatorShown(true);
    box->setKeyboardTracking(false);
    label->setBuddy(box);
    layout->addWidget(label);
    layout->addWidget(box);
    return box;
}

int boxMaximum(std::int64_t count) {
    return static_cast<int>(std::clamp<std::int64_t>(count - 1, 0, std::numeric_limits<int>::max()));
}

} // namespace

FindBar::FindBar(QWidget* parent)
    : QWidget(parent)
    , edit_(new QLineEdit(this))
    , count_(new QLabel(this)) {
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(4, 1, 4, 1);
    auto* previous = makeButton(this, Qt::LeftArrow, tr("Previous (Shift+Enter)"));
    auto* next = makeButton(this, Qt::RightArrow, tr("Next (Enter)"));
    edit_->setPlaceholderText(tr("Find tokens by text"));
    edit_->setAccessibleName(tr("Find tokens by text"));
    edit_->setClearButtonEnabled(true);
    layout->addWidget(edit_, 1);
    layout->addWidget(previous);
    layout->addWidget(next);
    layout->addWidget(count_);
    connect(edit_, &QLineEdit::textChanged, this, &FindBar::textEdited);
    connect(previous, &QToolButton::clicked, this, &FindBar::previousRequested);
    connect(next, &QToolButton::clicked, this, &FindBar::nextRequested);
    hide();
}

void FindBar::open() {
    show();
    edit_->selectAll();
    edit_->setFocus(Qt::ShortcutFocusReason);
}

QString FindBar::text() const {
    return edit_->text();
}

void FindBar::setCount(int current, int count) {
    if (edit_->text().isEmpty())
        count_->clear();
    else
        count_->setText(count == 0 ? tr("not found") : tr("%1 of %2").arg(current + 1).arg(count));
}

void FindBar::keyPressEvent(QKeyEvent* event) {
    switch (event->key()) {
    case Qt::Key_Return:
    case Qt::Key_Enter:
        event->modifiers().testFlag(Qt::ShiftModifier) ? emit previousRequested() : emit nextRequested();
        return;
    case Qt::Key_Escape:
        hide();
        emit closed();
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

GoToBar::GoToBar(QWidget* parent)
    : QWidget(parent) {
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(4, 1, 4, 1);
    layout->addWidget(new QLabel(tr("Go to"), this));
    layer_ = makeNumber(this, layout, tr("layer"));
    channel_ = makeNumber(this, layout, tr("channel"));
    token_ = makeNumber(this, layout, tr("token"));
    auto* go = new QToolButton(this);
    go->setText(tr("Go"));
    go->setFocusPolicy(Qt::StrongFocus);
    layout->addWidget(go);
    layout->addStretch(1);
    connect(go, &QToolButton::clicked, this,
            [this] { emit goRequested(layer_->value(), channel_->value(), token_->value()); });
    hide();
}

void GoToBar::open(const Place& counts, const Place& current) {
    layer_->setMaximum(boxMaximum(counts.layer));
    channel_->setMaximum(boxMaximum(counts.channel));
    token_->setMaximum(boxMaximum(counts.token));
    layer_->setValue(static_cast<int>(current.layer));
    channel_->setValue(static_cast<int>(current.channel));
    token_->setValue(static_cast<int>(current.token));
    show();
    token_->selectAll();
    token_->setFocus(Qt::ShortcutFocusReason);
}

void GoToBar::keyPressEvent(QKeyEvent* event) {
    switch (event->key()) {
    case Qt::Key_Return:
    case Qt::Key_Enter:
        emit goRequested(layer_->value(), channel_->value(), token_->value());
        return;
    case Qt::Key_Escape:
        hide();
        emit closed();
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

} // namespace kvscope::views
