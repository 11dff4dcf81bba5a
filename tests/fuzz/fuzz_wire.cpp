// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/stream/wire.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

using namespace kvscope;

namespace {

/// Feeds bytes to the parser in pieces and checks that each message, written again, is what was read. Payloads of every
/// other part are taken elsewhere.
void parse(const std::uint8_t* data, std::size_t size, std::size_t piece) {
    std::vector<std::byte> elsewhere;
    wire::FrameParser parser("input", [&](const wire::Segment& fields, std::size_t payload) -> std::span<std::byte> {
        if (fields.part % 2 == 0)
            return {};
        elsewhere.assign(payload, std::byte{0});
        return elsewhere;
    });
    std::size_t at = 0;
    while (true) {
        const auto item = parser.next();
        if (!item) {
            if (item.error().what.empty() || !item.error().where.starts_with("input"))
                std::abort();
            return;
        }
        if (!*item) {
            if (at == size)
                return;
            const auto room = parser.room();
            const std::size_t bytes = std::min({piece, room[0].size() + room[1].size(), size - at});
            if (bytes == 0)
                std::abort();
            const std::size_t first = std::min(bytes, room[0].size());
            std::copy_n(std::as_bytes(std::span(data, size)).begin() + static_cast<std::ptrdiff_t>(at), first,
                        room[0].begin());
            std::copy_n(std::as_bytes(std::span(data, size)).begin() + static_cast<std::ptrdiff_t>(at + first),
                        bytes - first, room[1].begin());
            parser.filled(bytes);
            at += bytes;
            continue;
        }
        const auto* message = std::get_if<wire::Message>(&**item);
        if (message == nullptr)
            continue;
        wire::FrameParser again("again");
        const auto frame = wire::toFrame(*message);
        const auto room = again.room().front();
        if (room.size() < frame.size())
            std::abort();
        std::ranges::copy(frame, room.begin());
        again.filled(frame.size());
        const auto copy = again.next();
        if (!copy || !*copy)
            std::abort();
        const auto* same = std::get_if<wire::Message>(&**copy);
        if (same == nullptr || same->index() != message->index() || wire::toFrame(*same) != frame)
            std::abort();
    }
}

void store(std::vector<std::uint8_t>& out, std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i)
        out[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Frames whose checks fit: each from a type, the size of its body in two bytes, and the body.
std::vector<std::uint8_t> framesFrom(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> out;
    while (size >= 3) {
        const std::uint8_t type = data[0];
        const std::size_t body = std::min<std::size_t>(data[1] + 256U * data[2], size - 3);
        const auto bytes = std::as_bytes(std::span(data + 3, body));
        const std::size_t at = out.size();
        out.resize(at + wire::kHeaderBytes);
        std::memcpy(out.data() + at, "KVSP", 4);
        out[at + 4] = wire::kVersion;
        out[at + 5] = type;
        store(out, at + 8, body, 4);
        store(out, at + 12, hashBytes(std::as_bytes(std::span(out).subspan(at, 12))), 4);
        const std::size_t fields = type == 19 ? std::min(wire::kSegmentFields, body) : 0;
        store(out, at + 16, hashBytes(bytes.subspan(fields), hashBytes(bytes.first(fields))), 8);
        out.insert(out.end(), data + 3, data + 3 + body);
        data += 3 + body;
        size -= 3 + body;
    }
    return out;
}

} // namespace

/// The first byte says how the rest is cut into pieces, and whether it is a stream as it comes (even) or what frames
/// with fitting checks are made from (odd).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::size_t piece = static_cast<std::size_t>(*data) + 1;
    if (*data % 2 == 0) {
        parse(data + 1, size - 1, piece);
    } else {
        const auto frames = framesFrom(data + 1, size - 1);
        parse(frames.data(), frames.size(), 16 * piece);
    }
    return 0;
}
