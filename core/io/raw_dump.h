// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/io/model_config.h"
#include "core/io/open_dump.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvscope {

/// What sets one layer of a raw dump apart from the others.
struct RawLayer {
    std::optional<std::int64_t> heads;
    std::optional<std::int64_t> headDim;
    std::optional<std::int64_t> tokens;
    std::optional<std::int64_t> offset;
    std::optional<std::int64_t> firstPosition;
};

/// A raw dump's sidecar (core/io/RAW_SIDECAR.md).
struct RawDescription {
    std::string source;
    std::optional<DType> dtype;
    bool bigEndian = false;
    std::optional<std::string> axes;
    std::optional<std::int64_t> batch;
    std::optional<std::int64_t> layers;
    std::optional<std::int64_t> heads;
    std::optional<std::int64_t> headDim;
    std::optional<std::int64_t> channels;
    std::optional<std::int64_t> tokens;
    std::optional<std::int64_t> offset;
    std::optional<std::int64_t> firstPosition;
    /// Name of a token file in the same folder.
    std::string tokensFile;
    std::map<std::int64_t, RawLayer> layerOverrides;
    /// Model, RoPE, whether it is synthetic.
    ModelConfig config;
    std::vector<std::string> unknownFields;
};

/// Where the sidecar of a raw dump lies: the dump's name with ".json" behind it.
std::filesystem::path rawSidecarPath(const std::filesystem::path& dump);

/// Reads and validates a sidecar; each error names the field.
Result<RawDescription> readRawSidecar(const ByteSource& file);

/// Opens values without a header as the description and the options (which come first) say. One missing size (usually
/// the tokens) follows from the size of the file.
Result<OpenedDump> openRaw(const ByteSourcePtr& bytes, const std::filesystem::path& path,
                           const RawDescription& description, const OpenOptions& options, const JobControl& job = {});

} // namespace kvscope
