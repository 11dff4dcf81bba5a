// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_data.h"
#include "views/codec_view.h"
#include "views/statistics_table.h"

#include <vector>

class QStackedWidget;
class QTabBar;
class QToolButton;

namespace kvscope::views {

class ChartWidget;
class CodecPlanBar;

/// What the plans side by side cost and lose in every layer: ratio and error of K and V (or the latent), or the bits
/// a value by what they are for, or bits and error along the tokens. Clicking a layer or a token selects it.
class CodecLayersView : public CodecView {
    Q_OBJECT

public:
    enum class Page : std::uint8_t { RatioAndError, BitsByPart, ByToken };

    CodecLayersView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setPage(Page page);
    /// The charts of the page shown: for each kind ratio and error, or bits by part.
    [[nodiscard]] std::vector<ChartWidget*> charts() const;
    [[nodiscard]] StatisticsTable numbers() const;

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

protected:
    [[nodiscard]] CodecSession::Interest interest() const override;
    void display() override;

private:
    enum class Measure : std::uint8_t { Ratio, Error, Parts, TokenBits, TokenError };
    struct Panel {
        PlaneKind kind = PlaneKind::Key;
        Measure measure = Measure::Ratio;
        ChartWidget* chart = nullptr;
    };

    [[nodiscard]] Page page() const;
    [[nodiscard]] ChartData chartOf(PlaneKind kind, Measure measure) const;
    [[nodiscard]] ChartData partsOf(PlaneKind kind) const;
    [[nodiscard]] ChartData tokensOf(PlaneKind kind, Measure measure) const;
    [[nodiscard]] const std::vector<Panel>& panels() const;
    [[nodiscard]] StatisticsTable tokenNumbers() const;
    void selectToken(std::int64_t token);
    [[nodiscard]] std::int64_t tokenStride() const;
    [[nodiscard]] Panel makePanel(PlaneKind kind, Measure measure);

    QTabBar* pages_;
    QToolButton* tableButton_;
    CodecPlanBar* plans_;
    QStackedWidget* stack_;
    StatisticsTableView* table_;
    std::vector<Panel> lines_;
    std::vector<Panel> parts_;
    std::vector<Panel> tokens_;
};

} // namespace kvscope::views
