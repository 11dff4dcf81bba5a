// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/export.h"
#include "app/main_window.h"
#include "views/exportable.h"

#include <QAction>
#include <QApplication>
#include <QFile>
#include <QFileDialog>
#include <QLineEdit>
#include <QSet>
#include <QSettings>
#include <QStatusBar>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QXmlStreamReader>

using namespace kvscope;
using app::MainWindow;
using app::Workspace;

namespace {

constexpr int kPatience = 120000;
const QSize kSize(900, 600);

QByteArray contentsOf(const QString& path) {
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// Elements of an SVG that draw something, 0 where it is no well-formed SVG.
int drawnElements(const QByteArray& svg) {
    QXmlStreamReader reader(svg);
    int drawn = 0;
    bool isSvg = false;
    while (!reader.atEnd()) {
        if (reader.readNext() != QXmlStreamReader::StartElement)
            continue;
        const auto name = reader.name();
        isSvg = isSvg || name == QLatin1String("svg");
        if (name == QLatin1String("path") || name == QLatin1String("polyline") || name == QLatin1String("image") ||
            name == QLatin1String("text") || name == QLatin1String("rect"))
            ++drawn;
    }
    return isSvg && !reader.hasError() ? drawn : 0;
}

/// Commas of a CSV line that part columns.
int commasIn(const QByteArray& line) {
    bool quoted = false;
    int commas = 0;
    for (const char letter : line) {
        quoted = quoted != (letter == '"');
        commas += letter == ',' && !quoted ? 1 : 0;
    }
    return commas;
}

/// Colours that an image holds, seen at every third pixel.
qsizetype coloursOf(const QImage& image) {
    QSet<QRgb> colours;
    for (int y = 0; y < image.height(); y += 3) {
        for (int x = 0; x < image.width(); x += 3)
            colours.insert(image.pixel(x, y));
    }
    return colours.size();
}

} // namespace

/// Every view as PNG, SVG, PDF and CSV.
class TestExports : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
        window_ = std::make_unique<MainWindow>();
        window_->resize(1400, 900);
        window_->show();
        const QString samples = qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS");
        // The held-out view has something to write only where there is a second dump.
        window_->openPaths({samples + QStringLiteral("/prose.safetensors"), samples + QStringLiteral("/code.npz")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Compared) != nullptr, kPatience);
    }

    void cleanupTestCase() { window_.reset(); }

    void theCommandWritesTheCurrentView() {
        const QString path = folder_.filePath(QStringLiteral("by command.csv"));
        QDir first;
        QTimer::singleShot(0, this, [path, &first] {
            auto* dialog = qobject_cast<QFileDialog*>(QApplication::activeModalWidget());
            QVERIFY(dialog != nullptr);
            first = dialog->directory();
            auto* name = dialog->findChild<QLineEdit*>(QStringLiteral("fileNameEdit"));
            name->setText(path);
            QTest::keyClick(name, Qt::Key_Return);
        });
        window_->commands().find(QStringLiteral("file.export"))->trigger();
        QTRY_VERIFY_WITH_TIMEOUT(contentsOf(path).contains("token 1"), kPatience);
        // Nothing was exported before: not the root of all folders.
        QCOMPARE(first, QDir::home());
        QTRY_COMPARE(window_->statusBar()->currentMessage(), QStringLiteral("Exported ") + path);
    }

    void everyViewIsWritten_data() {
        QTest::addColumn<QString>("name");
        const auto views = window_->exportableViews();
        QVERIFY(views.size() > 10);
        for (auto view = views.begin(); view != views.end(); ++view)
            QTest::newRow(qPrintable(view.key())) << view.key();
    }
    void everyViewIsWritten() {
        QFETCH(QString, name);
        window_->showView(name);
        views::ExportableView* view = window_->exportableViews().value(name);
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady(), kPatience);
        view->prepare(kSize);
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady(), kPatience);
        const auto written = [&](const char* suffix) {
            const QString path = folder_.filePath(name + QLatin1Char('.') + QLatin1String(suffix));
            const auto result = app::exportView(*view, path, kSize);
            return result ? contentsOf(path) : QByteArray();
        };
        const QImage picture = QImage::fromData(written("png"), "PNG");
        QCOMPARE(picture.size(), kSize * 2);
        QVERIFY(coloursOf(picture) > 8);
        QVERIFY(drawnElements(written("svg")) > 10);
        const QByteArray pdf = written("pdf");
        QVERIFY(pdf.startsWith("%PDF-") && pdf.trimmed().endsWith("%%EOF") && pdf.size() > 2000);
        const QList<QByteArray> lines = written("csv").trimmed().split('\n');
        QVERIFY2(lines.size() > 2, lines.front().constData());
        QVERIFY2(lines.front().contains(','), lines.front().constData());
        QCOMPARE(commasIn(lines.back()), commasIn(lines.front()));
    }

    void aPlaceThatCannotBeWrittenIsNamed() {
        views::ExportableView* view = window_->exportableViews().value(QStringLiteral("layers"));
        const auto result = app::exportView(*view, folder_.filePath(QStringLiteral("no/folder.png")), kSize);
        QVERIFY(!result);
        QVERIFY(result.error().message().find("folder.png") != std::string::npos);
    }

private:
    const QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestExports)
#include "test_exports.moc"
