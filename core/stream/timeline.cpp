// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/timeline.h"

#include "core/stream/timeline_sums.h"

#include <algorithm>

namespace kvscope {

bool servesBetter(const Timeline& a, const Timeline& b) {
    constexpr double kSame = 1e-9;
    if (a.meetsSlo() != b.meetsSlo())
        return a.meetsSlo();
    const bool better = a.quality > b.quality + kSame;
    const bool worse = a.quality < b.quality - kSame;
    if (a.meetsSlo())
        return better || (!worse && a.ttft < b.ttft);
    if (!a.complete() && !b.complete())
        return better;
    return a.ttft < b.ttft - kSame || (a.ttft <= b.ttft + kSame && better);
}

Regret regretOf(const Timeline& timeline, const Timeline& oracle) {
    Regret regret{kNever, oracle.quality - timeline.quality, oracle.meetsSlo() && !timeline.meetsSlo()};
    if (timeline.complete())
        regret.seconds = timeline.ttft - oracle.ttft;
    return regret;
}

std::vector<double> errorByLayer(const Timeline& timeline, const StreamInput& input) {
    std::size_t layers = 0;
    for (const Candidate& candidate : input.candidates())
        layers = std::max(layers, candidate.layerError.size());
    std::vector<double> error(layers, 0.0);
    for (std::size_t chunk = 0; chunk < timeline.chunks.size(); ++chunk) {
        const std::size_t candidate = timeline.chunks[chunk].candidate;
        if (candidate == kNoIndex)
            continue;
        const auto& byLayer = input.candidates()[candidate].layerError;
        const double share = static_cast<double>(input.tokens(chunk)) / static_cast<double>(input.totalTokens());
        for (std::size_t l = 0; l < byLayer.size(); ++l)
            error[l] += share * byLayer[l];
    }
    return error;
}

void sumUp(Timeline& t, const StreamInput& input, double firstStepSeconds) {
    const auto total = static_cast<double>(input.totalTokens());
    double levelTokens = 0;
    double levelSum = 0;
    double loss = 0;
    double last = 0;
    for (std::size_t i = 0; i < t.chunks.size(); ++i) {
        const ChunkTimes& chunk = t.chunks[i];
        last = std::max(last, chunk.ready);
        t.wireBytes += chunk.wireBytes;
        if (chunk.candidate == kNoIndex)
            continue;
        const auto tokens = static_cast<double>(input.tokens(i));
        const Candidate& candidate = input.candidates()[chunk.candidate];
        t.error += tokens / total * input.option(i, chunk.candidate).error;
        loss += input.loss(i, chunk.candidate);
        if (candidate.form == ChunkForm::Level) {
            levelTokens += tokens;
            levelSum += tokens * candidate.level;
        }
        t.computeSeconds += chunk.recompute.seconds();
        t.decodeSeconds += chunk.decode.seconds();
    }
    for (const AbandonedTransfer& transfer : t.abandoned) {
        t.wireBytes += transfer.wireBytes;
        t.abandonedBytes += transfer.wireBytes;
        t.decodeSeconds += transfer.decode.seconds();
    }
    t.ttft = last + firstStepSeconds;
    t.quality = t.complete() ? 1.0 - loss : 0;
    if (levelTokens > 0)
        t.meanLevel = levelSum / levelTokens;
}

} // namespace kvscope
