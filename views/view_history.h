// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <qcustomplot.h>

#include <optional>
#include <vector>

namespace kvscope::views {

/// The part of a map that is visible, in axis coordinates.
struct PlotView {
    QCPRange columns;
    QCPRange rows;

    bool operator==(const PlotView&) const = default;
};

/// Where the user has been: each zoom or pan remembers the view it leaves.
class ViewHistory {
public:
    /// Remembers a view that is about to be left; forgets what was ahead.
    void remember(const PlotView& view);
    /// The view before, given the one to come back to with forward(); nothing when there is none.
    std::optional<PlotView> back(const PlotView& current);
    std::optional<PlotView> forward(const PlotView& current);
    void clear();
    [[nodiscard]] bool canGoBack() const { return !past_.empty(); }
    [[nodiscard]] bool canGoForward() const { return !future_.empty(); }

private:
    std::vector<PlotView> past_;
    std::vector<PlotView> future_;
};

} // namespace kvscope::views
