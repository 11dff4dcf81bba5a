// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "app/maps_area.h"
#include "app/open_dialog.h"
#include "app/workspace.h"
#include "core/stream/model_geometry.h"
#include "views/exportable.h"
#include "views/heatmap_pane.h"
#include "views/stream_session.h"

#include <QAction>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QDockWidget>
#include <QDropEvent>
#include <QFile>
#include <QInputDialog>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QMimeData>
#include <QPushButton>
#include <QScreen>
#include <QSettings>
#include <QSignalSpy>
#include <QStatusBar>
#include <QTabBar>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QToolButton>
#include <QTreeWidget>
#include <QUrl>

using namespace kvscope;
using app::MainWindow;
using app::Workspace;
using views::HeatmapPane;

namespace {

constexpr int kPatience = 20000;

QString sample(const char* name) {
    return qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QLatin1Char('/') + QLatin1String(name);
}

/// Drops files on the window as a file manager does.
void drop(MainWindow& window, const QStringList& paths) {
    QMimeData data;
    QList<QUrl> urls;
    for (const QString& path : paths)
        urls.append(QUrl::fromLocalFile(path));
    data.setUrls(urls);
    const QPoint middle = window.rect().center();
    QDragEnterEvent enter(middle, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window, &enter);
    QVERIFY(enter.isAccepted());
    QDropEvent event(middle, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window, &event);
}

} // namespace

class TestMainWindow : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(settings_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1400, 900);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
    }

    void cleanup() { window_.reset(); }

    void droppedSampleShowsMapsOfKAndV() {
        drop(*window_, {sample("prose.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
        const auto panes = window_->maps()->panes();
        QTRY_VERIFY_WITH_TIMEOUT(panes[0]->isReady() && panes[1]->isReady() && panes[2]->isReady(), kPatience);
        QCOMPARE(panes[0]->shownMap()->map, MapKind::LayerToken);
        QCOMPARE(panes[0]->shownMap()->kind, PlaneKind::Key);
        QCOMPARE(panes[1]->shownMap()->kind, PlaneKind::Value);
        QCOMPARE(panes[2]->shownMap()->map, MapKind::TokenChannel);
        QVERIFY(window_->windowTitle().startsWith(QStringLiteral("prose.safetensors")));
        QVERIFY(window_->errorText().isEmpty());
    }

    void aBadFileSaysWhyAndLeavesTheDumpOpen() {
        open("prose.safetensors");
        const auto* before = document();
        const QTemporaryDir folder;
        QFile bad(folder.filePath(QStringLiteral("bad.npy")));
        QVERIFY(bad.open(QIODevice::WriteOnly) && bad.write("\x93NUMPY\x01") == 7);
        bad.close();
        drop(*window_, {bad.fileName()});
        QTRY_VERIFY_WITH_TIMEOUT(!window_->errorText().isEmpty(), kPatience);
        QVERIFY2(window_->errorText().contains(QStringLiteral("bad.npy")), qPrintable(window_->errorText()));
        QCOMPARE(document(), before);
        drop(*window_, {folder.filePath(QStringLiteral("not there"))});
        QTRY_VERIFY_WITH_TIMEOUT(window_->errorText().contains(QStringLiteral("not there")), kPatience);
        QCOMPARE(document(), before);
    }

    void twoDroppedFilesAreCompared() {
        drop(*window_, {sample("prose.safetensors"), sample("prose.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Compared) != nullptr, kPatience);
        const auto* difference = window_->workspace().difference();
        QVERIFY(difference != nullptr);
        std::vector<float> row(static_cast<std::size_t>(difference->cache().geometry().find(PlaneId{})->channels()),
                               1.0F);
        QVERIFY(difference->cache().readRows(PlaneId{}, tokenRange(0, 1), row));
        QVERIFY(std::all_of(row.begin(), row.end(), [](float value) { return value == 0.0F; }));
        QVERIFY(window_->maps()->panes()[1]->document() == window_->workspace().document(Workspace::Slot::Compared));
        window_->commands().find(QStringLiteral("file.closeCompared"))->trigger();
        QVERIFY(window_->workspace().difference() == nullptr);
        QVERIFY(document() != nullptr);
    }

    void selectingInTheTreeCanBeUndone() {
        open("prose.safetensors");
        auto* tree = window_->findChild<QTreeWidget*>(QStringLiteral("layerTree"));
        QVERIFY(tree != nullptr);
        const auto before = window_->workspace().selection().current();
        QTreeWidgetItem* layer = tree->topLevelItem(0);
        const QRect row = tree->visualItemRect(layer);
        QTest::mouseClick(tree->viewport(), Qt::LeftButton, {}, row.center());
        QCOMPARE(window_->workspace().selection().current().layer().value, std::int64_t(0));
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QVERIFY(window_->workspace().selection().current() == before);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
        QCOMPARE(window_->workspace().selection().current().layer().value, std::int64_t(0));
    }

    void nextOutlierNamesTheLargestValue() {
        open("prose.safetensors");
        QTest::keyClick(window_.get(), Qt::Key_F3);
        QTRY_VERIFY_WITH_TIMEOUT(window_->statusBar()->currentMessage().startsWith(QStringLiteral("Outlier 1 of")),
                                 kPatience);
        // Found here by going through all values, independently of the list behind the command.
        const KvCache& cache = document()->cache();
        double largest = 0;
        QString expected;
        for (const PlaneId id : cache.geometry().planes(PlaneKind::Key)) {
            const PlaneGeometry& shape = *cache.geometry().find(id);
            std::vector<float> values(static_cast<std::size_t>(shape.values()));
            QVERIFY(cache.readRows(id, tokenRange(0, shape.tokens), values));
            double squares = 0;
            for (const float value : values)
                squares += static_cast<double>(value) * static_cast<double>(value);
            const double rms = std::sqrt(squares / static_cast<double>(values.size()));
            for (std::size_t i = 0; i < values.size(); ++i) {
                const double sigma = std::abs(static_cast<double>(values[i])) / rms;
                if (sigma > largest) {
                    largest = sigma;
                    const auto channel = static_cast<std::int64_t>(i) % shape.channels();
                    expected = QStringLiteral("layer %1 K, head %2, channel %3, token %4")
                                   .arg(id.layer.value)
                                   .arg(channel / shape.headDim)
                                   .arg(channel)
                                   .arg(static_cast<std::int64_t>(i) / shape.channels());
                }
            }
        }
        const QString message = window_->statusBar()->currentMessage();
        QVERIFY2(message.contains(expected), qPrintable(message + QStringLiteral(" | ") + expected));
    }

    void undoTakesTheShownOutlierBack() {
        open("prose.safetensors");
        HeatmapPane* pane = window_->maps()->panes()[0];
        QTRY_VERIFY_WITH_TIMEOUT(pane->isReady(), kPatience);
        QTest::keyClick(window_.get(), Qt::Key_F3);
        QTRY_VERIFY_WITH_TIMEOUT(window_->statusBar()->currentMessage().startsWith(QStringLiteral("Outlier 1 of")),
                                 kPatience);
        QVERIFY(pane->plot().overlay().mark().has_value());
        QVERIFY(pane->plot().crosshair().has_value());
        QTRY_VERIFY_WITH_TIMEOUT(!pane->readout().place().isEmpty(), kPatience);
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QVERIFY(!pane->plot().overlay().mark().has_value());
        QVERIFY(!pane->plot().crosshair().has_value());
        QVERIFY(pane->readout().place().isEmpty());
        QVERIFY(window_->statusBar()->currentMessage().isEmpty());
    }

    void thePaletteRunsWhatIsTyped() {
        open("prose.safetensors");
        QTest::keyClick(window_.get(), Qt::Key_P, Qt::ControlModifier | Qt::ShiftModifier);
        auto* palette = window_->findChild<QDialog*>(QStringLiteral("commandPalette"));
        QVERIFY(palette != nullptr);
        auto* filter = palette->findChild<QLineEdit*>();
        QTest::keyClicks(filter, QStringLiteral("correl"));
        QVERIFY(palette->findChild<QListWidget*>()->item(0)->text().startsWith(QStringLiteral("View: Correlation")));
        QTest::keyClick(filter, Qt::Key_Return);
        auto* dock = window_->findChild<QDockWidget*>(QStringLiteral("dock.correlation"));
        QTRY_VERIFY(!dock->visibleRegion().isEmpty());
    }

    void thePaletteFindsWhatViewsAndMapsShow_data() {
        QTest::addColumn<QString>("words");
        QTest::addColumn<QString>("first");
        QTest::newRow("entropy") << "entropy"
                                 << "Statistics, Layers: Entropy of each layer";
        QTest::newRow("delta of a map") << "map delta anchor"
                                        << "Map, Quantity: delta to anchor";
        QTest::newRow("delta gain") << "delta gain"
                                    << "Statistics, Layers: Delta gain";
        QTest::newRow("kurtosis") << "kurtosis channel"
                                  << "Statistics, Channels: Kurtosis of each channel";
        QTest::newRow("difference") << "difference"
                                    << "File: Compare with";
    }
    void thePaletteFindsWhatViewsAndMapsShow() {
        QFETCH(QString, words);
        QFETCH(QString, first);
        open("prose.safetensors");
        QTest::keyClick(window_.get(), Qt::Key_P, Qt::ControlModifier | Qt::ShiftModifier);
        auto* palette = window_->findChild<QDialog*>(QStringLiteral("commandPalette"));
        QVERIFY(palette != nullptr);
        QTest::keyClicks(palette->findChild<QLineEdit*>(), words);
        const auto* list = palette->findChild<QListWidget*>();
        QVERIFY(list->count() > 0);
        QVERIFY2(list->item(0)->text().startsWith(first), qPrintable(list->item(0)->text()));
        // A border tells it from the maps behind.
        const QImage picture = palette->grab().toImage();
        QVERIFY(picture.pixelColor(1, picture.height() / 2) != picture.pixelColor(5, picture.height() / 2));
    }

    void aPartOfAViewIsOneCommandAway() {
        open("prose.safetensors");
        window_->commands().find(QStringLiteral("statistics.layers.delta-gain"))->trigger();
        auto* dock = window_->findChild<QDockWidget*>(QStringLiteral("dock.layers"));
        QTRY_VERIFY(!dock->visibleRegion().isEmpty());
        QCOMPARE(dock->findChild<QTabBar*>(QStringLiteral("pages"))->currentIndex(), 1);
        window_->commands().find(QStringLiteral("statistics.layers.entropy"))->trigger();
        QCOMPARE(dock->findChild<QTabBar*>(QStringLiteral("pages"))->currentIndex(), 0);
        QVERIFY(dock->findChild<QComboBox*>(QStringLiteral("statistic"))
                    ->currentText()
                    .startsWith(QStringLiteral("entropy")));
    }

    void eachArrangementShowsItsOwnViews() {
        window_->resize(1280, 720);
        open("prose.safetensors");
        const auto shown = [this](const char* name) {
            return window_->findChild<QDockWidget*>(QStringLiteral("dock.") + QLatin1String(name))->isVisible();
        };
        const auto key = [this](Qt::Key pressed) { QTest::keyClick(window_.get(), pressed); };
        QTRY_VERIFY(shown("distribution") && !shown("pareto") && !shown("timeline"));
        noTabIsCut();
        key(Qt::Key_F6);
        QCOMPARE(window_->arrangement(), app::Arrangement::Tune);
        QTRY_VERIFY(shown("codec") && !shown("distribution"));
        noTabIsCut();
        QTest::mouseClick(arrangementButton("Stream"), Qt::LeftButton);
        QTRY_VERIFY(shown("timeline") && !shown("codec"));
        noTabIsCut();
        QVERIFY(arrangementButton("Stream")->isChecked());
        // A view of another arrangement brings that with it.
        window_->commands().find(QStringLiteral("view.correlation"))->trigger();
        QCOMPARE(window_->arrangement(), app::Arrangement::Explore);
        QVERIFY(arrangementButton("Explore")->isChecked());
        auto* correlation = window_->findChild<QDockWidget*>(QStringLiteral("dock.correlation"));
        QTRY_VERIFY(!correlation->visibleRegion().isEmpty());
    }

    void theNavigatorSaysWhatIsUnexpectedInTheValues() {
        open("code.npz");
        auto* label = window_->findChild<QLabel*>(QStringLiteral("surprises"));
        QTRY_VERIFY_WITH_TIMEOUT(label->text().contains(QStringLiteral("layer 2 K channel 64")), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(label->text().contains(QStringLiteral("of 12 planes")), kPatience);
        QVERIFY(label->isVisible());
    }

    void aFileThatShrinksWhileOpenSaysSoAndTheWindowStays() {
        const QTemporaryDir folder;
        const QString copy = folder.filePath(QStringLiteral("shrinking.safetensors"));
        QVERIFY(QFile::copy(sample("prose.safetensors"), copy));
        window_->openPaths({copy});
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(window_->maps()->panes()[0]->isReady(), kPatience);
        const auto* before = document();
        QVERIFY(QFile::resize(copy, 40000));
        // Deltas have not been read yet.
        window_->commands().find(QStringLiteral("map.quantity2"))->trigger();
        QTRY_VERIFY_WITH_TIMEOUT(window_->errorText().contains(QStringLiteral("became shorter")), kPatience);
        QVERIFY(window_->errorText().contains(QStringLiteral("shrinking.safetensors")));
        QCOMPARE(document(), before);
        // Another dump opens as ever.
        window_->openPaths({sample("code.npz")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->windowTitle().startsWith(QStringLiteral("code.npz")), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(window_->maps()->panes()[0]->isReady(), kPatience);
        QVERIFY(window_->errorText().isEmpty());
    }

    void noArrangementMakesASmallWindowGrow() {
        // The window as it opens, and what is left of a screen of 1280 x 720 below a panel and a title bar.
        const QSize small(1280, 660);
        for (const QSize size : {QSize(1440, 900), small}) {
            window_->resize(size);
            open("prose.safetensors");
            for (const Qt::Key pressed : {Qt::Key_F5, Qt::Key_F6, Qt::Key_F5, Qt::Key_F7, Qt::Key_F5}) {
                QTest::keyClick(window_.get(), pressed);
                // With statistics to show, views ask for their room.
                for (const char* name : {"distribution", "codec"}) {
                    if (window_->findChild<QDockWidget*>(QStringLiteral("dock.") + QLatin1String(name))->isVisible())
                        QTRY_VERIFY_WITH_TIMEOUT(window_->exportableViews().value(QLatin1String(name))->isReady(),
                                                 kPatience);
                }
                QCoreApplication::sendPostedEvents(nullptr, QEvent::LayoutRequest);
                QCOMPARE(window_->size(), size);
            }
        }
        // Nor do the bars below a map.
        QTest::keyClick(window_.get(), Qt::Key_F6);
        window_->commands().find(QStringLiteral("edit.find"))->trigger();
        window_->commands().find(QStringLiteral("edit.goTo"))->trigger();
        QCoreApplication::sendPostedEvents(nullptr, QEvent::LayoutRequest);
        QCOMPARE(window_->size(), small);
    }

    void twoDumpsAndTheirDifferenceTakeTurnsInASmallWindow() {
        const QSize small(1280, 660);
        window_->resize(small);
        window_->openPaths({sample("prose.safetensors"), sample("prose-raw.bin")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().difference() != nullptr, kPatience);
        const auto& panes = window_->maps()->panes();
        for (const Qt::Key pressed : {Qt::Key_F6, Qt::Key_F7}) {
            QTest::keyClick(window_.get(), pressed);
            QCoreApplication::sendPostedEvents(nullptr, QEvent::LayoutRequest);
            QCOMPARE(window_->size(), small);
            QVERIFY(panes[0]->isVisible() && panes[1]->isVisible() && !panes[2]->isVisible());
            window_->commands().find(QStringLiteral("view.difference"))->trigger();
            QVERIFY(!panes[0]->isVisible() && !panes[1]->isVisible() && panes[2]->isVisible());
            QCOMPARE(window_->maps()->currentPane(), panes[2]);
            // What is chosen in the bar above brings the dumps back.
            auto* chooser = window_->findChild<QWidget*>(QStringLiteral("compareBar"))->findChild<QComboBox*>();
            emit chooser->activated(0);
            QVERIFY(panes[0]->isVisible() && panes[1]->isVisible() && !panes[2]->isVisible());
            QCOMPARE(window_->size(), small);
        }
        // Beside the statistics there is room for all three.
        QTest::keyClick(window_.get(), Qt::Key_F5);
        QVERIFY(panes[0]->isVisible() && panes[1]->isVisible() && panes[2]->isVisible());
    }

    void theFirstWindowFitsTheScreen() {
        const MainWindow fresh;
        const QSize room = fresh.screen()->availableSize();
        QVERIFY(fresh.width() <= room.width());
        QVERIFY(fresh.height() < room.height());
    }

    void anArrangementIsAsItWasLeft() {
        open("prose.safetensors");
        auto* navigator = window_->findChild<QDockWidget*>(QStringLiteral("dock.navigator"));
        QTest::keyClick(window_.get(), Qt::Key_F2);
        QVERIFY(!navigator->isVisible());
        QTest::keyClick(window_.get(), Qt::Key_F6);
        QTRY_VERIFY(navigator->isVisible());
        QTest::keyClick(window_.get(), Qt::Key_F5);
        QTRY_VERIFY(!navigator->isVisible());
        // Also by the next window.
        window_->close();
        window_ = std::make_unique<MainWindow>();
        window_->show();
        QVERIFY(!window_->findChild<QDockWidget*>(QStringLiteral("dock.navigator"))->isVisible());
        window_->commands().find(QStringLiteral("view.defaultLayout"))->trigger();
        QTRY_VERIFY(window_->findChild<QDockWidget*>(QStringLiteral("dock.navigator"))->isVisible());
    }

    void aSavedLayoutComesBack() {
        open("prose.safetensors");
        QTest::keyClick(window_.get(), Qt::Key_F6);
        window_->commands().find(QStringLiteral("map.reduction1"))->trigger();
        const auto reduction = window_->maps()->panes()[0]->settings().reduction;
        QTimer::singleShot(0, this, [] {
            auto* dialog = qobject_cast<QInputDialog*>(QApplication::activeModalWidget());
            QVERIFY(dialog != nullptr);
            QTest::keyClicks(dialog->findChild<QLineEdit*>(), QStringLiteral("mine"));
            QTest::keyClick(dialog->findChild<QLineEdit*>(), Qt::Key_Return);
        });
        window_->commands().find(QStringLiteral("view.saveLayout"))->trigger();
        window_->commands().find(QStringLiteral("map.reduction0"))->trigger();
        QVERIFY(window_->maps()->panes()[0]->settings().reduction != reduction);
        QTest::keyClick(window_.get(), Qt::Key_F5);
        QAction* mine = nullptr;
        for (auto* action : window_->findChildren<QAction*>())
            mine = action->text() == QStringLiteral("mine") ? action : mine;
        QVERIFY(mine != nullptr);
        mine->trigger();
        QCOMPARE(window_->arrangement(), app::Arrangement::Tune);
        QCOMPARE(window_->maps()->panes()[0]->settings().reduction, reduction);
    }

    void aSavedLayoutBringsItsStreamBack() {
        open("prose.safetensors");
        const auto session = [this]() -> views::StreamSession& {
            return views::StreamSession::of(*window_->workspace().document(Workspace::Slot::Main));
        };
        const auto layout = [this] {
            QAction* found = nullptr;
            for (auto* action : window_->findChildren<QAction*>())
                found = action->text() == QStringLiteral("talk") ? action : found;
            return found;
        };
        const views::StreamSettings usual = session().settings();
        // Everything that can be set is another than usual.
        views::StreamSettings talk = usual;
        talk.model = std::string(modelGeometries().back().id);
        talk.contextTokens = 4096;
        talk.chunkTokens = 512;
        talk.trace = std::make_shared<const BandwidthTrace>(
            *BandwidthTrace::make({{0, 1.5e9}, {0.3, 0}, {0.7, 1.0 / 3 * 1e9}}, 2, TraceEnd::Loop, "up and down"));
        talk.traceStart = 0.25;
        talk.rttSeconds = 0.035;
        talk.lossRate = 0.01;
        talk.jitterSeconds = 0.002;
        talk.second = views::SecondPath{usual.trace, 0.05};
        talk.seed = 0xfedcba9876543210;
        talk.bandwidthKnown = true;
        talk.sloSeconds = 1.25;
        talk.pulls = {{0.4, 0.1}};
        talk.faults = {{Fault::Kind::Delay, 2, 0.5}};
        talk.compute.prefillTokensPerSecond = 5000;
        talk.compute.gpuContention = 0.2;
        talk.compute.decodePieces = 8;
        QVERIFY(session().edit(QStringLiteral("talk"), talk));
        session().setFocus("cachegen");
        QTimer::singleShot(0, this, [] {
            auto* dialog = qobject_cast<QInputDialog*>(QApplication::activeModalWidget());
            QVERIFY(dialog != nullptr);
            QTest::keyClicks(dialog->findChild<QLineEdit*>(), QStringLiteral("talk"));
            QTest::keyClick(dialog->findChild<QLineEdit*>(), Qt::Key_Return);
        });
        window_->commands().find(QStringLiteral("view.saveLayout"))->trigger();
        QVERIFY(session().edit(QStringLiteral("usual"), usual));
        session().setFocus(views::StreamSession::kFirstRow);
        const int steps = window_->workspace().undoStack().count();
        layout()->trigger();
        QVERIFY(session().settings() == talk);
        QCOMPARE(session().focusName(), std::string("cachegen"));
        // One step back, and forth again.
        QCOMPARE(window_->workspace().undoStack().count(), steps + 1);
        window_->workspace().undoStack().undo();
        QVERIFY(session().settings() == usual);
        window_->workspace().undoStack().redo();
        QVERIFY(session().settings() == talk);
        // Also in the next window, for the dump that is opened there.
        window_->close();
        window_ = std::make_unique<MainWindow>();
        window_->show();
        layout()->trigger();
        open("prose.safetensors");
        QVERIFY(session().settings() == talk);
        // A damaged one changes nothing and says so.
        QSettings().setValue(QStringLiteral("layouts/talk/stream"), QByteArray("\xff\xff\xff\xff nonsense"));
        QVERIFY(session().edit(QStringLiteral("usual"), usual));
        layout()->trigger();
        QVERIFY(session().settings() == usual);
        QVERIFY(window_->errorText().contains(QStringLiteral("talk: ")));
    }

    void anUnrecognisedFileIsOpenedWithAnExample() {
        app::OpenDialog dialog(QStringLiteral("/somewhere/cache.bin"), {}, {}, false);
        dialog.show();
        const auto* buttons = dialog.findChild<QDialogButtonBox*>();
        QCOMPARE(buttons->button(QDialogButtonBox::Ok)->text(), QStringLiteral("Open"));
        const auto* examples = dialog.findChild<QLabel*>(QStringLiteral("axesExamples"));
        QVERIFY(examples->text().contains(QStringLiteral("LXHTD")));
        QVERIFY(examples->width() >= examples->sizeHint().width());
        QVERIFY(examples->height() >= examples->sizeHint().height());
        emit const_cast<QLabel*>(examples)->linkActivated(QStringLiteral("LXTHD"));
        QCOMPARE(dialog.options().axes.value_or(""), std::string("LXTHD"));
        const app::OpenDialog again(QStringLiteral("/somewhere/cache.npy"), {}, {}, true);
        QCOMPARE(again.findChild<QDialogButtonBox*>()->button(QDialogButtonBox::Ok)->text(),
                 QStringLiteral("Read again"));
    }

    void everySequenceOfAFileCanBeReached() {
        window_->openPaths(
            {QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/llamacpp/v0.3.36/session.f16.unified2.bin")});
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
        const auto box = [this] { return window_->findChild<QComboBox*>(QStringLiteral("sequences")); };
        QVERIFY(box()->isVisible());
        QCOMPARE(box()->count(), 2);
        const int longest = box()->currentIndex();
        const auto tokens = [this] { return document()->cache().geometry().maxTokens(PlaneKind::Key); };
        const std::int64_t before = tokens();
        QVERIFY(box()->currentText().contains(QString::number(before)));
        box()->setFocus();
        QTest::keyClick(box(), longest == 0 ? Qt::Key_Down : Qt::Key_Up);
        QTRY_VERIFY_WITH_TIMEOUT(tokens() < before, kPatience);
        QCOMPARE(box()->currentIndex(), 1 - longest);
        QVERIFY(box()->currentText().contains(QString::number(tokens())));
    }

    void theNavigatorShowsWholeShapes() {
        open("prose.safetensors");
        auto* tree = window_->findChild<QTreeWidget*>(QStringLiteral("layerTree"));
        const QTreeWidgetItem* plane = tree->currentItem();
        QCOMPARE(plane->text(1), QStringLiteral("256 \u00d7 128"));
        const QFontMetrics metrics(tree->font());
        for (int column = 0; column < 2; ++column)
            QVERIFY(tree->columnWidth(column) >= metrics.horizontalAdvance(tree->headerItem()->text(column)));
        QVERIFY(tree->columnWidth(1) >= metrics.horizontalAdvance(plane->text(1)));
        QVERIFY(tree->columnWidth(0) + tree->columnWidth(1) <= tree->viewport()->width());
        QVERIFY(tree->headerItem()->toolTip(0).startsWith(QStringLiteral("Plane:")));
    }

    void everyCommandHasAMenuAndAShortcutOfItsOwn() {
        QSet<QString> keys;
        for (const QAction* action : window_->commands().actions()) {
            QVERIFY2(!action->shortcut().isEmpty(), qPrintable(action->objectName()));
            for (int i = 0; i < action->shortcut().count(); ++i)
                QVERIFY2(action->shortcut()[static_cast<uint>(i)].key() != Qt::Key_unknown &&
                             action->shortcut()[static_cast<uint>(i)].key() != 0,
                         qPrintable(action->objectName()));
            QVERIFY2(!action->text().isEmpty() && !action->statusTip().isEmpty(), qPrintable(action->objectName()));
            const QString shortcut = action->shortcut().toString();
            QVERIFY2(!keys.contains(shortcut), qPrintable(action->objectName() + QLatin1Char(' ') + shortcut));
            keys.insert(shortcut);
        }
        // Nor does one keep another from being reached: the first keys of none are the whole of another, in whatever
        // part of the window an action has its keys.
        open("prose.safetensors");
        QList<QPair<QKeySequence, QString>> all;
        const auto commands = window_->commands().actions();
        const auto others = window_->findChildren<QAction*>();
        QSet<QAction*> actions(commands.begin(), commands.end());
        actions.unite(QSet<QAction*>(others.begin(), others.end()));
        for (const QAction* action : actions) {
            for (const QKeySequence& keySequence : action->shortcuts())
                all.append({keySequence, action->objectName() + u' ' + action->text()});
        }
        for (qsizetype i = 0; i < all.size(); ++i) {
            for (qsizetype j = 0; j < all.size(); ++j)
                QVERIFY2(i == j || all[i].first.matches(all[j].first) == QKeySequence::NoMatch,
                         qPrintable(all[i].second + QStringLiteral(" and ") + all[j].second));
        }
    }

    void closingGoesBackToTheWelcomePage() {
        open("prose.safetensors");
        QTest::keyClick(window_.get(), Qt::Key_W, Qt::ControlModifier);
        QVERIFY(document() == nullptr);
        auto* recent = window_->findChild<QListWidget*>(QStringLiteral("recent"));
        QVERIFY(recent->isVisible());
        QCOMPARE(recent->item(0)->text(), QStringLiteral("prose.safetensors"));
        QTest::mouseClick(recent->viewport(), Qt::LeftButton, {}, recent->visualItemRect(recent->item(0)).center());
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
    }

    void openingIsCancelledByTheNextOne() {
        const QSignalSpy opened(&window_->workspace(), &Workspace::opened);
        window_->openPaths({sample("prose.safetensors")});
        window_->openPaths({sample("code.npz")});
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
        QVERIFY(window_->windowTitle().startsWith(QStringLiteral("code.npz")));
        QCOMPARE(opened.count(), 1);
    }

private:
    /// Every visible bar of dock titles shows the whole of all its titles, in a window as small as it was made.
    void noTabIsCut() const {
        QCoreApplication::processEvents();
        QCOMPARE(window_->size(), QSize(1280, 720));
        for (const auto* bar : window_->findChildren<QTabBar*>(QString(), Qt::FindDirectChildrenOnly)) {
            if (!bar->isVisible())
                continue;
            QTRY_VERIFY2(bar->tabRect(bar->count() - 1).right() <= bar->width() && bar->tabRect(0).left() >= 0,
                         qPrintable(bar->tabText(bar->count() - 1)));
        }
    }

    [[nodiscard]] QToolButton* arrangementButton(const char* name) const {
        for (auto* button :
             window_->findChild<QWidget*>(QStringLiteral("arrangements"))->findChildren<QToolButton*>()) {
            if (button->text() == QLatin1String(name))
                return button;
        }
        return nullptr;
    }

    [[nodiscard]] views::Document* document() const { return window_->workspace().document(Workspace::Slot::Main); }

    void open(const char* name) {
        window_->openPaths({sample(name)});
        QTRY_VERIFY_WITH_TIMEOUT(document() != nullptr, kPatience);
    }

    QTemporaryDir settings_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestMainWindow)
#include "test_main_window.moc"
