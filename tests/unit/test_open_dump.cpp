// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"
#include "tests/unit/golden_dump.h"

#include <QtTest>

using namespace kvscope;
using namespace kvscope::test;

class TestOpenDump : public QObject {
    Q_OBJECT

private slots:
    void readsWhatProducersWrote_data();
    void readsWhatProducersWrote();
};

void TestOpenDump::readsWhatProducersWrote_data() {
    QTest::addColumn<QString>("path");
    for (const char* folder : {"numpy", "safetensors", "torch"}) {
        const QDir dir(goldenFolder(folder));
        for (const QString& name : dir.entryList({"*.expected.json"}))
            QTest::newRow(qPrintable(QString(folder) + "/" + name)) << dir.filePath(name);
    }
}

void TestOpenDump::readsWhatProducersWrote() {
    QFETCH(QString, path);
    const QJsonObject expected = readJsonObject(path);
    OpenOptions options;
    if (expected["needs"].toArray().contains("kv_heads"))
        options.heads = expected["planes"].toArray()[0].toObject()["kv_heads"].toInt();
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

QTEST_APPLESS_MAIN(TestOpenDump)
#include "test_open_dump.moc"
