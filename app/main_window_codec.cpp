// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/kvz_export_dialog.h"
#include "app/main_window.h"
#include "app/sweep_dialog.h"
#include "app/text_level_dialog.h"
#include "core/codec/kvz_directory.h"
#include "views/codec_session.h"
#include "views/run_async.h"

#include <QInputDialog>

namespace kvscope::app {

void MainWindow::makeCodecCommands() {
    const QString menu = tr("&Codec");
    commands_.add({QStringLiteral("codec.sweep"), menu, tr("S&weep ..."),
                   tr("Compare all methods over one or many dumps, and find the smallest that passes"),
                   QKeySequence(tr("Ctrl+Alt+W"))},
                  [this] { showSweep(); });
    commands_.add({QStringLiteral("codec.export"), menu, tr("&Export encoded cache ..."),
                   tr("Write the dump as a .kvz with one or several levels"), QKeySequence(tr("Ctrl+Shift+E"))},
                  [this] { showKvzExport(); });
    commands_.add({QStringLiteral("codec.level"), menu, tr("Show another &level ..."),
                   tr("Open the .kvz at another of its levels"), QKeySequence(tr("Ctrl+Alt+L"))},
                  [this] { chooseLevel(); });
    updateCodecCommands();
}

void MainWindow::updateCodecCommands() {
    const bool open = workspace_.document(Workspace::Slot::Main) != nullptr;
    if (QAction* action = commands_.find(QStringLiteral("codec.export")))
        action->setEnabled(open);
    if (QAction* action = commands_.find(QStringLiteral("codec.level")))
        action->setEnabled(open && workspace_.levels(Workspace::Slot::Main).names.size() > 1);
}

void MainWindow::showSweep() {
    auto* dialog = new SweepDialog(workspace_.pool(), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    if (auto* main = workspace_.document(Workspace::Slot::Main)) {
        dialog->addDump(main->cache(), false);
        const views::CodecSession& session = views::CodecSession::of(*main);
        if (session.planCount() > 0)
            dialog->setPlan(session.plan());
    }
    if (const auto* compared = workspace_.document(Workspace::Slot::Compared))
        dialog->addDump(compared->cache(), true);
    dialog->show();
}

void MainWindow::showKvzExport() {
    auto* main = workspace_.document(Workspace::Slot::Main);
    if (main == nullptr)
        return;
    auto* dialog = new KvzExportDialog(*main, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &KvzExportDialog::openRequested, this, [this](const QString& path) { openPaths({path}); });
    dialog->show();
}

void MainWindow::chooseLevel() {
    const auto* main = workspace_.document(Workspace::Slot::Main);
    const DumpLevels& levels = workspace_.levels(Workspace::Slot::Main);
    if (main == nullptr || levels.names.size() < 2)
        return;
    QStringList names;
    for (const std::string& name : levels.names)
        names << QString::fromStdString(name);
    bool accepted = false;
    const QString name = QInputDialog::getItem(this, tr("Show another level"), tr("Level"), names,
                                               static_cast<int>(levels.shown), false, &accepted);
    if (!accepted)
        return;
    if (name == QLatin1String(kTextLevelName.data())) {
        showTextLevel(QString::fromStdString(main->cache().info().path.string()));
        return;
    }
    OpenOptions options = workspace_.options(Workspace::Slot::Main);
    options.level = name.toStdString();
    workspace_.open(main->cache().info().path, options, Workspace::Slot::Main);
}

void MainWindow::showTextLevel(const QString& path, bool onlyText) {
    views::runAsync(
        workspace_.pool(), this, [path = path.toStdString()] { return readKvzText(path); },
        [this, onlyText](const Result<KvzText>& text) {
            if (onlyText && (!text || !text->levels.empty()))
                return;
            if (!text) {
                showError(text.error(), {});
                return;
            }
            auto* dialog = new TextLevelDialog(*text, this);
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            dialog->show();
        });
}

} // namespace kvscope::app
