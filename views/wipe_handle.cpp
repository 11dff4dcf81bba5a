// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/wipe_handle.h"

#include "views/heatmap_plot.h"
#include "views/theme.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {
constexpr int kWidth = 15;
constexpr int kGripHeight = 44;
constexpr double kStep = 0.01;
constexpr double kStride = 0.1;
} // namespace

WipeHandle::WipeHandle(HeatmapPlot* plot, const QString& name)
    : QWidget(plot)
    , plot_(plot)
    , line_(new QCPItemLine(plot)) {
    setAccessibleName(name);
    setToolTip(tr("%1: drag, or move with Left and Right (Shift: ten times as far)").arg(name));
    setCursor(Qt::SplitHCursor);
    setFocusPolicy(Qt::StrongFocus);
    line_->setLayer(QStringLiteral("overlay"));
    for (QCPItemPosition* end : {line_->start, line_->end})
        end->setType(QCPItemPosition::ptAxisRectRatio);
    setShown(false);
}

void WipeHandle::setPlace(double place) {
    place_ = std::clamp(place, least_, std::max(least_, most_));
    line_->start->setCoords(place_, 0);
    line_->end->setCoords(place_, 1);
    follow();
}

void WipeHandle::setLimits(double least, double most) {
    least_ = least;
    most_ = most;
    setPlace(place_);
}

void WipeHandle::follow() {
    const QRect area = plot_->axisRect()->rect();
    setGeometry(area.left() + static_cast<int>(std::lround(place_ * area.width())) - kWidth / 2, area.top(), kWidth,
                std::max(1, area.height()));
    const QColor colour = Theme::from(palette()).text;
    line_->setPen(QPen(colour, 2));
}

void WipeHandle::setShown(bool shown) {
    setVisible(shown);
    line_->setVisible(shown);
}

void WipeHandle::edit(double place) {
    const double before = place_;
    setPlace(place);
    if (place_ != before)
        emit moved(place_);
}

void WipeHandle::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton)
        return;
    dragging_ = true;
    grip_ = event->position().x() - kWidth / 2.0;
    setFocus(Qt::MouseFocusReason);
    event->accept();
}

void WipeHandle::mouseMoveEvent(QMouseEvent* event) {
    if (!dragging_)
        return;
    const QRect area = plot_->axisRect()->rect();
    const double x = mapToParent(event->position()).x() - grip_;
    edit((x - area.left()) / std::max(1, area.width()));
    event->accept();
}

void WipeHandle::mouseReleaseEvent(QMouseEvent* event) {
    dragging_ = false;
    event->accept();
}

void WipeHandle::mouseDoubleClickEvent(QMouseEvent* event) {
    event->accept();
}

void WipeHandle::keyPressEvent(QKeyEvent* event) {
    const double step = event->modifiers().testFlag(Qt::ShiftModifier) ? kStride : kStep;
    switch (event->key()) {
    case Qt::Key_Left:
        edit(place_ - step);
        return;
    case Qt::Key_Right:
        edit(place_ + step);
        return;
    case Qt::Key_Home:
        edit(least_);
        return;
    case Qt::Key_End:
        edit(most_);
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

void WipeHandle::paintEvent(QPaintEvent* /*event*/) {
    const Theme theme = Theme::from(palette());
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const QRectF grip(2.5, (height() - kGripHeight) / 2.0, kWidth - 5, kGripHeight);
    painter.setPen(QPen(hasFocus() ? theme.selection : theme.text, hasFocus() ? 2 : 1));
    painter.setBrush(theme.background);
    painter.drawRoundedRect(grip, 4, 4);
    for (const double x : {-2.0, 2.0})
        painter.drawLine(QPointF(grip.center().x() + x, grip.center().y() - 8),
                         QPointF(grip.center().x() + x, grip.center().y() + 8));
}

void WipeHandle::focusInEvent(QFocusEvent* event) {
    QWidget::focusInEvent(event);
    update();
}

void WipeHandle::focusOutEvent(QFocusEvent* event) {
    QWidget::focusOutEvent(event);
    update();
}

} // namespace kvscope::views
