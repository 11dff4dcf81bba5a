// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/sender.h"

#include "core/base/hash.h"
#include "core/stream/paced_link.h"
#include "core/stream/sender_session.h"
#include "core/stream/timeline.h"
#include "core/stream/trace_shapes.h"

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace kvscope {

namespace {

using Clock = std::chrono::steady_clock;
using asio::ip::tcp;

/// Contexts that stay open for the next receiver, and for how long.
constexpr std::size_t kMaxOpenContexts = 8;
constexpr double kContextSeconds = 60;
constexpr double kMaxDelaySeconds = 3600;

Clock::duration toDuration(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// The contexts that were opened last. Used by the reading thread alone.
class OpenContexts {
public:
    explicit OpenContexts(ContextShelfPtr shelf)
        : shelf_(std::move(shelf)) {}

    Result<ServedContextPtr> open(const std::string& name) {
        const auto now = Clock::now();
        std::erase_if(held_, [&](const Held& held) { return held.until < now; });
        const auto found = std::ranges::find(held_, name, &Held::name);
        if (found != held_.end())
            return found->context;
        KVSCOPE_ASSIGN(EncodedContextPtr context, shelf_->open(name));
        auto served = std::make_shared<ServedContext>();
        served->context = std::move(context);
        served->name = served->context->directory().info.name;
        try {
            served->directory = SharedBytes(toBytes(served->context->directory()));
        } catch (const std::bad_alloc&) {
            return fail("needs more memory than there is", name, "Close other dumps", Error::Kind::System);
        }
        served->hash = hashBytes(served->directory.span());
        if (served->directory.size() > wire::kMaxDirectoryBytes)
            return fail("has a directory too large to send", name, "Encode with larger chunks");
        if (held_.size() == kMaxOpenContexts)
            held_.erase(held_.begin());
        held_.push_back({name, served, now + toDuration(kContextSeconds)});
        return served;
    }

private:
    struct Held {
        std::string name;
        ServedContextPtr context;
        Clock::time_point until;
    };
    ContextShelfPtr shelf_;
    std::vector<Held> held_;
};

Result<void> checkDelays(double rttSeconds, double lossRate, double jitterSeconds) {
    LinkPath path;
    path.rttSeconds = rttSeconds;
    path.trace = std::make_shared<const BandwidthTrace>(*constantTrace(1));
    path.lossRate = lossRate;
    path.jitterSeconds = jitterSeconds;
    return validate(Link{{path}, 1, std::nullopt});
}

} // namespace

/// Runs on one thread: accepts receivers, shares the link among them, frame by frame in turn, and releases frames when
/// the link has carried them.
class Sender::Impl final : public SessionHost {
public:
    Impl(ContextShelfPtr shelf, SenderOptions options)
        : options_(std::move(options))
        , faults_(options_.sharedFaults != nullptr ? options_.sharedFaults
                                                   : std::make_shared<FaultList>(options_.faults))
        , contexts_(std::move(shelf))
        , acceptor_(io_)
        , timer_(io_)
        , checks_(io_)
        , pause_(io_)
        , reader_(1) {}

    ~Impl() override {
        asio::post(io_, [this] {
            asio::error_code ignored;
            acceptor_.close(ignored);
            for (const auto& session : sessions_)
                session->close({});
            io_.stop();
        });
        if (thread_.joinable())
            thread_.join();
        reader_.stop();
        reader_.join();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<void> listen() {
        const std::string where = options_.bind + ":" + std::to_string(options_.port);
        const auto refused = [&](const asio::error_code& code) {
            return fail("cannot listen: " + code.message(), where, "Choose another port (0: any free one) or address",
                        Error::Kind::System);
        };
        asio::error_code code;
        const auto address = asio::ip::make_address(options_.bind, code);
        if (code)
            return fail("is not an IP address", options_.bind, "Write one such as 127.0.0.1 or 0.0.0.0");
        const tcp::endpoint endpoint(address, options_.port);
        if (acceptor_.open(endpoint.protocol(), code); code)
            return refused(code);
        acceptor_.set_option(asio::socket_base::reuse_address(true), code);
        if (acceptor_.bind(endpoint, code); code)
            return refused(code);
        if (acceptor_.listen(asio::socket_base::max_listen_connections, code); code)
            return refused(code);
        port_ = acceptor_.local_endpoint(code).port();
        return {};
    }

    /// Sees that there is something to serve, then starts to.
    Result<void> run(const ContextShelf& shelf) {
        KVSCOPE_ASSIGN(const auto names, shelf.names());
        if (names.empty())
            return fail("there is no context to serve", {}, "Put one into the store first");
        if (names.size() == 1)
            KVSCOPE_TRY(contexts_.open({}));
        if (options_.bitsPerSecond)
            link_.setRate(now(), *options_.bitsPerSecond);
        else if (options_.trace != nullptr)
            link_.setTrace(now(), options_.trace, options_.traceStart);
        accept();
        scheduleCheck();
        thread_ = std::thread([this] {
            try {
                io_.run();
            } catch (const std::bad_alloc&) {
                // The receivers see their connections end and say so.
                asio::error_code ignored;
                acceptor_.close(ignored);
                sessions_.clear();
            }
        });
        return {};
    }

    template <class Change> void changeLink(Change change) {
        asio::post(io_, [this, change = std::move(change)] {
            const double before = link_.freeAt();
            const double at = now();
            change(link_, at);
            if (const auto session = inService_.lock(); session != nullptr && before > at)
                session->delayLast(link_.freeAt() + options_.rttSeconds / 2);
            wake();
        });
    }
    void setTraceOption(std::shared_ptr<const BandwidthTrace> trace, double at) {
        asio::post(io_, [this, trace = std::move(trace), at] {
            options_.trace = trace;
            options_.traceStart = at;
        });
    }
    void setDelays(double rttSeconds, double lossRate, double jitterSeconds, std::uint64_t seed) {
        asio::post(io_, [this, rttSeconds, lossRate, jitterSeconds, seed] {
            options_.rttSeconds = rttSeconds;
            options_.lossRate = lossRate;
            options_.seed = seed;
            options_.jitterSeconds = jitterSeconds;
        });
    }
    void inject(const SenderFault& fault) { faults_->add(fault); }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::int64_t sentBytes() const { return sent_.load(); }
    [[nodiscard]] std::size_t receivers() const { return count_.load(); }

    [[nodiscard]] const SenderOptions& options() const override { return options_; }
    [[nodiscard]] double now() const override { return std::chrono::duration<double>(Clock::now() - start_).count(); }
    void readLater(std::function<void()> work) override { asio::post(reader_, std::move(work)); }
    Result<ServedContextPtr> open(const std::string& name) override { return contexts_.open(name); }
    void count(std::size_t bytes) override { sent_.fetch_add(static_cast<std::int64_t>(bytes)); }
    void report(const SenderEvent& event) override {
        if (options_.watch)
            options_.watch(event);
    }

    std::optional<SenderFault> takeFault(std::size_t chunk) override { return faults_->take(chunk); }

    TransferTrouble troubleOf(std::uint64_t draw, double payload) override {
        LinkPath path;
        path.rttSeconds = options_.rttSeconds;
        path.lossRate = options_.lossRate;
        path.jitterSeconds = options_.jitterSeconds;
        return drawTrouble(path, options_.seed, draw, payload, link_.rateAt(std::max(now(), link_.freeAt())));
    }

    [[nodiscard]] std::size_t othersConnected() const override {
        const auto open = std::ranges::count_if(sessions_, [](const auto& session) { return session->isOpen(); });
        return static_cast<std::size_t>(std::max<std::ptrdiff_t>(open - 1, 0));
    }

    [[nodiscard]] std::size_t largestSegment() const override {
        return link_.limited() ? wire::kPacedSegment : wire::kMaxSegment;
    }

    void requested() override {
        if (othersConnected() == 0 && options_.trace != nullptr)
            link_.setTrace(now(), options_.trace, options_.traceStart);
    }

    void wake() override {
        if (std::exchange(woken_, true))
            return;
        asio::post(io_, [this] {
            woken_ = false;
            pump();
        });
    }

private:
    void accept() {
        acceptor_.async_accept([this](const asio::error_code& code, tcp::socket socket) {
            if (code == asio::error::operation_aborted)
                return;
            if (!code) {
                std::erase_if(sessions_, [](const auto& session) { return !session->isOpen(); });
                if (sessions_.size() < options_.maxReceivers) {
                    sessions_.push_back(std::make_shared<SenderSession>(io_, std::move(socket), *this));
                    sessions_.back()->start();
                }
                count_ = sessions_.size();
                return accept();
            }
            // No descriptors, most likely: some receiver must leave first.
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait([this](const asio::error_code& stopped) {
                if (!stopped)
                    accept();
            });
        });
    }

    void scheduleCheck() {
        checks_.expires_after(std::chrono::seconds(1));
        checks_.async_wait([this](const asio::error_code& code) {
            if (code)
                return;
            for (const auto& session : sessions_)
                session->check(now());
            std::erase_if(sessions_, [](const auto& session) { return !session->isOpen(); });
            count_ = sessions_.size();
            scheduleCheck();
        });
    }

    /// The next session in turn that has something to send, or null.
    SenderSession* nextReady() {
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            const std::size_t at = (turn_ + i) % sessions_.size();
            if (sessions_[at]->isReady()) {
                turn_ = at + 1;
                return sessions_[at].get();
            }
        }
        return nullptr;
    }

    void pump() {
        const double at = now();
        if (link_.limited() && link_.freeAt() > at) {
            const bool any = std::ranges::any_of(sessions_, [](const auto& session) { return session->isReady(); });
            waiting_ = waiting_ || any;
        } else {
            while (!link_.limited() || link_.freeAt() <= at) {
                SenderSession* session = nextReady();
                if (session == nullptr) {
                    waiting_ = false;
                    break;
                }
                OutFrame frame = session->take();
                const double left = link_.send(at, static_cast<double>(frame.bytes()) + frame.bytesAgain, waiting_);
                const double release = left + options_.rttSeconds / 2 + frame.delay;
                session->travel(std::move(frame), release);
                if (!link_.limited())
                    session->releaseUntil(at);
                inService_ = session->weak_from_this();
                waiting_ = true;
            }
        }
        double next = link_.limited() && waiting_ ? link_.freeAt() : kNever;
        for (const auto& session : sessions_) {
            session->releaseUntil(at);
            next = std::min(next, session->nextRelease());
        }
        if (!(next < kNever))
            return;
        timer_.expires_at(start_ + toDuration(std::min(next, at + kMaxDelaySeconds)));
        timer_.async_wait([this](const asio::error_code& code) {
            if (!code)
                pump();
        });
    }

    SenderOptions options_;
    std::shared_ptr<FaultList> faults_;
    OpenContexts contexts_;
    Clock::time_point start_ = Clock::now();
    asio::io_context io_{1};
    tcp::acceptor acceptor_;
    asio::steady_timer timer_;
    asio::steady_timer checks_;
    asio::steady_timer pause_;
    asio::thread_pool reader_;
    PacedLink link_;
    std::vector<std::shared_ptr<SenderSession>> sessions_;
    std::size_t turn_ = 0;
    /// Whose frame the link carries.
    std::weak_ptr<SenderSession> inService_;
    /// Something has been waiting since before the link was free.
    bool waiting_ = false;
    bool woken_ = false;
    std::uint16_t port_ = 0;
    std::atomic<std::int64_t> sent_{0};
    std::atomic<std::size_t> count_{0};
    std::thread thread_;
};

Sender::Sender(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

Sender::~Sender() = default;

Result<std::unique_ptr<Sender>> Sender::start(const ContextShelfPtr& shelf, const SenderOptions& options) {
    if (!(options.rttSeconds >= 0 && options.rttSeconds <= 60))
        return fail("the round trip must lie between 0 and 60 seconds", "sender");
    if (options.bitsPerSecond && !(*options.bitsPerSecond >= 0 && *options.bitsPerSecond < 1e15))
        return fail("the bandwidth must not be negative", "sender");
    KVSCOPE_TRY(checkDelays(options.rttSeconds, options.lossRate, options.jitterSeconds));
    auto impl = std::make_unique<Impl>(shelf, options);
    KVSCOPE_TRY(impl->listen());
    KVSCOPE_TRY(impl->run(*shelf));
    return std::unique_ptr<Sender>(new Sender(std::move(impl)));
}

std::uint16_t Sender::port() const {
    return impl_->port();
}

void Sender::setRate(double bitsPerSecond) {
    impl_->setTraceOption(nullptr, 0);
    impl_->changeLink([bitsPerSecond](PacedLink& link, double now) { link.setRate(now, bitsPerSecond); });
}

void Sender::setUnlimited() {
    impl_->setTraceOption(nullptr, 0);
    impl_->changeLink([](PacedLink& link, double) { link.setUnlimited(); });
}

void Sender::setTrace(const std::shared_ptr<const BandwidthTrace>& trace, double at) {
    impl_->setTraceOption(trace, at);
    impl_->changeLink([trace, at](PacedLink& link, double now) { link.setTrace(now, trace, at); });
}

void Sender::setDelays(double rttSeconds, double lossRate, double jitterSeconds, std::uint64_t seed) {
    if (checkDelays(rttSeconds, lossRate, jitterSeconds))
        impl_->setDelays(rttSeconds, lossRate, jitterSeconds, seed);
}

void Sender::inject(const SenderFault& fault) {
    impl_->inject(fault);
}

std::int64_t Sender::sentBytes() const {
    return impl_->sentBytes();
}

std::size_t Sender::receivers() const {
    return impl_->receivers();
}

Result<SenderFault> parseFault(std::string_view text) {
    using Kind = SenderFault::Kind;
    constexpr std::array<std::pair<std::string_view, Kind>, 4> kKinds{
        {{"lose:", Kind::Lose}, {"corrupt:", Kind::Corrupt}, {"delay:", Kind::Delay}, {"drop:", Kind::Drop}}};
    const auto bad = [&] {
        return fail("is not a fault: \"" + std::string(text) + "\"", "fault",
                    "Write lose:CHUNK, corrupt:CHUNK, delay:CHUNK:SECONDS or drop:CHUNK");
    };
    const auto kind = std::ranges::find_if(kKinds, [&](const auto& entry) { return text.starts_with(entry.first); });
    if (kind == kKinds.end())
        return bad();
    SenderFault fault;
    fault.kind = kind->second;
    const char* at = text.data() + kind->first.size();
    const char* end = text.data() + text.size();
    auto read = std::from_chars(at, end, fault.chunk);
    if (read.ec != std::errc())
        return bad();
    if (fault.kind == Kind::Delay) {
        if (read.ptr == end || *read.ptr != ':')
            return bad();
        read = std::from_chars(read.ptr + 1, end, fault.seconds);
        if (read.ec != std::errc() || !(fault.seconds >= 0 && fault.seconds <= kMaxDelaySeconds))
            return bad();
    }
    if (read.ptr != end)
        return bad();
    return fault;
}

} // namespace kvscope
