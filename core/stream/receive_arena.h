// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace kvscope {

/// Bytes as they arrived; copies share them.
class ReceivedBytes {
public:
    ReceivedBytes() = default;
    ReceivedBytes(std::shared_ptr<const std::byte> data, std::size_t size)
        : data_(std::move(data))
        , size_(size) {}

    [[nodiscard]] std::span<const std::byte> span() const { return {data_.get(), size_}; }

private:
    std::shared_ptr<const std::byte> data_;
    std::size_t size_ = 0;
};

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
    /// Appends bytes of a part of `whole` bytes, which it must not exceed.
    void add(ReceiveArena& arena, std::span<const std::byte> bytes, std::size_t whole);
    /// Forgets what has come; its memory is used again.
    void clear() { size_ = 0; }
    /// Hands out what has come and starts anew.
    ReceivedBytes finish();

private:
    std::shared_ptr<std::byte> data_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
};

} // namespace kvscope
