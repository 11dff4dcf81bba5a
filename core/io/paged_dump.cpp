// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/paged_dump.h"

#include "core/io/side_files.h"
#include "core/io/tensor_names.h"
#include "core/kv/strided_cache.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace kvscope {

namespace {

constexpr std::int64_t kMostBlocks = std::int64_t(1) << 26;

bool isNamed(const StoredTensor& tensor, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
        return tensor.name == name || tensor.name.ends_with("." + std::string(name));
    });
}

const StoredTensor* findTensor(const TensorTable& table, std::initializer_list<std::string_view> names) {
    const auto found = std::find_if(table.tensors.begin(), table.tensors.end(),
                                    [&](const StoredTensor& tensor) { return isNamed(tensor, names); });
    return found == table.tensors.end() ? nullptr : &*found;
}

Result<void> checkBlockTable(const BlockTable& table, const std::string& where) {
    if (table.tokens < 1)
        return fail("says that the cache holds " + std::to_string(table.tokens) + " tokens", where,
                    "Say how many tokens the blocks hold");
    if (table.blocks.empty())
        return fail("lists no blocks", where, "List the blocks in the order of their tokens");
    return {};
}

/// How one tensor's axes are read; strides in elements.
struct PagedAxes {
    std::int64_t layers = 1;
    std::int64_t layerStride = 0;
    std::int64_t blocks = 0;
    std::int64_t blockStride = 0;
    std::int64_t slots = 0;
    std::int64_t slotStride = 0;
    std::int64_t heads = 1;
    std::int64_t headStride = 0;
    std::int64_t headDim = 0;
    std::int64_t dimStride = 1;
    /// From K to V; 0 for latents, which have no V.
    std::int64_t valueStride = 0;
    bool latent = false;
};

tl::unexpected<Error> strangeShape(const StoredTensor& tensor, const std::string& where) {
    std::string shape;
    for (const std::int64_t size : tensor.shape)
        shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    return fail("has the shape [" + shape + "], which is none of a paged cache", where + ", " + tensor.name,
                "Known are [2, blocks, slots, heads, dim], [blocks, 2, slots, heads, dim], [blocks, heads, slots, "
                "2*dim] and [blocks, slots, "
                "channels], with or without layers in front");
}

Result<PagedAxes> readPagedAxes(const StoredTensor& tensor, bool layersInFront, const BlockTable& table,
                                const std::string& where) {
    PagedAxes axes;
    auto shape = tensor.shape;
    auto strides = tensor.strides;
    if (layersInFront) {
        axes.layers = shape.front();
        axes.layerStride = strides.front();
        shape.erase(shape.begin());
        strides.erase(strides.begin());
    }
    const auto fits = [&](std::size_t axis) { return table.blockSize == 0 || shape[axis] == table.blockSize; };
    if (shape.size() == 5 && (shape[0] == 2 || shape[1] == 2) && fits(2)) {
        const bool pairsFirst = shape[0] == 2;
        axes.valueStride = strides[pairsFirst ? 0 : 1];
        axes.blocks = shape[pairsFirst ? 1 : 0];
        axes.blockStride = strides[pairsFirst ? 1 : 0];
        axes.slots = shape[2];
        axes.slotStride = strides[2];
        axes.heads = shape[3];
        axes.headStride = strides[3];
        axes.headDim = shape[4];
        axes.dimStride = strides[4];
    } else if (shape.size() == 4 && shape[3] % 2 == 0 && fits(2)) {
        axes.blocks = shape[0];
        axes.blockStride = strides[0];
        axes.heads = shape[1];
        axes.headStride = strides[1];
        axes.slots = shape[2];
        axes.slotStride = strides[2];
        axes.headDim = shape[3] / 2;
        axes.dimStride = strides[3];
        axes.valueStride = axes.headDim * strides[3];
    } else if (shape.size() == 3 && fits(1)) {
        axes.latent = true;
        axes.blocks = shape[0];
        axes.blockStride = strides[0];
        axes.slots = shape[1];
        axes.slotStride = strides[1];
        axes.headDim = shape[2];
        axes.dimStride = strides[2];
    } else {
        return strangeShape(tensor, where);
    }
    return axes;
}

/// The tensors that hold layers, by layer; one without a layer in its name holds all.
std::map<std::int64_t, const StoredTensor*> layerTensors(const TensorTable& table) {
    std::map<std::int64_t, const StoredTensor*> layers;
    for (const StoredTensor& tensor : table.tensors) {
        if (!tensor.dtype || tensor.shape.size() < 3)
            continue;
        const TensorName name = parseTensorName(tensor.name);
        layers.emplace(name.layer.value_or(-1), &tensor);
    }
    return layers;
}

Result<void> checkBlocks(const BlockTable& table, const PagedAxes& axes, const std::string& where) {
    for (const std::int64_t block : table.blocks) {
        if (block < 0 || block >= axes.blocks)
            return fail("the block table names block " + std::to_string(block) + " of " + std::to_string(axes.blocks),
                        where, "The block table belongs to another cache, or is damaged");
    }
    if (axes.slots < 1 || axes.blocks > kMostBlocks ||
        table.tokens > static_cast<std::int64_t>(table.blocks.size()) * std::min<std::int64_t>(axes.slots, kMostBlocks))
        return fail("the block table lists " + std::to_string(table.blocks.size()) + " blocks of " +
                        std::to_string(axes.slots) + " slots for " + std::to_string(table.tokens) + " tokens",
                    where, "List all blocks of the sequence");
    return {};
}

} // namespace

Result<BlockTable> readBlockTable(const ByteSource& file) {
    KVSCOPE_ASSIGN(const std::vector<std::byte> bytes, file.read(0, file.size()));
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    const auto json = nlohmann::json::parse(text, text + bytes.size(), nullptr, false);
    if (!json.is_object())
        return fail("is no JSON object", file.name(),
                    R"(Write {"block_size": 16, "block_table": [7, 2], "tokens": 30})");
    BlockTable table;
    for (const auto& [field, target] :
         {std::pair("tokens", &table.tokens), std::pair("block_size", &table.blockSize)}) {
        const auto found = json.find(field);
        if (found == json.end() || !found->is_number_integer() || found->get<std::int64_t>() < 1)
            return fail("\"" + std::string(field) + "\" is not a whole number of at least 1", file.name());
        *target = found->get<std::int64_t>();
    }
    const auto blocks = json.find("block_table");
    if (blocks == json.end() || !blocks->is_array())
        return fail("\"block_table\" is not a list", file.name());
    for (const auto& block : *blocks) {
        if (!block.is_number_integer())
            return fail("\"block_table\" holds something that is not a whole number", file.name());
        table.blocks.push_back(block.get<std::int64_t>());
    }
    KVSCOPE_TRY(checkBlockTable(table, file.name()));
    return table;
}

Result<std::optional<BlockTable>> findBlockTable(const TensorTable& table) {
    if (const StoredTensor* blocks = findTensor(table, {"block_table", "block_tables"})) {
        BlockTable found;
        KVSCOPE_ASSIGN(found.blocks, readIntegers(*blocks, kMostBlocks));
        if (blocks->shape.size() > 1 && blocks->shape.front() > 1)
            return fail("holds the block tables of " + std::to_string(blocks->shape.front()) + " sequences", table.name,
                        "Save the blocks of one sequence");
        const StoredTensor* lengths = findTensor(table, {"seq_lens", "seq_len", "context_lens", "tokens"});
        if (lengths == nullptr)
            return fail("has a block table but does not say how many tokens it holds", table.name,
                        "Save seq_lens beside block_table");
        KVSCOPE_ASSIGN(const std::vector<std::int64_t> tokens, readIntegers(*lengths, 1));
        found.tokens = tokens.empty() ? 0 : tokens.front();
        KVSCOPE_TRY(checkBlockTable(found, table.name));
        return std::optional(std::move(found));
    }
    auto beside = table.path;
    beside += ".block_table.json";
    std::error_code ignored;
    if (table.path.empty() || !std::filesystem::is_regular_file(beside, ignored))
        return std::optional<BlockTable>();
    KVSCOPE_ASSIGN(const ByteSourcePtr file, openFile(beside));
    KVSCOPE_ASSIGN(BlockTable found, readBlockTable(*file));
    return std::optional(std::move(found));
}

Result<OpenedDump> assemblePaged(const TensorTable& table, const BlockTable& blocks, const OpenOptions& options) {
    const auto tensors = layerTensors(table);
    if (tensors.empty())
        return fail("has a block table but no paged tensors", table.name,
                    "Save the cache's blocks beside the block table");
    KvGeometry geometry;
    std::vector<StridedPlane> planes;
    auto pages = std::make_shared<PageTable>();
    for (const auto& [number, tensor] : tensors) {
        KVSCOPE_TRY(checkTensor(*tensor));
        const bool layersInFront = number < 0 && (tensor->shape.size() == 6 || tensor->shape.size() == 4);
        KVSCOPE_ASSIGN(const PagedAxes axes, readPagedAxes(*tensor, layersInFront, blocks, table.name));
        KVSCOPE_TRY(checkBlocks(blocks, axes, table.name + ", " + tensor->name));
        pages = std::make_shared<PageTable>(PageTable{axes.slots, axes.blockStride, blocks.blocks});
        for (std::int64_t layer = 0; layer < axes.layers; ++layer) {
            const LayerIndex index(geometry.layerCount());
            geometry.layers.emplace_back();
            for (const PlaneKind kind :
                 axes.latent ? std::vector{PlaneKind::Latent} : std::vector{PlaneKind::Key, PlaneKind::Value}) {
                geometry.layers.back().plane(kind) =
                    PlaneGeometry{axes.heads, axes.headDim, blocks.tokens, *tensor->dtype, {}, 0, {}};
                StridedPart part;
                part.bytes = tensor->bytes;
                part.offset =
                    tensor->offset + (layer * axes.layerStride + (kind == PlaneKind::Value ? axes.valueStride : 0)) *
                                         tensor->elementSize;
                part.stored = *tensor->dtype;
                part.bigEndian = tensor->bigEndian;
                part.tokenStride = axes.slotStride;
                part.headStride = axes.headStride;
                part.dimStride = axes.dimStride;
                part.tokenCount = blocks.tokens;
                part.headCount = axes.heads;
                part.pages = pages;
                planes.push_back({{index, kind, SequenceIndex(0)}, {std::move(part)}});
            }
        }
    }
    CacheInfo info;
    info.name = table.name;
    info.path = table.path;
    info.format = table.format + ", paged";
    info.layout = "blocks of " + std::to_string(pages->blockSize) + " tokens, " + std::to_string(blocks.blocks.size()) +
                  " in the block table";
    info.notes = table.notes;
    if (!table.path.empty()) {
        KVSCOPE_ASSIGN(SideFiles side, findSideFiles(table.path, options));
        if (side.tokens)
            info.tokens.push_back(std::move(*side.tokens));
        if (side.config) {
            info.model = side.config->model;
            if (const PlaneGeometry* key = geometry.find(LayerIndex(0), PlaneKind::Key))
                info.rope = side.config->ropes(geometry.layerCount(), key->headDim);
        }
        info.notes.insert(info.notes.end(), side.notes.begin(), side.notes.end());
    }
    KVSCOPE_ASSIGN(KvCache cache, makeStridedCache(std::move(geometry), std::move(info), std::move(planes)));
    return OpenedDump{std::move(cache), {}};
}

} // namespace kvscope
