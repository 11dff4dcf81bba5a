// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/gui/heatmap_fixture.h"
#include "views/heatmap_pane.h"

#include <QWheelEvent>
#include <QtTest>

#include <cmath>
#include <limits>
#include <memory>

namespace kvscope::testing {

using views::Document;
using views::HeatmapPane;
using views::HeatmapPlot;
using views::HeatmapSettings;
using views::SelectionModel;

/// A shown pane over a cache, with everything it needs.
struct ShownPane {
    explicit ShownPane(const HeatmapFixture& shape = {},
                       const HeatmapSettings& settings = HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key),
                       QSize size = {900, 420})
        : source(std::make_shared<WatchedSource>(makeHeatmapCache(shape)))
        , document(KvCache(source), pool)
        , pane(&document, &selection, settings) {
        pane.resize(size);
        pane.show();
    }

    [[nodiscard]] HeatmapPlot& plot() const { return pane.plot(); }
    [[nodiscard]] QPoint pixel(std::int64_t column, std::int64_t row) const {
        return plot().pixelOf({column, row}).toPoint();
    }
    [[nodiscard]] QColor shown(std::int64_t column, std::int64_t row) {
        plot().setCrosshair(std::nullopt);
        return plot().grab().toImage().pixelColor(pixel(column, row));
    }
    void wheel(const QPoint& at, int steps) {
        QWheelEvent event(at, plot().mapToGlobal(at), {}, QPoint(0, 120 * steps), Qt::NoButton, Qt::NoModifier,
                          Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(&plot(), &event);
    }
    void drag(const QPoint& from, const QPoint& to, Qt::MouseButton button, Qt::KeyboardModifiers keys = {}) {
        QTest::mousePress(&plot(), button, keys, from);
        QTest::mouseMove(&plot(), (from + to) / 2);
        QMouseEvent move(QEvent::MouseMove, to, plot().mapToGlobal(to), button, button, keys);
        QCoreApplication::sendEvent(&plot(), &move);
        QTest::mouseRelease(&plot(), button, keys, to);
    }
    [[nodiscard]] float value(std::int64_t layer, PlaneKind kind, std::int64_t token, std::int64_t channel) const {
        float read = 0;
        const auto done = document.cache().readRows(PlaneId{LayerIndex(layer), kind, {}}, tokenRange(token, token + 1),
                                                    channelRange(channel, channel + 1), std::span(&read, 1));
        return done ? read : std::numeric_limits<float>::quiet_NaN();
    }

    std::shared_ptr<WatchedSource> source;
    ThreadPool pool{2};
    Document document;
    SelectionModel selection;
    HeatmapPane pane;
};

inline bool near(const QColor& a, const QColor& b) {
    return std::abs(a.red() - b.red()) <= 2 && std::abs(a.green() - b.green()) <= 2 &&
           std::abs(a.blue() - b.blue()) <= 2;
}

} // namespace kvscope::testing
