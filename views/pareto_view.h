// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_view.h"
#include "views/scatter_chart.h"
#include "views/statistics_table.h"

#include <optional>
#include <vector>

class QComboBox;
class QLabel;
class QStackedWidget;
class QToolButton;

namespace kvscope::views {

/// Ratio against error of every preset and of every plan tried in this session; a click on a point loads it.
class ParetoView : public CodecView {
    Q_OBJECT

public:
    ParetoView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    /// Shows one kind alone; nothing: all kinds, weighted by their size.
    void setKind(std::optional<PlaneKind> kind);
    [[nodiscard]] ScatterChart& chart() const { return *chart_; }
    [[nodiscard]] QString summary() const;
    /// The plan of a point, by its name.
    [[nodiscard]] std::vector<std::string> pointNames() const;

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

protected:
    void display() override;
    [[nodiscard]] std::optional<double> share() const override;
    void cancelWork() override;
    void resumeWork() override;
    [[nodiscard]] bool isWorkCancelled() const override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    struct Point {
        const MeasuredPlan* measured = nullptr;
        std::string name;
        /// Index into the groups of the chart.
        std::size_t group = 0;
        bool preset = false;
        double ratio = 0;
        double error = 0;
    };

    [[nodiscard]] std::optional<PlaneKind> kind() const;
    [[nodiscard]] std::vector<Point> points() const;
    [[nodiscard]] const EncodeTotals& totalsOf(const MeasuredPlan& plan) const;
    [[nodiscard]] double errorOf(const MeasuredPlan& plan) const;
    [[nodiscard]] ScatterData chartData(const std::vector<Point>& points) const;
    [[nodiscard]] StatisticsTable numbers() const;
    [[nodiscard]] QString sentence(const std::vector<Point>& points) const;
    void load(std::size_t index);

    QComboBox* kind_;
    QToolButton* tableButton_;
    QLabel* summary_;
    QStackedWidget* pages_;
    ScatterChart* chart_;
    StatisticsTableView* table_;
    std::vector<Point> shown_;
};

/// The points that no other beats in both ratio (more) and error (less), by rising ratio; of equal ones the first.
std::vector<std::size_t> paretoFront(const std::vector<QPointF>& points);

} // namespace kvscope::views
