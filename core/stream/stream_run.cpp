// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/stream_run.h"

#include "core/stream/timeline_sums.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope {

namespace {

/// Between two looks of a receiver at what has come: bytes arrive all the time. Later looks may be further apart, or
/// a path that brings next to nothing would be looked at for ever.
constexpr double kLongestPause = 5e-3;
constexpr double kLongestPauseShare = 5e-3;

} // namespace

Throughput Situation::observed(std::size_t onPath, double begin, double end) const {
    end = std::min(end, observedUntil(onPath));
    const LinkPath& way = link.paths[onPath];
    Throughput sum;
    for (auto chunk = sent.rbegin(); chunk != sent.rend(); ++chunk) {
        if (chunk->path != onPath)
            continue;
        if (chunk->send.end <= begin)
            break;
        const double from = std::max(begin, chunk->send.begin);
        const double to = std::min(end, chunk->send.end);
        if (!(to > from))
            continue;
        const double useful = chunk->wireBytes > 0 ? chunk->payload / chunk->wireBytes : 1;
        sum.bytes += useful * way.trace->bytesBetween(from + way.traceStart, to + way.traceStart);
        sum.seconds += to - from;
    }
    return sum;
}

double Situation::observedUntil(std::size_t onPath) const {
    const double rtt = link.paths[onPath].rttSeconds;
    return now - (atReceiver ? rtt / 2 : rtt);
}

double Situation::arrivedBytes(const SentChunk& chunk) const {
    const LinkPath& way = link.paths[chunk.path];
    const double to = std::min(observedUntil(chunk.path), chunk.send.end);
    if (!(to > chunk.send.begin))
        return 0;
    const double bytes = way.trace->bytesBetween(chunk.send.begin + way.traceStart, to + way.traceStart);
    return std::min(chunk.payload, bytes * (chunk.wireBytes > 0 ? chunk.payload / chunk.wireBytes : 1));
}

double Situation::decodeSeconds(std::size_t chunk, std::size_t candidate) const {
    const bool level = input.candidates()[candidate].form == ChunkForm::Level;
    return input.option(chunk, candidate).decodedBytes /
           (level ? compute.decodeBytesPerSecond : compute.unpackBytesPerSecond);
}

StreamRun::StreamRun(const StreamInput& input, const StreamSetup& setup, Policy& policy, std::string name,
                     std::size_t number, std::span<const Fault> faults, std::span<PathState> paths, bool asks)
    : StreamBook(input, setup.compute, setup.link, setup.sloSeconds, setup.text, policy, std::move(name))
    , setup_(&setup)
    , asks_(asks)
    , number_(number)
    , faults_(faults.begin(), faults.end())
    , paths_(paths) {
    transfers_.reserve(input.chunkCount());
    decoded_.reserve(input.chunkCount());
}

void StreamRun::sendIds(PathState& path) {
    const Transfer transfer = transferBytes(setup_->link.paths[0], setup_->link.seed, number_ << 32U, path.freeAt,
                                            input_.idBytes(), path.lastReceive);
    timeline_.idsSend = {transfer.sendBegin, transfer.sendEnd};
    timeline_.idsArrived = transfer.receiveEnd;
    timeline_.wireBytes = transfer.wireBytes;
    path.freeAt = transfer.sendEnd;
    path.lastReceive = transfer.receiveEnd;
}

bool StreamRun::sendNext(std::size_t path, double now) {
    if (!resendsDue_.empty()) {
        const Resend again = resendsDue_.front();
        resendsDue_.erase(resendsDue_.begin());
        launch(path, now, again.chunk, again.candidate, again.decision);
        return true;
    }
    while (openCount_ > 0) {
        const std::size_t mark = timeline_.considered.size();
        const auto choice = chooseAhead(path, now, {});
        if (!choice) {
            timeline_.considered.resize(mark);
            break;
        }
        if (choice->candidate != StreamInput::textCandidate()) {
            const std::size_t decision = record(*choice, now);
            leaveOpen(choice->chunk, ChunkStage::Sent);
            launch(path, now, choice->chunk, choice->candidate, decision);
            return true;
        }
        bindText(*choice, now);
    }
    return false;
}

double StreamRun::rateSeen(std::size_t path, double now) const {
    const LinkPath& way = setup_->link.paths[path];
    const Asking& asking = asking_[path];
    double until = now - way.rttSeconds / 2;
    double bytes = 0;
    double seconds = 0;
    for (std::size_t i = asking.transfers.size(); i-- > 0;) {
        const Flight& flight = transfers_[asking.transfers[i]];
        if (!flight.begun || flight.transfer.sendBegin >= until)
            continue;
        if (seconds == 0)
            until = std::min(until, flight.transfer.sendEnd);
        const double from = std::max(until - AskAhead::kRateWindow, flight.transfer.sendBegin);
        const double to = std::min(until, flight.transfer.sendEnd);
        if (flight.transfer.sendEnd < until - AskAhead::kRateWindow)
            break;
        if (!(to > from))
            continue;
        const double useful =
            flight.transfer.wireBytes > 0 ? sent_[asking.transfers[i]].payload / flight.transfer.wireBytes : 1;
        bytes += std::min(1.0, useful) * way.trace->bytesBetween(from + way.traceStart, to + way.traceStart);
        seconds += to - from;
    }
    if (seconds > 0)
        return bytes / seconds;
    // What the ids and sizes took tells something of the path on which they came.
    return path == 0 ? AskAhead::firstRate(timeline_.wireBytes, timeline_.idsArrived - way.rttSeconds) : 0;
}

PathOutlook StreamRun::outlook(std::size_t path, double now) {
    Asking& asking = asking_[path];
    const double rtt = setup_->link.paths[path].rttSeconds;
    // How late transfers were, as far as they have come.
    for (; asking.begunNoted < asking.transfers.size(); ++asking.begunNoted) {
        const Flight& flight = transfers_[asking.transfers[asking.begunNoted]];
        if (flight.begun && flight.transfer.receiveBegin > now)
            break;
        if (!flight.begun && flight.stopAt == kNever)
            break;
        if (!flight.begun)
            continue;
        double expected = flight.asked + rtt;
        if (asking.begunNoted > 0)
            expected = std::max(expected, transfers_[asking.transfers[asking.begunNoted - 1]].transfer.receiveEnd);
        asking.late.began(flight.transfer.receiveBegin - expected);
    }
    for (; asking.endedNoted < asking.begunNoted; ++asking.endedNoted) {
        const Transfer& transfer = transfers_[asking.transfers[asking.endedNoted]].transfer;
        if (transfer.receiveEnd > now)
            break;
        asking.late.ended(transfer.receiveEnd - transfer.receiveBegin - (transfer.sendEnd - transfer.sendBegin));
    }
    return {now, rtt, rateSeen(path, now), asking.late.seconds()};
}

void StreamRun::listAsked(const PathOutlook& outlook, std::size_t path) {
    Asking& asking = asking_[path];
    const LinkPath& way = setup_->link.paths[path];
    const auto hasEnded = [&](std::size_t index) {
        return sent_[index].abandoned ||
               (transfers_[index].begun && transfers_[index].transfer.receiveEnd <= outlook.now);
    };
    while (asking.head < asking.transfers.size() && hasEnded(asking.transfers[asking.head]))
        ++asking.head;
    open_.clear();
    for (std::size_t i = asking.head; i < asking.transfers.size(); ++i) {
        const std::size_t index = asking.transfers[i];
        if (hasEnded(index))
            continue;
        const Flight& flight = transfers_[index];
        AskedFor one{index, flight.asked, sent_[index].payload,
                     flight.begun && flight.transfer.receiveBegin <= outlook.now};
        if (one.begun) {
            const double until = outlook.now - (flight.transfer.receiveBegin - flight.transfer.sendBegin);
            const double share = flight.transfer.wireBytes > 0 ? one.bytesLeft / flight.transfer.wireBytes : 1;
            const double came = way.trace->bytesBetween(flight.transfer.sendBegin + way.traceStart,
                                                        std::max(until, flight.transfer.sendBegin) + way.traceStart);
            one.bytesLeft = std::max(0.0, one.bytesLeft - std::min(1.0, share) * came);
        }
        open_.push_back(one);
    }
    AskAhead::foresee(outlook, open_);
    noteForeseen(path, open_);
}

bool StreamRun::willArrive(std::size_t path) const {
    return std::ranges::any_of(open_, [&](const AskedFor& one) {
        const Flight& flight = transfers_[one.transfer];
        return flight.begun ? flight.transfer.receiveEnd < kNever : paths_[path].freeAt < kNever;
    });
}

double StreamRun::look(std::size_t path, double now) {
    const double half = setup_->link.paths[path].rttSeconds / 2;
    while (true) {
        const PathOutlook seen = outlook(path, now);
        listAsked(seen, path);
        const double at = AskAhead::askAt(seen, open_);
        if (at == kNever && !willArrive(path))
            return kNever;
        if (at > now) {
            const double longest = std::max(kLongestPause, kLongestPauseShare * now);
            const double pause = std::clamp((at - now) / 4, AskAhead::kShortestPause, longest);
            return now + pause;
        }
        if (!resendsDue_.empty()) {
            const Resend again = resendsDue_.front();
            resendsDue_.erase(resendsDue_.begin());
            launch(path, now, again.chunk, again.candidate, again.decision);
            continue;
        }
        const std::size_t mark = timeline_.considered.size();
        const auto choice = openCount_ > 0 ? chooseAhead(path, now + half, open_) : std::nullopt;
        if (!choice) {
            timeline_.considered.resize(mark);
            return kNever;
        }
        if (choice->candidate == StreamInput::textCandidate()) {
            bindText(*choice, now);
            continue;
        }
        const std::size_t decision = record(*choice, now);
        leaveOpen(choice->chunk, ChunkStage::Sent);
        launch(path, now, choice->chunk, choice->candidate, decision);
    }
}

const Fault* StreamRun::takeFault(std::size_t chunk) {
    const auto found = std::ranges::find(faults_, chunk, &Fault::chunk);
    if (found == faults_.end())
        return nullptr;
    std::rotate(found, found + 1, faults_.end());
    // Its chunk no longer matches: a fault strikes once.
    faults_.back().chunk = kNoIndex;
    return &faults_.back();
}

void StreamRun::launch(std::size_t path, double now, std::size_t chunk, std::size_t candidate, std::size_t decision) {
    const double payload = input_.option(chunk, candidate).bytes;
    const std::size_t index = transfers_.size();
    Flight flight;
    flight.decision = decision;
    flight.queued = timeline_.decisions[decision].seconds;
    flight.asked = now;
    transfers_.push_back(flight);
    const double half = setup_->link.paths[path].rttSeconds / 2;
    sent_.push_back({chunk, candidate, path, {asks_ ? now + half : now, kNever}, payload, payload, false});
    if (!asks_)
        return begin(index, now);
    asking_[path].transfers.push_back(index);
    paths_[path].queue.push_back({index, now + half});
}

void StreamRun::begin(std::size_t index, double now) {
    Flight& flight = transfers_[index];
    SentChunk& sent = sent_[index];
    PathState& state = paths_[sent.path];
    const std::uint64_t draw = (number_ << 32U) + index + 1;
    flight.begun = true;
    flight.transfer =
        transferBytes(setup_->link.paths[sent.path], setup_->link.seed, draw, now, sent.payload, state.lastReceive);
    if (const Fault* fault = faults_.empty() ? nullptr : takeFault(sent.chunk)) {
        flight.lost = fault->kind == Fault::Kind::Lose;
        flight.corrupt = fault->kind == Fault::Kind::Corrupt;
        if (fault->kind == Fault::Kind::Delay) {
            flight.transfer.receiveBegin += fault->seconds;
            flight.transfer.receiveEnd += fault->seconds;
        }
    }
    sent.wireBytes = flight.transfer.wireBytes;
    sentBytes_ += flight.transfer.wireBytes;
    state.freeAt = flight.transfer.sendEnd;
    state.lastReceive = flight.transfer.receiveEnd;
    state.lastSent = index;
    arriving_[sent.path].push_back(index);
}

void StreamRun::beginAsked(std::size_t path, double now) {
    const std::size_t index = paths_[path].queue.front().sent;
    paths_[path].queue.pop_front();
    Flight& flight = transfers_[index];
    if (now >= flight.stopAt)
        return;
    begin(index, now);
    // It was given up, but the sender does not know it yet.
    if (!sent_[index].abandoned)
        return;
    cut(index, flight.stopAt);
    AbandonedTransfer& gone = timeline_.abandoned[flight.abandoned];
    gone.send = {flight.transfer.sendBegin, flight.transfer.sendEnd};
    gone.wireBytes = flight.transfer.wireBytes;
}

void StreamRun::noteSent(std::size_t sent, double now) {
    if (!sent_[sent].abandoned)
        sent_[sent].send.end = now;
}

double StreamRun::nextArrival() const {
    double at = kNever;
    for (std::size_t p = 0; p < arriving_.size(); ++p) {
        if (arrivingHead_[p] < arriving_[p].size())
            at = std::min(at, transfers_[arriving_[p][arrivingHead_[p]]].transfer.receiveEnd);
    }
    return at;
}

double StreamRun::nextIds() const {
    if (idsNoted_)
        return kNever;
    return timeline_.idsArrived;
}

double StreamRun::nextReady() const {
    if (decodedHead_ == decoded_.size())
        return kNever;
    return transfers_[decoded_[decodedHead_]].decode.end;
}

void StreamRun::arrive(double now) {
    std::size_t path = 0;
    for (std::size_t p = 0; p < arriving_.size(); ++p) {
        if (arrivingHead_[p] < arriving_[p].size() &&
            transfers_[arriving_[p][arrivingHead_[p]]].transfer.receiveEnd == now)
            path = p;
    }
    const std::size_t index = arriving_[path][arrivingHead_[path]++];
    SentChunk& sent = sent_[index];
    Flight& flight = transfers_[index];
    if (sent.abandoned)
        return;
    if (asks_) {
        sent.send.end = std::max(sent.send.begin, now - setup_->link.paths[path].rttSeconds / 2);
        // What follows on the path could not begin before.
        if (arrivingHead_[path] < arriving_[path].size()) {
            Interval& next = sent_[arriving_[path][arrivingHead_[path]]].send;
            next.begin = std::max(next.begin, sent.send.end);
        }
    }
    if (flight.lost || flight.corrupt) {
        const double rtt = setup_->link.paths[path].rttSeconds;
        resends_.push_back({now + (flight.lost ? rtt : 0), sent.chunk, sent.candidate, flight.decision});
        sent.abandoned = true;
        sent.send.end = flight.transfer.sendEnd;
        timeline_.abandoned.push_back({sent.chunk,
                                       sent.candidate,
                                       path,
                                       {flight.transfer.sendBegin, flight.transfer.sendEnd},
                                       {},
                                       flight.transfer.wireBytes});
        return;
    }
    const double seconds = situation_.decodeSeconds(sent.chunk, sent.candidate);
    const int pieces = setup_->compute.decodePieces;
    const Transfer& transfer = flight.transfer;
    const double firstPiece = transfer.receiveBegin + (transfer.receiveEnd - transfer.receiveBegin) / pieces;
    const double end = std::max(std::max(decodeFree_, firstPiece) + seconds, now + seconds / pieces);
    flight.decode = {end - seconds, end};
    decodeFree_ = end;
    decoded_.push_back(index);
    if (running_ != kNoIndex && setup_->compute.gpuContention > 0)
        runningEnd_ = recomputeEnd();
    dispatchCompute(now);
}

void StreamRun::noteIds(double now) {
    idsNoted_ = true;
    noteIdsThere(now);
}

void StreamRun::becomeReady(double now) {
    const std::size_t index = decoded_[decodedHead_++];
    const SentChunk& sent = sent_[index];
    if (!sent.abandoned) {
        const Flight& flight = transfers_[index];
        ChunkTimes& times = timeline_.chunks[sent.chunk];
        times.candidate = sent.candidate;
        times.decision = flight.decision;
        times.path = sent.path;
        times.queued = flight.queued;
        times.send = {flight.transfer.sendBegin, flight.transfer.sendEnd};
        times.receive = {flight.transfer.receiveBegin, flight.transfer.receiveEnd};
        times.decode = flight.decode;
        times.wireBytes = flight.transfer.wireBytes;
        makeReady(sent.chunk, now);
    }
    dispatchCompute(now);
}

double StreamRun::recomputeEnd() const {
    double work = prefillOf(running_);
    const double share = 1.0 - setup_->compute.gpuContention;
    double time = runningBegin_;
    if (share >= 1.0)
        return time + work;
    for (std::size_t i = contendingFrom_; i < decoded_.size(); ++i) {
        const Interval& decode = transfers_[decoded_[i]].decode;
        if (decode.end <= time)
            continue;
        if (decode.begin > time) {
            const double alone = decode.begin - time;
            if (work <= alone)
                break;
            work -= alone;
            time = decode.begin;
        }
        const double slowed = (decode.end - time) * share;
        if (work <= slowed)
            return time + work / share;
        work -= slowed;
        time = decode.end;
    }
    return time + work;
}

double StreamRun::recomputeEnds(std::size_t, double now) {
    while (contendingFrom_ < decoded_.size() && transfers_[decoded_[contendingFrom_]].decode.end <= now)
        ++contendingFrom_;
    return recomputeEnd();
}

void StreamRun::giveUp(std::size_t chunk, double now) {
    std::size_t index = sent_.size();
    while (index-- > 0) {
        if (sent_[index].chunk == chunk && !sent_[index].abandoned)
            break;
    }
    reopen(chunk);
    std::erase_if(resendsDue_, [&](const Resend& again) { return again.chunk == chunk; });
    if (index == static_cast<std::size_t>(-1))
        return;
    SentChunk& sent = sent_[index];
    Flight& flight = transfers_[index];
    // The sender hears of it half a round trip later and stops, unless all has been sent by then.
    flight.stopAt = now + setup_->link.paths[sent.path].rttSeconds / 2;
    if (flight.begun)
        cut(index, flight.stopAt);
    // A decoder at work stops; one that would have begun later does not begin.
    if (!flight.decode.empty()) {
        flight.decode.end = std::clamp(now, flight.decode.begin, flight.decode.end);
        if (decoded_.back() == index)
            decodeFree_ = flight.decode.end;
    }
    if (!flight.begun)
        flight.transfer.sendBegin = flight.transfer.sendEnd = flight.stopAt;
    sent.abandoned = true;
    sent.send.end = std::max(sent.send.begin, flight.transfer.sendEnd);
    flight.abandoned = timeline_.abandoned.size();
    timeline_.abandoned.push_back({sent.chunk,
                                   sent.candidate,
                                   sent.path,
                                   {flight.transfer.sendBegin, flight.transfer.sendEnd},
                                   flight.decode,
                                   flight.transfer.wireBytes});
}

void StreamRun::cut(std::size_t index, double at) {
    SentChunk& sent = sent_[index];
    Flight& flight = transfers_[index];
    const LinkPath& way = setup_->link.paths[sent.path];
    const double stop = std::max(at, flight.transfer.sendBegin);
    if (stop >= flight.transfer.sendEnd)
        return;
    PathState& state = paths_[sent.path];
    const double bytes = way.trace->bytesBetween(flight.transfer.sendBegin + way.traceStart, stop + way.traceStart);
    sentBytes_ -= flight.transfer.wireBytes - bytes;
    flight.transfer.wireBytes = bytes;
    flight.transfer.sendEnd = stop;
    flight.transfer.receiveEnd = std::max(stop + way.rttSeconds / 2, flight.transfer.receiveBegin);
    state.freeAt = stop;
    state.lastReceive = flight.transfer.receiveEnd;
}

void StreamRun::makeResendDue(double now) {
    const auto due = std::ranges::find(resends_, now, &Resend::at);
    resendsDue_.push_back(*due);
    resends_.erase(due);
}

Timeline StreamRun::finish() {
    Timeline& t = timeline_;
    // Transfers that never end have carried what the link still let through.
    for (std::size_t i = 0; i < sent_.size(); ++i) {
        const Transfer& transfer = transfers_[i].transfer;
        ChunkTimes& chunk = t.chunks[sent_[i].chunk];
        if (sent_[i].abandoned || chunk.ready < kNever)
            continue;
        const LinkPath& way = setup_->link.paths[sent_[i].path];
        chunk.decision = transfers_[i].decision;
        chunk.path = sent_[i].path;
        chunk.queued = transfers_[i].queued;
        if (!transfers_[i].begun) {
            chunk.send = chunk.receive = {kNever, kNever};
            continue;
        }
        chunk.send = {transfer.sendBegin, transfer.sendEnd};
        chunk.receive = {transfer.receiveBegin, transfer.receiveEnd};
        chunk.wireBytes = way.trace->bytesBetween(transfer.sendBegin + way.traceStart, 2 * BandwidthTrace::kMaxSeconds);
    }
    sumUp(t, input_, compute_.firstStepSeconds);
    return std::move(timeline_);
}

} // namespace kvscope
