// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/zip_archive.h"
#include "tests/unit/zip_writer.h"

#include <QtTest>

#include <functional>

using namespace kvscope;
using kvscope::test::Bytes;
using kvscope::test::bytesOf;
using kvscope::test::ZipWriter;

namespace {

Result<ZipArchive> openBytes(Bytes bytes) {
    return ZipArchive::open(memorySource(std::move(bytes), "archive.zip"));
}

Result<Bytes> contentOf(const ZipArchive& archive, std::string_view name) {
    const ZipMember* member = archive.find(name);
    if (member == nullptr)
        return fail("no such member", std::string(name));
    KVSCOPE_ASSIGN(const ByteSourcePtr source, archive.openMember(*member));
    return source->read(0, source->size());
}

/// Bytes that deflate to about half.
Bytes manyBytes(std::size_t count) {
    Bytes bytes(count);
    std::uint32_t state = 1;
    for (auto& byte : bytes) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<std::byte>((state >> 24) & 0xFU);
    }
    return bytes;
}

} // namespace

class TestZipArchive : public QObject {
    Q_OBJECT

private slots:
    void readsStoredAndDeflatedMembers_data();
    void readsStoredAndDeflatedMembers();
    void bigMembersGoToAFile();
    void refusesWhatLies_data();
    void refusesWhatLies();
    void everyTruncationIsAnError();
    void refusesBombs();
    void stopsWhenAsked();
};

void TestZipArchive::readsStoredAndDeflatedMembers_data() {
    QTest::addColumn<bool>("zip64");
    QTest::newRow("32 bit") << false;
    QTest::newRow("Zip64") << true;
}

void TestZipArchive::readsStoredAndDeflatedMembers() {
    QFETCH(bool, zip64);
    const Bytes stored = bytesOf("kept as it is");
    const Bytes deflated = manyBytes(1000);
    ZipWriter writer;
    writer.add("a.txt", stored).zip64 = zip64;
    writer.add("folder/b.npy", deflated, true).zip64 = zip64;
    writer.add("empty", {});
    const auto archive = openBytes(writer.finish(zip64));
    QVERIFY2(archive, archive ? "" : archive.error().message().c_str());
    QCOMPARE(archive->members().size(), std::size_t{3});
    QCOMPARE(archive->members()[1].name, std::string("folder/b.npy"));
    QVERIFY(contentOf(*archive, "a.txt") == stored);
    QVERIFY(contentOf(*archive, "folder/b.npy") == deflated);
    QVERIFY(contentOf(*archive, "empty") == Bytes());
    QVERIFY(archive->find("b.npy") == nullptr);
}

void TestZipArchive::bigMembersGoToAFile() {
    const Bytes big = manyBytes(3'000'000);
    const Bytes other = manyBytes(700'000);
    ZipWriter writer;
    writer.add("big", big, true);
    writer.add("other", other, true);
    const auto archive = openBytes(writer.finish());
    QVERIFY(archive);
    Progress progress;
    const auto first = archive->openMember(*archive->find("big"), JobControl{{}, &progress});
    const auto second = archive->openMember(*archive->find("other"));
    QVERIFY(first);
    QVERIFY(second);
    QCOMPARE(progress.done(), std::int64_t{3'000'000});
    QVERIFY((*first)->read(0, 3'000'000) == big);
    QVERIFY((*second)->read(0, 700'000) == other);
    QVERIFY((*second)->read(699'990, 10) == Bytes(other.end() - 10, other.end()));
    QVERIFY(!(*second)->read(699'991, 10));
    QVERIFY(!(*first)->read(-1, 1));
}

void TestZipArchive::refusesWhatLies_data() {
    using Spoil = std::function<void(ZipWriter&)>;
    QTest::addColumn<Spoil>("spoil");
    QTest::addColumn<QString>("message");
    const auto row = [](const char* name, Spoil spoil, const char* message) {
        QTest::newRow(name) << std::move(spoil) << QString(message);
    };
    row(
        "encrypted", [](ZipWriter& z) { z.entry(0).flags = 1; }, "encrypted");
    row(
        "unknown method", [](ZipWriter& z) { z.entry(0).method = 12; }, "method 12");
    row(
        "other method than its header", [](ZipWriter& z) { z.entry(1).method = 0; }, "described differently");
    row(
        "other name than its header", [](ZipWriter& z) { z.entry(0).name = "x.txt"; }, "described differently");
    row(
        "header elsewhere", [](ZipWriter& z) { z.entry(0).offset = 3; }, "no header");
    row(
        "header behind the directory", [](ZipWriter& z) { z.entry(0).offset = 1 << 20; }, "not before the directory");
    row(
        "data past the directory", [](ZipWriter& z) { z.entry(0).packedSize = z.entry(0).size = 1 << 20; }, "needs");
    row(
        "stored with two sizes", [](ZipWriter& z) { z.entry(0).size += 1; }, "stored as it is");
    row(
        "impossible ratio", [](ZipWriter& z) { z.entry(1).size = 1U << 31; }, "more than the method can hold");
    row(
        "past 2^63",
        [](ZipWriter& z) {
            z.entry(1).size = ~std::uint64_t{0};
            z.entry(1).zip64 = true;
        },
        "past 2^63");
    row(
        "overlap", [](ZipWriter& z) { z.entry(0).packedSize = z.entry(0).size = 40; }, "overlap");
    row(
        "twice", [](ZipWriter& z) { z.add("a.txt", {}); }, "two members");
}

void TestZipArchive::refusesWhatLies() {
    using Spoil = std::function<void(ZipWriter&)>;
    QFETCH(Spoil, spoil);
    QFETCH(QString, message);
    ZipWriter writer;
    writer.add("a.txt", bytesOf("kept as it is"));
    writer.add("b.npy", manyBytes(1000), true);
    spoil(writer);
    const auto archive = openBytes(writer.finish());
    QVERIFY(!archive);
    const QString text = QString::fromStdString(archive.error().message());
    QVERIFY2(text.contains(message), qPrintable(text));
    QVERIFY(!archive.error().advice.empty());
}

void TestZipArchive::everyTruncationIsAnError() {
    ZipWriter writer;
    writer.add("a.txt", bytesOf("kept as it is"));
    writer.add("b.npy", manyBytes(100), true);
    const Bytes whole = writer.finish(true);
    for (std::size_t size = 0; size < whole.size(); ++size)
        QVERIFY(!openBytes(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))));
    // A wrong byte anywhere in the packed data shows at the latest in the checksum.
    const auto archive = openBytes(whole);
    QVERIFY(archive);
    const ZipMember& member = *archive->find("b.npy");
    for (std::int64_t i = 0; i < member.packedSize; ++i) {
        Bytes spoiled = whole;
        spoiled[static_cast<std::size_t>(member.dataOffset + i)] ^= std::byte{0x10};
        const auto opened = openBytes(spoiled);
        QVERIFY(opened);
        const auto content = contentOf(*opened, "b.npy");
        QVERIFY(!content || *content == manyBytes(100)); // the last bits of the last byte mean nothing
    }
}

void TestZipArchive::refusesBombs() {
    const Bytes zeros(10'000'000);
    ZipWriter honest;
    honest.add("zeros", zeros, true);
    const auto padded = openBytes(honest.finish());
    QVERIFY(padded); // zero padding alone packs this well
    QVERIFY(contentOf(*padded, "zeros") == zeros);

    ZipWriter more;
    more.add("zeros", zeros, true).size = 9'000'000;
    const auto overflowing = openBytes(more.finish());
    QVERIFY(overflowing);
    const auto content = contentOf(*overflowing, "zeros");
    QVERIFY(!content);
    QVERIFY(QString::fromStdString(content.error().message()).contains("unpacks to more"));

    const Bytes packed = ZipWriter::deflateRaw(zeros);
    ZipWriter large;
    for (int i = 0; i < 500; ++i)
        large.add(std::to_string(i), packed).method = 0;
    for (std::size_t i = 0; i < 500; ++i) {
        large.entry(i).method = 8;
        large.entry(i).size = zeros.size();
    }
    Bytes bytes = large.finish();
    for (std::size_t i = 0; i + 4 < bytes.size(); ++i) {
        const Bytes signature = bytesOf("PK\x03\x04");
        if (std::equal(signature.begin(), signature.end(), bytes.begin() + static_cast<std::ptrdiff_t>(i)))
            bytes[i + 8] = std::byte{8};
    }
    const auto refused = openBytes(bytes);
    QVERIFY(!refused);
    QVERIFY2(QString::fromStdString(refused.error().message()).contains("zip bomb"), refused.error().message().c_str());
}

void TestZipArchive::stopsWhenAsked() {
    ZipWriter writer;
    writer.add("big", manyBytes(3'000'000), true);
    const auto archive = openBytes(writer.finish());
    QVERIFY(archive);
    std::stop_source stop;
    stop.request_stop();
    const auto opened = archive->openMember(*archive->find("big"), JobControl{stop.get_token(), nullptr});
    QVERIFY(!opened);
    QCOMPARE(opened.error().kind, Error::Kind::Cancelled);
}

QTEST_APPLESS_MAIN(TestZipArchive)
#include "test_zip_archive.moc"
