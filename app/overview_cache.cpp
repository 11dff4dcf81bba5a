// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/overview_cache.h"

#include "core/stats/pyramid_folder.h"

#include <QInputDialog>
#include <QSettings>
#include <QStandardPaths>

#include <algorithm>

namespace kvscope::app {

namespace {

constexpr const char* kLimitKey = "overviewLimitGiB";
constexpr double kMostGiB = 100000.0;
constexpr double kBytesPerGiB = 1073741824.0;

} // namespace

CacheMapOptions overviewOptions() {
    CacheMapOptions options;
    const QString folder = QStandardPaths::writableLocation(QStandardPaths::CacheLocation);
    if (!folder.isEmpty())
        options.cacheFolder = (folder + QStringLiteral("/pyramids")).toStdString();
    bool chosen = false;
    const double gigabytes = QSettings().value(QLatin1String(kLimitKey)).toDouble(&chosen);
    if (chosen)
        options.cacheLimit = static_cast<std::int64_t>(std::clamp(gigabytes, 0.0, kMostGiB) * kBytesPerGiB);
    return options;
}

void chooseOverviewLimit(QWidget* parent) {
    const CacheMapOptions options = overviewOptions();
    const auto bytes = static_cast<double>(limitOf({options.cacheFolder, options.cacheLimit}));
    bool accepted = false;
    const double gigabytes = QInputDialog::getDouble(
        parent, QObject::tr("Disk space for overviews"),
        QObject::tr("Overviews of opened dumps are kept, so that they show at once the next time.\n"
                    "When they take more than this, those not used for longest are removed (GiB, 0 keeps none):"),
        bytes / kBytesPerGiB, 0.0, kMostGiB, 1, &accepted);
    if (!accepted)
        return;
    QSettings().setValue(QLatin1String(kLimitKey), gigabytes);
    const CacheMapOptions changed = overviewOptions();
    makeRoom({changed.cacheFolder, changed.cacheLimit}, 0);
}

} // namespace kvscope::app
