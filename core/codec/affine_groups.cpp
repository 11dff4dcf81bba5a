// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/affine_groups.h"

#include "core/codec/affine_step.h"

namespace kvscope {

namespace {

/// Appends the groups along `lines` lines of `length` values.
void addLines(std::vector<ValueGroup>& groups, std::int64_t lines, std::int64_t lineStride, std::int64_t length,
              std::int64_t valueStride, std::int64_t group) {
    const std::int64_t step = group > 0 ? std::min(group, length) : length;
    for (std::int64_t line = 0; line < lines; ++line) {
        for (std::int64_t at = 0; at < length; at += step)
            groups.push_back({line * lineStride + at * valueStride, std::min(step, length - at), valueStride});
    }
}

} // namespace

std::vector<ValueGroup> groupsOf(const GroupLayout& layout) {
    std::vector<ValueGroup> groups;
    switch (layout.axis) {
    case ScaleAxis::Token:
        addLines(groups, layout.tokens, layout.channels, layout.channels, 1, layout.group);
        break;
    case ScaleAxis::Head:
        addLines(groups, layout.tokens * layout.channels / layout.headDim, layout.headDim, layout.headDim, 1,
                 layout.group);
        break;
    case ScaleAxis::Channel:
        addLines(groups, layout.channels, 1, layout.tokens, layout.channels, layout.group);
        break;
    case ScaleAxis::Plane:
        addLines(groups, 1, 0, layout.tokens * layout.channels, 1, 0);
        break;
    }
    return groups;
}

void quantiseGroups(const GroupLayout& layout, int bits, bool symmetric, ScaleFormat format,
                    std::span<const float> values, std::span<std::uint16_t> symbols, Bytes& scales) {
    const int middle = symmetricMiddle(bits);
    const int most = (1 << bits) - 1;
    for (const ValueGroup& group : groupsOf(layout)) {
        const float* value = values.data() + group.first;
        std::uint16_t* symbol = symbols.data() + group.first;
        float least = *value;
        float greatest = *value;
        for (std::int64_t i = 1; i < group.count; ++i) {
            least = std::min(least, value[i * group.stride]);
            greatest = std::max(greatest, value[i * group.stride]);
        }
        if (symmetric) {
            const float largest = std::max(std::fabs(least), std::fabs(greatest));
            const float scale = roundedTo(format, largest / static_cast<float>(middle));
            putScale(scales, format, scale);
            for (std::int64_t i = 0; i < group.count; ++i)
                symbol[i * group.stride] = symmetricSymbol(value[i * group.stride], scale, middle);
        } else {
            const float zero = roundedTo(format, least);
            const float scale = roundedTo(format, (greatest - least) / static_cast<float>(most));
            putScale(scales, format, scale);
            putScale(scales, format, zero);
            for (std::int64_t i = 0; i < group.count; ++i)
                symbol[i * group.stride] = affineSymbol(value[i * group.stride], zero, scale, most);
        }
    }
}

Result<void> dequantiseGroups(const GroupLayout& layout, int bits, bool symmetric, ScaleFormat format,
                              std::span<const std::uint16_t> symbols, ByteReader& scales, std::span<float> values) {
    const int middle = symmetricMiddle(bits);
    for (const ValueGroup& group : groupsOf(layout)) {
        const std::uint16_t* symbol = symbols.data() + group.first;
        float* value = values.data() + group.first;
        KVSCOPE_ASSIGN(const float scale, readScale(scales, format));
        if (symmetric) {
            for (std::int64_t i = 0; i < group.count; ++i)
                value[i * group.stride] = symmetricValue(symbol[i * group.stride], scale, middle);
        } else {
            KVSCOPE_ASSIGN(const float zero, readScale(scales, format));
            for (std::int64_t i = 0; i < group.count; ++i)
                value[i * group.stride] = affineValue(symbol[i * group.stride], zero, scale);
        }
    }
    return {};
}

} // namespace kvscope
