// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan_search.h"
#include "core/codec/presets.h"
#include "core/codec/sweep.h"
#include "tests/unit/codec_cache.h"

#include <QTest>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

std::vector<CodecPlan> plansFor(const KvCache& cache, std::initializer_list<const char*> names) {
    std::vector<CodecPlan> plans;
    for (const char* name : names)
        plans.push_back(makePreset(name, cache.geometry()).value());
    return plans;
}

} // namespace

class TestSweep : public QObject {
    Q_OBJECT

private:
    ThreadPool pool_{2};

private slots:
    void thresholdsAreStrict() {
        EncodeTotals totals;
        totals.hasError = true;
        totals.error.count = 100;
        totals.error.originalEnergy = 1;
        totals.error.changedEnergy = 1;
        totals.error.dot = 0.99991;
        totals.error.sumAbs = 0.99;
        QVERIFY(passes(PlaneKind::Key, totals));
        QVERIFY(!passes(PlaneKind::Value, totals));
        totals.error.sumAbs = 0.19;
        QVERIFY(passes(PlaneKind::Value, totals));
        totals.error.dot = 0.99989;
        QVERIFY(!passes(PlaneKind::Value, totals));
        totals.error.dot = 1;
        totals.error.mismatches = 1;
        QVERIFY(!passes(PlaneKind::Key, totals));
    }

    void rowsAndGroups() {
        std::vector<SweepRow> rows;
        for (const std::int64_t tokens : {60, 90}) {
            const SweepDump dump{codecCache(tokens), "d" + std::to_string(tokens), "stories", "1"};
            const auto more = sweep(dump, plansFor(dump.cache, {"gear", "quant8", "int4"}), pool_);
            QVERIFY(more);
            rows.insert(rows.end(), more->begin(), more->end());
        }
        QCOMPARE(rows.size(), std::size_t{6});
        QVERIFY(rows[0].lossless && rows[0].passed);
        QVERIFY(!rows[2].passed);
        QCOMPARE(rows[1].all.bytes(), rows[1].kinds[PlaneKind::Key].bytes() + rows[1].kinds[PlaneKind::Value].bytes());
        const auto groups = groupRows(rows);
        QCOMPARE(groups.size(), std::size_t{3});
        QCOMPARE(groups[1].method, std::string("quant8"));
        QCOMPARE(groups[1].all.bytes(), rows[1].all.bytes() + rows[4].all.bytes());
        QCOMPARE(groups[1].all.values, rows[1].all.values + rows[4].all.values);
        QVERIFY(groups[0].passed && !groups[2].passed);

        const std::string text = sweepToText(rows, groups, SweepFormat::Text);
        QVERIFY(text.find("lossless") != std::string::npos && text.find("failed") != std::string::npos);
        const auto json = nlohmann::json::parse(sweepToText(rows, groups, SweepFormat::Json));
        QCOMPARE(json["rows"].size(), std::size_t{6});
        QCOMPARE(json["groups"].size(), std::size_t{3});
        QCOMPARE(json["rows"][1]["weighted"]["bytes"].get<std::int64_t>(), rows[1].all.bytes());
        std::istringstream csv(sweepToText(rows, groups, SweepFormat::Csv));
        std::string header;
        std::getline(csv, header);
        int lines = 0;
        for (std::string line; std::getline(csv, line); ++lines)
            QCOMPARE(std::ranges::count(line, ','), std::ranges::count(header, ','));
        QCOMPARE(lines, 27);
    }

    void whatDoesNotFitIsARowWithItsReason() {
        const SweepDump dump{codecCache(30, 1, 1, 12), "odd", "", ""};
        CodecPlan plan;
        plan.name = "rotated";
        plan.fallback = {.transform = Transform::Hadamard, .quantiser = Uniform{}, .coder = EntropyCoder::Raw};
        const auto rows = sweep(dump, std::vector{plan, plansFor(dump.cache, {"gear"}).front()}, pool_);
        QVERIFY(rows && rows->size() == 2);
        QVERIFY(!rows->front().problem.empty());
        QVERIFY(rows->back().problem.empty());
        for (const SweepFormat format : {SweepFormat::Text, SweepFormat::Json})
            QVERIFY(sweepToText(*rows, {}, format).find("Hadamard") != std::string::npos);
        std::istringstream csv(sweepToText(*rows, {}, SweepFormat::Csv));
        std::string header;
        std::string line;
        std::getline(csv, header);
        std::getline(csv, line);
        // Commas of the quoted reason are no separators.
        const auto quoted = line.substr(line.find('"'), line.rfind('"') - line.find('"'));
        QCOMPARE(std::ranges::count(line, ',') - std::ranges::count(quoted, ','), std::ranges::count(header, ','));
    }

    void theSearchFindsTheSmallestThatPasses() {
        const std::vector<SweepDump> dumps{{codecCache(64), "d", "", ""}};
        StrictThresholds thresholds;
        thresholds.keyMae = 0.05;
        thresholds.valueMae = 0.05;
        thresholds.cosine = 0.999;
        const auto found = searchBest(dumps, SearchSpace::BlockNorm, thresholds, pool_);
        QVERIFY2(found, found ? "" : found.error().message().c_str());
        QCOMPARE(found->kinds.size(), std::size_t{2});
        QVERIFY(found->tried > 100);
        for (const auto& [kind, best] : found->kinds) {
            CodecPlan plan;
            plan.fallback = best.pipeline;
            const auto rows = sweep(dumps[0], std::vector{plan}, pool_);
            QVERIFY(passes(kind, rows->front().kinds.at(kind), thresholds));
            // One bit fewer does not pass.
            auto fewer = std::get<BlockNorm>(best.pipeline.quantiser);
            --fewer.bits;
            plan.fallback.quantiser = fewer;
            if (fewer.bits >= 3)
                QVERIFY(!passes(kind, sweep(dumps[0], std::vector{plan}, pool_)->front().kinds.at(kind), thresholds));
            // No configuration of the default block and top-k that passes is smaller.
            for (int bits = 3; bits <= 12; ++bits) {
                plan.fallback.quantiser = BlockNorm{.bits = bits};
                const auto totals = sweep(dumps[0], std::vector{plan}, pool_)->front().kinds.at(kind);
                QVERIFY(!passes(kind, totals, thresholds) || totals.bitsPerValue() >= best.bitsPerValue);
            }
        }
        thresholds.keyMae = 0;
        const auto none = searchBest(dumps, SearchSpace::BlockNorm, thresholds, pool_);
        QVERIFY(none && !none->kinds.contains(PlaneKind::Key) && none->kinds.contains(PlaneKind::Value));
        QVERIFY(none->plan("best").pipelineFor(LayerIndex(0), PlaneKind::Key, 0).isLossless());
    }
};

QTEST_APPLESS_MAIN(TestSweep)
#include "test_sweep.moc"
