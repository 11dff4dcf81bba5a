// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/transfer_bar.h"

#include "views/elided_label.h"
#include "views/loopback_run.h"

#include <QHBoxLayout>
#include <QProgressBar>
#include <QToolButton>

namespace kvscope::views {

TransferBar::TransferBar(StreamSession& session, QWidget* parent)
    : QWidget(parent)
    , session_(&session)
    , run_(LoopbackRun::of(session))
    , text_(new ElidedLabel)
    , progress_(new QProgressBar)
    , stop_(new QToolButton)
    , back_(new QToolButton) {
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 0, 0);
    text_->setObjectName(QStringLiteral("transferText"));
    progress_->setRange(0, 1000);
    progress_->setTextVisible(false);
    progress_->setFixedSize(140, 8);
    progress_->setAccessibleName(tr("Progress of the real transfer"));
    stop_->setObjectName(QStringLiteral("transferStop"));
    stop_->setText(tr("Stop"));
    stop_->setToolTip(tr("Stop the real transfer; what has arrived is kept in the picture"));
    back_->setObjectName(QStringLiteral("transferBack"));
    back_->setText(tr("Back to the projection"));
    back_->setToolTip(tr("Show the strategies for the projected context again"));
    row->addWidget(text_, 1);
    row->addWidget(progress_);
    row->addWidget(stop_);
    row->addWidget(back_);
    connect(stop_, &QToolButton::clicked, &run_, &LoopbackRun::cancel);
    connect(back_, &QToolButton::clicked, this, [this] {
        if (session_)
            session_->leaveTransfer();
    });
    connect(&run_, &LoopbackRun::changed, this, &TransferBar::refresh);
    connect(&run_, &LoopbackRun::finished, this, &TransferBar::refresh);
    connect(&session, &StreamSession::changed, this, &TransferBar::refresh);
    refresh();
}

QString TransferBar::text() const {
    return isHidden() ? QString() : text_->text();
}

void TransferBar::refresh() {
    if (!session_)
        return;
    const ShownTransfer* transfer = session_->transfer();
    const bool running = run_.isRunning();
    const Error* problem = run_.problem();
    QString text = run_.text();
    if (problem != nullptr && problem->kind != Error::Kind::Cancelled)
        text = QStringLiteral("\u26a0 ") + text;
    // What is shown may have been fetched elsewhere.
    if (text.isEmpty() && transfer != nullptr)
        text = transfer->caption;
    text_->setText(text);
    text_->setToolTip(text);
    progress_->setValue(static_cast<int>(run_.progress() * 1000));
    progress_->setVisible(running);
    stop_->setVisible(running);
    back_->setVisible(transfer != nullptr && !running);
    setVisible(running || transfer != nullptr || problem != nullptr);
}

} // namespace kvscope::views
