// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStringList>

namespace kvscope::app {

/// Dumps opened before, the newest first; those that are gone are left out.
QStringList recentFiles();
/// Puts a path in front.
void rememberFile(const QString& path);
void forgetRecentFiles();

/// Dumps that come with the program, in the order to offer them; empty when they are not installed.
QStringList sampleDumps();

} // namespace kvscope::app
