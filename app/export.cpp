// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/export.h"

#include <QBuffer>
#include <QFileInfo>
#include <QImage>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QSaveFile>
#include <QSvgGenerator>

namespace kvscope::app {

namespace {

constexpr int kLogicalDpi = 96;

bool writeSvg(views::ExportableView& view, QIODevice& device, QSize size) {
    QSvgGenerator generator;
    generator.setOutputDevice(&device);
    generator.setSize(size);
    generator.setViewBox(QRect(QPoint(0, 0), size));
    generator.setResolution(kLogicalDpi);
    generator.setTitle(view.exportName());
    QPainter painter;
    if (!painter.begin(&generator))
        return false;
    view.paintTo(painter, QRectF(QPointF(0, 0), QSizeF(size)));
    return painter.end();
}

bool writePdf(views::ExportableView& view, QIODevice& device, QSize size) {
    QPdfWriter writer(&device);
    writer.setResolution(kLogicalDpi);
    writer.setPageMargins(QMarginsF(0, 0, 0, 0));
    writer.setPageSize(QPageSize(QSizeF(size) * 72.0 / kLogicalDpi, QPageSize::Point));
    writer.setTitle(view.exportName());
    QPainter painter;
    if (!painter.begin(&writer))
        return false;
    view.paintTo(painter, QRectF(QPointF(0, 0), QSizeF(size)));
    return painter.end();
}

} // namespace

Result<void> exportView(views::ExportableView& view, const QString& path, QSize size, double pixelRatio) {
    const QString suffix = QFileInfo(path).suffix().toLower();
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    bool drawn = false;
    if (suffix == QLatin1String("png"))
        drawn = pictureOf(view, size, pixelRatio).save(&buffer, "PNG");
    else if (suffix == QLatin1String("svg"))
        drawn = writeSvg(view, buffer, size);
    else if (suffix == QLatin1String("pdf"))
        drawn = writePdf(view, buffer, size);
    else if (suffix == QLatin1String("csv"))
        drawn = buffer.write(view.toCsv().toUtf8()) >= 0;
    else
        return fail("the file name does not end in .png, .svg, .pdf or .csv", path.toStdString(),
                    "Choose one of these endings");
    if (!drawn)
        return fail("the picture could not be drawn at " + std::to_string(size.width()) + " x " +
                        std::to_string(size.height()),
                    path.toStdString(), "Try a smaller size", Error::Kind::System);

    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(buffer.data()) != buffer.data().size() || !file.commit())
        return fail("cannot be written: " + file.errorString().toStdString(), path.toStdString(),
                    "Choose a folder that you may write to, on a disk with room", Error::Kind::System);
    return {};
}

QImage pictureOf(views::ExportableView& view, QSize size, double pixelRatio) {
    QImage image(size * pixelRatio, QImage::Format_RGB32);
    image.setDevicePixelRatio(pixelRatio);
    image.fill(Qt::white);
    QPainter painter(&image);
    painter.setRenderHints(QPainter::Antialiasing | QPainter::TextAntialiasing);
    view.paintTo(painter, QRectF(QPointF(0, 0), QSizeF(size)));
    return image;
}

QString exportFilter() {
    return QObject::tr("PNG picture (*.png);;SVG drawing (*.svg);;PDF document (*.pdf);;CSV table (*.csv)");
}

} // namespace kvscope::app
