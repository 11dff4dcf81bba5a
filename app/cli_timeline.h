// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/stream/bandwidth_trace.h"
#include "core/stream/stream_input.h"
#include "core/stream/timeline.h"

#include <QCommandLineParser>
#include <QJsonObject>

#include <cstdint>
#include <optional>

namespace kvscope::app {

/// Bits per second from an option such as 4Gbps, 500 Mbit/s or 2GB/s; nothing after a line on stderr.
std::optional<double> bandwidth(const QCommandLineParser& parser, const char* option);
/// Seconds from an option such as 20ms or 2s; nothing after a line on stderr.
std::optional<double> duration(const QCommandLineParser& parser, const char* option);

/// The trace that --trace, --network and `mean` (--bandwidth) ask for; constant where only the mean is given.
Result<BandwidthTrace> makeTrace(const QCommandLineParser& parser, std::optional<double> mean, std::uint64_t seed);

/// A timeline with its chunks; times in seconds, null for never.
QJsonObject toJson(const Timeline& timeline, const StreamInput& input);

} // namespace kvscope::app
