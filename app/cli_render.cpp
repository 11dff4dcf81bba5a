// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/export.h"
#include "app/main_window.h"
#include "app/theme.h"
#include "app/view_catalogue.h"

#include <QApplication>
#include <QDir>
#include <QElapsedTimer>
#include <QEventLoop>
#include <QFileInfo>
#include <QLoggingCategory>
#include <QSettings>
#include <QTemporaryDir>
#include <QTimer>

#include <algorithm>

namespace kvscope::app {

namespace {

constexpr int kPollMs = 15;
constexpr auto kWindowView = "window";
constexpr auto kAllViews = "all";

struct RenderRequest {
    QStringList files;
    OpenOptions options;
    QString view;
    QString out;
    QSize size{1600, 1000};
    double scale = 1.0;
    ThemeChoice theme = ThemeChoice::Light;
    std::int64_t timeoutSeconds = 120;
};

/// Runs the event loop until the condition holds; false when the time is over.
template <class Condition> bool waitFor(Condition condition, std::int64_t timeoutSeconds) {
    QElapsedTimer clock;
    clock.start();
    QEventLoop loop;
    QTimer timer;
    QObject::connect(&timer, &QTimer::timeout, &loop, [&] {
        if (condition() || clock.elapsed() > timeoutSeconds * 1000)
            loop.quit();
    });
    timer.start(kPollMs);
    if (!condition())
        loop.exec();
    return condition();
}

std::optional<QSize> sizeFrom(const QString& text) {
    const QStringList parts = text.split(QLatin1Char('x'));
    bool widthValid = false;
    bool heightValid = false;
    const QSize size = parts.size() == 2 ? QSize(parts[0].toInt(&widthValid), parts[1].toInt(&heightValid)) : QSize();
    const bool sensible = widthValid && heightValid && size.width() >= 200 && size.height() >= 150 &&
                          size.width() <= 16384 && size.height() <= 16384;
    return sensible ? std::optional(size) : std::nullopt;
}

QString partName(const ViewEntry& entry, const ViewPart& part) {
    return entry.name + QLatin1Char('.') + part.name;
}

/// "window.tune": the whole window as it is arranged for that.
QString windowName(Arrangement arrangement) {
    return QLatin1String(kWindowView) + QLatin1Char('.') + nameOf(arrangement);
}

/// The part of a view with this name; null where the name is that of a whole view.
const ViewPart* partNamed(const QString& name) {
    for (const ViewEntry& entry : viewCatalogue()) {
        for (const ViewPart& part : entry.parts) {
            if (partName(entry, part) == name)
                return &part;
        }
    }
    return nullptr;
}

QStringList viewNames(const MainWindow& window) {
    QStringList names = window.exportableViews().keys();
    for (const ViewEntry& entry : viewCatalogue()) {
        for (const ViewPart& part : entry.parts)
            names.append(partName(entry, part));
    }
    for (const Arrangement arrangement : kAllArrangements)
        names.append(windowName(arrangement));
    return names << QLatin1String(kWindowView);
}

/// Renders one view into a file; returns an exit code.
int renderView(MainWindow& window, const QString& name, const QString& path, const RenderRequest& request) {
    const auto late = [&] {
        return complain(QObject::tr("%1 was not ready after %2 s; give it longer with --timeout")
                            .arg(name)
                            .arg(request.timeoutSeconds));
    };
    if (name.section(QLatin1Char('.'), 0, 0) == QLatin1String(kWindowView)) {
        if (const auto arrangement = arrangementNamed(name.section(QLatin1Char('.'), 1)))
            window.setArrangement(*arrangement);
        const bool ready = waitFor(
            [&] {
                const auto views = window.exportableViews();
                return std::all_of(views.begin(), views.end(), [](const views::ExportableView* view) {
                    const auto* widget = dynamic_cast<const QWidget*>(view);
                    return widget == nullptr || !widget->isVisible() || view->isReady();
                });
            },
            request.timeoutSeconds);
        if (!ready)
            return late();
        if (!window.grab().save(path))
            return complain(QObject::tr("%1: cannot be written as a picture").arg(path));
        return kExitDone;
    }
    const QString viewName = name.section(QLatin1Char('.'), 0, 0);
    window.showView(viewName);
    views::ExportableView* view = window.exportableViews().value(viewName);
    if (const ViewPart* part = partNamed(name))
        part->show(dynamic_cast<QWidget*>(view));
    if (!waitFor([&] { return view->isReady(); }, request.timeoutSeconds))
        return late();
    // A picture larger than the window's view needs finer cells.
    view->prepare(request.size);
    if (!waitFor([&] { return view->isReady(); }, request.timeoutSeconds))
        return late();
    const auto written = exportView(*view, path, request.size, request.scale);
    return written ? kExitDone : complain(written.error());
}

int render(const RenderRequest& request) {
    // Neither the user's saved layout nor the list of recent files has a part in this.
    const QTemporaryDir settings;
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    applyTheme(request.theme);
    MainWindow window;
    window.resize(request.size);
    window.show();

    std::optional<Error> error;
    QObject::connect(&window.workspace(), &Workspace::failed, [&](const Error& failure) { error = failure; });
    const auto opened = [&](Workspace::Slot slot) {
        return window.workspace().document(slot) != nullptr || error.has_value();
    };
    window.workspace().open(request.files.front().toStdString(), request.options, Workspace::Slot::Main);
    bool ready = waitFor([&] { return opened(Workspace::Slot::Main); }, request.timeoutSeconds);
    if (ready && !error && request.files.size() > 1) {
        window.workspace().open(request.files[1].toStdString(), {}, Workspace::Slot::Compared);
        ready = waitFor([&] { return opened(Workspace::Slot::Compared); }, request.timeoutSeconds);
    }
    if (error)
        return complain(*error);
    if (!ready)
        return complain(
            QObject::tr("%1 was not open after %2 s").arg(request.files.front()).arg(request.timeoutSeconds));

    const QStringList names = viewNames(window);
    if (request.view != QLatin1String(kAllViews) && !names.contains(request.view))
        return complain(QObject::tr("there is no view \"%1\" of this dump; choose one of: %2, all")
                            .arg(request.view, names.join(QStringLiteral(", "))),
                        kExitBadUsage);
    if (request.view != QLatin1String(kAllViews))
        return renderView(window, request.view, request.out, request);
    if (!QDir().mkpath(request.out))
        return complain(QObject::tr("%1: the folder cannot be made").arg(request.out));
    // The window first, then its arrangements, while it still shows what it starts with.
    QStringList order = names;
    order.removeAll(QLatin1String(kWindowView));
    order.prepend(QLatin1String(kWindowView));
    std::stable_partition(order.begin(), order.end(),
                          [](const QString& name) { return name.startsWith(QLatin1String(kWindowView)); });
    for (const QString& name : order) {
        const QString path = request.out + QLatin1Char('/') + name + QStringLiteral(".png");
        if (const int code = renderView(window, name, path, request); code != kExitDone)
            return code;
        print(path + QLatin1Char('\n'));
    }
    return kExitDone;
}

} // namespace

int runRender(int argc, char** argv) {
    qputenv("QT_QPA_PLATFORM", "offscreen");
    // Qt warns at every window of what this platform cannot do, none of which a picture needs.
    QLoggingCategory::setFilterRules(QStringLiteral("default.warning=false"));
    const QApplication application(argc, argv);
    QStringList arguments = QApplication::arguments();
    arguments.removeFirst();

    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr("Draws a view of a dump into a file, without a display."));
    parser.addPositionalArgument(QStringLiteral("FILE"), QObject::tr("The dump; a second one is compared with it."),
                                 QStringLiteral("FILE [FILE]"));
    QStringList names{QStringLiteral("all"), QStringLiteral("window")};
    for (const Arrangement arrangement : kAllArrangements)
        names.append(windowName(arrangement));
    QStringList parts;
    for (const ViewEntry& entry : viewCatalogue()) {
        names.append(entry.name);
        for (const ViewPart& part : entry.parts)
            parts.append(partName(entry, part));
    }
    parser.addOption(QCommandLineOption(QStringLiteral("view"),
                                        QObject::tr("What to draw: map-left, map-right, map-bottom, map-decoded, "
                                                    "map-error, map-bits, map-wipe, %1; or a part of a view: %2.")
                                            .arg(names.join(QStringLiteral(", ")), parts.join(QStringLiteral(", "))),
                                        QStringLiteral("NAME"), QLatin1String(kWindowView)));
    parser.addOption(QCommandLineOption(QStringLiteral("o"),
                                        QObject::tr("File to write (.png, .svg, .pdf, .csv); a folder for all."),
                                        QStringLiteral("OUT")));
    parser.addOption(QCommandLineOption(QStringLiteral("size"), QObject::tr("Size in logical pixels."),
                                        QStringLiteral("WIDTHxHEIGHT"), QStringLiteral("1600x1000")));
    parser.addOption(QCommandLineOption(QStringLiteral("scale"), QObject::tr("Pixels per logical pixel of a PNG."),
                                        QStringLiteral("FACTOR"), QStringLiteral("1")));
    parser.addOption(QCommandLineOption(QStringLiteral("theme"), QObject::tr("light or dark."), QStringLiteral("THEME"),
                                        QStringLiteral("light")));
    parser.addOption(QCommandLineOption(QStringLiteral("timeout"), QObject::tr("Longest wait for a view."),
                                        QStringLiteral("SECONDS"), QStringLiteral("120")));
    addOpenOptions(parser);
    if (const auto code = parseArguments(parser, arguments))
        return *code;

    RenderRequest request;
    request.files = parser.positionalArguments();
    request.view = parser.value(QStringLiteral("view"));
    request.out = parser.value(QStringLiteral("o"));
    if (request.files.isEmpty() || request.files.size() > 2 || request.out.isEmpty())
        return complain(QObject::tr("render needs FILE and -o OUT; see kvscope render --help"), kExitBadUsage);
    const auto size = sizeFrom(parser.value(QStringLiteral("size")));
    if (!size)
        return complain(QObject::tr("--size: \"%1\" is not WIDTHxHEIGHT from 200x150 to 16384x16384")
                            .arg(parser.value(QStringLiteral("size"))),
                        kExitBadUsage);
    request.size = *size;
    bool valid = false;
    request.scale = parser.value(QStringLiteral("scale")).toDouble(&valid);
    if (!valid || !(request.scale > 0 && request.scale <= 8))
        return complain(QObject::tr("--scale: must be above 0 and at most 8"), kExitBadUsage);
    const QString theme = parser.value(QStringLiteral("theme"));
    if (theme != QLatin1String("light") && theme != QLatin1String("dark"))
        return complain(QObject::tr("--theme: \"%1\" is neither light nor dark").arg(theme), kExitBadUsage);
    request.theme = theme == QLatin1String("dark") ? ThemeChoice::Dark : ThemeChoice::Light;
    const auto timeout = wholeNumber(parser, QStringLiteral("timeout"), 1);
    const auto options = openOptionsFrom(parser);
    if (!timeout || !options)
        return kExitBadUsage;
    request.timeoutSeconds = *timeout;
    request.options = *options;
    return render(request);
}

} // namespace kvscope::app
