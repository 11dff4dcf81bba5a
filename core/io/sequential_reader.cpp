// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/sequential_reader.h"

#include <algorithm>

namespace kvscope {

namespace {

constexpr std::int64_t kBufferBytes = std::int64_t{64} * 1024;

} // namespace

tl::unexpected<Error> SequentialReader::ended(std::uint64_t needed) const {
    return fail("needs " + std::to_string(needed) + " more bytes at byte " + std::to_string(position_) +
                    " but ends at " + std::to_string(source_.size()),
                name(), "The file is truncated or damaged");
}

Result<std::uint8_t> SequentialReader::byte() {
    if (remaining() <= 0)
        return ended(1);
    if (position_ < bufferBegin_ || position_ >= bufferBegin_ + static_cast<std::int64_t>(buffer_.size())) {
        KVSCOPE_ASSIGN(buffer_, source_.read(position_, std::min(kBufferBytes, remaining())));
        bufferBegin_ = position_;
    }
    const auto value = static_cast<std::uint8_t>(buffer_[static_cast<std::size_t>(position_ - bufferBegin_)]);
    ++position_;
    return value;
}

Result<std::uint64_t> SequentialReader::number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) {
        KVSCOPE_ASSIGN(const std::uint64_t next, byte());
        value |= next << (8 * i);
    }
    return value;
}

Result<std::string> SequentialReader::text(std::uint64_t count) {
    if (remaining() < 0 || count > static_cast<std::uint64_t>(remaining()))
        return ended(count);
    std::string text;
    if (count <= static_cast<std::uint64_t>(kBufferBytes)) {
        text.reserve(static_cast<std::size_t>(count));
        for (std::uint64_t i = 0; i < count; ++i) {
            KVSCOPE_ASSIGN(const auto next, byte());
            text.push_back(static_cast<char>(next));
        }
        return text;
    }
    KVSCOPE_ASSIGN(const auto bytes, source_.read(position_, static_cast<std::int64_t>(count)));
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    position_ += static_cast<std::int64_t>(count);
    return text;
}

Result<std::string> SequentialReader::line(std::int64_t limit) {
    const auto begin = position_;
    std::string line;
    while (true) {
        KVSCOPE_ASSIGN(const auto next, byte());
        if (next == '\n')
            return line;
        if (static_cast<std::int64_t>(line.size()) >= limit)
            return fail("the line at byte " + std::to_string(begin) + " is longer than " + std::to_string(limit) +
                            " bytes",
                        name(), "The file is damaged");
        line.push_back(static_cast<char>(next));
    }
}

Result<void> SequentialReader::skip(std::uint64_t count) {
    if (remaining() < 0 || count > static_cast<std::uint64_t>(remaining()))
        return ended(count);
    position_ += static_cast<std::int64_t>(count);
    return {};
}

} // namespace kvscope
