// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_codec.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace kvscope {

std::int64_t PartBytes::total() const {
    return std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
}

PartBytes& PartBytes::operator+=(const PartBytes& other) {
    std::ranges::transform(bytes, other.bytes, bytes.begin(), std::plus<>());
    return *this;
}

} // namespace kvscope
