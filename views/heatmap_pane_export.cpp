// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_parts.h"
#include "views/colour_bar.h"
#include "views/heatmap_pane.h"
#include "views/heatmap_plan_layers.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QPicture>

#include <algorithm>

namespace kvscope::views {

namespace {

QString toText(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

QString titleOf(const MapSpec& spec, const QString& label, const CacheInfo& info) {
    QString title = QStringLiteral("%1 · %2 · %3").arg(toText(kvscope::nameOf(spec.kind)), nameOf(spec.map), label);
    if (spec.map == MapKind::TokenChannel || spec.map == MapKind::HeadToken)
        title += QStringLiteral(" · layer %1").arg(spec.layer.value);
    if (spec.head)
        title += QStringLiteral(", head %1").arg(spec.head->value);
    title += QStringLiteral(" · %1").arg(QString::fromStdString(info.name));
    return info.synthetic ? title + QStringLiteral(" (synthetic)") : title;
}

/// Full-resolution index of a cell, or the range it stands for: "128" or "128-191".
QString cellName(std::int64_t cell, std::int64_t step, std::int64_t extent, std::int64_t offset) {
    const std::int64_t first = cell * step;
    const std::int64_t last = std::min(first + step, extent) - 1;
    return first == last ? QString::number(first + offset)
                         : QStringLiteral("%1-%2").arg(first + offset).arg(last + offset);
}

double titleHeight(const QFont& font) {
    return QFontMetricsF(font).height() + 6;
}

} // namespace

QString HeatmapPane::exportName() const {
    const auto map = shownMap();
    if (!map)
        return QStringLiteral("heatmap");
    QString name = QStringLiteral("%1 %2 %3")
                       .arg(toText(kvscope::nameOf(map->kind)), nameOf(map->map), nameOf(settings_.reduction));
    return name.replace(QStringLiteral(" × "), QStringLiteral("-"));
}

QSize HeatmapPane::plotSize(const QSizeF& size) const {
    const QFont font = chartFont(*this);
    double width = size.width() - colourBarWidth(colourBar_->contents(), font);
    if (!errorBar_->isHidden())
        width -= colourBarWidth(errorBar_->contents(), font);
    return QSizeF(width, size.height() - titleHeight(font)).toSize().expandedTo(QSize(60, 40));
}

QPicture HeatmapPane::pictureOf(const QSizeF& size) {
    // The crosshair is where the mouse happens to be; it is no part of the picture.
    const auto crosshair = plot_->overlay().crosshair();
    const auto guide = plot_->overlay().guide();
    plot_->overlay().setCrosshair(std::nullopt);
    plot_->overlay().setGuide(std::nullopt);
    QPicture picture;
    QCPPainter recorder(&picture);
    recorder.setModes(QCPPainter::pmVectorized | QCPPainter::pmNoCaching | QCPPainter::pmNonCosmetic);
    const QSize area = plotSize(size);
    plot_->fitTicks(area);
    plot_->toPainter(&recorder, area.width(), area.height());
    recorder.end();
    plot_->fitTicks(plot_->size());
    plot_->overlay().setCrosshair(crosshair);
    plot_->overlay().setGuide(guide);
    plot_->replot(QCustomPlot::rpQueuedReplot);
    return picture;
}

void HeatmapPane::prepare(const QSizeF& size) {
    if (tiles_ == nullptr)
        return;
    // Drawing tells which tiles it needs.
    const auto drawn = connect(&plot_->heatmap(), &HeatmapPlottable::pictureDrawn, this,
                               [this](const std::vector<TileKey>& keys) { exportTiles_ = keys; });
    plan_->prepare([&] { pictureOf(size); });
    disconnect(drawn);
    tiles_->setByteLimit(std::max(kTileBytes, 3 * exportTiles_.size() * kTileCells * kTileCells * 2 * sizeof(QRgb)));
    wasReady_ = false;
}

void HeatmapPane::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    const QFont font = chartFont(*this);
    painter.save();
    painter.fillRect(target, theme.background);
    painter.setClipRect(target);
    const auto map = shownMap();
    const double title = titleHeight(font);
    if (map) {
        painter.setFont(font);
        painter.setPen(theme.text);
        painter.drawText(QRectF(target.left() + 6, target.top(), target.width() - 12, title),
                         Qt::AlignLeft | Qt::AlignVCenter | Qt::TextSingleLine,
                         QFontMetricsF(font).elidedText(titleOf(*map, valueLabel(), document_->cache().info()),
                                                        Qt::ElideRight, target.width() - 12));
    }
    painter.translate(target.left(), target.top() + title);
    painter.drawPicture(0, 0, pictureOf(target.size()));
    if (map) {
        const QSize area = plotSize(target.size());
        const int own = colourBarWidth(colourBar_->contents(), font);
        paintColourBar(painter, QRectF(area.width(), 0, own, area.height()), colourBar_->contents(), theme, font);
        if (!errorBar_->isHidden())
            paintColourBar(painter, QRectF(area.width() + own, 0, target.width() - area.width() - own, area.height()),
                           errorBar_->contents(), theme, font);
    }
    painter.restore();
    exportTiles_.clear();
    plan_->endExport();
    if (tiles_ != nullptr)
        tiles_->setByteLimit(kTileBytes);
}

QString HeatmapPane::toCsv() const {
    const auto map = shownMap();
    if (!map)
        return {};
    const HeatmapPlottable& heatmap = frontMap();
    TileCache* tiles = plan_->front() != nullptr ? plan_->front()->tiles() : tiles_.get();
    if (tiles == nullptr)
        return {};
    const VisibleCells visible = heatmap.visibleCells(devicePixelRatioF());
    const MapShape shape = heatmap.shape();
    const std::int64_t rowOffset = firstChannel(*map, document_->cache().geometry());
    const bool columnsAreTokens = map->map != MapKind::LayerChannel;
    const QString rowName = plot_->yAxis->label().section(u' ', 0, 0);

    // One line a row of cells; the tiles of a line are fetched once.
    QString csv = QStringLiteral("%1 (%2)").arg(rowName, valueLabel());
    for (std::int64_t c = 0; c < visible.rect.columns; ++c) {
        csv += QStringLiteral(",%1 %2").arg(columnsAreTokens ? QStringLiteral("token") : QStringLiteral("channel"),
                                            cellName(visible.rect.column + c, visible.step.columns, shape.columns, 0));
    }
    csv += u'\n';
    // Tile by tile along a band of rows, so that a reduction is computed once a tile.
    const int mapId = tiles->mapId(*map);
    const std::int64_t firstTile = visible.rect.column / kTileCells;
    const std::int64_t lastTile = (visible.rect.column + visible.rect.columns - 1) / kTileCells;
    std::vector<const HeatmapTile*> band;
    std::vector<std::vector<float>> bandValues;
    for (std::int64_t row = visible.rect.row; row < visible.rect.row + visible.rect.rows; ++row) {
        if (band.empty() || row % kTileCells == 0) {
            band.clear();
            bandValues.clear();
            for (std::int64_t tile = firstTile; tile <= lastTile; ++tile) {
                std::vector<float> scratch;
                band.push_back(tiles->find({mapId, visible.step, tile, row / kTileCells}));
                const auto values = band.back() != nullptr ? band.back()->values(settings_.reduction, scratch)
                                                           : std::span<const float>();
                bandValues.emplace_back(values.begin(), values.end());
            }
        }
        csv += cellName(row, visible.step.rows, shape.rows, rowOffset);
        const float factor = heatmap.colouring().factor(row * visible.step.rows);
        for (std::int64_t c = 0; c < visible.rect.columns; ++c) {
            const std::int64_t column = visible.rect.column + c;
            const auto place = static_cast<std::size_t>(column / kTileCells - firstTile);
            csv += u',';
            if (band[place] == nullptr)
                continue;
            const CellRect& rect = band[place]->rect();
            const auto index = static_cast<std::size_t>((row - rect.row) * rect.columns + column - rect.column);
            csv += formatExact(static_cast<double>(bandValues[place][index] * factor));
        }
        csv += u'\n';
    }
    return csv;
}

} // namespace kvscope::views
