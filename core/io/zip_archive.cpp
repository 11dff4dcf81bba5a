// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/zip_archive.h"

#include "core/base/checked.h"
#include "core/io/little_endian.h"
#include "core/io/scratch_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

constexpr std::uint32_t kLocalHeader = 0x04034B50;
constexpr std::uint32_t kDirectoryEntry = 0x02014B50;
constexpr std::uint32_t kDirectoryEnd = 0x06054B50;
constexpr std::uint32_t kDirectoryEnd64 = 0x06064B50;
constexpr std::uint32_t kDirectoryLocator64 = 0x07064B50;
constexpr std::int64_t kLocalHeaderSize = 30;
constexpr std::int64_t kEntrySize = 46;
constexpr std::int64_t kEndSize = 22;
constexpr std::int64_t kEnd64Size = 56;
constexpr std::int64_t kLocatorSize = 20;
constexpr std::int64_t kDirectoryLimit = std::int64_t{256} << 20;
// Deflate cannot do better than 1032:1 (a 258-byte match every 2 bits); a declared size beyond it is a lie.
constexpr std::int64_t kDeflateBest = 1032;
// Zero padding packs very well, so a high ratio alone is no crime; a high ratio and a big result is.
constexpr std::int64_t kBombRatio = 200;
constexpr std::int64_t kBombSize = std::int64_t{4} << 30;
constexpr std::int64_t kSmallMember = std::int64_t{64} << 10;
constexpr std::int64_t kSmallMembersTotal = std::int64_t{16} << 20;
constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr const char* kDamaged = "The archive is damaged or cut off; copy or save it again";
constexpr const char* kForged = "The archive was not made by an ordinary program; do not trust it";

std::string at(std::int64_t offset) {
    return " at offset " + std::to_string(offset);
}

/// Where the central directory lies and how many entries it says it has.
struct Directory {
    std::int64_t offset = 0;
    std::int64_t size = 0;
    std::int64_t entries = 0;
};

std::optional<std::int64_t> toSigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(INT64_MAX))
        return std::nullopt;
    return static_cast<std::int64_t>(value);
}

/// The end record: the last one in the file whose comment ends inside the file.
Result<std::int64_t> findDirectoryEnd(const ByteSource& file) {
    constexpr std::int64_t kLongestTail = kEndSize + 0xFFFF;
    if (file.size() < kEndSize)
        return fail("is too short for a ZIP archive (" + std::to_string(file.size()) + " bytes)", file.name(),
                    kDamaged);
    const std::int64_t begin = std::max<std::int64_t>(0, file.size() - kLongestTail);
    KVSCOPE_ASSIGN(const auto tail, file.read(begin, file.size() - begin));
    for (auto i = static_cast<std::int64_t>(tail.size()) - kEndSize; i >= 0; --i) {
        const auto place = static_cast<std::size_t>(i);
        if (littleEndianAt<std::uint32_t>(tail, place) != kDirectoryEnd)
            continue;
        const auto comment = littleEndianAt<std::uint16_t>(tail, place + 20);
        if (i + kEndSize + comment <= static_cast<std::int64_t>(tail.size()))
            return begin + i;
    }
    return fail("has no ZIP directory at its end", file.name(), kDamaged);
}

Result<Directory> findDirectory(const ByteSource& file) {
    KVSCOPE_ASSIGN(const std::int64_t endOffset, findDirectoryEnd(file));
    KVSCOPE_ASSIGN(const auto end, file.read(endOffset, kEndSize));
    const auto disk = littleEndianAt<std::uint16_t>(end, 4);
    const auto startDisk = littleEndianAt<std::uint16_t>(end, 6);
    Directory found{littleEndianAt<std::uint32_t>(end, 16), littleEndianAt<std::uint32_t>(end, 12),
                    littleEndianAt<std::uint16_t>(end, 10)};
    std::int64_t limit = endOffset;
    const bool wide = found.offset == 0xFFFFFFFF || found.size == 0xFFFFFFFF || found.entries == 0xFFFF ||
                      disk == 0xFFFF || startDisk == 0xFFFF;
    std::vector<std::byte> locator;
    if (endOffset >= kLocatorSize) {
        KVSCOPE_ASSIGN(locator, file.read(endOffset - kLocatorSize, kLocatorSize));
        if (littleEndianAt<std::uint32_t>(locator, 0) != kDirectoryLocator64)
            locator.clear();
    }
    if (wide && !locator.empty()) {
        const auto offset = toSigned(littleEndianAt<std::uint64_t>(locator, 8));
        if (!offset || *offset > endOffset - kLocatorSize - kEnd64Size)
            return fail("points outside itself for its Zip64 directory" + at(endOffset - kLocatorSize), file.name(),
                        kDamaged);
        KVSCOPE_ASSIGN(const auto end64, file.read(*offset, kEnd64Size));
        const auto entries = toSigned(littleEndianAt<std::uint64_t>(end64, 32));
        const auto size = toSigned(littleEndianAt<std::uint64_t>(end64, 40));
        const auto start = toSigned(littleEndianAt<std::uint64_t>(end64, 48));
        if (littleEndianAt<std::uint32_t>(end64, 0) != kDirectoryEnd64 || !entries || !size || !start)
            return fail("has a malformed Zip64 directory record" + at(*offset), file.name(), kDamaged);
        found = {*start, *size, *entries};
        limit = *offset;
    } else if (disk != 0 || startDisk != 0) {
        return fail("is one part of a split archive", file.name(), "Join the parts first");
    }
    const auto directoryEnd = checkedAdd(found.offset, found.size);
    if (!directoryEnd || *directoryEnd > limit)
        return fail("says that its directory of " + std::to_string(found.size) + " bytes starts" + at(found.offset) +
                        ", which is not inside the file",
                    file.name(), kDamaged);
    if (found.size > kDirectoryLimit)
        return fail("has a directory of " + std::to_string(found.size) + " bytes, more than any dump needs",
                    file.name(), kForged);
    if (found.entries > found.size / kEntrySize)
        return fail("says that its directory of " + std::to_string(found.size) + " bytes has " +
                        std::to_string(found.entries) + " entries",
                    file.name(), kDamaged);
    return found;
}

/// Replaces the fields that hold all ones by those of the Zip64 extra field; false when it lacks one of them.
bool applyZip64(std::span<const std::byte> extra, std::uint64_t& size, std::uint64_t& packed, std::uint64_t& offset) {
    constexpr std::uint64_t kElsewhere = 0xFFFFFFFF;
    if (size != kElsewhere && packed != kElsewhere && offset != kElsewhere)
        return true;
    while (extra.size() >= 4) {
        const auto id = littleEndianAt<std::uint16_t>(extra, 0);
        const std::size_t length = littleEndianAt<std::uint16_t>(extra, 2);
        if (length > extra.size() - 4)
            return false;
        if (id == 1) {
            auto fields = extra.subspan(4, length);
            for (std::uint64_t* field : {&size, &packed, &offset}) {
                if (*field != kElsewhere)
                    continue;
                if (fields.size() < 8)
                    return false;
                *field = littleEndianAt<std::uint64_t>(fields, 0);
                fields = fields.subspan(8);
            }
            return true;
        }
        extra = extra.subspan(4 + length);
    }
    return false;
}

/// Reads one directory entry and moves `place` past it.
Result<ZipMember> readEntry(const ByteSource& file, std::span<const std::byte> directory, std::size_t& place) {
    const auto left = static_cast<std::int64_t>(directory.size() - place);
    if (left < kEntrySize || littleEndianAt<std::uint32_t>(directory, place) != kDirectoryEntry)
        return fail("has a malformed directory entry " + std::to_string(place) + " bytes into its directory",
                    file.name(), kDamaged);
    const auto entry = directory.subspan(place);
    const auto flags = littleEndianAt<std::uint16_t>(entry, 8);
    const auto method = littleEndianAt<std::uint16_t>(entry, 10);
    std::uint64_t packed = littleEndianAt<std::uint32_t>(entry, 20);
    std::uint64_t size = littleEndianAt<std::uint32_t>(entry, 24);
    std::uint64_t offset = littleEndianAt<std::uint32_t>(entry, 42);
    const std::size_t nameLength = littleEndianAt<std::uint16_t>(entry, 28);
    const std::size_t extraLength = littleEndianAt<std::uint16_t>(entry, 30);
    const std::size_t commentLength = littleEndianAt<std::uint16_t>(entry, 32);
    const std::size_t whole = static_cast<std::size_t>(kEntrySize) + nameLength + extraLength + commentLength;
    if (whole > entry.size())
        return fail("has a directory entry that runs past the directory, " + std::to_string(place) + " bytes into it",
                    file.name(), kDamaged);
    ZipMember member;
    member.name.assign(reinterpret_cast<const char*>(entry.data()) + kEntrySize, nameLength);
    const std::string where = file.name() + ", member " + member.name;
    if (!applyZip64(entry.subspan(static_cast<std::size_t>(kEntrySize) + nameLength, extraLength), size, packed,
                    offset))
        return fail("lacks its Zip64 sizes", where, kDamaged);
    const auto checkedSize = toSigned(size);
    const auto checkedPacked = toSigned(packed);
    const auto checkedOffset = toSigned(offset);
    if (!checkedSize || !checkedPacked || !checkedOffset)
        return fail("declares a size past 2^63", where, kForged);
    if ((flags & 1U) != 0)
        return fail("is encrypted", where, "Unpack the archive with its password and open the result");
    if (method != 0 && method != 8)
        return fail("is packed by method " + std::to_string(method) + "; only stored and deflated are read", where,
                    "Save it again without compression");
    member.method = method == 0 ? ZipMember::Method::Stored : ZipMember::Method::Deflated;
    member.size = *checkedSize;
    member.packedSize = *checkedPacked;
    member.headerOffset = *checkedOffset;
    member.crc = littleEndianAt<std::uint32_t>(entry, 16);
    place += whole;
    return member;
}

/// Checks the member's own header against the directory and finds its data.
Result<void> readLocalHeader(const ByteSource& file, const Directory& directory, ZipMember& member) {
    const std::string where = file.name() + ", member " + member.name;
    if (member.headerOffset > directory.offset - kLocalHeaderSize)
        return fail("starts" + at(member.headerOffset) + ", which is not before the directory", where, kDamaged);
    KVSCOPE_ASSIGN(const auto header, file.read(member.headerOffset, kLocalHeaderSize));
    const std::int64_t nameLength = littleEndianAt<std::uint16_t>(header, 26);
    const std::int64_t extraLength = littleEndianAt<std::uint16_t>(header, 28);
    if (littleEndianAt<std::uint32_t>(header, 0) != kLocalHeader)
        return fail("has no header" + at(member.headerOffset), where, kDamaged);
    const auto method = littleEndianAt<std::uint16_t>(header, 8);
    member.dataOffset = member.headerOffset + kLocalHeaderSize + nameLength + extraLength;
    const auto dataEnd = checkedAdd(member.dataOffset, member.packedSize);
    if (!dataEnd || *dataEnd > directory.offset)
        return fail("needs " + std::to_string(member.packedSize) + " bytes" + at(member.dataOffset) +
                        " but the members end at " + std::to_string(directory.offset),
                    where, kDamaged);
    KVSCOPE_ASSIGN(const auto name, file.read(member.headerOffset + kLocalHeaderSize, nameLength));
    const bool sameName = static_cast<std::size_t>(nameLength) == member.name.size() &&
                          (nameLength == 0 || std::memcmp(name.data(), member.name.data(), name.size()) == 0);
    if (!sameName || (method == 8) != (member.method == ZipMember::Method::Deflated))
        return fail("is described differently by its own header" + at(member.headerOffset), where, kForged);
    if (member.method == ZipMember::Method::Stored && member.size != member.packedSize)
        return fail("is stored as it is, yet declares " + std::to_string(member.size) + " bytes from " +
                        std::to_string(member.packedSize),
                    where, kForged);
    if (member.method == ZipMember::Method::Deflated && member.size / kDeflateBest > member.packedSize)
        return fail("declares " + std::to_string(member.size) + " bytes from " + std::to_string(member.packedSize) +
                        ", more than the method can hold",
                    where, kForged);
    return {};
}

/// Members that share bytes would unpack to far more than the file's size suggests, or show one thing as two.
Result<void> refuseOverlaps(const ByteSource& file, const std::vector<ZipMember>& members) {
    std::vector<const ZipMember*> byOffset;
    byOffset.reserve(members.size());
    for (const auto& member : members)
        byOffset.push_back(&member);
    std::sort(byOffset.begin(), byOffset.end(),
              [](const auto* a, const auto* b) { return a->headerOffset < b->headerOffset; });
    for (std::size_t i = 1; i < byOffset.size(); ++i) {
        const auto& before = *byOffset[i - 1];
        if (before.dataOffset + before.packedSize > byOffset[i]->headerOffset)
            return fail("members " + before.name + " and " + byOffset[i]->name + " overlap" +
                            at(byOffset[i]->headerOffset),
                        file.name(), kForged);
    }
    return {};
}

Result<void> refuseBombs(const ByteSource& file, const std::vector<ZipMember>& members) {
    std::int64_t unpacked = 0;
    std::int64_t packed = 0;
    for (const auto& member : members) {
        if (member.method != ZipMember::Method::Deflated)
            continue;
        packed += member.packedSize; // inside the file and without overlap: cannot overflow
        const auto sum = checkedAdd(unpacked, member.size);
        if (!sum)
            return fail("declares more than 2^63 bytes in all", file.name(), kForged);
        unpacked = *sum;
    }
    if (unpacked > kBombSize && unpacked / kBombRatio > packed)
        return fail("would unpack from " + std::to_string(packed) + " to " + std::to_string(unpacked) +
                        " bytes, which looks like a zip bomb",
                    file.name(), "If you trust it, unpack it yourself and open the result");
    return {};
}

/// zlib's inflate state, released whatever happens.
class Inflater {
public:
    Inflater() { ready_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK; }
    ~Inflater() {
        if (ready_)
            inflateEnd(&stream_);
    }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    [[nodiscard]] bool ready() const { return ready_; }
    z_stream& stream() { return stream_; }

private:
    z_stream stream_{};
    bool ready_ = false;
};

/// Inflates a member and hands its bytes to `take`, piece by piece, never more than declared.
template <class Take>
Result<void> inflateMember(const ByteSource& file, const ZipMember& member, const JobControl& job, Take take) {
    const std::string where = file.name() + ", member " + member.name;
    Inflater inflater;
    if (!inflater.ready())
        return fail("not enough memory to unpack", where, "Close other dumps and retry", Error::Kind::System);
    std::vector<std::byte> input(static_cast<std::size_t>(std::min<std::int64_t>(kChunk, member.packedSize)));
    std::vector<std::byte> output(kChunk);
    z_stream& stream = inflater.stream();
    std::int64_t consumed = 0;
    std::int64_t produced = 0;
    uLong crc = crc32(0, nullptr, 0);
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        if (job.stopRequested())
            return cancelled();
        if (stream.avail_in == 0 && consumed < member.packedSize) {
            const auto count =
                std::min<std::int64_t>(static_cast<std::int64_t>(input.size()), member.packedSize - consumed);
            KVSCOPE_TRY(
                file.readAt(member.dataOffset + consumed, std::span(input).first(static_cast<std::size_t>(count))));
            consumed += count;
            stream.next_in = reinterpret_cast<Bytef*>(input.data());
            stream.avail_in = static_cast<uInt>(count);
        }
        stream.next_out = reinterpret_cast<Bytef*>(output.data());
        stream.avail_out = static_cast<uInt>(output.size());
        state = inflate(&stream, Z_NO_FLUSH);
        const auto got = output.size() - stream.avail_out;
        if (state != Z_OK && state != Z_STREAM_END)
            return fail("has damaged compressed data near offset " +
                            std::to_string(member.dataOffset + consumed - stream.avail_in) + " of the archive",
                        where, kDamaged);
        produced += static_cast<std::int64_t>(got);
        if (produced > member.size)
            return fail("unpacks to more than the " + std::to_string(member.size) + " bytes it declares", where,
                        kForged);
        const auto piece = std::span<const std::byte>(output).first(got);
        crc = crc32(crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
        KVSCOPE_TRY(take(piece));
        job.advance(static_cast<std::int64_t>(got));
    }
    if (produced != member.size)
        return fail("unpacks to " + std::to_string(produced) + " bytes but declares " + std::to_string(member.size),
                    where, kDamaged);
    if (static_cast<std::uint32_t>(crc) != member.crc)
        return fail("does not match its checksum", where, kDamaged);
    return {};
}

} // namespace

struct ZipArchive::State {
    ByteSourcePtr archive;
    std::vector<ZipMember> members;
    std::map<std::string, std::size_t, std::less<>> byName;
    /// Guards the two below: one member unpacks at a time.
    std::mutex unpacking;
    std::int64_t inMemory = 0;
    std::shared_ptr<ScratchFile> scratch;
};

ZipArchive::ZipArchive(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

const std::vector<ZipMember>& ZipArchive::members() const {
    return state_->members;
}

bool looksLikeZip(std::span<const std::byte> head) {
    if (head.size() < 4)
        return false;
    const auto signature = littleEndianAt<std::uint32_t>(head, 0);
    return signature == kLocalHeader || signature == kDirectoryEnd;
}

const ZipMember* ZipArchive::find(std::string_view name) const {
    const auto found = state_->byName.find(name);
    return found == state_->byName.end() ? nullptr : &state_->members[found->second];
}

Result<ZipArchive> ZipArchive::open(ByteSourcePtr archive) {
    KVSCOPE_ASSIGN(const Directory directory, findDirectory(*archive));
    KVSCOPE_ASSIGN(const auto bytes, archive->read(directory.offset, directory.size));
    auto state = std::make_shared<State>();
    std::size_t place = 0;
    for (std::int64_t i = 0; i < directory.entries; ++i) {
        KVSCOPE_ASSIGN(ZipMember member, readEntry(*archive, bytes, place));
        KVSCOPE_TRY(readLocalHeader(*archive, directory, member));
        if (!state->byName.emplace(member.name, state->members.size()).second)
            return fail("has two members named " + member.name, archive->name(), kForged);
        state->members.push_back(std::move(member));
    }
    KVSCOPE_TRY(refuseOverlaps(*archive, state->members));
    KVSCOPE_TRY(refuseBombs(*archive, state->members));
    state->archive = std::move(archive);
    return ZipArchive(std::move(state));
}

Result<ByteSourcePtr> ZipArchive::openMember(const ZipMember& member, const JobControl& job) const {
    const std::string name = state_->archive->name() + ", member " + member.name;
    if (member.method == ZipMember::Method::Stored)
        return subSource(state_->archive, member.dataOffset, member.size, name);
    const std::scoped_lock lock(state_->unpacking);
    if (member.size <= kSmallMember && state_->inMemory + member.size <= kSmallMembersTotal) {
        std::vector<std::byte> bytes;
        KVSCOPE_TRY(inflateMember(*state_->archive, member, job, [&](std::span<const std::byte> piece) -> Result<void> {
            bytes.insert(bytes.end(), piece.begin(), piece.end());
            return {};
        }));
        state_->inMemory += member.size;
        return memorySource(std::move(bytes), name);
    }
    if (state_->scratch == nullptr) {
        KVSCOPE_ASSIGN(state_->scratch, ScratchFile::create());
    }
    ScratchFile& scratch = *state_->scratch;
    KVSCOPE_ASSIGN(const std::int64_t room, scratch.freeSpace());
    if (member.size > room)
        return fail("needs " + std::to_string(member.size) + " bytes to unpack but " + scratch.folder().string() +
                        " has room for " + std::to_string(room),
                    name, "Set TMPDIR to a folder with more space", Error::Kind::System);
    const std::int64_t begin = scratch.size();
    KVSCOPE_TRY(inflateMember(*state_->archive, member, job,
                              [&](std::span<const std::byte> piece) { return scratch.append(piece); }));
    return ScratchFile::source(state_->scratch, begin, member.size, name);
}

} // namespace kvscope
