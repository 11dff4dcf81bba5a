// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kvscope::views {

namespace {

// A mark must say something that the colour does not: the hidden value is this much above the cell's rms.
constexpr float kHiddenFactor = 2.5F;
constexpr std::size_t kMostMarks = 48;

float standardDeviation(float mean, float rms) {
    const double variance = static_cast<double>(rms) * rms - static_cast<double>(mean) * mean;
    return static_cast<float>(std::sqrt(std::max(variance, 0.0)));
}

} // namespace

float HeatmapColouring::factor(std::int64_t row) const {
    const auto index = static_cast<std::size_t>(row);
    return index < rowFactors.size() ? rowFactors[index] : 1.0F;
}

HeatmapTile::HeatmapTile(const CellBlock& block)
    : rect_(block.rect)
    , step_(block.step)
    , exact_(block.exact) {
    const std::size_t count = block.cells.size();
    min_.reserve(count);
    max_.reserve(count);
    mean_.reserve(count);
    rms_.reserve(count);
    for (const Cell& cell : block.cells) {
        if (cell.hasNonFinite) {
            for (auto* plane : {&min_, &max_, &mean_, &rms_})
                plane->push_back(std::numeric_limits<float>::infinity());
            continue;
        }
        min_.push_back(cell.min);
        max_.push_back(cell.max);
        mean_.push_back(cell.mean);
        rms_.push_back(cell.rms);
        opaque_ = opaque_ && cell.count > 0;
    }
}

std::size_t HeatmapTile::bytesWithPicture() const {
    return (4 * sizeof(float) + sizeof(QRgb)) * min_.size() + sizeof(QPoint) * marks_.size() + sizeof(HeatmapTile);
}

float HeatmapTile::maxAbs(std::size_t index) const {
    return std::max(std::abs(min_[index]), std::abs(max_[index]));
}

std::span<const float> HeatmapTile::values(Reduction reduction, std::vector<float>& scratch) const {
    switch (reduction) {
    case Reduction::Rms:
        return rms_;
    case Reduction::Mean:
        return mean_;
    case Reduction::Min:
        return min_;
    case Reduction::Max:
        return max_;
    case Reduction::MaxAbs:
        scratch.resize(min_.size());
        for (std::size_t i = 0; i < scratch.size(); ++i)
            scratch[i] = maxAbs(i);
        return scratch;
    case Reduction::Std:
        scratch.resize(min_.size());
        for (std::size_t i = 0; i < scratch.size(); ++i)
            scratch[i] = std::isfinite(rms_[i]) ? standardDeviation(mean_[i], rms_[i]) : rms_[i];
        return scratch;
    case Reduction::SignedRms:
        scratch.resize(min_.size());
        for (std::size_t i = 0; i < scratch.size(); ++i)
            scratch[i] = mean_[i] < 0 ? -rms_[i] : rms_[i];
        return scratch;
    }
    return {};
}

const QImage& HeatmapTile::image(const HeatmapColouring& colouring, const QRect& needed) {
    const QRect whole(0, 0, static_cast<int>(rect_.columns), static_cast<int>(rect_.rows));
    if (image_.isNull())
        image_ = QImage(whole.size(), opaque_ ? QImage::Format_RGB32 : QImage::Format_ARGB32_Premultiplied);
    if (imageVersion_ == colouring.version && coloured_.contains(needed))
        return image_;
    // While a range is dragged, only what is on screen counts; what a pan then brings comes with all of its tile.
    const QRect pixels = imageVersion_ == colouring.version ? whole : needed.intersected(whole);
    colour(colouring, pixels);
    imageVersion_ = colouring.version;
    coloured_ = pixels;
    return image_;
}

void HeatmapTile::prepare(const HeatmapColouring& colouring) {
    image(colouring, QRect(0, 0, static_cast<int>(rect_.columns), static_cast<int>(rect_.rows)));
    marks(colouring);
}

void HeatmapTile::colour(const HeatmapColouring& colouring, const QRect& pixels) {
    std::vector<float> scratch;
    const auto cells = values(colouring.reduction, scratch);
    const auto columns = static_cast<std::size_t>(rect_.columns);
    for (int row = pixels.top(); row <= pixels.bottom(); ++row) {
        const auto first = static_cast<std::size_t>(row) * columns + static_cast<std::size_t>(pixels.left());
        colouring.scale.colourise(cells.subspan(first, static_cast<std::size_t>(pixels.width())),
                                  colouring.factor((rect_.row + row) * step_.rows),
                                  reinterpret_cast<QRgb*>(image_.scanLine(row)) + pixels.left());
    }
}

const std::vector<QPoint>& HeatmapTile::marks(const HeatmapColouring& colouring) {
    if (marksVersion_ == colouring.marksVersion)
        return marks_;
    marksVersion_ = colouring.marksVersion;
    marks_.clear();
    if (colouring.markLimits.empty())
        return marks_;
    struct Found {
        float excess;
        QPoint place;
    };
    std::vector<Found> found;
    for (std::int64_t row = 0; row < rect_.rows; ++row) {
        const auto first = static_cast<std::size_t>((rect_.row + row) * step_.rows);
        const auto last = std::min(first + static_cast<std::size_t>(step_.rows), colouring.markLimits.size());
        if (first >= last)
            break;
        const auto begin = colouring.markLimits.begin();
        const float limit =
            *std::max_element(begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(last));
        for (std::int64_t column = 0; column < rect_.columns; ++column) {
            const auto index = static_cast<std::size_t>(row * rect_.columns + column);
            const float largest = maxAbs(index);
            if (largest > limit && std::isfinite(largest) && largest > kHiddenFactor * rms_[index])
                found.push_back({largest / limit, QPoint(static_cast<int>(column), static_cast<int>(row))});
        }
    }
    const auto kept = std::min(found.size(), kMostMarks);
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
                      [](const Found& a, const Found& b) { return a.excess > b.excess; });
    for (std::size_t i = 0; i < kept; ++i)
        marks_.push_back(found[i].place);
    return marks_;
}

} // namespace kvscope::views
