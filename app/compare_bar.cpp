// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/compare_bar.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QVBoxLayout>

namespace kvscope::app {

CompareBar::CompareBar(QWidget* parent)
    : QFrame(parent)
    , chooser_(new QComboBox(this))
    , notice_(new QLabel(this)) {
    setObjectName(QStringLiteral("compareBar"));
    auto* label = new QLabel(tr("&Navigator and statistics of"), this);
    label->setBuddy(chooser_);
    chooser_->setAccessibleName(tr("Dump that the navigator and the statistics show"));
    chooser_->setToolTip(tr("The maps show both dumps and their difference; the navigator and the statistics show one "
                            "of the three."));
    chooser_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    chooser_->setMinimumContentsLength(16);
    notice_->setObjectName(QStringLiteral("compareNotice"));
    notice_->setWordWrap(true);
    notice_->setTextFormat(Qt::PlainText);
    notice_->setTextInteractionFlags(Qt::TextSelectableByMouse);
    auto* row = new QHBoxLayout;
    row->addWidget(label);
    row->addWidget(chooser_, 1);
    row->addStretch(1);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(6, 3, 6, 3);
    layout->setSpacing(2);
    layout->addLayout(row);
    layout->addWidget(notice_);
    connect(chooser_, &QComboBox::activated, this, &CompareBar::chosen);
    hide();
}

void CompareBar::setDumps(const QStringList& names) {
    const QSignalBlocker blocker(chooser_);
    chooser_->clear();
    chooser_->addItems(names);
}

void CompareBar::setNotice(const QStringList& sentences) {
    notice_->setText(sentences.isEmpty() ? QString() : QStringLiteral("\u26a0 ") + sentences.join(u' '));
    notice_->setVisible(!sentences.isEmpty());
}

QString CompareBar::notice() const {
    return notice_->isHidden() ? QString() : notice_->text();
}

} // namespace kvscope::app
