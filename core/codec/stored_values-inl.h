// SPDX-License-Identifier: GPL-3.0-or-later
// Read once for every instruction set, from files that are compiled for each (Highway).
#if defined(KVSCOPE_STORED_VALUES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef KVSCOPE_STORED_VALUES_INL_H
#undef KVSCOPE_STORED_VALUES_INL_H
#else
#define KVSCOPE_STORED_VALUES_INL_H
#endif

#include "core/base/float_formats.h"

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace kvscope::HWY_NAMESPACE {

/// Whether PromoteTo is the machine's own; in software it takes infinities for numbers.
constexpr bool kConvertsHalf =
    HWY_TARGET != HWY_SSSE3 && HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR;

/// Values as they are stored, read as float32.
template <class Stored> struct Values {
    const std::byte* first;

    /// A vector at index i.
    template <class Tag> HWY_ATTR auto at(Tag tag, std::size_t i) const {
        if constexpr (std::is_same_v<Stored, hwy::float16_t> && !kConvertsHalf) {
            alignas(64) float values[hwy::HWY_NAMESPACE::MaxLanes(tag)];
            for (std::size_t lane = 0; lane < hwy::HWY_NAMESPACE::Lanes(tag); ++lane)
                values[lane] = (*this)[i + lane];
            return hwy::HWY_NAMESPACE::Load(tag, values);
        }
        const hwy::HWY_NAMESPACE::Rebind<Stored, Tag> stored;
        const auto loaded =
            hwy::HWY_NAMESPACE::LoadU(stored, reinterpret_cast<const Stored*>(first + i * sizeof(Stored)));
        if constexpr (std::is_same_v<Stored, float>)
            return loaded;
        else
            return hwy::HWY_NAMESPACE::PromoteTo(tag, loaded);
    }
    [[nodiscard]] float operator[](std::size_t i) const {
        if constexpr (std::is_same_v<Stored, float>) {
            float value = 0;
            std::memcpy(&value, first + i * sizeof value, sizeof value);
            return value;
        } else {
            std::uint16_t bits = 0;
            std::memcpy(&bits, first + i * sizeof bits, sizeof bits);
            return std::is_same_v<Stored, hwy::float16_t> ? floatFromHalf(bits) : floatFromBfloat(bits);
        }
    }
};

} // namespace kvscope::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
