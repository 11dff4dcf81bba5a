// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/selection.h"

namespace kvscope::views {

std::optional<Hover> Selection::place() const {
    if (layers.size() != 1 || !channels || channels->size() != 1 || !tokens || tokens->size() != 1)
        return std::nullopt;
    return Hover{kind, sequence, layer(), channels->begin, tokens->begin};
}

SelectionModel::SelectionModel(QObject* parent)
    : QObject(parent) {}

void SelectionModel::reset(const Selection& selection) {
    if (selection == current_)
        return;
    const Selection before = current_;
    current_ = selection;
    emit changed(current_);
    moveHover(before);
}

void SelectionModel::select(const Selection& selection) {
    if (selection == current_)
        return;
    const Selection before = current_;
    current_ = selection;
    emit edited(before, current_);
    emit changed(current_);
    moveHover(before);
}

void SelectionModel::moveHover(const Selection& before) {
    if (const auto place = current_.place())
        setHover(place);
    else if (hover_ && hover_ == before.place())
        setHover(std::nullopt);
}

void SelectionModel::setHover(std::optional<Hover> hover) {
    if (hover == hover_)
        return;
    hover_ = hover;
    emit hoverChanged();
}

void SelectionModel::clearHover() {
    setHover(current_.place());
}

} // namespace kvscope::views
