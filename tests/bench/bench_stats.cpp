// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/kv/convert.h"
#include "core/kv/strided_cache.h"
#include "core/stats/correlation.h"
#include "core/stats/entropy.h"
#include "core/stats/key_histogram.h"
#include "core/stats/outliers.h"
#include "core/stats/plane_statistics.h"
#include "core/stats/token_profile.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <latch>
#include <random>
#include <string>
#include <vector>

using namespace kvscope;

// Speed of the statistics on one core, each beside the speed at which the same core reads the same bytes in the same
// run. Exit status 1 when the exact histogram with its moments is slower than 1 GB/s.
namespace {

constexpr std::int64_t kTokens = 16384;
constexpr std::int64_t kChannels = 1024;
constexpr double kGoal = 1.0;

double processorSeconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Best of several runs, in seconds that the core spent on it: other programs do not count.
template <class Body> double bestSeconds(Body body) {
    double best = 1e30;
    for (int run = 0; run < 4; ++run) {
        const double start = processorSeconds();
        body();
        best = std::min(best, processorSeconds() - start);
    }
    return best;
}

double report(const char* what, double bytes, double seconds, double limit) {
    const double speed = bytes / seconds / 1e9;
    std::printf("%-44s %8.1f MB %9.4f s %8.2f GB/s %6.1f%% of reading\n", what, bytes / 1e6, seconds, speed,
                100.0 * speed / limit);
    return speed;
}

/// A key-like plane: an offset and a spread for each channel, some channels far out, neighbours alike.
std::vector<float> keyLike() {
    std::mt19937 random(42);
    std::normal_distribution<float> normal;
    std::vector<float> offsets;
    std::vector<float> spreads;
    for (std::int64_t c = 0; c < kChannels; ++c) {
        offsets.push_back(normal(random) * (c % 101 == 0 ? 12.0F : 0.7F));
        spreads.push_back(0.3F + std::abs(normal(random)));
    }
    std::vector<float> noise(1 << 16);
    for (float& value : noise)
        value = normal(random);
    std::vector<float> values(static_cast<std::size_t>(kTokens * kChannels));
    std::vector<float> state(static_cast<std::size_t>(kChannels));
    for (std::size_t t = 0; t < static_cast<std::size_t>(kTokens); ++t) {
        const std::size_t shift = random();
        for (std::size_t c = 0; c < static_cast<std::size_t>(kChannels); ++c) {
            state[c] = 0.6F * state[c] + 0.8F * noise[(shift + c) % noise.size()];
            values[t * kChannels + c] = offsets[c] + spreads[c] * state[c];
        }
    }
    return values;
}

/// Keeps the only worker of a pool waiting, so that work is left to the calling thread and one core is measured.
class IdleWorker {
public:
    explicit IdleWorker(ThreadPool& pool) {
        pool.post([this] {
            release_.wait();
            done_.count_down();
        });
    }
    ~IdleWorker() {
        release_.count_down();
        done_.wait();
    }
    IdleWorker(const IdleWorker&) = delete;
    IdleWorker& operator=(const IdleWorker&) = delete;

private:
    std::latch release_{1};
    std::latch done_{1};
};

/// One K plane of a type in memory, as a reader would deliver it from a file.
Result<KvCache> memoryCache(std::vector<std::byte> bytes, DType dtype) {
    PlaneGeometry plane;
    plane.heads = 8;
    plane.headDim = kChannels / 8;
    plane.tokens = kTokens;
    plane.dtype = dtype;
    KvGeometry geometry;
    geometry.layers.resize(1);
    geometry.layers[0].plane(PlaneKind::Key) = plane;
    StridedPart part;
    part.bytes = memorySource(std::move(bytes), "memory");
    part.stored = dtype;
    part.tokenStride = kChannels;
    part.headStride = plane.headDim;
    part.tokenCount = kTokens;
    part.headCount = plane.heads;
    CacheInfo info;
    info.name = "memory";
    return makeStridedCache(std::move(geometry), std::move(info),
                            {{PlaneId{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)}, {part}}});
}

/// The limit: the same bytes summed up, eight at a time.
double readSpeed(std::span<const std::byte> bytes) {
    std::uint64_t sum = 0;
    const double seconds = bestSeconds([&] {
        for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes.data() + i, 8);
            sum += word;
        }
    });
    const double speed = static_cast<double>(bytes.size()) / seconds / 1e9;
    std::printf("reading the bytes once: %.2f GB/s (checksum %llx)\n", speed, static_cast<unsigned long long>(sum));
    return speed;
}

/// All statistics of one type; returns the speed of the exact histogram with moments, or 0 when something failed.
double benchType(const std::vector<float>& values, DType dtype) {
    const std::string name(nameOf(dtype));
    std::vector<std::byte> native(values.size() * static_cast<std::size_t>(sizeOf(dtype)));
    if (!convertFromFloat(dtype, values, native))
        return 0;
    const auto cache = memoryCache(native, dtype);
    if (!cache) {
        std::printf("%s\n", cache.error().message().c_str());
        return 0;
    }
    const double limit = readSpeed(native);
    const auto bytes = static_cast<double>(native.size());
    ThreadPool pool(1);
    const IdleWorker idle(pool);
    bool ok = true;
    const auto time = [&](const std::string& what, auto body) {
        return report((name + " " + what).c_str(), bytes, bestSeconds([&] { ok = body().has_value() && ok; }), limit);
    };
    double speed = 0;
    if (sizeOf(dtype) == 2) {
        std::vector<std::uint16_t> keys(native.size() / 2);
        std::memcpy(keys.data(), native.data(), native.size());
        KeyCounter counter;
        double mean = 0;
        const double seconds = bestSeconds([&] {
            KeyHistogram histogram(dtype == DType::F16 ? KeyEncoding::F16 : KeyEncoding::BF16);
            counter.add(keys, histogram);
            counter.drain(histogram);
            mean += histogram.moments().mean;
        });
        speed = report((name + " exact histogram and moments, one core").c_str(), bytes, seconds, limit);
        ok = mean == mean && ok;
    }
    StatisticsOptions plain;
    plain.deltas = false;
    time("statistics of the values", [&] { return computeStatistics(*cache, {}, plain, pool); });
    time("statistics of values and deltas", [&] { return computeStatistics(*cache, {}, {}, pool); });
    time("entropy at 32 bins, all groupings", [&] { return computeEntropy(*cache, {}, 32, pool); });
    time("correlation at 32 lags", [&] { return computeLagCorrelation(*cache, {}, 32, pool); });
    time("token profile", [&] { return computeTokenProfiles(*cache, {}, 1000, pool); });
    time("outliers", [&] { return findOutliers(*cache, PlaneKind::Key, Quantity::Value, 100, pool); });
    return ok ? speed : 0;
}

} // namespace

int main() {
    const auto values = keyLike();
    const double half = benchType(values, DType::F16);
    const double brain = benchType(values, DType::BF16);
    benchType(values, DType::F32);
    const bool fastEnough = std::min(half, brain) >= kGoal;
    std::printf("goal: exact histogram and moments at %.1f GB/s a core: %s\n", kGoal, fastEnough ? "met" : "missed");
    return fastEnough ? 0 : 1;
}
