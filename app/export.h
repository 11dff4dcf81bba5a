// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "views/exportable.h"

#include <QImage>
#include <QSize>
#include <QString>

namespace kvscope::app {

/// Writes a view to a .png, .svg, .pdf or .csv file, by the file's suffix. `size` is the picture's size in logical
/// pixels; PNG has `pixelRatio` times as many. The file appears whole or not at all.
Result<void> exportView(views::ExportableView& view, const QString& path, QSize size, double pixelRatio = 2.0);

/// The view as a picture of size x pixelRatio pixels.
QImage pictureOf(views::ExportableView& view, QSize size, double pixelRatio);

/// The file filter of a save dialog for exportView.
QString exportFilter();

} // namespace kvscope::app
