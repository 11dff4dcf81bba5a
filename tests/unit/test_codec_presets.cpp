// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_job.h"
#include "core/codec/presets.h"
#include "tests/unit/codec_cache.h"
#include "tests/unit/codec_checks.h"

#include <QTest>

using namespace kvscope;
using namespace kvscope::testing;
using test::Fill;

namespace {

/// Tokens, layers, heads, dimension, tokens a chunk: one token, one channel, odd sizes, cut chunks, many layers.
struct Awkward {
    std::int64_t tokens;
    std::int64_t layers;
    std::int64_t heads;
    std::int64_t headDim;
    std::int64_t chunkTokens;
};
constexpr std::array kAwkward{Awkward{1, 1, 1, 1, 256}, Awkward{1, 2, 2, 8, 16}, Awkward{7, 2, 1, 1, 4},
                              Awkward{33, 3, 3, 5, 16}, Awkward{70, 5, 2, 16, 64}};

/// Planes of any type, as float32 and as stored.
class NativeSource final : public CacheSource {
public:
    KvGeometry shape;
    CacheInfo description;
    std::map<PlaneId, test::ChunkCase> planes;

    [[nodiscard]] const KvGeometry& geometry() const override { return shape; }
    [[nodiscard]] const CacheInfo& info() const override { return description; }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        const auto& values = planes.at(plane).values;
        const std::int64_t width = shape.find(plane)->channels();
        for (std::int64_t token = 0; token < tokens.size(); ++token)
            std::copy_n(values.data() + (tokens.begin.value + token) * width + channels.begin.value, channels.size(),
                        out.data() + token * channels.size());
        return {};
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const auto row = static_cast<std::int64_t>(out.size()) / std::max<std::int64_t>(tokens.size(), 1);
        std::copy_n(planes.at(plane).native.data() + tokens.begin.value * row, out.size(), out.data());
        return {};
    }
    [[nodiscard]] bool nativeIsExact(PlaneId) const override { return true; }
};

KvCache makeCache(const Awkward& shape, DType dtype, Fill fill) {
    auto source = std::make_shared<NativeSource>();
    source->description.name = "awkward";
    source->shape.layers.resize(static_cast<std::size_t>(shape.layers));
    for (LayerIndex layer(0); layer.value < shape.layers; ++layer) {
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            test::ChunkCase chunk = test::makeChunk(fill, dtype, shape.tokens, shape.heads, shape.headDim);
            PlaneGeometry plane;
            plane.heads = shape.heads;
            plane.headDim = shape.headDim;
            plane.tokens = shape.tokens;
            plane.dtype = dtype;
            source->shape.layers[static_cast<std::size_t>(layer.value)].plane(kind) = plane;
            source->planes.emplace(PlaneId{layer, kind, SequenceIndex(0)}, std::move(chunk));
        }
        source->description.rope.emplace_back(Rope::plain(10000.0, shape.headDim / 2 * 2, Rope::Pairing::HalfSplit));
    }
    return KvCache(source);
}

std::vector<std::string> allNames() {
    std::vector<std::string> names;
    for (const PresetInfo& info : presets())
        names.push_back(info.name);
    // One of each family with a number or preset in its name.
    for (const char* name : {"quant6-gear-delta", "block-norm-4", "clip-quant6", "kivi-3", "cachegen-70b",
                             "mixed-1-int4", "hadamard-quant8"})
        names.emplace_back(name);
    return names;
}

} // namespace

/// decode(encode(x)) of every preset on every dtype and awkward geometry, whole caches with all their chunks.
class TestCodecPresets : public QObject {
    Q_OBJECT

private:
    ThreadPool pool_{2};

    /// What is wrong with what comes back; empty when nothing is.
    std::string problemOf(const std::string& name, const KvCache& cache, std::int64_t chunkTokens, bool& fits) {
        // What does not fit (Hadamard and odd dimensions, say) is refused with the reason and what to do.
        const auto refusal = [](const Error& error) {
            return error.kind == Error::Kind::Input && !error.advice.empty() ? std::string() : error.message();
        };
        auto plan = makePreset(name, cache);
        if (!plan)
            return refusal(plan.error());
        plan->chunkTokens = chunkTokens;
        EncodeOptions options;
        options.measureAttention = false;
        const auto encoding = encodeCache(cache, *plan, pool_, options);
        if (!encoding)
            return refusal(encoding.error());
        fits = true;
        const KvCache decoded = encoding->decoded();
        for (const PlaneId id : cache.geometry().allPlanes()) {
            const auto x = rowsOf(cache, id);
            const auto y = rowsOf(decoded, id);
            if (x.size() != y.size())
                return "cannot be read back";
            float largest = 0;
            for (const float value : x)
                largest = std::isfinite(value) ? std::max(largest, std::fabs(value)) : largest;
            const auto headDim = static_cast<double>(cache.geometry().find(id)->headDim);
            const double bound = (2 + std::sqrt(headDim)) * static_cast<double>(largest);
            const bool exact = plan->isLossless();
            for (std::size_t i = 0; i < x.size(); ++i) {
                const bool same = std::memcmp(&x[i], &y[i], sizeof(float)) == 0;
                const bool bounded = std::isfinite(x[i]) && std::isfinite(y[i]) &&
                                     std::fabs(static_cast<double>(y[i]) - static_cast<double>(x[i])) <= bound;
                if (!same && (exact || !bounded))
                    return "value " + std::to_string(i) + " of layer " + std::to_string(id.layer.value) + " " +
                           std::string(nameOf(id.kind)) + " was " + std::to_string(x[i]) + " and comes back as " +
                           std::to_string(y[i]);
            }
        }
        return {};
    }

private slots:
    void everyPresetComesBack_data() {
        QTest::addColumn<QString>("preset");
        for (const std::string& name : allNames())
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
    void everyPresetComesBack() {
        QFETCH(QString, preset);
        int fitting = 0;
        for (const DType dtype : test::kDtypes) {
            for (const Awkward& shape : kAwkward) {
                for (const Fill fill : {Fill::Gaussian, Fill::Specials, Fill::Constant}) {
                    bool fits = false;
                    const std::string wrong =
                        problemOf(preset.toStdString(), makeCache(shape, dtype, fill), shape.chunkTokens, fits);
                    const std::string where = std::string(nameOf(dtype)) + " " + std::to_string(shape.tokens) + "x" +
                                              std::to_string(shape.heads) + "x" + std::to_string(shape.headDim) +
                                              " fill " + std::to_string(static_cast<int>(fill)) + ": " + wrong;
                    QVERIFY2(wrong.empty(), where.c_str());
                    fitting += fits ? 1 : 0;
                }
            }
        }
        // Predictions from K before RoPE take three types, Hadamard takes four of these geometries; others take all.
        const int types = preset == QLatin1String("rope-predict-gear") ? 3 : static_cast<int>(test::kDtypes.size());
        const int shapes = static_cast<int>(kAwkward.size()) - (preset.startsWith(QLatin1String("hadamard")) ? 1 : 0);
        QCOMPARE(fitting, types * shapes * 3);
    }
};

QTEST_APPLESS_MAIN(TestCodecPresets)
#include "test_codec_presets.moc"
