// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/token_axis.h"
#include "views/token_strip.h"

#include <QString>

#include <vector>

namespace kvscope::views {

/// Slots whose running text contains `text`, ignoring case; a find may span several tokens. Works through all tokens:
/// call it from a worker. Overlapping finds are reported once, in order.
std::vector<TokenMatch> findTokens(const TokenAxis& tokens, const QString& text);

} // namespace kvscope::views
