// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan_search.h"

#include "core/codec/encode_job.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

namespace kvscope {

namespace {

constexpr int kFewestBits = 3;
constexpr int kMostBits = 12;
constexpr std::array kBlocks{32, 64, 128, 256};
constexpr std::array kTopFractions{0.0, 0.005, 0.01, 0.02, 0.05};
/// Steps are tried on a grid of eighths of an octave.
constexpr int kFinestStep = -80;
constexpr int kCoarsestStep = 16;
constexpr double kStepsAnOctave = 8;

/// A family of pipelines in one number: larger numbers take more bits and lose less.
struct Family {
    int least;
    int most;
    std::function<Pipeline(int)> make;
};

Pipeline kvzStep(int grid) {
    // Eight significant bits keep the number short in files.
    const double exact = std::exp2(-static_cast<double>(grid) / kStepsAnOctave);
    const double unit = std::exp2(std::floor(std::log2(exact)) - 7);
    return {
        .quantiser = Step{std::round(exact / unit) * unit}, .predictor = Predictor::Best, .coder = EntropyCoder::Kvz};
}

std::vector<Family> familiesOf(SearchSpace space) {
    if (space == SearchSpace::KvzStep)
        return {{-kCoarsestStep, -kFinestStep, kvzStep}};
    std::vector<Family> families;
    for (const int block : kBlocks) {
        for (const double top : kTopFractions) {
            families.push_back(
                {kFewestBits, kMostBits, [block, top](int bits) {
                     return Pipeline{.quantiser = BlockNorm{bits, block, top}, .coder = EntropyCoder::Gear};
                 }});
        }
    }
    return families;
}

/// Most pipelines that halving tries.
std::int64_t trialsOf(const Family& family) {
    return static_cast<std::int64_t>(std::bit_width(static_cast<unsigned>(family.most - family.least + 1)));
}

std::set<PlaneKind> kindsOf(std::span<const SweepDump> dumps) {
    std::set<PlaneKind> kinds;
    for (const SweepDump& dump : dumps) {
        for (const PlaneKind kind : dump.cache.geometry().kinds()) {
            if (isCacheKind(kind))
                kinds.insert(kind);
        }
    }
    return kinds;
}

class Search {
public:
    Search(std::span<const SweepDump> dumps, const StrictThresholds& thresholds, ThreadPool& pool,
           const JobControl& job)
        : dumps_(dumps)
        , thresholds_(thresholds)
        , pool_(pool)
        , job_(job) {}

    Result<void> tryFamily(const Family& family, PlaneKind kind) {
        int failing = family.least - 1;
        int passing = family.most + 1;
        std::optional<SearchResult::Best> best;
        std::int64_t left = trialsOf(family);
        while (passing - failing > 1) {
            const int middle = failing + (passing - failing + 1) / 2;
            const Pipeline pipeline = family.make(middle);
            KVSCOPE_ASSIGN(const Trial trial, encode(pipeline, kind));
            if (trial.passed) {
                passing = middle;
                best = {pipeline, trial.totals.bitsPerValue()};
            } else {
                failing = middle;
            }
            job_.advance(1);
            --left;
        }
        job_.advance(left);
        const auto known = result.kinds.find(kind);
        if (best && (known == result.kinds.end() || best->bitsPerValue < known->second.bitsPerValue))
            result.kinds[kind] = *best;
        return {};
    }

    SearchResult result;

private:
    /// A pipeline on one kind of all dumps.
    struct Trial {
        EncodeTotals totals;
        /// In every dump.
        bool passed = true;
    };

    Result<Trial> encode(const Pipeline& pipeline, PlaneKind kind) {
        ++result.tried;
        CodecPlan plan;
        plan.fallback = pipeline;
        Trial trial;
        for (const SweepDump& dump : dumps_) {
            EncodeOptions options;
            options.measureAttention = false;
            options.only.emplace();
            for (std::int64_t layer = 0; layer < dump.cache.geometry().layerCount(); ++layer)
                options.only->push_back({LayerIndex(layer), kind});
            KVSCOPE_ASSIGN(const Encoding encoding,
                           encodeCache(dump.cache, plan, pool_, options, JobControl{job_.stop, nullptr}));
            const EncodeTotals totals = encoding.report.totals(kind);
            for (const PlaneReport& plane : encoding.report.planes)
                trial.totals.add(plane);
            trial.passed = trial.passed && (totals.values == 0 || passes(kind, totals, thresholds_));
        }
        return trial;
    }

    std::span<const SweepDump> dumps_;
    const StrictThresholds& thresholds_;
    ThreadPool& pool_;
    JobControl job_;
};

} // namespace

CodecPlan SearchResult::plan(std::string name, std::int64_t chunkTokens) const {
    CodecPlan out;
    out.name = std::move(name);
    out.chunkTokens = chunkTokens;
    out.fallback = {.quantiser = Lossless{}, .predictor = Predictor::Best, .coder = EntropyCoder::Kvz};
    for (const auto& [kind, best] : kinds)
        out.set(layerRange(0, kOpenEnd), {kind}, tokenRange(0, kOpenEnd), best.pipeline);
    return out;
}

std::int64_t searchTrials(std::span<const SweepDump> dumps, SearchSpace space) {
    std::int64_t trials = 0;
    for (const Family& family : familiesOf(space))
        trials += trialsOf(family);
    return trials * static_cast<std::int64_t>(kindsOf(dumps).size());
}

Result<SearchResult> searchBest(std::span<const SweepDump> dumps, SearchSpace space, const StrictThresholds& thresholds,
                                ThreadPool& pool, const JobControl& job) {
    const std::set<PlaneKind> kinds = kindsOf(dumps);
    Search search(dumps, thresholds, pool, job);
    for (const Family& family : familiesOf(space)) {
        for (const PlaneKind kind : kinds)
            KVSCOPE_TRY(search.tryFamily(family, kind));
    }
    return search.result;
}

} // namespace kvscope
