// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/chart_parts.h"
#include "views/colour_bar.h"
#include "views/heatmap_pane.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QPicture>

#include <algorithm>

namespace kvscope::views {

namespace {

QString toText(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

QString titleOf(const MapSpec& spec, const HeatmapSettings& settings, const CacheInfo& info) {
    QString title =
        QStringLiteral("%1 · %2 · %3").arg(toText(kvscope::nameOf(spec.kind)), nameOf(spec.map), settings.valueLabel());
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

} // namespace

QString HeatmapPane::exportName() const {
    const auto map = shownMap();
    if (!map)
        return QStringLiteral("heatmap");
    QString name = QStringLiteral("%1 %2 %3")
                       .arg(toText(kvscope::nameOf(map->kind)), nameOf(map->map), nameOf(settings_.reduction));
    return name.replace(QStringLiteral(" × "), QStringLiteral("-"));
}

void HeatmapPane::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    const QFont font = chartFont(*this);
    painter.save();
    painter.fillRect(target, theme.background);
    painter.setClipRect(target);
    const auto map = shownMap();
    const double titleHeight = QFontMetricsF(font).height() + 6;
    if (map) {
        painter.setFont(font);
        painter.setPen(theme.text);
        painter.drawText(QRectF(target.left() + 6, target.top(), target.width() - 12, titleHeight),
                         Qt::AlignLeft | Qt::AlignVCenter | Qt::TextSingleLine,
                         QFontMetricsF(font).elidedText(titleOf(*map, settings_, document_->cache().info()),
                                                        Qt::ElideRight, target.width() - 12));
    }
    const int barWidth = colourBarWidth(colourBar_->contents(), font);
    const QSize size =
        QSizeF(target.width() - barWidth, target.height() - titleHeight).toSize().expandedTo(QSize(60, 40));
    QPicture picture;
    {
        // The crosshair is where the mouse happens to be; it is no part of the picture.
        const auto crosshair = plot_->overlay().crosshair();
        const auto guide = plot_->overlay().guide();
        plot_->overlay().setCrosshair(std::nullopt);
        plot_->overlay().setGuide(std::nullopt);
        QCPPainter recorder(&picture);
        recorder.setModes(QCPPainter::pmVectorized | QCPPainter::pmNoCaching | QCPPainter::pmNonCosmetic);
        plot_->toPainter(&recorder, size.width(), size.height());
        recorder.end();
        plot_->overlay().setCrosshair(crosshair);
        plot_->overlay().setGuide(guide);
    }
    painter.translate(target.left(), target.top() + titleHeight);
    painter.drawPicture(0, 0, picture);
    if (map)
        paintColourBar(painter, QRectF(size.width(), 0, barWidth, size.height()), colourBar_->contents(), theme, font);
    painter.restore();
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

QString HeatmapPane::toCsv() const {
    const auto map = shownMap();
    if (!map)
        return {};
    const HeatmapPlottable& heatmap = plot_->heatmap();
    const VisibleCells visible = heatmap.visibleCells(devicePixelRatioF());
    const MapShape shape = heatmap.shape();
    const std::int64_t rowOffset = firstChannel(*map, document_->cache().geometry());
    const bool columnsAreTokens = map->map != MapKind::LayerChannel;
    const QString rowName = plot_->yAxis->label().section(u' ', 0, 0);

    // One line a row of cells; the tiles of a line are fetched once.
    QString csv = QStringLiteral("%1 (%2)").arg(rowName, settings_.valueLabel());
    for (std::int64_t c = 0; c < visible.rect.columns; ++c) {
        csv += QStringLiteral(",%1 %2").arg(columnsAreTokens ? QStringLiteral("token") : QStringLiteral("channel"),
                                            cellName(visible.rect.column + c, visible.step.columns, shape.columns, 0));
    }
    csv += u'\n';
    const int mapId = tiles_->mapId(*map);
    std::vector<float> scratch;
    for (std::int64_t row = visible.rect.row; row < visible.rect.row + visible.rect.rows; ++row) {
        csv += cellName(row, visible.step.rows, shape.rows, rowOffset);
        const float factor = heatmap.colouring().factor(row * visible.step.rows);
        const std::int64_t end = visible.rect.column + visible.rect.columns;
        for (std::int64_t column = visible.rect.column; column < end;) {
            const std::int64_t tileColumn = column / kTileCells;
            const std::int64_t tileEnd = std::min(end, (tileColumn + 1) * kTileCells);
            const HeatmapTile* tile = tiles_->find({mapId, visible.step, tileColumn, row / kTileCells});
            const auto values = tile != nullptr ? tile->values(settings_.reduction, scratch) : std::span<const float>();
            for (; column < tileEnd; ++column) {
                csv += u',';
                if (tile == nullptr)
                    continue;
                const CellRect& rect = tile->rect();
                const auto index = (row - rect.row) * rect.columns + (column - rect.column);
                csv += formatExact(static_cast<double>(values[static_cast<std::size_t>(index)] * factor));
            }
        }
        csv += u'\n';
    }
    return csv;
}

} // namespace kvscope::views
