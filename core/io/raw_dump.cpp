// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/raw_dump.h"

#include "core/base/checked.h"
#include "core/io/axes.h"
#include "core/io/npy.h"
#include "core/io/side_files.h"
#include "core/io/tensor_table.h"

#include <algorithm>
#include <utility>

namespace kvscope {

namespace {

constexpr std::int64_t kLayersLimit = 4096;
constexpr std::int64_t kTokensLimit = std::int64_t{16} << 20;
constexpr const char* kMissingAdvice =
    "Write it into the sidecar (<dump>.json, see core/io/RAW_SIDECAR.md), or give it when opening the file";

/// All sizes of a raw dump by axis letter; 0 where one is not known.
class RawSizes {
public:
    RawSizes(const RawDescription& description, const OpenOptions& options, const RawLayer& own = {}) {
        const auto first = [](auto... candidates) {
            std::int64_t value = 0;
            ((value = value == 0 ? candidates.value_or(0) : value), ...);
            return value;
        };
        sequences_ = description.batch.value_or(1);
        layers_ = first(options.layers, description.layers);
        heads_ = first(own.heads, options.heads, description.heads);
        headDim_ = first(own.headDim, options.headDim, description.headDim);
        tokens_ = first(own.tokens, options.tokens, description.tokens);
        if (own.tokens)
            tokens_ = *own.tokens;
        channels_ = own.heads || own.headDim ? 0 : description.channels.value_or(0);
        if (const auto product = checkedMul(heads_, headDim_); product && *product > 0)
            channels_ = *product;
    }

    [[nodiscard]] std::int64_t of(char letter) const {
        switch (letter) {
        case 'S':
            return sequences_;
        case 'L':
            return layers_;
        case 'X':
            return 2;
        case 'H':
            return heads_;
        case 'T':
            return tokens_;
        case 'D':
            return headDim_;
        default:
            return channels_;
        }
    }

    void set(char letter, std::int64_t value) {
        switch (letter) {
        case 'L':
            layers_ = value;
            break;
        case 'H':
            heads_ = value;
            break;
        case 'T':
            tokens_ = value;
            break;
        case 'D':
            headDim_ = value;
            break;
        case 'C':
            channels_ = value;
            break;
        default:
            break;
        }
    }

private:
    std::int64_t sequences_ = 1;
    std::int64_t layers_ = 0;
    std::int64_t heads_ = 0;
    std::int64_t headDim_ = 0;
    std::int64_t tokens_ = 0;
    std::int64_t channels_ = 0;
};

const char* fieldOf(char letter) {
    switch (letter) {
    case 'L':
        return "layers";
    case 'H':
        return "heads";
    case 'T':
        return "tokens";
    case 'D':
        return "head_dim";
    case 'C':
        return "heads and head_dim (or channels)";
    default:
        return "batch";
    }
}

/// Fills the one size that is not given from the bytes there are.
Result<void> deriveMissing(const std::string& axes, RawSizes& sizes, std::int64_t bytes, std::int64_t elementSize,
                           const std::string& where, std::vector<CacheNote>& notes) {
    std::string missing;
    std::int64_t known = elementSize;
    for (const char letter : axes) {
        const std::int64_t size = sizes.of(letter);
        if (size == 0) {
            missing += letter;
            continue;
        }
        const auto product = checkedMul(known, size);
        if (!product)
            return fail("the sizes given pass 2^63 bytes", where, "Check the numbers");
        known = *product;
    }
    if (missing.empty())
        return {};
    if (missing.size() > 1) {
        std::string fields;
        for (const char letter : missing)
            fields += (fields.empty() ? "" : ", ") + std::string(fieldOf(letter));
        return fail("has no header and these sizes are not known: " + fields, where, kMissingAdvice);
    }
    const std::int64_t count = bytes / known;
    if (count < 1)
        return fail("has " + std::to_string(bytes) + " bytes of values but one step along " +
                        std::string(fieldOf(missing[0])) + " takes " + std::to_string(known),
                    where, "Check the sizes given");
    sizes.set(missing[0], count);
    notes.push_back({CacheNote::Severity::Info, "The size of the file gives " + std::to_string(count) + " for " +
                                                    std::string(fieldOf(missing[0]))});
    return {};
}

/// A contiguous tensor of the axes' sizes.
Result<StoredTensor> tensorOf(const std::string& axes, const RawSizes& sizes, const ByteSourcePtr& bytes,
                              std::int64_t offset, const RawDescription& description, DType dtype) {
    StoredTensor tensor;
    tensor.dtype = dtype;
    tensor.typeName = nameOf(dtype);
    tensor.elementSize = sizeOf(dtype);
    tensor.bigEndian = description.bigEndian;
    tensor.bytes = bytes;
    tensor.offset = offset;
    tensor.firstPosition = description.firstPosition;
    tensor.strides.assign(axes.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t i = axes.size(); i-- > 0;) {
        tensor.strides[i] = stride;
        const auto next = checkedMul(stride, std::max<std::int64_t>(1, sizes.of(axes[i])));
        if (!next)
            return fail("the sizes given pass 2^63", bytes->name(), "Check the numbers");
        stride = *next;
    }
    for (const char letter : axes)
        tensor.shape.push_back(sizes.of(letter));
    KVSCOPE_TRY(checkTensor(tensor));
    return tensor;
}

/// Bytes that a tensor takes; its check has shown that they fit int64.
std::int64_t bytesOf(const StoredTensor& tensor) {
    std::int64_t count = tensor.elementSize;
    for (const std::int64_t size : tensor.shape)
        count *= size;
    return count;
}

/// Layers of different shapes, stored one after the other (or where their offsets say).
Result<std::int64_t> addLayers(const std::string& axes, const RawDescription& description, const OpenOptions& options,
                               const ByteSourcePtr& bytes, std::int64_t offset, DType dtype, TensorTable& table) {
    const std::int64_t layers = options.layers.value_or(description.layers.value_or(0));
    if (layers < 1 || layers > kLayersLimit)
        return fail("field \"layers\" must be from 1 to " + std::to_string(kLayersLimit) +
                        " where layer_overrides is used",
                    description.source, kMissingAdvice);
    if (description.layerOverrides.rbegin()->first >= layers)
        return fail("field \"layer_overrides\" names layer " +
                        std::to_string(description.layerOverrides.rbegin()->first) + " of " + std::to_string(layers),
                    description.source, "Layers are counted from 0");
    if (axes.front() != 'L' || axes.find('X') == std::string::npos)
        return fail("field \"axes\" must start with L and have X where layer_overrides is used", description.source,
                    "Store each layer as a block of its K and V");
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const auto found = description.layerOverrides.find(layer);
        const RawLayer own = found == description.layerOverrides.end() ? RawLayer() : found->second;
        const RawSizes sizes(description, options, own);
        const std::string inner = axes.substr(1);
        for (const char letter : inner) {
            if (sizes.of(letter) == 0 && !(letter == 'T' && own.tokens))
                return fail("the size \"" + std::string(fieldOf(letter)) + "\" of layer " + std::to_string(layer) +
                                " is not known",
                            description.source, kMissingAdvice);
        }
        offset = own.offset.value_or(offset);
        KVSCOPE_ASSIGN(StoredTensor tensor, tensorOf(inner, sizes, bytes, offset, description, dtype));
        tensor.name = "layers." + std::to_string(layer) + ".kv";
        if (own.firstPosition)
            tensor.firstPosition = own.firstPosition;
        const auto end = checkedAdd(offset, bytesOf(tensor));
        if (!end)
            return fail("the sizes given pass 2^63", bytes->name(), "Check the numbers");
        offset = *end;
        table.tensors.push_back(std::move(tensor));
    }
    return offset;
}

Result<void> addTokens(const std::filesystem::path& path, const RawDescription& description, TensorTable& table) {
    if (description.tokensFile.empty())
        return {};
    const auto tokensPath = path.parent_path() / description.tokensFile;
    KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(tokensPath));
    if (tokensPath.extension() == ".npy") {
        KVSCOPE_ASSIGN(const StoredTensor tensor, readNpyArray(file, {}));
        CacheTokens tokens;
        KVSCOPE_ASSIGN(tokens.ids, readIntegers(tensor, kTokensLimit));
        table.tokens = std::move(tokens);
        return {};
    }
    KVSCOPE_ASSIGN(table.tokens, readTokensJson(*file));
    return {};
}

} // namespace

Result<OpenedDump> openRaw(const ByteSourcePtr& bytes, const std::filesystem::path& path,
                           const RawDescription& description, const OpenOptions& options, const JobControl& job) {
    const auto dtype = options.dtype ? options.dtype : description.dtype;
    const auto axes = options.axes ? options.axes : description.axes;
    if (!dtype || !axes)
        return fail("has no header, and its " + std::string(!dtype ? "dtype" : "axes") + " is not known", bytes->name(),
                    kMissingAdvice);
    KVSCOPE_TRY(checkAxisLetters(*axes));
    const std::int64_t offset = options.offset.value_or(description.offset.value_or(0));
    if (offset < 0 || offset > bytes->size())
        return fail("has " + std::to_string(bytes->size()) + " bytes, but the values are said to start at offset " +
                        std::to_string(offset),
                    bytes->name(), "Check the offset");
    TensorTable table;
    table.format = "raw";
    table.name = path.filename().string();
    table.path = path;
    table.config = description.config;
    for (const std::string& field : description.unknownFields)
        table.notes.push_back(
            {CacheNote::Severity::Warning, description.source + " has the unknown field \"" + field + "\""});
    OpenOptions all = options;
    all.dtype.reset();
    all.axes = axes;
    std::int64_t end = 0;
    if (!description.layerOverrides.empty()) {
        KVSCOPE_ASSIGN(end, addLayers(*axes, description, options, bytes, offset, *dtype, table));
        all.axes = axes->substr(1);
        all.heads.reset();
        all.headDim.reset();
        all.tokens.reset();
    } else {
        RawSizes sizes(description, options);
        KVSCOPE_TRY(deriveMissing(*axes, sizes, bytes->size() - offset, sizeOf(*dtype), bytes->name(), table.notes));
        KVSCOPE_ASSIGN(StoredTensor tensor, tensorOf(*axes, sizes, bytes, offset, description, *dtype));
        end = offset + bytesOf(tensor);
        table.tensors.push_back(std::move(tensor));
        all.heads = options.heads ? options.heads : description.heads;
        all.headDim = options.headDim ? options.headDim : description.headDim;
    }
    if (end < bytes->size())
        table.notes.push_back({CacheNote::Severity::Warning, std::to_string(bytes->size() - end) +
                                                                 " bytes behind the values are not read; check the "
                                                                 "sizes if they should be"});
    KVSCOPE_TRY(addTokens(path, description, table));
    KVSCOPE_ASSIGN(OpenedDump opened, assembleDump(std::move(table), all, job));
    opened.layouts.clear();
    return opened;
}

} // namespace kvscope
