// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "app/workspace.h"
#include "golden_cache.h"
#include "views/chart_widget.h"
#include "views/codec_layers_view.h"
#include "views/codec_panel.h"
#include "views/codec_stage_editor.h"
#include "views/codec_summary.h"
#include "views/codec_table.h"
#include "views/pareto_view.h"
#include "views/preset_survey.h"

#include <QAbstractItemModelTester>
#include <QClipboard>
#include <QComboBox>
#include <QDockWidget>
#include <QDoubleSpinBox>
#include <QFile>
#include <QGuiApplication>
#include <QLineEdit>
#include <QMap>
#include <QSettings>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {

constexpr int kPatience = 30000;

/// What a cell shows.
struct Figures {
    double bits = 0;
    double error = 0;
};

} // namespace

class TestCodecViews : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1600, 1000);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
        window_->openPaths({qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QStringLiteral("/prose.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Main) != nullptr, kPatience);
        session_ = &CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
    }

    void cleanup() { window_.reset(); }

    void noPlaneIsEncodedBeforeACodecViewIsShown() {
        QTest::qWait(50);
        QCOMPARE(session_->planesEncoded(), std::int64_t(0));
        QTest::keyClick(window_.get(), Qt::Key_6, Qt::AltModifier);
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
    }

    void figuresOfTheSummaryKeepTheirPlacesWhileTuning() {
        CodecPanel* panel = openPanel();
        const CodecSummary& summary = panel->summary();
        const auto places = [&summary] {
            QMap<QString, QRectF> of;
            for (std::size_t i = 0; i < summary.figures().size(); ++i)
                of.insert(summary.figures()[i].caption, summary.cellOf(i));
            return of;
        };
        // Something else than a preset, so that there is a gain over them, the longest of the figures.
        click(*panel, 0, 0);
        enter(*panel, QStringLiteral("3"));
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete() && panel->isReady(), kPatience);
        const auto before = places();
        QVERIFY(before.size() >= 8);
        const int height = summary.heightForWidth(summary.width());
        int seen = 0;
        const auto watched = connect(panel->table().model(), &QAbstractItemModel::dataChanged, this, [&] {
            ++seen;
            const auto now = places();
            for (auto place = before.begin(); place != before.end(); ++place) {
                if (now.contains(place.key()))
                    QCOMPARE(now.value(place.key()), place.value());
            }
            QCOMPARE(summary.heightForWidth(summary.width()), height);
        });
        click(*panel, 0, 0);
        enter(*panel, QStringLiteral("2"));
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete() && panel->isReady(), kPatience);
        disconnect(watched);
        QVERIFY(seen > 0);
        // However long a number gets, columns stay.
        auto figures = summary.figures();
        CodecSummary alone;
        alone.resize(470, 100);
        alone.setFigures(figures, false);
        const QRectF second = alone.cellOf(1);
        figures[0].value = QStringLiteral("1.000 GiB");
        figures.back().caption = QStringLiteral("of size at the error of a plan with quite a long name");
        alone.setFigures(figures, false);
        QCOMPARE(alone.cellOf(1), second);
        // What is not known again yet stays until the plan is encoded.
        auto fewer = figures;
        fewer.pop_back();
        alone.setFigures(fewer, true);
        QCOMPARE(alone.figures().size(), figures.size());
        alone.setFigures(fewer, false);
        QCOMPARE(alone.figures().size(), fewer.size());
    }

    void typingBitsMovesItsErrorAndRatioAndUndoBringsThemBack() {
        CodecPanel* panel = openPanel();
        const QAbstractItemModelTester tester(&panel->table().cells());
        const std::vector<Figures> before = allFigures(*panel);
        const QString size = panel->summary().figures().front().value;
        click(*panel, 0, 0);
        enter(*panel, QStringLiteral("2"));
        QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && allFigures(*panel).front().bits != before.front().bits, kPatience);
        const std::vector<Figures> after = allFigures(*panel);
        QVERIFY(after.front().bits < before.front().bits);
        QVERIFY(after.front().error > before.front().error);
        for (std::size_t i = 1; i < after.size(); ++i) {
            QCOMPARE(after[i].bits, before[i].bits);
            QCOMPARE(after[i].error, before[i].error);
        }
        QVERIFY(panel->summary().figures().front().value != size);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QTRY_COMPARE_WITH_TIMEOUT(allFigures(*panel).front().bits, before.front().bits, kPatience);
        QCOMPARE(allFigures(*panel).front().error, before.front().error);
        QCOMPARE(panel->summary().figures().front().value, size);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
        QTRY_COMPARE_WITH_TIMEOUT(allFigures(*panel).front().bits, after.front().bits, kPatience);
    }

    void severalRowsTakeWhatIsTyped() {
        CodecPanel* panel = openPanel();
        click(*panel, 1, 1);
        click(*panel, 3, 1, Qt::ShiftModifier);
        QCOMPARE(panel->table().selectedCells().size(), std::size_t(3));
        enter(*panel, QStringLiteral("kivi-2"));
        QTRY_VERIFY_WITH_TIMEOUT(settingOf(*panel, 3, 1).startsWith(QStringLiteral("KIVI 2b")), kPatience);
        QVERIFY(settingOf(*panel, 1, 1) == settingOf(*panel, 3, 1));
        QVERIFY(settingOf(*panel, 4, 1) != settingOf(*panel, 3, 1));
        QVERIFY(settingOf(*panel, 1, 0) != settingOf(*panel, 1, 1));
        // Nonsense changes nothing and says what can be typed.
        const CodecPlan plan = session_->plan();
        enter(*panel, QStringLiteral("4 apples"));
        QVERIFY2(panel->errorText().contains(QStringLiteral("4 apples")), qPrintable(panel->errorText()));
        QVERIFY(session_->plan() == plan);
    }

    void draggingTheGripIsOneUndoStep() {
        CodecPanel* panel = openPanel();
        const CodecPlan before = session_->plan();
        click(*panel, 0, 0);
        click(*panel, 2, 0, Qt::ShiftModifier);
        QUndoStack& undo = window_->workspace().undoStack();
        const int steps = undo.count();
        QWidget* viewport = panel->table().viewport();
        const QPoint grip = panel->table().gripOf(panel->table().model()->index(1, 0)).center();
        QTest::mousePress(viewport, Qt::LeftButton, {}, grip);
        for (int dy = 5; dy <= 60; dy += 5)
            QTest::mouseMove(viewport, grip + QPoint(0, dy));
        QTest::mouseRelease(viewport, Qt::LeftButton, {}, grip + QPoint(0, 60));
        QCOMPARE(undo.count(), steps + 1);
        const auto stepOf = [this](int layer) {
            return std::get<Step>(session_->plan().pipelineFor(LayerIndex(layer), PlaneKind::Key, 0).quantiser).step;
        };
        const double old = std::get<Step>(before.pipelineFor(LayerIndex(1), PlaneKind::Key, 0).quantiser).step;
        QVERIFY(stepOf(1) > old * 1.3);
        QCOMPARE(stepOf(0), stepOf(2));
        QCOMPARE(stepOf(3), old);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QVERIFY(session_->plan() == before);
    }

    void controlDCopiesDownAndBracketsNudge() {
        CodecPanel* panel = openPanel();
        click(*panel, 0, 0);
        QTest::keyClick(&panel->table(), Qt::Key_BracketRight);
        const QString coarser = settingOf(*panel, 0, 0);
        QTRY_VERIFY(settingOf(*panel, 0, 0) != settingOf(*panel, 1, 0));
        click(*panel, 3, 0, Qt::ShiftModifier);
        QTest::keyClick(&panel->table(), Qt::Key_D, Qt::ControlModifier);
        QTRY_COMPARE(settingOf(*panel, 3, 0), settingOf(*panel, 0, 0));
        QCOMPARE(settingOf(*panel, 2, 0), settingOf(*panel, 0, 0));
        QVERIFY(settingOf(*panel, 4, 0) != settingOf(*panel, 0, 0));
        QTest::keyClick(&panel->table(), Qt::Key_C, Qt::ControlModifier);
        QCOMPARE(QGuiApplication::clipboard()->text().count(QLatin1Char('\n')), 4);
    }

    void presetsAreLoadedAndExplained() {
        CodecPanel* panel = openPanel();
        auto* presets = panel->findChild<QComboBox*>(QStringLiteral("presets"));
        for (int i = 0; i < presets->count(); ++i)
            QVERIFY(presets->itemText(i).isEmpty() || !presets->itemData(i, Qt::ToolTipRole).toString().isEmpty());
        presets->setCurrentText(QStringLiteral("zstd-3"));
        QTest::mouseClick(panel->findChild<QToolButton*>(QStringLiteral("loadPreset")), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session_->plan().name == "zstd-3", kPatience);
        QTRY_COMPARE(settingOf(*panel, 0, 0), QStringLiteral("zstd-3"));
        QCOMPARE(allFigures(*panel).front().error, 0.0);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QCOMPARE(session_->plan().name, std::string("kvz-medium"));
    }

    void stagesAreEditedFieldByFieldAndErrorsShownThere() {
        CodecPanel* panel = openPanel();
        click(*panel, 0, 0);
        click(*panel, 1, 0, Qt::ShiftModifier);
        auto* quantiser = panel->stages().findChild<QComboBox*>(QStringLiteral("quantiser"));
        auto* bits = panel->stages().findChild<QSpinBox*>(QStringLiteral("quantiser.bits"));
        QVERIFY(!bits->isVisible());
        quantiser->setFocus();
        quantiser->setCurrentText(QStringLiteral("uniform"));
        QTRY_VERIFY(bits->isVisible());
        const auto pipeline = [this](int layer) {
            return session_->plan().pipelineFor(LayerIndex(layer), PlaneKind::Key, 0);
        };
        QVERIFY(std::holds_alternative<Uniform>(pipeline(0).quantiser));
        QVERIFY(pipeline(0) == pipeline(1) && pipeline(0) != pipeline(2));
        bits->setFocus();
        bits->selectAll();
        QTest::keyClicks(bits, QStringLiteral("99"));
        QTest::keyClick(bits, Qt::Key_Return);
        QVERIFY2(panel->stages().errorText().contains(QStringLiteral("quantiser.bits")),
                 qPrintable(panel->stages().errorText()));
        QVERIFY(!bits->styleSheet().isEmpty());
        QCOMPARE(std::get<Uniform>(pipeline(0).quantiser).bits, 8);
        bits->selectAll();
        QTest::keyClicks(bits, QStringLiteral("3"));
        QTest::keyClick(bits, Qt::Key_Return);
        QCOMPARE(std::get<Uniform>(pipeline(1).quantiser).bits, 3);
        QVERIFY(panel->stages().errorText().isEmpty());
        QVERIFY(bits->styleSheet().isEmpty());
    }

    void plansAreSavedAndOpened() {
        CodecPanel* panel = openPanel();
        click(*panel, 2, 1);
        enter(*panel, QStringLiteral("5"));
        const CodecPlan plan = session_->plan();
        const QString path = folder_.filePath(QStringLiteral("plan.json"));
        panel->savePlan(path);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QVERIFY(session_->plan() != plan);
        panel->openPlan(path);
        QVERIFY(session_->plan() == plan);
        QFile bad(folder_.filePath(QStringLiteral("bad.json")));
        QVERIFY(bad.open(QIODevice::WriteOnly) && bad.write("{\"format\": \"kvscope-plan\"") > 0);
        bad.close();
        panel->openPlan(bad.fileName());
        QVERIFY2(panel->errorText().contains(QStringLiteral("bad.json")), qPrintable(panel->errorText()));
        QVERIFY(session_->plan() == plan);
    }

    void changingTheChunkEncodesAgain() {
        CodecPanel* panel = openPanel();
        auto* chunk = panel->findChild<QSpinBox*>(QStringLiteral("chunkTokens"));
        chunk->setFocus();
        chunk->selectAll();
        QTest::keyClicks(chunk, QStringLiteral("64"));
        QTest::keyClick(chunk, Qt::Key_Return);
        QCOMPARE(session_->plan().chunkTokens, std::int64_t(64));
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
        QCOMPARE(session_->report().planes.front().chunks.size(), std::size_t(4));
    }

    void layersOfPinnedPlansStandSideBySide() {
        CodecPanel* panel = openPanel();
        QTest::mouseClick(panel->findChild<QToolButton*>(QStringLiteral("pinPlan")), Qt::LeftButton);
        click(*panel, 0, 0);
        enter(*panel, QStringLiteral("2"));
        auto* view = show<CodecLayersView>(QStringLiteral("codec-layers"));
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && session_->isComplete(1), kPatience);
        const auto charts = view->charts();
        QCOMPARE(charts.size(), std::size_t(4));
        for (const ChartWidget* chart : charts)
            QCOMPARE(chart->data().series.size(), std::size_t(2));
        const ChartData& ratio = charts[0]->data();
        QVERIFY(ratio.series[0].y[0] > ratio.series[1].y[0]);
        QCOMPARE(ratio.series[0].y[1], ratio.series[1].y[1]);
        QCOMPARE(ratio.series[0].y[0], session_->report().totals(LayerIndex(0), PlaneKind::Key).ratio());
        QVERIFY(charts[1]->data().series[0].y[0] > charts[1]->data().series[1].y[0]);
        QVERIFY(charts[1]->data().yTitle.contains(QStringLiteral("NMSEc")));
        view->setPage(CodecLayersView::Page::BitsByPart);
        const ChartData& parts = view->charts().front()->data();
        QCOMPARE(parts.series.size(), 2 * kAllByteParts.size());
        double bits = 0;
        for (std::size_t i = 0; i < kAllByteParts.size(); ++i)
            bits += parts.series[i].y[3];
        QVERIFY(std::abs(bits - session_->report().totals(LayerIndex(3), PlaneKind::Key).bitsPerValue()) < 1e-9);
        QVERIFY(view->charts().front()->visibleRange().bottom() >= bits);
        QCOMPARE(view->toCsv().count(QLatin1Char('\n')), 1 + 2 * 2 * 6);
    }

    void aClickOnAParetoPointLoadsThePlan() {
        openPanel();
        auto* view = show<ParetoView>(QStringLiteral("pareto"));
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady(), 120000);
        const auto names = view->pointNames();
        const auto found = std::ranges::find(names, "cachegen-3");
        QVERIFY(found != names.end());
        const auto index = static_cast<std::size_t>(found - names.begin());
        QCOMPARE(view->chart().data().marked.has_value(), true);
        const QPoint at = view->chart().pointAt(index).toPoint();
        QWidget* plot = view->chart().childAt(at);
        QTest::mouseClick(plot, Qt::LeftButton, {}, plot->mapFrom(&view->chart(), at));
        QTRY_COMPARE_WITH_TIMEOUT(session_->plan().name, std::string("cachegen-3"), kPatience);
        QTRY_VERIFY(view->chart().data().marked == index);
        // Names are laid out when the chart is next drawn.
        const auto namesStandApart = [view] {
            const auto boxes = view->chart().shownNames();
            for (std::size_t i = 0; i < boxes.size(); ++i) {
                for (std::size_t j = 0; j < i; ++j) {
                    if (boxes[i].intersects(boxes[j]))
                        return false;
                }
            }
            return boxes.size() > 3;
        };
        QTRY_VERIFY(namesStandApart());
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QCOMPARE(session_->plan().name, std::string("kvz-medium"));
        // By keyboard: the first point from the left.
        view->chart().setFocus();
        QTest::keyClick(&view->chart(), Qt::Key_Right);
        QVERIFY(view->chart().cursor().has_value());
        QTest::keyClick(&view->chart(), Qt::Key_Return);
        QTRY_COMPARE_WITH_TIMEOUT(session_->plan().name, names[*view->chart().cursor()], kPatience);
    }

    void theFrontHasNoPointThatAnotherBeats() {
        const std::vector<QPointF> points{{1, 0.1}, {2, 0.2}, {2, 0.3}, {3, 0.15}, {4, 0.5}, {4, 0.5}};
        QVERIFY(paretoFront(points) == (std::vector<std::size_t>{0, 3, 4}));
    }

    void aLatentCacheHasOneColumn() {
        ThreadPool pool(2);
        PlaneGeometry plane;
        plane.heads = 1;
        plane.headDim = 24;
        plane.tokens = 40;
        plane.dtype = DType::F32;
        KvGeometry geometry;
        geometry.layers.resize(2);
        std::vector<std::vector<float>> planes(2, std::vector<float>(static_cast<std::size_t>(plane.values())));
        for (std::size_t i = 0; i < planes[0].size(); ++i) {
            planes[0][i] = std::sin(static_cast<float>(i * i % 1013));
            planes[1][i] = std::cos(static_cast<float>(i * 7 % 509));
        }
        for (LayerGeometry& layer : geometry.layers)
            layer.plane(PlaneKind::Latent) = plane;
        auto cache = makeMemoryCache(std::move(geometry), {}, std::move(planes));
        QVERIFY(cache);
        Document document(*cache, pool);
        SelectionModel selection;
        CodecPanel panel(&document, &selection);
        CodecLayersView layers(&document, &selection);
        const QAbstractItemModelTester tester(&panel.table().cells());
        panel.resize(500, 700);
        layers.resize(500, 700);
        panel.show();
        layers.show();
        QTRY_VERIFY_WITH_TIMEOUT(panel.isReady() && layers.isReady(), kPatience);
        QCOMPARE(panel.table().model()->columnCount(), 1);
        QVERIFY(panel.table().model()->index(1, 0).data(CodecTableModel::BitsRole).toDouble() > 0);
        QCOMPARE(layers.charts().size(), std::size_t(2));
    }

    void longSettingsGetTheRoomThatShortOnesLeave() {
        window_->resize(1280, 720);
        auto* panel = openPanel();
        const CodecTable& table = panel->table();
        const auto needed = [&table](int column) {
            return static_cast<const QAbstractItemView&>(table)
                .sizeHintForIndex(table.model()->index(0, column))
                .width();
        };
        QVERIFY(needed(0) > needed(1));
        QTRY_VERIFY(table.columnWidth(0) > table.columnWidth(1));
        QVERIFY(table.columnWidth(0) + table.columnWidth(1) <= table.viewport()->width());
    }

private:
    template <class View> View* show(const QString& name) {
        window_->showView(name);
        auto* dock = window_->findChild<QDockWidget*>(QStringLiteral("dock.") + name);
        return qobject_cast<View*>(dock->widget());
    }

    CodecPanel* openPanel() {
        auto* panel = show<CodecPanel>(QStringLiteral("codec"));
        [&] { QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session_->isComplete(), kPatience); }();
        return panel;
    }

    static void click(CodecPanel& panel, int row, int column, Qt::KeyboardModifiers modifiers = {}) {
        const QRect cell = panel.table().visualRect(panel.table().model()->index(row, column));
        QTest::mouseClick(panel.table().viewport(), Qt::LeftButton, modifiers, cell.center());
    }

    /// Types into the current cell and presses Enter.
    static void enter(CodecPanel& panel, const QString& text) {
        const auto editor = [&]() -> QLineEdit* {
            for (auto* edit : panel.table().viewport()->findChildren<QLineEdit*>()) {
                if (edit->isVisible())
                    return edit;
            }
            return nullptr;
        };
        QTest::keyClicks(&panel.table(), text.left(1));
        QVERIFY(editor() != nullptr);
        QTest::keyClicks(editor(), text.mid(1));
        QCOMPARE(editor()->text(), text);
        QTest::keyClick(editor(), Qt::Key_Return);
        QTRY_VERIFY(editor() == nullptr);
    }

    static QString settingOf(CodecPanel& panel, int row, int column) {
        return panel.table().model()->index(row, column).data(CodecTableModel::SettingRole).toString();
    }

    static std::vector<Figures> allFigures(CodecPanel& panel) {
        std::vector<Figures> figures;
        const QAbstractItemModel* model = panel.table().model();
        for (int row = 0; row < model->rowCount(); ++row) {
            for (int column = 0; column < model->columnCount(); ++column) {
                const QModelIndex index = model->index(row, column);
                figures.push_back({index.data(CodecTableModel::BitsRole).toDouble(),
                                   index.data(CodecTableModel::ErrorRole).toDouble()});
            }
        }
        return figures;
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
    CodecSession* session_ = nullptr;
};

QTEST_MAIN(TestCodecViews)
#include "test_codec_views.moc"
