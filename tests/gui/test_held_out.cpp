// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "core/codec/encode_job.h"
#include "core/io/open_dump.h"
#include "views/chart_widget.h"
#include "views/codec_layers_view.h"
#include "views/codec_session.h"
#include "views/held_out_view.h"

#include <QDockWidget>
#include <QSettings>
#include <QTemporaryDir>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {
constexpr int kPatience = 60000;
}

/// A plan tuned on one dump and tried on another, and bits and error along the tokens.
class TestHeldOut : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
    }
    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1400, 900);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
    }
    void cleanup() { window_.reset(); }

    void thePlanIsTriedOnTheOtherDump() {
        open({"prose.safetensors"});
        auto* view = show<HeldOutView>("held-out");
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady(), kPatience);
        QVERIFY(view->heldOutReport().planes.empty());
        QVERIFY(view->charts()[0]->data().emptyText.contains(QStringLiteral("Ctrl+D")));
        // Said once.
        for (std::size_t i = 0; i < view->charts().size(); ++i)
            QCOMPARE(view->charts()[i]->isVisibleTo(view), i == 0);

        open({"prose.safetensors", "code.npz"});
        view = show<HeldOutView>("held-out");
        CodecSession& session = CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && session.isComplete(), kPatience);
        compareWithWhole(*view, session);
        QVERIFY(view->summary().contains(QStringLiteral("code.npz")));
        // K and V, here and there.
        for (const ChartWidget* chart : view->charts()) {
            QCOMPARE(chart->data().series.size(), std::size_t{4});
            QVERIFY(chart->isVisibleTo(view));
        }

        // An edit of one cell changes what is held out too, and only there.
        const EncodeReport before = view->heldOutReport();
        const LayerKind cell{LayerIndex(2), PlaneKind::Value};
        QVERIFY(session.adjustCells(QStringLiteral("test"), std::span(&cell, 1),
                                    [](const Pipeline& pipeline) { return withBits(pipeline, 1.5); }));
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && session.isComplete(), kPatience);
        const EncodeReport after = view->heldOutReport();
        QVERIFY(after.totals(cell.layer, cell.kind).bytes() < before.totals(cell.layer, cell.kind).bytes());
        QCOMPARE(after.totals(LayerIndex(1), PlaneKind::Value).bytes(),
                 before.totals(LayerIndex(1), PlaneKind::Value).bytes());
        compareWithWhole(*view, session);

        // A pinned plan is tried on the other dump too, beside the current one, kind by kind.
        const double tuned = view->heldOutReport().totals().bitsPerValue();
        session.pin();
        session.loadPreset(QStringLiteral("int4"));
        QTRY_COMPARE_WITH_TIMEOUT(session.plan().name, std::string("int4"), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && session.isComplete() && session.isComplete(1), kPatience);
        compareWithWhole(*view, session);
        compareWithWhole(*view, session, 1);
        QCOMPARE(view->heldOutReport(1).totals().bitsPerValue(), tuned);
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            view->setKind(kind);
            const ChartData& bits = view->charts()[0]->data();
            QCOMPARE(bits.series.size(), std::size_t{4});
            QCOMPARE(bits.series[1].y[2], view->heldOutReport(0).totals(LayerIndex(2), kind).bitsPerValue());
            QCOMPARE(bits.series[3].y[2], view->heldOutReport(1).totals(LayerIndex(2), kind).bitsPerValue());
        }
        QVERIFY(view->summary().contains(QStringLiteral("A int4 tuned on prose")));
        QVERIFY(view->summary().contains(QStringLiteral("B kvz-medium")));
        QCOMPARE(view->numbers().rows.size(), std::size_t{2 * 14});
    }

    void bitsAndErrorAlongTheTokens() {
        open({"code.npz"});
        auto* view = show<CodecLayersView>("codec-layers");
        view->setPage(CodecLayersView::Page::ByToken);
        const CodecSession& session = CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && session.isComplete(), kPatience);
        QCOMPARE(view->charts().size(), std::size_t{4});
        const auto& bits = view->charts()[0]->data().series.front();
        const auto& error = view->charts()[1]->data().series.front();
        QVERIFY(bits.y.size() > 100);
        QCOMPARE(bits.y.size(), error.y.size());
        // Chunks of unequal content cost unequal bits, and their mean is what the panel says.
        QVERIFY(bits.y.front() > bits.y.back());
        const double mean = std::accumulate(bits.y.begin(), bits.y.end(), 0.0) / static_cast<double>(bits.y.size());
        QVERIFY(std::abs(mean - session.report().totals(PlaneKind::Key).bitsPerValue()) < 0.02);
        const int token = static_cast<int>(bits.x[10]);
        emit view->charts()[0]->picked(token);
        QCOMPARE(window_->workspace().selection().current().tokens->begin.value, std::int64_t{token});
        QVERIFY(view->toCsv().contains(QStringLiteral("First token")));
    }

private:
    /// What the view says must be what encoding the other dump as a whole gives.
    void compareWithWhole(const HeldOutView& view, const CodecSession& session, std::size_t slot = 0) {
        ThreadPool pool{2};
        const auto whole =
            encodeCache(window_->workspace().document(Workspace::Slot::Compared)->cache(), session.plan(slot), pool);
        QVERIFY(whole);
        const EncodeReport shown = view.heldOutReport(slot);
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            QCOMPARE(shown.totals(kind).bytes(), whole->report.totals(kind).bytes());
            QCOMPARE(headlineError(kind, shown.totals(kind).error),
                     headlineError(kind, whole->report.totals(kind).error));
        }
    }
    void open(std::initializer_list<const char*> names) {
        QStringList paths;
        for (const char* name : names)
            paths << qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QLatin1Char('/') + QLatin1String(name);
        window_->openPaths(paths);
        const auto last = names.size() > 1 ? Workspace::Slot::Compared : Workspace::Slot::Main;
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(last) != nullptr, kPatience);
    }
    template <class View> View* show(const char* name) {
        window_->showView(QLatin1String(name));
        return dynamic_cast<View*>(window_->exportableViews().value(QLatin1String(name)));
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestHeldOut)
#include "test_held_out.moc"
