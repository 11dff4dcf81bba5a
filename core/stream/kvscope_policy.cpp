// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/kvscope_policy.h"

#include <algorithm>

namespace kvscope {

namespace {

/// Relative standard deviation of a rate that rests on no chunk.
constexpr double kGuessSpread = 1.0;

/// The transfer under way of a chunk, or null.
const SentChunk* transferOf(const Situation& situation, std::size_t chunk) {
    for (auto sent = situation.sent.rbegin(); sent != situation.sent.rend(); ++sent) {
        if (sent->chunk == chunk && !sent->abandoned)
            return &*sent;
    }
    return nullptr;
}

} // namespace

KvScopePolicy::Rates KvScopePolicy::rates(const Situation& situation, std::size_t path, bool cautious) {
    Rates rates;
    for (std::size_t p = 0; p < situation.link.paths.size(); ++p) {
        estimators_[p].update(situation, p);
        auto estimate = estimators_[p].estimate();
        if (!estimate && p == 0 && situation.idsBitsPerSecond > 0)
            estimate = {situation.idsBitsPerSecond, kGuessSpread, RateBasis::Ids};
        if (!estimate)
            continue;
        const double rate = cautious ? estimate->cautious() : estimate->rate;
        rates.all += rate;
        if (p == path) {
            rates.path = rate;
            rates.basis = estimate->basis;
        }
    }
    if (rates.path > 0)
        return rates;
    // Nothing has come on this path. What another brings says how fast such links are; it counts for this one alone.
    rates.path = rates.all;
    if (!(rates.path > 0))
        rates.path = cautious ? kAssumedBitsPerSecond / (1 + kGuessSpread) : kAssumedBitsPerSecond;
    rates.all += rates.path;
    rates.basis = RateBasis::Assumed;
    return rates;
}

double KvScopePolicy::finish(const Situation& situation, const Remaining& rest, std::size_t candidate,
                             const Rates& rates) {
    const StreamInput& input = situation.input;
    const auto& prefill = situation.prefillBefore;
    const double sent = rest.networkFree + 8.0 * input.option(rest.last, candidate).bytes / rates.path;
    const double after =
        situation.link.paths[situation.path].rttSeconds / 2 + situation.decodeTail(rest.last, candidate);
    const auto computed = [&](std::size_t split) { return rest.computeFree + prefill[split] - prefill[rest.first]; };
    const auto arrived = [&](std::size_t split) {
        const double bytes = input.bytesBefore(candidate, rest.last) - input.bytesBefore(candidate, split);
        return sent + 8.0 * bytes / rates.all + after;
    };
    // Chunks [first, split) are recomputed: the first split at which recomputing ends after sending.
    std::size_t low = rest.first;
    std::size_t high = rest.last;
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (computed(middle) >= arrived(middle))
            high = middle;
        else
            low = middle + 1;
    }
    double end = std::max(low > rest.first ? computed(low) : situation.now, arrived(low));
    if (low > rest.first)
        end = std::min(end, std::max(low - 1 > rest.first ? computed(low - 1) : situation.now, arrived(low - 1)));
    return end + situation.compute.firstStepSeconds;
}

double KvScopePolicy::finishAsText(const Situation& situation, const Remaining& rest) {
    return rest.computeFree + situation.prefillBefore[rest.last + 1] - situation.prefillBefore[rest.first] +
           situation.compute.firstStepSeconds;
}

double KvScopePolicy::arrival(const Situation& situation, const SentChunk& sent, const Rates& rates) {
    const double left = sent.payload - situation.arrivedBytes(sent);
    return std::max(situation.observedUntil(sent.path), sent.send.begin) +
           situation.link.paths[sent.path].rttSeconds / 2 + 8.0 * left / rates.path +
           situation.decodeTail(sent.chunk, sent.candidate);
}

std::optional<Choice> KvScopePolicy::nextSend(const Situation& situation) {
    resting_ = false;
    if (situation.openCount == 0)
        return std::nullopt;
    const StreamInput& input = situation.input;
    const Remaining rest{situation.firstOpen, situation.lastOpen, situation.pathFree, situation.computeFree};
    const auto expected = rates(situation, situation.path, false);
    const auto cautious = rates(situation, situation.path, true);
    const double asText = finishAsText(situation, rest);
    const bool textFits = asText <= situation.sloSeconds;
    situation.considered.push_back({StreamInput::textCandidate(), asText, textFits});
    std::size_t best = StreamInput::textCandidate();
    double bestFinish = asText;
    double bestLoss = kNever;
    if (textFits)
        bestLoss = 0;
    std::size_t earliest = StreamInput::textCandidate();
    double earliestFinish = asText;
    for (std::size_t c = 1; c < input.candidateCount(); ++c) {
        const double predicted = finish(situation, rest, c, expected);
        const bool fits = finish(situation, rest, c, cautious) <= situation.sloSeconds;
        situation.considered.push_back({c, predicted, fits});
        const double loss = input.loss(rest.last, c);
        if (fits && (loss < bestLoss || (loss == bestLoss && predicted < bestFinish))) {
            best = c;
            bestFinish = predicted;
            bestLoss = loss;
        }
        if (predicted < earliestFinish) {
            earliest = c;
            earliestFinish = predicted;
        }
    }
    if (!expected.known()) {
        // The first burst of a link says little of what it keeps up: a form that is wrong in neither direction.
        const auto levels = input.levels();
        const std::size_t middle = levels.empty() ? input.candidateCount() - 1 : levels[levels.size() / 2];
        return Choice{rest.last, middle, expected.path, "no chunk has come yet: the middle level", expected.basis};
    }
    const bool fits = bestLoss < kNever;
    const std::size_t chosen = fits ? best : earliest;
    if (chosen == StreamInput::textCandidate()) {
        resting_ = true;
        return std::nullopt;
    }
    return Choice{rest.last, chosen, expected.path,
                  fits ? "the best form with which the rest still fits" : "nothing fits: the earliest first token",
                  expected.basis};
}

std::optional<Choice> KvScopePolicy::recomputeNow(const Situation& situation, std::size_t chunk) {
    const StreamInput& input = situation.input;
    const double ready = situation.now + situation.recomputeSeconds(chunk);
    const double latest = situation.sloSeconds - situation.compute.firstStepSeconds;
    const std::size_t text = StreamInput::textCandidate();
    if (situation.stages[chunk] == ChunkStage::Sent) {
        const SentChunk* sent = transferOf(situation, chunk);
        if (sent == nullptr)
            return std::nullopt;
        const auto expected = rates(situation, sent->path, false);
        if (situation.arrivedBytes(*sent) >= sent->payload)
            return std::nullopt;
        double arrives = kNever;
        if (expected.known())
            arrives = arrival(situation, *sent, expected);
        situation.considered.push_back({text, ready + situation.compute.firstStepSeconds, ready <= latest});
        situation.considered.push_back(
            {sent->candidate, arrives + situation.compute.firstStepSeconds, arrives <= latest});
        if (arrives > ready)
            return Choice{chunk, text, expected.path, "recomputed sooner than its transfer would end", expected.basis};
        // Nothing else is left to recompute, and there is time to have it without loss.
        const bool alone = situation.openCount == 0 && ready <= latest && situation.computeFree <= situation.now &&
                           chunk + 1 == input.chunkCount();
        if (alone && input.loss(chunk, sent->candidate) > 0)
            return Choice{chunk, text, expected.path, "recomputed without loss within the SLO", expected.basis};
        return std::nullopt;
    }
    const auto expected = rates(situation, 0, false);
    // The network alone: everything that is open, and what is still on its way.
    double onTheWay = 0;
    for (const SentChunk& sent : situation.sent) {
        if (!sent.abandoned && situation.stages[sent.chunk] == ChunkStage::Sent)
            onTheWay += sent.payload - situation.arrivedBytes(sent);
    }
    const std::size_t end = situation.lastOpen + 1;
    const double step = situation.compute.firstStepSeconds;
    const double delay = situation.link.paths[0].rttSeconds;
    const double networkFree = situation.now + delay / 2 + 8.0 * onTheWay / expected.all;
    // With this chunk as text the others are shared as before: in the best form that still fits, else the fastest.
    double asText = kNever;
    if (chunk + 1 == end)
        asText = std::max(ready, networkFree + delay / 2) + step;
    const std::size_t weighed = situation.considered.size();
    situation.considered.push_back({text, asText, false});
    bool worthIt = true;
    for (std::size_t c = 1; c < input.candidateCount(); ++c) {
        if (chunk + 1 < end && asText > situation.sloSeconds) {
            const double shared = finish(situation, {chunk + 1, end - 1, networkFree, ready}, c, expected);
            asText = std::min(asText, shared);
        }
        const double bytes = input.bytesBefore(c, end) - input.bytesBefore(c, chunk);
        const double byNetwork = networkFree + delay / 2 + 8.0 * bytes / expected.all + situation.decodeTail(chunk, c);
        situation.considered.push_back({c, byNetwork + step, byNetwork <= latest});
        // Recomputing holds up the first token if the network would have everything before it is done: in time nothing
        // must be lost for that, late anything is.
        const bool lossless = input.loss(chunk, c) == 0;
        if (byNetwork < ready && (lossless || ready > latest))
            worthIt = false;
    }
    situation.considered[weighed] = {text, asText, asText <= situation.sloSeconds};
    if (resting_)
        return Choice{chunk, text, expected.path, "recomputing alone does best", expected.basis};
    if (!expected.known())
        return Choice{chunk, text, expected.path, "no chunk has come yet: the compute lane does not wait",
                      expected.basis};
    if (!worthIt)
        return std::nullopt;
    return Choice{chunk, text, expected.path, "recomputed from the front while later chunks are on their way",
                  expected.basis};
}

std::optional<std::size_t> KvScopePolicy::giveUp(const Situation& situation) {
    // The last transfer, if it is still under way.
    if (situation.sent.empty())
        return std::nullopt;
    const SentChunk& sent = situation.sent.back();
    if (sent.abandoned || situation.stages[sent.chunk] != ChunkStage::Sent || sent.send.end < kNever)
        return std::nullopt;
    const auto expected = rates(situation, sent.path, false);
    if (!expected.known())
        return std::nullopt;
    const double step = situation.compute.firstStepSeconds;
    const double keep = arrival(situation, sent, expected) + step;
    if (keep <= situation.sloSeconds)
        return std::nullopt;
    const Remaining rest{situation.openCount > 0 ? std::min(situation.firstOpen, sent.chunk) : sent.chunk, sent.chunk,
                         situation.now + situation.link.paths[sent.path].rttSeconds / 2, situation.computeFree};
    double best = finishAsText(situation, rest);
    for (std::size_t c = 1; c < situation.input.candidateCount(); ++c)
        best = std::min(best, finish(situation, rest, c, expected));
    // Late in any case: only for a clear gain.
    constexpr double kClearGain = 0.8;
    if (best <= situation.sloSeconds || best - situation.now < kClearGain * (keep - situation.now))
        return sent.chunk;
    return std::nullopt;
}

} // namespace kvscope
