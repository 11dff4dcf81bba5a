// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/cell_reader.h"

#include "views/run_async.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace kvscope::views {

namespace {

/// Channels of the plane that a row of the map covers.
ChannelRange channelsOfRow(const PlaneGeometry& plane, const MapSpec& spec, std::int64_t row) {
    if (spec.map == MapKind::HeadToken)
        return channelRange(row * plane.headDim, (row + 1) * plane.headDim);
    if (spec.map == MapKind::TokenChannel) {
        const std::int64_t first = spec.head ? spec.head->value * plane.headDim : 0;
        return channelRange(first + row, first + row + 1);
    }
    return channelRange(0, plane.channels());
}

Result<void> readToken(CacheMap& map, const PlaneGeometry& plane, TokenIndex token, const JobControl& job,
                       CellReading& reading) {
    MapSpec values = reading.query.spec;
    values.map = MapKind::TokenChannel;
    values.layer = reading.layer;
    values.head.reset();
    const ChannelRange channels =
        channelsOfRow(plane, reading.query.spec, reading.query.row).intersected(channelRange(0, plane.channels()));
    if (channels.empty() || token.value >= plane.tokens)
        return {};
    KVSCOPE_ASSIGN(const auto block,
                   map.read(values, CellRect{token.value, channels.begin.value, 1, channels.size()}, CellStep{}, job));
    const auto& asked = reading.query.channel;
    std::int64_t largest = asked && channels.contains(*asked) ? *asked - channels.begin : 0;
    for (std::int64_t i = 1; !asked && i < channels.size(); ++i) {
        const float current = block.at(0, largest).maxAbs();
        if (!(block.at(0, i).maxAbs() <= current))
            largest = i;
    }
    const Cell& found = block.at(0, largest);
    reading.token = token;
    reading.channel = channels.begin + largest;
    if (found.count > 0)
        reading.quantity = found.mean;
    float stored = 0;
    KVSCOPE_TRY(map.cache().readRows(PlaneId{reading.layer, values.kind, values.sequence}, {token, token + 1},
                                     {*reading.channel, *reading.channel + 1}, {&stored, 1}));
    reading.stored = stored;
    return {};
}

Result<CellReading> readUnguarded(CacheMap& map, const CellQuery& query, const JobControl& job) {
    CellReading reading;
    reading.query = query;
    const bool rowsAreLayers = query.spec.map == MapKind::LayerToken || query.spec.map == MapKind::LayerChannel;
    reading.layer = rowsAreLayers ? LayerIndex(query.row) : query.spec.layer;
    const CellRect rect{query.column / query.step.columns, query.row / query.step.rows, 1, 1};
    KVSCOPE_ASSIGN(const auto block, map.read(query.spec, rect, query.step, job));
    reading.cell = block.at(0, 0);
    reading.exact = block.exact;
    const PlaneGeometry* plane =
        map.cache().geometry().find(PlaneId{reading.layer, query.spec.kind, query.spec.sequence});
    if (plane == nullptr)
        return reading;
    if (query.spec.map == MapKind::LayerChannel) {
        if (query.column < plane->channels())
            reading.channel = ChannelIndex(query.column);
        return reading;
    }
    KVSCOPE_TRY(readToken(map, *plane, TokenIndex(query.column), job, reading));
    return reading;
}

} // namespace

Result<CellReading> readCell(CacheMap& map, const CellQuery& query, const JobControl& job) {
    try {
        return readUnguarded(map, query, job);
    } catch (const std::bad_alloc&) {
        return fail("not enough memory to read a cell", {}, "Close other dumps.", Error::Kind::System);
    }
}

CellReader::CellReader(Document* document, QObject* parent)
    : QObject(parent)
    , document_(document) {}

CellReader::~CellReader() {
    stop_.request_stop();
}

void CellReader::ask(const CellQuery& query) {
    if (running_)
        next_ = query;
    else
        start(query);
}

void CellReader::cancel() {
    next_.reset();
    stop_.request_stop();
}

void CellReader::start(const CellQuery& query) {
    running_ = true;
    stop_ = std::stop_source();
    runAsync(
        document_->pool(), this,
        [map = document_->map(), query, stop = stop_.get_token()] {
            return readCell(*map, query, JobControl{stop, nullptr});
        },
        [this, stop = stop_.get_token()](Result<CellReading> reading) {
            running_ = false;
            if (!stop.stop_requested() && reading)
                emit answered(*reading);
            else if (!stop.stop_requested() && reading.error().kind != Error::Kind::Cancelled)
                emit failed(reading.error());
            if (next_)
                start(*std::exchange(next_, std::nullopt));
        });
}

} // namespace kvscope::views
