// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/clip.h"

#include <cmath>

namespace kvscope {

Result<void> clipRows(double sigmas, const PlaneCalibration& calibration, std::span<float> rows) {
    const std::size_t channels = calibration.channelMean.size();
    if (channels == 0 || calibration.channelSigma.size() != channels || rows.size() % channels != 0)
        return fail("was not calibrated for this plane", "clip_sigmas", "Calibrate the plane with this plan");
    for (std::size_t at = 0; at < rows.size(); at += channels) {
        for (std::size_t channel = 0; channel < channels; ++channel) {
            const float reach = static_cast<float>(sigmas) * calibration.channelSigma[channel];
            float& value = rows[at + channel];
            if (std::isfinite(value))
                value = clipped(value, calibration.channelMean[channel], reach);
        }
    }
    return {};
}

} // namespace kvscope
