// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/cache_map.h"
#include "views/colour_scale.h"
#include "views/heatmap_settings.h"

#include <QImage>
#include <QRect>

#include <cstdint>
#include <span>
#include <vector>

namespace kvscope::views {

/// Cells along one side of a tile.
inline constexpr std::int64_t kTileCells = 256;

/// How cells become colours: everything a picture of loaded tiles depends on. Changing it re-reads nothing.
struct HeatmapColouring {
    Reduction reduction = Reduction::Rms;
    ColourScale scale;
    /// Multiplied onto the cells of a full-resolution row (1 / rms of its layer); empty means 1.
    std::vector<float> rowFactors;
    /// A cell of a full-resolution row whose max-abs lies above this is marked; empty marks nothing.
    std::vector<float> markLimits;
    /// Differs whenever anything above differs.
    std::uint64_t version = 0;
    /// Differs whenever markLimits differ: a drag of the range looks for no marks again.
    std::uint64_t marksVersion = 0;

    /// The factor of the rows that a cell covers (its first row's).
    [[nodiscard]] float factor(std::int64_t row) const;
};

/// A block of delivered cells, kept by statistic so that another reduction or range only recolours it.
class HeatmapTile {
public:
    explicit HeatmapTile(const CellBlock& block);

    [[nodiscard]] const CellRect& rect() const { return rect_; }
    [[nodiscard]] const CellStep& step() const { return step_; }
    [[nodiscard]] bool isExact() const { return exact_; }
    /// Whether its picture hides all that lies below.
    [[nodiscard]] bool isOpaque() const { return opaque_; }
    /// What the tile takes once its picture is made.
    [[nodiscard]] std::size_t bytesWithPicture() const;

    /// The cells of the tile under a reduction, coded as ColourScale wants them. `scratch` is used where the reduction
    /// is not stored.
    [[nodiscard]] std::span<const float> values(Reduction reduction, std::vector<float>& scratch) const;
    /// The larger of |min| and |max| of a cell by its place in the tile.
    [[nodiscard]] float maxAbs(std::size_t index) const;
    [[nodiscard]] float rms(std::size_t index) const { return rms_[index]; }

    /// The picture, one pixel a cell, coloured at least where `needed` (of the tile's pixels) says; recoloured when
    /// `colouring` is another version than last time.
    const QImage& image(const HeatmapColouring& colouring, const QRect& needed);
    /// Makes the picture and looks for the marks, so that the first drawing need not.
    void prepare(const HeatmapColouring& colouring);
    /// Cells (column and row within the tile) to be marked as hiding an outlier, strongest first.
    const std::vector<QPoint>& marks(const HeatmapColouring& colouring);

private:
    void colour(const HeatmapColouring& colouring, const QRect& pixels);

    CellRect rect_;
    CellStep step_;
    bool exact_;
    /// No cell lies outside the plane; opaque pictures are drawn faster.
    bool opaque_ = true;
    std::vector<float> min_;
    std::vector<float> max_;
    std::vector<float> mean_;
    std::vector<float> rms_;
    QImage image_;
    /// What of the picture is coloured, in version imageVersion_.
    QRect coloured_;
    std::uint64_t imageVersion_ = 0;
    std::vector<QPoint> marks_;
    std::uint64_t marksVersion_ = 0;
};

} // namespace kvscope::views
