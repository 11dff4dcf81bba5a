// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvscope {

/// What a tensor is, as far as its name tells.
enum class TensorRole : std::uint8_t {
    Unknown,       ///< nothing in the name says
    Key,           ///< k, key, keys, k_cache, key_cache ...
    Value,         ///< v, value, values, v_cache ...
    KeyValue,      ///< kv, kv_cache, kv_chunk, past_key_values: both in one tensor
    Latent,        ///< latent, ckv, kv_c, c_kv, compressed_kv (MLA)
    LatentRope,    ///< k_pe, k_rope: the rotary key that MLA keeps beside its latent
    Query,         ///< q, query
    KeyBeforeRope, ///< k_pre, kpre, key_before_rope
    Tokens,        ///< token_ids, input_ids, tokens
    Positions,     ///< position_ids, cache_position, positions
    Other          ///< logits, masks, block tables ...: not part of the values of a cache
};

/// A tensor's name, understood.
struct TensorName {
    TensorRole role = TensorRole::Unknown;
    /// A factor for the values of `role` (k_scale), or what to take off before the factor is applied (k_zero_point).
    bool scale = false;
    bool zeroPoint = false;
    /// Belongs to the attention over an encoder (encoder-decoder models), not to the text's own cache.
    bool cross = false;
    /// All numbers in the name, in order, without those of type names (fp8, int8).
    std::vector<std::int64_t> numbers;
    /// The number that names the layer, where the words around it or its being the only one tell.
    std::optional<std::int64_t> layer;
    /// Whether the last number is the layer; another one behind it counts something within the layer ("0.1").
    bool layerIsLast = false;
};

/// Reads the naming habits of Hugging Face, ONNX, vLLM, LMCache, llama.cpp and of hand-written dumps:
/// "layers.3.self_attn.k_cache", "past_key_values.3.key", "key_cache.3", "layer_3_value", "k3", "kv_chunk", "0.1".
TensorName parseTensorName(std::string_view name);

/// Whether `a` comes before `b` as people count: "layer10" after "layer9".
bool naturalLess(std::string_view a, std::string_view b);

/// The words of a name in lower case, cut at punctuation, at changes between letters and digits and inside camelCase.
std::vector<std::string> wordsOf(std::string_view name);

} // namespace kvscope
