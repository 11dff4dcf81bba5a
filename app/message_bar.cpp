// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/message_bar.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>

namespace kvscope::app {

MessageBar::MessageBar(QWidget* parent)
    : QFrame(parent)
    , label_(new QLabel(this))
    , remedy_(new QPushButton(this)) {
    setObjectName(QStringLiteral("messageBar"));
    setFrameShape(QFrame::StyledPanel);
    setAutoFillBackground(true);
    setStyleSheet(QStringLiteral(
        "#messageBar { background: #8c2d04; } #messageBar QLabel, #messageBar QToolButton { color: white; }"));
    label_->setWordWrap(true);
    label_->setTextFormat(Qt::PlainText);
    label_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    auto* dismiss = new QToolButton(this);
    dismiss->setText(tr("Dismiss"));
    dismiss->setAutoRaise(true);
    remedy_->setObjectName(QStringLiteral("remedy"));
    connect(remedy_, &QPushButton::clicked, this, [this] {
        hide();
        // A copy: the remedy may show the next message, which replaces it.
        if (const auto apply = apply_)
            apply();
    });
    connect(dismiss, &QToolButton::clicked, this, &QWidget::hide);
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(10, 4, 4, 4);
    layout->addWidget(label_, 1);
    layout->addWidget(remedy_, 0, Qt::AlignTop);
    layout->addWidget(dismiss, 0, Qt::AlignTop);
    hide();
}

void MessageBar::showError(const QString& text) {
    showError(text, {}, {});
}

void MessageBar::showError(const QString& text, const QString& remedy, std::function<void()> apply) {
    label_->setText(text);
    apply_ = std::move(apply);
    remedy_->setText(remedy);
    remedy_->setVisible(!remedy.isEmpty());
    show();
}

QString MessageBar::text() const {
    return isHidden() ? QString() : label_->text();
}

} // namespace kvscope::app
