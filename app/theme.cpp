// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/theme.h"

#include <QApplication>
#include <QPalette>
#include <QProxyStyle>
#include <QSettings>
#include <QStyle>
#include <QStyleOptionViewItem>

#include <memory>

namespace kvscope::app {

namespace {

constexpr auto kKey = "theme";

QPalette lightPalette() {
    QPalette palette;
    palette.setColor(QPalette::Window, QColor(0xf3f3f4));
    palette.setColor(QPalette::WindowText, QColor(0x1b1c1e));
    palette.setColor(QPalette::Base, QColor(0xffffff));
    palette.setColor(QPalette::AlternateBase, QColor(0xf0f1f3));
    palette.setColor(QPalette::Text, QColor(0x1b1c1e));
    palette.setColor(QPalette::Button, QColor(0xe9eaec));
    palette.setColor(QPalette::ButtonText, QColor(0x1b1c1e));
    palette.setColor(QPalette::ToolTipBase, QColor(0xfffff0));
    palette.setColor(QPalette::ToolTipText, QColor(0x1b1c1e));
    palette.setColor(QPalette::PlaceholderText, QColor(0x6a6d72));
    palette.setColor(QPalette::Highlight, QColor(0x1f6fb2));
    palette.setColor(QPalette::HighlightedText, QColor(0xffffff));
    palette.setColor(QPalette::Link, QColor(0x1f6fb2));
    palette.setColor(QPalette::Mid, QColor(0xb4b7bc));
    palette.setColor(QPalette::Dark, QColor(0x9a9da3));
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        palette.setColor(QPalette::Disabled, role, QColor(0x909398));
    return palette;
}

QPalette darkPalette() {
    QPalette palette;
    palette.setColor(QPalette::Window, QColor(0x24262a));
    palette.setColor(QPalette::WindowText, QColor(0xe4e5e7));
    palette.setColor(QPalette::Base, QColor(0x1a1b1e));
    palette.setColor(QPalette::AlternateBase, QColor(0x222428));
    palette.setColor(QPalette::Text, QColor(0xe4e5e7));
    palette.setColor(QPalette::Button, QColor(0x33363b));
    palette.setColor(QPalette::ButtonText, QColor(0xe4e5e7));
    palette.setColor(QPalette::ToolTipBase, QColor(0x33363b));
    palette.setColor(QPalette::ToolTipText, QColor(0xe4e5e7));
    palette.setColor(QPalette::PlaceholderText, QColor(0x9a9da3));
    palette.setColor(QPalette::Highlight, QColor(0x3b8ed0));
    palette.setColor(QPalette::HighlightedText, QColor(0xffffff));
    palette.setColor(QPalette::Link, QColor(0x6cb4ee));
    palette.setColor(QPalette::Light, QColor(0x45494f));
    palette.setColor(QPalette::Midlight, QColor(0x3b3f45));
    palette.setColor(QPalette::Mid, QColor(0x4a4e55));
    palette.setColor(QPalette::Dark, QColor(0x15161a));
    palette.setColor(QPalette::Shadow, QColor(0x0c0d0f));
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        palette.setColor(QPalette::Disabled, role, QColor(0x7c8087));
    return palette;
}

} // namespace

ThemeChoice savedTheme() {
    const QString name = QSettings().value(QLatin1String(kKey)).toString();
    if (name == QLatin1String("light"))
        return ThemeChoice::Light;
    return name == QLatin1String("dark") ? ThemeChoice::Dark : ThemeChoice::System;
}

void saveTheme(ThemeChoice choice) {
    QSettings().setValue(QLatin1String(kKey), choice == ThemeChoice::Light  ? QStringLiteral("light")
                                              : choice == ThemeChoice::Dark ? QStringLiteral("dark")
                                                                            : QStringLiteral("system"));
}

namespace {

/// Fusion with boxes to tick in lists that can be seen before they are ticked: their outline is a shade of the window,
/// which on a dark list is no outline.
class ListBoxStyle final : public QProxyStyle {
public:
    ListBoxStyle()
        : QProxyStyle(QStringLiteral("Fusion")) {}

    void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
                       const QWidget* widget) const override {
        const auto* item = qstyleoption_cast<const QStyleOptionViewItem*>(option);
        if (element != PE_IndicatorItemViewItemCheck || item == nullptr) {
            QProxyStyle::drawPrimitive(element, option, painter, widget);
            return;
        }
        QStyleOptionViewItem outlined(*item);
        outlined.palette.setColor(QPalette::Window, item->palette.color(QPalette::PlaceholderText));
        QProxyStyle::drawPrimitive(element, &outlined, painter, widget);
    }
};

/// On dark windows Fusion's outlines of fields and boxes are as dark as what they hold: a lighter ground shows them.
void apply(const QPalette& palette) {
    QApplication::setPalette(palette);
    if (palette.color(QPalette::Window).lightness() >= 128)
        return;
    QPalette fields = palette;
    fields.setColor(QPalette::Base, QColor(0x33363b));
    QApplication::setPalette(fields, "QLineEdit");
    fields.setColor(QPalette::Base, QColor(0x4a4e55));
    QApplication::setPalette(fields, "QCheckBox");
}

} // namespace

void applyTheme(ThemeChoice choice) {
    // The application owns it from here on.
    QApplication::setStyle(std::make_unique<ListBoxStyle>().release());
    switch (choice) {
    case ThemeChoice::Light:
        apply(lightPalette());
        return;
    case ThemeChoice::Dark:
        apply(darkPalette());
        return;
    case ThemeChoice::System:
        // Desktops without a palette of their own get ours; Fusion's default window colour tells which of the two fits.
        apply(QApplication::style()->standardPalette().color(QPalette::Window).lightness() < 128 ? darkPalette()
                                                                                                 : lightPalette());
        return;
    }
}

} // namespace kvscope::app
