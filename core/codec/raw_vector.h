// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace kvscope {

/// Leaves new numbers unset, for buffers that are filled at once.
template <class Number> class UnsetAllocator : public std::allocator<Number> {
public:
    static_assert(std::is_trivial_v<Number>);

    template <class Other> struct rebind { using other = UnsetAllocator<Other>; };

    UnsetAllocator() = default;
    template <class Other> explicit UnsetAllocator(const UnsetAllocator<Other>&) {}

    template <class Other> void construct(Other* place) { ::new (static_cast<void*>(place)) Other; }
    template <class Other, class... Arguments> void construct(Other* place, Arguments&&... arguments) {
        ::new (static_cast<void*>(place)) Other(std::forward<Arguments>(arguments)...);
    }
};

/// A vector whose resize() leaves what is new unset.
template <class Number> using RawVector = std::vector<Number, UnsetAllocator<Number>>;

} // namespace kvscope
