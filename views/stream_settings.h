// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"
#include "core/stream/compute_model.h"
#include "core/stream/simulator.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvscope::views {

/// The bandwidth was pulled while a run was played: from `seconds` after the request on, the trace's rates times
/// `factor`.
struct BandwidthPull {
    double seconds = 0;
    double factor = 1;

    bool operator==(const BandwidthPull&) const = default;
};

/// Another way from the sender, or from a second sender that holds the same context. It is taken beside the first: each
/// chunk comes on the path that is free. Loss and jitter are those of the first.
struct SecondPath {
    std::shared_ptr<const BandwidthTrace> trace;
    double rttSeconds = 0.04;

    bool operator==(const SecondPath& other) const;
};

/// Everything that a simulated run depends on beside the dump: one value, an undo step.
struct StreamSettings {
    /// Id of the model to project to; empty for the dump's own size.
    std::string model = "llama-3.1-8b";
    std::int64_t contextTokens = 16384;
    std::int64_t chunkTokens = 1024;
    /// Shape and mean of the bandwidth.
    std::shared_ptr<const BandwidthTrace> trace;
    /// In order of time.
    std::vector<BandwidthPull> pulls;
    /// Where in the trace the request is made, seconds.
    double traceStart = 0;
    double rttSeconds = 0.02;
    double lossRate = 0;
    double jitterSeconds = 0;
    std::optional<SecondPath> second;
    /// Draws loss, jitter and random traces.
    std::uint64_t seed = 1;
    /// Strategies know the bandwidth at the request before anything has arrived.
    bool bandwidthKnown = false;
    ComputeModel compute;
    double sloSeconds = 2.0;
    std::vector<Fault> faults;

    bool operator==(const StreamSettings& other) const;
};

/// The setting that people meet first: Llama-3.1-8B, 16,384 tokens, 4 Gbit/s.
StreamSettings defaultStreamSettings();

/// The bandwidth from the request on (its time 0 is the request), pulls and traceStart applied. Errors: pulls that
/// leave nothing but zeros.
Result<BandwidthTrace> bandwidthFromRequest(const StreamSettings& settings);
/// That of the second path, which there must be; nobody pulls it.
Result<BandwidthTrace> secondBandwidthFromRequest(const StreamSettings& settings);

/// The surroundings of a run. Errors: those of bandwidthFromRequest and validate().
Result<StreamSetup> makeStreamSetup(const StreamSettings& settings);

} // namespace kvscope::views
