// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/cache_map.h"

#include "core/base/checked.h"
#include "core/stats/plane_sample.h"
#include "core/stats/pyramid_set.h"
#include "core/stats/raw_cells.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <new>

namespace kvscope {

float Cell::maxAbs() const {
    return std::max(std::abs(min), std::abs(max));
}

float Cell::stddev() const {
    const auto wideMean = static_cast<double>(mean);
    const auto wideRms = static_cast<double>(rms);
    const double variance = wideRms * wideRms - wideMean * wideMean;
    return static_cast<float>(std::sqrt(std::max(variance, std::isnan(variance) ? variance : 0.0)));
}

namespace {

constexpr std::int64_t kMostCells = std::int64_t{1} << 26;
constexpr std::int64_t kLargestStep = std::int64_t{1} << 40;
/// Values that one call reads from the dump for cells that the pyramid will answer once it is built: about 10 ms.
constexpr std::int64_t kRawValues = std::int64_t{1} << 22;
/// The same for steps finer than the pyramid's, which only the dump can answer.
constexpr std::int64_t kFineRawValues = std::int64_t{1} << 26;
/// Planes sampled in one call without asking other workers for help.
constexpr std::int64_t kPlanesAlone = 4;

/// One plane's part of a picture.
struct PlanePart {
    PlaneQuery query;
    CellSink sink;
};

class TiledMap final : public CacheMap {
public:
    TiledMap(KvCache cache, ThreadPool& pool, CacheMapOptions options)
        : cache_(std::move(cache))
        , pool_(pool)
        , pyramids_(std::make_shared<PyramidSet>(cache_, pool,
                                                 PyramidFolder{std::move(options.cacheFolder), options.cacheLimit}))
        , samples_(cache_) {}
    ~TiledMap() override { pyramids_->close(); }
    TiledMap(const TiledMap&) = delete;
    TiledMap& operator=(const TiledMap&) = delete;

    [[nodiscard]] const KvCache& cache() const override { return cache_; }
    [[nodiscard]] MapShape shape(const MapSpec& spec) const override;
    [[nodiscard]] Result<CellBlock> read(const MapSpec& spec, CellRect rect, CellStep step,
                                         const JobControl& job) override;
    void prepare(Quantity quantity) override { pyramids_->prepare(quantity); }
    void cancelBuilds() override { pyramids_->cancel(); }
    [[nodiscard]] bool isComplete(Quantity quantity) const override {
        const auto pyramid = pyramids_->find(quantity);
        return pyramid != nullptr && pyramid->isComplete();
    }
    [[nodiscard]] double progress(Quantity quantity) const override {
        const auto pyramid = pyramids_->find(quantity);
        return pyramid != nullptr ? pyramid->progress() : 0.0;
    }
    [[nodiscard]] std::optional<Error> buildError(Quantity quantity) const override {
        return pyramids_->error(quantity);
    }
    [[nodiscard]] double planeRms(PlaneId plane, Quantity quantity) override;
    void setChangedCallback(std::function<void()> callback) override { pyramids_->setCallback(std::move(callback)); }

private:
    /// Channel means, and whether they are exact.
    struct Means {
        std::vector<float> values;
        bool exact = true;
    };

    std::vector<PlanePart> partsOf(const MapSpec& spec, CellRect rect, CellStep step, MapShape whole,
                                   std::vector<CellSum>& sums) const;
    Result<Means> channelMeans(PlaneId plane, Quantity quantity, const JobControl& job);
    Result<bool> answer(const PlanePart& part, Pyramid* pyramid, std::int64_t rawValues, const JobControl& job);
    Result<bool> answerAll(const std::vector<PlanePart>& parts, Pyramid* pyramid, const JobControl& job);

    KvCache cache_;
    ThreadPool& pool_;
    std::shared_ptr<PyramidSet> pyramids_;
    SampleStore samples_;
    std::mutex mutex_;
    std::map<PlaneId, std::vector<float>> means_;
};

MapShape TiledMap::shape(const MapSpec& spec) const {
    const KvGeometry& geometry = cache_.geometry();
    if (spec.sequence.value < 0 || spec.sequence.value >= geometry.sequences)
        return {};
    const auto available = [&](LayerIndex layer) {
        const PlaneId plane{layer, spec.kind, spec.sequence};
        return geometry.find(plane) != nullptr && isAvailable(cache_, spec.quantity, plane);
    };
    if (spec.map == MapKind::HeadToken || spec.map == MapKind::TokenChannel) {
        if (!available(spec.layer))
            return {};
        const PlaneGeometry& plane = *geometry.find(spec.layer, spec.kind);
        if (spec.map == MapKind::HeadToken)
            return {plane.tokens, plane.heads};
        if (!spec.head)
            return {plane.tokens, plane.channels()};
        const bool exists = spec.head->value >= 0 && spec.head->value < plane.heads;
        return exists ? MapShape{plane.tokens, plane.headDim} : MapShape{};
    }
    MapShape whole;
    for (LayerIndex layer; layer.value < geometry.layerCount(); ++layer) {
        if (!available(layer))
            continue;
        const PlaneGeometry& plane = *geometry.find(layer, spec.kind);
        whole.columns = std::max(whole.columns, spec.map == MapKind::LayerToken ? plane.tokens : plane.channels());
        whole.rows = geometry.layerCount();
    }
    return whole;
}

std::vector<PlanePart> TiledMap::partsOf(const MapSpec& spec, CellRect rect, CellStep step, MapShape whole,
                                         std::vector<CellSum>& sums) const {
    const KvGeometry& geometry = cache_.geometry();
    std::vector<PlanePart> parts;
    PlaneQuery query;
    query.quantity = spec.quantity;
    query.firstCell = rect.column;
    query.tokenCells = rect.columns;
    query.tokenStep = step.columns;
    if (spec.map == MapKind::HeadToken || spec.map == MapKind::TokenChannel) {
        query.plane = {spec.layer, spec.kind, spec.sequence};
        const PlaneGeometry& plane = *geometry.find(query.plane);
        const std::int64_t rowChannels = spec.map == MapKind::HeadToken ? plane.headDim : 1;
        const std::int64_t base = spec.head && spec.map == MapKind::TokenChannel ? spec.head->value * plane.headDim : 0;
        query.groupChannels = step.rows * rowChannels;
        query.channelBegin = base + rect.row * query.groupChannels;
        query.channelEnd =
            std::min(query.channelBegin + rect.rows * query.groupChannels, base + whole.rows * rowChannels);
        parts.push_back({query, CellSink{sums, 0, 1, rect.columns}});
        return parts;
    }
    const std::int64_t endLayer = std::min((rect.row + rect.rows) * step.rows, whole.rows);
    for (std::int64_t layer = rect.row * step.rows; layer < endLayer; ++layer) {
        query.plane = {LayerIndex(layer), spec.kind, spec.sequence};
        const PlaneGeometry* plane = geometry.find(query.plane);
        if (plane == nullptr || plane->tokens == 0 || !isAvailable(cache_, spec.quantity, query.plane))
            continue;
        const std::int64_t origin = (layer / step.rows - rect.row) * rect.columns;
        if (spec.map == MapKind::LayerToken) {
            query.groupChannels = plane->channels();
            query.channelEnd = plane->channels();
            parts.push_back({query, CellSink{sums, origin, 1, 0}});
        } else {
            query.firstCell = 0;
            query.tokenCells = 1;
            query.tokenStep = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(plane->tokens)));
            query.groupChannels = step.columns;
            query.channelBegin = std::min(rect.column * step.columns, plane->channels());
            query.channelEnd = std::min((rect.column + rect.columns) * step.columns, plane->channels());
            if (query.channelBegin < query.channelEnd)
                parts.push_back({query, CellSink{sums, origin, 0, 1}});
        }
    }
    return parts;
}

Result<TiledMap::Means> TiledMap::channelMeans(PlaneId plane, Quantity quantity, const JobControl& job) {
    if (quantity != Quantity::ChannelDeviation)
        return Means();
    if (const auto pyramid = pyramids_->find(Quantity::Value)) {
        if (auto summary = pyramid->summary(plane))
            return Means{std::move(summary->channelMeans), true};
    }
    if (cache_.geometry().find(plane)->values() > kRawValues) {
        KVSCOPE_ASSIGN(const auto sample, samples_.sample(plane, Quantity::Value, false, job));
        return Means{sample->channelMeans(), false};
    }
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = means_.find(plane); found != means_.end())
            return Means{found->second, true};
    }
    KVSCOPE_ASSIGN(auto means, readChannelMeans(cache_, plane, job));
    const std::lock_guard lock(mutex_);
    return Means{means_[plane] = std::move(means), true};
}

/// Answers one plane's part: from the pyramid what is built, the rest from the dump if that is quick, else from a
/// sample. Returns whether all is exact.
Result<bool> TiledMap::answer(const PlanePart& part, Pyramid* pyramid, std::int64_t rawValues, const JobControl& job) {
    const PlaneQuery& query = part.query;
    const PlaneGeometry& plane = *cache_.geometry().find(query.plane);
    std::vector<char> answered(static_cast<std::size_t>(query.tokenCells), 0);
    if (pyramid != nullptr)
        pyramid->addCells(query, part.sink, answered);
    const auto open = static_cast<std::int64_t>(std::count(answered.begin(), answered.end(), 0));
    if (open == 0)
        return true;
    if (pyramid != nullptr)
        pyramid->prefer(query.plane);
    const std::int64_t openTokens = std::min(open * std::min(query.tokenStep, plane.tokens), plane.tokens);
    if (openTokens * plane.channels() > rawValues) {
        const bool withRows = PlaneSample::needsRows(query, plane);
        KVSCOPE_ASSIGN(const auto sample, samples_.sample(query.plane, query.quantity, withRows, job));
        sample->addCells(query, part.sink, answered);
        return false;
    }
    KVSCOPE_ASSIGN(const auto means, channelMeans(query.plane, query.quantity, job));
    for (std::int64_t cell = 0; cell < query.tokenCells; ++cell) {
        if (answered[static_cast<std::size_t>(cell)] != 0)
            continue;
        PlaneQuery run = query;
        run.firstCell += cell;
        run.tokenCells = 1;
        while (cell + run.tokenCells < query.tokenCells &&
               answered[static_cast<std::size_t>(cell + run.tokenCells)] == 0)
            ++run.tokenCells;
        CellSink sink{part.sink.sums, part.sink.origin + cell * part.sink.tokenStride, part.sink.tokenStride,
                      part.sink.groupStride};
        KVSCOPE_TRY(addRawCells(cache_, run, means.values, sink, job));
        cell += run.tokenCells;
    }
    return means.exact;
}

Result<bool> TiledMap::answerAll(const std::vector<PlanePart>& parts, Pyramid* pyramid, const JobControl& job) {
    // What the whole call may read, shared out evenly, so that a picture is either sampled or exact throughout. A
    // complete pyramid leaves nothing to wait for: what it does not cover is read, whatever it takes.
    const auto count = std::max<std::int64_t>(static_cast<std::int64_t>(parts.size()), 1);
    const bool complete = pyramid != nullptr && pyramid->isComplete();
    bool covered = true;
    for (const PlanePart& part : parts)
        covered = covered && Pyramid::covers(*cache_.geometry().find(part.query.plane), part.query);
    const std::int64_t budget = complete && !covered ? std::numeric_limits<std::int64_t>::max()
                                                     : (covered ? kRawValues : kFineRawValues) / count;
    bool exact = true;
    if (count <= kPlanesAlone || (complete && covered)) {
        for (const PlanePart& part : parts) {
            KVSCOPE_ASSIGN(const bool partExact, answer(part, pyramid, budget, job));
            exact = exact && partExact;
        }
        return exact;
    }
    // Layers may share cells (a row step above 1), so every layer's sums are made apart and joined afterwards.
    std::mutex mutex;
    std::optional<Error> error;
    pool_.parallelFor(count, [&](std::int64_t i) {
        const PlanePart& part = parts[static_cast<std::size_t>(i)];
        const std::int64_t cells = part.query.tokenCells * part.query.groups();
        std::vector<CellSum> own(static_cast<std::size_t>(cells));
        const CellSink sink{own, 0, 1, part.query.tokenCells};
        const auto partExact =
            job.stopRequested() ? Result<bool>(cancelled()) : answer({part.query, sink}, pyramid, budget, job);
        const std::lock_guard lock(mutex);
        if (!partExact) {
            error = partExact.error();
            return;
        }
        exact = exact && *partExact;
        for (std::int64_t group = 0; group < part.query.groups(); ++group) {
            for (std::int64_t cell = 0; cell < part.query.tokenCells; ++cell)
                part.sink.at(cell, group).merge(sink.at(cell, group));
        }
    });
    if (error)
        return tl::unexpected<Error>(std::move(*error));
    return exact;
}

Result<CellBlock> TiledMap::read(const MapSpec& spec, CellRect rect, CellStep step, const JobControl& job) {
    const MapShape whole = shape(spec);
    const auto lies = [](std::int64_t first, std::int64_t count, std::int64_t cellStep, std::int64_t size) {
        const auto end = checkedAdd(first, count);
        return cellStep >= 1 && cellStep <= kLargestStep && first >= 0 && count >= 0 && end &&
               *end <= (size + cellStep - 1) / cellStep;
    };
    const auto area = checkedProduct({rect.columns, rect.rows});
    if (!lies(rect.column, rect.columns, step.columns, whole.columns) ||
        !lies(rect.row, rect.rows, step.rows, whole.rows) || !area || *area > kMostCells)
        return fail("the rectangle asked for leaves the map", cache_.info().name);
    CellBlock block{rect, step, true, {}};
    if (*area == 0)
        return block;
    try {
        const auto pyramid = pyramids_->find(spec.quantity);
        std::vector<CellSum> sums(static_cast<std::size_t>(*area));
        KVSCOPE_ASSIGN(block.exact, answerAll(partsOf(spec, rect, step, whole, sums), pyramid.get(), job));
        if (pyramid != nullptr && pyramid->isDamaged())
            pyramids_->replaceDamaged(spec.quantity, pyramid);
        block.cells.reserve(sums.size());
        for (const CellSum& sum : sums)
            block.cells.push_back(sum.cell());
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for " + std::to_string(*area) + " cells", cache_.info().name,
                    "Show a smaller part", Error::Kind::System);
    }
    return block;
}

double TiledMap::planeRms(PlaneId plane, Quantity quantity) {
    if (!isAvailable(cache_, quantity, plane) || cache_.geometry().find(plane)->tokens == 0)
        return 0;
    if (const auto pyramid = pyramids_->find(quantity)) {
        if (const auto summary = pyramid->summary(plane))
            return summary->rms;
    }
    const auto sample = samples_.sample(plane, quantity, false, {});
    return sample ? (*sample)->rms() : 0.0;
}

} // namespace

std::shared_ptr<CacheMap> CacheMap::create(KvCache cache, ThreadPool& pool, CacheMapOptions options) {
    return std::make_shared<TiledMap>(std::move(cache), pool, std::move(options));
}

} // namespace kvscope
