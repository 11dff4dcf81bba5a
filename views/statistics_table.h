// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <QVariant>

#include <vector>

namespace kvscope::views {

/// The numbers behind a chart: named columns with units, rows of numbers, counts and names.
struct StatisticsTable {
    struct Column {
        QString title;
        /// Shown in parentheses in the header; empty where there is none.
        QString unit;
        /// What the term means, shown as a tooltip.
        QString explanation;
        /// Behind each number lies a bar as long as its share of the column's largest.
        bool bars = false;

        bool operator==(const Column&) const = default;
        /// "title (unit)".
        [[nodiscard]] QString header() const;
    };

    std::vector<Column> columns;
    /// One value a column: double, qlonglong or QString; an invalid one is shown empty.
    std::vector<std::vector<QVariant>> rows;
    /// What each row's first cell means, shown as its tooltip; empty, or one a row.
    std::vector<QString> rowExplanations;

    /// The table as comma-separated values with a header line; numbers with all their digits.
    [[nodiscard]] QString toCsv() const;
};

/// Shows a StatisticsTable. Numbers are right-aligned and shown with four significant digits; the sort role has them in
/// full.
class StatisticsTableModel : public QAbstractTableModel {
    Q_OBJECT

public:
    /// Role of the value itself, for sorting and copying.
    static constexpr int kValueRole = Qt::UserRole;
    /// Role of a bar's length, 0 to 1; invalid in columns without bars.
    static constexpr int kBarRole = Qt::UserRole + 1;

    using QAbstractTableModel::QAbstractTableModel;

    /// Replaces the contents; when only values changed, the selection and the scroll position of views survive.
    void setTable(StatisticsTable table);
    [[nodiscard]] const StatisticsTable& table() const { return table_; }

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

private:
    void findLargest();

    StatisticsTable table_;
    /// The largest value of each column with bars, else 0.
    std::vector<double> largest_;
};

/// Sorts by value: numbers as numbers with NaN last, names in natural order.
class StatisticsSortModel : public QSortFilterProxyModel {
    Q_OBJECT

public:
    explicit StatisticsSortModel(QObject* parent = nullptr);

protected:
    [[nodiscard]] bool lessThan(const QModelIndex& left, const QModelIndex& right) const override;
};

/// A sortable table of statistics. Ctrl+C copies the selected rows (all when none is selected) with headers as
/// tab-separated values, in the order shown.
class StatisticsTableView : public QTableView {
    Q_OBJECT

public:
    explicit StatisticsTableView(QWidget* parent = nullptr);

    void setTable(StatisticsTable table);
    [[nodiscard]] const StatisticsTable& table() const { return model_->table(); }
    /// What Ctrl+C puts on the clipboard.
    [[nodiscard]] QString selectionAsTsv() const;

signals:
    /// A row was activated (double click, Enter): its index in the unsorted table.
    void rowActivated(int row);

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    void copy() const;

    StatisticsTableModel* model_;
    StatisticsSortModel* sorted_;
};

} // namespace kvscope::views
