// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

#include <initializer_list>

class QFormLayout;
class QWidget;

namespace kvscope::app {

/// Adds a row whose label and control explain themselves under the pointer. "&" in the label makes its key.
void addFormRow(QFormLayout& form, const QString& label, QWidget* control, const QString& help);

/// Several controls as one: sliders and lines of text take the room that is left.
QWidget* beside(std::initializer_list<QWidget*> controls);

} // namespace kvscope::app
