// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_settings.h"

#include "core/stream/model_geometry.h"
#include "core/stream/trace_shapes.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace kvscope::views {

namespace {

constexpr double kFirstBitsPerSecond = 4e9;
/// So long after a pull the bandwidth follows the trace; then it stays.
constexpr double kPulledSeconds = 600;
constexpr std::size_t kMostPoints = 200'000;

bool sameTrace(const std::shared_ptr<const BandwidthTrace>& a, const std::shared_ptr<const BandwidthTrace>& b) {
    if (a == b || a == nullptr || b == nullptr)
        return a == b;
    return a->name() == b->name() && a->duration() == b->duration() && a->end() == b->end() &&
           std::ranges::equal(a->points(), b->points());
}

bool sameFault(const Fault& a, const Fault& b) {
    return a.kind == b.kind && a.chunk == b.chunk && a.seconds == b.seconds;
}

Result<BandwidthTrace> fromRequest(const BandwidthTrace& trace, double start, std::span<const BandwidthPull> pulls) {
    if (pulls.empty() && start == 0)
        return trace;
    // The trace unrolled over as many rounds as are needed, with a point wherever it or a pull changes the rate.
    const double duration = trace.duration();
    const double length = std::max(kPulledSeconds, duration);
    std::vector<double> times{0.0};
    for (const BandwidthPull& pull : pulls)
        times.push_back(pull.seconds);
    const double firstRound = trace.end() == TraceEnd::Loop ? std::floor(start / duration) : 0.0;
    for (double round = firstRound; times.size() < kMostPoints; ++round) {
        const double shift = round * duration - start;
        if (shift > length || (round > 0 && trace.end() == TraceEnd::Hold))
            break;
        for (const TracePoint& point : trace.points()) {
            if (point.seconds + shift > 0 && point.seconds + shift < length)
                times.push_back(point.seconds + shift);
        }
    }
    std::ranges::sort(times);
    times.erase(std::unique(times.begin(), times.end()), times.end());
    std::vector<TracePoint> points;
    for (const double seconds : times) {
        double factor = 1;
        for (const BandwidthPull& pull : pulls) {
            if (pull.seconds <= seconds)
                factor = pull.factor;
        }
        // Just within the stretch that begins here: sums of times round.
        points.push_back({seconds, factor * trace.bitsPerSecondAt(std::nextafter(seconds + start, 1e18))});
    }
    const double end = std::max(length, points.back().seconds + 1.0);
    return BandwidthTrace::make(std::move(points), end, TraceEnd::Hold, trace.name());
}

} // namespace

bool SecondPath::operator==(const SecondPath& other) const {
    return sameTrace(trace, other.trace) && rttSeconds == other.rttSeconds;
}

bool StreamSettings::operator==(const StreamSettings& other) const {
    return model == other.model && contextTokens == other.contextTokens && chunkTokens == other.chunkTokens &&
           sameTrace(trace, other.trace) && pulls == other.pulls && traceStart == other.traceStart &&
           rttSeconds == other.rttSeconds && lossRate == other.lossRate && jitterSeconds == other.jitterSeconds &&
           second == other.second && seed == other.seed && bandwidthKnown == other.bandwidthKnown &&
           compute == other.compute && sloSeconds == other.sloSeconds &&
           std::ranges::equal(faults, other.faults, sameFault);
}

StreamSettings defaultStreamSettings() {
    StreamSettings settings;
    if (const auto trace = constantTrace(kFirstBitsPerSecond))
        settings.trace = std::make_shared<const BandwidthTrace>(*trace);
    settings.compute.attentionShare = modelGeometries().front().attentionShare;
    return settings;
}

Result<BandwidthTrace> bandwidthFromRequest(const StreamSettings& settings) {
    return fromRequest(*settings.trace, settings.traceStart, settings.pulls);
}

Result<BandwidthTrace> secondBandwidthFromRequest(const StreamSettings& settings) {
    return fromRequest(*settings.second->trace, settings.traceStart, {});
}

Result<StreamSetup> makeStreamSetup(const StreamSettings& settings) {
    KVSCOPE_ASSIGN(BandwidthTrace trace, bandwidthFromRequest(settings));
    StreamSetup setup;
    const double first = trace.bitsPerSecondAt(0);
    setup.link = simpleLink(std::move(trace), settings.rttSeconds);
    setup.link.seed = settings.seed;
    setup.link.paths.front().lossRate = settings.lossRate;
    setup.link.paths.front().jitterSeconds = settings.jitterSeconds;
    if (settings.second) {
        KVSCOPE_ASSIGN(BandwidthTrace other, secondBandwidthFromRequest(settings));
        LinkPath path = setup.link.paths.front();
        path.trace = std::make_shared<const BandwidthTrace>(std::move(other));
        path.rttSeconds = settings.second->rttSeconds;
        setup.link.paths.push_back(std::move(path));
    }
    if (settings.bandwidthKnown && first > 0)
        setup.link.priorBitsPerSecond = first;
    setup.compute = settings.compute;
    setup.sloSeconds = settings.sloSeconds;
    setup.faults = settings.faults;
    KVSCOPE_TRY(validate(setup));
    return setup;
}

} // namespace kvscope::views
