// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/screen_fit.h"

#include <QScreen>
#include <QStyle>

namespace kvscope::app {

void resizeWithinScreen(QWidget& window, const QSize& wanted) {
    const QScreen* screen = window.screen();
    if (screen == nullptr) {
        window.resize(wanted);
        return;
    }
    // The frame is not known before the desktop has made it; a title bar of the style's is about as high.
    const int title = window.style()->pixelMetric(QStyle::PM_TitleBarHeight, nullptr, &window);
    const int border = window.style()->pixelMetric(QStyle::PM_MdiSubWindowFrameWidth, nullptr, &window);
    const QSize room = screen->availableSize() - QSize(2 * border, title + border);
    window.resize(wanted.boundedTo(room));
}

} // namespace kvscope::app
