// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_table.h"

#include <QWidget>

#include <functional>
#include <optional>

class QLabel;
class QProgressBar;
class QStackedWidget;
class QToolButton;

namespace kvscope::views {

class ElidedLabel;
class FlowLayout;

/// The frame around charts: a row of controls, a sentence that says what is to be seen, the charts or (by a toggle) the
/// table of their numbers, a thin progress bar, and errors in place.
class ChartPanel : public QWidget {
    Q_OBJECT

public:
    explicit ChartPanel(QWidget* content, QWidget* parent = nullptr);

    /// Adds a control to the row above the charts, with a label.
    void addControl(const QString& label, QWidget* control, const QString& explanation);
    /// Adds a control that carries its own text.
    void addControl(QWidget* control, const QString& explanation);

    /// Which dump the charts are of: written on pictures, and over the charts where `shown`.
    void setCaption(const QString& text, bool shown);
    [[nodiscard]] QString caption() const;
    void setSummary(const QString& text);
    [[nodiscard]] QString summary() const;
    /// Says how to make the table; it is made when it is shown or asked for.
    void setTable(std::function<StatisticsTable()> make);
    /// The table as it is now, shown or not.
    [[nodiscard]] StatisticsTable currentTable() const;
    [[nodiscard]] StatisticsTableView& table() const { return *table_; }
    [[nodiscard]] QToolButton& tableButton() const { return *tableButton_; }
    /// Share done in [0, 1], or nothing when no work is under way.
    void setProgress(std::optional<double> share);
    /// Shows an error above the charts; an empty text hides it.
    void setError(const QString& text);
    [[nodiscard]] QString error() const;

    /// Draws the summary and hands the rest of the rectangle on.
    QRectF paintSummary(QPainter& painter, const QRectF& target) const;

private:
    void insertControl(QWidget* item, QWidget* control, const QString& explanation);

    FlowLayout* controls_;
    ElidedLabel* caption_;
    QLabel* summary_;
    QLabel* error_;
    QProgressBar* progress_;
    QStackedWidget* pages_;
    StatisticsTableView* table_;
    QToolButton* tableButton_;
    std::function<StatisticsTable()> makeTable_;
    QWidget* lastControl_ = nullptr;
};

} // namespace kvscope::views
