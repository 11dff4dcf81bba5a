// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/pickle.h"

#include <QTest>

#include <cmath>
#include <cstring>
#include <span>
#include <string>

using namespace kvscope;
using namespace std::string_literals;

namespace {

ByteSourcePtr source(const std::string& bytes) {
    const auto raw = std::as_bytes(std::span(bytes));
    return memorySource({raw.begin(), raw.end()}, "test.pkl");
}

Result<PickleTree> read(const std::string& bytes) {
    return readPickle(*source(bytes));
}

/// The value as Python would print it, without the memo's sharing; for trees without cycles.
std::string text(const PickleTree& tree, PickleId id) {
    const auto& node = tree[id];
    const auto joined = [&](const std::vector<PickleId>& items) {
        std::string list;
        for (const auto item : items)
            list += (list.empty() ? "" : ",") + text(tree, item);
        return list;
    };
    switch (node.kind) {
    case PickleKind::None:
        return "None";
    case PickleKind::Bool:
        return node.integer != 0 ? "True" : "False";
    case PickleKind::Integer:
        return std::to_string(node.integer);
    case PickleKind::BigInteger:
        return "big";
    case PickleKind::Float:
        return QByteArray::number(node.real).toStdString();
    case PickleKind::String:
        return "'" + node.text + "'";
    case PickleKind::Bytes:
        return "b" + (node.length >= 0 ? std::to_string(node.length) : node.text);
    case PickleKind::List:
        return "[" + joined(node.items) + "]";
    case PickleKind::Tuple:
        return "(" + joined(node.items) + ")";
    case PickleKind::Set:
        return "set(" + joined(node.items) + ")";
    case PickleKind::Dict:
        return "{" + joined(node.entries) + "}";
    case PickleKind::Global:
        return node.text;
    case PickleKind::Record:
        return node.text + "(" + joined(node.items) + ")" +
               (node.state != kNoPickleValue ? "<" + text(tree, node.state) + ">" : "");
    case PickleKind::Persistent:
        return "@" + joined(node.items);
    }
    return {};
}

} // namespace

class TestPickle final : public QObject {
    Q_OBJECT

private slots:
    void readsEveryProtocol_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("expected");
        // pickle.dumps by CPython 3.11 of (None, True, [1, -2, 300, 70000, 2**40], {"a": 1.5, "b": (b"xy",)},
        // "\u00e9\u4e2d", frozenset([3]), OrderedDict(x=1), 2**80, bytearray(b"q"), -129); "b2" is a run of bytes left
        // in the stream.
        const auto expected = QString::fromUtf8("(None,True,[1,-2,300,70000,1099511627776],{'a',1.5,'b',(%1)},"
                                                "'\u00e9\u4e2d',set(3),{'x',1},big,%2,-129)");
        QTest::newRow("protocol 0")
            << QByteArray::fromHex(
                   "284e4930310a286c70300a49310a61492d320a61493330300a614937303030300a614c31303939353131363237373736"
                   "4c0a61286470310a56610a70320a46312e350a7356620a70330a28635f636f646563730a656e636f64650a70340a2856"
                   "78790a70350a566c6174696e310a70360a7470370a5270380a7470390a7356e95c75346532640a7031300a635f5f6275"
                   "696c74696e5f5f0a66726f7a656e7365740a7031310a28286c7031320a49330a61747031330a527031340a63636f6c6c"
                   "656374696f6e730a4f726465726564446963740a7031350a2874527031360a56780a7031370a49310a734c3132303839"
                   "32353831393631343632393137343730363137364c0a635f5f6275696c74696e5f5f0a6279746561727261790a703138"
                   "0a2867340a2856710a7031390a67360a747032300a527032310a747032320a527032330a492d3132390a747032340a2e")
            << expected.arg("bxy", "bq");
        QTest::newRow("protocol 1")
            << QByteArray::fromHex(
                   "284e4930310a5d7100284b014afeffffff4d2c014a701101004c313039393531313632373737364c0a657d7101285801"
                   "000000617102473ff8000000000000580100000062710328635f636f646563730a656e636f64650a7104285802000000"
                   "7879710558060000006c6174696e317106747107527108747109755805000000c3a9e4b8ad710a635f5f6275696c7469"
                   "6e5f5f0a66726f7a656e7365740a710b285d710c4b036174710d52710e63636f6c6c656374696f6e730a4f7264657265"
                   "64446963740a710f2952711058010000007871114b01734c313230383932353831393631343632393137343730363137"
                   "364c0a635f5f6275696c74696e5f5f0a6279746561727261790a71122868042858010000007171136806747114527115"
                   "7471165271174a7fffffff7471182e")
            << expected.arg("bxy", "bq");
        QTest::newRow("protocol 2")
            << QByteArray::fromHex(
                   "8002284e885d7100284b014afeffffff4d2c014a701101008a06000000000001657d7101285801000000617102473ff8"
                   "0000000000005801000000627103635f636f646563730a656e636f64650a710458020000007879710558060000006c61"
                   "74696e317106867107527108857109755805000000c3a9e4b8ad710a635f5f6275696c74696e5f5f0a66726f7a656e73"
                   "65740a710b5d710c4b036185710d52710e63636f6c6c656374696f6e730a4f726465726564446963740a710f29527110"
                   "58010000007871114b01738a0b0000000000000000000001635f5f6275696c74696e5f5f0a6279746561727261790a71"
                   "126804580100000071711368068671145271158571165271174a7fffffff7471182e")
            << expected.arg("bxy", "bq");
        QTest::newRow("protocol 3")
            << QByteArray::fromHex(
                   "8003284e885d7100284b014afeffffff4d2c014a701101008a06000000000001657d7101285801000000617102473ff8"
                   "0000000000005801000000627103430278797104857105755805000000c3a9e4b8ad7106636275696c74696e730a6672"
                   "6f7a656e7365740a71075d71084b036185710952710a63636f6c6c656374696f6e730a4f726465726564446963740a71"
                   "0b2952710c580100000078710d4b01738a0b0000000000000000000001636275696c74696e730a627974656172726179"
                   "0a710e430171710f8571105271114a7fffffff7471122e")
            << expected.arg("b2", "b1");
        QTest::newRow("protocol 4")
            << QByteArray::fromHex(
                   "800495a500000000000000284e885d94284b014afeffffff4d2c014a701101008a06000000000001657d94288c016194"
                   "473ff80000000000008c01629443027879948594758c05c3a9e4b8ad94284b0391948c0b636f6c6c656374696f6e7394"
                   "8c0b4f726465726564446963749493942952948c0178944b01738a0b00000000000000000000018c086275696c74696e"
                   "73948c0962797465617272617994939443017194859452944a7fffffff74942e")
            << expected.arg("b2", "b1");
        QTest::newRow("protocol 5")
            << QByteArray::fromHex(
                   "8005958f00000000000000284e885d94284b014afeffffff4d2c014a701101008a06000000000001657d94288c016194"
                   "473ff80000000000008c01629443027879948594758c05c3a9e4b8ad94284b0391948c0b636f6c6c656374696f6e7394"
                   "8c0b4f726465726564446963749493942952948c0178944b01738a0b0000000000000000000001960100000000000000"
                   "71944a7fffffff74942e")
            << expected.arg("b2", "b1");
    }
    void readsEveryProtocol() {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, expected);
        const auto tree = read(bytes.toStdString());
        QVERIFY2(tree, tree ? "" : tree.error().message().c_str());
        QCOMPARE(QString::fromStdString(text(*tree, tree->root)), expected);
        QCOMPARE(tree->end, bytes.size());
    }
    void truncatedStreamsAreRefused() {
        const auto whole = QByteArray::fromHex("80049525000000000000007d94288c016194284b014b02865d94284b034b046586"
                                               "8c016294430378797a94752e")
                               .toStdString();
        for (std::size_t length = 0; length < whole.size(); ++length) {
            const auto tree = read(whole.substr(0, length));
            QVERIFY(!tree);
            QVERIFY2(tree.error().message().find("byte ") != std::string::npos, tree.error().message().c_str());
        }
    }
    void callsAreNeverMade_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("named");
        QTest::newRow("os.system, protocol 0") << QByteArray("cos\nsystem\n(S'echo hi'\ntR.") << "os.system";
        QTest::newRow("posix.system, stack global")
            << QByteArray::fromHex("80048c05706f736978948c0673797374656d9493948c076563686f206869948594522e")
            << "posix.system";
        QTest::newRow("eval") << QByteArray("c__builtin__\neval\n(S'1'\ntR.") << "__builtin__.eval";
        QTest::newRow("getattr") << QByteArray("cbuiltins\ngetattr\n(S'1'\nS'x'\ntR.") << "builtins.getattr";
        QTest::newRow("instance") << QByteArray("(S'echo hi'\nios\nsystem\n.") << "os.system";
        QTest::newRow("object") << QByteArray("(cos\nsystem\nS'echo hi'\no.") << "os.system";
        QTest::newRow("new object") << QByteArray("\x80\x02"
                                                  "csubprocess\nPopen\nS'sh'\n\x85\x81.")
                                    << "subprocess.Popen";
        QTest::newRow("through copyreg") << QByteArray("ccopyreg\n__newobj__\n(cos\nsystem\nS'echo hi'\ntR.")
                                         << "os.system";
        QTest::newRow("a name that only begins as a tensor's")
            << QByteArray("ctorch._utils\n_rebuild_tensor_v2.__globals__\n)R.") << "__globals__";
        QTest::newRow("a function of transformers")
            << QByteArray("ctransformers.utils\nrun\n)R.") << "transformers.utils.run";
        QTest::newRow("a computed function") << QByteArray("cbuiltins\nlist\n)R)R.") << "computed";
    }
    void callsAreNeverMade() {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, named);
        const auto tree = read(bytes.toStdString());
        QVERIFY(!tree);
        const auto message = QString::fromStdString(tree.error().message());
        QVERIFY2(message.contains(named), qPrintable(message));
        QVERIFY2(message.contains("never executes"), qPrintable(message));
        QVERIFY2(message.contains("byte "), qPrintable(message));
    }
    void namesThatAreNotCalledAreHarmless() {
        const auto tree = read("cos\nsystem\n.");
        QVERIFY(tree);
        QCOMPARE(text(*tree, tree->root), "os.system"s);
    }
    void objectsBecomeRecords() {
        // DynamicCache.__new__, then its __dict__.
        const auto tree = read("\x80\x02"
                               "ctransformers.cache_utils\nDynamicCache\n)\x81}X\x06\x00\x00\x00layers]sb."s);
        QVERIFY2(tree, tree ? "" : tree.error().message().c_str());
        QCOMPARE(text(*tree, tree->root), "transformers.cache_utils.DynamicCache()<{'layers',[]}>"s);
    }
    void damagedStreamsAreRefused_data() {
        QTest::addColumn<QByteArray>("bytes");
        const auto row = [](const char* name, const std::string& bytes) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes);
        };
        row("unknown operation", "\x01.");
        row("unknown protocol", "\x80\x06N.");
        row("empty stack", ".");
        row("pop below the mark", "N(.");
        row("memo never stored", "h\x05.");
        row("memo number of letters", "gx\n.");
        row("no group", "t.");
        row("key without a value", "}(Nu.");
        row("append to an integer", "K\x01Na.");
        row("set an entry of a list", "]NNs.");
        row("attributes of a number", "K\x01Nb.");
        row("long text", "X\xff\xff\xff\xff"
                         "abc."s);
        row("text of 2^63 bytes", "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"
                                  "abc."s);
        row("bytes of 2^64 - 1", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
                                 "abc."s);
        row("frame past the end", "\x95\xff\xff\xff\xff\xff\xff\xff\xffN."s);
        row("long integer past the end", "\x8b\xff\xff\xff\x7f."s);
        row("string without quotes", "Sx\n.");
        row("integer of letters", "Ix\n.");
        row("extension", "\x82\x01.");
        row("buffer outside the file", "\x97.");
        row("call without a tuple", "ctorch\nSize\nNR.");
        row("object of no class", "(o.");
    }
    void damagedStreamsAreRefused() {
        QFETCH(QByteArray, bytes);
        const auto tree = read(bytes.toStdString());
        QVERIFY(!tree);
        QVERIFY2(QString::fromStdString(tree.error().message()).contains("byte "), tree.error().message().c_str());
    }
    void sharedAndCyclicValuesStaySmall() {
        // l = []; l.append(l)
        const auto cycle = read("]q\x00h\x00"
                                "a."s);
        QVERIFY(cycle);
        QCOMPARE(cycle->top().items.front(), cycle->root);
        // Forty levels, each twice the one below: 2^40 leaves if it were unfolded.
        std::string laughs = "]";
        for (int i = 0; i < 40; ++i)
            laughs += "2\x86";
        const auto tree = read(laughs + ".");
        QVERIFY(tree);
        QVERIFY(tree->nodes.size() < 100);
    }
    void deepNestingIsNoRecursion() {
        const auto tree = read(std::string(1'000'000, ']') + std::string(999'999, 'a') + ".");
        QVERIFY(tree);
        QVERIFY(tree->nodes.size() < 1'000'010);
    }
    void hugeStreamsAreBounded() {
        const auto objects = read(std::string(3'000'000, ']') + ".");
        QVERIFY(!objects);
        QVERIFY(objects.error().message().find("objects") != std::string::npos);
        // One tuple of 60,000 values that list() copies 60,000 times.
        std::string copies = "(" + std::string(60'000, 'N') + "tq\x01" + "0cbuiltins\nlist\nq\x02" + "0";
        for (int i = 0; i < 60'000; ++i)
            copies += "h\x02h\x01\x85R0";
        const auto copied = read(copies + "N.");
        QVERIFY(!copied);
        QVERIFY2(copied.error().message().find("copies") != std::string::npos, copied.error().message().c_str());
    }
};

QTEST_APPLESS_MAIN(TestPickle)
#include "test_pickle.moc"
