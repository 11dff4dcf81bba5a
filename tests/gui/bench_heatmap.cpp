// SPDX-License-Identifier: GPL-3.0-or-later

// Frame times of a heatmap pane at 1600 x 900 over an 8 GiB cache: panning, zooming and dragging the colour range,
// while the pyramid is being built and after. The limit printed beside them is what Qt needs to draw one ready image of
// the same size into the same window. The cache repeats a block of noise from memory, so that the disk plays no part.
#include "core/base/float_formats.h"
#include "views/colour_bar.h"
#include "views/heatmap_pane.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QMouseEvent>
#include <QPainter>
#include <QTimer>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <vector>

using namespace kvscope;
using namespace kvscope::views;

namespace {

constexpr std::int64_t kBlockTokens = 512;
constexpr QSize kWindow(1600, 900);
constexpr double kFrameTarget = 8.0;

/// `layers` x K and V x `tokens` x `channels` of f16, every plane the same block of noise over and over.
class PatternSource : public CacheSource {
public:
    PatternSource(std::int64_t layers, std::int64_t tokens, std::int64_t heads, std::int64_t headDim)
        : channels_(heads * headDim) {
        PlaneGeometry plane;
        plane.heads = heads;
        plane.headDim = headDim;
        plane.tokens = tokens;
        plane.dtype = DType::F16;
        LayerGeometry layer;
        layer.plane(PlaneKind::Key) = plane;
        layer.plane(PlaneKind::Value) = plane;
        geometry_.layers.assign(static_cast<std::size_t>(layers), layer);
        info_.name = "pattern";
        info_.synthetic = true;
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        for (std::int64_t i = 0; i < kBlockTokens * channels_; ++i) {
            const float value = normal(random) + static_cast<float>(i % channels_ % 7);
            half_.push_back(halfFromFloat(value));
            block_.push_back(floatFromHalf(half_.back()));
        }
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }
    [[nodiscard]] bool nativeIsExact(PlaneId /*plane*/) const override { return true; }

    [[nodiscard]] Result<void> readRows(PlaneId /*plane*/, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        std::size_t at = 0;
        for (std::int64_t t = tokens.begin.value; t < tokens.end.value; ++t) {
            const auto first = static_cast<std::size_t>(t % kBlockTokens * channels_ + channels.begin.value);
            std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(first), channels.size(),
                        out.begin() + static_cast<std::ptrdiff_t>(at));
            at += static_cast<std::size_t>(channels.size());
        }
        return {};
    }

    [[nodiscard]] Result<void> readNative(PlaneId /*plane*/, TokenRange tokens,
                                          std::span<std::byte> out) const override {
        const auto rowBytes = static_cast<std::size_t>(channels_) * sizeof(std::uint16_t);
        for (std::int64_t t = tokens.begin.value; t < tokens.end.value; ++t) {
            std::memcpy(out.data() + static_cast<std::size_t>(t - tokens.begin.value) * rowBytes,
                        half_.data() + t % kBlockTokens * channels_, rowBytes);
        }
        return {};
    }

private:
    KvGeometry geometry_;
    CacheInfo info_;
    std::int64_t channels_;
    std::vector<std::uint16_t> half_;
    std::vector<float> block_;
};

class Times {
public:
    void add(double milliseconds) { values_.push_back(milliseconds); }
    [[nodiscard]] double percentile(double percent) {
        std::sort(values_.begin(), values_.end());
        const double place = percent / 100 * static_cast<double>(values_.size() - 1);
        return values_.empty() ? 0 : values_[static_cast<std::size_t>(std::ceil(place))];
    }
    [[nodiscard]] std::size_t count() const { return values_.size(); }

private:
    std::vector<double> values_;
};

struct Cost {
    double wall = 0;
    /// What this thread itself worked, whatever else the machine is doing.
    double cpu = 0;
};

double threadMilliseconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

Cost costOf(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    const double cpu = threadMilliseconds();
    work();
    return {std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count(),
            threadMilliseconds() - cpu};
}

/// Times frames: a change of the picture and all that the window's thread does until it is painted, tiles that arrive
/// meanwhile included.
bool measure(const char* name, int frames, const std::function<void(int)>& change, double limit) {
    Times wall;
    Times cpu;
    for (int frame = 0; frame < frames; ++frame) {
        const Cost cost = costOf([&] {
            change(frame);
            QCoreApplication::processEvents();
        });
        wall.add(cost.wall);
        cpu.add(cost.cpu);
    }
    std::printf("  %-40s wall p50 %6.2f  p99 %6.2f  most %6.2f ms   own work p50 %5.2f  p99 %5.2f  most %5.2f ms  "
                "(%.1f x the image)  %s\n",
                name, wall.percentile(50), wall.percentile(99), wall.percentile(100), cpu.percentile(50),
                cpu.percentile(99), cpu.percentile(100), cpu.percentile(50) / limit,
                cpu.percentile(99) <= kFrameTarget ? "ok" : "SLOW");
    std::fflush(stdout);
    return cpu.percentile(99) <= kFrameTarget;
}

double imageLimit() {
    class Blank : public QWidget {
    public:
        QImage image{kWindow, QImage::Format_ARGB32_Premultiplied};

    protected:
        void paintEvent(QPaintEvent* /*event*/) override { QPainter(this).drawImage(0, 0, image); }
    };
    Blank widget;
    widget.image.fill(Qt::darkGreen);
    widget.resize(kWindow);
    widget.show();
    QCoreApplication::processEvents();
    Times times;
    for (int i = 0; i < 50; ++i)
        times.add(costOf([&widget] { widget.repaint(); }).cpu);
    return times.percentile(50);
}

void wait(const std::function<bool()>& until, int seconds) {
    QElapsedTimer timer;
    timer.start();
    // Wakes the loop now and then, which otherwise sleeps: waiting takes nothing from the pool.
    QTimer tick;
    tick.start(20);
    while (!until() && timer.elapsed() < 1000 * seconds)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents);
}

void pan(HeatmapPane& pane, int frame, double pixels) {
    const PlotView view = pane.plot().view();
    const double shift = view.columns.size() * pixels / kWindow.width() * (frame / 100 % 2 == 0 ? 1 : -1);
    pane.plot().setView({view.columns + shift, view.rows}, false);
}

bool gestures(const char* state, HeatmapPane& pane, double limit) {
    const auto label = [&](const char* gesture) {
        return QStringLiteral("%1, %2").arg(QLatin1String(gesture), QLatin1String(state)).toLatin1();
    };
    const PlotView home = pane.plot().homeView();
    pane.plot().setView({QCPRange(home.columns.size() * 0.4, home.columns.size() * 0.5), home.rows}, false);
    bool fast = measure(
        label("pan by 24 pixels").constData(), 300, [&](int frame) { pan(pane, frame, 24); }, limit);
    pane.plot().setView(home, false);
    fast &= measure(
        label("zoom in and out").constData(), 300,
        [&](int frame) { pane.plot().zoom(frame / 40 % 2 == 0 ? 0.85 : 1 / 0.85); }, limit);
    return fast;
}

bool bench(const char* name, const HeatmapSettings& settings, std::int64_t layers, std::int64_t tokens,
           std::int64_t heads, std::int64_t headDim, double limit) {
    ThreadPool pool(0, ThreadPool::Priority::Background);
    Document document(KvCache(std::make_shared<PatternSource>(layers, tokens, heads, headDim)), pool);
    SelectionModel selection;
    HeatmapPane pane(&document, &selection, settings);
    pane.resize(kWindow);
    std::printf("%s: %.2f GiB of K and V\n", name,
                static_cast<double>(document.cache().geometry().cacheBytes()) / (1 << 30));
    QElapsedTimer timer;
    timer.start();
    pane.show();
    wait([&pane] { return pane.shownMap().has_value(); }, 60);
    pane.plot().replot(QCustomPlot::rpImmediateRefresh);
    std::printf("  first picture after %lld ms\n", static_cast<long long>(timer.elapsed()));
    const bool building = !document.map()->isComplete(settings.quantity);
    bool fast = gestures(building ? "pyramid being built" : "pyramid built", pane, limit);
    if (building) {
        wait([&] { return document.map()->isComplete(settings.quantity); }, 300);
        std::printf("  pyramid complete after %lld ms\n", static_cast<long long>(timer.elapsed()));
        fast &= gestures("pyramid built", pane, limit);
    }
    wait([&pane] { return pane.isReady(); }, 60);
    auto* bar = pane.findChild<ColourBar*>(QStringLiteral("colourBar"));
    const QPointF top(bar->width() / 4.0, bar->height() / 20.0);
    const auto mouse = [bar](QEvent::Type type, const QPointF& place, Qt::MouseButton button) {
        QMouseEvent event(type, place, bar->mapToGlobal(place), button,
                          type == QEvent::MouseButtonRelease ? Qt::NoButton : Qt::LeftButton, Qt::NoModifier);
        QCoreApplication::sendEvent(bar, &event);
    };
    mouse(QEvent::MouseButtonPress, top, Qt::LeftButton);
    fast &= measure(
        "drag of the colour range", 200,
        [&](int frame) { mouse(QEvent::MouseMove, top + QPointF(0, 1 + frame), Qt::NoButton); }, limit);
    mouse(QEvent::MouseButtonRelease, top + QPointF(0, 200), Qt::LeftButton);
    fast &= measure(
        "crosshair", 200,
        [&](int frame) {
            pane.plot().setCrosshair(MapCell{tokens / 3 + frame * tokens / 2000, 0});
        },
        limit);
    return fast;
}

} // namespace

int main(int argc, char** argv) {
    const QApplication application(argc, argv);
    const double limit = imageLimit();
    std::printf("one %d x %d image drawn into a window: %.2f ms\n", kWindow.width(), kWindow.height(), limit);
    bool fast = bench("layer x token", HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key), 32, 65536, 8,
                      128, limit);
    fast &= bench("token x channel", HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key), 32, 65536, 8,
                  128, limit);
    fast &= bench("token x channel of 1,048,576 tokens, 1 layer",
                  HeatmapSettings::defaults(MapKind::TokenChannel, PlaneKind::Key), 1, 1048576, 8, 128, limit);
    return fast ? 0 : 1;
}
