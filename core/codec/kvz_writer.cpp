// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_writer.h"

#include "core/base/hash.h"
#include "core/codec/kvz_layout.h"

#include <algorithm>
#include <limits>

namespace kvscope {

namespace {

/// The part of a geometry that a plan encodes, with recordings left out.
KvGeometry cachePlanes(KvGeometry geometry) {
    for (LayerGeometry& layer : geometry.layers) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            auto& plane = layer.plane(kind);
            if (!isCacheKind(kind))
                plane.reset();
            if (!plane)
                continue;
            plane->storage.clear();
            plane->storedRowBytes = 0;
        }
    }
    return geometry;
}

KvzDirectory directoryOf(const KvGeometry& geometry, const CacheInfo& info) {
    KvzDirectory directory;
    directory.geometry = cachePlanes(geometry);
    directory.info = info;
    return directory;
}

/// The geometry of a cache as it is encoded: float32 where its stored values are scaled.
KvGeometry codedGeometry(const KvCache& cache) {
    KvGeometry geometry = cachePlanes(cache.geometry());
    for (const PlaneId id : geometry.allPlanes()) {
        if (!cache.nativeIsExact(id))
            geometry.layers[static_cast<std::size_t>(id.layer.value)].plane(id.kind)->dtype = DType::F32;
    }
    return geometry;
}

std::string planeName(PlaneId id) {
    return "layer " + std::to_string(id.layer.value) + " " + std::string(nameOf(id.kind));
}

tl::unexpected<Error> notAContinuation(const std::string& what, const std::string& file) {
    return fail("does not hold the beginning of this cache: " + what, file,
                "Append the longer version of the same dump, or write a new file");
}

/// Whether `later` is `earlier` with tokens added.
Result<void> checkContinuation(const KvGeometry& earlier, const KvGeometry& later, const std::string& file) {
    if (earlier.sequences != later.sequences || earlier.layers.size() != later.layers.size())
        return notAContinuation("it has another number of layers or sequences", file);
    for (const PlaneId id : later.allPlanes()) {
        const PlaneGeometry* before = earlier.find(id);
        const PlaneGeometry& after = *later.find(id);
        if (before == nullptr || before->heads != after.heads || before->headDim != after.headDim ||
            before->dtype != after.dtype)
            return notAContinuation(planeName(id) + " has another shape or type", file);
        if (before->tokens > after.tokens)
            return notAContinuation(planeName(id) + " has fewer tokens", file);
        for (TokenIndex token(0); token.value < before->tokens; ++token) {
            if (before->position(token) != after.position(token))
                return notAContinuation(planeName(id) + " has other text positions", file);
        }
    }
    if (earlier.allPlanes().size() != later.allPlanes().size())
        return notAContinuation("it lacks planes", file);
    return {};
}

Result<void> checkText(const CacheInfo& earlier, const CacheInfo& later, const std::string& file) {
    for (std::size_t i = 0; i < std::min(earlier.tokens.size(), later.tokens.size()); ++i) {
        const auto& before = earlier.tokens[i].ids;
        const auto& after = later.tokens[i].ids;
        if (!std::ranges::equal(before, std::span(after).first(std::min(before.size(), after.size()))) &&
            !after.empty())
            return notAContinuation("it was computed from another text", file);
    }
    return {};
}

/// The first token whose chunk is not final: encoding the longer cache may change it.
TokenIndex firstOpenToken(const KvzPlane& plane, const PlaneGeometry& shape, std::int64_t chunkTokens) {
    for (const KvzChunk& chunk : plane.chunks) {
        const auto* kivi = std::get_if<Kivi>(&plane.pipelines[chunk.pipeline].pipeline.quantiser);
        const std::int64_t residual = kivi != nullptr ? kivi->residual : 0;
        if (chunk.tokens.size() < chunkTokens || chunk.tokens.end.value > shape.tokens - residual)
            return chunk.tokens.begin;
    }
    return TokenIndex(shape.tokens);
}

Result<void> addLevels(KvzWriter& writer, const KvCache& cache, std::span<const CodecPlan> plans, ThreadPool& pool,
                       const EncodeOptions& options, const JobControl& job, KvzReport& report) {
    for (const CodecPlan& plan : plans) {
        KVSCOPE_ASSIGN(const std::size_t level, writer.addLevel(plan.name, plan));
        KVSCOPE_ASSIGN(Encoding encoding, encodeCache(cache, plan, pool, options, job));
        for (const auto& [id, plane] : encoding.planes)
            KVSCOPE_TRY(writer.putPlane(level, *plane));
        writer.noteErrors(level, encoding.report);
        report.levels.push_back(std::move(encoding.report));
    }
    return {};
}

/// Encodes what is new of one level.
Result<EncodeReport> extendLevel(KvzWriter& writer, std::size_t index, const KvGeometry& before, const KvCache& cache,
                                 ThreadPool& pool, const EncodeOptions& options, const JobControl& job) {
    EncodeReport report;
    report.dump = cache.info().name;
    report.plan = writer.levels()[index].plan;
    for (const PlaneId id : before.allPlanes()) {
        if (cache.geometry().find(id)->tokens == before.find(id)->tokens)
            continue;
        const KvzPlane& held = writer.levels()[index].planes.at(id);
        const TokenIndex first = firstOpenToken(held, *before.find(id), report.plan.chunkTokens);
        KVSCOPE_ASSIGN(EncodedPlaneResult encoded,
                       encodePlane(cache, id, report.plan, pool, options, job, held.pipelines, first));
        KVSCOPE_TRY(writer.putPlane(index, *encoded.plane));
        report.put(std::move(encoded.report));
    }
    writer.noteErrors(index, report);
    return report;
}

} // namespace

KvzWriter::KvzWriter(OutputFile file, KvzDirectory directory, KvzRoot root)
    : file_(std::move(file))
    , directory_(std::move(directory))
    , root_(root)
    , end_(root.generation == 0 ? kKvzHeaderBytes : root.fileBytes) {}

Result<KvzWriter> KvzWriter::create(std::filesystem::path path, const KvGeometry& geometry, const CacheInfo& info) {
    KvzDirectory directory = directoryOf(geometry, info);
    if (directory.geometry.allPlanes().empty())
        return fail("holds no K, V or latent planes to encode", info.name, "Choose another dump");
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(std::move(path)));
    KVSCOPE_TRY(file.write(kvzHeader()));
    return KvzWriter(std::move(file), std::move(directory), {});
}

Result<KvzWriter> KvzWriter::append(std::filesystem::path path, const KvGeometry& geometry, const CacheInfo& info) {
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(path));
    KVSCOPE_ASSIGN(const KvzFilePtr existing, KvzFile::open(bytes));
    KvzDirectory directory = directoryOf(geometry, info);
    KVSCOPE_TRY(checkContinuation(existing->geometry(), directory.geometry, existing->name()));
    KVSCOPE_TRY(checkText(existing->info(), info, existing->name()));
    directory.levels = existing->levels();
    if (directory.info.tokens.empty())
        directory.info.tokens = existing->info().tokens;
    if (directory.info.rope.empty())
        directory.info.rope = existing->info().rope;
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::openExisting(std::move(path), existing->root().fileBytes));
    return KvzWriter(std::move(file), std::move(directory), existing->root());
}

Result<std::size_t> KvzWriter::addLevel(std::string name, const CodecPlan& plan) {
    KVSCOPE_TRY(validate(plan));
    if (name == kTextLevelName)
        return fail("has the name of the level that holds the tokens: \"text\"", "the plan",
                    "Give the plan another name");
    if (name.empty() || std::ranges::find(directory_.levels, name, &KvzLevel::name) != directory_.levels.end())
        return fail("has no name, or one that another level has: \"" + name + "\"", "the plan",
                    "Give each plan a name of its own");
    for (const PlaneId id : directory_.geometry.allPlanes()) {
        if (plan.chunkTokens > kMaxChunkValues / directory_.geometry.find(id)->channels())
            return fail("is too large for planes as wide as " + planeName(id), "chunk_tokens", "Use smaller chunks");
    }
    directory_.levels.push_back({std::move(name), plan, {}, {}});
    return directory_.levels.size() - 1;
}

Result<void> KvzWriter::putPlane(std::size_t level, const EncodedPlane& plane) {
    KvzPlane& held = directory_.levels[level].planes[plane.plane];
    if (!plane.parts.empty())
        std::erase_if(held.chunks,
                      [&](const KvzChunk& chunk) { return chunk.tokens.begin >= plane.parts.front().tokens.begin; });
    held.pipelines = plane.pipelines;
    for (const EncodedPart& part : plane.parts) {
        if (part.bytes.size() > std::numeric_limits<std::uint32_t>::max())
            return fail("has a chunk of more than 4 GiB", planeName(plane.plane), "Use smaller chunks");
        const auto size = static_cast<std::int64_t>(part.bytes.size());
        KVSCOPE_TRY(file_.write(part.bytes));
        held.chunks.push_back({end_, size, hashBytes(part.bytes), part.tokens, part.pipeline});
        end_ += size;
    }
    return {};
}

void KvzWriter::noteErrors(std::size_t level, const EncodeReport& report) {
    auto& errors = directory_.levels[level].errors;
    errors.resize(directory_.geometry.layers.size());
    for (std::size_t layer = 0; layer < errors.size(); ++layer) {
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value, PlaneKind::Latent}) {
            const auto& plane = directory_.geometry.layers[layer].plane(kind);
            const EncodeTotals totals = report.totals(LayerIndex(static_cast<std::int64_t>(layer)), kind);
            if (!plane || totals.values == 0)
                continue;
            auto& error = errors[layer][static_cast<std::size_t>(kind)];
            const auto all = static_cast<double>(plane->values() * directory_.geometry.sequences);
            const double share = std::clamp(static_cast<double>(totals.values) / all, 0.0, 1.0);
            if (!totals.hasError || (share < 1 && !error))
                error.reset();
            else
                error = share * headlineError(kind, totals.error) + (1 - share) * error.value_or(0);
        }
    }
}

void KvzWriter::noteErrors(std::size_t level, std::vector<KvzLayerError> errors) {
    if (errors.size() == directory_.geometry.layers.size())
        directory_.levels[level].errors = std::move(errors);
}

Result<void> KvzWriter::finish() {
    if (directory_.levels.empty() && !hasText(directory_.info))
        return fail("holds no tokens to write as text, and no plan is given", directory_.info.name,
                    "Name a preset or a plan");
    for (const KvzLevel& level : directory_.levels) {
        if (level.planes.size() != directory_.geometry.allPlanes().size())
            return fail("lacks planes", "level " + level.name, "Encode every plane before the file is finished");
    }
    const std::vector<std::byte> bytes = toBytes(directory_);
    const auto size = static_cast<std::int64_t>(bytes.size());
    const KvzRoot root{root_.generation + 1, end_, size, hashBytes(bytes), end_ + size};
    KVSCOPE_TRY(file_.write(bytes));
    KVSCOPE_TRY(file_.flush());
    KVSCOPE_TRY(file_.writeAt(root.offset(), kvscope::toBytes(root)));
    return file_.commit();
}

Result<KvzReport> writeKvz(const std::filesystem::path& path, const KvCache& cache, std::span<const CodecPlan> plans,
                           ThreadPool& pool, const EncodeOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(KvzWriter writer, KvzWriter::create(path, codedGeometry(cache), cache.info()));
    KvzReport report;
    KVSCOPE_TRY(addLevels(writer, cache, plans, pool, options, job, report));
    KVSCOPE_TRY(writer.finish());
    report.textBytes = textBytes(cache.info());
    std::error_code ignored;
    report.fileBytes = static_cast<std::int64_t>(std::filesystem::file_size(path, ignored));
    return report;
}

Result<KvzReport> appendKvz(const std::filesystem::path& path, const KvCache& cache, std::span<const CodecPlan> plans,
                            ThreadPool& pool, const EncodeOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(path));
    KVSCOPE_ASSIGN(const KvzFilePtr existing, KvzFile::open(bytes));
    KVSCOPE_ASSIGN(KvzWriter writer, KvzWriter::append(path, codedGeometry(cache), cache.info()));
    KvzReport report;
    for (std::size_t level = 0; level < existing->levels().size(); ++level) {
        KVSCOPE_ASSIGN(EncodeReport extended,
                       extendLevel(writer, level, existing->geometry(), cache, pool, options, job));
        report.levels.push_back(std::move(extended));
    }
    KVSCOPE_TRY(addLevels(writer, cache, plans, pool, options, job, report));
    KVSCOPE_TRY(writer.finish());
    report.textBytes = textBytes(cache.info().tokens.empty() ? existing->info() : cache.info());
    std::error_code ignored;
    report.fileBytes = static_cast<std::int64_t>(std::filesystem::file_size(path, ignored));
    return report;
}

} // namespace kvscope
