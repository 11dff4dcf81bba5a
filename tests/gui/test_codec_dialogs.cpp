// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/kvz_export_dialog.h"
#include "app/main_window.h"
#include "app/sweep_dialog.h"
#include "app/text_level_dialog.h"
#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QInputDialog>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSettings>
#include <QTemporaryDir>
#include <QTimer>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::app;

namespace {
constexpr int kPatience = 60000;
}

/// The dialogs of the codec: the sweep, and what is written as .kvz.
class TestCodecDialogs : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1280, 720);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
        window_->openPaths({sample("prose.safetensors"), sample("code-bf16.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(document(Workspace::Slot::Compared) != nullptr, kPatience);
    }

    void cleanup() { window_.reset(); }

    void aSweepFillsATableAndSaysWhatPasses() {
        SweepDialog& dialog = openSweep();
        type(dialog, QStringLiteral("kvz-lossless,kvz-low,cachegen-3"));
        QTest::mouseClick(dialog.findChild<QPushButton*>(QStringLiteral("sweepStart")), Qt::LeftButton);
        QVERIFY(dialog.isRunning());
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.isRunning(), kPatience);
        const auto& table = dialog.results();
        QCOMPARE(table.rows.size(), std::size_t{6});
        QCOMPARE(strictOf(dialog, 0), QStringLiteral("passed"));
        QCOMPARE(strictOf(dialog, 1), QStringLiteral("failed"));
        QCOMPARE(table.rows[3][3].toString(), QStringLiteral("held out"));
        QVERIFY(dialog.message().contains(QStringLiteral("1 of 3")));
        // Wider thresholds let what is lossy pass too.
        dialog.findChild<QDoubleSpinBox*>(QStringLiteral("sweepCosine"))->setValue(0.5);
        dialog.findChild<QDoubleSpinBox*>(QStringLiteral("sweepKeyMae"))->setValue(1000);
        dialog.findChild<QDoubleSpinBox*>(QStringLiteral("sweepValueMae"))->setValue(1000);
        dialog.start();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.isRunning(), kPatience);
        QCOMPARE(strictOf(dialog, 1), QStringLiteral("passed"));

        for (const char* ending : {"csv", "json", "txt"}) {
            const QString path = folder_.filePath(QStringLiteral("sweep.") + QLatin1String(ending));
            dialog.save(path);
            QFile file(path);
            QVERIFY(file.open(QIODevice::ReadOnly));
            const QByteArray text = file.readAll();
            QVERIFY(text.contains("cachegen-3"));
            if (qstrcmp(ending, "json") == 0)
                QCOMPARE(QJsonDocument::fromJson(text).object()[QStringLiteral("rows")].toArray().size(), 3);
            if (qstrcmp(ending, "csv") == 0)
                // A head, and for each row its K, its V, and both.
                QCOMPARE(text.trimmed().count('\n'), 6 * 3);
        }
    }

    void aSweepStopsAndKeepsWhatItHas() {
        SweepDialog& dialog = openSweep();
        dialog.start();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.results().rows.empty(), kPatience);
        QTest::mouseClick(dialog.findChild<QPushButton*>(QStringLiteral("sweepStart")), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.isRunning(), kPatience);
        QVERIFY(dialog.message().contains(QStringLiteral("Stopped")));
        QVERIFY(!dialog.results().rows.empty());
        QVERIFY(dialog.results().rows.size() < presets().size());
        // An unknown method is refused by name.
        type(dialog, QStringLiteral("kvz-nonsense"));
        dialog.start();
        QVERIFY(!dialog.isRunning());
        QVERIFY(dialog.message().contains(QStringLiteral("kvz-nonsense")));
    }

    void theSearchNamesTheSmallestThatPasses() {
        SweepDialog& dialog = openSweep();
        type(dialog, QStringLiteral("kvz-lossless"));
        dialog.findChild<QDoubleSpinBox*>(QStringLiteral("sweepKeyMae"))->setValue(0.05);
        dialog.findChild<QDoubleSpinBox*>(QStringLiteral("sweepValueMae"))->setValue(0.05);
        dialog.findChild<QCheckBox*>(QStringLiteral("sweepSearch"))->setChecked(true);
        dialog.start();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.isRunning(), kPatience);
        QVERIFY(dialog.message().contains(QStringLiteral("Smallest kvz step that passes")));
        QVERIFY(dialog.message().contains(QStringLiteral("bits a value")));
        // Each of the two found is a row of its own, passes, and is smaller than the lossless one.
        QCOMPARE(dialog.results().rows.size(), std::size_t{6});
        for (const int row : {1, 2}) {
            QCOMPARE(strictOf(dialog, row), QStringLiteral("passed"));
            QVERIFY(bitsOf(dialog, row) < bitsOf(dialog, 0));
        }
    }

    void theSearchMovesTheProgressAndStops() {
        SweepDialog& dialog = openSweep();
        type(dialog, QStringLiteral("raw"));
        dialog.findChild<QCheckBox*>(QStringLiteral("sweepSearch"))->setChecked(true);
        auto* progress = dialog.findChild<QProgressBar*>(QStringLiteral("sweepProgress"));
        dialog.start();
        QTRY_VERIFY_WITH_TIMEOUT(progress->format().contains(QStringLiteral("searching")), kPatience);
        const int began = progress->value();
        QTRY_VERIFY_WITH_TIMEOUT(progress->value() > began || !dialog.isRunning(), kPatience);
        QVERIFY(dialog.isRunning());
        QTest::mouseClick(dialog.findChild<QPushButton*>(QStringLiteral("sweepStart")), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.isRunning(), kPatience);
        // What was measured before the search stays.
        QCOMPARE(dialog.results().rows.size(), std::size_t{2});
    }

    void anEncodedCacheIsWrittenAndItsLevelsOpen() {
        const QString path = folder_.filePath(QStringLiteral("prose.kvz"));
        trigger("codec.export");
        auto* dialog = window_->findChild<KvzExportDialog*>();
        QVERIFY(dialog != nullptr);
        dialog->setPath(path);
        dialog->setLevels({QStringLiteral("kvz-high"), QStringLiteral("kvz-low")});
        QTest::mouseClick(dialog->findChild<QPushButton*>(QStringLiteral("kvzStart")), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog->isRunning(), kPatience);
        QVERIFY2(dialog->message().contains(QStringLiteral("kvz-low")), qPrintable(dialog->message()));
        emit dialog->openRequested(path);
        dialog->close();
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().levels(Workspace::Slot::Main).names.size() == 3, kPatience);
        const std::string best = document(Workspace::Slot::Main)->cache().info().format;
        QVERIFY(best.find("kvz-high") != std::string::npos);
        // The tokens are there: the text level.
        QVERIFY(!document(Workspace::Slot::Main)->cache().info().tokens.empty());

        chooseLevel(QStringLiteral("kvz-low"));
        QTRY_VERIFY_WITH_TIMEOUT(
            document(Workspace::Slot::Main)->cache().info().format.find("kvz-low") != std::string::npos, kPatience);

        // The level below them has no values: its tokens are shown, and why there is no map; what is open stays.
        chooseLevel(QStringLiteral("text"));
        QTRY_VERIFY_WITH_TIMEOUT(window_->findChild<TextLevelDialog*>() != nullptr, kPatience);
        checkText(*window_->findChild<TextLevelDialog*>(), QStringLiteral("Levels with values: kvz-high, kvz-low"));
        QVERIFY(document(Workspace::Slot::Main)->cache().info().format.find("kvz-low") != std::string::npos);
    }

    void aFileOfTextAloneIsShownAsText() {
        const QString path = folder_.filePath(QStringLiteral("text.kvz"));
        ThreadPool pool(1);
        QVERIFY(writeKvz(path.toStdString(), document(Workspace::Slot::Main)->cache(), {}, pool));
        window_->openPaths({path});
        QTRY_VERIFY_WITH_TIMEOUT(window_->findChild<TextLevelDialog*>() != nullptr, kPatience);
        checkText(*window_->findChild<TextLevelDialog*>(), QStringLiteral("no other level"));
        QVERIFY2(window_->errorText().contains(QStringLiteral("tokens alone")), qPrintable(window_->errorText()));
        QVERIFY(document(Workspace::Slot::Main)->cache().info().name == "prose.safetensors");
    }

    void anExportThatIsStoppedLeavesTheOldFile() {
        const QString path = folder_.filePath(QStringLiteral("old.kvz"));
        {
            QFile old(path);
            QVERIFY(old.open(QIODevice::WriteOnly));
            old.write("old");
        }
        trigger("codec.export");
        auto* dialog = window_->findChild<KvzExportDialog*>();
        QVERIFY(dialog != nullptr);
        dialog->setPath(path);
        QStringList all;
        for (const PresetInfo& preset : presets())
            all << QString::fromStdString(preset.name);
        dialog->setLevels(all);
        dialog->start();
        dialog->stop();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog->isRunning(), kPatience);
        QVERIFY2(dialog->message().contains(QStringLiteral("Stopped")), qPrintable(dialog->message()));
        QFile old(path);
        QVERIFY(old.open(QIODevice::ReadOnly));
        QCOMPARE(old.readAll(), QByteArray("old"));
        // Where nothing can be written, the dialog says so and stays.
        dialog->setPath(folder_.filePath(QStringLiteral("nowhere/x.kvz")));
        dialog->setLevels({QStringLiteral("raw")});
        dialog->start();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog->isRunning(), kPatience);
        QVERIFY(dialog->message().contains(QStringLiteral("nowhere")));
    }

private:
    static QString sample(const char* name) {
        return qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QLatin1Char('/') + QLatin1String(name);
    }
    [[nodiscard]] views::Document* document(Workspace::Slot slot) const { return window_->workspace().document(slot); }
    void chooseLevel(const QString& level) const {
        QTimer::singleShot(0, window_.get(), [this, level] {
            auto* choice = window_->findChild<QInputDialog*>();
            QVERIFY(choice != nullptr);
            choice->setTextValue(level);
            choice->accept();
        });
        trigger("codec.level");
    }
    void checkText(const TextLevelDialog& dialog, const QString& levels) const {
        std::string text;
        for (const std::string& piece : document(Workspace::Slot::Main)->cache().info().tokens[0].texts)
            text += piece;
        QCOMPARE(dialog.findChild<QPlainTextEdit*>(QStringLiteral("textLevelText"))->toPlainText(),
                 QString::fromStdString(text));
        const QString what = dialog.findChild<QLabel*>(QStringLiteral("textLevelWhat"))->text();
        QVERIFY2(what.contains(levels) && what.contains(QStringLiteral("no K and V values")), qPrintable(what));
    }
    void trigger(const char* id) const {
        QAction* action = window_->commands().find(QLatin1String(id));
        QVERIFY(action != nullptr && action->isEnabled());
        action->trigger();
    }
    [[nodiscard]] SweepDialog& openSweep() const {
        trigger("codec.sweep");
        return *window_->findChild<SweepDialog*>();
    }
    static void type(SweepDialog& dialog, const QString& methods) {
        dialog.findChild<QComboBox*>(QStringLiteral("sweepMethods"))->setEditText(methods);
    }
    static QString strictOf(const SweepDialog& dialog, int row) {
        return dialog.results().rows[static_cast<std::size_t>(row)][5].toString();
    }
    static double bitsOf(const SweepDialog& dialog, int row) {
        return dialog.results().rows[static_cast<std::size_t>(row)][6].toDouble();
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestCodecDialogs)
#include "test_codec_dialogs.moc"
