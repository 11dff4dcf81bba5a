// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"

#include <QWidget>

#include <vector>

namespace kvscope::views {

/// One figure of a summary: its value with unit, and what it is.
struct SummaryFigure {
    QString value;
    QString caption;
    QString explanation;
    /// Tells it from the others where the caption changes with what it says; empty: the caption does.
    QString key = {};
};

/// The figures of a report: size, ratios, errors of each kind, speeds, and what the published accounting and the
/// symbols' entropy would say. Figures that are not known are left out.
std::vector<SummaryFigure> summaryFigures(const EncodeReport& report, const std::vector<PlaneKind>& kinds);

/// Shows figures in as many columns as there is room for, whatever they say; captions under values, explanations in
/// tooltips. A figure too long for its column takes several.
class CodecSummary : public QWidget {
    Q_OBJECT

public:
    explicit CodecSummary(QWidget* parent = nullptr);

    /// `pending` dims the figures: some of them are from before the last change. Those that are not known again yet
    /// stay, so that the others keep their places.
    void setFigures(std::vector<SummaryFigure> figures, bool pending);
    [[nodiscard]] const std::vector<SummaryFigure>& figures() const { return figures_; }
    /// Where a figure stands in the widget.
    [[nodiscard]] QRectF cellOf(std::size_t figure) const { return layoutFor(width()).cells.at(figure); }
    /// Draws them; returns what is left of the rectangle.
    QRectF paintTo(QPainter& painter, const QRectF& target) const;

    [[nodiscard]] bool hasHeightForWidth() const override { return true; }
    [[nodiscard]] int heightForWidth(int width) const override;
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    bool event(QEvent* event) override;
    void paintEvent(QPaintEvent* event) override;

private:
    struct Layout {
        std::vector<QRectF> cells;
        double height = 0;
    };
    [[nodiscard]] Layout layoutFor(double width) const;
    [[nodiscard]] QFont valueFont() const;
    [[nodiscard]] QFont captionFont() const;

    std::vector<SummaryFigure> figures_;
    bool pending_ = false;
};

} // namespace kvscope::views
