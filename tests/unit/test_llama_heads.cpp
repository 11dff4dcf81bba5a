// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/ggml_types.h"
#include "core/io/llama_heads.h"
#include "core/io/open_dump.h"
#include "core/io/rope_guess.h"
#include "core/kv/rope.h"
#include "golden_dump.h"
#include "llama_writer.h"

#include <QTest>

#include <array>
#include <numeric>
#include <random>

using namespace kvscope;
using namespace kvscope::test;

namespace {

std::vector<std::int32_t> positionsUpTo(std::int32_t count) {
    std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), 0);
    return positions;
}

/// Keys [tokens][heads * headDim] of steady content plus noise, rotated by RoPE.
std::vector<float> rotatedKeys(std::int64_t tokens, std::int64_t heads, std::int64_t headDim, double theta,
                               Rope::Pairing pairing) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    PlaneGeometry plane;
    plane.heads = heads;
    plane.headDim = headDim;
    plane.tokens = tokens;
    std::vector<float> steady(static_cast<std::size_t>(plane.channels()));
    for (auto& value : steady)
        value = 2.0F * normal(random);
    std::vector<float> keys;
    for (std::int64_t t = 0; t < tokens; ++t) {
        for (const float value : steady)
            keys.push_back(value + normal(random));
    }
    rotate(Rope::plain(theta, headDim, pairing), RopeDirection::Apply, plane, tokenRange(0, tokens), keys);
    return keys;
}

Result<OpenedDump> openBytes(const LlamaWriter& file, const OpenOptions& options = {}) {
    return openDumpBytes(file.source(), {}, options);
}

QString notesOf(const KvCache& cache) {
    QString notes;
    for (const auto& note : cache.info().notes)
        notes += QString::fromStdString(note.text) + "\n";
    return notes;
}

} // namespace

class TestLlamaHeads final : public QObject {
    Q_OBJECT

private slots:
    void findsTheHeadsOfARealModel() {
        // Layers 0, 2 and 4 of stories260K: 4 heads of 8, neighbours turn together, theta 10000.
        const auto dump = openDump((goldenFolder("stats/") + "small.kv.npy").toStdString());
        QVERIFY2(dump, dump ? "" : dump.error().message().c_str());
        const auto& geometry = dump->cache.geometry();
        const auto& plane = *geometry.find(LayerIndex(0), PlaneKind::Key);
        auto file = LlamaWriter::session("llama", positionsUpTo(static_cast<std::int32_t>(plane.tokens)), 3);
        for (const auto kind : {PlaneKind::Key, PlaneKind::Value}) {
            for (std::int64_t layer = 0; layer < 3; ++layer) {
                std::vector<float> rows(static_cast<std::size_t>(plane.values()));
                QVERIFY(dump->cache.readRows({LayerIndex(layer), kind, SequenceIndex(0)}, tokenRange(0, plane.tokens),
                                             rows));
                file.floats(rows, plane.channels());
            }
        }
        const auto opened = openBytes(file);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        const auto& key = *opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key);
        QCOMPARE(key.headDim, 8);
        QCOMPARE(key.heads, 4);
        QVERIFY2(notesOf(opened->cache).contains("rotation of the keys shows"), qPrintable(notesOf(opened->cache)));
        // What the user says goes first, and must fit.
        OpenOptions options;
        options.heads = 2;
        const auto told = openBytes(file, options);
        QVERIFY(told);
        QCOMPARE(told->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->headDim, 16);
        QVERIFY(!notesOf(told->cache).contains("does not say how"));
        options.heads = 5;
        const auto wrong = openBytes(file, options);
        QVERIFY(!wrong);
        QVERIFY2(wrong.error().message().find("5 equal heads") != std::string::npos, wrong.error().message().c_str());
        options = {};
        options.ropeTheta = 10000.0;
        const auto rotated = openBytes(file, options);
        QVERIFY(rotated);
        const auto* rope = rotated->cache.rope(LayerIndex(1));
        QVERIFY(rope != nullptr);
        QCOMPARE(rope->pairing, Rope::Pairing::Interleaved);
        QCOMPARE(rope->rotaryDim(), 8);
    }
    void guessesFromKeys_data() {
        QTest::addColumn<int>("headDim");
        QTest::addColumn<double>("theta");
        QTest::addColumn<bool>("interleaved");
        for (const int headDim : {32, 64, 80, 128}) {
            for (const double theta : {10'000.0, 1'000'000.0}) {
                for (const bool interleaved : {false, true})
                    QTest::addRow("%d, %g, %s", headDim, theta, interleaved ? "neighbours" : "halves")
                        << headDim << theta << interleaved;
            }
        }
    }
    void guessesFromKeys() {
        QFETCH(int, headDim);
        QFETCH(double, theta);
        QFETCH(bool, interleaved);
        const auto pairing = interleaved ? Rope::Pairing::Interleaved : Rope::Pairing::HalfSplit;
        const auto keys = rotatedKeys(64, 4, headDim, theta, pairing);
        std::vector<std::int64_t> positions(64);
        std::iota(positions.begin(), positions.end(), 0);
        const auto found = guessHeads(std::array{KeySample{keys, 4 * headDim, positions}}, {});
        QVERIFY(found.clear());
        QCOMPARE(found.headDim, headDim);
        QCOMPARE(found.pairing, pairing);
        // Neighbouring customary thetas differ by little.
        QVERIFY2(found.theta <= 4 * theta && theta <= 4 * found.theta, qPrintable(QString::number(found.theta)));
    }
    void noiseGivesNoClearGuess() {
        std::mt19937 random(5);
        std::normal_distribution<float> normal;
        std::vector<float> keys(64 * 256);
        for (auto& value : keys)
            value = normal(random);
        std::vector<std::int64_t> positions(64);
        std::iota(positions.begin(), positions.end(), 0);
        const auto found = guessHeads(std::array{KeySample{keys, 256, positions}}, {});
        QVERIFY(!found.clear());
        QCOMPARE(found.headDim, 128);
    }
    void tellsWhetherKeysAreHadamardRotated_data() {
        QTest::addColumn<bool>("multiplied");
        QTest::newRow("as they are") << false;
        QTest::newRow("multiplied") << true;
    }
    void tellsWhetherKeysAreHadamardRotated() {
        QFETCH(bool, multiplied);
        constexpr std::int64_t width = 256;
        auto keys = rotatedKeys(64, 2, 128, 10'000.0, Rope::Pairing::Interleaved);
        if (multiplied)
            hadamard(keys, 128);
        auto file = LlamaWriter::session("llama", positionsUpTo(64), 1);
        file.q8(keys, width).q8(keys, width);
        OpenOptions options;
        options.heads = 2;
        const auto opened = openBytes(file, options);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        const auto notes = notesOf(opened->cache);
        QVERIFY2(notes.contains(multiplied ? "suggests that it did;" : "suggests that it did not;"), qPrintable(notes));
        options.undoHadamard = multiplied;
        const auto told = openBytes(file, options);
        QVERIFY(told);
        QVERIFY(!notesOf(told->cache).contains("does not record"));
    }
    void cellsInAnyOrderAreShownByPosition() {
        // Every second position at the end of the cache: more runs than parts, so that a page table is needed.
        std::vector<std::int32_t> positions;
        for (std::int32_t p = 0; p < 400; p += 2)
            positions.push_back(p);
        for (std::int32_t p = 1; p < 400; p += 2)
            positions.push_back(p);
        std::vector<float> keys;
        for (const auto position : positions) {
            for (int c = 0; c < 4; ++c)
                keys.push_back(static_cast<float>(position * 4 + c));
        }
        auto file = LlamaWriter::session("llama", positions, 1);
        file.floats(keys, 4).floats(keys, 4);
        OpenOptions options;
        options.heads = 2;
        const auto opened = openBytes(file, options);
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        std::vector<float> rows(400 * 4);
        QVERIFY(opened->cache.readRows({}, tokenRange(0, 400), rows));
        for (std::size_t i = 0; i < rows.size(); ++i)
            QCOMPARE(rows[i], static_cast<float>(i));
        QVERIFY(notesOf(opened->cache).contains("not in the order of the text"));
    }
};

QTEST_APPLESS_MAIN(TestLlamaHeads)
#include "test_llama_heads.moc"
