// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/colour_scale.h"
#include "views/theme.h"

#include <QWidget>

class QLineEdit;

namespace kvscope::views {

/// What a colour bar says; drawn by paintColourBar in the window and in exported pictures alike.
struct ColourBarContents {
    ColourScale scale;
    /// What is measured, with its unit.
    QString label;
    /// The range is held fixed by the user.
    bool locked = false;
};

/// Draws a vertical colour bar: colours, ticks, both ends, clipping colours and the label along its right side.
void paintColourBar(QPainter& painter, const QRectF& area, const ColourBarContents& contents, const Theme& theme,
                    const QFont& font);
/// Width that it needs.
int colourBarWidth(const ColourBarContents& contents, const QFont& font);

/// The colour bar of a pane. Dragging an end changes the range (both ends at once on diverging maps), a double click or
/// Enter on an end types it, a double click in the middle or Delete returns to the automatic range.
class ColourBar : public QWidget {
    Q_OBJECT

public:
    explicit ColourBar(QWidget* parent = nullptr);

    void setContents(ColourBarContents contents);
    [[nodiscard]] const ColourBarContents& contents() const { return contents_; }

signals:
    /// While dragging.
    void rangeChanging(const kvscope::views::ValueRange& range);
    /// A change is complete: the drag ended, or a number was typed.
    void rangeEdited(const kvscope::views::ValueRange& range);
    void automaticRequested();

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    enum class End { None, Lower, Upper };

    [[nodiscard]] End endAt(const QPointF& position) const;
    /// The range with an end moved by a share of the bar's height (upwards positive).
    [[nodiscard]] ValueRange moved(const ValueRange& range, End end, double share) const;
    void startTyping(End end);
    void finishTyping();

    ColourBarContents contents_;
    QLineEdit* edit_;
    End typed_ = End::None;
    End dragged_ = End::None;
    QPointF pressed_;
    ValueRange pressedRange_;
};

} // namespace kvscope::views
