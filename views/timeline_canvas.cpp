// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/timeline_canvas.h"

#include "views/chart_parts.h"

#include <QMouseEvent>
#include <QPainter>
#include <QScrollBar>
#include <QWheelEvent>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

/// Seconds shown at first, in multiples of the SLO.
constexpr double kHomeSpan = 2.2;
constexpr double kLeastSpan = 0.01;
constexpr double kMostSpan = 3600;
/// Painted stretches begin and end at multiples of this, so that strokes do not litter the curve with points.
constexpr double kPaintGrid = 0.01;

} // namespace

double snapped(double value, double grid) {
    return std::round(value / grid) * grid;
}

TimelineCanvas::TimelineCanvas(StreamSession& session, QWidget* parent)
    : QAbstractScrollArea(parent)
    , session_(&session) {
    setObjectName(QStringLiteral("timelineCanvas"));
    setFrameShape(QFrame::NoFrame);
    setFocusPolicy(Qt::StrongFocus);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    viewport()->setMouseTracking(true);
    viewport()->setFocusProxy(this);
    setAccessibleName(tr("Timelines of all strategies"));
    setAccessibleDescription(tr("Up and Down choose a strategy, comma and full stop a chunk, Space plays, Left and "
                                "Right scrub, [ and ] change the bandwidth"));
    connect(&session, &StreamSession::changed, this, &TimelineCanvas::refresh);
    connect(&session, &StreamSession::focusChanged, this, &TimelineCanvas::refresh);
    connect(&session.player(), &StreamPlayer::positionChanged, viewport(), qOverload<>(&QWidget::update));
    connect(&session.player(), &StreamPlayer::stateChanged, viewport(), qOverload<>(&QWidget::update));
    fitRates();
}

QList<QPair<QString, QString>> TimelineCanvas::gestures() {
    return {{tr("Drag a point of the bandwidth"), tr("move it in time and in rate")},
            {tr("Double-click the bandwidth"), tr("add a point; on a point: remove it")},
            {tr("Shift+drag over the bandwidth"), tr("paint it (with Paint on: without Shift)")},
            {tr("Drag the SLO's line"), tr("change the target for the first token")},
            {tr("Drag along the seconds"), tr("scrub: see the run as of that moment")},
            {tr("Click a strategy"), tr("follow it: its chunks fill the heatmaps")},
            {tr("Click a chunk"), tr("select its tokens everywhere and say why it came in this form")},
            {tr("Wheel, drag"), tr("zoom in time about the pointer; move. Ctrl+wheel scrolls the strategies")},
            {tr("Space"), tr("play and pause")},
            {tr("Left, Right"), tr("scrub by 10 ms, with Shift by 100 ms")},
            {tr("Home"), tr("back to the request, and the whole time")},
            {tr("Up, Down"), tr("choose the strategy above or below")},
            {tr("Comma, full stop"), tr("choose the chunk before or after")},
            {tr("[ and ]"), tr("less and more bandwidth; from now on while a run is played")},
            {tr("{ and }"), tr("an earlier and a later SLO")},
            {tr("P, then Ctrl+arrows"), tr("choose the next point of the bandwidth, and move it; Delete removes it, "
                                           "Insert adds one where playing stands")},
            {tr("+ and -"), tr("zoom in time")}};
}

void TimelineCanvas::setPainting(bool on) {
    painting_ = on;
    viewport()->setCursor(on ? Qt::CrossCursor : Qt::ArrowCursor);
    emit viewChanged();
}

void TimelineCanvas::setEstimates(bool on) {
    estimates_ = on;
    viewport()->update();
    emit viewChanged();
}

TimelineScene TimelineCanvas::scene() const {
    TimelineScene scene;
    const StreamSession& session = *session_;
    scene.rows = &session.rows();
    scene.input = session.input();
    // Of a transfer that has not begun nothing is known.
    if (session.document() != nullptr || session.transfer() != nullptr)
        scene.curve = &session.bandwidthCurve();
    scene.second = session.secondCurve();
    scene.sloSeconds = session.settings().sloSeconds;
    for (std::size_t i = 0; i < session.rows().size(); ++i) {
        const StreamRow& row = session.rows()[i];
        if (row.name == session.focusName() && row.measured == session.focusIsMeasured())
            scene.focusRow = i;
    }
    scene.chunk = session.chunk();
    if (session.player().isActive())
        scene.position = session.player().position();
    scene.estimates = estimates_;
    // What was measured is no curve to be drawn.
    scene.handles = session.transfer() == nullptr || session.transfer()->seen.empty();
    scene.curvePoint = curvePoint_;
    scene.begin = visible_ ? visible_->begin : 0;
    scene.end = visible_ ? visible_->end : kHomeSpan * scene.sloSeconds;
    // While the line of the SLO is dragged the axis stays where it is.
    if (drag_ == Drag::Slo) {
        scene.begin = pressedView_.begin;
        scene.end = pressedView_.end;
    }
    scene.leastRate = leastRate_;
    scene.mostRate = mostRate_;
    scene.scroll = verticalScrollBar()->value();
    if (const ShownTransfer* transfer = session.transfer())
        scene.caption = transfer->caption;
    else if (scene.input != nullptr)
        scene.caption = scene.input->projected()
                            ? tr("projected: %1").arg(QString::fromStdString(scene.input->source()))
                            : QString::fromStdString(scene.input->source());
    return scene;
}

TimelinePicture TimelineCanvas::picture() const {
    return {scene(), QRectF(viewport()->rect()), Theme::from(palette()), chartFont(*this)};
}

TimelinePicture TimelineCanvas::pictureFor(const QRectF& target) const {
    TimelineScene whole = scene();
    whole.scroll = 0;
    whole.handles = false;
    return {whole, target, Theme::from(palette()), chartFont(*this)};
}

void TimelineCanvas::refresh() {
    if (!session_)
        return;
    if (drag_ != Drag::Point && drag_ != Drag::Paint)
        fitRates();
    if (curvePoint_ && *curvePoint_ >= session_->bandwidthCurve().points().size())
        curvePoint_.reset();
    updateScrollBar();
    viewport()->update();
    emit viewChanged();
}

void TimelineCanvas::fitRates() {
    const bool seen = session_->transfer() != nullptr && !session_->transfer()->seen.empty();
    double least = seen ? StreamSession::kMostRate : StreamSession::kLeastRate;
    double most = seen ? 0 : 10e9;
    for (const BandwidthTrace* curve : {&session_->bandwidthCurve(), session_->secondCurve()}) {
        if (curve == nullptr)
            continue;
        for (const TracePoint& point : curve->points()) {
            if (point.bitsPerSecond > 0)
                least = std::min(least, point.bitsPerSecond);
            most = std::max(most, point.bitsPerSecond * 1.3);
        }
    }
    leastRate_ = std::max(std::pow(10.0, std::floor(std::log10(least) + 1e-9)), seen ? 1e4 : 1e6);
    mostRate_ = std::max(most, leastRate_ * 10);
}

void TimelineCanvas::updateScrollBar() {
    verticalScrollBar()->setValue(verticalScrollBar()->value());
    const TimelinePicture now = picture();
    const int hidden = static_cast<int>(std::ceil(now.rowsHeight() - now.rowsArea().height()));
    verticalScrollBar()->setRange(0, std::max(0, hidden));
    verticalScrollBar()->setPageStep(static_cast<int>(now.rowsArea().height()));
    verticalScrollBar()->setSingleStep(20);
}

void TimelineCanvas::goHome() {
    visible_.reset();
    viewport()->update();
    emit viewChanged();
}

void TimelineCanvas::setVisibleTime(double begin, double end) {
    const double span = std::clamp(end - begin, kLeastSpan, kMostSpan);
    begin = std::max(begin, -span * 0.02);
    visible_ = Interval{begin, begin + span};
    viewport()->update();
    emit viewChanged();
}

void TimelineCanvas::paintEvent(QPaintEvent*) {
    if (!session_)
        return;
    QPainter painter(viewport());
    picture().paint(painter);
    if (session_->rows().empty()) {
        const TimelinePicture now = picture();
        painter.setPen(Theme::from(palette()).dim);
        const QString text = session_->error() != nullptr ? QString()
                             : session_->isMeasuring()
                                 ? tr("Encoding the dump at each level to know its bits a value ...")
                                 : emptyText_;
        const QRect room = now.rowsArea().toAlignedRect().adjusted(8, 8, -8, -8);
        const QRect box = painter.boundingRect(room, Qt::AlignCenter | Qt::TextWordWrap, text);
        // The line of the SLO goes through the middle.
        if (!text.isEmpty())
            painter.fillRect(box.adjusted(-6, -3, 6, 3), Theme::from(palette()).background);
        painter.drawText(room, Qt::AlignCenter | Qt::TextWordWrap, text);
    }
    if (hasFocus()) {
        painter.setPen(QPen(palette().color(QPalette::Highlight), 1));
        painter.drawRect(QRectF(viewport()->rect()).adjusted(0.5, 0.5, -0.5, -0.5));
    }
}

void TimelineCanvas::resizeEvent(QResizeEvent* event) {
    QAbstractScrollArea::resizeEvent(event);
    updateScrollBar();
}

void TimelineCanvas::scrollContentsBy(int, int) {
    viewport()->update();
}

void TimelineCanvas::changeEvent(QEvent* event) {
    QAbstractScrollArea::changeEvent(event);
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange)
        viewport()->update();
}

void TimelineCanvas::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton || !session_)
        return;
    const TimelinePicture now = picture();
    const QPointF at = event->position();
    pressed_ = at;
    last_ = at;
    pressedSeconds_ = now.secondsAt(at.x());
    pressedView_ = {now.scene().begin, now.scene().end};
    const bool overCurve = now.curveArea().adjusted(-kPaintGrid, -4, 4, 4).contains(at);
    const bool paint = overCurve && painting_ != event->modifiers().testFlag(Qt::ShiftModifier);
    if (paint) {
        drag_ = Drag::Paint;
        session_->beginStroke(tr("paint the bandwidth"));
        paintRate(at, at);
    } else if (const auto point = now.curvePointAt(at)) {
        curvePoint_ = point;
        drag_ = Drag::Point;
        session_->beginStroke(tr("bandwidth"));
        viewport()->update();
    } else if (now.isSloAt(at)) {
        drag_ = Drag::Slo;
        session_->beginStroke(tr("SLO"));
    } else if (now.axisArea().contains(at)) {
        drag_ = Drag::Scrub;
        dragTo(at);
    } else if (overCurve) {
        // Anywhere on the line: the stretch under the pointer moves up and down.
        const auto points = session_->bandwidthCurve().points();
        std::size_t index = 0;
        while (index + 1 < points.size() && points[index + 1].seconds <= pressedSeconds_)
            ++index;
        const double rate = session_->bandwidthCurve().bitsPerSecondAt(std::max(pressedSeconds_, 0.0));
        if (std::abs(now.yOf(rate) - at.y()) <= 6 && session_->bandwidthCurve().duration() >= points[index].seconds) {
            curvePoint_ = index;
            drag_ = Drag::Point;
            session_->beginStroke(tr("bandwidth"));
        } else {
            drag_ = Drag::Pan;
        }
    } else {
        drag_ = Drag::Pan;
    }
}

void TimelineCanvas::mouseMoveEvent(QMouseEvent* event) {
    if (drag_ != Drag::None && event->buttons().testFlag(Qt::LeftButton)) {
        dragTo(event->position());
        return;
    }
    const TimelinePicture now = picture();
    const QPointF at = event->position();
    if (now.curvePointAt(at) && !painting_)
        viewport()->setCursor(Qt::SizeAllCursor);
    else if (now.isSloAt(at))
        viewport()->setCursor(Qt::SizeHorCursor);
    else if (now.axisArea().contains(at))
        viewport()->setCursor(Qt::SplitHCursor);
    else if (now.curveArea().contains(at) && painting_)
        viewport()->setCursor(Qt::CrossCursor);
    else if (now.itemAt(at) != nullptr || now.rowAt(at))
        viewport()->setCursor(Qt::PointingHandCursor);
    else
        viewport()->setCursor(Qt::ArrowCursor);
}

void TimelineCanvas::dragTo(const QPointF& at) {
    if (!session_)
        return;
    const TimelinePicture now = picture();
    switch (drag_) {
    case Drag::Slo: {
        StreamSettings next = session_->settings();
        next.sloSeconds =
            std::clamp(snapped(now.secondsAt(at.x()), 0.01), StreamSession::kLeastSlo, StreamSession::kMostSlo);
        (void)session_->edit(tr("SLO"), next);
        break;
    }
    case Drag::Point: {
        if (!curvePoint_ || *curvePoint_ >= session_->bandwidthCurve().points().size())
            break;
        // A press on the line beside the point moves the rate alone.
        const TracePoint& point = session_->bandwidthCurve().points()[*curvePoint_];
        const bool free = std::abs(now.xOf(point.seconds) - last_.x()) <= 8;
        const double seconds = free ? std::max(now.secondsAt(at.x()), 0.0) : point.seconds;
        const double rate = std::clamp(now.rateAt(at.y()), leastRate_, StreamSession::kMostRate);
        session_->editCurve(tr("bandwidth"),
                            session_->bandwidthCurve().withMovedPoint(*curvePoint_, {snapped(seconds, 0.001), rate}));
        break;
    }
    case Drag::Paint:
        paintRate(last_, at);
        break;
    case Drag::Scrub:
        session_->player().setPosition(std::max(now.secondsAt(at.x()), 0.0));
        break;
    case Drag::Pan:
        if ((at - pressed_).manhattanLength() >= 4) {
            const double shift =
                (pressed_.x() - at.x()) / now.curveArea().width() * (pressedView_.end - pressedView_.begin);
            if (std::abs(shift) > 0)
                setVisibleTime(pressedView_.begin + shift, pressedView_.end + shift);
        }
        break;
    case Drag::None:
        break;
    }
    last_ = at;
}

void TimelineCanvas::paintRate(const QPointF& from, const QPointF& to) {
    const TimelinePicture now = picture();
    const double a = now.secondsAt(std::min(from.x(), to.x()));
    const double b = now.secondsAt(std::max(from.x(), to.x()));
    const double begin = std::max(std::floor(a / kPaintGrid) * kPaintGrid, 0.0);
    const double end = std::max(std::ceil(b / kPaintGrid) * kPaintGrid, begin + kPaintGrid);
    const double rate = std::clamp(now.rateAt(to.y()), leastRate_, StreamSession::kMostRate);
    BandwidthTrace curve = session_->bandwidthCurve();
    if (curve.end() == TraceEnd::Hold && end >= curve.duration()) {
        // What holds for ever is given room for the stroke.
        const auto points = curve.points();
        auto longer = BandwidthTrace::make({points.begin(), points.end()}, end + 1, TraceEnd::Hold, curve.name());
        if (longer)
            curve = std::move(*longer);
    }
    session_->editCurve(tr("paint the bandwidth"), curve.withRate(begin, end, rate));
}

void TimelineCanvas::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton || drag_ == Drag::None || !session_)
        return;
    const Drag done = std::exchange(drag_, Drag::None);
    if (done == Drag::Slo || done == Drag::Point || done == Drag::Paint)
        session_->endStroke();
    if (done == Drag::Pan && (event->position() - pressed_).manhattanLength() < 4)
        pick(picture(), event->position());
    refresh();
}

void TimelineCanvas::pick(const TimelinePicture& now, const QPointF& at) {
    const auto row = now.rowAt(at);
    if (!row)
        return;
    const TimelineItem* item = now.itemAt(at);
    const StreamRow& run = session_->rows()[*row];
    const std::optional<std::size_t> chunk = item != nullptr ? std::optional(item->chunk) : std::nullopt;
    session_->setFocus(run.name, run.measured);
    if (chunk) {
        session_->setChunk(chunk);
        emit chunkPicked(*chunk);
    }
}

void TimelineCanvas::mouseDoubleClickEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton || !session_)
        return;
    const TimelinePicture now = picture();
    if (const auto point = now.curvePointAt(event->position())) {
        curvePoint_ = point;
        removePoint();
    } else if (now.curveArea().contains(event->position())) {
        addPoint(now, event->position());
    } else if (!now.itemAt(event->position())) {
        goHome();
    }
}

void TimelineCanvas::addPoint(const TimelinePicture& now, const QPointF& at) {
    const double seconds = std::max(snapped(now.secondsAt(at.x()), 0.001), 0.0);
    const double rate = std::clamp(now.rateAt(at.y()), leastRate_, StreamSession::kMostRate);
    const BandwidthTrace& curve = session_->bandwidthCurve();
    std::vector<TracePoint> points(curve.points().begin(), curve.points().end());
    const double duration = curve.end() == TraceEnd::Hold ? std::max(curve.duration(), seconds + 1) : curve.duration();
    const auto longer = BandwidthTrace::make(std::move(points), duration, curve.end(), curve.name());
    if (!longer)
        return;
    session_->editCurve(tr("point of the bandwidth"), longer->withPoint({seconds, rate}));
}

void TimelineCanvas::removePoint() {
    if (!curvePoint_)
        return;
    session_->editCurve(tr("remove a point"), session_->bandwidthCurve().withoutPoint(*curvePoint_));
}

void TimelineCanvas::stepPoint(int step) {
    const auto count = static_cast<int>(session_->bandwidthCurve().points().size());
    const int now = curvePoint_ ? static_cast<int>(*curvePoint_) + step : 0;
    curvePoint_ = static_cast<std::size_t>((now + count) % count);
    viewport()->update();
}

void TimelineCanvas::movePoint(double seconds, double factor) {
    if (!curvePoint_)
        return;
    const TracePoint& point = session_->bandwidthCurve().points()[*curvePoint_];
    const double rate = std::clamp(point.bitsPerSecond * factor, 1e6, StreamSession::kMostRate);
    session_->editCurve(tr("bandwidth"), session_->bandwidthCurve().withMovedPoint(
                                             *curvePoint_, {std::max(0.0, point.seconds + seconds), rate}));
}

void TimelineCanvas::wheelEvent(QWheelEvent* event) {
    const double steps = event->angleDelta().y() / 120.0;
    if (event->modifiers().testFlag(Qt::ControlModifier)) {
        verticalScrollBar()->setValue(verticalScrollBar()->value() - static_cast<int>(steps * 40));
        event->accept();
        return;
    }
    const TimelinePicture now = picture();
    const double span = now.scene().end - now.scene().begin;
    if (event->modifiers().testFlag(Qt::ShiftModifier)) {
        const double shift = -steps * span * 0.1;
        setVisibleTime(now.scene().begin + shift, now.scene().end + shift);
    } else {
        const double factor = std::pow(0.8, steps);
        const double about = now.secondsAt(event->position().x());
        setVisibleTime(about - (about - now.scene().begin) * factor, about + (now.scene().end - about) * factor);
    }
    event->accept();
}

} // namespace kvscope::views
