// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "views/codec_panel.h"
#include "views/codec_session.h"
#include "views/codec_table.h"
#include "views/pareto_view.h"
#include "views/rate_harm_view.h"

#include <QComboBox>
#include <QSettings>
#include <QTemporaryDir>
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

        int edits = 0;
        for (int round = 0; round < 4; ++round) {
            auto* harm = show<RateHarmView>(Qt::Key_9);
            auto* choice = harm->findChild<QComboBox*>(QStringLiteral("harm"));
            QTRY_VERIFY_WITH_TIMEOUT(harm->isReady() && current(*harm).size() == 12, kPatience);
            choice->setCurrentIndex(1);
            const auto rows = current(*harm);
            const auto dearest = std::ranges::max_element(rows, {}, &Offer::saved);
            const auto cheapest = std::ranges::min_element(rows, {}, &Offer::added);
            // The sentence over the chart names the same two.
            QVERIFY(harm->summary().contains(QStringLiteral("layer %1 %2").arg(cheapest->layer).arg(cheapest->kind)));
            QVERIFY(harm->summary().contains(QStringLiteral("layer %1 %2").arg(dearest->layer).arg(dearest->kind)));

            panel = show<CodecPanel>(Qt::Key_6);
            press(*panel, *cheapest, Qt::Key_BracketRight, 3);
            press(*panel, *dearest, Qt::Key_BracketLeft, 3);
            edits += 6;
            QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience);
        }
        // Whatever error the moves have left over is turned into bytes, or paid back, for all cells alike.
        panel->table().selectAll();
        const bool over = weightedError(session) > error;
        for (int i = 0; i < 20 && (weightedError(session) > error) == over; ++i) {
            QTest::keyClick(&panel->table(), over ? Qt::Key_BracketLeft : Qt::Key_BracketRight);
            ++edits;
            QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience);
        }
        if (weightedError(session) > error) {
            QTest::keyClick(window_.get(), Qt::Key_Z, Qt::ControlModifier);
            QTRY_VERIFY_WITH_TIMEOUT(panel->isReady() && session.isComplete(), kPatience);
        }
        QVERIFY2(weightedError(session) <= error,
                 qPrintable(QStringLiteral("%1 against %2").arg(weightedError(session)).arg(error)));
        QVERIFY2(session.report().totals().ratio() > ratio,
                 qPrintable(QStringLiteral("%1 against %2").arg(session.report().totals().ratio()).arg(ratio)));
        // Few enough keys for five minutes.
        QVERIFY(edits < 60);

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
    }

private:
    /// What the table of rate and harm says about a cell as it is.
    struct Offer {
        int layer = 0;
        QString kind;
        double saved = 0;
        double added = 0;
    };

    static std::vector<Offer> current(const RateHarmView& view) {
        std::vector<Offer> offers;
        for (const auto& row : view.numbers().rows) {
            if (row[3].toInt() == 0)
                offers.push_back({row[0].toInt(), row[1].toString(), row[8].toDouble(), row[9].toDouble()});
        }
        return offers;
    }
    /// NMSEc of K and NMSE of V, weighted by size, as the Pareto chart has it.
    static double weightedError(const CodecSession& session) {
        double sum = 0;
        double values = 0;
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            const EncodeTotals totals = session.report().totals(kind);
            sum += headlineError(kind, totals.error) * static_cast<double>(totals.values);
            values += static_cast<double>(totals.values);
        }
        return sum / values;
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
