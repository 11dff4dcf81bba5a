// SPDX-License-Identifier: GPL-3.0-or-later
// Time from starting the program to a painted window (and, with a dump, to its first complete map), as a whole process,
// beside a program of the same toolkit that shows an empty window.
#include <QApplication>
#include <QElapsedTimer>
#include <QMainWindow>
#include <QProcess>
#include <QTimer>

#include <algorithm>
#include <cstdio>
#include <vector>

namespace {

constexpr int kRuns = 9;
constexpr auto kBare = "--bare";

int showBareWindow(int argc, char** argv) {
    const QApplication application(argc, argv);
    QMainWindow window;
    window.resize(1440, 900);
    window.show();
    QTimer::singleShot(1, qApp, &QApplication::quit);
    return QApplication::exec();
}

/// Median milliseconds of a process from start to end; the first run, which warms the page cache, is not counted.
double medianMs(const QString& program, const QStringList& arguments) {
    std::vector<double> times;
    for (int run = 0; run <= kRuns; ++run) {
        QElapsedTimer clock;
        clock.start();
        if (QProcess::execute(program, arguments) != 0)
            return -1;
        if (run > 0)
            times.push_back(static_cast<double>(clock.nsecsElapsed()) * 1e-6);
    }
    std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
    return times[kRuns / 2];
}

} // namespace

int main(int argc, char** argv) {
    if (argc > 1 && QLatin1String(argv[1]) == QLatin1String(kBare))
        return showBareWindow(argc, argv);
    const QString program = QStringLiteral(KVSCOPE_PROGRAM);
    const QString leave = QStringLiteral("--exit-when-shown");
    const double bare = medianMs(QString::fromLocal8Bit(argv[0]), {QLatin1String(kBare)});
    const double empty = medianMs(program, {leave});
    const double dump =
        medianMs(program, {leave, QStringLiteral(KVSCOPE_SOURCE_DIR "/sample_dumps/prose.safetensors")});
    std::printf("start to painted window, whole process, median of %d\n", kRuns);
    std::printf("  empty Qt window        %7.1f ms\n", bare);
    std::printf("  KVScope, no dump       %7.1f ms   %.2fx the empty window; goal 200 ms: %s\n", empty, empty / bare,
                empty >= 0 && empty <= 200 ? "met" : "MISSED");
    std::printf("  KVScope, sample dump   %7.1f ms   to the first complete map\n", dump);
    return bare < 0 || empty < 0 || dump < 0 ? 1 : 0;
}
