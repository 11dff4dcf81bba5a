// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rope_choice.h"

#include "core/codec/kvz_codec.h"

#include <algorithm>
#include <vector>

namespace kvscope {

namespace {

/// Tokens from the middle of a plane that are coded both ways.
constexpr std::int64_t kSampleTokens = 256;

Result<Transform> measuredTransform(const KvCache& cache, PlaneId plane, double step) {
    const PlaneGeometry& shape = *cache.geometry().find(plane);
    const std::int64_t count = std::min(kSampleTokens, shape.tokens);
    const std::int64_t begin = (shape.tokens - count) / 2;
    const TokenRange tokens = tokenRange(begin, begin + count);
    std::vector<float> rows(static_cast<std::size_t>(count * shape.channels()));
    KVSCOPE_TRY(cache.readRows(plane, tokens, rows));
    return chooseTransform({plane.kind, shape, tokens, cache.rope(plane.layer)}, rows, step);
}

} // namespace

Result<CodecPlan> undoRopeWhereItPays(CodecPlan plan, const KvCache& cache, const JobControl& job) {
    std::vector<PlanRule> undone;
    for (const PlaneId id : cache.geometry().planes(PlaneKind::Key)) {
        if (job.stopRequested())
            return cancelled();
        const Pipeline& pipeline = plan.pipelineFor(id.layer, PlaneKind::Key, 0);
        const auto* quantiser = std::get_if<Step>(&pipeline.quantiser);
        if (quantiser == nullptr || pipeline.transform != Transform::None || cache.rope(id.layer) == nullptr)
            continue;
        KVSCOPE_ASSIGN(const Transform transform, measuredTransform(cache, id, quantiser->step));
        if (transform != Transform::RopeInverse)
            continue;
        PlanRule rule{{id.layer, id.layer + 1}, {PlaneKind::Key}, tokenRange(0, kOpenEnd), pipeline};
        rule.pipeline.transform = transform;
        undone.push_back(rule);
    }
    plan.rules.insert(plan.rules.end(), undone.begin(), undone.end());
    return plan;
}

Result<void> checkRotations(const CodecPlan& plan, const KvCache& cache) {
    for (const PlaneId id : cache.geometry().planes(PlaneKind::Key)) {
        const PlaneGeometry* shape = cache.geometry().find(id);
        const std::int64_t chunks = (shape->tokens + plan.chunkTokens - 1) / plan.chunkTokens;
        for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
            if (plan.pipelineFor(id.layer, id.kind, chunk).transform == Transform::RopeInverse &&
                cache.rope(id.layer) == nullptr)
                return fail("undoes RoPE in layer " + std::to_string(id.layer.value) + ", whose rotation is not known",
                            plan.name.empty() ? "the plan" : plan.name,
                            "Give the dump a config.json or --rope-theta, or choose another plan");
        }
    }
    return {};
}

} // namespace kvscope
