// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/synth.h"

#include "core/base/checked.h"
#include "core/base/output_file.h"
#include "core/kv/convert.h"
#include "core/kv/rope.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace kvscope {

namespace {

using nlohmann::ordered_json;

/// Tokens made at once.
constexpr std::int64_t kBlockTokens = 256;
constexpr std::int64_t kMostChannels = std::int64_t{1} << 20;
constexpr std::int64_t kMostLayers = 4096;

constexpr double kKeyOffset = 1.5;
constexpr double kValueOffset = 0.1;
constexpr float kSinkScale = 0.05F;

/// Steele, Lea and Flood's mixing function (SplitMix64): 64 random bits for every counter.
std::uint64_t mix(std::uint64_t counter) {
    std::uint64_t z = counter + 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

/// A number of mean 0 and variance 1, near enough to normal: the sum of four uniform ones.
float nearlyNormal(std::uint64_t bits) {
    const auto sum = static_cast<std::int32_t>((bits & 0xFFFFU) + ((bits >> 16) & 0xFFFFU) + ((bits >> 32) & 0xFFFFU) +
                                               (bits >> 48)) -
                     131070;
    // Standard deviation of the sum: 65536 * sqrt(4 / 12).
    constexpr float kScale = 1.0F / 37837.227F;
    return static_cast<float>(sum) * kScale;
}

/// Draws the parameters of a plane one after the other.
class ParameterSource {
public:
    explicit ParameterSource(std::uint64_t seed)
        : counter_(seed) {}

    /// In [0, 1).
    double uniform() { return static_cast<double>(mix(counter_++) >> 11) * 0x1p-53; }
    /// Normal, by Box and Muller.
    double normal() {
        const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

private:
    std::uint64_t counter_;
};

/// Makes the rows of one plane in order, before RoPE.
class PlaneMaker {
public:
    PlaneMaker(const SynthOptions& options, std::int64_t layer, PlaneKind kind)
        : kind_(kind)
        , seed_(mix(mix(options.seed) ^ static_cast<std::uint64_t>(layer * 2 + (kind == PlaneKind::Value ? 1 : 0))))
        , channels_(static_cast<std::size_t>(options.heads * options.headDim)) {
        ParameterSource source(mix(seed_));
        const bool key = kind == PlaneKind::Key;
        const double depth =
            options.layers > 1 ? static_cast<double>(layer) / static_cast<double>(options.layers - 1) : 0.0;
        const double layerSpread = key ? std::exp2(depth) : 0.1 * std::exp2(3.0 * depth);
        for (std::size_t c = 0; c < channels_; ++c) {
            const double spread = layerSpread * std::exp((key ? 0.4 : 0.3) * source.normal());
            const double rho = key ? 0.80 + 0.18 * source.uniform() : 0.05 + 0.40 * source.uniform();
            offset_.push_back(static_cast<float>(layerSpread * (key ? kKeyOffset : kValueOffset) * source.normal()));
            rho_.push_back(static_cast<float>(rho));
            gain_.push_back(static_cast<float>(spread * std::sqrt(1.0 - rho * rho)));
            state_.push_back(static_cast<float>(spread * source.normal()));
        }
        for (std::int64_t head = 0; key && head < options.heads; ++head) {
            for (const std::int64_t channel : outlierChannels(source, options.headDim)) {
                const double sign = source.uniform() < 0.5 ? -1.0 : 1.0;
                offset_[static_cast<std::size_t>(head * options.headDim + channel)] =
                    static_cast<float>(sign * options.outlierStrength * layerSpread);
            }
        }
    }

    /// The next rows.size() / channels rows.
    void next(std::span<float> rows) {
        for (std::size_t at = 0; at < rows.size(); at += channels_, ++token_) {
            const std::uint64_t counter = seed_ + token_ * channels_;
            const float scale = token_ == 0 && kind_ == PlaneKind::Value ? kSinkScale : 1.0F;
            for (std::size_t c = 0; c < channels_; ++c) {
                state_[c] = rho_[c] * state_[c] + gain_[c] * nearlyNormal(mix(counter + c));
                rows[at + c] = scale * (offset_[c] + state_[c]);
            }
        }
    }

private:
    /// Different channels of a head, in the upper half of each rotated half, where RoPE turns slowly.
    static std::vector<std::int64_t> outlierChannels(ParameterSource& source, std::int64_t headDim) {
        std::vector<std::int64_t> chosen;
        const std::int64_t quarter = headDim / 4;
        for (std::int64_t i = 0; i < std::min(kSynthOutliersPerHead, headDim / 2); ++i) {
            const std::int64_t half = i % 2 * (headDim / 2);
            chosen.push_back(half + headDim / 2 - 1 -
                             static_cast<std::int64_t>(source.uniform() * static_cast<double>(quarter)));
        }
        return chosen;
    }

    PlaneKind kind_;
    std::uint64_t seed_;
    std::size_t channels_;
    std::uint64_t token_ = 0;
    std::vector<float> offset_;
    std::vector<float> rho_;
    std::vector<float> gain_;
    std::vector<float> state_;
};

std::span<const std::byte> bytesOf(const std::string& text) {
    return std::as_bytes(std::span(text));
}

ordered_json describe(const SynthOptions& options) {
    return {{"model", "synthetic, seed " + std::to_string(options.seed)}, {"synthetic", true}};
}

std::string safetensorsHeader(const SynthOptions& options, std::int64_t planeBytes) {
    const char* type = options.dtype == DType::F32 ? "F32" : options.dtype == DType::BF16 ? "BF16" : "F16";
    ordered_json description = describe(options);
    description["rope_theta"] = options.ropeTheta;
    description["rope_pairing"] = "half";
    ordered_json header;
    header["__metadata__"] = {{"kvscope", description.dump()},
                              {"synthetic", "true"},
                              {"kvscope_synthetic", "seed=" + std::to_string(options.seed)}};
    std::int64_t offset = 0;
    for (std::int64_t layer = 0; layer < options.layers; ++layer) {
        for (const char* field : {"key", "value"}) {
            header["layers." + std::to_string(layer) + "." + field] = {
                {"dtype", type},
                {"shape", {1, options.heads, options.tokens, options.headDim}},
                {"data_offsets", {offset, offset + planeBytes}}};
            offset += planeBytes;
        }
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    for (std::size_t i = 0; i < length.size(); ++i)
        length[i] = static_cast<char>((text.size() >> (8 * i)) & 0xFF);
    return length + text;
}

std::string rawSidecar(const SynthOptions& options) {
    ordered_json sidecar = describe(options);
    sidecar["rope"] = {{"theta", options.ropeTheta}, {"pairing", "half"}};
    sidecar["dtype"] = std::string(nameOf(options.dtype));
    sidecar["axes"] = "LXTHD";
    sidecar["layers"] = options.layers;
    sidecar["heads"] = options.heads;
    sidecar["head_dim"] = options.headDim;
    sidecar["tokens"] = options.tokens;
    return sidecar.dump(2) + "\n";
}

/// Makes one plane and writes it at `offset` of the file.
Result<void> writePlane(const SynthOptions& options, std::int64_t layer, PlaneKind kind, const OutputFile& file,
                        std::int64_t offset, const JobControl& job) {
    PlaneMaker maker(options, layer, kind);
    const PlaneGeometry geometry{options.heads, options.headDim, options.tokens, options.dtype, {}, 0, {}};
    const Rope rope = Rope::plain(options.ropeTheta, options.headDim, Rope::Pairing::HalfSplit);
    const std::int64_t size = sizeOf(options.dtype);
    const bool headsFirst = options.format == DumpFileFormat::Safetensors;
    const auto channels = static_cast<std::size_t>(geometry.channels());
    const auto headDim = static_cast<std::size_t>(options.headDim);
    const auto rowBytes = headDim * static_cast<std::size_t>(size);
    std::vector<float> rows(static_cast<std::size_t>(std::min(kBlockTokens, options.tokens)) * channels);
    std::vector<std::byte> bytes(rows.size() * static_cast<std::size_t>(size));
    for (std::int64_t first = 0; first < options.tokens; first += kBlockTokens) {
        if (job.stopRequested())
            return cancelled();
        const std::int64_t last = std::min(first + kBlockTokens, options.tokens);
        const auto tokens = static_cast<std::size_t>(last - first);
        const auto block = std::span(rows).first(tokens * channels);
        maker.next(block);
        if (kind == PlaneKind::Key)
            rotate(rope, RopeDirection::Apply, geometry, tokenRange(first, last), block);
        if (!headsFirst) {
            const auto out = std::span(bytes).first(block.size() * static_cast<std::size_t>(size));
            convertFromFloat(options.dtype, block, out);
            KVSCOPE_TRY(file.writeAt(offset + first * geometry.channels() * size, out));
        }
        for (std::int64_t head = 0; headsFirst && head < options.heads; ++head) {
            for (std::size_t token = 0; token < tokens; ++token)
                convertFromFloat(options.dtype,
                                 block.subspan(token * channels + static_cast<std::size_t>(head) * headDim, headDim),
                                 std::span(bytes).subspan(token * rowBytes, rowBytes));
            KVSCOPE_TRY(file.writeAt(offset + (head * options.tokens + first) * options.headDim * size,
                                     std::span(bytes).first(tokens * rowBytes)));
        }
        job.advance((last - first) * geometry.channels() * size);
    }
    return {};
}

} // namespace

Result<std::int64_t> syntheticBytes(const SynthOptions& options) {
    const auto wrong = [](const std::string& what) { return fail(what, "synthetic dump", "Choose another value."); };
    if (options.layers < 1 || options.heads < 1 || options.headDim < 1 || options.tokens < 1)
        return wrong("layers, heads, head dimension and tokens must be at least 1");
    if (options.headDim % 2 != 0)
        return wrong("the head dimension must be even, for RoPE turns pairs");
    if (options.dtype != DType::F16 && options.dtype != DType::BF16 && options.dtype != DType::F32)
        return wrong("synthetic dumps are written as f16, bf16 or f32, not " + std::string(nameOf(options.dtype)));
    if (options.format != DumpFileFormat::Safetensors && options.format != DumpFileFormat::Raw)
        return wrong("synthetic dumps are written as .safetensors or raw with a sidecar, which can be labelled");
    if (!(options.ropeTheta > 0) || !std::isfinite(options.ropeTheta) || !(options.outlierStrength >= 0) ||
        options.outlierStrength > 1000)
        return wrong("the RoPE base must be positive and the outliers' strength between 0 and 1000");
    const auto channels = checkedMul(options.heads, options.headDim);
    if (options.layers > kMostLayers || !channels || *channels > kMostChannels)
        return wrong("more than " + std::to_string(kMostLayers) + " layers or " + std::to_string(kMostChannels) +
                     " channels");
    const auto bytes = checkedProduct({options.layers, 2, *channels, options.tokens, sizeOf(options.dtype)});
    if (!bytes)
        return wrong("the dump would be larger than any file");
    return *bytes;
}

Result<void> writeSyntheticDump(const std::filesystem::path& out, const SynthOptions& options, ThreadPool& pool,
                                const JobControl& job) {
    KVSCOPE_ASSIGN(const std::int64_t bytes, syntheticBytes(options));
    std::error_code error;
    const auto space = std::filesystem::space(std::filesystem::absolute(out, error).parent_path(), error);
    if (!error && static_cast<std::uintmax_t>(bytes) > space.available)
        return fail("needs " + std::to_string(bytes >> 20) + " MiB, but the disk has " +
                        std::to_string(space.available >> 20) + " MiB left",
                    out.string(), "Free some space or make a smaller dump.", Error::Kind::System);
    if (job.progress != nullptr)
        job.progress->start(bytes);
    const std::int64_t planes = options.layers * 2;
    const std::int64_t planeBytes = bytes / planes;
    const std::string header =
        options.format == DumpFileFormat::Safetensors ? safetensorsHeader(options, planeBytes) : std::string();
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(out));
    KVSCOPE_TRY(file.write(bytesOf(header)));
    std::mutex mutex;
    std::optional<Error> failure;
    pool.parallelFor(planes, [&](std::int64_t plane) {
        {
            const std::lock_guard lock(mutex);
            if (failure)
                return;
        }
        Result<void> done;
        try {
            done = writePlane(options, plane / 2, plane % 2 == 0 ? PlaneKind::Key : PlaneKind::Value, file,
                              static_cast<std::int64_t>(header.size()) + plane * planeBytes, job);
        } catch (const std::bad_alloc&) {
            done = fail("not enough memory for a block of tokens", out.string(), "Make fewer channels.",
                        Error::Kind::System);
        }
        const std::lock_guard lock(mutex);
        if (!done && !failure)
            failure = std::move(done.error());
    });
    if (failure)
        return tl::unexpected<Error>(std::move(*failure));
    if (options.format == DumpFileFormat::Raw) {
        auto beside = out;
        beside += ".json";
        KVSCOPE_ASSIGN(OutputFile sidecar, OutputFile::create(beside));
        KVSCOPE_TRY(sidecar.write(bytesOf(rawSidecar(options))));
        KVSCOPE_TRY(sidecar.commit());
    }
    return file.commit();
}

} // namespace kvscope
