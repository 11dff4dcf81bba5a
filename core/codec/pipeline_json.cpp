// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/pipeline_json.h"

#include "core/codec/json_fields.h"

#include <array>

namespace kvscope {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kTransforms{"none", "rope-inverse", "hadamard"};
constexpr std::array<std::string_view, 5> kPredictors{"none", "channel-mean", "anchor", "previous", "best"};
constexpr std::array<std::string_view, 4> kAxes{"token", "channel", "head", "plane"};
constexpr std::array<std::string_view, 2> kFloat8Formats{"e4m3", "e5m2"};
constexpr std::array<std::string_view, 12> kCoders{"raw",          "zlib",         "lz4",        "zstd",
                                                   "shuffle-zstd", "gear",         "gear-delta", "huffman",
                                                   "arithmetic",   "context-rans", "cabac",      "kvz"};
/// In the order of the variant's alternatives.
constexpr std::array<std::string_view, 8> kQuantisers{"lossless", "max-abs-bins", "uniform",      "block-norm",
                                                      "float8",   "kivi",         "anchor-delta", "step"};

template <class Enum, std::size_t N> std::string_view nameIn(const std::array<std::string_view, N>& names, Enum value) {
    return names[static_cast<std::size_t>(value)];
}

void write(const Lossless&, ordered_json&) {}
void write(const MaxAbsBins& q, ordered_json& out) {
    out["bins"] = q.bins;
}
void write(const Uniform& q, ordered_json& out) {
    out["bits"] = q.bits;
    out["axis"] = nameIn(kAxes, q.axis);
    out["group"] = q.group;
    out["symmetric"] = q.symmetric;
}
void write(const BlockNorm& q, ordered_json& out) {
    out["bits"] = q.bits;
    out["block"] = q.block;
    out["top_fraction"] = q.topFraction;
}
void write(const Float8& q, ordered_json& out) {
    out["format"] = nameIn(kFloat8Formats, q.format);
}
void write(const Kivi& q, ordered_json& out) {
    out["bits"] = q.bits;
    out["group"] = q.group;
    out["residual"] = q.residual;
}
void write(const AnchorDelta& q, ordered_json& out) {
    out["group"] = q.group;
    out["anchor_bits"] = q.anchorBits;
    out["step"] = q.step;
}
void write(const Step& q, ordered_json& out) {
    out["step"] = q.step;
}

Result<void> read(JsonFields&, Lossless&) {
    return {};
}
Result<void> read(JsonFields& fields, MaxAbsBins& q) {
    return fields.read("bins", q.bins);
}
Result<void> read(JsonFields& fields, Uniform& q) {
    auto axis = static_cast<std::size_t>(q.axis);
    KVSCOPE_TRY(fields.read("bits", q.bits));
    KVSCOPE_TRY(fields.readName("axis", kAxes, axis));
    q.axis = static_cast<ScaleAxis>(axis);
    KVSCOPE_TRY(fields.read("group", q.group));
    return fields.read("symmetric", q.symmetric);
}
Result<void> read(JsonFields& fields, BlockNorm& q) {
    KVSCOPE_TRY(fields.read("bits", q.bits));
    KVSCOPE_TRY(fields.read("block", q.block));
    return fields.read("top_fraction", q.topFraction);
}
Result<void> read(JsonFields& fields, Float8& q) {
    auto format = static_cast<std::size_t>(q.format);
    KVSCOPE_TRY(fields.readName("format", kFloat8Formats, format));
    q.format = static_cast<Float8::Format>(format);
    return {};
}
Result<void> read(JsonFields& fields, Kivi& q) {
    KVSCOPE_TRY(fields.read("bits", q.bits));
    KVSCOPE_TRY(fields.read("group", q.group));
    return fields.read("residual", q.residual);
}
Result<void> read(JsonFields& fields, AnchorDelta& q) {
    KVSCOPE_TRY(fields.read("group", q.group));
    KVSCOPE_TRY(fields.read("anchor_bits", q.anchorBits));
    return fields.read("step", q.step);
}
Result<void> read(JsonFields& fields, Step& q) {
    return fields.read("step", q.step);
}

/// The alternative of the variant with that index, with its defaults.
template <std::size_t I = 0> Quantiser alternative(std::size_t index) {
    if constexpr (I + 1 < std::variant_size_v<Quantiser>) {
        if (index != I)
            return alternative<I + 1>(index);
    }
    return Quantiser(std::in_place_index<I>);
}

Result<Quantiser> readQuantiser(const json& value, const std::string& path, const std::string& source) {
    KVSCOPE_ASSIGN(auto fields, JsonFields::of(value, path, source));
    std::size_t type = kQuantisers.size();
    KVSCOPE_TRY(fields.readName("type", kQuantisers, type));
    if (type == kQuantisers.size())
        return fail(fields.pathOf("type") + " is missing", source, "Say which quantiser");
    Quantiser quantiser = alternative(type);
    KVSCOPE_TRY(std::visit([&](auto& parameters) { return read(fields, parameters); }, quantiser));
    KVSCOPE_TRY(fields.finish());
    return quantiser;
}

} // namespace

ordered_json toJson(const Pipeline& pipeline) {
    ordered_json out;
    out["transform"] = nameIn(kTransforms, pipeline.transform);
    if (pipeline.clipSigmas)
        out["clip_sigmas"] = *pipeline.clipSigmas;
    ordered_json& quantiser = out["quantiser"];
    quantiser["type"] = kQuantisers[pipeline.quantiser.index()];
    std::visit([&](const auto& parameters) { write(parameters, quantiser); }, pipeline.quantiser);
    out["predictor"] = nameIn(kPredictors, pipeline.predictor);
    out["coder"] = nameIn(kCoders, pipeline.coder);
    out["effort"] = pipeline.effort;
    return out;
}

Result<Pipeline> pipelineFromJson(const json& value, const std::string& path, const std::string& source) {
    KVSCOPE_ASSIGN(auto fields, JsonFields::of(value, path, source));
    Pipeline pipeline;
    std::size_t transform = 0;
    std::size_t predictor = 0;
    std::size_t coder = 0;
    KVSCOPE_TRY(fields.readName("transform", kTransforms, transform));
    KVSCOPE_TRY(fields.readName("predictor", kPredictors, predictor));
    KVSCOPE_TRY(fields.readName("coder", kCoders, coder));
    pipeline.transform = static_cast<Transform>(transform);
    pipeline.predictor = static_cast<Predictor>(predictor);
    pipeline.coder = static_cast<EntropyCoder>(coder);
    if (double sigmas = 0; fields.find("clip_sigmas") != nullptr) {
        KVSCOPE_TRY(fields.read("clip_sigmas", sigmas));
        pipeline.clipSigmas = sigmas;
    }
    KVSCOPE_TRY(fields.read("effort", pipeline.effort));
    const json* quantiser = fields.find("quantiser");
    if (quantiser == nullptr)
        return fail(fields.pathOf("quantiser") + " is missing", source, "Say how values are quantised");
    KVSCOPE_ASSIGN(pipeline.quantiser, readQuantiser(*quantiser, fields.pathOf("quantiser"), source));
    KVSCOPE_TRY(fields.finish());
    if (auto valid = validate(pipeline); !valid)
        return fail(fields.pathOf(valid.error().where.c_str()) + " " + valid.error().what, source,
                    valid.error().advice);
    return pipeline;
}

} // namespace kvscope
