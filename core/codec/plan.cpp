// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan.h"

#include "core/base/hash.h"

#include <algorithm>
#include <map>
#include <set>

namespace kvscope {

namespace {

constexpr std::array kPlanKinds{PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent};

/// A stretch of tokens with one pipeline.
struct Run {
    TokenRange tokens;
    const Pipeline* pipeline;

    bool operator==(const Run& other) const { return tokens == other.tokens && *pipeline == *other.pipeline; }
};
using Row = std::array<std::vector<Run>, kPlanKinds.size()>;

/// What the plan does in one layer to one kind, in as few stretches as possible.
std::vector<Run> runsOf(const CodecPlan& plan, LayerIndex layer, PlaneKind kind) {
    // Where each stretch begins; rules are painted over it in their order.
    std::map<std::int64_t, const Pipeline*> strokes{{0, &plan.fallback}};
    for (const PlanRule& rule : plan.rules) {
        if (!rule.layers.contains(layer) || !rule.kinds.contains(kind))
            continue;
        const auto after = strokes.upper_bound(rule.tokens.end.value);
        const Pipeline* resumed = std::prev(after)->second;
        strokes.erase(strokes.lower_bound(rule.tokens.begin.value), after);
        strokes[rule.tokens.begin.value] = &rule.pipeline;
        if (rule.tokens.end.value != kOpenEnd)
            strokes[rule.tokens.end.value] = resumed;
    }
    std::vector<Run> runs;
    for (auto stroke = strokes.begin(); stroke != strokes.end(); ++stroke) {
        const auto next = std::next(stroke);
        const TokenIndex end(next == strokes.end() ? kOpenEnd : next->first);
        if (!runs.empty() && *runs.back().pipeline == *stroke->second)
            runs.back().tokens.end = end;
        else
            runs.push_back({{TokenIndex(stroke->first), end}, stroke->second});
    }
    return runs;
}

Row rowOf(const CodecPlan& plan, LayerIndex layer) {
    Row row;
    std::ranges::transform(kPlanKinds, row.begin(), [&](PlaneKind kind) { return runsOf(plan, layer, kind); });
    return row;
}

void appendRules(CodecPlan& out, LayerRange layers, const Row& row) {
    const auto order = [](TokenRange a, TokenRange b) {
        return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    };
    std::vector<PlanRule> rules;
    for (std::size_t k = 0; k < row.size(); ++k) {
        for (const Run& run : row[k]) {
            if (*run.pipeline == out.fallback)
                continue;
            const auto same = std::ranges::find_if(rules, [&](const PlanRule& rule) {
                return rule.tokens == run.tokens && rule.pipeline == *run.pipeline;
            });
            if (same != rules.end())
                same->kinds.insert(kPlanKinds[k]);
            else
                rules.push_back({layers, {kPlanKinds[k]}, run.tokens, *run.pipeline});
        }
    }
    std::ranges::stable_sort(rules, order, &PlanRule::tokens);
    out.rules.insert(out.rules.end(), rules.begin(), rules.end());
}

} // namespace

const Pipeline& CodecPlan::pipelineFor(LayerIndex layer, PlaneKind kind, std::int64_t chunk) const {
    const TokenIndex first(chunk * chunkTokens);
    const auto rule = std::find_if(rules.rbegin(), rules.rend(), [&](const PlanRule& candidate) {
        return candidate.layers.contains(layer) && candidate.kinds.contains(kind) && candidate.tokens.contains(first);
    });
    return rule == rules.rend() ? fallback : rule->pipeline;
}

bool CodecPlan::isLossless() const {
    const CodecPlan whole = canonical(*this);
    return whole.fallback.isLossless() &&
           std::ranges::all_of(whole.rules, [](const PlanRule& rule) { return rule.pipeline.isLossless(); });
}

void CodecPlan::set(LayerRange layers, KindSet kinds, TokenRange tokens, const Pipeline& pipeline) {
    rules.push_back({layers, kinds, tokens, pipeline});
}

CodecPlan canonical(const CodecPlan& plan) {
    std::set<std::int64_t> cuts{0, kOpenEnd};
    for (const PlanRule& rule : plan.rules) {
        cuts.insert(rule.layers.begin.value);
        cuts.insert(rule.layers.end.value);
    }
    struct Band {
        LayerRange layers;
        Row row;
    };
    std::vector<Band> bands;
    for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
        Row row = rowOf(plan, LayerIndex(*cut));
        if (!bands.empty() && bands.back().row == row)
            bands.back().layers.end = LayerIndex(*std::next(cut));
        else
            bands.push_back({{LayerIndex(*cut), LayerIndex(*std::next(cut))}, std::move(row)});
    }
    CodecPlan out{plan.name, plan.chunkTokens, *bands.back().row.front().back().pipeline, {}};
    for (const Band& band : bands)
        appendRules(out, band.layers, band.row);
    return out;
}

std::uint64_t hashOf(const CodecPlan& plan) {
    CodecPlan nameless = canonical(plan);
    nameless.name.clear();
    const std::string text = toJson(nameless);
    return hashBytes(std::as_bytes(std::span(text)));
}

std::vector<LayerKind> differences(const CodecPlan& a, const CodecPlan& b, const KvGeometry& geometry) {
    std::vector<LayerKind> changed;
    for (std::int64_t layer = 0; layer < geometry.layerCount(); ++layer) {
        for (const PlaneKind kind : kPlanKinds) {
            const PlaneGeometry* plane = geometry.find(LayerIndex(layer), kind);
            if (plane == nullptr)
                continue;
            const auto clipped = [&](const CodecPlan& plan) {
                std::vector<Run> runs = runsOf(plan, LayerIndex(layer), kind);
                const auto past =
                    std::ranges::find_if(runs, [&](const Run& run) { return run.tokens.begin.value >= plane->tokens; });
                runs.erase(past == runs.begin() ? std::next(past) : past, runs.end());
                runs.back().tokens.end = TokenIndex(kOpenEnd);
                return runs;
            };
            if (a.chunkTokens != b.chunkTokens || clipped(a) != clipped(b))
                changed.push_back({LayerIndex(layer), kind});
        }
    }
    return changed;
}

} // namespace kvscope
