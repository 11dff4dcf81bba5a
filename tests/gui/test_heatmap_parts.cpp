// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/heatmap_fixture.h"
#include "views/colour_scale.h"
#include "views/heatmap_overview.h"
#include "views/heatmap_tile.h"
#include "views/integer_ticker.h"
#include "views/map_selection.h"
#include "views/token_search.h"
#include "views/view_history.h"

#include <QJsonDocument>
#include <QtTest>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace kvscope;
using namespace kvscope::views;
using kvscope::testing::makeHeatmapCache;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// CIELAB lightness of a colour.
double lightness(QRgb colour) {
    const auto linear = [](int byte) {
        const double c = byte / 255.0;
        return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
    };
    const double y = 0.2126 * linear(qRed(colour)) + 0.7152 * linear(qGreen(colour)) + 0.0722 * linear(qBlue(colour));
    return y > 0.008856 ? 116 * std::cbrt(y) - 16 : 903.3 * y;
}

} // namespace

/// The parts that a heatmap is made of, without a window.
class TestHeatmapParts : public QObject {
    Q_OBJECT

private slots:
    void coloursMatchTheirOriginals_data();
    void coloursMatchTheirOriginals();
    void lightnessIsEven();
    void linearScale();
    void longRowsAreColouredAsSingleValues();
    void symmetricLogScale_data();
    void symmetricLogScale();
    void settingsSurviveJson();
    void settingsRefuseWrongJson();
    void ticksAreWholeNumbers();
    void historyGoesBackAndForward();
    void textIsFoundAcrossTokens();
    void tilesShowEveryStatistic();
    void automaticRangeCoversThePercentile();
    void pickedCellsBecomeASelection();
    void headsNarrowTheChannels();
};

void TestHeatmapParts::coloursMatchTheirOriginals_data() {
    QTest::addColumn<int>("map");
    QTest::addColumn<int>("index");
    QTest::addColumn<QColor>("colour");
    // Entries of matplotlib's tables.
    const auto viridis = static_cast<int>(ColourMapId::Viridis);
    const auto magma = static_cast<int>(ColourMapId::Magma);
    QTest::newRow("viridis 0") << viridis << 0 << QColor(68, 1, 84);
    QTest::newRow("viridis 64") << viridis << 64 << QColor(59, 82, 139);
    QTest::newRow("viridis 100") << viridis << 100 << QColor(42, 118, 142);
    QTest::newRow("viridis 200") << viridis << 200 << QColor(112, 207, 87);
    QTest::newRow("viridis 255") << viridis << 255 << QColor(253, 231, 37);
    QTest::newRow("magma 0") << magma << 0 << QColor(0, 0, 4);
    QTest::newRow("magma 128") << magma << 128 << QColor(183, 55, 121);
    QTest::newRow("magma 255") << magma << 255 << QColor(252, 253, 191);
}

void TestHeatmapParts::coloursMatchTheirOriginals() {
    QFETCH(int, map);
    QFETCH(int, index);
    QFETCH(QColor, colour);
    const QColor ours(colourTable(static_cast<ColourMapId>(map))[static_cast<std::size_t>(index)]);
    QVERIFY2(std::abs(ours.red() - colour.red()) <= 3 && std::abs(ours.green() - colour.green()) <= 3 &&
                 std::abs(ours.blue() - colour.blue()) <= 3,
             qPrintable(ours.name()));
}

void TestHeatmapParts::lightnessIsEven() {
    for (const ColourMapId map : {ColourMapId::Viridis, ColourMapId::Magma, ColourMapId::Cividis}) {
        const ColourTable table = colourTable(map);
        for (std::size_t i = 16; i < table.size(); i += 16)
            QVERIFY2(lightness(table[i]) > lightness(table[i - 16]) + 1, qPrintable(QString::number(i)));
    }
    const ColourTable diverging = colourTable(ColourMapId::BlueWhiteRed);
    for (std::size_t i = 0; i < 128; ++i)
        QVERIFY(std::abs(lightness(diverging[i]) - lightness(diverging[255 - i])) < 6);
    QVERIFY(qBlue(diverging[0]) > qRed(diverging[0]) + 60);
    QVERIFY(qRed(diverging[255]) > qBlue(diverging[255]) + 60);
    QVERIFY(qRed(diverging[127]) > 235 && qGreen(diverging[127]) > 235 && qBlue(diverging[127]) > 235);
}

void TestHeatmapParts::linearScale() {
    const ColourScale scale(ColourMapId::Viridis, Scaling::Linear, {2, 4});
    const ColourTable table = colourTable(ColourMapId::Viridis);
    const SpecialColours special = specialColours(ColourMapId::Viridis);
    QCOMPARE(scale.colour(2), table[0]);
    QCOMPARE(scale.colour(3), table[128]);
    QCOMPARE(scale.colour(4), table[255]);
    QCOMPARE(scale.colour(4.001F), special.above);
    QCOMPARE(scale.colour(1.999F), special.below);
    QCOMPARE(scale.colour(kInfinity), special.nonFinite);
    QCOMPARE(scale.colour(kNan), QRgb{0});
    QVERIFY(scale.isClipped(4.001F) && scale.isClipped(1.999F));
    QVERIFY(!scale.isClipped(4) && !scale.isClipped(2) && !scale.isClipped(kNan) && !scale.isClipped(kInfinity));
    QCOMPARE(scale.value(0.25), 2.5);
    QCOMPARE(scale.place(2.5), 0.25);
    std::vector<QRgb> factored(1);
    scale.colourise(std::vector<float>{1.5F}, 2, factored.data());
    QCOMPARE(factored.front(), table[128]);
}

void TestHeatmapParts::longRowsAreColouredAsSingleValues() {
    // Longer than any block that the loop may work in, with everything that is not a number in between.
    std::vector<float> values;
    for (int i = 0; i < 700; ++i)
        values.push_back(0.01F * static_cast<float>(i - 100));
    values[3] = kNan;
    values[300] = kInfinity;
    values[600] = -kInfinity;
    for (const Scaling scaling : {Scaling::Linear, Scaling::SymmetricLog}) {
        const ColourScale scale(ColourMapId::BlueWhiteRed, scaling, {-0.5, 4});
        std::vector<QRgb> colours(values.size());
        scale.colourise(values, 1.5F, colours.data());
        for (std::size_t i = 0; i < values.size(); ++i)
            QCOMPARE(colours[i], scale.colour(values[i] * 1.5F));
        QCOMPARE(colours[3], QRgb{0});
        QCOMPARE(colours[300], specialColours(ColourMapId::BlueWhiteRed).nonFinite);
    }
}

void TestHeatmapParts::symmetricLogScale_data() {
    QTest::addColumn<double>("lower");
    QTest::addColumn<double>("upper");
    QTest::newRow("magnitudes") << 0.0 << 100.0;
    QTest::newRow("signed") << -100.0 << 100.0;
    QTest::newRow("uneven") << -1.0 << 1000.0;
}

void TestHeatmapParts::symmetricLogScale() {
    QFETCH(double, lower);
    QFETCH(double, upper);
    const ColourScale scale(ColourMapId::Viridis, Scaling::SymmetricLog, {lower, upper});
    const ColourTable table = colourTable(ColourMapId::Viridis);
    QCOMPARE(scale.colour(static_cast<float>(upper)), table[255]);
    QCOMPARE(scale.colour(static_cast<float>(lower)), table[0]);
    QCOMPARE(scale.colour(static_cast<float>(upper * 1.02)), specialColours(ColourMapId::Viridis).above);
    QCOMPARE(scale.colour(kInfinity), specialColours(ColourMapId::Viridis).nonFinite);
    QCOMPARE(scale.colour(kNan), QRgb{0});
    if (lower == -upper)
        QVERIFY(std::abs(scale.place(0) - 0.5) < 1e-12);
    for (double place = 0.05; place < 1; place += 0.1)
        QVERIFY(std::abs(scale.place(scale.value(place)) - place) < 1e-9);
    // Equal factors take equal room well above the linear part.
    const double first = scale.place(upper / 4) - scale.place(upper / 16);
    const double second = scale.place(upper) - scale.place(upper / 4);
    QVERIFY(std::abs(first - second) < 0.01 * second);
}

void TestHeatmapParts::settingsSurviveJson() {
    HeatmapSettings settings = HeatmapSettings::defaults(MapKind::HeadToken, PlaneKind::Value);
    settings.quantity = Quantity::DeltaAnchor;
    settings.reduction = Reduction::Std;
    settings.colours = ColourChoice::Cividis;
    settings.scaling = Scaling::SymmetricLog;
    settings.clipPercentile = 99.9;
    settings.lockedRange(PlaneKind::Value) = ValueRange{-0.5, 2};
    settings.markOutliers = false;
    const auto read = HeatmapSettings::fromJson(settings.toJson());
    QVERIFY(read.has_value());
    QVERIFY(*read == settings);
    const auto defaults = HeatmapSettings::fromJson(HeatmapSettings{}.toJson());
    QVERIFY(defaults.has_value() && *defaults == HeatmapSettings{});
    QVERIFY(!(settings == HeatmapSettings{}));
}

void TestHeatmapParts::settingsRefuseWrongJson() {
    for (const char* text :
         {R"({"map": "layer-moon"})", R"({"kind": 3})", R"({"clipPercentile": 0})", R"({"clipPercentile": "x"})",
          R"({"relative": 1})", R"({"ranges": {"key": [2, 1]}})", R"({"ranges": {"soul": [0, 1]}})"}) {
        const auto read = HeatmapSettings::fromJson(QJsonDocument::fromJson(text).object());
        QVERIFY2(!read.has_value(), text);
        QVERIFY(!read.error().message().empty());
    }
}

void TestHeatmapParts::ticksAreWholeNumbers() {
    IntegerTicker ticker(128);
    QVector<double> ticks;
    QVector<QString> labels;
    ticker.generate(QCPRange(12200, 12203), QLocale::c(), u'g', 6, ticks, nullptr, &labels);
    QVERIFY(ticks.contains(12201.0));
    QCOMPARE(labels[ticks.indexOf(12201.0)], QStringLiteral("12,329"));
    for (const double tick : ticks)
        QCOMPARE(tick, std::round(tick));
    // Eight ticks over 20 would be 2.5 apart.
    ticker.generate(QCPRange(0, 20), QLocale::c(), u'g', 6, ticks, nullptr, nullptr);
    QCOMPARE(ticks[1] - ticks[0], 2.0);
}

void TestHeatmapParts::historyGoesBackAndForward() {
    const PlotView a{{0, 1}, {0, 1}};
    const PlotView b{{0, 2}, {0, 1}};
    const PlotView c{{0, 3}, {0, 1}};
    ViewHistory history;
    QVERIFY(!history.back(a).has_value());
    history.remember(a);
    history.remember(b);
    QVERIFY(history.back(c) == b);
    QVERIFY(history.back(b) == a);
    QVERIFY(!history.canGoBack());
    QVERIFY(history.forward(a) == b);
    history.remember(b);
    QVERIFY(!history.canGoForward());
}

void TestHeatmapParts::textIsFoundAcrossTokens() {
    const views::TokenAxis tokens(makeHeatmapCache(), PlaneKind::Key, {}, std::nullopt);
    QCOMPARE(tokens.text(250), QStringLiteral(" needle"));
    const auto needles = findTokens(tokens, QStringLiteral("NEEDLE"));
    QCOMPARE(needles.size(), std::size_t{4});
    QVERIFY((needles[1] == TokenMatch{750, 751}));
    const auto spanning = findTokens(tokens, QStringLiteral("w249 need"));
    QCOMPARE(spanning.size(), std::size_t{1});
    QVERIFY((spanning.front() == TokenMatch{249, 251}));
    QVERIFY(findTokens(tokens, QStringLiteral("haystack")).empty());
    const views::TokenAxis late(makeHeatmapCache({.firstPosition = 100}), PlaneKind::Key, {}, LayerIndex(0));
    QCOMPARE(late.position(5), std::int64_t{105});
    QVERIFY((findTokens(late, QStringLiteral("needle")).front() == TokenMatch{150, 151}));
}

void TestHeatmapParts::tilesShowEveryStatistic() {
    CellBlock block;
    block.rect = {0, 0, 2, 2};
    block.cells = {Cell{-3, 1, -1, 2, 10, false}, Cell{kNan, kNan, kNan, kNan, 0, false}, Cell{1, 5, 3, 3.5F, 10, true},
                   Cell{2, 4, 3, 3.2F, 10, false}};
    HeatmapTile tile(block);
    HeatmapColouring colouring;
    colouring.scale = ColourScale(ColourMapId::Viridis, Scaling::Linear, {-4, 4});
    colouring.rowFactors = {1, 0.5F};
    const auto pixel = [&](Reduction reduction, int column, int row) {
        colouring.reduction = reduction;
        ++colouring.version;
        return tile.image(colouring, QRect(column, row, 1, 1)).pixel(column, row);
    };
    const auto colour = [&](float value) { return colouring.scale.colour(value); };
    QCOMPARE(pixel(Reduction::Rms, 0, 0), colour(2));
    QCOMPARE(pixel(Reduction::MaxAbs, 0, 0), colour(3));
    QCOMPARE(pixel(Reduction::Mean, 0, 0), colour(-1));
    QCOMPARE(pixel(Reduction::Min, 0, 0), colour(-3));
    QCOMPARE(pixel(Reduction::Max, 0, 0), colour(1));
    QCOMPARE(pixel(Reduction::Std, 0, 0), colour(std::sqrt(3.0F)));
    QCOMPARE(pixel(Reduction::Max, 1, 1), colour(2));
    QCOMPARE(pixel(Reduction::Rms, 0, 1), specialColours(ColourMapId::Viridis).nonFinite);
    QCOMPARE(qAlpha(pixel(Reduction::Rms, 1, 0)), 0);
    // One pixel was coloured; the others come when they are needed, in the same version.
    const QImage& whole = tile.image(colouring, QRect(0, 0, 2, 2));
    QCOMPARE(whole.pixel(0, 0), colour(2));
    QCOMPARE(whole.pixel(0, 1), specialColours(ColourMapId::Viridis).nonFinite);
    QCOMPARE(whole.pixel(1, 1), colour(1.6F));
}

void TestHeatmapParts::automaticRangeCoversThePercentile() {
    const KvCache cache = makeHeatmapCache({.tokens = 100});
    ThreadPool pool(2);
    const auto map = CacheMap::create(cache, pool);
    MapSpec spec;
    const auto overview = readOverview(*map, spec, true, HeatmapSettings());
    QVERIFY(overview.has_value());
    // 100 columns fit the overview whole, so that the range is that of all cells.
    std::vector<float> naive;
    for (std::int64_t layer = 0; layer < 6; ++layer) {
        std::vector<float> plane(std::size_t{100} * 64);
        QVERIFY(cache.readRows(PlaneId{LayerIndex(layer), PlaneKind::Key, {}}, tokenRange(0, 100), plane).has_value());
        double all = 0;
        std::vector<double> rows(100);
        for (std::size_t i = 0; i < plane.size(); ++i) {
            rows[i / 64] += static_cast<double>(plane[i]) * plane[i] / 64;
            all += static_cast<double>(plane[i]) * plane[i] / 6400;
        }
        for (const double row : rows)
            naive.push_back(static_cast<float>(std::sqrt(row / all)));
    }
    std::sort(naive.begin(), naive.end());
    const HeatmapSettings settings;
    const ValueRange range = automaticRange(**overview, settings);
    // These rms lie close together: the range starts at the 0.5th percentile instead of 0.
    const auto below = std::count_if(naive.begin(), naive.end(),
                                     [&](float value) { return static_cast<double>(value) < range.lower * 0.9999; });
    QVERIFY(range.lower > 0.4 * range.upper);
    QVERIFY(below >= 1 && below <= 4);
    HeatmapSettings largest = settings;
    largest.reduction = Reduction::MaxAbs;
    largest.relative = false;
    QCOMPARE(automaticRange(**overview, largest).lower, 0.0);
    const auto inside = std::count_if(naive.begin(), naive.end(),
                                      [&](float value) { return static_cast<double>(value) <= range.upper * 1.0001; });
    const double share = 100.0 * static_cast<double>(inside) / static_cast<double>(naive.size());
    QVERIFY2(share >= 99.4 && share <= 99.8, qPrintable(QString::number(share)));
    HeatmapSettings signedView = settings;
    signedView.reduction = Reduction::Mean;
    const ValueRange symmetric = automaticRange(**overview, signedView);
    QCOMPARE(symmetric.lower, -symmetric.upper);
    QVERIFY(symmetric.upper > 0);
}

void TestHeatmapParts::pickedCellsBecomeASelection() {
    const KvGeometry geometry = makeHeatmapCache({.tokens = 50}).geometry();
    MapSpec spec;
    spec.kind = PlaneKind::Value;
    const Selection picked = pickedSelection({}, spec, QRectF(10, 2, 5, 1), geometry);
    QCOMPARE(picked.kind, PlaneKind::Value);
    QVERIFY(picked.layers == layerRange(2, 3));
    QVERIFY(picked.tokens == tokenRange(10, 15));
    QVERIFY(!picked.channels.has_value());
    QVERIFY(selectedCells(picked, spec, {50, 6}, geometry) == QRectF(10, 2, 5, 1));
    spec.kind = PlaneKind::Key;
    QVERIFY(!selectedCells(picked, spec, {50, 6}, geometry).has_value());

    MapSpec channels;
    channels.map = MapKind::LayerChannel;
    const Selection column = pickedSelection({}, channels, QRectF(20, 1, 1, 1), geometry);
    QVERIFY(column.channels == channelRange(20, 21));
    QVERIFY(!column.tokens.has_value());
}

void TestHeatmapParts::headsNarrowTheChannels() {
    const KvGeometry geometry = makeHeatmapCache({.tokens = 50}).geometry();
    Selection selection;
    selection.layers = layerRange(4, 5);
    selection.head = HeadIndex(2);
    const MapSpec spec = specFor(HeatmapSettings::defaults(MapKind::TokenChannel), selection, geometry);
    QCOMPARE(spec.layer.value, std::int64_t{4});
    QVERIFY(spec.head == HeadIndex(2));
    QCOMPARE(firstChannel(spec, geometry), std::int64_t{32});
    const Selection picked = pickedSelection(selection, spec, QRectF(7, 3, 1, 1), geometry);
    QVERIFY(picked.channels == channelRange(35, 36));
    const Hover hover = hoverAt(spec, {7, 3}, geometry);
    QCOMPARE(hover.channel->value, std::int64_t{35});
    QVERIFY((placeOf(hover, spec, geometry).cell == MapCell{7, 3}));

    MapSpec heads;
    heads.map = MapKind::HeadToken;
    const Selection head = pickedSelection({}, heads, QRectF(7, 1, 1, 1), geometry);
    QVERIFY(head.head == HeadIndex(1));
    QVERIFY(head.channels == channelRange(16, 32));
}

QTEST_MAIN(TestHeatmapParts)
#include "test_heatmap_parts.moc"
