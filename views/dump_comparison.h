// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/kv_cache.h"

#include <QStringList>

namespace kvscope::views {

/// What somebody who looks at the difference A - B of two dumps must know: unequal layers, shapes and lengths, and
/// texts that are not the same. One sentence each; empty where the dumps hold the same tokens in the same shape. Goes
/// through all tokens: call it from a worker.
QStringList compareDumps(const KvCache& a, const KvCache& b);

} // namespace kvscope::views
