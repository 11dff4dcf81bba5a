// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What the user says about a dump, overriding what the file (or its side files) says or leaves open.
struct OpenOptions {
    /// Headerless raw data: dtype of the values.
    std::optional<DType> dtype;
    /// Axis order, outermost first, one letter an axis: S sequence (batch), L layer, X K/V, H head, T token, D
    /// dimension, C merged channels (head * headDim + dimension). E.g. "LXHTD", "XLTC", "SHTD".
    std::optional<std::string> axes;
    std::optional<std::int64_t> layers;
    std::optional<std::int64_t> heads;
    std::optional<std::int64_t> headDim;
    std::optional<std::int64_t> tokens;
    /// Bytes before the first value of headerless raw data.
    std::optional<std::int64_t> offset;
    /// Text position of the earliest token, where the dump does not say it; later ones follow as in the dump. RoPE
    /// turns by positions.
    std::optional<std::int64_t> firstPosition;
    std::optional<double> ropeTheta;
    std::optional<Rope::Pairing> ropePairing;
    /// llama.cpp: K and V were stored Hadamard-rotated (not recorded in the file); undo it.
    std::optional<bool> undoHadamard;
    /// Files that hold several sequences of unequal length (llama.cpp): the id of the one to open; the longest if
    /// absent.
    std::optional<std::int64_t> sequence;
    /// Files that hold a cache at several levels (.kvz): the name of the one to open; the best if absent.
    std::optional<std::string> level;
    /// Model configuration (config.json) to use instead of one beside the dump.
    std::optional<std::filesystem::path> configPath;
    /// Order of the files of a folder, by file name, where it cannot be told from their names or keys.
    std::vector<std::string> fileOrder;
};

/// One way to read a shape, with how well the data agrees with it (layout check).
struct LayoutCandidate {
    /// Axes as in OpenOptions::axes.
    std::string axes;
    /// Probability-like share in [0, 1]; the candidates' shares add up to 1.
    double confidence = 0;
    /// Why, in a line: what was measured.
    std::string evidence;
};

/// The levels of a file that holds a cache at several of them, and which one is opened; none for other files.
struct DumpLevels {
    std::vector<std::string> names;
    std::size_t shown = 0;
};

/// The sequences of a file of which one at a time is opened, and which one that is; none for other files.
struct DumpSequences {
    struct Sequence {
        std::int64_t id = 0;
        std::int64_t tokens = 0;
    };
    std::vector<Sequence> all;
    std::size_t shown = 0;
};

/// An opened dump and the other readings that its shape allows (empty when the format fixes the layout).
struct OpenedDump {
    KvCache cache;
    std::vector<LayoutCandidate> layouts;
    DumpLevels levels{};
    DumpSequences sequences{};
};

/// Opens a dump of any known format: a file, or a folder as one dump. Formats with a signature are recognised by
/// content, not by name. Reads headers and, where the layout is open, a sample of the values; never the whole dump
/// (compressed members are unpacked to a temporary file). Errors say what, where and what to do.
Result<OpenedDump> openDump(const std::filesystem::path& path, const OpenOptions& options = {},
                            const JobControl& job = {});

/// The same for bytes that are already open (in memory, say); `path` names them and tells where side files lie, and may
/// be empty.
Result<OpenedDump> openDumpBytes(const ByteSourcePtr& bytes, const std::filesystem::path& path,
                                 const OpenOptions& options = {}, const JobControl& job = {});

/// Formats that openDump reads: name and typical file patterns, for dialogs and help.
struct DumpFormat {
    std::string name;
    std::vector<std::string> patterns;
};
std::vector<DumpFormat> dumpFormats();

} // namespace kvscope
