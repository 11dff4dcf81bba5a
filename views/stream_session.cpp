// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_session.h"

#include "core/stream/model_geometry.h"
#include "core/stream/oracle.h"
#include "views/codec_session.h"
#include "views/run_async.h"

#include <QElapsedTimer>
#include <QUndoCommand>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope::views {

namespace {

constexpr int kTickMs = 100;
/// The plan that is being tuned is measured when it has rested so long.
constexpr int kTunedMs = 300;
/// Playing goes on to the end of runs that miss the SLO by up to so many times.
constexpr double kLatestShown = 3;

bool isAdaptive(const std::string& name) {
    return name == "kvscope" || name == "oracle" || name.starts_with("cachegen");
}

/// Brings what a strategy reckoned with to the scale of the bandwidth that is shown.
void scaleEstimates(Timeline& timeline, double factor) {
    for (Decision& decision : timeline.decisions) {
        decision.estimate *= factor;
        decision.forecast *= factor;
    }
}

} // namespace

ComputeModel ShownTransfer::compute(const ComputeModel& entered) const {
    ComputeModel model = entered;
    model.prefillTokensPerSecond = text ? model.prefillTokensPerSecond * prefillScale : kNoPrefill;
    model.referenceTokens *= prefillScale;
    model.decodeBytesPerSecond = decodeBytesPerSecond;
    model.unpackBytesPerSecond = std::max(model.unpackBytesPerSecond, decodeBytesPerSecond);
    model.decodePieces = decodePieces;
    // Recomputing is simulated beside a real transfer, whose decoder nothing holds up.
    model.gpuContention = 0;
    return model;
}

struct StreamSession::Measuring {
    std::stop_source stop;
    Progress progress;
};

class StreamSession::Command final : public QUndoCommand {
public:
    Command(StreamSession& session, const QString& what, StreamSettings before, StreamSettings after)
        : QUndoCommand(what)
        , session_(session)
        , before_(std::move(before))
        , after_(std::move(after)) {}

    void undo() override { session_.apply(before_); }
    void redo() override { session_.apply(after_); }

private:
    StreamSession& session_;
    StreamSettings before_;
    StreamSettings after_;
};

StreamSession& StreamSession::of(Document& document) {
    if (auto* session = document.findChild<StreamSession*>(QString(), Qt::FindDirectChildrenOnly))
        return *session;
    return *new StreamSession(document);
}

StreamSession::StreamSession(Document& document)
    : StreamSession(&document, document.pool(), &document) {}

StreamSession::StreamSession(ThreadPool& pool, QObject* parent)
    : StreamSession(nullptr, pool, parent) {}

StreamSession::StreamSession(Document* document, ThreadPool& pool, QObject* parent)
    : QObject(parent)
    , document_(document)
    , pool_(pool)
    , undo_(new QUndoStack(this))
    , settings_(defaultStreamSettings())
    , curve_(settings_.trace) {
    ticker_.setInterval(kTickMs);
    connect(&ticker_, &QTimer::timeout, this, &StreamSession::progressed);
    if (auto setup = makeStreamSetup(settings_))
        setup_ = std::move(*setup);
    player_.setEnd(settings_.sloSeconds);
    if (document_ == nullptr)
        return;
    tunedLater_.setSingleShot(true);
    tunedLater_.setInterval(kTunedMs);
    connect(&tunedLater_, &QTimer::timeout, this, &StreamSession::measureTuned);
    connect(&CodecSession::of(*document_), &CodecSession::plansChanged, &tunedLater_, qOverload<>(&QTimer::start));
}

StreamSession::~StreamSession() {
    if (measuring_)
        measuring_->stop.request_stop();
}

void StreamSession::setUndoStack(QUndoStack* stack) {
    undo_ = stack;
}

Result<StreamInput> StreamSession::makeInput(const StreamSettings& settings) const {
    if (settings.model.empty())
        return ownInput(*rates_, settings.chunkTokens);
    const ModelGeometry* model = findModelGeometry(settings.model);
    if (model == nullptr)
        return fail("there is no model called " + settings.model, "stream", "Choose one of the list");
    return kvscope::project(rates_->rates, {*model, settings.contextTokens, settings.chunkTokens});
}

Result<void> StreamSession::edit(const QString& what, const StreamSettings& settings) {
    if (settings == settings_)
        return {};
    const auto refused = [this](Error error) -> Result<void> {
        emit failed(error);
        return tl::unexpected<Error>(std::move(error));
    };
    if (auto setup = makeStreamSetup(settings); !setup)
        return refused(setup.error());
    if (auto fits = checkEditable(settings); !fits)
        return refused(fits.error());
    if (rates_ != nullptr) {
        if (auto input = makeInput(settings); !input)
            return refused(input.error());
    }
    if (stroke_)
        apply(settings);
    else
        undo_->push(new Command(*this, what, settings_, settings));
    return {};
}

Result<void> StreamSession::checkEditable(const StreamSettings& settings) const {
    if (transfer_ == nullptr || transfer_->seen.empty())
        return {};
    const auto same = [](const StreamSettings& a, const StreamSettings& b) {
        return a.trace == b.trace && a.pulls == b.pulls && a.traceStart == b.traceStart && a.rttSeconds == b.rttSeconds;
    };
    if (same(settings, settings_))
        return {};
    return fail("the bandwidth shown is what was measured of another sender's link", "stream",
                "Drag the bandwidth where the sender runs, or choose what to project to");
}

void StreamSession::beginStroke(const QString& what) {
    if (!stroke_)
        stroke_ = Stroke{what, settings_};
}

void StreamSession::endStroke() {
    if (!stroke_)
        return;
    const Stroke stroke = *std::exchange(stroke_, std::nullopt);
    if (!(stroke.before == settings_))
        undo_->push(new Command(*this, stroke.what, stroke.before, settings_));
}

void StreamSession::apply(const StreamSettings& settings) {
    if (settings == settings_)
        return;
    const bool sameInput = settings.model == settings_.model && settings.contextTokens == settings_.contextTokens &&
                           settings.chunkTokens == settings_.chunkTokens;
    settings_ = settings;
    if (auto setup = makeStreamSetup(settings_)) {
        setup_ = std::move(*setup);
        curve_ = setup_.link.paths.front().trace;
    }
    if (sameInput)
        return simulate();
    transfer_.reset();
    measured_.clear();
    project();
}

double StreamSession::bandwidth() const {
    const double factor = settings_.pulls.empty() ? 1.0 : settings_.pulls.back().factor;
    return settings_.trace->meanBitsPerSecond() * factor;
}

void StreamSession::setBandwidth(double bitsPerSecond) {
    bitsPerSecond = std::clamp(bitsPerSecond, kLeastRate, kMostRate);
    // A run that was played to its end is over: pulled from there on, the bandwidth would change nothing.
    const bool isOver = player_.isActive() && !player_.isPlaying() && player_.position() >= player_.end() &&
                        std::ranges::none_of(rows_, &StreamRow::underWay);
    if (isOver)
        player_.rewind();
    StreamSettings next = settings_;
    if (player_.isActive()) {
        const BandwidthPull pull{player_.nextGridPoint(), bitsPerSecond / settings_.trace->meanBitsPerSecond()};
        std::erase_if(next.pulls, [&](const BandwidthPull& old) { return old.seconds >= pull.seconds; });
        next.pulls.push_back(pull);
    } else {
        const auto scaled = settings_.trace->scaledToMean(bitsPerSecond);
        if (!scaled) {
            emit failed(scaled.error());
            return;
        }
        next.trace = std::make_shared<const BandwidthTrace>(*scaled);
        next.pulls.clear();
    }
    (void)edit(tr("bandwidth"), next);
}

void StreamSession::setTrace(const QString& what, BandwidthTrace trace) {
    StreamSettings next = settings_;
    next.trace = std::make_shared<const BandwidthTrace>(std::move(trace));
    next.pulls.clear();
    next.traceStart = 0;
    (void)edit(what, next);
}

const BandwidthTrace* StreamSession::secondCurve() const {
    if (transfer_ != nullptr && !transfer_->seen.empty())
        return transfer_->seen.size() > 1 ? transfer_->seen[1].trace.get() : nullptr;
    return setup_.link.paths.size() > 1 ? setup_.link.paths[1].trace.get() : nullptr;
}

void StreamSession::editCurve(const QString& what, const Result<BandwidthTrace>& curve) {
    if (!curve) {
        emit failed(curve.error());
        return;
    }
    setTrace(what, curve->withName("drawn by hand"));
}

void StreamSession::want(const QObject* who) {
    if (wanted_.insert(who).second)
        connect(who, &QObject::destroyed, this, [this, who] { wanted_.erase(who); });
    measure();
}

void StreamSession::release(const QObject* who) {
    if (wanted_.erase(who) > 0)
        disconnect(who, &QObject::destroyed, this, nullptr);
}

void StreamSession::cancel() {
    cancelled_ = true;
    if (measuring_)
        measuring_->stop.request_stop();
    emit progressed();
}

void StreamSession::resume() {
    cancelled_ = false;
    measure();
    emit progressed();
}

double StreamSession::progress() const {
    return measuring_ ? measuring_->progress.fraction() : (rates_ ? 1.0 : 0.0);
}

void StreamSession::measure() {
    if (rates_)
        return measureTuned();
    if (document_ == nullptr || measuring_ || error_ || cancelled_ || wanted_.empty())
        return;
    run([cache = document_->cache(), levels = levels_,
         &pool = pool_](const JobControl& job) { return measureStreamRates(cache, levels, pool, job); },
        true);
}

void StreamSession::measureTuned() {
    if (document_ == nullptr || measuring_ || presetRates_ == nullptr || cancelled_ || wanted_.empty())
        return;
    const CodecSession& codec = CodecSession::of(*document_);
    if (codec.planCount() == 0 || tuned_ == hashOf(codec.plan()))
        return;
    tuned_ = hashOf(codec.plan());
    run([rates = presetRates_, cache = document_->cache(), plan = codec.plan(),
         &pool = pool_](const JobControl& job) { return withTunedLevel(*rates, cache, plan, pool, job); },
        false);
}

void StreamSession::run(std::function<Result<StreamRates>(const JobControl&)> work, bool presets) {
    measuring_ = std::make_shared<Measuring>();
    ticker_.start();
    runAsync(
        pool_, this,
        [work = std::move(work), measuring = measuring_] {
            return work(JobControl{measuring->stop.get_token(), &measuring->progress});
        },
        [this, presets](Result<StreamRates> result) {
            measuring_.reset();
            ticker_.stop();
            if (result) {
                rates_ = std::make_shared<const StreamRates>(std::move(*result));
                if (presets)
                    presetRates_ = rates_;
                project();
                measureTuned();
            } else if (result.error().kind != Error::Kind::Cancelled) {
                if (presets)
                    error_ = result.error();
                else
                    emit failed(result.error());
                emit changed();
            } else {
                // Stopped, and perhaps asked for again before the job had noticed.
                tuned_.reset();
                measure();
            }
            emit progressed();
        });
    emit progressed();
}

void StreamSession::project() {
    if (transfer_ != nullptr)
        return;
    if (rates_ == nullptr) {
        input_.reset();
        simulated_.clear();
        arrange();
        return;
    }
    auto input = makeInput(settings_);
    if (!input) {
        error_ = input.error();
        emit changed();
        return;
    }
    error_.reset();
    adoptInput(std::make_shared<const StreamInput>(std::move(*input)));
}

void StreamSession::adoptInput(std::shared_ptr<const StreamInput> input) {
    input_ = std::move(input);
    policies_ = policiesFor(*input_);
    if (transfer_ != nullptr && !transfer_->text)
        std::erase_if(policies_, [](const PolicyName& policy) { return policy.name == "text"; });
    if (chunk_ && *chunk_ >= input_->chunkCount())
        chunk_.reset();
    simulate();
}

void StreamSession::showTransfer(ShownTransfer transfer) {
    transfer_ = std::make_shared<const ShownTransfer>(std::move(transfer));
    measured_.clear();
    error_.reset();
    // No strategy is in focus that this context has no forms for.
    simulated_.clear();
    adoptInput(transfer_->input);
}

void StreamSession::setSeen(std::vector<SeenPath> seen) {
    if (transfer_ == nullptr || seen.empty() || seen == transfer_->seen)
        return;
    ShownTransfer next = *transfer_;
    next.seen = std::move(seen);
    transfer_ = std::make_shared<const ShownTransfer>(std::move(next));
    simulate();
}

void StreamSession::leaveTransfer() {
    if (transfer_ == nullptr)
        return;
    transfer_.reset();
    measured_.clear();
    if (focusMeasured_)
        setFocus(focus_);
    project();
}

StreamSetup StreamSession::effectiveSetup() const {
    StreamSetup setup = setup_;
    if (transfer_ == nullptr)
        return setup;
    const ShownTransfer& real = *transfer_;
    // The receiver knows of the bandwidth what it has seen.
    setup.link.priorBitsPerSecond.reset();
    setup.receiverAsks = true;
    setup.text = real.text;
    if (!real.seen.empty()) {
        // What another sender's link lost and delayed is in what was seen of it.
        setup.link.paths.clear();
        for (const SeenPath& seen : real.seen)
            setup.link.paths.push_back({.trace = seen.trace, .rttSeconds = seen.rttSeconds});
    } else {
        for (LinkPath& path : setup.link.paths) {
            if (auto scaled = path.trace->scaledToMean(path.trace->meanBitsPerSecond() * real.bandwidthScale))
                path.trace = std::make_shared<const BandwidthTrace>(std::move(*scaled));
        }
    }
    setup.compute = real.compute(setup.compute);
    const auto chunks = real.input->chunkCount();
    std::erase_if(setup.faults, [chunks](const Fault& fault) { return fault.chunk >= chunks; });
    return setup;
}

void StreamSession::simulate() {
    if (input_ == nullptr) {
        emit changed();
        return;
    }
    const int generation = ++generation_;
    const auto run = [input = input_, setup = effectiveSetup(), policies = policies_] {
        QElapsedTimer clock;
        clock.start();
        auto timelines = simulateAll(*input, setup, policies);
        return std::pair(std::move(timelines), static_cast<double>(clock.nsecsElapsed()) * 1e-6);
    };
    if (input_->chunkCount() <= kMostChunksInFrame) {
        auto [timelines, milliseconds] = run();
        adopt(std::move(timelines), milliseconds);
        return;
    }
    ++simulating_;
    runAsync(pool_, this, run, [this, generation](std::pair<std::vector<Timeline>, double> result) {
        --simulating_;
        if (generation == generation_)
            adopt(std::move(result.first), result.second);
    });
}

void StreamSession::adopt(std::vector<Timeline> timelines, double milliseconds) {
    simulationMs_ = milliseconds;
    simulated_.clear();
    for (std::size_t i = 0; i < timelines.size(); ++i)
        simulated_.push_back({policies_[i].name, std::move(timelines[i]), isAdaptive(policies_[i].name), false, false});
    if (transfer_ != nullptr && transfer_->bandwidthScale != 1) {
        for (StreamRow& row : simulated_)
            scaleEstimates(row.timeline, 1 / transfer_->bandwidthScale);
    }
    arrange();
}

void StreamSession::arrange() {
    rows_ = simulated_;
    rows_.insert(rows_.end(), measured_.begin(), measured_.end());
    // A run under way stands beside the simulation of its strategy.
    const auto place = [this](const StreamRow& row) {
        if (!row.measured || row.timeline.complete())
            return row.timeline.ttft;
        const auto twin = std::ranges::find(simulated_, row.name, &StreamRow::name);
        return twin != simulated_.end() ? twin->timeline.ttft : row.timeline.ttft;
    };
    std::ranges::stable_sort(rows_, {}, place);
    double end = settings_.sloSeconds;
    for (const StreamRow& row : rows_) {
        if (row.timeline.complete())
            end = std::max(end, row.timeline.ttft);
    }
    player_.setEnd(std::min(end, kLatestShown * settings_.sloSeconds));
    emit changed();
}

const StreamRow* StreamSession::row(const std::string& name, bool measured) const {
    const auto found =
        std::ranges::find_if(rows_, [&](const StreamRow& row) { return row.name == name && row.measured == measured; });
    return found != rows_.end() ? &*found : nullptr;
}

void StreamSession::setMeasured(const std::string& name, Timeline timeline, bool underWay) {
    std::erase_if(measured_, [&](const StreamRow& row) { return row.name == name; });
    if (transfer_ != nullptr && transfer_->bandwidthScale != 1)
        scaleEstimates(timeline, 1 / transfer_->bandwidthScale);
    measured_.push_back({name, std::move(timeline), isAdaptive(name), true, underWay});
    arrange();
}

void StreamSession::clearMeasured() {
    measured_.clear();
    if (focusMeasured_)
        setFocus(focus_);
    arrange();
}

void StreamSession::setFocus(const std::string& name, bool measured) {
    if (name == focus_ && measured == focusMeasured_)
        return;
    focus_ = name;
    focusMeasured_ = measured;
    emit focusChanged();
}

void StreamSession::setChunk(std::optional<std::size_t> chunk) {
    if (chunk == chunk_)
        return;
    chunk_ = chunk;
    emit focusChanged();
}

TokenRange StreamSession::tokensOf(std::size_t chunk) const {
    if (input_ == nullptr || chunk >= input_->chunkCount())
        return {};
    if (document_ == nullptr)
        return tokenRange(input_->tokensBefore(chunk), input_->tokensBefore(chunk + 1));
    if (transfer_ != nullptr && chunk < transfer_->places.size())
        return transfer_->places[chunk];
    std::int64_t tokens = 0;
    const KvGeometry& geometry = document_->cache().geometry();
    for (const PlaneKind kind : geometry.kinds())
        tokens = std::max(tokens, geometry.maxTokens(kind));
    const auto place = [&](std::int64_t token) {
        return static_cast<std::int64_t>(std::floor(static_cast<double>(token) * static_cast<double>(tokens) /
                                                    static_cast<double>(input_->totalTokens())));
    };
    const std::int64_t begin = std::min(place(input_->tokensBefore(chunk)), tokens - 1);
    const std::int64_t end = std::max(begin + 1, place(input_->tokensBefore(chunk + 1)));
    return tokenRange(begin, end);
}

} // namespace kvscope::views
