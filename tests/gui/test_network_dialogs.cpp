// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/fetch_dialog.h"
#include "app/main_window.h"
#include "app/serve_dialog.h"
#include "app/workspace.h"
#include "tests/gui/serving_process.h"
#include "tests/unit/redis_server.h"
#include "views/stream_session.h"
#include "views/timeline_canvas.h"
#include "views/timeline_picture.h"
#include "views/timeline_view.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QElapsedTimer>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSettings>
#include <QSlider>
#include <QSpinBox>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QTest>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include <cmath>
#include <csignal>
#include <memory>
#include <sys/resource.h>
#include <thread>

using namespace kvscope;
using namespace kvscope::testing;
using namespace kvscope::views;
using app::FetchDialog;
using app::MainWindow;
using app::ServeDialog;
using app::Workspace;

namespace {

constexpr int kPatience = 60000;

/// Listens, and answers whoever connects with some bytes, or with nothing.
class Stranger {
public:
    explicit Stranger(std::string answer)
        : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}) {
        accept(std::move(answer));
        thread_ = std::jthread([this] { io_.run(); });
    }
    ~Stranger() { io_.stop(); }
    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;

    [[nodiscard]] QString address() const {
        return QStringLiteral("127.0.0.1:%1").arg(acceptor_.local_endpoint().port());
    }

private:
    void accept(std::string answer) {
        acceptor_.async_accept([this, answer](const asio::error_code& code, asio::ip::tcp::socket socket) {
            if (code)
                return;
            asio::error_code ignored;
            asio::write(socket, asio::buffer(answer), ignored);
            held_.push_back(std::move(socket));
            accept(answer);
        });
    }

    asio::io_context io_;
    asio::ip::tcp::acceptor acceptor_;
    std::vector<asio::ip::tcp::socket> held_;
    std::jthread thread_;
};

} // namespace

/// Serving and fetching from the window, with the program in another process at the other end of the socket.
class TestNetworkDialogs : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        QVERIFY(folder_.isValid());
        QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder_.path());
        QCoreApplication::setOrganizationName(QStringLiteral("kvscope-test"));
        QCoreApplication::setApplicationName(QStringLiteral("kvscope-test"));
        sample_ = qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QStringLiteral("/prose.safetensors");
        kvz_ = folder_.filePath(QStringLiteral("prose.kvz"));
        const Outcome encoded = run({QStringLiteral("encode"), sample_, QStringLiteral("-o"), kvz_,
                                     QStringLiteral("--preset"), QStringLiteral("raw,kvz-high,kvz-medium,kvz-low"),
                                     QStringLiteral("--chunk-tokens"), QStringLiteral("32")});
        QVERIFY2(encoded.code == 0, encoded.error.constData());
    }

    void init() {
        QSettings().clear();
        window_ = std::make_unique<MainWindow>();
        window_->resize(1600, 1000);
        window_->show();
        QVERIFY(QTest::qWaitForWindowExposed(window_.get()));
    }

    void cleanup() { window_.reset(); }

    void whatAnotherProcessServesOpensInTheWindow() {
        Serving sender(kvz_, words("--rate 4Mbps --rtt 20ms"));
        FetchDialog& dialog = openFetch(sender.address(), QStringLiteral("raw"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QVERIFY(dialog.fetch().isRunning());
        // Seen while it comes: some chunks are there, others are not.
        const auto ready = [&dialog] {
            const StreamRow* row = dialog.session().row("raw", true);
            if (row == nullptr)
                return std::ptrdiff_t{0};
            return std::ranges::count_if(row->timeline.chunks, [](const ChunkTimes& c) { return c.ready < kNever; });
        };
        QTRY_VERIFY_WITH_TIMEOUT(ready() > 0, kPatience);
        QVERIFY(ready() < 8);
        QVERIFY(dialog.session().row("raw", true)->underWay);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY2(dialog.fetch().problem() == nullptr, qPrintable(dialog.message()));
        // The cache has become the window's dump, with the very values of the file.
        const auto* document = window_->workspace().document(Workspace::Slot::Main);
        QVERIFY(document != nullptr);
        const KvCache& cache = document->cache();
        const auto original = openDump(sample_.toStdString());
        QVERIFY(original);
        QVERIFY(cache.geometry().allPlanes().size() >= 12);
        for (const PlaneId plane : cache.geometry().allPlanes()) {
            const PlaneGeometry& shape = *cache.geometry().find(plane);
            std::vector<std::byte> left(static_cast<std::size_t>(shape.values() * sizeOf(shape.dtype)));
            std::vector<std::byte> right(left.size());
            QVERIFY(cache.readNative(plane, tokenRange(0, shape.tokens), left));
            QVERIFY(original->cache.readNative(plane, tokenRange(0, shape.tokens), right));
            QVERIFY(left == right);
        }
        // And the window's timelines say how it came, beside the simulation over the bandwidth that was seen.
        const StreamSession& session = StreamSession::of(*window_->workspace().document(Workspace::Slot::Main));
        const StreamRow* measured = session.row("raw", true);
        const StreamRow* simulated = session.row("raw");
        QVERIFY(measured != nullptr && simulated != nullptr && !measured->underWay);
        qInfo("simulated %.4f s, measured %.4f s", simulated->timeline.ttft, measured->timeline.ttft);
        QVERIFY(std::abs(measured->timeline.ttft / simulated->timeline.ttft - 1) <= 0.05);
        // Some 0.8 MB at 4 Mbit/s.
        const double expected = measured->timeline.wireBytes * 8 / 4e6;
        QVERIFY(measured->timeline.ttft > expected && measured->timeline.ttft < expected * 1.1 + 0.1);
        QVERIFY(window_->findChild<TimelineView*>()->isVisible());
    }

    void aProcessFetchesFromTheWindowWhileTheBandwidthIsDragged() {
        openSample();
        ServeDialog& dialog = openServe();
        dialog.findChild<QComboBox*>(QStringLiteral("serveAddress"))->setCurrentIndex(0);
        dialog.findChild<QSpinBox*>(QStringLiteral("servePort"))->setValue(0);
        auto* rate = dialog.findChild<QDoubleSpinBox*>(QStringLiteral("serveRate"));
        rate->setValue(0.001);
        QVERIFY(!dialog.findChild<QCheckBox*>(QStringLiteral("serveUnlimited"))->isChecked());
        QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.server().state() == LiveServer::State::Serving, kPatience);
        const QString address = QStringLiteral("127.0.0.1:%1").arg(dialog.server().port());
        QVERIFY(dialog.message().contains(address));
        QProcess receiver;
        receiver.start(QStringLiteral(KVSCOPE_PROGRAM), QStringList{QStringLiteral("fetch"), address,
                                                                    QStringLiteral("--policy"), QStringLiteral("raw")} +
                                                            words("--chunk 16 --json"));
        auto* receivers = dialog.findChild<QTableWidget*>(QStringLiteral("serveReceivers"));
        QTRY_VERIFY_WITH_TIMEOUT(receivers->rowCount() == 1, kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(receivers->item(0, 1)->text().contains(QStringLiteral("chunk 1 as raw")), kPatience);
        // At 1 Mbit/s all of it would take seven seconds; now it has a thousand times as much.
        QElapsedTimer clock;
        clock.start();
        auto* slider = dialog.findChild<QSlider*>(QStringLiteral("serveSlider"));
        slider->setSliderDown(true);
        slider->setSliderPosition(ServeDialog::kRates.positionOf(1e9));
        slider->setSliderDown(false);
        QVERIFY(std::abs(rate->value() - 1) < 0.02);
        QTRY_VERIFY_WITH_TIMEOUT(receiver.state() == QProcess::NotRunning, kPatience);
        QVERIFY2(clock.elapsed() < 3000, qPrintable(QString::number(clock.elapsed())));
        const Outcome outcome{receiver.exitCode(), receiver.readAllStandardOutput(), receiver.readAllStandardError()};
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QVERIFY(outcome.json()[QStringLiteral("complete")].toBool());
        QCOMPARE(outcome.json()[QStringLiteral("chunks")].toArray().size(), 16);
        QTRY_COMPARE_WITH_TIMEOUT(receivers->rowCount(), 0, kPatience);
        QVERIFY(dialog.server().sentBytes() > 700'000);
        QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
        QVERIFY(dialog.server().state() == LiveServer::State::Stopped);
        QVERIFY(run({QStringLiteral("fetch"), address, QStringLiteral("--attempts"), QStringLiteral("1")}).code == 1);
    }

    void aFaultIsInjectedFromTheWindow() {
        openSample();
        ServeDialog& dialog = openServe();
        dialog.findChild<QSpinBox*>(QStringLiteral("servePort"))->setValue(0);
        QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.server().state() == LiveServer::State::Serving, kPatience);
        dialog.findChild<QComboBox*>(QStringLiteral("serveFault"))->setCurrentIndex(1);
        dialog.findChild<QSpinBox*>(QStringLiteral("serveFaultChunk"))->setValue(2);
        QTest::mouseClick(button(dialog, "serveInject"), Qt::LeftButton);
        QProcess receiver;
        receiver.start(QStringLiteral(KVSCOPE_PROGRAM),
                       QStringList{QStringLiteral("fetch"), QStringLiteral("127.0.0.1:%1").arg(dialog.server().port()),
                                   QStringLiteral("--policy"), QStringLiteral("kvz-high")} +
                           words("--chunk 32 --json"));
        QTRY_VERIFY_WITH_TIMEOUT(receiver.state() == QProcess::NotRunning, kPatience);
        const Outcome outcome{receiver.exitCode(), receiver.readAllStandardOutput(), receiver.readAllStandardError()};
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QVERIFY2(outcome.error.contains("chunk 2 is asked for again"), outcome.error.constData());
    }

    void whatHadArrivedIsKeptWhenTheSenderDies() {
        Serving sender(kvz_, words("--rate 2Mbps"));
        FetchDialog& dialog = openFetch(sender.address(), QStringLiteral("raw"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        const auto ready = [&dialog] {
            return std::ranges::count_if(dialog.fetch().timeline().chunks,
                                         [](const ChunkTimes& chunk) { return chunk.ready < kNever; });
        };
        QTRY_VERIFY_WITH_TIMEOUT(ready() >= 2, kPatience);
        sender.kill();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY(dialog.fetch().problem() != nullptr);
        QVERIFY2(dialog.message().contains(sender.address()), qPrintable(dialog.message()));
        QVERIFY2(dialog.message().contains(QStringLiteral("partial")), qPrintable(dialog.message()));
        const auto* document = window_->workspace().document(Workspace::Slot::Main);
        QVERIFY(document != nullptr);
        QVERIFY(document->cache().info().name.find("partial") != std::string::npos);
        QVERIFY(window_->windowTitle().contains(QStringLiteral("partial")));
        // Kept on disk too, by the button's way; and a place that cannot be written is said.
        const QString kept = folder_.filePath(QStringLiteral("kept.kvz"));
        dialog.keepAs(kept);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.message().contains(kept), kPatience);
        QVERIFY(QFile::exists(kept));
        dialog.keepAs(folder_.filePath(QStringLiteral("no/such/folder/kept.kvz")));
        QTRY_VERIFY_WITH_TIMEOUT(dialog.message().startsWith(QChar(0x26a0)), kPatience);
        // A disk without room: what was kept before stays, nothing half-written does, and it can be kept elsewhere.
        const auto size = QFileInfo(kept).size();
        struct rlimit before {};
        QCOMPARE(getrlimit(RLIMIT_FSIZE, &before), 0);
        struct rlimit small = before;
        small.rlim_cur = 4096;
        const auto whatHappened = std::signal(SIGXFSZ, SIG_IGN);
        QCOMPARE(setrlimit(RLIMIT_FSIZE, &small), 0);
        dialog.keepAs(kept);
        const bool isSaid = QTest::qWaitFor([&] { return dialog.message().contains(QStringLiteral("ulimit")); }, 10000);
        QCOMPARE(setrlimit(RLIMIT_FSIZE, &before), 0);
        std::signal(SIGXFSZ, whatHappened);
        QVERIFY2(isSaid, qPrintable(dialog.message()));
        QVERIFY(dialog.message().contains(kept) && dialog.message().contains(QStringLiteral("still here")));
        QCOMPARE(QFileInfo(kept).size(), size);
        QVERIFY(!QFile::exists(kept + QStringLiteral(".part")));
        const QString elsewhere = folder_.filePath(QStringLiteral("elsewhere.kvz"));
        dialog.keepAs(elsewhere);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.message().contains(elsewhere), kPatience);
        QCOMPARE(QFileInfo(elsewhere).size(), size);
    }

    void twoSendersAreSimulatedAsTwoPaths() {
        Serving first(kvz_, words("--rate 4Mbps --rtt 20ms"));
        Serving second(kvz_, words("--rate 2Mbps --rtt 10ms"));
        FetchDialog& dialog = openFetch(first.address() + QLatin1Char(' ') + second.address(), QStringLiteral("raw"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY2(dialog.fetch().problem() == nullptr, qPrintable(dialog.message()));
        const StreamSession& session = dialog.session();
        QCOMPARE(session.effectiveSetup().link.paths.size(), std::size_t{2});
        QVERIFY(session.transfer()->caption.contains(QStringLiteral("two senders")));
        const StreamRow* measured = session.row("raw", true);
        const StreamRow* simulated = session.row("raw");
        QVERIFY(measured != nullptr && simulated != nullptr);
        for (const StreamRow* row : {measured, simulated}) {
            QVERIFY(std::ranges::count(row->timeline.chunks, std::size_t{0}, &ChunkTimes::path) > 0);
            QVERIFY(std::ranges::count(row->timeline.chunks, std::size_t{1}, &ChunkTimes::path) > 0);
        }
        qInfo("simulated %.4f s, measured %.4f s", simulated->timeline.ttft, measured->timeline.ttft);
        // With the first link alone it would take half as long again.
        QVERIFY(std::abs(measured->timeline.ttft / simulated->timeline.ttft - 1) <= 0.2);
    }

    void chunksOfAPartialCacheSelectTheirOwnTokens() {
        Serving sender(kvz_, words("--rate 8Mbps"));
        FetchDialog& dialog = openFetch(sender.address(), QStringLiteral("raw"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning() && dialog.fetch().fetched() != nullptr, kPatience);
        // As if chunks 2 and 3 had not come.
        auto part = std::make_shared<Fetched>(*dialog.fetch().fetched());
        part->timeline.chunks[2] = part->timeline.chunks[3] = {};
        emit dialog.openRequested(part, app::shownTransfer(*part, false));
        dialog.close();
        QTRY_VERIFY_WITH_TIMEOUT(window_->windowTitle().contains(QStringLiteral("partial")), kPatience);
        auto* view = window_->findChild<TimelineView*>();
        QTRY_VERIFY_WITH_TIMEOUT(view->isReady() && view->session().row("raw", true) != nullptr, kPatience);
        const auto click = [&](std::size_t chunk) {
            TimelineCanvas& canvas = view->canvas();
            const TimelinePicture picture = canvas.picture();
            for (const TimelineItem& item : picture.items()) {
                if (item.chunk == chunk && item.lane == TimelineLane::Network && !item.simulated &&
                    (*picture.scene().rows)[item.row].measured)
                    return QTest::mouseClick(canvas.viewport(), Qt::LeftButton, {}, item.rect.center().toPoint());
            }
        };
        const auto selected = [&] { return window_->workspace().selection().current().tokens; };
        click(1);
        QCOMPARE(selected(), std::optional(tokenRange(32, 64)));
        click(4);
        QCOMPARE(selected(), std::optional(tokenRange(64, 96)));
        click(7);
        QCOMPARE(selected(), std::optional(tokenRange(160, 192)));
        // One that is not there (of the simulated run) selects nothing and says why.
        view->session().setFocus("raw");
        const TimelinePicture shown = view->canvas().picture();
        for (const TimelineItem& item : shown.items()) {
            if (item.chunk == 2 && item.lane == TimelineLane::Network && !item.simulated &&
                view->session().rows()[item.row].name == "raw") {
                QTest::mouseClick(view->canvas().viewport(), Qt::LeftButton, {}, item.rect.center().toPoint());
                break;
            }
        }
        QCOMPARE(view->session().chunk(), std::optional(std::size_t{2}));
        QVERIFY(!selected());
        QVERIFY(view->findChild<QLabel*>(QStringLiteral("why"))->text().contains(QStringLiteral("lacks its tokens")));
    }

    void redisMayVanishWhileTheWindowServesFromIt() {
        if (!Redis::isInstalled())
            QSKIP("redis-server is not installed");
        Redis redis;
        QVERIFY(redis.start());
        const QString url = QString::fromStdString(redis.url());
        QCOMPARE(run({QStringLiteral("store"), kvz_, QStringLiteral("-o"), url}).code, 0);
        openSample();
        ServeDialog& server = openServe();
        auto* what = server.findChild<QComboBox*>(QStringLiteral("serveWhat"));
        what->setCurrentIndex(what->count() - 1);
        auto* path = server.findChild<QLineEdit*>(QStringLiteral("servePath"));
        path->setFocus();
        QTest::keyClicks(path, url);
        server.findChild<QSpinBox*>(QStringLiteral("servePort"))->setValue(0);
        server.findChild<QDoubleSpinBox*>(QStringLiteral("serveRate"))->setValue(0.002);
        QTest::mouseClick(button(server, "serveStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(server.server().state() == LiveServer::State::Serving, kPatience);
        const QString address = QStringLiteral("127.0.0.1:%1").arg(server.server().port());
        FetchDialog& dialog = openFetch(address, QStringLiteral("raw"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        const auto ready = [&dialog] {
            return std::ranges::count_if(dialog.fetch().timeline().chunks,
                                         [](const ChunkTimes& chunk) { return chunk.ready < kNever; });
        };
        QTRY_VERIFY_WITH_TIMEOUT(ready() >= 2, kPatience);
        redis.kill();
        QElapsedTimer clock;
        clock.start();
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY2(clock.elapsed() < 15000, qPrintable(QString::number(clock.elapsed())));
        // Both ends say what is gone; what had arrived is kept, opened and marked.
        QVERIFY2(dialog.message().contains(url) && dialog.message().contains(QStringLiteral("partial")),
                 qPrintable(dialog.message()));
        QTRY_VERIFY_WITH_TIMEOUT(server.message().contains(url), kPatience);
        QVERIFY2(server.message().startsWith(QChar(0x26a0)), qPrintable(server.message()));
        QVERIFY(dialog.fetch().fetched() != nullptr);
        const std::size_t held = dialog.fetch().fetched()->heldChunks().size();
        QVERIFY(held >= 2 && held < 8);
        QVERIFY(window_->windowTitle().contains(QStringLiteral("partial")));
        // The window remains usable, and serves again when the store is back.
        QVERIFY(server.server().state() == LiveServer::State::Serving);
        QVERIFY(redis.start());
        QCOMPARE(run({QStringLiteral("store"), kvz_, QStringLiteral("-o"), url}).code, 0);
        server.findChild<QDoubleSpinBox*>(QStringLiteral("serveRate"))->setValue(1);
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY2(dialog.fetch().problem() == nullptr, qPrintable(dialog.message()));
        QCOMPARE(dialog.fetch().fetched()->heldChunks().size(), std::size_t{8});
    }

    void textIsSentAsTokens() {
        Serving sender(kvz_);
        FetchDialog& dialog = openFetch(sender.address(), QStringLiteral("text"));
        dialog.findChild<QCheckBox*>(QStringLiteral("fetchText"))->click();
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
        QVERIFY2(dialog.fetch().problem() == nullptr, qPrintable(dialog.message()));
        QVERIFY2(dialog.message().contains(QStringLiteral("8 came as text: their tokens are here")),
                 qPrintable(dialog.message()));
        const auto fetched = dialog.fetch().fetched();
        const auto original = openDump(sample_.toStdString());
        QVERIFY(original && !original->cache.info().tokens.empty());
        QVERIFY(fetched->directory.info.tokens.at(0).ids == original->cache.info().tokens.at(0).ids);
        QVERIFY(fetched->directory.info.tokens.at(0).texts == original->cache.info().tokens.at(0).texts);
        // Recomputing took the time that it would, and no values came.
        const Timeline& measured = dialog.session().row("text", true)->timeline;
        QVERIFY(measured.computeSeconds > 0.01);
        QVERIFY(fetched->heldChunks().empty());
        QVERIFY(window_->workspace().document(Workspace::Slot::Main) == nullptr);
    }

    void aFetchIsStopped() {
        Serving sender(kvz_, words("--rate 2Mbps"));
        FetchDialog& dialog = openFetch(sender.address(), QStringLiteral("raw"));
        dialog.findChild<QCheckBox*>(QStringLiteral("fetchOpenAtEnd"))->setChecked(false);
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(
            !dialog.fetch().timeline().chunks.empty() && dialog.fetch().timeline().chunks[0].ready < kNever, kPatience);
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), 3000);
        QVERIFY(dialog.message().startsWith(QStringLiteral("Stopped.")));
        QVERIFY(window_->workspace().document(Workspace::Slot::Main) == nullptr);
        QTest::mouseClick(button(dialog, "fetchOpen"), Qt::LeftButton);
        QVERIFY(window_->workspace().document(Workspace::Slot::Main) != nullptr);
    }

    void everyFailureIsSaidAndTheDialogGoesOn() {
        const Stranger liar("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        FetchDialog& dialog = openFetch(liar.address(), QStringLiteral("kvscope"));
        const auto refused = [&](const QString& address, const QString& expected) {
            dialog.findChild<QLineEdit*>(QStringLiteral("fetchSenders"))->setText(address);
            QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
            QTRY_VERIFY_WITH_TIMEOUT(!dialog.fetch().isRunning(), kPatience);
            QVERIFY2(dialog.message().startsWith(QChar(0x26a0)) && dialog.message().contains(expected),
                     qPrintable(dialog.message()));
            QVERIFY(button(dialog, "fetchStart")->isEnabled());
            QVERIFY(window_->workspace().document(Workspace::Slot::Main) == nullptr);
        };
        refused(liar.address(), liar.address());
        refused(QStringLiteral("127.0.0.1:1"), QStringLiteral("127.0.0.1:1"));
        refused(QStringLiteral("nonsense"), QStringLiteral("nonsense"));
        refused(QString(), QStringLiteral("HOST:PORT"));
        Serving sender(kvz_);
        dialog.findChild<QComboBox*>(QStringLiteral("fetchPolicy"))->setEditText(QStringLiteral("fastest"));
        refused(sender.address(), QStringLiteral("kvz-high"));
        // After all that it fetches.
        dialog.findChild<QComboBox*>(QStringLiteral("fetchPolicy"))->setEditText(QStringLiteral("kvz-low"));
        QTest::mouseClick(button(dialog, "fetchStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Main) != nullptr, kPatience);
    }

    void whatCannotBeServedIsSaid() {
        ServeDialog& dialog = openServe();
        // Without a dump there are files and stores alone.
        QCOMPARE(dialog.findChild<QComboBox*>(QStringLiteral("serveWhat"))->count(), 1);
        QVERIFY(!button(dialog, "serveStart")->isEnabled());
        auto* path = dialog.findChild<QLineEdit*>(QStringLiteral("servePath"));
        dialog.findChild<QSpinBox*>(QStringLiteral("servePort"))->setValue(0);
        for (const char* place : {"/no/such.kvz", "redis://127.0.0.1:1"}) {
            path->setText(QLatin1String(place));
            QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
            QTRY_VERIFY_WITH_TIMEOUT(dialog.server().state() == LiveServer::State::Stopped, kPatience);
            QVERIFY2(dialog.message().startsWith(QChar(0x26a0)), qPrintable(dialog.message()));
        }
        const Serving other(kvz_);
        path->setText(kvz_);
        dialog.findChild<QSpinBox*>(QStringLiteral("servePort"))
            ->setValue(other.address().section(QLatin1Char(':'), 1).toInt());
        QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.server().state() == LiveServer::State::Stopped, kPatience);
        QVERIFY2(dialog.message().contains(QStringLiteral("cannot listen")), qPrintable(dialog.message()));
        dialog.findChild<QSpinBox*>(QStringLiteral("servePort"))->setValue(0);
        QTest::mouseClick(button(dialog, "serveStart"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(dialog.server().state() == LiveServer::State::Serving, kPatience);
    }

private:
    static QPushButton* button(const QWidget& dialog, const char* name) {
        return dialog.findChild<QPushButton*>(QLatin1String(name));
    }
    void openSample() {
        window_->openPaths({sample_});
        QTRY_VERIFY_WITH_TIMEOUT(window_->workspace().document(Workspace::Slot::Main) != nullptr, kPatience);
    }
    ServeDialog& openServe() {
        window_->commands().find(QStringLiteral("network.serve"))->trigger();
        return *window_->findChild<ServeDialog*>();
    }
    /// With small chunks, and everything typed as a user does.
    FetchDialog& openFetch(const QString& address, const QString& policy) {
        window_->commands().find(QStringLiteral("network.fetch"))->trigger();
        auto& dialog = *window_->findChild<FetchDialog*>();
        auto* senders = dialog.findChild<QLineEdit*>(QStringLiteral("fetchSenders"));
        senders->setFocus();
        senders->selectAll();
        QTest::keyClicks(senders, address);
        dialog.findChild<QComboBox*>(QStringLiteral("fetchPolicy"))->setEditText(policy);
        dialog.findChild<QSpinBox*>(QStringLiteral("fetchChunk"))->setValue(32);
        return dialog;
    }

    QTemporaryDir folder_;
    QString sample_;
    QString kvz_;
    std::unique_ptr<MainWindow> window_;
};

QTEST_MAIN(TestNetworkDialogs)
#include "test_network_dialogs.moc"
