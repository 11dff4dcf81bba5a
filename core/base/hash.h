// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvscope {

/// XXH3, 64 bit: fast content hash for caches and checksums; not for security.
std::uint64_t hashBytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);

} // namespace kvscope
