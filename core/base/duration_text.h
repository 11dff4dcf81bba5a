// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace kvscope {

/// A duration for people: "0.25 ms", "800 ms", "1 second", "2.5 seconds"; three digits at most, but whole seconds.
std::string durationText(double seconds);

} // namespace kvscope
