// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/player_icon.h"

#include <QPainter>
#include <QPixmap>
#include <QPolygonF>

#include <utility>

namespace kvscope::views {

QIcon playerIcon(const QPalette& palette, PlayerSign sign) {
    constexpr int kSize = 16;
    constexpr int kPixels = 3;
    QIcon icon;
    for (const auto& [mode, group] :
         {std::pair(QIcon::Normal, QPalette::Active), {QIcon::Disabled, QPalette::Disabled}}) {
        QPixmap picture(kSize * kPixels, kSize * kPixels);
        picture.fill(Qt::transparent);
        QPainter painter(&picture);
        painter.scale(kPixels, kPixels);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(Qt::NoPen);
        painter.setBrush(palette.color(group, QPalette::ButtonText));
        switch (sign) {
        case PlayerSign::Rewind:
            painter.drawRect(QRectF(2, 3, 2, 10));
            painter.drawPolygon(QPolygonF{{9, 3}, {9, 13}, {4, 8}});
            painter.drawPolygon(QPolygonF{{14, 3}, {14, 13}, {9, 8}});
            break;
        case PlayerSign::Play:
            painter.drawPolygon(QPolygonF{{4, 2.5}, {4, 13.5}, {13, 8}});
            break;
        case PlayerSign::Pause:
            painter.drawRect(QRectF(4, 3, 3, 10));
            painter.drawRect(QRectF(9, 3, 3, 10));
            break;
        }
        painter.end();
        picture.setDevicePixelRatio(kPixels);
        icon.addPixmap(picture, mode);
    }
    return icon;
}

} // namespace kvscope::views
