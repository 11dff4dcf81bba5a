// SPDX-License-Identifier: GPL-3.0-or-later

// How fast symbols are coded by each path of the rANS coder, beside memcpy and, where the library was there at
// configure time, htscodecs' rANS 32x16 of order 0 on blocks of 1 MiB (its best case; ours are chunks of 256 tokens).
// Times are processor time of the thread, best of many short runs, so that other programs disturb little. The exit
// status is 0 when the goals are met: decoding at twice htscodecs' speed and encoding 10^9 symbols a second with the
// best path, two threads at 1.8 times one.

#include "core/codec/rans.h"
#include "core/codec/rans_bank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <random>
#include <thread>
#include <vector>
#ifdef KVSCOPE_HTSCODECS
#include <htscodecs/rANS_static4x16.h>
#endif

using namespace kvscope;

namespace {

constexpr std::size_t kTokens = 256;
constexpr std::size_t kChannels = 1024;
constexpr std::size_t kChunks = 4;
constexpr std::size_t kSymbols = kTokens * kChannels * kChunks;
constexpr int kStreams = 4;
constexpr double kDecodeGoal = 2.0;
constexpr double kEncodeGoal = 1.0;
constexpr double kThreadsGoal = 1.8;
constexpr int kRuns = 60;

double threadSeconds() {
    timespec now = {};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class Body> double bestSeconds(const Body& body) {
    double best = std::numeric_limits<double>::max();
    for (int run = 0; run < kRuns; ++run) {
        const double start = threadSeconds();
        body();
        best = std::min(best, threadSeconds() - start);
    }
    return best;
}

double gigaSymbols(double seconds) {
    return static_cast<double>(kSymbols) / seconds / 1e9;
}

/// Chunks of Gaussian values, their channels sorted by table.
struct Data {
    std::vector<std::uint8_t> symbols = std::vector<std::uint8_t>(kSymbols);
    std::vector<RansRow> rows;

    /// Channels have scales first..last of the bank.
    Data(int first, int last) {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        for (std::size_t row = 0; row < kSymbols / kTokens; ++row) {
            const std::size_t channel = row % kChannels;
            const int scale =
                first + static_cast<int>(channel * static_cast<std::size_t>(last - first + 1) / kChannels);
            const float sigma = std::exp2(static_cast<float>(scale) / 4 - 3.5F);
            const RansTable& table =
                RansBank::instance().table({RansShape::Gaussian, static_cast<std::uint8_t>(scale)});
            for (std::size_t token = 0; token < kTokens; ++token) {
                const auto symbol =
                    static_cast<std::uint8_t>(128 + std::lround(std::clamp(normal(random) * sigma, -127.F, 127.F)));
                symbols[row * kTokens + token] = table.has(symbol) ? symbol : kRansEscape;
            }
            rows.push_back({&table, symbols.data() + row * kTokens});
        }
    }

    [[nodiscard]] std::span<const RansRow> chunk(std::size_t index) const {
        return std::span(rows).subspan(index * kChannels, kChannels);
    }
};

const char* nameOf(RansPath path) {
    return path == RansPath::Scalar ? "scalar" : path == RansPath::Avx2 ? "AVX2" : "AVX-512";
}

struct Speed {
    double encode = 0;
    double decode = 0;
};

using Chunks = std::array<std::vector<std::byte>, kChunks>;

void encodeAll(const Data& data, RansEncoder& encoder, Chunks& chunks, RansPath path) {
    for (std::size_t i = 0; i < kChunks; ++i) {
        chunks[i].clear();
        if (!encoder.encode(data.chunk(i), kTokens, kStreams, {}, chunks[i], path))
            std::abort();
    }
}

/// Rows are decoded sixteen at a time, as a caller does that turns them into values while they are in the cache.
void decodeAll(const Data& data, const Chunks& chunks, std::vector<std::uint8_t>& out, RansPath path) {
    constexpr std::size_t kBatch = 16;
    for (std::size_t i = 0; i < kChunks; ++i) {
        auto decoder = RansDecoder::open(chunks[i], kTokens, kStreams, path);
        for (std::size_t row = 0; row < kChannels; row += kBatch) {
            std::array<RansOutputRow, kBatch> batch;
            for (std::size_t j = 0; j < kBatch; ++j)
                batch[j] = {data.chunk(i)[row + j].table, out.data() + ((i * kChannels + row + j) * kTokens)};
            if (!decoder || !decoder->decode(batch))
                std::abort();
        }
        if (!decoder->finish(0))
            std::abort();
    }
}

Speed measure(const Data& data, RansPath path, double& bits) {
    RansEncoder encoder;
    Chunks chunks;
    std::vector<std::uint8_t> out(kSymbols);
    Speed speed;
    speed.encode = gigaSymbols(bestSeconds([&] { encodeAll(data, encoder, chunks, path); }));
    speed.decode = gigaSymbols(bestSeconds([&] { decodeAll(data, chunks, out, path); }));
    if (out != data.symbols)
        std::abort();
    double bytes = 0;
    for (const auto& chunk : chunks)
        bytes += static_cast<double>(chunk.size());
    bits = bytes * 8 / static_cast<double>(kSymbols);
    return speed;
}

/// How many times the work two threads do in the processor time that one needs for its own.
double twoThreads(const Data& data) {
    std::array<double, 2> seconds{};
    const auto work = [&](double& result) {
        RansEncoder encoder;
        Chunks chunks;
        std::vector<std::uint8_t> out(kSymbols);
        encodeAll(data, encoder, chunks, RansPath::Best);
        result = bestSeconds([&] { decodeAll(data, chunks, out, RansPath::Best); });
    };
    double alone = 0;
    work(alone);
    std::thread first(work, std::ref(seconds[0]));
    std::thread second(work, std::ref(seconds[1]));
    first.join();
    second.join();
    return alone / seconds[0] + alone / seconds[1];
}

/// GB/s that memcpy writes far beyond the caches, as when a whole dump is decoded.
double memcpySpeed() {
    constexpr std::size_t kBytes = std::size_t{128} << 20;
    const std::vector<std::uint8_t> from(kBytes, 1);
    std::vector<std::uint8_t> to(kBytes);
    double best = std::numeric_limits<double>::max();
    for (int run = 0; run < 6; ++run) {
        const double start = threadSeconds();
        std::memcpy(to.data(), from.data(), kBytes);
        best = std::min(best, threadSeconds() - start);
        if (to[static_cast<std::size_t>(run)] != 1)
            std::abort();
    }
    return static_cast<double>(kBytes) / best / 1e9;
}

#ifdef KVSCOPE_HTSCODECS
Speed measurePeer(const Data& data, double& bits) {
    constexpr int kOrder = RANS_ORDER_X32;
    auto* const in = const_cast<unsigned char*>(data.symbols.data());
    std::vector<unsigned char> packed(rans_compress_bound_4x16(kSymbols, kOrder));
    std::vector<unsigned char> out(kSymbols);
    unsigned int size = 0;
    Speed speed;
    speed.encode = gigaSymbols(bestSeconds([&] {
        size = static_cast<unsigned int>(packed.size());
        rans_compress_to_4x16(in, kSymbols, packed.data(), &size, kOrder);
    }));
    unsigned int back = kSymbols;
    speed.decode = gigaSymbols(bestSeconds([&] { rans_uncompress_to_4x16(packed.data(), size, out.data(), &back); }));
    if (out != data.symbols)
        std::abort();
    bits = 8.0 * size / static_cast<double>(kSymbols);
    return speed;
}
#endif

/// Prints all speeds for one kind of data; returns whether the goals are met.
bool bench(const char* name, const Data& data) {
    std::printf("%s: %zu chunks of %zu channels x %zu tokens\n", name, kChunks, kChannels, kTokens);
    const double copied = memcpySpeed();
    std::printf("  memcpy of 128 MiB      %6.2f GB/s\n", copied);
    Speed peer;
#ifdef KVSCOPE_HTSCODECS
    double peerBits = 0;
    peer = measurePeer(data, peerBits);
    std::printf("  htscodecs 32x16 o0     encode %6.3f  decode %6.3f Gsymbol/s  %.3f bits\n", peer.encode, peer.decode,
                peerBits);
#endif
    Speed best;
    for (const RansPath path : kRansPaths) {
        if (!ransPathAvailable(path))
            continue;
        double bits = 0;
        best = measure(data, path, bits);
        std::printf("  %-22s encode %6.3f  decode %6.3f Gsymbol/s  %.3f bits", nameOf(path), best.encode, best.decode,
                    bits);
        if (peer.decode > 0)
            std::printf("  = %.2fx / %.2fx htscodecs", best.encode / peer.encode, best.decode / peer.decode);
        // As fp16, each symbol is two bytes; turning it into them comes on top.
        std::printf("  (fp16: %.2fx memcpy)\n", 2 * best.decode / copied);
    }
    const double threads = twoThreads(data);
    std::printf("  two threads            %.2fx one\n", threads);
    return best.decode >= kDecodeGoal * peer.decode && best.encode >= kEncodeGoal && threads >= kThreadsGoal;
}

} // namespace

int main() {
    const bool one = bench("Gaussian, sigma 4, one table", Data(22, 22));
    const bool many = bench("Gaussian, sigma 1 to 8, 13 tables", Data(14, 26));
#ifndef KVSCOPE_HTSCODECS
    std::printf("built without libhtscodecs: its speed is not compared\n");
#endif
    std::printf("goals (decode %.0fx htscodecs, encode %.0f Gsymbol/s, two threads %.1fx): %s\n", kDecodeGoal,
                kEncodeGoal, kThreadsGoal, one && many ? "met" : "missed");
    return one && many ? 0 : 1;
}
