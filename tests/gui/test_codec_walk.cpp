// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "views/codec_panel.h"
#include "views/codec_session.h"
#include "views/codec_summary.h"
#include "views/codec_table.h"
#include "views/equal_error.h"
#include "views/pareto_view.h"
#include "views/rate_harm_view.h"

#include <QComboBox>
#include <QSettings>
#include <QTemporaryDir>
#include <QToolButton>
#include <QUndoStack>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {
constexpr int kPatience = 30000;
}

/// What a stranger does who wants to beat a preset at equal error: looks at rate and harm, takes bits where that harms
/// least and gives them where they save most, by keys in the panel, and looks at the Pareto chart.
class TestCodecWalk : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
        window_ = std::make_unique<MainWindow>();
        window_->resize(1600, 1000);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
        window_->openPaths({qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QStringLiteral("/prose.safetensors")});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Main) != nullptr, kPatience);
    }
    void cleanupTestCase() { window_.reset(); }

    void aPresetIsBeatenByHand() {
        CodecSession& session = CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
        auto* panel = show<CodecPanel>(Qt::Key_6);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience);
        const double ratio = session.report().totals().ratio();
        const double error = weightedError(session);

        // The table of rate and harm says how often to press which key where.
        int edits = 0;
        auto* harm = show<RateHarmView>(Qt::Key_9);
        auto* choice = harm->findChild<QComboBox*>(QStringLiteral("harm"));
        QTRY_VERIFY_WITH_TIMEOUT(harm->isReady() && current(*harm).size() == 12, kPatience);
        choice->setCurrentIndex(1);
        QTRY_VERIFY_WITH_TIMEOUT(harm->isReady(), kPatience);
        const auto rows = current(*harm);
        const auto dearest = std::ranges::max_element(rows, {}, &Offer::saved);
        const auto cheapest = std::ranges::min_element(rows, {}, &Offer::added);
        // The sentence over the chart names the best places and what there is to be had.
        QVERIFY(harm->summary().contains(QStringLiteral("layer %1 %2").arg(cheapest->layer).arg(cheapest->kind)));
        QVERIFY(harm->summary().contains(QStringLiteral("layer %1 %2").arg(dearest->layer).arg(dearest->kind)));
        QVERIFY2(harm->summary().contains(QStringLiteral("% smaller at the same error")), qPrintable(harm->summary()));
        panel = show<CodecPanel>(Qt::Key_6);
        for (const Offer& offer : rows) {
            press(*panel, offer, offer.finer ? Qt::Key_BracketLeft : Qt::Key_BracketRight, offer.presses);
            edits += offer.presses;
        }
        QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience);
        const auto gain = gainOverPresets(session);
        QVERIFY(gain.has_value());
        QVERIFY2(gain->share > 0.02, qPrintable(toText(*gain)));
        // The panel says so too.
        QVERIFY(std::ranges::any_of(panel->summary().figures(), [](const SummaryFigure& figure) {
            return figure.caption.contains(QStringLiteral("at the error of kvz-medium"));
        }));

        // Whatever error is left over is spent cell by cell, or paid back.
        const auto settle = [&] { QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience); };
        panel->table().selectAll();
        while (weightedError(session) > error && edits < 90) {
            QTest::keyClick(&panel->table(), Qt::Key_BracketLeft);
            ++edits;
            settle();
        }
        for (const Offer& offer : rows) {
            press(*panel, offer, Qt::Key_BracketRight, 1);
            ++edits;
            settle();
            if (weightedError(session) <= error)
                continue;
            QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
            settle();
        }
        QVERIFY2(weightedError(session) <= error,
                 qPrintable(QStringLiteral("%1 against %2").arg(weightedError(session)).arg(error)));
        QVERIFY2(session.report().totals().ratio() > 1.012 * ratio,
                 qPrintable(QStringLiteral("%1 against %2").arg(session.report().totals().ratio()).arg(ratio)));
        // Few enough keys for five minutes.
        QVERIFY(edits < 100);

        // The Pareto chart shows it as the best so far, in front of the preset.
        auto* pareto = show<ParetoView>(Qt::Key_8);
        QTRY_VERIFY_WITH_TIMEOUT(pareto->isReady(), kPatience);
        const auto names = pareto->pointNames();
        const auto& data = pareto->chart().data();
        QVERIFY(data.marked.has_value());
        QVERIFY(data.points[*data.marked].important);
        const auto preset = static_cast<std::size_t>(std::ranges::find(names, "kvz-medium") - names.begin());
        QVERIFY(preset < names.size());
        QVERIFY(!data.points[preset].important);
        QVERIFY(data.points[*data.marked].x > data.points[preset].x);
        QVERIFY(data.points[*data.marked].y <= data.points[preset].y);
        QVERIFY2(pareto->summary().contains(QStringLiteral("% smaller than kvz-medium at the same error")),
                 qPrintable(pareto->summary()));
    }

    void theButtonDoesTheSameInOneStep() {
        CodecSession& session = CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
        session.loadPreset(QStringLiteral("kvz-medium"));
        QTRY_VERIFY_WITH_TIMEOUT(session.plan().name == "kvz-medium" && session.isComplete(), kPatience);
        const std::uint64_t before = hashOf(session.plan());
        auto* harm = show<RateHarmView>(Qt::Key_9);
        QTRY_VERIFY_WITH_TIMEOUT(harm->isReady() && current(*harm).size() == 12, kPatience);
        const auto rows = current(*harm);
        auto* button = harm->findChild<QToolButton*>(QStringLiteral("evenOut"));
        QVERIFY(button->isEnabled());
        QTest::mouseClick(button, Qt::LeftButton);
        QVERIFY(hashOf(session.plan()) != before);
        QTRY_VERIFY_WITH_TIMEOUT(harm->isReady() && session.isComplete(), kPatience);
        QVERIFY(gainOverPresets(session)->share > 0.02);
        // What is even stays as it is, nearly.
        int left = 0;
        int first = 0;
        for (const Offer& offer : current(*harm))
            left += offer.presses;
        for (const Offer& offer : rows)
            first += offer.presses;
        QVERIFY2(3 * left < first, qPrintable(QStringLiteral("%1 of %2").arg(left).arg(first)));
        QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
        QCOMPARE(hashOf(session.plan()), before);
    }

    void gainsAreThoseOfTheDefinition() {
        const std::vector<PlanPoint> two{{"fine", 4, 0.001}, {"coarse", 2, 0.016}};
        // Half way between them in decibels.
        const auto half = gainAtEqualError({"mine", 2.7, 0.004}, two);
        QVERIFY(half && std::abs(half->share - 0.1) < 1e-9);
        QCOMPARE(half->against, std::string("fine \u2013 coarse"));
        QCOMPARE(gainAtEqualError({"mine", 2.2, 0.0161}, two)->against, std::string("coarse"));
        QVERIFY(gainAtEqualError({"mine", 2.2, 0.016}, two)->share < 0);
        // Alone, a factor of two in error is worth half a bit; further away nothing is said.
        const std::vector<PlanPoint> one{two[1]};
        QVERIFY(std::abs(gainAtEqualError({"mine", 2.25, 0.008}, one)->share - 0.1) < 1e-9);
        QVERIFY(!gainAtEqualError({"mine", 2.25, 0.001}, one));
        QVERIFY(!gainAtEqualError({"lossless", 9, 0}, two));
    }

private:
    /// What the table of rate and harm says about a cell as it is.
    struct Offer {
        int layer = 0;
        QString kind;
        double saved = 0;
        double added = 0;
        int presses = 0;
        bool finer = false;
    };

    static std::vector<Offer> current(const RateHarmView& view) {
        std::vector<Offer> offers;
        for (const auto& row : view.numbers().rows) {
            if (row[3].toInt() != 0)
                continue;
            const QString presses = row[10].toString();
            offers.push_back({row[0].toInt(), row[1].toString(), row[8].toDouble(), row[9].toDouble(),
                              presses.section(QLatin1Char(' '), 0, 0).toInt(), presses.endsWith(QLatin1Char('['))});
        }
        return offers;
    }
    static double weightedError(const CodecSession& session) {
        const EncodeReport& report = session.report();
        return views::weightedError(report.totals(PlaneKind::Key), report.totals(PlaneKind::Value), {});
    }
    static void press(CodecPanel& panel, const Offer& offer, Qt::Key key, int times) {
        const QModelIndex index = panel.table().model()->index(offer.layer, offer.kind == QStringLiteral("K") ? 0 : 1);
        QTest::mouseClick(panel.table().viewport(), Qt::LeftButton, {}, panel.table().visualRect(index).center());
        for (int i = 0; i < times; ++i)
            QTest::keyClick(&panel.table(), key);
    }
    template <class View> View* show(Qt::Key key) {
        QTest::keyClick(window_.get(), key, Qt::AltModifier);
        View* view = window_->findChild<View*>();
        [&] { QTRY_VERIFY_WITH_TIMEOUT(view != nullptr && view->isVisible(), kPatience); }();
        return view;
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestCodecWalk)
#include "test_codec_walk.moc"
