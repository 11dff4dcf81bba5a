// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "app/workspace.h"
#include "views/arrival_veil.h"
#include "views/loopback_run.h"
#include "views/rate_scale.h"
#include "views/stream_session.h"
#include "views/timeline_canvas.h"
#include "views/timeline_controls.h"
#include "views/timeline_picture.h"
#include "views/timeline_view.h"
#include "views/transfer_bar.h"

#include <QAction>
#include <QCheckBox>
#include <QContextMenuEvent>
#include <QDoubleSpinBox>
#include <QMenu>
#include <QSettings>
#include <QSignalSpy>
#include <QSlider>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {

constexpr int kPatience = 60000;
/// What else the machine does takes time from single runs: they are repeated, up to so many times, and their median
/// counts.
constexpr int kTurns = 4;
constexpr double kMostDifference = 0.05;

/// More than any difference where there is nothing yet.
double medianOf(std::vector<double> values) {
    if (values.empty())
        return std::numeric_limits<double>::infinity();
    std::ranges::sort(values);
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

} // namespace

/// The open dump streamed over a real socket of this machine, in the timelines, by mouse and keyboard.
class TestLiveStream : public QObject {
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
        window_->showView(QStringLiteral("timeline"));
        view_ = window_->findChild<TimelineView*>();
        QTRY_VERIFY_WITH_TIMEOUT(view_->isReady(), kPatience);
    }

    void cleanup() { window_.reset(); }

    void measuredAndSimulatedLieOverEachOther() {
        std::vector<double> differences;
        for (int turn = 0; turn < kTurns && medianOf(differences) > kMostDifference; ++turn) {
            for (const char* policy : {"kvz-high", "kvz-medium", "kvz-low", "kvscope"}) {
                session_->setFocus(policy);
                runForReal();
                QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
                const StreamRow* measured = session_->row(policy, true);
                const StreamRow* simulated = session_->row(policy);
                QVERIFY(measured != nullptr && simulated != nullptr);
                QVERIFY(measured->timeline.complete());
                const double ratio = measured->timeline.ttft / simulated->timeline.ttft;
                qInfo("%-10s simulated %.4f s, measured %.4f s: %+.2f %%", policy, simulated->timeline.ttft,
                      measured->timeline.ttft, 100 * (ratio - 1));
                differences.push_back(std::abs(ratio - 1));
                if (std::string(policy).starts_with("kvz"))
                    QCOMPARE(measured->timeline.wireBytes, simulated->timeline.wireBytes);
            }
        }
        QVERIFY(medianOf(differences) <= kMostDifference);
    }

    void twoSendersServeTheTwoPaths() {
        view_->findChild<QCheckBox*>(QStringLiteral("secondPath"))->click();
        view_->findChild<QDoubleSpinBox*>(QStringLiteral("secondBandwidth"))->setValue(4);
        session_->setFocus("kvz-high");
        std::vector<double> differences;
        for (int turn = 0; turn < kTurns && medianOf(differences) > 2 * kMostDifference; ++turn) {
            runForReal();
            QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
            const Timeline& measured = session_->row("kvz-high", true)->timeline;
            const Timeline& simulated = session_->row("kvz-high")->timeline;
            const auto onSecond = std::ranges::count(measured.chunks, 1U, &ChunkTimes::path);
            qInfo("%td of %zu chunks on the second path; simulated %.4f s, measured %.4f s", onSecond,
                  measured.chunks.size(), simulated.ttft, measured.ttft);
            QVERIFY(onSecond >= 5 && onSecond <= 11);
            differences.push_back(std::abs(measured.ttft / simulated.ttft - 1));
        }
        QVERIFY(medianOf(differences) <= 2 * kMostDifference);
    }

    void lossAndJitterHoldForRealTransfersToo() {
        const auto type = [this](const char* name, double value) {
            auto* box = view_->findChild<QDoubleSpinBox*>(QLatin1String(name));
            QVERIFY(box != nullptr);
            box->setValue(value);
        };
        std::vector<double> differences;
        for (int turn = 0; turn < kTurns && medianOf(differences) > kMostDifference; ++turn) {
            for (const char* policy : {"kvz-high", "kvz-medium", "kvz-low"}) {
                session_->leaveTransfer();
                type("loss", 0);
                type("jitter", 0);
                type("contention", 20);
                session_->setFocus(policy);
                runForReal();
                QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
                const double plain = session_->row(policy, true)->timeline.ttft;
                // A real run cannot have all that can be set, and says so.
                QVERIFY(run().text().contains(QStringLiteral("slowing each other down")));
                session_->leaveTransfer();
                type("loss", 5);
                type("jitter", 15);
                type("contention", 0);
                runForReal();
                QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
                QVERIFY(!run().text().contains(QStringLiteral("slowing each other down")));
                const double measured = session_->row(policy, true)->timeline.ttft;
                const double simulated = session_->row(policy)->timeline.ttft;
                qInfo("%-10s simulated %.4f s, measured %.4f s (%.4f s without)", policy, simulated, measured, plain);
                QVERIFY(measured > plain + 0.02);
                differences.push_back(std::abs(measured / simulated - 1));
            }
        }
        QVERIFY(medianOf(differences) <= kMostDifference);
    }

    void theBandwidthIsDraggedWhileChunksAreOnTheirWay() {
        session_->setFocus("raw");
        start();
        QTRY_VERIFY_WITH_TIMEOUT(view_->session().player().position() > 0.3, kPatience);
        QVERIFY(session_->transfer() != nullptr);
        const double before = session_->row("raw")->timeline.ttft;
        // Down to an eighth, by the slider under the mouse.
        auto* slider = view_->findChild<QSlider*>(QStringLiteral("bandwidthSlider"));
        slider->setSliderDown(true);
        slider->setSliderPosition(
            RateScale{StreamSession::kLeastRate, StreamSession::kMostRate, TimelineControls::kSliderSteps}.positionOf(
                1.5e9));
        slider->setSliderDown(false);
        QVERIFY(run().isRunning());
        QCOMPARE(session_->settings().pulls.size(), std::size_t{1});
        QTRY_VERIFY_WITH_TIMEOUT(!run().isRunning(), kPatience);
        QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
        const double simulated = session_->row("raw")->timeline.ttft;
        const double measured = session_->row("raw", true)->timeline.ttft;
        qInfo("after the pull: simulated %.3f s, measured %.3f s (%.3f s without)", simulated, measured, before);
        QVERIFY(simulated > 1.5 * before);
        QVERIFY(std::abs(measured / simulated - 1) <= 0.05);
    }

    void faultsFromTheMenuStrikeARealTransfer() {
        session_->setFocus("kvz-high");
        runForReal();
        const Timeline plain = session_->row("kvz-high", true)->timeline;
        QVERIFY(plain.abandoned.empty());
        for (const auto& [entry, kind] : {std::pair(QStringLiteral("Lose"), Fault::Kind::Lose),
                                          std::pair(QStringLiteral("Corrupt"), Fault::Kind::Corrupt),
                                          std::pair(QStringLiteral("Delay"), Fault::Kind::Delay)}) {
            session_->leaveTransfer();
            session_->setFocus("kvz-high");
            chooseFault(5, entry);
            QCOMPARE(session_->settings().faults.size(), std::size_t{1});
            QVERIFY(session_->settings().faults[0].kind == kind);
            runForReal();
            QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
            const Timeline& struck = session_->row("kvz-high", true)->timeline;
            if (kind == Fault::Kind::Delay) {
                QVERIFY(struck.chunks[5].ready > plain.chunks[5].ready + 0.1);
            } else {
                QCOMPARE(struck.abandoned.size(), std::size_t{1});
                QCOMPARE(struck.abandoned[0].chunk, std::size_t{5});
            }
            QVERIFY(struck.ttft > plain.ttft);
            chooseFault(5, entry);
            QVERIFY(session_->settings().faults.empty());
        }
    }

    void faultsStrikeOnceOnTwoPaths() {
        view_->findChild<QCheckBox*>(QStringLiteral("secondPath"))->click();
        view_->findChild<QDoubleSpinBox*>(QStringLiteral("secondBandwidth"))->setValue(4);
        session_->setFocus("kvz-high");
        const std::size_t chunks = session_->input()->chunkCount();
        StreamSettings damaged = session_->settings();
        for (std::size_t chunk = 0; chunk < chunks; ++chunk)
            damaged.faults.push_back({Fault::Kind::Corrupt, chunk, 0});
        QVERIFY(session_->edit(QStringLiteral("faults"), damaged));
        // Which path a chunk takes the second time is the busy machine's choice: in some turn some change.
        std::ptrdiff_t elsewhere = 0;
        for (int turn = 0; turn < kTurns && elsewhere == 0; ++turn) {
            runForReal();
            QVERIFY2(run().problem() == nullptr, qPrintable(run().text()));
            // Every chunk was sent twice, one or the other time on either path.
            const Timeline& struck = session_->row("kvz-high", true)->timeline;
            QCOMPARE(struck.abandoned.size(), chunks);
            elsewhere = std::ranges::count_if(struck.abandoned, [&struck](const AbandonedTransfer& lost) {
                return struck.chunks[lost.chunk].path != lost.path;
            });
        }
        QVERIFY(elsewhere > 0);
        QCOMPARE(session_->row("kvz-high")->timeline.abandoned.size(), chunks);
    }

    void mapsFillAsChunksReallyArrive() {
        session_->setBandwidth(2e9);
        session_->setFocus("kvz-high");
        auto* veil = window_->findChild<ArrivalVeil*>();
        QVERIFY(veil->parts().empty());
        start();
        const auto ready = [veil] {
            return std::ranges::count(veil->parts(), ArrivalVeil::State::Ready, &ArrivalVeil::Part::state);
        };
        QTRY_VERIFY_WITH_TIMEOUT(ready() > 0, kPatience);
        QVERIFY(ready() < 16);
        const auto before = ready();
        QTRY_VERIFY_WITH_TIMEOUT(ready() > before, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(!run().isRunning(), kPatience);
        QVERIFY(veil->parts().empty());
    }

    void theBarOfAChunkGrowsWhileItComes() {
        session_->setBandwidth(0.5e9);
        session_->setFocus("kvz-high");
        start();
        // The first chunk that is not there yet: what is drawn of it, and what covers its tokens in the map.
        const auto coming = [this](TimelineLane lane) -> std::optional<TimelineItem> {
            const StreamRow* row = session_->row("kvz-high", true);
            if (row == nullptr || !row->underWay)
                return std::nullopt;
            const TimelinePicture picture = view_->canvas().picture();
            for (const TimelineItem& item : picture.items()) {
                const StreamRow& of = (*picture.scene().rows)[item.row];
                if (of.measured && !item.simulated && !item.abandoned && item.lane == lane &&
                    of.timeline.chunks[item.chunk].ready == kNever)
                    return item;
            }
            return std::nullopt;
        };
        QTRY_VERIFY_WITH_TIMEOUT(coming(TimelineLane::Network).has_value(), kPatience);
        const TimelineItem first = *coming(TimelineLane::Network);
        QVERIFY(first.end <= session_->player().position() + 1e-9);
        const auto grown = [&] {
            const auto now = coming(TimelineLane::Network);
            return now && now->chunk == first.chunk && now->end > first.end + 0.05 &&
                   now->rect.width() > first.rect.width();
        };
        QTRY_VERIFY_WITH_TIMEOUT(grown(), kPatience);
        auto* veil = window_->findChild<ArrivalVeil*>();
        QVERIFY(std::ranges::any_of(
            veil->parts(), [](const ArrivalVeil::Part& part) { return part.state == ArrivalVeil::State::OnTheWay; }));
        // It is decoded while it comes.
        QTRY_VERIFY_WITH_TIMEOUT(coming(TimelineLane::Decode).has_value(), kPatience);
        QTest::mouseClick(view_->findChild<QToolButton*>(QStringLiteral("transferStop")), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!run().isRunning(), 3000);
        // What had not come by then is no bar any more.
        QVERIFY(!coming(TimelineLane::Network));
    }

    void aTransferIsStoppedAndLeft() {
        session_->setBandwidth(0.5e9);
        session_->setFocus("raw");
        start();
        const auto held = [this] {
            const StreamRow* row = session_->row("raw", true);
            return row != nullptr && row->timeline.chunks[0].ready < kNever;
        };
        QTRY_VERIFY_WITH_TIMEOUT(held(), kPatience);
        QVERIFY(!view_->transfer().text().isEmpty());
        auto* stop = view_->findChild<QToolButton*>(QStringLiteral("transferStop"));
        QVERIFY(stop->isVisible());
        QTest::mouseClick(stop, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!run().isRunning(), 3000);
        const Timeline& measured = session_->row("raw", true)->timeline;
        QVERIFY(!measured.complete());
        QVERIFY(run().fetched() != nullptr && !run().fetched()->heldChunks().empty());
        QVERIFY(run().fetched()->cache().info().name.find("partial") != std::string::npos);
        auto* back = view_->findChild<QToolButton*>(QStringLiteral("transferBack"));
        QVERIFY(back->isVisible());
        QTest::mouseClick(back, Qt::LeftButton);
        QVERIFY(session_->transfer() == nullptr);
        QVERIFY(session_->row("raw", true) == nullptr);
        QVERIFY(session_->input()->projected());
    }

private:
    [[nodiscard]] LoopbackRun& run() const { return LoopbackRun::of(*session_); }
    void start() {
        auto* button = view_->findChild<QToolButton*>(QStringLiteral("streamForReal"));
        QVERIFY(button->isEnabled());
        QTest::mouseClick(button, Qt::LeftButton);
        QVERIFY(run().isRunning());
    }
    /// Picks an entry of the menu of a chunk's bar.
    void chooseFault(std::size_t chunk, const QString& entry) {
        TimelineCanvas& canvas = view_->canvas();
        const TimelinePicture picture = canvas.picture();
        const TimelineItem* bar = nullptr;
        for (const TimelineItem& item : picture.items()) {
            if (item.chunk == chunk && item.row == picture.scene().focusRow && item.lane == TimelineLane::Network &&
                !item.simulated)
                bar = &item;
        }
        QVERIFY(bar != nullptr);
        const QPoint at = bar->rect.center().toPoint();
        QContextMenuEvent event(QContextMenuEvent::Mouse, at, canvas.viewport()->mapToGlobal(at));
        QCoreApplication::sendEvent(canvas.viewport(), &event);
        auto* menu = canvas.findChild<QMenu*>();
        QVERIFY(menu != nullptr);
        for (QAction* action : menu->actions()) {
            if (action->text().remove(QLatin1Char('&')).startsWith(entry))
                action->trigger();
        }
        menu->close();
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    }
    void runForReal() {
        start();
        QTRY_VERIFY_WITH_TIMEOUT(!run().isRunning(), kPatience);
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
    StreamSession* session_ = nullptr;
    TimelineView* view_ = nullptr;
};

QTEST_MAIN(TestLiveStream)
#include "test_live_stream.moc"
