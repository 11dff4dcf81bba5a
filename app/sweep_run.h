// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/codec/plan_search.h"
#include "core/codec/sweep.h"
#include "core/io/open_dump.h"

#include <QString>
#include <QStringList>

#include <functional>
#include <optional>
#include <vector>

namespace kvscope::app {

/// Which methods are to be tried on which dumps.
struct SweepRequest {
    std::vector<SweepDump> dumps;
    /// Dumps that a search does not look at.
    std::vector<SweepDump> heldOut;
    /// Names of presets.
    QStringList presets;
    std::vector<CodecPlan> plans;
    /// Also find the smallest configurations that pass.
    bool search = false;
    SweepOptions options;
    /// Called, from the thread that works, when another part of the work begins; says which.
    std::function<void(const QString&)> stage;
};

/// All that a sweep found.
struct SweepOutcome {
    StrictThresholds thresholds;
    std::vector<SweepRow> rows;
    std::vector<SweepRow> heldOut;
    std::optional<SearchResult> blockNorm;
    std::optional<SearchResult> kvz;
};

/// Opens a dump that belongs to the corpus and run that its folders name: .../<corpus>/<run>/<file>.
Result<SweepDump> openForSweep(const QString& path, const OpenOptions& options);
/// Opens the dumps of {"dumps": [{"file": ..., "corpus": ..., "run": ...}]}; files are relative to the manifest.
Result<std::vector<SweepDump>> readSweepManifest(const QString& path, const OpenOptions& options);

/// Does what is asked for; a preset or plan that does not fit a dump gives a row that says why. Progress is in rows and
/// trials of the search.
Result<SweepOutcome> runSweepRequest(const SweepRequest& request, ThreadPool& pool, const JobControl& job = {});

/// Everything found, with the groups, what the search found, and what the columns mean.
QString sweepText(const SweepOutcome& outcome, SweepFormat format);

} // namespace kvscope::app
