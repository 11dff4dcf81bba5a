// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/trace_reader.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto trace = kvscope::readTrace(text, "input");
    if (!trace) {
        if (trace.error().what.empty() || !trace.error().where.starts_with("input"))
            std::abort();
        return 0;
    }
    // A trace that was read carries something, so that any amount arrives at a time that the integral agrees with.
    if (!(trace->meanBitsPerSecond() >= 0) || !(trace->duration() > 0))
        std::abort();
    const double bytes = trace->bytesUntil(trace->duration()) * 1.5;
    const double through = trace->timeWhenThrough(0, bytes);
    if (!(through >= trace->duration() * 0.999 && through <= trace->duration() * 2.001))
        std::abort();
    const auto scaled = trace->scaledToMean(1e9);
    if (scaled && !(scaled->meanBitsPerSecond() > 0.999e9 && scaled->meanBitsPerSecond() < 1.001e9))
        std::abort();
    return 0;
}
