// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plan_maps.h"

#include "core/kv/strided_cache.h"

#include <algorithm>

namespace kvscope::views {

namespace {

// New documents come at most this often: the pictures of small dumps follow each plane, those of big dumps wait until
// there is something to see for the cost of reading them anew.
constexpr std::int64_t kLeastWaitMs = 25;
constexpr std::int64_t kMostWaitMs = 1500;
constexpr std::int64_t kValuesPerMs = 200'000;

/// The planes of a cache that are encoded in all sequences; the others are as if the dump had none.
class EncodedPart final : public CacheSource {
public:
    EncodedPart(KvCache cache, const EncodedPlanes& planes)
        : cache_(std::move(cache))
        , geometry_(cache_.geometry()) {
        for (LayerIndex layer(0); layer.value < geometry_.layerCount(); ++layer) {
            for (const PlaneKind kind : kAllPlaneKinds) {
                bool encoded = true;
                for (SequenceIndex sequence(0); sequence.value < geometry_.sequences; ++sequence)
                    encoded = encoded && planes.contains(PlaneId{layer, kind, sequence});
                if (!encoded)
                    geometry_.layers[static_cast<std::size_t>(layer.value)].plane(kind).reset();
            }
        }
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return cache_.info(); }
    [[nodiscard]] bool nativeIsExact(PlaneId plane) const override { return cache_.nativeIsExact(plane); }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        return cache_.readRows(plane, tokens, channels, out);
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        return cache_.readNative(plane, tokens, out);
    }

private:
    KvCache cache_;
    KvGeometry geometry_;
};

} // namespace

PlanMaps& PlanMaps::of(Document& document) {
    if (auto* maps = document.findChild<PlanMaps*>(QString(), Qt::FindDirectChildrenOnly))
        return *maps;
    return *new PlanMaps(document);
}

PlanMaps::PlanMaps(Document& document)
    : QObject(&document)
    , document_(document)
    , session_(&CodecSession::of(document)) {
    timer_.setSingleShot(true);
    timer_.setInterval(static_cast<int>(
        std::clamp(document.cache().geometry().cacheValues() / kValuesPerMs, kLeastWaitMs, kMostWaitMs)));
    connect(&timer_, &QTimer::timeout, this, &PlanMaps::update);
    connect(session_, &CodecSession::planeFinished, this, [this](std::size_t slot) {
        if (slot == 0)
            updateSoon();
    });
    // The end of the work is worth telling, whether or not a plane came with it.
    connect(session_, &CodecSession::changed, this, [this] {
        if (!timer_.isActive())
            emit changed();
    });
}

void PlanMaps::want(const QObject* who, std::vector<PlaneId> first) {
    if (const auto found = wanted_.find(who); found != wanted_.end() && found->second == first)
        return;
    if (!wanted_.contains(who))
        connect(who, &QObject::destroyed, this, [this, who] {
            wanted_.erase(who);
            tell();
        });
    wanted_[who] = std::move(first);
    tell();
}

void PlanMaps::release(const QObject* who) {
    if (wanted_.erase(who) == 0)
        return;
    disconnect(who, &QObject::destroyed, this, nullptr);
    tell();
}

void PlanMaps::tell() {
    if (!session_)
        return;
    if (wanted_.empty()) {
        session_->release(this);
        documents_.clear();
        decoded_.reset();
        return;
    }
    CodecSession::Interest interest;
    for (const auto& [who, first] : wanted_)
        interest.first.insert(interest.first.end(), first.begin(), first.end());
    session_->want(this, std::move(interest));
}

void PlanMaps::updateSoon() {
    if (!wanted_.empty() && !timer_.isActive())
        timer_.start();
}

void PlanMaps::update() {
    decoded_.reset();
    documents_.clear();
    emit changed();
}

std::shared_ptr<Document> PlanMaps::document(Side side) {
    if (const auto found = documents_.find(side); found != documents_.end())
        return found->second;
    if (!session_ || session_->report().planes.empty())
        return nullptr;
    const KvCache& original = document_.cache();
    std::optional<KvCache> cache;
    if (side == Side::Bits) {
        if (auto bits = makeBitsCache(original, session_->report()))
            cache = std::move(*bits);
    } else {
        if (decoded_ == nullptr) {
            EncodedPlanes planes = session_->encodedPlanes();
            const KvCache part(std::make_shared<EncodedPart>(original, planes));
            std::erase_if(planes, [&](const auto& plane) { return part.geometry().find(plane.first) == nullptr; });
            decoded_ = std::make_shared<const KvCache>(makeDecodedCache(part, std::move(planes)));
        }
        if (side == Side::Decoded)
            cache = *decoded_;
        else if (auto error = makeDifferenceCache(*decoded_, original))
            cache = std::move(*error);
    }
    if (!cache || cache->geometry().allPlanes().empty())
        return nullptr;
    auto document = std::make_shared<Document>(std::move(*cache), document_.pool());
    documents_.emplace(side, document);
    return document;
}

bool PlanMaps::isCurrent() const {
    return !session_ || (!timer_.isActive() && session_->isIdle(this));
}

} // namespace kvscope::views
