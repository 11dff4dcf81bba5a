// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/predict_words.h"

#include "core/codec/native_values.h"
#include "core/codec/turn.h"
#include "core/kv/convert.h"

#include <cmath>

namespace kvscope {

namespace {

constexpr std::int64_t kAnchorGroup = 10;

Result<void> checkType(DType type) {
    if (type == DType::F16 || type == DType::BF16 || type == DType::F32)
        return {};
    return fail("predicts f16, bf16 and f32 alone, not " + std::string(nameOf(type)), "predictor", "Use none");
}

std::uint32_t load(const std::byte* at, std::size_t size) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, size);
    return word;
}

/// Words in the order of the values that they stand for, and back.
std::uint32_t ordered(std::uint32_t word, std::uint32_t sign) {
    const std::uint32_t mask = sign | (sign - 1);
    return (word & sign) != 0 ? ~word & mask : word | sign;
}
std::uint32_t unordered(std::uint32_t place, std::uint32_t sign) {
    const std::uint32_t mask = sign | (sign - 1);
    return (place & sign) != 0 ? place & ~sign : ~place & mask;
}

/// A row turned by `positions` text positions (all of its heads); copied where there is no rotation.
void turnRow(const Rope* rope, double positions, double scale, std::int64_t headDim, std::span<const float> row,
             std::span<float> out) {
    std::ranges::copy(row, out.begin());
    if (rope == nullptr)
        return;
    const auto pairs = std::min<std::size_t>(rope->inverseFrequencies.size(), static_cast<std::size_t>(headDim / 2));
    const bool split = rope->pairing == Rope::Pairing::HalfSplit;
    for (std::size_t p = 0; p < pairs; ++p) {
        const Turn turn = turnOf(positions * rope->inverseFrequencies[p]);
        for (std::size_t head = 0; head < row.size(); head += static_cast<std::size_t>(headDim)) {
            const std::size_t first = head + (split ? p : 2 * p);
            const std::size_t second = head + (split ? p + pairs : 2 * p + 1);
            const double a = static_cast<double>(row[first]) * scale;
            const double b = static_cast<double>(row[second]) * scale;
            out[first] = static_cast<float>(a * turn.cosine - b * turn.sine);
            out[second] = static_cast<float>(b * turn.cosine + a * turn.sine);
        }
    }
}

/// Gives each token's predicted words from what is known before it.
class WordPredictor {
public:
    WordPredictor(const Pipeline& pipeline, const ChunkShape& shape)
        : shape_(shape)
        , rope_(pipeline.transform == Transform::RopeInverse ? shape.rope : nullptr)
        , predictor_(pipeline.predictor)
        , size_(static_cast<std::size_t>(sizeOf(shape.plane.dtype)))
        , channels_(static_cast<std::size_t>(shape.plane.channels()))
        , reference_(channels_)
        , turned_(channels_)
        , predicted_(channels_ * size_) {}

    [[nodiscard]] std::size_t rowBytes() const { return channels_ * size_; }

    /// Means of the channels (before RoPE where that is undone), as the dtype holds them.
    [[nodiscard]] Bytes means(std::span<const std::byte> words) const {
        std::vector<float> rows(words.size() / size_);
        convertToFloat(shape_.plane.dtype, words, rows);
        for (float& value : rows)
            value = std::isfinite(value) ? value : 0.0F;
        if (rope_ != nullptr)
            rotate(*rope_, RopeDirection::Undo, shape_.plane, shape_.tokens, rows);
        std::vector<double> sums(channels_);
        for (std::size_t i = 0; i < rows.size(); ++i)
            sums[i % channels_] += static_cast<double>(rows[i]);
        std::vector<float> means(channels_);
        for (std::size_t c = 0; c < channels_; ++c)
            means[c] = static_cast<float>(sums[c] / static_cast<double>(shape_.tokens.size()));
        Bytes stored(rowBytes());
        toNative(shape_.plane.dtype, means, stored);
        return stored;
    }
    void setMeans(std::span<const std::byte> stored) { remember(stored, 0); }

    /// The predicted words of a token.
    std::span<const std::byte> predict(std::int64_t token) {
        const auto position = static_cast<double>(shape_.plane.position(shape_.tokens.begin + token));
        const double scale = predictor_ == Predictor::ChannelMean && rope_ != nullptr ? rope_->attentionScale : 1.0;
        turnRow(rope_, position - position_, scale, shape_.plane.headDim, reference_, turned_);
        for (float& value : turned_)
            value = std::isfinite(value) ? value : 0.0F;
        toNative(shape_.plane.dtype, turned_, predicted_);
        return predicted_;
    }

    /// Tells the words of the token after they are known.
    void see(std::int64_t token, std::span<const std::byte> words) {
        const bool anchors = predictor_ == Predictor::Anchor;
        if (predictor_ == Predictor::Previous || (anchors && token % kAnchorGroup == 0))
            remember(words, static_cast<double>(shape_.plane.position(shape_.tokens.begin + token)));
    }

private:
    void remember(std::span<const std::byte> words, double position) {
        convertToFloat(shape_.plane.dtype, words, reference_);
        position_ = position;
    }

    const ChunkShape& shape_;
    const Rope* rope_;
    Predictor predictor_;
    std::size_t size_;
    std::size_t channels_;
    std::vector<float> reference_;
    double position_ = 0;
    std::vector<float> turned_;
    Bytes predicted_;
};

} // namespace

Result<void> wordsToResiduals(const Pipeline& pipeline, const ChunkShape& shape, std::span<std::byte> words,
                              Bytes& side) {
    KVSCOPE_TRY(checkType(shape.plane.dtype));
    WordPredictor predictor(pipeline, shape);
    if (pipeline.predictor == Predictor::ChannelMean && !words.empty()) {
        const Bytes means = predictor.means(words);
        putBytes(side, means);
        predictor.setMeans(means);
    }
    const auto size = static_cast<std::size_t>(sizeOf(shape.plane.dtype));
    const std::uint32_t sign = 1U << (8 * size - 1);
    const std::uint32_t mask = sign | (sign - 1);
    for (std::int64_t token = 0; token < shape.tokens.size(); ++token) {
        const auto row = words.subspan(static_cast<std::size_t>(token) * predictor.rowBytes(), predictor.rowBytes());
        const auto predicted = predictor.predict(token);
        predictor.see(token, row);
        for (std::size_t at = 0; at < row.size(); at += size) {
            const std::uint32_t distance =
                (ordered(load(&row[at], size), sign) - ordered(load(&predicted[at], size), sign)) & mask;
            const std::uint32_t folded = ((distance << 1) ^ ((distance & sign) != 0 ? mask : 0U)) & mask;
            std::memcpy(&row[at], &folded, size);
        }
    }
    return {};
}

Result<void> residualsToWords(const Pipeline& pipeline, const ChunkShape& shape, ByteReader& side,
                              std::span<std::byte> words) {
    KVSCOPE_TRY(checkType(shape.plane.dtype));
    WordPredictor predictor(pipeline, shape);
    if (pipeline.predictor == Predictor::ChannelMean && !words.empty()) {
        KVSCOPE_ASSIGN(const auto means, side.take(predictor.rowBytes()));
        predictor.setMeans(means);
    }
    const auto size = static_cast<std::size_t>(sizeOf(shape.plane.dtype));
    const std::uint32_t sign = 1U << (8 * size - 1);
    const std::uint32_t mask = sign | (sign - 1);
    for (std::int64_t token = 0; token < shape.tokens.size(); ++token) {
        const auto row = words.subspan(static_cast<std::size_t>(token) * predictor.rowBytes(), predictor.rowBytes());
        const auto predicted = predictor.predict(token);
        for (std::size_t at = 0; at < row.size(); at += size) {
            const std::uint32_t folded = load(&row[at], size);
            const std::uint32_t distance = (folded >> 1) ^ ((folded & 1U) != 0 ? mask : 0U);
            const std::uint32_t place = (ordered(load(&predicted[at], size), sign) + distance) & mask;
            const std::uint32_t word = unordered(place, sign);
            std::memcpy(&row[at], &word, size);
        }
        predictor.see(token, row);
    }
    return {};
}

} // namespace kvscope
