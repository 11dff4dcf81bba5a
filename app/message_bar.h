// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>

#include <functional>

class QLabel;
class QPushButton;

namespace kvscope::app {

/// A line across the window that says what went wrong, where, and what to do, until it is dismissed; never modal.
class MessageBar : public QFrame {
    Q_OBJECT

public:
    explicit MessageBar(QWidget* parent = nullptr);

    void showError(const QString& text);
    /// The same with a button that offers a way out.
    void showError(const QString& text, const QString& remedy, std::function<void()> apply);
    [[nodiscard]] QString text() const;

private:
    QLabel* label_;
    QPushButton* remedy_;
    std::function<void()> apply_;
};

} // namespace kvscope::app
