// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/quantiser_dispatch.h"
#include "core/codec/transform.h"
#include "tests/unit/codec_cases.h"

#include <QtTest>

#include <filesystem>
#include <fstream>
#include <iterator>

using namespace kvscope;
using namespace kvscope::test;

namespace {

constexpr std::int64_t kTokens = 17;
constexpr std::int64_t kChannels = 32;
constexpr std::array kDtypes{DType::F32, DType::F16, DType::BF16};
constexpr std::array kKinds{PlaneKind::Key, PlaneKind::Value};

const std::filesystem::path kGolden = std::filesystem::path(KVSCOPE_SOURCE_DIR) / "tests" / "golden";

/// The numbers of a version 1 .npy file.
template <class T> std::vector<T> loadNumbers(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.size() < 10)
        return {};
    const std::size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
    std::vector<T> numbers((bytes.size() - header) / sizeof(T));
    std::memcpy(numbers.data(), bytes.data() + header, numbers.size() * sizeof(T));
    return numbers;
}

/// The golden input: layer 1 of the small dump, 16 tokens and one of zeros, rounded to the dtype.
ChunkCase goldenChunk(DType dtype, PlaneKind kind) {
    const auto dump = loadNumbers<float>(kGolden / "stats" / "small.kv.npy");
    ChunkCase made;
    made.shape.kind = kind;
    made.shape.plane.heads = 4;
    made.shape.plane.headDim = 8;
    made.shape.plane.tokens = kTokens;
    made.shape.plane.dtype = dtype;
    made.shape.tokens = tokenRange(0, kTokens);
    made.values.resize(kTokens * kChannels);
    const std::size_t plane = 53 * kChannels;
    const std::size_t first = (kind == PlaneKind::Key ? 2 : 3) * plane;
    if (dump.size() == 6 * plane)
        std::copy_n(dump.begin() + static_cast<std::ptrdiff_t>(first), 16 * kChannels, made.values.begin());
    made.native.resize(made.values.size() * static_cast<std::size_t>(sizeOf(dtype)));
    convertFromFloat(dtype, made.values, made.native);
    convertToFloat(dtype, made.native, made.values);
    return made;
}

struct Method {
    const char* name;
    Quantiser quantiser;
    Transform transform = Transform::None;
    std::optional<double> clipSigmas = std::nullopt;

    [[nodiscard]] Pipeline pipeline() const {
        return {.transform = transform, .clipSigmas = clipSigmas, .quantiser = quantiser};
    }
};

/// All symbols by token; those of anchors have a grid of their own.
std::vector<std::uint16_t> symbolsOf(const Quantised& made) {
    if (made.grids.size() == 1)
        return made.grids.front().symbols;
    std::vector<std::uint16_t> symbols;
    auto anchor = made.grids[0].symbols.begin();
    auto delta = made.grids[1].symbols.begin();
    for (std::int64_t token = 0; token < kTokens; ++token) {
        auto& from = token % 10 == 0 ? anchor : delta;
        symbols.insert(symbols.end(), from, from + kChannels);
        from += kChannels;
    }
    return symbols;
}

std::vector<Method> methods() {
    return {
        {"cachegen32", MaxAbsBins{32}},
        {"cachegen16", MaxAbsBins{16}},
        {"cachegen12", MaxAbsBins{12}},
        {"cachegen256", MaxAbsBins{256}},
        {"int4.group8", Uniform{4, ScaleAxis::Token, 8, true}},
        {"int4.group32", Uniform{4, ScaleAxis::Token, 32, true}},
        {"uniform8", Uniform{8, ScaleAxis::Token, 0, true}},
        {"uniform10", Uniform{10, ScaleAxis::Token, 0, true}},
        {"anchor.half", AnchorDelta{10, 8, 0.5}},
        {"anchor.fine", AnchorDelta{10, 8, 0.01}},
        {"clip", Lossless{}, Transform::None, 1.25},
        {"kivi2", Kivi{2, 8, 4}},
        {"kivi4", Kivi{4, 8, 4}},
        {"block10", BlockNorm{10, 32, 0.0625}},
        {"block4", BlockNorm{4, 16, 0.02}},
        {"e4m3", Float8{Float8::Format::E4M3}},
        {"e5m2", Float8{Float8::Format::E5M2}},
        {"hadamard.int8", Uniform{8, ScaleAxis::Token, 0, true}, Transform::Hadamard},
    };
}

} // namespace

/// Symbols and values of the published quantisers, computed in Python from their formulas (and, for CacheGen, with its
/// released code: tests/golden/codec/run_cachegen.py).
class TestCodecGolden : public QObject {
    Q_OBJECT

private slots:
    void quantisersAgreeValueForValue_data();
    void quantisersAgreeValueForValue();
    void cachegenBytesAreThoseOfItsOwnAccounting();
};

void TestCodecGolden::quantisersAgreeValueForValue_data() {
    QTest::addColumn<int>("method");
    QTest::addColumn<int>("dtype");
    QTest::addColumn<int>("kind");
    const auto all = methods();
    for (std::size_t method = 0; method < all.size(); ++method) {
        for (std::size_t dtype = 0; dtype < kDtypes.size(); ++dtype) {
            for (std::size_t kind = 0; kind < kKinds.size(); ++kind)
                QTest::addRow("%s %s %s", all[method].name, nameOf(kDtypes[dtype]).data(), nameOf(kKinds[kind]).data())
                    << int(method) << int(dtype) << int(kind);
        }
    }
}

void TestCodecGolden::quantisersAgreeValueForValue() {
    QFETCH(const int, method);
    QFETCH(const int, dtype);
    QFETCH(const int, kind);
    const Method how = methods()[std::size_t(method)];
    const auto symbols = loadNumbers<std::uint16_t>(kGolden / "codec" / (std::string(how.name) + ".symbols.npy"));
    const auto values = loadNumbers<float>(kGolden / "codec" / (std::string(how.name) + ".values.npy"));
    const std::size_t size = kTokens * kChannels;
    QCOMPARE(symbols.size(), 6 * size);
    QCOMPARE(values.size(), 6 * size);
    const std::size_t first = (std::size_t(dtype) * 2 + std::size_t(kind)) * size;
    const ChunkCase chunk = goldenChunk(kDtypes[std::size_t(dtype)], kKinds[std::size_t(kind)]);

    const Pipeline pipeline = how.pipeline();
    if (!std::holds_alternative<Lossless>(how.quantiser)) {
        std::vector<float> rows = chunk.values;
        applyTransform(how.transform, chunk.shape, rows);
        const auto quantised =
            quantiseRows(how.quantiser, SourceRows{chunk.shape, rows, how.transform == Transform::None},
                         calibrate(pipeline, chunk.shape, chunk.values));
        QVERIFY(quantised);
        const auto made = symbolsOf(*quantised);
        // KIVI keeps its last tokens without symbols.
        QVERIFY(made.size() <= size && 2 * made.size() > size);
        for (std::size_t i = 0; i < made.size(); ++i)
            QVERIFY2(made[i] == symbols[first + i], QByteArray::number(qulonglong(i)) + ": " +
                                                        QByteArray::number(made[i]) + " for " +
                                                        QByteArray::number(symbols[first + i]));
    }

    std::vector<float> decoded;
    std::vector<std::byte> native;
    QCOMPARE(roundTrip(pipeline, chunk, decoded, native), std::string());
    for (std::size_t i = 0; i < size; ++i)
        // Zeros may differ in sign.
        QVERIFY2(decoded[i] == values[first + i], QByteArray::number(qulonglong(i)) + ": " +
                                                      QByteArray::number(decoded[i], 'g', 9) + " for " +
                                                      QByteArray::number(values[first + i], 'g', 9));
}

void TestCodecGolden::cachegenBytesAreThoseOfItsOwnAccounting() {
    for (const int bins : {12, 16, 32, 256}) {
        const auto sizes =
            loadNumbers<std::int64_t>(kGolden / "codec" / ("cachegen" + std::to_string(bins) + ".bytes.npy"));
        QCOMPARE(sizes.size(), kDtypes.size() * kKinds.size());
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const ChunkCase chunk = goldenChunk(kDtypes[i / 2], kKinds[i % 2]);
            for (const EntropyCoder coder : {EntropyCoder::Raw, EntropyCoder::Kvz}) {
                Pipeline pipeline;
                pipeline.quantiser = MaxAbsBins{bins};
                pipeline.coder = coder;
                const auto encoded = encodeChunk(pipeline, {}, chunk.input());
                QVERIFY(encoded);
                QVERIFY(encoded->publishedBytes.has_value());
                QCOMPARE(*encoded->publishedBytes, sizes[i]);
            }
        }
    }
}

QTEST_APPLESS_MAIN(TestCodecGolden)
#include "test_codec_golden.moc"
