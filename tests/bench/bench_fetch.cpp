// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/chunk_codec.h"
#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"
#include "core/io/open_dump.h"
#include "core/io/synth.h"
#include "core/stream/fetch.h"
#include "core/stream/receive_arena.h"
#include "core/stream/sender.h"

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace kvscope;

// Fetching and decoding over the loopback interface as fast as it goes, in bytes on the wire, beside what the slower of
// its two parts reaches alone in the same run: the same bytes through a bare socket into memory of the same kind, and
// the same chunks through the decoder on all workers. Exit status 1 when a level reaches less than 70 % of that in the
// median; raw values only need to be copied, which is hardest to keep up with.
namespace {

constexpr double kGoal = 0.7;
constexpr int kRuns = 7;

double seconds(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

/// Bytes a second through a bare socket, from memory into the memory that the receiver of a fetch keeps them in.
double socketAlone(std::span<const std::byte> bytes) {
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    std::jthread sender([&io, port = acceptor.local_endpoint().port(), bytes] {
        asio::ip::tcp::socket socket(io);
        socket.connect({asio::ip::address_v4::loopback(), port});
        asio::write(socket, asio::buffer(bytes.data(), bytes.size()));
    });
    asio::ip::tcp::socket socket = acceptor.accept();
    constexpr std::size_t kPiece = std::size_t{1} << 20;
    ReceiveArena arena;
    std::vector<std::shared_ptr<std::byte>> kept;
    const auto begin = std::chrono::steady_clock::now();
    asio::error_code code;
    while (!code) {
        kept.push_back(arena.take(kPiece));
        asio::read(socket, asio::buffer(kept.back().get(), kPiece), code);
    }
    return static_cast<double>(bytes.size()) / seconds(begin);
}

/// All chunks of a level, one behind the other.
std::vector<std::byte> bytesOf(const KvzFile& file, std::size_t level) {
    std::vector<std::byte> all;
    for (const auto& [id, plane] : file.levels()[level].planes) {
        for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk) {
            const auto bytes = *file.readChunk(level, id, chunk);
            all.insert(all.end(), bytes.begin(), bytes.end());
        }
    }
    return all;
}

/// Encoded bytes a second through the decoder.
double decoderAlone(const KvzFile& file, std::size_t level, ThreadPool& pool) {
    struct Part {
        PlaneId plane;
        std::size_t chunk = 0;
        std::vector<std::byte> bytes;
    };
    std::vector<Part> parts;
    double total = 0;
    for (const auto& [id, plane] : file.levels()[level].planes) {
        for (std::size_t chunk = 0; chunk < plane.chunks.size(); ++chunk) {
            parts.push_back({id, chunk, *file.readChunk(level, id, chunk)});
            total += static_cast<double>(parts.back().bytes.size());
        }
    }
    std::atomic<bool> failed = false;
    std::vector<std::vector<std::byte>> out(parts.size());
    const auto begin = std::chrono::steady_clock::now();
    pool.parallelFor(static_cast<std::int64_t>(parts.size()), [&](std::int64_t i) {
        const Part& part = parts[static_cast<std::size_t>(i)];
        const KvzPlane& plane = file.levels()[level].planes.at(part.plane);
        const KvzChunk& entry = plane.chunks[part.chunk];
        const auto& rope = file.info().rope;
        const auto layer = static_cast<std::size_t>(part.plane.layer.value);
        const ChunkShape shape{part.plane.kind, *file.geometry().find(part.plane), entry.tokens,
                               layer < rope.size() && rope[layer] ? &*rope[layer] : nullptr};
        const CalibratedPipeline& how = plane.pipelines[entry.pipeline];
        auto& values = out[static_cast<std::size_t>(i)];
        values.resize(static_cast<std::size_t>(shape.values() * sizeOf(shape.plane.dtype)));
        if (!decodeChunkNative(how.pipeline, how.calibration, shape, part.bytes, values))
            failed = true;
    });
    return failed ? 0 : total / seconds(begin);
}

bool bench(const KvzFilePtr& file, std::size_t level, const Sender& sender, ThreadPool& pool) {
    std::vector<double> sockets;
    std::vector<double> decoders;
    std::vector<double> fetches;
    std::vector<double> ratios;
    const KvzLevel& what = file->levels()[level];
    const std::vector<std::byte> bytes = bytesOf(*file, level);
    for (int run = 0; run < kRuns; ++run) {
        sockets.push_back(socketAlone(bytes));
        decoders.push_back(decoderAlone(*file, level, pool));
        FetchOptions options;
        options.senders = {{"127.0.0.1", sender.port()}};
        options.policy = what.name == "quant8" ? "8-bit" : what.name;
        const auto fetched = fetchContext(options, pool);
        if (!fetched || fetched->problem) {
            std::printf("%s\n", (fetched ? *fetched->problem : fetched.error()).message().c_str());
            return false;
        }
        const double took = fetched->timeline.ttft - options.compute.firstStepSeconds;
        fetches.push_back(fetched->timeline.wireBytes / took);
        ratios.push_back(fetches.back() / std::min(sockets.back(), decoders.back()));
    }
    const double ratio = median(ratios);
    std::printf("%-12s %7.1f MB: socket alone %7.1f MB/s, decoder alone %7.1f MB/s, fetched and decoded %7.1f MB/s: "
                "%.0f %%\n",
                what.name.c_str(), static_cast<double>(what.bytes()) / 1e6, median(sockets) / 1e6,
                median(decoders) / 1e6, median(fetches) / 1e6, 100 * ratio);
    return ratio >= kGoal;
}

} // namespace

/// Arguments: the levels to measure; none: raw, kvz-high and kvz-low.
int main(int count, char** arguments) {
    const std::vector<std::string> all{"raw", "kvz-high", "kvz-low"};
    const std::vector<std::string> names = count > 1 ? std::vector<std::string>(arguments + 1, arguments + count) : all;
    const auto folder = std::filesystem::temp_directory_path() / ("bench_fetch-" + std::to_string(std::rand()));
    std::filesystem::create_directories(folder);
    struct Remove {
        std::filesystem::path folder;
        ~Remove() {
            std::error_code ignored;
            std::filesystem::remove_all(folder, ignored);
        }
    } const remove{folder};
    ThreadPool pool;
    SynthOptions synth;
    synth.layers = 4;
    synth.tokens = 8192;
    const auto dump = folder / "synth.safetensors";
    const auto kvz = folder / "synth.kvz";
    if (!writeSyntheticDump(dump, synth, pool))
        return 1;
    const auto opened = openDump(dump);
    std::vector<CodecPlan> plans;
    for (const std::string& name : names) {
        auto plan = makePreset(name, opened->cache);
        if (!plan) {
            std::printf("%s\n", plan.error().message().c_str());
            return 1;
        }
        plans.push_back(std::move(*plan));
    }
    EncodeOptions options;
    options.measureError = false;
    if (!writeKvz(kvz, opened->cache, plans, pool, options))
        return 1;
    const auto file = KvzFile::open(*openFile(kvz));
    const auto sender = Sender::start(*openShelf(kvz.string()), {});
    if (!file || !sender)
        return 1;
    std::printf("8,192 tokens x 1,024 channels, K and V of 4 layers; %zu workers\n", pool.threadCount());
    bool met = true;
    for (std::size_t level = 0; level < plans.size(); ++level) {
        const bool isFast = bench(*file, level, **sender, pool);
        met = met && isFast;
    }
    std::printf("goal (%.0f %% of the slower part alone): %s\n", 100 * kGoal, met ? "met" : "missed");
    return met ? 0 : 1;
}
