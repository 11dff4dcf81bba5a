// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/symbol_terms.h"

#include "core/codec/channel_kernels.h"
#include "core/codec/symbol_plan.h"

#include <algorithm>

namespace kvscope {

SymbolTerms::Groups SymbolTerms::chooseGroups(const std::uint8_t* symbols) const {
    Groups chosen{};
    if (groups_.size() == 1) {
        chosen[0] = true;
        return chosen;
    }
    std::vector<std::uint8_t> left(rows_);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        Groups only{};
        only[g] = true;
        std::int64_t saved = 0;
        for (std::size_t c = 0; c < terms_.channels(); ++c)
            saved += std::max<std::int64_t>(take(c, only, symbols, symbols + c * rows_, left.data()), 0);
        chosen[g] = saved > 0;
    }
    return chosen;
}

std::int64_t SymbolTerms::take(std::size_t channel, const Groups& uses, const std::uint8_t* restored,
                               const std::uint8_t* symbols, std::uint8_t* left) const {
    const auto terms = terms_.of(channel);
    if (terms.empty())
        return 0;
    constexpr std::int64_t kUseBits = 1 << 8;
    std::int64_t saved = -kUseBits;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        const std::size_t first = groups_[g].first;
        const std::size_t count = groups_[g].rows.size();
        if (!uses[g]) {
            std::copy_n(symbols + first, count, left + first);
            continue;
        }
        const TermSquares squares = takeTerms(terms, restored + first, rows_, count, symbols + first, left + first);
        if (!squares.within)
            return 0;
        saved += modelledBits(static_cast<std::int64_t>(count), squares.before) -
                 modelledBits(static_cast<std::int64_t>(count), squares.after);
    }
    return saved;
}

void SymbolTerms::putBack(std::size_t channel, const Groups& uses, std::uint8_t* symbols) const {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        if (const std::size_t first = groups_[g].first; uses[g])
            addTerms(terms_.of(channel), symbols + first, rows_, groups_[g].rows.size(),
                     symbols + channel * rows_ + first);
    }
}

} // namespace kvscope
