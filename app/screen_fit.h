// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QSize>
#include <QWidget>

namespace kvscope::app {

/// Makes a window or dialog as large as wanted, or as there is room for on its screen, the frame that the desktop puts
/// around it included.
void resizeWithinScreen(QWidget& window, const QSize& wanted);

} // namespace kvscope::app
