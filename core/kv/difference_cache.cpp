// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/strided_cache.h"

#include <algorithm>
#include <cstring>

namespace kvscope {

namespace {

class DifferenceCache final : public CacheSource {
public:
    DifferenceCache(KvCache a, KvCache b, KvGeometry geometry, CacheInfo info)
        : a_(std::move(a))
        , b_(std::move(b))
        , geometry_(std::move(geometry))
        , info_(std::move(info)) {}

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }

    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        std::vector<float> other(out.size());
        KVSCOPE_TRY(a_.readRows(plane, tokens, channels, out));
        KVSCOPE_TRY(b_.readRows(plane, tokens, channels, other));
        std::transform(out.begin(), out.end(), other.begin(), out.begin(), [](float x, float y) { return x - y; });
        return {};
    }

    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        std::vector<float> values(out.size() / sizeof(float));
        KVSCOPE_TRY(readRows(plane, tokens, channelRange(0, geometry_.find(plane)->channels()), values));
        std::memcpy(out.data(), values.data(), out.size());
        return {};
    }

    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }

private:
    KvCache a_;
    KvCache b_;
    KvGeometry geometry_;
    CacheInfo info_;
};

} // namespace

Result<KvCache> makeDifferenceCache(const KvCache& a, const KvCache& b) {
    KvGeometry common;
    common.sequences = std::min(a.geometry().sequences, b.geometry().sequences);
    common.layers.resize(std::min(a.geometry().layers.size(), b.geometry().layers.size()));
    bool any = false;
    bool cut = a.geometry().layers.size() != b.geometry().layers.size();
    for (std::size_t i = 0; i < common.layers.size(); ++i) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            const auto& left = a.geometry().layers[i].plane(kind);
            const auto& right = b.geometry().layers[i].plane(kind);
            if (!left || !right || left->heads != right->heads || left->headDim != right->headDim)
                continue;
            PlaneGeometry shape = *left;
            shape.tokens = std::min(left->tokens, right->tokens);
            if (!shape.positions.empty())
                shape.positions.resize(static_cast<std::size_t>(shape.tokens));
            shape.dtype = DType::F32;
            shape.storage.clear();
            cut = cut || left->tokens != right->tokens;
            any = true;
            common.layers[i].plane(kind) = std::move(shape);
        }
    }
    if (!any)
        return fail("has no plane of the same heads and head dimension as " + b.info().name, a.info().name,
                    "Compare dumps of the same model");
    CacheInfo info;
    info.name = a.info().name + " \u2212 " + b.info().name;
    info.format = "difference of two dumps";
    info.layout = a.info().layout;
    info.model = a.info().model == b.info().model ? a.info().model : std::string();
    info.synthetic = a.info().synthetic || b.info().synthetic;
    info.tokens = a.info().tokens;
    info.rope = a.info().rope;
    if (cut)
        info.notes.push_back(
            {CacheNote::Severity::Warning, "The dumps differ in size; only what both hold is compared"});
    return KvCache(std::make_shared<DifferenceCache>(a, b, std::move(common), std::move(info)));
}

} // namespace kvscope
