// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/chunk_codec.h"
#include "core/codec/scale_format.h"
#include "core/codec/symbol_grid.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace kvscope {

/// A value that a quantiser could not express: where it stands in the chunk and what it is.
struct KeptValue {
    std::int64_t at = 0;
    float value = 0;

    bool operator==(const KeptValue&) const = default;
};

/// What a quantiser makes of rows [tokens][channels].
struct Quantised {
    /// Symbols that differ in kind (anchors and differences, say) are in grids of their own.
    std::vector<SymbolGrid> grids;
    /// Scales, zero points and other parameters.
    Bytes scales;
    /// Values that stay exact as the method's own rule wants it.
    Bytes outliers;
    /// Values that do not fit its symbols, in rising order of place.
    std::vector<KeptValue> kept;
};

/// The parts of a chunk that a quantiser reads besides its symbols.
struct QuantisedSource {
    ByteReader scales;
    ByteReader outliers;
};

/// Rows to quantise or to fill, with what is known of them. All values are finite and at most 2^100 in magnitude.
template <class Value> struct Rows {
    const ChunkShape& shape;
    std::span<Value> values;
    /// The values are those of the plane's dtype: neither transformed nor clipped.
    bool asStored = false;

    [[nodiscard]] std::int64_t tokens() const { return shape.tokens.size(); }
    [[nodiscard]] std::int64_t channels() const { return shape.plane.channels(); }
    [[nodiscard]] std::span<Value> row(std::int64_t token) const {
        return values.subspan(static_cast<std::size_t>(token * channels()), static_cast<std::size_t>(channels()));
    }
};
using SourceRows = Rows<const float>;
using TargetRows = Rows<float>;

/// Largest magnitude; 0 for no values.
inline float largestMagnitude(std::span<const float> values) {
    float largest = 0;
    for (const float value : values)
        largest = std::max(largest, std::fabs(value));
    return largest;
}

/// Format of stored magnitudes: that of the dtype where rows are as stored; otherwise a byte in the scales says which.
inline ScaleFormat putMagnitudeFormat(const SourceRows& rows, Bytes& scales) {
    const DType type = rows.shape.plane.dtype;
    const ScaleFormat held = formatHolding(type);
    if (rows.asStored)
        return held;
    const ScaleFormat format = held == ScaleFormat::F32 ? held : halfFormatFor(type, largestMagnitude(rows.values));
    putFormat(scales, format);
    return format;
}

inline Result<ScaleFormat> readMagnitudeFormat(const TargetRows& rows, ByteReader& scales) {
    if (rows.asStored)
        return formatHolding(rows.shape.plane.dtype);
    return readFormat(scales);
}

} // namespace kvscope
