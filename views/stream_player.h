// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QTimer>

#include <functional>

namespace kvscope::views {

/// Plays a run: a position in seconds from the request that moves on with the clock, 0.1 to 10 times as fast.
class StreamPlayer : public QObject {
    Q_OBJECT

public:
    static constexpr double kSlowest = 0.1;
    static constexpr double kFastest = 10;
    /// Speed at first: what takes two seconds is seen in twenty.
    static constexpr double kFirstSpeed = 0.1;
    /// What changes while it plays takes effect at multiples of this, so that a show can be repeated exactly.
    static constexpr double kGrid = 0.01;

    explicit StreamPlayer(QObject* parent = nullptr);

    /// 0 at the request.
    [[nodiscard]] double position() const { return position_; }
    /// Something is being shown as of a moment, be it paused.
    [[nodiscard]] bool isActive() const { return playing_ || position_ > 0; }
    [[nodiscard]] bool isPlaying() const { return playing_; }
    [[nodiscard]] double speed() const { return speed_; }
    /// Where playing ends.
    [[nodiscard]] double end() const { return end_; }
    /// The first moment from the position on at which a change can still take effect.
    [[nodiscard]] double nextGridPoint() const;

    void setEnd(double seconds);
    void setSpeed(double speed);
    /// Scrubs.
    void setPosition(double seconds);
    /// Plays from the position; from the start when it stood at the end.
    void play();
    void pause();
    void toggle() { playing_ ? pause() : play(); }
    /// Back to the request, and stop.
    void rewind();

    /// Milliseconds of another clock than the machine's.
    void setClock(std::function<double()> milliseconds);

signals:
    void positionChanged();
    void stateChanged();

private:
    void tick();

    double position_ = 0;
    double end_ = 2;
    double speed_ = kFirstSpeed;
    bool playing_ = false;
    std::function<double()> clock_;
    double lastTick_ = 0;
    QTimer timer_;
};

} // namespace kvscope::views
