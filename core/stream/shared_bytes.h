// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace kvscope {

/// Bytes that do not change any more; copies share them.
class SharedBytes {
public:
    SharedBytes() = default;
    SharedBytes(std::shared_ptr<const std::byte> data, std::size_t size)
        : data_(std::move(data))
        , size_(size) {}
    explicit SharedBytes(std::vector<std::byte> bytes) {
        const auto held = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
        data_ = std::shared_ptr<const std::byte>(held, held->data());
        size_ = held->size();
    }

    [[nodiscard]] std::span<const std::byte> span() const { return {data_.get(), size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    std::shared_ptr<const std::byte> data_;
    std::size_t size_ = 0;
};

} // namespace kvscope
