// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/preset_survey.h"

#include "views/run_async.h"

#include <algorithm>

namespace kvscope::views {

namespace {

/// Evenly spaced layers that hold about so many bytes together; all where they do not hold more.
std::vector<LayerIndex> sampleLayers(const KvGeometry& geometry, std::int64_t bytes) {
    const std::int64_t count = geometry.layerCount();
    const std::int64_t whole = geometry.cacheBytes();
    std::int64_t taken = count;
    if (whole > bytes)
        taken =
            std::clamp<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(count) * static_cast<double>(bytes) /
                                                               static_cast<double>(whole)),
                                     1, count);
    std::vector<LayerIndex> layers;
    for (std::int64_t i = 0; i < taken; ++i)
        layers.emplace_back((2 * i + 1) * count / (2 * taken));
    return layers;
}

} // namespace

PresetSurvey::PresetSurvey(CodecSession& session)
    : QObject(&session)
    , session_(session) {
    for (const PresetInfo& preset : presets()) {
        if (preset.inPanel)
            presets_.push_back(preset);
    }
    layers_ = sampleLayers(session.document().cache().geometry(), kMostBytes);
    for (const PlaneId plane : session.planes()) {
        if (std::ranges::find(layers_, plane.layer) != layers_.end())
            planes_.push_back(plane);
    }
}

PresetSurvey::~PresetSurvey() {
    if (running_)
        running_->request_stop();
}

void PresetSurvey::want(const QObject* who) {
    if (interested_.insert(who).second)
        connect(who, &QObject::destroyed, this, [this, who] { interested_.erase(who); });
    next();
}

void PresetSurvey::release(const QObject* who) {
    if (interested_.erase(who) == 0)
        return;
    disconnect(who, &QObject::destroyed, this, nullptr);
    if (interested_.empty() && running_)
        running_->request_stop();
}

void PresetSurvey::cancel() {
    cancelled_ = true;
    if (running_)
        running_->request_stop();
    emit changed();
}

void PresetSurvey::start() {
    cancelled_ = false;
    next();
    emit changed();
}

void PresetSurvey::resume() {
    paused_ = false;
    next();
}

void PresetSurvey::pause() {
    paused_ = true;
    if (running_)
        running_->request_stop();
}

bool PresetSurvey::isDone() const {
    return cancelled_ || index_ >= presets_.size() || planes_.empty();
}

double PresetSurvey::progress() const {
    if (presets_.empty() || planes_.empty())
        return 1;
    const double within = static_cast<double>(plane_) / static_cast<double>(planes_.size());
    return (static_cast<double>(index_) + within) / static_cast<double>(presets_.size());
}

QString PresetSurvey::atWork() const {
    return isDone() || interested_.empty() ? QString() : QString::fromStdString(presets_[index_].name);
}

bool PresetSurvey::isWhole() const {
    return planes_.size() == session_.planes().size();
}

void PresetSurvey::next() {
    if (running_ || paused_ || isDone() || interested_.empty())
        return;
    if (!plan_)
        makePlan();
    else
        encodeNextPlane();
}

void PresetSurvey::makePlan() {
    running_ = std::make_shared<std::stop_source>();
    runAsync(
        session_.document().pool(), this,
        [name = presets_[index_].name, cache = session_.document().cache(), stop = running_->get_token()] {
            return makePreset(name, cache, JobControl{stop, nullptr});
        },
        [this](Result<CodecPlan> plan) {
            running_.reset();
            if (plan) {
                plan_ = std::move(*plan);
                sums_ = {};
                sums_.plan = *plan_;
                sums_.hash = hashOf(*plan_);
                plane_ = 0;
            } else if (plan.error().kind != Error::Kind::Cancelled) {
                settle(plan.error());
            }
            next();
        });
}

void PresetSurvey::encodeNextPlane() {
    running_ = std::make_shared<std::stop_source>();
    EncodeOptions options;
    options.measureAttention = false;
    Document& document = session_.document();
    runAsync(
        document.pool(), this,
        [cache = document.cache(), plan = *plan_, plane = planes_[plane_], &pool = document.pool(), options,
         stop = running_->get_token()] {
            return encodePlane(cache, plane, plan, pool, options, JobControl{stop, nullptr});
        },
        [this](Result<EncodedPlaneResult> result) { finishPlane(std::move(result)); });
}

void PresetSurvey::finishPlane(Result<EncodedPlaneResult> result) {
    running_.reset();
    if (result) {
        add(result->report);
        if (++plane_ == planes_.size())
            settle({});
    } else if (result.error().kind != Error::Kind::Cancelled) {
        settle(result.error());
    }
    next();
}

void PresetSurvey::add(const PlaneReport& report) {
    sums_.all.add(report);
    if (report.plane.kind == PlaneKind::Key)
        sums_.keys.add(report);
    else if (report.plane.kind == PlaneKind::Value)
        sums_.values.add(report);
    else
        sums_.latents.add(report);
}

void PresetSurvey::settle(std::optional<Error> error) {
    if (error)
        failures_.emplace(presets_[index_].name, std::move(*error));
    else
        points_.push_back({presets_[index_], std::move(sums_)});
    plan_.reset();
    plane_ = 0;
    ++index_;
    emit changed();
}

} // namespace kvscope::views
