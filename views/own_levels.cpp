// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/own_levels.h"

#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"
#include "views/codec_session.h"
#include "views/stream_session.h"

#include <QDir>
#include <QFileInfo>
#include <QTemporaryDir>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

namespace kvscope::views {

namespace {

/// So many bytes of output are decoded to learn how fast that is.
constexpr std::int64_t kTimedBytes = std::int64_t{64} << 20;

/// Encoded chunks are no longer than this where they can be, so that they are decoded while others arrive.
constexpr std::int64_t kMostEncodedTokens = 256;
/// Chunks are cut at multiples of this.
constexpr std::int64_t kGrain = 16;

/// Bytes of 16-bit output a second when all workers decode one level.
Result<double> decodeSpeed(const KvzFilePtr& file, std::size_t level, ThreadPool& pool) {
    const KvCache cache = file->cache(level);
    struct Piece {
        PlaneId plane;
        TokenRange tokens;
        std::int64_t values = 0;
    };
    std::vector<Piece> pieces;
    std::int64_t bytes = 0;
    for (const auto& [id, plane] : file->levels()[level].planes) {
        const PlaneGeometry& shape = *cache.geometry().find(id);
        for (const KvzChunk& chunk : plane.chunks) {
            pieces.push_back({id, chunk.tokens, chunk.tokens.size() * shape.channels()});
            bytes += 2 * pieces.back().values;
        }
        if (bytes >= kTimedBytes)
            break;
    }
    std::atomic<bool> failed = false;
    const auto begin = std::chrono::steady_clock::now();
    pool.parallelFor(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
        const Piece& piece = pieces[static_cast<std::size_t>(i)];
        const PlaneGeometry& shape = *cache.geometry().find(piece.plane);
        try {
            std::vector<std::byte> out(static_cast<std::size_t>(piece.values * sizeOf(shape.dtype)));
            if (!cache.readNative(piece.plane, piece.tokens, out))
                failed = true;
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (failed || bytes == 0)
        return fail("what was just encoded cannot be decoded", file->info().name);
    return static_cast<double>(bytes) / std::max(took.count(), 1e-6);
}

/// Keeps the folder for as long as the shelf is used.
struct Kept {
    QTemporaryDir folder;
    ContextShelfPtr shelf;
};

} // namespace

bool OwnLevelsRequest::operator==(const OwnLevelsRequest& other) const {
    return presets == other.presets && chunkTokens == other.chunkTokens &&
           tuned.has_value() == other.tuned.has_value() && (!tuned || hashOf(*tuned) == hashOf(*other.tuned));
}

std::int64_t contextTokensOf(const KvGeometry& geometry) {
    std::int64_t tokens = 0;
    for (const PlaneKind kind : geometry.kinds())
        tokens = std::max(tokens, geometry.maxTokens(kind));
    return tokens;
}

OwnLevelsRequest ownLevelsFor(const StreamSession& session) {
    OwnLevelsRequest request;
    request.presets = {"raw", "quant8"};
    request.presets.insert(request.presets.end(), session.levels().begin(), session.levels().end());
    const CodecSession& codec = CodecSession::of(*session.document());
    if (codec.planCount() > 0)
        request.tuned = codec.plan();
    const StreamSettings& settings = session.settings();
    std::int64_t chunk = settings.chunkTokens;
    if (!settings.model.empty()) {
        const std::int64_t chunks = (settings.contextTokens + settings.chunkTokens - 1) / settings.chunkTokens;
        chunk =
            (contextTokensOf(session.document()->cache().geometry()) + chunks - 1) / std::max<std::int64_t>(chunks, 1);
    }
    chunk = std::max(kGrain, (chunk + kGrain - 1) / kGrain * kGrain);
    request.chunkTokens = chunk > kMostEncodedTokens && chunk % kMostEncodedTokens == 0 ? kMostEncodedTokens : chunk;
    return request;
}

Result<OwnLevels> encodeOwnLevels(const KvCache& cache, const OwnLevelsRequest& request, ThreadPool& pool,
                                  const JobControl& job) {
    auto kept = std::make_shared<Kept>();
    if (!kept->folder.isValid())
        return fail("cannot make a folder for the encoded levels: " + kept->folder.errorString().toStdString(),
                    QDir::tempPath().toStdString(), "Make room there, or set TMPDIR to another folder",
                    Error::Kind::System);
    std::vector<CodecPlan> plans;
    for (const std::string& name : request.presets) {
        KVSCOPE_ASSIGN(CodecPlan plan, makePreset(name, cache, JobControl{job.stop, nullptr}));
        plans.push_back(std::move(plan));
    }
    for (CodecPlan& plan : plans)
        plan.chunkTokens = request.chunkTokens;
    if (request.tuned) {
        CodecPlan plan = *request.tuned;
        plan.chunkTokens = request.chunkTokens;
        // One that is a preset as it is adds nothing.
        const auto same = [&plan](CodecPlan preset) {
            preset.name = plan.name;
            return hashOf(preset) == hashOf(plan);
        };
        const std::string base = plan.name.empty() ? "tuned" : plan.name;
        if (std::ranges::none_of(plans, same)) {
            for (int i = 2; std::ranges::find(plans, plan.name, &CodecPlan::name) != plans.end(); ++i)
                plan.name = base + "-" + std::to_string(i);
            plans.push_back(std::move(plan));
        }
    }
    const std::string name = contextNameFrom(cache.info().name.empty() ? "dump" : cache.info().name);
    const std::string path = kept->folder.filePath(QString::fromStdString(name + ".kvz")).toStdString();
    EncodeOptions options;
    options.measureAttention = false;
    KVSCOPE_TRY(writeKvz(path, cache, plans, pool, options, job));
    KVSCOPE_ASSIGN(auto opened, openFile(path));
    KVSCOPE_ASSIGN(const KvzFilePtr file, KvzFile::open(std::move(opened)));
    OwnLevels levels;
    // The middle of the levels that have something to decode stands for all.
    KVSCOPE_ASSIGN(levels.decodeBytesPerSecond, decodeSpeed(file, plans.size() / 2, pool));
    levels.bytes = QFileInfo(QString::fromStdString(path)).size();
    KVSCOPE_ASSIGN(kept->shelf, openShelf(path));
    levels.shelf = ContextShelfPtr(kept, kept->shelf.get());
    return levels;
}

} // namespace kvscope::views
