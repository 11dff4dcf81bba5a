// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/fetch.h"
#include "core/stream/fetch_book.h"
#include "core/stream/fetch_path.h"

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kvscope {

/// One fetch: the paths, the book, and the parts on their way through the decoder. Everything but decoding happens on
/// the thread that calls run().
class FetchRun final : public PathOwner {
public:
    FetchRun(const FetchOptions& options, ThreadPool& pool, const JobControl& job);
    ~FetchRun() override = default;
    FetchRun(const FetchRun&) = delete;
    FetchRun& operator=(const FetchRun&) = delete;

    Result<Fetched> run();

    [[nodiscard]] double now() const override;
    [[nodiscard]] const FetchOptions& options() const override { return options_; }
    void connected(std::size_t path) override;
    [[nodiscard]] bool mayGreet(std::size_t path) const override;
    [[nodiscard]] std::uint64_t knownDirectory() const override { return directoryHash_; }
    Result<void> welcomed(std::size_t path, const wire::Welcome& welcome) override;
    Result<void> directoryCame(std::size_t path, std::vector<std::byte> bytes, std::uint64_t hash) override;
    [[nodiscard]] std::int64_t partBytes(const OpenRequest& request, std::size_t part) const override;
    void began(std::size_t path, OpenRequest& request) override;
    void partCame(std::size_t path, OpenRequest& request, std::size_t part, SharedBytes bytes) override;
    void frameCame(std::size_t path, OpenRequest& request, std::size_t bytes) override;
    void requestEnded(std::size_t path, OpenRequest& request) override;
    void requestFailed(std::size_t path, OpenRequest& request, const std::string& why) override;
    void progressed(std::size_t path) override;
    void reconnecting(std::size_t path, const Error& why) override;
    void failed(std::size_t path, const Error& why) override;

private:
    using Clock = std::chrono::steady_clock;

    /// What has come of a chunk in its present form.
    struct Progressing {
        std::size_t candidate = kNoIndex;
        /// The latest transfer for it; parts of earlier ones may still be in the decoder.
        std::size_t transfer = kNoIndex;
        /// What was wrong with a part of it.
        std::string problem;
        std::vector<ContextPart> parts;
        std::vector<bool> have;
        std::size_t missing = 0;
        std::size_t decoding = 0;
    };
    struct Decoded {
        SharedBytes values;
        std::optional<Error> problem;
        double begin = 0;
        double end = 0;
    };

    void updateLink();
    void askPaths();
    /// Lets an idle path bring what another one will bring much later.
    void takeOver(std::size_t idle);
    void request(std::size_t path, const FetchBook::Order& order);
    void forget(std::size_t chunk);
    void dropGivenUp();
    void decode(std::size_t transfer, std::size_t part, SharedBytes bytes);
    void decodedPart(std::size_t transfer, std::size_t part, SharedBytes bytes, Decoded decoded);
    /// Has its chunk sent again, after a wait. Notes the cause, but none of those that were `said` before.
    void lose(std::size_t transfer, const std::string& why, double wait, std::set<std::string>* said = nullptr);
    void tryComplete(std::size_t transfer);
    void schedule();
    void tick();
    void note(const std::string& text);
    void end(std::optional<Error> problem);
    [[nodiscard]] const KvzLevel& levelOf(std::size_t transfer) const;

    FetchOptions options_;
    ThreadPool& pool_;
    JobControl job_;
    asio::io_context io_{1};
    asio::steady_timer timer_;
    std::deque<FetchPath> paths_;
    std::optional<Clock::time_point> start_;
    Clock::time_point created_ = Clock::now();
    std::uint64_t directoryHash_ = 0;
    std::unique_ptr<Fetched> fetched_;
    std::unique_ptr<FetchBook> book_;
    std::shared_ptr<ReceivedParts> parts_ = std::make_shared<ReceivedParts>();
    std::vector<Progressing> chunks_;
    std::optional<Error> problem_;
    ReceiveArena decodedArena_;
    std::size_t decodesInFlight_ = 0;
    /// When the timer is due.
    double tickAt_ = kNever;
    /// When a path will have room for another request, though nothing may arrive until then.
    double askAt_ = kNever;
    bool ending_ = false;
    bool asking_ = false;
    int reconnects_ = 0;
    /// What was said of connections since one was there.
    std::set<std::string> troubles_;
    /// Why senders could not send chunks.
    std::set<std::string> refusals_;
};

} // namespace kvscope
