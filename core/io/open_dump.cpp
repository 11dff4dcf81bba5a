// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/open_dump.h"

#include "core/codec/kvz_layout.h"
#include "core/io/adapted_cache.h"
#include "core/io/folder_dump.h"
#include "core/io/kvz_dump.h"
#include "core/io/llama_reader.h"
#include "core/io/llama_state.h"
#include "core/io/lmcache_key.h"
#include "core/io/npy.h"
#include "core/io/raw_dump.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_table.h"
#include "core/io/torch_reader.h"
#include "core/io/zip_archive.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <new>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

namespace fs = std::filesystem;

/// A file about to be opened, with its first bytes.
struct Candidate {
    ByteSourcePtr bytes;
    fs::path path;
    std::vector<std::byte> head;
};

using Recognise = bool (*)(const Candidate&);
using Open = Result<OpenedDump> (*)(const Candidate&, const OpenOptions&, const JobControl&);

Result<OpenedDump> assembled(Result<TensorTable> table, const OpenOptions& options, const JobControl& job) {
    if (!table)
        return tl::unexpected<Error>(std::move(table.error()));
    return assembleDump(std::move(*table), options, job);
}

Result<OpenedDump> openZip(const Candidate& file, const OpenOptions& options, const JobControl& job) {
    KVSCOPE_ASSIGN(const ZipArchive archive, ZipArchive::open(file.bytes));
    if (looksLikeTorchZip(archive))
        return assembled(readTorchZip(archive, file.path, job), options, job);
    return assembled(readNpz(file.bytes, file.path, job), options, job);
}

/// The formats that a file's first bytes tell, in the order in which they are tried.
struct Signature {
    Recognise recognise;
    Open open;
};

constexpr std::array kSignatures{
    Signature{[](const Candidate& file) { return looksLikeKvz(file.head); },
              [](const Candidate& file, const OpenOptions& options, const JobControl&) {
                  return openKvz(file.bytes, file.path, options);
              }},
    Signature{[](const Candidate& file) { return looksLikeNpy(file.head); },
              [](const Candidate& file, const OpenOptions& options, const JobControl& job) {
                  return assembled(readNpy(file.bytes, file.path), options, job);
              }},
    Signature{[](const Candidate& file) { return looksLikeZip(file.head); }, openZip},
    Signature{[](const Candidate& file) { return looksLikeSafetensors(file.head, file.bytes->size()); },
              [](const Candidate& file, const OpenOptions& options, const JobControl& job) {
                  return assembled(readSafetensors(file.bytes, file.path), options, job);
              }},
    Signature{[](const Candidate& file) { return looksLikePickle(file.head); },
              [](const Candidate& file, const OpenOptions& options, const JobControl& job) {
                  return assembled(readTorchLegacy(file.bytes, file.path), options, job);
              }},
    Signature{[](const Candidate& file) { return looksLikeLlamaState(file.head); },
              [](const Candidate& file, const OpenOptions& options, const JobControl&) {
                  return openLlamaState(file.bytes, file.path, options);
              }},
};

/// What a file's name promises when its content is none of the known formats: then the file is damaged, not raw.
const char* promisedFormat(const fs::path& path) {
    const std::string extension = path.extension().string();
    if (extension == ".npy" || extension == ".npz")
        return "a NumPy file";
    if (extension == ".safetensors")
        return "a safetensors file";
    if (extension == ".pth")
        return "a torch file";
    if (extension == ".kvz")
        return "a KVScope container";
    return nullptr;
}

/// The name of the dump that a JSON file beside it describes (sidecar, tokens, block table), as far as it is there.
std::string describedDump(const fs::path& path) {
    fs::path dump = path;
    dump.replace_extension();
    if (dump.extension() == ".tokens" || dump.extension() == ".block_table")
        dump.replace_extension();
    std::error_code problem;
    return fs::is_regular_file(dump, problem) ? dump.filename().string() : "the dump that it belongs to";
}

Result<OpenedDump> openWithoutSignature(const Candidate& file, const OpenOptions& options, const JobControl& job) {
    const fs::path sidecar = rawSidecarPath(file.path);
    std::error_code problem;
    RawDescription description;
    const bool described = !file.path.empty() && fs::is_regular_file(sidecar, problem);
    if (described) {
        KVSCOPE_ASSIGN(const ByteSourcePtr text, openFile(sidecar));
        KVSCOPE_ASSIGN(description, readRawSidecar(*text));
    } else if (!options.dtype || !options.axes) {
        if (parseLmcacheKey(file.path.filename().string()))
            return fail("is named as a chunk of LMCache, whose values stand there without a description",
                        file.bytes->name(),
                        "Open the folder of the chunks; or say dtype, axes and sizes to see this one alone");
        if (file.path.extension() == ".json")
            return fail("is a JSON file, which can only describe a dump", file.bytes->name(),
                        "Open " + describedDump(file.path));
        const char* promised = promisedFormat(file.path);
        return fail(promised != nullptr ? "is named like " + std::string(promised) + " but does not start like one"
                                        : std::string("is of no format that is recognised by its content"),
                    file.bytes->name(),
                    promised != nullptr ? "The file is damaged or misnamed; save or copy it again"
                                        : "If it holds raw values, say dtype, axes and sizes, or put them into " +
                                              sidecar.filename().string() + " beside it");
    }
    return openRaw(file.bytes, file.path, description, options, job);
}

/// Moves all text positions so that the earliest is `first`.
Result<KvCache> moveTo(std::int64_t first, const KvCache& cache) {
    constexpr std::int64_t kMostPositions = std::int64_t{1} << 40;
    if (first < 0 || first > kMostPositions)
        return fail(std::to_string(first) + " is no position of a first token", cache.info().name,
                    "Give a number from 0 to 2^40");
    KvGeometry geometry = cache.geometry();
    std::vector<std::int64_t*> positions;
    std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
    std::int64_t latest = 0;
    for (LayerGeometry& layer : geometry.layers) {
        for (auto& plane : layer.planes) {
            if (!plane || plane->tokens == 0)
                continue;
            if (plane->positions.empty())
                positions.push_back(&plane->firstPosition);
            for (std::int64_t& position : plane->positions)
                positions.push_back(&position);
            earliest = std::min(earliest, plane->position(TokenIndex(0)));
        }
    }
    for (const std::int64_t* position : positions)
        latest = std::max(latest, *position);
    if (latest > kMostPositions)
        return fail("holds position " + std::to_string(latest), cache.info().name, "Check the positions in the dump");
    for (std::int64_t* position : positions)
        *position += first - earliest;
    return makeAdaptedCache(cache, std::move(geometry), {});
}

/// Opens without the first position, then moves what was opened to it.
Result<OpenedDump> placed(const OpenOptions& options,
                          const std::function<Result<OpenedDump>(const OpenOptions&)>& open) {
    OpenOptions inner = options;
    inner.firstPosition.reset();
    KVSCOPE_ASSIGN(OpenedDump opened, open(inner));
    KVSCOPE_ASSIGN(opened.cache, moveTo(*options.firstPosition, opened.cache));
    return opened;
}

} // namespace

Result<OpenedDump> openDumpBytes(const ByteSourcePtr& bytes, const fs::path& path, const OpenOptions& options,
                                 const JobControl& job) {
    if (options.firstPosition)
        return placed(options, [&](const OpenOptions& inner) { return openDumpBytes(bytes, path, inner, job); });
    try {
        Candidate file{bytes, path, {}};
        if (bytes->size() == 0)
            return fail("is empty", bytes->name(), "Check that the program that wrote it had finished");
        constexpr std::int64_t kHead = 64;
        KVSCOPE_ASSIGN(file.head, bytes->read(0, std::min(kHead, bytes->size())));
        const auto* found = std::find_if(kSignatures.begin(), kSignatures.end(),
                                         [&](const Signature& signature) { return signature.recognise(file); });
        return found != kSignatures.end() ? found->open(file, options, job) : openWithoutSignature(file, options, job);
    } catch (const std::bad_alloc&) {
        return fail("needs more memory than there is to be opened", bytes->name(),
                    "Close other dumps; if it is small, it is damaged", Error::Kind::System);
    }
}

Result<OpenedDump> openDump(const fs::path& path, const OpenOptions& options, const JobControl& job) {
    // The parts of a folder follow each other: the whole is placed, not each of them.
    if (options.firstPosition)
        return placed(options, [&](const OpenOptions& inner) { return openDump(path, inner, job); });
    std::error_code problem;
    const auto status = fs::status(path, problem);
    if (status.type() == fs::file_type::not_found)
        return fail("does not exist", path.string(), "Check the path", Error::Kind::System);
    if (fs::is_directory(status))
        return openFolder(path, options, job);
    KVSCOPE_ASSIGN(const ByteSourcePtr bytes, openFile(path));
    return openDumpBytes(bytes, path, options, job);
}

std::vector<DumpFormat> dumpFormats() {
    return {{"KVScope container", {"*.kvz"}},
            {"NumPy", {"*.npy", "*.npz"}},
            {"safetensors", {"*.safetensors"}},
            {"torch", {"*.pt", "*.pth", "*.pkl"}},
            {"llama.cpp state", {"*.bin", "*.ggsn", "*.ggsq", "*.session", "*.state"}},
            {"raw values", {"*.bin", "*.raw", "*.dat"}}};
}

} // namespace kvscope
