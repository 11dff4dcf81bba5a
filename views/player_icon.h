// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QIcon>
#include <QPalette>

#include <cstdint>

namespace kvscope::views {

enum class PlayerSign : std::uint8_t { Rewind, Play, Pause };

/// A sign in the colour of the buttons' text: the style's own are dark in a dark theme as well.
QIcon playerIcon(const QPalette& palette, PlayerSign sign);

} // namespace kvscope::views
