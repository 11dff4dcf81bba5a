// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/token_axis.h"

#include <qcustomplot.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace kvscope::views {

/// Slots [begin, end) that a search found.
struct TokenMatch {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    bool operator==(const TokenMatch&) const = default;
};

/// A line of text above the heatmap with each token over its column; where columns are too narrow, the running text of
/// every n-th token, elided. Also shows where a search found its text. Takes no room when there are no texts.
class TokenStrip : public QCPLayoutElement {
    Q_OBJECT

public:
    TokenStrip(QCustomPlot* plot, QCPAxis* tokenAxis);

    void setTokens(TokenAxis tokens, bool shown);
    void setMatches(std::vector<TokenMatch> matches, int current);
    [[nodiscard]] const std::vector<TokenMatch>& matches() const { return matches_; }

    /// What is drawn over the axis as it stands: the first slot of each piece and its text before eliding.
    struct Piece {
        std::int64_t slot = 0;
        std::int64_t count = 1;
        QString text;
    };
    [[nodiscard]] std::vector<Piece> visiblePieces() const;

    /// The text that the search is at and where it is drawn, while columns are too narrow for texts of their own: the
    /// running text under a mark would be another one.
    struct FoundText {
        QRectF box;
        QString text;
    };
    [[nodiscard]] std::optional<FoundText> foundText() const;

protected:
    void draw(QCPPainter* painter) override;

private:
    [[nodiscard]] QRect area() const;
    [[nodiscard]] std::int64_t slotsPerPiece() const;
    void drawMatches(QCPPainter* painter, const QRect& area) const;

    QCPAxis* axis_;
    TokenAxis tokens_;
    std::vector<TokenMatch> matches_;
    int currentMatch_ = -1;
};

} // namespace kvscope::views
