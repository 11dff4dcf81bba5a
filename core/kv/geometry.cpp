// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/geometry.h"

#include "core/base/checked.h"

#include <algorithm>

namespace kvscope {

std::string_view nameOf(PlaneKind kind) {
    switch (kind) {
    case PlaneKind::Key:
        return "K";
    case PlaneKind::Value:
        return "V";
    case PlaneKind::Latent:
        return "latent";
    case PlaneKind::Query:
        return "Q";
    case PlaneKind::KeyBeforeRope:
        return "K before RoPE";
    }
    return "?";
}

const PlaneGeometry* KvGeometry::find(PlaneId id) const {
    if (id.layer.value < 0 || id.layer.value >= layerCount() || id.sequence.value < 0 || id.sequence.value >= sequences)
        return nullptr;
    const auto& plane = layers[static_cast<std::size_t>(id.layer.value)].plane(id.kind);
    return plane ? &*plane : nullptr;
}

std::vector<PlaneKind> KvGeometry::kinds() const {
    std::vector<PlaneKind> present;
    for (const PlaneKind kind : kAllPlaneKinds) {
        if (std::any_of(layers.begin(), layers.end(), [&](const auto& layer) { return layer.plane(kind).has_value(); }))
            present.push_back(kind);
    }
    return present;
}

std::vector<PlaneId> KvGeometry::planes(PlaneKind kind, SequenceIndex sequence) const {
    std::vector<PlaneId> ids;
    for (std::int64_t layer = 0; layer < layerCount(); ++layer) {
        const PlaneId id{LayerIndex(layer), kind, sequence};
        if (find(id) != nullptr)
            ids.push_back(id);
    }
    return ids;
}

std::vector<PlaneId> KvGeometry::allPlanes() const {
    std::vector<PlaneId> ids;
    for (std::int64_t sequence = 0; sequence < sequences; ++sequence) {
        for (std::int64_t layer = 0; layer < layerCount(); ++layer) {
            for (const PlaneKind kind : kAllPlaneKinds) {
                const PlaneId id{LayerIndex(layer), kind, SequenceIndex(sequence)};
                if (find(id) != nullptr)
                    ids.push_back(id);
            }
        }
    }
    return ids;
}

namespace {

template <class Measure> std::int64_t largest(const KvGeometry& geometry, PlaneKind kind, Measure measure) {
    std::int64_t most = 0;
    for (const auto& layer : geometry.layers) {
        if (const auto& plane = layer.plane(kind))
            most = std::max(most, measure(*plane));
    }
    return most;
}

template <class Measure> std::int64_t cacheSum(const KvGeometry& geometry, Measure measure) {
    std::int64_t sum = 0;
    for (const auto& layer : geometry.layers) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            if (const auto& plane = layer.plane(kind); plane && isCacheKind(kind))
                sum += measure(*plane);
        }
    }
    return sum * geometry.sequences;
}

} // namespace

std::int64_t KvGeometry::maxTokens(PlaneKind kind) const {
    return largest(*this, kind, [](const auto& plane) { return plane.tokens; });
}

std::int64_t KvGeometry::maxChannels(PlaneKind kind) const {
    return largest(*this, kind, [](const auto& plane) { return plane.channels(); });
}

std::int64_t KvGeometry::maxHeads(PlaneKind kind) const {
    return largest(*this, kind, [](const auto& plane) { return plane.heads; });
}

std::int64_t KvGeometry::cacheBytes() const {
    return cacheSum(*this, [](const auto& plane) { return plane.storedBytes(); });
}

std::int64_t KvGeometry::cacheValues() const {
    return cacheSum(*this, [](const auto& plane) { return plane.values(); });
}

std::optional<std::string> findGeometryProblem(const KvGeometry& geometry) {
    if (geometry.layers.empty())
        return "there are no layers";
    if (geometry.sequences < 1)
        return "the batch is empty";
    std::int64_t total = 0;
    for (std::size_t i = 0; i < geometry.layers.size(); ++i) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            const auto& plane = geometry.layers[i].plane(kind);
            if (!plane)
                continue;
            const std::string where = "layer " + std::to_string(i) + " " + std::string(nameOf(kind));
            if (plane->heads < 1 || plane->headDim < 1)
                return where + " has no channels";
            if (plane->tokens < 0)
                return where + " has a negative token count";
            if (!plane->positions.empty() && static_cast<std::int64_t>(plane->positions.size()) != plane->tokens)
                return where + " has " + std::to_string(plane->positions.size()) + " positions for " +
                       std::to_string(plane->tokens) + " tokens";
            const auto bytes =
                checkedProduct({plane->heads, plane->headDim, plane->tokens, sizeOf(plane->dtype), geometry.sequences});
            const auto sum = bytes ? checkedAdd(total, *bytes) : std::nullopt;
            if (!sum)
                return where + " is larger than any file can be";
            total = *sum;
        }
    }
    return std::nullopt;
}

} // namespace kvscope
