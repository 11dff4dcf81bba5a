// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/padding.h"

#include <algorithm>

namespace kvscope {

namespace {

/// Looks at single tokens of one layer across its cache planes and sequences.
class LayerProbe {
public:
    LayerProbe(const KvCache& cache, LayerIndex layer)
        : cache_(cache)
        , layer_(layer) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            const PlaneGeometry* plane = cache.geometry().find(layer, kind);
            if (plane == nullptr || !isCacheKind(kind))
                continue;
            kinds_.push_back(kind);
            slots_ = std::max(slots_, plane->tokens);
        }
    }

    [[nodiscard]] std::int64_t slots() const { return slots_; }

    /// Whether the token is zero everywhere.
    Result<bool> isZero(std::int64_t token) {
        for (std::int64_t sequence = 0; sequence < cache_.geometry().sequences; ++sequence) {
            for (const PlaneKind kind : kinds_) {
                const PlaneId id{layer_, kind, SequenceIndex(sequence)};
                const PlaneGeometry& plane = *cache_.geometry().find(id);
                if (token >= plane.tokens)
                    continue;
                row_.resize(static_cast<std::size_t>(plane.channels() * sizeOf(plane.dtype)));
                KVSCOPE_TRY(cache_.readNative(id, tokenRange(token, token + 1), row_));
                if (std::any_of(row_.begin(), row_.end(), [](std::byte b) { return b != std::byte{0}; }))
                    return false;
            }
        }
        return true;
    }

private:
    const KvCache& cache_;
    LayerIndex layer_;
    std::vector<PlaneKind> kinds_;
    std::int64_t slots_ = 0;
    std::vector<std::byte> row_;
};

/// First token of the zeros at the end; the last token is known to be zero. Held tokens are taken to be a run from the
/// start, as caches fill up, and the rows around the border are looked at one by one.
Result<std::int64_t> findBorder(LayerProbe& probe) {
    std::int64_t held = 0;
    std::int64_t zero = probe.slots() - 1;
    while (held < zero) {
        const std::int64_t middle = held + (zero - held) / 2;
        KVSCOPE_ASSIGN(const bool empty, probe.isZero(middle));
        if (empty)
            zero = middle;
        else
            held = middle + 1;
    }
    // A token that happens to be zero must not cut off what follows it: test some of the rest.
    const std::int64_t step = std::max<std::int64_t>(1, (probe.slots() - zero) / 16);
    for (std::int64_t token = zero; token < probe.slots(); token += step) {
        KVSCOPE_ASSIGN(const bool empty, probe.isZero(token));
        if (!empty)
            return probe.slots();
    }
    return zero;
}

} // namespace

Result<std::vector<std::optional<HeldTokens>>> findHeldTokens(const KvCache& cache, const JobControl& job) {
    std::vector<std::optional<HeldTokens>> held(static_cast<std::size_t>(cache.geometry().layerCount()));
    for (std::size_t layer = 0; layer < held.size(); ++layer) {
        if (job.stopRequested())
            return cancelled();
        LayerProbe probe(cache, LayerIndex(static_cast<std::int64_t>(layer)));
        if (probe.slots() < 2)
            continue;
        KVSCOPE_ASSIGN(const bool padded, probe.isZero(probe.slots() - 1));
        if (!padded)
            continue;
        KVSCOPE_ASSIGN(const std::int64_t border, findBorder(probe));
        // A layer of zeros from the start is a finding to be shown, not an empty cache.
        if (border > 0 && border < probe.slots())
            held[layer] = HeldTokens{border, probe.slots()};
    }
    return held;
}

} // namespace kvscope
