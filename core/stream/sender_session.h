// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/store/encoded_context.h"
#include "core/stream/context_parts.h"
#include "core/stream/link.h"
#include "core/stream/sender.h"
#include "core/stream/shared_bytes.h"
#include "core/stream/wire.h"

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// A context that is being served, with its directory as bytes.
struct ServedContext {
    EncodedContextPtr context;
    SharedBytes directory;
    std::uint64_t hash = 0;
    std::string name;
};
using ServedContextPtr = std::shared_ptr<const ServedContext>;

/// A frame on its way out.
struct OutFrame {
    std::array<std::byte, wire::kHeaderBytes> header{};
    std::array<std::byte, wire::kSegmentFields> fields{};
    std::size_t fieldBytes = 0;
    SharedBytes payload;
    std::size_t offset = 0;
    std::size_t size = 0;
    /// Takes its time but is not written.
    bool lost = false;
    /// Cut the connection instead of writing it.
    bool cut = false;
    double delay = 0;
    /// Bytes more that the link carries for it: packets that were lost and are sent again.
    double bytesAgain = 0;

    [[nodiscard]] std::size_t bytes() const { return header.size() + fieldBytes + size; }
};

/// What a session needs from the sender that it belongs to. All calls come from the sender's thread.
class SessionHost {
public:
    SessionHost() = default;
    virtual ~SessionHost() = default;
    SessionHost(const SessionHost&) = delete;
    SessionHost& operator=(const SessionHost&) = delete;

    [[nodiscard]] virtual const SenderOptions& options() const = 0;
    /// Seconds on the sender's clock.
    [[nodiscard]] virtual double now() const = 0;
    /// Runs work that may block on the reading thread.
    virtual void readLater(std::function<void()> work) = 0;
    /// Opens a context; on the reading thread.
    virtual Result<ServedContextPtr> open(const std::string& name) = 0;
    virtual std::optional<SenderFault> takeFault(std::size_t chunk) = 0;
    /// What loss and jitter do to a transfer that is sent now.
    virtual TransferTrouble troubleOf(std::uint64_t draw, double payload) = 0;
    [[nodiscard]] virtual std::size_t othersConnected() const = 0;
    /// Most payload for a segment that is sent now.
    [[nodiscard]] virtual std::size_t largestSegment() const = 0;
    /// A receiver asks for a context that it knows nothing of yet.
    virtual void requested() = 0;
    /// There may be something to send.
    virtual void wake() = 0;
    virtual void count(std::size_t bytes) = 0;
    virtual void report(const SenderEvent& event) = 0;
};

/// One receiver's connection.
class SenderSession : public std::enable_shared_from_this<SenderSession> {
public:
    SenderSession(asio::io_context& io, asio::ip::tcp::socket socket, SessionHost& host);

    void start();
    /// Ends the connection; `why` is empty when the receiver left by itself.
    void close(const std::string& why);
    [[nodiscard]] bool isOpen() const { return open_; }
    /// A frame could be taken now.
    [[nodiscard]] bool isReady() const;
    /// The next frame in order; only when isReady().
    OutFrame take();
    /// Frames that have left the link and travel: released in order.
    void travel(OutFrame frame, double release);
    /// When the first of them is due; infinite when there is none.
    [[nodiscard]] double nextRelease() const;
    /// The last of them leaves the link at another time.
    void delayLast(double release);
    /// Hands those that are due to the socket.
    void releaseUntil(double now);
    /// Lets a receiver go that stalls.
    void check(double now);

private:
    /// What befalls a transfer, and the bytes that it is spread over.
    struct Struck {
        TransferTrouble trouble;
        double payload = 0;
    };
    /// A request that is being served.
    struct Job {
        wire::Request request;
        std::vector<ContextPart> parts;
        /// Next part to load, and parts loaded, the first of which is `part`.
        std::size_t nextLoad = 0;
        std::deque<SharedBytes> loaded;
        std::size_t part = 0;
        std::size_t offset = 0;
        std::optional<SenderFault> fault;
        std::optional<Struck> struck;
    };
    struct Travelling {
        OutFrame frame;
        double release = 0;
    };

    void read();
    void received(std::size_t bytes);
    void handle(const wire::Message& message);
    void greet(const wire::Hello& hello);
    void accept(const wire::Request& request);
    void cancel(std::uint32_t id);
    /// Reads the next parts of the first request that lacks some.
    void load();
    void loaded(std::uint32_t id, std::vector<SharedBytes> parts, const std::optional<Error>& problem);
    void say(const wire::Message& message);
    void refuse(const std::string& why);
    /// Draws for the next transfer of so many bytes.
    Struck strike(std::int64_t payload);
    /// On the wire, without what is sent again.
    [[nodiscard]] std::int64_t bytesOf(const Job& job) const;
    static void suffer(OutFrame& frame, const Struck& struck, bool isLast);
    OutFrame takeSegment();
    OutFrame takeDirectory();
    void write();

    asio::ip::tcp::socket socket_;
    SessionHost& host_;
    std::string peer_;
    wire::FrameParser parser_;
    bool open_ = true;
    bool greeted_ = false;
    /// Close once everything has been written.
    bool leaving_ = false;
    asio::io_context& io_;

    ServedContextPtr context_;
    std::size_t directoryAt_ = 0;
    std::size_t directoryEnd_ = 0;
    Struck directoryStruck_;
    /// Number of the next draw of loss and jitter.
    std::uint64_t draw_ = 0;
    std::deque<OutFrame> said_;
    std::deque<Job> jobs_;
    bool loading_ = false;

    std::deque<Travelling> travelling_;
    std::deque<OutFrame> outgoing_;
    std::size_t outgoingBytes_ = 0;
    std::size_t writing_ = 0;
    double writeSince_ = 0;
    double heardAt_ = 0;
};

} // namespace kvscope
