// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/axes.h"
#include "core/io/layout_check.h"
#include "core/io/open_dump.h"
#include "tests/unit/golden_dump.h"
#include "tests/unit/npy_writer.h"

#include <QtTest>

#include <cmath>
#include <map>
#include <random>

using namespace kvscope;
using namespace kvscope::test;

namespace {

constexpr std::int64_t kLayers = 3;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kDims = 8;
constexpr std::int64_t kTokens = 24;

/// Where a value stands in a cache.
struct Place {
    std::int64_t sequence = 0;
    std::int64_t layer = 0;
    std::int64_t kind = 0;
    std::int64_t head = 0;
    std::int64_t token = 0;
    std::int64_t dim = 0;
};

/// A different number for every place, exact in float32.
float valueAt(const Place& p) {
    return static_cast<float>(
        ((((p.sequence * kLayers + p.layer) * 2 + p.kind) * kHeads + p.head) * kTokens + p.token) * kDims + p.dim + 1);
}

/// Keys and values like a model's: offsets and spreads by channel, slow tokens, RoPE on K (theta 10000, half-split).
class ModelLike {
public:
    explicit ModelLike(unsigned seed) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        for (std::int64_t plane = 0; plane < kLayers * 2; ++plane) {
            PlaneGeometry geometry;
            geometry.heads = kHeads;
            geometry.headDim = kDims;
            geometry.tokens = kTokens;
            const std::int64_t channels = kHeads * kDims;
            std::vector<float> rows(static_cast<std::size_t>(kTokens * channels));
            for (std::int64_t c = 0; c < channels; ++c) {
                const double offset = (plane % 2 == 0 ? 2.0 : 0.2) * normal(random);
                const double spread = std::exp(0.5 * normal(random));
                double state = normal(random);
                for (std::int64_t t = 0; t < kTokens; ++t) {
                    state = 0.4 * state + 0.9165 * normal(random);
                    rows[static_cast<std::size_t>(t * channels + c)] = static_cast<float>(offset + spread * state);
                }
            }
            if (plane % 2 == 0)
                rotate(Rope::plain(10000, kDims, Rope::Pairing::HalfSplit), RopeDirection::Apply, geometry,
                       tokenRange(0, kTokens), rows);
            planes_.push_back(std::move(rows));
        }
    }

    float operator()(const Place& p) const {
        return planes_[static_cast<std::size_t>(p.layer * 2 + p.kind)]
                      [static_cast<std::size_t>((p.token * kHeads + p.head) * kDims + p.dim)];
    }

private:
    std::vector<std::vector<float>> planes_;
};

std::int64_t sizeOfAxis(char letter, std::int64_t sequences) {
    switch (letter) {
    case 'S':
        return sequences;
    case 'L':
        return kLayers;
    case 'X':
        return 2;
    case 'H':
        return kHeads;
    case 'T':
        return kTokens;
    case 'D':
        return kDims;
    default:
        return kHeads * kDims;
    }
}

struct Array {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
};

/// A whole cache in one array whose axes are the letters, outermost first.
template <class Value> Array arrayOf(const std::string& axes, std::int64_t sequences, Place fixed, Value value) {
    Array array;
    std::int64_t count = 1;
    for (const char letter : axes) {
        array.shape.push_back(sizeOfAxis(letter, sequences));
        count *= array.shape.back();
    }
    for (std::int64_t i = 0; i < count; ++i) {
        Place place = fixed;
        std::int64_t rest = i;
        for (std::size_t axis = axes.size(); axis-- > 0;) {
            const std::int64_t index = rest % array.shape[axis];
            rest /= array.shape[axis];
            switch (axes[axis]) {
            case 'S':
                place.sequence = index;
                break;
            case 'L':
                place.layer = index;
                break;
            case 'X':
                place.kind = index;
                break;
            case 'H':
                place.head = index;
                break;
            case 'T':
                place.token = index;
                break;
            case 'D':
                place.dim = index;
                break;
            default:
                place.head = index / kDims;
                place.dim = index % kDims;
            }
        }
        array.values.push_back(value(place));
    }
    return array;
}

Result<OpenedDump> openArray(const Array& array, const OpenOptions& options) {
    return openDumpBytes(memorySource(npyFile("<f4", array.shape, floatBytes(array.values)), "array.npy"), "", options);
}

/// The first value that is not where it belongs, or nothing.
QString misplaced(const KvCache& cache, std::int64_t sequences, std::int64_t layers,
                  const std::function<float(const Place&)>& expected = valueAt) {
    for (std::int64_t s = 0; s < sequences; ++s) {
        for (std::int64_t l = 0; l < layers; ++l) {
            for (std::int64_t x = 0; x < 2; ++x) {
                const PlaneId id{LayerIndex(l), x == 0 ? PlaneKind::Key : PlaneKind::Value, SequenceIndex(s)};
                std::vector<float> rows(static_cast<std::size_t>(kTokens * kHeads * kDims));
                if (const auto read = cache.readRows(id, tokenRange(0, kTokens), rows); !read)
                    return QString::fromStdString(read.error().message());
                for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows.size()); ++i) {
                    const Place place{s, l, x, i / kDims % kHeads, i / (kHeads * kDims), i % kDims};
                    if (rows[static_cast<std::size_t>(i)] != expected(place))
                        return QString("layer %1 kind %2 sequence %3 value %4").arg(l).arg(x).arg(s).arg(i);
                }
            }
        }
    }
    return {};
}

} // namespace

class TestLayouts : public QObject {
    Q_OBJECT

private slots:
    void everyOrderPutsValuesInPlace_data();
    void everyOrderPutsValuesInPlace();
    void dataDecideBetweenOrders_data();
    void dataDecideBetweenOrders();
    void transposedValuesAreRecognised();
    void keysAndValuesInHalvesOfOneAxis();
    void axesThatDoNotFitAreRefused_data();
    void axesThatDoNotFitAreRefused();
    void sizesGivenByTheUserDecide();
    void describesAxes();
};

void TestLayouts::everyOrderPutsValuesInPlace_data() {
    QTest::addColumn<QString>("axes");
    for (const char* axes : {"LXHTD", "LXTHD", "XLTHD", "XLHTD", "LXTC", "XLTC", "LTXC", "TLXC", "LSXHTD", "SLXTHD",
                             "LXSHTD", "LXHDT", "DTHXL", "TCLX", "LXCT", "SXLTC", "XTSHLD"})
        QTest::newRow(axes) << axes;
}

void TestLayouts::everyOrderPutsValuesInPlace() {
    QFETCH(QString, axes);
    const bool batch = axes.contains('S');
    OpenOptions options;
    options.axes = axes.toStdString();
    if (axes.contains('C'))
        options.heads = kHeads;
    const auto opened = openArray(arrayOf(*options.axes, 2, {}, valueAt), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const KvGeometry& geometry = opened->cache.geometry();
    QCOMPARE(geometry.sequences, batch ? 2 : 1);
    QCOMPARE(geometry.layerCount(), kLayers);
    const PlaneGeometry* key = geometry.find(LayerIndex(2), PlaneKind::Key);
    QCOMPARE(key->heads, kHeads);
    QCOMPARE(key->headDim, kDims);
    QCOMPARE(key->tokens, kTokens);
    QCOMPARE(misplaced(opened->cache, batch ? 2 : 1, kLayers), QString());
    QCOMPARE(opened->cache.info().layout, describeAxes(*options.axes));
}

void TestLayouts::dataDecideBetweenOrders_data() {
    QTest::addColumn<QString>("axes");
    QTest::addColumn<unsigned>("seed");
    for (const char* axes : {"LXHTD", "LXTHD", "XLTHD", "XLHTD", "LXTC", "XLTC", "LTXHD", "LXHDT"}) {
        for (unsigned seed = 1; seed <= 3; ++seed)
            QTest::newRow(qPrintable(QString("%1 %2").arg(axes).arg(seed))) << axes << seed;
    }
}

void TestLayouts::dataDecideBetweenOrders() {
    QFETCH(QString, axes);
    QFETCH(unsigned, seed);
    const ModelLike model(seed);
    const std::string letters = axes.toStdString();
    OpenOptions options;
    if (axes.contains('C'))
        options.heads = kHeads;
    const auto opened = openArray(arrayOf(letters, 1, {}, model), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(opened->cache.info().layout, describeAxes(letters));
    QCOMPARE(misplaced(opened->cache, 1, kLayers, model), QString());
    double sum = 0;
    for (const LayoutCandidate& candidate : opened->layouts)
        sum += candidate.confidence;
    QVERIFY(std::abs(sum - 1.0) < 1e-9);
    QVERIFY(opened->layouts.front().confidence > 0.5);
    QVERIFY(!opened->layouts.front().evidence.empty());
}

void TestLayouts::transposedValuesAreRecognised() {
    const ModelLike model(7);
    std::vector<SafetensorsEntry> entries;
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
        const Array keys = arrayOf("SHTD", 1, {0, layer, 0, 0, 0, 0}, model);
        const Array values = arrayOf("SHDT", 1, {0, layer, 1, 0, 0, 0}, model);
        const std::string prefix = "layers." + std::to_string(layer);
        entries.push_back({prefix + ".k", "F32", keys.shape, floatBytes(keys.values)});
        entries.push_back({prefix + ".v", "F32", values.shape, floatBytes(values.values)});
    }
    const auto opened = openDumpBytes(memorySource(safetensorsFile(entries), "x.safetensors"), "");
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(misplaced(opened->cache, 1, kLayers, model), QString());
    QCOMPARE(opened->cache.info().layout, std::string("K [sequence, head, token, dim] V [sequence, head, dim, token]"));
}

void TestLayouts::keysAndValuesInHalvesOfOneAxis() {
    const ModelLike model(5);
    std::vector<SafetensorsEntry> entries;
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
        // [T, H, 2D]: each head's K and then its V, as one connector of vLLM writes it.
        const Array array = arrayOf("THXD", 1, {0, layer, 0, 0, 0, 0}, model);
        entries.push_back({"model.layers." + std::to_string(layer) + ".self_attn.kv_cache",
                           "F32",
                           {kTokens, kHeads, 2 * kDims},
                           floatBytes(array.values)});
    }
    const auto bytes = memorySource(safetensorsFile(entries), "x.safetensors");
    const auto opened = openDumpBytes(bytes, "");
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QCOMPARE(misplaced(opened->cache, 1, kLayers, model), QString());
    OpenOptions options;
    options.axes = "THXD";
    const auto told = openDumpBytes(bytes, "", options);
    QVERIFY2(told, told ? "" : told.error().message().c_str());
    QCOMPARE(misplaced(told->cache, 1, kLayers, model), QString());
}

void TestLayouts::axesThatDoNotFitAreRefused_data() {
    QTest::addColumn<QString>("axes");
    QTest::addColumn<QString>("message");
    QTest::newRow("unknown letter") << "LXQTD"
                                    << "unknown letter";
    QTest::newRow("twice") << "LXTTD"
                           << "twice";
    QTest::newRow("no token") << "LXHSD"
                              << "no token axis";
    QTest::newRow("no channels") << "LXHTS"
                                 << "needs either D";
    QTest::newRow("heads without dimension") << "LXHTC"
                                             << "without a dimension";
    QTest::newRow("too few") << "LXTC"
                             << "do not fit";
    QTest::newRow("K/V of another size") << "XLHTD"
                                         << "do not fit";
    QTest::newRow("empty") << ""
                           << "no token axis";
}

void TestLayouts::axesThatDoNotFitAreRefused() {
    QFETCH(QString, axes);
    QFETCH(QString, message);
    OpenOptions options;
    options.axes = axes.toStdString();
    const auto opened = openArray(arrayOf("LXHTD", 1, {}, valueAt), options);
    QVERIFY(!opened);
    QVERIFY2(QString::fromStdString(opened.error().message()).contains(message), opened.error().message().c_str());
    QVERIFY(!opened.error().advice.empty());
}

void TestLayouts::sizesGivenByTheUserDecide() {
    // Without structure in the values only the sizes can tell heads from tokens.
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const Array array = arrayOf("LXHTD", 1, {}, [&](const Place&) { return normal(random); });
    OpenOptions options;
    options.heads = kTokens;
    auto opened = openArray(array, options);
    QVERIFY(opened);
    QCOMPARE(opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->tokens, kHeads);
    options.heads = kHeads;
    opened = openArray(array, options);
    QVERIFY(opened);
    QCOMPARE(opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->tokens, kTokens);
    options.heads = 5;
    opened = openArray(array, options);
    QVERIFY(!opened);
    options.heads = -1;
    QVERIFY(!openArray(array, options));
    options.heads.reset();
    options.tokens = kHeads;
    opened = openArray(array, options);
    QVERIFY(opened);
    QCOMPARE(opened->cache.geometry().find(LayerIndex(0), PlaneKind::Key)->heads, kTokens);
}

void TestLayouts::describesAxes() {
    QCOMPARE(describeAxes("LXHTD"), std::string("[layer, K/V, head, token, dim]"));
    QCOMPARE(describeAxes("SHTD/SHDT"), std::string("K [sequence, head, token, dim] V [sequence, head, dim, token]"));
    QCOMPARE(describeAxes("TC"), std::string("[token, channel]"));
}

QTEST_APPLESS_MAIN(TestLayouts)
#include "test_layouts.moc"
