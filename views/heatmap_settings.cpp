// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_settings.h"

#include <QJsonArray>

#include <cmath>
#include <string>
#include <string_view>

namespace kvscope::views {

namespace {

constexpr std::array<std::string_view, 4> kMapKeys{"layer-token", "head-token", "token-channel", "layer-channel"};
constexpr std::array<std::string_view, 5> kKindKeys{"key", "value", "latent", "query", "key-before-rope"};
constexpr std::array<std::string_view, 6> kQuantityKeys{"value",        "magnitude",         "delta-previous",
                                                        "delta-anchor", "channel-deviation", "key-before-rope"};
constexpr std::array<std::string_view, 5> kPlanKeys{"none", "decoded", "error", "bits", "wipe"};
constexpr std::array<std::string_view, 7> kReductionKeys{"rms", "max-abs", "mean", "min", "max", "std", "signed-rms"};
constexpr std::array<std::string_view, 5> kColourKeys{"automatic", "viridis", "magma", "cividis", "blue-white-red"};
constexpr std::array<std::string_view, 2> kScalingKeys{"linear", "symmetric-log"};

QString text(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

template <class Enum, std::size_t N> QString keyOf(Enum value, const std::array<std::string_view, N>& keys) {
    return text(keys[static_cast<std::size_t>(value)]);
}

tl::unexpected<Error> wrongMember(const QString& name) {
    return fail("unknown or wrong value", "heatmap settings, \"" + name.toStdString() + "\"",
                "Restore the default layout.");
}

/// Sets `value` from a member when it is there.
template <class Enum, std::size_t N>
Result<void> readEnum(const QJsonObject& json, const QString& name, const std::array<std::string_view, N>& keys,
                      Enum& value) {
    const QJsonValue member = json.value(name);
    if (member.isUndefined())
        return {};
    for (std::size_t i = 0; i < N; ++i) {
        if (member.toString() == text(keys[i])) {
            value = static_cast<Enum>(i);
            return {};
        }
    }
    return wrongMember(name);
}

Result<void> readBool(const QJsonObject& json, const QString& name, bool& value) {
    const QJsonValue member = json.value(name);
    if (member.isUndefined())
        return {};
    if (!member.isBool())
        return wrongMember(name);
    value = member.toBool();
    return {};
}

Result<ValueRange> readRange(const QJsonValue& json) {
    const QJsonArray ends = json.toArray();
    if (ends.size() != 2 || !ends[0].isDouble() || !ends[1].isDouble() || ends[0].toDouble() >= ends[1].toDouble())
        return wrongMember(QStringLiteral("ranges"));
    return ValueRange{ends[0].toDouble(), ends[1].toDouble()};
}

void writeRanges(QJsonObject& json, const QString& name, const HeatmapSettings::Ranges& ranges) {
    QJsonObject written;
    for (const PlaneKind plane : kAllPlaneKinds) {
        if (const auto& range = ranges[static_cast<std::size_t>(plane)])
            written.insert(keyOf(plane, kKindKeys), QJsonArray{range->lower, range->upper});
    }
    if (!written.isEmpty())
        json.insert(name, written);
}

Result<void> readRanges(const QJsonObject& json, const QString& name, HeatmapSettings::Ranges& ranges) {
    const QJsonObject written = json.value(name).toObject();
    for (auto it = written.begin(); it != written.end(); ++it) {
        PlaneKind plane = PlaneKind::Key;
        KVSCOPE_TRY(readEnum(QJsonObject{{name, it.key()}}, name, kKindKeys, plane));
        KVSCOPE_ASSIGN(ranges[static_cast<std::size_t>(plane)], readRange(it.value()));
    }
    return {};
}

} // namespace

HeatmapSettings HeatmapSettings::withPlan(PlanView view) const {
    HeatmapSettings settings = *this;
    settings.plan = view;
    if (view != PlanView::None)
        settings.quantity = Quantity::Value;
    if (view == PlanView::Bits)
        settings.reduction = Reduction::Mean;
    else if (view == PlanView::Error)
        settings.reduction = Reduction::SignedRms;
    else if (plan == PlanView::Bits || plan == PlanView::Error)
        settings.reduction = Reduction::Rms;
    return settings;
}

bool HeatmapSettings::isSignedView() const {
    const bool signedReduction = reduction == Reduction::Mean || reduction == Reduction::Min ||
                                 reduction == Reduction::Max || reduction == Reduction::SignedRms;
    return signedReduction && plan != PlanView::Bits && isSigned(quantity);
}

ColourMapId HeatmapSettings::colourMap() const {
    switch (colours) {
    case ColourChoice::Viridis:
        return ColourMapId::Viridis;
    case ColourChoice::Magma:
        return ColourMapId::Magma;
    case ColourChoice::Cividis:
        return ColourMapId::Cividis;
    case ColourChoice::BlueWhiteRed:
        return ColourMapId::BlueWhiteRed;
    case ColourChoice::Automatic:
        break;
    }
    return isSignedView() ? ColourMapId::BlueWhiteRed : ColourMapId::Viridis;
}

QString HeatmapSettings::valueLabel() const {
    if (plan == PlanView::Bits)
        return QStringLiteral("%1 bits/value").arg(nameOf(reduction));
    const QString shown = plan == PlanView::Decoded || plan == PlanView::Error ? nameOf(plan) + QStringLiteral(" value")
                                                                               : text(kvscope::nameOf(quantity));
    const QString what = QStringLiteral("%1 of %2")
                             .arg(nameOf(reduction),
                                  plan == PlanView::Error ? QStringLiteral("error (decoded \u2212 original)") : shown);
    return relative ? QStringLiteral("%1 / layer rms").arg(what) : what;
}

HeatmapSettings HeatmapSettings::defaults(MapKind map, std::optional<PlaneKind> kind) {
    HeatmapSettings settings;
    settings.map = map;
    settings.kind = kind;
    settings.relative = map == MapKind::LayerToken || map == MapKind::LayerChannel;
    return settings;
}

QJsonObject HeatmapSettings::toJson() const {
    QJsonObject json{{QStringLiteral("map"), keyOf(map, kMapKeys)},
                     {QStringLiteral("quantity"), keyOf(quantity, kQuantityKeys)},
                     {QStringLiteral("reduction"), keyOf(reduction, kReductionKeys)},
                     {QStringLiteral("colours"), keyOf(colours, kColourKeys)},
                     {QStringLiteral("scaling"), keyOf(scaling, kScalingKeys)},
                     {QStringLiteral("clipPercentile"), clipPercentile},
                     {QStringLiteral("relative"), relative},
                     {QStringLiteral("markOutliers"), markOutliers}};
    if (kind)
        json.insert(QStringLiteral("kind"), keyOf(*kind, kKindKeys));
    if (plan != PlanView::None)
        json.insert(QStringLiteral("plan"), keyOf(plan, kPlanKeys));
    writeRanges(json, QStringLiteral("ranges"), lockedRanges);
    writeRanges(json, QStringLiteral("errorRanges"), lockedErrorRanges);
    writeRanges(json, QStringLiteral("bitsRanges"), lockedBitsRanges);
    return json;
}

Result<HeatmapSettings> HeatmapSettings::fromJson(const QJsonObject& json) {
    HeatmapSettings settings;
    KVSCOPE_TRY(readEnum(json, QStringLiteral("map"), kMapKeys, settings.map));
    if (json.contains(QStringLiteral("kind"))) {
        settings.kind = PlaneKind::Key;
        KVSCOPE_TRY(readEnum(json, QStringLiteral("kind"), kKindKeys, *settings.kind));
    }
    KVSCOPE_TRY(readEnum(json, QStringLiteral("quantity"), kQuantityKeys, settings.quantity));
    KVSCOPE_TRY(readEnum(json, QStringLiteral("plan"), kPlanKeys, settings.plan));
    KVSCOPE_TRY(readEnum(json, QStringLiteral("reduction"), kReductionKeys, settings.reduction));
    KVSCOPE_TRY(readEnum(json, QStringLiteral("colours"), kColourKeys, settings.colours));
    KVSCOPE_TRY(readEnum(json, QStringLiteral("scaling"), kScalingKeys, settings.scaling));
    KVSCOPE_TRY(readBool(json, QStringLiteral("relative"), settings.relative));
    KVSCOPE_TRY(readBool(json, QStringLiteral("markOutliers"), settings.markOutliers));
    const QString percentile = QStringLiteral("clipPercentile");
    settings.clipPercentile = json.value(percentile).toDouble(json.contains(percentile) ? -1 : settings.clipPercentile);
    if (!(settings.clipPercentile > 0 && settings.clipPercentile <= 100))
        return wrongMember(percentile);
    KVSCOPE_TRY(readRanges(json, QStringLiteral("ranges"), settings.lockedRanges));
    KVSCOPE_TRY(readRanges(json, QStringLiteral("errorRanges"), settings.lockedErrorRanges));
    KVSCOPE_TRY(readRanges(json, QStringLiteral("bitsRanges"), settings.lockedBitsRanges));
    return settings;
}

QString nameOf(MapKind map) {
    switch (map) {
    case MapKind::LayerToken:
        return QStringLiteral("layer × token");
    case MapKind::HeadToken:
        return QStringLiteral("head × token");
    case MapKind::TokenChannel:
        return QStringLiteral("token × channel");
    case MapKind::LayerChannel:
        return QStringLiteral("layer × channel");
    }
    return {};
}

QString nameOf(PlanView view) {
    switch (view) {
    case PlanView::None:
        return QStringLiteral("original");
    case PlanView::Decoded:
        return QStringLiteral("decoded");
    case PlanView::Error:
        return QStringLiteral("error");
    case PlanView::Bits:
        return QStringLiteral("bits per value");
    case PlanView::Wipe:
        return QStringLiteral("original | decoded | error");
    }
    return {};
}

QString nameOf(Reduction reduction) {
    if (reduction == Reduction::SignedRms)
        return QStringLiteral("signed rms");
    return keyOf(reduction, kReductionKeys);
}

QString nameOf(ColourChoice colours) {
    return keyOf(colours, kColourKeys);
}

QString nameOf(Scaling scaling) {
    return scaling == Scaling::Linear ? QStringLiteral("linear") : QStringLiteral("symmetric log");
}

} // namespace kvscope::views
