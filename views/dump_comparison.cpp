// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dump_comparison.h"

#include "views/number_format.h"
#include "views/token_axis.h"

#include <QCoreApplication>

#include <algorithm>
#include <optional>

namespace kvscope::views {

namespace {

QString tr(const char* text) {
    return QCoreApplication::translate("DumpComparison", text);
}

std::int64_t longest(const KvGeometry& geometry) {
    std::int64_t tokens = 0;
    for (const PlaneKind kind : kAllPlaneKinds) {
        if (isCacheKind(kind))
            tokens = std::max(tokens, geometry.maxTokens(kind));
    }
    return tokens;
}

/// The first plane of a cache kind, whose positions stand for those of the dump.
const PlaneGeometry* firstPlane(const KvGeometry& geometry) {
    for (const PlaneKind kind : kAllPlaneKinds) {
        const auto planes = geometry.planes(kind);
        if (isCacheKind(kind) && !planes.empty())
            return geometry.find(planes.front());
    }
    return nullptr;
}

bool sameShapes(const KvGeometry& a, const KvGeometry& b) {
    for (std::size_t layer = 0; layer < std::min(a.layers.size(), b.layers.size()); ++layer) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            const auto& left = a.layers[layer].plane(kind);
            const auto& right = b.layers[layer].plane(kind);
            if (isCacheKind(kind) && (left.has_value() != right.has_value() ||
                                      (left && (left->heads != right->heads || left->headDim != right->headDim))))
                return false;
        }
    }
    return true;
}

/// How the tokens of the slots that both hold compare.
struct TokenComparison {
    std::int64_t compared = 0;
    std::int64_t different = 0;
    std::optional<std::int64_t> first;
    bool samePositions = true;
};

TokenComparison compareTokens(const KvCache& a, const KvCache& b) {
    TokenComparison result;
    const PlaneGeometry* left = firstPlane(a.geometry());
    const PlaneGeometry* right = firstPlane(b.geometry());
    if (left == nullptr || right == nullptr)
        return result;
    const SequenceIndex sequence;
    for (std::int64_t slot = 0; slot < std::min(left->tokens, right->tokens); ++slot) {
        const std::int64_t leftPosition = left->position(TokenIndex(slot));
        const std::int64_t rightPosition = right->position(TokenIndex(slot));
        result.samePositions = result.samePositions && leftPosition == rightPosition;
        const std::string leftText = a.tokenText(sequence, leftPosition);
        const std::string rightText = b.tokenText(sequence, rightPosition);
        if (leftText.empty() || rightText.empty())
            continue;
        ++result.compared;
        if (leftText == rightText)
            continue;
        ++result.different;
        if (!result.first)
            result.first = slot;
    }
    return result;
}

QString textAt(const KvCache& cache, std::int64_t slot) {
    const PlaneGeometry* plane = firstPlane(cache.geometry());
    return displayText(cache.tokenText(SequenceIndex(), plane->position(TokenIndex(slot))));
}

} // namespace

QStringList compareDumps(const KvCache& a, const KvCache& b) {
    QStringList sentences;
    if (a.geometry().layerCount() != b.geometry().layerCount())
        sentences << tr("A has %1 layers, B %2: only the common ones are subtracted.")
                         .arg(formatCount(a.geometry().layerCount()), formatCount(b.geometry().layerCount()));
    if (!sameShapes(a.geometry(), b.geometry()))
        sentences << tr("Planes that differ in heads or head dimension are left out of the difference.");
    const std::int64_t left = longest(a.geometry());
    const std::int64_t right = longest(b.geometry());
    if (left != right)
        sentences << tr("A holds %1 tokens, B %2: the difference covers the first %3.")
                         .arg(formatCount(left), formatCount(right), formatCount(std::min(left, right)));
    const TokenComparison tokens = compareTokens(a, b);
    if (!tokens.samePositions)
        sentences << tr("The same slots of A and B stand at different text positions.");
    if (tokens.first)
        sentences << tr("The texts are not the same: %1 of %2 tokens differ, the first at %3 (A \u201c%4\u201d, B "
                        "\u201c%5\u201d). There the difference is one of unlike tokens.")
                         .arg(formatCount(tokens.different), formatCount(tokens.compared), formatCount(*tokens.first),
                              textAt(a, *tokens.first), textAt(b, *tokens.first));
    else if (tokens.compared == 0)
        sentences << tr("Whether A and B hold the same text is not known: %1.")
                         .arg(tr("the tokens' texts are not known for both"));
    return sentences;
}

} // namespace kvscope::views
