// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <QWidget>

#include <array>
#include <cstdint>

class QLabel;
class QLineEdit;

namespace kvscope::views {

/// The line in which a token's text is typed; Enter and Shift+Enter step through what was found, Escape closes.
class FindBar : public QWidget {
    Q_OBJECT

public:
    explicit FindBar(QWidget* parent = nullptr);

    /// Shows the bar and takes the keyboard.
    void open();
    [[nodiscard]] QString text() const;
    /// "3 of 17"; current counts from 0, -1 when there is none.
    void setCount(int current, int count);

signals:
    void textEdited(const QString& text);
    void nextRequested();
    void previousRequested();
    void closed();

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    QLineEdit* edit_;
    QLabel* count_;
};

/// The line that takes a layer, channel and token to go to and says which there are; Enter goes, Escape closes. What
/// is typed is never changed: a number that does not exist is answered with those that do.
class GoToBar : public QWidget {
    Q_OBJECT

public:
    explicit GoToBar(QWidget* parent = nullptr);

    struct Place {
        std::int64_t layer = 0;
        std::int64_t channel = 0;
        std::int64_t token = 0;
    };
    /// Shows the bar with counts of what there is and the present place, and takes the keyboard.
    void open(const Place& counts, const Place& current);
    /// Says why the place cannot be gone to; an empty text takes it back.
    void showProblem(const QString& text);
    [[nodiscard]] QString problem() const;

signals:
    void goRequested(std::int64_t layer, std::int64_t channel, std::int64_t token);
    void closed();

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    struct Field {
        QString name;
        QLabel* label = nullptr;
        QLineEdit* edit = nullptr;
        std::int64_t count = 0;
    };

    void go();

    std::array<Field, 3> fields_;
    QLabel* problem_;
};

} // namespace kvscope::views
