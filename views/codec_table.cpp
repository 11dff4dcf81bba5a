// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_table.h"

#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QApplication>
#include <QClipboard>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMouseEvent>
#include <QPainter>
#include <QStyledItemDelegate>

#include <algorithm>
#include <map>

namespace kvscope::views {

namespace {

constexpr int kGripWidth = 16;
constexpr int kGap = 4;
constexpr int kMargin = 5;
constexpr int kPixelsPerNotch = 10;
/// Bits at which the bar behind a cell is full.
constexpr double kFullBarBits = 16;

/// A cell as three columns: setting on the left, bits and error on the right; behind them a bar of the bits.
class CellDelegate final : public QStyledItemDelegate {
public:
    explicit CellDelegate(CodecTable& table)
        : QStyledItemDelegate(&table)
        , table_(table) {}

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        QStyleOptionViewItem plain = option;
        initStyleOption(&plain, index);
        plain.text.clear();
        const QWidget* widget = option.widget;
        QStyle* style = widget != nullptr ? widget->style() : QApplication::style();
        style->drawControl(QStyle::CE_ItemViewItem, &plain, painter, widget);
        if (!index.flags().testFlag(Qt::ItemIsEnabled))
            return;

        const Theme theme = Theme::from(option.palette);
        const bool selected = option.state.testFlag(QStyle::State_Selected);
        const bool current = index.data(CodecTableModel::CurrentRole).toBool();
        const QVariant bits = index.data(CodecTableModel::BitsRole);
        const QVariant error = index.data(CodecTableModel::ErrorRole);
        painter->save();
        if (bits.isValid() && !selected) {
            QColor bar = theme.kind(table_.cells().cellAt(index).kind);
            bar.setAlpha(current ? 45 : 20);
            QRectF area = QRectF(option.rect).adjusted(kGripWidth, 2, -1, -2);
            area.setWidth(area.width() * std::min(1.0, bits.toDouble() / kFullBarBits));
            painter->fillRect(area, bar);
        }
        QColor text = option.palette.color(QPalette::Normal, selected ? QPalette::HighlightedText : QPalette::Text);
        paintGrip(*painter, table_.gripOf(index), text);
        const QRect inside = option.rect.adjusted(kGripWidth, 0, -kMargin, 0);
        const QFontMetrics metrics(option.font);
        const QRect errorArea(inside.right() - errorWidth(metrics), inside.top(), errorWidth(metrics), inside.height());
        const QRect bitsArea(errorArea.left() - bitsWidth(metrics) - 2 * kGap, inside.top(), bitsWidth(metrics),
                             inside.height());
        const QRect settingArea(inside.left(), inside.top(), bitsArea.left() - inside.left() - kGap, inside.height());
        painter->setPen(text);
        painter->drawText(settingArea, Qt::AlignLeft | Qt::AlignVCenter,
                          metrics.elidedText(index.data(CodecTableModel::SettingRole).toString(), Qt::ElideRight,
                                             settingArea.width()));
        if (!current)
            text.setAlpha(110);
        painter->setPen(text);
        const auto number = [](const QVariant& value) {
            return value.isValid() ? formatNumber(value.toDouble(), 3, true) : QStringLiteral("\u2026");
        };
        painter->drawText(bitsArea, Qt::AlignRight | Qt::AlignVCenter, number(bits));
        painter->drawText(errorArea, Qt::AlignRight | Qt::AlignVCenter, shortError(error));
        painter->restore();
    }

    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const QFontMetrics metrics(option.font);
        const int setting = metrics.horizontalAdvance(index.data(CodecTableModel::SettingRole).toString());
        return {kGripWidth + setting + 3 * kGap + bitsWidth(metrics) + errorWidth(metrics) + kMargin + 2,
                metrics.height() + 8};
    }

    QWidget* createEditor(QWidget* parent, const QStyleOptionViewItem&, const QModelIndex&) const override {
        auto* editor = new QLineEdit(parent);
        editor->setFrame(false);
        editor->setPlaceholderText(QObject::tr("3 bits, 0.45s, 32 bins, preset"));
        editor->setToolTip(
            QObject::tr("A number of bits (3), a step in sigma (0.45s), bins (32 bins), or the name of a "
                        "preset; for all selected cells"));
        return editor;
    }

    void setEditorData(QWidget* editor, const QModelIndex& index) const override {
        static_cast<QLineEdit*>(editor)->setText(index.data(Qt::EditRole).toString());
        static_cast<QLineEdit*>(editor)->selectAll();
    }

    void setModelData(QWidget* editor, QAbstractItemModel*, const QModelIndex& index) const override {
        const QString text = static_cast<QLineEdit*>(editor)->text();
        if (text != index.data(Qt::EditRole).toString() || table_.selectedCells().size() > 1)
            table_.enter(text);
    }

private:
    static int errorWidth(const QFontMetrics& metrics) {
        return std::max(metrics.horizontalAdvance(QStringLiteral("0.00123")),
                        metrics.horizontalAdvance(QStringLiteral("1.2e-04")));
    }
    static int bitsWidth(const QFontMetrics& metrics) { return metrics.horizontalAdvance(QStringLiteral("16.00")); }

    static QString shortError(const QVariant& error) {
        if (!error.isValid())
            return QStringLiteral("\u2026");
        const double value = error.toDouble();
        return value != 0 && value < 0.001 ? QString::number(value, 'e', 1) : formatNumber(value, 3, true);
    }

    static void paintGrip(QPainter& painter, const QRect& area, QColor colour) {
        colour.setAlpha(130);
        painter.setPen(QPen(colour, 1.2));
        painter.setRenderHint(QPainter::Antialiasing);
        const QPointF middle = QRectF(area).center();
        for (const double side : {-1.0, 1.0}) {
            const QPointF tip = middle + QPointF(0, side * 6);
            painter.drawLine(tip, tip + QPointF(-3, -side * 3));
            painter.drawLine(tip, tip + QPointF(3, -side * 3));
        }
    }

    CodecTable& table_;
};

} // namespace

CodecTable::CodecTable(CodecSession& session, SelectionModel& selection, QWidget* parent)
    : QTableView(parent)
    , session_(&session)
    , selection_(&selection)
    , model_(new CodecTableModel(session, this)) {
    setObjectName(QStringLiteral("codecTable"));
    setModel(model_);
    setItemDelegate(new CellDelegate(*this));
    setSelectionMode(ExtendedSelection);
    setEditTriggers(DoubleClicked | EditKeyPressed | AnyKeyPressed);
    setAccessibleName(tr("Settings by layer"));
    setVerticalScrollMode(ScrollPerPixel);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAsNeeded);
    setWordWrap(false);
    setMouseTracking(true);
    viewport()->setMouseTracking(true);
    horizontalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    horizontalHeader()->setMinimumSectionSize(fontMetrics().averageCharWidth() * 22);
    fitTimer_.setSingleShot(true);
    fitTimer_.setInterval(0);
    connect(&fitTimer_, &QTimer::timeout, this, &CodecTable::fitColumns);
    const auto fitSoon = [this] { fitTimer_.start(); };
    connect(model_, &QAbstractItemModel::dataChanged, this, fitSoon);
    connect(model_, &QAbstractItemModel::modelReset, this, fitSoon);
    fitSoon();
    horizontalHeader()->setHighlightSections(false);
    horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    setMinimumHeight(fontMetrics().height() * 6);
    connect(selectionModel(), &QItemSelectionModel::selectionChanged, this, &CodecTable::cellsSelected);
    connect(selectionModel(), &QItemSelectionModel::currentChanged, this, [this] {
        emit cellsSelected();
        selectLayerOfCurrent();
    });
}

void CodecTable::fitColumns() {
    const int columns = model_->columnCount();
    const int least = horizontalHeader()->minimumSectionSize();
    std::vector<int> needed;
    int total = 0;
    for (int column = 0; column < columns; ++column) {
        int width = least;
        for (int row = 0; row < model_->rowCount(); ++row)
            width = std::max(width, sizeHintForIndex(model_->index(row, column)).width());
        needed.push_back(width);
        total += width;
    }
    // What is left over is shared out; what is missing, each column misses its share.
    const int room = viewport()->width();
    for (int column = 0; column < columns; ++column) {
        const int width = needed[static_cast<std::size_t>(column)];
        setColumnWidth(column, room >= total ? width + (room - total) / columns
                                             : std::max(least, width * room / std::max(total, 1)));
    }
}

void CodecTable::resizeEvent(QResizeEvent* event) {
    QTableView::resizeEvent(event);
    fitColumns();
}

std::vector<LayerKind> CodecTable::selectedCells() const {
    std::vector<LayerKind> cells;
    QModelIndexList indexes = selectionModel()->selectedIndexes();
    if (indexes.isEmpty() && currentIndex().isValid())
        indexes = {currentIndex()};
    for (const QModelIndex& index : indexes) {
        if (const LayerKind cell = model_->cellAt(index); model_->holds(cell))
            cells.push_back(cell);
    }
    std::ranges::sort(cells);
    return cells;
}

std::optional<LayerKind> CodecTable::currentCell() const {
    const auto cells = selectedCells();
    if (cells.empty())
        return {};
    const LayerKind current = currentIndex().isValid() ? model_->cellAt(currentIndex()) : cells.front();
    return std::ranges::find(cells, current) != cells.end() ? current : cells.front();
}

std::vector<PlaneId> CodecTable::visiblePlanes() const {
    std::vector<PlaneId> planes;
    const int first = std::max(0, rowAt(0));
    const int last = rowAt(viewport()->height() - 1);
    for (const PlaneId plane : session_->planes()) {
        if (plane.layer.value >= first && (last < 0 || plane.layer.value <= last))
            planes.push_back(plane);
    }
    return planes;
}

void CodecTable::enter(const QString& text) {
    if (const auto done = model_->enter(text, selectedCells()); !done)
        emit refused(done.error());
}

void CodecTable::copyDown() {
    if (!session_ || session_->planCount() == 0)
        return;
    std::map<PlaneKind, std::vector<LayerKind>> columns;
    for (const LayerKind cell : selectedCells())
        columns[cell.kind].push_back(cell);
    const bool single = std::ranges::all_of(columns, [](const auto& column) { return column.second.size() == 1; });
    CodecPlan plan = session_->plan();
    const CodecPlan before = plan;
    QModelIndexList below;
    for (auto& [kind, cells] : columns) {
        LayerKind source = cells.front();
        if (single) {
            cells = {{source.layer + 1, kind}};
            if (!model_->holds(cells.front()))
                continue;
            below << model_->indexOf(cells.front());
        }
        const auto segments = segmentsOf(before, source);
        for (const LayerKind cell : cells)
            setSegments(plan, cell, segments);
    }
    plan = canonical(plan);
    if (const auto done = session_->edit(tr("copy down"), std::move(plan)); !done) {
        emit refused(done.error());
        return;
    }
    if (!below.isEmpty()) {
        selectionModel()->setCurrentIndex(below.front(), QItemSelectionModel::ClearAndSelect);
        for (const QModelIndex& index : below)
            selectionModel()->select(index, QItemSelectionModel::Select);
    }
}

void CodecTable::nudge(int notches) {
    if (!session_)
        return;
    const auto done = session_->adjustCells(notches > 0 ? tr("coarser") : tr("finer"), selectedCells(),
                                            [notches](const Pipeline& pipeline) { return coarser(pipeline, notches); });
    if (!done)
        emit refused(done.error());
}

QRect CodecTable::gripOf(const QModelIndex& index) const {
    QRect area = visualRect(index);
    area.setWidth(kGripWidth);
    return area;
}

void CodecTable::followSelection() {
    if (!selection_ || !session_ || hasFocus())
        return;
    const Selection& shown = selection_->current();
    QModelIndex index = model_->indexOf({shown.layer(), shown.kind});
    if (!index.isValid() && model_->columnCount() > 0)
        index = model_->index(static_cast<int>(shown.layer().value), 0);
    if (!index.isValid() || !model_->holds(model_->cellAt(index)) || selectionModel()->isSelected(index))
        return;
    following_ = true;
    selectionModel()->setCurrentIndex(index, QItemSelectionModel::ClearAndSelect);
    following_ = false;
}

void CodecTable::selectLayerOfCurrent() {
    if (following_ || !selection_ || !currentIndex().isValid() || !hasFocus())
        return;
    const LayerKind cell = model_->cellAt(currentIndex());
    Selection next = selection_->current();
    next.layers = {cell.layer, cell.layer + 1};
    next.kind = cell.kind;
    selection_->select(next);
}

void CodecTable::copyToClipboard() const {
    QStringList lines{tr("layer\tkind\tsetting\tbits/value\terror")};
    for (const LayerKind cell : selectedCells()) {
        const QModelIndex index = model_->indexOf(cell);
        const QVariant bits = index.data(CodecTableModel::BitsRole);
        const QVariant error = index.data(CodecTableModel::ErrorRole);
        lines << QStringLiteral("%1\t%2\t%3\t%4\t%5")
                     .arg(QString::number(cell.layer.value), kindText(cell.kind),
                          index.data(CodecTableModel::SettingRole).toString(),
                          bits.isValid() ? formatExact(bits.toDouble()) : QString(),
                          error.isValid() ? formatExact(error.toDouble()) : QString());
    }
    QApplication::clipboard()->setText(lines.join(QLatin1Char('\n')));
}

bool CodecTable::event(QEvent* event) {
    if (event->type() == QEvent::ShortcutOverride) {
        // Here these keys mean something else than in the rest of the window.
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->matches(QKeySequence::Copy) || (key->modifiers() == Qt::ControlModifier && key->key() == Qt::Key_D)) {
            event->accept();
            return true;
        }
    }
    return QTableView::event(event);
}

void CodecTable::keyPressEvent(QKeyEvent* event) {
    if (event->modifiers() == Qt::ControlModifier && event->key() == Qt::Key_D) {
        copyDown();
        return;
    }
    if (event->matches(QKeySequence::Copy)) {
        copyToClipboard();
        return;
    }
    const bool finer = event->key() == Qt::Key_BracketLeft;
    if (finer || event->key() == Qt::Key_BracketRight) {
        // Holding the key is one undo step, as a drag is.
        if (session_ && !session_->inStroke())
            session_->beginStroke(finer ? tr("finer") : tr("coarser"));
        nudge(finer ? -1 : 1);
        return;
    }
    QTableView::keyPressEvent(event);
}

void CodecTable::keyReleaseEvent(QKeyEvent* event) {
    const bool nudged = event->key() == Qt::Key_BracketLeft || event->key() == Qt::Key_BracketRight;
    if (nudged && !event->isAutoRepeat() && session_ && !drag_)
        session_->endStroke();
    QTableView::keyReleaseEvent(event);
}

void CodecTable::mousePressEvent(QMouseEvent* event) {
    const QModelIndex index = indexAt(event->position().toPoint());
    const bool onGrip = index.isValid() && event->button() == Qt::LeftButton && event->modifiers() == Qt::NoModifier &&
                        index.flags().testFlag(Qt::ItemIsEnabled) &&
                        gripOf(index).contains(event->position().toPoint());
    if (!onGrip || !session_ || session_->planCount() == 0) {
        QTableView::mousePressEvent(event);
        return;
    }
    setFocus(Qt::MouseFocusReason);
    if (!selectionModel()->isSelected(index))
        selectionModel()->setCurrentIndex(index, QItemSelectionModel::ClearAndSelect);
    drag_ = Drag{static_cast<int>(event->position().y()), 0, session_->plan(), selectedCells()};
    session_->beginStroke(tr("drag"));
    event->accept();
}

void CodecTable::mouseMoveEvent(QMouseEvent* event) {
    const QPoint at = event->position().toPoint();
    if (!drag_) {
        const QModelIndex index = indexAt(at);
        viewport()->setCursor(index.isValid() && gripOf(index).contains(at) ? Qt::SizeVerCursor : Qt::ArrowCursor);
        QTableView::mouseMoveEvent(event);
        return;
    }
    const int notches = (at.y() - drag_->startY) / kPixelsPerNotch;
    if (notches == drag_->notches || !session_)
        return;
    drag_->notches = notches;
    CodecPlan plan = drag_->before;
    adjust(plan, drag_->cells, [notches](const Pipeline& pipeline) { return coarser(pipeline, notches); });
    if (const auto done = session_->edit(tr("drag"), notches == 0 ? drag_->before : std::move(plan)); !done)
        emit refused(done.error());
}

void CodecTable::mouseReleaseEvent(QMouseEvent* event) {
    if (!drag_) {
        QTableView::mouseReleaseEvent(event);
        return;
    }
    drag_.reset();
    if (session_)
        session_->endStroke();
}

void CodecTable::focusOutEvent(QFocusEvent* event) {
    // The release of a held key goes to whoever has the focus now.
    if (session_ && !drag_)
        session_->endStroke();
    QTableView::focusOutEvent(event);
}

} // namespace kvscope::views
