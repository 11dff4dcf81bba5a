// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/gui/golden_cache.h"
#include "views/chart_widget.h"
#include "views/document.h"
#include "views/selection.h"

#include <QCheckBox>
#include <QComboBox>
#include <QTabBar>
#include <QTest>
#include <qcustomplot.h>

#include <algorithm>
#include <cmath>

namespace kvscope::testing {

using namespace kvscope::views;

/// Relative tolerance: the golden numbers have ten digits.
inline constexpr double kTolerance = 1e-6;

inline bool near(double actual, double expected) {
    return std::abs(actual - expected) <= kTolerance * std::max(1e-3, std::abs(expected));
}

#define COMPARE_NEAR(actual, expected)                                                                                 \
    do {                                                                                                               \
        const double gotValue = (actual);                                                                              \
        const double wantedValue = (expected);                                                                         \
        QVERIFY2(near(gotValue, wantedValue),                                                                          \
                 qPrintable(QString::number(gotValue, 'g', 12) + QStringLiteral(" is not ") +                          \
                            QString::number(wantedValue, 'g', 12)));                                                   \
    } while (false)

/// A document, a selection and a pool, and how a view over them is shown.
struct Bench {
    explicit Bench(const KvCache& cache)
        : document(cache, pool) {}

    ThreadPool pool{2};
    Document document;
    SelectionModel selection;

    template <class View> void show(View& view) {
        view.resize(800, 560);
        view.show();
        QVERIFY(QTest::qWaitForWindowExposed(&view));
        QTRY_VERIFY_WITH_TIMEOUT(view.isReady(), 30000);
    }
};

/// Chooses an entry of a combo box by keyboard.
inline void choose(QWidget& view, const char* name, int index) {
    auto* box = view.findChild<QComboBox*>(QString::fromLatin1(name));
    QVERIFY(box != nullptr);
    QVERIFY(box->isVisible());
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = 0; i < index; ++i)
        QTest::keyClick(box, Qt::Key_Down);
    QCOMPARE(box->currentIndex(), index);
}

inline void toggle(QWidget& view, const char* name) {
    auto* box = view.findChild<QCheckBox*>(QString::fromLatin1(name));
    QVERIFY(box != nullptr);
    const bool before = box->isChecked();
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Space);
    QCOMPARE(box->isChecked(), !before);
}

inline void openPage(QWidget& view, int index) {
    auto* pages = view.findChild<QTabBar*>(QStringLiteral("pages"));
    QVERIFY(pages != nullptr);
    QTest::mouseClick(pages, Qt::LeftButton, {}, pages->tabRect(index).center());
    QCOMPARE(pages->currentIndex(), index);
}

inline void clickAt(ChartWidget& chart, double x, double y) {
    auto* plot = chart.findChild<QCustomPlot*>();
    plot->replot(QCustomPlot::rpImmediateRefresh);
    QTest::mouseClick(plot, Qt::LeftButton, {}, plot->mapFrom(&chart, chart.pointAt(x, y).toPoint()));
}

inline const ChartSeries* seriesNamed(const ChartWidget& chart, const QString& name) {
    for (const ChartSeries& series : chart.data().series) {
        if (series.name == name)
            return &series;
    }
    return nullptr;
}

inline const char* goldenKind(const QString& name) {
    return name == QLatin1String("K") ? "K" : name == QLatin1String("V") ? "V" : "Kpre";
}

} // namespace kvscope::testing
