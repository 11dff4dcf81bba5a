// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_job.h"

#include "core/codec/attention_error.h"
#include "core/codec/chunk_error.h"
#include "core/codec/raw_vector.h"
#include "core/codec/rope_choice.h"
#include "core/stats/in_order.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <numeric>
#include <set>

namespace kvscope {

namespace {

constexpr double kBitsPerByte = 8;
/// A plane longer than this is calibrated on evenly spaced stretches of its tokens.
constexpr std::int64_t kCalibrationTokens = 2048;
constexpr std::int64_t kStretches = 8;

/// Processor time of this thread in seconds.
double threadSeconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string nameOfPlane(PlaneId plane) {
    return "layer " + std::to_string(plane.layer.value) + " " + std::string(nameOf(plane.kind)) +
           (plane.sequence.value != 0 ? " sequence " + std::to_string(plane.sequence.value) : std::string());
}

/// The plane as the codec sees it: scaled and block-quantised dumps as the float32 values that they stand for.
PlaneGeometry codedGeometry(const KvCache& cache, PlaneId id) {
    PlaneGeometry shape = *cache.geometry().find(id);
    shape.storage.clear();
    shape.storedRowBytes = 0;
    if (!cache.nativeIsExact(id))
        shape.dtype = DType::F32;
    return shape;
}

/// Token stretches to calibrate on: all tokens of a short plane.
std::vector<TokenRange> calibrationTokens(const PlaneGeometry& shape, std::int64_t group) {
    if (shape.tokens <= kCalibrationTokens)
        return {tokenRange(0, shape.tokens)};
    const std::int64_t length = std::max<std::int64_t>(1, kCalibrationTokens / kStretches / group) * group;
    std::vector<TokenRange> stretches;
    for (std::int64_t i = 0; i < kStretches; ++i) {
        const std::int64_t room = std::max<std::int64_t>(0, shape.tokens - length);
        const std::int64_t begin = room * i / (kStretches - 1) / group * group;
        stretches.push_back(tokenRange(begin, std::min(begin + length, shape.tokens)));
    }
    return stretches;
}

/// Rows of a plane sampled for calibration, under the text positions that they have.
Result<PlaneCalibration> calibratePlane(const KvCache& cache, PlaneId id, const PlaneGeometry& shape,
                                        const Pipeline& pipeline) {
    const auto stretches = calibrationTokens(shape, calibrationGroup(pipeline));
    PlaneGeometry sampled = shape;
    sampled.tokens = 0;
    sampled.positions.clear();
    std::vector<float> rows;
    for (const TokenRange tokens : stretches) {
        const std::size_t before = rows.size();
        rows.resize(before + static_cast<std::size_t>(tokens.size() * shape.channels()));
        KVSCOPE_TRY(cache.readRows(id, tokens, std::span(rows).subspan(before)));
        for (TokenIndex token = tokens.begin; token < tokens.end; ++token)
            sampled.positions.push_back(shape.position(token));
        sampled.tokens += tokens.size();
    }
    const ChunkShape chunk{id.kind, sampled, tokenRange(0, sampled.tokens), cache.rope(id.layer)};
    return calibrate(pipeline, chunk, rows);
}

/// One plane on its way.
struct PlaneWork {
    explicit PlaneWork(const PlaneGeometry& plane)
        : shape(plane)
        , error(plane.heads, plane.headDim) {}

    PlaneId id;
    PlaneGeometry shape;
    std::vector<CalibratedPipeline> pipelines;
    /// For each pipeline: whether it was calibrated before.
    std::vector<char> known;
    /// For each pipeline: bytes of its channel terms, which all its chunks share.
    std::vector<std::int64_t> termBytes;
    std::vector<EncodedPart> parts;
    std::vector<ChunkReport> reports;
    ChunkError error;
    InOrder<ChunkError> order;
    std::once_flag calibrated;
    std::optional<Error> calibrationError;
    std::atomic<std::size_t> left{0};
};
using PlaneWorkPtr = std::unique_ptr<PlaneWork>;

std::size_t pipelineIndex(PlaneWork& work, const Pipeline& pipeline) {
    const auto found = std::ranges::find(work.pipelines, pipeline, &CalibratedPipeline::pipeline);
    if (found == work.pipelines.end()) {
        work.pipelines.push_back({pipeline, {}});
        work.known.push_back(0);
        return work.pipelines.size() - 1;
    }
    return static_cast<std::size_t>(found - work.pipelines.begin());
}

/// What was measured of a plane when it was encoded with other settings holds for these too where it says as much.
void takeCalibrations(PlaneWork& work, const EncodedPlane* former) {
    if (former == nullptr || former->geometry != work.shape)
        return;
    for (std::size_t i = 0; i < work.pipelines.size(); ++i) {
        for (const CalibratedPipeline& one : former->pipelines) {
            if (work.known[i] != 0)
                break;
            auto calibration = calibrationFor(work.pipelines[i].pipeline, one.pipeline, one.calibration);
            if (!calibration)
                continue;
            work.pipelines[i].calibration = std::move(*calibration);
            work.known[i] = 1;
        }
    }
}

PlaneWorkPtr makeWork(const KvCache& cache, PlaneId id, const CodecPlan& plan,
                      const std::vector<CalibratedPipeline>& known, TokenIndex firstToken, const EncodedPlane* former) {
    auto work = std::make_unique<PlaneWork>(codedGeometry(cache, id));
    work->id = id;
    work->pipelines = known;
    work->known.assign(known.size(), 1);
    for (std::int64_t token = firstToken.value; token < work->shape.tokens; token += plan.chunkTokens) {
        const TokenRange tokens = tokenRange(token, std::min(token + plan.chunkTokens, work->shape.tokens));
        const Pipeline& pipeline = plan.pipelineFor(id.layer, id.kind, token / plan.chunkTokens);
        work->parts.push_back({tokens, pipelineIndex(*work, pipeline), {}});
        work->reports.emplace_back();
    }
    work->left = work->parts.size();
    takeCalibrations(*work, former);
    return work;
}

/// Bits of each channel with everything that is not the coder's payload shared out evenly.
std::vector<float> allInBits(const EncodedChunk& chunk, std::int64_t channels) {
    const double total = kBitsPerByte * static_cast<double>(chunk.parts.total());
    std::vector<float> bits = chunk.channelBits;
    bits.resize(static_cast<std::size_t>(channels));
    const double known = std::accumulate(bits.begin(), bits.end(), 0.0);
    const auto rest = static_cast<float>((total - known) / static_cast<double>(channels));
    for (float& channel : bits)
        channel += rest;
    return bits;
}

class Job {
public:
    Job(const KvCache& cache, const EncodeOptions& options, const JobControl& control)
        : cache_(cache)
        , options_(options)
        , control_(control) {}

    Result<std::vector<EncodedPlaneResult>> run(const std::vector<PlaneWorkPtr>& planes, ThreadPool& pool) {
        struct Task {
            PlaneWork* plane;
            std::size_t chunk;
        };
        std::vector<Task> tasks;
        for (const PlaneWorkPtr& plane : planes) {
            for (std::size_t chunk = 0; chunk < plane->parts.size(); ++chunk)
                tasks.push_back({plane.get(), chunk});
            if (plane->parts.empty())
                finish(*plane);
        }
        pool.parallelFor(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i) {
            if (stopped_.load() || control_.stopRequested())
                return;
            const Task task = tasks[static_cast<std::size_t>(i)];
            if (auto done = guarded(*task.plane, task.chunk); !done)
                stop(std::move(done.error()));
        });
        if (error_)
            return tl::unexpected<Error>(std::move(*error_));
        if (control_.stopRequested())
            return cancelled();
        return std::move(results_);
    }

private:
    /// Buffers of one chunk under way; a job needs as many as it has threads and keeps them until its end.
    struct Scratch {
        RawVector<float> values;
        RawVector<std::byte> native;
        RawVector<float> decoded;
    };
    class Borrowed {
    public:
        explicit Borrowed(Job& job)
            : job_(job) {
            const std::lock_guard lock(job_.mutex_);
            if (job_.scratch_.empty()) {
                scratch_ = std::make_unique<Scratch>();
                return;
            }
            scratch_ = std::move(job_.scratch_.back());
            job_.scratch_.pop_back();
        }
        ~Borrowed() {
            const std::lock_guard lock(job_.mutex_);
            job_.scratch_.push_back(std::move(scratch_));
        }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;

        Scratch* operator->() const { return scratch_.get(); }

    private:
        Job& job_;
        std::unique_ptr<Scratch> scratch_;
    };

    void stop(Error error) {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        if (!error_)
            error_ = std::move(error);
    }

    Result<void> guarded(PlaneWork& plane, std::size_t chunk) {
        try {
            return encode(plane, chunk);
        } catch (const std::bad_alloc&) {
            return fail("needs more memory than there is to be encoded", nameOfPlane(plane.id), "Close other dumps",
                        Error::Kind::System);
        }
    }

    Result<void> calibrateOnce(PlaneWork& plane) {
        std::call_once(plane.calibrated, [&] {
            for (std::size_t i = 0; i < plane.pipelines.size(); ++i) {
                if (plane.known[i] != 0)
                    continue;
                auto calibration = calibratePlane(cache_, plane.id, plane.shape, plane.pipelines[i].pipeline);
                if (!calibration) {
                    plane.calibrationError = std::move(calibration.error());
                    return;
                }
                plane.pipelines[i].calibration = std::move(*calibration);
            }
            for (const CalibratedPipeline& one : plane.pipelines)
                plane.termBytes.push_back(static_cast<std::int64_t>(one.calibration.channelTerms.storedBytes()));
        });
        if (plane.calibrationError)
            return tl::unexpected<Error>(*plane.calibrationError);
        return {};
    }

    Result<void> encode(PlaneWork& plane, std::size_t index) {
        KVSCOPE_TRY(calibrateOnce(plane));
        EncodedPart& part = plane.parts[index];
        ChunkReport& report = plane.reports[index];
        const CalibratedPipeline& how = plane.pipelines[part.pipeline];
        const ChunkShape shape{plane.id.kind, plane.shape, part.tokens, cache_.rope(plane.id.layer)};
        const Borrowed scratch(*this);
        RawVector<float>& values = scratch->values;
        RawVector<std::byte>& native = scratch->native;
        values.resize(static_cast<std::size_t>(shape.values()));
        native.resize(values.size() * static_cast<std::size_t>(sizeOf(plane.shape.dtype)));
        KVSCOPE_TRY(cache_.readRows(plane.id, part.tokens, values));
        if (cache_.nativeIsExact(plane.id))
            KVSCOPE_TRY(cache_.readNative(plane.id, part.tokens, native));
        else
            std::memcpy(native.data(), values.data(), native.size());
        const double started = threadSeconds();
        auto encoded = encodeChunk(how.pipeline, how.calibration, {shape, values, native});
        report.encodeSeconds = threadSeconds() - started;
        if (!encoded)
            return inChunk(std::move(encoded.error()), plane.id, part.tokens);
        report.tokens = part.tokens;
        report.pipeline = part.pipeline;
        const auto shareUpTo = [&](TokenIndex token) {
            return plane.termBytes[part.pipeline] * token.value / plane.shape.tokens;
        };
        encoded->parts[BytePart::Tables] += shareUpTo(part.tokens.end) - shareUpTo(part.tokens.begin);
        report.parts = encoded->parts;
        report.publishedBytes = encoded->publishedBytes.value_or(encoded->parts.total());
        report.entropyBits = encoded->entropyBits;
        report.channelBits = allInBits(*encoded, plane.shape.channels());
        report.channelEntropyBits = std::move(encoded->channelEntropyBits);
        part.bytes = std::move(encoded->bytes);
        if (options_.measureError)
            KVSCOPE_TRY(measure(plane, index, shape, values, scratch->decoded));
        control_.advance(static_cast<std::int64_t>(native.size()));
        if (plane.left.fetch_sub(1) == 1)
            finish(plane);
        return {};
    }

    Result<void> measure(PlaneWork& plane, std::size_t index, const ChunkShape& shape, std::span<const float> values,
                         RawVector<float>& decoded) {
        const EncodedPart& part = plane.parts[index];
        const CalibratedPipeline& how = plane.pipelines[part.pipeline];
        decoded.resize(values.size());
        const double started = threadSeconds();
        auto done = decodeChunk(how.pipeline, how.calibration, shape, part.bytes, decoded);
        plane.reports[index].decodeSeconds = threadSeconds() - started;
        if (!done)
            return inChunk(std::move(done.error()), plane.id, part.tokens);
        ChunkError error(plane.shape.heads, plane.shape.headDim);
        error.add(values, decoded);
        plane.order.deliver(index, std::move(error), [&](const ChunkError& next) { plane.error.merge(next); });
        return {};
    }

    static tl::unexpected<Error> inChunk(Error error, PlaneId plane, TokenRange tokens) {
        error.where = nameOfPlane(plane) + ", tokens " + std::to_string(tokens.begin.value) + ".." +
                      std::to_string(tokens.end.value) + (error.where.empty() ? "" : ", " + error.where);
        return tl::unexpected<Error>(std::move(error));
    }

    void finish(PlaneWork& plane) {
        PlaneReport report;
        report.plane = plane.id;
        report.heads = plane.shape.heads;
        report.headDim = plane.shape.headDim;
        for (const EncodedPart& part : plane.parts)
            report.tokens += part.tokens.size();
        report.dtype = plane.shape.dtype;
        if (plane.shape.tokens > 0)
            report.dumpBytes = cache_.geometry().find(plane.id)->storedBytes() / plane.shape.tokens * report.tokens;
        std::ranges::transform(plane.pipelines, std::back_inserter(report.pipelines), &CalibratedPipeline::pipeline);
        report.chunks = std::move(plane.reports);
        if (options_.measureError)
            plane.error.store(report);
        auto encoded = std::make_shared<EncodedPlane>();
        encoded->plane = plane.id;
        encoded->geometry = plane.shape;
        encoded->pipelines = std::move(plane.pipelines);
        encoded->parts = std::move(plane.parts);
        const std::lock_guard lock(mutex_);
        results_.push_back({std::move(encoded), std::move(report)});
        if (options_.planeDone && !stopped_ && !control_.stopRequested())
            options_.planeDone(results_.back());
    }

    const KvCache& cache_;
    const EncodeOptions& options_;
    const JobControl& control_;
    std::mutex mutex_;
    std::atomic<bool> stopped_{false};
    std::optional<Error> error_;
    std::vector<EncodedPlaneResult> results_;
    std::vector<std::unique_ptr<Scratch>> scratch_;
};

/// The cache planes of the layers and kinds, those to be seen first in front.
std::vector<PlaneId> planesToDo(const KvCache& cache, const EncodeOptions& options) {
    std::vector<PlaneId> planes;
    for (const PlaneId id : cache.geometry().allPlanes()) {
        const bool asked =
            !options.only || std::ranges::find(*options.only, LayerKind{id.layer, id.kind}) != options.only->end();
        if (isCacheKind(id.kind) && asked)
            planes.push_back(id);
    }
    const auto rank = [&](PlaneId id) { return std::ranges::find(options.first, id) - options.first.begin(); };
    std::ranges::stable_sort(planes, std::less<>(), rank);
    return planes;
}

Result<void> run(Encoding& encoding, const std::vector<PlaneId>& planes, ThreadPool& pool, const EncodeOptions& options,
                 const JobControl& job) {
    const auto started = std::chrono::steady_clock::now();
    const CodecPlan& plan = encoding.report.plan;
    const KvCache& cache = encoding.original;
    KVSCOPE_TRY(checkRotations(plan, cache));
    std::vector<PlaneWorkPtr> work;
    std::int64_t bytes = 0;
    for (const PlaneId id : planes) {
        const auto former = encoding.planes.find(id);
        work.push_back(makeWork(cache, id, plan, {}, TokenIndex(0),
                                former != encoding.planes.end() ? former->second.get() : nullptr));
        bytes += work.back()->shape.values() * sizeOf(work.back()->shape.dtype);
    }
    if (job.progress != nullptr)
        job.progress->start(bytes);
    KVSCOPE_ASSIGN(auto results, Job(cache, options, job).run(work, pool));
    for (EncodedPlaneResult& result : results) {
        encoding.planes[result.plane->plane] = std::move(result.plane);
        encoding.report.put(std::move(result.report));
    }
    encoding.report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    encoding.report.prefillTokensPerSecond = options.prefillTokensPerSecond;
    if (options.measureError && options.measureAttention) {
        std::set<LayerIndex> layers;
        for (const PlaneId id : planes)
            layers.insert(id.layer);
        std::erase_if(encoding.report.attention,
                      [&](const AttentionError& error) { return layers.contains(error.layer); });
        EncodeReport part;
        KVSCOPE_ASSIGN(part.attention, measureAttention(cache, encoding.decoded(), {layers.begin(), layers.end()},
                                                        options.attentionRows, pool, job));
        merge(encoding.report, part);
    }
    return {};
}

Result<void> runWithinMemory(Encoding& encoding, const std::vector<PlaneId>& planes, ThreadPool& pool,
                             const EncodeOptions& options, const JobControl& job) {
    try {
        return run(encoding, planes, pool, options, job);
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is to be encoded", encoding.original.info().name, "Close other dumps",
                    Error::Kind::System);
    }
}

} // namespace

Result<Encoding> encodeCache(const KvCache& cache, const CodecPlan& plan, ThreadPool& pool,
                             const EncodeOptions& options, const JobControl& job) {
    KVSCOPE_TRY(validate(plan));
    Encoding encoding{cache, {}, {}};
    encoding.report.dump = cache.info().name;
    encoding.report.plan = plan;
    KVSCOPE_TRY(runWithinMemory(encoding, planesToDo(cache, options), pool, options, job));
    return encoding;
}

Result<Encoding> reencode(const Encoding& previous, const CodecPlan& plan, ThreadPool& pool,
                          const EncodeOptions& options, const JobControl& job) {
    KVSCOPE_TRY(validate(plan));
    Encoding encoding = previous;
    encoding.report.plan = plan;
    EncodeOptions changed = options;
    changed.only = differences(previous.report.plan, plan, previous.original.geometry());
    KVSCOPE_TRY(runWithinMemory(encoding, planesToDo(previous.original, changed), pool, changed, job));
    return encoding;
}

Result<EncodedPlaneResult> encodePlane(const KvCache& cache, PlaneId plane, const CodecPlan& plan, ThreadPool& pool,
                                       const EncodeOptions& options, const JobControl& job,
                                       const std::vector<CalibratedPipeline>& known, TokenIndex firstToken) {
    KVSCOPE_TRY(validate(plan));
    KVSCOPE_TRY(checkRotations(plan, cache));
    try {
        std::vector<PlaneWorkPtr> work;
        work.push_back(makeWork(cache, plane, plan, known, firstToken, options.former.get()));
        KVSCOPE_ASSIGN(auto results, Job(cache, options, job).run(work, pool));
        return std::move(results.front());
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is to be encoded", nameOfPlane(plane), "Close other dumps",
                    Error::Kind::System);
    }
}

} // namespace kvscope
