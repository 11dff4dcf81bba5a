// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/pipeline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

namespace kvscope {

namespace {

/// "3", "0.45", "0.02": the shortest text that a person would write.
std::string text(double number) {
    std::ostringstream out;
    out << number;
    return out.str();
}

Result<void> inRange(const char* field, double value, double least, double most) {
    if (value >= least && value <= most)
        return {};
    return fail("is " + text(value) + ", outside " + text(least) + ".." + text(most), field,
                "Choose a value from " + text(least) + " to " + text(most));
}

tl::unexpected<Error> clash(const char* field, const std::string& what, const std::string& advice) {
    return fail(what, field, advice);
}

constexpr double kMaxGroup = 65536;
constexpr double kMinStep = 1.0 / 4096;
constexpr double kMaxStep = 64;

Result<void> check(const Lossless&) {
    return {};
}
Result<void> check(const MaxAbsBins& q) {
    return inRange("quantiser.bins", q.bins, 4, 256);
}
Result<void> check(const Uniform& q) {
    KVSCOPE_TRY(inRange("quantiser.bits", q.bits, q.symmetric ? 2 : 1, 16));
    return inRange("quantiser.group", q.group, 0, kMaxGroup);
}
Result<void> check(const BlockNorm& q) {
    KVSCOPE_TRY(inRange("quantiser.bits", q.bits, 2, 16));
    KVSCOPE_TRY(inRange("quantiser.block", q.block, 1, kMaxGroup));
    return inRange("quantiser.top_fraction", q.topFraction, 0, 0.5);
}
Result<void> check(const Float8&) {
    return {};
}
Result<void> check(const Kivi& q) {
    KVSCOPE_TRY(inRange("quantiser.bits", q.bits, 1, 8));
    KVSCOPE_TRY(inRange("quantiser.group", q.group, 2, 4096));
    return inRange("quantiser.residual", q.residual, 0, 1 << 20);
}
Result<void> check(const AnchorDelta& q) {
    KVSCOPE_TRY(inRange("quantiser.group", q.group, 2, 4096));
    KVSCOPE_TRY(inRange("quantiser.anchor_bits", q.anchorBits, 2, 16));
    return inRange("quantiser.step", q.step, kMinStep, kMaxStep);
}
Result<void> check(const Step& q) {
    return inRange("quantiser.step", q.step, kMinStep, kMaxStep);
}

template <class T> bool is(const Pipeline& pipeline) {
    return std::holds_alternative<T>(pipeline.quantiser);
}

bool usesZstd(EntropyCoder coder) {
    return coder == EntropyCoder::Zstd || coder == EntropyCoder::ShuffleZstd || coder == EntropyCoder::Gear ||
           coder == EntropyCoder::GearDelta;
}

Result<void> checkTogether(const Pipeline& pipeline) {
    const bool predicts = pipeline.predictor != Predictor::None;
    if (predicts && (is<AnchorDelta>(pipeline) || is<Float8>(pipeline) || is<Kivi>(pipeline)))
        return clash("predictor", "does not go with this quantiser, which has none or brings its own", "Use none");
    if (pipeline.predictor == Predictor::Best && pipeline.coder != EntropyCoder::Kvz)
        return clash("predictor", "is best, which only the kvz coder chooses",
                     "Use the coder kvz or another predictor");
    const bool codesBytes = usesZstd(pipeline.coder) || pipeline.coder == EntropyCoder::Raw ||
                            pipeline.coder == EntropyCoder::Zlib || pipeline.coder == EntropyCoder::Lz4;
    if (predicts && codesBytes && !is<Lossless>(pipeline))
        return clash("predictor", "does not go with a coder of bytes", "Use none, or a coder of symbols such as kvz");
    if (predicts && is<Lossless>(pipeline) && pipeline.coder == EntropyCoder::GearDelta)
        return clash("predictor", "does not go with gear + delta, which predicts already",
                     "Use none, or the coder gear");
    if (is<Lossless>(pipeline) && pipeline.transform == Transform::Hadamard && predicts)
        return clash("transform", "predicts nothing where values are kept bit by bit", "Use the RoPE inverse, or none");
    if (pipeline.coder == EntropyCoder::Zlib)
        return inRange("effort", pipeline.effort, 1, 9);
    return inRange("effort", pipeline.effort, 1, 19);
}

std::string describe(const Lossless&) {
    return "every bit kept";
}
std::string describe(const MaxAbsBins& q) {
    return std::to_string(q.bins) + " bins a token";
}
std::string describe(const Uniform& q) {
    constexpr std::array kAxes{"token", "channel", "head", "plane"};
    return std::to_string(q.bits) + " bit a " + kAxes[static_cast<std::size_t>(q.axis)] +
           (q.group > 0 ? ", groups of " + std::to_string(q.group) : std::string()) +
           (q.symmetric ? "" : ", with zero point");
}
std::string describe(const BlockNorm& q) {
    return std::to_string(q.bits) + " bit in blocks of " + std::to_string(q.block) + ", top " +
           text(100 * q.topFraction) + " % exact";
}
std::string describe(const Float8& q) {
    return q.format == Float8::Format::E4M3 ? "fp8 e4m3" : "fp8 e5m2";
}
std::string describe(const Kivi& q) {
    return "KIVI " + std::to_string(q.bits) + " bit, groups of " + std::to_string(q.group) + ", last " +
           std::to_string(q.residual) + " tokens exact";
}
std::string describe(const AnchorDelta& q) {
    return "anchors of " + std::to_string(q.group) + " tokens at " + std::to_string(q.anchorBits) +
           " bit, delta step " + text(q.step) + " sigma";
}
std::string describe(const Step& q) {
    return "step " + text(q.step) + " sigma";
}

std::string describe(const Pipeline& pipeline, EntropyCoder coder) {
    const std::string level = " -" + std::to_string(pipeline.effort);
    switch (coder) {
    case EntropyCoder::Raw:
        return is<Lossless>(pipeline) ? "raw" : "packed";
    case EntropyCoder::Zlib:
        return "zlib" + level;
    case EntropyCoder::Lz4:
        return "lz4";
    case EntropyCoder::Zstd:
        return "zstd" + level;
    case EntropyCoder::ShuffleZstd:
        return "byte shuffle, zstd" + level;
    case EntropyCoder::Gear:
        return "gear";
    case EntropyCoder::GearDelta:
        return "gear + delta";
    case EntropyCoder::Huffman:
        return "Huffman";
    case EntropyCoder::Arithmetic:
        return "arithmetic";
    case EntropyCoder::ContextRans:
        return "context rANS";
    case EntropyCoder::Cabac:
        return "CABAC";
    case EntropyCoder::Kvz:
        return usesTrellises(pipeline) ? "trellises, kvz" : "kvz";
    }
    return {};
}

} // namespace

bool Pipeline::isLossless() const {
    return is<Lossless>(*this) && !clipSigmas && (transform == Transform::None || predictor != Predictor::None);
}

bool usesTrellises(const Pipeline& pipeline) {
    return pipeline.effort >= kTrellisEffort && pipeline.coder == EntropyCoder::Kvz &&
           pipeline.predictor == Predictor::Best && is<Step>(pipeline);
}

Result<void> validate(const Pipeline& pipeline) {
    if (pipeline.clipSigmas)
        KVSCOPE_TRY(inRange("clip_sigmas", *pipeline.clipSigmas, 0.1, 1000));
    KVSCOPE_TRY(std::visit([](const auto& quantiser) { return check(quantiser); }, pipeline.quantiser));
    return checkTogether(pipeline);
}

std::string describe(const Pipeline& pipeline) {
    constexpr std::array kTransforms{"", "RoPE undone, ", "Hadamard, "};
    constexpr std::array kPredictors{"", "less the channel mean, ", "less the anchor, ", "less the token before, ",
                                     "best predictor, "};
    std::string line = kTransforms[static_cast<std::size_t>(pipeline.transform)];
    if (pipeline.clipSigmas)
        line += "clipped at " + text(*pipeline.clipSigmas) + " sigma, ";
    line += std::visit([](const auto& quantiser) { return describe(quantiser); }, pipeline.quantiser);
    line += ", ";
    line += kPredictors[static_cast<std::size_t>(pipeline.predictor)];
    return line + describe(pipeline, pipeline.coder);
}

} // namespace kvscope
