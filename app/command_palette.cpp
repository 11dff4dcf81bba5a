// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/command_palette.h"

#include "app/command_table.h"

#include <QAction>
#include <QFrame>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>
#include <cstdint>

namespace kvscope::app {

namespace {

QString withoutMnemonic(QString text) {
    return text.remove(QLatin1Char('&'));
}

/// "Map, Quantity: " of "&Map/&Quantity"
QString menuPath(const QString& menu) {
    return withoutMnemonic(menu).replace(QLatin1Char('/'), QStringLiteral(", ")) + QStringLiteral(": ");
}

/// Every typed word must occur somewhere in the command's menu, name or help.
bool matches(const QString& haystack, const QStringList& words) {
    return std::all_of(words.begin(), words.end(),
                       [&](const QString& word) { return haystack.contains(word, Qt::CaseInsensitive); });
}

/// How well a command answers what was typed, the best first.
enum class Rank : std::uint8_t { Starts, Named, Explained, None };

/// `name` is the command's with its menus.
Rank rankOf(const QAction& action, const QString& name, const QStringList& words) {
    if (matches(name, words)) {
        const bool starts =
            !words.isEmpty() && withoutMnemonic(action.text()).startsWith(words.front(), Qt::CaseInsensitive);
        return starts ? Rank::Starts : Rank::Named;
    }
    return matches(name + QLatin1Char(' ') + action.statusTip(), words) ? Rank::Explained : Rank::None;
}

} // namespace

CommandPalette::CommandPalette(const CommandTable& commands, QWidget* parent)
    : QDialog(parent, Qt::Popup)
    , commands_(commands)
    , filter_(new QLineEdit(this))
    , list_(new QListWidget(this)) {
    setObjectName(QStringLiteral("commandPalette"));
    filter_->setPlaceholderText(tr("Type a command"));
    filter_->setAccessibleName(tr("Command filter"));
    filter_->installEventFilter(this);
    list_->setAccessibleName(tr("Commands"));
    list_->setFocusPolicy(Qt::NoFocus);
    // A popup has no border of its own to tell it from the maps behind.
    auto* frame = new QFrame(this);
    frame->setObjectName(QStringLiteral("border"));
    frame->setFrameStyle(QFrame::Box | QFrame::Plain);
    frame->setLineWidth(2);
    QPalette colours = frame->palette();
    colours.setColor(QPalette::WindowText, colours.color(QPalette::Highlight));
    frame->setPalette(colours);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(frame);
    auto* layout = new QVBoxLayout(frame);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->addWidget(filter_);
    layout->addWidget(list_);
    for (QWidget* inside : std::initializer_list<QWidget*>{filter_, list_})
        inside->setPalette(palette());
    connect(filter_, &QLineEdit::textChanged, this, &CommandPalette::fill);
    connect(list_, &QListWidget::itemClicked, this, [this] { runCurrent(); });
    fill({});
    resize(560, 380);
    if (parent != nullptr)
        move(parent->mapToGlobal(QPoint((parent->width() - width()) / 2, 60)));
    filter_->setFocus();
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
    if (watched == filter_ && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        const int rows = list_->count();
        switch (key->key()) {
        case Qt::Key_Down:
        case Qt::Key_Up:
            if (rows > 0)
                list_->setCurrentRow((list_->currentRow() + (key->key() == Qt::Key_Down ? 1 : rows - 1)) % rows);
            return true;
        case Qt::Key_Return:
        case Qt::Key_Enter:
            runCurrent();
            return true;
        default:
            break;
        }
    }
    return QDialog::eventFilter(watched, event);
}

void CommandPalette::fill(const QString& words) {
    list_->clear();
    const QStringList parts = words.split(QLatin1Char(' '), Qt::SkipEmptyParts);
    for (const Rank rank : {Rank::Starts, Rank::Named, Rank::Explained}) {
        for (QAction* action : commands_.actions()) {
            const QString name = menuPath(commands_.menuOf(action)) + withoutMnemonic(action->text());
            if (!action->isEnabled() || rankOf(*action, name, parts) != rank)
                continue;
            const QString keys = action->shortcut().toString(QKeySequence::NativeText);
            auto* item = new QListWidgetItem(keys.isEmpty() ? name : name + QStringLiteral("    ") + keys, list_);
            item->setToolTip(action->statusTip());
            item->setData(Qt::UserRole, action->objectName());
        }
    }
    list_->setCurrentRow(0);
}

void CommandPalette::runCurrent() {
    const QListWidgetItem* item = list_->currentItem();
    if (item == nullptr)
        return;
    QAction* action = commands_.find(item->data(Qt::UserRole).toString());
    accept();
    // After the popup is gone, so that a command that opens a dialog does not fight it for the focus.
    QTimer::singleShot(0, action, &QAction::trigger);
}

} // namespace kvscope::app
