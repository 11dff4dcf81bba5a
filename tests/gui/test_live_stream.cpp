// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "app/workspace.h"
#include "views/arrival_veil.h"
#include "views/loopback_run.h"
#include "views/stream_session.h"
#include "views/timeline_canvas.h"
#include "views/timeline_controls.h"
#include "views/timeline_picture.h"
#include "views/timeline_view.h"
#include "views/transfer_bar.h"

#include <QAction>
#include <QMenu>
#include <QSettings>
#include <QSignalSpy>
#include <QSlider>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include <algorithm>
#include <cmath>
#include <memory>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {
constexpr int kPatience = 60000;
}

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
        std::ranges::sort(differences);
        QVERIFY((differences[1] + differences[2]) / 2 <= 0.05);
    }

private:
    [[nodiscard]] LoopbackRun& run() const { return LoopbackRun::of(*session_); }
    void start() {
        auto* button = view_->findChild<QToolButton*>(QStringLiteral("streamForReal"));
        QVERIFY(button->isEnabled());
        QTest::mouseClick(button, Qt::LeftButton);
        QVERIFY(run().isRunning());
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
