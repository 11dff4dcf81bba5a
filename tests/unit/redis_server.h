// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/store/context_store.h"

#include <QProcess>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <csignal>
#include <cstdint>
#include <string>

namespace kvscope::testing {

/// A Redis server of our own on a free port of this machine and on a socket.
class Redis {
public:
    Redis() {
        asio::io_context io;
        const asio::ip::tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
        port_ = asio::ip::tcp::acceptor(io, any).local_endpoint().port();
    }
    ~Redis() { kill(); }
    Redis(const Redis&) = delete;
    Redis& operator=(const Redis&) = delete;

    [[nodiscard]] static bool isInstalled() {
        return !QStandardPaths::findExecutable(QStringLiteral("redis-server")).isEmpty();
    }
    [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
    [[nodiscard]] std::string socketUrl() const { return "redis+unix://" + folder_.filePath("s").toStdString(); }

    bool start() {
        process_.start(QStringLiteral("redis-server"),
                       {QStringLiteral("--port"), QString::number(port_), QStringLiteral("--bind"),
                        QStringLiteral("127.0.0.1"), QStringLiteral("--unixsocket"), folder_.filePath("s"),
                        QStringLiteral("--dir"), folder_.path(), QStringLiteral("--save"), QString(),
                        QStringLiteral("--appendonly"), QStringLiteral("no"), QStringLiteral("--daemonize"),
                        QStringLiteral("no")});
        return process_.waitForStarted() &&
               QTest::qWaitFor([this] { return openRedisStore(url()).has_value(); }, 10000);
    }
    void kill() {
        if (process_.state() == QProcess::NotRunning)
            return;
        resume();
        process_.kill();
        process_.waitForFinished();
    }
    void halt() { ::kill(static_cast<pid_t>(process_.processId()), SIGSTOP); }
    void resume() { ::kill(static_cast<pid_t>(process_.processId()), SIGCONT); }

private:
    std::uint16_t port_ = 0;
    QTemporaryDir folder_;
    QProcess process_;
};

} // namespace kvscope::testing
