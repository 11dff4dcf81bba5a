// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/kvz_codec.h"

#include "core/base/checked.h"
#include "core/codec/clip.h"
#include "core/codec/encode_kernels.h"
#include "core/codec/kvz_lossless.h"
#include "core/codec/kvz_step.h"
#include "core/codec/kvz_trellis.h"
#include "core/codec/native_values.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_coder.h"
#include "core/codec/symbol_kernels.h"
#include "core/codec/symbol_layout.h"
#include "core/codec/symbol_plane.h"
#include "core/codec/transform.h"
#include "core/codec/trellis_step.h"
#include "core/kv/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

/// First byte of a chunk.
enum class KvzForm : std::uint8_t { Lossless = 1, Step = 2, Trellis = 3 };

/// Values that are kept as the dump stores them.
struct KeptBits {
    std::vector<std::uint32_t> places;
    std::vector<std::byte> bits;
};

auto outOfMemory() {
    return fail("there is not enough memory", "kvz chunk", "Close other programs or use smaller chunks.",
                Error::Kind::System);
}

/// The step of a plane; 0 where there is none to speak of and the chunk is kept bit by bit.
float stepOf(const Step& quantiser, const PlaneCalibration& calibration) {
    const double step = quantiser.step * static_cast<double>(calibration.centredRms);
    return step >= kSmallestStep && step <= kLargestStepped ? static_cast<float>(step) : 0.0F;
}

Result<void> checkShape(const ChunkShape& shape, std::size_t count, std::int64_t valueBytes) {
    const auto bytes = checkedProduct({shape.tokens.size(), shape.plane.heads, shape.plane.headDim, valueBytes});
    if (!bytes || *bytes != static_cast<std::int64_t>(count) * valueBytes ||
        count > std::numeric_limits<std::uint32_t>::max())
        return fail("the rows do not have the size that the chunk's shape says", "kvz chunk");
    return {};
}

/// Takes out what cannot be expressed in steps and puts zeros there.
KeptBits takeKept(const ChunkInput& input, float most, std::span<float> rows) {
    const auto size = static_cast<std::size_t>(sizeOf(input.shape.plane.dtype));
    KeptBits kept;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (std::fabs(rows[i]) <= most)
            continue;
        rows[i] = 0;
        kept.places.push_back(static_cast<std::uint32_t>(i));
        const auto bits = input.native.subspan(i * size, size);
        kept.bits.insert(kept.bits.end(), bits.begin(), bits.end());
    }
    return kept;
}

void putKept(const KeptBits& kept, std::vector<std::byte>& out) {
    putLeb128(kept.places.size(), out);
    if (kept.places.empty())
        return;
    std::vector<std::uint32_t> gaps;
    std::uint32_t next = 0;
    for (const std::uint32_t place : kept.places) {
        gaps.push_back(place - next);
        next = place + 1;
    }
    std::vector<std::byte> bits;
    SideBitWriter writer(bits);
    const int order = bestGolombOrder(gaps);
    writer.put(static_cast<std::uint32_t>(order), 5);
    for (const std::uint32_t gap : gaps)
        writer.putGolomb(gap, order);
    writer.finish();
    putLeb128(bits.size(), out);
    out.insert(out.end(), bits.begin(), bits.end());
    out.insert(out.end(), kept.bits.begin(), kept.bits.end());
}

Result<KeptBits> readKept(SideBytes& reader, DType type, std::int64_t values) {
    KeptBits kept;
    KVSCOPE_ASSIGN(const auto count, reader.leb128("exact values"));
    if (count == 0)
        return kept;
    KVSCOPE_ASSIGN(const auto length, reader.leb128("exact values"));
    KVSCOPE_ASSIGN(const auto places, reader.take(length, "exact values"));
    // Each place takes at least a bit.
    if (count > places.size() * 8)
        return damagedChunk("exact values", "there are more values than places");
    KVSCOPE_ASSIGN(const auto bits, reader.take(count * static_cast<std::uint64_t>(sizeOf(type)), "exact values"));
    SideBitReader source(places);
    const int order = static_cast<int>(source.get(5));
    kept.places.reserve(static_cast<std::size_t>(count));
    std::uint64_t next = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        next += source.getGolomb(order);
        if (!source.good() || next >= static_cast<std::uint64_t>(values))
            return damagedChunk("exact values", "one is outside the chunk");
        kept.places.push_back(static_cast<std::uint32_t>(next++));
    }
    if (!source.atEnd())
        return damagedChunk("exact values", "there are more places than values");
    kept.bits.assign(bits.begin(), bits.end());
    return kept;
}

Result<EncodedChunk> encodeKept(const ChunkInput& input, bool statistics) {
    const std::array front{static_cast<std::byte>(KvzForm::Lossless)};
    return encodeKvzLossless(input.shape, input.native, statistics, front);
}

/// Chunks so short that the channels' offsets may take more than they save.
constexpr std::int64_t kFewTokens = 16;
/// Steps above this leave channels so few bits that it pays to know their means to a quarter of a step.
constexpr double kCoarseStep = 0.4;

/// Sums of the channels of some rows.
struct RowSums {
    std::vector<double> sums;
    /// Every magnitude is small enough to be expressed in steps.
    bool within = true;
};

/// Rows of values, as they are stored or as float32.
struct ValueRows {
    DType type = DType::F32;
    std::span<const std::byte> bytes;

    explicit ValueRows(std::span<const float> values)
        : bytes(std::as_bytes(values)) {}
    /// Those of a chunk: in 16 bits where they are, which is less to read.
    explicit ValueRows(const ChunkInput& input)
        : ValueRows(input.values) {
        const DType stored = input.shape.plane.dtype;
        if (stored != DType::F16 && stored != DType::BF16)
            return;
        type = stored;
        bytes = input.native;
    }

    [[nodiscard]] std::size_t rowBytes(std::size_t channels) const {
        return channels * static_cast<std::size_t>(sizeOf(type));
    }
};

RowSums sumRows(const ValueRows& rows, std::size_t channels, float most) {
    RowSums result;
    result.sums.resize(channels);
    // In float32 over some rows, then in float64.
    constexpr std::size_t kRowsAtOnce = 32;
    std::vector<float> part(channels);
    const std::size_t tokens = channels > 0 ? rows.bytes.size() / rows.rowBytes(channels) : 0;
    for (std::size_t t = 0; t < tokens; t += kRowsAtOnce) {
        std::ranges::fill(part, 0.0F);
        const std::size_t some = std::min(kRowsAtOnce, tokens - t);
        result.within =
            addRows(rows.type, rows.bytes.data() + t * rows.rowBytes(channels), some, channels, most, part.data()) &&
            result.within;
        for (std::size_t c = 0; c < channels; ++c)
            result.sums[c] += static_cast<double>(part[c]);
    }
    return result;
}

/// What is taken from each channel, in quarters of a step: about its mean, or nothing.
std::vector<std::int32_t> offsetsOf(const Pipeline& pipeline, const ChunkShape& shape, float step,
                                    const std::vector<double>& sums) {
    std::vector<std::int32_t> offsets(sums.size());
    if (pipeline.predictor == Predictor::None || shape.tokens.size() == 0)
        return offsets;
    const bool coarse = std::get<Step>(pipeline.quantiser).step >= kCoarseStep;
    const double unit = static_cast<double>(step) / (coarse ? kOffsetParts : 1);
    const double share = 1 / (static_cast<double>(shape.tokens.size()) * unit);
    for (std::size_t c = 0; c < sums.size(); ++c) {
        // Transforms may leave means beyond the largest offset; those of a part of the range remain.
        const double mean = std::clamp(sums[c] * share, -kMostOffset, kMostOffset);
        const auto rounded = static_cast<std::int32_t>(mean + std::copysign(0.5, mean));
        offsets[c] = coarse ? rounded : rounded * kOffsetParts;
    }
    return offsets;
}

/// `rows` are the same values as `values`.
SymbolPlane quantised(const ValueRows& rows, std::span<const float> values, const ChunkShape& shape, float step,
                      const std::vector<std::int32_t>& offsets) {
    SymbolPlane plane{shape.tokens.size(), shape.plane.channels(), {}, {}, true, offsets};
    const float inverse = 1.0F / step;
    std::vector<float> shifts(offsets.size());
    std::ranges::transform(offsets, shifts.begin(), [](std::int32_t offset) { return offsetSteps(offset); });
    plane.narrow.resize(values.size());
    const std::size_t channels = shifts.size();
    for (std::size_t i = 0; i < values.size() && plane.isNarrow; i += channels)
        plane.isNarrow = stepsRow(rows.type, rows.bytes.data() + i / channels * rows.rowBytes(channels), shifts.data(),
                                  inverse, channels, plane.narrow.data() + i);
    if (plane.isNarrow)
        return plane;
    plane.narrow = {};
    plane.wide.resize(values.size());
    for (std::size_t i = 0; i < values.size();) {
        for (std::size_t c = 0; c < channels; ++c, ++i)
            plane.wide[i] = stepsOf(values[i], inverse, shifts[c]);
    }
    return plane;
}

Result<EncodedChunk> encodeSteps(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkInput& input,
                                 float step, bool statistics) {
    const float most = std::min(step * kMostSteps, kLargestStepped);
    const auto channels = static_cast<std::size_t>(input.shape.plane.channels());
    // Values are copied only where they change.
    std::vector<float> changed;
    KeptBits kept;
    RowSums sums;
    const bool changes = pipeline.transform != Transform::None || pipeline.clipSigmas.has_value();
    if (!changes)
        sums = sumRows(ValueRows(input), channels, most);
    if (changes || !sums.within) {
        changed.assign(input.values.begin(), input.values.end());
        kept = takeKept(input, most, changed);
        applyTransform(pipeline.transform, input.shape, changed);
        if (pipeline.clipSigmas)
            KVSCOPE_TRY(clipRows(*pipeline.clipSigmas, calibration, changed));
        sums = sumRows(ValueRows(changed), channels, most);
    }
    const std::span<const float> values = changed.empty() ? input.values : std::span<const float>(changed);
    const ValueRows rows = changed.empty() ? ValueRows(input) : ValueRows(values);
    SymbolOptions options;
    options.predictor = pipeline.predictor;
    options.statistics = statistics;
    options.terms = &calibration.channelTerms;
    auto offsets = offsetsOf(pipeline, input.shape, step, sums.sums);
    SymbolPlane plane = quantised(rows, values, input.shape, step, offsets);
    SymbolPlan plan;
    if (input.shape.values() > 0)
        plan = planSymbols(plane, options.predictor);
    const TrellisUse trellises = usesTrellises(pipeline) ? chooseTrellises(plane, plan) : TrellisUse();
    if (!trellises.empty()) {
        const auto trellisOffsets = offsetsOf(pipeline, input.shape, step * kTrellisStep, sums.sums);
        putTrellises(trellises, plan, {rows.type, rows.bytes, trellisOffsets}, step, plane);
    }
    std::vector<std::byte> front{static_cast<std::byte>(trellises.empty() ? KvzForm::Step : KvzForm::Trellis)};
    putKept(kept, front);
    const std::size_t withKept = front.size();
    if (!trellises.empty()) {
        uncopy(plan.layout);
        writeTrellisUse(trellises, front);
    }
    options.front = front;
    KVSCOPE_ASSIGN(auto coded, encodePlane(plane, std::move(plan.layout), options));
    if (input.shape.tokens.size() <= kFewTokens) {
        offsets.assign(channels, 0);
        KVSCOPE_ASSIGN(auto without, encodePlane(quantised(rows, values, input.shape, step, offsets), options));
        if (without.bytes.size() < coded.bytes.size())
            coded = std::move(without);
    }

    EncodedChunk chunk;
    chunk.bytes = std::move(coded.bytes);
    chunk.parts = coded.parts;
    ++chunk.parts[BytePart::Header];
    chunk.parts[BytePart::Exceptions] += static_cast<std::int64_t>(withKept) - 1;
    chunk.parts[BytePart::Tables] += static_cast<std::int64_t>(front.size() - withKept);
    if (statistics) {
        chunk.channelBits = std::move(coded.channelBits);
        chunk.entropyBits = coded.entropyBits;
        chunk.channelEntropyBits = std::move(coded.channelEntropyBits);
    }
    return chunk;
}

struct StepChunk {
    KeptBits kept;
    /// Empty where no channel has one.
    TrellisUse trellises;
    SymbolPlane plane;
    /// Of each channel, in its steps.
    std::vector<float> offsets;
};

/// Whether all numbers of a wide plane fit 16 bits, where they are then.
bool makeNarrow(SymbolPlane& plane) {
    using Limits = std::numeric_limits<std::int16_t>;
    const auto fits = [](std::int32_t number) { return number >= Limits::min() && number <= Limits::max(); };
    if (!std::ranges::all_of(plane.wide, fits))
        return false;
    plane.narrow.assign(plane.wide.begin(), plane.wide.end());
    plane.wide = {};
    plane.isNarrow = true;
    return true;
}

Result<StepChunk> readSteps(const ChunkShape& shape, const ChannelTerms& terms, KvzForm form, SideBytes& reader) {
    StepChunk chunk;
    KVSCOPE_ASSIGN(chunk.kept, readKept(reader, shape.plane.dtype, shape.values()));
    if (form == KvzForm::Trellis) {
        KVSCOPE_ASSIGN(chunk.trellises, readTrellisUse(reader, static_cast<std::size_t>(shape.plane.channels())));
    }
    KVSCOPE_ASSIGN(chunk.plane, decodePlane(reader.rest(), shape.tokens.size(), shape.plane.channels(), terms));
    // Packed numbers come back wide.
    if (form == KvzForm::Trellis && !chunk.plane.isNarrow && !makeNarrow(chunk.plane))
        return damagedChunk("trellises", "the numbers are too large for them");
    chunk.offsets.resize(chunk.plane.means.size());
    std::ranges::transform(chunk.plane.means, chunk.offsets.begin(), offsetSteps);
    return chunk;
}

/// Values of the steps, transform undone.
void fillRows(const Pipeline& pipeline, const ChunkShape& shape, const StepChunk& chunk, float step,
              std::span<float> out) {
    const std::size_t channels = chunk.offsets.size();
    TrellisReader trellises(chunk.trellises, chunk.offsets, step);
    for (std::size_t i = 0; i < out.size(); i += channels) {
        if (!chunk.trellises.empty()) {
            trellisToFloat(chunk.plane.narrow.data() + i, trellises.rows(), channels, out.data() + i);
            continue;
        }
        if (chunk.plane.isNarrow) {
            stepsToFloat(chunk.plane.narrow.data() + i, chunk.offsets.data(), step, channels, out.data() + i);
            continue;
        }
        for (std::size_t c = 0; c < channels; ++c)
            out[i + c] = valueOfSteps(chunk.plane.wide[i + c], chunk.offsets[c], step);
    }
    undoTransform(pipeline.transform, shape, out);
}

/// Steps to 16-bit values straight away, where there is a loop for it.
bool fillNative(const Pipeline& pipeline, DType type, const StepChunk& chunk, float step, std::span<std::byte> out) {
    const bool fits =
        pipeline.transform == Transform::None && chunk.plane.isNarrow && (type == DType::F16 || type == DType::BF16);
    const std::size_t channels = chunk.offsets.size();
    // What is not aligned goes the long way.
    if (!fits || reinterpret_cast<std::uintptr_t>(out.data()) % alignof(std::uint16_t) != 0)
        return false;
    auto* values = reinterpret_cast<std::uint16_t*>(out.data());
    TrellisReader trellises(chunk.trellises, chunk.offsets, step);
    for (std::size_t i = 0; i < chunk.plane.narrow.size(); i += channels) {
        const std::int16_t* row = chunk.plane.narrow.data() + i;
        if (!chunk.trellises.empty())
            (type == DType::F16 ? trellisToHalf : trellisToBfloat)(row, trellises.rows(), channels, values + i);
        else
            (type == DType::F16 ? stepsToHalf : stepsToBfloat)(row, chunk.offsets.data(), step, channels, values + i);
    }
    return true;
}

/// Rows that chooseTransform encodes both ways.
constexpr std::int64_t kSampleTokens = 256;

/// Rms about the channels' means.
double centredRms(std::span<const float> rows, std::size_t channels) {
    const std::size_t count = rows.size() / channels;
    const auto tokens = static_cast<double>(count);
    std::vector<double> sums(channels);
    double energy = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        sums[i % channels] += rows[i];
        energy += static_cast<double>(rows[i]) * rows[i];
    }
    for (const double sum : sums)
        energy -= sum * sum / tokens;
    return std::sqrt(std::max(energy, 0.0) / static_cast<double>(rows.size()));
}

struct OpenedChunk {
    KvzForm form = KvzForm::Lossless;
    SideBytes reader;
};

Result<OpenedChunk> openChunk(const Pipeline& pipeline, float step, std::span<const std::byte> bytes) {
    if (bytes.empty())
        return damagedChunk("kvz header", "there are no bytes");
    OpenedChunk opened{static_cast<KvzForm>(bytes.front()), SideBytes(bytes.subspan(1))};
    const bool steps = opened.form == KvzForm::Step || opened.form == KvzForm::Trellis;
    if ((!steps && opened.form != KvzForm::Lossless) ||
        (steps && (step == 0 || !std::holds_alternative<Step>(pipeline.quantiser))))
        return damagedChunk("kvz header", "the form " + std::to_string(std::to_integer<int>(bytes.front())) +
                                              " does not fit the plan");
    return opened;
}

/// 0 for lossless pipelines.
Result<float> stepOf(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape) {
    if (std::holds_alternative<Lossless>(pipeline.quantiser))
        return 0.0F;
    const Step* step = std::get_if<Step>(&pipeline.quantiser);
    if (step == nullptr)
        return fail("the quantiser is not one of kvz's own", "kvz chunk", "Use step or lossless with this coder.");
    KVSCOPE_TRY(checkTransform(pipeline.transform, shape));
    return stepOf(*step, calibration);
}

} // namespace

Result<EncodedChunk> encodeKvzChunk(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                    const ChunkInput& input, bool statistics) {
    KVSCOPE_TRY(checkShape(input.shape, input.values.size(), sizeOf(input.shape.plane.dtype)));
    if (input.native.size() != input.values.size() * static_cast<std::size_t>(sizeOf(input.shape.plane.dtype)))
        return fail("the stored rows do not have the size that the chunk's shape says", "kvz chunk");
    KVSCOPE_ASSIGN(const float step, stepOf(pipeline, calibration, input.shape));
    try {
        return step == 0 ? encodeKept(input, statistics) : encodeSteps(pipeline, calibration, input, step, statistics);
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    }
}

Result<void> decodeKvzChunk(const Pipeline& pipeline, const PlaneCalibration& calibration, const ChunkShape& shape,
                            std::span<const std::byte> bytes, std::span<float> out) {
    const DType type = shape.plane.dtype;
    KVSCOPE_TRY(checkShape(shape, out.size(), sizeOf(type)));
    KVSCOPE_ASSIGN(const float step, stepOf(pipeline, calibration, shape));
    KVSCOPE_ASSIGN(auto opened, openChunk(pipeline, step, bytes));
    try {
        if (opened.form == KvzForm::Lossless) {
            std::vector<std::byte> native(out.size() * static_cast<std::size_t>(sizeOf(type)));
            KVSCOPE_TRY(decodeKvzLossless(shape, opened.reader.rest(), native));
            convertToFloat(type, native, out);
            return {};
        }
        KVSCOPE_ASSIGN(const auto chunk, readSteps(shape, calibration.channelTerms, opened.form, opened.reader));
        fillRows(pipeline, shape, chunk, step, out);
        const KeptBits& kept = chunk.kept;
        std::vector<float> exact(kept.places.size());
        convertToFloat(type, kept.bits, exact);
        for (std::size_t i = 0; i < exact.size(); ++i)
            out[kept.places[i]] = exact[i];
        return {};
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    }
}

Result<void> decodeKvzChunkNative(const Pipeline& pipeline, const PlaneCalibration& calibration,
                                  const ChunkShape& shape, std::span<const std::byte> bytes, std::span<std::byte> out) {
    const DType type = shape.plane.dtype;
    const auto size = static_cast<std::size_t>(sizeOf(type));
    KVSCOPE_TRY(checkShape(shape, out.size() / size, sizeOf(type)));
    KVSCOPE_ASSIGN(const float step, stepOf(pipeline, calibration, shape));
    KVSCOPE_ASSIGN(auto opened, openChunk(pipeline, step, bytes));
    try {
        if (opened.form == KvzForm::Lossless)
            return decodeKvzLossless(shape, opened.reader.rest(), out);
        KVSCOPE_ASSIGN(const auto chunk, readSteps(shape, calibration.channelTerms, opened.form, opened.reader));
        if (!fillNative(pipeline, type, chunk, step, out)) {
            std::vector<float> rows(out.size() / size);
            fillRows(pipeline, shape, chunk, step, rows);
            toNative(type, rows, out);
        }
        const KeptBits& kept = chunk.kept;
        for (std::size_t i = 0; i < kept.places.size(); ++i)
            std::copy_n(kept.bits.begin() + static_cast<std::ptrdiff_t>(i * size), size,
                        out.begin() + static_cast<std::ptrdiff_t>(kept.places[i] * size));
        return {};
    } catch (const std::bad_alloc&) {
        return outOfMemory();
    }
}

Transform chooseTransform(const ChunkShape& shape, std::span<const float> rows, double step) {
    const std::int64_t channels = shape.plane.channels();
    const std::int64_t tokens =
        std::min(shape.tokens.size(), channels > 0 ? static_cast<std::int64_t>(rows.size()) / channels : 0);
    if (shape.rope == nullptr || shape.kind != PlaneKind::Key || tokens == 0)
        return Transform::None;
    try {
        const auto count = static_cast<std::size_t>(std::min(tokens, kSampleTokens) * channels);
        std::vector<float> plain(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
        for (float& value : plain)
            value = std::fabs(value) <= kLargestStepped ? value : 0.0F;
        ChunkShape sample = shape;
        sample.tokens.end = sample.tokens.begin + static_cast<std::int64_t>(count) / channels;
        std::vector<float> undone = plain;
        applyTransform(Transform::RopeInverse, sample, undone);
        const double size = step * centredRms(undone, static_cast<std::size_t>(channels));
        if (!(size >= kSmallestStep && size <= kLargestStepped))
            return Transform::None;
        const auto bytesOf = [&](std::span<const float> values) {
            std::vector<std::int32_t> symbols(values.size());
            const float most = static_cast<float>(size) * kMostSteps;
            std::ranges::transform(values, symbols.begin(), [&](float value) {
                return stepsOf(std::clamp(value, -most, most), 1.0F / static_cast<float>(size), 0);
            });
            const auto coded = encodeSymbols(symbols, sample.tokens.size(), channels);
            return coded ? coded->bytes.size() : std::numeric_limits<std::size_t>::max();
        };
        return bytesOf(undone) < bytesOf(plain) ? Transform::RopeInverse : Transform::None;
    } catch (const std::bad_alloc&) {
        return Transform::None;
    }
}

} // namespace kvscope
