// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/kv/kv_cache.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvscope {

/// What is shown or measured of a plane.
enum class Quantity : std::uint8_t {
    Value,
    Magnitude,        ///< |value|
    DeltaPrevious,    ///< value minus the previous token's; the first token's delta is 0 (NaN where it is not finite)
    DeltaAnchor,      ///< value minus that of the first token of its group of 10 (CacheGen's anchor); 0 at the anchors
    ChannelDeviation, ///< value minus the channel's mean over all tokens
    KeyBeforeRope     ///< K with RoPE undone (or the recording the dump holds); K planes only
};
inline constexpr std::array kAllQuantities{Quantity::Value,       Quantity::Magnitude,        Quantity::DeltaPrevious,
                                           Quantity::DeltaAnchor, Quantity::ChannelDeviation, Quantity::KeyBeforeRope};
inline constexpr std::int64_t kAnchorGroup = 10;

/// "value", "|value|", "delta to previous token", ...
std::string_view nameOf(Quantity quantity);

/// Whether a quantity can be negative (and so wants a diverging colour map).
constexpr bool isSigned(Quantity quantity) {
    return quantity != Quantity::Magnitude;
}

/// Whether the quantity can be had for a plane of this cache (RoPE must be known or recorded for KeyBeforeRope).
bool isAvailable(const KvCache& cache, Quantity quantity, PlaneId plane);

/// Reads rows of a derived quantity as float32 [tokens.size()][channels]; all channels. `channelMeans` is needed by
/// ChannelDeviation alone and holds one mean per channel. Reads at most one row beyond the range.
Result<void> readQuantity(const KvCache& cache, Quantity quantity, PlaneId plane, TokenRange tokens,
                          std::span<const float> channelMeans, std::span<float> out);

} // namespace kvscope
