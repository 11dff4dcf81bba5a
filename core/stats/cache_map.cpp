// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/cache_map.h"

#include "core/base/checked.h"
#include "core/stats/raw_cells.h"

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

class DirectMap final : public CacheMap {
public:
    explicit DirectMap(KvCache cache)
        : cache_(std::move(cache)) {}

    [[nodiscard]] const KvCache& cache() const override { return cache_; }
    [[nodiscard]] MapShape shape(const MapSpec& spec) const override;
    [[nodiscard]] Result<CellBlock> read(const MapSpec& spec, CellRect rect, CellStep step,
                                         const JobControl& job) override;
    void prepare(Quantity) override {}
    void cancelBuilds() override {}
    [[nodiscard]] bool isComplete(Quantity) const override { return true; }
    [[nodiscard]] double progress(Quantity) const override { return 1.0; }
    [[nodiscard]] std::optional<Error> buildError(Quantity) const override { return std::nullopt; }
    [[nodiscard]] double planeRms(PlaneId plane, Quantity quantity) override;
    void setChangedCallback(std::function<void()>) override {}

private:
    Result<std::vector<float>> channelMeans(PlaneId plane, Quantity quantity, const JobControl& job);
    Result<void> answer(const PlaneQuery& query, const CellSink& sink, const JobControl& job);

    KvCache cache_;
    std::mutex mutex_;
    std::map<PlaneId, std::vector<float>> means_;
};

MapShape DirectMap::shape(const MapSpec& spec) const {
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

Result<std::vector<float>> DirectMap::channelMeans(PlaneId plane, Quantity quantity, const JobControl& job) {
    if (quantity != Quantity::ChannelDeviation)
        return std::vector<float>();
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = means_.find(plane); found != means_.end())
            return found->second;
    }
    KVSCOPE_ASSIGN(auto means, readChannelMeans(cache_, plane, job));
    const std::lock_guard lock(mutex_);
    means_[plane] = means;
    return means;
}

Result<void> DirectMap::answer(const PlaneQuery& query, const CellSink& sink, const JobControl& job) {
    KVSCOPE_ASSIGN(const auto means, channelMeans(query.plane, query.quantity, job));
    return addRawCells(cache_, query, means, sink, job);
}

Result<CellBlock> DirectMap::read(const MapSpec& spec, CellRect rect, CellStep step, const JobControl& job) {
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
    std::vector<CellSum> sums;
    CellBlock block{rect, step, true, {}};
    try {
        sums.resize(static_cast<std::size_t>(*area));
        block.cells.reserve(sums.size());
    } catch (const std::bad_alloc&) {
        return fail("not enough memory for " + std::to_string(*area) + " cells", cache_.info().name,
                    "Show a smaller part", Error::Kind::System);
    }

    const KvGeometry& geometry = cache_.geometry();
    PlaneQuery query;
    query.quantity = spec.quantity;
    if (spec.map == MapKind::HeadToken || spec.map == MapKind::TokenChannel) {
        query.plane = {spec.layer, spec.kind, spec.sequence};
        const PlaneGeometry& plane = *geometry.find(query.plane);
        const std::int64_t rowChannels = spec.map == MapKind::HeadToken ? plane.headDim : 1;
        const std::int64_t base = spec.head && spec.map == MapKind::TokenChannel ? spec.head->value * plane.headDim : 0;
        query.firstCell = rect.column;
        query.tokenCells = rect.columns;
        query.tokenStep = step.columns;
        query.groupChannels = step.rows * rowChannels;
        query.channelBegin = base + rect.row * query.groupChannels;
        query.channelEnd =
            std::min(query.channelBegin + rect.rows * query.groupChannels, base + whole.rows * rowChannels);
        KVSCOPE_TRY(answer(query, CellSink{sums, 0, 1, rect.columns}, job));
    } else {
        for (std::int64_t row = rect.row * step.rows; row < std::min((rect.row + rect.rows) * step.rows, whole.rows);
             ++row) {
            query.plane = {LayerIndex(row), spec.kind, spec.sequence};
            const PlaneGeometry* plane = geometry.find(query.plane);
            if (plane == nullptr || !isAvailable(cache_, spec.quantity, query.plane))
                continue;
            const std::int64_t origin = (row / step.rows - rect.row) * rect.columns;
            if (spec.map == MapKind::LayerToken) {
                query.firstCell = rect.column;
                query.tokenCells = rect.columns;
                query.tokenStep = step.columns;
                query.groupChannels = plane->channels();
                query.channelEnd = plane->channels();
                KVSCOPE_TRY(answer(query, CellSink{sums, origin, 1, 0}, job));
            } else {
                query.tokenCells = 1;
                query.tokenStep = std::max<std::int64_t>(plane->tokens, 1);
                query.groupChannels = step.columns;
                query.channelBegin = std::min(rect.column * step.columns, plane->channels());
                query.channelEnd = std::min((rect.column + rect.columns) * step.columns, plane->channels());
                KVSCOPE_TRY(answer(query, CellSink{sums, origin, 0, 1}, job));
            }
        }
    }
    for (const CellSum& sum : sums)
        block.cells.push_back(sum.cell());
    return block;
}

double DirectMap::planeRms(PlaneId plane, Quantity quantity) {
    const PlaneGeometry* found = cache_.geometry().find(plane);
    if (found == nullptr || !isAvailable(cache_, quantity, plane))
        return 0;
    std::vector<CellSum> sums(1);
    const PlaneQuery query{
        plane, quantity, 0, 1, std::max<std::int64_t>(found->tokens, 1), 0, found->channels(), found->channels()};
    if (!answer(query, CellSink{sums, 0, 0, 0}, {}) || sums[0].count == 0)
        return 0;
    return std::sqrt(sums[0].squares / static_cast<double>(sums[0].count));
}

} // namespace

std::shared_ptr<CacheMap> CacheMap::create(KvCache cache, ThreadPool&, CacheMapOptions) {
    return std::make_shared<DirectMap>(std::move(cache));
}

} // namespace kvscope
