// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/loopback_run.h"

#include "views/number_format.h"
#include "views/timeline_picture.h"

#include <QLocale>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope::views {

namespace {

constexpr int kFrameMs = 16;

SenderFault faultOf(const Fault& fault) {
    using Kind = SenderFault::Kind;
    switch (fault.kind) {
    case Fault::Kind::Lose:
        break;
    case Fault::Kind::Corrupt:
        return {Kind::Corrupt, fault.chunk, 0};
    case Fault::Kind::Delay:
        return {Kind::Delay, fault.chunk, fault.seconds};
    }
    return {Kind::Lose, fault.chunk, 0};
}

bool sameFault(const Fault& a, const Fault& b) {
    return a.kind == b.kind && a.chunk == b.chunk && a.seconds == b.seconds;
}

std::vector<TracePoint> pointsOf(const BandwidthTrace& trace) {
    return {trace.points().begin(), trace.points().end()};
}

/// Bytes of the values in 16 bit.
double rawBytes(const KvGeometry& geometry) {
    double bytes = 0;
    for (const PlaneId plane : geometry.allPlanes()) {
        if (const PlaneGeometry* shape = geometry.find(plane))
            bytes += 2.0 * static_cast<double>(shape->values());
    }
    return bytes;
}

} // namespace

LoopbackRun& LoopbackRun::of(StreamSession& session) {
    if (auto* run = session.findChild<LoopbackRun*>(QString(), Qt::FindDirectChildrenOnly))
        return *run;
    return *new LoopbackRun(session);
}

LoopbackRun::LoopbackRun(StreamSession& session)
    : QObject(&session)
    , session_(session)
    , server_(session.pool())
    , beside_(session.pool())
    , fetch_(session.pool()) {
    ticker_.setInterval(kFrameMs);
    ticker_.setTimerType(Qt::PreciseTimer);
    connect(&ticker_, &QTimer::timeout, this, &LoopbackRun::tick);
    connect(&server_, &LiveServer::serving, this, &LoopbackRun::serveBeside);
    connect(&beside_, &LiveServer::serving, this, &LoopbackRun::fetch);
    for (LiveServer* server : {&server_, &beside_})
        connect(server, &LiveServer::failed, this, [this](const Error& error) { end(error); });
    connect(&fetch_, &LiveFetch::begun, this, &LoopbackRun::show);
    connect(&fetch_, &LiveFetch::moved, this, [this] {
        if (state_ == State::Streaming && session_.transfer() != nullptr)
            session_.setMeasured(policy_, fetch_.timeline(), true);
    });
    connect(&fetch_, &LiveFetch::noted, this, &LoopbackRun::say);
    connect(&fetch_, &LiveFetch::finished, this,
            [this] { end(fetch_.problem() != nullptr ? std::optional(*fetch_.problem()) : std::nullopt); });
    connect(&session_, &StreamSession::changed, this, &LoopbackRun::follow);
}

bool LoopbackRun::canStart() const {
    return !isRunning() && session_.document() != nullptr && session_.rates() != nullptr;
}

double LoopbackRun::progress() const {
    switch (state_) {
    case State::Idle:
        break;
    case State::Encoding:
        return server_.progress();
    case State::Streaming:
        return fetch_.progress();
    }
    return 0;
}

void LoopbackRun::say(const QString& text) {
    text_ = text;
    emit changed();
}

std::shared_ptr<const BandwidthTrace> LoopbackRun::scaled(const BandwidthTrace& curve) const {
    const auto trace = curve.scaledToMean(curve.meanBitsPerSecond() * transfer_.bandwidthScale);
    return std::make_shared<const BandwidthTrace>(trace ? *trace : curve);
}

SenderOptions LoopbackRun::senderOptions(const BandwidthTrace& curve, double rttSeconds) const {
    const StreamSettings& settings = session_.settings();
    SenderOptions options;
    options.trace = scaled(curve);
    options.rttSeconds = rttSeconds;
    options.lossRate = settings.lossRate;
    options.jitterSeconds = settings.jitterSeconds;
    options.seed = settings.seed;
    options.sharedFaults = faults_;
    return options;
}

void LoopbackRun::start() {
    if (!canStart())
        return;
    session_.leaveTransfer();
    if (session_.input() == nullptr)
        return;
    problem_.reset();
    // The oracle knows the future, which no real receiver does.
    policy_ = session_.focusName() == "oracle" ? StreamSession::kFirstRow : session_.focusName();
    began_ = session_.settings();
    const StreamSettings& settings = began_;
    const KvCache& cache = session_.document()->cache();
    const KvGeometry& geometry = cache.geometry();
    const QString name = QString::fromStdString(cache.info().name);
    transfer_ = {};
    if (settings.model.empty()) {
        transfer_.caption = tr("%1, sent for real over the loopback interface").arg(name);
    } else {
        transfer_.bandwidthScale = rawBytes(geometry) / session_.input()->rawBytes();
        transfer_.prefillScale =
            static_cast<double>(contextTokensOf(geometry)) / static_cast<double>(session_.input()->totalTokens());
        transfer_.caption =
            tr("%1, sent for real; bandwidth 1 : %2 of what is shown, prefill 1 : %3")
                .arg(name, formatNumber(1 / transfer_.bandwidthScale, 3), formatNumber(1 / transfer_.prefillScale, 3));
    }
    session_.player().rewind();
    state_ = State::Encoding;
    say(tr("Encoding %1 at each level ...").arg(name));
    serve();
    ticker_.start();
}

void LoopbackRun::serve() {
    toldCurve_ = pointsOf(session_.bandwidthCurve());
    toldFaults_ = session_.settings().faults;
    faults_ = std::make_shared<FaultList>();
    for (const Fault& fault : toldFaults_)
        faults_->add(faultOf(fault));
    const OwnLevelsRequest request = ownLevelsFor(session_);
    if (levels_ == nullptr || !(request == encoded_))
        levels_ = std::make_shared<OwnLevels>();
    encoded_ = request;
    server_.start(
        [cache = session_.document()->cache(), request, &pool = session_.pool(),
         levels = levels_](const JobControl& job) -> Result<ContextShelfPtr> {
            // Encoded once, served as often as it is asked for.
            if (levels->shelf == nullptr) {
                KVSCOPE_ASSIGN(*levels, encodeOwnLevels(cache, request, pool, job));
            }
            return levels->shelf;
        },
        senderOptions(session_.bandwidthCurve(), session_.settings().rttSeconds));
}

void LoopbackRun::serveBeside() {
    const auto& second = session_.settings().second;
    const BandwidthTrace* curve = session_.secondCurve();
    if (!second || curve == nullptr)
        return fetch();
    toldSecond_ = pointsOf(*curve);
    beside_.start([levels = levels_](const JobControl&) -> Result<ContextShelfPtr> { return levels->shelf; },
                  senderOptions(*curve, second->rttSeconds));
}

void LoopbackRun::fetch() {
    const StreamSettings& settings = session_.settings();
    transfer_.decodeBytesPerSecond = levels_->decodeBytesPerSecond;
    const std::int64_t tokens = contextTokensOf(session_.document()->cache().geometry());
    const std::int64_t chunks = (settings.contextTokens + settings.chunkTokens - 1) / settings.chunkTokens;
    chunkTokens_ = settings.model.empty() ? settings.chunkTokens : (tokens + chunks - 1) / chunks;
    const auto planes = static_cast<std::int64_t>(session_.document()->cache().geometry().allPlanes().size());
    const std::int64_t parts =
        planes * std::max<std::int64_t>(1, std::min(chunkTokens_, tokens) / encoded_.chunkTokens);
    transfer_.decodePieces = static_cast<int>(std::clamp<std::int64_t>(parts, 1, 1024));
    FetchOptions options;
    options.senders = {{"127.0.0.1", server_.port()}};
    if (beside_.port() != 0)
        options.senders.push_back({"127.0.0.1", beside_.port()});
    options.policy = policy_;
    options.sloSeconds = settings.sloSeconds;
    options.chunkTokens = chunkTokens_;
    options.compute = transfer_.compute(settings.compute);
    options.text = true;
    // A link that carries nothing is not waited for much longer than it is worth looking at.
    options.stallSeconds = std::max(10.0, 2 * settings.sloSeconds);
    state_ = State::Streaming;
    // What was changed while the levels were encoded.
    follow();
    if (state_ != State::Streaming)
        return;
    say(tr("Connecting ..."));
    fetch_.start(std::move(options));
}

void LoopbackRun::show() {
    if (state_ != State::Streaming || fetch_.context() == nullptr)
        return;
    const auto context = fetch_.context();
    transfer_.input = std::make_shared<const StreamInput>(context->input);
    session_.showTransfer(transfer_);
    session_.setMeasured(policy_, fetch_.timeline(), true);
    session_.setFocus(policy_, true);
    const QString beside = beside_.port() != 0 ? tr(" and :%1").arg(beside_.port()) : QString();
    say(tr("%1: receiving from 127.0.0.1:%2%3%4")
            .arg(QString::fromStdString(policy_))
            .arg(server_.port())
            .arg(beside, leftOut()));
}

QString LoopbackRun::leftOut() const {
    QStringList parts;
    if (began_.bandwidthKnown)
        parts.append(tr("what was known of the bandwidth"));
    if (began_.compute.gpuContention > 0)
        parts.append(tr("decoding and prefill slowing each other down"));
    if (parts.isEmpty())
        return {};
    return tr("; a real run has to leave out %1").arg(parts.join(tr(" and ")));
}

void LoopbackRun::tick() {
    if (state_ == State::Streaming && session_.transfer() != nullptr) {
        if (const auto elapsed = fetch_.elapsed()) {
            StreamPlayer& player = session_.player();
            if (*elapsed > player.end())
                player.setEnd(*elapsed);
            player.setPosition(*elapsed);
        }
    }
    emit changed();
}

void LoopbackRun::follow() {
    if (!isRunning())
        return;
    const StreamSettings& settings = session_.settings();
    if (settings.model != began_.model || settings.contextTokens != began_.contextTokens ||
        settings.chunkTokens != began_.chunkTokens || settings.second.has_value() != began_.second.has_value())
        return cancel();
    if (state_ != State::Streaming)
        return;
    std::vector<TracePoint> curve = pointsOf(session_.bandwidthCurve());
    if (curve != toldCurve_) {
        toldCurve_ = std::move(curve);
        server_.setTrace(scaled(session_.bandwidthCurve()), fetch_.elapsed().value_or(0));
    }
    server_.setDelays(settings.rttSeconds, settings.lossRate, settings.jitterSeconds, settings.seed);
    if (const BandwidthTrace* second = session_.secondCurve(); second != nullptr && settings.second) {
        std::vector<TracePoint> points = pointsOf(*second);
        if (points != toldSecond_) {
            toldSecond_ = std::move(points);
            beside_.setTrace(scaled(*second), fetch_.elapsed().value_or(0));
        }
        beside_.setDelays(settings.second->rttSeconds, settings.lossRate, settings.jitterSeconds, settings.seed);
    }
    const auto isIn = [](const std::vector<Fault>& faults, const Fault& fault) {
        return std::ranges::any_of(faults, [&fault](const Fault& other) { return sameFault(fault, other); });
    };
    for (const Fault& fault : settings.faults) {
        if (!isIn(toldFaults_, fault))
            faults_->add(faultOf(fault));
    }
    for (const Fault& fault : toldFaults_) {
        if (!isIn(settings.faults, fault))
            faults_->remove(faultOf(fault));
    }
    toldFaults_ = settings.faults;
}

void LoopbackRun::cancel() {
    if (state_ == State::Encoding)
        end(Error{"cancelled", {}, {}, Error::Kind::Cancelled});
    else if (state_ == State::Streaming)
        fetch_.cancel();
}

void LoopbackRun::end(std::optional<Error> problem) {
    if (!isRunning())
        return;
    const bool wasStreaming = state_ == State::Streaming;
    ticker_.stop();
    server_.stop();
    beside_.stop();
    state_ = State::Idle;
    problem_ = std::move(problem);
    // A preparation that was given up leaves nothing to serve.
    if (levels_ != nullptr && !wasStreaming)
        levels_.reset();
    const Timeline& measured = fetch_.timeline();
    if (wasStreaming && session_.transfer() != nullptr && fetch_.fetched() != nullptr) {
        session_.setMeasured(policy_, measured);
        session_.player().rewind();
    }
    const QString name = QString::fromStdString(policy_);
    const StreamRow* simulated = session_.row(policy_);
    if (!problem_ && simulated != nullptr) {
        const double difference = measured.ttft / simulated->timeline.ttft - 1;
        say(tr("%1: first token measured %2, simulated %3 (%4 %)%5")
                .arg(name, formatSeconds(measured.ttft), formatSeconds(simulated->timeline.ttft),
                     QLocale().toString(100 * difference, 'f', 1), leftOut()));
    } else if (problem_ && problem_->kind == Error::Kind::Cancelled) {
        const auto held = fetch_.fetched() != nullptr && wasStreaming ? fetch_.fetched()->heldChunks().size() : 0;
        say(wasStreaming ? tr("%1: stopped with %2 chunks").arg(name).arg(held) : tr("Stopped."));
    } else if (problem_) {
        say(QString::fromStdString(problem_->message()));
    } else {
        say({});
    }
    emit finished();
}

} // namespace kvscope::views
