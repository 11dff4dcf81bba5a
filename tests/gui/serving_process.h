// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QStringList>

namespace kvscope::testing {

/// What came of a run of the program.
struct Outcome {
    int code = -1;
    QByteArray out;
    QByteArray error;

    [[nodiscard]] QJsonObject json() const { return QJsonDocument::fromJson(out).object(); }
};

inline Outcome outcomeOf(QProcess& process) {
    if (!process.waitForFinished(120000) || process.exitStatus() != QProcess::NormalExit)
        return {};
    return {process.exitCode(), process.readAllStandardOutput(), process.readAllStandardError()};
}

inline Outcome run(const QStringList& arguments) {
    QProcess process;
    process.start(QStringLiteral(KVSCOPE_PROGRAM), arguments);
    return outcomeOf(process);
}

inline QStringList words(const char* text) {
    return QString::fromLatin1(text).split(u' ', Qt::SkipEmptyParts);
}

/// A sender in a process of its own.
class Serving {
public:
    explicit Serving(const QString& what, const QStringList& options = {}) {
        process_.start(QStringLiteral(KVSCOPE_PROGRAM),
                       QStringList{QStringLiteral("serve"), what, QStringLiteral("--port"), QStringLiteral("0")} +
                           options);
        waitFor("serving");
        const QByteArray line = said_.left(said_.indexOf('\n'));
        address_ = QStringLiteral("127.0.0.1:") + QString::fromLatin1(line.mid(line.lastIndexOf(':') + 1).trimmed());
    }
    ~Serving() { stop(); }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;

    [[nodiscard]] QString address() const { return address_; }
    bool waitFor(const char* text) {
        while (!said_.contains(text)) {
            if (!process_.waitForReadyRead(20000))
                return false;
            said_ += process_.readAllStandardOutput();
        }
        return true;
    }
    void kill() {
        process_.kill();
        process_.waitForFinished();
    }
    /// Asks it to end; returns its exit code.
    int stop() {
        if (process_.state() == QProcess::NotRunning)
            return process_.exitCode();
        process_.terminate();
        return outcomeOf(process_).code;
    }

private:
    QProcess process_;
    QByteArray said_;
    QString address_;
};

} // namespace kvscope::testing
