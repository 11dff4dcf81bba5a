// SPDX-License-Identifier: GPL-3.0-or-later
#include <QFile>
#include <QImage>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>

namespace {

struct Outcome {
    int code = -1;
    QByteArray out;
    QByteArray error;
};

/// Runs the program; one line on stderr is all that a failing command may say.
Outcome run(const QStringList& arguments) {
    QProcess process;
    process.start(QStringLiteral(KVSCOPE_PROGRAM), arguments);
    if (!process.waitForFinished(120000) || process.exitStatus() != QProcess::NormalExit)
        return {};
    return {process.exitCode(), process.readAllStandardOutput(), process.readAllStandardError()};
}

QString sample(const char* name) {
    return qEnvironmentVariable("KVSCOPE_SAMPLE_DUMPS") + QLatin1Char('/') + QLatin1String(name);
}

QJsonObject json(const QByteArray& text) {
    return QJsonDocument::fromJson(text).object();
}

} // namespace

class TestCommandLine : public QObject {
    Q_OBJECT

private slots:
    void inspectAgreesWithNumpy() {
        const QString dump = QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/stats/small.kv.npy");
        const Outcome outcome =
            run({QStringLiteral("inspect"), dump, QStringLiteral("--json"), QStringLiteral("--axes"),
                 QStringLiteral("LXTC"), QStringLiteral("--heads"), QStringLiteral("4")});
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        const QJsonObject report = json(outcome.out);
        QFile golden(QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/stats/small.stats.json"));
        QVERIFY(golden.open(QIODevice::ReadOnly));
        const QJsonObject expected = json(golden.readAll()).value(QStringLiteral("planes")).toObject();
        int compared = 0;
        for (const QJsonValue& value : report.value(QStringLiteral("planes")).toArray()) {
            const QJsonObject ours = value.toObject();
            const QJsonObject numpy = expected.value(ours.value(QStringLiteral("kind")).toString())
                                          .toArray()
                                          .at(ours.value(QStringLiteral("layer")).toInt())
                                          .toObject();
            ++compared;
            for (const char* field : {"mean", "std", "rms", "min", "max"}) {
                const double want = numpy.value(QLatin1String(field)).toDouble();
                const double got = ours.value(QLatin1String(field)).toDouble();
                QVERIFY2(want != 0 && std::abs(got - want) <= 1e-6 * std::abs(want), field);
            }
        }
        QCOMPARE(compared, 6);
    }

    void aSequenceOfAStateCanBeChosen() {
        const QString state =
            QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/llamacpp/v0.3.36/session.f16.unified2.bin");
        const QStringList command{QStringLiteral("inspect"), state, QStringLiteral("--json"), QStringLiteral("--heads"),
                                  QStringLiteral("2")};
        const auto tokens = [](const Outcome& outcome) {
            return json(outcome.out).value(QStringLiteral("planes")).toArray().at(0).toObject()["tokens"].toInt();
        };
        const Outcome longest = run(command);
        QVERIFY2(longest.code == 0, longest.error.constData());
        QCOMPARE(tokens(longest), 7);
        const Outcome second = run(command + QStringList{QStringLiteral("--sequence"), QStringLiteral("1")});
        QVERIFY2(second.code == 0, second.error.constData());
        QCOMPARE(tokens(second), 6);
        QCOMPARE(run(command + QStringList{QStringLiteral("--sequence"), QStringLiteral("9")}).code, 1);
        QCOMPARE(run(command + QStringList{QStringLiteral("--sequence"), QStringLiteral("-1")}).code, 2);
    }

    void theHadamardQuestionTakesBothAnswers() {
        const QString state =
            QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/llamacpp/v0.3.36/session.q8_0.rotated.bin");
        const auto said = [&](const QString& answer) {
            QStringList command{QStringLiteral("inspect"), state};
            if (!answer.isEmpty())
                command += {QStringLiteral("--hadamard"), answer};
            const Outcome outcome = run(command);
            return outcome.code == 0 ? QString::fromUtf8(outcome.out) : QString::number(outcome.code);
        };
        QVERIFY(said({}).contains(QLatin1String("Say when opening whether to undo it")));
        QVERIFY(said(QStringLiteral("yes")).contains(QLatin1String("was undone, as asked")));
        QVERIFY(said(QStringLiteral("no")).contains(QLatin1String("not Hadamard-rotated, as told")));
        QCOMPARE(said(QStringLiteral("maybe")), QStringLiteral("2"));
    }

    void inspectPrintsTextForPeople() {
        const Outcome outcome = run({QStringLiteral("inspect"), sample("prose.safetensors")});
        QCOMPARE(outcome.code, 0);
        QVERIFY(outcome.out.contains("KV heads"));
        QVERIFY(outcome.out.contains("Largest values"));
    }

    void convertWritesWhatInspectReads() {
        const QTemporaryDir folder;
        const QString out = folder.filePath(QStringLiteral("out.npz"));
        const Outcome converted = run({QStringLiteral("convert"), sample("prose.safetensors"), QStringLiteral("-o"),
                                       out, QStringLiteral("--to"), QStringLiteral("f32"), QStringLiteral("--json")});
        QVERIFY2(converted.code == 0, converted.error.constData());
        QCOMPARE(json(converted.out).value(QStringLiteral("dtype")).toString(), QStringLiteral("f32"));
        const auto before =
            json(run({QStringLiteral("inspect"), sample("prose.safetensors"), QStringLiteral("--json")}).out);
        const auto after = json(run({QStringLiteral("inspect"), out, QStringLiteral("--json")}).out);
        QCOMPARE(after.value(QStringLiteral("layers")), before.value(QStringLiteral("layers")));
        const auto rms = [](const QJsonObject& report) {
            return report.value(QStringLiteral("planes"))
                .toArray()
                .at(0)
                .toObject()
                .value(QStringLiteral("rms"))
                .toDouble();
        };
        QCOMPARE(rms(after), rms(before));
    }

    void synthIsRepeatableAndSaysSo() {
        const QTemporaryDir folder;
        QByteArray first;
        for (const char* name : {"a.safetensors", "b.safetensors"}) {
            const QString out = folder.filePath(QLatin1String(name));
            const Outcome made =
                run({QStringLiteral("synth"), QStringLiteral("-o"), out, QStringLiteral("--layers"),
                     QStringLiteral("2"), QStringLiteral("--heads"), QStringLiteral("2"), QStringLiteral("--head-dim"),
                     QStringLiteral("32"), QStringLiteral("--tokens"), QStringLiteral("300")});
            QVERIFY2(made.code == 0, made.error.constData());
            const auto report = json(run({QStringLiteral("inspect"), out, QStringLiteral("--json")}).out);
            QVERIFY(report.value(QStringLiteral("synthetic")).toBool());
            QCOMPARE(report.value(QStringLiteral("layers")).toInt(), 2);
            QFile file(out);
            QVERIFY(file.open(QIODevice::ReadOnly));
            const QByteArray bytes = file.readAll();
            QVERIFY(first.isEmpty() || bytes == first);
            first = bytes;
        }
    }

    void streamComparesPolicies() {
        const Outcome table = run({QStringLiteral("stream"), sample("prose.safetensors"), QStringLiteral("--bandwidth"),
                                   QStringLiteral("4Gbps"), QStringLiteral("--policy"), QStringLiteral("all")});
        QVERIFY2(table.code == 0, table.error.constData());
        QVERIFY(table.out.contains("projected: Llama-3.1-8B, 16384 tokens"));
        QVERIFY(table.out.contains("oracle"));
        const auto report =
            json(run({QStringLiteral("stream"), sample("prose.safetensors"), QStringLiteral("--bandwidth"),
                      QStringLiteral("1Gbit/s"), QStringLiteral("--policy"),
                      QStringLiteral("text,kvz-low,kvscope,oracle"), QStringLiteral("--json")})
                     .out);
        const auto policies = report.value(QStringLiteral("policies")).toArray();
        QCOMPARE(policies.size(), 4);
        const auto of = [&](int i, const char* key) { return policies.at(i).toObject().value(QLatin1String(key)); };
        // 16,384 tokens at 8,000 tokens a second; a level's bytes over the bandwidth.
        QVERIFY(std::abs(of(0, "ttft_s").toDouble() - 2.05) < 0.05 * 2.05);
        const double wire = of(1, "bytes").toDouble() * 8 / 1e9;
        QVERIFY(std::abs(of(1, "ttft_s").toDouble() - wire) < 0.05 * wire);
        QVERIFY(of(2, "slo_met").toBool() && of(3, "slo_met").toBool());
        QVERIFY(of(3, "projected").toBool());
        QCOMPARE(of(2, "chunks").toArray().size(), 16);

        // The dump's own size, where its own tokens are streamed.
        const auto own = json(run({QStringLiteral("stream"), sample("prose.safetensors"), QStringLiteral("--model"),
                                   QStringLiteral("none"), QStringLiteral("--chunk"), QStringLiteral("256"),
                                   QStringLiteral("--policy"), QStringLiteral("raw"), QStringLiteral("--json")})
                                  .out);
        QVERIFY(!own.value(QStringLiteral("projected")).toBool(true));
        QVERIFY(own.value(QStringLiteral("raw_bytes")).toDouble() > 0);

        for (const QStringList& wrong : {QStringList{QStringLiteral("--bandwidth"), QStringLiteral("fast")},
                                         QStringList{QStringLiteral("--policy"), QStringLiteral("magic")},
                                         QStringList{QStringLiteral("--model"), QStringLiteral("gpt-9")},
                                         QStringList{QStringLiteral("--slo"), QStringLiteral("2")}}) {
            const Outcome outcome = run(QStringList{QStringLiteral("stream"), sample("prose.safetensors")} + wrong);
            QCOMPARE(outcome.code, 2);
            QCOMPARE(outcome.error.count('\n'), 1);
        }
        const QTemporaryDir folder;
        QFile trace(folder.filePath(QStringLiteral("bad.txt")));
        QVERIFY(trace.open(QIODevice::WriteOnly));
        trace.write("1 5\n2 -3\n");
        trace.close();
        const Outcome bad =
            run({QStringLiteral("stream"), sample("prose.safetensors"), QStringLiteral("--trace"), trace.fileName()});
        QCOMPARE(bad.code, 1);
        QVERIFY(bad.error.contains("line 2") && bad.error.contains("negative"));
    }

    void renderDrawsPicturesAndTables() {
        const QTemporaryDir folder;
        const QString png = folder.filePath(QStringLiteral("map.png"));
        const Outcome outcome = run({QStringLiteral("render"), sample("prose.safetensors"), QStringLiteral("--view"),
                                     QStringLiteral("map-left"), QStringLiteral("-o"), png, QStringLiteral("--size"),
                                     QStringLiteral("800x500"), QStringLiteral("--scale"), QStringLiteral("2")});
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        const QImage image(png);
        QCOMPARE(image.size(), QSize(1600, 1000));
        QSet<QRgb> colours;
        for (int x = 0; x < image.width(); x += 3)
            colours.insert(image.pixel(x, image.height() / 5));
        QVERIFY2(colours.size() > 20, "the map has hardly any colours");
        for (const char* name : {"map.svg", "map.pdf", "map.csv"}) {
            const QString path = folder.filePath(QLatin1String(name));
            QCOMPARE(run({QStringLiteral("render"), sample("prose.safetensors"), QStringLiteral("--view"),
                          QStringLiteral("layers"), QStringLiteral("-o"), path})
                         .code,
                     0);
            QVERIFY2(QFile(path).size() > 200, name);
        }
    }

    void mistakesAreOneLineAndAnExitCode() {
        const auto refused = [](const QStringList& arguments, int code) {
            const Outcome outcome = run(arguments);
            QCOMPARE(outcome.code, code);
            QVERIFY2(outcome.error.startsWith("kvscope: ") && outcome.error.count('\n') == 1,
                     outcome.error.constData());
        };
        refused({QStringLiteral("inspect")}, 2);
        refused({QStringLiteral("inspect"), QStringLiteral("/not/there.npy")}, 1);
        refused(
            {QStringLiteral("inspect"), sample("prose.safetensors"), QStringLiteral("--heads"), QStringLiteral("many")},
            2);
        refused({QStringLiteral("inspect"), sample("prose.safetensors"), QStringLiteral("--nonsense")}, 2);
        refused({QStringLiteral("convert"), sample("prose.safetensors"), QStringLiteral("-o"), QStringLiteral("x.gif")},
                2);
        refused({QStringLiteral("convert"), sample("prose.safetensors"), QStringLiteral("-o"),
                 QStringLiteral("/not/there/x.npz")},
                1);
        QCOMPARE(run({QStringLiteral("render"), sample("prose.safetensors"), QStringLiteral("--view"),
                      QStringLiteral("nothing"), QStringLiteral("-o"), QStringLiteral("/tmp/x.png")})
                     .code,
                 2);
        QCOMPARE(run({QStringLiteral("--version")}).code, 0);
        QVERIFY(run({QStringLiteral("--help")}).out.contains("inspect"));
    }
};

QTEST_GUILESS_MAIN(TestCommandLine)
#include "test_command_line.moc"
