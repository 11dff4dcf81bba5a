// SPDX-License-Identifier: GPL-3.0-or-later
// How a chart answers to mouse and keys.
#include "views/chart_widget.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QToolTip>
#include <qcustomplot.h>

#include <algorithm>

namespace kvscope::views {

void ChartWidget::moveCursor(int step) {
    if (xs_.empty())
        return;
    const QCPRange visible = plot_->xAxis->range();
    qsizetype index = 0;
    if (cursor_) {
        index = std::lower_bound(xs_.begin(), xs_.end(), *cursor_) - xs_.begin() + step;
    } else {
        const double start = data_.selected.value_or(step > 0 ? visible.lower : visible.upper);
        index = std::lower_bound(xs_.begin(), xs_.end(), start) - xs_.begin();
    }
    index = std::clamp<qsizetype>(index, 0, static_cast<qsizetype>(xs_.size()) - 1);
    const double x = xs_[static_cast<std::size_t>(index)];
    if (!visible.contains(x))
        plot_->xAxis->setRange(x < visible.lower ? QCPRange(x, x + visible.size()) : QCPRange(x - visible.size(), x));
    plot_->replot(QCustomPlot::rpImmediateRefresh);
    setCursorX(x);
    const QPoint at(static_cast<int>(plot_->xAxis->coordToPixel(x)), plot_->axisRect()->top() + 8);
    showChartToolTip(plot_->mapToGlobal(at), describe(x), this);
}

void ChartWidget::zoomBy(double factor) {
    const double centre = cursor_.value_or(plot_->xAxis->range().center());
    plot_->xAxis->scaleRange(factor, centre);
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void ChartWidget::keyPressEvent(QKeyEvent* event) {
    const int stride = event->modifiers().testFlag(Qt::ShiftModifier) ? 10 : 1;
    switch (event->key()) {
    case Qt::Key_Left:
        moveCursor(-stride);
        return;
    case Qt::Key_Right:
        moveCursor(stride);
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (cursor_)
            emit picked(*cursor_);
        return;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        zoomBy(0.8);
        return;
    case Qt::Key_Minus:
        zoomBy(1.25);
        return;
    case Qt::Key_Home:
        goHome();
        return;
    case Qt::Key_Escape:
        if (cursor_) {
            setCursorX({});
            return;
        }
        break;
    default:
        break;
    }
    QWidget::keyPressEvent(event);
}

bool ChartWidget::eventFilter(QObject* watched, QEvent* event) {
    if (watched != plot_)
        return QWidget::eventFilter(watched, event);
    switch (event->type()) {
    case QEvent::Resize:
        // Of the plot, not of this widget: a hidden one gives its plot a size later than it gets one.
        fitLegend(plot_->width());
        fitTicks(plot_->size());
        break;
    case QEvent::MouseButtonPress: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        setFocus(Qt::MouseFocusReason);
        click_.press(*mouse);
        break;
    }
    case QEvent::MouseButtonRelease: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        const bool still = click_.release(*mouse);
        if (still && plot_->axisRect()->rect().contains(mouse->position().toPoint())) {
            if (const auto x = nearestX(plot_->xAxis->pixelToCoord(mouse->position().x())))
                emit picked(*x);
        }
        break;
    }
    case QEvent::MouseButtonDblClick:
        click_.forget();
        goHome();
        break;
    case QEvent::MouseMove: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        if (mouse->buttons() != Qt::NoButton)
            break;
        const QPointF here = mouse->position() + QPointF(plot_->pos());
        const QString text = toolTipAt(here);
        setCursorX(text.isEmpty() ? std::nullopt : nearestX(plot_->xAxis->pixelToCoord(mouse->position().x())));
        if (text.isEmpty() && !data_.explanation.isEmpty() &&
            !plot_->axisRect()->rect().contains(mouse->position().toPoint()))
            QToolTip::showText(mouse->globalPosition().toPoint(),
                               QStringLiteral("<p>") + data_.explanation.toHtmlEscaped() + QStringLiteral("</p>"),
                               this);
        else if (text.isEmpty())
            QToolTip::hideText();
        else
            showChartToolTip(mouse->globalPosition().toPoint(), text, this);
        break;
    }
    case QEvent::Leave:
        setCursorX({});
        break;
    default:
        break;
    }
    return QWidget::eventFilter(watched, event);
}

} // namespace kvscope::views
