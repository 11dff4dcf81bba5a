// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/rope_gain.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace kvscope {

namespace {

constexpr std::int64_t kStretch = 128;
constexpr std::int64_t kStretches = 3;
constexpr std::int64_t kFewestTokens = 16;
/// Less than this does not pay for the time that a rotation takes.
constexpr double kWorthwhileBits = 0.05;

/// Mean over channels of log2 of what a value costs: the smaller of its spread about the mean and that of the
/// differences from token to token.
double spreadBits(std::span<const float> rows, std::int64_t channels) {
    const auto width = static_cast<std::size_t>(channels);
    const std::size_t tokens = rows.size() / width;
    std::vector<double> sum(width);
    std::vector<double> squares(width);
    std::vector<double> steps(width);
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t c = 0; c < width; ++c) {
            const double x = rows[t * width + c];
            const double step = t > 0 ? x - rows[(t - 1) * width + c] : 0.0;
            sum[c] += x;
            squares[c] += x * x;
            steps[c] += step * step;
        }
    }
    const auto n = static_cast<double>(tokens);
    double bits = 0;
    std::int64_t counted = 0;
    for (std::size_t c = 0; c < width; ++c) {
        const double spread = std::min((squares[c] - sum[c] * sum[c] / n) / n, steps[c] / (n - 1));
        if (!std::isfinite(spread) || spread <= 0)
            continue;
        bits += 0.5 * std::log2(spread);
        ++counted;
    }
    return counted > 0 ? bits / static_cast<double>(counted) : 0.0;
}

} // namespace

Result<std::optional<double>> ropeInverseGain(const KvCache& cache, PlaneId plane) {
    const PlaneGeometry* shape = cache.geometry().find(plane);
    const Rope* rope = cache.rope(plane.layer);
    if (shape == nullptr || rope == nullptr || plane.kind != PlaneKind::Key || shape->tokens < kFewestTokens ||
        rope->rotaryDim() == 0 || rope->rotaryDim() > shape->headDim)
        return std::optional<double>();
    const std::int64_t length = std::min(kStretch, shape->tokens);
    const std::int64_t room = shape->tokens - length;
    const std::int64_t stretches = std::min(kStretches, shape->tokens / length);
    std::vector<float> rows(static_cast<std::size_t>(length * shape->channels()));
    double gain = 0;
    for (std::int64_t i = 0; i < stretches; ++i) {
        const std::int64_t begin = stretches > 1 ? room * i / (stretches - 1) : 0;
        const TokenRange tokens = tokenRange(begin, begin + length);
        KVSCOPE_TRY(cache.readRows(plane, tokens, rows));
        const double before = spreadBits(rows, shape->channels());
        rotate(*rope, RopeDirection::Undo, *shape, tokens, rows);
        gain += before - spreadBits(rows, shape->channels());
    }
    return std::optional<double>(gain / static_cast<double>(stretches));
}

Result<CodecPlan> undoRopeWhereItPays(CodecPlan plan, const KvCache& cache, const JobControl& job) {
    const auto wants = [](const Pipeline& pipeline) {
        return std::holds_alternative<Step>(pipeline.quantiser) && pipeline.transform == Transform::None;
    };
    std::vector<PlanRule> undone;
    for (const PlaneId id : cache.geometry().planes(PlaneKind::Key)) {
        if (job.stopRequested())
            return cancelled();
        const Pipeline& pipeline = plan.pipelineFor(id.layer, PlaneKind::Key, 0);
        if (!wants(pipeline))
            continue;
        KVSCOPE_ASSIGN(const auto gain, ropeInverseGain(cache, id));
        if (!gain || *gain < kWorthwhileBits)
            continue;
        PlanRule rule{{id.layer, id.layer + 1}, {PlaneKind::Key}, tokenRange(0, kOpenEnd), pipeline};
        rule.pipeline.transform = Transform::RopeInverse;
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
