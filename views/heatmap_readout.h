// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/cell_reader.h"
#include "views/heatmap_settings.h"
#include "views/token_axis.h"

#include <QWidget>

namespace kvscope::views {

/// Where a reading lies: "K · layer 3 · head 1 · channel 12 · token 57 “once” (position 1,081)".
QString describePlace(const CellReading& reading, const TokenAxis& tokens);
/// What lies there: "value -1.2345 · cell of 64 tokens × 32 channels: min ... max ... mean ... rms ...".
QString describeValues(const CellReading& reading, const KvCache& cache);

/// The two lines under a heatmap: place and value under the crosshair on the left, state of the picture on the right.
/// Long lines are elided.
class HeatmapReadout : public QWidget {
    Q_OBJECT

public:
    explicit HeatmapReadout(QWidget* parent = nullptr);

    void setReading(const QString& place, const QString& values);
    /// "37 of 12,288 cells clipped"
    void setClipped(const QString& text);
    /// "refining 40%"
    void setProgress(const QString& text);
    [[nodiscard]] const QString& place() const { return place_; }
    [[nodiscard]] const QString& values() const { return values_; }
    [[nodiscard]] const QString& clipped() const { return clipped_; }
    [[nodiscard]] const QString& progress() const { return progress_; }

    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    QString place_;
    QString values_;
    QString clipped_;
    QString progress_;
};

} // namespace kvscope::views
