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
    : input_(context.input)
    , text_(options.text)
    , compute_(computeFor(options))
    , policy_(std::move(policy))
    , stages_(input_.chunkCount(), ChunkStage::Open)
    , openCount_(input_.chunkCount())
    , lastOpen_(input_.chunkCount() - 1)
    , situation_{.input = input_,
                 .compute = compute_,
                 .link = link_,
                 .prefillBefore = {},
                 .sloSeconds = options.sloSeconds,
                 .stages = {},
                 .sent = {},
                 .considered = timeline_.considered} {
    timeline_.policy = options.policy;
    timeline_.sloSeconds = options.sloSeconds;
    timeline_.chunks.resize(input_.chunkCount());
    prefillBefore_.push_back(0);
    for (std::size_t i = 0; i < input_.chunkCount(); ++i)
        prefillBefore_.push_back(prefillBefore_.back() +
                                 compute_.prefillSeconds(static_cast<double>(input_.tokensBefore(i)),
                                                         static_cast<double>(input_.tokens(i))));
}

void FetchBook::idsCame(double now, double begin, double end, double wireBytes) {
    timeline_.idsSend = {begin, std::max(begin, end)};
    timeline_.idsArrived = now;
    timeline_.wireBytes = wireBytes;
    idsThere_ = true;
    dispatchCompute(now);
}

Situation& FetchBook::situationAt(double now, std::size_t path, bool atReceiver) {
    situation_.prefillBefore = prefillBefore_;
    situation_.stages = stages_;
    situation_.sent = sent_;
    situation_.now = now;
    situation_.path = path;
    situation_.openCount = openCount_;
    situation_.firstOpen = firstOpen_;
    situation_.lastOpen = lastOpen_;
    situation_.computeFree = (running_ != kNoIndex ? std::max(now, runningEnd_) : now) + boundSeconds_;
    situation_.atReceiver = atReceiver;
    return situation_;
}

std::size_t FetchBook::record(const Choice& choice, double now) {
    const std::size_t first =
        timeline_.decisions.empty() ? 0 : timeline_.decisions.back().first + timeline_.decisions.back().count;
    timeline_.decisions.push_back({now, choice.chunk, choice.candidate, choice.estimate, choice.reason, first,
                                   timeline_.considered.size() - first});
    return timeline_.decisions.size() - 1;
}

void FetchBook::leaveOpen(std::size_t chunk, ChunkStage stage) {
    stages_[chunk] = stage;
    if (--openCount_ == 0)
        return;
    while (stages_[firstOpen_] != ChunkStage::Open)
        ++firstOpen_;
    while (stages_[lastOpen_] != ChunkStage::Open)
        --lastOpen_;
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

std::optional<Choice> FetchBook::choose(std::size_t path, double now) {
    // At the sender, when the request is there: by then the transfer before will have left.
    const double then = now + link_.paths[path].rttSeconds / 2;
    const std::size_t before = lastOn(path);
    const bool isLeaving = before != kNoIndex && sent_[before].send.end == kNever;
    if (isLeaving)
        sent_[before].send.end = std::max(then, sent_[before].send.begin);
    auto choice = policy_->nextSend(situationAt(then, path, false));
    if (isLeaving)
        sent_[before].send.end = kNever;
    const std::size_t smallest = input_.candidateCount() - 1;
    if (choice && (choice->chunk >= stages_.size() || stages_[choice->chunk] != ChunkStage::Open ||
                   choice->candidate >= input_.candidateCount()))
        choice.reset();
    if (choice && !text_ && choice->candidate == StreamInput::textCandidate()) {
        choice->candidate = smallest;
        choice->reason = kNoTextReason;
    }
    const bool isIdle = running_ == kNoIndex && resends_.empty() &&
                        std::ranges::find(stages_, ChunkStage::Sent) == stages_.end() &&
                        std::ranges::find(stages_, ChunkStage::Text) == stages_.end();
    if (!choice && isIdle)
        choice = Choice{firstOpen_, smallest, 0, "nothing else is under way: the smallest form"};
    return choice;
}

std::optional<FetchBook::Order> FetchBook::next(std::size_t path, double now) {
    const auto due = std::ranges::find_if(resends_, [&](const Resend& again) { return again.at <= now; });
    if (due != resends_.end()) {
        const Resend again = *due;
        resends_.erase(due);
        return launch(path, now, again.chunk, again.candidate, again.decision);
    }
    while (openCount_ > 0) {
        const std::size_t mark = timeline_.considered.size();
        const auto choice = choose(path, now);
        if (!choice) {
            timeline_.considered.resize(mark);
            break;
        }
        const std::size_t decision = record(*choice, now);
        if (choice->candidate != StreamInput::textCandidate()) {
            leaveOpen(choice->chunk, ChunkStage::Sent);
            return launch(path, now, choice->chunk, choice->candidate, decision);
        }
        leaveOpen(choice->chunk, ChunkStage::Text);
        boundSeconds_ += prefillBefore_[choice->chunk + 1] - prefillBefore_[choice->chunk];
        timeline_.chunks[choice->chunk].decision = decision;
        timeline_.chunks[choice->chunk].queued = now;
        dispatchCompute(now);
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

void FetchBook::makeReady(std::size_t chunk, double now) {
    stages_[chunk] = ChunkStage::Ready;
    timeline_.chunks[chunk].ready = now;
    ++readyCount_;
    while (prefix_ < stages_.size() && stages_[prefix_] == ChunkStage::Ready)
        ++prefix_;
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

double FetchBook::nextResend() const {
    return resends_.empty() ? kNever : std::ranges::min_element(resends_, {}, &Resend::at)->at;
}

int FetchBook::transfersOf(std::size_t chunk) const {
    return static_cast<int>(std::ranges::count(sent_, chunk, &SentChunk::chunk));
}

void FetchBook::dispatchCompute(double now) {
    if (!text_ || running_ != kNoIndex || prefix_ == stages_.size() || !idsThere_)
        return;
    const std::size_t chunk = prefix_;
    if (stages_[chunk] == ChunkStage::Text) {
        boundSeconds_ -= prefillBefore_[chunk + 1] - prefillBefore_[chunk];
    } else {
        const std::size_t mark = timeline_.considered.size();
        const auto choice = policy_->recomputeNow(situationAt(now, 0, true), chunk);
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
    runningEnd_ = now + prefillBefore_[chunk + 1] - prefillBefore_[chunk];
    timeline_.chunks[chunk].candidate = StreamInput::textCandidate();
    timeline_.chunks[chunk].recompute = {runningBegin_, runningEnd_};
}

std::size_t FetchBook::finishRecompute(double now) {
    const std::size_t chunk = std::exchange(running_, kNoIndex);
    ChunkTimes& times = timeline_.chunks[chunk];
    times.candidate = StreamInput::textCandidate();
    times.recompute = {runningBegin_, runningEnd_};
    makeReady(chunk, runningEnd_);
    const auto given = policy_->giveUp(situationAt(now, 0, true));
    if (given && *given < stages_.size() && stages_[*given] == ChunkStage::Sent)
        giveUp(*given, now);
    dispatchCompute(now);
    return chunk;
}

void FetchBook::giveUp(std::size_t chunk, double now) {
    stages_[chunk] = ChunkStage::Open;
    firstOpen_ = openCount_ == 0 ? chunk : std::min(firstOpen_, chunk);
    lastOpen_ = openCount_ == 0 ? chunk : std::max(lastOpen_, chunk);
    ++openCount_;
    std::erase_if(resends_, [&](const Resend& again) { return again.chunk == chunk; });
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
