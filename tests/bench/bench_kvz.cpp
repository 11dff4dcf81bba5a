// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/transform.h"
#include "core/io/open_dump.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace kvscope;

// Ratio of KVScope's own coder on dumps, each beside what it has to beat on the same values in the same run.
//   bench_kvz DUMP ...
namespace {

constexpr std::int64_t kChunk = 256;

struct Chunk {
    std::string group;
    ChunkShape shape;
    std::vector<float> values;
    std::vector<std::byte> native;
};

/// CacheGen's released quantiser with 32 bins: symbols 0..30, its values, its released bytes.
struct CacheGen {
    std::vector<std::int32_t> symbols;
    double error = 0;
    double releasedBytes = 0;
};

constexpr int kBinsHalf = 15;

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
    CacheGen result;
    for (std::size_t at = 0; at < chunk.values.size(); at += channels) {
        float scale = 0;
        for (std::size_t c = 0; c < channels; ++c)
            scale = std::max(scale, std::fabs(chunk.values[at + c]));
        for (std::size_t c = 0; c < channels; ++c) {
            const double value = chunk.values[at + c];
            const int symbol =
                scale > 0 ? static_cast<int>(std::nearbyint(value * kBinsHalf / scale + kBinsHalf)) : kBinsHalf;
            result.symbols.push_back(symbol);
            const double decoded = static_cast<double>(symbol - kBinsHalf) / kBinsHalf * scale;
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
    double adaptive = 0;
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
    pipeline.transform = chooseTransform(chunk.shape, chunk.values, 0.3);
    std::vector<float> transformed = chunk.values;
    applyTransform(pipeline.transform, chunk.shape, transformed);
    PlaneCalibration calibration;
    calibration.centredRms =
        static_cast<float>(std::sqrt(centredEnergy(transformed, channels) / static_cast<double>(chunk.values.size())));
    double low = 1e-3;
    double high = 16;
    Result<EncodedChunk> best = fail("no step");
    for (int round = 0; round < 18; ++round) {
        const double step = std::sqrt(low * high);
        pipeline.quantiser = Step{step};
        auto encoded = encodeKvzChunk(pipeline, calibration, {chunk.shape, chunk.values, chunk.native});
        std::vector<float> decoded(chunk.values.size());
        if (!encoded || !decodeKvzChunk(pipeline, calibration, chunk.shape, encoded->bytes, decoded))
            return false;
        if (squaredError(chunk.values, decoded) > other.error) {
            high = step;
        } else {
            low = step;
            best = std::move(encoded);
        }
    }
    if (!best)
        return false;
    totals.kvz += static_cast<double>(best->bytes.size());
    totals.tables += static_cast<double>(best->parts[BytePart::Tables]);
    totals.released += other.releasedBytes;
    totals.sameCoder +=
        static_cast<double>(sameCoder->bytes.size() + static_cast<std::size_t>(chunk.shape.tokens.size()) * 2);
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
    std::printf("%-34s %9s %7s %9s %9s %10s %8s\n", "", "bits/val", "tables", "vs cg-3", "vs coder", "lossless",
                "zstd-19");
    for (const auto& [name, t] : groups)
        std::printf("%-34s %9.3f %6.2f%% %8.3fx %8.3fx %9.4fx %7.4fx\n", name.c_str(), 8 * t.kvz / t.values,
                    100 * t.tables / t.kvz, t.released / t.kvz, t.sameCoder / t.kvz, t.stored / t.lossless,
                    t.stored / t.zstd19);
    return true;
}

} // namespace

int main(int argc, char** argv) {
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
        const std::string name = std::filesystem::path(argv[i]).stem().string();
        for (const PlaneId id : cache.geometry().allPlanes()) {
            if (!isCacheKind(id.kind))
                continue;
            const PlaneGeometry& plane = *cache.geometry().find(id);
            for (std::int64_t t = 0; t < plane.tokens; t += kChunk) {
                Chunk chunk;
                chunk.shape.kind = id.kind;
                chunk.shape.plane = plane;
                chunk.shape.tokens = tokenRange(t, std::min(t + kChunk, plane.tokens));
                chunk.shape.rope = cache.rope(id.layer);
                chunk.values.resize(static_cast<std::size_t>(chunk.shape.values()));
                chunk.native.resize(chunk.values.size() * static_cast<std::size_t>(sizeOf(plane.dtype)));
                if (!cache.readRows(id, chunk.shape.tokens, channelRange(0, plane.channels()), chunk.values) ||
                    !cache.readNative(id, chunk.shape.tokens, chunk.native))
                    return 1;
                for (const std::string& group :
                     {name + " " + std::string(nameOf(id.kind)),
                      name + " layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind))}) {
                    chunk.group = group;
                    chunks.push_back(chunk);
                }
            }
        }
    }
    return report(chunks) ? 0 : 1;
}
