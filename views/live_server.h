// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/stream/sender.h"

#include <QObject>
#include <QString>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace kvscope::views {

/// Serves contexts to receivers from the window: what is served is opened (or encoded) in the background, and what the
/// receivers do is told as it happens. Lives on the window's thread.
class LiveServer : public QObject {
    Q_OBJECT

public:
    enum class State : std::uint8_t { Stopped, Preparing, Serving };
    /// Makes what is served; runs on the pool.
    using Source = std::function<Result<ContextShelfPtr>(const JobControl& job)>;

    explicit LiveServer(ThreadPool& pool, QObject* parent = nullptr);
    ~LiveServer() override;

    /// Begins; ends in serving() or failed(). Does nothing unless stopped.
    void start(Source source, SenderOptions options);
    /// Lets the receivers go; also stops what is being prepared.
    void stop();
    [[nodiscard]] State state() const { return state_; }
    /// Share of the preparation that is done.
    [[nodiscard]] double progress() const;
    /// Where it listens; 0 unless serving.
    [[nodiscard]] std::uint16_t port() const;
    [[nodiscard]] std::int64_t sentBytes() const;

    /// These take effect at once, on bytes under way too; nothing unless serving.
    void setRate(std::optional<double> bitsPerSecond);
    void setTrace(const std::shared_ptr<const BandwidthTrace>& trace, double at);
    void setDelays(double rttSeconds, double lossRate, double jitterSeconds, std::uint64_t seed);
    void inject(const SenderFault& fault);

    /// What each receiver that is connected asked for last, by its address.
    [[nodiscard]] const std::map<std::string, QString>& receivers() const { return receivers_; }

signals:
    void serving();
    /// It stopped by itself or could not start; state() is Stopped.
    void failed(const kvscope::Error& error);
    /// A receiver came, asked, or left.
    void receiversChanged();
    /// The same in words.
    void said(const QString& text);
    /// What is served could not be read; it goes on serving what can be.
    void troubled(const QString& text);
    void stateChanged();

private:
    struct Preparing {
        std::stop_source stop;
        Progress progress;
    };

    void hear(const SenderEvent& event);
    void letGo();
    void setState(State state);

    ThreadPool& pool_;
    State state_ = State::Stopped;
    std::shared_ptr<Preparing> preparing_;
    std::shared_ptr<Sender> sender_;
    std::map<std::string, QString> receivers_;
};

} // namespace kvscope::views
