// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/sender_session.h"

#include "core/base/duration_text.h"
#include "core/stream/timeline.h"

#include <asio/post.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <new>
#include <utility>

namespace kvscope {

namespace {

/// Bytes read ahead of the link, and handed to the socket but not written yet.
constexpr std::size_t kReadAhead = std::size_t{2} << 20;
constexpr std::size_t kOneLoad = std::size_t{512} << 10;
constexpr std::size_t kMaxOutgoing = std::size_t{2} << 20;
/// Answers that a receiver may leave lying.
constexpr std::size_t kMaxSaid = 4 * wire::kMaxOpenRequests;
constexpr std::size_t kFramesAtOnce = 32;
constexpr double kGreetingSeconds = 10;

std::string nameOf(const asio::ip::tcp::socket& socket) {
    asio::error_code code;
    const auto end = socket.remote_endpoint(code);
    return code ? std::string("a receiver") : end.address().to_string() + ":" + std::to_string(end.port());
}

OutFrame wrap(const wire::Message& message) {
    auto frame = wire::toFrame(message);
    OutFrame out;
    std::copy_n(frame.begin(), out.header.size(), out.header.begin());
    frame.erase(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(out.header.size()));
    out.size = frame.size();
    out.payload = SharedBytes(std::move(frame));
    return out;
}

/// Flips a bit of the payload behind the checksum's back.
void corrupt(OutFrame& frame) {
    const auto sent = frame.payload.span().subspan(frame.offset, frame.size);
    std::vector<std::byte> damaged(sent.begin(), sent.end());
    damaged[damaged.size() / 2] ^= std::byte{1};
    frame.payload = SharedBytes(std::move(damaged));
    frame.offset = 0;
}

Result<SharedBytes> readPart(const EncodedContext& context, std::uint32_t level, const ContextPart& part) {
    try {
        const auto size =
            static_cast<std::size_t>(context.directory().levels[level].planes.at(part.plane).chunks[part.chunk].bytes);
        const auto room = std::make_shared_for_overwrite<std::byte[]>(size);
        KVSCOPE_TRY(context.readChunkInto(level, part.plane, part.chunk, {room.get(), size}));
        return SharedBytes(std::shared_ptr<const std::byte>(room, room.get()), size);
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is", context.directory().info.name, "Close other dumps",
                    Error::Kind::System);
    }
}

} // namespace

SenderSession::SenderSession(asio::io_context& io, asio::ip::tcp::socket socket, SessionHost& host)
    : socket_(std::move(socket))
    , host_(host)
    , peer_(nameOf(socket_))
    , parser_(peer_)
    , io_(io)
    , heardAt_(host.now()) {}

void SenderSession::start() {
    asio::error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    host_.report({SenderEvent::Kind::Connected, peer_, 0, {}});
    read();
}

void SenderSession::close(const std::string& why) {
    if (!std::exchange(open_, false))
        return;
    asio::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    jobs_.clear();
    said_.clear();
    travelling_.clear();
    host_.report({SenderEvent::Kind::Gone, peer_, 0, why});
    host_.wake();
}

void SenderSession::read() {
    const auto room = parser_.room().front();
    socket_.async_read_some(asio::buffer(room.data(), room.size()),
                            [self = shared_from_this()](const asio::error_code& code, std::size_t bytes) {
                                if (!self->open_)
                                    return;
                                if (code)
                                    self->close(code == asio::error::eof ? std::string() : code.message());
                                else
                                    self->received(bytes);
                            });
}

void SenderSession::received(std::size_t bytes) {
    heardAt_ = host_.now();
    parser_.filled(bytes);
    std::vector<wire::Message> messages;
    while (true) {
        auto item = parser_.next();
        if (!item)
            return refuse(item.error().message());
        if (!*item)
            break;
        auto* message = std::get_if<wire::Message>(&**item);
        const bool fromReceiver = message != nullptr && (std::holds_alternative<wire::Hello>(*message) ||
                                                         std::holds_alternative<wire::Request>(*message) ||
                                                         std::holds_alternative<wire::Cancel>(*message));
        if (!fromReceiver)
            return refuse("sends what only a sender sends");
        if (const auto* hello = std::get_if<wire::Hello>(message); hello != nullptr && hello->knownDirectory == 0)
            host_.requested();
        messages.push_back(std::move(*message));
    }
    const double delay = host_.options().rttSeconds / 2;
    if (delay > 0 && !messages.empty()) {
        auto timer = std::make_shared<asio::steady_timer>(
            io_, std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(delay)));
        timer->async_wait([self = shared_from_this(), timer, messages = std::move(messages)](const asio::error_code&) {
            for (const wire::Message& message : messages)
                self->handle(message);
        });
    } else {
        for (const wire::Message& message : messages)
            handle(message);
    }
    if (open_)
        read();
}

void SenderSession::handle(const wire::Message& message) {
    if (!open_ || leaving_)
        return;
    if (const auto* hello = std::get_if<wire::Hello>(&message))
        greet(*hello);
    else if (const auto* request = std::get_if<wire::Request>(&message))
        accept(*request);
    else if (const auto* unwanted = std::get_if<wire::Cancel>(&message))
        cancel(unwanted->id);
}

void SenderSession::refuse(const std::string& why) {
    if (leaving_)
        return;
    jobs_.clear();
    said_.clear();
    directoryAt_ = directoryEnd_;
    say(wire::Failure{wire::kNoRequest, why});
    leaving_ = true;
}

void SenderSession::say(const wire::Message& message) {
    if (said_.size() >= kMaxSaid)
        return close("does not read what it asks for");
    said_.push_back(wrap(message));
    host_.wake();
}

void SenderSession::greet(const wire::Hello& hello) {
    if (std::exchange(greeted_, true))
        return refuse("greets twice");
    draw_ = static_cast<std::uint64_t>(host_.othersConnected()) << 32U;
    if (hello.version != wire::kVersion)
        return refuse("this sender speaks version " + std::to_string(wire::kVersion) + " of the protocol");
    host_.readLater([self = shared_from_this(), hello] {
        auto opened = self->host_.open(hello.context);
        asio::post(self->io_, [self, hello, opened = std::move(opened)] {
            if (!self->open_)
                return;
            if (!opened)
                return self->refuse(opened.error().message());
            self->context_ = *opened;
            const auto size = self->context_->directory.size();
            self->directoryEnd_ = hello.knownDirectory == self->context_->hash ? 0 : size;
            // The first draw is the directory's, whether it is sent or not.
            self->directoryStruck_ =
                self->strike(wire::framedBytes(static_cast<std::int64_t>(size), sizeof(wire::DirectoryPiece::offset)));
            self->say(wire::Welcome{wire::kVersion, self->context_->hash, size, self->context_->name});
        });
    });
}

void SenderSession::accept(const wire::Request& request) {
    if (context_ == nullptr)
        return refuse("asks for chunks before it was welcomed");
    if (jobs_.size() >= wire::kMaxOpenRequests)
        return refuse("asks for more than " + std::to_string(wire::kMaxOpenRequests) + " chunks at once");
    const auto& levels = context_->context->directory().levels;
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (request.level >= levels.size() || request.end > kMost)
        return refuse("asks for level " + std::to_string(request.level) + " of " + std::to_string(levels.size()));
    Job job;
    job.request = request;
    job.parts = partsOf(levels[request.level],
                        tokenRange(static_cast<std::int64_t>(request.begin), static_cast<std::int64_t>(request.end)));
    if (request.endPart > job.parts.size())
        return refuse("asks for part " + std::to_string(request.endPart - 1) + " of " +
                      std::to_string(job.parts.size()));
    job.part = request.firstPart;
    job.nextLoad = request.firstPart;
    host_.report({SenderEvent::Kind::Asked, peer_, request.chunk, levels[request.level].name});
    jobs_.push_back(std::move(job));
    load();
}

void SenderSession::cancel(std::uint32_t id) {
    const auto job = std::ranges::find(jobs_, id, [](const Job& held) { return held.request.id; });
    if (job == jobs_.end())
        return;
    jobs_.erase(job);
    say(wire::Done{id, wire::Done::Status::Cancelled});
}

void SenderSession::load() {
    if (loading_ || !open_)
        return;
    std::size_t ahead = 0;
    for (Job& job : jobs_) {
        for (const SharedBytes& bytes : job.loaded)
            ahead += bytes.size();
        if (ahead >= kReadAhead)
            return;
        if (job.nextLoad == job.request.endPart)
            continue;
        const auto& planes = context_->context->directory().levels[job.request.level].planes;
        std::vector<ContextPart> wanted;
        for (std::size_t bytes = 0; job.nextLoad < job.request.endPart && bytes < kOneLoad; ++job.nextLoad) {
            wanted.push_back(job.parts[job.nextLoad]);
            bytes += static_cast<std::size_t>(planes.at(wanted.back().plane).chunks[wanted.back().chunk].bytes);
        }
        loading_ = true;
        host_.readLater([self = shared_from_this(), request = job.request, wanted = std::move(wanted)] {
            std::vector<SharedBytes> parts;
            std::optional<Error> problem;
            for (const ContextPart& part : wanted) {
                auto bytes = readPart(*self->context_->context, request.level, part);
                if (!bytes) {
                    problem = std::move(bytes.error());
                    break;
                }
                parts.push_back(std::move(*bytes));
            }
            asio::post(self->io_, [self, id = request.id, parts = std::move(parts), problem = std::move(problem)] {
                self->loading_ = false;
                if (self->open_)
                    self->loaded(id, parts, problem);
            });
        });
        return;
    }
}

void SenderSession::loaded(std::uint32_t id, std::vector<SharedBytes> parts, const std::optional<Error>& problem) {
    const auto job = std::ranges::find(jobs_, id, [](const Job& held) { return held.request.id; });
    if (job != jobs_.end()) {
        if (problem) {
            host_.report({SenderEvent::Kind::Failed, peer_, job->request.chunk, problem->message()});
            jobs_.erase(job);
            say(wire::Failure{id, problem->message()});
        } else {
            for (SharedBytes& bytes : parts)
                job->loaded.push_back(std::move(bytes));
        }
    }
    load();
    host_.wake();
}

bool SenderSession::isReady() const {
    if (!open_ || outgoingBytes_ >= kMaxOutgoing)
        return false;
    return !said_.empty() || directoryAt_ < directoryEnd_ || (!jobs_.empty() && !jobs_.front().loaded.empty());
}

OutFrame SenderSession::take() {
    if (!said_.empty()) {
        OutFrame frame = std::move(said_.front());
        said_.pop_front();
        return frame;
    }
    return directoryAt_ < directoryEnd_ ? takeDirectory() : takeSegment();
}

SenderSession::Struck SenderSession::strike(std::int64_t payload) {
    const auto bytes = static_cast<double>(payload);
    return {host_.troubleOf(draw_++, bytes), bytes};
}

std::int64_t SenderSession::bytesOf(const Job& job) const {
    const auto& planes = context_->context->directory().levels[job.request.level].planes;
    std::int64_t bytes = 0;
    for (std::size_t part = job.request.firstPart; part < job.request.endPart; ++part)
        bytes += wire::framedBytes(planes.at(job.parts[part].plane).chunks[job.parts[part].chunk].bytes);
    return bytes;
}

void SenderSession::suffer(OutFrame& frame, const Struck& struck, bool isLast) {
    frame.bytesAgain = struck.trouble.bytesAgain * static_cast<double>(frame.bytes()) / struck.payload;
    frame.delay += struck.trouble.jitterSeconds + (isLast ? struck.trouble.tailSeconds : 0);
}

OutFrame SenderSession::takeDirectory() {
    const auto size = std::min(wire::kPacedSegment, directoryEnd_ - directoryAt_);
    OutFrame frame = wrap(wire::DirectoryPiece{directoryAt_, context_->directory.span().subspan(directoryAt_, size)});
    directoryAt_ += size;
    suffer(frame, directoryStruck_, directoryAt_ == directoryEnd_);
    return frame;
}

OutFrame SenderSession::takeSegment() {
    Job& job = jobs_.front();
    if (!job.struck) {
        job.struck = strike(bytesOf(job));
        // Not before: requests that wait when the connection ends are made again, and their faults are still to come.
        job.fault = host_.takeFault(job.request.chunk);
    }
    OutFrame frame;
    frame.payload = job.loaded.front();
    frame.offset = job.offset;
    frame.size = std::min(host_.largestSegment(), frame.payload.size() - job.offset);
    const auto payload = frame.payload.span().subspan(frame.offset, frame.size);
    frame.fields = wire::segmentFields(
        {job.request.id, static_cast<std::uint32_t>(job.part), static_cast<std::uint32_t>(job.offset), payload});
    frame.fieldBytes = frame.fields.size();
    frame.header = wire::headerFor(wire::Type::Segment, frame.fields, payload);
    if (job.fault) {
        if (job.fault->kind == SenderFault::Kind::Corrupt)
            corrupt(frame);
        frame.lost = job.fault->kind == SenderFault::Kind::Lose;
        frame.cut =
            job.fault->kind == SenderFault::Kind::Drop && job.part >= (job.request.firstPart + job.request.endPart) / 2;
        if (job.fault->kind == SenderFault::Kind::Delay)
            frame.delay = std::exchange(job.fault->seconds, 0);
    }
    job.offset += frame.size;
    const bool isLast = job.offset == job.loaded.front().size() && job.part + 1 == job.request.endPart;
    suffer(frame, *job.struck, isLast);
    if (job.offset < job.loaded.front().size())
        return frame;
    job.offset = 0;
    job.loaded.pop_front();
    ++job.part;
    if (isLast) {
        said_.push_back(wrap(wire::Done{job.request.id, wire::Done::Status::Sent}));
        jobs_.pop_front();
    }
    load();
    return frame;
}

void SenderSession::travel(OutFrame frame, double release) {
    if (!travelling_.empty())
        release = std::max(release, travelling_.back().release);
    travelling_.push_back({std::move(frame), release});
}

double SenderSession::nextRelease() const {
    if (travelling_.empty())
        return kNever;
    return travelling_.front().release;
}

void SenderSession::delayLast(double release) {
    if (travelling_.empty())
        return;
    const double before = travelling_.size() > 1 ? travelling_[travelling_.size() - 2].release : 0;
    travelling_.back().release = std::max(before, release + travelling_.back().frame.delay);
}

void SenderSession::releaseUntil(double now) {
    while (open_ && !travelling_.empty() && travelling_.front().release <= now) {
        OutFrame frame = std::move(travelling_.front().frame);
        travelling_.pop_front();
        if (frame.cut)
            return close("cut on purpose");
        if (frame.lost)
            continue;
        outgoingBytes_ += frame.bytes();
        outgoing_.push_back(std::move(frame));
    }
    write();
}

void SenderSession::write() {
    if (writing_ > 0 || !open_)
        return;
    if (outgoing_.empty()) {
        if (leaving_ && said_.empty() && travelling_.empty())
            close("refused");
        return;
    }
    std::vector<asio::const_buffer> buffers;
    for (const OutFrame& frame : outgoing_) {
        if (writing_ == kFramesAtOnce)
            break;
        ++writing_;
        buffers.emplace_back(frame.header.data(), frame.header.size());
        if (frame.fieldBytes > 0)
            buffers.emplace_back(frame.fields.data(), frame.fieldBytes);
        if (frame.size > 0)
            buffers.emplace_back(frame.payload.span().data() + frame.offset, frame.size);
    }
    writeSince_ = host_.now();
    asio::async_write(socket_, buffers, [self = shared_from_this()](const asio::error_code& code, std::size_t bytes) {
        self->host_.count(bytes);
        if (!self->open_)
            return;
        if (code)
            return self->close(code.message());
        for (; self->writing_ > 0; --self->writing_) {
            self->outgoingBytes_ -= self->outgoing_.front().bytes();
            self->outgoing_.pop_front();
        }
        self->heardAt_ = self->host_.now();
        self->write();
        self->host_.wake();
    });
}

void SenderSession::check(double now) {
    if (!open_)
        return;
    if (writing_ > 0 && now - writeSince_ > host_.options().stallSeconds)
        return close("took nothing for " + durationText(host_.options().stallSeconds));
    if (!greeted_ && now - heardAt_ > kGreetingSeconds)
        return close("did not say what it wants");
    const bool isIdle = jobs_.empty() && outgoing_.empty() && travelling_.empty() && said_.empty();
    if (isIdle && now - heardAt_ > host_.options().idleSeconds)
        close("asked for nothing more");
}

} // namespace kvscope
