// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope::test {

using Bytes = std::vector<std::byte>;

inline void appendLittle(Bytes& out, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i)
        out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

inline void appendText(Bytes& out, std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    out.insert(out.end(), bytes, bytes + text.size());
}

inline Bytes bytesOf(std::string_view text) {
    Bytes out;
    appendText(out, text);
    return out;
}

/// Writes ZIP archives byte by byte, so that a test can lie in any field.
class ZipWriter {
public:
    struct Entry {
        std::string name;
        std::uint16_t method = 0;
        std::uint16_t flags = 0;
        std::uint32_t crc = 0;
        std::uint64_t packedSize = 0;
        std::uint64_t size = 0;
        std::uint64_t offset = 0;
        bool zip64 = false;
    };

    /// Appends the member; the returned entry goes into the directory and may be altered before finish().
    Entry& add(const std::string& name, const Bytes& content, bool deflated = false) {
        Entry entry;
        entry.name = name;
        entry.method = deflated ? 8 : 0;
        entry.crc = static_cast<std::uint32_t>(
            crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())));
        entry.size = content.size();
        entry.offset = archive_.size();
        const Bytes packed = deflated ? deflateRaw(content) : content;
        entry.packedSize = packed.size();
        appendLittle(archive_, 0x04034B50, 4);
        appendLittle(archive_, 20, 2);
        appendLittle(archive_, 0, 2);
        appendLittle(archive_, entry.method, 2);
        appendLittle(archive_, 0, 4);
        appendLittle(archive_, entry.crc, 4);
        appendLittle(archive_, entry.packedSize, 4);
        appendLittle(archive_, entry.size, 4);
        appendLittle(archive_, name.size(), 2);
        appendLittle(archive_, 0, 2);
        appendText(archive_, name);
        archive_.insert(archive_.end(), packed.begin(), packed.end());
        entries_.push_back(entry);
        return entries_.back();
    }

    Entry& entry(std::size_t index) { return entries_[index]; }

    Bytes finish(bool zip64 = false) const {
        Bytes out = archive_;
        const std::uint64_t start = out.size();
        for (const Entry& entry : entries_)
            appendEntry(out, entry);
        const std::uint64_t size = out.size() - start;
        if (zip64) {
            const std::uint64_t end64 = out.size();
            appendLittle(out, 0x06064B50, 4);
            appendLittle(out, 44, 8);
            appendLittle(out, 45, 2);
            appendLittle(out, 45, 2);
            appendLittle(out, 0, 8);
            appendLittle(out, entries_.size(), 8);
            appendLittle(out, entries_.size(), 8);
            appendLittle(out, size, 8);
            appendLittle(out, start, 8);
            appendLittle(out, 0x07064B50, 4);
            appendLittle(out, 0, 4);
            appendLittle(out, end64, 8);
            appendLittle(out, 1, 4);
        }
        appendLittle(out, 0x06054B50, 4);
        appendLittle(out, 0, 4);
        appendLittle(out, zip64 ? 0xFFFF : entries_.size(), 2);
        appendLittle(out, zip64 ? 0xFFFF : entries_.size(), 2);
        appendLittle(out, zip64 ? 0xFFFFFFFF : size, 4);
        appendLittle(out, zip64 ? 0xFFFFFFFF : start, 4);
        appendLittle(out, 0, 2);
        return out;
    }

    static Bytes deflateRaw(const Bytes& content) {
        z_stream stream{};
        deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
        Bytes packed(deflateBound(&stream, static_cast<uLong>(content.size())));
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(content.data()));
        stream.avail_in = static_cast<uInt>(content.size());
        stream.next_out = reinterpret_cast<Bytef*>(packed.data());
        stream.avail_out = static_cast<uInt>(packed.size());
        deflate(&stream, Z_FINISH);
        packed.resize(stream.total_out);
        deflateEnd(&stream);
        return packed;
    }

private:
    static void appendEntry(Bytes& out, const Entry& entry) {
        appendLittle(out, 0x02014B50, 4);
        appendLittle(out, 45, 2);
        appendLittle(out, 45, 2);
        appendLittle(out, entry.flags, 2);
        appendLittle(out, entry.method, 2);
        appendLittle(out, 0, 4);
        appendLittle(out, entry.crc, 4);
        appendLittle(out, entry.zip64 ? 0xFFFFFFFF : entry.packedSize, 4);
        appendLittle(out, entry.zip64 ? 0xFFFFFFFF : entry.size, 4);
        appendLittle(out, entry.name.size(), 2);
        appendLittle(out, entry.zip64 ? 28 : 0, 2);
        appendLittle(out, 0, 2);
        appendLittle(out, 0, 2);
        appendLittle(out, 0, 2);
        appendLittle(out, 0, 4);
        appendLittle(out, entry.zip64 ? 0xFFFFFFFF : entry.offset, 4);
        appendText(out, entry.name);
        if (entry.zip64) {
            appendLittle(out, 1, 2);
            appendLittle(out, 24, 2);
            appendLittle(out, entry.size, 8);
            appendLittle(out, entry.packedSize, 8);
            appendLittle(out, entry.offset, 8);
        }
    }

    Bytes archive_;
    std::vector<Entry> entries_;
};

} // namespace kvscope::test
