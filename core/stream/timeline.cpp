// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/timeline.h"

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

} // namespace kvscope
