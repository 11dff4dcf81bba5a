// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/kv/kv_cache.h"

#include <QString>

#include <cstdint>
#include <optional>

namespace kvscope::views {

/// The tokens along a map's token axis: slots of a plane, their positions in the text, and the tokens' texts.
class TokenAxis {
public:
    TokenAxis() = default;
    /// Tokens of one layer, or of the longest plane of the kind where several layers share the axis.
    TokenAxis(KvCache cache, PlaneKind kind, SequenceIndex sequence, std::optional<LayerIndex> layer);

    /// How many slots there are.
    [[nodiscard]] std::int64_t slotCount() const;
    /// Text position of a slot (the slot itself where nothing is known).
    [[nodiscard]] std::int64_t position(std::int64_t slot) const;
    /// Slot of a text position, when it is held.
    [[nodiscard]] std::optional<std::int64_t> slotOf(std::int64_t position) const;
    /// How far positions are ahead of slots, when that is the same for all slots of all layers on the axis.
    [[nodiscard]] std::optional<std::int64_t> offset() const { return offset_; }

    [[nodiscard]] bool hasTexts() const { return hasTexts_; }
    /// Text of a slot's token on one line: line ends and tabs as signs; empty when unknown.
    [[nodiscard]] QString text(std::int64_t slot) const;
    [[nodiscard]] const KvCache& cache() const { return cache_; }
    [[nodiscard]] SequenceIndex sequence() const { return sequence_; }

private:
    KvCache cache_;
    SequenceIndex sequence_;
    const PlaneGeometry* plane_ = nullptr;
    std::optional<std::int64_t> offset_ = 0;
    bool hasTexts_ = false;
};

/// A token's text on one line: line ends and tabs as signs, SentencePiece's mark as a space.
QString displayText(const std::string& token);

} // namespace kvscope::views
