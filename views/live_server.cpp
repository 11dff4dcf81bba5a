// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/live_server.h"

#include "views/run_async.h"

#include <QCoreApplication>
#include <QPointer>

#include <utility>

namespace kvscope::views {

LiveServer::LiveServer(ThreadPool& pool, QObject* parent)
    : QObject(parent)
    , pool_(pool) {}

LiveServer::~LiveServer() {
    if (preparing_)
        preparing_->stop.request_stop();
    letGo();
}

void LiveServer::letGo() {
    // Its threads may wait for a disk or for Redis: not the window's.
    if (auto sender = std::exchange(sender_, nullptr))
        pool_.post([sender = std::move(sender)]() mutable { sender.reset(); });
}

void LiveServer::setState(State state) {
    if (state == state_)
        return;
    state_ = state;
    emit stateChanged();
}

void LiveServer::start(Source source, SenderOptions options) {
    if (state_ != State::Stopped)
        return;
    preparing_ = std::make_shared<Preparing>();
    options.watch = [self = QPointer<LiveServer>(this)](const SenderEvent& event) {
        QMetaObject::invokeMethod(
            QCoreApplication::instance(),
            [self, event] {
                if (self)
                    self->hear(event);
            },
            Qt::QueuedConnection);
    };
    setState(State::Preparing);
    runAsync(
        pool_, this,
        [source = std::move(source), options = std::move(options),
         preparing = preparing_]() -> Result<std::shared_ptr<Sender>> {
            KVSCOPE_ASSIGN(const ContextShelfPtr shelf,
                           source(JobControl{preparing->stop.get_token(), &preparing->progress}));
            KVSCOPE_ASSIGN(auto sender, Sender::start(shelf, options));
            return std::shared_ptr<Sender>(std::move(sender));
        },
        [this, preparing = preparing_](Result<std::shared_ptr<Sender>> sender) {
            if (preparing != preparing_) {
                if (sender)
                    pool_.post([late = std::move(*sender)]() mutable { late.reset(); });
                return;
            }
            preparing_.reset();
            if (!sender) {
                setState(State::Stopped);
                emit failed(sender.error());
                return;
            }
            sender_ = std::move(*sender);
            setState(State::Serving);
            emit serving();
        });
}

void LiveServer::stop() {
    if (preparing_)
        preparing_->stop.request_stop();
    preparing_.reset();
    letGo();
    receivers_.clear();
    setState(State::Stopped);
    emit receiversChanged();
}

double LiveServer::progress() const {
    return preparing_ ? preparing_->progress.fraction() : (sender_ != nullptr ? 1.0 : 0.0);
}

std::uint16_t LiveServer::port() const {
    return sender_ != nullptr ? sender_->port() : std::uint16_t{0};
}

std::int64_t LiveServer::sentBytes() const {
    return sender_ != nullptr ? sender_->sentBytes() : 0;
}

void LiveServer::setRate(std::optional<double> bitsPerSecond) {
    if (sender_ == nullptr)
        return;
    if (bitsPerSecond)
        sender_->setRate(*bitsPerSecond);
    else
        sender_->setUnlimited();
}

void LiveServer::setTrace(const std::shared_ptr<const BandwidthTrace>& trace, double at) {
    if (sender_ != nullptr)
        sender_->setTrace(trace, at);
}

void LiveServer::setDelays(double rttSeconds, double lossRate, double jitterSeconds, std::uint64_t seed) {
    if (sender_ != nullptr)
        sender_->setDelays(rttSeconds, lossRate, jitterSeconds, seed);
}

void LiveServer::inject(const SenderFault& fault) {
    if (sender_ != nullptr)
        sender_->inject(fault);
}

void LiveServer::hear(const SenderEvent& event) {
    if (sender_ == nullptr)
        return;
    const QString who = QString::fromStdString(event.receiver);
    const QString text = QString::fromStdString(event.text);
    switch (event.kind) {
    case SenderEvent::Kind::Connected:
        receivers_[event.receiver] = tr("connected");
        emit said(tr("%1 connected").arg(who));
        break;
    case SenderEvent::Kind::Asked:
        receivers_[event.receiver] = tr("chunk %1 as %2").arg(event.chunk).arg(text);
        break;
    case SenderEvent::Kind::Failed:
        emit troubled(tr("chunk %1 cannot be sent to %2: %3").arg(event.chunk).arg(who, text));
        break;
    case SenderEvent::Kind::Gone:
        receivers_.erase(event.receiver);
        emit said(text.isEmpty() ? tr("%1 left").arg(who) : tr("%1 is gone: %2").arg(who, text));
        break;
    }
    emit receiversChanged();
}

} // namespace kvscope::views
