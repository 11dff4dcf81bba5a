// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kvscope {

/// Reads a byte source from front to back through a small buffer; all numbers are little-endian. Errors say at which
/// byte the stream ended.
class SequentialReader {
public:
    SequentialReader(const ByteSource& source, std::int64_t offset)
        : source_(source)
        , position_(offset) {}

    /// Offset in the source of the next byte.
    [[nodiscard]] std::int64_t position() const { return position_; }
    [[nodiscard]] std::int64_t remaining() const { return source_.size() - position_; }
    [[nodiscard]] const std::string& name() const { return source_.name(); }

    [[nodiscard]] Result<std::uint8_t> byte();
    /// An unsigned number of 1 to 8 bytes.
    [[nodiscard]] Result<std::uint64_t> number(int bytes);
    /// `count` bytes; the caller bounds what may be kept.
    [[nodiscard]] Result<std::string> text(std::uint64_t count);
    /// Up to the next newline, which is consumed and not returned.
    [[nodiscard]] Result<std::string> line(std::int64_t limit);
    [[nodiscard]] Result<void> skip(std::uint64_t count);

private:
    [[nodiscard]] tl::unexpected<Error> ended(std::uint64_t needed) const;

    const ByteSource& source_;
    std::int64_t position_ = 0;
    std::int64_t bufferBegin_ = 0;
    std::vector<std::byte> buffer_;
};

} // namespace kvscope
