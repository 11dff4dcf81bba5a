// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "app/workspace.h"
#include "views/chart_panel.h"
#include "views/chart_widget.h"
#include "views/codec_session.h"
#include "views/regime_chart.h"
#include "views/statistics_table.h"
#include "views/stream_charts_view.h"
#include "views/stream_outputs.h"
#include "views/stream_session.h"
#include "views/theme.h"
#include "views/timeline_canvas.h"
#include "views/timeline_controls.h"
#include "views/timeline_view.h"
#include "views/timeline_why.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFile>
#include <QMenu>
#include <QPainter>
#include <QSettings>
#include <QSpinBox>
#include <QSvgGenerator>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QToolButton>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <set>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {
constexpr int kPatience = 30000;
}

/// The timelines and the charts of streaming under mouse and keyboard.
class TestTimelineView : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1600, 1000);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
        window_->openPaths({qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QStringLiteral("/prose.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Main) != nullptr, kPatience);
        session_ = &StreamSession::of(*window_->workspace().document(Workspace::Slot::Main));
        QVERIFY(session_->rates() == nullptr);
        window_->showView(QStringLiteral("timeline"));
        view_ = window_->findChild<TimelineView*>();
        QTRY_VERIFY_WITH_TIMEOUT(view_->isReady(), kPatience);
        // The docks have their places.
        QTest::qWait(0);
    }

    void cleanup() { window_.reset(); }

    void aPointOfTheBandwidthIsDraggedAndUndone() {
        const int steps = undo().count();
        const double before = ttft("kvz-low");
        const QPointF handle(picture().xOf(0), picture().yOf(4e9));
        drag({handle, handle + QPointF(0, 20), QPointF(handle.x(), picture().yOf(1e9))});
        QVERIFY(std::abs(session_->bandwidth() - 1e9) < 0.1e9);
        QVERIFY(ttft("kvz-low") > 3 * before);
        QCOMPARE(undo().count(), steps + 1);
        undo().undo();
        QCOMPARE(session_->bandwidth(), 4e9);
        QCOMPARE(ttft("kvz-low"), before);
    }

    void pointsAreAddedMovedAndRemovedByKeys() {
        QTest::mouseDClick(viewport(), Qt::LeftButton, {}, QPointF(picture().xOf(0.5), picture().yOf(1e9)).toPoint());
        QCOMPARE(curve().points().size(), std::size_t(2));
        QVERIFY(std::abs(curve().points()[1].seconds - 0.5) < 0.01);
        QVERIFY(ttft("kvz-high") > 1.5);
        QTest::keyClick(&canvas(), Qt::Key_P);
        QTest::keyClick(&canvas(), Qt::Key_P);
        const double rate = curve().points()[1].bitsPerSecond;
        QTest::keyClick(&canvas(), Qt::Key_Up, Qt::ControlModifier);
        QVERIFY(std::abs(curve().points()[1].bitsPerSecond - 1.1 * rate) < 1);
        const double seconds = curve().points()[1].seconds;
        QTest::keyClick(&canvas(), Qt::Key_Right, Qt::ControlModifier);
        QVERIFY(std::abs(curve().points()[1].seconds - seconds - 0.01) < 1e-9);
        QTest::keyClick(&canvas(), Qt::Key_Delete);
        QCOMPARE(curve().points().size(), std::size_t(1));
    }

    void theBandwidthIsPainted() {
        const int steps = undo().count();
        view_->findChild<QCheckBox*>(QStringLiteral("paint"))->click();
        const double y = picture().yOf(0.5e9);
        drag({QPointF(picture().xOf(0.2), y), QPointF(picture().xOf(0.6), y), QPointF(picture().xOf(1.0), y)});
        QVERIFY(std::abs(curve().bitsPerSecondAt(0.1) - 4e9) < 1);
        for (const double seconds : {0.25, 0.6, 0.95})
            QVERIFY(std::abs(curve().bitsPerSecondAt(seconds) - 0.5e9) < 0.06e9);
        QVERIFY(std::abs(curve().bitsPerSecondAt(1.2) - 4e9) < 1);
        QCOMPARE(undo().count(), steps + 1);
        // 0.8 s of it carry an eighth.
        QVERIFY(ttft("kvz-high") > 1.6);
    }

    void aSecondPathIsAddedChangedAndUndone() {
        const int steps = undo().count();
        const double before = ttft("kvz-high");
        auto* more = view_->findChild<QToolButton*>(QStringLiteral("more"));
        auto* second = view_->findChild<QCheckBox*>(QStringLiteral("secondPath"));
        auto* rate = view_->findChild<QDoubleSpinBox*>(QStringLiteral("secondBandwidth"));
        auto* rtt = view_->findChild<QDoubleSpinBox*>(QStringLiteral("secondRtt"));
        auto* network = view_->findChild<QComboBox*>(QStringLiteral("secondNetwork"));
        QTimer::singleShot(0, this, [&] {
            QVERIFY(second->isVisible() && !rate->isEnabled());
            QTest::keyClick(second, Qt::Key_Space);
            QVERIFY(rate->isEnabled());
            rate->setFocus();
            rate->selectAll();
            QTest::keyClicks(rate, "4");
            QTest::keyClick(rate, Qt::Key_Return);
            rtt->setFocus();
            rtt->selectAll();
            QTest::keyClicks(rtt, "20");
            QTest::keyClick(rtt, Qt::Key_Return);
            more->menu()->close();
        });
        QTest::mouseClick(more, Qt::LeftButton);
        QVERIFY(session_->settings().second.has_value());
        QCOMPARE(undo().count(), steps + 3);
        // Twice the bandwidth: half of the chunks come on each path, in half of the time.
        QVERIFY(std::abs(ttft("kvz-high") / before - 0.5) < 0.1);
        const auto& chunks = session_->row("kvz-high")->timeline.chunks;
        QCOMPARE(std::ranges::count(chunks, 1U, &ChunkTimes::path), static_cast<std::ptrdiff_t>(chunks.size() / 2));
        // Both curves are drawn, and the bars of the two paths lie below each other.
        QVERIFY(picture().scene().second != nullptr);
        std::set<int> tops;
        const TimelinePicture now = picture();
        for (const TimelineItem& item : now.items()) {
            if (item.row == 0 && item.lane == TimelineLane::Network)
                tops.insert(static_cast<int>(item.rect.top()));
        }
        QCOMPARE(tops.size(), std::size_t(2));
        QVERIFY(colourIsDrawn(Theme::from(canvas().palette()).kind(PlaneKind::Value), picture().curveArea()));
        network->setCurrentIndex(network->findText(QStringLiteral("LTE")));
        emit network->activated(network->currentIndex());
        QVERIFY(session_->secondCurve()->points().size() > 10);
        QVERIFY(std::abs(session_->settings().second->trace->meanBitsPerSecond() - 4e9) < 1e6);
        for (int i = 0; i < 4; ++i)
            undo().undo();
        QVERIFY(!session_->settings().second && !second->isChecked() && !rate->isEnabled());
        QCOMPARE(ttft("kvz-high"), before);
        window_->commands().find(QStringLiteral("stream.secondPath"))->trigger();
        QVERIFY(session_->settings().second && second->isChecked());
        undo().undo();
        QVERIFY(!colourIsDrawn(Theme::from(canvas().palette()).kind(PlaneKind::Value), picture().curveArea()));
    }

    void theSloIsDraggedAndLateRunsSaySo() {
        QVERIFY(session_->row("kvz-high")->timeline.meetsSlo());
        const QRectF axis = picture().axisArea();
        const QPointF line(picture().xOf(2.0), picture().rowsArea().top() + 40);
        QVERIFY(picture().isSloAt(line));
        QVERIFY(!axis.contains(line));
        drag({line, line - QPointF(30, 0), QPointF(picture().xOf(1.0), line.y())});
        QVERIFY(std::abs(session_->settings().sloSeconds - 1.0) < 0.02);
        QVERIFY(!session_->row("kvz-high")->timeline.meetsSlo());
        QTest::keyClick(&canvas(), Qt::Key_BraceRight, Qt::ShiftModifier);
        QVERIFY(std::abs(session_->settings().sloSeconds - 1.1) < 0.02);
        undo().undo();
        undo().undo();
        QCOMPARE(session_->settings().sloSeconds, 2.0);
    }

    void keysGoThroughStrategiesAndChunks() {
        canvas().setFocus();
        const auto indexOfFocus = [this] {
            const auto& rows = session_->rows();
            return std::ranges::find(rows, session_->focusName(), &StreamRow::name) - rows.begin();
        };
        const auto first = indexOfFocus();
        QTest::keyClick(&canvas(), Qt::Key_Down);
        QCOMPARE(indexOfFocus(), first + 1);
        QTest::keyClick(&canvas(), Qt::Key_Up);
        QCOMPARE(indexOfFocus(), first);
        QTest::keyClick(&canvas(), Qt::Key_Period);
        QTest::keyClick(&canvas(), Qt::Key_Period);
        QCOMPARE(session_->chunk().value_or(99), std::size_t(1));
        QCOMPARE(*window_->workspace().selection().current().tokens, tokenRange(16, 32));
        QVERIFY(view_->why().isVisible());
        QTest::keyClick(&canvas(), Qt::Key_Comma);
        QCOMPARE(session_->chunk().value_or(99), std::size_t(0));
        const double bandwidth = session_->bandwidth();
        QTest::keyClick(&canvas(), Qt::Key_BracketLeft);
        QVERIFY(session_->bandwidth() < bandwidth);
    }

    void everyFormHasAForecastThatSaysWhatItRestsOn() {
        const auto basis = [this](std::size_t form) { return view_->why().table().table().rows[form][3].toString(); };
        // The very first chunk is decided before any has come.
        session_->setChunk(0);
        const StatisticsTable& table = view_->why().table().table();
        QCOMPARE(table.rows.size(), session_->input()->candidateCount());
        QVERIFY(table.rows[0][0].toString().startsWith(QStringLiteral("\u25b6")));
        QCOMPARE(basis(0), QStringLiteral("prefill"));
        QCOMPARE(basis(1), QStringLiteral("token ids"));
        QVERIFY(view_->why().text().contains(QStringLiteral("while the token ids came")));
        StreamSettings known = session_->settings();
        known.bandwidthKnown = true;
        QVERIFY(session_->edit(QStringLiteral("known"), known));
        QCOMPARE(basis(1), QStringLiteral("given"));
        // A strategy that weighs nothing: what each form would have brought, in brackets.
        session_->setFocus("kvz-low");
        session_->setChunk(3);
        QCOMPARE(basis(0), QStringLiteral("(prefill)"));
        QCOMPARE(basis(1), QStringLiteral("(measured)"));
        for (const StreamRow& row : session_->rows()) {
            session_->setFocus(row.name);
            for (std::size_t chunk = 0; chunk < session_->input()->chunkCount(); ++chunk) {
                session_->setChunk(chunk);
                for (const auto& cells : view_->why().table().table().rows)
                    QVERIFY2(cells[1].typeId() == QMetaType::Double, row.name.c_str());
            }
        }
    }

    void scrubbingShowsTheRunAsOfThen() {
        const QRectF axis = picture().axisArea();
        drag({QPointF(picture().xOf(0.2), axis.center().y()), QPointF(picture().xOf(0.5), axis.center().y())});
        QVERIFY(std::abs(session_->player().position() - 0.5) < 0.01);
        QTest::keyClick(&canvas(), Qt::Key_Right);
        QVERIFY(std::abs(session_->player().position() - 0.51) < 0.01);
        QTest::keyClick(&canvas(), Qt::Key_Home);
        QCOMPARE(session_->player().position(), 0.0);
    }

    void theSummaryFitsASmallWindow() {
        window_->resize(1280, 720);
        view_->showSummary();
        const auto* summary = view_->findChild<StatisticsTableView*>(QStringLiteral("summary"));
        // First token, SLO, bytes, error and seconds of compute are seen without scrolling.
        constexpr int kLast = 5;
        QCOMPARE(summary->table().columns[kLast].title, QStringLiteral("Compute"));
        QTRY_VERIFY(summary->columnViewportPosition(kLast) + summary->columnWidth(kLast) <=
                    summary->viewport()->width());
    }

    void theBandwidthAfterARunIsThatOfTheNext() {
        StreamPlayer& player = session_->player();
        player.setPosition(0.4);
        session_->setBandwidth(1e9);
        QCOMPARE(session_->settings().pulls.size(), std::size_t{1});
        player.setPosition(player.end());
        session_->setBandwidth(2e9);
        QVERIFY(session_->settings().pulls.empty() && !player.isActive());
        QVERIFY(std::abs(curve().bitsPerSecondAt(0.1) - 2e9) < 1);
    }

    void spacePlaysFromTheSliderAndTheBoxesToo() {
        for (const char* name : {"bandwidthSlider", "bandwidth", "slo"}) {
            auto* control = view_->findChild<QWidget*>(QLatin1String(name));
            QVERIFY(control != nullptr);
            control->setFocus();
            QTest::keyClick(control, Qt::Key_Space);
            QVERIFY2(session_->player().isPlaying(), name);
            QTest::keyClick(control, Qt::Key_Space);
            QVERIFY2(!session_->player().isPlaying(), name);
        }
    }

    void layersShareThePredictedError() {
        session_->setFocus("kvz-low");
        window_->commands().find(QStringLiteral("stream.outputs"))->trigger();
        StreamOutputs& outputs = view_->outputs();
        QVERIFY(outputs.isVisible());
        outputs.setPage(StreamOutputs::Page::Layers);
        const StatisticsTable& table = outputs.table().table();
        QCOMPARE(table.rows.size(), std::size_t{32});
        double error = 0;
        double share = 0;
        for (const auto& row : table.rows) {
            error += row[1].toDouble() / 32;
            share += row[2].toDouble();
        }
        QVERIFY(std::abs(share - 100) < 1e-9);
        // Behind each share lies a bar; the largest fills its cell.
        const QAbstractItemModel* model = outputs.table().model();
        double longest = 0;
        for (int row = 0; row < model->rowCount(); ++row)
            longest = std::max(longest, model->index(row, 2).data(StatisticsTableModel::kBarRole).toDouble());
        QCOMPARE(longest, 1.0);
        QVERIFY(!model->index(0, 1).data(StatisticsTableModel::kBarRole).isValid());
        // All layers are of one size: their mean is the error of the whole.
        QVERIFY(std::abs(error / session_->row("kvz-low")->timeline.error - 1) < 1e-6);
        session_->setFocus("raw");
        QVERIFY(!outputs.table().table().rows.empty());
        QCOMPARE(outputs.table().table().rows[0][1].toDouble(), 0.0);
    }

    void compressingPaysBelowTheBreakEven() {
        view_->showOutputs();
        view_->outputs().setPage(StreamOutputs::Page::BreakEven);
        const StatisticsTable table = view_->outputs().table().table();
        QCOMPARE(table.rows.size(), std::size_t{4});
        // By hand: 2 GiB in 16 bit; decoded at 10 GB/s.
        const double raw = 2.0 * 32 * 2 * 1024 * 16384;
        double bytes = 0;
        for (const ChunkTimes& chunk : session_->row("kvz-low")->timeline.chunks)
            bytes += chunk.wireBytes;
        const auto& low = table.rows.back();
        QCOMPARE(low[0].toString(), QStringLiteral("kvz-low"));
        QVERIFY(std::abs(low[2].toDouble() / (raw / bytes) - 1) < 1e-6);
        QVERIFY(std::abs(low[3].toDouble() / (80 * (raw / bytes - 1) / (raw / bytes)) - 1) < 1e-6);
        QCOMPARE(low[4].toDouble(), 80.0);
        QCOMPARE(low[1].toString(), QStringLiteral("yes"));
        session_->setBandwidth(79e9);
        QCOMPARE(view_->outputs().table().table().rows.back()[1].toString(), QStringLiteral("only pipelined"));
        session_->setBandwidth(200e9);
        QCOMPARE(view_->outputs().table().table().rows.back()[1].toString(), QStringLiteral("no"));
    }

    void contextsShareTheLink() {
        session_->setFocus("kvz-low");
        view_->showOutputs();
        view_->outputs().setPage(StreamOutputs::Page::Shared);
        auto* count = view_->findChild<QSpinBox*>(QStringLiteral("outputsContexts"));
        QVERIFY(count->isVisible());
        count->setValue(1);
        const double alone = ttft("kvz-low");
        QVERIFY(std::abs(view_->outputs().table().table().rows[0][1].toDouble() - alone) < 1e-9);
        count->setValue(3);
        QCOMPARE(view_->outputs().table().table().rows.size(), std::size_t{3});
        for (const auto& row : view_->outputs().table().table().rows)
            QVERIFY(row[1].toDouble() > 2.5 * alone && row[1].toDouble() < 3.1 * alone);
    }

    void theTunedPlanIsALevelOfTheLadder() {
        CodecSession& codec = CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
        window_->showView(QStringLiteral("codec"));
        QTRY_VERIFY_WITH_TIMEOUT(codec.planCount() > 0, kPatience);
        window_->showView(QStringLiteral("timeline"));
        QTRY_VERIFY_WITH_TIMEOUT(view_->isReady(), kPatience);
        QCOMPARE(session_->rows().size(), std::size_t{10});
        std::vector<LayerKind> cells;
        for (int layer = 0; layer < 6; ++layer)
            cells.push_back({LayerIndex(layer), PlaneKind::Value});
        codec.applyPreset(QStringLiteral("kvz-low"), cells);
        QTRY_COMPARE_WITH_TIMEOUT(session_->rows().size(), std::size_t{11}, kPatience);
        const std::string name = codec.plan().name;
        QVERIFY2(name != "kvz-medium", name.c_str());
        const StreamRow* tuned = session_->row(name);
        QVERIFY(tuned != nullptr);
        QVERIFY(tuned->timeline.wireBytes < session_->row("kvz-medium")->timeline.wireBytes);
        QVERIFY(tuned->timeline.wireBytes > session_->row("kvz-low")->timeline.wireBytes);
        undo().undo();
        QTRY_COMPARE_WITH_TIMEOUT(session_->rows().size(), std::size_t{10}, kPatience);
    }

    void aLostChunkIsSentAgain() {
        const double before = ttft("kvz-high");
        StreamSettings next = session_->settings();
        next.faults.push_back({Fault::Kind::Lose, 5, 0});
        QVERIFY(session_->edit(QStringLiteral("fault"), next));
        QVERIFY(ttft("kvz-high") > before + 0.02);
        undo().undo();
        QCOMPARE(ttft("kvz-high"), before);
    }

    void whatCannotBeSimulatedIsRefusedInWords() {
        StreamSettings next = session_->settings();
        next.compute.prefillTokensPerSecond = -1;
        QVERIFY(!session_->edit(QStringLiteral("prefill"), next));
        QVERIFY(!view_->errorText().isEmpty());
        QCOMPARE(session_->rows().size(), std::size_t(10));
        // A trace with a negative rate, by the same way as a user's file.
        const QString path = folder_.filePath(QStringLiteral("bad.csv"));
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly) && file.write("0,100\n1,-5\n") > 0);
        file.close();
        view_->controls().loadTrace(path);
        QTRY_VERIFY_WITH_TIMEOUT(view_->errorText().contains(QStringLiteral("bad.csv")), kPatience);
        QCOMPARE(session_->bandwidth(), 4e9);
    }

    void aTraceFileGivesTheShapeAndTheSliderTheMean() {
        const QString path = folder_.filePath(QStringLiteral("steps.csv"));
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly) && file.write("0,100\n1,300\n2,300\n") > 0);
        file.close();
        view_->controls().loadTrace(path);
        QTRY_COMPARE_WITH_TIMEOUT(curve().points().size(), std::size_t(3), kPatience);
        QVERIFY(std::abs(curve().meanBitsPerSecond() - 4e9) < 1);
        QVERIFY(std::abs(curve().bitsPerSecondAt(1.5) / curve().bitsPerSecondAt(0.5) - 3) < 1e-9);
    }

    void aMeasuredRunStandsBesideTheSimulatedOne() {
        Timeline measured = session_->row("kvscope")->timeline;
        measured.ttft += 0.01;
        session_->setMeasured("kvscope", measured);
        QCOMPARE(session_->rows().size(), std::size_t(11));
        QCOMPARE(session_->row("kvscope", true)->timeline.ttft, measured.ttft);
        session_->setFocus("kvscope", true);
        QCOMPARE(picture().scene().focusRow.has_value(), true);
        // The simulation is laid over it, in its row alone.
        const TimelinePicture shown = picture();
        const auto overlaid = [](const TimelineItem& item) { return item.simulated; };
        QVERIFY(std::ranges::count_if(shown.items(), overlaid) > 16);
        for (const TimelineItem& item : shown.items())
            QVERIFY(!item.simulated || item.row == *shown.scene().focusRow);
        QVERIFY(view_->toCsv().contains(QStringLiteral("kvscope,yes,yes,0,")));
        session_->clearMeasured();
        QCOMPARE(session_->rows().size(), std::size_t(10));
    }

    void hugeContextsAreSimulatedAside() {
        StreamSettings next = session_->settings();
        next.contextTokens = 131072;
        next.chunkTokens = 256;
        QVERIFY(session_->edit(QStringLiteral("context"), next));
        QVERIFY(!session_->isIdle());
        QTRY_VERIFY_WITH_TIMEOUT(session_->isIdle(), kPatience);
        QCOMPARE(session_->row("text")->timeline.chunks.size(), std::size_t(512));
    }

    void commandsPlayPullAndExplain() {
        const auto run = [this](const char* id) {
            auto* action = window_->commands().find(QLatin1String("stream.") + QLatin1String(id));
            QVERIFY(action != nullptr && action->isEnabled());
            action->trigger();
        };
        session_->player().setClock([] { return 0.0; });
        run("play");
        QVERIFY(session_->player().isPlaying());
        run("faster");
        QCOMPARE(session_->player().speed(), 0.2);
        run("less");
        QCOMPARE(session_->settings().pulls.size(), std::size_t(1));
        QCOMPARE(session_->bandwidth(), 3.2e9);
        run("rewind");
        QVERIFY(!session_->player().isActive());
        run("nextChunk");
        QCOMPARE(session_->chunk().value_or(99), std::size_t(0));
        QVERIFY(view_->why().isVisible());
        run("summary");
        QVERIFY(view_->summary().isVisible());
        run("defaults");
        QVERIFY(session_->settings() == defaultStreamSettings());
    }

    void longNamesOfMeasuredRunsAreNotCut() {
        session_->setMeasured("kvz-medium", session_->row("kvz-medium")->timeline);
        session_->setFocus("kvz-medium", true);
        // Rows so high that their lanes are named leave little room; names stand in them at every height.
        const TimelineScene scene = picture().scene();
        for (const int height : {500, 600, 700, 900}) {
            const QSize size(840, height);
            const TimelinePicture tall(scene, QRectF(QPointF(), QSizeF(size)), Theme::from(canvas().palette()),
                                       canvas().font());
            const QByteArray text = svg(size, [&tall](QPainter& painter) { tall.paint(painter); });
            QVERIFY(text.contains(">kvz-medium measured</text>") || text.contains(">measured</text>"));
            QCOMPARE(text.count(">kvz-medium</text>"), text.contains(">measured</text>") ? 3 : 2);
        }
    }

    void exportsAsPictureAndNumbers() {
        const QByteArray text = svg({1000, 600}, [this](QPainter& painter) {
            view_->paintTo(painter, {0, 0, 1000, 600});
        });
        for (const char* word : {"kvscope", "oracle", "projected", "SLO"})
            QVERIFY2(text.contains(word), word);
        const QStringList lines = view_->toCsv().split(QLatin1Char('\n'), Qt::SkipEmptyParts);
        QCOMPARE(lines.size(), qsizetype(1 + 10 * 16));
    }

    void chartsFollowTheSettings() {
        auto* charts = showCharts(StreamChartsView::Chart::Ttft);
        const auto& series = charts->lines().data().series;
        QCOMPARE(series.size(), std::size_t(10));
        const auto low = std::ranges::find(series, QStringLiteral("kvz-low"), &ChartSeries::name);
        // More bandwidth never makes a fixed level later.
        QVERIFY(std::ranges::is_sorted(low->y, std::greater<>()));
        const double before = low->y.front();
        StreamSettings next = session_->settings();
        next.contextTokens = 8192;
        QVERIFY(session_->edit(QStringLiteral("context"), next));
        QVERIFY(!charts->isReady());
        QTRY_VERIFY_WITH_TIMEOUT(charts->isReady(), kPatience);
        const auto& after = charts->lines().data().series;
        const double half = std::ranges::find(after, QStringLiteral("kvz-low"), &ChartSeries::name)->y.front();
        QVERIFY(std::abs(half / before - 0.5) < 0.03);
        for (const auto chart : {StreamChartsView::Chart::Violations, StreamChartsView::Chart::Quality}) {
            charts->setChart(chart);
            charts->setAxis(StreamChartsView::Axis::Context);
            QTRY_VERIFY_WITH_TIMEOUT(charts->isReady(), kPatience);
            QCOMPARE(charts->lines().data().series.size(), std::size_t(10));
            QVERIFY(charts->panel().caption().startsWith(QStringLiteral("projected")));
        }
    }

    void theRegimeMapTakesOneToAPlace() {
        auto* charts = showCharts(StreamChartsView::Chart::Regimes);
        const RegimeMap& map = charts->regimes().map();
        for (const Regime regime : {Regime::Text, Regime::Compressed, Regime::Raw})
            QVERIFY(std::ranges::any_of(map.cells, [&](const RegimeCell& cell) { return cell.fastest() == regime; }));
        const QPointF at = charts->regimes().pointAt(20e9, 65536);
        QVERIFY(charts->regimes().toolTipAt(at).contains(QStringLiteral("compressed is the fastest")));
        const int steps = undo().count();
        QTest::mouseClick(&charts->regimes(), Qt::LeftButton, {}, at.toPoint());
        QVERIFY(std::abs(session_->bandwidth() / 20e9 - 1) < 0.1);
        QVERIFY(std::abs(static_cast<double>(session_->settings().contextTokens) / 65536 - 1) < 0.1);
        QCOMPARE(undo().count(), steps + 1);
    }

    void theDistributionIsOverAThousandStartingPoints() {
        auto* network = choiceWith(QStringLiteral("random walk"));
        QVERIFY(network != nullptr);
        network->setCurrentIndex(network->findText(QStringLiteral("random walk")));
        emit network->activated(network->currentIndex());
        QVERIFY(curve().points().size() > 10);
        auto* charts = showCharts(StreamChartsView::Chart::Distribution);
        const auto& series = charts->lines().data().series;
        const auto high = std::ranges::find(series, QStringLiteral("kvz-high"), &ChartSeries::name);
        QCOMPARE(high->x.size(), std::size_t(StreamChartsView::kStarts));
        QVERIFY(high->x.back() > high->x.front());
        QCOMPARE(charts->lines().data().marks.size(), std::size_t(3));
        QCOMPARE(charts->panel().currentTable().rows.size(), std::size_t(10));
    }

private:
    /// What is painted, as SVG.
    QByteArray svg(const QSize& size, const std::function<void(QPainter&)>& paint) {
        const QString path = folder_.filePath(QStringLiteral("timeline.svg"));
        {
            QSvgGenerator generator;
            generator.setFileName(path);
            generator.setSize(size);
            generator.setViewBox(QRect(QPoint(), size));
            QPainter painter(&generator);
            paint(painter);
        }
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }

    [[nodiscard]] TimelineCanvas& canvas() { return view_->canvas(); }
    [[nodiscard]] QWidget* viewport() { return canvas().viewport(); }
    [[nodiscard]] TimelinePicture picture() { return canvas().picture(); }
    /// Whether any pixel of a part of the canvas has a colour.
    [[nodiscard]] bool colourIsDrawn(const QColor& colour, const QRectF& area) {
        const QImage image = viewport()->grab(area.toRect()).toImage();
        for (int y = 0; y < image.height(); ++y) {
            for (int x = 0; x < image.width(); ++x) {
                if (image.pixelColor(x, y) == colour)
                    return true;
            }
        }
        return false;
    }
    [[nodiscard]] const BandwidthTrace& curve() const { return session_->bandwidthCurve(); }
    [[nodiscard]] double ttft(const char* name) const { return session_->row(name)->timeline.ttft; }
    [[nodiscard]] QUndoStack& undo() { return window_->workspace().undoStack(); }

    [[nodiscard]] QComboBox* choiceWith(const QString& entry) {
        for (auto* box : view_->findChildren<QComboBox*>()) {
            if (box->findText(entry) >= 0)
                return box;
        }
        return nullptr;
    }

    StreamChartsView* showCharts(StreamChartsView::Chart chart) {
        window_->showView(QStringLiteral("stream-charts"));
        auto* charts = window_->findChild<StreamChartsView*>();
        charts->setChart(chart);
        [&] { QTRY_VERIFY_WITH_TIMEOUT(charts->isReady(), kPatience); }();
        return charts;
    }

    /// Presses at the first place, moves through the others, releases at the last.
    void drag(const std::vector<QPointF>& places) {
        QTest::mousePress(viewport(), Qt::LeftButton, {}, places.front().toPoint());
        for (const QPointF& place : places) {
            QMouseEvent move(QEvent::MouseMove, place, viewport()->mapToGlobal(place), Qt::LeftButton, Qt::LeftButton,
                             {});
            QCoreApplication::sendEvent(viewport(), &move);
        }
        QTest::mouseRelease(viewport(), Qt::LeftButton, {}, places.back().toPoint());
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
    TimelineView* view_ = nullptr;
    StreamSession* session_ = nullptr;
};

QTEST_MAIN(TestTimelineView)
#include "test_timeline_view.moc"
