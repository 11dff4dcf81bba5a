// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"

#include <QPointer>
#include <QWidget>

#include <vector>

class QToolButton;

namespace kvscope::views {

class FlowLayout;

/// The current plan and the pinned ones as buttons in their colours: a click on a pinned one makes it current, its menu
/// lets it go; the last button pins the current plan.
class CodecPlanBar : public QWidget {
    Q_OBJECT

public:
    explicit CodecPlanBar(CodecSession& session, QWidget* parent = nullptr);

    /// Shows the plans as they are now.
    void refresh();
    /// Draws the plans' names in their colours and returns what is left of the rectangle.
    QRectF paintTo(QPainter& painter, const QRectF& target) const;

protected:
    void changeEvent(QEvent* event) override;

private:
    QPointer<CodecSession> session_;
    FlowLayout* row_;
    std::vector<QToolButton*> buttons_;
    QToolButton* pin_;
};

} // namespace kvscope::views
