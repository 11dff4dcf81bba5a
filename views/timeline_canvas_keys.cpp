// SPDX-License-Identifier: GPL-3.0-or-later
// Keys, menu and explanations of the timelines.
#include "views/number_format.h"
#include "views/timeline_canvas.h"

#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QScrollBar>
#include <QToolTip>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr double kDelaySeconds = 0.2;

} // namespace

void TimelineCanvas::stepRow(int step) {
    const auto& rows = session_->rows();
    if (rows.empty())
        return;
    const auto now = scene().focusRow;
    const int count = static_cast<int>(rows.size());
    const int next = std::clamp(now ? static_cast<int>(*now) + step : 0, 0, count - 1);
    const StreamRow& row = rows[static_cast<std::size_t>(next)];
    session_->setFocus(row.name, row.measured);
    const TimelinePicture shown = picture();
    const QRectF area = shown.rowArea(static_cast<std::size_t>(next));
    if (area.top() < shown.rowsArea().top())
        verticalScrollBar()->setValue(verticalScrollBar()->value() -
                                      static_cast<int>(shown.rowsArea().top() - area.top()));
    else if (area.bottom() > shown.rowsArea().bottom())
        verticalScrollBar()->setValue(verticalScrollBar()->value() +
                                      static_cast<int>(std::ceil(area.bottom() - shown.rowsArea().bottom())));
}

void TimelineCanvas::stepChunk(int step) {
    if (session_->input() == nullptr)
        return;
    const auto count = static_cast<std::int64_t>(session_->input()->chunkCount());
    const auto now = session_->chunk();
    const std::int64_t next = std::clamp<std::int64_t>(now ? static_cast<std::int64_t>(*now) + step : 0, 0, count - 1);
    session_->setChunk(static_cast<std::size_t>(next));
    emit chunkPicked(static_cast<std::size_t>(next));
}

bool TimelineCanvas::pressedBandwidthKey(const QKeyEvent& event) {
    constexpr double kStep = 1.1;
    const bool control = event.modifiers().testFlag(Qt::ControlModifier);
    StreamSettings next = session_->settings();
    switch (event.key()) {
    case Qt::Key_BracketLeft:
        session_->setBandwidth(session_->bandwidth() / kStep);
        return true;
    case Qt::Key_BracketRight:
        session_->setBandwidth(session_->bandwidth() * kStep);
        return true;
    case Qt::Key_BraceLeft:
    case Qt::Key_BraceRight:
        next.sloSeconds += event.key() == Qt::Key_BraceLeft ? -0.1 : 0.1;
        next.sloSeconds = std::clamp(snapped(next.sloSeconds, 0.01), StreamSession::kLeastSlo, StreamSession::kMostSlo);
        (void)session_->edit(tr("SLO"), next);
        return true;
    case Qt::Key_P:
        stepPoint(event.modifiers().testFlag(Qt::ShiftModifier) ? -1 : 1);
        return true;
    case Qt::Key_Delete:
        removePoint();
        return true;
    case Qt::Key_Insert: {
        const TimelinePicture now = picture();
        const double seconds = session_->player().position();
        addPoint(now, {now.xOf(seconds), now.yOf(session_->bandwidthCurve().bitsPerSecondAt(seconds))});
        return true;
    }
    default:
        break;
    }
    if (!control || !curvePoint_)
        return false;
    if (event.key() == Qt::Key_Up || event.key() == Qt::Key_Down)
        movePoint(0, event.key() == Qt::Key_Up ? kStep : 1 / kStep);
    else if (event.key() == Qt::Key_Left || event.key() == Qt::Key_Right)
        movePoint(event.key() == Qt::Key_Left ? -0.01 : 0.01, 1);
    else
        return false;
    return true;
}

bool TimelineCanvas::pressedPlayerKey(const QKeyEvent& event) {
    StreamPlayer& player = session_->player();
    const double step = event.modifiers().testFlag(Qt::ShiftModifier) ? 0.1 : 0.01;
    switch (event.key()) {
    case Qt::Key_Space:
        player.toggle();
        return true;
    case Qt::Key_Left:
        player.setPosition(snapped(player.position() - step, 0.001));
        return true;
    case Qt::Key_Right:
        player.setPosition(snapped(player.position() + step, 0.001));
        return true;
    case Qt::Key_Home:
        player.rewind();
        goHome();
        return true;
    default:
        return false;
    }
}

void TimelineCanvas::keyPressEvent(QKeyEvent* event) {
    if (!session_)
        return;
    if (pressedBandwidthKey(*event) || pressedPlayerKey(*event))
        return;
    const TimelinePicture now = picture();
    const double middle = (now.scene().begin + now.scene().end) / 2;
    const double half = (now.scene().end - now.scene().begin) / 2;
    switch (event->key()) {
    case Qt::Key_Up:
        stepRow(-1);
        return;
    case Qt::Key_Down:
        stepRow(1);
        return;
    case Qt::Key_Comma:
        stepChunk(-1);
        return;
    case Qt::Key_Period:
        stepChunk(1);
        return;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        setVisibleTime(middle - half * 0.8, middle + half * 0.8);
        return;
    case Qt::Key_Minus:
        setVisibleTime(middle - half * 1.25, middle + half * 1.25);
        return;
    case Qt::Key_Escape:
        session_->setChunk(std::nullopt);
        return;
    default:
        QAbstractScrollArea::keyPressEvent(event);
    }
}

void TimelineCanvas::toggleFault(Fault::Kind kind, std::size_t chunk) {
    StreamSettings next = session_->settings();
    const auto same = [&](const Fault& fault) { return fault.kind == kind && fault.chunk == chunk; };
    if (std::erase_if(next.faults, same) == 0)
        next.faults.push_back({kind, chunk, kind == Fault::Kind::Delay ? kDelaySeconds : 0});
    (void)session_->edit(tr("fault"), next);
}

void TimelineCanvas::contextMenuEvent(QContextMenuEvent* event) {
    if (!session_)
        return;
    const TimelinePicture now = picture();
    const bool byMouse = event->reason() == QContextMenuEvent::Mouse;
    const TimelineItem* item = byMouse ? now.itemAt(event->pos()) : nullptr;
    const auto chunk = item != nullptr ? std::optional(item->chunk) : session_->chunk();
    auto* menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    if (chunk) {
        using Kind = Fault::Kind;
        for (const auto& [kind, text] : {std::pair(Kind::Lose, tr("&Lose chunk %1 on its way")),
                                         std::pair(Kind::Corrupt, tr("&Corrupt chunk %1 on its way")),
                                         std::pair(Kind::Delay, tr("&Delay chunk %1 by 0.2 s"))}) {
            QAction* action = menu->addAction(text.arg(*chunk));
            action->setCheckable(true);
            action->setChecked(std::ranges::any_of(session_->settings().faults, [&, wanted = kind](const Fault& fault) {
                return fault.kind == wanted && fault.chunk == *chunk;
            }));
            connect(action, &QAction::triggered, this, [this, wanted = kind, at = *chunk] { toggleFault(wanted, at); });
        }
        menu->addSeparator();
    }
    QAction* none = menu->addAction(tr("&No faults"));
    none->setEnabled(!session_->settings().faults.empty());
    connect(none, &QAction::triggered, this, [this] {
        StreamSettings next = session_->settings();
        next.faults.clear();
        (void)session_->edit(tr("no faults"), next);
    });
    menu->addAction(tr("&Whole time"), this, &TimelineCanvas::goHome);
    menu->popup(event->globalPos());
}

QString TimelineCanvas::explain(const QPointF& at) const {
    const TimelinePicture now = picture();
    const StreamInput* input = session_->input();
    if (now.curveArea().contains(at)) {
        const double seconds = std::max(0.0, now.secondsAt(at.x()));
        return tr("%1 s: %2\nDrag a point or the line; double-click adds or removes a point; Shift+drag paints.")
            .arg(formatNumber(seconds, 4), formatRate(session_->bandwidthCurve().bitsPerSecondAt(seconds)));
    }
    if (now.isSloAt(at))
        return tr("SLO: the first token should come within %1. Drag to change it.")
            .arg(formatSeconds(session_->settings().sloSeconds));
    if (now.axisArea().contains(at))
        return tr("Drag to scrub: see every run as of that moment. Space plays.");
    const TimelineItem* item = now.itemAt(at);
    if (item != nullptr && input != nullptr) {
        const Candidate& form = input->candidates()[item->candidate];
        const StreamRow& row = session_->rows()[item->row];
        QStringList lines{tr("%1, chunk %2: tokens %3 to %4")
                              .arg(QString::fromStdString(row.name))
                              .arg(item->chunk)
                              .arg(formatCount(input->tokensBefore(item->chunk)),
                                   formatCount(input->tokensBefore(item->chunk + 1) - 1))};
        lines << (item->lane == TimelineLane::Ready
                      ? tr("ready at %1 as %2").arg(formatSeconds(item->begin), QString::fromStdString(form.name))
                      : tr("%1 as %2, %3 to %4")
                            .arg(nameOf(item->lane), QString::fromStdString(form.name), formatSeconds(item->begin),
                                 formatSeconds(item->end)));
        if (item->abandoned)
            lines << tr("given up");
        else if (item->lane == TimelineLane::Recompute)
            lines << tr("simulated: no model is computing here");
        const ChunkOption& option = input->option(item->chunk, item->candidate);
        if (option.bytes > 0)
            lines << tr("%1 MB%2, error %3")
                         .arg(formatNumber(option.bytes / 1e6, 3), input->projected() ? tr(" (projected)") : QString(),
                              formatNumber(option.error, 2));
        return lines.join(QLatin1Char('\n'));
    }
    if (const auto row = now.rowAt(at)) {
        const StreamRow& run = session_->rows()[*row];
        return tr("%1: first token after %2, %3 MB on the wire, predicted quality %4 (1: nothing lost), %5 of prefill")
            .arg(QString::fromStdString(run.name), formatSeconds(run.timeline.ttft),
                 formatNumber(run.timeline.wireBytes / 1e6, 4), formatNumber(run.timeline.quality, 3),
                 formatSeconds(run.timeline.computeSeconds));
    }
    return {};
}

bool TimelineCanvas::viewportEvent(QEvent* event) {
    if (event->type() == QEvent::ToolTip && session_) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const QString text = explain(QPointF(help->pos()));
        if (text.isEmpty())
            QToolTip::hideText();
        else
            QToolTip::showText(help->globalPos(), text, viewport());
        return true;
    }
    return QAbstractScrollArea::viewportEvent(event);
}

} // namespace kvscope::views
