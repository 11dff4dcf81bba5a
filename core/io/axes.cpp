// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/axes.h"

#include <algorithm>

namespace kvscope {

namespace {

constexpr std::string_view kLetters = "SLXHTDC";

std::string shapeText(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

} // namespace

const TensorAxis* AxisReading::find(char letter) const {
    const auto found =
        std::find_if(axes.begin(), axes.end(), [letter](const TensorAxis& axis) { return axis.letter == letter; });
    return found == axes.end() ? nullptr : &*found;
}

std::int64_t AxisReading::size(char letter) const {
    const TensorAxis* axis = find(letter);
    return axis == nullptr ? 1 : axis->size;
}

std::int64_t AxisReading::stride(char letter) const {
    const TensorAxis* axis = find(letter);
    return axis == nullptr ? 0 : axis->stride;
}

Result<void> checkAxisLetters(std::string_view letters) {
    constexpr const char* kAdvice =
        "Use S sequence, L layer, X K/V, H head, T token, D dimension or C merged channels, e.g. LXHTD or XLTC";
    const std::string where = "axes \"" + std::string(letters) + "\"";
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (kLetters.find(letters[i]) == std::string_view::npos)
            return fail(std::string("has the unknown letter '") + letters[i] + "'", where, kAdvice);
        if (letters.find(letters[i], i + 1) != std::string_view::npos)
            return fail(std::string("has the letter '") + letters[i] + "' twice", where, kAdvice);
    }
    const auto has = [letters](char letter) { return letters.find(letter) != std::string_view::npos; };
    if (!has('T'))
        return fail("has no token axis T", where, kAdvice);
    if (has('D') == has('C'))
        return fail("needs either D (with or without H) or C", where, kAdvice);
    if (has('H') && !has('D'))
        return fail("has heads (H) without a dimension D", where, kAdvice);
    return {};
}

Result<AxisReading> readAxes(const StoredTensor& tensor, std::string_view letters) {
    KVSCOPE_TRY(checkAxisLetters(letters));
    const auto split = letters.find('X');
    const bool merged = letters.size() == tensor.shape.size() + 1 && split != std::string_view::npos &&
                        split + 1 < letters.size() && (letters[split + 1] == 'D' || letters[split + 1] == 'C');
    if (!merged && letters.size() != tensor.shape.size())
        return fail("has the shape " + shapeText(tensor.shape) + ", which the axes \"" + std::string(letters) +
                        "\" do not fit",
                    tensor.name.empty() ? tensor.bytes->name() : tensor.bytes->name() + ", tensor " + tensor.name,
                    "Give one letter for each axis");
    AxisReading reading;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (merged && i == split) {
            const std::int64_t both = tensor.shape[i];
            if (both % 2 != 0)
                return fail("has an axis of " + std::to_string(both) + ", which has no halves for K and V",
                            tensor.bytes->name(), "Check the axes");
            reading.axes.push_back({'X', 2, both / 2 * tensor.strides[i]});
            reading.axes.push_back({letters[i + 1], both / 2, tensor.strides[i]});
            ++i;
            continue;
        }
        const std::size_t axis = merged && i > split ? i - 1 : i;
        reading.axes.push_back({letters[i], tensor.shape[axis], tensor.strides[axis]});
    }
    return reading;
}

std::string describeAxes(std::string_view letters) {
    std::string text = "[";
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (letters[i] == '/') {
            text += "] V [";
            continue;
        }
        if (text.back() != '[')
            text += ", ";
        switch (letters[i]) {
        case 'S':
            text += "sequence";
            break;
        case 'L':
            text += "layer";
            break;
        case 'X':
            text += "K/V";
            break;
        case 'H':
            text += "head";
            break;
        case 'T':
            text += "token";
            break;
        case 'D':
            text += "dim";
            break;
        case 'C':
            text += "channel";
            break;
        default:
            text += letters[i];
        }
    }
    return (letters.find('/') != std::string_view::npos ? "K " : "") + text + "]";
}

} // namespace kvscope
