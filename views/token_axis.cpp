// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/token_axis.h"

#include <algorithm>

namespace kvscope::views {

TokenAxis::TokenAxis(KvCache cache, PlaneKind kind, SequenceIndex sequence, std::optional<LayerIndex> layer)
    : cache_(std::move(cache))
    , sequence_(sequence) {
    const KvGeometry& geometry = cache_.geometry();
    if (layer) {
        plane_ = geometry.find(PlaneId{*layer, kind, sequence});
        if (plane_ != nullptr)
            offset_ = plane_->positions.empty() ? std::optional(plane_->firstPosition) : std::nullopt;
    } else {
        bool first = true;
        for (const PlaneId id : geometry.planes(kind, sequence)) {
            const PlaneGeometry* plane = geometry.find(id);
            if (plane_ == nullptr || plane->tokens > plane_->tokens)
                plane_ = plane;
            const auto offset = plane->positions.empty() ? std::optional(plane->firstPosition) : std::nullopt;
            offset_ = first || offset_ == offset ? offset : std::nullopt;
            first = false;
        }
    }
    const auto& tokens = cache_.info().tokens;
    const auto index = static_cast<std::size_t>(sequence.value);
    hasTexts_ = plane_ != nullptr && index < tokens.size() && !tokens[index].texts.empty();
}

std::int64_t TokenAxis::slotCount() const {
    return plane_ != nullptr ? plane_->tokens : 0;
}

std::int64_t TokenAxis::position(std::int64_t slot) const {
    return plane_ != nullptr && slot >= 0 && slot < plane_->tokens ? plane_->position(TokenIndex(slot)) : slot;
}

std::optional<std::int64_t> TokenAxis::slotOf(std::int64_t position) const {
    if (plane_ == nullptr)
        return std::nullopt;
    if (plane_->positions.empty()) {
        const std::int64_t slot = position - plane_->firstPosition;
        return slot >= 0 && slot < plane_->tokens ? std::optional(slot) : std::nullopt;
    }
    const auto it = std::find(plane_->positions.begin(), plane_->positions.end(), position);
    return it != plane_->positions.end() ? std::optional<std::int64_t>(it - plane_->positions.begin()) : std::nullopt;
}

QString TokenAxis::text(std::int64_t slot) const {
    if (!hasTexts_ || slot < 0 || slot >= slotCount())
        return {};
    return displayText(cache_.tokenText(sequence_, position(slot)));
}

QString displayText(const std::string& token) {
    QString text = QString::fromStdString(token);
    text.replace(QChar(0x2581), QLatin1Char(' '));
    text.replace(QLatin1Char('\n'), QChar(0x23CE));
    text.replace(QLatin1Char('\r'), QString());
    text.replace(QLatin1Char('\t'), QChar(0x21E5));
    return text;
}

} // namespace kvscope::views
