// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/kvz_dump.h"

#include <QDialog>

namespace kvscope::app {

/// The text level of a .kvz: the tokens, and why there is nothing to draw of them.
class TextLevelDialog : public QDialog {
    Q_OBJECT

public:
    explicit TextLevelDialog(const KvzText& text, QWidget* parent = nullptr);
};

} // namespace kvscope::app
