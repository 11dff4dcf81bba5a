// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QKeySequence>
#include <QList>
#include <QString>
#include <QWidget>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

namespace kvscope::views {
class Document;
class SelectionModel;
} // namespace kvscope::views

namespace kvscope::app {

/// What the window is arranged for; each shows the views of its own beside or below the maps.
enum class Arrangement : std::uint8_t { Explore, Tune, Stream };

inline constexpr std::array kAllArrangements{Arrangement::Explore, Arrangement::Tune, Arrangement::Stream};

/// Its name in settings and on the command line, e.g. "explore".
QString nameOf(Arrangement arrangement);
std::optional<Arrangement> arrangementNamed(const QString& name);

/// One of the things that a statistics view can show: how menus, the palette and `kvscope render` name it.
struct ViewPart {
    /// Name on the command line after the view's and a dot, e.g. "entropy" of "layers.entropy".
    QString name;
    QString title;
    QString help;
    /// Makes a view of this sort show it.
    std::function<void(QWidget*)> show;
};

/// One kind of statistics view: how the window's docks, the menus and `kvscope render` name and make it.
struct ViewEntry {
    /// Name on the command line, e.g. "distribution".
    QString name;
    QString title;
    QString help;
    QKeySequence shortcut;
    std::function<QWidget*(views::Document*, views::SelectionModel*)> make;
    QList<ViewPart> parts;
    /// The arrangement of the window that it belongs to.
    Arrangement arrangement = Arrangement::Explore;
};

/// The statistics views, in the order of their tabs.
const QList<ViewEntry>& viewCatalogue();

} // namespace kvscope::app
