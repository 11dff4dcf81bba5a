// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/unit/golden_dump.h"

#include <QDirIterator>
#include <QTemporaryDir>
#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

class TestOpenDump : public QObject {
    Q_OBJECT

private slots:
    void readsWhatProducersWrote_data();
    void readsWhatProducersWrote();
    void refusesHostileFiles_data();
    void refusesHostileFiles();
    void saysWhatToOpenInstead();
};

void TestOpenDump::readsWhatProducersWrote_data() {
    QTest::addColumn<QString>("path");
    for (const char* folder : {"numpy", "safetensors", "torch", "transformers"}) {
        QDirIterator files(goldenFolder(folder), {"*.expected.json"}, QDir::Files, QDirIterator::Subdirectories);
        while (files.hasNext()) {
            const QString path = files.next();
            QTest::newRow(qPrintable(path.section("/golden/", 1))) << path;
        }
    }
}

void TestOpenDump::readsWhatProducersWrote() {
    QFETCH(QString, path);
    const QJsonObject expected = readJsonObject(path);
    OpenOptions options;
    if (expected["needs"].toArray().contains("kv_heads"))
        options.heads = expected["planes"].toArray()[0].toObject()["kv_heads"].toInt();
    if (expected["format"] == "raw") {
        options.dtype = dtypeFromName(expected["dtype"].toString().toStdString());
        options.axes = expected["layout"].toString().replace('2', 'X').toStdString();
        options.layers = expected["layers"].toInt();
        options.headDim = expected["planes"].toArray()[0].toObject()["head_dim"].toInt();
        options.offset = expected["offset"].toInt();
    }
    // All codes of a type in order are no cache: their structure says nothing about the layout.
    if (path.contains("allcodes"))
        options.axes = "LXTHD";
    const QString dump = path.chopped(static_cast<qsizetype>(strlen(".expected.json")));
    const auto opened = openDump(dump.toStdString(), options);
    QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    const QString difference = differenceFromExpected(opened->cache, expected);
    const auto& layouts = opened->layouts;
    QVERIFY2(
        difference.isEmpty(),
        qPrintable(difference + ", read as " + QString::fromStdString(opened->cache.info().layout) +
                   (layouts.empty()
                        ? QString()
                        : QString(" (%1: %2)").arg(layouts.front().confidence).arg(layouts.front().evidence.c_str()))));
    QVERIFY(opened->cache.info().fingerprint != 0);
    QVERIFY(!opened->cache.info().format.empty());
}

void TestOpenDump::refusesHostileFiles_data() {
    QTest::addColumn<QString>("path");
    QTest::addColumn<QString>("must");
    QFile list(goldenFolder("hostile/hostile.json"));
    QVERIFY(list.open(QIODevice::ReadOnly));
    for (const auto& value : QJsonDocument::fromJson(list.readAll()).array()) {
        const QJsonObject entry = value.toObject();
        const QString format = entry["format"].toString();
        if (format == "npy" || format == "npz" || format == "safetensors" || format == "pt")
            QTest::newRow(qPrintable(entry["file"].toString()))
                << goldenFolder("hostile/") + entry["file"].toString() << entry["must"].toString();
    }
}

void TestOpenDump::refusesHostileFiles() {
    QFETCH(QString, path);
    QFETCH(QString, must);
    const auto opened = openDump(path.toStdString());
    if (must == "open")
        QVERIFY2(opened, opened ? "" : opened.error().message().c_str());
    if (must == "error")
        QVERIFY(!opened);
    if (!opened) {
        const Error& error = opened.error();
        QVERIFY2(!error.what.empty() && !error.where.empty(), error.message().c_str());
        QVERIFY2(!error.advice.empty(), error.message().c_str());
        QVERIFY2(error.message().size() < 600, error.message().c_str());
    }
    QVERIFY(!QFile::exists("KVSCOPE_HOSTILE_RAN"));
}

void TestOpenDump::saysWhatToOpenInstead() {
    const QTemporaryDir folder;
    const auto write = [&folder](const char* name, const QByteArray& text) {
        QFile file(folder.filePath(QString::fromLatin1(name)));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(text);
    };
    const auto messageOf = [&folder](const char* name) {
        const auto opened = openDump(folder.filePath(QString::fromLatin1(name)).toStdString());
        return opened ? QByteArray() : QByteArray::fromStdString(opened.error().message());
    };
    write("cache.bin", QByteArray(64, 'x'));
    for (const char* name : {"cache.bin.json", "cache.bin.tokens.json", "config.json"})
        write(name, "{}");
    QVERIFY2(messageOf("cache.bin.json").endsWith("Open cache.bin"), messageOf("cache.bin.json"));
    QVERIFY2(messageOf("cache.bin.tokens.json").endsWith("Open cache.bin"), messageOf("cache.bin.tokens.json"));
    QVERIFY2(messageOf("config.json").contains("the dump that it belongs to"), messageOf("config.json"));
    const auto complex = openDump(goldenFolder("hostile/complex.npy").toStdString());
    QVERIFY(!complex);
    QVERIFY2(complex.error().message().find("complex") != std::string::npos, complex.error().message().c_str());
}

QTEST_APPLESS_MAIN(TestOpenDump)
#include "test_open_dump.moc"
