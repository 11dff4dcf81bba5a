// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_bars.h"

#include "views/flow_layout.h"
#include "views/number_format.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QToolButton>

#include <algorithm>

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
    : QWidget(parent)
    , problem_(new QLabel(this)) {
    auto* layout = new FlowLayout(this, 6);
    layout->setContentsMargins(4, 1, 4, 1);
    layout->addWidget(new QLabel(tr("Go to"), this));
    fields_ = {Field{tr("layer")}, Field{tr("channel")}, Field{tr("token")}};
    for (Field& field : fields_) {
        // Name, range and box stay together where the row goes on below.
        auto* item = new QWidget(this);
        auto* row = new QHBoxLayout(item);
        row->setContentsMargins(0, 0, 0, 0);
        row->setSpacing(4);
        field.label = new QLabel(item);
        field.edit = new QLineEdit(item);
        field.edit->setObjectName(field.name);
        field.edit->setAccessibleName(field.name);
        field.edit->setFixedWidth(field.edit->fontMetrics().horizontalAdvance(QStringLiteral("0,000,000")) + 14);
        field.label->setBuddy(field.edit);
        row->addWidget(field.label);
        row->addWidget(field.edit);
        layout->addWidget(item);
    }
    auto* go = new QToolButton(this);
    go->setText(tr("Go"));
    go->setFocusPolicy(Qt::StrongFocus);
    layout->addWidget(go);
    problem_->setObjectName(QStringLiteral("problem"));
    layout->addWidget(problem_);
    connect(go, &QToolButton::clicked, this, &GoToBar::go);
    hide();
}

void GoToBar::open(const Place& counts, const Place& current) {
    const std::array ends{counts.layer, counts.channel, counts.token};
    const std::array values{current.layer, current.channel, current.token};
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        Field& field = fields_[i];
        field.count = ends[i];
        field.label->setText(tr("%1 (0\u2013%2)").arg(field.name, formatCount(std::max<std::int64_t>(0, ends[i] - 1))));
        field.edit->setText(QString::number(values[i]));
    }
    showProblem({});
    show();
    fields_.back().edit->selectAll();
    fields_.back().edit->setFocus(Qt::ShortcutFocusReason);
}

void GoToBar::showProblem(const QString& text) {
    problem_->setText(text);
    problem_->setVisible(!text.isEmpty());
    updateGeometry();
}

QString GoToBar::problem() const {
    return problem_->isHidden() ? QString() : problem_->text();
}

void GoToBar::go() {
    std::array<std::int64_t, 3> numbers{};
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        const Field& field = fields_[i];
        bool isNumber = false;
        const QString typed = field.edit->text().trimmed();
        numbers[i] = QString(typed).remove(u',').toLongLong(&isNumber);
        if (isNumber && numbers[i] >= 0 && numbers[i] < field.count)
            continue;
        showProblem(tr("No %1 \u201c%2\u201d: 0 to %3.")
                        .arg(field.name, typed, formatCount(std::max<std::int64_t>(0, field.count - 1))));
        field.edit->setFocus();
        return;
    }
    showProblem({});
    emit goRequested(numbers[0], numbers[1], numbers[2]);
}

void GoToBar::keyPressEvent(QKeyEvent* event) {
    switch (event->key()) {
    case Qt::Key_Return:
    case Qt::Key_Enter:
        go();
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
