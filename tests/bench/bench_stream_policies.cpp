// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/oracle.h"
#include "tests/unit/stream_setups.h"

#include <cstdio>
#include <string>
#include <vector>

using namespace kvscope;
using namespace kvscope::testing;

// How good the strategies are on the stage's geometry and target: every trace at means of 0.5, 2 and 8 Gbit/s from 100
// starting points each. Exit status 1 when KVScope's own strategy keeps less than 95 % of the oracle's mean quality or
// misses the target more than half as often as CacheGen's where the oracle meets it.
int main() {
    const StreamInput input = stageInput();
    const auto policies = policiesFor(input);
    std::vector<PolicyScore> total(policies.size());
    for (const auto& trace : gateTraces()) {
        for (const double mean : {0.5e9, 2e9, 8e9}) {
            const auto scores = scorePolicies(input, trace, mean, 100);
            std::printf("%-28s %4.1f Gbit/s ", trace.name().c_str(), mean / 1e9);
            for (std::size_t i = 0; i < scores.size(); ++i) {
                total[i] += scores[i];
                if (i + 4 >= scores.size())
                    std::printf("| %s q %.4f miss %3d avoidable %3d ttft %.2f ", policies[i].name.c_str(),
                                scores[i].meanQuality(), scores[i].misses, scores[i].avoidableMisses,
                                scores[i].meanTtft());
            }
            std::printf("\n");
        }
    }
    std::printf("\n%-14s %9s %9s %10s %9s %9s %9s\n", "policy", "quality", "missed", "avoidable", "TTFT s", "MB",
                "compute s");
    for (std::size_t i = 0; i < total.size(); ++i) {
        std::printf("%-14s %9.4f %8.1f%% %10d %9.3f %9.1f %9.3f\n", policies[i].name.c_str(), total[i].meanQuality(),
                    100.0 * total[i].misses / total[i].runs, total[i].avoidableMisses, total[i].meanTtft(),
                    total[i].bytes / total[i].runs / 1e6, total[i].computeSeconds / total[i].runs);
    }
    const bool met = meetsGate(policies, total);
    std::printf("%d runs: %s\n", total.front().runs, met ? "goals met" : "GOALS MISSED");
    return met ? 0 : 1;
}
