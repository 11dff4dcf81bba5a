// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The frames and messages that a sender and a receiver exchange; PROTOCOL.md describes every byte.
namespace kvscope::wire {

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 24;
/// Most payload of a segment, and of one (or a piece of the directory) on a link of limited bandwidth.
inline constexpr std::size_t kMaxSegment = std::size_t{256} << 10;
inline constexpr std::size_t kPacedSegment = std::size_t{32} << 10;
/// Fields of a segment before its payload.
inline constexpr std::size_t kSegmentFields = 12;
inline constexpr std::size_t kMaxBody = kMaxSegment + kSegmentFields;
inline constexpr std::size_t kMaxText = 1024;
/// Largest directory that a receiver takes.
inline constexpr std::uint64_t kMaxDirectoryBytes = std::uint64_t{256} << 20;
/// Requests that a receiver may have open at a sender.
inline constexpr std::size_t kMaxOpenRequests = 64;
/// In a Failure: it concerns the whole connection.
inline constexpr std::uint32_t kNoRequest = 0xFFFFFFFFU;

enum class Type : std::uint8_t {
    Hello = 1,
    Request = 2,
    Cancel = 3,
    Welcome = 17,
    Directory = 18,
    Segment = 19,
    Done = 20,
    Failure = 21,
};

/// Receiver: the first frame.
struct Hello {
    std::uint32_t version = kVersion;
    /// Hash of the directory that the receiver has already; 0 for none.
    std::uint64_t knownDirectory = 0;
    /// Empty: the only one there is.
    std::string context;
};

/// Receiver: send parts [firstPart, endPart) of the chunk of tokens [begin, end) at a level.
struct Request {
    std::uint32_t id = 0;
    /// Number of the chunk, for people.
    std::uint32_t chunk = 0;
    std::uint32_t level = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint32_t firstPart = 0;
    std::uint32_t endPart = 0;
};

/// Receiver: stop sending for that request.
struct Cancel {
    std::uint32_t id = 0;
};

/// Sender: the answer to Hello. Directory frames follow unless the receiver knows it.
struct Welcome {
    std::uint32_t version = kVersion;
    std::uint64_t directoryHash = 0;
    std::uint64_t directoryBytes = 0;
    std::string context;
};

/// Sender: a piece of the directory.
struct DirectoryPiece {
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
};

/// Sender: a piece of a part.
struct Segment {
    std::uint32_t request = 0;
    std::uint32_t part = 0;
    std::uint32_t offset = 0;
    std::span<const std::byte> bytes;
};

/// Sender: nothing more comes for that request.
struct Done {
    enum class Status : std::uint32_t { Sent = 0, Cancelled = 1 };
    std::uint32_t request = 0;
    Status status = Status::Sent;
};

/// Sender: why a request, or the connection, fails.
struct Failure {
    std::uint32_t request = kNoRequest;
    std::string text;
};

using Message = std::variant<Hello, Request, Cancel, Welcome, DirectoryPiece, Segment, Done, Failure>;

/// A frame: header and body.
std::vector<std::byte> toFrame(const Message& message);

/// The header of a frame whose body is the two pieces one behind the other; both must be in the frame's order.
std::array<std::byte, kHeaderBytes> headerFor(Type type, std::span<const std::byte> first,
                                              std::span<const std::byte> second);
/// A segment's fields before its payload.
std::array<std::byte, kSegmentFields> segmentFields(const Segment& segment);

/// Bytes on a wire of limited bandwidth for a part (or a directory: `fields` 8) of that many bytes; a little fewer on
/// others.
std::int64_t framedBytes(std::int64_t payload, std::size_t fields = kSegmentFields);

/// Cuts a stream of bytes into messages. Never holds more than two frames; a header that lies is refused before
/// anything is allocated for it.
class FrameParser {
public:
    /// Says where the payload of a segment belongs whose first bytes have come: room for `size` bytes, which must stay
    /// until the frame is there, or nothing. Neither the fields nor what arrives in that room have been checked yet.
    using Place = std::function<std::span<std::byte>(const Segment& fields, std::size_t size)>;

    /// What the other side is called in errors; where payloads go that can be spared a move.
    explicit FrameParser(std::string peer, Place place = {});

    /// Room for at least one more byte in all, to be filled from the connection in this order.
    using Room = std::array<std::span<std::byte>, 2>;
    Room room();
    /// So many bytes of the room were filled.
    void filled(std::size_t bytes);

    /// A frame whose body did not arrive as it was sent; the frames behind it can be read.
    struct Damaged {
        Type type = Type::Segment;
        /// Of the whole frame.
        std::size_t bytes = 0;
    };
    using Item = std::variant<Damaged, Message>;
    /// The next message that is complete, or nothing. Its spans hold until the next call of any function. After an
    /// error the stream cannot be read on.
    Result<std::optional<Item>> next();

private:
    /// A segment whose payload goes where it belongs as it comes.
    struct Direct {
        Segment segment;
        std::uint64_t hash = 0;
        std::uint64_t fieldsHash = 0;
        std::span<std::byte> place;
        std::size_t filled = 0;
    };

    [[nodiscard]] tl::unexpected<Error> broken(const std::string& what) const;
    [[nodiscard]] Result<Message> parse(Type type, std::span<const std::byte> body) const;
    /// Lets the payload of the segment that begins the buffer go where it belongs, if that is known.
    void redirect(std::span<const std::byte> there, std::size_t size);
    Item finishDirect();

    std::string peer_;
    Place place_;
    std::vector<std::byte> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::int64_t consumed_ = 0;
    std::optional<Direct> direct_;
};

} // namespace kvscope::wire
