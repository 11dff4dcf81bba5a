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
// Height of a mark below running text, which is not the text of the marked columns.
constexpr int kMarkHeight = 3;

/// 1, or the smallest of 2, 5, 10, 20, 50 ... tokens that fill a readable piece; stable while the user pans.
std::int64_t readableSlots(double pixelsPerSlot) {
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

QRect TokenStrip::area() const {
    const QRect axisArea = axis_->axisRect()->rect();
    return {axisArea.left(), rect().top(), axisArea.width(), rect().height()};
}

std::int64_t TokenStrip::slotsPerPiece() const {
    const double pixelsPerSlot = axis_->axisRect()->width() / std::max(axis_->range().size(), 1e-9);
    return pixelsPerSlot > 0 ? readableSlots(pixelsPerSlot) : 1;
}

std::optional<TokenStrip::FoundText> TokenStrip::foundText() const {
    if (!visible() || currentMatch_ < 0 || currentMatch_ >= static_cast<int>(matches_.size()) || slotsPerPiece() == 1)
        return std::nullopt;
    const TokenMatch& match = matches_[static_cast<std::size_t>(currentMatch_)];
    const QRectF strip = area();
    const double middle = axis_->coordToPixel(static_cast<double>(match.begin + match.end - 1) / 2);
    if (middle < strip.left() || middle > strip.right())
        return std::nullopt;
    QString text;
    for (std::int64_t slot = match.begin; slot < match.end; ++slot)
        text += tokens_.text(slot);
    const QFontMetricsF metrics(mParentPlot->font());
    text = metrics.elidedText(text.trimmed(), Qt::ElideRight, strip.width() - 8);
    const double width = std::min(strip.width(), metrics.horizontalAdvance(text) + 8);
    const double left = std::clamp(middle - width / 2, strip.left(), strip.right() - width);
    return FoundText{QRectF(left, strip.top(), width, strip.height()), text};
}

std::vector<TokenStrip::Piece> TokenStrip::visiblePieces() const {
    std::vector<Piece> pieces;
    const QCPRange range = axis_->range();
    const double pixelsPerSlot = axis_->axisRect()->width() / std::max(range.size(), 1e-9);
    if (!visible() || !(pixelsPerSlot > 0))
        return pieces;
    const std::int64_t tokens = slotsPerPiece();
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
    const int height = slotsPerPiece() == 1 ? area.height() : kMarkHeight;
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
        painter->fillRect(QRectF(left, area.bottom() + 1 - height, right - left, height), colour);
    }
}

void TokenStrip::draw(QCPPainter* painter) {
    const QRect area = this->area();
    const QPalette palette = mParentPlot->palette();
    const QFontMetrics metrics(mParentPlot->font());
    painter->save();
    painter->setClipRect(area);
    painter->setFont(mParentPlot->font());
    painter->fillRect(area, palette.color(QPalette::Base));
    if (slotsPerPiece() == 1)
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
        const Qt::Alignment alignment = Qt::AlignVCenter | (single ? Qt::AlignHCenter : Qt::AlignLeft);
        painter->drawText(box, static_cast<int>(alignment) | Qt::TextSingleLine,
                          metrics.elidedText(text, Qt::ElideRight, static_cast<int>(box.width())));
    }
    if (slotsPerPiece() > 1)
        drawMatches(painter, area);
    if (const auto found = foundText()) {
        painter->fillRect(found->box, palette.color(QPalette::Highlight));
        painter->setPen(palette.color(QPalette::HighlightedText));
        painter->drawText(found->box, Qt::AlignCenter | Qt::TextSingleLine, found->text);
    }
    painter->restore();
}

} // namespace kvscope::views
