// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/quantity.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace kvscope {

namespace {

/// The recording of K before RoPE that belongs to a K plane, if the dump holds one of the same shape.
const PlaneGeometry* findRecording(const KvCache& cache, PlaneId key) {
    const PlaneGeometry* keys = cache.geometry().find(key);
    const PlaneGeometry* recorded = cache.geometry().find({key.layer, PlaneKind::KeyBeforeRope, key.sequence});
    if (keys == nullptr || recorded == nullptr || recorded->tokens != keys->tokens || recorded->heads != keys->heads ||
        recorded->headDim != keys->headDim)
        return nullptr;
    return recorded;
}

/// minuend[c] -= subtrahend[c]; the two may be the same row.
void subtractRow(float* minuend, const float* subtrahend, std::size_t channels) {
    for (std::size_t c = 0; c < channels; ++c)
        minuend[c] -= subtrahend[c];
}

/// Replaces rows by their difference to the row of the reference slot. Runs backwards, so that a reference inside the
/// range is still whole when its followers need it; a reference before the range comes in `before`.
template <class ReferenceOf>
void subtractReferences(TokenRange tokens, std::size_t channels, const std::vector<float>& before,
                        std::span<float> rows, ReferenceOf referenceOf) {
    for (std::int64_t t = tokens.end.value - 1; t >= tokens.begin.value; --t) {
        const std::int64_t reference = referenceOf(t);
        const float* from = reference < tokens.begin.value
                                ? before.data()
                                : rows.data() + static_cast<std::size_t>(reference - tokens.begin.value) * channels;
        subtractRow(rows.data() + static_cast<std::size_t>(t - tokens.begin.value) * channels, from, channels);
    }
}

template <class ReferenceOf>
Result<void> readDeltas(const KvCache& cache, PlaneId plane, std::size_t channels, TokenRange tokens,
                        std::span<float> out, ReferenceOf referenceOf) {
    KVSCOPE_TRY(cache.readRows(plane, tokens, out));
    if (out.empty())
        return {};
    std::vector<float> before;
    if (const std::int64_t first = referenceOf(tokens.begin.value); first < tokens.begin.value) {
        before.resize(channels);
        KVSCOPE_TRY(cache.readRows(plane, tokenRange(first, first + 1), before));
    }
    subtractReferences(tokens, channels, before, out, referenceOf);
    return {};
}

Result<void> readDeviation(const KvCache& cache, PlaneId plane, std::size_t channels, TokenRange tokens,
                           std::span<const float> channelMeans, std::span<float> out) {
    if (channelMeans.size() != channels)
        return fail("the deviation from the channel mean needs " + std::to_string(channels) + " means, but got " +
                        std::to_string(channelMeans.size()),
                    cache.info().name);
    KVSCOPE_TRY(cache.readRows(plane, tokens, out));
    for (std::size_t row = 0; row < out.size(); row += channels)
        subtractRow(out.data() + row, channelMeans.data(), channels);
    return {};
}

Result<void> readKeyBeforeRope(const KvCache& cache, const PlaneGeometry& geometry, PlaneId plane, TokenRange tokens,
                               std::span<float> out) {
    if (plane.kind != PlaneKind::Key)
        return fail("only K is rotated by RoPE, not " + std::string(nameOf(plane.kind)), cache.info().name,
                    "Choose K or another quantity.");
    if (findRecording(cache, plane) != nullptr)
        return cache.readRows({plane.layer, PlaneKind::KeyBeforeRope, plane.sequence}, tokens, out);
    const Rope* rope = cache.rope(plane.layer);
    if (rope == nullptr)
        return fail("the RoPE of layer " + std::to_string(plane.layer.value) + " is not known", cache.info().name,
                    "Put the model's config.json beside the dump or give theta and pairing.");
    KVSCOPE_TRY(cache.readRows(plane, tokens, out));
    rotate(*rope, RopeDirection::Undo, geometry, tokens, out);
    return {};
}

} // namespace

std::string_view nameOf(Quantity quantity) {
    switch (quantity) {
    case Quantity::Value:
        return "value";
    case Quantity::Magnitude:
        return "|value|";
    case Quantity::DeltaPrevious:
        return "delta to previous token";
    case Quantity::DeltaAnchor:
        return "delta to anchor of 10";
    case Quantity::ChannelDeviation:
        return "deviation from channel mean";
    case Quantity::KeyBeforeRope:
        return "K before RoPE";
    }
    return "?";
}

bool isAvailable(const KvCache& cache, Quantity quantity, PlaneId plane) {
    if (cache.geometry().find(plane) == nullptr)
        return false;
    if (quantity != Quantity::KeyBeforeRope)
        return true;
    return plane.kind == PlaneKind::Key &&
           (findRecording(cache, plane) != nullptr || cache.rope(plane.layer) != nullptr);
}

Result<void> readQuantity(const KvCache& cache, Quantity quantity, PlaneId plane, TokenRange tokens,
                          std::span<const float> channelMeans, std::span<float> out) {
    const PlaneGeometry* geometry = cache.geometry().find(plane);
    if (geometry == nullptr)
        return cache.readRows(plane, tokens, out);
    const auto channels = static_cast<std::size_t>(geometry->channels());
    switch (quantity) {
    case Quantity::Value:
        return cache.readRows(plane, tokens, out);
    case Quantity::Magnitude:
        KVSCOPE_TRY(cache.readRows(plane, tokens, out));
        for (float& value : out)
            value = std::fabs(value);
        return {};
    case Quantity::DeltaPrevious:
        return readDeltas(cache, plane, channels, tokens, out,
                          [](std::int64_t t) { return t > 0 ? t - 1 : std::int64_t{0}; });
    case Quantity::DeltaAnchor:
        return readDeltas(cache, plane, channels, tokens, out,
                          [](std::int64_t t) { return t / kAnchorGroup * kAnchorGroup; });
    case Quantity::ChannelDeviation:
        return readDeviation(cache, plane, channels, tokens, channelMeans, out);
    case Quantity::KeyBeforeRope:
        return readKeyBeforeRope(cache, *geometry, plane, tokens, out);
    }
    return {};
}

} // namespace kvscope
