// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/store/context_store.h"
#include "tests/unit/fetch_fixture.h"

#include <QCoreApplication>
#include <QDirIterator>
#include <QFile>
#include <QTest>

#include <csignal>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace kvscope;
using namespace kvscope::testing;

namespace {

constexpr std::int64_t kTokens = 600;

bool writeText(const char* path, const std::string& text) {
    const int file = ::open(path, O_WRONLY | O_CLOEXEC);
    const bool done = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (file >= 0)
        ::close(file);
    return done;
}

/// Gives this process, while it has one thread, mounts that nobody else sees; false where that is not permitted.
bool takeMountsApart() {
    const auto user = ::getuid();
    if (::unshare(CLONE_NEWNS) != 0) {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !writeText("/proc/self/setgroups", "deny") ||
            !writeText("/proc/self/uid_map", "0 " + std::to_string(user) + " 1"))
            return false;
    }
    return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// Files are limited to so many bytes while it lives.
class FileLimit {
public:
    explicit FileLimit(rlim_t bytes) {
        (void)::getrlimit(RLIMIT_FSIZE, &before_);
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        (void)::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileLimit() { (void)::setrlimit(RLIMIT_FSIZE, &before_); }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

private:
    rlimit before_{};
};

QByteArray contentOf(const QString& path) {
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

QStringList filesIn(const QString& folder) {
    QStringList files;
    for (QDirIterator entry(folder, QDir::Files, QDirIterator::Subdirectories); entry.hasNext();)
        files.append(entry.next());
    files.sort();
    return files;
}

bool hasMounts = false;

} // namespace

/// Everything that is written, on a disk without room and under a limit of the size of files: the old content stays,
/// nothing half-written does, and the message says what, where and what to do.
class TestFullDisk : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        cache_ = codecCache(kTokens, 3, 2, 16);
        encoded_ = std::make_unique<EncodedFile>(cache_);
        QVERIFY(encoded_->file() != nullptr);
        plans_.push_back(*makePreset("kvz-high", cache_));
        if (hasMounts)
            hasMounts = ::mount("none", disk_.path().toLocal8Bit().constData(), "tmpfs", 0, "size=4m") == 0;
    }
    void cleanupTestCase() {
        if (hasMounts)
            (void)::umount(disk_.path().toLocal8Bit().constData());
    }
    void cleanup() {
        empty();
        limit_.reset();
    }

    void aNewKvzReplacesNothing_data() { addKinds(); }
    void aNewKvzReplacesNothing() {
        const QString path = place(QStringLiteral("cache.kvz"));
        QVERIFY(writeKvz(path.toStdString(), codecCache(40, 1, 1, 8), plans_, pool_));
        const QByteArray before = contentOf(path);
        const QStringList files = filesIn(folder());
        fill(8 << 10);
        const auto written = writeKvz(path.toStdString(), cache_, plans_, pool_);
        QVERIFY(!written);
        checkMessage(written.error(), path);
        makeRoom();
        QCOMPARE(filesIn(folder()), files);
        QCOMPARE(contentOf(path), before);
        // The program goes on: with room it works.
        QVERIFY(writeKvz(path.toStdString(), cache_, plans_, pool_));
        QVERIFY(KvzFile::open(*openFile(path.toStdString())));
    }

    void anAppendedKvzStaysWhatItWas_data() { addKinds(); }
    void anAppendedKvzStaysWhatItWas() {
        const QString path = place(QStringLiteral("growing.kvz"));
        QVERIFY(writeKvz(path.toStdString(), codecCache(kTokens / 2, 3, 2, 16), plans_, pool_));
        const QByteArray before = contentOf(path);
        fill(8 << 10, before.size());
        const std::vector<CodecPlan> more{*makePreset("raw", cache_)};
        const auto appended = appendKvz(path.toStdString(), codecCache(kTokens / 2, 3, 2, 16), more, pool_);
        QVERIFY(!appended);
        checkMessage(appended.error(), path);
        QCOMPARE(contentOf(path), before);
        makeRoom();
        QVERIFY(appendKvz(path.toStdString(), codecCache(kTokens / 2, 3, 2, 16), more, pool_));
        QCOMPARE((*KvzFile::open(*openFile(path.toStdString())))->levels().size(), std::size_t{2});
    }

    void aPartialCacheIsKeptElsewhere_data() { addKinds(); }
    void aPartialCacheIsKeptElsewhere() {
        SenderOptions options;
        options.faults = std::vector<SenderFault>(9, {SenderFault::Kind::Lose, 3, 0});
        const auto sender = Sender::start(encoded_->shelf(), options);
        QVERIFY(sender);
        FetchOptions fetch = fetchFrom({sender->get()}, "kvz-high");
        fetch.attempts = 2;
        const auto fetched = fetchContext(fetch, pool_);
        QVERIFY(fetched && fetched->problem && !fetched->heldChunks().empty());
        const QString path = place(QStringLiteral("fetched.kvz"));
        fill(8 << 10);
        const QStringList files = filesIn(folder());
        const auto kept = fetched->writeKvz(path.toStdString());
        QVERIFY(!kept);
        checkMessage(kept.error(), path);
        QCOMPARE(filesIn(folder()), files);
        // What was fetched is still there, to be kept elsewhere.
        limit_.reset();
        QTemporaryDir other;
        const std::string there = other.filePath(QStringLiteral("fetched.kvz")).toStdString();
        QVERIFY(fetched->writeKvz(there));
        const auto file = KvzFile::open(*openFile(there));
        QVERIFY(file && (*file)->info().name.find("partial") != std::string::npos);
        QVERIFY(sameNative((*file)->cache(0), fetched->cache()));
    }

    void aStoreKeepsItsContexts_data() { addKinds(); }
    void aStoreKeepsItsContexts() {
        const std::string where = place(QStringLiteral("store")).toStdString();
        auto store = openFolderStore(where, true);
        QVERIFY(store);
        const EncodedFile small(codecCache(64, 1, 1, 8));
        QVERIFY(putContext(**store, "held", *contextOf(small.file())));
        const QStringList before = filesIn(folder());
        fill(512);
        const auto refused = putContext(**store, "held", *contextOf(encoded_->file()));
        QVERIFY(!refused);
        checkMessage(refused.error(), QString::fromStdString(where));
        for (const QString& file : filesIn(folder()))
            QVERIFY2(!file.endsWith(QLatin1String(".part")), qPrintable(file));
        QVERIFY(readsWhole(*store, small));
        makeRoom();
        // Chunks that had come by then are whole, and of use to the next attempt.
        QVERIFY(putContext(**store, "held", *contextOf(encoded_->file())));
        QVERIFY(readsWhole(*store, *encoded_));
        QVERIFY(filesIn(folder()).size() > before.size());
    }

private:
    enum Kind { Disk, Limit };

    static void addKinds() {
        QTest::addColumn<int>("kind");
        QTest::newRow("full disk") << static_cast<int>(Disk);
        QTest::newRow("limit of file size") << static_cast<int>(Limit);
    }
    static Kind kind() { return static_cast<Kind>(*static_cast<int*>(QTest::qData("kind", qMetaTypeId<int>()))); }
    [[nodiscard]] QString folder() const { return kind() == Disk ? disk_.path() : plain_.path(); }

    /// Where a file goes whose disk will be full.
    [[nodiscard]] QString place(const QString& name) const { return folder() + QLatin1Char('/') + name; }

    /// Leaves no more than so many bytes (a page at least on a disk; beyond `kept` where files are limited).
    void fill(std::int64_t room, std::int64_t kept = 0) {
        if (kind() == Limit) {
            limit_.emplace(static_cast<rlim_t>(kept + room));
            return;
        }
        if (!hasMounts)
            QSKIP("mounting a disk of its own is not permitted here");
        QFile filler(place(QStringLiteral("filler")));
        QVERIFY(filler.open(QIODevice::WriteOnly | QIODevice::Unbuffered));
        const QByteArray page(4096, 'x');
        while (filler.write(page) == page.size()) {
        }
        QVERIFY(filler.size() > room);
        QVERIFY(filler.resize((filler.size() - room) / 4096 * 4096));
    }
    void makeRoom() {
        limit_.reset();
        QFile::remove(place(QStringLiteral("filler")));
    }
    void empty() {
        limit_.reset();
        for (const QString& file : filesIn(folder()))
            QFile::remove(file);
        QDir(place(QStringLiteral("store"))).removeRecursively();
    }

    static void checkMessage(const Error& error, const QString& path) {
        QCOMPARE(error.kind, Error::Kind::System);
        const QString message = QString::fromStdString(error.message());
        QVERIFY2(message.contains(path), qPrintable(message));
        QVERIFY2(message.contains(kind() == Disk ? QStringLiteral("No space left") : QStringLiteral("too large")),
                 qPrintable(message));
        QVERIFY2(message.contains(kind() == Disk ? QStringLiteral("Make room") : QStringLiteral("ulimit")),
                 qPrintable(message));
    }

    static bool readsWhole(const ContextStorePtr& store, const EncodedFile& as) {
        const auto context = openContext(store, "held");
        if (!context || (*context)->directory().levels.size() != as.file()->levels().size())
            return false;
        for (std::size_t level = 0; level < as.file()->levels().size(); ++level) {
            for (const auto& [id, plane] : as.file()->levels()[level].planes) {
                for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk) {
                    const auto bytes = (*context)->readChunk(level, id, chunk);
                    if (!bytes || *bytes != *as.file()->readChunk(level, id, chunk))
                        return false;
                }
            }
        }
        return true;
    }

    KvCache cache_ = codecCache(1);
    std::unique_ptr<EncodedFile> encoded_;
    std::vector<CodecPlan> plans_;
    ThreadPool pool_;
    QTemporaryDir disk_;
    QTemporaryDir plain_;
    std::optional<FileLimit> limit_;
};

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);
    hasMounts = takeMountsApart();
    QCoreApplication application(argc, argv);
    TestFullDisk test;
    return QTest::qExec(&test, argc, argv);
}
#include "test_full_disk.moc"
