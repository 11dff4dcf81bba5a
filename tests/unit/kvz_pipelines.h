// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/pipeline.h"

namespace kvscope::testing {

/// kvz in steps of so many times the plane's rms, with the predictor of its choice.
inline Pipeline kvzSteps(double step, Transform transform = Transform::None) {
    Pipeline pipeline;
    pipeline.transform = transform;
    pipeline.quantiser = Step{step};
    pipeline.predictor = Predictor::Best;
    pipeline.coder = EntropyCoder::Kvz;
    return pipeline;
}

} // namespace kvscope::testing
