// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/document.h"
#include "views/heatmap_plot.h"

#include <QPointer>
#include <QWidget>

#include <optional>
#include <set>
#include <utility>

class QDoubleSpinBox;
class QLabel;

namespace kvscope::views {

/// A brush over a map of layers by tokens: while its bar is open, dragging over the picture gives the chunks of the
/// current plan that it passes so many bits a value. A stroke is one undo step; Enter paints the chunk under the
/// crosshair, Escape puts the brush away.
class PlanBrush : public QWidget {
    Q_OBJECT

public:
    PlanBrush(HeatmapPlot* plot, QWidget* parent);

    /// What is painted on; nothing where the map shown has no layers by tokens of a plan.
    void setTarget(Document* document, const std::optional<MapSpec>& map);
    void open();
    void close();
    [[nodiscard]] bool isOpen() const { return !isHidden(); }
    [[nodiscard]] double bits() const;
    void setBits(double bits);
    /// Why nothing can be painted; empty when something can.
    [[nodiscard]] QString problem() const;

signals:
    void closed();
    void failed(const kvscope::Error& error);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    [[nodiscard]] bool canPaint() const;
    /// Paints the chunks from one cell to the next, as far as this stroke has not painted them.
    void paint(const MapCell& from, const MapCell& to);
    void endStroke();
    /// Frames the chunk that a press here would paint.
    void preview(const QPointF& pixel);
    void showProblem(const QString& text);

    HeatmapPlot* plot_;
    QPointer<Document> document_;
    std::optional<MapSpec> map_;
    QDoubleSpinBox* bits_;
    QLabel* problem_;
    /// The cell painted last; nothing between strokes.
    std::optional<MapCell> last_;
    /// Layers and chunks of this stroke.
    std::set<std::pair<std::int64_t, std::int64_t>> painted_;
};

} // namespace kvscope::views
