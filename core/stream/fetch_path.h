// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/arrival_log.h"
#include "core/stream/ask_ahead.h"
#include "core/stream/context_parts.h"
#include "core/stream/fetch.h"
#include "core/stream/receive_arena.h"
#include "core/stream/wire.h"

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// A request that a path has open.
struct OpenRequest {
    wire::Request wire;
    /// Index of the transfer that it belongs to.
    std::size_t transfer = 0;
    std::vector<ContextPart> parts;
    std::vector<bool> have;
    /// Bytes on the wire that are still to come.
    double bytesLeft = 0;
    bool cancelled = false;
    bool begun = false;
    /// When it was sent first.
    double since = 0;

    /// The part that is arriving.
    std::size_t part = 0;
    ReceiveBuffer partial;
    bool skipping = false;
};

/// What a path tells the run that it belongs to.
class PathOwner {
public:
    PathOwner() = default;
    virtual ~PathOwner() = default;
    PathOwner(const PathOwner&) = delete;
    PathOwner& operator=(const PathOwner&) = delete;

    /// Seconds from the request.
    [[nodiscard]] virtual double now() const = 0;
    [[nodiscard]] virtual const FetchOptions& options() const = 0;
    /// The connection is there and is about to be greeted for the first time.
    virtual void connected(std::size_t path) = 0;
    /// Whether it is this path's turn to greet: the first fetches the directory, the others wait for it.
    [[nodiscard]] virtual bool mayGreet(std::size_t path) const = 0;
    /// Hash of the directory if it is known, else 0.
    [[nodiscard]] virtual std::uint64_t knownDirectory() const = 0;
    virtual Result<void> welcomed(std::size_t path, const wire::Welcome& welcome) = 0;
    virtual Result<void> directoryCame(std::size_t path, std::vector<std::byte> bytes, std::uint64_t hash) = 0;
    /// The size of a part in bytes.
    [[nodiscard]] virtual std::int64_t partBytes(const OpenRequest& request, std::size_t part) const = 0;
    virtual void began(std::size_t path, OpenRequest& request) = 0;
    virtual void partCame(std::size_t path, OpenRequest& request, std::size_t part, SharedBytes bytes) = 0;
    /// A frame of a request came, whole or damaged.
    virtual void frameCame(std::size_t path, OpenRequest& request, std::size_t bytes) = 0;
    /// Nothing more comes for a request; parts may be missing.
    virtual void requestEnded(std::size_t path, OpenRequest& request) = 0;
    virtual void requestFailed(std::size_t path, OpenRequest& request, const std::string& why) = 0;
    /// Bytes arrived: there may be room for another request.
    virtual void progressed(std::size_t path) = 0;
    virtual void reconnecting(std::size_t path, const Error& why) = 0;
    /// The path is given up.
    virtual void failed(std::size_t path, const Error& why) = 0;
};

/// The connection to one sender: connects, greets, asks, takes frames apart, and connects again when it drops.
class FetchPath {
public:
    FetchPath(asio::io_context& io, PathOwner& owner, std::size_t number, SenderAddress address);
    ~FetchPath() = default;
    FetchPath(const FetchPath&) = delete;
    FetchPath& operator=(const FetchPath&) = delete;

    void start();
    void stop();
    /// Greets if the connection is there and waits for its turn.
    void greetNow();
    void send(OpenRequest request);
    void cancel(std::size_t transfer);

    [[nodiscard]] bool isAlive() const { return state_ != State::Failed; }
    [[nodiscard]] bool isWelcome() const { return state_ == State::Welcome; }
    [[nodiscard]] const std::deque<OpenRequest>& requests() const { return requests_; }
    std::deque<OpenRequest>& requests() { return requests_; }
    /// Bytes on the wire that requests still bring.
    [[nodiscard]] double bytesLeft() const;
    /// When a whole frame came last, seconds from the request.
    [[nodiscard]] double heardAt() const { return heardAt_; }
    [[nodiscard]] double rttSeconds() const { return rtt_; }
    /// What is known of it now, to ask for more in time.
    [[nodiscard]] PathOutlook outlook() const;
    /// What requests still bring, in their order, foreseen by that outlook.
    [[nodiscard]] std::vector<AskedFor> foresee(const PathOutlook& outlook) const;
    [[nodiscard]] const ArrivalLog& arrivals() const { return arrivals_; }
    [[nodiscard]] std::string name() const { return address_.text(); }
    /// Bytes on the wire before the first request.
    [[nodiscard]] double directoryBytes() const { return directoryWire_; }

private:
    enum class State { Connecting, Connected, Greeting, Welcome, Waiting, Failed };

    void connect();
    void greet();
    void read();
    void received(std::size_t bytes);
    Result<void> handle(const wire::Message& message);
    Result<void> welcome(const wire::Welcome& welcome);
    Result<void> takeDirectory(const wire::DirectoryPiece& piece);
    /// Where a segment that is arriving belongs, so far as it may be believed; nothing for what takeSegment() must
    /// judge.
    std::span<std::byte> placeFor(const wire::Segment& fields, std::size_t size);
    Result<void> takeSegment(const wire::Segment& segment);
    void damaged();
    /// How much later than those before it and the bandwidth explain a frame of a request came just now, seconds.
    [[nodiscard]] double latenessOf(const OpenRequest& request, double frameBytes) const;
    void ask(OpenRequest& request);
    void write(std::vector<std::byte> frame);
    void flush();
    /// Ends this connection; tries again unless there were too many failures or it makes no sense.
    void lose(const Error& why, bool again);
    void watch();
    OpenRequest* find(std::uint32_t id);
    void resumeRequests();
    [[nodiscard]] Error gone(const std::string& what) const;

    asio::io_context& io_;
    PathOwner& owner_;
    std::size_t number_;
    SenderAddress address_;
    State state_ = State::Connecting;
    /// Counts connections: what an older one still reports is not heard.
    unsigned connection_ = 0;
    std::unique_ptr<asio::ip::tcp::socket> socket_;
    std::unique_ptr<asio::ip::tcp::resolver> resolver_;
    asio::steady_timer retry_;
    asio::steady_timer watch_;
    std::unique_ptr<wire::FrameParser> parser_;
    std::deque<std::vector<std::byte>> outgoing_;
    bool writing_ = false;

    std::deque<OpenRequest> requests_;
    std::uint32_t nextId_ = 1;
    std::vector<std::byte> directory_;
    std::uint64_t directoryHash_ = 0;
    std::uint64_t directorySize_ = 0;
    double directoryWire_ = 0;
    double greetedAt_ = 0;
    ReceiveArena arena_;
    /// When the last whole frame came, or waiting for one began; and the frame before it.
    double heardAt_ = 0;
    double heardBefore_ = 0;
    double rtt_ = 0;
    Lateness late_;
    /// Bytes per second of the directory, until parts of chunks have come.
    double firstRate_ = 0;
    bool partsCame_ = false;
    bool greetedBefore_ = false;
    int failures_ = 0;
    ArrivalLog arrivals_;
};

} // namespace kvscope
