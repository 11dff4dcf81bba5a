// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <optional>

namespace kvscope {

/// Bits a value that undoing RoPE saves at equal error in a plane of K (negative: it costs), by the spread of the
/// channels and of their token differences before and after over a few stretches of tokens; nothing where the rotation
/// is unknown or the plane has too few tokens to tell.
Result<std::optional<double>> ropeInverseGain(const KvCache& cache, PlaneId plane);

/// The plan with RoPE undone before every Step quantiser of K, in the layers where a sample says that it pays.
Result<CodecPlan> undoRopeWhereItPays(CodecPlan plan, const KvCache& cache, const JobControl& job = {});

/// Fails when the plan undoes RoPE in a layer whose rotation is unknown; the error names the layer.
Result<void> checkRotations(const CodecPlan& plan, const KvCache& cache);

} // namespace kvscope
