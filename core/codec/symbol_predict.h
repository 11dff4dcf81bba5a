// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"
#include "core/codec/symbol_layout.h"

#include <cstdint>
#include <type_traits>

/// The prediction steps of the integer coder, for every machine that runs them. `Number` is int16_t or int32_t;
/// arithmetic is modulo its size.
namespace kvscope {

template <class Number> KVSCOPE_HD constexpr Number wrapped(std::uint32_t value) {
    return static_cast<Number>(static_cast<std::make_unsigned_t<Number>>(value));
}

/// weight / 8 of a number, halves up.
template <class Number> KVSCOPE_HD constexpr Number weighted(Number number, std::uint32_t weight) {
    const auto product = wrapped<Number>(static_cast<std::uint32_t>(number) * weight + kWholeWeight / 2);
    return static_cast<Number>(product >> 3);
}

template <class Number> KVSCOPE_HD constexpr Number plus(Number a, Number b) {
    return wrapped<Number>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

template <class Number> KVSCOPE_HD constexpr Number minus(Number a, Number b) {
    return wrapped<Number>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
}

/// What row t predicts for a channel; `column` points at the channel's number (less its mean) of row 0, rows are
/// `stride` apart.
template <class Number>
KVSCOPE_HD constexpr Number predicted(const SymbolChannel& channel, const SymbolRow& row, std::int64_t t,
                                      const Number* column, std::int64_t stride) {
    switch (channel.mode) {
    case SymbolMode::Reference:
        return row.distance > 0 ? weighted(column[(t - row.distance) * stride], row.weight) : Number{0};
    case SymbolMode::Previous:
        return t > 0 ? weighted(column[(t - 1) * stride], channel.weight) : Number{0};
    case SymbolMode::Anchor:
        return t % kAnchorGroup != 0 ? column[(t - t % kAnchorGroup) * stride] : Number{0};
    case SymbolMode::Mean:
        break;
    }
    return 0;
}

} // namespace kvscope
