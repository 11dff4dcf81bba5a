// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_player.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr int kFrameMs = 16;

double machineClock() {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

StreamPlayer::StreamPlayer(QObject* parent)
    : QObject(parent)
    , clock_(machineClock) {
    timer_.setInterval(kFrameMs);
    timer_.setTimerType(Qt::PreciseTimer);
    connect(&timer_, &QTimer::timeout, this, &StreamPlayer::tick);
}

double StreamPlayer::nextGridPoint() const {
    // A position that is a multiple but for rounding is one.
    return std::ceil(position_ / kGrid - 1e-6) * kGrid;
}

void StreamPlayer::setEnd(double seconds) {
    end_ = std::max(seconds, kGrid);
}

void StreamPlayer::setSpeed(double speed) {
    speed = std::clamp(speed, kSlowest, kFastest);
    if (speed == speed_)
        return;
    speed_ = speed;
    emit stateChanged();
}

void StreamPlayer::setPosition(double seconds) {
    seconds = std::clamp(seconds, 0.0, end_);
    lastTick_ = clock_();
    if (seconds == position_)
        return;
    position_ = seconds;
    emit positionChanged();
}

void StreamPlayer::play() {
    if (playing_)
        return;
    if (position_ >= end_)
        setPosition(0);
    playing_ = true;
    lastTick_ = clock_();
    timer_.start();
    emit stateChanged();
}

void StreamPlayer::pause() {
    if (!playing_)
        return;
    playing_ = false;
    timer_.stop();
    emit stateChanged();
}

void StreamPlayer::rewind() {
    pause();
    setPosition(0);
}

void StreamPlayer::setClock(std::function<double()> milliseconds) {
    clock_ = std::move(milliseconds);
    lastTick_ = clock_();
}

void StreamPlayer::tick() {
    const double now = clock_();
    const double next = position_ + std::max(0.0, now - lastTick_) / 1000 * speed_;
    setPosition(next);
    if (position_ >= end_)
        pause();
}

} // namespace kvscope::views
