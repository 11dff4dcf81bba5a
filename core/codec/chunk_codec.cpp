// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_codec.h"

#include "core/base/checked.h"
#include "core/codec/byte_coders.h"
#include "core/codec/cachegen_accounting.h"
#include "core/codec/clip.h"
#include "core/codec/exceptions.h"
#include "core/codec/kvz_codec.h"
#include "core/codec/lossless_codec.h"
#include "core/codec/native_values.h"
#include "core/codec/quantiser_dispatch.h"
#include "core/codec/symbol_coders.h"
#include "core/codec/transform.h"
#include "core/kv/convert.h"

#include <new>
#include <numeric>

namespace kvscope {

namespace {

bool keepsBits(const Pipeline& pipeline) {
    return std::holds_alternative<Lossless>(pipeline.quantiser);
}

/// Values are transformed, rounded to the dtype and then kept.
bool keepsTransformed(const Pipeline& pipeline) {
    return keepsBits(pipeline) && pipeline.transform != Transform::None && pipeline.predictor == Predictor::None;
}

/// Whether the kvz coder does all stages itself.
bool isKvz(const Pipeline& pipeline) {
    return pipeline.coder == EntropyCoder::Kvz &&
           (std::holds_alternative<Step>(pipeline.quantiser) || (keepsBits(pipeline) && !keepsTransformed(pipeline)));
}

/// What kvz sees of a pipeline: where values are clipped and then kept bit by bit, the clipping is done before.
Pipeline forKvz(const Pipeline& pipeline) {
    Pipeline seen = pipeline;
    if (keepsBits(pipeline))
        seen.clipSigmas.reset();
    return seen;
}

/// Chunks of plain bytes have no parts to tell apart.
bool isBare(const Pipeline& pipeline) {
    return keepsBits(pipeline) && isByteCoder(pipeline.coder) && pipeline.transform == Transform::None &&
           pipeline.predictor == Predictor::None;
}

/// The parts of a chunk as they follow one another, after a varint with the size of each but the last.
struct Parts {
    Bytes exceptions;
    Bytes outliers;
    Bytes scales;
    CodeSink codes;
};

void assemble(const Pipeline& pipeline, const Parts& parts, EncodedChunk& encoded) {
    const auto size = [](const Bytes& part) { return static_cast<std::int64_t>(part.size()); };
    if (!isBare(pipeline)) {
        putVarint(encoded.bytes, parts.exceptions.size());
        putVarint(encoded.bytes, parts.outliers.size());
        putVarint(encoded.bytes, parts.scales.size());
        putVarint(encoded.bytes, parts.codes.tables.size());
    }
    encoded.parts[BytePart::Header] = size(encoded.bytes);
    encoded.parts[BytePart::Exceptions] = size(parts.exceptions) + size(parts.outliers);
    encoded.parts[BytePart::Scales] = size(parts.scales);
    encoded.parts[BytePart::Tables] = size(parts.codes.tables);
    encoded.parts[BytePart::Payload] = size(parts.codes.payload) - parts.codes.notPayload.total();
    encoded.parts += parts.codes.notPayload;
    for (const Bytes* part :
         {&parts.exceptions, &parts.outliers, &parts.scales, &parts.codes.tables, &parts.codes.payload})
        putBytes(encoded.bytes, *part);
}

struct PartReaders {
    ByteReader exceptions;
    QuantisedSource quantised;
    CodeSource codes;

    Result<void> finish() {
        KVSCOPE_TRY(exceptions.finish());
        KVSCOPE_TRY(quantised.outliers.finish());
        KVSCOPE_TRY(quantised.scales.finish());
        KVSCOPE_TRY(codes.tables.finish());
        return codes.payload.finish();
    }
};

Result<PartReaders> takeApart(const Pipeline& pipeline, std::span<const std::byte> bytes) {
    ByteReader chunk(bytes, "parts");
    std::array<std::span<const std::byte>, 4> parts;
    if (!isBare(pipeline)) {
        std::array<std::uint64_t, 4> sizes{};
        for (std::uint64_t& size : sizes) {
            KVSCOPE_ASSIGN(size, chunk.varint());
        }
        for (std::size_t i = 0; i < parts.size(); ++i) {
            KVSCOPE_ASSIGN(parts[i], chunk.take(sizes[i]));
        }
    }
    KVSCOPE_ASSIGN(const auto payload, chunk.take(chunk.left()));
    return PartReaders{ByteReader(parts[0], "exceptions"),
                       {ByteReader(parts[2], "scales"), ByteReader(parts[1], "outliers")},
                       {ByteReader(payload, "payload"), ByteReader(parts[3], "tables")}};
}

Result<void> checkSizes(const ChunkShape& shape, std::optional<std::size_t> values, std::optional<std::size_t> bytes) {
    const auto count = checkedProduct({shape.tokens.size(), shape.plane.heads, shape.plane.headDim});
    const auto size = count ? checkedProduct({*count, sizeOf(shape.plane.dtype)}) : std::nullopt;
    if (!size || (values && static_cast<std::int64_t>(*values) != *count) ||
        (bytes && static_cast<std::int64_t>(*bytes) != *size))
        return fail("the chunk's values do not fill its shape", "chunk");
    return {};
}

Result<void> encodeQuantised(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkInput& input,
                             Parts& parts, EncodedChunk& encoded) {
    const ChunkShape& shape = input.shape;
    std::vector<float> rows(input.values.begin(), input.values.end());
    const Exceptions exceptions = takeExceptions(input, rows);
    applyTransform(pipeline.transform, shape, rows);
    if (pipeline.clipSigmas)
        KVSCOPE_TRY(clipRows(*pipeline.clipSigmas, calibration, rows));
    const bool asStored = pipeline.transform == Transform::None && !pipeline.clipSigmas;
    KVSCOPE_ASSIGN(Quantised quantised,
                   quantiseRows(pipeline.quantiser, SourceRows{shape, rows, asStored}, calibration));
    putExceptions(exceptions, shape.plane.dtype, parts.exceptions);
    putKept(quantised.kept, parts.exceptions);
    parts.scales = std::move(quantised.scales);
    parts.outliers = std::move(quantised.outliers);
    const auto* bins = std::get_if<MaxAbsBins>(&pipeline.quantiser);
    if (bins != nullptr && asStored && !quantised.grids.front().symbols.empty())
        encoded.publishedBytes = cachegenReleasedBytes(quantised.grids.front(), shape.plane.dtype, bins->bins);
    encoded.channelEntropyBits.assign(static_cast<std::size_t>(shape.plane.channels()), 0.0F);
    for (const SymbolGrid& grid : quantised.grids) {
        KVSCOPE_TRY(encodeGrid(pipeline, grid, parts.codes));
        addChannelEntropy(grid, encoded.channelEntropyBits);
    }
    encoded.entropyBits = std::accumulate(encoded.channelEntropyBits.begin(), encoded.channelEntropyBits.end(), 0.0);
    return {};
}

/// Clipped values as the dump would store them; values within the bounds keep their bits.
Result<Bytes> clippedNative(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkInput& input) {
    Bytes native(input.native.begin(), input.native.end());
    if (!pipeline.clipSigmas)
        return native;
    std::vector<float> rows(input.values.begin(), input.values.end());
    KVSCOPE_TRY(clipRows(*pipeline.clipSigmas, calibration, rows));
    Bytes changed(native.size());
    toNative(input.shape.plane.dtype, rows, changed);
    const auto size = static_cast<std::size_t>(sizeOf(input.shape.plane.dtype));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] < input.values[i] || rows[i] > input.values[i])
            std::memcpy(&native[i * size], &changed[i * size], size);
    }
    return native;
}

/// Transformed values as the dump would store them, those that stay out of it being kept.
Result<Bytes> transformedNative(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkInput& input,
                                Parts& parts) {
    std::vector<float> rows(input.values.begin(), input.values.end());
    putExceptions(takeExceptions(input, rows), input.shape.plane.dtype, parts.exceptions);
    applyTransform(pipeline.transform, input.shape, rows);
    if (pipeline.clipSigmas)
        KVSCOPE_TRY(clipRows(*pipeline.clipSigmas, calibration, rows));
    Bytes native(input.native.size());
    toNative(input.shape.plane.dtype, rows, native);
    return native;
}

Result<EncodedChunk> encode(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkInput& input) {
    KVSCOPE_TRY(checkSizes(input.shape, input.values.size(), input.native.size()));
    KVSCOPE_TRY(checkTransform(pipeline.transform, input.shape));
    if (isKvz(pipeline) && !(keepsBits(pipeline) && pipeline.clipSigmas))
        return encodeKvzChunk(pipeline, calibration, input);
    EncodedChunk encoded;
    Parts parts;
    if (keepsTransformed(pipeline)) {
        KVSCOPE_ASSIGN(const Bytes native, transformedNative(pipeline, calibration, input, parts));
        KVSCOPE_TRY(encodeLossless(pipeline, input.shape, native, parts.codes, encoded));
    } else if (keepsBits(pipeline)) {
        KVSCOPE_ASSIGN(const Bytes native, clippedNative(pipeline, calibration, input));
        if (isKvz(pipeline)) {
            std::vector<float> values(input.values.size());
            convertToFloat(input.shape.plane.dtype, native, values);
            return encodeKvzChunk(forKvz(pipeline), calibration, {input.shape, values, native});
        }
        KVSCOPE_TRY(encodeLossless(pipeline, input.shape, native, parts.codes, encoded));
    } else {
        KVSCOPE_TRY(encodeQuantised(pipeline, calibration, input, parts, encoded));
    }
    encoded.channelBits = std::move(parts.codes.channelBits);
    assemble(pipeline, parts, encoded);
    return encoded;
}

/// Decodes lossy rows; the exceptions are still to be put back.
Result<Exceptions> decodeQuantised(const Pipeline& pipeline, const ChunkShape& shape, PartReaders& parts,
                                   std::span<float> rows) {
    KVSCOPE_ASSIGN(Exceptions exceptions, readExceptions(parts.exceptions, shape.plane.dtype, shape.values()));
    KVSCOPE_ASSIGN(const auto kept, readKept(parts.exceptions, shape.values()));
    KVSCOPE_ASSIGN(auto grids, readGrids(pipeline.quantiser, shape, parts.quantised));
    for (SymbolGrid& grid : grids)
        KVSCOPE_TRY(decodeGrid(pipeline, parts.codes, grid));
    const bool asStored = pipeline.transform == Transform::None && !pipeline.clipSigmas;
    KVSCOPE_TRY(dequantiseRows(pipeline.quantiser, grids, parts.quantised, TargetRows{shape, rows, asStored}));
    for (const KeptValue& one : kept)
        rows[static_cast<std::size_t>(one.at)] = one.value;
    KVSCOPE_TRY(parts.finish());
    undoTransform(pipeline.transform, shape, rows);
    return exceptions;
}

/// Decodes values that were kept after a transform; the exceptions are still to be put back.
Result<Exceptions> decodeTransformed(const Pipeline& pipeline, const ChunkShape& shape, PartReaders& parts,
                                     std::span<float> rows) {
    KVSCOPE_ASSIGN(Exceptions exceptions, readExceptions(parts.exceptions, shape.plane.dtype, shape.values()));
    Bytes native(rows.size() * static_cast<std::size_t>(sizeOf(shape.plane.dtype)));
    KVSCOPE_TRY(decodeLossless(pipeline, shape, parts.codes, native));
    KVSCOPE_TRY(parts.finish());
    convertToFloat(shape.plane.dtype, native, rows);
    undoTransform(pipeline.transform, shape, rows);
    return exceptions;
}

/// Decodes rows of a lossy pipeline; the exceptions are still to be put back.
Result<Exceptions> decodeLossy(const Pipeline& pipeline, const ChunkShape& shape, PartReaders& parts,
                               std::span<float> rows) {
    return keepsTransformed(pipeline) ? decodeTransformed(pipeline, shape, parts, rows)
                                      : decodeQuantised(pipeline, shape, parts, rows);
}

Result<void> decodeStored(const Pipeline& pipeline, const ChunkShape& shape, PartReaders& parts,
                          std::span<std::byte> native) {
    KVSCOPE_TRY(decodeLossless(pipeline, shape, parts.codes, native));
    return parts.finish();
}

/// Runs a step that allocates what the chunk's geometry asks for, and says so when there is not enough memory.
template <class Step> auto withMemory(const Step& step) -> decltype(step()) {
    try {
        return step();
    } catch (const std::bad_alloc&) {
        return fail("there is not enough memory for the chunk", "chunk", "Use smaller chunks", Error::Kind::System);
    }
}

} // namespace

Result<EncodedChunk> encodeChunk(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                 const ChunkInput& input) {
    return withMemory([&] { return encode(pipeline, calibration, input); });
}

Result<void> decodeChunk(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                         std::span<const std::byte> bytes, std::span<float> out) {
    return withMemory([&]() -> Result<void> {
        KVSCOPE_TRY(checkSizes(shape, out.size(), std::nullopt));
        KVSCOPE_TRY(checkTransform(pipeline.transform, shape));
        if (isKvz(pipeline))
            return decodeKvzChunk(forKvz(pipeline), calibration, shape, bytes, out);
        KVSCOPE_ASSIGN(PartReaders parts, takeApart(pipeline, bytes));
        if (keepsBits(pipeline) && !keepsTransformed(pipeline)) {
            Bytes native(out.size() * static_cast<std::size_t>(sizeOf(shape.plane.dtype)));
            KVSCOPE_TRY(decodeStored(pipeline, shape, parts, native));
            convertToFloat(shape.plane.dtype, native, out);
            return {};
        }
        KVSCOPE_ASSIGN(const Exceptions exceptions, decodeLossy(pipeline, shape, parts, out));
        restore(exceptions, shape.plane.dtype, out);
        return {};
    });
}

Result<void> decodeChunkNative(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                               std::span<const std::byte> bytes, std::span<std::byte> out) {
    return withMemory([&]() -> Result<void> {
        KVSCOPE_TRY(checkSizes(shape, std::nullopt, out.size()));
        KVSCOPE_TRY(checkTransform(pipeline.transform, shape));
        if (isKvz(pipeline))
            return decodeKvzChunkNative(forKvz(pipeline), calibration, shape, bytes, out);
        KVSCOPE_ASSIGN(PartReaders parts, takeApart(pipeline, bytes));
        if (keepsBits(pipeline) && !keepsTransformed(pipeline))
            return decodeStored(pipeline, shape, parts, out);
        std::vector<float> rows(static_cast<std::size_t>(shape.values()));
        KVSCOPE_ASSIGN(const Exceptions exceptions, decodeLossy(pipeline, shape, parts, rows));
        toNative(shape.plane.dtype, rows, out);
        restore(exceptions, shape.plane.dtype, out);
        return {};
    });
}

std::optional<std::span<const std::byte>> storedValues(const Pipeline& pipeline, const ChunkShape& shape,
                                                       std::span<const std::byte> bytes) {
    if (!isBare(pipeline) || pipeline.coder != EntropyCoder::Raw || !checkSizes(shape, std::nullopt, bytes.size()))
        return std::nullopt;
    return bytes;
}

} // namespace kvscope
