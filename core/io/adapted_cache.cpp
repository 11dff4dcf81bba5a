// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/adapted_cache.h"

#include "core/base/checked.h"

#include <utility>

namespace kvscope {

namespace {

class AdaptedCache final : public CacheSource {
public:
    AdaptedCache(KvCache inner, KvGeometry geometry, std::unordered_map<PlaneId, PlaneScaling> scalings)
        : inner_(std::move(inner))
        , geometry_(std::move(geometry))
        , scalings_(std::move(scalings)) {}

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return inner_.info(); }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        KVSCOPE_TRY(inner_.readRows(plane, tokens, channels, out));
        const auto found = scalings_.find(plane);
        if (found == scalings_.end())
            return {};
        const std::int64_t headDim = geometry_.find(plane)->headDim;
        float* value = out.data();
        for (std::int64_t token = tokens.begin.value; token < tokens.end.value; ++token) {
            for (std::int64_t channel = channels.begin.value; channel < channels.end.value; ++channel, ++value) {
                const std::int64_t head = channel / headDim;
                const std::int64_t dim = channel % headDim;
                *value -= at(found->second.zero, token, head, dim, 0.0F);
                *value *= at(found->second.scale, token, head, dim, 1.0F);
            }
        }
        return {};
    }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        return inner_.readNative(plane, tokens, out);
    }

    [[nodiscard]] Result<void> readNativeByHead(PlaneId plane, TokenRange tokens,
                                                std::span<std::byte> out) const override {
        return inner_.readNativeByHead(plane, tokens, out);
    }

    [[nodiscard]] bool headsLieApart(PlaneId plane) const override { return inner_.headsLieApart(plane); }

    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override {
        return !scalings_.contains(plane) && inner_.nativeIsExact(plane);
    }

private:
    static float at(const ValueGrid& grid, std::int64_t token, std::int64_t head, std::int64_t dim, float otherwise) {
        if (grid.entries == nullptr)
            return otherwise;
        return (*grid.entries)[static_cast<std::size_t>(grid.base + token * grid.tokenStride + head * grid.headStride +
                                                        dim * grid.dimStride)];
    }

    KvCache inner_;
    KvGeometry geometry_;
    std::unordered_map<PlaneId, PlaneScaling> scalings_;
};

bool covers(const ValueGrid& grid, const PlaneGeometry& plane) {
    if (grid.entries == nullptr || plane.tokens == 0)
        return true;
    std::optional<std::int64_t> last = grid.base;
    for (const auto& [size, stride] :
         {std::pair(plane.tokens, grid.tokenStride), std::pair(plane.heads, grid.headStride),
          std::pair(plane.headDim, grid.dimStride)}) {
        const auto step = stride >= 0 ? checkedMul(size - 1, stride) : std::nullopt;
        last = last && step ? checkedAdd(*last, *step) : std::nullopt;
    }
    return last && grid.base >= 0 && *last < static_cast<std::int64_t>(grid.entries->size());
}

} // namespace

Result<KvCache> makeAdaptedCache(const KvCache& inner, KvGeometry geometry,
                                 std::unordered_map<PlaneId, PlaneScaling> scalings) {
    const auto& name = inner.info().name;
    if (const auto problem = findGeometryProblem(geometry))
        return fail(*problem, name, "Check the shape of the dump");
    if (geometry.allPlanes() != inner.geometry().allPlanes())
        return fail("its planes changed while they were regrouped", name);
    for (const PlaneId id : geometry.allPlanes()) {
        const PlaneGeometry& plane = *geometry.find(id);
        const PlaneGeometry& source = *inner.geometry().find(id);
        if (plane.channels() != source.channels() || plane.tokens != source.tokens || plane.dtype != source.dtype)
            return fail("layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind)) +
                            " changed its shape while it was regrouped",
                        name);
        const auto scaling = scalings.find(id);
        if (scaling != scalings.end() && !(covers(scaling->second.scale, plane) && covers(scaling->second.zero, plane)))
            return fail("the scales of layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind)) +
                            " do not cover the plane",
                        name, "Check the shape of the scale tensor");
    }
    return KvCache(std::make_shared<AdaptedCache>(inner, std::move(geometry), std::move(scalings)));
}

} // namespace kvscope
