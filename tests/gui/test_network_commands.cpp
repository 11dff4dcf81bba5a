// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/gui/serving_process.h"

#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

using namespace kvscope::testing;

/// Two processes of the program and a real socket between them.
class TestNetworkCommands : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        kvz_ = folder_.filePath(QStringLiteral("prose.kvz"));
        sample_ = qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QStringLiteral("/prose.safetensors");
        const Outcome encoded =
            run({QStringLiteral("encode"), sample_, QStringLiteral("-o"), kvz_, QStringLiteral("--preset"),
                 QStringLiteral("gear,kvz-medium,kvz-low"), QStringLiteral("--chunk-tokens"), QStringLiteral("32")});
        QVERIFY2(encoded.code == 0, encoded.error.constData());
    }

    void aContextIsTakenOutOfAStore() {
        const QString store = folder_.filePath(QStringLiteral("tidied"));
        const auto onStore = [&store](const char* options) {
            return run(QStringList{QStringLiteral("store"), QStringLiteral("-o"), store} + words(options));
        };
        const Outcome put = run({QStringLiteral("store"), kvz_, QStringLiteral("-o"), store, QStringLiteral("--json")});
        QVERIFY2(put.code == 0, put.error.constData());
        const auto chunks = put.json()[QStringLiteral("new_chunks")].toInt();
        QVERIFY(chunks > 0);
        QCOMPARE(onStore("--collect 0s --json").json()[QStringLiteral("removed_chunks")].toInt(), 0);
        QCOMPARE(onStore("--remove prose").code, 0);
        QCOMPARE(onStore("--remove prose").code, 1);
        QCOMPARE(onStore("--collect 3600s --json").json()[QStringLiteral("removed_chunks")].toInt(), 0);
        QCOMPARE(onStore("--collect 0s --json").json()[QStringLiteral("removed_chunks")].toInt(), chunks);
        QCOMPARE(run({QStringLiteral("store"), QStringLiteral("-o"), folder_.filePath(QStringLiteral("none")),
                      QStringLiteral("--collect"), QStringLiteral("0s")})
                     .code,
                 1);
    }

    void whatIsFetchedIsWhatIsDecoded() {
        Serving sender(kvz_);
        for (const char* level : {"gear", "kvz-medium"}) {
            const QString fetched = folder_.filePath(QStringLiteral("fetched.npy"));
            QString decoded = folder_.filePath(QStringLiteral("decoded.npy"));
            const Outcome outcome = run(QStringList{QStringLiteral("fetch"), sender.address(), QStringLiteral("-o"),
                                                    fetched, QStringLiteral("--policy"), QLatin1String(level)} +
                                        words("--chunk 64 --json"));
            QVERIFY2(outcome.code == 0, outcome.error.constData());
            const QJsonObject report = outcome.json();
            QVERIFY(report[QStringLiteral("complete")].toBool());
            QVERIFY(report[QStringLiteral("ttft_s")].toDouble() > 0);
            QCOMPARE(report[QStringLiteral("chunks")].toArray().size(), 4);
            QCOMPARE(run({QStringLiteral("decode"), kvz_, QStringLiteral("-o"), decoded, QStringLiteral("--level"),
                          QLatin1String(level)})
                         .code,
                     0);
            // A lossy level is decoded to float32; what is fetched has the dump's own type.
            if (QLatin1String(level) != QLatin1String("gear")) {
                const QString rounded = folder_.filePath(QStringLiteral("rounded.npy"));
                const Outcome converted = run({QStringLiteral("convert"), decoded, QStringLiteral("-o"), rounded,
                                               QStringLiteral("--to"), QStringLiteral("f16")});
                QVERIFY2(converted.code == 0, converted.error.constData());
                decoded = rounded;
            }
            QFile left(fetched);
            QFile right(decoded);
            QVERIFY(left.open(QIODevice::ReadOnly) && right.open(QIODevice::ReadOnly));
            QVERIFY(left.size() > 1000);
            QVERIFY(left.readAll() == right.readAll());
        }
        QCOMPARE(sender.stop(), 0);
    }

    void peopleSeeTheTimeline() {
        const Serving sender(kvz_, words("--rate 20Mbps"));
        const QString out = folder_.filePath(QStringLiteral("again.kvz"));
        const Outcome outcome = run(QStringList{QStringLiteral("fetch"), sender.address(), QStringLiteral("-o"), out} +
                                    words("--chunk 64 --policy cachegen"));
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QVERIFY(outcome.out.contains("TTFT") && outcome.out.contains("kept 4 of 4 chunks"));
        const Outcome inspected = run({QStringLiteral("inspect"), out, QStringLiteral("--json")});
        QVERIFY2(inspected.code == 0, inspected.error.constData());
        QCOMPARE(inspected.json()[QStringLiteral("layers")],
                 run({QStringLiteral("inspect"), sample_, QStringLiteral("--json")}).json()[QStringLiteral("layers")]);
    }

    void theDecoderIsMeasured() {
        const Outcome own = run({QStringLiteral("bench"), sample_, QStringLiteral("--json")});
        QVERIFY2(own.code == 0, own.error.constData());
        const QJsonObject levels = own.json()[QStringLiteral("decode_bytes_per_second")].toObject();
        QCOMPARE(levels.keys(), (QStringList{QStringLiteral("kvz-high"), QStringLiteral("kvz-low"),
                                             QStringLiteral("kvz-medium"), QStringLiteral("raw")}));
        for (const QString& level : levels.keys())
            QVERIFY2(levels[level].toDouble() > 1e6, qPrintable(level));
        QVERIFY(!own.json()[QStringLiteral("synthetic")].toBool());
        const Outcome made =
            run(QStringList{QStringLiteral("bench")} + words("--levels kvz-medium --synthetic-tokens 256 --json"));
        QVERIFY2(made.code == 0, made.error.constData());
        QVERIFY(made.json()[QStringLiteral("synthetic")].toBool());
        QVERIFY(run({QStringLiteral("bench"), sample_}).out.contains("GB/s"));
        QCOMPARE(run(words("bench --levels no-such-preset --synthetic-tokens 64")).code, 1);
        QCOMPARE(run(words("bench a b")).code, 2);
    }

    void aFullDiskIsSaidAndLeavesNothing() {
        const Serving sender(kvz_);
        const QString out = folder_.filePath(QStringLiteral("too-large.kvz"));
        QProcess process;
        process.start(QStringLiteral("/bin/sh"),
                      {QStringLiteral("-c"), QStringLiteral("ulimit -f 8; exec \"$@\""), QStringLiteral("sh"),
                       QStringLiteral(KVSCOPE_PROGRAM), QStringLiteral("fetch"), sender.address(), QStringLiteral("-o"),
                       out, QStringLiteral("--policy"), QStringLiteral("kvz-medium")});
        const Outcome outcome = outcomeOf(process);
        QCOMPARE(outcome.code, 1);
        QVERIFY2(outcome.error.contains(out.toUtf8()) && outcome.error.contains("too large") &&
                     outcome.error.contains("ulimit"),
                 outcome.error.constData());
        // The program goes on to what was measured.
        QVERIFY(outcome.out.contains("TTFT"));
        QVERIFY(!QFile::exists(out) && !QFile::exists(out + QStringLiteral(".part")));
    }

    void aCutConnectionIsResumed() {
        const Serving sender(kvz_, words("--rate 20Mbps --fault drop:1 --fault corrupt:2"));
        const Outcome outcome = run(QStringList{QStringLiteral("fetch"), sender.address()} +
                                    words("--chunk 64 --policy kvz-medium --json"));
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QVERIFY(outcome.error.contains("trying again") && outcome.error.contains("chunk 2"));
        QCOMPARE(outcome.json()[QStringLiteral("reconnects")].toInt(), 1);
    }

    void twoSendersAreUsed() {
        const Serving first(kvz_, words("--rate 2Mbps"));
        const Serving second(kvz_, words("--rate 2Mbps"));
        const Outcome outcome = run(QStringList{QStringLiteral("fetch"), first.address(), second.address()} +
                                    words("--chunk 32 --policy kvz-medium --json"));
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QCOMPARE(outcome.json()[QStringLiteral("paths")].toArray().size(), 2);
        const Outcome alone =
            run(QStringList{QStringLiteral("fetch"), first.address()} + words("--chunk 32 --policy kvz-medium --json"));
        QVERIFY(outcome.json()[QStringLiteral("ttft_s")].toDouble() <
                0.8 * alone.json()[QStringLiteral("ttft_s")].toDouble());
    }

    void aSenderThatDiesLeavesAPartialFile() {
        Serving sender(kvz_, words("--rate 1Mbps"));
        const QString out = folder_.filePath(QStringLiteral("cut.kvz"));
        QProcess fetch;
        fetch.start(QStringLiteral(KVSCOPE_PROGRAM),
                    QStringList{QStringLiteral("fetch"), sender.address(), QStringLiteral("-o"), out} +
                        words("--chunk 32 --policy kvz-medium --attempts 2"));
        QVERIFY(sender.waitFor("chunk 3 "));
        sender.kill();
        const Outcome outcome = outcomeOf(fetch);
        QCOMPARE(outcome.code, 1);
        QVERIFY(!outcome.error.isEmpty());
        QVERIFY(!QFile::exists(out));
        const QString partial = folder_.filePath(QStringLiteral("cut.partial.kvz"));
        const Outcome inspected = run({QStringLiteral("inspect"), partial, QStringLiteral("--json")});
        QVERIFY2(inspected.code == 0, inspected.error.constData());
        // Whatever the file is called.
        QVERIFY(inspected.out.contains("Holds only what came of a fetch") && inspected.out.contains("(partial: "));
        QVERIFY(outcome.out.contains("TTFT never"));
    }

    void nothingIsKeptOfNothing() {
        // Its first chunk is too large for the time there is.
        const Serving sender(kvz_, words("--rate 1Mbps"));
        const QString out = folder_.filePath(QStringLiteral("nothing.kvz"));
        const Outcome outcome = run(QStringList{QStringLiteral("fetch"), sender.address(), QStringLiteral("-o"), out} +
                                    words("--chunk 32 --policy gear --timeout 300ms"));
        QVERIFY(outcome.code != 0);
        QVERIFY2(outcome.out.contains("nothing is kept in"), outcome.out.constData());
        QVERIFY(!QFile::exists(out) && !QFile::exists(folder_.filePath(QStringLiteral("nothing.partial.kvz"))));
    }

    void storesAreFilledListedAndServed() {
        const QString store = folder_.filePath(QStringLiteral("store"));
        const QStringList command{QStringLiteral("store"), kvz_, QStringLiteral("-o"), store, QStringLiteral("--json")};
        const QJsonObject first = run(command).json();
        QVERIFY(first[QStringLiteral("new_chunks")].toInt() > 0);
        QCOMPARE(first[QStringLiteral("new_chunks")], first[QStringLiteral("chunks")]);
        QCOMPARE(run(command).json()[QStringLiteral("new_chunks")].toInt(), 0);
        QCOMPARE(run({QStringLiteral("store"), QStringLiteral("-o"), store}).out, QByteArray("prose\n"));
        const Serving sender(store);
        const Outcome outcome = run({QStringLiteral("fetch"), sender.address(), QStringLiteral("--policy"),
                                     QStringLiteral("gear"), QStringLiteral("--json")});
        QVERIFY2(outcome.code == 0, outcome.error.constData());
    }

    void mistakesAreExplainedInOneLine_data() {
        QTest::addColumn<QStringList>("command");
        QTest::addColumn<int>("code");
        QTest::newRow("no address") << words("fetch") << 2;
        QTest::newRow("address without port") << words("fetch localhost") << 2;
        QTest::newRow("wrong ending") << words("fetch 127.0.0.1:1 -o out.doc") << 2;
        QTest::newRow("wrong time") << words("fetch 127.0.0.1:1 --slo soon") << 2;
        QTest::newRow("nobody there") << words("fetch 127.0.0.1:1 --attempts 1") << 1;
        QTest::newRow("nothing to serve") << words("serve") << 2;
        QTest::newRow("no such file") << words("serve /nowhere/x.kvz") << 1;
        QTest::newRow("wrong fault") << words("serve x.kvz --fault burn:1") << 2;
        QTest::newRow("wrong port") << words("serve x.kvz --port 70000") << 2;
        QTest::newRow("no Redis") << words("serve redis://127.0.0.1:1") << 1;
        QTest::newRow("no store") << words("store x.kvz") << 2;
    }
    void mistakesAreExplainedInOneLine() {
        QFETCH(QStringList, command);
        QFETCH(int, code);
        const Outcome outcome = run(command);
        QCOMPARE(outcome.code, code);
        QCOMPARE(outcome.error.count('\n'), 1);
        QVERIFY(outcome.error.startsWith("kvscope: "));
    }

private:
    QTemporaryDir folder_;
    QString kvz_;
    QString sample_;
};

QTEST_GUILESS_MAIN(TestNetworkCommands)
#include "test_network_commands.moc"
