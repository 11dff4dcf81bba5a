// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/arrival_veil.h"

#include "views/heatmap_pane.h"
#include "views/stream_session.h"
#include "views/theme.h"
#include "views/timeline_picture.h"

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr double kStrip = 5;
const QString kLayer = QStringLiteral("arrivals");

} // namespace

/// Draws the cover over the plot, on a layer of its own.
class ArrivalCover : public QCPLayerable {
public:
    explicit ArrivalCover(QCustomPlot* plot)
        : QCPLayerable(plot, kLayer) {}

    void show(const std::vector<ArrivalVeil::Part>& parts, const StreamInput* input) {
        parts_ = parts;
        candidates_.clear();
        if (input != nullptr)
            candidates_.assign(input->candidates().begin(), input->candidates().end());
        // A buffer of its own while there is something to cover, and no cost to the map's frames otherwise.
        layer()->setMode(parts_.empty() ? QCPLayer::lmLogical : QCPLayer::lmBuffered);
        layer()->replot();
    }

protected:
    [[nodiscard]] QRect clipRect() const override { return mParentPlot->axisRect()->rect(); }
    void applyDefaultAntialiasingHint(QCPPainter* painter) const override { painter->setAntialiasing(false); }

    void draw(QCPPainter* painter) override {
        using State = ArrivalVeil::State;
        const Theme theme = Theme::from(mParentPlot->palette());
        const QRectF area = clipRect();
        for (const ArrivalVeil::Part& part : parts_) {
            const double left = mParentPlot->xAxis->coordToPixel(static_cast<double>(part.tokens.begin.value) - 0.5);
            const double right = mParentPlot->xAxis->coordToPixel(static_cast<double>(part.tokens.end.value) - 0.5);
            const QRectF place = QRectF(left, area.top(), right - left, area.height()).intersected(area);
            if (place.isEmpty())
                continue;
            if (part.state != State::Ready) {
                QColor cover = theme.background;
                cover.setAlpha(part.state == State::Waiting ? 245 : 215);
                painter->fillRect(place, cover);
            }
            if (part.state == State::Recomputing) {
                QColor hatch = theme.text;
                hatch.setAlpha(110);
                painter->fillRect(place, QBrush(hatch, Qt::BDiagPattern));
            }
            if (part.state != State::Waiting && part.candidate < candidates_.size()) {
                const QRectF strip(place.left(), area.top(), place.width(), kStrip);
                painter->fillRect(strip, theme.background);
                painter->fillRect(strip, brushOf(candidates_[part.candidate], theme));
            }
        }
    }

private:
    std::vector<ArrivalVeil::Part> parts_;
    std::vector<Candidate> candidates_;
};

std::vector<ArrivalVeil::Part> arrivalsAt(const StreamSession& session, double seconds) {
    using State = ArrivalVeil::State;
    std::vector<ArrivalVeil::Part> parts;
    const StreamRow* row = session.focusRow();
    if (row == nullptr || session.input() == nullptr)
        return parts;
    const Timeline& run = row->timeline;
    for (std::size_t i = 0; i < run.chunks.size(); ++i) {
        const ChunkTimes& chunk = run.chunks[i];
        ArrivalVeil::Part part{session.tokensOf(i), State::Waiting, 0};
        const auto begun = [seconds](const Interval& interval) {
            return !interval.empty() && interval.begin <= seconds;
        };
        if (chunk.ready <= seconds)
            part.state = State::Ready;
        else if (begun(chunk.recompute))
            part.state = State::Recomputing;
        else if (begun(chunk.send))
            part.state = State::OnTheWay;
        if (part.state != State::Waiting) {
            part.candidate = chunk.candidate;
        } else {
            for (const AbandonedTransfer& transfer : run.abandoned) {
                if (transfer.chunk == i && begun(transfer.send) && transfer.send.end > seconds) {
                    part.state = State::OnTheWay;
                    part.candidate = transfer.candidate;
                }
            }
        }
        parts.push_back(part);
    }
    return parts;
}

ArrivalVeil& ArrivalVeil::follow(HeatmapPane& pane, StreamSession* session) {
    auto* veil = pane.findChild<ArrivalVeil*>(QString(), Qt::FindDirectChildrenOnly);
    if (veil == nullptr)
        veil = new ArrivalVeil(pane);
    veil->setSession(session);
    return *veil;
}

ArrivalVeil::ArrivalVeil(HeatmapPane& pane)
    : QObject(&pane)
    , pane_(pane) {
    HeatmapPlot& plot = pane.plot();
    plot.addLayer(kLayer);
    cover_ = new ArrivalCover(&plot);
    connect(&pane, &HeatmapPane::mapShown, this, &ArrivalVeil::update);
}

void ArrivalVeil::setSession(StreamSession* session) {
    if (session_ != nullptr && session_ != session) {
        disconnect(session_, nullptr, this, nullptr);
        disconnect(&session_->player(), nullptr, this, nullptr);
    }
    if (session != nullptr && session_ != session) {
        connect(session, &StreamSession::changed, this, &ArrivalVeil::update);
        connect(session, &StreamSession::focusChanged, this, &ArrivalVeil::update);
        connect(&session->player(), &StreamPlayer::positionChanged, this, &ArrivalVeil::update);
        connect(&session->player(), &StreamPlayer::stateChanged, this, &ArrivalVeil::update);
    }
    session_ = session;
    update();
}

std::vector<ArrivalVeil::Part> ArrivalVeil::partsNow() const {
    if (!session_ || !session_->player().isActive() || pane_.document() != session_->document())
        return {};
    const auto map = pane_.shownMap();
    if (!map || map->map == MapKind::LayerChannel)
        return {};
    return arrivalsAt(*session_, session_->player().position());
}

void ArrivalVeil::update() {
    auto parts = partsNow();
    if (parts == parts_)
        return;
    parts_ = std::move(parts);
    cover_->show(parts_, session_ ? session_->input() : nullptr);
}

} // namespace kvscope::views
