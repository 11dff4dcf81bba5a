// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/selection.h"

namespace kvscope::views {

SelectionModel::SelectionModel(QObject* parent)
    : QObject(parent) {}

void SelectionModel::reset(const Selection& selection) {
    if (selection == current_)
        return;
    current_ = selection;
    emit changed(current_);
}

void SelectionModel::select(const Selection& selection) {
    if (selection == current_)
        return;
    const Selection before = current_;
    current_ = selection;
    emit edited(before, current_);
    emit changed(current_);
}

void SelectionModel::setHover(std::optional<Hover> hover) {
    if (hover == hover_)
        return;
    hover_ = hover;
    emit hoverChanged();
}

} // namespace kvscope::views
