// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_session.h"

#include "core/codec/presets.h"
#include "views/preset_survey.h"
#include "views/run_async.h"

#include <QTimer>
#include <QUndoStack>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr int kProgressIntervalMs = 80;
/// A plane that takes less than this is finished even when a newer edit wants it otherwise, so that the charts keep
/// moving during a drag.
constexpr double kShortJobSeconds = 0.2;
constexpr std::size_t kMaxTried = 1000;

std::vector<PlaneId> cachePlanes(const KvGeometry& geometry) {
    std::vector<PlaneId> planes = geometry.allPlanes();
    std::erase_if(planes, [](PlaneId plane) { return !isCacheKind(plane.kind); });
    std::ranges::sort(planes);
    return planes;
}

QString editedName(const std::string& name) {
    const QString base = QString::fromStdString(name);
    const QString suffix = CodecSession::tr(" edited");
    return base.endsWith(suffix) ? base : base + suffix;
}

} // namespace

struct CodecSession::Task {
    std::size_t slot = 0;
    PlaneId plane;
    PlaneKey key;
};

struct CodecSession::Running {
    PlaneId plane;
    PlaneKey key;
    std::stop_source stop;
    Progress progress;
    QElapsedTimer clock;
};

/// A change of the plans, kept as what they were before and after.
class CodecSession::PlansCommand final : public QUndoCommand {
public:
    PlansCommand(CodecSession& session, const QString& what, std::vector<CodecPlan> before,
                 std::vector<CodecPlan> after)
        : QUndoCommand(what)
        , session_(&session)
        , before_(std::move(before))
        , after_(std::move(after)) {}

    void undo() override { apply(before_); }
    void redo() override { apply(after_); }

private:
    void apply(const std::vector<CodecPlan>& plans) {
        if (!session_)
            return;
        session_->stroke_.reset();
        session_->setPlans(plans);
    }

    QPointer<CodecSession> session_;
    std::vector<CodecPlan> before_;
    std::vector<CodecPlan> after_;
};

CodecSession& CodecSession::of(Document& document) {
    if (auto* existing = document.findChild<CodecSession*>(QString(), Qt::FindDirectChildrenOnly))
        return *existing;
    return *new CodecSession(document);
}

CodecSession::CodecSession(Document& document)
    : QObject(&document)
    , document_(document)
    , planes_(cachePlanes(document.cache().geometry()))
    , undo_(new QUndoStack(this))
    , results_(document.cache().info().name, document.cache().geometry(), planes_)
    , survey_(new PresetSurvey(*this))
    , ticker_(new QTimer(this)) {
    for (const PlaneId plane : planes_) {
        if (std::ranges::find(kinds_, plane.kind) == kinds_.end())
            kinds_.push_back(plane.kind);
    }
    std::ranges::sort(kinds_);
    results_.setPrefillTokensPerSecond(prefill_);
    ticker_->setInterval(kProgressIntervalMs);
    connect(ticker_, &QTimer::timeout, this, &CodecSession::progressed);
}

CodecSession::~CodecSession() {
    making_.request_stop();
    if (running_)
        running_->stop.request_stop();
}

void CodecSession::setUndoStack(QUndoStack* stack) {
    if (stack == nullptr || stack == undo_)
        return;
    if (undo_ && undo_->parent() == this)
        delete undo_;
    undo_ = stack;
}

QString CodecSession::letter(std::size_t slot) {
    return QString(QChar(static_cast<char16_t>(u'A' + slot)));
}

Result<void> CodecSession::edit(const QString& what, CodecPlan plan) {
    if (plans_.empty())
        return fail("there is no plan yet", "plan", "Wait until the first preset has been made");
    KVSCOPE_TRY(validate(plan));
    if (plan == plans_.front())
        return {};
    const CodecPlan& base = stroke_ ? stroke_->before.front() : plans_.front();
    if (plan.name == base.name && plan != base)
        plan.name = editedName(plan.name).toStdString();
    std::vector<CodecPlan> plans = plans_;
    plans.front() = std::move(plan);
    push(what, std::move(plans));
    return {};
}

Result<void> CodecSession::adjustCells(const QString& what, std::span<const LayerKind> cells,
                                       const std::function<Result<Pipeline>(const Pipeline&)>& change,
                                       TokenRange tokens) {
    if (plans_.empty())
        return fail("there is no plan yet", "plan", "Wait until the first preset has been made");
    CodecPlan plan = plans_.front();
    // Nothing that is refused may end in the plan, so that the error can name the stage and not a rule.
    std::optional<Error> refused;
    adjust(
        plan, cells,
        [&](const Pipeline& before) {
            Result<Pipeline> after = change(before);
            Result<void> valid = after ? validate(*after) : tl::unexpected<Error>(after.error());
            if (!valid && !refused)
                refused = std::move(valid.error());
            return valid ? *after : before;
        },
        tokens);
    if (refused)
        return tl::unexpected<Error>(std::move(*refused));
    return edit(what, std::move(plan));
}

void CodecSession::beginStroke(const QString& what) {
    if (!stroke_)
        stroke_ = Stroke{what, plans_};
}

void CodecSession::endStroke() {
    if (!stroke_)
        return;
    const Stroke stroke = std::move(*stroke_);
    stroke_.reset();
    if (stroke.before != plans_)
        undo_->push(new PlansCommand(*this, stroke.what, stroke.before, plans_));
    rememberTried();
    // Views that are too slow to follow a stroke have waited for its end.
    emit plansChanged();
}

void CodecSession::push(const QString& what, std::vector<CodecPlan> plans) {
    if (stroke_ || plans_.empty())
        setPlans(std::move(plans));
    else
        undo_->push(new PlansCommand(*this, what, plans_, std::move(plans)));
}

void CodecSession::setPlans(std::vector<CodecPlan> plans) {
    if (plans == plans_)
        return;
    const std::vector<CodecPlan> before = std::exchange(plans_, std::move(plans));
    edited_.clear();
    if (!before.empty() && !plans_.empty()) {
        for (const LayerKind cell : differences(before.front(), plans_.front(), document_.cache().geometry())) {
            for (const PlaneId plane : planes_) {
                if (plane.layer == cell.layer && plane.kind == cell.kind)
                    edited_.push_back(plane);
            }
        }
    }
    cancelled_ = false;
    results_.setPlans(plans_);
    emit plansChanged();
    // Where results are known already, views learn of them here.
    for (const PlaneId plane : edited_) {
        if (results_.isCurrent(0, plane))
            emit planeFinished(0, plane);
    }
    rememberTried();
    notify();
    stopIfUseless();
    startNext();
}

void CodecSession::makePlan(const QString& name, std::function<void(const CodecPlan&)> done) {
    making_.request_stop();
    if (const auto known = made_.find(name); known != made_.end()) {
        done(known->second);
        return;
    }
    making_ = {};
    runAsync(
        document_.pool(), this,
        [name = name.toStdString(), cache = document_.cache(), stop = making_.get_token()] {
            return makePreset(name, cache, JobControl{stop, nullptr});
        },
        [this, name, done = std::move(done), stop = making_.get_token()](Result<CodecPlan> plan) {
            if (stop.stop_requested())
                return;
            if (plan) {
                made_.emplace(name, *plan);
                done(*plan);
                return;
            }
            if (plans_.empty())
                firstError_ = plan.error();
            emit failed(plan.error());
            notify();
        });
}

void CodecSession::prepareFirst() {
    if (preparing_ || !plans_.empty())
        return;
    preparing_ = true;
    makePlan(QString::fromLatin1(kFirstPreset), [this](const CodecPlan& plan) {
        if (plans_.empty())
            setPlans({plan});
    });
}

void CodecSession::loadPreset(const QString& name) {
    endStroke();
    preparing_ = true;
    makePlan(name, [this, name](const CodecPlan& plan) {
        std::vector<CodecPlan> plans = plans_;
        if (plans.empty())
            plans.emplace_back();
        plans.front() = plan;
        push(tr("preset %1").arg(name), std::move(plans));
    });
}

void CodecSession::applyPreset(const QString& name, std::vector<LayerKind> cells) {
    endStroke();
    makePlan(name, [this, name, cells = std::move(cells)](const CodecPlan& preset) {
        if (plans_.empty())
            return;
        CodecPlan plan = plans_.front();
        const CodecPlan fitting =
            preset.chunkTokens == plan.chunkTokens ? preset : withChunkTokens(preset, plan.chunkTokens);
        for (const LayerKind cell : cells)
            setSegments(plan, cell, segmentsOf(fitting, cell));
        if (const auto done = edit(tr("preset %1 for %n cell(s)", nullptr, static_cast<int>(cells.size())).arg(name),
                                   canonical(plan));
            !done)
            emit failed(done.error());
    });
}

void CodecSession::pin() {
    if (plans_.empty() || plans_.size() >= kMaxPlans)
        return;
    endStroke();
    std::vector<CodecPlan> plans = plans_;
    plans.push_back(plans.front());
    push(tr("pin plan"), std::move(plans));
}

void CodecSession::unpin(std::size_t slot) {
    if (slot == 0 || slot >= plans_.size())
        return;
    endStroke();
    std::vector<CodecPlan> plans = plans_;
    plans.erase(plans.begin() + static_cast<std::ptrdiff_t>(slot));
    push(tr("unpin plan %1").arg(letter(slot)), std::move(plans));
}

void CodecSession::makeCurrent(std::size_t slot) {
    if (slot == 0 || slot >= plans_.size())
        return;
    endStroke();
    std::vector<CodecPlan> plans = plans_;
    plans.front() = plans[slot];
    push(tr("plan %1").arg(letter(slot)), std::move(plans));
}

void CodecSession::want(const QObject* who, Interest interest) {
    if (!interests_.contains(who))
        connect(who, &QObject::destroyed, this, [this, who] { interests_.erase(who); });
    interests_[who] = std::move(interest);
    prepareFirst();
    startNext();
}

void CodecSession::release(const QObject* who) {
    if (interests_.erase(who) == 0)
        return;
    disconnect(who, &QObject::destroyed, this, nullptr);
    if (interests_.empty() && running_)
        running_->stop.request_stop();
}

bool CodecSession::isIdle(const QObject* who) const {
    const auto found = interests_.find(who);
    if (notified_)
        return false;
    if (found == interests_.end() || cancelled_)
        return true;
    if (plans_.empty())
        return firstError_.has_value();
    const std::size_t wanted = found->second.pinned ? plans_.size() : 1;
    for (std::size_t slot = 0; slot < wanted; ++slot) {
        if (std::ranges::any_of(planes_, [&](PlaneId plane) { return results_.isMissing(slot, plane); }))
            return false;
    }
    return true;
}

double CodecSession::progress(const QObject* who) const {
    const auto found = interests_.find(who);
    if (found == interests_.end())
        return 1;
    if (plans_.empty() || planes_.empty())
        return 0;
    const std::size_t wanted = found->second.pinned ? plans_.size() : 1;
    double done = running_ ? running_->progress.fraction() : 0;
    for (std::size_t slot = 0; slot < wanted; ++slot)
        done += static_cast<double>(
            std::ranges::count_if(planes_, [&](PlaneId plane) { return !results_.isMissing(slot, plane); }));
    return std::min(1.0, done / static_cast<double>(wanted * planes_.size()));
}

void CodecSession::cancel() {
    making_.request_stop();
    cancelled_ = true;
    if (running_)
        running_->stop.request_stop();
    notify();
}

void CodecSession::resume() {
    cancelled_ = false;
    if (plans_.empty()) {
        preparing_ = false;
        firstError_.reset();
        if (!interests_.empty())
            prepareFirst();
    }
    startNext();
    notify();
}

const Error* CodecSession::error(std::size_t slot) const {
    if (plans_.empty())
        return firstError_ ? &*firstError_ : nullptr;
    return results_.error(slot);
}

const EncodeReport& CodecSession::report(std::size_t slot) const {
    static const EncodeReport kNone;
    return slot < results_.planCount() ? results_.report(slot) : kNone;
}

bool CodecSession::isCurrent(std::size_t slot, PlaneId plane) const {
    return results_.isCurrent(slot, plane);
}

bool CodecSession::isComplete(std::size_t slot) const {
    return results_.isComplete(slot);
}

EncodedPlanes CodecSession::encodedPlanes(std::size_t slot) const {
    EncodedPlanes planes;
    for (const PlaneId plane : planes_) {
        if (const auto shown = results_.shown(slot, plane))
            planes.emplace(plane, shown->plane);
    }
    return planes;
}

void CodecSession::setPrefillTokensPerSecond(double rate) {
    prefill_ = rate;
    results_.setPrefillTokensPerSecond(rate);
    notify();
}

void CodecSession::setHeldOut(std::optional<KvCache> cache) {
    heldOut_ = std::move(cache);
    ++heldOutNumber_;
    emit heldOutChanged();
}

bool CodecSession::wantsPinned() const {
    return std::ranges::any_of(interests_, [](const auto& entry) { return entry.second.pinned; });
}

std::vector<PlaneId> CodecSession::order() const {
    std::vector<PlaneId> order = edited_;
    for (const auto& [who, interest] : interests_)
        order.insert(order.end(), interest.first.begin(), interest.first.end());
    std::erase_if(order, [this](PlaneId plane) { return !std::ranges::binary_search(planes_, plane); });
    order.insert(order.end(), planes_.begin(), planes_.end());
    return order;
}

std::optional<CodecSession::Task> CodecSession::nextTask() const {
    if (interests_.empty() || cancelled_ || plans_.empty())
        return {};
    const std::vector<PlaneId> planes = order();
    const std::size_t wanted = wantsPinned() ? plans_.size() : 1;
    for (std::size_t slot = 0; slot < wanted; ++slot) {
        for (const PlaneId plane : planes) {
            if (results_.isMissing(slot, plane))
                return Task{slot, plane, results_.key(slot, plane)};
        }
    }
    return {};
}

void CodecSession::startNext() {
    if (running_)
        return;
    const auto task = nextTask();
    if (!task) {
        edited_.clear();
        ticker_->stop();
        survey_->resume();
        return;
    }
    survey_->pause();
    start(*task);
}

void CodecSession::start(const Task& task) {
    ticker_->start();
    running_ = std::make_shared<Running>();
    running_->plane = task.plane;
    running_->key = task.key;
    const PlaneGeometry* shape = document_.cache().geometry().find(task.plane);
    running_->progress.start(shape->values() * sizeOf(shape->dtype));
    running_->clock.start();
    ++planesEncoded_;
    EncodeOptions options;
    options.measureAttention = false;
    if (const auto shown = results_.shown(task.slot, task.plane))
        options.former = shown->plane;
    runAsync(
        document_.pool(), this,
        [cache = document_.cache(), plan = plans_[task.slot], plane = task.plane, &pool = document_.pool(), options,
         running = running_] {
            return encodePlane(cache, plane, plan, pool, options,
                               JobControl{running->stop.get_token(), &running->progress});
        },
        [this, task](Result<EncodedPlaneResult> result) { finish(task, std::move(result)); });
}

void CodecSession::finish(const Task& task, Result<EncodedPlaneResult> result) {
    const auto running = std::exchange(running_, nullptr);
    if (result) {
        lastSeconds_ = static_cast<double>(running->clock.elapsed()) / 1000;
        for (const std::size_t slot : results_.put(task.plane, task.key, std::move(*result)))
            emit planeFinished(slot, task.plane);
        rememberTried();
        notify();
    } else if (result.error().kind != Error::Kind::Cancelled) {
        results_.putError(task.plane, task.key, result.error());
        notify();
    }
    startNext();
}

void CodecSession::stopIfUseless() {
    if (!running_)
        return;
    const bool wanted = results_.isMissing(running_->plane, running_->key);
    const bool first = edited_.empty() || std::ranges::find(edited_, running_->plane) != edited_.end();
    if ((!wanted || !first) && lastSeconds_ > kShortJobSeconds)
        running_->stop.request_stop();
}

void CodecSession::rememberTried() {
    if (stroke_ || !isComplete(0))
        return;
    const std::uint64_t hash = hashOf(plans_.front());
    if (std::ranges::find(tried_, hash, &MeasuredPlan::hash) != tried_.end() || tried_.size() >= kMaxTried)
        return;
    const EncodeReport& done = report(0);
    tried_.push_back({plans_.front(), hash, done.totals(PlaneKind::Key), done.totals(PlaneKind::Value),
                      done.totals(PlaneKind::Latent), done.totals()});
}

std::optional<QString> CodecSession::presetWith(std::uint64_t hash) const {
    for (const auto& [name, plan] : made_) {
        if (hashOf(plan) == hash)
            return name;
    }
    return std::nullopt;
}

void CodecSession::notify() {
    if (notified_)
        return;
    notified_ = true;
    QTimer::singleShot(0, this, [this] {
        notified_ = false;
        emit changed();
    });
}

} // namespace kvscope::views
