// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/stream_session.h"

#include <QPointer>
#include <QWidget>

class QProgressBar;
class QToolButton;

namespace kvscope::views {

class ElidedLabel;
class LoopbackRun;

/// What a real transfer does, in a line below the controls of the timelines: progress, stop, and the way back to the
/// projection. Hidden while there is none.
class TransferBar : public QWidget {
    Q_OBJECT

public:
    explicit TransferBar(StreamSession& session, QWidget* parent = nullptr);

    [[nodiscard]] QString text() const;

private:
    void refresh();

    QPointer<StreamSession> session_;
    LoopbackRun& run_;
    ElidedLabel* text_;
    QProgressBar* progress_;
    QToolButton* stop_;
    QToolButton* back_;
};

} // namespace kvscope::views
