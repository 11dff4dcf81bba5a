// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/token_search.h"

#include <algorithm>

namespace kvscope::views {

std::vector<TokenMatch> findTokens(const TokenAxis& tokens, const QString& text) {
    std::vector<TokenMatch> matches;
    if (text.isEmpty() || !tokens.hasTexts())
        return matches;
    QString running;
    std::vector<qsizetype> ends;
    ends.reserve(static_cast<std::size_t>(tokens.slotCount()));
    for (std::int64_t slot = 0; slot < tokens.slotCount(); ++slot) {
        running += tokens.text(slot);
        ends.push_back(running.size());
    }
    const auto slotAt = [&ends](qsizetype letter) {
        return static_cast<std::int64_t>(std::upper_bound(ends.begin(), ends.end(), letter) - ends.begin());
    };
    for (qsizetype at = running.indexOf(text, 0, Qt::CaseInsensitive); at >= 0;
         at = running.indexOf(text, at + text.size(), Qt::CaseInsensitive)) {
        const TokenMatch match{slotAt(at), slotAt(at + text.size() - 1) + 1};
        if (matches.empty() || matches.back() != match)
            matches.push_back(match);
    }
    return matches;
}

} // namespace kvscope::views
