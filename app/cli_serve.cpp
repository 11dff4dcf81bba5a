// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/cli_timeline.h"
#include "core/store/encoded_context.h"
#include "core/stream/sender.h"

#include <QJsonArray>
#include <QLocale>

#include <csignal>
#include <cstdio>

namespace kvscope::app {

namespace {

/// Waits until the user or the system asks the process to stop. The signals were blocked before any thread was started.
void waitForEnd(const sigset_t& ends) {
    int which = 0;
    sigwait(&ends, &which);
}

sigset_t blockEnds() {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    return ends;
}

void report(const SenderEvent& event) {
    const QString receiver = QString::fromStdString(event.receiver);
    const QString text = QString::fromStdString(event.text);
    switch (event.kind) {
    case SenderEvent::Kind::Connected:
        print(QObject::tr("%1 connected\n").arg(receiver));
        break;
    case SenderEvent::Kind::Asked:
        print(QObject::tr("%1 asks for chunk %2 as %3\n").arg(receiver).arg(event.chunk).arg(text));
        break;
    case SenderEvent::Kind::Failed:
        print(QObject::tr("chunk %1 cannot be sent to %2: %3\n").arg(event.chunk).arg(receiver, text));
        break;
    case SenderEvent::Kind::Gone:
        print(text.isEmpty() ? QObject::tr("%1 left\n").arg(receiver)
                             : QObject::tr("%1 is gone: %2\n").arg(receiver, text));
        break;
    }
    std::fflush(stdout);
}

std::optional<SenderOptions> senderOptionsFrom(const QCommandLineParser& parser) {
    SenderOptions options;
    options.bind = parser.value(QStringLiteral("bind")).toStdString();
    const auto port = wholeNumber(parser, QStringLiteral("port"), 0);
    const auto receivers = wholeNumber(parser, QStringLiteral("receivers"), 1);
    const auto rtt = duration(parser, "rtt");
    const auto start = duration(parser, "start");
    const auto seed = wholeNumber(parser, QStringLiteral("seed"), 0);
    const auto loss = percentage(parser, QStringLiteral("loss"));
    const auto jitter = duration(parser, "jitter");
    if (!port || !receivers || !rtt || !start || !seed || !loss || !jitter)
        return std::nullopt;
    if (*port > 65535) {
        complain(QObject::tr("--port: %1 is above 65535").arg(*port), kExitBadUsage);
        return std::nullopt;
    }
    options.port = static_cast<std::uint16_t>(*port);
    options.maxReceivers = static_cast<std::size_t>(*receivers);
    options.rttSeconds = *rtt;
    options.lossRate = *loss;
    options.jitterSeconds = *jitter;
    options.seed = static_cast<std::uint64_t>(*seed);
    options.traceStart = *start;
    std::optional<double> rate;
    if (parser.isSet(QStringLiteral("rate"))) {
        rate = bandwidth(parser, "rate");
        if (!rate)
            return std::nullopt;
    }
    if (parser.isSet(QStringLiteral("trace")) || parser.isSet(QStringLiteral("network"))) {
        const auto trace = makeTrace(parser, rate, static_cast<std::uint64_t>(*seed));
        if (!trace) {
            complain(trace.error());
            return std::nullopt;
        }
        options.trace = std::make_shared<const BandwidthTrace>(*trace);
    } else {
        options.bitsPerSecond = rate;
    }
    for (const QString& text : parser.values(QStringLiteral("fault"))) {
        const auto fault = parseFault(text.toStdString());
        if (!fault) {
            complain(QObject::tr("--fault: %1").arg(QString::fromStdString(fault.error().message())), kExitBadUsage);
            return std::nullopt;
        }
        options.faults.push_back(*fault);
    }
    return options;
}

} // namespace

int runServe(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr(
        "Serves encoded contexts to any number of receivers (kvscope fetch) until it is interrupted. Without "
        "--bind only programs on this machine can connect; the protocol has no passwords."));
    parser.addPositionalArgument(
        QStringLiteral("WHAT"),
        QObject::tr("A .kvz file, a folder of such files, a chunk store, or redis://HOST:PORT."));
    const auto add = [&](const char* name, const QString& help, const char* value, const char* fallback = "") {
        parser.addOption(QCommandLineOption(QLatin1String(name), help, QLatin1String(value), QLatin1String(fallback)));
    };
    add("port", QObject::tr("Port to listen on; 0: any free one, which is printed."), "N", "7878");
    add("bind", QObject::tr("Address to listen on; 0.0.0.0 for all networks."), "ADDRESS", "127.0.0.1");
    add("rate",
        QObject::tr("Bandwidth to send with, shared by all receivers, or the mean of --trace or --network; "
                    "without any of them as fast as it goes."),
        "RATE");
    add("trace", QObject::tr("Bandwidth over time: a Mahimahi, Pensieve, CSV or CacheGen file."), "FILE");
    add("network", QObject::tr("Bandwidth of a kind of network: lte, 5g, wifi, phone or datacentre."), "NAME");
    add("start", QObject::tr("Where in the trace a receiver that comes alone begins."), "TIME", "0s");
    add("seed", QObject::tr("Seed of --network, of loss and of jitter."), "N", "1");
    add("rtt", QObject::tr("Round trip to add to the network's own."), "TIME", "0ms");
    add("loss", QObject::tr("Share of packets of 1,500 bytes lost and sent again, in percent."), "PERCENT", "0");
    add("jitter", QObject::tr("Standard deviation of a chunk's extra delay."), "TIME", "0ms");
    add("fault",
        QObject::tr("Let something go wrong once: lose:CHUNK, corrupt:CHUNK, delay:CHUNK:SECONDS or drop:CHUNK (the "
                    "connection); may be repeated."),
        "FAULT");
    add("receivers", QObject::tr("Receivers served at once; others are turned away."), "N", "64");
    parser.addOption(
        QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON: one object when it is ready.")));
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    if (parser.positionalArguments().size() != 1)
        return complain(QObject::tr("serve needs one file, folder or store; see kvscope serve --help"), kExitBadUsage);
    auto options = senderOptionsFrom(parser);
    if (!options)
        return kExitBadUsage;
    const bool isJson = parser.isSet(QStringLiteral("json"));
    if (!isJson)
        options->watch = report;
    const sigset_t ends = blockEnds();
    const auto shelf = openShelf(parser.positionalArguments().front().toStdString());
    if (!shelf)
        return complain(shelf.error());
    const auto names = (*shelf)->names();
    if (!names)
        return complain(names.error());
    const auto sender = Sender::start(*shelf, *options);
    if (!sender)
        return complain(sender.error());
    QStringList contexts;
    for (const std::string& name : *names)
        contexts.append(QString::fromStdString(name));
    if (isJson)
        print(QJsonObject{{QStringLiteral("address"), QString::fromStdString(options->bind)},
                          {QStringLiteral("port"), (*sender)->port()},
                          {QStringLiteral("contexts"), QJsonArray::fromStringList(contexts)}});
    else
        print(QObject::tr("serving %1 on %2:%3\n")
                  .arg(contexts.join(QStringLiteral(", ")), QString::fromStdString(options->bind))
                  .arg((*sender)->port()));
    std::fflush(stdout);
    waitForEnd(ends);
    return kExitDone;
}

} // namespace kvscope::app
