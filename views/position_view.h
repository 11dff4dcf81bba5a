// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/single_chart_view.h"

class QCheckBox;
class QComboBox;

namespace kvscope::views {

/// Statistics by token position of the selected layer: attention sinks at the start, recent tokens at the end.
/// Clicking a position selects its token everywhere.
class PositionView : public SingleChartView {
    Q_OBJECT

public:
    enum class Statistic : std::uint8_t { Rms, Norm, MaxAbs, Cosine };

    PositionView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setStatistic(Statistic statistic);

    [[nodiscard]] QString exportName() const override;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    void display() override;

private:
    [[nodiscard]] Statistic statistic() const;
    [[nodiscard]] const TokenProfile* profileOf(KindChoice choice) const;
    [[nodiscard]] QString sentence() const;
    [[nodiscard]] StatisticsTable tableOf() const;
    void selectToken(double position);

    QComboBox* statistic_;
    QCheckBox* logarithmic_;
};

} // namespace kvscope::views
