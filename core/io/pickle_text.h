// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace kvscope {

/// Undoes the escapes of pickle protocol 0: \uXXXX and \UXXXXXXXX of unicode strings (the rest is Latin-1), or those
/// of a Python 2 string literal.
std::string unescapePickled(std::string_view raw, bool unicode);

/// UTF-8 back to the bytes it stands for in Latin-1 (how protocol 2 writes bytes).
std::string latin1FromUtf8(std::string_view utf8);

} // namespace kvscope
