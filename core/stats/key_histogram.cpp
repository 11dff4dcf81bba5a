// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stats/key_histogram.h"

#include "core/base/float_formats.h"
#include "core/stats/scope.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <string>

namespace kvscope {

namespace {

constexpr std::size_t kBanks = 2;
constexpr std::uint16_t kMagnitudeMask = 0x7FFF;
constexpr std::int64_t kDrainAt = std::int64_t{1} << 30;

/// Calls body(value, count) for the finite keys that occur.
template <class Body> void forEachValue(const KeyHistogram& keys, Body body) {
    const auto counts = keys.counts();
    const std::uint16_t limit = keys.nonFiniteFrom();
    for (std::size_t key = 0; key < KeyHistogram::kKeys; ++key) {
        if (counts[key] != 0 && (key & kMagnitudeMask) < limit)
            body(static_cast<double>(keys.valueOf(static_cast<std::uint16_t>(key))), counts[key]);
    }
}

} // namespace

KeyHistogram::KeyHistogram(KeyEncoding encoding)
    : encoding_(encoding)
    , counts_(kKeys) {}

void KeyHistogram::merge(const KeyHistogram& other) {
    for (std::size_t key = 0; key < kKeys; ++key)
        counts_[key] += other.counts_[key];
}

std::uint16_t KeyHistogram::nonFiniteFrom() const {
    return encoding_ == KeyEncoding::F16 ? 0x7C00 : 0x7F80;
}

float KeyHistogram::valueOf(std::uint16_t key) const {
    return encoding_ == KeyEncoding::F16 ? floatFromHalf(key) : floatFromBfloat(key);
}

std::int64_t KeyHistogram::total() const {
    std::int64_t sum = 0;
    const std::uint16_t limit = nonFiniteFrom();
    for (std::size_t key = 0; key < limit; ++key)
        sum += counts_[key] + counts_[key | 0x8000U];
    return sum;
}

Moments KeyHistogram::moments() const {
    const double normal = smallestNormal(encoding_ == KeyEncoding::F16 ? DType::F16 : DType::BF16);
    Moments m;
    for (std::size_t key = nonFiniteFrom(); key <= kMagnitudeMask; ++key)
        m.nonFinite += counts_[key] + counts_[key | 0x8000U];
    double sum = 0;
    forEachValue(*this, [&](double x, std::int64_t n) {
        m.min = m.count == 0 ? x : std::min(m.min, x);
        m.max = m.count == 0 ? x : std::max(m.max, x);
        m.count += n;
        m.zeros += x == 0 ? n : 0;
        m.denormals += x != 0 && std::fabs(x) < normal ? n : 0;
        sum += static_cast<double>(n) * x;
        m.sumAbs += static_cast<double>(n) * std::fabs(x);
    });
    if (m.count == 0)
        return m;
    m.mean = sum / static_cast<double>(m.count);
    forEachValue(*this, [&](double x, std::int64_t n) {
        const double deviation = x - m.mean;
        const double square = deviation * deviation;
        const auto times = static_cast<double>(n);
        m.m2 += times * square;
        m.m3 += times * square * deviation;
        m.m4 += times * square * square;
    });
    return m;
}

Histogram KeyHistogram::binned(const BinRange& range) const {
    Histogram histogram(range);
    forEachValue(*this, [&](double x, std::int64_t n) { histogram.add(x, n); });
    for (std::size_t key = nonFiniteFrom(); key <= kMagnitudeMask; ++key)
        histogram.nonFinite += counts_[key] + counts_[key | 0x8000U];
    return histogram;
}

std::int64_t KeyHistogram::beyond(double centre, double distance) const {
    std::int64_t sum = 0;
    forEachValue(*this, [&](double x, std::int64_t n) { sum += std::fabs(x - centre) > distance ? n : 0; });
    return sum;
}

double KeyHistogram::sumAbsDeviation(double centre) const {
    double sum = 0;
    forEachValue(*this, [&](double x, std::int64_t n) { sum += static_cast<double>(n) * std::fabs(x - centre); });
    return sum;
}

KeyCounter::KeyCounter()
    : banks_(kBanks * KeyHistogram::kKeys) {}

void KeyCounter::add(std::span<const std::uint16_t> keys, KeyHistogram& into) {
    std::uint32_t* bank = banks_.data();
    while (!keys.empty()) {
        const auto part = keys.first(std::min<std::size_t>(keys.size(), static_cast<std::size_t>(kDrainAt - pending_)));
        std::size_t i = 0;
        for (; i + 4 <= part.size(); i += 4) {
            std::uint64_t four = 0;
            std::memcpy(&four, part.data() + i, sizeof(four));
            ++bank[four & 0xFFFFU];
            ++bank[KeyHistogram::kKeys + ((four >> 16) & 0xFFFFU)];
            ++bank[(four >> 32) & 0xFFFFU];
            ++bank[KeyHistogram::kKeys + (four >> 48)];
        }
        for (; i < part.size(); ++i)
            ++bank[part[i]];
        pending_ += static_cast<std::int64_t>(part.size());
        if (pending_ == kDrainAt)
            drain(into);
        keys = keys.subspan(part.size());
    }
}

void KeyCounter::addTopBits(std::span<const float> values, KeyHistogram& into) {
    std::uint32_t* bank = banks_.data();
    while (!values.empty()) {
        const auto part =
            values.first(std::min<std::size_t>(values.size(), static_cast<std::size_t>(kDrainAt - pending_)));
        for (std::size_t i = 0; i < part.size(); ++i)
            ++bank[(i % kBanks) * KeyHistogram::kKeys + (std::bit_cast<std::uint32_t>(part[i]) >> 16)];
        pending_ += static_cast<std::int64_t>(part.size());
        if (pending_ == kDrainAt)
            drain(into);
        values = values.subspan(part.size());
    }
}

void KeyCounter::drain(KeyHistogram& into) {
    if (pending_ == 0)
        return;
    const auto counts = into.counts();
    for (std::size_t key = 0; key < KeyHistogram::kKeys; ++key) {
        for (std::size_t b = 0; b < kBanks; ++b)
            counts[key] += banks_[b * KeyHistogram::kKeys + key];
    }
    std::fill(banks_.begin(), banks_.end(), 0);
    pending_ = 0;
}

Result<KeyHistogram> computeKeyHistogram(const KvCache& cache, PlaneId plane, TokenRange tokens, ThreadPool& pool,
                                         const JobControl& job) {
    const PlaneGeometry* geometry = cache.geometry().find(plane);
    if (geometry == nullptr || tokens.begin.value < 0 || tokens.end.value > geometry->tokens || tokens.empty())
        return fail("there are no such tokens to count", cache.info().name, "Choose a range that the dump holds.");
    if ((geometry->dtype != DType::F16 && geometry->dtype != DType::BF16) || !cache.nativeIsExact(plane))
        return fail("an exact histogram needs plain f16 or bf16 values, not " + std::string(nameOf(geometry->dtype)),
                    cache.info().name);
    const ScopedPlane scoped{plane, geometry, false, tokens, channelRange(0, geometry->channels())};
    if (job.progress != nullptr)
        job.progress->start(scoped.bytes());
    const auto encoding = geometry->dtype == DType::F16 ? KeyEncoding::F16 : KeyEncoding::BF16;
    const auto segments = cutSegments({&scoped, 1});
    KeyHistogram sum(encoding);
    std::mutex mutex;
    KVSCOPE_TRY(forEachSegment(segments.size(), pool, job, [&](std::size_t i) -> Result<void> {
        KeyHistogram part(encoding);
        KeyCounter counter;
        std::vector<std::uint16_t> keys;
        KVSCOPE_TRY(forEachBlock(segments[i].tokens, geometry->channels(), job, [&](TokenRange block) -> Result<void> {
            keys.resize(static_cast<std::size_t>(block.size() * geometry->channels()));
            const auto bytes = std::as_writable_bytes(std::span(keys));
            KVSCOPE_TRY(cache.readNative(plane, block, bytes));
            counter.add(keys, part);
            job.advance(static_cast<std::int64_t>(bytes.size()));
            return {};
        }));
        counter.drain(part);
        const std::lock_guard lock(mutex);
        sum.merge(part);
        return {};
    }));
    return sum;
}

} // namespace kvscope
