// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/sweep.h"

#include "core/codec/encode_job.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

void addTotals(EncodeTotals& into, const EncodeTotals& other) {
    into.hasError = other.hasError && (into.values == 0 || into.hasError);
    into.values += other.values;
    into.dumpBytes += other.dumpBytes;
    into.parts += other.parts;
    into.publishedBytes += other.publishedBytes;
    into.entropyBits += other.entropyBits;
    into.entropyValues += other.entropyValues;
    into.encodeSeconds += other.encodeSeconds;
    into.decodeSeconds += other.decodeSeconds;
    into.error.merge(other.error);
}

std::optional<double> attentionOf(const EncodeReport& report) {
    if (report.attention.empty())
        return std::nullopt;
    double sum = 0;
    for (const AttentionError& layer : report.attention)
        sum += layer.relative * layer.relative;
    return std::sqrt(sum / static_cast<double>(report.attention.size()));
}

bool sameGroup(const SweepRow& a, const SweepRow& b) {
    return a.corpus == b.corpus && a.run == b.run && a.method == b.method;
}

} // namespace

bool passes(PlaneKind kind, const EncodeTotals& totals, const StrictThresholds& thresholds) {
    const TensorError error = totals.error.result();
    const double mae = kind == PlaneKind::Value ? thresholds.valueMae : thresholds.keyMae;
    // A plane of zeros has no direction; then only the size of the error counts.
    return totals.hasError && error.mismatches == 0 && error.meanAbs <= mae &&
           error.cosine.value_or(1.0) >= thresholds.cosine;
}

SweepRow sweepRow(const SweepDump& dump, const EncodeReport& report, const StrictThresholds& thresholds) {
    SweepRow row{dump.corpus, dump.run, dump.name, report.plan.name, {}, {}, report.totals(), {}, {}, false, true};
    for (const PlaneReport& plane : report.planes)
        row.kinds[plane.plane.kind].add(plane);
    for (const auto& [kind, totals] : row.kinds)
        row.passed = row.passed && passes(kind, totals, thresholds);
    row.lossless = report.plan.isLossless();
    row.attention = attentionOf(report);
    row.timeToPrefill = report.encodeTimeToPrefill();
    return row;
}

Result<std::vector<SweepRow>> sweep(const SweepDump& dump, std::span<const CodecPlan> plans, ThreadPool& pool,
                                    const SweepOptions& options, const JobControl& job) {
    std::vector<SweepRow> rows;
    EncodeOptions encode;
    encode.prefillTokensPerSecond = options.prefillTokensPerSecond;
    JobControl inner = job;
    inner.progress = nullptr;
    for (const CodecPlan& plan : plans) {
        auto encoding = encodeCache(dump.cache, plan, pool, encode, inner);
        if (encoding) {
            rows.push_back(sweepRow(dump, encoding->report, options.thresholds));
        } else if (encoding.error().kind != Error::Kind::Input) {
            return tl::unexpected<Error>(std::move(encoding.error()));
        } else {
            rows.push_back({dump.corpus, dump.run, dump.name, plan.name, encoding.error().message(), {}, {}, {}, {}});
        }
        job.advance(1);
        if (options.rowDone)
            options.rowDone(rows.back());
    }
    return rows;
}

std::vector<SweepRow> groupRows(std::span<const SweepRow> rows) {
    std::vector<SweepRow> groups;
    std::vector<int> sizes;
    for (const SweepRow& row : rows) {
        if (!row.problem.empty())
            continue;
        const auto found = std::ranges::find_if(groups, [&](const SweepRow& group) { return sameGroup(group, row); });
        if (found == groups.end()) {
            groups.push_back(row);
            groups.back().dump.clear();
            sizes.push_back(1);
            continue;
        }
        ++sizes[static_cast<std::size_t>(found - groups.begin())];
        for (const auto& [kind, totals] : row.kinds)
            addTotals(found->kinds[kind], totals);
        addTotals(found->all, row.all);
        found->passed = found->passed && row.passed;
        found->lossless = found->lossless && row.lossless;
        found->attention.reset();
        found->timeToPrefill.reset();
    }
    std::vector<SweepRow> several;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        if (sizes[i] > 1)
            several.push_back(std::move(groups[i]));
    }
    return several;
}

} // namespace kvscope
