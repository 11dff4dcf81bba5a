// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace kvscope {

/// How the name of a kept pyramid ends.
inline constexpr std::string_view kPyramidExtension = ".kvpyramid";

/// Where pyramids are kept between runs, and how many bytes they may take together.
struct PyramidFolder {
    /// Empty where none are kept.
    std::filesystem::path path;
    /// Nothing: 10 GiB, or a tenth of what is free on that disk where this is less.
    std::optional<std::int64_t> limit;
};

/// The bytes that the folder may take; 0 when it has no path.
std::int64_t limitOf(const PyramidFolder& folder);

/// Makes room for a pyramid of `bytes` bytes: removes kept ones, those used longest ago first, until what is left and
/// the new one are within the limit. False, and nothing is removed, when the new one alone is above it. Pyramids that
/// are open stay readable; other files are left alone.
bool makeRoom(const PyramidFolder& folder, std::int64_t bytes);

} // namespace kvscope
