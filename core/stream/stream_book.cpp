// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/stream_book.h"

#include <algorithm>
#include <utility>

namespace kvscope {

StreamBook::StreamBook(const StreamInput& input, const ComputeModel& compute, const Link& link, double sloSeconds,
                       bool text, Policy& policy, std::string name)
    : input_(input)
    , compute_(compute)
    , asked_(policy)
    , text_(text)
    , stages_(input.chunkCount(), ChunkStage::Open)
    , openCount_(input.chunkCount())
    , lastOpen_(input.chunkCount() - 1)
    , situation_{.input = input_,
                 .compute = compute_,
                 .link = link,
                 .prefillBefore = {},
                 .sloSeconds = sloSeconds,
                 .stages = {},
                 .sent = {},
                 .considered = timeline_.considered} {
    const std::size_t chunks = input.chunkCount();
    timeline_.policy = std::move(name);
    timeline_.chunks.resize(chunks);
    timeline_.decisions.reserve(chunks);
    timeline_.considered.reserve(chunks * input.candidateCount());
    timeline_.sloSeconds = sloSeconds;
    timeline_.projected = input.projected();
    sent_.reserve(chunks);
    prefillBefore_.reserve(chunks + 1);
    prefillBefore_.push_back(0);
    for (std::size_t i = 0; i < chunks; ++i) {
        const double seconds =
            compute_.prefillSeconds(static_cast<double>(input.tokensBefore(i)), static_cast<double>(input.tokens(i)));
        prefillBefore_.push_back(prefillBefore_.back() + seconds);
    }
}

double StreamBook::nextResend() const {
    if (resends_.empty())
        return kNever;
    return std::ranges::min_element(resends_, {}, &Resend::at)->at;
}

Situation& StreamBook::situationAt(double now, std::size_t path, bool atReceiver) {
    situation_.prefillBefore = prefillBefore_;
    situation_.stages = stages_;
    situation_.sent = sent_;
    situation_.now = now;
    situation_.path = path;
    situation_.pathFree = now;
    situation_.openCount = openCount_;
    situation_.firstOpen = firstOpen_;
    situation_.lastOpen = lastOpen_;
    const double busyUntil = running_ != kNoIndex ? std::max(now, runningEnd_) : now;
    situation_.computeFree = std::max(busyUntil, timeline_.idsArrived) + boundSeconds_;
    situation_.atReceiver = atReceiver;
    situation_.idsBitsPerSecond = 0;
    if (const Interval& ids = timeline_.idsSend; ids.end > ids.begin && ids.end <= now) {
        // The receiver knows when they came, the sender when they left.
        const double rtt = situation_.link.paths[0].rttSeconds;
        const double seconds = timeline_.idsArrived <= now ? timeline_.idsArrived - ids.begin - rtt / 2 : ids.seconds();
        situation_.idsBitsPerSecond = 8.0 * AskAhead::firstRate(timeline_.wireBytes, seconds);
    }
    return situation_;
}

bool StreamBook::isSensible(const Choice& choice) const {
    return choice.chunk < stages_.size() && stages_[choice.chunk] == ChunkStage::Open &&
           choice.candidate < input_.candidateCount();
}

void StreamBook::noteForeseen(std::size_t path, std::span<const AskedFor> asked) {
    const double half = situation_.link.paths[path].rttSeconds / 2;
    double free = 0;
    for (const AskedFor& one : asked) {
        Interval& send = sent_[one.transfer].send;
        if (!one.begun && free < kNever)
            send.begin = std::max(one.since + half, free);
        free = one.arrives - half;
    }
}

std::optional<Choice> StreamBook::chooseAhead(std::size_t path, double then, std::span<const AskedFor> asked) {
    noteForeseen(path, asked);
    const double half = situation_.link.paths[path].rttSeconds / 2;
    // What will have left by then is to be reckoned with as if it had: it says how fast the path is.
    for (const AskedFor& one : asked) {
        Interval& send = sent_[one.transfer].send;
        send.end = std::max(std::min(then, one.arrives - half), send.begin);
    }
    Situation& situation = situationAt(then, path, false);
    if (!asked.empty())
        situation.pathFree = std::max(then, asked.back().arrives - half);
    auto choice = asked_.nextSend(situation);
    for (const AskedFor& one : asked)
        sent_[one.transfer].send.end = kNever;
    if (choice && !isSensible(*choice))
        choice.reset();
    if (choice && !text_ && choice->candidate == StreamInput::textCandidate()) {
        choice->candidate = input_.candidateCount() - 1;
        choice->reason = kNoTextReason;
    }
    return choice;
}

StreamBook::Forecast StreamBook::forecastRate() const {
    const std::size_t path = situation_.path;
    for (auto sent = sent_.rbegin(); sent != sent_.rend(); ++sent) {
        if (sent->path == path && !sent->abandoned && sent->send.end <= situation_.now && !sent->send.empty())
            return {8.0 * sent->payload / sent->send.seconds(), RateBasis::Chunks};
    }
    if (path == 0 && situation_.link.priorBitsPerSecond)
        return {*situation_.link.priorBitsPerSecond, RateBasis::Given};
    if (path == 0 && situation_.idsBitsPerSecond > 0)
        return {situation_.idsBitsPerSecond, RateBasis::Ids};
    return {situation_.idsBitsPerSecond > 0 ? situation_.idsBitsPerSecond : kAssumedBitsPerSecond, RateBasis::Assumed};
}

double StreamBook::forecast(std::size_t chunk, std::size_t candidate, double bitsPerSecond) const {
    std::size_t first = chunk;
    std::size_t end = chunk + 1;
    if (openCount_ > 0) {
        first = std::min(first, firstOpen_);
        end = std::max(end, lastOpen_ + 1);
    }
    const double step = compute_.firstStepSeconds;
    if (candidate == StreamInput::textCandidate())
        return situation_.computeFree + prefillBefore_[end] - prefillBefore_[first] + step;
    const double bytes = input_.bytesBefore(candidate, end) - input_.bytesBefore(candidate, first);
    return situation_.pathFree + 8.0 * bytes / bitsPerSecond + situation_.link.paths[situation_.path].rttSeconds / 2 +
           situation_.decodeTail(chunk, candidate) + step;
}

void StreamBook::forecastOthers(const Choice& choice, std::size_t first, double bitsPerSecond) {
    const std::size_t weighed = timeline_.considered.size();
    for (std::size_t candidate = 0; candidate < input_.candidateCount(); ++candidate) {
        const bool known = std::any_of(
            timeline_.considered.begin() + static_cast<std::ptrdiff_t>(first),
            timeline_.considered.begin() + static_cast<std::ptrdiff_t>(weighed),
            [&](const Considered& one) { return one.candidate == candidate && one.predictedFinish < kNever; });
        if (known || (candidate == StreamInput::textCandidate() && !text_))
            continue;
        const double finish = forecast(choice.chunk, candidate, bitsPerSecond);
        timeline_.considered.push_back({candidate, finish, finish <= situation_.sloSeconds, false});
    }
}

std::size_t StreamBook::record(const Choice& choice, double now) {
    const std::size_t first =
        timeline_.decisions.empty() ? 0 : timeline_.decisions.back().first + timeline_.decisions.back().count;
    Forecast rate{choice.estimate, choice.basis};
    if (!(choice.estimate > 0))
        rate = forecastRate();
    forecastOthers(choice, first, rate.bitsPerSecond);
    timeline_.decisions.push_back({now, choice.chunk, choice.candidate, choice.estimate, choice.reason, first,
                                   timeline_.considered.size() - first, situation_.path, rate.bitsPerSecond,
                                   rate.basis});
    return timeline_.decisions.size() - 1;
}

void StreamBook::bindText(const Choice& choice, double now) {
    const std::size_t decision = record(choice, now);
    leaveOpen(choice.chunk, ChunkStage::Text);
    boundSeconds_ += prefillOf(choice.chunk);
    timeline_.chunks[choice.chunk].decision = decision;
    timeline_.chunks[choice.chunk].queued = now;
    dispatchCompute(now);
}

void StreamBook::leaveOpen(std::size_t chunk, ChunkStage stage) {
    stages_[chunk] = stage;
    if (--openCount_ == 0)
        return;
    while (stages_[firstOpen_] != ChunkStage::Open)
        ++firstOpen_;
    while (stages_[lastOpen_] != ChunkStage::Open)
        --lastOpen_;
}

void StreamBook::reopen(std::size_t chunk) {
    stages_[chunk] = ChunkStage::Open;
    firstOpen_ = openCount_ == 0 ? chunk : std::min(firstOpen_, chunk);
    lastOpen_ = openCount_ == 0 ? chunk : std::max(lastOpen_, chunk);
    ++openCount_;
    std::erase_if(resends_, [&](const Resend& again) { return again.chunk == chunk; });
}

void StreamBook::makeReady(std::size_t chunk, double now) {
    stages_[chunk] = ChunkStage::Ready;
    timeline_.chunks[chunk].ready = now;
    ++readyCount_;
    while (prefix_ < stages_.size() && stages_[prefix_] == ChunkStage::Ready)
        ++prefix_;
}

void StreamBook::noteIdsThere(double now) {
    idsThere_ = true;
    dispatchCompute(now);
}

void StreamBook::dispatchCompute(double now) {
    if (!text_ || running_ != kNoIndex || prefix_ == stages_.size() || !idsThere_)
        return;
    const std::size_t chunk = prefix_;
    if (stages_[chunk] == ChunkStage::Text) {
        boundSeconds_ -= prefillOf(chunk);
    } else {
        const std::size_t mark = timeline_.considered.size();
        const auto choice = asked_.recomputeNow(situationAt(now, 0, true), chunk);
        if (!choice) {
            timeline_.considered.resize(mark);
            return;
        }
        const std::size_t decision = record(*choice, now);
        if (stages_[chunk] == ChunkStage::Sent)
            giveUp(chunk, now);
        leaveOpen(chunk, ChunkStage::Text);
        timeline_.chunks[chunk].decision = decision;
        timeline_.chunks[chunk].queued = now;
    }
    running_ = chunk;
    runningBegin_ = now;
    runningEnd_ = recomputeEnds(chunk, now);
}

std::size_t StreamBook::endRecompute(double end, double now) {
    const std::size_t chunk = std::exchange(running_, kNoIndex);
    ChunkTimes& times = timeline_.chunks[chunk];
    times.candidate = StreamInput::textCandidate();
    times.recompute = {runningBegin_, end};
    makeReady(chunk, end);
    const auto given = asked_.giveUp(situationAt(now, 0, true));
    if (given && *given < stages_.size() && stages_[*given] == ChunkStage::Sent)
        giveUp(*given, now);
    dispatchCompute(now);
    return chunk;
}

} // namespace kvscope
