// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/tensor_table.h"

#include "core/base/checked.h"
#include "core/kv/convert.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <span>

namespace kvscope {

namespace {

std::string whereIs(const StoredTensor& tensor) {
    const std::string file = tensor.bytes != nullptr ? tensor.bytes->name() : std::string();
    return tensor.name.empty() ? file : file + ", tensor " + tensor.name;
}

enum class IntegerKind : std::uint8_t { None, Signed, Unsigned };

/// Whether a type's name, in any of the formats' spellings, is that of an integer or a boolean.
IntegerKind integerKindOf(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name.starts_with("torch."))
        name.erase(0, 6);
    if (name.starts_with("u") || name.starts_with("bool") || name == "byte")
        return IntegerKind::Unsigned;
    if (name.starts_with("i") || name == "long" || name == "short" || name == "char")
        return IntegerKind::Signed;
    return IntegerKind::None;
}

std::int64_t integerAt(std::span<const std::byte> bytes, bool isSigned) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;)
        value = (value << 8) | std::to_integer<std::uint64_t>(bytes[i]);
    if (isSigned && bytes.size() < 8) {
        const std::uint64_t sign = std::uint64_t{1} << (8 * bytes.size() - 1);
        value = (value ^ sign) - sign;
    }
    return static_cast<std::int64_t>(value);
}

/// The elements in row-major order, little-endian; at most `limit` of them.
Result<std::vector<std::byte>> gatherElements(const StoredTensor& tensor, std::int64_t limit) {
    KVSCOPE_TRY(checkTensor(tensor));
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.shape) {
        const auto next = checkedMul(count, size);
        if (!next || *next > limit)
            return fail("holds more than " + std::to_string(limit) + " values", whereIs(tensor),
                        "Check that it is what its name says");
        count = *next;
    }
    std::vector<std::byte> out;
    out.reserve(static_cast<std::size_t>(count * tensor.elementSize));
    std::vector<std::int64_t> place(tensor.shape.size(), 0);
    const std::int64_t inner = tensor.shape.empty() ? 1 : tensor.shape.back();
    const std::int64_t innerStride = tensor.shape.empty() ? 1 : tensor.strides.back();
    // Neighbours are read at once, scattered ones one by one.
    const std::int64_t run = innerStride == 1 ? inner : 1;
    while (static_cast<std::int64_t>(out.size()) < count * tensor.elementSize) {
        std::int64_t element = 0;
        for (std::size_t i = 0; i + 1 < place.size(); ++i)
            element += place[i] * tensor.strides[i];
        for (std::int64_t i = 0; i < inner; i += run) {
            const std::int64_t first = tensor.offset + (element + i * innerStride) * tensor.elementSize;
            KVSCOPE_ASSIGN(const auto bytes, tensor.bytes->read(first, run * tensor.elementSize));
            out.insert(out.end(), bytes.begin(), bytes.end());
        }
        for (std::size_t i = place.size() > 1 ? place.size() - 1 : 0; i-- > 0;) {
            if (++place[i] < tensor.shape[i])
                break;
            place[i] = 0;
        }
    }
    if (tensor.bigEndian) {
        for (auto value = out.begin(); value != out.end(); value += tensor.elementSize)
            std::reverse(value, value + tensor.elementSize);
    }
    return out;
}

} // namespace

Result<void> checkTensor(const StoredTensor& tensor) {
    constexpr const char* kAdvice = "The file is truncated or its header lies";
    if (tensor.bytes == nullptr || tensor.elementSize < 1 || tensor.offset < 0 ||
        tensor.shape.size() != tensor.strides.size())
        return fail("is not described completely", whereIs(tensor), kAdvice);
    std::optional<std::int64_t> last = 0;
    std::optional<std::int64_t> count = 1;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
        if (tensor.shape[i] < 0 || tensor.strides[i] < 0)
            return fail("has a negative size or stride", whereIs(tensor), kAdvice);
        if (tensor.shape[i] == 0)
            return {};
        const auto step = checkedMul(tensor.shape[i] - 1, tensor.strides[i]);
        last = last && step ? checkedAdd(*last, *step) : std::nullopt;
        count = count ? checkedMul(*count, tensor.shape[i]) : std::nullopt;
    }
    const auto elements = last ? checkedAdd(*last, 1) : std::nullopt;
    const auto size = elements ? checkedMul(*elements, tensor.elementSize) : std::nullopt;
    const auto end = size ? checkedAdd(tensor.offset, *size) : std::nullopt;
    if (!end || !count || !checkedMul(*count, tensor.elementSize))
        return fail("has a shape whose size passes 2^63", whereIs(tensor), kAdvice);
    if (*end > tensor.bytes->size())
        return fail("needs " + std::to_string(*size) + " bytes from offset " + std::to_string(tensor.offset) +
                        " but the data end at " + std::to_string(tensor.bytes->size()),
                    whereIs(tensor), kAdvice);
    return {};
}

Result<std::vector<std::int64_t>> readIntegers(const StoredTensor& tensor, std::int64_t limit) {
    const IntegerKind kind = integerKindOf(tensor.typeName);
    if (kind == IntegerKind::None || tensor.elementSize > 8)
        return fail("holds " + tensor.typeName + " where integers are needed", whereIs(tensor),
                    "Save it as int64 or int32");
    KVSCOPE_ASSIGN(const auto bytes, gatherElements(tensor, limit));
    const auto size = static_cast<std::size_t>(tensor.elementSize);
    std::vector<std::int64_t> values(bytes.size() / size);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = integerAt(std::span(bytes).subspan(i * size, size), kind == IntegerKind::Signed);
    return values;
}

Result<std::vector<float>> readFloats(const StoredTensor& tensor, std::int64_t limit) {
    if (!tensor.dtype || sizeOf(*tensor.dtype) != tensor.elementSize)
        return fail("holds " + tensor.typeName + " where floating-point numbers are needed", whereIs(tensor),
                    "Save it as float32");
    KVSCOPE_ASSIGN(const auto bytes, gatherElements(tensor, limit));
    std::vector<float> values(bytes.size() / static_cast<std::size_t>(tensor.elementSize));
    convertToFloat(*tensor.dtype, bytes, values);
    return values;
}

} // namespace kvscope
