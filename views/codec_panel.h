// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_data.h"
#include "views/codec_view.h"
#include "views/statistics_table.h"

#include <optional>
#include <vector>

class QComboBox;
class QSpinBox;
class QToolButton;

namespace kvscope::views {

class CodecPlanBar;
class CodecStageEditor;
class CodecSummary;
class CodecTable;
class FlowLayout;

/// Where a plan is tuned: presets, the table of settings by layer and kind with what each costs and loses, the stages
/// of the selected cells, and the figures of the whole.
class CodecPanel : public CodecView {
    Q_OBJECT

public:
    CodecPanel(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] CodecTable& table() const { return *table_; }
    [[nodiscard]] CodecStageEditor& stages() const { return *stages_; }
    [[nodiscard]] CodecSummary& summary() const { return *summary_; }
    /// Reads or writes the current plan as JSON; errors are shown in place.
    void openPlan(const QString& path);
    void savePlan(const QString& path);

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

protected:
    [[nodiscard]] CodecSession::Interest interest() const override;
    void display() override;

private:
    void makeControls();
    void makeFileButtons();
    void editStages(const QString& what, const std::function<void(Pipeline&)>& change);
    void showStages();
    void refuse(const Error& error);
    [[nodiscard]] StatisticsTable numbers(bool readable) const;
    /// Bits or error of every layer.
    [[nodiscard]] ChartData layerChart(bool error) const;

    FlowLayout* controls_;
    QComboBox* presets_;
    QToolButton* load_;
    QToolButton* apply_;
    QSpinBox* chunk_;
    QSpinBox* prefill_;
    CodecPlanBar* plans_;
    CodecSummary* summary_;
    CodecTable* table_;
    CodecStageEditor* stages_;
    /// What the stage editor shows, so that a refused value stays where it was typed.
    struct Shown {
        std::optional<Pipeline> pipeline;
        QString title;
        bool various = false;

        bool operator==(const Shown&) const = default;
    };
    std::optional<Shown> shownStages_;
};

} // namespace kvscope::views
