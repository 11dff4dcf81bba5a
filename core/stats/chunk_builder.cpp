// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/chunk_builder.h"

#include "core/stats/merge_cells.h"

namespace kvscope {

namespace {

/// Bytes read at once: they stay in the second-level cache until they are reduced.
constexpr std::int64_t kReadBytes = std::int64_t{1} << 17;
/// The same where each head is read by itself: fewer and longer reads are worth the larger buffer.
constexpr std::int64_t kReadBytesByHead = std::int64_t{1} << 18;
constexpr auto kBlock = static_cast<std::int64_t>(kBlockTokens);

std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
}

/// Cell `cell` of row `row` in a level whose groups lie cell by cell.
std::int64_t cellByCell(const LevelLayout& level, std::int64_t row, std::int64_t cell) {
    return row / level.groupRows * level.groupCells() + cell * level.groupRows + row % level.groupRows;
}

} // namespace

ChunkBuilder::ChunkBuilder(const PlaneLayout& plane)
    : heads_(plane.heads)
    , headDim_(plane.headDim)
    , chunkTokens_(plane.chunkTokens)
    , native_(plane.native)
    , byHead_(plane.byHead)
    , type_(plane.type)
    , readTokens_(std::clamp((plane.byHead ? kReadBytesByHead : kReadBytes) / (plane.channels() * sizeOf(plane.type)) /
                                 kBlock * kBlock,
                             kBlock, plane.chunkTokens))
    , reducer_(size(plane.heads), size(plane.headDim))
    , block_(size(plane.heads) * kBlockHeadCells) {
    if (native_)
        stored_.resize(size(readTokens_ * plane.channels() * sizeOf(type_)));
    else
        derived_.resize(size(readTokens_ * plane.channels()));
    for (const CellFamily family : kAllCellFamilies) {
        for (const LevelLayout& layout : plane.family(family)) {
            if (layout.tokenStep > chunkTokens_)
                break;
            Level level;
            level.rows = chunkTokens_ / layout.tokenStep;
            const bool finestChannels = family == CellFamily::Channels && layout.tokenStep == kBlock;
            level.sums = CellSums(size(finestChannels ? layout.groupCells() : level.rows * layout.width));
            level.encoded.resize(size(level.rows / layout.groupRows * layout.groupBytes()));
            levels_[static_cast<std::size_t>(family)].push_back(std::move(level));
        }
    }
}

bool ChunkBuilder::fits(const PlaneLayout& plane) const {
    return heads_ == plane.heads && headDim_ == plane.headDim && chunkTokens_ == plane.chunkTokens &&
           native_ == plane.native && byHead_ == plane.byHead && type_ == plane.type;
}

Result<void> ChunkBuilder::readRows(const KvCache& cache, Quantity quantity, const PlaneLayout& plane,
                                    TokenRange tokens, std::span<const float> channelMeans) {
    const std::int64_t values = tokens.size() * plane.channels();
    if (native_) {
        const auto bytes = std::span(stored_).first(size(values * sizeOf(type_)));
        return byHead_ ? cache.readNativeByHead(plane.id, tokens, bytes) : cache.readNative(plane.id, tokens, bytes);
    }
    return readQuantity(cache, quantity, plane.id, tokens, channelMeans, std::span(derived_).first(size(values)));
}

StoredRows ChunkBuilder::rowsAt(std::int64_t skip, std::int64_t rows, std::int64_t read) const {
    const auto* const first = native_ ? stored_.data() : std::as_bytes(std::span(derived_)).data();
    const std::int64_t headBytes = headDim_ * sizeOf(type_);
    if (byHead_)
        return {type_, first + skip * headBytes, size(rows), size(headBytes), size(read * headBytes)};
    return StoredRows::packed(type_, first + skip * heads_ * headBytes, size(rows), size(heads_), size(headDim_));
}

Result<void> ChunkBuilder::build(const KvCache& cache, Quantity quantity, const PlaneLayout& plane, std::int64_t chunk,
                                 std::span<const float> channelMeans, const PyramidFile& file, ChunkTops& tops) {
    for (const CellFamily family : kAllCellFamilies) {
        for (std::size_t i = family == CellFamily::Channels ? 1 : 0; i < levels_[size(static_cast<int>(family))].size();
             ++i)
            level(family, i).sums.reset(level(family, i).sums.size());
    }
    const std::int64_t first = chunk * chunkTokens_;
    const std::int64_t last = std::min(first + chunkTokens_, plane.tokens);
    for (std::int64_t at = first; at < last; at += readTokens_) {
        const std::int64_t end = std::min(at + readTokens_, last);
        KVSCOPE_TRY(readRows(cache, quantity, plane, tokenRange(at, end), channelMeans));
        for (std::int64_t token = at; token < end; token += kBlock) {
            const std::int64_t rows = std::min(kBlock, end - token);
            addBlock(plane, (token - first) / kBlock, rowsAt(token - at, rows, end - at), token + rows == last);
        }
    }
    mergeUpwards(plane);
    for (const CellFamily family : kAllCellFamilies) {
        for (std::size_t i = 0; i < levels_[static_cast<std::size_t>(family)].size(); ++i) {
            const LevelLayout& layout = plane.family(family)[i];
            Level& here = level(family, i);
            const std::int64_t firstRow = first / layout.tokenStep;
            const std::int64_t rows = std::min(here.rows, layout.rows - firstRow);
            const std::int64_t groups = (rows + layout.groupRows - 1) / layout.groupRows;
            const auto cells = size(layout.groupCells());
            const auto groupBytes = size(layout.groupBytes());
            const bool encodedAlready = family == CellFamily::Channels && i == 0;
            for (std::size_t group = 0; !encodedAlready && group < size(groups); ++group)
                encodeCells(here.sums.view().at(group * cells), cells,
                            std::span(here.encoded).subspan(group * groupBytes, groupBytes));
            KVSCOPE_TRY(file.write(layout.offset + firstRow / layout.groupRows * layout.groupBytes(),
                                   std::span(here.encoded).first(size(groups) * groupBytes)));
        }
        const LevelLayout& top = plane.family(family)[levels_[static_cast<std::size_t>(family)].size() - 1];
        mergeCells(tops[static_cast<std::size_t>(family)].view().at(size(chunk * top.width)),
                   levels_[static_cast<std::size_t>(family)].back().sums.view(), size(top.width));
    }
    return {};
}

void ChunkBuilder::addBlock(const PlaneLayout& plane, std::int64_t block, const StoredRows& stored, bool last) {
    addChannels(plane, block, stored, last);
    const LevelLayout& heads = plane.family(CellFamily::Heads)[0];
    const std::int64_t run = heads.tokenStep / static_cast<std::int64_t>(kHeadTokens);
    const std::int64_t headRow = block * kBlock / heads.tokenStep;
    const std::int64_t wholeRow = block * static_cast<std::int64_t>(kBlockHeadCells);
    for (std::int64_t head = 0; head < heads_; ++head) {
        const CellSumsView cells = block_.view().at(size(head) * kBlockHeadCells);
        mergeRuns(level(CellFamily::Heads, 0).sums.view().at(size(cellByCell(heads, headRow, head))), cells,
                  size(kBlock / heads.tokenStep), size(run));
        mergeCells(level(CellFamily::Whole, 0).sums.view().at(size(wholeRow)), cells, kBlockHeadCells);
    }
}

void ChunkBuilder::addChannels(const PlaneLayout& plane, std::int64_t block, const StoredRows& stored, bool last) {
    const LevelLayout& channels = plane.family(CellFamily::Channels)[0];
    Level& finest = level(CellFamily::Channels, 0);
    const auto width = size(channels.width);
    const CellSumsView above = level(CellFamily::Channels, 1).sums.view().at(size(block / kLevelRatio) * width);
    const auto group =
        std::span(finest.encoded)
            .subspan(size(block / channels.groupRows * channels.groupBytes()), size(channels.groupBytes()));
    if (channels.groupRows == 1) {
        // A row is a group of its own: nothing need be kept of it.
        if (const auto sums = reducer_.reduceInFloat(stored, block_.view())) {
            encodeCells(*sums, width, stored.rows, group);
            mergeBlock(above, *sums, width, stored.rows);
            return;
        }
    }
    const std::int64_t row = block % channels.groupRows;
    if (row == 0 && channels.groupRows > 1)
        finest.sums.reset(finest.sums.size());
    const CellSumsView cells = finest.sums.view().at(size(row) * width);
    reducer_.reduce(stored, cells, block_.view());
    mergeCells(above, cells, width);
    if (row + 1 == channels.groupRows || last)
        encodeCells(finest.sums.view(), size(channels.groupCells()), group);
}

void ChunkBuilder::mergeUpwards(const PlaneLayout& plane) {
    const auto& channels = plane.family(CellFamily::Channels);
    for (std::size_t i = 1; i + 1 < levels_[static_cast<std::size_t>(CellFamily::Channels)].size(); ++i) {
        const std::int64_t width = channels[i].width;
        for (std::int64_t row = 0; row < level(CellFamily::Channels, i).rows; ++row)
            mergeCells(level(CellFamily::Channels, i + 1).sums.view().at(size(row / kLevelRatio * width)),
                       level(CellFamily::Channels, i).sums.view().at(size(row * width)), size(width));
    }
    for (const CellFamily family : {CellFamily::Heads, CellFamily::Whole}) {
        for (std::size_t i = 0; i + 1 < levels_[static_cast<std::size_t>(family)].size(); ++i) {
            const LevelLayout& from = plane.family(family)[i];
            const LevelLayout& to = plane.family(family)[i + 1];
            const std::int64_t run = to.tokenStep / from.tokenStep;
            for (std::int64_t row = 0; row < level(family, i).rows; row += from.groupRows) {
                for (std::int64_t cell = 0; cell < from.width; ++cell)
                    mergeRuns(level(family, i + 1).sums.view().at(size(cellByCell(to, row / run, cell))),
                              level(family, i).sums.view().at(size(cellByCell(from, row, cell))),
                              size(from.groupRows / run), size(run));
            }
        }
    }
}

Result<void> writeCoarseLevel(const LevelLayout& level, CellSumsView rows, const PyramidFile& file) {
    std::vector<std::byte> encoded(size(level.rows * level.groupBytes()));
    for (std::int64_t row = 0; row < level.rows; ++row)
        encodeCells(rows.at(size(row * level.width)), size(level.width),
                    std::span(encoded).subspan(size(row * level.groupBytes()), size(level.groupBytes())));
    return file.write(level.offset, encoded);
}

} // namespace kvscope
