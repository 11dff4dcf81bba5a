// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/document.h"

#include <QObject>

#include <optional>
#include <stop_token>

namespace kvscope::views {

/// One cell of a map asked about: full-resolution place, and the step of the cells on screen.
struct CellQuery {
    MapSpec spec;
    std::int64_t column = 0;
    std::int64_t row = 0;
    CellStep step;
    /// The channel to read where the cell covers many; the one largest in magnitude otherwise.
    std::optional<ChannelIndex> channel;

    bool operator==(const CellQuery&) const = default;
};

/// What lies under one cell.
struct CellReading {
    CellQuery query;
    LayerIndex layer;
    std::optional<TokenIndex> token;
    /// The channel of the cell, or of the value largest in magnitude where the cell covers many channels.
    std::optional<ChannelIndex> channel;
    /// The map's quantity at (layer, token, channel), and the value stored there.
    std::optional<float> quantity;
    std::optional<float> stored;
    /// Summary of the cell as shown on screen.
    Cell cell;
    bool exact = true;
};

/// Reads what a cell holds; blocks, so call it from a worker.
Result<CellReading> readCell(CacheMap& map, const CellQuery& query, const JobControl& job = {});

/// Answers the latest of many questions about cells: one read at a time, older questions are dropped.
class CellReader : public QObject {
    Q_OBJECT

public:
    explicit CellReader(Document* document, QObject* parent = nullptr);
    ~CellReader() override;

    void ask(const CellQuery& query);
    void cancel();

signals:
    void answered(const kvscope::views::CellReading& reading);
    void failed(const kvscope::Error& error);

private:
    void start(const CellQuery& query);

    Document* document_;
    std::optional<CellQuery> next_;
    bool running_ = false;
    std::stop_source stop_;
};

} // namespace kvscope::views
