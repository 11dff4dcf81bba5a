// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/base/thread_pool.h"
#include "core/codec/encode_report.h"
#include "core/codec/plan.h"
#include "core/kv/kv_cache.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// What a method must keep to in every dump to count as harmless.
struct StrictThresholds {
    double cosine = 0.9999;
    double keyMae = 0.01;
    double valueMae = 0.002;
};

/// Whether a kind's error is within the thresholds; latent planes are judged like K.
bool passes(PlaneKind kind, const EncodeTotals& totals, const StrictThresholds& thresholds = {});

/// One dump of a sweep and where it belongs.
struct SweepDump {
    KvCache cache;
    std::string name;
    /// Which texts and which run of which model; empty where nobody said.
    std::string corpus;
    std::string run;
};

/// One method on one dump, or on all dumps of a group.
struct SweepRow {
    std::string corpus;
    std::string run;
    /// Empty in a group's row.
    std::string dump;
    std::string method;
    /// Why the method does not fit the dump; then there are no figures.
    std::string problem;
    std::map<PlaneKind, EncodeTotals> kinds;
    /// K, V and latent weighted by their bytes.
    EncodeTotals all;
    /// Root mean square over layers of the attention-output error; nothing without queries.
    std::optional<double> attention;
    /// Wall time of encoding against the prefill of the same tokens; nothing while that is unknown.
    std::optional<double> timeToPrefill;
    bool lossless = false;
    bool passed = false;
};

struct SweepOptions {
    StrictThresholds thresholds;
    std::optional<double> prefillTokensPerSecond;
    /// Called as each row is there.
    std::function<void(const SweepRow&)> rowDone;
};

/// The figures of an encoding as a row.
SweepRow sweepRow(const SweepDump& dump, const EncodeReport& report, const StrictThresholds& thresholds);

/// Encodes a dump with every plan; a plan that does not fit gives a row with its problem. Fails when the dump cannot be
/// read or the job is stopped. Progress is in rows; the caller starts it.
Result<std::vector<SweepRow>> sweep(const SweepDump& dump, std::span<const CodecPlan> plans, ThreadPool& pool,
                                    const SweepOptions& options = {}, const JobControl& job = {});

/// Sums of the rows of each (corpus, run, method), in the order in which they first come; passed where every dump
/// passed. Groups of one dump are left out.
std::vector<SweepRow> groupRows(std::span<const SweepRow> rows);

/// How a sweep is written.
enum class SweepFormat : std::uint8_t { Text, Csv, Json };

/// Rows, then the groups. Text and CSV have one line a row with K, V and all beside each other.
std::string sweepToText(std::span<const SweepRow> rows, std::span<const SweepRow> groups, SweepFormat format);

} // namespace kvscope
