// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_plan_bar.h"

#include "views/chart_parts.h"
#include "views/codec_view.h"
#include "views/flow_layout.h"
#include "views/theme.h"

#include <QEvent>
#include <QMenu>
#include <QPainter>
#include <QPixmap>
#include <QToolButton>

namespace kvscope::views {

namespace {

constexpr int kChip = 10;

QIcon chip(const QColor& colour) {
    QPixmap picture(kChip, kChip);
    picture.fill(colour);
    return picture;
}

} // namespace

CodecPlanBar::CodecPlanBar(CodecSession& session, QWidget* parent)
    : QWidget(parent)
    , session_(&session)
    , row_(new FlowLayout(this, 4))
    , pin_(new QToolButton(this)) {
    row_->setContentsMargins(0, 0, 0, 0);
    for (std::size_t slot = 0; slot < CodecSession::kMaxPlans; ++slot) {
        auto* button = new QToolButton(this);
        button->setObjectName(QStringLiteral("plan") + CodecSession::letter(slot));
        button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
        button->setIconSize({kChip, kChip});
        button->setFocusPolicy(Qt::TabFocus);
        button->setAutoRaise(slot == 0);
        if (slot > 0) {
            button->setPopupMode(QToolButton::MenuButtonPopup);
            auto* menu = new QMenu(button);
            connect(menu->addAction(tr("Make it the current plan")), &QAction::triggered, this, [this, slot] {
                if (session_)
                    session_->makeCurrent(slot);
            });
            connect(menu->addAction(tr("Unpin")), &QAction::triggered, this, [this, slot] {
                if (session_)
                    session_->unpin(slot);
            });
            button->setMenu(menu);
            connect(button, &QToolButton::clicked, this, [this, slot] {
                if (session_)
                    session_->makeCurrent(slot);
            });
        }
        row_->addWidget(button);
        buttons_.push_back(button);
    }
    pin_->setObjectName(QStringLiteral("pinPlan"));
    pin_->setText(tr("Pin"));
    pin_->setToolTip(tr("Keep a copy of the current plan beside it, to compare (up to three)"));
    pin_->setFocusPolicy(Qt::TabFocus);
    row_->addWidget(pin_);
    connect(pin_, &QToolButton::clicked, session_, &CodecSession::pin);
    connect(session_, &CodecSession::plansChanged, this, &CodecPlanBar::refresh);
    refresh();
}

void CodecPlanBar::refresh() {
    if (!session_)
        return;
    for (std::size_t slot = 0; slot < buttons_.size(); ++slot) {
        QToolButton* button = buttons_[slot];
        const bool there = slot < session_->planCount();
        button->setVisible(there || slot == 0);
        if (!there) {
            if (slot == 0)
                button->setText(tr("choosing the first plan\u2026"));
            continue;
        }
        QString title = planTitle(*session_, slot);
        button->setIcon(chip(planColour(palette(), slot)));
        button->setToolTip(slot == 0 ? tr("The current plan: %1").arg(title)
                                     : tr("Click to make plan %1 the current one").arg(title));
        button->setText(fontMetrics().elidedText(title, Qt::ElideMiddle, fontMetrics().averageCharWidth() * 26));
    }
    pin_->setEnabled(session_->planCount() > 0 && session_->planCount() < CodecSession::kMaxPlans);
}

QRectF CodecPlanBar::paintTo(QPainter& painter, const QRectF& target) const {
    if (!session_)
        return target;
    const Theme theme = Theme::from(palette());
    painter.save();
    painter.setFont(chartFont(*this));
    const QFontMetricsF metrics(painter.font());
    double x = target.left() + 4;
    double y = target.top() + 2;
    for (std::size_t slot = 0; slot < session_->planCount(); ++slot) {
        const QString title = planTitle(*session_, slot);
        const double width = kChip + 6 + metrics.horizontalAdvance(title) + 16;
        if (x + width > target.right() && x > target.left() + 4) {
            x = target.left() + 4;
            y += metrics.height() + 4;
        }
        painter.fillRect(QRectF(x, y + (metrics.height() - kChip) / 2, kChip, kChip), planColour(palette(), slot));
        painter.setPen(theme.text);
        painter.drawText(QPointF(x + kChip + 6, y + metrics.ascent()), title);
        x += width;
    }
    painter.restore();
    return target.adjusted(0, y - target.top() + metrics.height() + 6, 0, 0);
}

void CodecPlanBar::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange)
        refresh();
    QWidget::changeEvent(event);
}

} // namespace kvscope::views
