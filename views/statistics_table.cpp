// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/statistics_table.h"

#include "views/number_format.h"

#include <QClipboard>
#include <QContextMenuEvent>
#include <QGuiApplication>
#include <QHeaderView>
#include <QKeyEvent>
#include <QMenu>
#include <QPainter>
#include <QStyledItemDelegate>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr int kRowsMeasured = 60;

bool isNumber(const QVariant& value) {
    return value.typeId() == QMetaType::Double || value.typeId() == QMetaType::LongLong;
}

QString exactText(const QVariant& value) {
    return value.typeId() == QMetaType::Double ? formatExact(value.toDouble()) : value.toString();
}

QString csvField(const QString& text) {
    if (!text.contains(u',') && !text.contains(u'"') && !text.contains(u'\n'))
        return text;
    QString quoted = text;
    quoted.replace(u'"', QStringLiteral("\"\""));
    return u'"' + quoted + u'"';
}

} // namespace

QString StatisticsTable::Column::header() const {
    return unit.isEmpty() ? title : title + QStringLiteral(" (") + unit + u')';
}

QString StatisticsTable::toCsv() const {
    QString text;
    const auto addLine = [&text](const QStringList& fields) { text += fields.join(u',') + u'\n'; };
    QStringList fields;
    for (const Column& column : columns)
        fields << csvField(column.header());
    addLine(fields);
    for (const auto& row : rows) {
        fields.clear();
        for (const QVariant& value : row)
            fields << csvField(exactText(value));
        addLine(fields);
    }
    return text;
}

void StatisticsTableModel::findLargest() {
    largest_.assign(table_.columns.size(), 0.0);
    for (std::size_t column = 0; column < largest_.size(); ++column) {
        for (const auto& row : table_.rows) {
            if (table_.columns[column].bars && column < row.size() && isNumber(row[column]))
                largest_[column] = std::max(largest_[column], row[column].toDouble());
        }
    }
}

void StatisticsTableModel::setTable(StatisticsTable table) {
    if (table.columns == table_.columns && table.rows.size() == table_.rows.size()) {
        table_ = std::move(table);
        findLargest();
        if (!table_.rows.empty() && !table_.columns.empty())
            emit dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1));
        return;
    }
    beginResetModel();
    table_ = std::move(table);
    findLargest();
    endResetModel();
}

int StatisticsTableModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(table_.rows.size());
}

int StatisticsTableModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(table_.columns.size());
}

QVariant StatisticsTableModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const auto& row = table_.rows[static_cast<std::size_t>(index.row())];
    const auto column = static_cast<std::size_t>(index.column());
    if (column >= row.size())
        return {};
    const QVariant& value = row[column];
    switch (role) {
    case Qt::DisplayRole:
        if (value.typeId() == QMetaType::Double)
            return formatNumber(value.toDouble(), 4, true);
        if (value.typeId() == QMetaType::LongLong)
            return formatCount(value.toLongLong());
        return value;
    case Qt::ToolTipRole:
        if (column == 0 && static_cast<std::size_t>(index.row()) < table_.rowExplanations.size())
            return table_.rowExplanations[static_cast<std::size_t>(index.row())];
        return isNumber(value) ? exactText(value) : QVariant();
    case Qt::TextAlignmentRole:
        return static_cast<int>((isNumber(value) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    case kValueRole:
        return value;
    case kBarRole:
        return largest_[column] > 0 && isNumber(value) ? QVariant(value.toDouble() / largest_[column]) : QVariant();
    default:
        return {};
    }
}

QVariant StatisticsTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation == Qt::Vertical)
        return role == Qt::DisplayRole ? QVariant(section + 1) : QVariant();
    if (section < 0 || section >= columnCount())
        return {};
    const auto& column = table_.columns[static_cast<std::size_t>(section)];
    if (role == Qt::DisplayRole)
        return column.header();
    if (role == Qt::ToolTipRole && !column.explanation.isEmpty())
        return column.explanation;
    return {};
}

StatisticsSortModel::StatisticsSortModel(QObject* parent)
    : QSortFilterProxyModel(parent) {
    setSortRole(StatisticsTableModel::kValueRole);
}

bool StatisticsSortModel::lessThan(const QModelIndex& left, const QModelIndex& right) const {
    const QVariant a = left.data(StatisticsTableModel::kValueRole);
    const QVariant b = right.data(StatisticsTableModel::kValueRole);
    if (isNumber(a) && isNumber(b)) {
        // NaN stays at the end whichever way the column is sorted.
        const bool ascending = sortOrder() == Qt::AscendingOrder;
        const bool aNan = std::isnan(a.toDouble());
        const bool bNan = std::isnan(b.toDouble());
        if (aNan || bNan)
            return ascending ? !aNan && bNan : aNan && !bNan;
        if (a.typeId() == QMetaType::LongLong && b.typeId() == QMetaType::LongLong)
            return a.toLongLong() < b.toLongLong();
        return a.toDouble() < b.toDouble();
    }
    return QString::localeAwareCompare(a.toString(), b.toString()) < 0;
}

namespace {

/// Draws the bars behind numbers.
class BarDelegate final : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const QVariant share = index.data(StatisticsTableModel::kBarRole);
        const bool isBar = share.isValid() && !option.state.testFlag(QStyle::State_Selected);
        if (isBar) {
            QRectF bar = QRectF(option.rect).adjusted(2, 2, -2, -2);
            bar.setWidth(bar.width() * std::clamp(share.toDouble(), 0.0, 1.0));
            QColor colour = option.palette.color(QPalette::Highlight);
            colour.setAlpha(90);
            painter->fillRect(bar, colour);
        }
        QStyledItemDelegate::paint(painter, option, index);
    }
};

} // namespace

StatisticsTableView::StatisticsTableView(QWidget* parent)
    : QTableView(parent)
    , model_(new StatisticsTableModel(this))
    , sorted_(new StatisticsSortModel(this)) {
    sorted_->setSourceModel(model_);
    setModel(sorted_);
    setItemDelegate(new BarDelegate(this));
    setSortingEnabled(true);
    // Until a header is clicked, rows keep their own order.
    sortByColumn(-1, Qt::AscendingOrder);
    setSelectionBehavior(SelectRows);
    setAlternatingRowColors(true);
    setTabKeyNavigation(false);
    setEditTriggers(NoEditTriggers);
    setWordWrap(false);
    verticalHeader()->hide();
    verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
    horizontalHeader()->setHighlightSections(false);
    // Widths from a few rows: long tables must not hold up the window.
    horizontalHeader()->setResizeContentsPrecision(kRowsMeasured);
    setAccessibleName(tr("Table of statistics"));
    connect(this, &QTableView::activated, this,
            [this](const QModelIndex& index) { emit rowActivated(sorted_->mapToSource(index).row()); });
}

void StatisticsTableView::setTable(StatisticsTable table) {
    const bool newColumns = table.columns != model_->table().columns;
    const bool newRows = table.rows.size() != model_->table().rows.size();
    model_->setTable(std::move(table));
    if (newColumns)
        sortByColumn(-1, Qt::AscendingOrder);
    if (newColumns || newRows)
        resizeColumnsToContents();
}

QString StatisticsTableView::selectionAsTsv() const {
    QStringList lines;
    QStringList fields;
    for (const auto& column : model_->table().columns)
        fields << column.header();
    lines << fields.join(u'\t');
    QModelIndexList rows = selectionModel()->selectedRows();
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.row() < b.row(); });
    const int count = rows.isEmpty() ? sorted_->rowCount() : static_cast<int>(rows.size());
    for (int i = 0; i < count; ++i) {
        const int row = rows.isEmpty() ? i : rows[i].row();
        fields.clear();
        for (int column = 0; column < sorted_->columnCount(); ++column)
            fields << exactText(sorted_->index(row, column).data(StatisticsTableModel::kValueRole));
        lines << fields.join(u'\t');
    }
    return lines.join(u'\n') + u'\n';
}

void StatisticsTableView::copy() const {
    QGuiApplication::clipboard()->setText(selectionAsTsv());
}

void StatisticsTableView::keyPressEvent(QKeyEvent* event) {
    if (event->matches(QKeySequence::Copy)) {
        copy();
        event->accept();
        return;
    }
    QTableView::keyPressEvent(event);
}

void StatisticsTableView::contextMenuEvent(QContextMenuEvent* event) {
    QMenu menu(this);
    menu.addAction(tr("Copy as TSV"), QKeySequence::Copy, this, [this] { copy(); });
    menu.addAction(tr("Select all"), QKeySequence::SelectAll, this, &QTableView::selectAll);
    menu.exec(event->globalPos());
}

} // namespace kvscope::views
