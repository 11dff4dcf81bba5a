// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/receive_arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace kvscope {

namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;
constexpr std::size_t kBlock = 4 * kPage;
constexpr std::size_t kAlign = 64;
/// Parts up to here have their room at once.
constexpr std::size_t kAtOnce = std::size_t{1} << 20;

std::shared_ptr<std::byte> makeBlock(std::size_t bytes) {
    const std::size_t whole = (bytes + kPage - 1) / kPage * kPage;
    auto* data = static_cast<std::byte*>(std::aligned_alloc(kPage, whole));
    if (data == nullptr)
        throw std::bad_alloc();
    std::shared_ptr<std::byte> block(data, [](std::byte* held) { std::free(held); });
    // Only a hint: without big pages it works as well, slower.
    (void)madvise(data, whole, MADV_HUGEPAGE);
    return block;
}

} // namespace

std::shared_ptr<std::byte> ReceiveArena::take(std::size_t bytes) {
    if (bytes > kBlock / 4)
        return makeBlock(bytes);
    const std::size_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
    if (block_ == nullptr || used_ + rounded > kBlock) {
        block_ = makeBlock(kBlock);
        used_ = 0;
    }
    std::byte* place = block_.get() + used_;
    used_ += rounded;
    return {block_, place};
}

std::span<std::byte> ReceiveBuffer::room(ReceiveArena& arena, std::size_t bytes, std::size_t whole) {
    const std::size_t needed = size_ + bytes;
    if (needed > capacity_) {
        const std::size_t capacity = std::max(needed, std::min(whole, std::max(kAtOnce, 2 * capacity_)));
        auto larger = arena.take(capacity);
        if (size_ > 0)
            std::memcpy(larger.get(), data_.get(), size_);
        data_ = std::move(larger);
        capacity_ = capacity;
    }
    return {data_.get() + size_, bytes};
}

void ReceiveBuffer::add(ReceiveArena& arena, std::span<const std::byte> bytes, std::size_t whole) {
    if (bytes.empty())
        return;
    const auto place = room(arena, bytes.size(), whole);
    if (place.data() != bytes.data())
        std::memcpy(place.data(), bytes.data(), bytes.size());
    size_ += bytes.size();
}

SharedBytes ReceiveBuffer::finish() {
    SharedBytes bytes(std::move(data_), size_);
    data_.reset();
    capacity_ = size_ = 0;
    return bytes;
}

} // namespace kvscope
