// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/token_strip.h"

#include <QFontMetrics>
#include <QPalette>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr double kLeastTokenPixels = 22;
constexpr double kLeastPiecePixels = 120;
// Enough text to fill any piece: no letter is narrower than this.
constexpr double kLeastLetterPixels = 3;

/// 1, or the smallest of 2, 5, 10, 20, 50 ... tokens that fill a readable piece; stable while the user pans.
std::int64_t slotsPerPiece(double pixelsPerSlot) {
    if (pixelsPerSlot >= kLeastTokenPixels)
        return 1;
    std::int64_t decade = 1;
    while (true) {
        for (const std::int64_t digit : {2, 5, 10}) {
            if (static_cast<double>(digit * decade) * pixelsPerSlot >= kLeastPiecePixels)
                return digit * decade;
        }
        decade *= 10;
    }
}

} // namespace

TokenStrip::TokenStrip(QCustomPlot* plot, QCPAxis* tokenAxis)
    : QCPLayoutElement(plot)
    , axis_(tokenAxis) {
    setMinimumMargins({});
    setMargins({});
    setTokens({}, false);
}

void TokenStrip::setTokens(TokenAxis tokens, bool shown) {
    tokens_ = std::move(tokens);
    matches_.clear();
    currentMatch_ = -1;
    const bool visible = shown && tokens_.hasTexts();
    setVisible(visible);
    const int height = visible ? QFontMetrics(mParentPlot->font()).height() + 6 : 0;
    setMinimumSize(0, height);
    setMaximumSize(QWIDGETSIZE_MAX, height);
}

void TokenStrip::setMatches(std::vector<TokenMatch> matches, int current) {
    matches_ = std::move(matches);
    currentMatch_ = current;
}

std::vector<TokenStrip::Piece> TokenStrip::visiblePieces() const {
    std::vector<Piece> pieces;
    const QCPRange range = axis_->range();
    const double pixelsPerSlot = axis_->axisRect()->width() / std::max(range.size(), 1e-9);
    if (!visible() || !(pixelsPerSlot > 0))
        return pieces;
    const std::int64_t tokens = slotsPerPiece(pixelsPerSlot);
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(range.lower + 0.5)));
    const auto last = std::min(tokens_.slotCount() - 1, static_cast<std::int64_t>(std::floor(range.upper + 0.5)));
    const auto enough = static_cast<qsizetype>(static_cast<double>(tokens) * pixelsPerSlot / kLeastLetterPixels) + 1;
    for (std::int64_t slot = first / tokens * tokens; slot <= last; slot += tokens) {
        Piece piece{slot, std::min(tokens, tokens_.slotCount() - slot), {}};
        for (std::int64_t i = 0; i < piece.count && piece.text.size() < enough; ++i)
            piece.text += tokens_.text(slot + i);
        pieces.push_back(std::move(piece));
    }
    return pieces;
}

void TokenStrip::drawMatches(QCPPainter* painter, const QRect& area) const {
    const QPalette palette = mParentPlot->palette();
    // Marks closer than a pixel would only be drawn over each other.
    double lastRight = -1;
    for (std::size_t i = 0; i < matches_.size(); ++i) {
        const bool current = static_cast<int>(i) == currentMatch_;
        const double left = axis_->coordToPixel(static_cast<double>(matches_[i].begin) - 0.5);
        const double right = std::max(left + 2, axis_->coordToPixel(static_cast<double>(matches_[i].end) - 0.5));
        if (right < area.left() || left > area.right() || (!current && right < lastRight + 1))
            continue;
        lastRight = right;
        QColor colour = palette.color(QPalette::Highlight);
        colour.setAlpha(current ? 200 : 90);
        painter->fillRect(QRectF(left, area.top(), right - left, area.height()), colour);
    }
}

void TokenStrip::draw(QCPPainter* painter) {
    const QRect axisArea = axis_->axisRect()->rect();
    const QRect area(axisArea.left(), rect().top(), axisArea.width(), rect().height());
    const QPalette palette = mParentPlot->palette();
    const QFontMetrics metrics(mParentPlot->font());
    painter->save();
    painter->setClipRect(area);
    painter->setFont(mParentPlot->font());
    painter->fillRect(area, palette.color(QPalette::Base));
    drawMatches(painter, area);
    QColor line = palette.color(QPalette::Text);
    line.setAlpha(60);
    for (const Piece& piece : visiblePieces()) {
        const double left = axis_->coordToPixel(static_cast<double>(piece.slot) - 0.5);
        const double right = axis_->coordToPixel(static_cast<double>(piece.slot + piece.count) - 0.5);
        painter->setPen(line);
        painter->drawLine(QPointF(left, area.top()), QPointF(left, area.bottom()));
        const bool single = piece.count == 1;
        const double margin = single ? 1 : 4;
        const QString text = single ? piece.text.trimmed() : piece.text;
        // A piece that starts left of the window keeps its place, so that the text does not slide over the tokens.
        const QRectF box(left + margin, area.top(), right - left - 2 * margin, area.height());
        painter->setPen(palette.color(QPalette::Text));
        painter->drawText(box, Qt::AlignVCenter | (single ? Qt::AlignHCenter : Qt::AlignLeft) | Qt::TextSingleLine,
                          metrics.elidedText(text, Qt::ElideRight, static_cast<int>(box.width())));
    }
    painter->restore();
}

} // namespace kvscope::views
