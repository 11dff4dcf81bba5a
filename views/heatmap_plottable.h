// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/heatmap_overview.h"
#include "views/tile_cache.h"

#include <qcustomplot.h>

#include <memory>
#include <vector>

namespace kvscope::views {

/// What of a map is on screen: the step of its cells and the visible ones.
struct VisibleCells {
    CellStep step;
    CellRect rect;
};

/// Whether a drawing goes into a picture for a file and not to the screen.
[[nodiscard]] bool isForFile(const QCPPainter& painter);

/// Draws one map of a dump as tiles. A cell is at least one device pixel wide and high, so that none is hidden; cell i
/// of an axis is centred on coordinate i. What is not loaded yet shows from coarser tiles, last from the overview.
class HeatmapPlottable : public QCPAbstractPlottable {
    Q_OBJECT

public:
    HeatmapPlottable(QCPAxis* columnAxis, QCPAxis* rowAxis);

    void setCache(TileCache* cache);
    void setOverview(std::shared_ptr<const HeatmapOverview> overview);
    void setColouring(HeatmapColouring colouring);
    [[nodiscard]] const HeatmapColouring& colouring() const { return *colouring_; }
    [[nodiscard]] const std::shared_ptr<const HeatmapOverview>& overview() const { return overview_; }
    [[nodiscard]] MapShape shape() const;
    /// The part of the picture's width that is drawn, from 0 (left) to 1.
    void setSection(double from, double to);

    /// Visible cells for the axes as they are now; empty without a map.
    [[nodiscard]] VisibleCells visibleCells(double devicePixelRatio) const;
    /// Tiles of the visible cells, those in the middle first.
    [[nodiscard]] std::vector<TileKey> visibleTiles(const VisibleCells& visible) const;
    /// Of the visible cells that have come, how many there are and how many are beyond the colour range.
    struct ClipCount {
        std::int64_t cells = 0;
        std::int64_t clipped = 0;
    };
    [[nodiscard]] ClipCount countClipped(const VisibleCells& visible) const;

    /// Pixels that a drawing now covers with tiles that are there, whatever was below.
    [[nodiscard]] QRegion coveredArea(double devicePixelRatio) const;

    double selectTest(const QPointF& pos, bool onlySelectable, QVariant* details = nullptr) const override;
    QCPRange getKeyRange(bool& foundRange, QCP::SignDomain inSignDomain = QCP::sdBoth) const override;
    QCPRange getValueRange(bool& foundRange, QCP::SignDomain inSignDomain = QCP::sdBoth,
                           const QCPRange& inKeyRange = QCPRange()) const override;

signals:
    /// Tiles that the picture just drawn lacks or could have better, most urgent first; emitted after every drawing.
    void tilesWanted(const std::vector<kvscope::views::TileKey>& keys);
    /// The same for a drawing into a file.
    void pictureDrawn(const std::vector<kvscope::views::TileKey>& keys);

protected:
    [[nodiscard]] QRect clipRect() const override;
    void draw(QCPPainter* painter) override;
    void drawLegendIcon(QCPPainter* painter, const QRectF& rect) const override;

private:
    /// Where a tile's part of these cells stands; empty when it has none.
    [[nodiscard]] QRectF targetOf(const HeatmapTile& tile, const CellRect& part, double devicePixelRatio) const;
    void drawTile(QCPPainter* painter, HeatmapTile& tile, const CellRect& cells, double devicePixelRatio) const;
    void drawFallback(QCPPainter* painter, const TileKey& key, double devicePixelRatio) const;
    void drawMarks(QCPPainter* painter, HeatmapTile& tile) const;
    /// Pixel rectangle of full-resolution columns and rows, on whole device pixels.
    [[nodiscard]] QRectF pixelRect(double column, double row, double columnEnd, double rowEnd,
                                   double devicePixelRatio) const;

    TileCache* cache_ = nullptr;
    std::shared_ptr<const HeatmapOverview> overview_;
    std::shared_ptr<const HeatmapColouring> colouring_ = std::make_shared<const HeatmapColouring>();
    std::uint64_t versions_ = 0;
    double from_ = 0;
    double to_ = 1;
};

} // namespace kvscope::views
