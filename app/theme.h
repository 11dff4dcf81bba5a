// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

namespace kvscope::app {

enum class ThemeChoice { System, Light, Dark };

/// Remembered choice; System when there is none.
ThemeChoice savedTheme();
void saveTheme(ThemeChoice choice);
/// Gives the whole application the style and palette of a theme.
void applyTheme(ThemeChoice choice);

} // namespace kvscope::app
