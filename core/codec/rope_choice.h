// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

namespace kvscope {

/// The plan with RoPE undone before every Step quantiser of K, in the layers where a sample of K, coded both ways at
/// the same step, says that it pays.
Result<CodecPlan> undoRopeWhereItPays(CodecPlan plan, const KvCache& cache, const JobControl& job = {});

/// Fails when the plan undoes RoPE in a layer whose rotation is unknown; the error names the layer.
Result<void> checkRotations(const CodecPlan& plan, const KvCache& cache);

} // namespace kvscope
