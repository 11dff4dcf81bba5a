// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/map_selection.h"

#include <algorithm>

namespace kvscope::views {

namespace {

bool rowsAreLayers(MapKind map) {
    return map == MapKind::LayerToken || map == MapKind::LayerChannel;
}

const PlaneGeometry* planeOf(const MapSpec& spec, const KvGeometry& geometry) {
    return geometry.find(PlaneId{spec.layer, spec.kind, spec.sequence});
}

std::int64_t floorOf(double value) {
    return static_cast<std::int64_t>(value);
}

} // namespace

MapSpec specFor(const HeatmapSettings& settings, const Selection& selection, const KvGeometry& geometry) {
    MapSpec spec;
    spec.map = settings.map;
    spec.quantity = settings.quantity;
    spec.sequence = SequenceIndex(
        std::clamp<std::int64_t>(selection.sequence.value, 0, std::max<std::int64_t>(geometry.sequences - 1, 0)));
    const auto kinds = geometry.kinds();
    spec.kind = settings.kind.value_or(selection.kind);
    if (std::find(kinds.begin(), kinds.end(), spec.kind) == kinds.end() && !kinds.empty())
        spec.kind = kinds.front();
    if (rowsAreLayers(settings.map))
        return spec;
    spec.layer = LayerIndex(
        std::clamp<std::int64_t>(selection.layer().value, 0, std::max<std::int64_t>(geometry.layerCount() - 1, 0)));
    const PlaneGeometry* plane = planeOf(spec, geometry);
    if (settings.map == MapKind::TokenChannel && selection.head && plane != nullptr &&
        selection.head->value < plane->heads)
        spec.head = selection.head;
    return spec;
}

std::int64_t firstChannel(const MapSpec& spec, const KvGeometry& geometry) {
    const PlaneGeometry* plane = planeOf(spec, geometry);
    return spec.map == MapKind::TokenChannel && spec.head && plane != nullptr ? spec.head->value * plane->headDim : 0;
}

std::optional<QRectF> selectedCells(const Selection& selection, const MapSpec& spec, const MapShape& shape,
                                    const KvGeometry& geometry) {
    if (selection.kind != spec.kind || selection.sequence != spec.sequence || shape.columns <= 0 || shape.rows <= 0)
        return std::nullopt;
    if (!rowsAreLayers(spec.map) && !(selection.layers.begin <= spec.layer && spec.layer < selection.layers.end))
        return std::nullopt;
    std::int64_t left = 0;
    std::int64_t right = shape.columns;
    std::int64_t top = 0;
    std::int64_t bottom = shape.rows;
    bool narrowed = false;
    const auto narrow = [&narrowed](std::int64_t& begin, std::int64_t& end, std::int64_t first, std::int64_t last) {
        begin = first;
        end = last;
        narrowed = true;
    };
    if (spec.map == MapKind::LayerChannel) {
        if (selection.channels)
            narrow(left, right, selection.channels->begin.value, selection.channels->end.value);
    } else if (selection.tokens) {
        narrow(left, right, selection.tokens->begin.value, selection.tokens->end.value);
    }
    if (rowsAreLayers(spec.map)) {
        narrow(top, bottom, selection.layers.begin.value, selection.layers.end.value);
    } else if (spec.map == MapKind::HeadToken) {
        if (selection.head)
            narrow(top, bottom, selection.head->value, selection.head->value + 1);
    } else if (selection.channels) {
        const std::int64_t first = firstChannel(spec, geometry);
        narrow(top, bottom, selection.channels->begin.value - first, selection.channels->end.value - first);
    }
    if (!narrowed)
        return std::nullopt;
    const QRectF cells(QPointF(static_cast<double>(left), static_cast<double>(top)),
                       QPointF(static_cast<double>(right), static_cast<double>(bottom)));
    const QRectF inside =
        cells.intersected(QRectF(0, 0, static_cast<double>(shape.columns), static_cast<double>(shape.rows)));
    return inside.isEmpty() ? std::nullopt : std::optional(inside);
}

Selection pickedSelection(const Selection& current, const MapSpec& spec, const QRectF& cells,
                          const KvGeometry& geometry) {
    Selection selection = current;
    selection.kind = spec.kind;
    selection.sequence = spec.sequence;
    const std::int64_t left = floorOf(cells.left());
    const std::int64_t right = floorOf(cells.right());
    const std::int64_t top = floorOf(cells.top());
    const std::int64_t bottom = floorOf(cells.bottom());
    if (spec.map == MapKind::LayerChannel)
        selection.channels = channelRange(left, right);
    else
        selection.tokens = tokenRange(left, right);
    switch (spec.map) {
    case MapKind::LayerToken:
    case MapKind::LayerChannel:
        selection.layers = layerRange(top, bottom);
        break;
    case MapKind::HeadToken: {
        selection.layers = {spec.layer, spec.layer + 1};
        const PlaneGeometry* plane = planeOf(spec, geometry);
        if (plane != nullptr)
            selection.channels = channelRange(top * plane->headDim, bottom * plane->headDim);
        selection.head = bottom - top == 1 ? std::optional(HeadIndex(top)) : std::nullopt;
        break;
    }
    case MapKind::TokenChannel: {
        selection.layers = {spec.layer, spec.layer + 1};
        const std::int64_t first = firstChannel(spec, geometry);
        selection.channels = channelRange(first + top, first + bottom);
        break;
    }
    }
    return selection;
}

Hover hoverAt(const MapSpec& spec, const MapCell& cell, const KvGeometry& geometry) {
    Hover hover;
    hover.kind = spec.kind;
    hover.sequence = spec.sequence;
    hover.layer = rowsAreLayers(spec.map) ? LayerIndex(cell.row) : spec.layer;
    if (spec.map == MapKind::LayerChannel)
        hover.channel = ChannelIndex(cell.column);
    else
        hover.token = TokenIndex(cell.column);
    if (spec.map == MapKind::TokenChannel)
        hover.channel = ChannelIndex(firstChannel(spec, geometry) + cell.row);
    return hover;
}

HoverPlace placeOf(const Hover& hover, const MapSpec& spec, const KvGeometry& geometry) {
    HoverPlace place;
    if (hover.sequence != spec.sequence)
        return place;
    if (spec.map == MapKind::LayerChannel) {
        if (hover.channel)
            place.column = hover.channel->value;
    } else if (hover.token) {
        place.column = hover.token->value;
    }
    if (!place.column)
        return place;
    switch (spec.map) {
    case MapKind::LayerToken:
    case MapKind::LayerChannel:
        place.cell = MapCell{*place.column, hover.layer.value};
        break;
    case MapKind::HeadToken: {
        const PlaneGeometry* plane = planeOf(spec, geometry);
        if (hover.layer == spec.layer && hover.channel && plane != nullptr)
            place.cell = MapCell{*place.column, plane->headOf(*hover.channel).value};
        break;
    }
    case MapKind::TokenChannel:
        if (hover.layer == spec.layer && hover.channel)
            place.cell = MapCell{*place.column, hover.channel->value - firstChannel(spec, geometry)};
        break;
    }
    return place;
}

} // namespace kvscope::views
