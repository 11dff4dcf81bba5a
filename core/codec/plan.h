// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/pipeline.h"
#include "core/kv/geometry.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Open end of a rule's layer or token range.
inline constexpr std::int64_t kOpenEnd = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kDefaultChunkTokens = 256;
inline constexpr std::int64_t kMaxChunkTokens = 65536;
/// Most rules of a plan.
inline constexpr std::size_t kMaxPlanRules = 4096;

/// A set of plane kinds.
class KindSet {
public:
    constexpr KindSet() = default;
    constexpr KindSet(std::initializer_list<PlaneKind> kinds) {
        for (const PlaneKind kind : kinds)
            insert(kind);
    }
    /// K, V and latent: what a plan can encode.
    static constexpr KindSet all() { return {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}; }

    constexpr void insert(PlaneKind kind) { bits_ |= 1U << static_cast<unsigned>(kind); }
    [[nodiscard]] constexpr bool contains(PlaneKind kind) const {
        return (bits_ >> static_cast<unsigned>(kind) & 1U) != 0;
    }
    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
    constexpr bool operator==(const KindSet&) const = default;

private:
    unsigned bits_ = 0;
};

/// The pipeline of a part of a cache: layers x kinds x tokens.
struct PlanRule {
    LayerRange layers = layerRange(0, kOpenEnd);
    KindSet kinds = KindSet::all();
    /// Slots of the plane; both ends at multiples of the plan's chunkTokens (or the open end).
    TokenRange tokens = tokenRange(0, kOpenEnd);
    Pipeline pipeline;

    bool operator==(const PlanRule&) const = default;
};

/// How a whole cache is encoded: cut into chunks of chunkTokens, each with the pipeline of the LAST rule that covers
/// it, or the fallback where none does (rules are strokes of a brush: what is painted later lies on top).
struct CodecPlan {
    std::string name;
    std::int64_t chunkTokens = kDefaultChunkTokens;
    Pipeline fallback;
    std::vector<PlanRule> rules;

    bool operator==(const CodecPlan&) const = default;

    /// The pipeline of the chunk that starts at slot `chunk * chunkTokens`.
    [[nodiscard]] const Pipeline& pipelineFor(LayerIndex layer, PlaneKind kind, std::int64_t chunk) const;
    /// Every chunk comes back bit by bit.
    [[nodiscard]] bool isLossless() const;
    /// Paints: appends a rule.
    void set(LayerRange layers, KindSet kinds, TokenRange tokens, const Pipeline& pipeline);
};

/// Refuses a plan with nonsense in it; the error names the field, e.g. "rules[2].pipeline.quantiser.bits".
Result<void> validate(const CodecPlan& plan);

/// The same plan with the fewest disjoint rules in a fixed order: plans that encode every cache alike have the same
/// canonical form (names apart).
CodecPlan canonical(const CodecPlan& plan);

/// Hash of what the plan does: equal for plans that encode alike, whatever their names and the order of their rules.
std::uint64_t hashOf(const CodecPlan& plan);

/// A (layer, kind) of a cache.
struct LayerKind {
    LayerIndex layer;
    PlaneKind kind = PlaneKind::Key;

    constexpr auto operator<=>(const LayerKind&) const = default;
};

/// The planes of a cache of that geometry that the two plans encode differently, by layer and kind.
std::vector<LayerKind> differences(const CodecPlan& a, const CodecPlan& b, const KvGeometry& geometry);

/// The plan as JSON text: every field is written, numbers so that they read back exactly. Format:
///
///     {"format": "kvscope-plan", "version": 1, "name": "...", "chunk_tokens": 256, "default": PIPELINE,
///      "rules": [{"layers": [0, 10], "kinds": ["K", "V", "latent"], "tokens": [0, null], "pipeline": PIPELINE}]}
///
/// Ranges are half-open, null is the open end; layers, kinds and tokens may be left out (all). PIPELINE is what
/// pipeline_json.h describes.
std::string toJson(const CodecPlan& plan);

/// Reads a plan. Refuses unknown fields, wrong types, NaN and values outside their ranges; the error says where:
/// `source` and the field's path.
Result<CodecPlan> planFromJson(std::string_view text, const std::string& source);

} // namespace kvscope
