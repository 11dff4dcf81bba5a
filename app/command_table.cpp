// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/command_table.h"

#include <algorithm>

namespace kvscope::app {

namespace {
constexpr auto kMenuProperty = "kvscopeMenu";
}

CommandTable::CommandTable(QObject* parent)
    : QObject(parent) {}

QAction* CommandTable::add(const CommandText& text, std::function<void()> run) {
    auto* action = new QAction(this);
    dress(text, action);
    connect(action, &QAction::triggered, this, [run = std::move(run)] { run(); });
    return action;
}

QAction* CommandTable::addToggle(const CommandText& text, bool on, std::function<void(bool)> set) {
    auto* action = new QAction(this);
    dress(text, action);
    action->setCheckable(true);
    action->setChecked(on);
    connect(action, &QAction::toggled, this, [set = std::move(set)](bool checked) { set(checked); });
    return action;
}

void CommandTable::adopt(const CommandText& text, QAction* action) {
    dress(text, action);
}

QAction* CommandTable::find(const QString& id) const {
    const auto found = std::find_if(actions_.begin(), actions_.end(),
                                    [&](const QAction* action) { return action->objectName() == id; });
    return found == actions_.end() ? nullptr : *found;
}

QString CommandTable::menuOf(const QAction* action) const {
    return action->property(kMenuProperty).toString();
}

void CommandTable::dress(const CommandText& text, QAction* action) {
    action->setObjectName(text.id);
    action->setProperty(kMenuProperty, text.menu);
    if (!text.text.isEmpty())
        action->setText(text.text);
    action->setShortcut(text.shortcut);
    const QString keys = text.shortcut.toString(QKeySequence::NativeText);
    action->setToolTip(keys.isEmpty() ? text.help : text.help + QStringLiteral(" (") + keys + QLatin1Char(')'));
    action->setStatusTip(text.help);
    actions_.append(action);
    if (!menus_.contains(text.menu))
        menus_.append(text.menu);
}

} // namespace kvscope::app
