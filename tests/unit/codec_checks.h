// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/unit/codec_cases.h"

#include <QtTest>

namespace kvscope::test {

inline constexpr std::array kCoders{EntropyCoder::Raw,         EntropyCoder::Zlib,        EntropyCoder::Lz4,
                                    EntropyCoder::Zstd,        EntropyCoder::ShuffleZstd, EntropyCoder::Gear,
                                    EntropyCoder::GearDelta,   EntropyCoder::Huffman,     EntropyCoder::Arithmetic,
                                    EntropyCoder::ContextRans, EntropyCoder::Cabac,       EntropyCoder::Kvz};
inline constexpr std::array kDtypes{DType::F64,    DType::F32,    DType::F16, DType::BF16,
                                    DType::F8E4M3, DType::F8E5M2, DType::I8,  DType::U8};

struct Shape {
    std::int64_t tokens;
    std::int64_t heads;
    std::int64_t headDim;
};
inline constexpr std::array kShapes{Shape{1, 1, 1},  Shape{1, 2, 8},   Shape{7, 1, 1},
                                    Shape{33, 3, 5}, Shape{64, 2, 16}, Shape{131, 1, 32}};

inline QByteArray label(const Pipeline& pipeline, Fill fill, DType dtype, const Shape& shape) {
    return QByteArray::fromStdString(describe(pipeline) + " fill " + std::to_string(static_cast<int>(fill)) + " " +
                                     std::string(nameOf(dtype)) + " " + std::to_string(shape.tokens) + "x" +
                                     std::to_string(shape.heads) + "x" + std::to_string(shape.headDim));
}

/// Calls check(chunk, decoded, native, name) for a pipeline with every dtype, fill and geometry, coded raw; the other
/// coders must then decode to the same values.
template <class Check> void forAll(Pipeline pipeline, const Check& check) {
    for (const DType dtype : kDtypes) {
        for (const Fill fill : kAllFills) {
            for (const Shape& shape : kShapes) {
                const ChunkCase chunk = makeChunk(fill, dtype, shape.tokens, shape.heads, shape.headDim);
                std::vector<float> decoded;
                std::vector<std::byte> native;
                // Symbols do not depend on the dtype, but what lossless coders see does.
                const bool allCoders = pipeline.isLossless() || dtype == DType::F16;
                for (const EntropyCoder coder : std::span(kCoders).first(allCoders ? kCoders.size() : 1)) {
                    // kvz does steps in its own way.
                    if (coder == EntropyCoder::Kvz && std::holds_alternative<Step>(pipeline.quantiser))
                        continue;
                    pipeline.coder = coder;
                    std::vector<float> again;
                    std::vector<std::byte> nativeAgain;
                    const std::string wrong = roundTrip(pipeline, chunk, again, nativeAgain);
                    QVERIFY2(wrong.empty(), label(pipeline, fill, dtype, shape) + ": " + wrong.c_str());
                    if (coder == EntropyCoder::Raw) {
                        check(chunk, again, nativeAgain, label(pipeline, fill, dtype, shape));
                        if (QTest::currentTestFailed())
                            return;
                        decoded = again;
                        native = nativeAgain;
                    }
                    QVERIFY2(nativeAgain == native, label(pipeline, fill, dtype, shape));
                    QVERIFY2(std::memcmp(again.data(), decoded.data(), again.size() * sizeof(float)) == 0,
                             label(pipeline, fill, dtype, shape));
                }
            }
        }
    }
}

/// Half a unit in the last place of what decodeChunkNative rounds to, relative to the value, and absolutely.
inline double roundingOf(DType dtype, double value) {
    switch (dtype) {
    case DType::F16:
        return std::fabs(value) * 0x1p-11 + 0x1p-25;
    case DType::BF16:
        return std::fabs(value) * 0x1p-8 + 1e-40;
    case DType::F8E4M3:
        return std::fabs(value) * 0x1p-4 + 0x1p-10;
    case DType::F8E5M2:
        return std::fabs(value) * 0x1p-3 + 0x1p-17;
    case DType::I8:
    case DType::U8:
        return 0.5;
    default:
        return std::fabs(value) * 0x1p-24;
    }
}

/// Checks values against a bound on each, in float32 and in the dump's dtype, and that the rest keeps its bits.
template <class Bound>
void checkBounded(const ChunkCase& chunk, const std::vector<float>& decoded, const std::vector<std::byte>& native,
                  const QByteArray& name, const Bound& boundOf) {
    const auto size = static_cast<std::size_t>(sizeOf(chunk.shape.plane.dtype));
    std::vector<float> rounded(decoded.size());
    convertToFloat(chunk.shape.plane.dtype, native, rounded);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        const float value = chunk.values[i];
        const auto at = [&] {
            return name + " value " + QByteArray::number(qulonglong(i)) + ": " + QByteArray::number(value) +
                   " became " + QByteArray::number(decoded[i]) + " and " + QByteArray::number(rounded[i]);
        };
        if (isSpecial(value)) {
            if (std::memcmp(&native[i * size], &chunk.native[i * size], size) != 0 ||
                std::memcmp(&decoded[i], &value, sizeof value) != 0)
                QFAIL(at());
            continue;
        }
        const double bound = boundOf(i);
        const double coarser = bound + roundingOf(chunk.shape.plane.dtype, std::fabs(double(value)) + bound);
        if (!(std::fabs(double(decoded[i]) - double(value)) <= bound) ||
            !(std::fabs(double(rounded[i]) - double(value)) <= coarser))
            QFAIL(at() + ", bound " + QByteArray::number(bound));
    }
}

/// Magnitudes that lossy methods work on.
inline float workedMagnitude(float value) {
    return std::fabs(value) <= 0x1p100F ? std::fabs(value) : 0.0F;
}

} // namespace kvscope::test
