// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/form_rows.h"

#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSlider>

namespace kvscope::app {

void addFormRow(QFormLayout& form, const QString& label, QWidget* control, const QString& help) {
    auto* text = new QLabel(label);
    // The key leads to the first control of several.
    auto* first = control->layout() != nullptr ? control->layout()->itemAt(0)->widget() : control;
    text->setBuddy(first);
    text->setToolTip(help);
    control->setToolTip(help);
    if (first->accessibleName().isEmpty())
        first->setAccessibleName(QString(label).remove(QLatin1Char('&')));
    form.addRow(text, control);
}

QWidget* beside(std::initializer_list<QWidget*> controls) {
    auto* all = new QWidget;
    auto* layout = new QHBoxLayout(all);
    layout->setContentsMargins(0, 0, 0, 0);
    bool stretched = false;
    for (QWidget* control : controls) {
        const bool wide = qobject_cast<QSlider*>(control) != nullptr || qobject_cast<QLineEdit*>(control) != nullptr;
        layout->addWidget(control, wide ? 1 : 0);
        stretched = stretched || wide;
    }
    if (!stretched)
        layout->addStretch();
    return all;
}

} // namespace kvscope::app
