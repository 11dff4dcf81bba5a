// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/kv_cache.h"

#include <cstring>

namespace kvscope {

namespace {

std::string planeName(PlaneId plane) {
    return "layer " + std::to_string(plane.layer.value) + " " + std::string(nameOf(plane.kind)) +
           (plane.sequence.value != 0 ? " sequence " + std::to_string(plane.sequence.value) : std::string());
}

/// Checks a read against the geometry; sizes cannot overflow because the geometry was checked when the cache was
/// opened.
Result<const PlaneGeometry*> checkRead(const KvGeometry& geometry, const CacheInfo& info, PlaneId plane,
                                       TokenRange tokens) {
    const PlaneGeometry* found = geometry.find(plane);
    if (found == nullptr)
        return fail("has no plane " + planeName(plane), info.name);
    if (tokens.begin.value < 0 || tokens.end < tokens.begin || tokens.end.value > found->tokens)
        return fail("tokens " + std::to_string(tokens.begin.value) + ".." + std::to_string(tokens.end.value) +
                        " are outside " + planeName(plane) + ", which holds " + std::to_string(found->tokens),
                    info.name);
    return found;
}

Result<void> checkNativeRead(const KvGeometry& geometry, const CacheInfo& info, PlaneId plane, TokenRange tokens,
                             std::size_t bytes) {
    KVSCOPE_ASSIGN(const PlaneGeometry* found, checkRead(geometry, info, plane, tokens));
    if (static_cast<std::int64_t>(bytes) != tokens.size() * found->channels() * sizeOf(found->dtype))
        return fail("the buffer for " + planeName(plane) + " has the wrong size", info.name);
    return {};
}

} // namespace

Result<void> KvCache::readRows(PlaneId plane, TokenRange tokens, ChannelRange channels, std::span<float> out) const {
    KVSCOPE_ASSIGN(const PlaneGeometry* found, checkRead(geometry(), info(), plane, tokens));
    if (channels.begin.value < 0 || channels.end < channels.begin || channels.end.value > found->channels())
        return fail("channels " + std::to_string(channels.begin.value) + ".." + std::to_string(channels.end.value) +
                        " are outside " + planeName(plane) + ", which has " + std::to_string(found->channels()),
                    info().name);
    if (static_cast<std::int64_t>(out.size()) != tokens.size() * channels.size())
        return fail("the buffer for " + planeName(plane) + " has the wrong size", info().name);
    if (out.empty())
        return {};
    return source_->readRows(plane, tokens, channels, out);
}

Result<void> KvCache::readRows(PlaneId plane, TokenRange tokens, std::span<float> out) const {
    KVSCOPE_ASSIGN(const PlaneGeometry* found, checkRead(geometry(), info(), plane, tokens));
    return readRows(plane, tokens, channelRange(0, found->channels()), out);
}

Result<void> CacheSource::readNativeByHead(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const {
    const PlaneGeometry& shape = *geometry().find(plane);
    std::vector<std::byte> rows(out.size());
    KVSCOPE_TRY(readNative(plane, tokens, rows));
    const auto width = static_cast<std::size_t>(shape.headDim * sizeOf(shape.dtype));
    const auto heads = static_cast<std::size_t>(shape.heads);
    const auto count = static_cast<std::size_t>(tokens.size());
    for (std::size_t row = 0; row < count; ++row) {
        for (std::size_t head = 0; head < heads; ++head)
            std::memcpy(out.data() + (head * count + row) * width, rows.data() + (row * heads + head) * width, width);
    }
    return {};
}

Result<void> KvCache::readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const {
    KVSCOPE_TRY(checkNativeRead(geometry(), info(), plane, tokens, out.size()));
    return out.empty() ? Result<void>() : source_->readNative(plane, tokens, out);
}

Result<void> KvCache::readNativeByHead(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const {
    KVSCOPE_TRY(checkNativeRead(geometry(), info(), plane, tokens, out.size()));
    return out.empty() ? Result<void>() : source_->readNativeByHead(plane, tokens, out);
}

const Rope* KvCache::rope(LayerIndex layer) const {
    const auto& ropes = info().rope;
    const auto index = static_cast<std::size_t>(layer.value);
    return layer.value >= 0 && index < ropes.size() && ropes[index] ? &*ropes[index] : nullptr;
}

std::string KvCache::tokenText(SequenceIndex sequence, std::int64_t position) const {
    const auto& tokens = info().tokens;
    const auto index = static_cast<std::size_t>(sequence.value);
    if (sequence.value < 0 || index >= tokens.size() || position < 0 ||
        static_cast<std::size_t>(position) >= tokens[index].texts.size())
        return {};
    return tokens[index].texts[static_cast<std::size_t>(position)];
}

} // namespace kvscope
