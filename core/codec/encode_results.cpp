// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_results.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kvscope {

namespace {

std::int64_t bytesOf(const EncodedPlaneResult& result) {
    std::int64_t bytes = 0;
    for (const EncodedPart& part : result.plane->parts)
        bytes += static_cast<std::int64_t>(part.bytes.size());
    for (const ChunkReport& chunk : result.report.chunks)
        bytes +=
            static_cast<std::int64_t>((chunk.channelBits.size() + chunk.channelEntropyBits.size()) * sizeof(float));
    const PlaneReport& report = result.report;
    bytes += static_cast<std::int64_t>((report.tokenEnergy.size() + report.tokenErrorEnergy.size()) * sizeof(float));
    bytes += static_cast<std::int64_t>(report.channelEnergy.size() * 3 * sizeof(double));
    return bytes;
}

} // namespace

PlaneKey planeKey(const CodecPlan& plan, PlaneId plane, const KvGeometry& geometry) {
    const PlaneGeometry* shape = geometry.find(plane);
    return {plan.chunkTokens, segmentsOf(plan, {plane.layer, plane.kind}, shape != nullptr ? shape->tokens : kOpenEnd)};
}

EncodeResults::EncodeResults(std::string dump, KvGeometry geometry, std::vector<PlaneId> planes, std::int64_t keptBytes)
    : dump_(std::move(dump))
    , geometry_(std::move(geometry))
    , planes_(std::move(planes))
    , keptBytes_(keptBytes) {}

void EncodeResults::setPlans(std::span<const CodecPlan> plans) {
    slots_.resize(plans.size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
        Slot& slot = slots_[i];
        slot.report.dump = dump_;
        slot.report.plan = plans[i];
        slot.report.prefillTokensPerSecond = prefill_;
        for (const PlaneId plane : planes_) {
            Place& place = slot.places[plane];
            PlaneKey key = planeKey(plans[i], plane, geometry_);
            if (place.current && key == place.key)
                continue;
            if (key != place.key)
                place.error.reset();
            place.key = std::move(key);
            place.current = false;
            if (auto known = find(plane, place.key))
                show(slot, place, std::move(known), true);
        }
    }
    dropOld();
}

std::vector<std::size_t> EncodeResults::put(PlaneId plane, const PlaneKey& key, EncodedPlaneResult result) {
    auto shared = std::make_shared<const EncodedPlaneResult>(std::move(result));
    kept_.push_front({plane, key, shared, bytesOf(*shared)});
    std::vector<std::size_t> showing;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        Place& place = slots_[i].places[plane];
        const bool current = place.key == key;
        // A result that a newer edit has overtaken is still nearer than what the current plan showed before.
        if (!current && (i > 0 || place.current))
            continue;
        show(slots_[i], place, shared, current);
        showing.push_back(i);
    }
    dropOld();
    return showing;
}

void EncodeResults::putError(PlaneId plane, const PlaneKey& key, const Error& error) {
    for (Slot& slot : slots_) {
        Place& place = slot.places[plane];
        if (place.key == key && !place.current)
            place.error = error;
    }
}

void EncodeResults::show(Slot& slot, Place& place, EncodedPlaneResultPtr result, bool current) {
    slot.report.put(result->report);
    // Planes were encoded at different times and measured besides; what a core spent on encoding is what counts.
    slot.report.seconds = slot.report.totals().encodeSeconds;
    place.shown = std::move(result);
    place.current = current;
    if (current)
        place.error.reset();
}

void EncodeResults::dropOld() {
    std::int64_t unused = 0;
    for (auto kept = kept_.begin(); kept != kept_.end();) {
        if (kept->result.use_count() > 1) {
            ++kept;
            continue;
        }
        unused += kept->bytes;
        kept = unused > keptBytes_ ? kept_.erase(kept) : std::next(kept);
    }
}

EncodedPlaneResultPtr EncodeResults::find(PlaneId plane, const PlaneKey& key) const {
    const auto found =
        std::ranges::find_if(kept_, [&](const Kept& kept) { return kept.plane == plane && kept.key == key; });
    return found == kept_.end() ? nullptr : found->result;
}

const PlaneKey& EncodeResults::key(std::size_t plan, PlaneId plane) const {
    return slots_[plan].places.at(plane).key;
}

bool EncodeResults::isMissing(PlaneId plane, const PlaneKey& key) const {
    return std::ranges::any_of(slots_, [&](const Slot& slot) {
        const Place& place = slot.places.at(plane);
        return !place.current && !place.error && place.key == key;
    });
}

bool EncodeResults::isMissing(std::size_t plan, PlaneId plane) const {
    const Place& place = slots_[plan].places.at(plane);
    return !place.current && !place.error;
}

bool EncodeResults::isCurrent(std::size_t plan, PlaneId plane) const {
    if (plan >= slots_.size())
        return false;
    const auto found = slots_[plan].places.find(plane);
    return found != slots_[plan].places.end() && found->second.current;
}

bool EncodeResults::isComplete(std::size_t plan) const {
    return plan < slots_.size() &&
           std::ranges::all_of(slots_[plan].places, [](const auto& entry) { return entry.second.current; });
}

EncodedPlaneResultPtr EncodeResults::shown(std::size_t plan, PlaneId plane) const {
    if (plan >= slots_.size())
        return nullptr;
    const auto found = slots_[plan].places.find(plane);
    return found == slots_[plan].places.end() ? nullptr : found->second.shown;
}

const Error* EncodeResults::error(std::size_t plan) const {
    if (plan >= slots_.size())
        return nullptr;
    for (const auto& [plane, place] : slots_[plan].places) {
        if (place.error)
            return &*place.error;
    }
    return nullptr;
}

void EncodeResults::setPrefillTokensPerSecond(std::optional<double> rate) {
    prefill_ = rate;
    for (Slot& slot : slots_)
        slot.report.prefillTokensPerSecond = rate;
}

} // namespace kvscope
