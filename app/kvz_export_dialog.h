// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/codec/kvz_writer.h"
#include "views/codec_session.h"

#include <QDialog>
#include <QPointer>
#include <QTimer>

#include <memory>
#include <stop_token>
#include <vector>

class QCheckBox;
class QLabel;
class QLineEdit;
class QListWidget;
class QProgressBar;
class QPushButton;

namespace kvscope::app {

/// Writes the dump as one .kvz: which levels (the tuned plan, pinned ones, presets), where to, how far it is. Works
/// beside the window; an old file of that name stays whole until the new one is complete.
class KvzExportDialog : public QDialog {
    Q_OBJECT

public:
    KvzExportDialog(views::Document& document, QWidget* parent = nullptr);
    ~KvzExportDialog() override;

    void setPath(const QString& path);
    /// Checks these levels and no others.
    void setLevels(const QStringList& names);
    void start();
    void stop();
    [[nodiscard]] bool isRunning() const { return running_ != nullptr; }
    [[nodiscard]] QString message() const;

signals:
    /// The user wants to see what was written.
    void openRequested(const QString& path);

private:
    struct Running {
        std::stop_source stop;
        Progress progress;
        QString path;
    };

    void fillLevels();
    void choosePath();
    void finish(Result<KvzReport> report);
    void showState();
    void say(const QString& text, bool error);

    QPointer<views::Document> document_;
    /// Of the rows of the list that are not presets.
    std::vector<CodecPlan> plans_;
    std::shared_ptr<Running> running_;
    QString written_;
    QTimer ticker_;
    QListWidget* levels_;
    QLineEdit* path_;
    QLabel* message_;
    QProgressBar* progress_;
    QPushButton* start_;
    QPushButton* open_;
};

} // namespace kvscope::app
