// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/flow_layout.h"

#include <QWidget>

#include <algorithm>

namespace kvscope::views {

FlowLayout::FlowLayout(QWidget* parent, int spacing)
    : QLayout(parent)
    , spacing_(spacing) {}

void FlowLayout::addItem(QLayoutItem* item) {
    items_.emplace_back(item);
}

QLayoutItem* FlowLayout::itemAt(int index) const {
    return index >= 0 && index < count() ? items_[static_cast<std::size_t>(index)].get() : nullptr;
}

QLayoutItem* FlowLayout::takeAt(int index) {
    if (index < 0 || index >= count())
        return nullptr;
    QLayoutItem* item = items_[static_cast<std::size_t>(index)].release();
    items_.erase(items_.begin() + index);
    return item;
}

void FlowLayout::moveLastTo(int index) {
    if (index >= 0 && index + 1 < count())
        std::rotate(items_.begin() + index, items_.end() - 1, items_.end());
    invalidate();
}

QSize FlowLayout::sizeHint() const {
    // One row.
    QSize size;
    for (const auto& item : items_) {
        if (item->isEmpty())
            continue;
        const QSize own = item->sizeHint();
        size = QSize(size.width() + own.width() + (size.width() > 0 ? spacing_ : 0),
                     std::max(size.height(), own.height()));
    }
    const QMargins margins = contentsMargins();
    return size + QSize(margins.left() + margins.right(), margins.top() + margins.bottom());
}

QSize FlowLayout::minimumSize() const {
    QSize size;
    for (const auto& item : items_) {
        if (!item->isEmpty())
            size = size.expandedTo(item->minimumSize());
    }
    const QMargins margins = contentsMargins();
    return size + QSize(margins.left() + margins.right(), margins.top() + margins.bottom());
}

int FlowLayout::heightForWidth(int width) const {
    return arrange(QRect(0, 0, width, 0), false);
}

void FlowLayout::setGeometry(const QRect& rect) {
    QLayout::setGeometry(rect);
    arrange(rect, true);
}

int FlowLayout::arrange(const QRect& rect, bool apply) const {
    const QRect inner = rect.marginsRemoved(contentsMargins());
    std::vector<std::pair<QLayoutItem*, QRect>> row;
    int x = inner.x();
    int y = inner.y();
    int rowHeight = 0;
    const auto finishRow = [&] {
        for (const auto& [item, place] : row) {
            if (apply)
                item->setGeometry(
                    QRect(place.x(), place.y() + (rowHeight - place.height()) / 2, place.width(), place.height()));
        }
        row.clear();
    };
    for (const auto& item : items_) {
        if (item->isEmpty())
            continue;
        const QSize size = item->sizeHint().expandedTo(item->minimumSize()).boundedTo(item->maximumSize());
        const int width = std::min(size.width(), std::max(item->minimumSize().width(), inner.width()));
        if (x > inner.x() && x + width > inner.x() + inner.width()) {
            finishRow();
            x = inner.x();
            y += rowHeight + spacing_;
            rowHeight = 0;
        }
        row.emplace_back(item.get(), QRect(x, y, width, size.height()));
        x += width + spacing_;
        rowHeight = std::max(rowHeight, size.height());
    }
    finishRow();
    return y + rowHeight - inner.y() + contentsMargins().top() + contentsMargins().bottom();
}

} // namespace kvscope::views
