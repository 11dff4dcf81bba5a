// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/cell_reader.h"
#include "views/heatmap_settings.h"
#include "views/token_axis.h"

#include <QString>
#include <QWidget>

#include <cstdint>
#include <vector>

namespace kvscope::views {

/// "64 tokens × 32 channels": what the cell of a step over a full-resolution column and row covers of a plane.
QString cellExtent(const MapSpec& spec, const CellStep& step, const PlaneGeometry& plane, std::int64_t column = 0,
                   std::int64_t row = 0);
/// Where a reading lies: "K · layer 3 · head 1 · channel 12 · token 57 “once” (position 1,081)".
QString describePlace(const CellReading& reading, const TokenAxis& tokens);
/// What lies there: "value -1.2345 · 64 tokens × 32 channels · -3.1 to 2.9 · mean ... · rms ...".
QString describeValues(const CellReading& reading, const KvCache& cache);

/// The lines under a heatmap: place and value under the crosshair, and the state of the picture; beside each other
/// where the pane is wide, below each other where it is narrow. What is still too long is elided and whole in the
/// tooltip.
class HeatmapReadout : public QWidget {
    Q_OBJECT

public:
    explicit HeatmapReadout(QWidget* parent = nullptr);

    void setReading(const QString& place, const QString& values);
    /// "37 of 12,288 cells clipped", and what counts as one of them.
    void setClipped(const QString& text, const QString& explanation = {});
    /// "refining 40%"
    void setProgress(const QString& text);
    /// Two lines instead of up to five, where the map would have no height left.
    void setCompact(bool compact);
    [[nodiscard]] bool isCompact() const { return compact_; }
    [[nodiscard]] const QString& place() const { return place_; }
    [[nodiscard]] const QString& values() const { return values_; }
    [[nodiscard]] const QString& clipped() const { return clipped_; }
    [[nodiscard]] const QString& progress() const { return progress_; }
    struct Line {
        QString left;
        QString right;
    };
    /// What is drawn at the present width, before eliding.
    [[nodiscard]] std::vector<Line> lines() const;

    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    [[nodiscard]] int lineCount() const;
    void updateToolTip();

    QString place_;
    QString values_;
    QString clipped_;
    QString explanation_;
    QString progress_;
    bool compact_ = false;
};

} // namespace kvscope::views
