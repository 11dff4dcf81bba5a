// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QListWidget;

namespace kvscope::app {

/// What a window without a dump shows: how to open one, the recent ones, and the samples.
class WelcomePage : public QWidget {
    Q_OBJECT

public:
    explicit WelcomePage(QWidget* parent = nullptr);

    /// Reads the lists again.
    void refresh();

signals:
    void openRequested();
    void openFolderRequested();
    void fileChosen(const QString& path);

private:
    QListWidget* samples_;
    QListWidget* recent_;
};

} // namespace kvscope::app
