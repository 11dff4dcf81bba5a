// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>

#include <vector>

namespace kvscope::views {

class HeatmapPane;

/// Keeps heatmap panes looking at the same place: a pan or zoom in one moves the axes that mean the same in the others
/// (tokens with tokens, channels with channels; rows where the maps are of one kind and size), and the tokens that a
/// search finds in one are marked in all.
class HeatmapLink : public QObject {
    Q_OBJECT

public:
    explicit HeatmapLink(QObject* parent = nullptr);

    /// The pane may be deleted at any time.
    void add(HeatmapPane* pane);
    void setEnabled(bool enabled);
    [[nodiscard]] bool isEnabled() const { return enabled_; }

private:
    void spread(const HeatmapPane& from);

    std::vector<HeatmapPane*> panes_;
    bool enabled_ = true;
    bool spreading_ = false;
};

} // namespace kvscope::views
