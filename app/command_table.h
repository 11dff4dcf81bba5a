// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAction>
#include <QKeySequence>
#include <QList>
#include <QObject>
#include <QString>

#include <functional>

namespace kvscope::app {

/// How a command is shown wherever it appears.
struct CommandText {
    /// Stable name, e.g. "file.open"; also the action's object name.
    QString id;
    /// Menu it belongs to, e.g. "&File".
    QString menu;
    QString text;
    /// One sentence for the tool tip and the palette.
    QString help;
    QKeySequence shortcut;
};

/// Every command of the window, once: menus, shortcuts and the palette are made from this table.
class CommandTable : public QObject {
    Q_OBJECT

public:
    explicit CommandTable(QObject* parent = nullptr);

    /// Adds a command that runs `run`.
    QAction* add(const CommandText& text, std::function<void()> run);
    /// Adds a command that is on or off.
    QAction* addToggle(const CommandText& text, bool on, std::function<void(bool)> set);
    /// Takes in an action made elsewhere (undo, dock toggles).
    void adopt(const CommandText& text, QAction* action);

    [[nodiscard]] const QList<QAction*>& actions() const { return actions_; }
    [[nodiscard]] QAction* find(const QString& id) const;
    /// The menu a command belongs to.
    [[nodiscard]] QString menuOf(const QAction* action) const;
    /// Menus in order of first use.
    [[nodiscard]] const QList<QString>& menus() const { return menus_; }

private:
    void dress(const CommandText& text, QAction* action);

    QList<QAction*> actions_;
    QList<QString> menus_;
};

} // namespace kvscope::app
