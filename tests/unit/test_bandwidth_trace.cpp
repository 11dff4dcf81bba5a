// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/seeded_random.h"
#include "core/stream/trace_presets.h"
#include "core/stream/trace_reader.h"
#include "core/stream/trace_shapes.h"

#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

using namespace kvscope;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(KVSCOPE_SOURCE_DIR) / "tests/golden/stream";

std::filesystem::path testData() {
    const char* set = std::getenv("KVSCOPE_TEST_DATA");
    return set != nullptr ? std::filesystem::path(set) : std::filesystem::path(KVSCOPE_SOURCE_DIR) / "../shared/data";
}

bool near(double a, double b, double relative = 1e-9) {
    return std::abs(a - b) <= relative * std::max({1.0, std::abs(a), std::abs(b)});
}

BandwidthTrace steps(TraceEnd end) {
    return *BandwidthTrace::make({{0, 80}, {1, 0}, {2, 160}}, 3, end, "steps");
}

} // namespace

class TestBandwidthTrace : public QObject {
    Q_OBJECT

private slots:
    void readersAgreeWithWalkedFiles_data() {
        QTest::addColumn<QString>("file");
        QTest::addColumn<int>("format");
        QTest::newRow("Mahimahi") << "mahimahi.down" << static_cast<int>(TraceFormat::Mahimahi);
        QTest::newRow("Pensieve") << "pensieve.txt" << static_cast<int>(TraceFormat::Pensieve);
        QTest::newRow("CSV") << "steps.csv" << static_cast<int>(TraceFormat::Csv);
        QTest::newRow("CacheGen") << "cachegen.jsonl" << static_cast<int>(TraceFormat::CacheGen);
    }
    void readersAgreeWithWalkedFiles() {
        QFETCH(QString, file);
        QFETCH(int, format);
        std::ifstream stream(kGolden / "traces.json");
        const auto golden = nlohmann::json::parse(stream)[file.toStdString()];
        const auto trace = openTrace(kGolden / file.toStdString());
        QVERIFY2(trace, trace ? "" : trace.error().message().c_str());
        std::ifstream text(kGolden / file.toStdString());
        const std::string content((std::istreambuf_iterator<char>(text)), {});
        QCOMPARE(static_cast<int>(guessTraceFormat(content)), format);
        QVERIFY(near(trace->duration(), golden["duration"]));
        QVERIFY(near(trace->meanBitsPerSecond(), golden["mean"]));
        for (const auto& row : golden["bytes_until"])
            QVERIFY2(near(trace->bytesUntil(row[0]), row[1]), row.dump().c_str());
        for (const auto& row : golden["when"])
            QVERIFY2(near(trace->timeWhenThrough(row[0], row[1]), row[2]), row.dump().c_str());
    }

    void recordedTracesAreRead() {
        const auto folder = testData() / "traces";
        if (!std::filesystem::exists(folder))
            QSKIP("no recorded traces: set KVSCOPE_TEST_DATA");
        const auto lte = openTrace(folder / "mahimahi/Verizon-LTE-short.down");
        QVERIFY(lte);
        // 58,655 packets in 140 s.
        QVERIFY(near(lte->meanBitsPerSecond(), 58655 * 12000.0 / 140.0));
        for (const char* name : {"lumos5g_5g_27_walking.txt", "norway3g_bus_11.txt", "oboe_trace_168.txt"}) {
            const auto trace = openTrace(folder / "pensieve" / name);
            QVERIFY(trace);
            std::ifstream file(folder / "pensieve" / name);
            double sum = 0;
            double before = 0;
            double time = 0;
            double rate = 0;
            while (file >> time >> rate) {
                sum += (time - before) * rate;
                before = time;
            }
            QVERIFY(near(trace->meanBitsPerSecond(), sum / before * 1e6));
        }
        const auto all = openTrace(folder / "cachegen_bw.jsonl");
        QVERIFY(all);
        QCOMPARE(all->points().size(), 100U);
        const auto second = openTrace(folder / "cachegen_bw.jsonl", {.format = {}, .cacheGenLine = 1});
        QVERIFY(second);
        QCOMPARE(second->points().size(), 10U);
        QCOMPARE(second->points()[0].bitsPerSecond, all->points()[10].bitsPerSecond);
    }

    void integralAndInverseAgree() {
        SeededRandom random(5);
        for (int round = 0; round < 200; ++round) {
            std::vector<TracePoint> points;
            double time = 0;
            for (int i = 0; i < 1 + round % 30; ++i) {
                points.push_back({time, random.uniform() < 0.3 ? 0.0 : 1e3 * random.uniform()});
                time += 0.01 + random.uniform();
            }
            points[points.size() / 2].bitsPerSecond = 500;
            const auto end = round % 2 == 0 ? TraceEnd::Loop : TraceEnd::Hold;
            const auto trace = BandwidthTrace::make(points, time, end, "random");
            QVERIFY(trace);
            for (int i = 0; i < 50; ++i) {
                const double start = 4 * time * random.uniform();
                const double bytes = 3 * trace->bytesUntil(time) * random.uniform();
                const double through = trace->timeWhenThrough(start, bytes);
                if (std::isinf(through)) {
                    QCOMPARE(end, TraceEnd::Hold);
                    QCOMPARE(points.back().bitsPerSecond, 0.0);
                    continue;
                }
                QVERIFY(through >= start);
                QVERIFY(near(trace->bytesBetween(start, through), bytes, 1e-8));
                // And not a moment earlier.
                QVERIFY(trace->bytesBetween(start, through - 1e-6) < bytes + 1e-9);
            }
        }
    }

    void silenceIsWaitedOut() {
        const auto loop = steps(TraceEnd::Loop);
        QCOMPARE(loop.timeWhenThrough(0, 10), 1.0);
        QCOMPARE(loop.timeWhenThrough(0, 12), 2.1);
        QCOMPARE(loop.timeWhenThrough(1.5, 20), 3.0);
        QCOMPARE(loop.timeWhenThrough(0, 30), 3.0);
        QCOMPARE(loop.timeWhenThrough(0, 65), 6.5);
        QCOMPARE(steps(TraceEnd::Hold).timeWhenThrough(0, 70), 5.0);
        QCOMPARE(loop.bitsPerSecondAt(7.5), 0.0);
        const auto dies = stepTrace(std::vector<TracePoint>{{0, 8}, {1, 0}});
        QVERIFY(dies);
        QCOMPARE(dies->timeWhenThrough(0, 1), 1.0);
        QVERIFY(std::isinf(dies->timeWhenThrough(0, 1.001)));
    }

    void editingKeepsTheRest() {
        const auto trace = steps(TraceEnd::Hold);
        const auto painted = trace.withRate(0.5, 2.5, 40);
        QVERIFY(painted);
        QVERIFY(near(painted->bytesUntil(3), 5 + 10 + 10));
        QCOMPARE(painted->bitsPerSecondAt(2.75), 160.0);
        const auto added = trace.withPoint({1.5, 8});
        QVERIFY(added);
        QCOMPARE(added->points().size(), 4U);
        QCOMPARE(added->withoutPoint(2)->bytesUntil(3), trace.bytesUntil(3));
        // A point stays between its neighbours, the first at 0.
        const auto moved = trace.withMovedPoint(1, {7, 16});
        QVERIFY(moved);
        QVERIFY(moved->points()[1].seconds < 2 && moved->points()[1].bitsPerSecond == 16);
        QCOMPARE(trace.withMovedPoint(0, {0.7, 16})->points()[0], (TracePoint{0, 16}));
        QVERIFY(!trace.withoutPoint(0));
        QVERIFY(!trace.withPoint({0.5, -1}));
        QVERIFY(!trace.withRate(2.5, 2.5, 1));
        const auto part = trace.cropped(0.5, 2.5);
        QVERIFY(part);
        QVERIFY(near(part->bytesUntil(2), 15));
        QVERIFY(!trace.cropped(1.0, 2.0));
        QVERIFY(!trace.cropped(0, 3.5));
        QVERIFY(near(trace.scaledToMean(4e9)->meanBitsPerSecond(), 4e9));
        QVERIFY(!trace.scaledToMean(0));
    }

    void shapesCarryWhatTheySay() {
        QCOMPARE(constantTrace(8e9)->bytesUntil(7), 7e9);
        QVERIFY(near(rampTrace(0, 8e9, 4)->bytesUntil(4), 2e9));
        QVERIFY(near(rampTrace(0, 8e9, 4)->bytesUntil(6), 4e9));
        QVERIFY(near(sineTrace(8e9, 8e9, 2)->bytesUntil(20), 20e9));
        QVERIFY(!sineTrace(1, 2, 1));
        const auto walk = randomWalkTrace({.meanBitsPerSecond = 2e9, .seed = 3});
        QVERIFY(near(walk->meanBitsPerSecond(), 2e9));
        QCOMPARE(walk->points()[17], randomWalkTrace({.meanBitsPerSecond = 2e9, .seed = 3})->points()[17]);
        QVERIFY(walk->points()[17] != randomWalkTrace({.meanBitsPerSecond = 2e9, .seed = 4})->points()[17]);
    }

    void presetsFollowTheirTables() {
        for (const TracePreset& preset : tracePresets()) {
            const auto trace = presetTrace(preset, 3e9, 2000, 11);
            QVERIFY(trace);
            QVERIFY(near(trace->meanBitsPerSecond(), 3e9));
            const auto again = presetTrace(preset, 3e9, 2000, 11);
            QVERIFY(std::ranges::equal(trace->points(), again->points()));
            // The peak is where the table's fastest state puts it, and the slowest state is seen.
            double least = trace->peakBitsPerSecond();
            for (const TracePoint& point : trace->points())
                least = std::min(least, point.bitsPerSecond);
            QVERIFY2(least < 0.5 * 3e9, preset.name.data());
            QVERIFY2(trace->peakBitsPerSecond() > 1.2 * 3e9, preset.name.data());
            QVERIFY(!preset.origin.empty());
            QCOMPARE(findTracePreset(preset.id), &preset);
        }
        QCOMPARE(findTracePreset("none"), nullptr);
        QCOMPARE(tracePresets().size(), 5U);
    }

    void badTracesSayWhere_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("says");
        QTest::addColumn<int>("line");
        QTest::newRow("empty") << QByteArray("\n# only a comment\n") << "empty" << 0;
        QTest::newRow("negative rate") << QByteArray("0 1\n1 -2\n") << "negative" << 2;
        QTest::newRow("NaN") << QByteArray("0,1\n\n1,nan\n") << "not a finite number" << 3;
        QTest::newRow("NaN first") << QByteArray("nan,1\n") << "not a finite number" << 1;
        QTest::newRow("infinite") << QByteArray("0,1\n1,inf\n") << "not a finite number" << 2;
        QTest::newRow("unsorted") << QByteArray("0 1\n2 1\n1 1\n") << "not after" << 3;
        QTest::newRow("unsorted CSV") << QByteArray("0,1\n2,1\n2,1\n") << "not after" << 3;
        QTest::newRow("unsorted stamps") << QByteArray("5\n4\n") << "before that of" << 2;
        QTest::newRow("negative stamp") << QByteArray("-5\n4\n") << "negative" << 1;
        QTest::newRow("missing rate") << QByteArray("0 1\n1\n") << "missing" << 2;
        QTest::newRow("missing CSV rate") << QByteArray("0,1\n1,\n") << "missing" << 2;
        QTest::newRow("missing time") << QByteArray("0,1\n,4\n") << "missing" << 2;
        QTest::newRow("words") << QByteArray("0 1\n1 fast\n") << "fast" << 2;
        QTest::newRow("zero for ever") << QByteArray("1 0\n2 0\n") << "zero for ever" << 0;
        QTest::newRow("no list") << QByteArray("{\"bw\": [1]}\n{\"rate\": 3}\n") << "no list" << 2;
        QTest::newRow("broken JSON") << QByteArray("{\"bw\": [1}\n") << "JSON" << 1;
        QTest::newRow("null rate") << QByteArray("{\"bw\": [1, null]}\n") << "rate 2" << 1;
        QTest::newRow("huge") << QByteArray("0,1\n1,1e300\n") << "too large" << 2;
    }
    void badTracesSayWhere() {
        QFETCH(QByteArray, text);
        QFETCH(QString, says);
        QFETCH(int, line);
        const auto trace = readTrace(text.toStdString(), "some.trace");
        QVERIFY(!trace);
        const QString message = QString::fromStdString(trace.error().message());
        QVERIFY2(message.contains(says), qPrintable(message));
        QVERIFY2(message.contains("some.trace"), qPrintable(message));
        if (line > 0)
            QVERIFY2(message.contains("line " + QString::number(line)), qPrintable(message));
    }

    void whatIsNoTextIsNotQuoted() {
        QTemporaryDir folder;
        const std::filesystem::path path = folder.filePath("noise.csv").toStdString();
        std::ofstream(path, std::ios::binary) << "\x1b[2J\x07 and more";
        const auto trace = openTrace(path);
        QVERIFY(!trace);
        QVERIFY2(trace.error().message().find("is not a text file") != std::string::npos,
                 trace.error().message().c_str());
        QVERIFY(trace.error().message().find('\x1b') == std::string::npos);
    }

    void badTracesCannotBeMade() {
        const double nan = std::numeric_limits<double>::quiet_NaN();
        QVERIFY(!BandwidthTrace::make({}, 1, TraceEnd::Loop, "x"));
        QVERIFY(!BandwidthTrace::make({{0, nan}}, 1, TraceEnd::Loop, "x"));
        QVERIFY(!BandwidthTrace::make({{0, 1}}, nan, TraceEnd::Loop, "x"));
        QVERIFY(!BandwidthTrace::make({{nan, 1}}, 1, TraceEnd::Loop, "x"));
        QVERIFY(!BandwidthTrace::make({{0, 1}, {nan, 1}}, 1, TraceEnd::Loop, "x"));
        QVERIFY(!BandwidthTrace::make({{0, 1}, {2, 1}}, 1, TraceEnd::Loop, "x"));
        QVERIFY(!openTrace(kGolden / "absent"));
    }
};

QTEST_APPLESS_MAIN(TestBandwidthTrace)
#include "test_bandwidth_trace.moc"
