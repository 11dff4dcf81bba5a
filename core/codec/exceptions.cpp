// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/exceptions.h"

#include "core/kv/convert.h"

namespace kvscope {

namespace {

/// Reads how many places follow, each at least `bytesEach` long, so that a hostile count allocates nothing.
Result<std::size_t> readCount(ByteReader& reader, std::int64_t values, std::size_t bytesEach) {
    KVSCOPE_ASSIGN(const auto count, reader.varintUpTo(static_cast<std::uint64_t>(values)));
    if (count > reader.left() / bytesEach)
        return reader.broken("end early");
    return static_cast<std::size_t>(count);
}

/// The next place: a varint of how many values lie between it and the one before.
Result<std::int64_t> readPlace(ByteReader& reader, std::int64_t next, std::int64_t values) {
    if (next >= values)
        return reader.broken("name a value outside the chunk");
    KVSCOPE_ASSIGN(const auto gap, reader.varintUpTo(static_cast<std::uint64_t>(values - next - 1)));
    return next + static_cast<std::int64_t>(gap);
}

} // namespace

Exceptions takeExceptions(const ChunkInput& input, std::span<float> rows) {
    Exceptions taken;
    const auto size = static_cast<std::size_t>(sizeOf(input.shape.plane.dtype));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (std::fabs(rows[i]) <= kLargestWorked)
            continue;
        rows[i] = 0;
        taken.places.push_back(static_cast<std::int64_t>(i));
        putBytes(taken.bits, input.native.subspan(i * size, size));
    }
    return taken;
}

void putExceptions(const Exceptions& exceptions, DType type, Bytes& out) {
    const auto size = static_cast<std::size_t>(sizeOf(type));
    putVarint(out, exceptions.places.size());
    std::int64_t next = 0;
    for (std::size_t i = 0; i < exceptions.places.size(); ++i) {
        putVarint(out, static_cast<std::uint64_t>(exceptions.places[i] - next));
        next = exceptions.places[i] + 1;
        putBytes(out, std::span(exceptions.bits).subspan(i * size, size));
    }
}

Result<Exceptions> readExceptions(ByteReader& reader, DType type, std::int64_t values) {
    const auto size = static_cast<std::size_t>(sizeOf(type));
    KVSCOPE_ASSIGN(const auto count, readCount(reader, values, size + 1));
    Exceptions read;
    std::int64_t next = 0;
    for (std::size_t i = 0; i < count; ++i) {
        KVSCOPE_ASSIGN(const auto place, readPlace(reader, next, values));
        KVSCOPE_ASSIGN(const auto bits, reader.take(size));
        read.places.push_back(place);
        putBytes(read.bits, bits);
        next = place + 1;
    }
    return read;
}

void restore(const Exceptions& exceptions, DType type, std::span<float> values) {
    if (exceptions.places.empty())
        return;
    std::vector<float> kept(exceptions.places.size());
    convertToFloat(type, exceptions.bits, kept);
    for (std::size_t i = 0; i < kept.size(); ++i)
        values[static_cast<std::size_t>(exceptions.places[i])] = kept[i];
}

void restore(const Exceptions& exceptions, DType type, std::span<std::byte> native) {
    const auto size = static_cast<std::size_t>(sizeOf(type));
    for (std::size_t i = 0; i < exceptions.places.size(); ++i)
        std::memcpy(&native[static_cast<std::size_t>(exceptions.places[i]) * size], &exceptions.bits[i * size], size);
}

void putKept(std::span<const KeptValue> kept, Bytes& out) {
    putVarint(out, kept.size());
    std::int64_t next = 0;
    for (const KeptValue& one : kept) {
        putVarint(out, static_cast<std::uint64_t>(one.at - next));
        next = one.at + 1;
        putNumber(out, one.value);
    }
}

Result<std::vector<KeptValue>> readKept(ByteReader& reader, std::int64_t values) {
    KVSCOPE_ASSIGN(const auto count, readCount(reader, values, sizeof(float) + 1));
    std::vector<KeptValue> kept;
    std::int64_t next = 0;
    for (std::size_t i = 0; i < count; ++i) {
        KVSCOPE_ASSIGN(const auto place, readPlace(reader, next, values));
        KVSCOPE_ASSIGN(const float value, reader.number<float>());
        if (!std::isfinite(value))
            return reader.broken("hold a value that is not finite");
        kept.push_back({place, value});
        next = place + 1;
    }
    return kept;
}

} // namespace kvscope
