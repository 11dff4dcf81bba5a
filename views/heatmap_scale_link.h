// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>

#include <vector>

namespace kvscope::views {

class HeatmapPane;

/// Puts the maps of compared dumps on one scale: those that show the same measure share one automatic range, which
/// covers what each would choose, and values relative to a layer's rms are relative to that of the first pane's dump in
/// all of them.
class HeatmapScaleLink : public QObject {
    Q_OBJECT

public:
    explicit HeatmapScaleLink(QObject* parent = nullptr);

    /// The pane may be deleted at any time.
    void add(HeatmapPane* pane);
    /// While off, which it is at first, every pane has a scale of its own.
    void setEnabled(bool enabled);
    [[nodiscard]] bool isEnabled() const { return enabled_; }

private:
    void share();

    std::vector<HeatmapPane*> panes_;
    bool enabled_ = false;
    bool sharing_ = false;
};

} // namespace kvscope::views
