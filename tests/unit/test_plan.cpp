// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/pipeline_json.h"
#include "core/codec/plan.h"
#include "core/codec/presets.h"
#include "tests/unit/codec_cache.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace kvscope;

namespace {

KvGeometry geometryOf(std::int64_t layers, std::int64_t tokens, std::int64_t headDim = 8) {
    KvGeometry geometry;
    PlaneGeometry plane;
    plane.heads = 2;
    plane.headDim = headDim;
    plane.tokens = tokens;
    geometry.layers.resize(static_cast<std::size_t>(layers));
    for (LayerGeometry& layer : geometry.layers) {
        layer.plane(PlaneKind::Key) = plane;
        layer.plane(PlaneKind::Value) = plane;
    }
    return geometry;
}

Pipeline bins(int count) {
    return {.quantiser = MaxAbsBins{count}, .coder = EntropyCoder::Kvz};
}

int binsOf(const CodecPlan& plan, std::int64_t layer, PlaneKind kind) {
    return std::get<MaxAbsBins>(plan.pipelineFor(LayerIndex(layer), kind, 0).quantiser).bins;
}

/// A plan with every quantiser and every kind of range in it.
CodecPlan elaborate() {
    CodecPlan plan;
    plan.name = "everything \"quoted\"";
    plan.chunkTokens = 64;
    plan.fallback = {.quantiser = Step{0.1}, .predictor = Predictor::Best, .coder = EntropyCoder::Kvz};
    const std::vector<Pipeline> pipelines{
        {.quantiser = Lossless{}, .coder = EntropyCoder::Zstd, .effort = 19},
        bins(12),
        {.quantiser = Uniform{5, ScaleAxis::Head, 0, false}, .coder = EntropyCoder::GearDelta},
        {.clipSigmas = 2.5, .quantiser = BlockNorm{9, 64, 0.01}, .coder = EntropyCoder::Gear},
        {.quantiser = Float8{Float8::Format::E5M2}, .coder = EntropyCoder::Raw},
        {.quantiser = Kivi{4, 16, 32}, .coder = EntropyCoder::Raw},
        {.quantiser = AnchorDelta{8, 7, 1.0 / 3}, .coder = EntropyCoder::Arithmetic},
        {.transform = Transform::RopeInverse, .quantiser = Step{0.7}, .coder = EntropyCoder::Kvz},
    };
    for (std::size_t i = 0; i < pipelines.size(); ++i) {
        const auto layer = static_cast<std::int64_t>(i);
        plan.set(layerRange(layer, i == 3 ? kOpenEnd : layer + 2),
                 i % 2 == 0 ? KindSet{PlaneKind::Key} : KindSet::all(),
                 tokenRange(64 * (layer % 3), i % 3 == 0 ? kOpenEnd : 256), pipelines[i]);
    }
    return plan;
}

} // namespace

class TestPlan : public QObject {
    Q_OBJECT

private slots:
    void nonsenseIsRefusedByField_data() {
        QTest::addColumn<QString>("json");
        QTest::addColumn<QString>("field");
        const auto row = [](const char* pipeline, const char* field) {
            QTest::addRow("%s %s", field, pipeline)
                << QString(R"({"format": "kvscope-plan", "version": 1, "default": %1})").arg(QLatin1String(pipeline))
                << QString("default.%1").arg(QLatin1String(field));
        };
        row(R"({"quantiser": {"type": "max-abs-bins", "bins": 3}})", "quantiser.bins");
        row(R"({"quantiser": {"type": "max-abs-bins", "bins": 1e99}})", "quantiser.bins");
        row(R"({"quantiser": {"type": "max-abs-bins", "bins": 99999999999}})", "quantiser.bins");
        row(R"({"quantiser": {"type": "uniform", "bits": 0}})", "quantiser.bits");
        row(R"({"quantiser": {"type": "uniform", "bits": 17}})", "quantiser.bits");
        row(R"({"quantiser": {"type": "uniform", "bits": "8"}})", "quantiser.bits");
        row(R"({"quantiser": {"type": "uniform", "axis": "row"}})", "quantiser.axis");
        row(R"({"quantiser": {"type": "uniform", "group": -1}})", "quantiser.group");
        row(R"({"quantiser": {"type": "uniform", "symmetric": 1}})", "quantiser.symmetric");
        row(R"({"quantiser": {"type": "block-norm", "block": 0}})", "quantiser.block");
        row(R"({"quantiser": {"type": "block-norm", "top_fraction": 0.9}})", "quantiser.top_fraction");
        row(R"({"quantiser": {"type": "kivi", "residual": -5}})", "quantiser.residual");
        row(R"({"quantiser": {"type": "anchor-delta", "step": 0}})", "quantiser.step");
        row(R"({"quantiser": {"type": "anchor-delta", "group": 1}})", "quantiser.group");
        row(R"({"quantiser": {"type": "step", "step": -0.5}})", "quantiser.step");
        row(R"({"quantiser": {"type": "step", "step": null}})", "quantiser.step");
        row(R"({"quantiser": {"type": "step", "setp": 0.5}})", "quantiser.setp");
        row(R"({"quantiser": {"type": "sorcery"}})", "quantiser.type");
        row(R"({"quantiser": {}})", "quantiser.type");
        row(R"({"quantiser": []})", "quantiser");
        row(R"({"coder": "raw"})", "quantiser");
        row(R"({"quantiser": {"type": "lossless"}, "coder": "zip"})", "coder");
        row(R"({"quantiser": {"type": "lossless"}, "coder": "zlib", "effort": 10})", "effort");
        row(R"({"quantiser": {"type": "lossless"}, "clip_sigmas": -1})", "clip_sigmas");
        row(R"({"quantiser": {"type": "lossless"}, "colour": "red"})", "colour");
        row(R"({"quantiser": {"type": "step"}, "coder": "raw", "predictor": "previous"})", "predictor");
        row(R"({"quantiser": {"type": "step"}, "coder": "huffman", "predictor": "best"})", "predictor");
    }
    void nonsenseIsRefusedByField() {
        QFETCH(QString, json);
        QFETCH(QString, field);
        const auto plan = planFromJson(json.toStdString(), "the plan");
        QVERIFY2(!plan, "accepted");
        QVERIFY2(plan.error().what.starts_with(field.toStdString()), plan.error().what.c_str());
        QVERIFY(!plan.error().advice.empty());
        QCOMPARE(plan.error().where, std::string("the plan"));
    }

    void aPlanIsRefusedByField_data() {
        QTest::addColumn<QString>("json");
        QTest::addColumn<QString>("field");
        const auto row = [](const char* members, const char* field) {
            QTest::addRow("%s", members)
                << QString(
                       R"({"format": "kvscope-plan", "version": 1, "default": {"quantiser": {"type": "lossless"}}, %1})")
                       .arg(QLatin1String(members))
                << QString(QLatin1String(field));
        };
        row(R"("chunk_tokens": 0)", "chunk_tokens");
        row(R"("chunk_tokens": 1e5)", "chunk_tokens");
        row(R"("rules": 3)", "rules");
        row(R"("rules": [3])", "rules[0]");
        row(R"("rules": [{"layers": [0, 1]}])", "rules[0].pipeline");
        row(R"("rules": [{"layers": [2, 2], "pipeline": {"quantiser": {"type": "lossless"}}}])", "rules[0].layers");
        row(R"("rules": [{"layers": [-1, 2], "pipeline": {"quantiser": {"type": "lossless"}}}])", "rules[0].layers");
        row(R"("rules": [{"kinds": [], "pipeline": {"quantiser": {"type": "lossless"}}}])", "rules[0].kinds");
        row(R"("rules": [{"kinds": ["Q"], "pipeline": {"quantiser": {"type": "lossless"}}}])", "rules[0].kinds");
        row(R"("rules": [{"tokens": [100, null], "pipeline": {"quantiser": {"type": "lossless"}}}])",
            "rules[0].tokens");
        row(R"("rules": [{"tokens": [0, "end"], "pipeline": {"quantiser": {"type": "lossless"}}}])", "rules[0].tokens");
        row(R"("name": 7)", "name");
        row(R"("author": "me")", "author");
    }
    void aPlanIsRefusedByField() {
        QFETCH(QString, json);
        QFETCH(QString, field);
        const auto plan = planFromJson(json.toStdString(), "p");
        QVERIFY2(!plan, "accepted");
        QVERIFY2(plan.error().what.starts_with(field.toStdString()), plan.error().what.c_str());
    }

    void textThatIsNoPlanIsRefused() {
        for (const char* text : {"", "{", "[]", "null", "{\"format\": \"other\"}",
                                 R"({"format": "kvscope-plan", "version": 2, "default": {}})", "NaN", "\xFF\xFE"})
            QVERIFY2(!planFromJson(text, "p"), text);
        QVERIFY(!planFromJson(std::string(100000, '['), "p"));
    }

    void structsWithNanAreRefused() {
        CodecPlan plan;
        plan.fallback = {.quantiser = Step{std::nan("")}, .coder = EntropyCoder::Kvz};
        QCOMPARE(validate(plan).error().where, std::string("default.quantiser.step"));
        plan.fallback = {};
        plan.set(layerRange(0, 1), {PlaneKind::Key}, tokenRange(0, kOpenEnd),
                 {.clipSigmas = std::numeric_limits<double>::infinity()});
        QCOMPARE(validate(plan).error().where, std::string("rules[0].pipeline.clip_sigmas"));
    }

    void jsonGivesThePlanBack() {
        const CodecPlan plan = elaborate();
        QVERIFY(validate(plan));
        const auto read = planFromJson(toJson(plan), "p");
        QVERIFY2(read, read ? "" : read.error().message().c_str());
        QVERIFY(*read == plan);
    }

    void laterRulesWinAndTokensCount() {
        CodecPlan plan;
        plan.fallback = bins(32);
        plan.set(layerRange(2, 6), KindSet::all(), tokenRange(0, kOpenEnd), bins(16));
        plan.set(layerRange(3, 4), {PlaneKind::Value}, tokenRange(256, 512), bins(8));
        QCOMPARE(binsOf(plan, 1, PlaneKind::Key), 32);
        QCOMPARE(binsOf(plan, 3, PlaneKind::Value), 16);
        QCOMPARE(std::get<MaxAbsBins>(plan.pipelineFor(LayerIndex(3), PlaneKind::Value, 1).quantiser).bins, 8);
        QCOMPARE(std::get<MaxAbsBins>(plan.pipelineFor(LayerIndex(3), PlaneKind::Key, 1).quantiser).bins, 16);
        QCOMPARE(std::get<MaxAbsBins>(plan.pipelineFor(LayerIndex(3), PlaneKind::Value, 2).quantiser).bins, 16);
    }

    void theCanonicalFormDoesTheSame() {
        const CodecPlan plan = elaborate();
        const CodecPlan shortest = canonical(plan);
        for (std::int64_t layer = 0; layer < 12; ++layer) {
            for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}) {
                for (std::int64_t chunk = 0; chunk < 8; ++chunk)
                    QVERIFY(plan.pipelineFor(LayerIndex(layer), kind, chunk) ==
                            shortest.pipelineFor(LayerIndex(layer), kind, chunk));
            }
        }
        QVERIFY(canonical(shortest) == shortest);
    }

    void equalPlansHashEqual() {
        CodecPlan strokes;
        strokes.name = "a";
        strokes.fallback = bins(32);
        strokes.set(layerRange(0, 4), {PlaneKind::Key}, tokenRange(0, kOpenEnd), bins(8));
        strokes.set(layerRange(0, 2), {PlaneKind::Key}, tokenRange(0, kOpenEnd), bins(16));
        strokes.set(layerRange(2, 4), {PlaneKind::Key}, tokenRange(0, 256), bins(16));
        strokes.set(layerRange(2, 4), {PlaneKind::Key}, tokenRange(256, kOpenEnd), bins(16));
        CodecPlan direct;
        direct.name = "b";
        direct.fallback = bins(32);
        direct.set(layerRange(0, 4), {PlaneKind::Key}, tokenRange(0, kOpenEnd), bins(16));
        QCOMPARE(hashOf(strokes), hashOf(direct));
        direct.chunkTokens = 128;
        QVERIFY(hashOf(strokes) != hashOf(direct));
        direct.chunkTokens = strokes.chunkTokens;
        direct.set(layerRange(7, 8), {PlaneKind::Value}, tokenRange(0, kOpenEnd), bins(16));
        QVERIFY(hashOf(strokes) != hashOf(direct));
    }

    void differencesNameWhatChanges() {
        const KvGeometry geometry = geometryOf(8, 600);
        CodecPlan before;
        before.fallback = bins(32);
        CodecPlan after = before;
        after.set(layerRange(3, 5), {PlaneKind::Key}, tokenRange(0, kOpenEnd), bins(16));
        const std::vector<LayerKind> expected{{LayerIndex(3), PlaneKind::Key}, {LayerIndex(4), PlaneKind::Key}};
        QVERIFY(differences(before, after, geometry) == expected);
        QVERIFY(differences(after, after, geometry).empty());
        // A rule past the end of the planes, or of layers that are not there, changes nothing.
        CodecPlan beyond = before;
        beyond.set(layerRange(0, kOpenEnd), KindSet::all(), tokenRange(768, kOpenEnd), bins(8));
        beyond.set(layerRange(8, 9), KindSet::all(), tokenRange(0, kOpenEnd), bins(8));
        QVERIFY(differences(before, beyond, geometry).empty());
        CodecPlan smaller = before;
        smaller.chunkTokens = 128;
        QCOMPARE(differences(before, smaller, geometry).size(), std::size_t{16});
    }

    void everyPresetIsAValidPlan() {
        const KvGeometry geometry = geometryOf(12, 300);
        QVERIFY(presets().size() >= 30);
        for (const PresetInfo& info : presets()) {
            const auto plan = makePreset(info.name, geometry);
            QVERIFY2(plan, info.name.c_str());
            const auto valid = validate(*plan);
            QVERIFY2(valid, valid ? "" : (info.name + ": " + valid.error().message()).c_str());
            QCOMPARE(plan->name, info.name);
            QCOMPARE(plan->isLossless(), info.lossless);
            QVERIFY2(!info.explanation.empty() && info.explanation.find('\n') == std::string::npos, info.name.c_str());
            const auto again = planFromJson(toJson(*plan), "p");
            QVERIFY(again && *again == *plan);
        }
    }

    void namesWithNumbersAreUnderstood() {
        const KvGeometry geometry = geometryOf(6, 300);
        for (const char* name : {"quant6-gear-delta", "clip-quant5", "block-norm-7", "kivi-3", "hadamard-kvz-low",
                                 "mixed-3-cachegen-1", "mixed-2-hadamard-int4"}) {
            const auto plan = makePreset(name, geometry);
            QVERIFY2(plan && validate(*plan), name);
        }
        const auto mixed = makePreset("mixed-3-cachegen-1", geometry);
        QVERIFY(mixed->pipelineFor(LayerIndex(2), PlaneKind::Key, 0).isLossless());
        QVERIFY(!mixed->pipelineFor(LayerIndex(3), PlaneKind::Key, 0).isLossless());
        for (const char* name : {"", "kvz", "quant99-gear-delta", "quant-gear-delta", "kivi-0", "mixed-kvz-low",
                                 "mixed--1-kvz-low", "hadamard-raw", "block-norm-10x", "mixed-2-", "cachegen-4"})
            QVERIFY2(!makePreset(name, geometry), name);
        const auto odd = makePreset("hadamard-int4", geometryOf(2, 10, 12));
        QVERIFY(!odd && odd.error().what.find("power of two") != std::string::npos);
    }

    void cachegenUsesItsTables() {
        // Bins of the released configurations, as published for 32 and 80 layers.
        const KvGeometry seven = geometryOf(32, 300);
        const auto one = makePreset("cachegen-1", seven);
        const auto two = makePreset("cachegen-2", seven);
        const auto three = makePreset("cachegen-3", seven);
        for (std::int64_t layer = 0; layer < 32; ++layer) {
            QCOMPARE(binsOf(*three, layer, PlaneKind::Key), 32);
            QCOMPARE(binsOf(*three, layer, PlaneKind::Value), 32);
            QCOMPARE(binsOf(*two, layer, PlaneKind::Key), layer < 10 ? 32 : 16);
            QCOMPARE(binsOf(*two, layer, PlaneKind::Value), layer < 2 ? 32 : 16);
            QCOMPARE(binsOf(*one, layer, PlaneKind::Key), layer < 20 ? 16 : 12);
            QCOMPARE(binsOf(*one, layer, PlaneKind::Value), layer < 2 ? 16 : 12);
        }
        const auto large = makePreset("cachegen-70b", geometryOf(80, 300));
        for (std::int64_t layer = 0; layer < 80; ++layer) {
            QCOMPARE(binsOf(*large, layer, PlaneKind::Key), layer < 40 ? 32 : 16);
            QCOMPARE(binsOf(*large, layer, PlaneKind::Value), layer < 20 ? 32 : 16);
        }
        // By depth: 64 layers are two for each of the table's, 8 layers every fourth.
        const auto doubled = makePreset("cachegen-2", geometryOf(64, 300));
        QCOMPARE(binsOf(*doubled, 19, PlaneKind::Key), 32);
        QCOMPARE(binsOf(*doubled, 20, PlaneKind::Key), 16);
        QCOMPARE(binsOf(*doubled, 3, PlaneKind::Value), 32);
        QCOMPARE(binsOf(*doubled, 4, PlaneKind::Value), 16);
        const auto lmcache = makePreset("cachegen-lmcache", geometryOf(9, 300));
        QCOMPARE(binsOf(*lmcache, 8, PlaneKind::Value), 32);
    }

    void thePaperHasThreeLayerGroups() {
        const auto plan = makePreset("cachegen-paper", geometryOf(12, 300));
        for (std::int64_t layer = 0; layer < 12; ++layer) {
            const auto anchors =
                std::get<AnchorDelta>(plan->pipelineFor(LayerIndex(layer), PlaneKind::Key, 0).quantiser);
            QCOMPARE(anchors.step, layer < 4 ? 0.5 : layer < 8 ? 1.0 : 1.5);
            QCOMPARE(anchors.group, 10);
            QCOMPARE(anchors.anchorBits, 8);
        }
    }

    void ropeIsUndoneWhereItPays() {
        // Channels that hardly vary, rotated in layer 0: undoing the rotation leaves next to nothing there, and would
        // make layer 1 vary.
        auto source = std::make_shared<testing::MemorySource>();
        const Rope rope = Rope::plain(100.0, 8, Rope::Pairing::HalfSplit);
        std::mt19937 random(5);
        std::normal_distribution<float> normal;
        for (std::int64_t layer = 0; layer < 2; ++layer) {
            std::vector<float> rows(static_cast<std::size_t>(200 * 8));
            for (std::size_t i = 0; i < rows.size(); ++i)
                rows[i] = 4.0F + 0.05F * normal(random);
            const PlaneId id{LayerIndex(layer), PlaneKind::Key, SequenceIndex(0)};
            testing::addPlane(*source, id, 1, 8, rows);
            if (layer == 0)
                rotate(rope, RopeDirection::Apply, *source->shape.find(id), tokenRange(0, 200), source->values[id]);
            source->description.rope.emplace_back(rope);
        }
        const KvCache cache(source);
        const auto plan = makePreset("kvz-medium", cache);
        QVERIFY(plan);
        QVERIFY(plan->pipelineFor(LayerIndex(0), PlaneKind::Key, 0).transform == Transform::RopeInverse);
        QVERIFY(plan->pipelineFor(LayerIndex(1), PlaneKind::Key, 0).transform == Transform::None);
        QVERIFY(plan->pipelineFor(LayerIndex(0), PlaneKind::Value, 0).transform == Transform::None);
        source->description.rope.clear();
        const auto refused = makePreset("rope-inverse-gear", cache);
        QVERIFY(!refused && refused.error().what.find("layer 0") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(TestPlan)
#include "test_plan.moc"
