// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/main_window.h"
#include "core/codec/encoded_cache.h"
#include "views/codec_report_view.h"

#include <QComboBox>
#include <QDockWidget>
#include <QSettings>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>

using namespace kvscope;
using namespace kvscope::views;
using app::MainWindow;
using app::Workspace;

namespace {

constexpr int kPatience = 30000;

/// Errors of a plane as a reader of the definitions would compute them.
struct Naive {
    double mae = 0;
    double mse = 0;
    double max = 0;
    double relative = 0;
    double cosine = 0;
    double snr = 0;
};

Naive naive(const std::vector<float>& x, const std::vector<float>& y) {
    Naive out;
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double e = static_cast<double>(y[i]) - static_cast<double>(x[i]);
        out.mae += std::abs(e);
        out.mse += e * e;
        out.max = std::max(out.max, std::abs(e));
        xx += static_cast<double>(x[i]) * x[i];
        yy += static_cast<double>(y[i]) * y[i];
        xy += static_cast<double>(x[i]) * y[i];
    }
    out.relative = std::sqrt(out.mse / xx);
    out.cosine = xy / std::sqrt(xx * yy);
    out.snr = 10 * std::log10(xx / out.mse);
    out.mae /= static_cast<double>(x.size());
    out.mse /= static_cast<double>(x.size());
    return out;
}

} // namespace

class TestCodecReport : public QObject {
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
        window_->showView(QStringLiteral("codec-report"));
        view_ = window_->findChild<CodecReportView*>();
        QVERIFY(view_ != nullptr);
        QTRY_VERIFY_WITH_TIMEOUT(view_->isReady() && session().isComplete(), kPatience);
    }
    void cleanupTestCase() { window_.reset(); }

    void everyFigureIsThereForEachKindAndBoth() {
        view_->setRows(ReportRows::Kinds);
        const StatisticsTable table = view_->numbers();
        QCOMPARE(table.columns.size(), std::size_t(5));
        QCOMPARE(table.columns[4].title, QStringLiteral("weighted"));
        for (const char* figure :
             {"Bits",   "Ratio",      "Order-0 entropy", "NMSEc",       "NMSE",   "Cosine",       "SNR",
              "MAE",    "MSE",        "Largest error",   "Relative L2", "Bytes",  "Payload",      "Tables",
              "Scales", "Exceptions", "Headers",         "Encode",      "Decode", "Encoding time"}) {
            const std::size_t row = rowOf(table, figure);
            QVERIFY2(row < table.rows.size(), figure);
            QVERIFY2(table.rows[row][4].isValid(), figure);
            QVERIFY2(!table.rowExplanations[row].isEmpty(), figure);
        }
        qlonglong parts = 0;
        for (const char* part : {"Payload", "Tables", "Scales", "Exceptions", "Headers"})
            parts += table.rows[rowOf(table, part)][4].toLongLong();
        QCOMPARE(table.rows[rowOf(table, "Bytes")][4].toLongLong(), parts);
        // K and V have as many values each: the mean of their bits is that of both.
        const auto& bits = table.rows[rowOf(table, "Bits")];
        QVERIFY(std::abs((bits[2].toDouble() + bits[3].toDouble()) / 2 - bits[4].toDouble()) < 1e-9);
    }

    void aLayersErrorsAreThoseOfItsValues() {
        view_->setRows(ReportRows::Layers);
        const StatisticsTable table = view_->numbers();
        QCOMPARE(table.rows.size(), std::size_t(12));
        const KvCache original = window_->workspace().document(Workspace::Slot::Main)->cache();
        const KvCache decoded = makeDecodedCache(original, session().encodedPlanes());
        for (const auto& row : table.rows) {
            const PlaneId plane{LayerIndex(row[1].toLongLong()),
                                row[2].toString() == QLatin1String("K") ? PlaneKind::Key : PlaneKind::Value,
                                SequenceIndex(0)};
            const PlaneGeometry& shape = *original.geometry().find(plane);
            std::vector<float> x(static_cast<std::size_t>(shape.values()));
            std::vector<float> y(x.size());
            const auto channels = channelRange(0, shape.channels());
            QVERIFY(original.readRows(plane, tokenRange(0, shape.tokens), channels, x));
            QVERIFY(decoded.readRows(plane, tokenRange(0, shape.tokens), channels, y));
            const Naive expected = naive(x, y);
            const auto figure = [&](const char* title) { return row[columnOf(table, title)].toDouble(); };
            QVERIFY(std::abs(figure("MAE") / expected.mae - 1) < 1e-5);
            QVERIFY(std::abs(figure("MSE") / expected.mse - 1) < 1e-5);
            QVERIFY(std::abs(figure("Largest error") / expected.max - 1) < 1e-5);
            QVERIFY(std::abs(figure("Relative L2") / expected.relative - 1) < 1e-5);
            QVERIFY(std::abs(figure("Cosine") - expected.cosine) < 1e-6);
            QVERIFY(std::abs(figure("SNR") - expected.snr) < 1e-3);
        }
    }

    void headsAndChannelsOfTheSelectedLayerAddUpToIt() {
        Selection selection = window_->workspace().selection().current();
        selection.layers = layerRange(4, 5);
        window_->workspace().selection().select(selection);
        view_->setRows(ReportRows::Layers);
        const StatisticsTable layers = view_->numbers();
        for (const auto& [rows, parts] : {std::pair(ReportRows::Heads, 4), std::pair(ReportRows::Channels, 128)}) {
            // As a user would choose it.
            auto* which = view_->findChild<QComboBox*>(QStringLiteral("reportRows"));
            which->setFocus();
            while (view_->shownRows() != rows)
                QTest::keyClick(which, view_->shownRows() < rows ? Qt::Key_Down : Qt::Key_Up);
            const StatisticsTable table = view_->numbers();
            QCOMPARE(table.rows.size(), static_cast<std::size_t>(2 * parts));
            for (const auto& [kind, layerRow] :
                 {std::pair(QStringLiteral("K"), 8), std::pair(QStringLiteral("V"), 9)}) {
                double bits = 0;
                double mse = 0;
                for (const auto& row : table.rows) {
                    if (row[2].toString() != kind)
                        continue;
                    QCOMPARE(row[1].toLongLong(), 4);
                    bits += row[columnOf(table, "Bits")].toDouble();
                    mse += row[columnOf(table, "MSE")].toDouble();
                }
                const auto& whole = layers.rows[static_cast<std::size_t>(layerRow)];
                QVERIFY(std::abs(bits / parts / whole[columnOf(layers, "Bits")].toDouble() - 1) < 1e-4);
                QVERIFY(std::abs(mse / parts / whole[columnOf(layers, "MSE")].toDouble() - 1) < 1e-4);
            }
        }
    }

private:
    [[nodiscard]] CodecSession& session() const {
        return CodecSession::of(*window_->workspace().document(Workspace::Slot::Main));
    }
    static std::size_t rowOf(const StatisticsTable& table, const char* figure) {
        const auto found = std::ranges::find_if(
            table.rows, [figure](const auto& row) { return row[0].toString() == QLatin1String(figure); });
        return static_cast<std::size_t>(found - table.rows.begin());
    }
    static std::size_t columnOf(const StatisticsTable& table, const char* title) {
        const auto found = std::ranges::find(table.columns, QLatin1String(title), &StatisticsTable::Column::title);
        return static_cast<std::size_t>(found - table.columns.begin());
    }

    QTemporaryDir folder_;
    std::unique_ptr<MainWindow> window_;
    CodecReportView* view_ = nullptr;
};

QTEST_MAIN(TestCodecReport)
#include "test_codec_report.moc"
