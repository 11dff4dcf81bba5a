// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/symbol_kernels.h"
#include "core/codec/symbol_layout.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvscope {

/// The modes of the channels of a narrow plane as the loops want them.
class NarrowModes {
public:
    explicit NarrowModes(const std::vector<SymbolChannel>& channels)
        : factors_(3 * channels.size()) {
        const std::size_t count = channels.size();
        for (std::size_t c = 0; c < count; ++c) {
            const SymbolChannel& channel = channels[c];
            used_[static_cast<std::size_t>(channel.mode)] = true;
            if (channel.mode == SymbolMode::Previous)
                factors_[count + c] = channel.weight;
            else if (channel.mode != SymbolMode::Mean)
                factors_[(channel.mode == SymbolMode::Reference ? 0 : 2 * count) + c] = -1;
        }
    }

    [[nodiscard]] ModeFactors factors() const {
        const std::size_t count = factors_.size() / 3;
        return {factors_.data(), factors_.data() + count, factors_.data() + 2 * count};
    }

    /// What token t is predicted from; `now` points at its numbers, rows are `channels` apart.
    [[nodiscard]] ModeRows rows(const SymbolRow& row, std::size_t t, const std::int16_t* now,
                                std::size_t channels) const {
        ModeRows from;
        from.weight = row.weight;
        if (row.distance > 0 && uses(SymbolMode::Reference))
            from.reference = now - row.distance * channels;
        if (t > 0 && uses(SymbolMode::Previous))
            from.previous = now - channels;
        if (t % kAnchorGroup != 0 && uses(SymbolMode::Anchor))
            from.anchor = now - t % kAnchorGroup * channels;
        return from;
    }

private:
    [[nodiscard]] bool uses(SymbolMode mode) const { return used_[static_cast<std::size_t>(mode)]; }

    std::vector<std::int16_t> factors_;
    std::array<bool, kSymbolModes> used_{};
};

} // namespace kvscope
