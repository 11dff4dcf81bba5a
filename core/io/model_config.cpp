// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/model_config.h"

#include "core/io/json_text.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numbers>

namespace kvscope {

namespace {

using nlohmann::json;

constexpr std::int64_t kConfigLimit = std::int64_t{16} << 20;
constexpr std::int64_t kCountLimit = 1 << 20;

/// Divides the wavelengths past the original context, blends between (Llama 3.1).
double llama3Frequency(const RopeSettings& settings, double frequency) {
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    const double turns = settings.originalPositions / wavelength;
    if (turns > settings.highFrequencyFactor)
        return frequency;
    if (turns < settings.lowFrequencyFactor)
        return frequency / settings.factor;
    const double smooth =
        (turns - settings.lowFrequencyFactor) / (settings.highFrequencyFactor - settings.lowFrequencyFactor);
    return (1.0 - smooth) * frequency / settings.factor + smooth * frequency;
}

/// YaRN (arXiv 2309.00071): interpolates the slow dimensions, keeps the fast ones, ramps between.
double yarnFrequency(const RopeSettings& settings, double frequency, std::int64_t pair, std::int64_t rotaryDim) {
    const auto dimOfTurns = [&](double turns) {
        return static_cast<double>(rotaryDim) *
               std::log(settings.originalPositions / (turns * 2.0 * std::numbers::pi)) /
               (2.0 * std::log(settings.theta));
    };
    double low = dimOfTurns(settings.betaFast);
    double high = dimOfTurns(settings.betaSlow);
    if (settings.truncate) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, static_cast<double>(rotaryDim - 1));
    if (low == high)
        high += 0.001;
    const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    return frequency / settings.factor * ramp + frequency * (1.0 - ramp);
}

/// YaRN's factor on sine and cosine for a context `scale` times longer.
double yarnScale(double scale, double mscale) {
    return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

/// Reads known fields of one JSON object and remembers the first that is impossible.
class FieldReader {
public:
    FieldReader(const json& object, std::string where)
        : object_(object)
        , where_(std::move(where)) {}

    std::optional<std::int64_t> count(std::initializer_list<const char*> keys) {
        for (const char* key : keys) {
            const json* member = memberOf(object_, key);
            if (member == nullptr || !member->is_number())
                continue;
            const auto value = integerOf(object_, key);
            if (value && *value > 0 && *value <= kCountLimit)
                return value;
            complain(key, "a whole number from 1 to " + std::to_string(kCountLimit));
        }
        return std::nullopt;
    }

    std::optional<double> positive(std::initializer_list<const char*> keys) {
        for (const char* key : keys) {
            const json* member = memberOf(object_, key);
            if (member == nullptr || !member->is_number())
                continue;
            const auto value = numberOf(object_, key);
            if (value && *value > 0)
                return value;
            complain(key, "a positive number");
        }
        return std::nullopt;
    }

    [[nodiscard]] Result<void> result() const {
        if (problem_.empty())
            return {};
        return fail(problem_, where_, "Correct the field, or remove the file if it does not belong to the dump");
    }

private:
    void complain(const char* key, const std::string& expected) {
        if (problem_.empty())
            problem_ = "field \"" + std::string(key) + "\" is not " + expected;
    }

    const json& object_;
    std::string where_;
    std::string problem_;
};

bool oneOf(const std::string& text, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), text) != names.end();
}

void readLongRope(const json& scaling, const json& config, RopeSettings& rope, std::vector<std::string>& notes) {
    const double original = numberOf(scaling, "original_max_position_embeddings")
                                .value_or(numberOf(config, "original_max_position_embeddings").value_or(0));
    const double longest = numberOf(config, "max_position_embeddings").value_or(original);
    rope.scaling = RopeSettings::Scaling::LongRope;
    const json* divisors = memberOf(scaling, "short_factor");
    if (divisors != nullptr && divisors->is_array() && divisors->size() <= 4096) {
        for (const json& divisor : *divisors) {
            if (divisor.is_number() && divisor.get<double>() > 0)
                rope.divisors.push_back(divisor.get<double>());
        }
    }
    const double scale = original > 0 ? longest / original : 1.0;
    rope.attentionScale = numberOf(scaling, "attention_factor")
                              .value_or(scale > 1.0 ? std::sqrt(1.0 + std::log(scale) / std::log(original)) : 1.0);
    notes.emplace_back("RoPE uses LongRope's short factors; a context longer than the original one uses others");
}

Result<void> readScaling(const json& scaling, const json& config, const std::string& where, RopeSettings& rope,
                         std::vector<std::string>& notes) {
    const std::string type = textOf(scaling, "rope_type").value_or(textOf(scaling, "type").value_or("default"));
    FieldReader fields(scaling, where + ", rope_scaling");
    rope.factor = fields.positive({"factor"}).value_or(1.0);
    rope.originalPositions = fields.positive({"original_max_position_embeddings"})
                                 .value_or(numberOf(config, "original_max_position_embeddings")
                                               .value_or(numberOf(config, "max_position_embeddings").value_or(8192)));
    rope.lowFrequencyFactor = fields.positive({"low_freq_factor"}).value_or(1.0);
    rope.highFrequencyFactor = fields.positive({"high_freq_factor"}).value_or(4.0);
    rope.betaFast = fields.positive({"beta_fast"}).value_or(32.0);
    rope.betaSlow = fields.positive({"beta_slow"}).value_or(1.0);
    const auto attention = fields.positive({"attention_factor"});
    KVSCOPE_TRY(fields.result());
    if (const json* truncate = memberOf(scaling, "truncate"); truncate != nullptr && truncate->is_boolean())
        rope.truncate = truncate->get<bool>();
    if (type == "linear") {
        rope.scaling = RopeSettings::Scaling::Linear;
    } else if (type == "llama3") {
        rope.scaling = RopeSettings::Scaling::Llama3;
        if (rope.highFrequencyFactor <= rope.lowFrequencyFactor)
            return fail("field \"high_freq_factor\" is not above low_freq_factor", where + ", rope_scaling",
                        "Correct the field");
    } else if (type == "yarn") {
        rope.scaling = RopeSettings::Scaling::Yarn;
        const auto mscale = numberOf(scaling, "mscale").value_or(0);
        const auto mscaleAll = numberOf(scaling, "mscale_all_dim").value_or(0);
        const double usual = mscale != 0 && mscaleAll != 0
                                 ? yarnScale(rope.factor, mscale) / yarnScale(rope.factor, mscaleAll)
                                 : yarnScale(rope.factor, 1.0);
        rope.attentionScale = attention.value_or(usual);
    } else if (type == "longrope" || type == "su") {
        readLongRope(scaling, config, rope, notes);
    } else if (type == "dynamic") {
        notes.emplace_back("RoPE scaling is dynamic: plain angles are used, right up to the model's original context");
    } else if (type != "default" && type != "mrope") {
        notes.push_back("RoPE scaling \"" + type + "\" is not known; plain angles are used");
    }
    return {};
}

/// Which layers attend to a sliding window and which rotate.
void readLayerTypes(const json& config, ModelConfig& result) {
    if (const json* types = memberOf(config, "layer_types");
        types != nullptr && types->is_array() && types->size() <= kCountLimit) {
        for (const json& type : *types)
            result.slidingLayers.push_back(type.is_string() &&
                                           type.get<std::string>().find("sliding") != std::string::npos);
    } else if (const auto pattern = integerOf(config, "sliding_window_pattern");
               pattern && *pattern > 0 && result.layers) {
        for (std::int64_t layer = 0; layer < *result.layers; ++layer)
            result.slidingLayers.push_back((layer + 1) % *pattern != 0);
    }
    if (const json* rotated = memberOf(config, "no_rope_layers");
        rotated != nullptr && rotated->is_array() && rotated->size() <= kCountLimit) {
        for (const json& value : *rotated)
            result.rotatedLayers.push_back(!value.is_number() || value.get<double>() != 0);
    }
}

Rope::Pairing pairingOf(const json& config, const std::string& type) {
    for (const char* key : {"rope_interleave", "rope_interleaved", "rotary_emb_interleaved"}) {
        if (const json* flag = memberOf(config, key); flag != nullptr && flag->is_boolean())
            return flag->get<bool>() ? Rope::Pairing::Interleaved : Rope::Pairing::HalfSplit;
    }
    if (const auto text = textOf(config, "rope"); text && text->find("interleaved") != std::string::npos)
        return Rope::Pairing::Interleaved;
    if (const auto text = textOf(config, "rope_pairing"); text && *text == "interleaved")
        return Rope::Pairing::Interleaved;
    return oneOf(type, {"gptj", "codegen", "cohere", "cohere2", "chatglm", "glm", "glm4", "deepseek_v2", "deepseek_v3",
                        "ernie4_5", "llama4_text", "llama4"})
               ? Rope::Pairing::Interleaved
               : Rope::Pairing::HalfSplit;
}

Result<void> readRope(const json& config, const std::string& type, const std::string& where, ModelConfig& result) {
    const json* alibi = memberOf(config, "alibi");
    result.rotatesNothing = oneOf(type, {"gpt2", "gpt_bigcode", "opt", "bloom", "mpt", "gpt_neo"}) ||
                            (alibi != nullptr && alibi->is_boolean() && alibi->get<bool>());
    if (result.rotatesNothing)
        return {};
    RopeSettings rope;
    rope.pairing = pairingOf(config, type);
    // transformers 5 keeps everything in rope_parameters, per kind of layer where they differ.
    const json* parameters = memberOf(config, "rope_parameters");
    const json* local = parameters != nullptr ? memberOf(*parameters, "sliding_attention") : nullptr;
    if (parameters != nullptr && memberOf(*parameters, "full_attention") != nullptr)
        parameters = memberOf(*parameters, "full_attention");
    FieldReader fields(config, where);
    std::optional<double> theta = fields.positive({"rope_theta", "rotary_emb_base"});
    rope.localTheta = fields.positive({"rope_local_base_freq"});
    rope.partialFactor = fields.positive({"partial_rotary_factor", "rotary_pct"}).value_or(1.0);
    rope.rotaryDim = fields.count({"rotary_dim"});
    KVSCOPE_TRY(fields.result());
    if (parameters != nullptr) {
        FieldReader inner(*parameters, where + ", rope_parameters");
        theta = theta ? theta : inner.positive({"rope_theta"});
        rope.partialFactor = inner.positive({"partial_rotary_factor"}).value_or(rope.partialFactor);
        KVSCOPE_TRY(inner.result());
    }
    if (local != nullptr && !rope.localTheta)
        rope.localTheta = numberOf(*local, "rope_theta");
    rope.theta = theta.value_or(10000.0);
    const json* scaling = memberOf(config, "rope_scaling");
    scaling = scaling != nullptr && scaling->is_object() ? scaling : parameters;
    if (scaling != nullptr)
        KVSCOPE_TRY(readScaling(*scaling, config, where, rope, result.notes));
    // A description that says nothing about positions leaves them unknown; a model's configuration implies RoPE.
    const bool said = theta || scaling != nullptr || memberOf(config, "rope") != nullptr ||
                      oneOf(type, {"llama", "mistral", "qwen2", "qwen3", "gemma", "gptj", "gpt_neox"});
    if (!said)
        return {};
    if (!theta && memberOf(config, "rope") != nullptr)
        result.notes.push_back(where + " names RoPE but no theta; 10000 is assumed");
    result.rope = rope;
    return {};
}

} // namespace

Rope RopeSettings::rope(std::int64_t headDim, bool local) const {
    const double base = local && localTheta ? *localTheta : theta;
    std::int64_t dims = rotaryDim.value_or(static_cast<std::int64_t>(partialFactor * static_cast<double>(headDim)));
    dims = std::clamp<std::int64_t>(dims, 0, headDim) / 2 * 2;
    Rope result = Rope::plain(base, dims, pairing);
    if (local && localTheta)
        return result;
    for (std::size_t i = 0; i < result.inverseFrequencies.size(); ++i) {
        double& frequency = result.inverseFrequencies[i];
        switch (scaling) {
        case Scaling::None:
            break;
        case Scaling::Linear:
            frequency /= factor;
            break;
        case Scaling::Llama3:
            frequency = llama3Frequency(*this, frequency);
            break;
        case Scaling::Yarn:
            frequency = yarnFrequency(*this, frequency, static_cast<std::int64_t>(i), dims);
            break;
        case Scaling::LongRope:
            frequency /= i < divisors.size() ? divisors[i] : 1.0;
            break;
        }
    }
    result.attentionScale = attentionScale;
    return result;
}

std::vector<std::optional<Rope>> ModelConfig::ropes(std::int64_t count, std::int64_t headDim) const {
    std::vector<std::optional<Rope>> result;
    if (!rope && !rotatesNothing && layerRopes.empty())
        return result;
    result.resize(static_cast<std::size_t>(count));
    for (std::size_t layer = 0; rope && layer < result.size(); ++layer) {
        const bool local = layer < slidingLayers.size() && slidingLayers[layer];
        if (layer >= rotatedLayers.size() || rotatedLayers[layer])
            result[layer] = rope->rope(headDim, local);
    }
    for (const auto& [layer, own] : layerRopes) {
        if (layer < count)
            result[static_cast<std::size_t>(layer)] = own ? std::optional(own->rope(headDim, false)) : std::nullopt;
    }
    return result;
}

Result<ModelConfig> readModelConfig(const ByteSource& file) {
    KVSCOPE_ASSIGN(const json whole, readJson(file, kConfigLimit));
    if (!whole.is_object())
        return fail("is not a JSON object", file.name(), "Use the model's config.json");
    // Models for text and images keep the language model's part apart.
    const json* text = memberOf(whole, "text_config");
    const bool nested = text != nullptr && text->is_object() && memberOf(whole, "num_hidden_layers") == nullptr;
    const json& config = nested ? *text : whole;
    ModelConfig result;
    result.source = file.name();
    FieldReader fields(config, file.name());
    result.layers = fields.count({"num_hidden_layers", "n_layer", "num_layers", "n_layers", "layers"});
    result.queryHeads = fields.count({"num_attention_heads", "n_head", "n_heads", "num_heads", "heads"});
    result.kvHeads =
        fields.count({"num_key_value_heads", "n_kv_heads", "num_kv_heads", "kv_heads", "multi_query_group_num"});
    result.headDim = fields.count({"head_dim", "attention_head_dim", "kv_channels"});
    result.latentDim = fields.count({"kv_lora_rank"});
    result.latentRopeDim = fields.count({"qk_rope_head_dim"});
    if (const auto window = integerOf(config, "sliding_window"); window && *window > 0)
        result.slidingWindow = window;
    const auto width = fields.count({"hidden_size", "n_embd", "d_model", "dim"});
    const auto nope = fields.count({"qk_nope_head_dim"});
    KVSCOPE_TRY(fields.result());
    if (const json* multi = memberOf(config, "multi_query");
        !result.kvHeads && multi != nullptr && multi->is_boolean() && multi->get<bool>())
        result.kvHeads = 1;
    if (!result.kvHeads && !result.latentDim)
        result.kvHeads = result.queryHeads;
    if (!result.headDim && nope && result.latentRopeDim)
        result.headDim = *nope + *result.latentRopeDim;
    if (!result.headDim && width && result.queryHeads)
        result.headDim = *width / *result.queryHeads;
    if (result.headDim && *result.headDim < 1)
        result.headDim.reset();
    const std::string type = textOf(config, "model_type").value_or(textOf(whole, "model_type").value_or(""));
    result.model = textOf(whole, "_name_or_path").value_or("");
    for (const char* key : {"model", "name"}) {
        if (result.model.empty())
            result.model = textOf(whole, key).value_or("");
    }
    if (result.model.empty())
        result.model = type;
    if (const json* synthetic = memberOf(whole, "synthetic"); synthetic != nullptr && synthetic->is_boolean())
        result.synthetic = synthetic->get<bool>();
    readLayerTypes(config, result);
    KVSCOPE_TRY(readRope(config, type, file.name(), result));
    return result;
}

} // namespace kvscope
