// SPDX-License-Identifier: GPL-3.0-or-later
// Commands of the streaming timelines.
#include "app/fetch_dialog.h"
#include "app/main_window.h"
#include "app/message_bar.h"
#include "app/serve_dialog.h"
#include "views/loopback_run.h"
#include "views/stream_session.h"
#include "views/timeline_canvas.h"
#include "views/timeline_controls.h"
#include "views/timeline_view.h"

#include <QDockWidget>

namespace kvscope::app {

namespace {

/// One press of a key changes the bandwidth by so much.
constexpr double kBandwidthStep = 1.25;
constexpr double kSpeedStep = 2;

} // namespace

void MainWindow::makeStreamCommands() {
    const QString menu = tr("St&ream");
    const auto add = [this, menu](const QString& id, const QString& name, const QString& help, const QString& key,
                                  const std::function<void(views::TimelineView&)>& run) {
        commands_.add(
            {QStringLiteral("stream.") + id, menu, name, help, QKeySequence(tr("Ctrl+K") + QStringLiteral(", ") + key)},
            [this, run] {
                showView(QStringLiteral("timeline"));
                if (auto* view = qobject_cast<views::TimelineView*>(docks_.value(QStringLiteral("timeline"))->widget()))
                    run(*view);
            });
    };
    using views::TimelineView;
    add(QStringLiteral("play"), tr("&Play or pause"), tr("Play the run: chunks arrive and the maps fill"),
        QStringLiteral("Space"), [](TimelineView& view) { view.session().player().toggle(); });
    add(QStringLiteral("rewind"), tr("Back to the &request"), tr("Stop playing and show the whole run"),
        QStringLiteral("Home"), [](TimelineView& view) { view.session().player().rewind(); });
    add(QStringLiteral("slower"), tr("Play &slower"), tr("Play half as fast, down to 0.1 times"), QStringLiteral("S"),
        [](TimelineView& view) { view.session().player().setSpeed(view.session().player().speed() / kSpeedStep); });
    add(QStringLiteral("faster"), tr("Play &faster"), tr("Play twice as fast, up to 10 times"), QStringLiteral("F"),
        [](TimelineView& view) { view.session().player().setSpeed(view.session().player().speed() * kSpeedStep); });
    add(QStringLiteral("less"), tr("&Less bandwidth"),
        tr("Lower the bandwidth; while a run is played, from that moment on"), QStringLiteral("L"),
        [](TimelineView& view) { view.session().setBandwidth(view.session().bandwidth() / kBandwidthStep); });
    add(QStringLiteral("more"), tr("&More bandwidth"),
        tr("Raise the bandwidth; while a run is played, from that moment on"), QStringLiteral("M"),
        [](TimelineView& view) { view.session().setBandwidth(view.session().bandwidth() * kBandwidthStep); });
    add(QStringLiteral("trace"), tr("Open bandwidth &trace ..."),
        tr("Take the shape of the bandwidth from a Mahimahi, Pensieve, CSV or CacheGen file"), QStringLiteral("T"),
        [](TimelineView& view) { view.controls().openTraceFile(); });
    add(QStringLiteral("secondPath"), tr("Second pat&h of the link"),
        tr("Add another network or sender beside the first, or take it away; its bandwidth and round trip are under "
           "More"),
        QStringLiteral("H"), [](TimelineView& view) { view.controls().toggleSecondPath(); });
    add(QStringLiteral("real"), tr("Stream for &real"),
        tr("Send the open dump over a real socket of this machine, and lay the simulation over what is measured"),
        QStringLiteral("R"), [](TimelineView& view) { views::LoopbackRun::of(view.session()).start(); });
    add(QStringLiteral("stop"), tr("St&op the transfer"), tr("Stop streaming for real; what has arrived is shown"),
        QStringLiteral("X"), [](TimelineView& view) { views::LoopbackRun::of(view.session()).cancel(); });
    add(QStringLiteral("projection"), tr("Back to the pro&jection"),
        tr("Show the strategies for the projected context again, after a real transfer"), QStringLiteral("J"),
        [](TimelineView& view) { view.session().leaveTransfer(); });
    add(QStringLiteral("nextChunk"), tr("&Next chunk"), tr("Explain the next chunk of the strategy in focus"),
        QStringLiteral("N"), [](TimelineView& view) { view.canvas().stepChunk(1); });
    add(QStringLiteral("previousChunk"), tr("Pre&vious chunk"), tr("Explain the chunk before"), QStringLiteral("B"),
        [](TimelineView& view) { view.canvas().stepChunk(-1); });
    add(QStringLiteral("why"), tr("&Why this level?"),
        tr("Show the decision behind the chosen chunk: every candidate and its predicted finish"), QStringLiteral("W"),
        [](TimelineView& view) { view.showWhy(); });
    add(QStringLiteral("summary"), tr("S&ummary of the strategies"),
        tr("First token, bytes, predicted error and seconds of compute of each strategy"), QStringLiteral("U"),
        [](TimelineView& view) { view.showSummary(); });
    add(QStringLiteral("outputs"), tr("Layers, break-even and shared l&inks"),
        tr("The predicted error's share by layer, where compressing stops paying, and several contexts on one link"),
        QStringLiteral("I"), [](TimelineView& view) { view.showOutputs(); });
    add(QStringLiteral("defaults"), tr("Usual se&tting"),
        tr("Llama-3.1-8B, 16,384 tokens, 4 Gbit/s, SLO 2 s: back to where everybody starts"), QStringLiteral("D"),
        [](TimelineView& view) {
            view.session().player().rewind();
            (void)view.session().edit(tr("usual setting"), views::defaultStreamSettings());
        });
    commands_.add({QStringLiteral("network.serve"), menu, tr("Ser&ve a cache ..."),
                   tr("Serve the open dump, a .kvz or a store to receivers, with the bandwidth under the mouse"),
                   QKeySequence(tr("Ctrl+K, V"))},
                  [this] { showServe(); });
    commands_.add({QStringLiteral("network.fetch"), menu, tr("Fet&ch a cache ..."),
                   tr("Fetch a cache from a sender, see it arrive, and open it"), QKeySequence(tr("Ctrl+K, C"))},
                  [this] { showFetch(); });
}

void MainWindow::showServe() {
    auto* main = workspace_.document(Workspace::Slot::Main);
    QString file;
    if (main != nullptr && !workspace_.levels(Workspace::Slot::Main).names.empty())
        file = QString::fromStdString(main->cache().info().path.string());
    auto* dialog = new ServeDialog(workspace_.pool(), main, file, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void MainWindow::showFetch() {
    auto* dialog = new FetchDialog(workspace_.pool(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &FetchDialog::openRequested, this, &MainWindow::openFetched);
    dialog->show();
}

void MainWindow::openFetched(const std::shared_ptr<const Fetched>& fetched, const views::ShownTransfer& shown) {
    messages_->hide();
    views::Document* document = workspace_.show(fetched->cache());
    // The window's timelines show how it came.
    views::StreamSession& session = views::StreamSession::of(*document);
    views::StreamSettings settings = session.settings();
    settings.sloSeconds = fetched->timeline.sloSeconds;
    (void)session.edit(tr("SLO"), settings);
    session.undoStack().clear();
    session.showTransfer(shown);
    session.setMeasured(fetched->timeline.policy, fetched->timeline);
    session.setFocus(fetched->timeline.policy, true);
    showView(QStringLiteral("timeline"));
}

} // namespace kvscope::app
