// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <QWidget>

class QCPItemLine;

namespace kvscope::views {

class HeatmapPlot;

/// A vertical border between two sides of a picture that the mouse and the keyboard move: drag; Left and Right by a
/// hundredth of the width (with Shift a tenth), Home and End as far as it goes.
class WipeHandle : public QWidget {
    Q_OBJECT

public:
    WipeHandle(HeatmapPlot* plot, const QString& name);

    /// Place as a share of the picture's width.
    [[nodiscard]] double place() const { return place_; }
    /// Moves to a place within the limits.
    void setPlace(double place);
    /// How far it goes.
    void setLimits(double least, double most);
    /// Takes its position from the picture's.
    void follow();
    void setShown(bool shown);

signals:
    void moved(double place);

protected:
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;

private:
    void edit(double place);

    HeatmapPlot* plot_;
    QCPItemLine* line_;
    double place_ = 0.5;
    double least_ = 0;
    double most_ = 1;
    /// Where in the handle the mouse took it; nothing while it does not drag.
    double grip_ = 0;
    bool dragging_ = false;
};

} // namespace kvscope::views
