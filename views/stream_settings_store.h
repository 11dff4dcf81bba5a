// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/stream_settings.h"

#include <QByteArray>

namespace kvscope::views {

/// All of the settings as bytes that streamSettingsFrom() reads again, for layouts that people save.
QByteArray toBytes(const StreamSettings& settings);

/// Errors: bytes that toBytes() did not write, and settings that cannot be simulated.
Result<StreamSettings> streamSettingsFrom(const QByteArray& bytes);

} // namespace kvscope::views
