// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/safetensors.h"

#include "core/base/checked.h"
#include "core/io/json_text.h"
#include "core/io/little_endian.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace kvscope {

namespace {

/// The format's own limit on the length of its header.
constexpr std::int64_t kHeaderLimit = 100'000'000;
constexpr std::int64_t kPrefix = 8;
constexpr std::size_t kAxisLimit = 64;
constexpr const char* kDamaged = "The file is truncated or damaged; save or copy it again";

struct TypeOfName {
    std::string_view name;
    std::int64_t size;
};

/// Types of whole bytes that the format knows.
constexpr std::array<TypeOfName, 17> kTypes{{{"F64", 8},
                                             {"F32", 4},
                                             {"F16", 2},
                                             {"BF16", 2},
                                             {"F8_E4M3", 1},
                                             {"F8_E5M2", 1},
                                             {"F8_E8M0", 1},
                                             {"I64", 8},
                                             {"I32", 4},
                                             {"I16", 2},
                                             {"I8", 1},
                                             {"U64", 8},
                                             {"U32", 4},
                                             {"U16", 2},
                                             {"U8", 1},
                                             {"BOOL", 1},
                                             {"C64", 8}}};

/// Reads "shape" and the strides that follow from it.
Result<void> readShape(const nlohmann::json& entry, StoredTensor& tensor, const std::string& where) {
    const auto* shape = memberOf(entry, "shape");
    if (shape == nullptr || !shape->is_array() || shape->size() > kAxisLimit)
        return fail("has no list of sizes as its shape", where, kDamaged);
    for (const auto& size : *shape) {
        if (!size.is_number_unsigned() || size.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
            return fail("has a shape that holds something that is not a size", where, kDamaged);
        tensor.shape.push_back(size.get<std::int64_t>());
    }
    tensor.strides.assign(tensor.shape.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t i = tensor.shape.size(); i-- > 0;) {
        tensor.strides[i] = stride;
        const auto next = checkedMul(stride, std::max<std::int64_t>(1, tensor.shape[i]));
        if (!next)
            return fail("has a shape whose size passes 2^63", where, kDamaged);
        stride = *next;
    }
    return {};
}

/// Where a tensor lies, for the test that no two overlap.
struct Extent {
    std::int64_t begin;
    std::int64_t end;
    std::string name;
};

Result<StoredTensor> readEntry(const std::string& name, const nlohmann::json& entry, const ByteSourcePtr& bytes,
                               std::int64_t dataStart, Extent& extent) {
    const std::string where = bytes->name() + ", tensor " + name;
    StoredTensor tensor;
    tensor.name = name;
    tensor.bytes = bytes;
    const auto type = textOf(entry, "dtype");
    if (!type)
        return fail("has no dtype", where, kDamaged);
    const auto* known = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.name == *type; });
    if (known == kTypes.end())
        return fail("has the type '" + *type + "', which is not read", where, "Save it as one of F32, F16 or BF16");
    tensor.typeName = *type;
    tensor.elementSize = known->size;
    tensor.dtype = dtypeFromName(*type);
    KVSCOPE_TRY(readShape(entry, tensor, where));
    const auto* offsets = memberOf(entry, "data_offsets");
    if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
        !(*offsets)[1].is_number_unsigned())
        return fail("has no data_offsets of two numbers", where, kDamaged);
    const auto begin = (*offsets)[0].get<std::uint64_t>();
    const auto end = (*offsets)[1].get<std::uint64_t>();
    const auto room = static_cast<std::uint64_t>(bytes->size() - dataStart);
    if (begin > end || end > room)
        return fail("claims the bytes " + std::to_string(begin) + " to " + std::to_string(end) + " of " +
                        std::to_string(room),
                    where, kDamaged);
    std::int64_t size = tensor.elementSize;
    for (const std::int64_t axis : tensor.shape)
        size = checkedMul(size, axis).value_or(-1);
    if (size < 0 || static_cast<std::uint64_t>(size) != end - begin)
        return fail("has a shape of " + (size < 0 ? std::string("more than 2^63") : std::to_string(size)) +
                        " bytes but claims " + std::to_string(end - begin),
                    where, kDamaged);
    tensor.offset = dataStart + static_cast<std::int64_t>(begin);
    extent = {static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end), name};
    return tensor;
}

Result<void> refuseOverlaps(std::vector<Extent> extents, const std::string& where) {
    std::sort(extents.begin(), extents.end(),
              [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    for (std::size_t i = 1; i < extents.size(); ++i) {
        if (extents[i].begin < extents[i - 1].end)
            return fail("tensors " + extents[i - 1].name + " and " + extents[i].name + " overlap at byte " +
                            std::to_string(extents[i].begin) + " of the data",
                        where, "The header lies: do not trust the file");
    }
    return {};
}

} // namespace

bool looksLikeSafetensors(std::span<const std::byte> head, std::int64_t fileSize) {
    if (head.size() < 9)
        return false;
    const auto length = littleEndianAt<std::uint64_t>(head, 0);
    if (length < 2 || std::to_integer<char>(head[8]) != '{')
        return false;
    // A truncated file keeps its signature: the reader then says what is missing.
    return length <= static_cast<std::uint64_t>(kHeaderLimit) ||
           length <= static_cast<std::uint64_t>(std::max<std::int64_t>(0, fileSize - kPrefix));
}

Result<TensorTable> readSafetensors(const ByteSourcePtr& bytes, const std::filesystem::path& path) {
    if (bytes->size() < kPrefix)
        return fail("is too short for a safetensors file (" + std::to_string(bytes->size()) + " bytes)", bytes->name(),
                    kDamaged);
    KVSCOPE_ASSIGN(const auto prefix, bytes->read(0, kPrefix));
    const auto length = littleEndianAt<std::uint64_t>(prefix, 0);
    if (length > static_cast<std::uint64_t>(bytes->size() - kPrefix))
        return fail("declares a header of " + std::to_string(length) + " bytes but has " +
                        std::to_string(bytes->size() - kPrefix) + " after offset 8",
                    bytes->name(), kDamaged);
    if (length > static_cast<std::uint64_t>(kHeaderLimit))
        return fail("declares a header of " + std::to_string(length) + " bytes, more than the format allows",
                    bytes->name(), kDamaged);
    const auto headerSize = static_cast<std::int64_t>(length);
    KVSCOPE_ASSIGN(const auto text, bytes->read(kPrefix, headerSize));
    KVSCOPE_ASSIGN(const nlohmann::json header,
                   parseJson(std::string_view(reinterpret_cast<const char*>(text.data()), text.size()),
                             bytes->name() + ", header from offset 8"));
    if (!header.is_object())
        return fail("has a header that is not a JSON object", bytes->name(), kDamaged);
    TensorTable table;
    table.format = "safetensors";
    table.name = path.filename().string();
    table.path = path;
    std::vector<Extent> extents;
    for (const auto& [name, entry] : header.items()) {
        if (name == "__metadata__") {
            for (const auto& [key, value] : entry.items()) {
                if (value.is_string())
                    table.metadata[key] = value.get<std::string>();
            }
            continue;
        }
        Extent extent{};
        KVSCOPE_ASSIGN(StoredTensor tensor, readEntry(name, entry, bytes, kPrefix + headerSize, extent));
        table.tensors.push_back(std::move(tensor));
        if (extent.begin < extent.end)
            extents.push_back(extent);
    }
    KVSCOPE_TRY(refuseOverlaps(std::move(extents), bytes->name()));
    return table;
}

} // namespace kvscope
