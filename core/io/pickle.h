// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/result.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// Names a value of a PickleTree.
using PickleId = std::uint32_t;
inline constexpr PickleId kNoPickleValue = std::numeric_limits<PickleId>::max();

/// What a pickled value is. Record stands for every object that Python would have made by calling something.
enum class PickleKind : std::uint8_t {
    None,
    Bool,
    Integer,
    BigInteger,
    Float,
    String,
    Bytes,
    List,
    Tuple,
    Dict,
    Set,
    Global,
    Record,
    Persistent
};

/// One value. Which members are used depends on the kind.
struct PickleNode {
    PickleKind kind = PickleKind::None;
    /// Bool, Integer; for Bytes that are left in the source: their offset there.
    std::int64_t integer = 0;
    /// For Bytes that are left in the source: how many; otherwise unused.
    std::int64_t length = -1;
    double real = 0;
    /// String: UTF-8. Bytes: the bytes, where length is negative. BigInteger: decimal digits or little-endian bytes as
    /// the stream has it. Global: "module.name". Record: "module.name" of the class or function.
    std::string text{};
    /// Elements of List, Tuple and Set; arguments of Record; the id of Persistent (one element).
    std::vector<PickleId> items{};
    /// Key, value, key, value ... of Dict, and of Records that are dictionaries too.
    std::vector<PickleId> entries{};
    /// What Python would have given to __setstate__ or __dict__.
    PickleId state = kNoPickleValue;
};

/// The values of one pickle stream. Values may be shared and may even contain themselves: whoever walks the tree has to
/// bound the walk.
struct PickleTree {
    std::vector<PickleNode> nodes;
    PickleId root = kNoPickleValue;
    /// Byte after the stream's last.
    std::int64_t end = 0;

    [[nodiscard]] const PickleNode& operator[](PickleId id) const { return nodes[id]; }
    [[nodiscard]] const PickleNode& top() const { return nodes[root]; }
    /// The value of a Dict (or dictionary-like Record) under a string key, or kNoPickleValue.
    [[nodiscard]] PickleId find(const PickleNode& dict, std::string_view key) const;
};

/// Reads the pickle (protocols 0 to 5) that starts at `offset` and executes nothing: classes and functions become
/// names, calls of those that isInertCall knows become Records (or the plain containers that they build), any other
/// call is refused. Time and memory are bounded by the size of the stream. Errors name the byte.
Result<PickleTree> readPickle(const ByteSource& source, std::int64_t offset = 0);

/// Whether calling "module.name" is something that saving tensors or caches produces, so that a Record can stand for
/// the result.
bool isInertCall(std::string_view name);

/// The bytes of a Bytes node, wherever they are.
Result<ByteSourcePtr> pickledBytes(const PickleNode& node, const ByteSourcePtr& source, std::string name);

} // namespace kvscope
