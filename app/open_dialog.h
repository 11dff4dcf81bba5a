// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/open_dump.h"

#include <QDialog>

#include <vector>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QListWidget;
class QTableWidget;

namespace kvscope::app {

/// Says how a dump is to be read where the file leaves it open or is wrong: layout, dtype, geometry, RoPE. Empty fields
/// leave the question to the file.
class OpenDialog : public QDialog {
    Q_OBJECT

public:
    /// `isOpen`: the dump is shown and is to be read anew; otherwise its format was not recognised.
    OpenDialog(const QString& path, const OpenOptions& options, const std::vector<LayoutCandidate>& layouts,
               bool isOpen, QWidget* parent = nullptr);

    [[nodiscard]] OpenOptions options() const;

private:
    void fillLayouts(const std::vector<LayoutCandidate>& layouts);
    QWidget* makeOrder(const QString& folder);
    /// Examples of axes that a click takes over.
    QWidget* makeExamples();
    /// Marks what cannot be read as a number; true when all fields can.
    bool validate();
    void acceptIfValid();

    OpenOptions original_;
    QTableWidget* layouts_;
    /// Files of a folder in the order of their tokens, to be dragged; null for a file.
    QListWidget* order_ = nullptr;
    QStringList initialOrder_;
    QLineEdit* axes_;
    QComboBox* dtype_;
    QLineEdit* layers_;
    QLineEdit* heads_;
    QLineEdit* headDim_;
    QLineEdit* tokens_;
    QLineEdit* offset_;
    QLineEdit* sequence_;
    QLineEdit* position_;
    QLineEdit* theta_;
    QComboBox* pairing_;
    QComboBox* hadamard_;
    QLineEdit* config_;
    QLabel* problem_;
};

} // namespace kvscope::app
