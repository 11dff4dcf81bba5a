// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/fetch_book.h"

#include "core/stream/timeline_sums.h"

#include <algorithm>
#include <utility>

namespace kvscope {

namespace {

ComputeModel computeFor(const FetchOptions& options) {
    ComputeModel compute = options.compute;
    if (!options.text)
        compute.prefillTokensPerSecond = kNoPrefill;
    return compute;
}

} // namespace

FetchBook::FetchBook(const ContextInput& context, const FetchOptions& options, std::unique_ptr<Policy> policy)
    : StreamBook(context.input, computeFor(options), link_, options.sloSeconds, options.text, *policy, options.policy)
    , policy_(std::move(policy)) {}

void FetchBook::idsCame(double now, double begin, double end, double wireBytes) {
    timeline_.idsSend = {begin, std::max(begin, end)};
    timeline_.idsArrived = now;
    timeline_.wireBytes = wireBytes;
    noteIdsThere(now);
}

std::size_t FetchBook::lastOn(std::size_t path) const {
    const auto last =
        std::find_if(sent_.rbegin(), sent_.rend(), [&](const SentChunk& sent) { return sent.path == path; });
    return last == sent_.rend() ? kNoIndex : static_cast<std::size_t>(sent_.rend() - last) - 1;
}

FetchBook::Order FetchBook::launch(std::size_t path, double now, std::size_t chunk, std::size_t candidate,
                                   std::size_t decision) {
    // The request reaches the sender half a round trip from now, or while it still sends what was asked for before.
    double begin = now + link_.paths[path].rttSeconds / 2;
    if (const std::size_t before = lastOn(path); before != kNoIndex && sent_[before].send.end < kNever)
        begin = std::max(begin, sent_[before].send.end);
    sent_.push_back({chunk,
                     candidate,
                     path,
                     {begin, kNever},
                     input_.option(chunk, candidate).bytes,
                     input_.option(chunk, candidate).bytes,
                     false});
    Flight flight;
    flight.decision = decision;
    flight.queued = timeline_.decisions[decision].seconds;
    flights_.push_back(flight);
    return {sent_.size() - 1, chunk, candidate};
}

std::optional<Choice> FetchBook::choose(std::size_t path, double now, std::span<const AskedFor> asked) {
    // At the sender, when the request is there: by then the transfers before will have left.
    auto choice = chooseAhead(path, now + link_.paths[path].rttSeconds / 2, asked);
    const bool isIdle = running_ == kNoIndex && resends_.empty() &&
                        std::ranges::find(stages_, ChunkStage::Sent) == stages_.end() &&
                        std::ranges::find(stages_, ChunkStage::Text) == stages_.end();
    if (!choice && isIdle)
        choice = Choice{firstOpen_, input_.candidateCount() - 1, 0, "nothing else is under way: the smallest form"};
    return choice;
}

std::optional<FetchBook::Order> FetchBook::next(std::size_t path, double now, std::span<const AskedFor> asked) {
    const auto due = std::ranges::find_if(resends_, [&](const Resend& again) { return again.at <= now; });
    if (due != resends_.end()) {
        const Resend again = *due;
        resends_.erase(due);
        return launch(path, now, again.chunk, again.candidate, again.decision);
    }
    while (openCount_ > 0) {
        const std::size_t mark = timeline_.considered.size();
        const auto choice = choose(path, now, asked);
        if (!choice) {
            timeline_.considered.resize(mark);
            break;
        }
        if (choice->candidate != StreamInput::textCandidate()) {
            const std::size_t decision = record(*choice, now);
            leaveOpen(choice->chunk, ChunkStage::Sent);
            return launch(path, now, choice->chunk, choice->candidate, decision);
        }
        bindText(*choice, now);
    }
    return std::nullopt;
}

bool FetchBook::began(std::size_t transfer, double now) {
    Flight& flight = flights_[transfer];
    if (std::exchange(flight.begun, true))
        return false;
    flight.receive = {now, now};
    noteProgress(transfer);
    return true;
}

void FetchBook::noteProgress(std::size_t transfer) {
    const SentChunk& sent = sent_[transfer];
    const Flight& flight = flights_[transfer];
    if (sent.abandoned || !flight.begun || stages_[sent.chunk] == ChunkStage::Ready)
        return;
    const double leftAt = flight.receive.begin - link_.paths[sent.path].rttSeconds / 2;
    ChunkTimes& times = timeline_.chunks[sent.chunk];
    times.candidate = sent.candidate;
    times.decision = flight.decision;
    times.path = sent.path;
    times.queued = flight.queued;
    times.send = {std::min(std::max(sent.send.begin, leftAt), sent.send.end), sent.send.end};
    times.receive = flight.receive;
    times.decode = flight.decode;
    times.wireBytes = flight.wireBytes;
}

void FetchBook::bytesCame(std::size_t transfer, double wireBytes) {
    Flight& flight = flights_[transfer];
    flight.wireBytes += wireBytes;
    if (flight.abandoned != kNoIndex)
        timeline_.abandoned[flight.abandoned].wireBytes = flight.wireBytes;
    noteProgress(transfer);
}

void FetchBook::allCame(std::size_t transfer, double now) {
    Flight& flight = flights_[transfer];
    SentChunk& sent = sent_[transfer];
    if (!flight.begun)
        began(transfer, now);
    flight.receive.end = now;
    sent.send.end = std::max(sent.send.begin, now - link_.paths[sent.path].rttSeconds / 2);
    sent.wireBytes = std::max(sent.payload, flight.wireBytes);
    // What follows on the path could not begin before.
    for (std::size_t i = transfer + 1; i < sent_.size(); ++i) {
        if (sent_[i].path == sent.path) {
            sent_[i].send.begin = std::max(sent_[i].send.begin, sent.send.end);
            break;
        }
    }
    noteProgress(transfer);
}

void FetchBook::decoded(std::size_t transfer, double begin, double end) {
    Interval& decode = flights_[transfer].decode;
    decode.begin = decode.end > 0 ? std::min(decode.begin, begin) : begin;
    decode.end = std::max(decode.end, end);
    noteProgress(transfer);
}

bool FetchBook::complete(std::size_t transfer, double now) {
    const SentChunk& sent = sent_[transfer];
    if (sent.abandoned || stages_[sent.chunk] != ChunkStage::Sent)
        return false;
    Flight& flight = flights_[transfer];
    // The decoder turns to a chunk when it is done with the one before.
    flight.decode.begin = std::min(std::max(flight.decode.begin, decodeFree_), flight.decode.end);
    decodeFree_ = std::max(decodeFree_, flight.decode.end);
    ChunkTimes& times = timeline_.chunks[sent.chunk];
    times.candidate = sent.candidate;
    times.decision = flight.decision;
    times.path = sent.path;
    times.queued = flight.queued;
    times.send = sent.send;
    times.receive = flight.receive;
    times.decode = flight.decode;
    times.wireBytes = flight.wireBytes;
    makeReady(sent.chunk, std::max(flight.decode.end, flight.receive.end));
    dispatchCompute(now);
    return true;
}

void FetchBook::noteAbandoned(std::size_t transfer, double now) {
    SentChunk& sent = sent_[transfer];
    Flight& flight = flights_[transfer];
    sent.abandoned = true;
    if (sent.send.end == kNever)
        sent.send.end = std::max(sent.send.begin, now + link_.paths[sent.path].rttSeconds / 2);
    if (flight.decode.end > 0)
        flight.decode.begin = std::min(std::max(flight.decode.begin, decodeFree_), flight.decode.end);
    decodeFree_ = std::max(decodeFree_, flight.decode.end);
    timeline_.chunks[sent.chunk] = {};
    flight.abandoned = timeline_.abandoned.size();
    timeline_.abandoned.push_back({sent.chunk, sent.candidate, sent.path, sent.send, flight.decode, flight.wireBytes});
}

void FetchBook::lost(std::size_t transfer, double now, double again) {
    if (sent_[transfer].abandoned)
        return;
    noteAbandoned(transfer, now);
    resends_.push_back({again, sent_[transfer].chunk, sent_[transfer].candidate, flights_[transfer].decision});
}

int FetchBook::transfersOf(std::size_t chunk) const {
    return static_cast<int>(std::ranges::count(sent_, chunk, &SentChunk::chunk));
}

double FetchBook::recomputeEnds(std::size_t chunk, double now) {
    const double end = now + prefillOf(chunk);
    timeline_.chunks[chunk].candidate = StreamInput::textCandidate();
    timeline_.chunks[chunk].recompute = {now, end};
    return end;
}

std::size_t FetchBook::finishRecompute(double now) {
    return endRecompute(nextComputed(), now);
}

void FetchBook::giveUp(std::size_t chunk, double now) {
    reopen(chunk);
    for (std::size_t i = sent_.size(); i-- > 0;) {
        if (sent_[i].chunk == chunk && !sent_[i].abandoned) {
            noteAbandoned(i, now);
            givenUp_.push_back(i);
            return;
        }
    }
}

Timeline FetchBook::finish() {
    // What was still coming has no form.
    for (ChunkTimes& chunk : timeline_.chunks) {
        if (chunk.ready == kNever) {
            chunk.candidate = kNoIndex;
            chunk.recompute = {};
        }
    }
    for (std::size_t i = 0; i < sent_.size(); ++i) {
        ChunkTimes& chunk = timeline_.chunks[sent_[i].chunk];
        if (sent_[i].abandoned || chunk.ready < kNever)
            continue;
        chunk.decision = flights_[i].decision;
        chunk.path = sent_[i].path;
        chunk.queued = flights_[i].queued;
        chunk.send = sent_[i].send;
        chunk.receive = flights_[i].receive;
        chunk.decode = flights_[i].decode;
        chunk.wireBytes = flights_[i].wireBytes;
    }
    sumUp(timeline_, input_, compute_.firstStepSeconds);
    return std::move(timeline_);
}

} // namespace kvscope
