// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/index.h"

#include <QObject>
#include <QPointer>

#include <cstdint>
#include <vector>

namespace kvscope::views {

class ArrivalCover;
class HeatmapPane;
class StreamSession;

/// Lets a heatmap fill as a streamed context arrives: while a run is played, the tokens of chunks that are not there
/// yet are covered, hatched while they are recomputed, and a strip above shows in which form each chunk came.
class ArrivalVeil : public QObject {
    Q_OBJECT

public:
    /// What has become of a chunk's tokens.
    enum class State : std::uint8_t { Waiting, OnTheWay, Recomputing, Ready };
    struct Part {
        TokenRange tokens;
        State state = State::Waiting;
        /// Form in which the chunk comes; meaningless while it waits.
        std::size_t candidate = 0;

        bool operator==(const Part&) const = default;
    };

    /// Lets the pane follow a session's player; null: it shows all of its dump.
    static ArrivalVeil& follow(HeatmapPane& pane, StreamSession* session);

    /// What the pane shows now; empty while nothing is played or the pane shows something else.
    [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

private:
    explicit ArrivalVeil(HeatmapPane& pane);

    void setSession(StreamSession* session);
    void update();
    [[nodiscard]] std::vector<Part> partsNow() const;

    HeatmapPane& pane_;
    QPointer<StreamSession> session_;
    ArrivalCover* cover_;
    std::vector<Part> parts_;
};

/// The chunks of a run as of a moment, in order.
std::vector<ArrivalVeil::Part> arrivalsAt(const StreamSession& session, double seconds);

} // namespace kvscope::views
