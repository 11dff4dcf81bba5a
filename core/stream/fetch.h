// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encoded_cache.h"
#include "core/codec/kvz_directory.h"
#include "core/kv/kv_cache.h"
#include "core/stream/bandwidth_trace.h"
#include "core/stream/compute_model.h"
#include "core/stream/context_parts.h"
#include "core/stream/policy.h"
#include "core/stream/shared_bytes.h"
#include "core/stream/timeline.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Where a sender listens.
struct SenderAddress {
    std::string host;
    std::uint16_t port = 0;

    [[nodiscard]] std::string text() const { return host + ":" + std::to_string(port); }
};

/// "HOST:PORT", "[IPV6]:PORT".
Result<SenderAddress> parseSenderAddress(std::string_view text);

/// Watches a context arrive, from the thread that fetches; must be quick and must not throw.
class FetchObserver {
public:
    FetchObserver() = default;
    virtual ~FetchObserver() = default;
    FetchObserver(const FetchObserver&) = delete;
    FetchObserver& operator=(const FetchObserver&) = delete;

    /// The request is made now: time 0 of the timeline.
    virtual void requested() {}
    /// What is going to be streamed is known.
    virtual void started(const ContextInput& /*input*/, const KvzDirectory& /*directory*/) {}
    /// The bandwidth of a path as it has been seen so far.
    virtual void seen(std::size_t /*path*/, const std::shared_ptr<const BandwidthTrace>& /*trace*/,
                      double /*rttSeconds*/) {}
    /// A form was chosen for a chunk.
    virtual void decided(const Timeline& /*soFar*/, const Decision& /*decision*/) {}
    /// Bytes of a chunk have begun to arrive, or more have; at least some twenty times a second.
    virtual void moving(const Timeline& /*soFar*/) {}
    /// All bytes of a chunk have arrived; it may still be on its way through the decoder.
    virtual void arrived(const Timeline& /*soFar*/, std::size_t /*chunk*/) {}
    /// A chunk is in the cache (or, as text, recomputed).
    virtual void ready(const Timeline& /*soFar*/, std::size_t /*chunk*/) {}
    /// Something people should know: a connection lost and found again, a chunk that arrived damaged.
    virtual void note(const std::string& /*text*/) {}
};

struct FetchOptions {
    /// One or two senders that hold the same context.
    std::vector<SenderAddress> senders;
    /// Name of the context; empty: the only one that the sender has.
    std::string context;
    /// Any of policiesFor() but the oracle.
    std::string policy = "kvscope";
    double sloSeconds = 2.0;
    /// Tokens a chunk, rounded up to what the levels can be cut at.
    std::int64_t chunkTokens = 1024;
    /// What the policy reckons with.
    ComputeModel compute;
    /// Whether chunks may come as text. Recomputing is simulated: it takes the time that the compute model says, and
    /// its tokens are missing in the cache.
    bool text = false;

    double connectSeconds = 5;
    /// A sender that has something to send and completes no frame for so long is taken for gone.
    double stallSeconds = 10;
    /// Connections that may fail in a row, and transfers of one chunk.
    int attempts = 5;
    /// The whole fetch.
    double totalSeconds = 600;
    /// Largest cache to take; 0: three quarters of this machine's memory.
    std::int64_t maxCacheBytes = 0;

    FetchObserver* observer = nullptr;
};

/// One part as it arrived, encoded and decoded.
struct ReceivedPart {
    std::size_t level = 0;
    SharedBytes encoded;
    /// In the plane's dtype, [tokens][channels].
    SharedBytes decoded;
};
using ReceivedParts = std::map<std::pair<PlaneId, TokenIndex>, ReceivedPart>;

/// What came of a fetch: everything, or what had arrived when something ended it.
struct Fetched {
    ContextInput input;
    KvzDirectory directory;
    Timeline timeline;
    /// Parts by plane and first token.
    std::shared_ptr<const ReceivedParts> parts;
    /// The bandwidth of each path as it was seen.
    std::vector<BandwidthTrace> measured;
    /// Round trip of each path, seconds.
    std::vector<double> rttSeconds;
    /// Connections that were made again.
    int reconnects = 0;
    /// Why the cache is not complete.
    std::optional<Error> problem;

    /// Chunks that came in a form with values, complete.
    [[nodiscard]] std::vector<std::size_t> heldChunks() const;
    /// Where the tokens of each chunk lie in cache(); empty for those that it lacks.
    [[nodiscard]] std::vector<TokenRange> places() const;
    /// The values that arrived. A cache that lacks chunks (or holds chunks as text) has only the tokens it got, at
    /// their positions, and says so in its name and notes.
    [[nodiscard]] KvCache cache() const;
    /// Writes the chunks as they arrived into a .kvz with one level, "fetched", marked like cache(). Fails when there
    /// is none or the levels have chunks of different lengths.
    [[nodiscard]] Result<void> writeKvz(const std::filesystem::path& path) const;
};

/// Fetches a context: connects to the senders, lets the policy choose each chunk's form, decodes on the pool while
/// more arrives, resumes connections that drop. Returns when the last chunk is ready, or with what has arrived when it
/// cannot go on (or is told to stop); fails only when nothing arrived at all. Blocks; progress is in bytes of output.
Result<Fetched> fetchContext(const FetchOptions& options, ThreadPool& pool, const JobControl& job = {});

} // namespace kvscope
