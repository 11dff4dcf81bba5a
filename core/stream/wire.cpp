// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/wire.h"

#include "core/base/hash.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace kvscope::wire {

namespace {

constexpr std::array<char, 4> kMagic{'K', 'V', 'S', 'P'};
constexpr std::size_t kBodySizeAt = 8;
constexpr std::size_t kCheckAt = 12;
constexpr std::size_t kHashAt = 16;
/// What one read from the connection may bring.
constexpr std::size_t kReadBytes = std::size_t{256} << 10;

template <class T> void put(std::vector<std::byte>& out, T value) {
    static_assert(std::is_unsigned_v<T>);
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void putText(std::vector<std::byte>& out, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.substr(0, kMaxText)));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T> T load(std::span<const std::byte> bytes, std::size_t at) {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value = static_cast<T>(value | static_cast<T>(std::to_integer<unsigned>(bytes[at + i])) << (8 * i));
    return value;
}

std::uint32_t checkOf(std::span<const std::byte> header) {
    return static_cast<std::uint32_t>(hashBytes(header.first(kCheckAt)));
}

/// Smallest and largest body of a type; nothing for a type that does not exist.
std::optional<std::pair<std::size_t, std::size_t>> bodyLimits(Type type) {
    switch (type) {
    case Type::Hello:
        return std::pair<std::size_t, std::size_t>(12, 12 + kMaxText);
    case Type::Request:
        return std::pair<std::size_t, std::size_t>(36, 36);
    case Type::Cancel:
        return std::pair<std::size_t, std::size_t>(4, 4);
    case Type::Welcome:
        return std::pair<std::size_t, std::size_t>(20, 20 + kMaxText);
    case Type::Directory:
        return std::pair<std::size_t, std::size_t>(9, 8 + kPacedSegment);
    case Type::Segment:
        return std::pair<std::size_t, std::size_t>(kSegmentFields + 1, kMaxBody);
    case Type::Done:
        return std::pair<std::size_t, std::size_t>(8, 8);
    case Type::Failure:
        return std::pair<std::size_t, std::size_t>(4, 4 + kMaxText);
    }
    return std::nullopt;
}

struct BodyWriter {
    std::vector<std::byte>& out;

    Type operator()(const Hello& m) const {
        put(out, m.version);
        put(out, m.knownDirectory);
        putText(out, m.context);
        return Type::Hello;
    }
    Type operator()(const Request& m) const {
        put(out, m.id);
        put(out, m.chunk);
        put(out, m.level);
        put(out, m.begin);
        put(out, m.end);
        put(out, m.firstPart);
        put(out, m.endPart);
        return Type::Request;
    }
    Type operator()(const Cancel& m) const {
        put(out, m.id);
        return Type::Cancel;
    }
    Type operator()(const Welcome& m) const {
        put(out, m.version);
        put(out, m.directoryHash);
        put(out, m.directoryBytes);
        putText(out, m.context);
        return Type::Welcome;
    }
    Type operator()(const DirectoryPiece& m) const {
        put(out, m.offset);
        out.insert(out.end(), m.bytes.begin(), m.bytes.end());
        return Type::Directory;
    }
    Type operator()(const Segment& m) const {
        const auto fields = segmentFields(m);
        out.insert(out.end(), fields.begin(), fields.end());
        out.insert(out.end(), m.bytes.begin(), m.bytes.end());
        return Type::Segment;
    }
    Type operator()(const Done& m) const {
        put(out, m.request);
        put(out, static_cast<std::uint32_t>(m.status));
        return Type::Done;
    }
    Type operator()(const Failure& m) const {
        put(out, m.request);
        putText(out, m.text);
        return Type::Failure;
    }
};

template <class T> void store(std::span<std::byte> out, std::size_t at, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out[at + i] = static_cast<std::byte>(value >> (8 * i));
}

std::array<std::byte, kHeaderBytes> makeHeader(Type type, std::size_t bodyBytes, std::uint64_t bodyHash) {
    std::array<std::byte, kHeaderBytes> header{};
    std::memcpy(header.data(), kMagic.data(), kMagic.size());
    header[4] = static_cast<std::byte>(kVersion);
    header[5] = static_cast<std::byte>(type);
    store(header, kBodySizeAt, static_cast<std::uint32_t>(bodyBytes));
    store(header, kCheckAt, checkOf(header));
    store(header, kHashAt, bodyHash);
    return header;
}

std::string textOf(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Text of the other side, fit for one line of a message.
std::string printable(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return text;
}

} // namespace

std::array<std::byte, kSegmentFields> segmentFields(const Segment& segment) {
    std::array<std::byte, kSegmentFields> fields;
    const std::array values{segment.request, segment.part, segment.offset};
    for (std::size_t i = 0; i < fields.size(); ++i)
        fields[i] = static_cast<std::byte>(values[i / 4] >> (8 * (i % 4)));
    return fields;
}

std::array<std::byte, kHeaderBytes> headerFor(Type type, std::span<const std::byte> first,
                                              std::span<const std::byte> second) {
    return makeHeader(type, first.size() + second.size(), hashBytes(second, hashBytes(first)));
}

std::vector<std::byte> toFrame(const Message& message) {
    std::vector<std::byte> body;
    const Type type = std::visit(BodyWriter{body}, message);
    const std::size_t fields = type == Type::Segment ? kSegmentFields : 0;
    const auto header = headerFor(type, std::span(body).first(fields), std::span(body).subspan(fields));
    std::vector<std::byte> frame(header.size() + body.size());
    std::memcpy(frame.data(), header.data(), header.size());
    std::ranges::copy(body, frame.begin() + static_cast<std::ptrdiff_t>(header.size()));
    return frame;
}

std::int64_t framedBytes(std::int64_t payload, std::size_t fields) {
    const auto most = static_cast<std::int64_t>(kPacedSegment);
    return payload + (payload + most - 1) / most * static_cast<std::int64_t>(kHeaderBytes + fields);
}

FrameParser::FrameParser(std::string peer, Place place)
    : peer_(std::move(peer))
    , place_(std::move(place))
    , buffer_(kReadBytes + kHeaderBytes + kMaxBody) {}

FrameParser::Room FrameParser::room() {
    // The next frame's beginning says where the rest of it goes, so that no more than that is taken here.
    if (direct_)
        return {direct_->place.subspan(direct_->filled),
                std::span(buffer_).subspan(end_, kHeaderBytes + kSegmentFields)};
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    return {std::span(buffer_).subspan(end_), {}};
}

void FrameParser::filled(std::size_t bytes) {
    if (direct_) {
        const std::size_t here = std::min(bytes, direct_->place.size() - direct_->filled);
        direct_->filled += here;
        bytes -= here;
    }
    end_ += bytes;
}

void FrameParser::redirect(std::span<const std::byte> there, std::size_t size) {
    constexpr std::size_t kPayloadAt = kHeaderBytes + kSegmentFields;
    if (!place_ || there.size() < kPayloadAt)
        return;
    const auto fields = there.subspan(kHeaderBytes, kSegmentFields);
    const Segment segment{
        load<std::uint32_t>(fields, 0), load<std::uint32_t>(fields, 4), load<std::uint32_t>(fields, 8), {}};
    const auto place = place_(segment, size - kSegmentFields);
    if (place.empty())
        return;
    const auto come = there.subspan(kPayloadAt);
    if (!come.empty())
        std::memcpy(place.data(), come.data(), come.size());
    direct_ = Direct{segment, load<std::uint64_t>(there, kHashAt), hashBytes(fields), place, come.size()};
    begin_ = end_ = 0;
}

FrameParser::Item FrameParser::finishDirect() {
    const Direct direct = *std::exchange(direct_, std::nullopt);
    const std::size_t frame = kHeaderBytes + kSegmentFields + direct.place.size();
    consumed_ += static_cast<std::int64_t>(frame);
    if (hashBytes(direct.place, direct.fieldsHash) != direct.hash)
        return Damaged{Type::Segment, frame};
    return Message(Segment{direct.segment.request, direct.segment.part, direct.segment.offset, direct.place});
}

tl::unexpected<Error> FrameParser::broken(const std::string& what) const {
    return fail("does not keep to the protocol: " + what, peer_ + ", byte " + std::to_string(consumed_),
                "Check that the address is that of a KVScope sender or receiver of this version");
}

Result<std::optional<FrameParser::Item>> FrameParser::next() {
    if (direct_ && direct_->filled < direct_->place.size())
        return std::optional<Item>();
    if (direct_)
        return std::optional(finishDirect());
    const auto there = std::span<const std::byte>(buffer_).subspan(begin_, end_ - begin_);
    // What is there must be the beginning of a frame, however little of it has come.
    const std::size_t known = std::min(there.size(), kMagic.size());
    if (std::memcmp(there.data(), kMagic.data(), known) != 0)
        return broken("a frame does not start as it should");
    if (there.size() < kHeaderBytes)
        return std::optional<Item>();
    if (load<std::uint32_t>(there, kCheckAt) != checkOf(there))
        return broken("a frame's header is damaged");
    const auto version = std::to_integer<unsigned>(there[4]);
    if (version != kVersion)
        return broken("it speaks version " + std::to_string(version) + ", this program version " +
                      std::to_string(kVersion));
    const auto type = static_cast<Type>(there[5]);
    const auto limits = bodyLimits(type);
    const std::size_t size = load<std::uint32_t>(there, kBodySizeAt);
    if (!limits)
        return broken("there is no frame of type " + std::to_string(static_cast<unsigned>(type)));
    if (size < limits->first || size > limits->second)
        return broken("a frame of type " + std::to_string(static_cast<unsigned>(type)) + " says that it has " +
                      std::to_string(size) + " bytes");
    if (there.size() < kHeaderBytes + size) {
        if (type == Type::Segment)
            redirect(there, size);
        return std::optional<Item>();
    }
    const auto body = there.subspan(kHeaderBytes, size);
    const std::size_t fields = type == Type::Segment ? kSegmentFields : 0;
    const bool isWhole =
        hashBytes(body.subspan(fields), hashBytes(body.first(fields))) == load<std::uint64_t>(there, kHashAt);
    if (!isWhole && type != Type::Segment)
        return broken("a frame is damaged");
    if (!isWhole) {
        begin_ += kHeaderBytes + size;
        consumed_ += static_cast<std::int64_t>(kHeaderBytes + size);
        return std::optional<Item>(Damaged{type, kHeaderBytes + size});
    }
    KVSCOPE_ASSIGN(Message message, parse(type, body));
    begin_ += kHeaderBytes + size;
    consumed_ += static_cast<std::int64_t>(kHeaderBytes + size);
    return std::optional<Item>(std::move(message));
}

Result<Message> FrameParser::parse(Type type, std::span<const std::byte> body) const {
    switch (type) {
    case Type::Hello:
        return Hello{load<std::uint32_t>(body, 0), load<std::uint64_t>(body, 4), textOf(body.subspan(12))};
    case Type::Request: {
        const Request request{load<std::uint32_t>(body, 0),  load<std::uint32_t>(body, 4),
                              load<std::uint32_t>(body, 8),  load<std::uint64_t>(body, 12),
                              load<std::uint64_t>(body, 20), load<std::uint32_t>(body, 28),
                              load<std::uint32_t>(body, 32)};
        if (request.begin >= request.end || request.firstPart >= request.endPart)
            return broken("a request for nothing");
        return request;
    }
    case Type::Cancel:
        return Cancel{load<std::uint32_t>(body, 0)};
    case Type::Welcome: {
        Welcome welcome{load<std::uint32_t>(body, 0), load<std::uint64_t>(body, 4), load<std::uint64_t>(body, 12),
                        printable(textOf(body.subspan(20)))};
        if (welcome.directoryBytes == 0 || welcome.directoryBytes > kMaxDirectoryBytes)
            return broken("it announces a directory of " + std::to_string(welcome.directoryBytes) + " bytes");
        return welcome;
    }
    case Type::Directory:
        return DirectoryPiece{load<std::uint64_t>(body, 0), body.subspan(8)};
    case Type::Segment:
        return Segment{load<std::uint32_t>(body, 0), load<std::uint32_t>(body, 4), load<std::uint32_t>(body, 8),
                       body.subspan(kSegmentFields)};
    case Type::Done: {
        const auto status = load<std::uint32_t>(body, 4);
        if (status > 1)
            return broken("an unknown status");
        return Done{load<std::uint32_t>(body, 0), static_cast<Done::Status>(status)};
    }
    case Type::Failure:
        return Failure{load<std::uint32_t>(body, 0), printable(textOf(body.subspan(4)))};
    }
    return broken("there is no such frame");
}

} // namespace kvscope::wire
