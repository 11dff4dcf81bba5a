// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/lmcache_chunk.h"

#include "core/base/checked.h"
#include "core/io/little_endian.h"
#include "core/io/side_files.h"
#include "core/io/tensor_table.h"

#include <array>

namespace kvscope {

namespace {

constexpr std::int64_t kMetadataBytes = 28;
constexpr const char* kAdvice = "The file is damaged, or was not written by LMCache";

/// LMCache's numbers of formats (1 KV_2LTD, 2 KV_T2D, 3 KV_2TD, 4 BINARY, 5 BINARY_BUFFER, 6 MLA) and types.
std::optional<DType> dtypeOfCode(std::int64_t code) {
    constexpr std::array kCodes{DType::F16, DType::F16, DType::BF16,   DType::F32,
                                DType::F64, DType::U8,  DType::F8E4M3, DType::F8E5M2};
    return code >= 1 && code <= static_cast<std::int64_t>(kCodes.size())
               ? std::optional(kCodes[static_cast<std::size_t>(code - 1)])
               : std::nullopt;
}

/// Where the values lie and how to read their shape.
struct ChunkShape {
    std::int64_t offset = 0;
    DType dtype = DType::F16;
    std::vector<std::int64_t> sizes;
    std::string axes;
    bool latent = false;
};

Result<ChunkShape> readMetadata(const ByteSource& bytes) {
    KVSCOPE_ASSIGN(const std::vector<std::byte> head, bytes.read(0, kMetadataBytes));
    std::array<std::int64_t, 7> fields{};
    for (std::size_t i = 0; i < fields.size(); ++i)
        fields[i] = static_cast<std::int32_t>(littleEndianAt<std::uint32_t>(head, 4 * i));
    const auto [length, format, code, s0, s1, s2, s3] = fields;
    if (length != bytes.size() - kMetadataBytes)
        return fail("says that it holds " + std::to_string(length) + " bytes of values but has " +
                        std::to_string(bytes.size() - kMetadataBytes),
                    bytes.name() + ", offset 0", kAdvice);
    if (format == 4 || format == 5)
        return fail("holds values that LMCache has compressed (format " + std::to_string(format) + ")",
                    bytes.name() + ", offset 4", "Store the cache with LMCache's naive serializer");
    if (format < 1 || format > 6)
        return fail("has the unknown format " + std::to_string(format), bytes.name() + ", offset 4", kAdvice);
    const auto dtype = dtypeOfCode(code);
    if (!dtype)
        return fail("has the unknown type " + std::to_string(code), bytes.name() + ", offset 8", kAdvice);
    ChunkShape shape;
    shape.offset = kMetadataBytes;
    shape.dtype = *dtype;
    // Shapes of fewer than four axes are padded with zeros.
    const bool three = format == 2 || format == 3;
    shape.sizes = three ? std::vector<std::int64_t>{s0, s1, s2} : std::vector<std::int64_t>{s0, s1, s2, s3};
    shape.latent = format == 6;
    shape.axes = format == 2 ? "TXC" : format == 3 ? "XTC" : format == 6 ? "LTC" : "XLTC";
    std::int64_t values = 1;
    for (const std::int64_t size : shape.sizes) {
        const auto product = size > 0 ? checkedMul(values, size) : std::nullopt;
        if (!product)
            return fail("has a shape with the size " + std::to_string(size), bytes.name() + ", offset 12", kAdvice);
        values = *product;
    }
    const auto size = checkedMul(values, sizeOf(*dtype));
    const std::int64_t pairs = format == 2 ? s1 : s0;
    if (!size || *size != length || pairs != (shape.latent ? 1 : 2))
        return fail("has a shape that does not fit its " + std::to_string(length) + " bytes",
                    bytes.name() + ", offset 12", kAdvice);
    if (shape.latent)
        shape.sizes.erase(shape.sizes.begin());
    return shape;
}

/// Values alone: everything but the number of tokens must be known.
Result<ChunkShape> headerlessShape(const ByteSource& bytes, const LmcacheKey& key, const OpenOptions& options) {
    const auto dtype = options.dtype ? options.dtype : key.dtype;
    if (!dtype || !options.heads || !options.headDim || (!options.layers && !key.layer))
        return fail("holds values without a description", bytes.name(),
                    "Say layers, heads and head dimension, or put the model's config.json beside it");
    const std::int64_t layers = key.layer ? 1 : *options.layers;
    const auto perToken = checkedProduct({2, layers, *options.heads, *options.headDim, sizeOf(*dtype)});
    if (!perToken || *perToken == 0 || bytes.size() % *perToken != 0)
        return fail("has " + std::to_string(bytes.size()) + " bytes, which is no whole number of tokens for " +
                        std::to_string(layers) + " layers, " + std::to_string(*options.heads) + " heads of " +
                        std::to_string(*options.headDim),
                    bytes.name(), "Check layers, heads and head dimension");
    ChunkShape shape;
    shape.dtype = *dtype;
    const std::int64_t tokens = bytes.size() / *perToken;
    const std::int64_t channels = *options.heads * *options.headDim;
    if (key.layer) {
        shape.axes = "TXC";
        shape.sizes = {tokens, 2, channels};
    } else {
        shape.axes = "XLTC";
        shape.sizes = {2, layers, tokens, channels};
    }
    return shape;
}

/// Whether the first number can be the length of metadata (of values alone it is two numbers of the cache).
bool hasMetadata(const ByteSource& bytes) {
    const auto head = bytes.read(0, std::min<std::int64_t>(kMetadataBytes, bytes.size()));
    if (!head || head->size() < kMetadataBytes)
        return false;
    const auto format = littleEndianAt<std::uint32_t>(*head, 4);
    const auto code = littleEndianAt<std::uint32_t>(*head, 8);
    return (format >= 1 && format <= 6 && code <= 8) ||
           static_cast<std::int32_t>(littleEndianAt<std::uint32_t>(*head, 0)) == bytes.size() - kMetadataBytes;
}

} // namespace

Result<OpenedDump> openLmcacheChunk(const ByteSourcePtr& bytes, const std::filesystem::path& path,
                                    const LmcacheKey& key, const OpenOptions& options, const JobControl& job) {
    const bool described = hasMetadata(*bytes);
    KVSCOPE_ASSIGN(const ChunkShape shape, described ? readMetadata(*bytes) : headerlessShape(*bytes, key, options));
    StoredTensor tensor;
    tensor.name = std::string(key.layer ? "layer_" + std::to_string(*key.layer) + "." : "") +
                  (shape.latent ? "latent" : "kv_cache");
    tensor.dtype = shape.dtype;
    tensor.typeName = std::string(nameOf(shape.dtype));
    tensor.elementSize = sizeOf(shape.dtype);
    tensor.shape = shape.sizes;
    tensor.strides.assign(shape.sizes.size(), 1);
    for (std::size_t axis = shape.sizes.size() - 1; axis > 0; --axis)
        tensor.strides[axis - 1] = tensor.strides[axis] * shape.sizes[axis];
    tensor.bytes = bytes;
    tensor.offset = shape.offset;
    TensorTable table;
    table.format = described ? "LMCache chunk" : "LMCache chunk (raw values)";
    table.name = path.filename().string();
    table.path = path;
    table.tensors.push_back(std::move(tensor));
    OpenOptions asStored = options;
    asStored.axes = shape.axes;
    asStored.dtype.reset();
    asStored.layers.reset();
    asStored.tokens.reset();
    return assembleDump(std::move(table), asStored, job);
}

} // namespace kvscope
