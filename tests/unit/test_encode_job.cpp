// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_job.h"
#include "core/codec/presets.h"
#include "core/kv/strided_cache.h"
#include "tests/unit/codec_cache.h"

#include <QTest>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <mutex>
#include <numeric>
#include <sstream>

using namespace kvscope;
using namespace kvscope::testing;
using Json = nlohmann::json;

namespace {

constexpr std::int64_t kTokens = 70;
constexpr std::int64_t kChannels = 16;

std::filesystem::path golden() {
    return std::filesystem::path(KVSCOPE_SOURCE_DIR) / "tests/golden/codec";
}

/// The cache of report.kv.npy and report.q.npy: [layer][K/V][token][channel] and [layer][token][query channel].
KvCache goldenCache() {
    const auto kv = loadFloatNpy(golden() / "report.kv.npy").value();
    const auto queries = loadFloatNpy(golden() / "report.q.npy").value();
    auto source = std::make_shared<MemorySource>();
    source->description.name = "golden";
    const auto size = static_cast<std::ptrdiff_t>(kTokens * kChannels);
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        const auto start = kv.begin() + 2 * layer * size;
        addPlane(*source, planeId(layer, PlaneKind::Key), 2, 8, {start, start + size});
        addPlane(*source, planeId(layer, PlaneKind::Value), 2, 8, {start + size, start + 2 * size});
        const auto query = queries.begin() + 2 * layer * size;
        addPlane(*source, planeId(layer, PlaneKind::Query), 4, 8, {query, query + 2 * size});
    }
    return KvCache(source);
}

bool near(double ours, double theirs, double tolerance = 2e-5) {
    return std::abs(ours - theirs) <= tolerance * std::max(1e-12, std::abs(theirs));
}

void compareErrors(const TensorErrorSums& sums, const Json& expected) {
    const TensorError error = sums.result();
    QVERIFY(near(error.meanAbs, expected["mae"]));
    QVERIFY(near(error.meanSquared, expected["mse"]));
    QVERIFY(near(error.max, expected["max"]));
    QVERIFY(near(error.relativeL2.value(), expected["relative_l2"]));
    QVERIFY(near(error.nmse.value(), expected["nmse"]));
    QVERIFY(near(error.nmseCentred.value(), expected["nmse_centred"]));
    QVERIFY(near(error.cosine.value(), expected["cosine"]));
    QVERIFY(near(error.snrDb.value(), expected["snr_db"]));
}

CodecPlan sixteenBins(std::int64_t chunkTokens) {
    CodecPlan plan;
    plan.name = "16 bins";
    plan.chunkTokens = chunkTokens;
    plan.fallback = {.quantiser = MaxAbsBins{16}, .coder = EntropyCoder::Raw};
    return plan;
}

CodecPlan preset(const char* name, const KvCache& cache, std::int64_t chunkTokens) {
    CodecPlan plan = makePreset(name, cache.geometry()).value();
    plan.chunkTokens = chunkTokens;
    return plan;
}

} // namespace

class TestEncodeJob : public QObject {
    Q_OBJECT

private:
    ThreadPool pool_{3};

private slots:
    void errorsAgreeWithNumpy_data() {
        QTest::addColumn<int>("chunkTokens");
        for (const int tokens : {256, 32, 7})
            QTest::addRow("%d tokens a chunk", tokens) << tokens;
    }
    void errorsAgreeWithNumpy() {
        QFETCH(int, chunkTokens);
        std::ifstream file(golden() / "report.json");
        const Json expected = Json::parse(file);
        EncodeOptions options;
        options.attentionRows = 7;
        const auto encoding = encodeCache(goldenCache(), sixteenBins(chunkTokens), pool_, options);
        QVERIFY2(encoding, encoding ? "" : encoding.error().message().c_str());
        const EncodeReport& report = encoding->report;
        QCOMPARE(report.planes.size(), std::size_t{4});
        for (const Json& plane : expected["planes"]) {
            const PlaneKind kind = plane["kind"] == "K" ? PlaneKind::Key : PlaneKind::Value;
            const PlaneReport* ours = report.find(planeId(plane["layer"], kind));
            QVERIFY(ours != nullptr && ours->hasError);
            compareErrors(ours->error, plane["error"]);
            for (std::size_t head = 0; head < 2; ++head)
                compareErrors(ours->headErrors[head], plane["heads"][head]);
            for (std::size_t c = 0; c < kChannels; ++c)
                QVERIFY(near(ours->channelErrorEnergy[c], plane["channel_error_energy"][c]));
            QCOMPARE(ours->tokenErrorEnergy.size(), static_cast<std::size_t>(kTokens));
            for (std::size_t t = 0; t < kTokens; ++t)
                QVERIFY(near(ours->tokenErrorEnergy[t], plane["token_error_energy"][t]));
        }
        for (const auto& [name, kind] : {std::pair("K", PlaneKind::Key), std::pair("V", PlaneKind::Value)}) {
            const TensorError error = report.totals(kind).error.result();
            QVERIFY(near(error.meanAbs, expected["kinds"][name]["mae"]));
            QVERIFY(near(error.max, expected["kinds"][name]["max"]));
        }
        QCOMPARE(report.attention.size(), std::size_t{2});
        for (std::size_t layer = 0; layer < 2; ++layer) {
            const Json& attention = expected["attention"][layer];
            QVERIFY(near(report.attention[layer].relative, attention["relative"], 1e-4));
            QVERIFY(near(report.attention[layer].keysOnly, attention["keys_only"], 1e-4));
            QVERIFY(near(report.attention[layer].valuesOnly, attention["values_only"], 1e-4));
            QCOMPARE(report.attention[layer].queries, std::int64_t{28});
        }
    }

    void bytesAddUp() {
        const KvCache cache = codecCache(100);
        for (const char* name :
             {"raw", "gear", "quant8-gear-delta", "block-norm-10", "int4", "cachegen-2", "kvz-medium"}) {
            const auto encoding = encodeCache(cache, preset(name, cache, 32), pool_);
            QVERIFY2(encoding, name);
            std::int64_t held = 0;
            for (const auto& [id, plane] : encoding->planes) {
                const PlaneReport* report = encoding->report.find(id);
                QCOMPARE(report->chunks.size(), plane->parts.size());
                for (std::size_t i = 0; i < plane->parts.size(); ++i) {
                    const ChunkReport& chunk = report->chunks[i];
                    const auto size = static_cast<std::int64_t>(plane->parts[i].bytes.size());
                    held += size;
                    QCOMPARE(chunk.parts.total(), size);
                    QCOMPARE(chunk.tokens, plane->parts[i].tokens);
                    const double bits = std::accumulate(chunk.channelBits.begin(), chunk.channelBits.end(), 0.0);
                    QVERIFY(near(bits, 8.0 * static_cast<double>(size), 1e-4));
                }
            }
            const EncodeTotals all = encoding->report.totals();
            QCOMPARE(all.bytes(), held);
            QCOMPARE(all.values, std::int64_t{100 * 16 * 4});
            QCOMPARE(all.dumpBytes, all.values * 2);
            QVERIFY(near(all.bitsPerValue(), 8.0 * static_cast<double>(held) / static_cast<double>(all.values)));
            QVERIFY(near(all.ratio() * all.bitsPerValue(), 16.0));
        }
        const auto raw = encodeCache(cache, preset("raw", cache, 32), pool_);
        QVERIFY(near(raw->report.totals().ratio(), 1.0));
    }

    void losslessPlansAreExactOnAnyDtype() {
        for (const DType type : {DType::F16, DType::BF16, DType::F32}) {
            const KvCache cache = codecCache(77, 2, 2, 8, type);
            for (const char* name : {"gear", "gear-delta", "zlib", "kvz-lossless"}) {
                const auto encoding = encodeCache(cache, preset(name, cache, 32), pool_);
                QVERIFY2(encoding, name);
                QVERIFY(sameValues(encoding->decoded(), cache));
                for (const PlaneReport& plane : encoding->report.planes)
                    QVERIFY(plane.error.result().isExact());
            }
        }
    }

    void theNumberOfThreadsChangesNothing() {
        const KvCache cache = codecCache(130);
        const CodecPlan plan = preset("quant8-gear-delta", cache, 16);
        ThreadPool one(1);
        const auto a = encodeCache(cache, plan, one).value();
        const auto b = encodeCache(cache, plan, pool_).value();
        for (const auto& [id, plane] : a.planes) {
            for (std::size_t i = 0; i < plane->parts.size(); ++i)
                QVERIFY(plane->parts[i].bytes == b.planes.at(id)->parts[i].bytes);
            const TensorErrorSums& left = a.report.find(id)->error;
            const TensorErrorSums& right = b.report.find(id)->error;
            QCOMPARE(left.sumAbs, right.sumAbs);
            QCOMPARE(left.sumSquared, right.sumSquared);
        }
    }

    void onlyWhatDiffersIsEncodedAgain() {
        const KvCache cache = codecCache(60, 4);
        const CodecPlan before = preset("quant8", cache, 32);
        const auto first = encodeCache(cache, before, pool_).value();
        CodecPlan after = before;
        after.set(layerRange(2, 3), {PlaneKind::Value}, tokenRange(32, kOpenEnd),
                  {.quantiser = MaxAbsBins{12}, .coder = EntropyCoder::Raw});
        std::vector<PlaneId> done;
        EncodeOptions options;
        options.planeDone = [&](const EncodedPlaneResult& result) { done.push_back(result.plane->plane); };
        const auto second = reencode(first, after, pool_, options).value();
        const PlaneId changed = planeId(2, PlaneKind::Value);
        QCOMPARE(done.size(), std::size_t{1});
        QVERIFY(done.front() == changed);
        for (const auto& [id, plane] : second.planes)
            QCOMPARE(plane == first.planes.at(id), id != changed);
        const PlaneReport* report = second.report.find(changed);
        QCOMPARE(report->pipelines.size(), std::size_t{2});
        QVERIFY(report->chunks[1].parts.total() < report->chunks[0].parts.total());
        QVERIFY(sameValues(second.decoded(), encodeCache(cache, after, pool_)->decoded()));
        QVERIFY(second.report.plan == after);
    }

    void whatWasMeasuredOfAPlaneIsTakenOver() {
        const KvCache cache = codecCache(70);
        const PlaneId plane{LayerIndex(1), PlaneKind::Key, SequenceIndex(0)};
        // Before, after, and whether the second needs what the first measured, or other things.
        const std::vector<std::pair<const char*, const char*>> edits{
            {"kvz-medium", "kvz-low"},      {"clip-quant8", "quant8"},       {"quant8", "clip-quant8"},
            {"clip-quant8", "clip-quant6"}, {"hadamard-int4", "kvz-medium"}, {"cachegen-paper", "kvz-low"}};
        for (const auto& [before, after] : edits) {
            const CodecPlan next = makePreset(after, cache.geometry()).value();
            const auto alone = encodePlane(cache, plane, next, pool_, {}, {}).value();
            EncodeOptions options;
            options.former =
                encodePlane(cache, plane, makePreset(before, cache.geometry()).value(), pool_, {}, {}).value().plane;
            const auto taken = encodePlane(cache, plane, next, pool_, options, {}).value();
            QVERIFY2(taken.plane->pipelines == alone.plane->pipelines, after);
            QCOMPARE(taken.plane->parts.size(), alone.plane->parts.size());
            for (std::size_t i = 0; i < taken.plane->parts.size(); ++i)
                QVERIFY2(taken.plane->parts[i].bytes == alone.plane->parts[i].bytes, after);
        }
        // It is not measured again: a wrong value would be kept.
        EncodedPlane forged =
            *encodePlane(cache, plane, makePreset("kvz-medium", cache.geometry()).value(), pool_, {}, {}).value().plane;
        forged.pipelines.front().calibration.centredRms *= 2;
        EncodeOptions options;
        options.former = std::make_shared<const EncodedPlane>(forged);
        CodecPlan finer = makePreset("kvz-medium", cache.geometry()).value();
        finer.fallback.quantiser = Step{0.4};
        const auto taken = encodePlane(cache, plane, finer, pool_, options, {}).value();
        QCOMPARE(taken.plane->pipelines.front().calibration, forged.pipelines.front().calibration);
    }

    void planesOnTheScreenComeFirst() {
        const KvCache cache = codecCache(40, 6);
        ThreadPool one(1);
        EncodeOptions options;
        options.first = {planeId(4, PlaneKind::Value), planeId(3, PlaneKind::Key)};
        std::vector<PlaneId> order;
        options.planeDone = [&](const EncodedPlaneResult& result) { order.push_back(result.plane->plane); };
        QVERIFY(encodeCache(cache, preset("raw", cache, 256), one, options));
        QCOMPARE(order.size(), std::size_t{12});
        // Two threads work: one of them may be held up with its plane as long as the machine likes, but not both.
        QVERIFY(std::ranges::find(options.first, order.front()) != options.first.end());
    }

    void aStoppedJobSaysSo() {
        const KvCache cache = codecCache(200);
        std::stop_source stop;
        Progress progress;
        EncodeOptions options;
        int planes = 0;
        options.planeDone = [&](const EncodedPlaneResult&) {
            ++planes;
            stop.request_stop();
        };
        const auto result = encodeCache(cache, preset("gear", cache, 8), pool_, options, {stop.get_token(), &progress});
        QVERIFY(!result && result.error().kind == Error::Kind::Cancelled);
        QVERIFY(planes < 4);
        QCOMPARE(progress.total(), std::int64_t{200 * 16 * 2 * 4});
        QVERIFY(progress.done() < progress.total());
    }

    void errorsNamePlaneAndField() {
        const KvCache cache = codecCache(20, 2, 2, 12);
        CodecPlan plan;
        plan.fallback = {.quantiser = Uniform{.bits = 40}, .coder = EntropyCoder::Raw};
        QCOMPARE(encodeCache(cache, plan, pool_).error().where, std::string("default.quantiser.bits"));
        plan.fallback = {.transform = Transform::Hadamard, .quantiser = Uniform{}, .coder = EntropyCoder::Raw};
        const auto odd = encodeCache(cache, plan, pool_);
        QVERIFY(!odd);
        QVERIFY2(odd.error().where.starts_with("layer "), odd.error().where.c_str());
        plan.fallback = {.transform = Transform::RopeInverse, .quantiser = Uniform{}, .coder = EntropyCoder::Raw};
        auto unrotated = codecSource(20);
        unrotated->description.rope.clear();
        QVERIFY(!encodeCache(KvCache(unrotated), plan, pool_));
    }

    void bitsCanBeLookedAt() {
        const KvCache cache = codecCache(100);
        const auto encoding = encodeCache(cache, preset("cachegen-2", cache, 32), pool_).value();
        const auto bits = makeBitsCache(cache, encoding.report);
        QVERIFY(bits);
        for (const PlaneReport& plane : encoding.report.planes) {
            const auto rows = rowsOf(*bits, plane.plane);
            const double sum = std::accumulate(rows.begin(), rows.end(), 0.0);
            EncodeTotals totals;
            totals.add(plane);
            QVERIFY(near(sum, 8.0 * static_cast<double>(totals.bytes()), 1e-4));
            // Constant within a chunk, and what the chunk's report says.
            for (std::size_t c = 0; c < kChannels; ++c) {
                QCOMPARE(rows[32 * kChannels + c], rows[63 * kChannels + c]);
                QVERIFY(near(rows[99 * kChannels + c], plane.chunks[3].channelBits[c] / 4, 1e-4));
            }
        }
    }

    void tokenPointsCoverThePlane() {
        const KvCache cache = codecCache(100);
        const auto encoding = encodeCache(cache, preset("quant8-gear-delta", cache, 32), pool_).value();
        const auto points = byToken(encoding.report, PlaneKind::Key, 30);
        QCOMPARE(points.size(), std::size_t{4});
        QCOMPARE(points.back().tokens, tokenRange(90, 100));
        double bits = 0;
        for (const TokenPoint& point : points)
            bits += point.bitsPerValue * static_cast<double>(point.tokens.size());
        QVERIFY(near(bits / 100, encoding.report.totals(PlaneKind::Key).bitsPerValue(), 1e-4));
        QVERIFY(points[0].nmse > 0);
    }

    void reportsAreWritten() {
        const KvCache cache = goldenCache();
        EncodeOptions options;
        options.prefillTokensPerSecond = 1000;
        auto encoding = encodeCache(cache, sixteenBins(32), pool_, options).value();
        encoding.report.seconds = 0.035;
        QVERIFY(near(encoding.report.encodeTimeToPrefill().value(), 0.5));
        const Json json = Json::parse(toJson(encoding.report, true));
        QCOMPARE(json["planes"].size(), std::size_t{4});
        QVERIFY(
            near(json["kinds"]["K"]["error"]["mae"], encoding.report.totals(PlaneKind::Key).error.result().meanAbs));
        QCOMPARE(json["planes"][0]["chunks"].size(), std::size_t{3});
        QCOMPARE(json["planes"][0]["heads_error"].size(), std::size_t{2});
        QVERIFY(near(json["encode_time_to_prefill"], 0.5));
        std::istringstream csv(toCsv(encoding.report));
        std::string header;
        std::getline(csv, header);
        const auto columns = std::ranges::count(header, ',');
        int lines = 0;
        for (std::string line; std::getline(csv, line); ++lines)
            QCOMPARE(std::ranges::count(line, ','), columns);
        QCOMPARE(lines, 4);
    }

    void reportsMerge() {
        const KvCache cache = codecCache(40, 2);
        const CodecPlan plan = preset("quant8", cache, 32);
        EncodeOptions keys;
        keys.only = {{LayerIndex(0), PlaneKind::Key}, {LayerIndex(1), PlaneKind::Key}};
        EncodeOptions values;
        values.only = {{LayerIndex(0), PlaneKind::Value}, {LayerIndex(1), PlaneKind::Value}};
        EncodeReport merged = encodeCache(cache, plan, pool_, keys)->report;
        QCOMPARE(merged.planes.size(), std::size_t{2});
        merge(merged, encodeCache(cache, plan, pool_, values)->report);
        const EncodeReport whole = encodeCache(cache, plan, pool_)->report;
        QCOMPARE(merged.totals().bytes(), whole.totals().bytes());
        QCOMPARE(merged.totals().error.sumSquared, whole.totals().error.sumSquared);
    }

    void brokenValuesAreCounted() {
        auto source = codecSource(40);
        auto& rows = source->values[planeId(0, PlaneKind::Key)];
        rows[5] = std::nanf("");
        rows[77] = std::numeric_limits<float>::infinity();
        const KvCache cache(source);
        for (const char* name : {"quant8", "int4", "fp8-e4m3", "kivi-2", "block-norm-10", "gear"}) {
            const auto encoding = encodeCache(cache, preset(name, cache, 32), pool_);
            QVERIFY2(encoding, name);
            const PlaneReport* plane = encoding->report.find(planeId(0, PlaneKind::Key));
            QCOMPARE(plane->error.mismatches, std::int64_t{0});
            QCOMPARE(plane->error.count, std::int64_t{40 * 16 - 2});
            QVERIFY(std::isfinite(plane->error.sumSquared));
        }
    }
};

QTEST_APPLESS_MAIN(TestEncodeJob)
#include "test_encode_job.moc"
