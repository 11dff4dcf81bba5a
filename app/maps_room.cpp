// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/maps_room.h"

#include <QEvent>
#include <QScrollBar>

#include <algorithm>

namespace kvscope::app {

namespace {
constexpr int kLeastHeight = 120;
}

MapsRoom::MapsRoom(QWidget* maps, QWidget* parent)
    : QScrollArea(parent) {
    setFrameShape(QFrame::NoFrame);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setWidgetResizable(true);
    setWidget(maps);
    // Only what it holds takes the keys.
    setFocusPolicy(Qt::NoFocus);
}

QSize MapsRoom::minimumSizeHint() const {
    const QSize least = widget()->minimumSizeHint();
    // Beside the bar that appears where the height is not enough.
    return {least.width() + verticalScrollBar()->sizeHint().width(), std::min(least.height(), kLeastHeight)};
}

QSize MapsRoom::sizeHint() const {
    return widget()->sizeHint();
}

bool MapsRoom::eventFilter(QObject* watched, QEvent* event) {
    if (watched == widget() && event->type() == QEvent::LayoutRequest)
        updateGeometry();
    return QScrollArea::eventFilter(watched, event);
}

} // namespace kvscope::app
