// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/float_formats.h"
#include "core/kv/convert.h"

#include <QTest>

#include <hwy/targets.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace kvscope;

namespace {

/// A small float's value by the definition of its fields, in double.
double byDefinition(std::uint32_t bits, int exponentBits, int mantissaBits) {
    const int bias = (1 << (exponentBits - 1)) - 1;
    const auto mantissa = static_cast<double>(bits & ((1U << mantissaBits) - 1U));
    const int exponent = static_cast<int>((bits >> mantissaBits) & ((1U << exponentBits) - 1U));
    const double sign = (bits >> (exponentBits + mantissaBits)) != 0 ? -1.0 : 1.0;
    if (exponent == 0)
        return sign * std::ldexp(mantissa, 1 - bias - mantissaBits);
    return sign * std::ldexp(1.0 + std::ldexp(mantissa, -mantissaBits), exponent - bias);
}

bool sameValue(float a, double b) {
    return static_cast<double>(a) == b && std::signbit(a) == std::signbit(b);
}

/// Checks that `bits` is the nearest of the format's finite values to x, ties to even.
template <class Decode> bool isNearest(float x, std::uint16_t bits, Decode decode) {
    const double error = std::abs(static_cast<double>(decode(bits)) - static_cast<double>(x));
    const auto magnitude = static_cast<std::uint16_t>(bits & 0x7FFFU);
    const auto sign = static_cast<std::uint16_t>(bits & 0x8000U);
    for (const int step : {-1, 1}) {
        const int neighbour = magnitude + step;
        if (neighbour < 0)
            continue;
        const float other = decode(static_cast<std::uint16_t>(sign | neighbour));
        if (!std::isfinite(other))
            continue;
        const double otherError = std::abs(static_cast<double>(other) - static_cast<double>(x));
        if (otherError < error || (otherError == error && (bits & 1U) != 0))
            return false;
    }
    return true;
}

} // namespace

class TestFloatFormats : public QObject {
    Q_OBJECT

private slots:
    void halfMatchesItsDefinition() {
        for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
            const float value = floatFromHalf(static_cast<std::uint16_t>(bits));
            if ((bits & 0x7C00U) == 0x7C00U)
                QVERIFY((bits & 0x3FFU) != 0 ? std::isnan(value) : std::isinf(value));
            else
                QVERIFY(sameValue(value, byDefinition(bits, 5, 10)));
        }
    }

    void smallFloatsMatchTheirDefinition() {
        for (std::uint32_t bits = 0; bits < 0x100U; ++bits) {
            const float narrow = floatFromE4M3(static_cast<std::uint8_t>(bits));
            if ((bits & 0x7FU) == 0x7FU)
                QVERIFY(std::isnan(narrow));
            else
                QVERIFY(sameValue(narrow, byDefinition(bits, 4, 3)));
            const float wide = floatFromE5M2(static_cast<std::uint8_t>(bits));
            if ((bits & 0x7CU) == 0x7CU)
                QVERIFY((bits & 3U) != 0 ? std::isnan(wide) : std::isinf(wide));
            else
                QVERIFY(sameValue(wide, byDefinition(bits, 5, 2)));
        }
    }

    void narrowingInvertsWidening() {
        for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
            const auto half = static_cast<std::uint16_t>(bits);
            if (!std::isnan(floatFromHalf(half)))
                QCOMPARE(halfFromFloat(floatFromHalf(half)), half);
            if (!std::isnan(floatFromBfloat(half)))
                QCOMPARE(bfloatFromFloat(floatFromBfloat(half)), half);
        }
        QVERIFY(std::isnan(floatFromHalf(halfFromFloat(std::nanf("")))));
        QVERIFY(std::isnan(floatFromBfloat(bfloatFromFloat(std::nanf("")))));
    }

    void narrowingRoundsToNearestEven() {
        std::mt19937 random(1);
        for (int i = 0; i < 200000; ++i) {
            const auto bits = static_cast<std::uint32_t>(random());
            const auto value = std::bit_cast<float>(bits);
            if (!std::isfinite(value))
                continue;
            if (std::abs(value) < 65504.0F)
                QVERIFY(isNearest(value, halfFromFloat(value), floatFromHalf));
            if (std::abs(value) < 3e38F)
                QVERIFY(isNearest(value, bfloatFromFloat(value), floatFromBfloat));
        }
        QCOMPARE(halfFromFloat(65519.9F), std::uint16_t(0x7BFF));
        QCOMPARE(halfFromFloat(65520.0F), std::uint16_t(0x7C00));
        QCOMPARE(halfFromFloat(std::ldexp(1.0F, -25)), std::uint16_t(0));
        QCOMPARE(halfFromFloat(std::ldexp(1.5F, -25)), std::uint16_t(1));
    }

    void bulkConversionMatchesScalar() {
        // Odd length and odd address: the vector path, its tail and unaligned loads are all on the way.
        std::vector<std::byte> bytes(1 + 2 * 0x10000U - 2);
        for (std::uint32_t bits = 0; bits < 0xFFFFU; ++bits) {
            const auto value = static_cast<std::uint16_t>(bits);
            std::memcpy(bytes.data() + 1 + 2 * bits, &value, 2);
        }
        std::vector<float> values(0xFFFFU);
        const auto matches = [&](DType type, float scale, float (*scalar)(std::uint16_t)) {
            convertToFloat(type, std::span(bytes).subspan(1), values, scale);
            for (std::uint32_t bits = 0; bits < 0xFFFFU; ++bits) {
                const float expected = scalar(static_cast<std::uint16_t>(bits)) * scale;
                if (std::isnan(expected) ? !std::isnan(values[bits]) : values[bits] != expected)
                    return false;
            }
            return true;
        };
        for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
            const std::int64_t target = targets & -targets;
            hwy::SetSupportedTargetsForTest(target);
            const bool good = matches(DType::F16, 2.0F, floatFromHalf) && matches(DType::BF16, 1.0F, floatFromBfloat);
            hwy::SetSupportedTargetsForTest(0);
            QVERIFY2(good, hwy::TargetName(target));
        }
    }
};

QTEST_APPLESS_MAIN(TestFloatFormats)
#include "test_float_formats.moc"
