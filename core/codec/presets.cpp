// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/presets.h"

#include "core/codec/rope_choice.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <functional>
#include <optional>
#include <utility>

namespace kvscope {

namespace {

constexpr double kStepHigh = 0.18;
constexpr double kStepMedium = 0.45;
constexpr double kStepLow = 0.8;
constexpr double kClipSigmas = 3;
/// Layers of the models that CacheGen's tables are for.
constexpr std::int64_t kTable7BLayers = 32;
constexpr std::int64_t kTable70BLayers = 80;
/// LMCache's table counts layers and gives small models the most bins everywhere.
constexpr std::int64_t kLmcacheKeyLayers = 10;
constexpr std::int64_t kLmcacheValueLayers = 2;
constexpr std::int64_t kMaxLayers = 1 << 20;

Pipeline lossless(EntropyCoder coder, int effort = 3) {
    return {.quantiser = Lossless{}, .coder = coder, .effort = effort};
}

Pipeline coded(Quantiser quantiser, EntropyCoder coder) {
    return {.quantiser = quantiser, .coder = coder};
}

Pipeline kvz(double step) {
    return {.quantiser = Step{step}, .predictor = Predictor::Best, .coder = EntropyCoder::Kvz};
}

Pipeline kvzLossless() {
    return {.quantiser = Lossless{}, .predictor = Predictor::Best, .coder = EntropyCoder::Kvz};
}

CodecPlan uniform(std::string_view name, const Pipeline& pipeline) {
    CodecPlan plan;
    plan.name = name;
    plan.fallback = pipeline;
    return plan;
}

/// A layer's pipeline by its place.
using LayerPipeline = std::function<Pipeline(std::int64_t layer, PlaneKind kind)>;

CodecPlan layered(std::string_view name, const KvGeometry& geometry, const LayerPipeline& pipeline) {
    CodecPlan plan;
    plan.name = name;
    for (std::int64_t layer = 0; layer < geometry.layerCount(); ++layer) {
        // The last band has no end, so that it is the canonical fallback.
        const std::int64_t end = layer + 1 == geometry.layerCount() ? kOpenEnd : layer + 1;
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent})
            plan.set(layerRange(layer, end), {kind}, tokenRange(0, kOpenEnd), pipeline(layer, kind));
    }
    return canonical(plan);
}

/// The layer of a table for a model of `tableLayers` at the same depth as layer `layer` of `layers`.
std::int64_t sameDepth(std::int64_t layer, std::int64_t layers, std::int64_t tableLayers) {
    return (2 * layer + 1) * tableLayers / (2 * layers);
}

/// Bins of CacheGen's released configuration for Mistral-7B.
int bins7B(int level, std::int64_t layer, bool isKey) {
    if (level == 3)
        return 32;
    const int most = level == 2 ? 32 : 16;
    const int middle = 16;
    const int least = level == 2 ? 16 : 12;
    if (!isKey)
        return layer < 2 ? most : least;
    return layer < 10 ? most : layer < 20 ? middle : least;
}

int bins70B(std::int64_t layer, bool isKey) {
    return layer < (isKey ? 40 : 20) ? 32 : 16;
}

using Bins = std::function<int(std::int64_t layer, bool isKey)>;

CodecPlan cachegen(std::string_view name, const KvGeometry& geometry, const Bins& bins) {
    return layered(name, geometry, [&](std::int64_t layer, PlaneKind kind) {
        return coded(MaxAbsBins{bins(layer, kind == PlaneKind::Key)}, EntropyCoder::Kvz);
    });
}

CodecPlan cachegen7B(std::string_view name, const KvGeometry& geometry, int level) {
    return cachegen(name, geometry, [&](std::int64_t layer, bool isKey) {
        return bins7B(level, sameDepth(layer, geometry.layerCount(), kTable7BLayers), isKey);
    });
}

CodecPlan cachegen70B(std::string_view name, const KvGeometry& geometry) {
    return cachegen(name, geometry, [&](std::int64_t layer, bool isKey) {
        return bins70B(sameDepth(layer, geometry.layerCount(), kTable70BLayers), isKey);
    });
}

CodecPlan cachegenLmcache(std::string_view name, const KvGeometry& geometry) {
    return cachegen(name, geometry, [&](std::int64_t layer, bool isKey) {
        const bool small = geometry.layerCount() < kLmcacheKeyLayers;
        return small || layer < (isKey ? kLmcacheKeyLayers : kLmcacheValueLayers) ? 32 : 16;
    });
}

CodecPlan cachegenPaper(std::string_view name, const KvGeometry& geometry) {
    return layered(name, geometry, [&](std::int64_t layer, PlaneKind) {
        const std::int64_t third = sameDepth(layer, geometry.layerCount(), 3);
        return coded(AnchorDelta{.step = 0.5 + 0.5 * static_cast<double>(third)}, EntropyCoder::Kvz);
    });
}

CodecPlan ropeInverse(std::string_view name, const KvGeometry&) {
    CodecPlan plan = uniform(name, lossless(EntropyCoder::Gear));
    Pipeline keys = plan.fallback;
    keys.transform = Transform::RopeInverse;
    plan.set(layerRange(0, kOpenEnd), {PlaneKind::Key}, tokenRange(0, kOpenEnd), keys);
    return plan;
}

CodecPlan ropePredictor(std::string_view name, const KvGeometry&) {
    CodecPlan plan = uniform(name, lossless(EntropyCoder::Gear));
    Pipeline keys = plan.fallback;
    keys.transform = Transform::RopeInverse;
    keys.predictor = Predictor::ChannelMean;
    plan.set(layerRange(0, kOpenEnd), {PlaneKind::Key}, tokenRange(0, kOpenEnd), keys);
    return plan;
}

struct Entry {
    PresetInfo info;
    std::function<CodecPlan(std::string_view name, const KvGeometry& geometry)> make;
};

Entry one(PresetInfo info, const Pipeline& pipeline) {
    return {std::move(info), [pipeline](std::string_view name, const KvGeometry&) { return uniform(name, pipeline); }};
}

std::vector<Entry> kvzEntries() {
    using enum PresetFamily;
    return {
        one({"kvz-high", Kvz, false, true,
             "KVScope's own, finest level: steps of 0.18 of a plane's spread, prediction and table class chosen for "
             "each "
             "channel by measured bits"},
            kvz(kStepHigh)),
        one({"kvz-medium", Kvz, false, true, "KVScope's own, middle level: steps of 0.45 of a plane's spread"},
            kvz(kStepMedium)),
        one({"kvz-low", Kvz, false, true, "KVScope's own, coarsest level: steps of 0.8 of a plane's spread"},
            kvz(kStepLow)),
        one({"kvz-lossless", Kvz, true, true,
             "KVScope's own, every bit kept: sign and exponent coded with a table class for each channel"},
            kvzLossless()),
    };
}

std::vector<Entry> cachegenEntries() {
    using enum PresetFamily;
    const auto level = [](int number) {
        return
            [number](std::string_view name, const KvGeometry& geometry) { return cachegen7B(name, geometry, number); };
    };
    return {
        {{"cachegen-3", CacheGen, false, true,
          "CacheGen as released, best level: 32 bins a token in every layer; its own byte count is shown beside ours"},
         level(3)},
        {{"cachegen-2", CacheGen, false, true,
          "CacheGen as released, default level: 32 bins in shallow layers, 16 in deep ones (7B table, mapped by "
          "depth)"},
         level(2)},
        {{"cachegen-1", CacheGen, false, true,
          "CacheGen as released, smallest level: 16 bins in shallow layers, 12 in deep ones (7B table, mapped by "
          "depth)"},
         level(1)},
        {{"cachegen-70b", CacheGen, false, true,
          "CacheGen's table for 70B models: K 32 bins in the first half, V in the first quarter, else 16"},
         cachegen70B},
        {{"cachegen-lmcache", CacheGen, false, true,
          "CacheGen as LMCache sets it: K 32 bins in 10 layers, V in 2, else 16; 32 everywhere below 10 layers"},
         cachegenLmcache},
        {{"cachegen-paper", CacheGen, false, true,
          "CacheGen as the paper describes it: anchors of 10 tokens at 8 bit, differences to them in steps of 0.5, 1 "
          "and "
          "1.5 standard deviations of the plane's differences by layer third (our reading of its delta bins)"},
         cachegenPaper},
    };
}

std::vector<Entry> quantiserEntries() {
    using enum PresetFamily;
    const auto clipped = [](Pipeline pipeline) {
        pipeline.clipSigmas = kClipSigmas;
        return pipeline;
    };
    const auto rotated = [](Pipeline pipeline) {
        pipeline.transform = Transform::Hadamard;
        return pipeline;
    };
    const Pipeline quant8 = coded(Uniform{.bits = 8}, EntropyCoder::GearDelta);
    const Uniform int4{.bits = 4, .group = 32, .symmetric = false};
    return {
        one({"quant10-gear-delta", Quantiser, false, true,
             "10 bit a token, difference to the token before, high and low bytes compressed apart"},
            coded(Uniform{.bits = 10}, EntropyCoder::GearDelta)),
        one({"block-norm-10", Quantiser, false, true,
             "Blocks of 128 values scaled by their largest magnitude, 10 bit; the largest 2 % are kept exactly"},
            coded(BlockNorm{}, EntropyCoder::Gear)),
        one({"clip", Quantiser, false, true,
             "Values beyond 3 standard deviations of their channel are cut; the rest is exact"},
            clipped(lossless(EntropyCoder::Gear))),
        one({"clip-quant8", Quantiser, false, true, "Clipped at 3 standard deviations, then 8 bit and gear + delta"},
            clipped(quant8)),
        one({"quant8", Quantiser, false, true, "8 bit with one scale a token, as they are: CacheGen's baseline"},
            coded(MaxAbsBins{.bins = 256}, EntropyCoder::Raw)),
        one({"quant8-gear-delta", Quantiser, false, true,
             "8 bit a token, difference to the token before, compressed with zstd"},
            quant8),
        one({"fp8-e4m3", Quantiser, false, true,
             "8-bit floating point, 3 bits of mantissa, one power-of-two scale a token"},
            coded(Float8{Float8::Format::E4M3}, EntropyCoder::Raw)),
        one({"fp8-e5m2", Quantiser, false, true,
             "8-bit floating point, 2 bits of mantissa, one power-of-two scale a token"},
            coded(Float8{Float8::Format::E5M2}, EntropyCoder::Raw)),
        one({"int4", Quantiser, false, true, "4 bit with scale and zero point for each 32 values of a token"},
            coded(int4, EntropyCoder::Raw)),
        one({"hadamard-int4", Quantiser, false, true,
             "Heads rotated by a Walsh-Hadamard matrix, which spreads outliers, then 4 bit in groups of 32"},
            rotated(coded(int4, EntropyCoder::Raw))),
        one({"kivi-4", Quantiser, false, true,
             "KIVI, 4 bit: K by channel, V by token, groups of 32, the last 128 tokens exact"},
            coded(Kivi{.bits = 4}, EntropyCoder::Raw)),
        one({"kivi-2", Quantiser, false, true,
             "KIVI, 2 bit: K by channel, V by token, groups of 32, the last 128 tokens exact"},
            coded(Kivi{.bits = 2}, EntropyCoder::Raw)),
    };
}

std::vector<Entry> losslessEntries() {
    using enum PresetFamily;
    std::vector<Entry> entries{
        one({"gear", PresetFamily::Lossless, true, true, "Sign and exponent apart from the mantissa, zstd on each"},
            lossless(EntropyCoder::Gear)),
        one({"gear-delta", PresetFamily::Lossless, true, true, "Gear after subtracting the token before"},
            lossless(EntropyCoder::GearDelta)),
        one({"huffman", PresetFamily::Lossless, true, false,
             "Sign and exponent in a Huffman code for the whole chunk (to compare)"},
            lossless(EntropyCoder::Huffman)),
        one({"arithmetic", PresetFamily::Lossless, true, false,
             "Sign and exponent in an arithmetic code with a static table for each channel (to compare)"},
            lossless(EntropyCoder::Arithmetic)),
        one({"context-rans", PresetFamily::Lossless, true, false,
             "Sign and exponent in rANS whose table depends on the symbol before (to compare)"},
            lossless(EntropyCoder::ContextRans)),
        one({"cabac", PresetFamily::Lossless, true, false,
             "Sign and exponent in context-adaptive binary arithmetic code (to compare)"},
            lossless(EntropyCoder::Cabac)),
    };
    entries.push_back(
        {{"rope-inverse-gear", PresetFamily::Lossless, false, false,
          "How well K compresses before RoPE: rotation undone, rounded to the dump's type, gear (analysis)"},
         ropeInverse});
    entries.push_back({{"rope-predict-gear", PresetFamily::Lossless, true, false,
                        "K less its channels' means before RoPE, turned to each token's position; the residual in gear "
                        "split (bit by bit; needs a known rotation)"},
                       ropePredictor});
    return entries;
}

std::vector<Entry> baselineEntries() {
    using enum PresetFamily;
    return {
        one({"shuffle-zstd", Baseline, true, true, "Bytes of equal significance together, then zstd -3"},
            lossless(EntropyCoder::ShuffleZstd)),
        one({"zstd-19", Baseline, true, true, "zstd -19 on the bytes of the dump"}, lossless(EntropyCoder::Zstd, 19)),
        one({"zstd-3", Baseline, true, true, "zstd -3 on the bytes of the dump"}, lossless(EntropyCoder::Zstd, 3)),
        one({"zstd-1", Baseline, true, true, "zstd -1 on the bytes of the dump"}, lossless(EntropyCoder::Zstd, 1)),
        one({"zlib", Baseline, true, true, "zlib -6 on the bytes of the dump"}, lossless(EntropyCoder::Zlib, 6)),
        one({"lz4", Baseline, true, true, "lz4 on the bytes of the dump"}, lossless(EntropyCoder::Lz4)),
        one({"raw", Baseline, true, true, "The dump's own bytes"}, lossless(EntropyCoder::Raw)),
    };
}

const std::vector<Entry>& entries() {
    static const std::vector<Entry> all = [] {
        std::vector<Entry> list = kvzEntries();
        for (auto more : {cachegenEntries(), quantiserEntries(), losslessEntries(), baselineEntries()})
            list.insert(list.end(), more.begin(), more.end());
        return list;
    }();
    return all;
}

/// A whole number at the start of the text, which it removes.
std::optional<int> takeNumber(std::string_view& text) {
    int number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || number < 0 || end == text.data())
        return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

bool takePrefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix))
        return false;
    text.remove_prefix(prefix.size());
    return true;
}

std::optional<Entry> findEntry(std::string_view name);

/// "mixed-2-kvz-low": two lossless layers, then the preset.
std::optional<Entry> mixedEntry(std::string_view rest) {
    const auto layers = takeNumber(rest);
    if (!layers || *layers > kMaxLayers || !takePrefix(rest, "-"))
        return std::nullopt;
    const auto inner = findEntry(rest);
    if (!inner)
        return std::nullopt;
    const std::string count = std::to_string(*layers);
    return Entry{{"mixed-" + count + "-" + inner->info.name, inner->info.family, inner->info.lossless, true,
                  "The first " + count + " layers bit by bit (kvz-lossless), the others " + inner->info.name},
                 [inner, layers](std::string_view name, const KvGeometry& geometry) {
                     CodecPlan plan = inner->make(name, geometry);
                     if (*layers > 0)
                         plan.set(layerRange(0, *layers), KindSet::all(), tokenRange(0, kOpenEnd), kvzLossless());
                     return plan;
                 }};
}

std::optional<Entry> hadamardEntry(std::string_view rest) {
    const auto inner = findEntry(rest);
    if (!inner || inner->info.lossless)
        return std::nullopt;
    return Entry{{"hadamard-" + inner->info.name, inner->info.family, false, true,
                  "Heads rotated by a Walsh-Hadamard matrix, then " + inner->info.name},
                 [inner](std::string_view name, const KvGeometry& geometry) {
                     CodecPlan plan = inner->make(name, geometry);
                     const auto turn = [](Pipeline& pipeline) {
                         if (!pipeline.isLossless())
                             pipeline.transform = Transform::Hadamard;
                     };
                     turn(plan.fallback);
                     for (PlanRule& rule : plan.rules)
                         turn(rule.pipeline);
                     return plan;
                 }};
}

/// Families of presets that differ by one number N of bits.
struct BitFamily {
    std::string_view prefix;
    std::string_view suffix;
    std::string_view pattern;
    Pipeline (*make)(int bits);
};

constexpr std::array<BitFamily, 4> kBitFamilies{{
    {"quant", "-gear-delta", "quant10-gear-delta",
     [](int bits) { return coded(Uniform{.bits = bits}, EntropyCoder::GearDelta); }},
    {"clip-quant", "", "clip-quant8",
     [](int bits) {
         Pipeline pipeline = coded(Uniform{.bits = bits}, EntropyCoder::GearDelta);
         pipeline.clipSigmas = kClipSigmas;
         return pipeline;
     }},
    {"block-norm-", "", "block-norm-10", [](int bits) { return coded(BlockNorm{.bits = bits}, EntropyCoder::Gear); }},
    {"kivi-", "", "kivi-4", [](int bits) { return coded(Kivi{.bits = bits}, EntropyCoder::Raw); }},
}};

std::optional<Entry> bitEntry(std::string_view name) {
    for (const BitFamily& family : kBitFamilies) {
        std::string_view rest = name;
        if (!takePrefix(rest, family.prefix))
            continue;
        const auto bits = takeNumber(rest);
        if (!bits || rest != family.suffix || !validate(family.make(*bits)))
            continue;
        const auto model = findEntry(family.pattern);
        return one({std::string(name), model->info.family, false, true,
                    "As " + model->info.name + ", with " + std::to_string(*bits) + " bit"},
                   family.make(*bits));
    }
    return std::nullopt;
}

std::optional<Entry> findEntry(std::string_view name) {
    const auto listed = std::ranges::find(entries(), name, [](const Entry& entry) { return entry.info.name; });
    if (listed != entries().end())
        return *listed;
    if (std::string_view rest = name; takePrefix(rest, "mixed-"))
        return mixedEntry(rest);
    if (std::string_view rest = name; takePrefix(rest, "hadamard-"))
        return hadamardEntry(rest);
    return bitEntry(name);
}

Result<Entry> requireEntry(std::string_view name) {
    constexpr std::size_t kMaxName = 100;
    if (name.size() <= kMaxName) {
        if (auto found = findEntry(name))
            return std::move(*found);
    }
    std::string list;
    for (const Entry& entry : entries())
        list += entry.info.name + ", ";
    return fail("is not a known preset", "\"" + std::string(name.substr(0, kMaxName)) + "\"",
                "Choose one of " + list +
                    "quant<N>-gear-delta, clip-quant<N>, block-norm-<N>, kivi-<N>, mixed-<layers>-<preset>, "
                    "hadamard-<preset>");
}

Result<void> checkHadamard(const CodecPlan& plan, const KvGeometry& geometry) {
    for (const PlaneId id : geometry.allPlanes()) {
        const auto headDim = static_cast<std::uint64_t>(geometry.find(id)->headDim);
        if (isCacheKind(id.kind) && plan.pipelineFor(id.layer, id.kind, 0).transform == Transform::Hadamard &&
            !std::has_single_bit(headDim))
            return fail("rotates heads by a Hadamard matrix, but those of layer " + std::to_string(id.layer.value) +
                            " have " + std::to_string(headDim) + " dimensions, no power of two",
                        plan.name, "Choose a preset without Hadamard");
    }
    return {};
}

} // namespace

std::string_view nameOf(PresetFamily family) {
    switch (family) {
    case PresetFamily::Kvz:
        return "KVZ";
    case PresetFamily::CacheGen:
        return "CacheGen";
    case PresetFamily::Quantiser:
        return "quantisers";
    case PresetFamily::Lossless:
        return "lossless";
    case PresetFamily::Baseline:
        return "baselines";
    }
    return {};
}

const std::vector<PresetInfo>& presets() {
    static const std::vector<PresetInfo> list = [] {
        std::vector<PresetInfo> infos;
        std::ranges::transform(entries(), std::back_inserter(infos), &Entry::info);
        infos.push_back(findPreset("mixed-2-kvz-medium").value());
        return infos;
    }();
    return list;
}

Result<PresetInfo> findPreset(std::string_view name) {
    KVSCOPE_ASSIGN(Entry entry, requireEntry(name));
    return std::move(entry.info);
}

Result<CodecPlan> makePreset(std::string_view name, const KvGeometry& geometry) {
    KVSCOPE_ASSIGN(const Entry entry, requireEntry(name));
    CodecPlan plan = geometry.layers.empty()
                         ? uniform(name, entry.make(name, KvGeometry{1, {LayerGeometry{}}}).fallback)
                         : entry.make(name, geometry);
    KVSCOPE_TRY(checkHadamard(plan, geometry));
    return plan;
}

Result<CodecPlan> makePreset(std::string_view name, const KvCache& cache, const JobControl& job) {
    KVSCOPE_ASSIGN(CodecPlan plan, makePreset(name, cache.geometry()));
    KVSCOPE_TRY(checkRotations(plan, cache));
    KVSCOPE_ASSIGN(CodecPlan undone, undoRopeWhereItPays(plan, cache, job));
    return canonical(undone);
}

} // namespace kvscope
