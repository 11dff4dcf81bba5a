// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

namespace kvscope::app {

/// Whether the first argument names a command (or asks for help or the version) rather than a file.
bool isCommand(std::string_view argument);

/// Runs a command without a window. Returns the exit code: 0 done, 1 bad input (one line on stderr), 2 bad usage.
int runCommand(int argc, char** argv);

} // namespace kvscope::app
