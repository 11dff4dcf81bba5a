// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/npy.h"

#include "core/base/checked.h"
#include "core/io/little_endian.h"
#include "core/io/zip_archive.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace kvscope {

namespace {

constexpr std::array<char, 6> kMagic{'\x93', 'N', 'U', 'M', 'P', 'Y'};
/// numpy's own headers take 128 bytes; even hundreds of axes fit in this.
constexpr std::int64_t kHeaderLimit = 1 << 20;
constexpr std::size_t kAxisLimit = 64;
constexpr const char* kDamaged = "The file is damaged or was not written by NumPy; save it again with numpy.save";

/// The literal of a Python dict that a .npy header holds: strings, booleans and a tuple of integers, nothing else.
class HeaderParser {
public:
    explicit HeaderParser(std::string_view text)
        : text_(text) {}

    std::optional<std::string> descr;
    std::optional<bool> fortranOrder;
    std::optional<std::vector<std::int64_t>> shape;

    /// Reads the whole literal; on failure problem() says what and place() where.
    bool parse() {
        if (!take('{'))
            return complain("'{' expected");
        while (!take('}')) {
            const auto key = takeString();
            if (!key || !take(':'))
                return complain("a quoted key and ':' expected");
            if (!parseValue(*key))
                return false;
            if (!take(',') && peek() != '}')
                return complain("',' or '}' expected");
        }
        skipSpace();
        if (place_ != text_.size())
            return complain("text after the dictionary");
        if (!descr || !fortranOrder || !shape)
            return complain("descr, fortran_order or shape is missing");
        return true;
    }

    [[nodiscard]] const std::string& problem() const { return problem_; }
    [[nodiscard]] std::size_t place() const { return place_; }

private:
    bool complain(std::string problem) {
        if (problem_.empty())
            problem_ = std::move(problem);
        return false;
    }

    void skipSpace() {
        while (place_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[place_])) != 0)
            ++place_;
    }

    char peek() {
        skipSpace();
        return place_ < text_.size() ? text_[place_] : '\0';
    }

    bool take(char c) {
        if (peek() != c || place_ >= text_.size())
            return false;
        ++place_;
        return true;
    }

    bool takeWord(std::string_view word) {
        skipSpace();
        if (!text_.substr(place_).starts_with(word))
            return false;
        place_ += word.size();
        return true;
    }

    std::optional<std::string> takeString() {
        const char quote = peek();
        if (quote != '\'' && quote != '"')
            return std::nullopt;
        const auto end = text_.find(quote, place_ + 1);
        if (end == std::string_view::npos)
            return std::nullopt;
        std::string value(text_.substr(place_ + 1, end - place_ - 1));
        place_ = end + 1;
        return value;
    }

    bool parseValue(const std::string& key) {
        if (key == "descr") {
            if (peek() == '[')
                return complain("the array has named fields (a structured type)");
            descr = takeString();
            return descr.has_value() || complain("descr is not a string");
        }
        if (key == "fortran_order") {
            if (takeWord("True"))
                fortranOrder = true;
            else if (takeWord("False"))
                fortranOrder = false;
            return fortranOrder.has_value() || complain("fortran_order is neither True nor False");
        }
        if (key == "shape")
            return parseShape();
        return complain("unknown key '" + key + "'");
    }

    bool parseShape() {
        if (!take('('))
            return complain("shape is not a tuple");
        std::vector<std::int64_t> sizes;
        while (!take(')')) {
            skipSpace();
            std::int64_t size = 0;
            const auto* begin = text_.data() + place_;
            const auto parsed = std::from_chars(begin, text_.data() + text_.size(), size);
            if (parsed.ec != std::errc() || size < 0)
                return complain("shape holds something that is not a size");
            place_ += static_cast<std::size_t>(parsed.ptr - begin);
            takeWord("L"); // Python 2 wrote long integers so
            sizes.push_back(size);
            if (sizes.size() > kAxisLimit)
                return complain("shape has more than " + std::to_string(kAxisLimit) + " axes");
            if (!take(',') && peek() != ')')
                return complain("',' or ')' expected in shape");
        }
        shape = std::move(sizes);
        return true;
    }

    std::string_view text_;
    std::size_t place_ = 0;
    std::string problem_;
};

/// Fills type fields from numpy's descr, e.g. "<f4"; false when the type holds no numbers.
bool applyDescr(std::string_view descr, StoredTensor& tensor) {
    if (descr.empty())
        return false;
    const char order = descr.front();
    if (order == '<' || order == '>' || order == '|' || order == '=')
        descr.remove_prefix(1);
    tensor.bigEndian = order == '>';
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kTypes{{
        {"f8", "float64"},
        {"f4", "float32"},
        {"f2", "float16"},
        {"i1", "int8"},
        {"u1", "uint8"},
        {"b1", "bool"},
        {"i2", "int16"},
        {"u2", "uint16"},
        {"i4", "int32"},
        {"u4", "uint32"},
        {"i8", "int64"},
        {"u8", "uint64"},
        {"V1", "void8"},
        {"V2", "void16"},
        {"c8", "complex64"},
        {"c16", "complex128"},
    }};
    const auto* found =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) { return type.first == descr; });
    if (found == kTypes.end())
        return false;
    tensor.typeName = found->second;
    std::from_chars(descr.data() + 1, descr.data() + descr.size(), tensor.elementSize);
    tensor.dtype = dtypeFromName(tensor.typeName);
    return true;
}

/// Strides in elements of a contiguous array; fails when the element count leaves int64.
bool applyShape(std::vector<std::int64_t> shape, bool fortranOrder, StoredTensor& tensor) {
    tensor.strides.assign(shape.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const std::size_t axis = fortranOrder ? i : shape.size() - 1 - i;
        tensor.strides[axis] = stride;
        const auto next = checkedMul(stride, std::max<std::int64_t>(1, shape[axis]));
        if (!next)
            return false;
        stride = *next;
    }
    tensor.shape = std::move(shape);
    return true;
}

} // namespace

bool looksLikeNpy(std::span<const std::byte> head) {
    return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<StoredTensor> readNpyArray(const ByteSourcePtr& bytes, std::string name) {
    const std::string& where = bytes->name();
    constexpr std::int64_t kShortest = 10;
    if (bytes->size() < kShortest)
        return fail("is too short for a .npy file (" + std::to_string(bytes->size()) + " bytes)", where, kDamaged);
    KVSCOPE_ASSIGN(const auto head, bytes->read(0, std::min<std::int64_t>(12, bytes->size())));
    if (!looksLikeNpy(head))
        return fail("does not start as a .npy file does", where, kDamaged);
    const auto version = std::to_integer<int>(head[6]);
    if (version < 1 || version > 3)
        return fail("has .npy format version " + std::to_string(version) + "; versions 1 to 3 are read", where,
                    "Save it again with numpy.save");
    const std::int64_t start = version == 1 ? 10 : 12;
    if (static_cast<std::int64_t>(head.size()) < start)
        return fail("ends inside its header", where, kDamaged);
    const std::int64_t length = version == 1 ? std::int64_t{littleEndianAt<std::uint16_t>(head, 8)}
                                             : std::int64_t{littleEndianAt<std::uint32_t>(head, 8)};
    if (length > kHeaderLimit)
        return fail("declares a header of " + std::to_string(length) + " bytes, more than any array needs", where,
                    kDamaged);
    KVSCOPE_ASSIGN(const auto header, bytes->read(start, length));
    HeaderParser parser(std::string_view(reinterpret_cast<const char*>(header.data()), header.size()));
    if (!parser.parse())
        return fail("has a malformed header at offset " +
                        std::to_string(start + static_cast<std::int64_t>(parser.place())) + ": " + parser.problem(),
                    where, kDamaged);
    StoredTensor tensor;
    tensor.name = std::move(name);
    tensor.bytes = bytes;
    tensor.offset = start + length;
    if (parser.descr->find('O') != std::string::npos)
        return fail("holds Python objects, which only a program that runs them could read", where,
                    "Save the arrays themselves: numpy.savez(name, keys=..., values=...)");
    if (!applyDescr(*parser.descr, tensor))
        return fail("holds values of type '" + *parser.descr + "', which are not numbers of a cache", where,
                    "Save it as float32 or float16");
    if (!applyShape(std::move(*parser.shape), *parser.fortranOrder, tensor))
        return fail("declares a shape whose size passes 2^63", where, kDamaged);
    KVSCOPE_TRY(checkTensor(tensor));
    return tensor;
}

Result<TensorTable> readNpy(const ByteSourcePtr& bytes, const std::filesystem::path& path) {
    KVSCOPE_ASSIGN(StoredTensor tensor, readNpyArray(bytes, {}));
    TensorTable table;
    table.format = "NumPy .npy";
    table.name = path.filename().string();
    table.path = path;
    table.tensors.push_back(std::move(tensor));
    return table;
}

Result<TensorTable> readNpz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const JobControl& job) {
    KVSCOPE_ASSIGN(const ZipArchive archive, ZipArchive::open(bytes));
    TensorTable table;
    table.format = "NumPy .npz";
    table.name = path.filename().string();
    table.path = path;
    if (job.progress != nullptr) {
        std::int64_t total = 0;
        for (const ZipMember& member : archive.members())
            total += member.method == ZipMember::Method::Deflated ? member.size : 0;
        job.progress->start(total);
    }
    bool deflated = false;
    for (const ZipMember& member : archive.members()) {
        if (!member.name.ends_with(".npy"))
            continue;
        deflated = deflated || member.method == ZipMember::Method::Deflated;
        KVSCOPE_ASSIGN(const ByteSourcePtr content, archive.openMember(member, job));
        KVSCOPE_ASSIGN(StoredTensor tensor, readNpyArray(content, member.name.substr(0, member.name.size() - 4)));
        table.tensors.push_back(std::move(tensor));
    }
    if (table.tensors.empty())
        return fail("is a ZIP archive without arrays (.npy) in it", bytes->name(),
                    "Unpack it and open the dump that it holds");
    if (deflated)
        table.format += " (deflated)";
    return table;
}

} // namespace kvscope
