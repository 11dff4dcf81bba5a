// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/surprises.h"

#include "views/number_format.h"

#include <QCoreApplication>

#include <functional>

namespace kvscope::views {

namespace {

// Beyond, a sentence counts the places instead of naming them.
constexpr qsizetype kPlacesNamed = 4;

QString tr(const char* text) {
    return QCoreApplication::translate("Surprises", text);
}

QString planeName(PlaneId plane) {
    const std::string_view kind = nameOf(plane.kind);
    const QString name =
        tr("layer %1 %2").arg(formatCount(plane.layer.value), QString::fromUtf8(kind.data(), qsizetype(kind.size())));
    return plane.sequence.value == 0 ? name : tr("%1 of sequence %2").arg(name, formatCount(plane.sequence.value));
}

/// The places that `name` names, e.g. "layer 2 K, layer 3 K and 5 more"; empty for none.
QString placesOf(const std::vector<const PlaneStatistics*>& planes,
                 const std::function<QString(const PlaneStatistics&)>& name) {
    QStringList named;
    qsizetype more = 0;
    for (const PlaneStatistics* plane : planes) {
        const QString place = name(*plane);
        if (place.isEmpty())
            continue;
        if (named.size() < kPlacesNamed)
            named << place;
        else
            ++more;
    }
    const QString list = named.join(QStringLiteral(", "));
    return more == 0 ? list : tr("%1 and %2 more").arg(list, formatCount(more));
}

QString denormalSentence(const std::vector<const PlaneStatistics*>& planes) {
    std::int64_t values = 0;
    std::int64_t places = 0;
    for (const PlaneStatistics* plane : planes) {
        values += plane->series.value.moments.denormals;
        places += plane->series.value.moments.denormals > 0 ? 1 : 0;
    }
    if (values == 0)
        return {};
    return tr("Denormal values (too small for the full precision of their type): %1 in %2 of %3 planes")
        .arg(formatCount(values), formatCount(places), formatCount(static_cast<std::int64_t>(planes.size())));
}

} // namespace

QStringList surprisesIn(const std::vector<const PlaneStatistics*>& planes) {
    QStringList surprises;
    const auto add = [&surprises](const QString& sentence, const QString& places) {
        if (!places.isEmpty())
            surprises << sentence.arg(places);
    };
    add(tr("NaN or infinite values: %1"), placesOf(planes, [](const PlaneStatistics& plane) {
            const std::int64_t count = plane.series.value.moments.nonFinite;
            return count > 0 ? tr("%1 (%2)").arg(planeName(plane.plane), formatCount(count)) : QString();
        }));
    add(tr("All zero: %1"), placesOf(planes, [](const PlaneStatistics& plane) {
            const Moments& moments = plane.series.value.moments;
            return moments.count > 0 && moments.zeros == moments.count ? planeName(plane.plane) : QString();
        }));
    add(tr("Outlier channels (rms above %1 times the median channel's): %2").arg(kOutlierChannelFactor),
        placesOf(planes, [](const PlaneStatistics& plane) {
            const auto& channels = plane.outlierChannels;
            if (channels.empty())
                return QString();
            const QString first = tr("%1 channel %2").arg(planeName(plane.plane), formatCount(channels.front().value));
            const auto others = static_cast<std::int64_t>(channels.size()) - 1;
            return others == 0 ? first : tr("%1 (and %2 more)").arg(first, formatCount(others));
        }));
    if (const QString denormals = denormalSentence(planes); !denormals.isEmpty())
        surprises << denormals;
    return surprises;
}

} // namespace kvscope::views
