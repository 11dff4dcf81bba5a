// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/dequantised_source.h"

#include "core/base/checked.h"

#include <algorithm>
#include <cstring>

namespace kvscope {

namespace {

/// Values decoded at a time.
constexpr std::int64_t kRun = std::int64_t{16} * 1024;

class DequantisedSource final : public ByteSource {
public:
    DequantisedSource(ByteSourcePtr blocks, const GgmlType& type, std::int64_t values, std::int64_t hadamardSize)
        : blocks_(std::move(blocks))
        , type_(type)
        , values_(values)
        , hadamardSize_(hadamardSize)
        , unit_(std::max(type.blockValues, hadamardSize)) {}

    [[nodiscard]] std::int64_t size() const override { return values_ * 4; }
    [[nodiscard]] const std::string& name() const override { return blocks_->name(); }

    [[nodiscard]] Result<void> readAt(std::int64_t offset, std::span<std::byte> out) const override {
        if (offset < 0 || offset > size() || out.size() > static_cast<std::uint64_t>(size() - offset))
            return fail("needs values beyond the last of a quantised tensor", name(), "The file is truncated");
        if (out.empty())
            return {};
        std::vector<float> values;
        std::vector<std::byte> blocks;
        const auto end = offset + static_cast<std::int64_t>(out.size());
        const auto run = std::max(kRun / unit_, std::int64_t{1}) * unit_;
        for (auto first = offset / 4 / unit_ * unit_; first * 4 < end; first += run) {
            const auto stop = (std::min(end, (first + run) * 4) + 3) / 4;
            const auto count = (stop - first + unit_ - 1) / unit_ * unit_;
            values.resize(static_cast<std::size_t>(count));
            blocks.resize(static_cast<std::size_t>(count / type_.blockValues * type_.blockBytes));
            KVSCOPE_TRY(blocks_->readAt(first / type_.blockValues * type_.blockBytes, blocks));
            dequantise(type_, blocks, values);
            if (hadamardSize_ > 0)
                hadamard(values, hadamardSize_);
            const auto from = std::max(offset, first * 4);
            const auto to = std::min(end, (first + count) * 4);
            std::memcpy(out.data() + (from - offset), reinterpret_cast<const char*>(values.data()) + (from - first * 4),
                        static_cast<std::size_t>(to - from));
        }
        return {};
    }

private:
    ByteSourcePtr blocks_;
    GgmlType type_;
    std::int64_t values_;
    std::int64_t hadamardSize_;
    /// Values that can only be decoded together.
    std::int64_t unit_;
};

} // namespace

Result<ByteSourcePtr> dequantisedSource(ByteSourcePtr file, std::int64_t offset, const GgmlType& type,
                                        std::int64_t values, std::int64_t hadamardSize) {
    const auto bytes = checkedMul(values / type.blockValues, type.blockBytes);
    const auto unit = std::max(type.blockValues, hadamardSize);
    if (values < 0 || values % unit != 0 || !bytes || !checkedMul(values, 4))
        return fail("has " + std::to_string(values) + " values of type " + std::string(type.name) +
                        ", which are no whole blocks of " + std::to_string(unit),
                    file->name(), "The file is damaged");
    auto name = file->name();
    KVSCOPE_ASSIGN(auto blocks, subSource(std::move(file), offset, *bytes, std::move(name)));
    return ByteSourcePtr(std::make_shared<DequantisedSource>(std::move(blocks), type, values, hadamardSize));
}

} // namespace kvscope
