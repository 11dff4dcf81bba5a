// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/host_device.h"
#include "core/codec/chunk_codec.h"

namespace kvscope {

/// The value, or the nearest of mean - reach and mean + reach.
KVSCOPE_HD inline float clipped(float value, float mean, float reach) {
    const float least = mean - reach;
    const float most = mean + reach;
    return value < least ? least : (value > most ? most : value);
}

/// Sets values beyond `sigmas` standard deviations of their channel to that bound; NaN and infinities stay. Fails when
/// the calibration has no channels.
Result<void> clipRows(double sigmas, const PlaneCalibration& calibration, std::span<float> rows);

} // namespace kvscope
