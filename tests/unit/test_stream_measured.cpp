// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/measured_rates.h"
#include "core/stream/oracle.h"

#include <QTest>

#include <cmath>

using namespace kvscope;

namespace {

/// A report of two layers of K and V, 600 tokens x 16 channels in chunks of 256, with figures that are easy to add up.
EncodeReport madeReport(std::int64_t bytesPerToken, double error) {
    EncodeReport report;
    report.dump = "made";
    report.plan.chunkTokens = 256;
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            PlaneReport plane;
            plane.plane = {LayerIndex(layer), kind, SequenceIndex(0)};
            plane.heads = 2;
            plane.headDim = 8;
            plane.tokens = 600;
            plane.hasError = true;
            plane.error.count = 600 * 16;
            plane.error.originalEnergy = 1000;
            plane.error.centredEnergy = 500;
            plane.error.sumSquared = error * (layer == 0 ? 100 : 200);
            for (std::int64_t begin = 0; begin < 600; begin += 256) {
                ChunkReport chunk;
                chunk.tokens = tokenRange(begin, std::min<std::int64_t>(begin + 256, 600));
                chunk.parts[BytePart::Payload] = chunk.tokens.size() * bytesPerToken * (layer + 1) - 5;
                chunk.parts[BytePart::Header] = 5;
                plane.chunks.push_back(chunk);
            }
            report.put(plane);
        }
    }
    return report;
}

} // namespace

class TestStreamMeasured : public QObject {
    Q_OBJECT

private slots:
    void ratesAreThoseOfTheReport() {
        const EncodeReport report = madeReport(8, 1);
        const std::vector<LevelReport> levels{{ChunkForm::Level, 0, "only", &report}};
        const auto rates = measuredRates(levels);
        QVERIFY(rates);
        QCOMPARE(rates->source, std::string("made"));
        QCOMPARE(rates->levels[0].layers.size(), 2U);
        const auto& first = rates->levels[0].layers[0];
        // 8 bytes for 16 values; K against the centred energy, V against all of it.
        QCOMPARE(first[0]->bitsPerValue, 4.0);
        QCOMPARE(first[0]->error, 0.2);
        QCOMPARE(first[1]->error, 0.1);
        QVERIFY(!first[static_cast<std::size_t>(PlaneKind::Latent)]);
        QCOMPARE(rates->levels[0].layers[1][0]->bitsPerValue, 8.0);
        const auto projected = project(*rates, {*findModelGeometry("llama-3.1-8b"), 1024, 1024});
        QVERIFY(projected && projected->projected());
        QVERIFY(std::abs(projected->option(0, 2).bytes - 1024 * 131072.0 * 6 / 16) < 2);
    }

    void chunksKeepTheirOwnSizes() {
        const EncodeReport fine = madeReport(8, 1);
        const EncodeReport eight = madeReport(16, 0.01);
        const std::vector<LevelReport> levels{{ChunkForm::Level, 0, "fine", &fine},
                                              {ChunkForm::EightBit, 0, "8-bit", &eight}};
        const auto input = measuredInput(levels, 512);
        QVERIFY(input);
        QVERIFY(!input->projected());
        QCOMPARE(input->chunkCount(), 2U);
        QCOMPARE(input->tokens(1), 88);
        // Raw: 16 channels x 2 kinds x 2 layers x 2 bytes.
        QCOMPARE(input->option(0, 1).bytes, 512 * 128.0);
        QCOMPARE(input->candidates()[2].name, std::string("8-bit"));
        QCOMPARE(input->option(0, 3).bytes, 512 * 8 * 2.0 * (1 + 2));
        QCOMPARE(input->option(1, 3).bytes, 88 * 8 * 2.0 * (1 + 2));
        QVERIFY(std::abs(input->option(1, 3).error - (0.2 + 0.1 + 0.4 + 0.2) / 4) < 1e-12);
        QVERIFY(std::abs(input->candidates()[3].layerError[1] - 0.3) < 1e-12);

        QVERIFY(!measuredInput(levels, 300));
        QVERIFY(!measuredInput({}, 512));
        EncodeReport blind = fine;
        for (PlaneReport& plane : blind.planes)
            plane.hasError = false;
        const std::vector<LevelReport> unmeasured{{ChunkForm::Level, 0, "blind", &blind}};
        QVERIFY(!measuredRates(unmeasured));
        QVERIFY(!measuredInput(unmeasured, 512));
    }
};

QTEST_APPLESS_MAIN(TestStreamMeasured)
#include "test_stream_measured.moc"
