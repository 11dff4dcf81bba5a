// SPDX-License-Identifier: GPL-3.0-or-later
// Time from an edit of one layer's K (8,192 tokens x 1,024 channels, fp16) to the layer charts that show it, on the
// window's event loop, beside reading the same plane from the dump: what no encoder can do without.
#include "core/io/open_dump.h"
#include "core/io/synth.h"
#include "views/chart_widget.h"
#include "views/codec_layers_view.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QEventLoop>
#include <QTemporaryDir>
#include <QTimer>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <vector>

using namespace kvscope;
using namespace kvscope::views;

namespace {

constexpr int kRuns = 15;
constexpr std::int64_t kTokens = 8192;
constexpr double kGoalMs = 100;

/// Two layers of a dump on disk, K rotated by RoPE.
KvCache openCache(const QString& folder, ThreadPool& pool) {
    SynthOptions options;
    options.layers = 2;
    options.tokens = kTokens;
    const std::filesystem::path path = (folder + QStringLiteral("/dump.safetensors")).toStdString();
    if (!writeSyntheticDump(path, options, pool))
        return {};
    auto opened = openDump(path);
    return opened ? opened->cache : KvCache();
}

/// Runs the event loop until the condition holds; milliseconds that took.
double waitFor(const std::function<bool()>& condition) {
    QElapsedTimer clock;
    clock.start();
    // Sleeps between looks: a loop that spins takes a core from the workers.
    QTimer wake;
    wake.start(1);
    while (!condition() && clock.elapsed() < 120000)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    return static_cast<double>(clock.nsecsElapsed()) * 1e-6;
}

double median(std::vector<double> times) {
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    return times[times.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    qputenv("QT_QPA_PLATFORM", "offscreen");
    const QApplication application(argc, argv);
    const QTemporaryDir folder;
    ThreadPool pool;
    const KvCache cache = openCache(folder.path(), pool);
    if (cache.isNull()) {
        std::fprintf(stderr, "the dump could not be made\n");
        return 1;
    }
    Document document(cache, pool);
    SelectionModel selection;
    CodecLayersView view(&document, &selection);
    view.resize(1200, 800);
    view.show();
    const double first = waitFor([&] { return view.isReady(); });
    CodecSession& session = CodecSession::of(document);
    const LayerKind cell{LayerIndex(0), PlaneKind::Key};

    std::vector<double> edits;
    std::vector<double> reads;
    std::vector<double> work;
    for (int run = 0; run < kRuns; ++run) {
        const double before = view.charts().front()->data().series.front().y.front();
        const double bits = 2 + 0.1 * run;
        if (!session.adjustCells(QStringLiteral("bits"), std::array{cell},
                                 [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); }))
            return 1;
        const std::clock_t began = std::clock();
        edits.push_back(waitFor(
            [&] { return view.isReady() && view.charts().front()->data().series.front().y.front() != before; }));
        work.push_back(1000.0 * static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC);
        QElapsedTimer clock;
        clock.start();
        std::vector<float> rows(static_cast<std::size_t>(cache.geometry().find(PlaneId{})->values()));
        if (!cache.readRows(PlaneId{}, tokenRange(0, kTokens), rows))
            return 1;
        reads.push_back(static_cast<double>(clock.nsecsElapsed()) * 1e-6);
    }
    const double edit = median(edits);
    const double read = median(reads);
    std::printf("edit of one layer's K, %lld tokens x 1,024 channels, 16 MiB of fp16, %zu threads, median of %d\n",
                static_cast<long long>(kTokens), pool.threadCount(), kRuns);
    std::printf("  to the moved charts    %7.1f ms   %.1fx reading the plane (%.1f ms); goal %.0f ms: %s\n", edit,
                edit / read, read, kGoalMs, edit <= kGoalMs ? "met" : "MISSED");
    std::printf("  processor time         %7.1f ms, all threads together\n", median(work));
    std::printf("  4 planes at first      %7.1f ms\n", first);
    return edit <= kGoalMs ? 0 : 1;
}
