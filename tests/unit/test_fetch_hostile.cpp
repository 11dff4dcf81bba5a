// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hash.h"
#include "core/stream/wire.h"
#include "tests/unit/fetch_fixture.h"

#include <QElapsedTimer>
#include <QTest>

#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <atomic>
#include <thread>

using namespace kvscope;
using namespace kvscope::testing;
using asio::ip::tcp;

namespace {

/// A peer that does to each connection what it is told to.
class FakeSender {
public:
    using Behaviour = std::function<void(tcp::socket&)>;

    explicit FakeSender(Behaviour behaviour)
        : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0))
        , port_(acceptor_.local_endpoint().port())
        , thread_([this, behaviour = std::move(behaviour)] {
            while (!ending_) {
                asio::error_code code;
                tcp::socket socket(io_);
                acceptor_.accept(socket, code);
                if (code || ending_)
                    return;
                behaviour(socket);
            }
        }) {}
    ~FakeSender() {
        ending_ = true;
        // Wakes the acceptor.
        asio::error_code ignored;
        tcp::socket socket(io_);
        socket.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port_), ignored);
        socket.close(ignored);
    }
    FakeSender(const FakeSender&) = delete;
    FakeSender& operator=(const FakeSender&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    asio::io_context io_;
    tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::atomic<bool> ending_ = false;
    std::jthread thread_;
};

void put(tcp::socket& socket, const std::vector<std::byte>& bytes) {
    asio::error_code ignored;
    asio::write(socket, asio::buffer(bytes), ignored);
}
void put(tcp::socket& socket, const wire::Message& message) {
    put(socket, wire::toFrame(message));
}
/// Returns when the other side has ended the connection.
void drain(tcp::socket& socket) {
    asio::error_code code;
    std::array<char, 4096> room;
    while (!code)
        socket.read_some(asio::buffer(room), code);
}
std::vector<char> readFrame(tcp::socket& socket, std::size_t bodyBytes) {
    asio::error_code ignored;
    std::vector<char> frame(wire::kHeaderBytes + bodyBytes);
    asio::read(socket, asio::buffer(frame), ignored);
    return frame;
}

FetchOptions quickly(std::uint16_t port) {
    FetchOptions options;
    options.senders = {{"127.0.0.1", port}};
    options.policy = "kvz-medium";
    options.chunkTokens = 128;
    options.stallSeconds = 0.2;
    options.attempts = 2;
    return options;
}

} // namespace

class TestFetchHostile : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        encoded_ = std::make_unique<EncodedFile>(codecCache(256, 2, 2, 16));
        directory_ = toBytes(encoded_->file()->directory());
    }

    void aLyingSenderIsFoundOut_data() {
        QTest::addColumn<QString>("what");
        QTest::addColumn<QString>("message");
        QTest::newRow("garbage") << "garbage"
                                 << "protocol";
        QTest::newRow("HTTP") << "http"
                              << "protocol";
        QTest::newRow("closes at once") << "closes"
                                        << "closed the connection";
        QTest::newRow("says nothing") << "silent"
                                      << "sent nothing";
        QTest::newRow("huge directory") << "huge directory"
                                        << "directory";
        QTest::newRow("directory that does not end") << "endless"
                                                     << "sent nothing";
        QTest::newRow("directory out of order") << "order"
                                                << "directory";
        QTest::newRow("damaged directory") << "damaged directory"
                                           << "damaged";
        QTest::newRow("directory of nonsense") << "nonsense"
                                               << "";
        QTest::newRow("future version") << "version"
                                        << "version";
        QTest::newRow("refusal") << "refusal"
                                 << "no luck today";
        QTest::newRow("what nobody asked for") << "unasked"
                                               << "nobody asked for";
        QTest::newRow("end of what nobody asked for") << "undone"
                                                      << "nobody asked for";
        QTest::newRow("another part") << "another part"
                                      << "not next";
        QTest::newRow("too long a part") << "too long"
                                         << "longer than";
        QTest::newRow("wrong bytes") << "wrong bytes"
                                     << "checksum";
        QTest::newRow("drips") << "drips"
                               << "sent nothing";
        QTest::newRow("frames of a receiver") << "receiver"
                                              << "only a receiver";
    }
    void aLyingSenderIsFoundOut() {
        QFETCH(QString, what);
        QFETCH(QString, message);
        const FakeSender sender([&](tcp::socket& socket) { behave(socket, what); });
        QElapsedTimer clock;
        clock.start();
        const auto fetched = fetchContext(quickly(sender.port()), pool_);
        QVERIFY(clock.elapsed() < 10000);
        std::string told;
        if (fetched) {
            QVERIFY(fetched->problem);
            told = fetched->problem->message();
        } else {
            told = fetched.error().message();
        }
        QVERIFY2(told.find(message.toStdString()) != std::string::npos, told.c_str());
        QVERIFY(told.find('\n') == std::string::npos);
    }

    void nobodyListens() {
        std::uint16_t port = 0;
        {
            asio::io_context io;
            port = tcp::acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)).local_endpoint().port();
        }
        const auto fetched = fetchContext(quickly(port), pool_);
        QVERIFY(!fetched);
        QVERIFY(fetched.error().message().find("cannot be reached") != std::string::npos);
    }

    void aLyingReceiverIsShownOut_data() {
        QTest::addColumn<QString>("what");
        for (const char* what : {"garbage", "early request", "wrong level", "wrong part", "too many requests",
                                 "two greetings", "segments", "future version", "leaves in the middle"})
            QTest::newRow(what) << what;
    }
    void aLyingReceiverIsShownOut() {
        QFETCH(QString, what);
        SenderOptions options;
        options.bitsPerSecond = 1e7;
        auto sender = Sender::start(encoded_->shelf(), options);
        QVERIFY(sender);
        {
            asio::io_context io;
            tcp::socket socket(io);
            socket.connect(tcp::endpoint(asio::ip::address_v4::loopback(), (*sender)->port()));
            annoy(socket, what);
            if (what != QStringLiteral("leaves in the middle"))
                drain(socket);
        }
        // Others are served all the same.
        FetchOptions fetch = quickly((*sender)->port());
        fetch.stallSeconds = 5;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && !fetched->problem);
        QVERIFY(sameNative(fetched->cache(), encoded_->file()->cache(1)));
    }

    void tooManyReceiversAreTurnedAway() {
        SenderOptions options;
        options.maxReceivers = 2;
        auto sender = Sender::start(encoded_->shelf(), options);
        QVERIFY(sender);
        asio::io_context io;
        std::vector<tcp::socket> sockets;
        for (int i = 0; i < 2; ++i) {
            sockets.emplace_back(io);
            sockets.back().connect(tcp::endpoint(asio::ip::address_v4::loopback(), (*sender)->port()));
        }
        QTRY_COMPARE((*sender)->receivers(), std::size_t{2});
        QVERIFY(!fetchContext(quickly((*sender)->port()), pool_));
        sockets.clear();
        FetchOptions patient = quickly((*sender)->port());
        patient.attempts = 20;
        const auto fetched = fetchContext(patient, pool_);
        QVERIFY(fetched && !fetched->problem);
    }

    void aPortInUseIsRefusedClearly() {
        auto sender = Sender::start(encoded_->shelf(), {});
        QVERIFY(sender);
        SenderOptions options;
        options.port = (*sender)->port();
        const auto second = Sender::start(encoded_->shelf(), options);
        QVERIFY(!second);
        QVERIFY(second.error().message().find("cannot listen") != std::string::npos);
        options.bind = "nowhere";
        QVERIFY(!Sender::start(encoded_->shelf(), options));
    }

private:
    void welcome(tcp::socket& socket) const {
        // The receiver says in its greeting whether it knows the directory.
        const auto hello = readFrame(socket, 12);
        put(socket, wire::Welcome{wire::kVersion, hashBytes(directory_), directory_.size(), "fake"});
        if (std::ranges::any_of(hello.begin() + wire::kHeaderBytes + 4, hello.end(), [](char c) { return c != 0; }))
            return;
        for (std::size_t at = 0; at < directory_.size(); at += wire::kPacedSegment)
            put(socket,
                wire::DirectoryPiece{
                    at, std::span(directory_).subspan(at, std::min(wire::kPacedSegment, directory_.size() - at))});
    }

    void behave(tcp::socket& socket, const QString& what) const {
        const std::vector<std::byte> few(100, std::byte{7});
        if (what == "garbage")
            put(socket, few);
        else if (what == "http")
            put(socket, [] {
                const std::string_view text = "HTTP/1.1 400 Bad Request\r\n\r\n";
                const auto bytes = std::as_bytes(std::span(text));
                return std::vector<std::byte>(bytes.begin(), bytes.end());
            }());
        else if (what == "closes")
            return;
        else if (what == "huge directory")
            put(socket, wire::Welcome{wire::kVersion, 1, std::uint64_t{1} << 50, "fake"});
        else if (what == "endless")
            put(socket, wire::Welcome{wire::kVersion, 1, 1000, "fake"});
        else if (what == "order" || what == "damaged directory" || what == "nonsense") {
            put(socket, wire::Welcome{wire::kVersion, what == "nonsense" ? hashBytes(few) : 1, few.size(), "fake"});
            put(socket, wire::DirectoryPiece{what == "order" ? 5U : 0U, few});
        } else if (what == "version") {
            auto frame = wire::toFrame(wire::Welcome{});
            frame[4] = std::byte{9};
            const auto check = static_cast<std::uint32_t>(hashBytes(std::span(frame).first(12)));
            std::memcpy(frame.data() + 12, &check, sizeof check);
            put(socket, frame);
        } else if (what == "refusal")
            put(socket, wire::Failure{wire::kNoRequest, "no luck\ntoday"});
        else if (what == "receiver")
            put(socket, wire::Cancel{1});
        else if (what != "silent") {
            welcome(socket);
            if (what == "wrong bytes")
                return sendWrongBytes(socket);
            readFrame(socket, 36);
            answer(socket, what, few);
        }
        drain(socket);
    }

    /// Answers each request with as many bytes as the directory says, but others.
    void sendWrongBytes(tcp::socket& socket) const {
        wire::FrameParser parser("receiver");
        asio::error_code code;
        while (!code) {
            const auto item = parser.next();
            if (!item)
                return;
            if (!*item) {
                const auto room = parser.room().front();
                parser.filled(socket.read_some(asio::buffer(room.data(), room.size()), code));
                continue;
            }
            const auto* asked = std::get_if<wire::Request>(&std::get<wire::Message>(**item));
            if (asked == nullptr)
                continue;
            const wire::Request request = *asked;
            const KvzLevel& level = encoded_->file()->levels()[request.level];
            const auto parts = partsOf(
                level, tokenRange(static_cast<std::int64_t>(request.begin), static_cast<std::int64_t>(request.end)));
            for (std::uint32_t part = request.firstPart; part < request.endPart; ++part) {
                const auto size = level.planes.at(parts[part].plane).chunks[parts[part].chunk].bytes;
                const std::vector<std::byte> zeros(static_cast<std::size_t>(size));
                put(socket, wire::Segment{request.id, part, 0, zeros});
            }
            put(socket, wire::Done{request.id, wire::Done::Status::Sent});
        }
    }

    static void answer(tcp::socket& socket, const QString& what, const std::vector<std::byte>& few) {
        if (what == "unasked")
            put(socket, wire::Segment{77, 0, 0, few});
        else if (what == "undone")
            put(socket, wire::Done{77, wire::Done::Status::Sent});
        else if (what == "another part")
            put(socket, wire::Segment{1, 3, 0, few});
        else if (what == "too long")
            for (std::uint32_t at = 0; at < 1U << 20; at += 100)
                put(socket, wire::Segment{1, 0, at, few});
        else if (what == "drips") {
            const auto frame = wire::toFrame(wire::Segment{1, 0, 0, few});
            put(socket, std::vector<std::byte>(frame.begin(), frame.begin() + 30));
        }
    }

    static void annoy(tcp::socket& socket, const QString& what) {
        if (what == "garbage")
            return put(socket, std::vector<std::byte>(100, std::byte{7}));
        if (what == "early request")
            return put(socket, wire::Request{1, 0, 0, 0, 128, 0, 1});
        if (what == "segments") {
            const std::vector<std::byte> zeros(10);
            return put(socket, wire::Segment{1, 0, 0, zeros});
        }
        put(socket, wire::Hello{what == "future version" ? 9U : 1U, 0, {}});
        if (what == "two greetings")
            return put(socket, wire::Hello{});
        // The answer must be there before anything may be asked for.
        std::array<std::byte, 1> first;
        asio::error_code ignored;
        asio::read(socket, asio::buffer(first), ignored);
        if (what == "wrong level")
            put(socket, wire::Request{1, 0, 99, 0, 128, 0, 1});
        else if (what == "wrong part")
            put(socket, wire::Request{1, 0, 0, 0, 128, 0, 4000});
        else if (what == "too many requests")
            for (std::uint32_t i = 1; i < 1000; ++i)
                put(socket, wire::Request{i, 0, 0, 0, 128, 0, 1});
        else if (what == "leaves in the middle")
            put(socket, wire::Request{1, 0, 0, 0, 256, 0, 4});
    }

    std::unique_ptr<EncodedFile> encoded_;
    std::vector<std::byte> directory_;
    ThreadPool pool_;
};

QTEST_APPLESS_MAIN(TestFetchHostile)
#include "test_fetch_hostile.moc"
