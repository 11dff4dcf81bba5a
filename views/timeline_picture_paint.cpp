// SPDX-License-Identifier: GPL-3.0-or-later
// How the timelines are drawn.
#include "views/number_format.h"
#include "views/timeline_picture.h"

#include <QCoreApplication>
#include <QFontMetricsF>
#include <QPainter>
#include <QPainterPath>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace kvscope::views {

namespace {

constexpr double kHandle = 4;
constexpr double kBracket = 4;
/// What lies in the future while a run is played.
constexpr double kFutureOpacity = 0.22;

QString tr(const char* text) {
    return QCoreApplication::translate("TimelinePicture", text);
}

/// A step for ticks that leaves `pixels` between them.
double tickStep(double span, double width, double pixels) {
    const double rough = span / std::max(1.0, width / pixels);
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double step : {1.0, 2.0, 5.0}) {
        if (step * power >= rough)
            return step * power;
    }
    return 10 * power;
}

/// The second path's curve: another hue, dots between dashes.
QPen secondPen(const Theme& theme) {
    return {theme.kind(PlaneKind::Value), 2, Qt::DashDotLine};
}

} // namespace

void TimelinePicture::paint(QPainter& painter) const {
    painter.save();
    painter.setFont(font_);
    painter.fillRect(area_, theme_.background);
    paintCurve(painter);
    paintAxis(painter);
    painter.save();
    painter.setClipRect(rows_, Qt::IntersectClip);
    paintRows(painter);
    painter.restore();
    paintMarks(painter);
    paintLegend(painter);
    painter.restore();
}

void TimelinePicture::paintCurve(QPainter& painter) const {
    painter.save();
    const QFontMetricsF metrics(font_);
    painter.setPen(theme_.dim);
    const QRectF title(area_.left() + 8, curve_.top(), gutter_ - 98, curve_.height());
    painter.save();
    painter.setClipRect(title, Qt::IntersectClip);
    painter.drawText(title, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, scene_.caption);
    painter.restore();
    double lastLabel = curve_.bottom() + 100;
    const auto lowest = static_cast<int>(std::ceil(std::log10(scene_.leastRate) - 1e-9));
    const auto highest = static_cast<int>(std::floor(std::log10(scene_.mostRate * 1.001)));
    for (int power = lowest; power <= highest; ++power) {
        const double rate = std::pow(10.0, power);
        const double y = yOf(rate);
        painter.setPen(QPen(theme_.grid, 1));
        painter.drawLine(QPointF(curve_.left(), y), QPointF(curve_.right(), y));
        if (lastLabel - y < metrics.height())
            continue;
        lastLabel = y;
        painter.setPen(theme_.dim);
        painter.drawText(QRectF(curve_.left() - 90, y - metrics.height() / 2, 84, metrics.height()),
                         Qt::AlignRight | Qt::AlignVCenter, formatRate(rate));
    }
    if (scene_.curve != nullptr) {
        painter.setClipRect(curve_, Qt::IntersectClip);
        const auto points = scene_.curve->points();
        const QPainterPath path = stepsOf(*scene_.curve);
        const double first = std::max(scene_.begin, 0.0);
        QPainterPath under = path;
        under.lineTo(xOf(scene_.end), curve_.bottom());
        under.lineTo(xOf(first), curve_.bottom());
        QColor fill = theme_.kind(PlaneKind::Key);
        fill.setAlpha(45);
        painter.setRenderHint(QPainter::Antialiasing, false);
        painter.fillPath(under, fill);
        painter.setPen(QPen(theme_.kind(PlaneKind::Key), 2));
        painter.drawPath(path);
        if (scene_.second != nullptr) {
            painter.setPen(secondPen(theme_));
            painter.drawPath(stepsOf(*scene_.second));
        }
        if (scene_.handles) {
            painter.setRenderHint(QPainter::Antialiasing);
            for (std::size_t i = 0; i < points.size(); ++i) {
                const QPointF place(xOf(points[i].seconds), yOf(points[i].bitsPerSecond));
                if (place.x() < curve_.left() - kHandle || place.x() > curve_.right() + kHandle)
                    continue;
                const bool marked = scene_.curvePoint == i;
                painter.setPen(QPen(marked ? theme_.accent : theme_.kind(PlaneKind::Key), 2));
                painter.setBrush(theme_.background);
                painter.drawEllipse(place, kHandle + (marked ? 1.5 : 0), kHandle + (marked ? 1.5 : 0));
            }
        }
        if (scene_.estimates)
            paintEstimates(painter);
        if (scene_.second != nullptr)
            paintPathNames(painter);
    }
    painter.restore();
}

QPainterPath TimelinePicture::stepsOf(const BandwidthTrace& curve) const {
    QPainterPath path;
    const double first = std::max(scene_.begin, 0.0);
    path.moveTo(xOf(first), yOf(curve.bitsPerSecondAt(first)));
    // Looping traces go round; a step for every point that the eye can tell apart.
    const double duration = curve.duration();
    const double rounds = curve.end() == TraceEnd::Loop ? std::ceil(scene_.end / duration) : 1;
    const double pixel = (scene_.end - scene_.begin) / std::max(1.0, curve_.width());
    double last = first - 1;
    constexpr int kMostRounds = 4000;
    const double before = std::floor(first / duration);
    for (int round = 0; round < kMostRounds && before + round < rounds; ++round) {
        for (const TracePoint& point : curve.points()) {
            const double seconds = point.seconds + (before + round) * duration;
            if (seconds <= first || seconds > scene_.end || seconds - last < pixel / 4)
                continue;
            last = seconds;
            path.lineTo(xOf(seconds), path.currentPosition().y());
            path.lineTo(xOf(seconds), yOf(point.bitsPerSecond));
        }
    }
    path.lineTo(xOf(scene_.end), path.currentPosition().y());
    return path;
}

void TimelinePicture::paintPathNames(QPainter& painter) const {
    const QFontMetricsF metrics(font_);
    const std::array<std::pair<QString, QPen>, 2> names{
        std::pair{tr("first path"), QPen(theme_.kind(PlaneKind::Key), 2)},
        std::pair{tr("second path"), secondPen(theme_)}};
    constexpr double kLine = 26;
    const double width = metrics.horizontalAdvance(names[1].first) + kLine + 16;
    const double height = metrics.height() + 1;
    QRectF box(curve_.right() - width - 6, curve_.top() + 2, width, 2 * height + 4);
    QColor veil = theme_.background;
    veil.setAlpha(215);
    painter.fillRect(box, veil);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const double middle = box.top() + 2 + (static_cast<double>(i) + 0.5) * height;
        painter.setPen(names[i].second);
        painter.drawLine(QPointF(box.left() + 6, middle), QPointF(box.left() + 6 + kLine, middle));
        painter.setPen(theme_.text);
        painter.drawText(QRectF(box.left() + kLine + 12, middle - height / 2, width - kLine - 12, height),
                         Qt::AlignLeft | Qt::AlignVCenter, names[i].first);
    }
}

void TimelinePicture::paintEstimates(QPainter& painter) const {
    if (scene_.rows == nullptr || !scene_.focusRow || *scene_.focusRow >= scene_.rows->size())
        return;
    const Timeline& run = (*scene_.rows)[*scene_.focusRow].timeline;
    // Each path is estimated by itself.
    std::array<std::vector<QPointF>, 2> paths;
    for (const Decision& decision : run.decisions) {
        const bool isGuess = decision.basis == RateBasis::Ids || decision.basis == RateBasis::Assumed;
        if (!(decision.estimate > 0) || isGuess || isFuture(decision.seconds))
            continue;
        paths[decision.path == 1 ? 1 : 0].emplace_back(xOf(decision.seconds), yOf(decision.estimate));
    }
    painter.setRenderHint(QPainter::Antialiasing);
    for (std::size_t path = 0; path < paths.size(); ++path) {
        auto& points = paths[path];
        std::ranges::stable_sort(points, {}, [](const QPointF& point) { return point.x(); });
        painter.setPen(QPen(theme_.accent, 1.5, Qt::DashLine));
        for (std::size_t i = 1; i < points.size(); ++i)
            painter.drawLine(points[i - 1], points[i]);
        painter.setPen(path == 0 ? QPen(Qt::NoPen) : QPen(theme_.accent, 1.5));
        painter.setBrush(path == 0 ? theme_.accent : theme_.background);
        for (const QPointF& point : points)
            painter.drawEllipse(point, 2.5, 2.5);
    }
}

void TimelinePicture::paintAxis(QPainter& painter) const {
    const double step = tickStep(scene_.end - scene_.begin, axis_.width(), 70);
    painter.setPen(theme_.dim);
    painter.drawText(QRectF(area_.left() + 4, axis_.top(), gutter_ - 12, axis_.height()),
                     Qt::AlignLeft | Qt::AlignVCenter, tr("seconds from the request"));
    const double before = std::ceil(scene_.begin / step);
    const auto ticks = static_cast<int>(std::floor(scene_.end / step - before)) + 1;
    for (int tick = 0; tick < ticks; ++tick) {
        const double seconds = (before + tick) * step;
        const double x = xOf(seconds);
        painter.setPen(theme_.grid);
        painter.drawLine(QPointF(x, curve_.top()), QPointF(x, rows_.bottom()));
        painter.setPen(theme_.dim);
        painter.drawText(QRectF(x - 40, axis_.top(), 80, axis_.height()), Qt::AlignCenter,
                         formatNumber(std::abs(seconds) < step * 1e-6 ? 0 : seconds, 6));
    }
}

void TimelinePicture::paintRowTitle(QPainter& painter, std::size_t row) const {
    const StreamRow& run = (*scene_.rows)[row];
    const Timeline& timeline = run.timeline;
    const QRectF title =
        QRectF(rowArea(row).left() + 8, rowArea(row).top() + 2, gutter_ - 16, rowArea(row).height() - 4);
    const bool focus = scene_.focusRow == row;
    const QFontMetricsF metrics(font_);
    const bool labels = laneArea(row, TimelineLane::Network).height() >= 10;
    const double laneLabels = labels ? metrics.horizontalAdvance(nameOf(TimelineLane::Recompute)) + 6 : 0;
    const double width = title.width() - laneLabels;
    const QString time = run.underWay ? QStringLiteral("\u2026") : formatSeconds(timeline.ttft);
    painter.setFont(bold());
    painter.setPen(theme_.text);
    const double timeWidth = QFontMetricsF(bold()).horizontalAdvance(time);
    const double line = metrics.height();
    const bool two = title.height() >= 2 * line;
    QString name = QString::fromStdString(run.name);
    const QString whole = name + tr(" measured");
    // Beside the name where there is room, else on a line of its own, or in place of the quality.
    const bool isLong = QFontMetricsF(bold()).horizontalAdvance(whole) > width - timeWidth - 6;
    const bool three = run.measured && isLong && title.height() >= 3 * line;
    const bool instead = run.measured && isLong && !three && two;
    if (run.measured && !three && !instead)
        name = whole;
    const double lines = (two ? 2 : 1) + (three ? 1 : 0);
    const double top = two ? title.top() + (title.height() - lines * line) / 2 : title.top();
    const double second = top + (lines - 1) * line;
    painter.drawText(QRectF(title.left(), top, width - timeWidth - 6, line), Qt::AlignLeft | Qt::AlignVCenter,
                     QFontMetricsF(bold()).elidedText(name, Qt::ElideRight, width - timeWidth - 6));
    painter.drawText(QRectF(title.left(), top, width, line), Qt::AlignRight | Qt::AlignVCenter, time);
    painter.setFont(font_);
    if (three)
        painter.drawText(QRectF(title.left(), top + line, width, line), Qt::AlignLeft | Qt::AlignVCenter,
                         tr("measured"));
    if (two) {
        const bool met = timeline.meetsSlo();
        QString verdict = met ? tr("\u2713 by %1").arg(formatSeconds(timeline.margin()))
                              : tr("\u2717 late %1").arg(formatSeconds(-timeline.margin()));
        if (run.underWay)
            verdict = tr("under way");
        else if (!timeline.complete())
            verdict = tr("\u2717 never");
        QString quality = run.underWay ? QString() : tr("q %1").arg(timeline.quality, 0, 'f', 3);
        if (instead)
            quality = tr("measured");
        painter.setPen(met || run.underWay ? theme_.dim : theme_.accent);
        painter.drawText(QRectF(title.left(), second, width, line), Qt::AlignLeft | Qt::AlignVCenter, verdict);
        painter.setPen(theme_.dim);
        painter.drawText(QRectF(title.left(), second, width, line), Qt::AlignRight | Qt::AlignVCenter, quality);
    }
    if (labels) {
        painter.setPen(theme_.dim);
        for (int lane = 0; lane < kTimelineLanes; ++lane) {
            const QRectF at = laneArea(row, static_cast<TimelineLane>(lane));
            painter.drawText(QRectF(title.right() - laneLabels, at.center().y() - line / 2, laneLabels + 4, line),
                             Qt::AlignRight | Qt::AlignVCenter, nameOf(static_cast<TimelineLane>(lane)));
        }
    }
    if (focus) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(theme_.selection);
        painter.drawRect(QRectF(rowArea(row).left(), rowArea(row).top() + 1, 4, rowArea(row).height() - 2));
        painter.setBrush(Qt::NoBrush);
    }
}

void TimelinePicture::paintReady(QPainter& painter, std::size_t row) const {
    // A staircase: how much of the context is there.
    const Timeline& run = (*scene_.rows)[row].timeline;
    std::vector<double> ready;
    for (const ChunkTimes& chunk : run.chunks) {
        if (chunk.ready < kNever && !isFuture(chunk.ready))
            ready.push_back(chunk.ready);
    }
    std::ranges::sort(ready);
    const QRectF lane = laneArea(row, TimelineLane::Ready);
    QColor fill = theme_.dim;
    fill.setAlpha(60);
    const double end = scene_.position ? std::min(*scene_.position, run.ttft) : run.ttft;
    for (std::size_t i = 0; i < ready.size(); ++i) {
        const double from = std::max(xOf(ready[i]), lane.left());
        const double to = std::min(xOf(i + 1 < ready.size() ? ready[i + 1] : std::max(end, ready[i])), lane.right());
        const double height = lane.height() * static_cast<double>(i + 1) / static_cast<double>(run.chunks.size());
        if (to > from)
            painter.fillRect(QRectF(from, lane.bottom() - height, to - from, height), fill);
    }
}

void TimelinePicture::paintItem(QPainter& painter, const TimelineItem& item) const {
    const Candidate& candidate = scene_.input->candidates()[item.candidate];
    const bool selected = scene_.chunk == item.chunk && scene_.focusRow == item.row;
    painter.setOpacity(isFuture(item.begin) ? kFutureOpacity : 1.0);
    const QColor colour = colourOf(candidate, theme_);
    if (item.simulated) {
        // A bracket above the measured bar: where it should begin and end.
        const QRectF bar = item.rect.adjusted(0.5, 0.5, -0.5, -0.5);
        const double foot = bar.top() + std::min(bar.height(), kBracket);
        painter.setPen(QPen(theme_.text, 1));
        painter.drawPolyline(
            QPolygonF{QPointF(bar.left(), foot), bar.topLeft(), bar.topRight(), QPointF(bar.right(), foot)});
        painter.setOpacity(1);
        return;
    }
    if (item.lane == TimelineLane::Ready) {
        painter.fillRect(item.rect, colour);
    } else {
        if (item.abandoned) {
            QColor pale = colour;
            pale.setAlpha(70);
            painter.fillRect(item.rect, pale);
            painter.fillRect(item.rect, QBrush(colour, Qt::DiagCrossPattern));
        } else {
            painter.fillRect(item.rect, brushOf(candidate, theme_));
        }
        if (item.rect.width() >= 3) {
            painter.setPen(QPen(candidate.form == ChunkForm::Text ? colour : theme_.background, 1));
            painter.setBrush(Qt::NoBrush);
            if (candidate.form == ChunkForm::Text)
                painter.drawRect(item.rect.adjusted(0.5, 0.5, -0.5, -0.5));
            else
                painter.drawLine(item.rect.topRight(), item.rect.bottomRight());
        }
        if (candidate.form == ChunkForm::Level && !item.abandoned && item.rect.height() >= 11 &&
            item.rect.width() >= 14) {
            painter.setPen(theme_.dark ? QColor(Qt::black) : QColor(Qt::white));
            painter.drawText(item.rect, Qt::AlignCenter, QString::number(candidate.level));
        }
        if (item.end > scene_.sloSeconds && scene_.sloSeconds < scene_.end) {
            const double from = std::max(item.rect.left(), xOf(scene_.sloSeconds));
            const QRectF late(from, item.rect.top(), item.rect.right() - from, item.rect.height());
            if (late.width() >= 1) {
                const double width = late.height() < 9 ? 1 : 2;
                painter.setPen(QPen(theme_.accent, width));
                painter.setBrush(Qt::NoBrush);
                painter.drawRect(late.adjusted(width / 2, width / 2, -width / 2, -width / 2));
            }
        }
    }
    if (selected) {
        painter.setOpacity(1);
        painter.setPen(QPen(theme_.background, 4));
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(item.rect.adjusted(-1, -1, 1, 1));
        painter.setPen(QPen(theme_.text, 2));
        painter.drawRect(item.rect.adjusted(-1, -1, 1, 1));
    }
    painter.setOpacity(1);
}

void TimelinePicture::paintFirstToken(QPainter& painter, std::size_t row) const {
    const Timeline& run = (*scene_.rows)[row].timeline;
    if ((*scene_.rows)[row].underWay)
        return;
    const QRectF lanes = rowArea(row).adjusted(gutter_, 2, 0, -2);
    const QColor colour = run.meetsSlo() ? theme_.text : theme_.accent;
    painter.setOpacity(isFuture(run.ttft) ? 0.5 : 1.0);
    if (run.ttft <= scene_.end && run.ttft >= scene_.begin) {
        const double x = xOf(run.ttft);
        painter.setPen(QPen(colour, 2));
        painter.drawLine(QPointF(x, lanes.top()), QPointF(x, lanes.bottom()));
        painter.setBrush(colour);
        painter.setPen(Qt::NoPen);
        painter.drawPolygon(
            QPolygonF{QPointF(x, lanes.top()), QPointF(x + 7, lanes.top() + 4), QPointF(x, lanes.top() + 8)});
    } else if (run.ttft > scene_.end) {
        const QString text = tr("first token %1 \u25b8").arg(formatSeconds(run.ttft));
        const QFontMetricsF metrics(font_);
        const QRectF box(lanes.right() - metrics.horizontalAdvance(text) - 8, lanes.center().y() - metrics.height() / 2,
                         metrics.horizontalAdvance(text) + 8, metrics.height());
        QColor back = theme_.background;
        back.setAlpha(225);
        painter.fillRect(box, back);
        painter.setPen(colour);
        painter.drawText(box, Qt::AlignCenter, text);
    }
    painter.setOpacity(1);
    painter.setBrush(Qt::NoBrush);
}

void TimelinePicture::paintRows(QPainter& painter) const {
    if (scene_.rows == nullptr)
        return;
    for (std::size_t row = 0; row < scene_.rows->size(); ++row) {
        const QRectF area = rowArea(row);
        if (area.bottom() < rows_.top() || area.top() > rows_.bottom())
            continue;
        if (scene_.focusRow == row) {
            QColor band = theme_.selection;
            band.setAlpha(28);
            painter.fillRect(area, band);
        }
        painter.setPen(theme_.grid);
        painter.drawLine(area.bottomLeft(), area.bottomRight());
        paintRowTitle(painter, row);
        paintReady(painter, row);
    }
    if (scene_.input == nullptr)
        return;
    painter.save();
    painter.setClipRect(rows_.adjusted(gutter_, 0, 0, 0), Qt::IntersectClip);
    const TimelineItem* before = nullptr;
    for (const TimelineItem& item : items_) {
        // Of many bars within a pixel one is enough.
        const bool hidden = before != nullptr && before->row == item.row && before->lane == item.lane &&
                            before->candidate == item.candidate && before->simulated == item.simulated &&
                            item.rect.width() <= 1 && item.rect.right() - before->rect.left() < 1.2;
        if (hidden)
            continue;
        paintItem(painter, item);
        before = &item;
    }
    for (std::size_t row = 0; row < scene_.rows->size(); ++row) {
        const QRectF area = rowArea(row);
        if (area.bottom() >= rows_.top() && area.top() <= rows_.bottom())
            paintFirstToken(painter, row);
    }
    painter.restore();
}

void TimelinePicture::paintMarks(QPainter& painter) const {
    const QFontMetricsF metrics(font_);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    const double slo = xOf(scene_.sloSeconds);
    if (scene_.sloSeconds >= scene_.begin && scene_.sloSeconds <= scene_.end) {
        painter.setPen(QPen(theme_.accent, 2, Qt::DashLine));
        painter.drawLine(QPointF(slo, axis_.top()), QPointF(slo, rows_.bottom()));
        const QString text = tr("SLO %1").arg(formatSeconds(scene_.sloSeconds));
        QRectF flag(slo - metrics.horizontalAdvance(text) / 2 - 5, axis_.top() + 2,
                    metrics.horizontalAdvance(text) + 10, axis_.height() - 4);
        flag.moveLeft(std::clamp(flag.left(), axis_.left(), std::max(axis_.left(), axis_.right() - flag.width())));
        painter.setPen(Qt::NoPen);
        painter.setBrush(theme_.accent);
        painter.drawRoundedRect(flag, 3, 3);
        painter.setPen(theme_.dark ? QColor(Qt::black) : QColor(Qt::white));
        painter.drawText(flag, Qt::AlignCenter, text);
    }
    if (scene_.position && *scene_.position >= scene_.begin && *scene_.position <= scene_.end) {
        const double x = xOf(*scene_.position);
        painter.setPen(QPen(theme_.text, 2));
        painter.drawLine(QPointF(x, curve_.top()), QPointF(x, rows_.bottom()));
        painter.setBrush(theme_.text);
        painter.setPen(Qt::NoPen);
        painter.drawPolygon(
            QPolygonF{QPointF(x - 6, axis_.top()), QPointF(x + 6, axis_.top()), QPointF(x, axis_.top() + 9)});
    }
    painter.restore();
}

void TimelinePicture::paintLegend(QPainter& painter) const {
    if (scene_.input == nullptr)
        return;
    struct Entry {
        QString text;
        /// Where there is no room for the text.
        QString brief;
        std::function<void(const QRectF& box)> paint;
    };
    std::vector<Entry> entries;
    const auto filled = [&](const QBrush& brush, const QColor& frame) {
        return [&painter, brush, frame](const QRectF& box) {
            painter.fillRect(box, brush);
            painter.setPen(frame);
            painter.setBrush(Qt::NoBrush);
            painter.drawRect(box);
        };
    };
    for (const Candidate& candidate : scene_.input->candidates()) {
        const QString name = QString::fromStdString(candidate.name);
        QString text = name;
        if (candidate.form == ChunkForm::Text)
            text = tr("text, recomputed");
        else if (candidate.form == ChunkForm::Level)
            text = tr("level %1: %2").arg(candidate.level).arg(name);
        entries.push_back({text, name, filled(brushOf(candidate, theme_), colourOf(candidate, theme_))});
    }
    entries.push_back(
        {tr("given up or lost"), tr("given up"), filled(QBrush(theme_.dim, Qt::DiagCrossPattern), theme_.dim)});
    if (scene_.rows != nullptr && std::ranges::any_of(*scene_.rows, &StreamRow::measured)) {
        entries.push_back({tr("simulated, over measured"), tr("simulated"), [&](const QRectF& box) {
                               painter.setPen(QPen(theme_.text, 1));
                               const double middle = box.center().y();
                               painter.drawPolyline(
                                   QPolygonF{QPointF(box.left(), middle), QPointF(box.left(), middle - 4),
                                             QPointF(box.right(), middle - 4), QPointF(box.right(), middle)});
                           }});
    }
    if (scene_.estimates) {
        entries.push_back({tr("bandwidth as estimated"), tr("estimate"), [&](const QRectF& box) {
                               painter.setPen(QPen(theme_.accent, 1.5, Qt::DashLine));
                               painter.drawLine(QPointF(box.left(), box.center().y()),
                                                QPointF(box.right(), box.center().y()));
                           }});
    }
    const QFontMetricsF metrics(font_);
    constexpr double kBox = 18;
    const auto widthOf = [&](const QString& text) { return metrics.horizontalAdvance(text) + kBox + 22; };
    double whole = 8;
    for (const Entry& entry : entries)
        whole += widthOf(entry.text);
    const bool isBrief = whole > legend_.width();
    const double middle = legend_.center().y();
    double x = legend_.left() + 8;
    painter.save();
    for (const Entry& entry : entries) {
        const QString& text = isBrief ? entry.brief : entry.text;
        if (x + widthOf(text) - 10 > legend_.right())
            break;
        entry.paint(QRectF(x, middle - 6, kBox, 12));
        painter.setPen(theme_.text);
        painter.drawText(QPointF(x + kBox + 6, middle + metrics.ascent() / 2 - 1), text);
        x += widthOf(text);
    }
    painter.restore();
}

} // namespace kvscope::views
