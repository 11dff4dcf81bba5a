// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/dump_writer.h"

#include "core/base/output_file.h"
#include "core/io/plane_stream.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <zip.h>

namespace kvscope {

namespace {

using nlohmann::ordered_json;

constexpr std::array kWrittenTypes{DType::F64, DType::F32, DType::F16, DType::BF16};

std::span<const std::byte> bytesOf(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string fieldName(PlaneKind kind) {
    switch (kind) {
    case PlaneKind::Key:
        return "key";
    case PlaneKind::Value:
        return "value";
    case PlaneKind::Latent:
        return "latent";
    case PlaneKind::Query:
        return "query";
    case PlaneKind::KeyBeforeRope:
        return "key_before_rope";
    }
    return "plane";
}

DType writtenType(const KvCache& cache, const ConvertOptions& options) {
    if (options.dtype)
        return *options.dtype;
    for (const PlaneId plane : cache.geometry().allPlanes()) {
        const DType own = cache.geometry().find(plane)->dtype;
        const bool plain = cache.nativeIsExact(plane) &&
                           std::find(kWrittenTypes.begin(), kWrittenTypes.end(), own) != kWrittenTypes.end();
        return plain ? own : DType::F32;
    }
    return DType::F32;
}

/// The theta that a RoPE's frequencies come from, where they are plain powers of one.
std::optional<double> thetaOf(const Rope& rope) {
    if (rope.inverseFrequencies.size() < 2 || rope.attentionScale != 1.0 || !(rope.inverseFrequencies[1] > 0))
        return std::nullopt;
    const double theta = std::pow(rope.inverseFrequencies[1], -0.5 * static_cast<double>(rope.rotaryDim()));
    const Rope plain = Rope::plain(theta, rope.rotaryDim(), rope.pairing);
    for (std::size_t i = 0; i < rope.inverseFrequencies.size(); ++i) {
        if (std::abs(plain.inverseFrequencies[i] / rope.inverseFrequencies[i] - 1.0) > 1e-9)
            return std::nullopt;
    }
    return theta;
}

/// What a reader needs to know besides the values. A rotation that is no longer on K is not described.
ordered_json describeCache(const KvCache& cache, const ConvertOptions& options) {
    const CacheInfo& info = cache.info();
    ordered_json json;
    if (!info.model.empty())
        json["model"] = info.model;
    if (info.synthetic)
        json["synthetic"] = true;
    const Rope* rope = cache.rope(LayerIndex(0));
    if (rope != nullptr && options.rope != RopeDirection::Undo) {
        if (const auto theta = thetaOf(*rope))
            json["rope"] = {{"theta", *theta},
                            {"pairing", rope->pairing == Rope::Pairing::HalfSplit ? "half" : "interleaved"}};
    }
    return json;
}

tl::unexpected<Error> ragged(const std::filesystem::path& out) {
    return fail("cannot hold layers of different shapes", out.string(), "Write .npz or .safetensors instead");
}

/// The one shape of all K and V planes, or nothing when they differ or there are others.
const PlaneGeometry* commonShape(const KvGeometry& geometry) {
    const PlaneGeometry* common = nullptr;
    for (const auto& layer : geometry.layers) {
        if (layer.plane(PlaneKind::Latent))
            return nullptr;
        for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value}) {
            const auto& plane = layer.plane(kind);
            if (!plane)
                return nullptr;
            if (common == nullptr)
                common = &*plane;
            if (plane->heads != common->heads || plane->headDim != common->headDim || plane->tokens != common->tokens)
                return nullptr;
        }
    }
    return common;
}

std::vector<PlaneId> stackedOrder(const KvGeometry& geometry) {
    std::vector<PlaneId> planes;
    for (std::int64_t sequence = 0; sequence < geometry.sequences; ++sequence) {
        for (std::int64_t layer = 0; layer < geometry.layerCount(); ++layer) {
            for (const PlaneKind kind : {PlaneKind::Key, PlaneKind::Value})
                planes.push_back({LayerIndex(layer), kind, SequenceIndex(sequence)});
        }
    }
    return planes;
}

Result<void> writeStream(PlaneStream& stream, OutputFile& file, const JobControl& job) {
    while (true) {
        if (job.stopRequested())
            return cancelled();
        KVSCOPE_ASSIGN(const std::span<const std::byte> block, stream.next());
        if (block.empty())
            return {};
        KVSCOPE_TRY(file.write(block));
        job.advance(static_cast<std::int64_t>(block.size()));
    }
}

Result<void> writeText(const std::filesystem::path& path, const std::string& text) {
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(path));
    KVSCOPE_TRY(file.write(bytesOf(text)));
    return file.commit();
}

std::string npyType(DType type) {
    switch (type) {
    case DType::F64:
        return "<f8";
    case DType::F32:
        return "<f4";
    default:
        return "<f2";
    }
}

/// Header of NumPy's format 1.0: magic, version, length, a dictionary padded so that the data starts at a multiple
/// of 64.
std::string npyHeader(DType type, const std::vector<std::int64_t>& shape) {
    std::string dictionary = "{'descr': '" + npyType(type) + "', 'fortran_order': False, 'shape': (";
    for (const std::int64_t extent : shape)
        dictionary += std::to_string(extent) + ", ";
    dictionary += "), }";
    constexpr std::size_t kPreamble = 10;
    dictionary.append(64 - (kPreamble + dictionary.size() + 1) % 64, ' ');
    dictionary += '\n';
    std::string header("\x93NUMPY\x01\x00", 8);
    header += static_cast<char>(dictionary.size() & 0xFF);
    header += static_cast<char>(dictionary.size() >> 8);
    return header + dictionary;
}

tl::unexpected<Error> noBfloat(const std::filesystem::path& out) {
    return fail("NumPy has no bf16", out.string(), "Write f32 (--to f32, exact), or .safetensors");
}

std::vector<std::int64_t> stackedShape(const KvGeometry& geometry, const PlaneGeometry& plane) {
    std::vector<std::int64_t> shape{geometry.layerCount(), 2, plane.heads, plane.tokens, plane.headDim};
    if (geometry.sequences > 1)
        shape.insert(shape.begin(), geometry.sequences);
    return shape;
}

ConvertReport reportOf(const PlaneStream& stream, DType dtype, std::int64_t bytes) {
    const std::array streams{&stream};
    return {dtype, bytes, PlaneStream::losses(streams)};
}

Result<ConvertReport> writeNpy(const KvCache& cache, const std::filesystem::path& out, DType dtype,
                               const ConvertOptions& options, const JobControl& job) {
    const PlaneGeometry* shape = commonShape(cache.geometry());
    if (shape == nullptr)
        return ragged(out);
    if (dtype == DType::BF16)
        return noBfloat(out);
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(out));
    KVSCOPE_TRY(file.write(bytesOf(npyHeader(dtype, stackedShape(cache.geometry(), *shape)))));
    PlaneStream stream(cache, stackedOrder(cache.geometry()), dtype, options.rope);
    KVSCOPE_TRY(writeStream(stream, file, job));
    KVSCOPE_TRY(file.commit());
    return reportOf(stream, dtype, file.written());
}

Result<ConvertReport> writeRaw(const KvCache& cache, const std::filesystem::path& out, DType dtype,
                               const ConvertOptions& options, const JobControl& job) {
    const PlaneGeometry* shape = commonShape(cache.geometry());
    if (shape == nullptr)
        return ragged(out);
    ordered_json sidecar = describeCache(cache, options);
    sidecar["dtype"] = std::string(nameOf(dtype));
    sidecar["axes"] = cache.geometry().sequences > 1 ? "SLXHTD" : "LXHTD";
    if (cache.geometry().sequences > 1)
        sidecar["batch"] = cache.geometry().sequences;
    sidecar["layers"] = cache.geometry().layerCount();
    sidecar["heads"] = shape->heads;
    sidecar["head_dim"] = shape->headDim;
    sidecar["tokens"] = shape->tokens;
    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(out));
    PlaneStream stream(cache, stackedOrder(cache.geometry()), dtype, options.rope);
    KVSCOPE_TRY(writeStream(stream, file, job));
    KVSCOPE_TRY(file.commit());
    auto beside = out;
    beside += ".json";
    KVSCOPE_TRY(writeText(beside, sidecar.dump(2) + "\n"));
    return reportOf(stream, dtype, file.written());
}

struct NamedPlanes {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<PlaneId> planes;
};

/// One tensor a (layer, kind), all sequences in it.
std::vector<NamedPlanes> tensorsOf(const KvGeometry& geometry, const char* prefix, const char* separator) {
    std::vector<NamedPlanes> tensors;
    for (std::int64_t layer = 0; layer < geometry.layerCount(); ++layer) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            const PlaneGeometry* shape = geometry.find(LayerIndex(layer), kind);
            if (shape == nullptr)
                continue;
            NamedPlanes tensor{prefix + std::to_string(layer) + separator + fieldName(kind),
                               {geometry.sequences, shape->heads, shape->tokens, shape->headDim},
                               {}};
            for (std::int64_t sequence = 0; sequence < geometry.sequences; ++sequence)
                tensor.planes.push_back({LayerIndex(layer), kind, SequenceIndex(sequence)});
            tensors.push_back(std::move(tensor));
        }
    }
    return tensors;
}

std::string safetensorsType(DType type) {
    switch (type) {
    case DType::F64:
        return "F64";
    case DType::F32:
        return "F32";
    case DType::BF16:
        return "BF16";
    default:
        return "F16";
    }
}

Result<ConvertReport> writeSafetensors(const KvCache& cache, const std::filesystem::path& out, DType dtype,
                                       const ConvertOptions& options, const JobControl& job) {
    ordered_json header;
    ordered_json description = describeCache(cache, options);
    if (description.contains("rope")) {
        // The names of model configurations, which readers of tensor files know.
        const ordered_json rope = description["rope"];
        description.erase("rope");
        description["rope_theta"] = rope["theta"];
        description["rope_pairing"] = rope["pairing"];
    }
    header["__metadata__"] = {{"kvscope", description.dump()}};
    std::int64_t offset = 0;
    std::vector<PlaneId> planes;
    const auto place = [&](const std::string& name, const std::string& type, const std::vector<std::int64_t>& shape,
                           std::int64_t bytes) {
        header[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
        offset += bytes;
    };
    for (const NamedPlanes& tensor : tensorsOf(cache.geometry(), "layers.", ".")) {
        place(tensor.name, safetensorsType(dtype), tensor.shape,
              PlaneStream(cache, tensor.planes, dtype, {}).totalBytes());
        planes.insert(planes.end(), tensor.planes.begin(), tensor.planes.end());
    }
    const auto& tokens = cache.info().tokens;
    const std::vector<std::int64_t> ids = tokens.empty() ? std::vector<std::int64_t>() : tokens.front().ids;
    if (!ids.empty())
        place("token_ids", "I64", {static_cast<std::int64_t>(ids.size())}, static_cast<std::int64_t>(ids.size() * 8));
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    std::string length(8, '\0');
    for (std::size_t i = 0; i < length.size(); ++i)
        length[i] = static_cast<char>((text.size() >> (8 * i)) & 0xFF);

    KVSCOPE_ASSIGN(OutputFile file, OutputFile::create(out));
    KVSCOPE_TRY(file.write(bytesOf(length + text)));
    PlaneStream stream(cache, planes, dtype, options.rope);
    KVSCOPE_TRY(writeStream(stream, file, job));
    KVSCOPE_TRY(file.write(std::as_bytes(std::span(ids))));
    KVSCOPE_TRY(file.commit());
    return reportOf(stream, dtype, file.written());
}

/// One member of an archive as libzip pulls it: the header, then the planes.
struct ZipFeed {
    std::string header;
    PlaneStream stream;
    JobControl job;
    std::span<const std::byte> rest;
    std::optional<Error> error;

    zip_int64_t read(std::byte* out, zip_uint64_t room) {
        if (rest.empty()) {
            const auto block = stream.next();
            if (!block || job.stopRequested()) {
                error = block ? cancelled().value() : block.error();
                return -1;
            }
            rest = *block;
            job.advance(static_cast<std::int64_t>(rest.size()));
        }
        const auto count = std::min<std::size_t>(rest.size(), room);
        std::copy_n(rest.begin(), count, out);
        rest = rest.subspan(count);
        return static_cast<zip_int64_t>(count);
    }

    static zip_int64_t serve(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
        auto& feed = *static_cast<ZipFeed*>(self);
        switch (command) {
        case ZIP_SOURCE_OPEN:
            feed.rest = bytesOf(feed.header);
            return 0;
        case ZIP_SOURCE_READ:
            return feed.read(static_cast<std::byte*>(data), length);
        case ZIP_SOURCE_STAT: {
            auto* stat = static_cast<zip_stat_t*>(data);
            zip_stat_init(stat);
            stat->valid = ZIP_STAT_SIZE;
            stat->size = feed.header.size() + static_cast<zip_uint64_t>(feed.stream.totalBytes());
            return sizeof(*stat);
        }
        case ZIP_SOURCE_ERROR: {
            auto* codes = static_cast<int*>(data);
            codes[0] = ZIP_ER_READ;
            codes[1] = 0;
            return 2 * sizeof(int);
        }
        case ZIP_SOURCE_CLOSE:
        case ZIP_SOURCE_FREE:
            return 0;
        case ZIP_SOURCE_SUPPORTS:
            return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                                  ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
        default:
            return -1;
        }
    }
};

Result<ConvertReport> writeNpz(const KvCache& cache, const std::filesystem::path& out, DType dtype,
                               const ConvertOptions& options, const JobControl& job) {
    if (dtype == DType::BF16)
        return noBfloat(out);
    auto part = out;
    part += ".part";
    std::vector<std::unique_ptr<ZipFeed>> feeds;
    int code = 0;
    zip_t* archive = zip_open(part.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (archive == nullptr)
        return fail("cannot be written", out.string(), "Choose a folder that you may write to", Error::Kind::System);
    bool added = true;
    for (const NamedPlanes& tensor : tensorsOf(cache.geometry(), "layer_", "_")) {
        feeds.push_back(std::make_unique<ZipFeed>(ZipFeed{
            npyHeader(dtype, tensor.shape), PlaneStream(cache, tensor.planes, dtype, options.rope), job, {}, {}}));
        zip_source_t* source = zip_source_function(archive, &ZipFeed::serve, feeds.back().get());
        const auto index =
            source == nullptr ? -1 : zip_file_add(archive, (tensor.name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
        if (index < 0 && source != nullptr)
            zip_source_free(source);
        added = added && index >= 0 &&
                zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) == 0;
    }
    if (!added || zip_close(archive) != 0) {
        zip_discard(archive);
        for (const auto& feed : feeds) {
            if (feed->error)
                return tl::unexpected<Error>(*feed->error);
        }
        return fail("cannot be written", out.string(), "Choose a folder that you may write to, on a disk with room",
                    Error::Kind::System);
    }
    std::error_code error;
    std::filesystem::rename(part, out, error);
    if (error)
        return fail("cannot be put in place: " + error.message(), out.string(), "Check the permissions of the folder",
                    Error::Kind::System);
    std::vector<const PlaneStream*> streams;
    streams.reserve(feeds.size());
    for (const auto& feed : feeds)
        streams.push_back(&feed->stream);
    return ConvertReport{dtype, static_cast<std::int64_t>(std::filesystem::file_size(out, error)),
                         PlaneStream::losses(streams)};
}

} // namespace

std::optional<DumpFileFormat> dumpFormatOf(const std::filesystem::path& path) {
    const auto ending = path.extension();
    if (ending == ".npy")
        return DumpFileFormat::Npy;
    if (ending == ".npz")
        return DumpFileFormat::Npz;
    if (ending == ".safetensors")
        return DumpFileFormat::Safetensors;
    if (ending == ".bin" || ending == ".raw")
        return DumpFileFormat::Raw;
    return std::nullopt;
}

Result<ConvertReport> convertDump(const KvCache& cache, const std::filesystem::path& out, const ConvertOptions& options,
                                  const JobControl& job) {
    const DType dtype = writtenType(cache, options);
    if (std::find(kWrittenTypes.begin(), kWrittenTypes.end(), dtype) == kWrittenTypes.end())
        return fail(std::string(nameOf(dtype)) + " is not written", out.string(), "Choose f64, f32, f16 or bf16");
    if (options.rope && cache.rope(LayerIndex(0)) == nullptr)
        return fail("the RoPE of this dump is unknown", cache.info().name,
                    "Give its base with --rope-theta, or put the model's config.json beside the dump");
    std::error_code ignored;
    if (std::filesystem::equivalent(out, cache.info().path, ignored))
        return fail("is the dump that is being read", out.string(), "Choose another name");
    if (job.progress != nullptr) {
        PlaneStream all(cache, cache.geometry().allPlanes(), dtype, {});
        job.progress->start(all.totalBytes());
    }
    switch (options.format) {
    case DumpFileFormat::Npy:
        return writeNpy(cache, out, dtype, options, job);
    case DumpFileFormat::Npz:
        return writeNpz(cache, out, dtype, options, job);
    case DumpFileFormat::Safetensors:
        return writeSafetensors(cache, out, dtype, options, job);
    case DumpFileFormat::Raw:
        return writeRaw(cache, out, dtype, options, job);
    }
    return fail("unknown format", out.string());
}

} // namespace kvscope
