// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_report.h"
#include "views/codec_view.h"

class QComboBox;
class QLabel;

namespace kvscope::views {

class CodecPlanBar;

/// Every figure that was measured of the plans side by side: of K, V and both weighted, of each layer, and of each head
/// or channel of the selected layer.
class CodecReportView : public CodecView {
    Q_OBJECT

public:
    CodecReportView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    void setRows(ReportRows rows);
    [[nodiscard]] ReportRows shownRows() const;
    [[nodiscard]] StatisticsTable numbers() const;

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;

protected:
    [[nodiscard]] CodecSession::Interest interest() const override;
    void display() override;

private:
    [[nodiscard]] QString sentence() const;

    QComboBox* which_;
    CodecPlanBar* plans_;
    QLabel* summary_;
    StatisticsTableView* table_;
};

} // namespace kvscope::views
