// SPDX-License-Identifier: GPL-3.0-or-later

// A kept pyramid is replaced by the input. The last byte says what of it is put right first, so that mutations get
// past the checks: 1 the header, 2 the checksums of cells and summaries, 4 the size. Damage that the checks can see
// must never show in a picture; what passes them must be read without harm and without a number that no plane could
// have.
#include "core/base/hash.h"
#include "core/stats/cache_map.h"
#include "core/stats/pyramid_folder.h"
#include "core/stats/pyramid_layout.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <semaphore>
#include <vector>

using namespace kvscope;

namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kMendHeader = 1;
constexpr std::uint8_t kMendChecks = 2;
constexpr std::uint8_t kMendSize = 4;

/// Two layers of different shape, one longer than a chunk of the pyramid.
class SmallSource : public CacheSource {
public:
    SmallSource() {
        for (const std::int64_t tokens : {600, 70}) {
            PlaneGeometry plane;
            plane.heads = tokens == 70 ? 1 : 2;
            plane.headDim = 2;
            plane.tokens = tokens;
            plane.dtype = DType::F32;
            LayerGeometry layer;
            layer.plane(PlaneKind::Key) = plane;
            layer.plane(PlaneKind::Value) = plane;
            geometry_.layers.push_back(layer);
        }
        info_.name = "small";
        info_.fingerprint = 7;
    }

    [[nodiscard]] const KvGeometry& geometry() const override { return geometry_; }
    [[nodiscard]] const CacheInfo& info() const override { return info_; }
    [[nodiscard]] bool nativeIsExact(PlaneId /*plane*/) const override { return true; }
    [[nodiscard]] Result<void> readRows(PlaneId plane, TokenRange tokens, ChannelRange channels,
                                        std::span<float> out) const override {
        std::size_t at = 0;
        for (std::int64_t t = tokens.begin.value; t < tokens.end.value; ++t) {
            for (std::int64_t c = channels.begin.value; c < channels.end.value; ++c)
                out[at++] = static_cast<float>((t * 7 + c * 13 + plane.layer.value * 5) % 31 - 15) / 8.0F;
        }
        return {};
    }
    [[nodiscard]] Result<void> readNative(PlaneId plane, TokenRange tokens, std::span<std::byte> out) const override {
        const auto& shape = *geometry_.find(plane);
        std::vector<float> rows(static_cast<std::size_t>(tokens.size() * shape.channels()));
        KVSCOPE_TRY(readRows(plane, tokens, channelRange(0, shape.channels()), rows));
        std::memcpy(out.data(), rows.data(), out.size());
        return {};
    }

private:
    KvGeometry geometry_;
    CacheInfo info_;
};

void demand(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "broken: %s\n", what);
        std::abort();
    }
}

void complete(CacheMap& map) {
    const auto changed = std::make_shared<std::counting_semaphore<>>(0);
    map.setChangedCallback([changed] { changed->release(); });
    map.prepare(Quantity::Value);
    while (!map.isComplete(Quantity::Value)) {
        demand(!map.buildError(Quantity::Value), "the pyramid can be built");
        changed->acquire();
    }
    map.setChangedCallback({});
}

std::vector<CellBlock> readAll(CacheMap& map) {
    std::vector<CellBlock> blocks;
    for (const MapKind kind : kAllMapKinds) {
        for (const PlaneKind plane : {PlaneKind::Key, PlaneKind::Value}) {
            MapSpec spec;
            spec.map = kind;
            spec.kind = plane;
            const MapShape shape = map.shape(spec);
            for (const std::int64_t tokens : {4, 64, 512}) {
                const CellStep step = kind == MapKind::LayerChannel ? CellStep{1, 1} : CellStep{tokens, 1};
                const CellRect all{0, 0, (shape.columns + step.columns - 1) / step.columns, shape.rows};
                auto block = map.read(spec, all, step);
                demand(block.has_value(), "a map can be read whatever is kept of it");
                blocks.push_back(std::move(*block));
            }
        }
    }
    return blocks;
}

/// A folder of this process and in it the pyramid as it should be.
struct Setup {
    ThreadPool pool{1};
    KvCache cache{std::make_shared<SmallSource>()};
    PyramidLayout layout;
    fs::path folder;
    fs::path file;
    std::vector<char> bytes;
    std::vector<CellBlock> pictures;

    Setup() {
        std::string name = (fs::temp_directory_path() / "kvscope-fuzz-XXXXXX").string();
        demand(::mkdtemp(name.data()) != nullptr, "there is a temporary folder");
        folder = name;
        layout = *layOutPyramid(cache, Quantity::Value);
        const auto map = open();
        complete(*map);
        pictures = readAll(*map);
        for (const auto& entry : fs::directory_iterator(folder))
            file = entry.path();
        std::ifstream in(file, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
        demand(static_cast<std::int64_t>(bytes.size()) == layout.fileBytes, "the pyramid is kept");
    }
    ~Setup() {
        std::error_code ignored;
        fs::remove_all(folder, ignored);
    }
    Setup(const Setup&) = delete;
    Setup& operator=(const Setup&) = delete;

    std::shared_ptr<CacheMap> open() { return CacheMap::create(cache, pool, {folder, std::nullopt}); }
};

/// Writes the checksum that the bytes of cells and summaries would have, had the pyramid been built so.
void mendChecks(const PyramidLayout& layout, std::vector<char>& bytes) {
    const auto within = [&](std::int64_t offset, std::int64_t size) {
        return static_cast<std::uint64_t>(offset + size) <= bytes.size();
    };
    const auto at = [&](std::int64_t offset, std::int64_t size) {
        return std::as_bytes(
            std::span(bytes).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)));
    };
    for (const PlaneLayout& plane : layout.planes) {
        for (const auto& family : plane.levels) {
            for (const LevelLayout& level : family) {
                for (std::int64_t group = 0; group < level.groups(); ++group) {
                    const std::int64_t offset = level.offset + group * level.groupBytes();
                    if (!within(offset, level.groupBytes()))
                        continue;
                    std::uint32_t unit = 0;
                    std::memcpy(&unit, bytes.data() + offset, sizeof unit);
                    const auto check =
                        static_cast<std::uint32_t>(hashBytes(at(offset + 8, level.groupBytes() - 8), unit));
                    std::memcpy(bytes.data() + offset + 4, &check, sizeof check);
                }
            }
        }
        if (!within(plane.summaryOffset, plane.summaryBytes()))
            continue;
        const std::uint64_t check = hashBytes(at(plane.summaryOffset + 8, plane.summaryBytes() - 8));
        std::memcpy(bytes.data() + plane.summaryOffset, &check, sizeof check);
    }
}

bool agree(const Cell& a, const Cell& b) {
    // Cells may come from the dump instead, which is exact where the pyramid is rounded.
    const auto near = [](float x, float y) { return std::abs(x - y) <= 0.01F || (std::isnan(x) && std::isnan(y)); };
    return a.count == b.count && a.hasNonFinite == b.hasNonFinite && near(a.min, b.min) && near(a.max, b.max) &&
           near(a.mean, b.mean) && near(a.rms, b.rms);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Setup setup;
    if (size == 0)
        return 0;
    const std::uint8_t mend = data[size - 1];
    std::vector<char> bytes(data, data + size - 1);
    if ((mend & kMendSize) != 0)
        bytes.resize(setup.bytes.size());
    if ((mend & kMendChecks) != 0)
        mendChecks(setup.layout, bytes);
    const auto header = static_cast<std::size_t>(kPyramidHeaderBytes);
    if ((mend & kMendHeader) != 0 && bytes.size() >= header)
        std::copy_n(setup.bytes.begin(), header, bytes.begin());
    std::ofstream(setup.file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));

    const auto map = setup.open();
    const bool believed = map->isComplete(Quantity::Value);
    demand(!believed || bytes.size() == setup.bytes.size(), "a pyramid of a wrong size is not used");
    for (const PlaneId plane : setup.cache.geometry().allPlanes()) {
        const double rms = map->planeRms(plane, Quantity::Value);
        demand(std::isfinite(rms) && rms >= 0, "the rms of a plane is a finite number");
    }
    const std::vector<CellBlock> pictures = readAll(*map);
    for (std::size_t i = 0; i < pictures.size(); ++i) {
        for (std::size_t cell = 0; cell < pictures[i].cells.size(); ++cell) {
            const Cell& shown = pictures[i].cells[cell];
            demand(shown.count == 0 ||
                       (shown.min <= shown.max && std::isfinite(shown.min) && std::isfinite(shown.max) &&
                        std::isfinite(shown.mean) && std::isfinite(shown.rms)),
                   "a cell that has values has finite ones in order");
            demand((mend & kMendChecks) != 0 || !pictures[i].exact || agree(shown, setup.pictures[i].cells[cell]),
                   "damage never shows");
        }
    }
    return 0;
}
