// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/bandwidth_trace.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace kvscope {

/// Formats of trace files.
enum class TraceFormat : std::uint8_t {
    /// One integer a line, in milliseconds: at that moment one packet of 1,500 bytes may pass. The file repeats.
    Mahimahi,
    /// "seconds Mbit/s" a line; a rate applies to the interval that ends at its time.
    Pensieve,
    /// "seconds,rate" a line; a rate holds from its time on. A header may name the unit of the second column: bit/s,
    /// kbit/s, Mbit/s (the default), Gbit/s, or bps, kbps, mbps, gbps.
    Csv,
    /// CacheGen's released traces: a JSON object {"bw": [Gbit/s, ...]} a line, one rate for each chunk.
    CacheGen,
};

/// "Mahimahi", "Pensieve", "CSV", "CacheGen".
std::string_view nameOf(TraceFormat format);

struct TraceReadOptions {
    /// What the file is; found from its content when absent.
    std::optional<TraceFormat> format;
    /// How long each of CacheGen's rates lasts: its traces count in chunks, not in seconds.
    double cacheGenSeconds = 0.125;
    /// Which line of a CacheGen file (from 0); all of them one after another when absent.
    std::optional<std::size_t> cacheGenLine;
};

/// What the text looks like: by its first line that is neither empty nor a comment ('#').
TraceFormat guessTraceFormat(std::string_view text);

/// Reads a trace; it loops. `name` names the text in errors, with the line: negative or missing values, values that
/// are no numbers, times that fall, nothing but zeros, more than 4 million lines.
Result<BandwidthTrace> readTrace(std::string_view text, const std::string& name, const TraceReadOptions& options = {});

/// The same for a file of at most 64 MiB; the trace is called after the file.
Result<BandwidthTrace> openTrace(const std::filesystem::path& path, const TraceReadOptions& options = {});

} // namespace kvscope
