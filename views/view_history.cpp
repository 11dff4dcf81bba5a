// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/view_history.h"

namespace kvscope::views {

namespace {

constexpr std::size_t kMostViews = 200;

} // namespace

void ViewHistory::remember(const PlotView& view) {
    future_.clear();
    if (!past_.empty() && past_.back() == view)
        return;
    past_.push_back(view);
    if (past_.size() > kMostViews)
        past_.erase(past_.begin());
}

std::optional<PlotView> ViewHistory::back(const PlotView& current) {
    while (!past_.empty() && past_.back() == current)
        past_.pop_back();
    if (past_.empty())
        return std::nullopt;
    const PlotView view = past_.back();
    past_.pop_back();
    future_.push_back(current);
    return view;
}

std::optional<PlotView> ViewHistory::forward(const PlotView& current) {
    if (future_.empty())
        return std::nullopt;
    const PlotView view = future_.back();
    future_.pop_back();
    past_.push_back(current);
    return view;
}

void ViewHistory::clear() {
    past_.clear();
    future_.clear();
}

} // namespace kvscope::views
