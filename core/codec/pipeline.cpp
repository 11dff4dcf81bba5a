// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/pipeline.h"

namespace kvscope {

bool Pipeline::isLossless() const {
    return std::holds_alternative<Lossless>(quantiser) && transform == Transform::None && !clipSigmas;
}

} // namespace kvscope
