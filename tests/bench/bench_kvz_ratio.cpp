// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/presets.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/transform.h"
#include "core/io/open_dump.h"
#include "tests/bench/made_up.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace kvscope;

// Ratio of KVScope's own coder, each beside what it has to beat on the same values in the same run.
//   bench_kvz_ratio [DUMP ...]      on dumps, layer by layer; without any, on the samples and made-up planes.
namespace {

/// One of each range of steps that share their terms.
constexpr std::array kTermSteps = {0.15, 0.35, 0.8};

/// The index of the step nearest to `step`.
std::size_t termsFor(double step) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kTermSteps.size(); ++i) {
        if (std::fabs(std::log(kTermSteps[i] / step)) < std::fabs(std::log(kTermSteps[best] / step)))
            best = i;
    }
    return best;
}

struct RatioChunk : Chunk {
    std::string group;
    /// Half of the bins that cachegen-3 gives to the layer and kind, less one.
    int binsHalf = 15;
    /// Of kvz, for the whole plane; channel terms for each of kTermSteps.
    Transform transform = Transform::None;
    std::shared_ptr<const std::vector<ChannelTerms>> terms;
    /// The ratio that its lossless form must reach; 0: less bytes than zstd -19.
    double leastLossless = 0;
};

/// What cachegen-3's quantiser makes of a chunk: symbols from 0 on, its squared error, its bytes as released.
struct CacheGen {
    std::vector<std::int32_t> symbols;
    double error = 0;
    double releasedBytes = 0;
};

double entropyBits(const std::vector<std::int32_t>& symbols, std::size_t channels) {
    double bits = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        std::map<std::int32_t, double> counts;
        double total = 0;
        for (std::size_t i = c; i < symbols.size(); i += channels, ++total)
            ++counts[symbols[i]];
        for (const auto& [symbol, count] : counts)
            bits -= count * std::log2(count / total);
    }
    return bits;
}

CacheGen cacheGen(const RatioChunk& chunk) {
    const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
    const int half = chunk.binsHalf;
    CacheGen result;
    for (std::size_t at = 0; at < chunk.values.size(); at += channels) {
        float scale = 0;
        for (std::size_t c = 0; c < channels; ++c)
            scale = std::max(scale, std::fabs(chunk.values[at + c]));
        for (std::size_t c = 0; c < channels; ++c) {
            const double value = chunk.values[at + c];
            const int symbol = scale > 0 ? static_cast<int>(std::nearbyint(value * half / scale + half)) : half;
            result.symbols.push_back(symbol);
            const double decoded = static_cast<double>(symbol - half) / half * scale;
            result.error += (value - decoded) * (value - decoded);
        }
    }
    const auto tokens = static_cast<double>(chunk.shape.tokens.size());
    // Streams at their entropy, int16[33] of distribution and an int32 length a channel, the token's maximum in 16
    // bits.
    result.releasedBytes =
        entropyBits(result.symbols, channels) / 8 + static_cast<double>(channels) * (33 * 2 + 4) + tokens * 2;
    return result;
}

/// Bits of the ideal adaptive code of each channel: Krichevsky and Trofimov's estimator over the range that occurs.
double adaptiveBits(const std::vector<std::int32_t>& symbols, std::size_t channels) {
    double nats = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        std::map<std::int32_t, double> counts;
        double total = 0;
        for (std::size_t i = c; i < symbols.size(); i += channels, ++total)
            ++counts[symbols[i]];
        const double letters = counts.rbegin()->first - counts.begin()->first + 1;
        nats += std::lgamma(total + letters / 2) - std::lgamma(letters / 2);
        for (const auto& [symbol, count] : counts)
            nats -= std::lgamma(count + 0.5) - std::lgamma(0.5);
    }
    return nats / std::log(2.0);
}

double centredEnergy(const std::vector<float>& values, std::size_t channels) {
    double energy = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        double squares = 0;
        double count = 0;
        for (std::size_t i = c; i < values.size(); i += channels, ++count) {
            sum += values[i];
            squares += static_cast<double>(values[i]) * values[i];
        }
        energy += squares - sum * sum / count;
    }
    return energy;
}

double squaredError(const std::vector<float>& a, const std::vector<float>& b) {
    double error = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        error += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    return error;
}

struct Totals {
    double values = 0;
    double kvz = 0;
    /// The symbols of cachegen-3's quantiser in our coder, and in an ideal adaptive code of each channel.
    double coded = 0;
    double ideal = 0;
    double tables = 0;
    double released = 0;
    double sameCoder = 0;
    double stored = 0;
    double lossless = 0;
    double zstd19 = 0;
};

/// kvz at the error of CacheGen's quantiser.
bool addLossy(const RatioChunk& chunk, Totals& totals) {
    const auto channels = static_cast<std::size_t>(chunk.shape.plane.channels());
    const CacheGen other = cacheGen(chunk);
    const auto sameCoder = encodeSymbols(other.symbols, chunk.shape.tokens.size(), chunk.shape.plane.channels());
    if (!sameCoder)
        return false;
    Pipeline pipeline;
    pipeline.coder = EntropyCoder::Kvz;
    pipeline.predictor = Predictor::Best;
    pipeline.transform = chunk.transform;
    std::vector<float> transformed = chunk.values;
    applyTransform(pipeline.transform, chunk.shape, transformed);
    PlaneCalibration calibration;
    calibration.centredRms =
        static_cast<float>(std::sqrt(centredEnergy(transformed, channels) / static_cast<double>(chunk.values.size())));
    double low = 1e-3;
    double high = 16;
    double termBytes = 0;
    Result<EncodedChunk> best = fail("no step");
    for (int round = 0; round < 18; ++round) {
        const double step = std::sqrt(low * high);
        pipeline.quantiser = Step{step};
        calibration.channelTerms = (*chunk.terms)[termsFor(step)];
        auto encoded = encodeKvzChunk(pipeline, calibration, {chunk.shape, chunk.values, chunk.native});
        std::vector<float> decoded(chunk.values.size());
        if (!encoded || !decodeKvzChunk(pipeline, calibration, chunk.shape, encoded->bytes, decoded))
            return false;
        if (squaredError(chunk.values, decoded) > other.error) {
            high = step;
        } else {
            low = step;
            best = std::move(encoded);
            // The chunk bears its share of what its plane has to say once.
            termBytes = static_cast<double>(calibration.channelTerms.storedBytes()) *
                        static_cast<double>(chunk.shape.tokens.size()) / static_cast<double>(chunk.shape.plane.tokens);
        }
    }
    if (!best)
        return false;
    totals.kvz += static_cast<double>(best->bytes.size()) + termBytes;
    totals.tables += static_cast<double>(best->parts[BytePart::Tables]) + termBytes;
    totals.released += other.releasedBytes;
    totals.sameCoder +=
        static_cast<double>(sameCoder->bytes.size() + static_cast<std::size_t>(chunk.shape.tokens.size()) * 2);
    totals.ideal += adaptiveBits(other.symbols, channels) / 8;
    totals.coded += static_cast<double>(sameCoder->bytes.size());
    return true;
}

bool addLossless(const Chunk& chunk, Totals& totals) {
    Pipeline pipeline;
    pipeline.coder = EntropyCoder::Kvz;
    const auto encoded = encodeKvzChunk(pipeline, {}, {chunk.shape, chunk.values, chunk.native});
    std::vector<std::byte> decoded(chunk.native.size());
    if (!encoded || !decodeKvzChunkNative(pipeline, {}, chunk.shape, encoded->bytes, decoded) ||
        decoded != chunk.native)
        return false;
    totals.lossless += static_cast<double>(encoded->bytes.size());
    totals.stored += static_cast<double>(chunk.native.size());
    std::vector<char> packed(ZSTD_compressBound(chunk.native.size()));
    totals.zstd19 +=
        static_cast<double>(ZSTD_compress(packed.data(), packed.size(), chunk.native.data(), chunk.native.size(), 19));
    return true;
}

/// What a group of chunks must reach.
struct Goals {
    bool hasRatios = true;
    double ideal = 1.02;
    double tables = 0.03;
    double released = 1.6;
    double sameCoder = 1.1;
    /// Of stored bytes; 0: less than zstd -19 makes of them.
    double lossless = 0;
};

/// Prints what a group reached, with a mark on what it missed. Returns whether it missed nothing.
bool line(const std::string& name, const Totals& t, const Goals& goals) {
    bool met = true;
    const auto marked = [&met](bool good) {
        met = met && good;
        return good ? ' ' : '!';
    };
    const bool wide = goals.hasRatios;
    std::printf("%-26s %9.3f %6.2f%%%c %8.3fx%c %8.3fx%c %8.3fx%c %9.4fx%c %8.4fx\n", name.c_str(),
                8 * t.kvz / t.values, 100 * t.tables / t.kvz, marked(!wide || t.tables <= goals.tables * t.kvz),
                t.coded / t.ideal, marked(!wide || t.coded <= goals.ideal * t.ideal), t.released / t.kvz,
                marked(t.released >= goals.released * t.kvz), t.sameCoder / t.kvz,
                marked(t.sameCoder >= goals.sameCoder * t.kvz), t.stored / t.lossless,
                marked(goals.lossless > 0 ? t.stored >= goals.lossless * t.lossless : t.lossless < t.zstd19),
                t.stored / t.zstd19);
    return met;
}

/// Whether all groups reached their goals; nothing when a chunk does not come back.
std::optional<bool> report(const std::vector<RatioChunk>& chunks) {
    std::map<std::string, Totals> groups;
    std::map<std::string, Goals> goals;
    for (const RatioChunk& chunk : chunks) {
        Totals& totals = groups[chunk.group];
        totals.values += static_cast<double>(chunk.values.size());
        if (!addLossy(chunk, totals) || !addLossless(chunk, totals)) {
            std::printf("%s: does not come back\n", chunk.group.c_str());
            return {};
        }
        constexpr std::int64_t kWide = 256;
        Goals& own = goals[chunk.group];
        own.hasRatios = chunk.shape.plane.channels() >= kWide;
        own.lossless = chunk.leastLossless;
    }
    bool met = true;
    for (const auto& [name, totals] : groups)
        met = line(name, totals, goals[name]) && met;
    return met;
}

void header() {
    std::printf("%-26s %9s %7s  %9s  %9s  %9s  %10s  %9s\n", "", "bits/val", "tables", "vs ideal", "vs cg-3",
                "vs coder", "lossless", "zstd -19");
}

/// What is found once for a plane: transform and terms.
bool calibratePlane(const KvCache& cache, PlaneId id, RatioChunk& chunk) {
    const PlaneGeometry& plane = *cache.geometry().find(id);
    const ChunkShape whole{id.kind, plane, tokenRange(0, plane.tokens), cache.rope(id.layer)};
    std::vector<float> rows(static_cast<std::size_t>(whole.values()));
    if (!cache.readRows(id, whole.tokens, channelRange(0, plane.channels()), rows))
        return false;
    chunk.transform = chooseTransform(whole, rows, 0.3);
    Pipeline pipeline;
    pipeline.coder = EntropyCoder::Kvz;
    pipeline.predictor = Predictor::Best;
    pipeline.transform = chunk.transform;
    std::vector<ChannelTerms> terms;
    for (const double step : kTermSteps) {
        pipeline.quantiser = Step{step};
        terms.push_back(calibrate(pipeline, whole, rows).channelTerms);
    }
    chunk.terms = std::make_shared<std::vector<ChannelTerms>>(std::move(terms));
    return true;
}

/// The chunks of a dump. Repeated tokens have equal rows of V in layer 0 of small models: a group of its own.
bool addDump(const KvCache& cache, const std::string& name, bool byLayer, std::vector<RatioChunk>& chunks) {
    const auto cacheGen3 = makePreset("cachegen-3", cache.geometry());
    if (!cacheGen3)
        return false;
    for (const PlaneId id : cache.geometry().allPlanes()) {
        if (!isCacheKind(id.kind))
            continue;
        const PlaneGeometry& plane = *cache.geometry().find(id);
        RatioChunk calibrated;
        if (!calibratePlane(cache, id, calibrated))
            return false;
        for (std::int64_t t = 0; t < plane.tokens; t += kChunk) {
            RatioChunk chunk = calibrated;
            chunk.shape.kind = id.kind;
            chunk.shape.plane = plane;
            chunk.shape.tokens = tokenRange(t, std::min(t + kChunk, plane.tokens));
            chunk.shape.rope = cache.rope(id.layer);
            chunk.values.resize(static_cast<std::size_t>(chunk.shape.values()));
            chunk.native.resize(chunk.values.size() * static_cast<std::size_t>(sizeOf(plane.dtype)));
            if (!cache.readRows(id, chunk.shape.tokens, channelRange(0, plane.channels()), chunk.values) ||
                !cache.readNative(id, chunk.shape.tokens, chunk.native))
                return false;
            if (const auto* bins = std::get_if<MaxAbsBins>(&cacheGen3->pipelineFor(id.layer, id.kind, 0).quantiser))
                chunk.binsHalf = bins->bins / 2 - 1;
            const std::string kind(nameOf(id.kind));
            const std::string layer = std::to_string(id.layer.value);
            chunk.group = name + " " + (id.layer.value == 0 ? "layer 0 " + kind : kind);
            chunks.push_back(chunk);
            if (!byLayer || id.layer.value == 0)
                continue;
            chunk.group = name + " layer " + layer + " " + kind;
            chunks.push_back(std::move(chunk));
        }
    }
    return true;
}

/// Made-up planes of 1,024 channels; of a normal distribution bf16 cannot be made smaller than 1.529 times, f16 than
/// 1.188 times.
void addMadeUp(std::vector<RatioChunk>& chunks) {
    constexpr std::int64_t kTokens = 1024;
    struct Made {
        const char* group;
        PlaneKind kind;
        DType type;
        double leastLossless;
        /// Of cachegen-3 for a 7B model, half and less one: early layers have 32 bins, the others 16.
        int binsHalf;
    };
    constexpr std::array kMade{Made{"synthetic K, 32 bins", PlaneKind::Key, DType::F16, 0, 15},
                               Made{"synthetic K, 16 bins", PlaneKind::Key, DType::F16, 0, 7},
                               Made{"synthetic V, 16 bins", PlaneKind::Value, DType::F16, 1.18, 7},
                               Made{"synthetic V, bf16", PlaneKind::Value, DType::BF16, 1.5, 7}};
    const auto none = std::make_shared<const std::vector<ChannelTerms>>(kTermSteps.size());
    for (const Made& made : kMade) {
        for (Chunk& plain : madeUp(made.kind, made.type, kTokens)) {
            RatioChunk chunk;
            static_cast<Chunk&>(chunk) = std::move(plain);
            chunk.group = made.group;
            chunk.binsHalf = made.binsHalf;
            chunk.leastLossless = made.leastLossless;
            chunk.terms = none;
            chunks.push_back(std::move(chunk));
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> paths(argv + 1, argv + argc);
    const bool byLayer = !paths.empty();
    if (!byLayer) {
        for (const char* name : {"prose.safetensors", "prose-raw.bin", "code.npz", "passkey.pt"})
            paths.push_back(std::string(KVSCOPE_SOURCE_DIR "/sample_dumps/") + name);
    }
    std::vector<RatioChunk> chunks;
    // Chunks point at their caches' rotations.
    std::vector<KvCache> caches;
    for (const std::string& path : paths) {
        const auto opened = openDump(path, {});
        if (!opened) {
            std::printf("%s\n", opened.error().message().c_str());
            return 1;
        }
        if (!addDump(caches.emplace_back(opened->cache), std::filesystem::path(path).stem().string(), byLayer, chunks))
            return 1;
    }
    if (!byLayer)
        addMadeUp(chunks);
    std::printf("kvz in chunks of %lld tokens at the error of cachegen-3: against its released accounting (goal 1.6), "
                "and against its quantiser with our coder (goal 1.1);\nour coder against an ideal adaptive one (goal "
                "1.02) and its tables (goal 3 %%), both from 256 channels on\n",
                static_cast<long long>(kChunk));
    header();
    const auto met = report(chunks);
    if (!met)
        return 1;
    std::printf("goals: %s\n", *met ? "met" : "MISSED where marked with !");
    return *met ? 0 : 1;
}
