// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/compute_model.h"

#include <cmath>

namespace kvscope {

Result<void> validate(const ComputeModel& model) {
    const auto positive = [](double value) { return value > 0 && value < 1e18; };
    if (!positive(model.prefillTokensPerSecond) || !positive(model.referenceTokens))
        return fail("the prefill speed must be a positive number of tokens a second", "compute model");
    if (!positive(model.decodeBytesPerSecond) || !positive(model.unpackBytesPerSecond))
        return fail("decoding speeds must be positive numbers of bytes a second", "compute model");
    if (!(model.attentionShare >= 0 && model.attentionShare < 1) ||
        !(model.gpuContention >= 0 && model.gpuContention < 1))
        return fail("shares of attention and of contention must be at least 0 and below 1", "compute model");
    if (model.decodePieces < 1 || model.decodePieces > 1024)
        return fail("a chunk must be decoded in 1 to 1,024 pieces", "compute model");
    if (!(model.firstStepSeconds >= 0 && model.firstStepSeconds < 1e6))
        return fail("the time of a decoding step must not be negative", "compute model");
    return {};
}

double breakEvenSerial(double decodeBytesPerSecond, double ratio) {
    return ratio > 1 ? 8.0 * decodeBytesPerSecond * (ratio - 1) / ratio : 0;
}

double breakEvenPipelined(double decodeBytesPerSecond, double ratio) {
    return ratio > 1 ? 8.0 * decodeBytesPerSecond : 0;
}

} // namespace kvscope
