// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/plane_builder.h"

#include "core/io/axes.h"
#include "core/io/scale_match.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

namespace kvscope {

namespace {

constexpr std::int64_t kScaleLimit = std::int64_t{1} << 26;
constexpr std::int64_t kPositionsLimit = std::int64_t{1} << 26;

PlaneKind kindOf(TensorRole role, std::int64_t half) {
    switch (role) {
    case TensorRole::Value:
        return PlaneKind::Value;
    case TensorRole::Latent:
    case TensorRole::LatentRope:
        return PlaneKind::Latent;
    case TensorRole::Query:
        return PlaneKind::Query;
    case TensorRole::KeyBeforeRope:
        return PlaneKind::KeyBeforeRope;
    default:
        return half == 0 ? PlaneKind::Key : PlaneKind::Value;
    }
}

std::string shapeText(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

/// How one tensor lies in the cache.
struct Placed {
    const StoredTensor* tensor = nullptr;
    TensorRole role = TensorRole::Unknown;
    AxisReading reading;
    std::int64_t baseLayer = 0;
    std::int64_t heads = 1;
    std::int64_t headDim = 1;
    std::int64_t headStride = 0;
    std::int64_t dimStride = 0;

    [[nodiscard]] std::int64_t tokens() const {
        const std::int64_t all = reading.size('T');
        return tensor->heldTokens ? std::clamp<std::int64_t>(*tensor->heldTokens, 0, all) : all;
    }

    [[nodiscard]] StridedPart part(std::int64_t layer, std::int64_t half, std::int64_t sequence) const {
        StridedPart part;
        part.bytes = tensor->bytes;
        part.offset = tensor->offset +
                      (layer * reading.stride('L') + half * reading.stride('X') + sequence * reading.stride('S')) *
                          tensor->elementSize;
        part.stored = *tensor->dtype;
        part.bigEndian = tensor->bigEndian;
        part.tokenStride = reading.stride('T');
        part.headStride = headStride;
        part.dimStride = dimStride;
        part.tokenCount = tokens();
        part.headCount = heads;
        return part;
    }

    /// The values' axes with merged channels split, for matching scales.
    [[nodiscard]] std::vector<TensorAxis> splitAxes() const {
        std::vector<TensorAxis> axes;
        for (const TensorAxis& axis : reading.axes) {
            if (axis.letter != 'C') {
                axes.push_back(axis);
                continue;
            }
            axes.push_back({'H', heads, headStride});
            axes.push_back({'D', headDim, dimStride});
        }
        return axes;
    }
};

class Builder {
public:
    Builder(const TensorGroups& groups, const LayoutChoice& choice, const GeometryHints& hints, std::string where,
            std::int64_t heads)
        : groups_(groups)
        , choice_(choice)
        , hints_(hints)
        , where_(std::move(where))
        , chosenHeads_(heads) {}

    Result<BuiltPlanes> build() {
        KVSCOPE_TRY(placeCache());
        KVSCOPE_TRY(placeRecordings());
        for (const Placed& placed : placed_)
            KVSCOPE_TRY(addPlanes(placed));
        KVSCOPE_TRY(joinLatents());
        KVSCOPE_TRY(applyPositions());
        for (const Placed& placed : placed_)
            KVSCOPE_TRY(applyScales(placed));
        noteMissingScales();
        return std::move(built_);
    }

private:
    /// Splits the channels of a reading into heads.
    void splitHeads(Placed& placed, std::int64_t wantedHeadDim) {
        const TensorAxis* merged = placed.reading.find('C');
        if (merged == nullptr) {
            placed.heads = placed.reading.size('H');
            placed.headDim = placed.reading.size('D');
            placed.headStride = placed.reading.stride('H');
            placed.dimStride = placed.reading.stride('D');
            return;
        }
        std::int64_t heads = 1;
        if (placed.role != TensorRole::Latent && placed.role != TensorRole::LatentRope) {
            heads = chosenHeads_ > 0 && merged->size % chosenHeads_ == 0 ? chosenHeads_ : hints_.headsOf(merged->size);
            if (wantedHeadDim > 0 && merged->size % wantedHeadDim == 0)
                heads = merged->size / wantedHeadDim;
            if (heads == 0) {
                heads = 1;
                built_.headsUnknown = true;
            }
        }
        placed.heads = heads;
        placed.headDim = merged->size / heads;
        placed.dimStride = merged->stride;
        placed.headStride = placed.headDim * merged->stride;
    }

    Result<void> place(std::int64_t layer, const StoredTensor& tensor, TensorRole role, const std::string& axes,
                       std::int64_t wantedHeadDim = 0) {
        Placed placed;
        placed.tensor = &tensor;
        placed.role = role;
        placed.baseLayer = layer == kAllLayers ? 0 : layer;
        KVSCOPE_ASSIGN(placed.reading, readAxes(tensor, axes));
        splitHeads(placed, wantedHeadDim);
        placed_.push_back(std::move(placed));
        return {};
    }

    Result<void> placeCache() {
        const TensorRole main = mainRole(groups_);
        for (const auto& [layer, tensor] : groups_.of(main))
            KVSCOPE_TRY(place(layer, *tensor, main, choice_.main));
        if (main == TensorRole::Key) {
            for (const auto& [layer, tensor] : groups_.of(TensorRole::Value))
                KVSCOPE_TRY(place(layer, *tensor, TensorRole::Value, choice_.value));
        }
        if (placed_.empty())
            return fail("holds no K or V tensors", where_, "Check that it is a dump of a KV cache");
        const std::int64_t layers = groups_.perLayer(main) ? static_cast<std::int64_t>(groups_.layerNumbers.size())
                                                           : placed_.front().reading.size('L');
        built_.geometry.layers.resize(static_cast<std::size_t>(layers));
        built_.geometry.sequences = placed_.front().reading.size('S');
        return {};
    }

    /// Queries, K before RoPE and rotary keys of latents: their axes follow from the cache's, else they are left out.
    Result<void> placeRecordings() {
        const Placed first = placed_.front();
        const auto layers = static_cast<std::int64_t>(built_.geometry.layers.size());
        for (const TensorRole role : {TensorRole::LatentRope, TensorRole::Query, TensorRole::KeyBeforeRope}) {
            if (role == first.role)
                continue;
            for (const auto& [layer, tensor] : groups_.of(role)) {
                const std::int64_t tokens = tokensOf(layer == kAllLayers ? 0 : layer);
                std::string axes = choice_.main;
                std::erase(axes, 'X');
                const auto reading = readAxes(*tensor, axes);
                const bool same = reading && reading->size('T') == tokens &&
                                  reading->size('S') == built_.geometry.sequences &&
                                  (reading->find('L') == nullptr || reading->size('L') == layers);
                if (!same)
                    axes = companionAxes(*tensor, layer != kAllLayers, layers, tokens);
                if (axes.empty()) {
                    built_.notes.push_back({CacheNote::Severity::Warning,
                                            "Not used: " + tensor->name + " has the shape " + shapeText(tensor->shape) +
                                                ", which does not go with the cache"});
                    continue;
                }
                KVSCOPE_TRY(place(layer, *tensor, role, axes, role == TensorRole::LatentRope ? 0 : first.headDim));
            }
        }
        return {};
    }

    [[nodiscard]] std::int64_t tokensOf(std::int64_t layer) const {
        for (const Placed& placed : placed_) {
            if (placed.baseLayer == layer || placed.reading.find('L') != nullptr)
                return placed.reading.size('T');
        }
        return 0;
    }

    Result<void> addPlanes(const Placed& placed) {
        const std::int64_t layers = placed.reading.size('L');
        const std::int64_t sequences = placed.reading.size('S');
        const std::string where = where_ + (placed.tensor->name.empty() ? "" : ", tensor " + placed.tensor->name);
        if (placed.baseLayer + layers > static_cast<std::int64_t>(built_.geometry.layers.size()))
            return fail("holds " + std::to_string(layers) + " layers where the others hold " +
                            std::to_string(built_.geometry.layers.size()),
                        where, "Check the axes");
        if (sequences != built_.geometry.sequences)
            return fail("holds " + std::to_string(sequences) + " sequences where the others hold " +
                            std::to_string(built_.geometry.sequences),
                        where, "Check the axes");
        PlaneGeometry plane;
        plane.heads = placed.heads;
        plane.headDim = placed.headDim;
        plane.tokens = placed.tokens();
        plane.dtype = *placed.tensor->dtype;
        plane.firstPosition = std::max<std::int64_t>(0, placed.tensor->firstPosition.value_or(0));
        for (std::int64_t layer = 0; layer < layers; ++layer) {
            for (std::int64_t half = 0; half < placed.reading.size('X'); ++half) {
                const PlaneKind kind = kindOf(placed.role, half);
                auto& slot = built_.geometry.layers[static_cast<std::size_t>(placed.baseLayer + layer)].plane(kind);
                if (placed.role == TensorRole::LatentRope) {
                    if (!slot || slot->tokens != plane.tokens || slot->dtype != plane.dtype)
                        return fail("has no latent of as many tokens and the same type beside it", where,
                                    "Check that both belong to the same run");
                } else {
                    slot = plane;
                }
                for (std::int64_t sequence = 0; sequence < sequences && plane.tokens > 0; ++sequence)
                    parts_[{LayerIndex(placed.baseLayer + layer), kind, SequenceIndex(sequence)}].push_back(
                        placed.part(layer, half, sequence));
            }
        }
        return {};
    }

    /// Latents whose rotary key is a tensor of its own become planes of one head: both are stored as heads of their
    /// greatest common width.
    Result<void> joinLatents() {
        bool joined = false;
        KvGeometry stored = built_.geometry;
        for (auto& [id, parts] : parts_) {
            if (id.kind == PlaneKind::Latent && parts.size() == 2) {
                const std::int64_t latent = widthOf(id.layer.value, TensorRole::Latent);
                const std::int64_t rope = widthOf(id.layer.value, TensorRole::LatentRope);
                const std::int64_t width = std::gcd(latent, rope);
                for (auto [part, total] : {std::pair(&parts[0], latent), std::pair(&parts[1], rope)}) {
                    part->headStride = width * part->dimStride;
                    part->headCount = total / width;
                }
                parts[1].headBegin = latent / width;
                auto& inner = *stored.layers[static_cast<std::size_t>(id.layer.value)].plane(PlaneKind::Latent);
                inner.heads = (latent + rope) / width;
                inner.headDim = width;
                auto& outer =
                    *built_.geometry.layers[static_cast<std::size_t>(id.layer.value)].plane(PlaneKind::Latent);
                outer.heads = 1;
                outer.headDim = latent + rope;
                joined = true;
            }
            built_.planes.push_back({id, std::move(parts)});
        }
        parts_.clear();
        if (joined)
            built_.storedGeometry = std::move(stored);
        return {};
    }

    [[nodiscard]] std::int64_t widthOf(std::int64_t layer, TensorRole role) const {
        for (const Placed& placed : placed_) {
            if (placed.role == role && layer >= placed.baseLayer && layer < placed.baseLayer + placed.reading.size('L'))
                return placed.heads * placed.headDim;
        }
        return 1;
    }

    void setPositions(LayerGeometry& layer, const std::vector<std::int64_t>& positions) {
        for (auto& plane : layer.planes) {
            if (!plane || static_cast<std::int64_t>(positions.size()) < plane->tokens || plane->tokens == 0)
                continue;
            const auto count = static_cast<std::size_t>(plane->tokens);
            bool consecutive = positions[0] >= 0;
            for (std::size_t i = 1; i < count; ++i)
                consecutive = consecutive && positions[i - 1] < INT64_MAX && positions[i] == positions[i - 1] + 1;
            if (consecutive)
                plane->firstPosition = positions[0];
            else
                plane->positions.assign(positions.begin(), positions.begin() + static_cast<std::ptrdiff_t>(count));
        }
    }

    Result<void> applyPositions() {
        for (const auto& [key, tensor] : groups_.positions) {
            auto positions = readIntegers(tensor, kPositionsLimit);
            const bool row = tensor.shape.size() == 1 || (tensor.shape.size() == 2 && tensor.shape[0] == 1);
            const bool usable = positions && row && !positions->empty() &&
                                std::all_of(positions->begin(), positions->end(), [](auto p) { return p >= 0; });
            if (!usable) {
                built_.notes.push_back(
                    {CacheNote::Severity::Warning, "Not used: " + tensor.name + " is no list of positions"});
                continue;
            }
            for (std::size_t layer = 0; layer < built_.geometry.layers.size(); ++layer) {
                if (key.first == kAllLayers || static_cast<std::size_t>(key.first) == layer)
                    setPositions(built_.geometry.layers[layer], *positions);
            }
        }
        return {};
    }

    /// The tensor of scales (or zero points) of a layer's role, and whether it is one for all layers.
    [[nodiscard]] std::pair<const StoredTensor*, bool> findScale(const std::map<TensorGroups::Key, StoredTensor>& map,
                                                                 std::int64_t layer, TensorRole role) const {
        if (const auto* own = groups_.find(map, layer, role))
            return {own, false};
        return {groups_.find(map, kAllLayers, role), true};
    }

    struct LoadedScale {
        std::shared_ptr<const std::vector<float>> entries;
        ScaleStrides strides;
    };

    Result<std::optional<LoadedScale>> loadScale(const Placed& placed, const StoredTensor& tensor, bool stacked) {
        std::vector<TensorAxis> axes = placed.splitAxes();
        if (stacked && placed.reading.find('L') == nullptr)
            axes.insert(axes.begin(), {'L', static_cast<std::int64_t>(built_.geometry.layers.size()), 0});
        const auto strides = matchScale(tensor.shape, axes);
        if (!strides) {
            const CacheNote note{CacheNote::Severity::Warning,
                                 "Not used: the scales " + tensor.name + " have the shape " + shapeText(tensor.shape) +
                                     ", which does not go with the values; they are shown unscaled"};
            built_.notes.push_back(note);
            return std::optional<LoadedScale>();
        }
        auto& entries = loaded_[&tensor];
        if (entries == nullptr) {
            KVSCOPE_ASSIGN(auto values, readFloats(tensor, kScaleLimit));
            entries = std::make_shared<const std::vector<float>>(std::move(values));
        }
        return std::optional(LoadedScale{entries, *strides});
    }

    static ValueGrid gridOf(const LoadedScale& scale, std::int64_t layer, std::int64_t half, std::int64_t sequence) {
        return {scale.entries,
                layer * scale.strides.layer + half * scale.strides.kind + sequence * scale.strides.sequence,
                scale.strides.token, scale.strides.head, scale.strides.dim};
    }

    Result<void> applyScales(const Placed& placed) {
        if ((groups_.scales.empty() && groups_.zeroPoints.empty()) || placed.tokens() == 0)
            return {};
        for (std::int64_t half = 0; half < placed.reading.size('X'); ++half) {
            std::optional<LoadedScale> scale;
            std::optional<LoadedScale> zero;
            for (auto [map, target] : {std::pair(&groups_.scales, &scale), std::pair(&groups_.zeroPoints, &zero)}) {
                auto [tensor, stacked] = findScale(*map, layerKey(placed), placed.role);
                if (tensor == nullptr && placed.role == TensorRole::KeyValue)
                    std::tie(tensor, stacked) =
                        findScale(*map, layerKey(placed), half == 0 ? TensorRole::Key : TensorRole::Value);
                if (tensor != nullptr) {
                    KVSCOPE_ASSIGN(*target, loadScale(placed, *tensor, stacked));
                }
            }
            if (scale || zero)
                scalePlanes(placed, half, scale, zero);
        }
        return {};
    }

    [[nodiscard]] std::int64_t layerKey(const Placed& placed) const {
        return groups_.perLayer(placed.role) ? placed.baseLayer : kAllLayers;
    }

    void scalePlanes(const Placed& placed, std::int64_t half, const std::optional<LoadedScale>& scale,
                     const std::optional<LoadedScale>& zero) {
        for (StridedPlane& plane : built_.planes) {
            const std::int64_t layer = plane.id.layer.value - placed.baseLayer;
            if (plane.id.kind != kindOf(placed.role, half) || layer < 0 || layer >= placed.reading.size('L'))
                continue;
            // A stacked scale of tensors that hold one layer each is indexed by the layer itself.
            const std::int64_t index = placed.reading.find('L') == nullptr ? plane.id.layer.value : layer;
            PlaneScaling scaling;
            if (scale)
                scaling.scale = gridOf(*scale, index, half, plane.id.sequence.value);
            if (zero)
                scaling.zero = gridOf(*zero, index, half, plane.id.sequence.value);
            const ValueGrid& grid = scaling.scale;
            const bool oneFactor = scale && !zero && grid.tokenStride == 0 && grid.headStride == 0 &&
                                   grid.dimStride == 0 && plane.id.kind != PlaneKind::Latent;
            if (!oneFactor) {
                built_.scalings.emplace(plane.id, std::move(scaling));
                continue;
            }
            for (StridedPart& part : plane.parts)
                part.scale = (*grid.entries)[static_cast<std::size_t>(grid.base)];
        }
    }

    void noteMissingScales() {
        const DType type = *placed_.front().tensor->dtype;
        if (sizeOf(type) == 1 && groups_.scales.empty())
            built_.notes.push_back({CacheNote::Severity::Info, "The dump holds " + std::string(nameOf(type)) +
                                                                   " without scales: values are shown as stored"});
    }

    const TensorGroups& groups_;
    const LayoutChoice& choice_;
    const GeometryHints& hints_;
    std::string where_;
    std::int64_t chosenHeads_;
    std::vector<Placed> placed_;
    std::map<PlaneId, std::vector<StridedPart>> parts_;
    std::map<const StoredTensor*, std::shared_ptr<const std::vector<float>>> loaded_;
    BuiltPlanes built_;
};

void cutPlanes(LayerGeometry& layer, std::int64_t tokens) {
    for (auto& plane : layer.planes) {
        if (!plane || plane->tokens <= tokens)
            continue;
        plane->tokens = tokens;
        if (!plane->positions.empty())
            plane->positions.resize(static_cast<std::size_t>(tokens));
    }
}

} // namespace

void BuiltPlanes::keepTokens(LayerIndex layer, std::int64_t tokens) {
    cutPlanes(geometry.layers[static_cast<std::size_t>(layer.value)], tokens);
    if (storedGeometry)
        cutPlanes(storedGeometry->layers[static_cast<std::size_t>(layer.value)], tokens);
    for (StridedPlane& plane : planes) {
        if (plane.id.layer != layer)
            continue;
        for (StridedPart& part : plane.parts)
            part.tokenCount = std::min(part.tokenCount, tokens);
        if (tokens == 0)
            plane.parts.clear();
    }
}

Result<KvCache> BuiltPlanes::cache(CacheInfo info) const {
    if (!storedGeometry && scalings.empty())
        return makeStridedCache(geometry, std::move(info), planes);
    KVSCOPE_ASSIGN(const KvCache stored, makeStridedCache(storedGeometry.value_or(geometry), std::move(info), planes));
    return makeAdaptedCache(stored, geometry, scalings);
}

Result<BuiltPlanes> buildPlanes(const TensorGroups& groups, const LayoutChoice& choice, const GeometryHints& hints,
                                const std::string& where, std::int64_t heads) {
    return Builder(groups, choice, hints, where, heads).build();
}

} // namespace kvscope
