// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/timeline_picture.h"

#include "views/number_format.h"

#include <QCoreApplication>
#include <QFontMetricsF>

#include <algorithm>
#include <array>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr double kLegendHeight = 20;
constexpr double kAxisHeight = 22;
constexpr double kLeastRow = 22;
constexpr double kMostRow = 62;
constexpr double kFocusShare = 1.5;
constexpr double kReach = 6;

QString tr(const char* text) {
    return QCoreApplication::translate("TimelinePicture", text);
}

} // namespace

QString nameOf(TimelineLane lane) {
    switch (lane) {
    case TimelineLane::Network:
        return tr("network");
    case TimelineLane::Decode:
        return tr("decode");
    case TimelineLane::Recompute:
        return tr("recompute");
    case TimelineLane::Ready:
        return tr("ready");
    }
    return {};
}

QString formatSeconds(double seconds) {
    if (!std::isfinite(seconds))
        return tr("never");
    if (std::abs(seconds) < 0.0995)
        return tr("%1 ms").arg(seconds * 1e3, 0, 'f', std::abs(seconds) < 0.01 ? 1 : 0);
    return tr("%1 s").arg(seconds, 0, 'f', std::abs(seconds) < 99.5 ? 2 : 0);
}

QString formatRate(double bitsPerSecond) {
    if (bitsPerSecond >= 0.9995e9)
        return tr("%1 Gbit/s").arg(formatNumber(bitsPerSecond / 1e9, 3));
    if (bitsPerSecond >= 0.9995e6 || bitsPerSecond == 0)
        return tr("%1 Mbit/s").arg(formatNumber(bitsPerSecond / 1e6, 3));
    return tr("%1 kbit/s").arg(formatNumber(bitsPerSecond / 1e3, 3));
}

QColor colourOf(const Candidate& candidate, const Theme& theme) {
    // Okabe and Ito's hues; levels run from cold (fine) to warm (coarse).
    static constexpr std::array kLight{0x0072B2, 0x009E73, 0xE69F00, 0xD55E00, 0x7A6BC4};
    static constexpr std::array kDark{0x3FA3E0, 0x1FC296, 0xF0B429, 0xEE7733, 0xB3A6E8};
    switch (candidate.form) {
    case ChunkForm::Text:
        return theme.text;
    case ChunkForm::Raw:
        return theme.dark ? QColor(0xB8, 0xB8, 0xB8) : QColor(0x6A, 0x6A, 0x6A);
    case ChunkForm::EightBit:
        return theme.dark ? QColor(0xC4, 0x9C, 0x7A) : QColor(0x8A, 0x5A, 0x44);
    case ChunkForm::Level:
        break;
    }
    const auto& colours = theme.dark ? kDark : kLight;
    return QColor::fromRgb(static_cast<QRgb>(colours[static_cast<std::size_t>(std::clamp(candidate.level, 0, 4))]));
}

QBrush brushOf(const Candidate& candidate, const Theme& theme) {
    const QColor colour = colourOf(candidate, theme);
    return candidate.form == ChunkForm::Text ? QBrush(colour, Qt::BDiagPattern) : QBrush(colour);
}

TimelinePicture::TimelinePicture(TimelineScene scene, const QRectF& area, const Theme& theme, const QFont& font)
    : scene_(std::move(scene))
    , theme_(theme)
    , font_(font)
    , area_(area) {
    layOut(area);
    addItems();
}

QFont TimelinePicture::bold() const {
    QFont font = font_;
    font.setBold(true);
    return font;
}

void TimelinePicture::layOut(const QRectF& area) {
    const QFontMetricsF metrics(font_);
    const double titles = QFontMetricsF(bold()).horizontalAdvance(QStringLiteral("cachegen-code 00.00 s")) +
                          metrics.horizontalAdvance(nameOf(TimelineLane::Recompute)) + 36;
    gutter_ = std::min(titles, std::max(150.0, area.width() * 0.35));
    const std::size_t count = scene_.rows != nullptr ? scene_.rows->size() : 0;
    const double curveHeight = std::clamp(area.height() * 0.2, 50.0, 150.0);
    curve_ = QRectF(area.left() + gutter_, area.top() + 2, area.width() - gutter_ - 8, curveHeight);
    axis_ = QRectF(curve_.left(), curve_.bottom(), curve_.width(), kAxisHeight);
    legend_ = QRectF(area.left(), area.bottom() - kLegendHeight, area.width(), kLegendHeight);
    rows_ = QRectF(area.left(), axis_.bottom(), area.width() - 8, std::max(0.0, legend_.top() - axis_.bottom()));
    // The run in focus and those that were measured, over which a simulation is laid, get more room.
    double shares = 0;
    tops_ = {0};
    for (std::size_t row = 0; row < count; ++row) {
        shares += scene_.focusRow == row || (*scene_.rows)[row].measured ? kFocusShare : 1;
        tops_.push_back(shares);
    }
    const double rowHeight = shares > 0 ? std::clamp(rows_.height() / shares, kLeastRow, kMostRow) : kLeastRow;
    for (double& top : tops_)
        top *= rowHeight;
}

QRectF TimelinePicture::rowArea(std::size_t row) const {
    return {rows_.left(), rows_.top() - scene_.scroll + tops_[row], rows_.width(), tops_[row + 1] - tops_[row]};
}

QRectF TimelinePicture::laneArea(std::size_t row, TimelineLane lane) const {
    const QRectF whole = rowArea(row).adjusted(gutter_, 3, 0, -3);
    const double height = whole.height() / kTimelineLanes;
    return {whole.left(), whole.top() + static_cast<int>(lane) * height, whole.width(), std::max(2.0, height - 1)};
}

double TimelinePicture::xOf(double seconds) const {
    return curve_.left() + (seconds - scene_.begin) / (scene_.end - scene_.begin) * curve_.width();
}

double TimelinePicture::secondsAt(double x) const {
    return scene_.begin + (x - curve_.left()) / curve_.width() * (scene_.end - scene_.begin);
}

double TimelinePicture::yOf(double bitsPerSecond) const {
    const double share = std::log(std::max(bitsPerSecond, scene_.leastRate) / scene_.leastRate) /
                         std::log(scene_.mostRate / scene_.leastRate);
    return curve_.bottom() - 3 - share * (curve_.height() - 8);
}

double TimelinePicture::rateAt(double y) const {
    const double share = (curve_.bottom() - 3 - y) / (curve_.height() - 8);
    return scene_.leastRate * std::pow(scene_.mostRate / scene_.leastRate, share);
}

void TimelinePicture::addItem(std::size_t row, std::size_t chunk, std::size_t candidate, TimelineLane lane,
                              const Interval& when, bool abandoned, bool simulated) {
    if (when.empty() || !std::isfinite(when.begin) || candidate >= scene_.input->candidateCount() ||
        when.end < scene_.begin || when.begin > scene_.end)
        return;
    const QRectF area = laneArea(row, lane);
    const double left = std::max(xOf(when.begin), area.left());
    const double right = std::min(xOf(std::min(when.end, scene_.end * 2)), area.right());
    items_.push_back({QRectF(left, area.top(), std::max(1.0, right - left), area.height()), row, chunk, candidate, lane,
                      when.begin, when.end, abandoned, simulated});
}

void TimelinePicture::addTransfer(std::size_t row, std::size_t chunk, std::size_t candidate, std::size_t path,
                                  const Interval& when, bool abandoned, bool simulated) {
    const std::size_t before = items_.size();
    addItem(row, chunk, candidate, TimelineLane::Network, when, abandoned, simulated);
    if (items_.size() == before || scene_.second == nullptr)
        return;
    QRectF& rect = items_.back().rect;
    rect.setHeight(std::max(1.5, rect.height() / 2 - 0.5));
    if (path == 1)
        rect.moveBottom(laneArea(row, TimelineLane::Network).bottom());
}

void TimelinePicture::addRun(std::size_t row, const Timeline& run, bool simulated, double until) {
    const auto cut = [until](const Interval& when) { return Interval{when.begin, std::min(when.end, until)}; };
    for (const AbandonedTransfer& transfer : run.abandoned)
        addTransfer(row, transfer.chunk, transfer.candidate, transfer.path, transfer.send, true, simulated);
    for (std::size_t i = 0; i < run.chunks.size(); ++i) {
        const ChunkTimes& chunk = run.chunks[i];
        addTransfer(row, i, chunk.candidate, chunk.path, cut(chunk.send), false, simulated);
        addItem(row, i, chunk.candidate, TimelineLane::Decode, cut(chunk.decode), false, simulated);
        addItem(row, i, chunk.candidate, TimelineLane::Recompute, cut(chunk.recompute), false, simulated);
        if (chunk.ready < kNever && chunk.ready >= scene_.begin && chunk.ready <= scene_.end &&
            chunk.candidate < scene_.input->candidateCount()) {
            const QRectF lane = laneArea(row, TimelineLane::Ready);
            items_.push_back({QRectF(xOf(chunk.ready) - 1, lane.top(), 3, lane.height()), row, i, chunk.candidate,
                              TimelineLane::Ready, chunk.ready, chunk.ready, false, simulated});
        }
    }
}

void TimelinePicture::addItems() {
    if (scene_.rows == nullptr || scene_.input == nullptr)
        return;
    for (std::size_t row = 0; row < scene_.rows->size(); ++row) {
        const QRectF area = rowArea(row);
        if (area.bottom() < rows_.top() || area.top() > rows_.bottom())
            continue;
        const StreamRow& shown = (*scene_.rows)[row];
        // What is on its way grows up to this moment.
        addRun(row, shown.timeline, false, shown.underWay ? scene_.position.value_or(kNever) : kNever);
        if (!shown.measured)
            continue;
        // The simulation of the same strategy is laid over what was measured.
        for (const StreamRow& other : *scene_.rows) {
            if (!other.measured && other.name == shown.name)
                addRun(row, other.timeline, true, kNever);
        }
    }
}

const TimelineItem* TimelinePicture::itemAt(const QPointF& at) const {
    if (!rows_.contains(at))
        return nullptr;
    const TimelineItem* best = nullptr;
    double bestDistance = kReach;
    for (const TimelineItem& item : items_) {
        if (item.simulated)
            continue;
        if (at.y() < item.rect.top() || at.y() > item.rect.bottom() + 1)
            continue;
        const double distance = std::max({item.rect.left() - at.x(), at.x() - item.rect.right(), 0.0});
        if (distance < bestDistance || (best != nullptr && distance == 0 && bestDistance == 0 && !item.abandoned)) {
            best = &item;
            bestDistance = distance;
        }
    }
    return best;
}

std::optional<std::size_t> TimelinePicture::rowAt(const QPointF& at) const {
    if (scene_.rows == nullptr || !rows_.contains(at))
        return std::nullopt;
    for (std::size_t row = 0; row < scene_.rows->size(); ++row) {
        if (rowArea(row).contains(at))
            return row;
    }
    return std::nullopt;
}

std::optional<std::size_t> TimelinePicture::curvePointAt(const QPointF& at) const {
    if (scene_.curve == nullptr || !curve_.adjusted(-kReach, -kReach, kReach, kReach).contains(at))
        return std::nullopt;
    const auto points = scene_.curve->points();
    std::optional<std::size_t> best;
    double nearest = kReach * kReach;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const QPointF place(xOf(points[i].seconds), yOf(points[i].bitsPerSecond));
        const double distance = QPointF::dotProduct(place - at, place - at);
        if (distance <= nearest) {
            best = i;
            nearest = distance;
        }
    }
    return best;
}

bool TimelinePicture::isSloAt(const QPointF& at) const {
    return std::abs(at.x() - xOf(scene_.sloSeconds)) <= 4 && at.y() >= axis_.top() && at.y() <= rows_.bottom() &&
           at.x() >= curve_.left();
}

} // namespace kvscope::views
