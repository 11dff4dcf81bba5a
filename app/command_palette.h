// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDialog>

class QAction;
class QLineEdit;
class QListWidget;

namespace kvscope::app {

class CommandTable;

/// Finds a command by typing parts of its name and runs it.
class CommandPalette : public QDialog {
    Q_OBJECT

public:
    CommandPalette(const CommandTable& commands, QWidget* parent);

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void fill(const QString& words);
    void runCurrent();

    const CommandTable& commands_;
    QLineEdit* filter_;
    QListWidget* list_;
};

} // namespace kvscope::app
