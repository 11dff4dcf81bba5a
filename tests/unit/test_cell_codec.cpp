// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/stats/cell_codec.h"
#include "core/stats/merge_cells.h"
#include "core/stats/reduce_block.h"
#include "naive_map.h"

#include <QtTest>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace kvscope;
using namespace kvscope::test;

class TestCellCodec : public QObject {
    Q_OBJECT

private slots:
    void blockKernelEqualsPlainLoops_data();
    void blockKernelEqualsPlainLoops();
    void blocksEncodeAndMergeAsTheirCells_data();
    void blocksEncodeAndMergeAsTheirCells();
    void encodingRoundsOutward();
    void encodingMarksEmptyAndTaintedCells();
    void encodingFindsDamage();
    void boundsAtTheEndOfFloatStayFinite();
    void liesUnderARightChecksumBecomeSaneCells_data();
    void liesUnderARightChecksumBecomeSaneCells();
};

void TestCellCodec::blockKernelEqualsPlainLoops_data() {
    QTest::addColumn<int>("type");
    QTest::addColumn<int>("heads");
    QTest::addColumn<int>("headDim");
    QTest::addColumn<int>("rows");
    for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
        for (const auto& [heads, dim] : {std::pair{1, 1}, {3, 5}, {2, 8}, {8, 128}, {1, 576}, {5, 80}, {4, 31}}) {
            for (const int rows : {1, 4, 16, 17, 37, 64})
                QTest::addRow("%s %dx%d, %d rows", nameOf(type).data(), heads, dim, rows)
                    << static_cast<int>(type) << heads << dim << rows;
        }
    }
}

void TestCellCodec::blockKernelEqualsPlainLoops() {
    QFETCH(int, type);
    QFETCH(int, heads);
    QFETCH(int, headDim);
    QFETCH(int, rows);
    const KnownCache known = makeKnownCache({{heads, headDim, rows, -1}}, static_cast<DType>(type), PlausibleValues(5));
    const PlaneId id{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
    const auto& values = known.values.at(id);
    std::vector<std::byte> stored(values.size() * static_cast<std::size_t>(sizeOf(static_cast<DType>(type))));
    QVERIFY(known.cache.readNative(id, tokenRange(0, rows), stored));
    const int channels = heads * headDim;
    CellSums perChannel(static_cast<std::size_t>(channels));
    CellSums perHead(static_cast<std::size_t>(heads) * 16);
    BlockReducer reducer(static_cast<std::size_t>(heads), static_cast<std::size_t>(headDim));
    reducer.reduce(StoredRows::packed(static_cast<DType>(type), stored.data(), static_cast<std::size_t>(rows),
                                      static_cast<std::size_t>(heads), static_cast<std::size_t>(headDim)),
                   perChannel.view(), perHead.view());
    const auto check = [&](CellSumsView sums, int cell, const std::vector<double>& under) {
        double sum = 0;
        double squares = 0;
        double scale = 0;
        for (const double value : under) {
            sum += value;
            squares += value * value;
            scale += std::abs(value);
        }
        const auto [low, high] = std::minmax_element(under.begin(), under.end());
        // The last rows of a block that is not a multiple of four are summed one value after the other, in float.
        return sums.min[cell] == static_cast<float>(*low) && sums.max[cell] == static_cast<float>(*high) &&
               std::abs(sums.sum[cell] - sum) <= 5e-6 * scale &&
               std::abs(sums.squares[cell] - squares) <= 5e-6 * squares &&
               sums.count[cell] == static_cast<float>(under.size()) && sums.nonFinite[cell] == 0.0F;
    };
    for (int channel = 0; channel < channels; ++channel) {
        std::vector<double> under;
        for (int row = 0; row < rows; ++row)
            under.push_back(values[static_cast<std::size_t>(row * channels + channel)]);
        QVERIFY2(check(perChannel.view(), channel, under), qPrintable(QString("channel %1").arg(channel)));
    }
    for (int head = 0; head < heads; ++head) {
        for (int row = 0; row < 64; row += 4) {
            const int cell = head * 16 + row / 4;
            std::vector<double> under;
            for (int token = row; token < std::min(row + 4, rows); ++token) {
                const auto first = values.begin() + token * channels + head * headDim;
                under.insert(under.end(), first, first + headDim);
            }
            if (under.empty())
                QCOMPARE(perHead.view().count[cell], 0.0F);
            else
                QVERIFY2(check(perHead.view(), cell, under), qPrintable(QString("head %1 row %2").arg(head).arg(row)));
        }
    }
}

void TestCellCodec::blocksEncodeAndMergeAsTheirCells_data() {
    blockKernelEqualsPlainLoops_data();
}

void TestCellCodec::blocksEncodeAndMergeAsTheirCells() {
    QFETCH(int, type);
    QFETCH(int, heads);
    QFETCH(int, headDim);
    QFETCH(int, rows);
    const KnownCache known = makeKnownCache({{heads, headDim, rows, -1}}, static_cast<DType>(type), PlausibleValues(5));
    const PlaneId id{LayerIndex(0), PlaneKind::Key, SequenceIndex(0)};
    const auto count = static_cast<std::size_t>(rows);
    const auto channels = static_cast<std::size_t>(heads * headDim);
    std::vector<std::byte> stored(count * channels * static_cast<std::size_t>(sizeOf(static_cast<DType>(type))));
    QVERIFY(known.cache.readNative(id, tokenRange(0, rows), stored));
    CellSums perHead(static_cast<std::size_t>(heads) * kBlockHeadCells);
    BlockReducer reducer(static_cast<std::size_t>(heads), static_cast<std::size_t>(headDim));
    CellSums wide(channels);
    const auto packed = StoredRows::packed(static_cast<DType>(type), stored.data(), count,
                                           static_cast<std::size_t>(heads), static_cast<std::size_t>(headDim));
    reducer.reduce(packed, wide.view(), perHead.view());
    const auto block = reducer.reduceInFloat(packed, perHead.view());
    QVERIFY(block);

    std::vector<std::byte> ofCells(static_cast<std::size_t>(encodedBytes(heads * headDim)));
    std::vector<std::byte> ofBlock(ofCells.size());
    encodeCells(wide.view(), channels, ofCells);
    encodeCells(*block, channels, count, ofBlock);
    QVERIFY(ofCells == ofBlock);

    CellSums fromCells(channels);
    CellSums fromBlock(channels);
    for (int round = 0; round < 2; ++round) {
        mergeCells(fromCells.view(), wide.view(), channels);
        mergeBlock(fromBlock.view(), *block, channels, count);
    }
    for (std::size_t i = 0; i < channels; ++i) {
        QCOMPARE(fromBlock.view().min[i], fromCells.view().min[i]);
        QCOMPARE(fromBlock.view().max[i], fromCells.view().max[i]);
        QCOMPARE(fromBlock.view().sum[i], fromCells.view().sum[i]);
        QCOMPARE(fromBlock.view().squares[i], fromCells.view().squares[i]);
        QCOMPARE(fromBlock.view().count[i], 2.0F * static_cast<float>(rows));
        QCOMPARE(fromBlock.view().nonFinite[i], 0.0F);
    }
    // What float cannot hold is refused.
    const float huge = 1e30F;
    std::vector<std::byte> wideRow(channels * sizeof huge);
    for (std::size_t i = 0; i < channels; ++i)
        std::memcpy(wideRow.data() + i * sizeof huge, &huge, sizeof huge);
    QVERIFY(!reducer.reduceInFloat(StoredRows::packed(DType::F32, wideRow.data(), 1, static_cast<std::size_t>(heads),
                                                      static_cast<std::size_t>(headDim)),
                                   perHead.view()));
}

void TestCellCodec::encodingRoundsOutward() {
    std::mt19937 random(17);
    std::uniform_real_distribution<double> exponent(-140, 127);
    std::normal_distribution<float> normal;
    for (int round = 0; round < 300; ++round) {
        // Groups of one size and groups that span the whole of float.
        const double common = exponent(random);
        const std::size_t cells = 1 + static_cast<std::size_t>(round) % 40;
        CellSums sums(cells);
        CellSumsView view = sums.view();
        float largest = 0;
        for (std::size_t i = 0; i < cells; ++i) {
            const double power = round % 2 == 0 ? common : exponent(random);
            const auto a = static_cast<float>(std::exp2(power) * static_cast<double>(normal(random)));
            const float b = a + std::abs(a) * std::abs(normal(random));
            view.min[i] = std::isfinite(b) ? a : 0.0F;
            view.max[i] = std::isfinite(b) ? b : 0.0F;
            view.count[i] = 2;
            view.sum[i] = static_cast<double>(view.min[i]) + static_cast<double>(view.max[i]);
            view.squares[i] = static_cast<double>(view.min[i]) * static_cast<double>(view.min[i]) +
                              static_cast<double>(view.max[i]) * static_cast<double>(view.max[i]);
            largest = std::max({largest, std::abs(view.min[i]), std::abs(view.max[i])});
        }
        std::vector<std::byte> bytes(static_cast<std::size_t>(encodedBytes(static_cast<std::int64_t>(cells))));
        encodeCells(view, cells, bytes);
        const auto read = EncodedCells::open(bytes, cells);
        QVERIFY(read);
        // Full precision down to 2^-28 of the largest magnitude; numbers below 2^-86 come in steps of 2^-124.
        const double quantum = std::max(static_cast<double>(largest) * 0x1p-37, 0x1p-123);
        for (std::size_t i = 0; i < cells; ++i) {
            const CellSum cell = read->cell(i, 2);
            const auto min = static_cast<double>(view.min[i]);
            const auto max = static_cast<double>(view.max[i]);
            QVERIFY(static_cast<double>(cell.min) <= min);
            QVERIFY(static_cast<double>(cell.max) >= max);
            QVERIFY(min - static_cast<double>(cell.min) <= std::abs(min) * 0x1p-9 + 2 * quantum);
            QVERIFY(static_cast<double>(cell.max) - max <= std::abs(max) * 0x1p-9 + 2 * quantum);
            const double mean = view.sum[i] / 2;
            QVERIFY(std::abs(cell.sum / 2 - mean) <= std::abs(mean) * 0x1p-11 + quantum);
            const double rms = std::sqrt(view.squares[i] / 2);
            QVERIFY(std::abs(std::sqrt(cell.squares / 2) - rms) <= rms * 0x1p-10 + 2 * quantum);
        }
    }
    // What binary16 holds is kept as it is.
    CellSums exact(1);
    exact.view().min[0] = -1.5F;
    exact.view().max[0] = 2.0F;
    exact.view().count[0] = 1;
    std::vector<std::byte> bytes(16);
    encodeCells(exact.view(), 1, bytes);
    QCOMPARE(EncodedCells::open(bytes, 1)->cell(0, 1).min, -1.5F);
    QCOMPARE(EncodedCells::open(bytes, 1)->cell(0, 1).max, 2.0F);
}

void TestCellCodec::encodingMarksEmptyAndTaintedCells() {
    CellSums sums(3);
    CellSumsView view = sums.view();
    view.nonFinite[0] = 1;
    view.nonFinite[1] = 1;
    view.min[1] = view.max[1] = 4;
    view.sum[1] = 4;
    view.squares[1] = 16;
    view.count[1] = 1;
    std::vector<std::byte> bytes(static_cast<std::size_t>(encodedBytes(3)));
    encodeCells(view, 3, bytes);
    const auto read = EncodedCells::open(bytes, 3);
    QVERIFY(read);
    QCOMPARE(read->cell(0, 64).count, std::int64_t{0});
    QVERIFY(read->cell(0, 64).nonFinite);
    QCOMPARE(read->cell(1, 64).max, 4.0F);
    QVERIFY(read->cell(1, 64).nonFinite);
    QCOMPARE(read->cell(2, 64).count, std::int64_t{0});
    QVERIFY(!read->cell(2, 64).nonFinite);
}

void TestCellCodec::encodingFindsDamage() {
    CellSums sums(5);
    std::vector<std::byte> bytes(static_cast<std::size_t>(encodedBytes(5)));
    encodeCells(sums.view(), 5, bytes);
    QVERIFY(EncodedCells::open(bytes, 5));
    QVERIFY(!EncodedCells::open(bytes, 4));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto wrong = bytes;
        wrong[i] ^= std::byte{0x10};
        QVERIFY2(!EncodedCells::open(wrong, 5), qPrintable(QString("byte %1").arg(i)));
    }
}

void TestCellCodec::boundsAtTheEndOfFloatStayFinite() {
    constexpr float kMost = std::numeric_limits<float>::max();
    CellSums sums(1);
    const CellSumsView view = sums.view();
    view.min[0] = -kMost;
    view.max[0] = kMost;
    view.count[0] = 2;
    view.squares[0] = 2 * static_cast<double>(kMost) * static_cast<double>(kMost);
    std::vector<std::byte> bytes(static_cast<std::size_t>(encodedBytes(1)));
    encodeCells(view, 1, bytes);
    const auto cells = EncodedCells::open(bytes, 1);
    QVERIFY(cells);
    const Cell cell = cells->cell(0, 2).cell();
    QCOMPARE(cell.min, -kMost);
    QCOMPARE(cell.max, kMost);
    QVERIFY(cell.rms > 0.999F * kMost && std::isfinite(cell.rms));
}

void TestCellCodec::liesUnderARightChecksumBecomeSaneCells_data() {
    QTest::addColumn<float>("unit");
    QTest::addColumn<QVector<int>>("halves");
    QTest::addColumn<bool>("opens");
    QTest::addColumn<bool>("hasValues");
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr int kOne = 0x3C00;
    constexpr int kTwo = 0x4000;
    constexpr int kEndless = 0x7C00;
    constexpr int kNotANumber = 0x7E00;
    using Halves = QVector<int>;
    QTest::newRow("as it should be") << 1.0F << Halves{kOne, kTwo, kOne, 0} << true << true;
    QTest::newRow("unit without end") << kInfinity << Halves{kOne, kTwo, kOne, 0} << false << false;
    QTest::newRow("unit not normal") << 1e-44F << Halves{kOne, kTwo, kOne, 0} << false << false;
    QTest::newRow("negative unit") << -1.0F << Halves{kOne, kTwo, kOne, 0} << false << false;
    QTest::newRow("least above most") << 1.0F << Halves{kTwo, kOne, kOne, 0} << true << false;
    QTest::newRow("most no number") << 1.0F << Halves{kOne, kNotANumber, kOne, 0} << true << false;
    QTest::newRow("mean no number") << 1.0F << Halves{kOne, kTwo, kNotANumber, 0} << true << true;
    QTest::newRow("mean above most") << 1.0F << Halves{kOne, kTwo, kEndless, 0} << true << true;
    QTest::newRow("spread no number") << 1.0F << Halves{kOne, kTwo, kOne, kNotANumber} << true << true;
    QTest::newRow("most without end") << 1.0F << Halves{kOne, kEndless, kOne, kEndless} << true << true;
}

void TestCellCodec::liesUnderARightChecksumBecomeSaneCells() {
    QFETCH(float, unit);
    QFETCH(QVector<int>, halves);
    QFETCH(bool, opens);
    QFETCH(bool, hasValues);
    std::vector<std::byte> bytes(static_cast<std::size_t>(encodedBytes(1)));
    std::memcpy(bytes.data(), &unit, sizeof unit);
    for (int i = 0; i < 4; ++i) {
        const auto half = static_cast<std::uint16_t>(halves[i]);
        std::memcpy(bytes.data() + 8 + 2 * i, &half, sizeof half);
    }
    const auto check = static_cast<std::uint32_t>(
        hashBytes(std::span<const std::byte>(bytes).subspan(8), std::bit_cast<std::uint32_t>(unit)));
    std::memcpy(bytes.data() + 4, &check, sizeof check);
    const auto cells = EncodedCells::open(bytes, 1);
    QCOMPARE(cells.has_value(), opens);
    if (!opens)
        return;
    const CellSum sum = cells->cell(0, 4);
    QCOMPARE(sum.count > 0, hasValues);
    if (!hasValues)
        return;
    const Cell cell = sum.cell();
    QVERIFY(std::isfinite(cell.max) && cell.min <= cell.mean && cell.mean <= cell.max);
    QVERIFY(std::isfinite(cell.rms) && cell.rms <= cell.maxAbs());
}

QTEST_APPLESS_MAIN(TestCellCodec)
#include "test_cell_codec.moc"
