// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/unit/golden_dump.h"

#include <QFileInfo>
#include <QTemporaryDir>
#include <QtTest>

#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

using namespace kvscope;
using namespace kvscope::test;

/// Files that become shorter, go away or cannot be read while a dump is open or before.
class TestOpenVanishing : public QObject {
    Q_OBJECT

private slots:
    void aFileThatShrinksGivesAnError_data();
    void aFileThatShrinksGivesAnError();
    void aDeletedFileStaysReadableWhileItIsOpen_data() { aFileThatShrinksGivesAnError_data(); }
    void aDeletedFileStaysReadableWhileItIsOpen();
    void whatIsNoReadableFileIsRefused();

private:
    /// A copy of a fixture in a folder of its own.
    static QString copyOf(const QString& fixture, const QTemporaryDir& folder) {
        const QString copy = folder.filePath(QFileInfo(fixture).fileName());
        return QFile::copy(fixture, copy) ? copy : QString();
    }
    /// The first error that reading any plane gives.
    static std::optional<Error> firstErrorOf(const KvCache& cache) {
        const KvGeometry& geometry = cache.geometry();
        for (const PlaneKind kind : geometry.kinds()) {
            for (const PlaneId id : geometry.planes(kind)) {
                const PlaneGeometry& plane = *geometry.find(id);
                std::vector<float> values(static_cast<std::size_t>(plane.values()));
                if (const auto read = cache.readRows(id, tokenRange(0, plane.tokens), values); !read)
                    return read.error();
            }
        }
        return std::nullopt;
    }
};

void TestOpenVanishing::aFileThatShrinksGivesAnError_data() {
    QTest::addColumn<QString>("fixture");
    for (const char* name :
         {"numpy/f16.lkhtd.npy", "numpy/deflated.stacked.npz", "safetensors/bf16.layer_N.key.safetensors",
          "safetensors/e4m3.scaled.safetensors", "torch/batch2.f16.pt", "torch/cuda.bf16.legacy.pt",
          "llamacpp/v0.3.36/sequence.f16.bin", "llamacpp/v0.3.36/session.q8_0.bin"})
        QTest::newRow(name) << goldenFolder(name);
}

void TestOpenVanishing::aFileThatShrinksGivesAnError() {
    QFETCH(QString, fixture);
    for (const double left : {0.6, 0.0}) {
        const QTemporaryDir folder;
        const QString path = copyOf(fixture, folder);
        const auto opened = openDump(path.toStdString());
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
        const auto shorter = static_cast<std::uintmax_t>(left * static_cast<double>(QFileInfo(path).size()));
        std::filesystem::resize_file(path.toStdString(), shorter);
        const auto error = firstErrorOf(opened->cache);
        // What had to be unpacked when the dump was opened is kept and stays whole.
        if (!error) {
            QVERIFY(fixture.contains("deflated"));
            continue;
        }
        QVERIFY2(error->message().find("became shorter while it was open") != std::string::npos,
                 error->message().c_str());
        QVERIFY2(error->where.find(QFileInfo(path).fileName().toStdString()) != std::string::npos,
                 error->message().c_str());
        QVERIFY(!error->advice.empty());
    }
}

void TestOpenVanishing::aDeletedFileStaysReadableWhileItIsOpen() {
    QFETCH(QString, fixture);
    const QTemporaryDir folder;
    const QString path = copyOf(fixture, folder);
    const auto opened = openDump(path.toStdString());
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    QVERIFY(QFile::remove(path));
    const auto error = firstErrorOf(opened->cache);
    QVERIFY2(!error, error ? error->message().c_str() : "");
    const auto again = openDump(path.toStdString());
    QVERIFY(!again);
    QVERIFY2(!again.error().advice.empty(), again.error().message().c_str());
}

void TestOpenVanishing::whatIsNoReadableFileIsRefused() {
    const QTemporaryDir folder;
    const auto path = [&folder](const char* name) { return folder.filePath(name).toStdString(); };
    QCOMPARE(symlink("nowhere.npy", path("dangling.npy").c_str()), 0);
    // Opening a pipe that nobody writes to would wait for ever.
    QCOMPARE(mkfifo(path("pipe.npy").c_str(), 0600), 0);
    std::filesystem::create_directory(path("empty"));
    QStringList names{"dangling.npy", "pipe.npy", "empty"};
    if (geteuid() != 0) {
        QVERIFY(QFile::copy(goldenFolder("numpy/f16.lkhtd.npy"), folder.filePath("secret.npy")));
        QVERIFY(QFile::setPermissions(folder.filePath("secret.npy"), {}));
        names << "secret.npy";
    }
    for (const QString& name : names) {
        const auto opened = openDump(folder.filePath(name).toStdString());
        QVERIFY2(!opened, qPrintable(name));
        const Error& error = opened.error();
        QVERIFY2(error.where.find(name.toStdString()) != std::string::npos, error.message().c_str());
        QVERIFY2(!error.what.empty() && !error.advice.empty(), error.message().c_str());
    }
}

QTEST_APPLESS_MAIN(TestOpenVanishing)
#include "test_open_vanishing.moc"
