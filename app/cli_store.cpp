// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli_options.h"
#include "app/cli_timeline.h"
#include "core/store/encoded_context.h"

#include <QJsonArray>
#include <QLocale>

namespace kvscope::app {

namespace {

/// Takes out what is not wanted any more.
int tidy(const QCommandLineParser& parser, const std::string& location, bool isJson) {
    const auto store = openStore(location);
    if (!store)
        return complain(store.error());
    QJsonObject said{{QStringLiteral("store"), QString::fromStdString((*store)->name())}};
    if (parser.isSet(QStringLiteral("remove"))) {
        const QString name = parser.value(QStringLiteral("remove"));
        if (!isContextName(name.toStdString()))
            return complain(QObject::tr("--remove: \"%1\" is not a context's name").arg(name), kExitBadUsage);
        if (const auto removed = (*store)->removeContext(name.toStdString()); !removed)
            return complain(removed.error());
        said[QStringLiteral("removed")] = name;
        if (!isJson)
            print(QObject::tr("%1 is out of %2\n").arg(name, QString::fromStdString((*store)->name())));
    }
    if (parser.isSet(QStringLiteral("collect"))) {
        const auto idle = duration(parser, "collect");
        if (!idle)
            return kExitBadUsage;
        const auto collected = collectGarbage(**store, *idle);
        if (!collected)
            return complain(collected.error());
        said[QStringLiteral("chunks")] = static_cast<qint64>(collected->chunks);
        said[QStringLiteral("removed_chunks")] = static_cast<qint64>(collected->removedChunks);
        said[QStringLiteral("removed_bytes")] = static_cast<qint64>(collected->removedBytes);
        if (!isJson)
            print(QObject::tr("%1 of %2 chunks deleted, %3\n")
                      .arg(collected->removedChunks)
                      .arg(collected->chunks)
                      .arg(QLocale().formattedDataSize(collected->removedBytes)));
    }
    if (isJson)
        print(said);
    return kExitDone;
}

} // namespace

int runStore(const QStringList& arguments) {
    QCommandLineParser parser;
    parser.setApplicationDescription(QObject::tr("Puts a .kvz file into a chunk store, where it outlives this machine "
                                                 "and others share it; without a file, lists "
                                                 "what a store holds."));
    parser.addPositionalArgument(QStringLiteral("IN.kvz"), QObject::tr("The file; left out to list."),
                                 QStringLiteral("[IN.kvz]"));
    parser.addOption(QCommandLineOption(
        QStringLiteral("o"),
        QObject::tr("The store: a folder (made when it is not there), redis://[:PASSWORD@]HOST[:PORT][/DATABASE] or "
                    "redis+unix:///SOCKET."),
        QStringLiteral("STORE")));
    parser.addOption(QCommandLineOption(QStringLiteral("name"),
                                        QObject::tr("Name of the context there (default: the file's)."),
                                        QStringLiteral("NAME")));
    parser.addOption(QCommandLineOption(QStringLiteral("remove"), QObject::tr("Take a context out of the store."),
                                        QStringLiteral("NAME")));
    parser.addOption(
        QCommandLineOption(QStringLiteral("collect"),
                           QObject::tr("Delete the chunks that no context needs any more and that nobody used "
                                       "for so long, e.g. 3600s."),
                           QStringLiteral("TIME")));
    parser.addOption(QCommandLineOption(QStringLiteral("json"), QObject::tr("Print JSON.")));
    if (const auto code = parseArguments(parser, arguments))
        return *code;
    const QString location = parser.value(QStringLiteral("o"));
    const QStringList files = parser.positionalArguments();
    if (location.isEmpty() || files.size() > 1)
        return complain(QObject::tr("store needs -o STORE and at most one file; see kvscope store --help"),
                        kExitBadUsage);
    const bool isJson = parser.isSet(QStringLiteral("json"));
    if (parser.isSet(QStringLiteral("remove")) || parser.isSet(QStringLiteral("collect")))
        return tidy(parser, location.toStdString(), isJson);
    if (files.isEmpty()) {
        const auto shelf = openShelf(location.toStdString());
        if (!shelf)
            return complain(shelf.error());
        const auto names = (*shelf)->names();
        if (!names)
            return complain(names.error());
        QJsonArray list;
        for (const std::string& name : *names) {
            list.append(QString::fromStdString(name));
            if (!isJson)
                print(QString::fromStdString(name) + QLatin1Char('\n'));
        }
        if (isJson)
            print(QJsonObject{{QStringLiteral("contexts"), list}});
        return kExitDone;
    }
    const auto shelf = openShelf(files.front().toStdString());
    if (!shelf)
        return complain(shelf.error());
    const auto context = (*shelf)->open({});
    if (!context)
        return complain(context.error());
    const auto names = (*shelf)->names();
    const std::string name =
        parser.isSet(QStringLiteral("name")) ? parser.value(QStringLiteral("name")).toStdString() : names->front();
    const auto store = openStoreToWrite(location.toStdString());
    if (!store)
        return complain(store.error());
    const auto stored = putContext(**store, name, **context);
    if (!stored)
        return complain(stored.error());
    if (isJson)
        print(QJsonObject{{QStringLiteral("store"), QString::fromStdString((*store)->name())},
                          {QStringLiteral("name"), QString::fromStdString(name)},
                          {QStringLiteral("chunks"), static_cast<qint64>(stored->chunks)},
                          {QStringLiteral("bytes"), static_cast<qint64>(stored->bytes)},
                          {QStringLiteral("new_chunks"), static_cast<qint64>(stored->newChunks)},
                          {QStringLiteral("new_bytes"), static_cast<qint64>(stored->newBytes)}});
    else
        print(QObject::tr("%1 in %2: %3 chunks, %4; %5 of them new\n")
                  .arg(QString::fromStdString(name), QString::fromStdString((*store)->name()))
                  .arg(stored->chunks)
                  .arg(QLocale().formattedDataSize(stored->bytes))
                  .arg(stored->newChunks));
    return kExitDone;
}

} // namespace kvscope::app
