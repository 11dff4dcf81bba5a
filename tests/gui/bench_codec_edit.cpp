// SPDX-License-Identifier: GPL-3.0-or-later
// Time from an edit of one layer's K (8,192 tokens x 1,024 channels, fp16) to the layer charts that show it, on the
// window's event loop, beside reading the same plane from the dump: what no encoder can do without.
#include "core/kv/strided_cache.h"
#include "views/chart_widget.h"
#include "views/codec_layers_view.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QEventLoop>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

using namespace kvscope;
using namespace kvscope::views;

namespace {

constexpr int kRuns = 15;
constexpr std::int64_t kTokens = 8192;
constexpr double kGoalMs = 100;

KvCache makeCache() {
    PlaneGeometry plane;
    plane.heads = 8;
    plane.headDim = 128;
    plane.tokens = kTokens;
    plane.dtype = DType::F16;
    KvGeometry geometry;
    geometry.layers.resize(2);
    std::vector<std::vector<float>> planes;
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (LayerGeometry& layer : geometry.layers) {
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            layer.plane(kind) = plane;
            auto& values = planes.emplace_back(static_cast<std::size_t>(plane.values()));
            for (float& value : values)
                value = normal(random);
        }
    }
    auto cache = makeMemoryCache(std::move(geometry), {}, std::move(planes));
    return cache ? *cache : KvCache();
}

/// Runs the event loop until the condition holds; milliseconds that took.
double waitFor(const std::function<bool()>& condition) {
    QElapsedTimer clock;
    clock.start();
    while (!condition() && clock.elapsed() < 120000)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents, 5);
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
    const KvCache cache = makeCache();
    if (cache.isNull())
        return 1;
    ThreadPool pool;
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
    for (int run = 0; run < kRuns; ++run) {
        const double before = view.charts().front()->data().series.front().y.front();
        const double bits = 2 + 0.1 * run;
        if (!session.adjustCells(QStringLiteral("bits"), std::array{cell},
                                 [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); }))
            return 1;
        edits.push_back(waitFor(
            [&] { return view.isReady() && view.charts().front()->data().series.front().y.front() != before; }));
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
    std::printf("  4 planes at first      %7.1f ms\n", first);
    return edit <= kGoalMs ? 0 : 1;
}
