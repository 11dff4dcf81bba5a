// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/text_level_dialog.h"

#include <QDialogButtonBox>
#include <QLabel>
#include <QLocale>
#include <QPlainTextEdit>
#include <QStringList>
#include <QVBoxLayout>

#include <algorithm>

namespace kvscope::app {

TextLevelDialog::TextLevelDialog(const KvzText& text, QWidget* parent)
    : QDialog(parent) {
    setWindowTitle(tr("%1, level text").arg(QString::fromStdString(text.name)));
    std::size_t tokens = 0;
    for (const CacheTokens& sequence : text.tokens)
        tokens += std::max(sequence.ids.size(), sequence.texts.size());
    QStringList lines{
        tr("This level holds the tokens alone: %1 tokens in %2. There are no K and V values to draw; "
           "whoever takes this level lets the model compute them again (prefill).")
            .arg(QLocale().toString(static_cast<qlonglong>(tokens)), QLocale().formattedDataSize(text.bytes))};
    if (!text.model.empty())
        lines << tr("Model: %1.").arg(QString::fromStdString(text.model));
    QStringList levels;
    for (const std::string& level : text.levels)
        levels << QString::fromStdString(level);
    lines << (levels.isEmpty() ? tr("The file has no other level.")
                               : tr("Levels with values: %1.").arg(levels.join(QStringLiteral(", "))));
    auto* rows = new QVBoxLayout(this);
    auto* what = new QLabel(lines.join(QLatin1Char('\n')));
    what->setObjectName(QStringLiteral("textLevelWhat"));
    what->setWordWrap(true);
    what->setTextFormat(Qt::PlainText);
    auto* shown = new QPlainTextEdit(QString::fromStdString(plainText(text.tokens)));
    shown->setObjectName(QStringLiteral("textLevelText"));
    shown->setReadOnly(true);
    shown->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    shown->setAccessibleName(tr("Text"));
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    rows->addWidget(what);
    rows->addWidget(shown, 1);
    rows->addWidget(buttons);
    resize(560, 420);
}

} // namespace kvscope::app
