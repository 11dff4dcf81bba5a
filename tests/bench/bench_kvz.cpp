// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/native_values.h"
#include "core/codec/presets.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/transform.h"
#include "core/io/open_dump.h"
#include "core/kv/convert.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace kvscope;

// Ratio of KVScope's own coder on dumps, each beside what it has to beat on the same values in the same run.
//   bench_kvz [DUMP ...]      ratios on dumps; without any, speeds on made-up planes.
namespace {

constexpr std::int64_t kChunk = 256;
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

struct Chunk {
    std::string group;
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;
    /// Half of the bins that cachegen-3 gives to the layer and kind, less one.
    int binsHalf = 15;
    /// Of kvz, for the whole plane; channel terms for each of kTermSteps.
    Transform transform = Transform::None;
    std::shared_ptr<const std::vector<ChannelTerms>> terms;
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

CacheGen cacheGen(const Chunk& chunk) {
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
bool addLossy(const Chunk& chunk, Totals& totals) {
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

bool report(const std::vector<Chunk>& chunks) {
    std::map<std::string, Totals> groups;
    for (const Chunk& chunk : chunks) {
        Totals& totals = groups[chunk.group];
        totals.values += static_cast<double>(chunk.values.size());
        if (!addLossy(chunk, totals) || !addLossless(chunk, totals)) {
            std::printf("%s: does not come back\n", chunk.group.c_str());
            return false;
        }
    }
    std::printf("%-34s %9s %7s %9s %9s %9s %10s %8s\n", "", "bits/val", "tables", "vs ideal", "vs cg-3", "vs coder",
                "lossless", "zstd-19");
    for (const auto& [name, t] : groups)
        std::printf("%-34s %9.3f %6.2f%% %8.3fx %8.3fx %8.3fx %9.4fx %7.4fx\n", name.c_str(), 8 * t.kvz / t.values,
                    100 * t.tables / t.kvz, t.coded / t.ideal, t.released / t.kvz, t.sameCoder / t.kvz,
                    t.stored / t.lossless, t.stored / t.zstd19);
    return true;
}

/// Best of several runs, at least a fifth of a second of them, in seconds that the core spent on one: other programs do
/// not count.
template <class Body> double bestSeconds(const Body& body) {
    constexpr int kLeastRuns = 5;
    constexpr double kLeastSeconds = 0.2;
    const auto now = [] {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    };
    double best = 1e30;
    const double begin = now();
    for (int run = 0; run < kLeastRuns || now() - begin < kLeastSeconds; ++run) {
        const double start = now();
        body();
        best = std::min(best, now() - start);
    }
    return best;
}

/// Chunks of a plane of 1,024 channels: each an offset and a first-order autoregression, as `kvscope synth` makes them.
/// Dependent channels have a third of the next sixteen channels' states each.
std::vector<Chunk> madeUp(PlaneKind kind, DType type, std::int64_t tokens, bool dependent = false) {
    constexpr std::int64_t kHeads = 8;
    constexpr std::int64_t kHeadDim = 128;
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const bool key = kind == PlaneKind::Key;
    std::vector<float> offset;
    std::vector<float> rho;
    std::vector<float> gain;
    std::vector<float> state;
    for (std::int64_t c = 0; c < kHeads * kHeadDim; ++c) {
        const float spread = std::exp((key ? 0.4F : 0.3F) * normal(random));
        offset.push_back((key ? 1.5F : 0.1F) * normal(random));
        rho.push_back((key ? 0.8F : 0.05F) + (key ? 0.18F : 0.4F) * static_cast<float>(random() % 1000) / 1000);
        gain.push_back(spread * std::sqrt(1 - rho.back() * rho.back()));
        state.push_back(spread * normal(random));
    }
    std::vector<float> noise(1 << 18);
    for (float& value : noise)
        value = normal(random);
    std::vector<Chunk> chunks;
    for (std::int64_t t = 0; t < tokens; t += kChunk) {
        Chunk chunk;
        chunk.shape.kind = kind;
        chunk.shape.plane.heads = kHeads;
        chunk.shape.plane.headDim = kHeadDim;
        chunk.shape.plane.tokens = tokens;
        chunk.shape.plane.dtype = type;
        chunk.shape.tokens = tokenRange(t, t + kChunk);
        for (std::int64_t i = 0; i < kChunk; ++i) {
            const std::size_t shift = random();
            for (std::size_t c = 0; c < state.size(); ++c) {
                state[c] = rho[c] * state[c] + gain[c] * noise[(shift + c) % noise.size()];
                chunk.values.push_back(offset[c] + state[c]);
            }
            float* row = chunk.values.data() + chunk.values.size() - state.size();
            constexpr std::size_t kNeighbours = 16;
            for (std::size_t c = 0; dependent && c + kNeighbours < state.size(); ++c) {
                for (std::size_t other = 1; other <= kNeighbours; ++other)
                    row[c] += state[c + other] / 3;
            }
        }
        chunk.native.resize(chunk.values.size() * static_cast<std::size_t>(sizeOf(type)));
        toNative(type, chunk.values, chunk.native);
        convertToFloat(type, chunk.native, chunk.values);
        chunks.push_back(std::move(chunk));
    }
    return chunks;
}

double gigabytes(const std::vector<Chunk>& chunks) {
    double bytes = 0;
    for (const Chunk& chunk : chunks)
        bytes += static_cast<double>(chunk.native.size());
    return bytes / 1e9;
}

struct Speed {
    double encode = 0;
    double decode = 0;
    double two = 0;
    double ratio = 0;
};

/// GB/s of values in the dump's type on one core, and decoding on two.
Speed measure(const Pipeline& pipeline, const std::vector<Chunk>& chunks) {
    // Terms are sought in the first chunks of the plane, everything else in units of 1.
    std::vector<float> rows;
    for (std::size_t i = 0; i < std::min<std::size_t>(chunks.size(), 8); ++i)
        rows.insert(rows.end(), chunks[i].values.begin(), chunks[i].values.end());
    PlaneCalibration calibration = calibrate(pipeline, chunks.front().shape, rows);
    calibration.centredRms = 1;
    std::vector<EncodedChunk> encoded(chunks.size());
    std::vector<std::byte> out(chunks.front().native.size());
    bool good = true;
    const double size = gigabytes(chunks);
    Speed speed;
    speed.encode = size / bestSeconds([&] {
                       for (std::size_t i = 0; i < chunks.size(); ++i) {
                           auto one = encodeKvzChunk(pipeline, calibration,
                                                     {chunks[i].shape, chunks[i].values, chunks[i].native}, false);
                           good = good && one.has_value();
                           if (one)
                               encoded[i] = std::move(*one);
                       }
                   });
    const auto decodeEvery = [&](std::size_t first, std::size_t step, std::span<std::byte> into) {
        for (std::size_t i = first; i < chunks.size(); i += step)
            good = decodeKvzChunkNative(pipeline, calibration, chunks[i].shape, encoded[i].bytes, into).has_value() &&
                   good;
    };
    speed.decode = size / bestSeconds([&] { decodeEvery(0, 1, out); });
    double wallOne = 1e30;
    double wallTwo = 1e30;
    const auto wall = [](const auto& body) {
        const auto start = std::chrono::steady_clock::now();
        body();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    std::vector<std::byte> other(out.size());
    // So often that starting a thread takes no part.
    constexpr int kRounds = 20;
    const auto rounds = [&](std::size_t first, std::size_t step, std::span<std::byte> into) {
        for (int round = 0; round < kRounds; ++round)
            decodeEvery(first, step, into);
    };
    for (int run = 0; run < 5; ++run) {
        wallOne = std::min(wallOne, wall([&] { rounds(0, 1, out); }));
        wallTwo = std::min(wallTwo, wall([&] {
                               std::thread second([&] { rounds(1, 2, other); });
                               rounds(0, 2, out);
                               second.join();
                           }));
    }
    speed.two = wallOne / wallTwo;
    double bytes = 0;
    for (const EncodedChunk& one : encoded)
        bytes += static_cast<double>(one.bytes.size());
    speed.ratio = size * 1e9 / bytes;
    if (!good)
        std::printf("a chunk does not come back\n");
    return speed;
}

void speeds(std::int64_t tokens) {
    const auto values = madeUp(PlaneKind::Value, DType::F16, tokens);
    const auto keys = madeUp(PlaneKind::Key, DType::F16, tokens);
    const auto brain = madeUp(PlaneKind::Value, DType::BF16, tokens);
    // Far more than the caches hold.
    std::vector<std::byte> from(std::size_t{1} << 27, std::byte{1});
    std::vector<std::byte> out(from.size());
    const double memcpySpeed =
        static_cast<double>(out.size()) / 1e9 / bestSeconds([&] { std::memcpy(out.data(), from.data(), out.size()); });

    Pipeline stepped;
    stepped.quantiser = Step{0.35};
    stepped.predictor = Predictor::Best;
    stepped.coder = EntropyCoder::Kvz;
    Pipeline fast = stepped;
    fast.effort = kTrellisEffort - 1;
    Pipeline lossless;
    lossless.coder = EntropyCoder::Kvz;
    std::vector<std::vector<char>> packed;
    for (const Chunk& chunk : brain) {
        packed.emplace_back(ZSTD_compressBound(chunk.native.size()));
        packed.back().resize(
            ZSTD_compress(packed.back().data(), packed.back().size(), chunk.native.data(), chunk.native.size(), 1));
    }
    const double zstd = gigabytes(brain) / bestSeconds([&] {
                            for (const auto& one : packed)
                                ZSTD_decompress(out.data(), out.size(), one.data(), one.size());
                        });
    std::printf("memcpy %.2f GB/s, zstd -1 of bf16 decodes %.2f GB/s\n", memcpySpeed, zstd);
    const auto line = [&](const char* name, const Speed& speed, double peer, const char* peerName) {
        std::printf("%-20s ratio %.3f  encode %.2f GB/s  decode %.2f GB/s = %.2fx %s  two threads %.2fx\n", name,
                    speed.ratio, speed.encode, speed.decode, speed.decode / peer, peerName, speed.two);
    };
    line("V in steps, f16", measure(stepped, values), memcpySpeed, "memcpy");
    line("V, level 1, f16", measure(fast, values), memcpySpeed, "memcpy");
    line("K in steps, f16", measure(stepped, keys), memcpySpeed, "memcpy");
    line("K, level 1, f16", measure(fast, keys), memcpySpeed, "memcpy");
    line("V, dependent, f16", measure(stepped, madeUp(PlaneKind::Value, DType::F16, tokens, true)), memcpySpeed,
         "memcpy");
    line("V lossless, bf16", measure(lossless, brain), zstd, "zstd -1");
    line("V lossless, f16", measure(lossless, values), zstd, "zstd -1");
}

/// What is found once for a plane: transform and terms.
bool calibratePlane(const KvCache& cache, PlaneId id, Chunk& chunk) {
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

} // namespace

int main(int argc, char** argv) {
    if (argc == 1) {
        speeds(2048);
        return 0;
    }
    std::vector<Chunk> chunks;
    // Chunks point at their caches' rotations.
    std::vector<KvCache> caches;
    for (int i = 1; i < argc; ++i) {
        const auto opened = openDump(argv[i], {});
        if (!opened) {
            std::printf("%s\n", opened.error().message().c_str());
            return 1;
        }
        const KvCache cache = caches.emplace_back(opened->cache);
        const auto cacheGen3 = makePreset("cachegen-3", cache.geometry());
        if (!cacheGen3)
            return 1;
        const std::string name = std::filesystem::path(argv[i]).stem().string();
        for (const PlaneId id : cache.geometry().allPlanes()) {
            if (!isCacheKind(id.kind))
                continue;
            const PlaneGeometry& plane = *cache.geometry().find(id);
            Chunk calibrated;
            if (!calibratePlane(cache, id, calibrated))
                return 1;
            for (std::int64_t t = 0; t < plane.tokens; t += kChunk) {
                Chunk chunk = calibrated;
                chunk.shape.kind = id.kind;
                chunk.shape.plane = plane;
                chunk.shape.tokens = tokenRange(t, std::min(t + kChunk, plane.tokens));
                chunk.shape.rope = cache.rope(id.layer);
                chunk.values.resize(static_cast<std::size_t>(chunk.shape.values()));
                chunk.native.resize(chunk.values.size() * static_cast<std::size_t>(sizeOf(plane.dtype)));
                if (!cache.readRows(id, chunk.shape.tokens, channelRange(0, plane.channels()), chunk.values) ||
                    !cache.readNative(id, chunk.shape.tokens, chunk.native))
                    return 1;
                if (const auto* bins = std::get_if<MaxAbsBins>(&cacheGen3->pipelineFor(id.layer, id.kind, 0).quantiser))
                    chunk.binsHalf = bins->bins / 2 - 1;
                for (const std::string& group :
                     {name, name + " " + std::string(nameOf(id.kind)),
                      name + " layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind))}) {
                    chunk.group = group;
                    chunks.push_back(chunk);
                }
            }
        }
    }
    return report(chunks) ? 0 : 1;
}
