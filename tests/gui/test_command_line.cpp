// SPDX-License-Identifier: GPL-3.0-or-later
#include <QFile>
#include <QFileInfo>
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
        // The answers agree with the numbers.
        const auto report =
            json(run({QStringLiteral("inspect"), sample("prose.safetensors"), QStringLiteral("--json")}).out);
        QJsonObject highest;
        for (const auto& value : report.value(QStringLiteral("planes")).toArray()) {
            const auto plane = value.toObject();
            const QString entropy = QStringLiteral("entropy_32_bins_bits");
            if (plane.value(QStringLiteral("kind")).toString() == QLatin1String("V") &&
                (highest.isEmpty() || plane.value(entropy).toDouble() > highest.value(entropy).toDouble()))
                highest = plane;
        }
        QVERIFY2(outcome.out.contains(
                     QStringLiteral("Highest entropy of V    layer %1, ").arg(highest.value("layer").toInt()).toUtf8()),
                 outcome.out.constData());
        const auto outlier = report.value(QStringLiteral("outliers")).toArray().first().toObject();
        QVERIFY(outcome.out.contains(QStringLiteral("Largest outlier of %1    layer %2, channel %3, token %4: ")
                                         .arg(outlier.value("kind").toString())
                                         .arg(outlier.value("layer").toInt())
                                         .arg(outlier.value("channel").toInt())
                                         .arg(outlier.value("token").toInt())
                                         .toUtf8()));
        QVERIFY(outcome.out.contains("Delta to previous token variance ratio K ") &&
                outcome.out.contains(": helps K, does not help V"));
    }

    void inspectSaysNothingOfValuesThatAreNone() {
        const QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("nan.npy"));
        QByteArray header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 4, 2, 8), }\n");
        header.prepend(static_cast<char>(header.size())).insert(1, '\0');
        // All bits set are a NaN.
        const QByteArray bytes = QByteArray("\x93NUMPY\1\0", 8) + header + QByteArray(2 * 2 * 4 * 2 * 8 * 4, '\xff');
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(bytes);
        file.close();
        const Outcome outcome =
            run({QStringLiteral("inspect"), path, QStringLiteral("--axes"), QStringLiteral("LXTHD")});
        QCOMPARE(outcome.code, 0);
        QVERIFY(outcome.out.contains("NaN or infinite values"));
        QVERIFY2(outcome.out.contains("    0 K               -         -         -"), outcome.out.constData());
        QVERIFY2(!outcome.out.contains("In short"), outcome.out.constData());
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
        QVERIFY(table.out.contains("projected: Llama-3.1-8B, 16,384 tokens"));
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

    void encodeAndDecodeGiveTheDumpBack() {
        const QTemporaryDir folder;
        const QString kvz = folder.filePath(QStringLiteral("out.kvz"));
        const Outcome encoded =
            run({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"), kvz,
                 QStringLiteral("--preset"), QStringLiteral("gear,kvz-medium"), QStringLiteral("--json")});
        QVERIFY2(encoded.code == 0, encoded.error.constData());
        const QJsonArray levels = json(encoded.out).value(QStringLiteral("levels")).toArray();
        QCOMPARE(levels.size(), 2);
        QCOMPARE(json(encoded.out).value(QStringLiteral("bytes")).toInteger(), QFile(kvz).size());
        const auto bits = [&](int level) { return levels.at(level)[QStringLiteral("weighted")]["bits_per_value"]; };
        QVERIFY(bits(0).toDouble() < 16 && bits(1).toDouble() < 6);
        QCOMPARE(levels.at(0)["kinds"]["K"]["error"]["max"].toDouble(), 0.0);
        QVERIFY(levels.at(1)["kinds"]["K"]["error"]["nmse_centred"].toDouble() > 0);

        // The lossless level is what was encoded, by its statistics and by another encoding of what comes back.
        const QString back = folder.filePath(QStringLiteral("back.safetensors"));
        const Outcome decoded = run({QStringLiteral("decode"), kvz, QStringLiteral("-o"), back});
        QVERIFY2(decoded.code == 0, decoded.error.constData());
        const auto planes = [](const QString& file) {
            return json(run({QStringLiteral("inspect"), file, QStringLiteral("--json")}).out)
                .value(QStringLiteral("planes"));
        };
        QCOMPARE(planes(back), planes(sample("prose.safetensors")));
        QCOMPARE(planes(kvz), planes(back));
        const QString lossy = folder.filePath(QStringLiteral("lossy.npy"));
        QCOMPARE(run({QStringLiteral("decode"), kvz, QStringLiteral("-o"), lossy, QStringLiteral("--level"),
                      QStringLiteral("kvz-medium")})
                     .code,
                 0);
        QVERIFY(planes(lossy) != planes(back));
        QCOMPARE(run({QStringLiteral("decode"), kvz, QStringLiteral("-o"), lossy, QStringLiteral("--level"),
                      QStringLiteral("none")})
                     .code,
                 1);

        const Outcome added = run({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"), kvz,
                                   QStringLiteral("--append"), QStringLiteral("--preset"), QStringLiteral("int4")});
        QVERIFY2(added.code == 0, added.error.constData());
        QVERIFY(added.out.contains("int4"));
        QCOMPARE(planes(kvz), planes(back));
    }

    void theTextLevelIsWrittenAndRead() {
        const QTemporaryDir folder;
        const QString kvz = folder.filePath(QStringLiteral("text.kvz"));
        const Outcome encoded = run({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"), kvz,
                                     QStringLiteral("--preset"), QStringLiteral("text")});
        QVERIFY2(encoded.code == 0, encoded.error.constData());
        QVERIFY2(encoded.out.contains("text: "), encoded.out.constData());
        // There is nothing to inspect, and the message says why and what to do.
        const Outcome inspected = run({QStringLiteral("inspect"), kvz});
        QCOMPARE(inspected.code, 1);
        QVERIFY2(inspected.error.contains("tokens alone") && inspected.error.contains("--level text"),
                 inspected.error.constData());
        const QStringList decode{QStringLiteral("decode"), kvz, QStringLiteral("--level"), QStringLiteral("text"),
                                 QStringLiteral("-o")};
        const QString out = folder.filePath(QStringLiteral("out.json"));
        QCOMPARE(run(decode + QStringList{out}).code, 0);
        QFile ours(out);
        QFile theirs(sample("prose.safetensors.tokens.json"));
        QVERIFY(ours.open(QIODevice::ReadOnly) && theirs.open(QIODevice::ReadOnly));
        const QJsonObject tokens = json(ours.readAll());
        const QJsonObject expected = json(theirs.readAll());
        QCOMPARE(tokens["text"], expected["text"]);
        QString joined;
        for (const QJsonValue& piece : expected["text"].toArray())
            joined += piece.toString();
        const QString plain = folder.filePath(QStringLiteral("out.txt"));
        QCOMPARE(run(decode + QStringList{plain}).code, 0);
        QFile text(plain);
        QVERIFY(text.open(QIODevice::ReadOnly));
        QCOMPARE(QString::fromUtf8(text.readAll()), joined);
        QCOMPARE(run(decode + QStringList{folder.filePath(QStringLiteral("out.npy"))}).code, 2);
    }

    void aPlanFromAFileIsUsed() {
        const QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("plan.json"));
        const auto write = [&](const QByteArray& bins) {
            QFile file(path);
            QVERIFY(file.open(QIODevice::WriteOnly));
            file.write(R"({"format": "kvscope-plan", "version": 1, "name": "mine", "default": {"coder": "raw",)"
                       R"("quantiser": {"type": "max-abs-bins", "bins": )" +
                       bins + "}}}");
        };
        const QStringList command{QStringLiteral("encode"), sample("prose.safetensors"),
                                  QStringLiteral("-o"),     folder.filePath(QStringLiteral("out.kvz")),
                                  QStringLiteral("--plan"), path,
                                  QStringLiteral("--json")};
        write("16");
        const Outcome outcome = run(command);
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QCOMPARE(json(outcome.out)["levels"][0]["plan"]["name"].toString(), QStringLiteral("mine"));
        write("1000");
        const Outcome refused = run(command);
        QCOMPARE(refused.code, 1);
        QVERIFY2(refused.error.contains("default.quantiser.bins"), refused.error.constData());
    }

    void sweepComparesMethodsInEveryFormat() {
        const QTemporaryDir folder;
        const QStringList command{QStringLiteral("sweep"), sample("prose.safetensors"), QStringLiteral("--presets"),
                                  QStringLiteral("raw,gear,cachegen-3,int4")};
        const Outcome text = run(command);
        QVERIFY2(text.code == 0, text.error.constData());
        for (const char* word : {"prose.safetensors", "cachegen-3", "lossless", "failed", "cosine >= 0.9999"})
            QVERIFY2(text.out.contains(word), word);
        const Outcome parsed = run(command + QStringList{QStringLiteral("--json")});
        QVERIFY2(parsed.code == 0, parsed.error.constData());
        const QJsonArray rows = json(parsed.out).value(QStringLiteral("rows")).toArray();
        QCOMPARE(rows.size(), 4);
        QCOMPARE(rows.at(0)["weighted"]["ratio"].toDouble(), 1.0);
        QVERIFY(rows.at(2)["weighted"]["published_bytes"].toInteger() > rows.at(2)["weighted"]["bytes"].toInteger());
        QCOMPARE(rows.at(1)["passed"].toBool(), true);
        QCOMPARE(rows.at(3)["passed"].toBool(), false);
        const QString out = folder.filePath(QStringLiteral("table.csv"));
        QCOMPARE(
            run(command + QStringList{QStringLiteral("--format"), QStringLiteral("csv"), QStringLiteral("-o"), out})
                .code,
            0);
        QFile file(out);
        QVERIFY(file.open(QIODevice::ReadOnly));
        QCOMPARE(file.readAll().count('\n'), 13);
    }

    void sweepGroupsByManifest() {
        const QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("dumps.json"));
        QFile manifest(path);
        QVERIFY(manifest.open(QIODevice::WriteOnly));
        const QString file = QFileInfo(sample("prose.safetensors")).absoluteFilePath();
        const QJsonObject entry{{QStringLiteral("file"), file}, {QStringLiteral("corpus"), QStringLiteral("books")}};
        manifest.write(QJsonDocument(QJsonObject{{QStringLiteral("dumps"), QJsonArray{entry, entry}}}).toJson());
        manifest.close();
        const Outcome outcome = run({QStringLiteral("sweep"), QStringLiteral("--manifest"), path,
                                     QStringLiteral("--presets"), QStringLiteral("raw"), QStringLiteral("--json")});
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        const QJsonArray rows = json(outcome.out)["rows"].toArray();
        const QJsonArray groups = json(outcome.out)["groups"].toArray();
        QCOMPARE(groups.size(), 1);
        QCOMPARE(groups.at(0)["corpus"].toString(), QStringLiteral("books"));
        QCOMPARE(groups.at(0)["weighted"]["bytes"].toInteger(), 2 * rows.at(0)["weighted"]["bytes"].toInteger());
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

    void renderDrawsAPartOfAView() {
        const QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("entropy.svg"));
        const Outcome outcome = run({QStringLiteral("render"), sample("prose.safetensors"), QStringLiteral("--view"),
                                     QStringLiteral("layers.entropy"), QStringLiteral("-o"), path});
        QVERIFY2(outcome.code == 0, outcome.error.constData());
        QFile file(path);
        QVERIFY(file.open(QIODevice::ReadOnly));
        const QByteArray svg = file.readAll();
        QVERIFY(svg.contains("entropy at 32 bins"));
        // Pictures name their dump.
        QVERIFY(svg.contains("prose.safetensors"));
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
        refused({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"), QStringLiteral("x.kvz")},
                2);
        refused({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"), QStringLiteral("x.kvz"),
                 QStringLiteral("--preset"), QStringLiteral("best")},
                2);
        refused({QStringLiteral("encode"), sample("prose.safetensors"), QStringLiteral("-o"),
                 QStringLiteral("/not/there/x.kvz"), QStringLiteral("--preset"), QStringLiteral("raw")},
                1);
        refused({QStringLiteral("decode"), sample("prose.safetensors"), QStringLiteral("-o"), QStringLiteral("x.npy")},
                1);
        refused({QStringLiteral("sweep")}, 2);
        refused({QStringLiteral("sweep"), sample("prose.safetensors"), QStringLiteral("--format"), QStringLiteral("x")},
                2);
        refused({QStringLiteral("sweep"), QStringLiteral("/not/there.npy")}, 1);
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
#include "tests/unit/npy_writer.h"
