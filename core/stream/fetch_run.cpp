// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/fetch_run.h"

#include "core/base/duration_text.h"
#include "core/base/hash.h"
#include "core/codec/chunk_codec.h"

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <unistd.h>
#include <utility>

namespace kvscope {

namespace {

/// How much sooner another path must bring a chunk to take it over, and over how long its rate is reckoned.
constexpr double kTakeOverGain = 0.7;
constexpr double kTakeOverWindow = 1;
constexpr double kFirstWait = 0.1;
constexpr double kLongestTick = 0.05;

std::int64_t memoryLimit(const FetchOptions& options) {
    if (options.maxCacheBytes > 0)
        return options.maxCacheBytes;
    const std::int64_t pages = sysconf(_SC_PHYS_PAGES);
    const std::int64_t page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? pages / 4 * 3 * page : std::int64_t{8} << 30;
}

Result<std::unique_ptr<Policy>> policyFor(const std::string& name, const StreamInput& input, bool text) {
    std::string known;
    for (const PolicyName& policy : policiesFor(input)) {
        if (policy.kind == PolicyName::Kind::Oracle || (policy.name == "text" && !text))
            continue;
        if (policy.name == name)
            return makePolicy(policy);
        known += (known.empty() ? "" : ", ") + policy.name;
    }
    return fail("is not a policy for this context: \"" + name + "\"", "policy", "Choose one of: " + known);
}

} // namespace

FetchRun::FetchRun(const FetchOptions& options, ThreadPool& pool, const JobControl& job)
    : options_(options)
    , pool_(pool)
    , job_(job)
    , timer_(io_) {}

double FetchRun::now() const {
    return std::chrono::duration<double>(Clock::now() - start_.value_or(created_)).count();
}

Result<Fetched> FetchRun::run() {
    for (const SenderAddress& address : options_.senders)
        paths_.emplace_back(io_, *this, paths_.size(), address);
    const auto guard = asio::make_work_guard(io_);
    for (FetchPath& path : paths_)
        path.start();
    tick();
    try {
        io_.run();
    } catch (const std::bad_alloc&) {
        problem_ = Error{"needs more memory than there is", "fetch", "Close other dumps", Error::Kind::System};
        ending_ = true;
        // Decoders still at work report to a run that has ended; let them.
        while (decodesInFlight_ > 0)
            io_.run_one();
    }
    for (FetchPath& path : paths_)
        path.stop();
    if (fetched_ == nullptr)
        return tl::unexpected<Error>(
            problem_.value_or(Error{"nothing arrived", "fetch", "Try again", Error::Kind::System}));
    fetched_->timeline = book_->finish();
    Fetched result = std::move(*fetched_);
    for (const FetchPath& path : paths_) {
        result.measured.push_back(*path.arrivals().trace(path.rttSeconds() / 2, "measured, " + path.name()));
        result.rttSeconds.push_back(path.rttSeconds());
    }
    result.parts = parts_;
    result.reconnects = reconnects_;
    result.problem = problem_;
    return result;
}

void FetchRun::note(const std::string& text) {
    if (options_.observer != nullptr)
        options_.observer->note(text);
}

void FetchRun::end(std::optional<Error> problem) {
    if (std::exchange(ending_, true))
        return;
    problem_ = std::move(problem);
    timer_.cancel();
    for (FetchPath& path : paths_)
        path.stop();
    if (decodesInFlight_ == 0)
        io_.stop();
}

void FetchRun::connected(std::size_t) {
    if (start_)
        return;
    start_ = Clock::now();
    if (options_.observer != nullptr)
        options_.observer->requested();
    // The clock starts anew, and so does what was planned by it.
    tickAt_ = kNever;
    schedule();
}

bool FetchRun::mayGreet(std::size_t path) const {
    if (fetched_ != nullptr)
        return true;
    for (std::size_t earlier = 0; earlier < path; ++earlier) {
        if (paths_[earlier].isAlive())
            return false;
    }
    return true;
}

Result<void> FetchRun::welcomed(std::size_t path, const wire::Welcome& welcome) {
    if (fetched_ != nullptr && welcome.directoryHash != directoryHash_)
        return fail("holds another context than the one that is being fetched", paths_[path].name(),
                    "Name senders of the same context, encoded once and copied");
    troubles_.clear();
    return {};
}

Result<void> FetchRun::directoryCame(std::size_t path, std::vector<std::byte> bytes, std::uint64_t hash) {
    const std::string where = paths_[path].name();
    const double cameAt = now();
    try {
        KVSCOPE_ASSIGN(KvzDirectory directory,
                       directoryFromBytes(bytes, std::numeric_limits<std::int64_t>::max(), where));
        const std::int64_t most = memoryLimit(options_);
        if (directory.geometry.cacheBytes() > most)
            return fail("offers a cache of " + std::to_string(directory.geometry.cacheBytes() >> 20) +
                            " MiB; the limit is " + std::to_string(most >> 20),
                        where, "Allow more memory, or fetch it on a larger machine");
        KVSCOPE_ASSIGN(ContextInput input, contextInput(directory, options_.chunkTokens,
                                                        static_cast<std::int64_t>(bytes.size()), directory.info.name));
        KVSCOPE_ASSIGN(auto policy, policyFor(options_.policy, input.input, options_.text));
        fetched_ =
            std::make_unique<Fetched>(Fetched{std::move(input), std::move(directory), {}, {}, {}, {}, 0, std::nullopt});
        directoryHash_ = hash;
        book_ = std::make_unique<FetchBook>(fetched_->input, options_, std::move(policy));
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is", where, "Close other dumps");
    }
    chunks_.resize(fetched_->input.input.chunkCount());
    if (job_.progress != nullptr)
        job_.progress->start(fetched_->directory.geometry.cacheBytes());
    if (options_.observer != nullptr)
        options_.observer->started(fetched_->input, fetched_->directory);
    updateLink();
    const double half = paths_[path].rttSeconds() / 2;
    book_->idsCame(cameAt, half, cameAt - half, paths_[path].directoryBytes());
    for (FetchPath& other : paths_)
        other.greetNow();
    askPaths();
    return {};
}

void FetchRun::updateLink() {
    Link& link = book_->link();
    link.paths.resize(paths_.size());
    for (std::size_t p = 0; p < paths_.size(); ++p) {
        link.paths[p].rttSeconds = paths_[p].rttSeconds();
        link.paths[p].trace = paths_[p].arrivals().trace(paths_[p].rttSeconds() / 2, paths_[p].name());
        if (options_.observer != nullptr)
            options_.observer->seen(p, link.paths[p].trace, link.paths[p].rttSeconds);
    }
}

const KvzLevel& FetchRun::levelOf(std::size_t transfer) const {
    return fetched_->directory.levels[fetched_->input.levels[book_->candidateOf(transfer)]];
}

std::int64_t FetchRun::partBytes(const OpenRequest& request, std::size_t part) const {
    const ContextPart& which = request.parts[part];
    return fetched_->directory.levels[request.wire.level].planes.at(which.plane).chunks[which.chunk].bytes;
}

void FetchRun::askPaths() {
    if (book_ == nullptr || ending_ || std::exchange(asking_, true))
        return;
    bool isFresh = false;
    askAt_ = kNever;
    for (std::size_t p = 0; p < paths_.size(); ++p) {
        FetchPath& path = paths_[p];
        while (path.isWelcome() && path.requests().size() < AskAhead::kMostOpen) {
            const PathOutlook outlook = path.outlook();
            const auto asked = path.foresee(outlook);
            book_->foresaw(p, asked);
            if (const double at = AskAhead::askAt(outlook, asked); at > outlook.now) {
                askAt_ = std::min(askAt_, std::max(at, outlook.now + AskAhead::kShortestPause));
                break;
            }
            if (!std::exchange(isFresh, true))
                updateLink();
            const std::size_t decisions = book_->timeline().decisions.size();
            const auto order = book_->next(p, now(), asked);
            if (options_.observer != nullptr) {
                for (std::size_t i = decisions; i < book_->timeline().decisions.size(); ++i)
                    options_.observer->decided(book_->timeline(), book_->timeline().decisions[i]);
            }
            if (!order)
                break;
            request(p, *order);
        }
        takeOver(p);
    }
    asking_ = false;
    dropGivenUp();
    schedule();
}

void FetchRun::takeOver(std::size_t idle) {
    FetchPath& path = paths_[idle];
    const double rate = path.arrivals().recentRate(now(), kTakeOverWindow) / 8;
    if (!path.isWelcome() || !path.requests().empty() || !(rate > 0))
        return;
    for (FetchPath& other : paths_) {
        if (other.requests().empty() || other.requests().back().cancelled)
            continue;
        const OpenRequest& last = other.requests().back();
        const double otherRate = other.arrivals().recentRate(now(), kTakeOverWindow) / 8;
        // Without a rate: it will take as long again as it has been asked for.
        double expected = now() - last.since;
        if (otherRate > 0)
            expected = other.bytesLeft() / otherRate;
        const double here = last.bytesLeft / rate + path.rttSeconds();
        if (here > kTakeOverGain * expected || book_->transfersOf(book_->chunkOf(last.transfer)) >= options_.attempts)
            continue;
        const std::size_t transfer = last.transfer;
        other.cancel(transfer);
        book_->lost(transfer, now(), now());
        if (const auto order = book_->next(idle, now(), {}))
            request(idle, *order);
        return;
    }
}

void FetchRun::request(std::size_t path, const FetchBook::Order& order) {
    const std::size_t level = fetched_->input.levels[order.candidate];
    const TokenRange tokens = fetched_->input.tokensOf(order.chunk);
    Progressing& chunk = chunks_[order.chunk];
    if (chunk.candidate != order.candidate) {
        forget(order.chunk);
        chunk.candidate = order.candidate;
        chunk.parts = partsOf(fetched_->directory.levels[level], tokens);
        chunk.have.assign(chunk.parts.size(), false);
        chunk.missing = chunk.parts.size();
    }
    chunk.transfer = order.transfer;
    OpenRequest open;
    open.wire.chunk = static_cast<std::uint32_t>(order.chunk);
    open.wire.level = static_cast<std::uint32_t>(level);
    open.wire.begin = static_cast<std::uint64_t>(tokens.begin.value);
    open.wire.end = static_cast<std::uint64_t>(tokens.end.value);
    open.transfer = order.transfer;
    open.parts = chunk.parts;
    open.have = chunk.have;
    paths_[path].send(std::move(open));
}

/// Takes back what came of a chunk in a form that it will not have.
void FetchRun::forget(std::size_t chunk) {
    for (const ContextPart& part : chunks_[chunk].parts) {
        const auto& plane =
            fetched_->directory.levels[fetched_->input.levels[chunks_[chunk].candidate]].planes.at(part.plane);
        parts_->erase({part.plane, plane.chunks[part.chunk].tokens.begin});
    }
    chunks_[chunk] = {};
}

void FetchRun::dropGivenUp() {
    for (const std::size_t transfer : book_->takeGivenUp()) {
        for (FetchPath& path : paths_)
            path.cancel(transfer);
        forget(book_->chunkOf(transfer));
    }
}

void FetchRun::began(std::size_t, OpenRequest& request) {
    if (book_->began(request.transfer, now()) && options_.observer != nullptr)
        options_.observer->moving(book_->timeline());
}

void FetchRun::frameCame(std::size_t, OpenRequest& request, std::size_t bytes) {
    book_->bytesCame(request.transfer, static_cast<double>(bytes));
}

void FetchRun::partCame(std::size_t, OpenRequest& request, std::size_t part, SharedBytes bytes) {
    const std::size_t transfer = request.transfer;
    Progressing& chunk = chunks_[book_->chunkOf(transfer)];
    if (book_->isGivenUp(transfer) || chunk.have[part])
        return;
    chunk.have[part] = true;
    --chunk.missing;
    ++chunk.decoding;
    if (chunk.missing == 0) {
        book_->allCame(transfer, now());
        if (options_.observer != nullptr)
            options_.observer->arrived(book_->timeline(), book_->chunkOf(transfer));
    }
    decode(transfer, part, std::move(bytes));
}

void FetchRun::decode(std::size_t transfer, std::size_t part, SharedBytes bytes) {
    const ContextPart& which = chunks_[book_->chunkOf(transfer)].parts[part];
    const KvzPlane& plane = levelOf(transfer).planes.at(which.plane);
    const KvzChunk& entry = plane.chunks[which.chunk];
    const CacheInfo& info = fetched_->directory.info;
    const auto layer = static_cast<std::size_t>(which.plane.layer.value);
    const Rope* rope = layer < info.rope.size() && info.rope[layer] ? &*info.rope[layer] : nullptr;
    const PlaneGeometry* shape = fetched_->directory.geometry.find(which.plane);
    const ChunkShape chunk{which.plane.kind, *shape, entry.tokens, rope};
    const CalibratedPipeline& how = plane.pipelines[entry.pipeline];
    // Values that travel as they are stay where they arrived.
    const bool isStored = storedValues(how.pipeline, chunk, bytes.span()).has_value();
    const auto size = static_cast<std::size_t>(chunk.values() * sizeOf(shape->dtype));
    auto room = isStored ? nullptr : decodedArena_.take(size);
    ++decodesInFlight_;
    // What the job refers to lives as long as this run, which waits for it.
    pool_.post([this, transfer, part, bytes = std::move(bytes), hash = entry.hash, &how, chunk, size,
                room = std::move(room)] {
        Decoded decoded;
        decoded.begin = now();
        if (hashBytes(bytes.span()) != hash) {
            decoded.problem = Error{"its checksum is not that of the directory", {}, {}, Error::Kind::Input};
        } else if (room == nullptr) {
            decoded.values = bytes;
        } else {
            try {
                const std::span<std::byte> values(room.get(), size);
                if (auto done = decodeChunkNative(how.pipeline, how.calibration, chunk, bytes.span(), values); !done)
                    decoded.problem = std::move(done.error());
                decoded.values = SharedBytes(room, size);
            } catch (const std::bad_alloc&) {
                decoded.problem = Error{"needs more memory than there is", {}, {}, Error::Kind::System};
            }
        }
        decoded.end = now();
        asio::post(io_, [this, transfer, part, bytes, decoded = std::move(decoded)]() mutable {
            decodedPart(transfer, part, bytes, std::move(decoded));
        });
    });
}

void FetchRun::decodedPart(std::size_t transfer, std::size_t part, SharedBytes bytes, Decoded decoded) {
    --decodesInFlight_;
    const std::size_t number = book_->chunkOf(transfer);
    Progressing& chunk = chunks_[number];
    const bool isWanted = chunk.candidate == book_->candidateOf(transfer) && chunk.decoding > 0 && chunk.have[part];
    if (isWanted) {
        --chunk.decoding;
        book_->decoded(transfer, decoded.begin, decoded.end);
        const ContextPart& which = chunk.parts[part];
        const KvzChunk& entry = levelOf(transfer).planes.at(which.plane).chunks[which.chunk];
        if (decoded.problem) {
            chunk.have[part] = false;
            ++chunk.missing;
            chunk.problem = decoded.problem->message();
            if (!ending_)
                lose(chunk.transfer, chunk.problem, 0);
        } else {
            const std::size_t level = fetched_->input.levels[chunk.candidate];
            job_.advance(static_cast<std::int64_t>(decoded.values.span().size()));
            parts_->insert_or_assign({which.plane, entry.tokens.begin},
                                     ReceivedPart{level, std::move(bytes), std::move(decoded.values)});
            tryComplete(chunk.transfer);
        }
    }
    if (ending_ && decodesInFlight_ == 0)
        io_.stop();
    else
        askPaths();
}

void FetchRun::tryComplete(std::size_t transfer) {
    const std::size_t chunk = book_->chunkOf(transfer);
    if (chunks_[chunk].missing > 0 || chunks_[chunk].decoding > 0 || !book_->complete(transfer, now()))
        return;
    dropGivenUp();
    if (options_.observer != nullptr)
        options_.observer->ready(book_->timeline(), chunk);
    if (book_->done())
        end(std::nullopt);
}

void FetchRun::lose(std::size_t transfer, const std::string& why, double wait, std::set<std::string>* said) {
    if (book_->isGivenUp(transfer))
        return;
    const std::size_t chunk = book_->chunkOf(transfer);
    const int transfers = book_->transfersOf(chunk);
    // One cause may fail every chunk there is: it is said for the first of them.
    if (transfers < options_.attempts && (said == nullptr || said->insert(why).second))
        note("chunk " + std::to_string(chunk) + " is asked for again: " + why);
    for (FetchPath& path : paths_)
        path.cancel(transfer);
    book_->lost(transfer, now(), now() + wait);
    if (transfers >= options_.attempts)
        return end(Error{"chunk " + std::to_string(chunk) + " did not arrive in " + std::to_string(transfers) +
                             " attempts: " + why,
                         {},
                         "What had arrived is kept. Check the sender and what it reads from",
                         Error::Kind::System});
    schedule();
}

void FetchRun::requestEnded(std::size_t, OpenRequest& request) {
    const Progressing& chunk = chunks_[book_->chunkOf(request.transfer)];
    if (book_->isGivenUp(request.transfer) || chunk.missing == 0)
        return;
    lose(request.transfer, chunk.problem.empty() ? "not all of it arrived" : chunk.problem, 0);
}

void FetchRun::requestFailed(std::size_t, OpenRequest& request, const std::string& why) {
    const int before = book_->transfersOf(book_->chunkOf(request.transfer));
    lose(request.transfer, why, kFirstWait * std::exp2(before - 1), &refusals_);
}

void FetchRun::progressed(std::size_t) {
    askPaths();
}

void FetchRun::reconnecting(std::size_t, const Error& why) {
    if (start_)
        ++reconnects_;
    // What to do about it is said if trying again does not help; and once is enough.
    const std::string text = why.where + ": " + why.what + "; trying again";
    if (troubles_.insert(text).second)
        note(text);
}

void FetchRun::failed(std::size_t path, const Error& why) {
    const bool anyAlive = std::ranges::any_of(paths_, [](const FetchPath& other) { return other.isAlive(); });
    if (!anyAlive)
        return end(why);
    note(why.message() + "; going on without it");
    auto& requests = paths_[path].requests();
    while (!requests.empty()) {
        const std::size_t transfer = requests.front().transfer;
        requests.pop_front();
        book_->lost(transfer, now(), now());
    }
    for (FetchPath& other : paths_)
        other.greetNow();
    askPaths();
}

void FetchRun::schedule() {
    if (ending_)
        return;
    double next = std::min(now() + kLongestTick, askAt_);
    if (book_ != nullptr) {
        next = std::min(next, book_->nextComputed());
        if (const double resend = book_->nextResend(); resend > now())
            next = std::min(next, resend);
    }
    if (tickAt_ <= next)
        return;
    tickAt_ = next;
    timer_.expires_at(start_.value_or(created_) +
                      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(next)));
    timer_.async_wait([this](const asio::error_code& code) {
        if (!code)
            tick();
    });
}

void FetchRun::tick() {
    tickAt_ = kNever;
    if (ending_)
        return;
    if (job_.stopRequested())
        return end(Error{"cancelled", {}, {}, Error::Kind::Cancelled});
    if (now() > options_.totalSeconds)
        return end(Error{"took longer than " + durationText(options_.totalSeconds), "fetch",
                         "What had arrived is kept. Allow more time, or choose a smaller level", Error::Kind::System});
    if (book_ != nullptr && book_->nextComputed() <= now()) {
        updateLink();
        const std::size_t chunk = book_->finishRecompute(now());
        dropGivenUp();
        if (options_.observer != nullptr)
            options_.observer->ready(book_->timeline(), chunk);
        if (book_->done())
            return end(std::nullopt);
    }
    if (book_ != nullptr && options_.observer != nullptr)
        options_.observer->moving(book_->timeline());
    askPaths();
    schedule();
}

} // namespace kvscope
