// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/recent_files.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QSettings>

namespace kvscope::app {

namespace {

constexpr auto kKey = "recentFiles";
constexpr int kMost = 12;

QString sampleFolder() {
    const QString given = qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS");
    if (!given.isEmpty())
        return given;
    const QString installed = QCoreApplication::applicationDirPath() + QStringLiteral("/../share/kvscope/sample_dumps");
    return QFileInfo::exists(installed) ? installed : QStringLiteral(KVSCOPE_SAMPLE_FOLDER);
}

} // namespace

QStringList recentFiles() {
    QStringList files = QSettings().value(QLatin1String(kKey)).toStringList();
    files.removeIf([](const QString& path) { return !QFileInfo::exists(path); });
    return files;
}

void rememberFile(const QString& path) {
    const QString whole = QFileInfo(path).absoluteFilePath();
    QStringList files = QSettings().value(QLatin1String(kKey)).toStringList();
    files.removeAll(whole);
    files.prepend(whole);
    QSettings().setValue(QLatin1String(kKey), QStringList(files.mid(0, kMost)));
}

void forgetRecentFiles() {
    QSettings().remove(QLatin1String(kKey));
}

QStringList sampleDumps() {
    const QDir folder(sampleFolder());
    const QFileInfoList found =
        folder.entryInfoList({QStringLiteral("*.safetensors"), QStringLiteral("*.npz"), QStringLiteral("*.npy"),
                              QStringLiteral("*.pt"), QStringLiteral("*.bin")},
                             QDir::Files, QDir::Name);
    QStringList files;
    // safetensors first: of the samples it is the one that carries everything (queries, K before RoPE, token texts).
    for (const bool wanted : {true, false}) {
        for (const QFileInfo& file : found) {
            const bool first = file.suffix() == QLatin1String("safetensors");
            const bool companion = file.fileName().contains(QStringLiteral(".tokens."));
            if (first == wanted && !companion)
                files.append(file.absoluteFilePath());
        }
    }
    return files;
}

} // namespace kvscope::app
