// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/channel_terms.h"
#include "core/codec/symbol_layout.h"
#include "core/codec/symbol_parts.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvscope {

/// Prediction between channels within the coded rows of a plane: symbols [channel][coded row]. Borrows what it is made
/// of.
class SymbolTerms {
public:
    using Groups = std::array<bool, kMostRowGroups>;

    SymbolTerms(const ChannelTerms& terms, const std::vector<RowGroup>& groups)
        : terms_(terms)
        , groups_(groups)
        , rows_(codedRows(groups)) {}

    /// Groups whose rows it pays to predict. Terms hold for rows that are coded as they are; what references leave may
    /// be nothing but rounding.
    [[nodiscard]] Groups chooseGroups(const std::uint8_t* symbols) const;

    /// A channel's `symbols` less what its terms predict from `restored` in the groups that use them; returns the bits
    /// (times 2^8) that this seems to save, nothing above 0 where it cannot be.
    std::int64_t take(std::size_t channel, const Groups& uses, const std::uint8_t* restored,
                      const std::uint8_t* symbols, std::uint8_t* left) const;

    /// Puts the prediction of a channel back, in place; those before it are whole.
    void putBack(std::size_t channel, const Groups& uses, std::uint8_t* symbols) const;

private:
    const ChannelTerms& terms_;
    const std::vector<RowGroup>& groups_;
    std::size_t rows_;
};

} // namespace kvscope
