// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/heatmap_fixture.h"
#include "views/colour_bar.h"
#include "views/heatmap_pane.h"

#include <QPainter>
#include <QSignalSpy>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::views;

namespace {

QPalette darkPalette() {
    QPalette palette;
    palette.setColor(QPalette::Window, QColor(45, 45, 48));
    palette.setColor(QPalette::WindowText, Qt::white);
    palette.setColor(QPalette::Base, QColor(30, 30, 32));
    palette.setColor(QPalette::Text, Qt::white);
    palette.setColor(QPalette::Button, QColor(60, 60, 64));
    palette.setColor(QPalette::ButtonText, Qt::white);
    palette.setColor(QPalette::Highlight, QColor(64, 128, 220));
    return palette;
}

} // namespace

/// The heatmap pane driven as a user does.
class TestHeatmapPane : public QObject {
    Q_OBJECT

private slots:
    void pictures();
};

void TestHeatmapPane::pictures() {
    const QString folder = qEnvironmentVariable("KVSCOPE_PICTURES");
    if (folder.isEmpty())
        QSKIP("Set KVSCOPE_PICTURES to a folder to have pictures of the panes made.");
    ThreadPool pool;
    Document document(kvscope::testing::makeHeatmapCache({.raggedLayer = 2, .missingTokens = 300}), pool);
    for (const bool dark : {false, true}) {
        for (const QSize size : {QSize(1600, 1000), QSize(1280, 720)}) {
            SelectionModel selection;
            QWidget window;
            window.setPalette(dark ? darkPalette() : QPalette());
            auto* grid = new QGridLayout(&window);
            auto* key =
                new HeatmapPane(&document, &selection, HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Key));
            auto* value = new HeatmapPane(&document, &selection,
                                          HeatmapSettings::defaults(MapKind::LayerToken, PlaneKind::Value));
            auto settings = HeatmapSettings::defaults(MapKind::TokenChannel);
            settings.reduction = Reduction::Mean;
            auto* detail = new HeatmapPane(&document, &selection, settings);
            grid->addWidget(key, 0, 0);
            grid->addWidget(value, 0, 1);
            grid->addWidget(detail, 1, 0, 1, 2);
            window.resize(size);
            window.show();
            QTRY_VERIFY_WITH_TIMEOUT(key->isReady() && value->isReady() && detail->isReady(), 20000);
            key->showCell(PlaneId{LayerIndex(3), PlaneKind::Key, {}}, TokenIndex(700), ChannelIndex(17));
            QTRY_VERIFY(key->isReady() && value->isReady() && detail->isReady());
            QTRY_VERIFY(!key->readout().values().isEmpty());
            QTest::qWait(200);
            window.grab().save(
                QStringLiteral("%1/heatmap-%2-%3.png").arg(folder).arg(size.width()).arg(dark ? "dark" : "light"));
            QImage exported(1000, 600, QImage::Format_RGB32);
            QPainter painter(&exported);
            detail->paintTo(painter, exported.rect());
            exported.save(QStringLiteral("%1/heatmap-export-%2.png").arg(folder).arg(dark ? "dark" : "light"));
        }
    }
}

QTEST_MAIN(TestHeatmapPane)
#include "test_heatmap_pane.moc"
