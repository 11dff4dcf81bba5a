// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/pyramid.h"

#include "core/base/hash.h"
#include "core/stats/merge_cells.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace kvscope {

namespace {

/// Bytes of a level read at once.
constexpr std::int64_t kWindowBytes = std::int64_t{1} << 20;

std::size_t index(CellFamily family) {
    return static_cast<std::size_t>(family);
}

/// The coarsest kind of cell that the query's channel groups are made of.
CellFamily familyOf(std::int64_t channels, std::int64_t headDim, const PlaneQuery& query) {
    if (query.channelBegin == 0 && query.channelEnd == channels && query.groupChannels >= channels)
        return CellFamily::Whole;
    if (areWholeHeads(query, headDim))
        return CellFamily::Heads;
    return CellFamily::Channels;
}

std::int64_t channelsPerCell(const PlaneLayout& plane, CellFamily family) {
    switch (family) {
    case CellFamily::Channels:
        return 1;
    case CellFamily::Heads:
        return plane.headDim;
    case CellFamily::Whole:
        return plane.channels();
    }
    return 1;
}

} // namespace

/// Reads cells of one level in row order through a window of groups.
struct Pyramid::LevelReader {
    const PyramidFile& file;
    const LevelLayout& level;
    bool rowByRow;
    /// No group from here on will be asked for.
    std::int64_t endGroup;
    std::vector<std::byte> window;
    std::int64_t windowBegin = 0;
    std::int64_t windowEnd = 0;
    std::int64_t openGroup = -1;
    std::optional<EncodedCells> cells;

    /// Makes the group of a row readable; false when it is damaged.
    bool open(std::int64_t row) {
        const std::int64_t group = row / level.groupRows;
        if (group == openGroup)
            return cells.has_value();
        const auto groupBytes = static_cast<std::size_t>(level.groupBytes());
        if (group < windowBegin || group >= windowEnd) {
            const std::int64_t groups =
                std::clamp<std::int64_t>(kWindowBytes / level.groupBytes(), 1, endGroup - group);
            window.resize(static_cast<std::size_t>(groups) * groupBytes);
            windowBegin = group;
            windowEnd = group + groups;
            if (!file.read(level.offset + group * level.groupBytes(), window)) {
                windowEnd = windowBegin;
                return false;
            }
        }
        openGroup = group;
        cells = EncodedCells::open(std::span<const std::byte>(window).subspan(
                                       static_cast<std::size_t>(group - windowBegin) * groupBytes, groupBytes),
                                   static_cast<std::size_t>(level.groupCells()));
        return cells.has_value();
    }

    [[nodiscard]] CellSum cell(std::int64_t row, std::int64_t column, std::int64_t values) const {
        const std::int64_t within = row % level.groupRows;
        return cells->cell(
            static_cast<std::size_t>(rowByRow ? within * level.width + column : column * level.groupRows + within),
            values);
    }
};

Pyramid::Pyramid(KvCache cache, Quantity quantity, PyramidLayout layout, std::unique_ptr<PyramidFile> file,
                 bool complete)
    : cache_(std::move(cache))
    , quantity_(quantity)
    , layout_(std::move(layout))
    , file_(std::move(file))
    , planes_(std::make_unique<PlaneState[]>(layout_.planes.size()))
    , complete_(complete || layout_.planes.empty()) {
    for (std::size_t i = 0; i < layout_.planes.size(); ++i) {
        const PlaneLayout& plane = layout_.planes[i];
        const auto chunks = static_cast<std::size_t>(plane.chunks());
        planes_[i].built = std::make_unique<std::atomic<bool>[]>(chunks);
        for (std::size_t chunk = 0; chunk < chunks; ++chunk)
            planes_[i].built[chunk].store(complete, std::memory_order_relaxed);
        planes_[i].complete.store(complete, std::memory_order_relaxed);
        totalValues_ += plane.tokens * plane.channels();
    }
    if (complete) {
        builtValues_.store(totalValues_, std::memory_order_relaxed);
        cursor_ = layout_.planes.size();
    }
}

PyramidKey Pyramid::keyOf(const KvCache& cache, const PyramidLayout& layout) {
    return {cache.info().fingerprint, layout.hash, layout.fileBytes};
}

std::shared_ptr<Pyramid> Pyramid::openKept(const KvCache& cache, Quantity quantity, const PyramidFolder& folder) {
    if (folder.path.empty() || cache.info().fingerprint == 0)
        return nullptr;
    auto layout = layOutPyramid(cache, quantity);
    if (!layout)
        return nullptr;
    auto file = PyramidFile::openKept(folder.path, keyOf(cache, *layout));
    if (file == nullptr)
        return nullptr;
    return std::shared_ptr<Pyramid>(new Pyramid(cache, quantity, std::move(*layout), std::move(file), true));
}

Result<std::shared_ptr<Pyramid>> Pyramid::create(const KvCache& cache, Quantity quantity, const PyramidFolder& folder) {
    KVSCOPE_ASSIGN(auto layout, layOutPyramid(cache, quantity));
    const PyramidKey key = keyOf(cache, layout);
    const bool kept = cache.info().fingerprint != 0 && makeRoom(folder, key.fileBytes);
    auto file = kept ? PyramidFile::createKept(folder.path, key) : PyramidFile::createTemporary(key.fileBytes);
    // A cache folder that cannot be written to costs the next start some time, nothing else.
    if (!file && kept)
        file = PyramidFile::createTemporary(key.fileBytes);
    if (!file)
        return tl::unexpected<Error>(std::move(file.error()));
    return std::shared_ptr<Pyramid>(new Pyramid(cache, quantity, std::move(layout), std::move(*file), false));
}

double Pyramid::progress() const {
    if (isComplete())
        return 1.0;
    return static_cast<double>(builtValues_.load(std::memory_order_relaxed)) /
           static_cast<double>(std::max<std::int64_t>(totalValues_, 1));
}

std::optional<std::size_t> Pyramid::indexOf(PlaneId plane) const {
    const auto found = std::lower_bound(layout_.planes.begin(), layout_.planes.end(), plane,
                                        [](const PlaneLayout& layout, PlaneId id) {
                                            return std::tie(layout.id.sequence, layout.id.layer, layout.id.kind) <
                                                   std::tie(id.sequence, id.layer, id.kind);
                                        });
    if (found == layout_.planes.end() || found->id != plane)
        return std::nullopt;
    return static_cast<std::size_t>(found - layout_.planes.begin());
}

std::optional<Pyramid::Chunk> Pyramid::claim() {
    const std::lock_guard lock(mutex_);
    const auto take = [&](std::size_t plane) -> std::optional<Chunk> {
        PlaneState& state = planes_[plane];
        if (state.nextChunk >= layout_.planes[plane].chunks())
            return std::nullopt;
        if (state.tops == nullptr) {
            state.tops = std::make_unique<ChunkTops>();
            for (const CellFamily family : kAllCellFamilies)
                (*state.tops)[index(family)].reset(static_cast<std::size_t>(
                    layout_.planes[plane].chunks() * layout_.planes[plane].family(family)[0].width));
        }
        return Chunk{plane, state.nextChunk++};
    };
    for (; !preferred_.empty(); preferred_.pop_front()) {
        if (const auto chunk = take(preferred_.front()))
            return chunk;
    }
    for (; cursor_ < layout_.planes.size(); ++cursor_) {
        if (const auto chunk = take(cursor_))
            return chunk;
    }
    return std::nullopt;
}

void Pyramid::prefer(PlaneId plane) {
    const auto found = indexOf(plane);
    if (!found || planes_[*found].complete.load(std::memory_order_relaxed))
        return;
    const std::lock_guard lock(mutex_);
    if (!preferred_.empty() && preferred_.front() == *found)
        return;
    std::erase(preferred_, *found);
    preferred_.push_front(*found);
}

Result<void> Pyramid::build(Chunk chunk, std::span<const float> channelMeans, ChunkBuilder& builder) {
    const PlaneLayout& layout = layout_.planes[chunk.plane];
    PlaneState& state = planes_[chunk.plane];
    KVSCOPE_TRY(builder.build(cache_, quantity_, layout, chunk.index, channelMeans, *file_, *state.tops));
    state.built[static_cast<std::size_t>(chunk.index)].store(true, std::memory_order_release);
    builtValues_.fetch_add(
        (std::min((chunk.index + 1) * layout.chunkTokens, layout.tokens) - chunk.index * layout.chunkTokens) *
            layout.channels(),
        std::memory_order_relaxed);
    if (state.builtChunks.fetch_add(1) + 1 < layout.chunks())
        return {};
    KVSCOPE_TRY(finishPlane(chunk.plane));
    if (completePlanes_.fetch_add(1) + 1 < layout_.planes.size())
        return {};
    KVSCOPE_TRY(file_->commit());
    complete_.store(true, std::memory_order_release);
    return {};
}

Result<void> Pyramid::finishPlane(std::size_t plane) {
    const PlaneLayout& layout = layout_.planes[plane];
    PlaneState& state = planes_[plane];
    PlaneSummary summary;
    for (const CellFamily family : kAllCellFamilies) {
        CellSums rows = std::move((*state.tops)[index(family)]);
        for (const LevelLayout& level : layout.family(family)) {
            if (level.tokenStep <= layout.chunkTokens)
                continue;
            const auto width = static_cast<std::size_t>(level.width);
            CellSums coarse(static_cast<std::size_t>(level.rows) * width);
            for (std::size_t row = 0; row < rows.size() / width; ++row)
                mergeCells(coarse.view().at(row / kLevelRatio * width), rows.view().at(row * width), width);
            KVSCOPE_TRY(writeCoarseLevel(level, coarse.view(), *file_));
            rows = std::move(coarse);
        }
        const CellSumsView total = rows.view();
        if (family == CellFamily::Whole && total.count[0] > 0)
            summary.rms = std::sqrt(total.squares[0] / static_cast<double>(total.count[0]));
        for (std::size_t channel = 0; family == CellFamily::Channels && channel < rows.size(); ++channel)
            summary.channelMeans.push_back(
                total.count[channel] > 0
                    ? static_cast<float>(total.sum[channel] / static_cast<double>(total.count[channel]))
                    : 0.0F);
    }
    state.tops.reset();
    std::vector<std::byte> bytes(static_cast<std::size_t>(layout.summaryBytes()));
    std::memcpy(bytes.data() + 8, &summary.rms, 8);
    std::memcpy(bytes.data() + 16, summary.channelMeans.data(), summary.channelMeans.size() * sizeof(float));
    const std::uint64_t check = hashBytes(std::span(bytes).subspan(8));
    std::memcpy(bytes.data(), &check, 8);
    KVSCOPE_TRY(file_->write(layout.summaryOffset, bytes));
    state.complete.store(true, std::memory_order_release);
    return {};
}

std::optional<PlaneSummary> Pyramid::summary(PlaneId plane) {
    const auto found = indexOf(plane);
    if (!found || !planes_[*found].complete.load(std::memory_order_acquire))
        return std::nullopt;
    const PlaneLayout& layout = layout_.planes[*found];
    std::vector<std::byte> bytes(static_cast<std::size_t>(layout.summaryBytes()));
    std::uint64_t check = 0;
    if (const auto done = file_->read(layout.summaryOffset, bytes); done)
        std::memcpy(&check, bytes.data(), 8);
    PlaneSummary summary;
    std::memcpy(&summary.rms, bytes.data() + 8, 8);
    summary.channelMeans.resize(static_cast<std::size_t>(layout.channels()));
    std::memcpy(summary.channelMeans.data(), bytes.data() + 16, summary.channelMeans.size() * sizeof(float));
    const bool plausible = std::isfinite(summary.rms) && summary.rms >= 0 &&
                           std::ranges::all_of(summary.channelMeans, [](float mean) { return std::isfinite(mean); });
    if (!plausible || check != hashBytes(std::span(bytes).subspan(8))) {
        damaged_.store(true, std::memory_order_relaxed);
        return std::nullopt;
    }
    return summary;
}

const LevelLayout* Pyramid::chooseLevel(std::size_t plane, const PlaneQuery& query, CellFamily family) const {
    const PlaneLayout& layout = layout_.planes[plane];
    const bool whole = planes_[plane].complete.load(std::memory_order_acquire);
    const LevelLayout* best = nullptr;
    for (const LevelLayout& level : layout.family(family)) {
        if (query.tokenStep % level.tokenStep == 0 && (whole || level.tokenStep <= layout.chunkTokens))
            best = &level;
    }
    return best;
}

bool Pyramid::isBuilt(std::size_t plane, const LevelLayout& level, std::int64_t firstRow, std::int64_t lastRow) const {
    const PlaneState& state = planes_[plane];
    if (state.complete.load(std::memory_order_acquire))
        return true;
    const PlaneLayout& layout = layout_.planes[plane];
    const std::int64_t lastToken = std::min(lastRow * level.tokenStep, layout.tokens) - 1;
    for (std::int64_t chunk = firstRow * level.tokenStep / layout.chunkTokens; chunk <= lastToken / layout.chunkTokens;
         ++chunk) {
        if (!state.built[static_cast<std::size_t>(chunk)].load(std::memory_order_acquire))
            return false;
    }
    return true;
}

bool Pyramid::covers(const PlaneGeometry& plane, const PlaneQuery& query) {
    return query.tokenStep % finestStep(familyOf(plane.channels(), plane.headDim, query)) == 0;
}

void Pyramid::addCells(const PlaneQuery& query, const CellSink& sink, std::span<char> answered) {
    const auto plane = indexOf(query.plane);
    if (!plane)
        return;
    const PlaneLayout& layout = layout_.planes[*plane];
    const CellFamily family = familyOf(layout.channels(), layout.headDim, query);
    const LevelLayout* level = chooseLevel(*plane, query, family);
    if (level == nullptr)
        return;
    const std::int64_t perCell = query.tokenStep / level->tokenStep;
    const std::int64_t channels = channelsPerCell(layout, family);
    const std::int64_t lastNeeded = std::min((query.firstCell + query.tokenCells) * perCell, level->rows);
    LevelReader reader{*file_,
                       *level,
                       family == CellFamily::Channels,
                       (lastNeeded + level->groupRows - 1) / level->groupRows,
                       {},
                       0,
                       0,
                       -1,
                       {}};
    const std::int64_t groups = query.groups();
    std::vector<CellSum> sums(static_cast<std::size_t>(groups));
    for (std::int64_t cell = 0; cell < query.tokenCells; ++cell) {
        const std::int64_t firstRow = (query.firstCell + cell) * perCell;
        const std::int64_t lastRow = std::min(firstRow + perCell, level->rows);
        if (firstRow < lastRow && !isBuilt(*plane, *level, firstRow, lastRow))
            continue;
        std::fill(sums.begin(), sums.end(), CellSum());
        bool good = true;
        for (std::int64_t row = firstRow; row < lastRow && good; ++row) {
            good = reader.open(row);
            if (!good)
                break;
            const std::int64_t tokens = std::min((row + 1) * level->tokenStep, layout.tokens) - row * level->tokenStep;
            for (std::int64_t group = 0; group < groups; ++group) {
                const std::int64_t first = query.channelBegin + group * query.groupChannels;
                const std::int64_t last = std::min(first + query.groupChannels, query.channelEnd);
                for (std::int64_t column = first / channels; column * channels < last; ++column)
                    sums[static_cast<std::size_t>(group)].merge(reader.cell(row, column, tokens * channels));
            }
        }
        if (!good) {
            damaged_.store(true, std::memory_order_relaxed);
            continue;
        }
        for (std::int64_t group = 0; group < groups; ++group)
            sink.at(cell, group).merge(sums[static_cast<std::size_t>(group)]);
        answered[static_cast<std::size_t>(cell)] = 1;
    }
}

} // namespace kvscope
