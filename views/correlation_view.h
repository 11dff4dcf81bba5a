// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_view.h"

class QCheckBox;

namespace kvscope::views {

class ChartWidget;

/// How alike the tokens of the selected layer are that lie 1, 2, 3 ... apart.
class CorrelationView : public StatisticsView {
    Q_OBJECT

public:
    CorrelationView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] ChartWidget& chart() const { return *chart_; }

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;

private:
    [[nodiscard]] const LagCorrelation* correlationOf(KindChoice choice) const;

    std::vector<KindChoice> choices_;
    QCheckBox* unbiased_;
    ChartWidget* chart_;
};

} // namespace kvscope::views
