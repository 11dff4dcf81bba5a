// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/shared_bytes.h"

#include <cstddef>
#include <memory>
#include <span>

namespace kvscope {

/// Memory for what arrives, in large blocks that the system maps in a few big pages: one thread takes all bytes off the
/// sockets, and would spend most of its time on faults of small pages. A block lives as long as anything in it. For one
/// thread; throws std::bad_alloc.
class ReceiveArena {
public:
    [[nodiscard]] std::shared_ptr<std::byte> take(std::size_t bytes);

private:
    std::shared_ptr<std::byte> block_;
    std::size_t used_ = 0;
};

/// A part on its way. Takes memory for what has come, and for some more so that small parts are never moved, whatever
/// size was announced.
class ReceiveBuffer {
public:
    [[nodiscard]] std::size_t size() const { return size_; }
    /// Room for the next `bytes` of a part of `whole` bytes, which they must not exceed; nothing is appended yet.
    std::span<std::byte> room(ReceiveArena& arena, std::size_t bytes, std::size_t whole);
    /// Appends bytes; those that already lie in that room are not moved.
    void add(ReceiveArena& arena, std::span<const std::byte> bytes, std::size_t whole);
    /// Forgets what has come; its memory is used again.
    void clear() { size_ = 0; }
    /// Hands out what has come and starts anew.
    SharedBytes finish();

private:
    std::shared_ptr<std::byte> data_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
};

} // namespace kvscope
