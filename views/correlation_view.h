// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/single_chart_view.h"

class QCheckBox;

namespace kvscope::views {

/// How alike the tokens of the selected layer are that lie 1, 2, 3 ... apart.
class CorrelationView : public SingleChartView {
    Q_OBJECT

public:
    CorrelationView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] QString exportName() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;

private:
    [[nodiscard]] const LagCorrelation* correlationOf(KindChoice choice) const;

    QCheckBox* unbiased_;
};

} // namespace kvscope::views
