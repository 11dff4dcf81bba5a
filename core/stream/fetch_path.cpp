// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/fetch_path.h"

#include "core/base/duration_text.h"
#include "core/base/hash.h"

#include <asio/connect.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

namespace kvscope {

namespace {

using asio::ip::tcp;

constexpr auto kWatchEvery = std::chrono::milliseconds(50);
constexpr double kFirstRetry = 0.05;
constexpr double kLongestRetry = 2;
constexpr double kLargestFrame = wire::kHeaderBytes + wire::kSegmentFields + wire::kPacedSegment;

} // namespace

FetchPath::FetchPath(asio::io_context& io, PathOwner& owner, std::size_t number, SenderAddress address)
    : io_(io)
    , owner_(owner)
    , number_(number)
    , address_(std::move(address))
    , retry_(io)
    , watch_(io) {}

Error FetchPath::gone(const std::string& what) const {
    return {what, name(), "Check that the sender runs there (kvscope serve) and that the network lets you through",
            Error::Kind::System};
}

void FetchPath::start() {
    watch();
    connect();
}

void FetchPath::stop() {
    ++connection_;
    state_ = State::Failed;
    retry_.cancel();
    watch_.cancel();
    resolver_.reset();
    if (socket_ != nullptr) {
        asio::error_code ignored;
        socket_->close(ignored);
    }
}

void FetchPath::connect() {
    state_ = State::Connecting;
    heardAt_ = owner_.now();
    socket_ = std::make_unique<tcp::socket>(io_);
    resolver_ = std::make_unique<tcp::resolver>(io_);
    parser_ = std::make_unique<wire::FrameParser>(
        name(), [this](const wire::Segment& fields, std::size_t size) { return placeFor(fields, size); });
    resolver_->async_resolve(
        address_.host, std::to_string(address_.port),
        [this, connection = connection_](const asio::error_code& code, const tcp::resolver::results_type& found) {
            if (connection != connection_)
                return;
            if (code)
                return lose(gone("cannot be found: " + code.message()), true);
            asio::async_connect(*socket_, found,
                                [this, connection](const asio::error_code& failed, const tcp::endpoint&) {
                                    if (connection != connection_)
                                        return;
                                    if (failed)
                                        return lose(gone("cannot be reached: " + failed.message()), true);
                                    asio::error_code ignored;
                                    socket_->set_option(tcp::no_delay(true), ignored);
                                    state_ = State::Connected;
                                    greetNow();
                                });
        });
}

void FetchPath::greetNow() {
    if (state_ != State::Connected || !owner_.mayGreet(number_))
        return;
    if (!std::exchange(greetedBefore_, true))
        owner_.connected(number_);
    greet();
}

void FetchPath::greet() {
    state_ = State::Greeting;
    heardAt_ = greetedAt_ = owner_.now();
    directory_.clear();
    directorySize_ = 0;
    write(wire::toFrame(wire::Hello{wire::kVersion, owner_.knownDirectory(), owner_.options().context}));
    read();
}

void FetchPath::read() {
    const auto room = parser_->room();
    const std::array<asio::mutable_buffer, 2> buffers{asio::buffer(room[0].data(), room[0].size()),
                                                      asio::buffer(room[1].data(), room[1].size())};
    socket_->async_read_some(buffers,
                             [this, connection = connection_](const asio::error_code& code, std::size_t bytes) {
                                 if (connection != connection_)
                                     return;
                                 if (code == asio::error::eof || code == asio::error::connection_reset)
                                     return lose(gone("closed the connection"), true);
                                 if (code)
                                     return lose(gone("is gone: " + code.message()), true);
                                 received(bytes);
                             });
}

void FetchPath::received(std::size_t bytes) {
    const unsigned connection = connection_;
    if (!requests_.empty() && !requests_.front().begun)
        arrivals_.idle(requests_.front().since + rtt_);
    arrivals_.add(owner_.now(), static_cast<double>(bytes));
    parser_->filled(bytes);
    while (true) {
        auto item = parser_->next();
        if (!item)
            return lose(item.error(), true);
        if (!*item)
            break;
        heardBefore_ = std::exchange(heardAt_, owner_.now());
        if (const auto* broken = std::get_if<wire::FrameParser::Damaged>(&**item)) {
            const auto request = std::ranges::find(requests_, false, &OpenRequest::cancelled);
            if (request == requests_.end())
                continue;
            owner_.frameCame(number_, *request, broken->bytes);
            damaged();
            continue;
        }
        const auto handled = handle(std::get<wire::Message>(**item));
        if (connection != connection_)
            return;
        if (!handled)
            return lose(handled.error(), handled.error().kind != Error::Kind::Input);
    }
    owner_.progressed(number_);
    if (connection == connection_)
        read();
}

Result<void> FetchPath::handle(const wire::Message& message) {
    const auto lies = [&](const char* what) {
        return fail(std::string("does not keep to the protocol: ") + what, name(),
                    "Check that both sides are of the same version", Error::Kind::System);
    };
    if (const auto* welcomed = std::get_if<wire::Welcome>(&message))
        return state_ == State::Greeting ? welcome(*welcomed) : lies("it welcomes twice");
    if (const auto* piece = std::get_if<wire::DirectoryPiece>(&message))
        return takeDirectory(*piece);
    if (const auto* segment = std::get_if<wire::Segment>(&message))
        return takeSegment(*segment);
    if (const auto* done = std::get_if<wire::Done>(&message)) {
        const auto request =
            std::ranges::find(requests_, done->request, [](const OpenRequest& open) { return open.wire.id; });
        if (request == requests_.end())
            return lies("it ends what nobody asked for");
        OpenRequest ended = std::move(*request);
        requests_.erase(request);
        if (!ended.cancelled)
            owner_.requestEnded(number_, ended);
        return {};
    }
    if (const auto* failure = std::get_if<wire::Failure>(&message)) {
        const auto request =
            std::ranges::find(requests_, failure->request, [](const OpenRequest& open) { return open.wire.id; });
        if (failure->request == wire::kNoRequest)
            return fail("refuses: " + failure->text, name());
        if (request == requests_.end())
            return lies("it refuses what nobody asked for");
        OpenRequest ended = std::move(*request);
        requests_.erase(request);
        if (!ended.cancelled)
            owner_.requestFailed(number_, ended, name() + ": " + failure->text);
        return {};
    }
    return lies("it sends what only a receiver sends");
}

Result<void> FetchPath::welcome(const wire::Welcome& welcome) {
    rtt_ = owner_.now() - greetedAt_;
    KVSCOPE_TRY(owner_.welcomed(number_, welcome));
    state_ = State::Welcome;
    directoryHash_ = welcome.directoryHash;
    directorySize_ = owner_.knownDirectory() == welcome.directoryHash ? 0 : welcome.directoryBytes;
    resumeRequests();
    return {};
}

Result<void> FetchPath::takeDirectory(const wire::DirectoryPiece& piece) {
    if (directorySize_ == 0 || piece.offset != directory_.size() ||
        piece.bytes.size() > directorySize_ - directory_.size())
        return fail("does not keep to the protocol: its directory is not what it announced", name(),
                    "Check that both sides are of the same version", Error::Kind::System);
    directory_.insert(directory_.end(), piece.bytes.begin(), piece.bytes.end());
    directoryWire_ += static_cast<double>(piece.bytes.size() + sizeof(std::uint64_t) + wire::kHeaderBytes);
    if (directory_.size() < directorySize_)
        return {};
    directorySize_ = 0;
    firstRate_ = AskAhead::firstRate(directoryWire_, owner_.now() - greetedAt_ - rtt_);
    if (hashBytes(directory_) != directoryHash_)
        return fail("sent a directory that is damaged", name(), "Try again", Error::Kind::System);
    return owner_.directoryCame(number_, std::exchange(directory_, {}), directoryHash_);
}

OpenRequest* FetchPath::find(std::uint32_t id) {
    const auto request = std::ranges::find(requests_, id, [](const OpenRequest& open) { return open.wire.id; });
    return request == requests_.end() ? nullptr : &*request;
}

std::span<std::byte> FetchPath::placeFor(const wire::Segment& fields, std::size_t size) {
    OpenRequest* request = find(fields.request);
    if (request == nullptr || request->skipping || fields.part != request->part ||
        fields.part >= request->wire.endPart || fields.offset != request->partial.size())
        return {};
    const auto whole = static_cast<std::size_t>(owner_.partBytes(*request, request->part));
    if (size > whole - request->partial.size())
        return {};
    return request->partial.room(arena_, size, whole);
}

Result<void> FetchPath::takeSegment(const wire::Segment& segment) {
    const auto lies = [&](const char* what) {
        return fail(std::string("does not keep to the protocol: ") + what, name(),
                    "Check that both sides are of the same version", Error::Kind::System);
    };
    OpenRequest* request = find(segment.request);
    if (request == nullptr)
        return lies("it sends what nobody asked for");
    if (!request->cancelled)
        owner_.began(number_, *request);
    const std::size_t frame = wire::kHeaderBytes + wire::kSegmentFields + segment.bytes.size();
    const double late = latenessOf(*request, static_cast<double>(frame));
    partsCame_ = true;
    if (!std::exchange(request->begun, true))
        late_.began(late);
    request->bytesLeft = std::max(0.0, request->bytesLeft - static_cast<double>(frame));
    if (request->bytesLeft == 0)
        late_.ended(late);
    owner_.frameCame(number_, *request, frame);
    if (segment.part >= request->wire.endPart || segment.part < request->part)
        return lies("it sends a part that is not next");
    if (request->skipping) {
        if (segment.offset != 0)
            return {};
        request->skipping = false;
        request->part = segment.part;
    }
    if (segment.part != request->part || segment.offset != request->partial.size())
        return lies("it sends a part that is not next");
    const auto size = static_cast<std::size_t>(owner_.partBytes(*request, request->part));
    if (segment.bytes.size() > size - request->partial.size())
        return lies("a part is longer than the directory says");
    request->partial.add(arena_, segment.bytes, size);
    if (request->partial.size() < size)
        return {};
    failures_ = 0;
    const std::size_t part = request->part++;
    SharedBytes bytes = request->partial.finish();
    if (request->cancelled || request->have[part])
        return {};
    request->have[part] = true;
    owner_.partCame(number_, *request, part, std::move(bytes));
    return {};
}

double FetchPath::latenessOf(const OpenRequest& request, double frameBytes) const {
    const double rate = arrivals_.recentRate(heardAt_, AskAhead::kRateWindow) / 8;
    const double expected = std::max(heardBefore_, request.since + rtt_) + (rate > 0 ? frameBytes / rate : 0);
    return heardAt_ - expected;
}

PathOutlook FetchPath::outlook() const {
    PathOutlook path{owner_.now(), rtt_, firstRate_, late_.seconds()};
    if (!partsCame_)
        return path;
    double& rate = path.bytesPerSecond;
    rate = arrivals_.recentRate(heardAt_, AskAhead::kRateWindow) / 8;
    if (requests_.empty() || !(rate > 0))
        return path;
    // Bytes that should long have come say that the link has become slower.
    const double due = std::max(heardAt_, requests_.front().since + rtt_) + 2 * kLargestFrame / rate;
    rate *= AskAhead::kRateWindow / (AskAhead::kRateWindow + std::max(0.0, path.now - due));
    return path;
}

std::vector<AskedFor> FetchPath::foresee(const PathOutlook& outlook) const {
    // A slow link brings a frame in longer than the round trip: part of the one under way has come, unseen.
    double unseen = std::min(outlook.bytesPerSecond * std::max(0.0, outlook.now - heardAt_), kLargestFrame);
    std::vector<AskedFor> asked;
    for (const OpenRequest& open : requests_) {
        if (open.cancelled)
            continue;
        const double hidden = open.begun ? std::exchange(unseen, 0) : 0;
        asked.push_back({open.transfer, open.since, std::max(0.0, open.bytesLeft - hidden), open.begun});
    }
    AskAhead::foresee(outlook, asked);
    return asked;
}

void FetchPath::damaged() {
    // Requests are served in order: it was a piece of the first one.
    const auto request = std::ranges::find(requests_, false, &OpenRequest::cancelled);
    request->skipping = true;
    request->partial.clear();
}

void FetchPath::send(OpenRequest request) {
    if (requests_.empty())
        heardAt_ = owner_.now();
    request.wire.id = nextId_++;
    request.since = owner_.now();
    requests_.push_back(std::move(request));
    ask(requests_.back());
}

void FetchPath::ask(OpenRequest& request) {
    // From the first part that is missing to the last one.
    const auto first = std::ranges::find(request.have, false);
    const auto last = std::find(request.have.rbegin(), request.have.rend(), false);
    request.wire.firstPart = static_cast<std::uint32_t>(first - request.have.begin());
    request.wire.endPart = static_cast<std::uint32_t>(request.have.rend() - last);
    request.part = request.wire.firstPart;
    request.partial.clear();
    request.skipping = false;
    request.bytesLeft = 0;
    for (std::size_t part = request.wire.firstPart; part < request.wire.endPart; ++part)
        request.bytesLeft += static_cast<double>(wire::framedBytes(owner_.partBytes(request, part)));
    if (state_ == State::Welcome)
        write(wire::toFrame(request.wire));
}

void FetchPath::resumeRequests() {
    for (OpenRequest& request : requests_)
        ask(request);
}

void FetchPath::cancel(std::size_t transfer) {
    const auto request = std::ranges::find_if(
        requests_, [&](const OpenRequest& open) { return open.transfer == transfer && !open.cancelled; });
    if (request == requests_.end())
        return;
    if (state_ != State::Welcome) {
        requests_.erase(request);
        return;
    }
    request->cancelled = true;
    request->bytesLeft = 0;
    write(wire::toFrame(wire::Cancel{request->wire.id}));
}

double FetchPath::bytesLeft() const {
    double bytes = 0;
    for (const OpenRequest& request : requests_)
        bytes += request.bytesLeft;
    return bytes;
}

void FetchPath::write(std::vector<std::byte> frame) {
    outgoing_.push_back(std::move(frame));
    flush();
}

void FetchPath::flush() {
    if (writing_ || outgoing_.empty())
        return;
    writing_ = true;
    asio::async_write(*socket_, asio::buffer(outgoing_.front()),
                      [this, connection = connection_](const asio::error_code& code, std::size_t) {
                          if (connection != connection_)
                              return;
                          writing_ = false;
                          if (code)
                              return lose(gone("is gone: " + code.message()), true);
                          outgoing_.pop_front();
                          flush();
                      });
}

void FetchPath::lose(const Error& why, bool again) {
    ++connection_;
    asio::error_code ignored;
    socket_->close(ignored);
    outgoing_.clear();
    writing_ = false;
    // Those that only lack their end have nothing left to ask for.
    std::erase_if(requests_, [](const OpenRequest& open) {
        return open.cancelled || std::ranges::find(open.have, false) == open.have.end();
    });
    for (OpenRequest& request : requests_)
        request.partial.clear();
    ++failures_;
    if (!again || failures_ >= owner_.options().attempts) {
        state_ = State::Failed;
        return owner_.failed(number_, why);
    }
    state_ = State::Waiting;
    owner_.reconnecting(number_, why);
    if (state_ != State::Waiting)
        return;
    const double delay = std::min(kLongestRetry, kFirstRetry * std::exp2(failures_ - 1));
    retry_.expires_after(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(delay)));
    retry_.async_wait([this, connection = connection_](const asio::error_code& code) {
        if (!code && connection == connection_)
            connect();
    });
}

void FetchPath::watch() {
    watch_.expires_after(kWatchEvery);
    watch_.async_wait([this](const asio::error_code& code) {
        if (code || state_ == State::Failed)
            return;
        const double silent = owner_.now() - heardAt_;
        const bool waits =
            state_ == State::Greeting || (state_ == State::Welcome && (!requests_.empty() || directorySize_ > 0));
        if (state_ == State::Connecting && silent > owner_.options().connectSeconds)
            lose(gone("does not answer within " + durationText(owner_.options().connectSeconds)), true);
        else if (waits && silent > owner_.options().stallSeconds)
            lose(gone("has sent nothing whole for " + durationText(owner_.options().stallSeconds)), true);
        if (state_ != State::Failed)
            watch();
    });
}

} // namespace kvscope
