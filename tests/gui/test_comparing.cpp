// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/compare_bar.h"
#include "app/main_window.h"
#include "app/maps_area.h"
#include "views/chart_widget.h"
#include "views/colour_bar.h"
#include "views/heatmap_pane.h"
#include "views/layer_charts_view.h"

#include <QAction>
#include <QComboBox>
#include <QDockWidget>
#include <QLabel>
#include <QSettings>
#include <QTemporaryDir>
#include <QTest>

using namespace kvscope;
using app::CompareBar;
using app::MainWindow;
using app::Workspace;
using views::HeatmapPane;

namespace {

constexpr int kPatience = 20000;

QString sample(const char* name) {
    return qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QLatin1Char('/') + QLatin1String(name);
}

} // namespace

/// Two dumps side by side and their difference, driven as a user does.
class TestComparing : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1440, 900);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
    }

    void cleanup() { window_.reset(); }

    void everyPaneSaysWhatItShows() {
        compare("prose.safetensors", "code.npz");
        QCOMPARE(pane(0).caption(), QStringLiteral("A: prose.safetensors"));
        QCOMPARE(pane(1).caption(), QStringLiteral("B: code.npz"));
        QVERIFY2(pane(2).caption().contains(QStringLiteral("difference")), qPrintable(pane(2).caption()));
        window_->commands().find(QStringLiteral("file.closeCompared"))->trigger();
        QVERIFY(pane(0).caption().isEmpty());
        QVERIFY(!bar().isVisible());
    }

    void allShareOneScale() {
        compare("prose.safetensors", "code.npz");
        QTRY_VERIFY_WITH_TIMEOUT(pane(0).isReady() && pane(1).isReady() && pane(2).isReady(), kPatience);
        const auto colouring = [this](std::size_t i) { return pane(i).plot().heatmap().colouring(); };
        QTRY_VERIFY(colouring(0).scale.range() == colouring(1).scale.range());
        QVERIFY(colouring(0).scale.range() == colouring(2).scale.range());
        // The range covers what each would have chosen, and all are relative to the layers of the first dump.
        for (std::size_t i = 0; i < 3; ++i)
            QVERIFY(colouring(0).scale.range().upper >= pane(i).ownRange()->upper);
        QVERIFY(colouring(0).rowFactors == colouring(1).rowFactors);
        QVERIFY(colouring(0).rowFactors == colouring(2).rowFactors);
        QVERIFY(pane(2).colourBar().contents().label.endsWith(QStringLiteral("layer rms of A")));

        QAction* alike = window_->commands().find(QStringLiteral("view.alike"));
        alike->trigger();
        QVERIFY(!(colouring(0).scale.range() == colouring(2).scale.range()));
        QVERIFY(!(colouring(0).rowFactors == colouring(2).rowFactors));
        alike->trigger();
        QVERIFY(colouring(0).scale.range() == colouring(2).scale.range());
    }

    void whatOneShowsAllShow() {
        compare("prose.safetensors", "prose.safetensors");
        QComboBox* quantity = nullptr;
        for (auto* box : pane(1).findChildren<QComboBox*>()) {
            if (box->accessibleName() == QLatin1String("Quantity"))
                quantity = box;
        }
        QVERIFY(quantity != nullptr);
        quantity->setFocus();
        QTest::keyClick(quantity, Qt::Key_Down);
        for (std::size_t i = 0; i < 3; ++i)
            QCOMPARE(pane(i).settings().quantity, Quantity::Magnitude);
        window_->commands().find(QStringLiteral("edit.undo"))->trigger();
        for (std::size_t i = 0; i < 3; ++i)
            QCOMPARE(pane(i).settings().quantity, Quantity::Value);
        // But the difference of two dumps has no plan of the codec.
        window_->maps()->showNamed(QStringLiteral("map-bits"));
        QCOMPARE(pane(1).settings().plan, views::PlanView::Bits);
        QCOMPARE(pane(2).settings().plan, views::PlanView::None);
        QCOMPARE(pane(2).settings().reduction, views::Reduction::Rms);
        // What compares with it shows stored values again.
        window_->maps()->showNamed(QStringLiteral("map-bottom"));
        QCOMPARE(pane(0).settings().plan, views::PlanView::None);
        QCOMPARE(pane(1).settings().plan, views::PlanView::None);
    }

    void warnsOfUnlikeTexts() {
        compare("prose.safetensors", "code.npz");
        QTRY_VERIFY2(bar().notice().contains(QStringLiteral("A holds 256 tokens, B 512: the difference covers the "
                                                            "first 256")),
                     qPrintable(bar().notice()));
        QVERIFY2(bar().notice().contains(QStringLiteral("The texts are not the same")), qPrintable(bar().notice()));
        QVERIFY(bar().isVisible());
    }

    void doesNotWarnOfLikeOnes() {
        compare("prose.safetensors", "prose.safetensors");
        QTRY_VERIFY(bar().isVisible());
        QVERIFY2(bar().notice().isEmpty(), qPrintable(bar().notice()));
    }

    void navigatorAndStatisticsSayAndChooseTheirDump() {
        compare("prose.safetensors", "code.npz");
        window_->showView(QStringLiteral("layers"));
        QCOMPARE(layers()->panel().caption(), QStringLiteral("A: prose.safetensors"));
        layers()->setStatistic(views::LayerChartsView::Statistic::Kurtosis);
        auto* navigator = window_->findChild<QDockWidget*>(QStringLiteral("dock.navigator"));
        QCOMPARE(navigator->windowTitle(), QStringLiteral("Dump A"));
        bar().chooser().setFocus();
        QTest::keyClick(&bar().chooser(), Qt::Key_Down);
        QCOMPARE(navigator->windowTitle(), QStringLiteral("Dump B"));
        QCOMPARE(layers()->panel().caption(), QStringLiteral("B: code.npz"));
        QStringList facts;
        for (const auto* label : navigator->findChildren<QLabel*>())
            facts << label->text();
        QVERIFY(facts.contains(QStringLiteral("512")));
        // What was chosen in the view is chosen still.
        QTRY_VERIFY_WITH_TIMEOUT(layers()->isReady(), kPatience);
        QCOMPARE(layers()->chart().data().yTitle, QStringLiteral("excess kurtosis"));
    }

    void commandsReachTheDifferenceAndItsQuantities() {
        QVERIFY(!window_->commands().find(QStringLiteral("view.difference"))->isEnabled());
        compare("prose.safetensors", "prose.safetensors");
        window_->commands().find(QStringLiteral("view.difference"))->trigger();
        QCOMPARE(window_->maps()->currentPane(), &pane(2));
        window_->commands()
            .find(QStringLiteral("map.quantity%1").arg(static_cast<int>(Quantity::DeltaAnchor)))
            ->trigger();
        QCOMPARE(pane(2).settings().quantity, Quantity::DeltaAnchor);
    }

private:
    [[nodiscard]] HeatmapPane& pane(std::size_t i) const { return *window_->maps()->panes()[i]; }
    [[nodiscard]] CompareBar& bar() const { return *window_->findChild<CompareBar*>(); }
    [[nodiscard]] views::LayerChartsView* layers() const { return window_->findChild<views::LayerChartsView*>(); }

    void compare(const char* first, const char* second) {
        window_->openPaths({sample(first), sample(second)});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().difference() != nullptr, kPatience);
    }

    QTemporaryDir settings_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestComparing)
#include "test_comparing.moc"
