// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QScrollArea>

namespace kvscope::app {

/// Gives the maps the room in the middle of the window. Where that is less than they need they can be scrolled,
/// instead of making the window grow beyond the screen.
class MapsRoom : public QScrollArea {
    Q_OBJECT

public:
    explicit MapsRoom(QWidget* maps, QWidget* parent = nullptr);

    [[nodiscard]] QSize minimumSizeHint() const override;
    [[nodiscard]] QSize sizeHint() const override;

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
};

} // namespace kvscope::app
