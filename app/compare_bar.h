// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>
#include <QString>
#include <QStringList>

class QComboBox;
class QLabel;

namespace kvscope::app {

/// The line over the maps while two dumps are compared: what must be known about their difference, and which of them
/// the navigator and the statistics show.
class CompareBar : public QFrame {
    Q_OBJECT

public:
    explicit CompareBar(QWidget* parent = nullptr);

    /// What can be chosen, by name; the first is chosen.
    void setDumps(const QStringList& names);
    /// What to warn of; none hides the text.
    void setNotice(const QStringList& sentences);
    [[nodiscard]] QString notice() const;
    [[nodiscard]] QComboBox& chooser() const { return *chooser_; }

signals:
    /// The user chose what the navigator and the statistics show.
    void chosen(int index);

private:
    QComboBox* chooser_;
    QLabel* notice_;
};

} // namespace kvscope::app
