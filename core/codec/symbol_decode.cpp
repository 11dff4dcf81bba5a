// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/narrow_modes.h"
#include "core/codec/rans.h"
#include "core/codec/side_bits.h"
#include "core/codec/side_bytes.h"
#include "core/codec/symbol_bank.h"
#include "core/codec/symbol_kernels.h"
#include "core/codec/symbol_parts.h"
#include "core/codec/symbol_plane.h"
#include "core/codec/symbol_predict.h"
#include "core/codec/symbol_terms.h"

#include <algorithm>
#include <string>
#include <utility>

namespace kvscope {

namespace {

/// Larger excesses are damage, and are cut so that sums do not overflow.
constexpr std::uint32_t kMostExcess = 0x3FFFFFFF;

class Decoder {
public:
    Decoder(SymbolLayout layout, const ChannelTerms& terms, std::size_t lateBytes)
        : layout_(std::move(layout))
        , terms_(terms)
        , groups_(rowGroups(layout_))
        , lateBytes_(lateBytes) {}

    /// Decodes the rANS streams and all that follows.
    Result<void> read(SideBytes reader) {
        const auto order = layout_.channelOrder();
        const std::size_t stride = codedRows(groups_);
        coded_.resize(layout_.channels.size() * stride);
        std::vector<std::byte> late;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            std::vector<RansRow> rows;
            std::vector<RansOutputRow> outputs;
            for (const std::uint32_t c : order) {
                const RansTable& table =
                    SymbolBank::get().table(shiftedClass(layout_.channels[c].bankClass, layout_.offsets[g]));
                std::uint8_t* symbols = coded_.data() + c * stride + groups_[g].first;
                rows.push_back({&table, symbols});
                outputs.push_back({&table, symbols});
            }
            const auto tokens = static_cast<std::int64_t>(groups_[g].rows.size());
            const auto room = static_cast<std::size_t>(ransPayloadCapacity(rows, tokens, layout_.streams));
            const std::size_t payload = std::min(room, lateBytes_ - late.size());
            KVSCOPE_ASSIGN(const auto length, reader.leb128("symbols"));
            KVSCOPE_ASSIGN(const auto blob, reader.take(length, "symbols"));
            KVSCOPE_ASSIGN(const auto carried,
                           ransDecode(blob, outputs, tokens, layout_.streams, static_cast<std::int64_t>(payload)));
            late.insert(late.end(), carried.begin(), carried.end());
        }
        KVSCOPE_ASSIGN(const auto rest, reader.take(lateBytes_ - late.size(), "means"));
        late.insert(late.end(), rest.begin(), rest.end());
        if (!reader.rest().empty())
            return damagedChunk("symbols", "there are bytes behind the last");
        KVSCOPE_ASSIGN(const auto used, readLatePart(late, terms_, layout_));
        SideBytes after(std::span<const std::byte>(late).subspan(used));
        KVSCOPE_TRY(readRawBits(after, stride));
        KVSCOPE_TRY(readExceptions(after));
        return restoreTerms();
    }

    /// Whether restoreNarrow() does.
    [[nodiscard]] bool isSimple() const {
        return layout_.narrow &&
               std::ranges::all_of(layout_.channels, [](const SymbolChannel& channel) { return channel.shift == 0; });
    }

    /// Puts predictions back in a narrow plane without shifts.
    Result<void> restoreNarrow(RawVector<std::int16_t>& numbers) {
        const std::size_t channels = layout_.channels.size();
        const std::size_t rows = codedRows(groups_);
        // Rows a power of two apart would share few lines of the cache.
        const std::size_t stride = channels + 64;
        RawVector<std::uint8_t> symbols(rows * stride);
        transposeBytes(coded_.data(), rows, channels, rows, symbols.data(), stride);
        const NarrowModes modes(layout_.channels);
        numbers.resize(layout_.rows.size() * channels);
        const auto codedRow = codedPlaces();
        auto exception = exceptions_.begin();
        for (std::size_t t = 0; t < layout_.rows.size(); ++t) {
            const SymbolRow& row = layout_.rows[t];
            std::int16_t* now = numbers.data() + t * channels;
            if (row.copy) {
                std::copy_n(now - row.distance * channels, channels, now);
                continue;
            }
            const std::uint8_t* own = symbols.data() + codedRow[t] * stride;
            restoreRow(own, modes.factors(), modes.rows(row, t, now, channels), channels, now);
            for (; exception != exceptions_.end() && exception->place < (t + 1) * channels; ++exception) {
                const std::size_t c = static_cast<std::size_t>(exception->place) - t * channels;
                now[c] = wrapped<std::int16_t>(static_cast<std::uint32_t>(now[c]) + exception->excess);
            }
        }
        return {};
    }

    /// Puts predictions back.
    template <class Number> Result<void> finish(RawVector<Number>& numbers) {
        const std::size_t channels = layout_.channels.size();
        const std::size_t stride = codedRows(groups_);
        const auto codedRow = codedPlaces();
        numbers.resize(layout_.rows.size() * channels);
        auto exception = exceptions_.begin();
        for (std::size_t t = 0; t < layout_.rows.size(); ++t) {
            const SymbolRow& row = layout_.rows[t];
            Number* now = numbers.data() + t * channels;
            if (row.copy) {
                std::copy_n(now - row.distance * channels, channels, now);
                continue;
            }
            for (std::size_t c = 0; c < channels; ++c) {
                const SymbolChannel& channel = layout_.channels[c];
                std::int32_t left = coded_[c * stride + codedRow[t]] - kBankZero;
                if (exception != exceptions_.end() && exception->place == t * channels + c) {
                    left = static_cast<std::int32_t>(static_cast<std::uint32_t>(left) + exception->excess);
                    ++exception;
                }
                if (channel.shift > 0) {
                    const std::uint32_t low = rawBits_[rawStart_[c] + codedRow[t]];
                    left = static_cast<std::int32_t>((static_cast<std::uint32_t>(left) << channel.shift) + low -
                                                     (1U << (channel.shift - 1)));
                }
                const Number base = predicted(channel, row, static_cast<std::int64_t>(t), numbers.data() + c,
                                              static_cast<std::int64_t>(channels));
                now[c] = plus(wrapped<Number>(static_cast<std::uint32_t>(left)), base);
            }
        }
        return {};
    }

    [[nodiscard]] const SymbolLayout& layout() const { return layout_; }

private:
    /// Adds to the symbols what their terms predict, channel after channel.
    Result<void> restoreTerms() {
        const auto uses = [](const SymbolChannel& channel) { return channel.usesTerms; };
        if (std::ranges::none_of(layout_.channels, uses))
            return {};
        if (!isSimple())
            return damagedChunk("predictors", "channels of a wide plane are predicted from each other");
        const SymbolTerms terms(terms_, groups_);
        for (std::size_t c = 0; c < layout_.channels.size(); ++c) {
            if (layout_.channels[c].usesTerms)
                terms.putBack(c, layout_.groupUsesTerms, coded_.data());
        }
        return {};
    }

    /// For each row its place among the coded ones.
    [[nodiscard]] std::vector<std::size_t> codedPlaces() const {
        std::vector<std::size_t> places(layout_.rows.size());
        for (const RowGroup& group : groups_) {
            for (std::size_t i = 0; i < group.rows.size(); ++i)
                places[group.rows[i]] = group.first + i;
        }
        return places;
    }

    Result<void> readRawBits(SideBytes& reader, std::size_t rows) {
        std::uint64_t bits = 0;
        for (const SymbolChannel& channel : layout_.channels)
            bits += std::uint64_t{channel.shift} * rows;
        KVSCOPE_ASSIGN(const auto bytes, reader.take((bits + 7) / 8, "low bits"));
        if (bits == 0)
            return {};
        SideBitReader source(bytes);
        rawStart_.resize(layout_.channels.size());
        for (std::size_t c = 0; c < layout_.channels.size(); ++c) {
            rawStart_[c] = rawBits_.size();
            for (std::size_t i = 0; layout_.channels[c].shift > 0 && i < rows; ++i)
                rawBits_.push_back(source.get(layout_.channels[c].shift));
        }
        return source.atEnd() ? Result<void>() : damagedChunk("low bits", "they are followed by something");
    }

    Result<void> readExceptions(SideBytes& reader) {
        KVSCOPE_ASSIGN(const auto count, reader.leb128("exceptions"));
        if (count == 0)
            return reader.rest().empty() ? Result<void>()
                                         : damagedChunk("exceptions", "there are more than their number");
        // Each takes at least two bits.
        if (count > reader.rest().size() * 4)
            return damagedChunk("exceptions", "the bytes end too early");
        const std::uint64_t values = std::uint64_t{layout_.rows.size()} * layout_.channels.size();
        SideBitReader source(reader.rest());
        const int gapOrder = static_cast<int>(source.get(kGolombOrderBits));
        const int excessOrder = static_cast<int>(source.get(kGolombOrderBits));
        exceptions_.reserve(static_cast<std::size_t>(count));
        const std::size_t channels = layout_.channels.size();
        const std::size_t rows = codedRows(groups_);
        const auto codedRow = codedPlaces();
        std::uint64_t next = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t place = next + source.getGolomb(gapOrder);
            const std::uint32_t excess = (source.getGolomb(excessOrder) + 1) & kMostExcess;
            if (!source.good() || place >= values)
                return damagedChunk("exceptions", "one is outside the chunk");
            const auto token = static_cast<std::size_t>(place / channels);
            if (layout_.rows[token].copy)
                return damagedChunk("exceptions", "one belongs to a row that is not coded");
            const bool negative = coded_[place % channels * rows + codedRow[token]] < kBankZero;
            exceptions_.push_back({place, negative ? 0U - excess : excess});
            next = place + 1;
        }
        return source.atEnd() ? Result<void>() : damagedChunk("exceptions", "there are more than their number");
    }

    SymbolLayout layout_;
    const ChannelTerms& terms_;
    std::vector<RowGroup> groups_;
    std::size_t lateBytes_;
    RawVector<std::uint8_t> coded_;
    std::vector<std::uint32_t> rawBits_;
    std::vector<std::size_t> rawStart_;
    /// Excesses with their signs, modulo 2^32.
    std::vector<SymbolException> exceptions_;
};

Result<SymbolPlane> unpack(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels) {
    SymbolPlane plane{tokens, channels, {}, {}, false, {}};
    const auto count = static_cast<std::uint64_t>(tokens) * static_cast<std::uint64_t>(channels);
    if (count == 0)
        return bytes.empty() ? Result<SymbolPlane>(std::move(plane))
                             : damagedChunk("packed symbols", "there are symbols of an empty chunk");
    SideBitReader reader(bytes);
    plane.means.resize(static_cast<std::size_t>(channels));
    getNumbers(reader, plane.means.size(),
               [&](std::size_t c, std::uint32_t number) { plane.means[c] = fromZigzag(number); });
    const int width = static_cast<int>(reader.get(kGolombOrderBits));
    const auto least = static_cast<std::uint32_t>(fromZigzag(reader.getGolomb(2)));
    if (!reader.good() || bytes.size() * 8 / static_cast<std::uint64_t>(std::max(width, 1)) < (width > 0 ? count : 0))
        return damagedChunk("packed symbols", "the bytes end too early");
    plane.wide.resize(static_cast<std::size_t>(count));
    for (std::int32_t& number : plane.wide)
        number = static_cast<std::int32_t>(least + reader.get(width));
    if (!reader.atEnd())
        return damagedChunk("packed symbols", "there are more or fewer than there should be");
    return plane;
}

} // namespace

Result<SymbolPlane> decodePlane(std::span<const std::byte> bytes, std::int64_t tokens, std::int64_t channels,
                                const ChannelTerms& terms) {
    if (bytes.empty())
        return damagedChunk("symbols", "there are no bytes");
    const auto form = static_cast<SymbolForm>(bytes.front());
    const auto body = bytes.subspan(1);
    if (form == SymbolForm::Packed)
        return unpack(body, tokens, channels);
    if (form != SymbolForm::Coded)
        return damagedChunk("symbols", "the form " + std::to_string(static_cast<int>(form)) + " is not known");
    if (tokens == 0 || channels == 0)
        return damagedChunk("symbols", "an empty chunk is coded");
    SideBytes reader(body);
    KVSCOPE_ASSIGN(const auto earlyBytes, reader.leb128("symbols"));
    KVSCOPE_ASSIGN(const auto lateBytes, reader.leb128("symbols"));
    if (lateBytes > body.size())
        return damagedChunk("symbols", "the bytes end too early");
    KVSCOPE_ASSIGN(const auto early, reader.take(earlyBytes, "rows"));
    KVSCOPE_ASSIGN(auto layout, readEarlyPart(early, tokens, channels));
    Decoder decoder(std::move(layout), terms, static_cast<std::size_t>(lateBytes));
    KVSCOPE_TRY(decoder.read(reader));
    SymbolPlane plane{tokens, channels, {}, {}, decoder.layout().narrow, {}};
    for (const SymbolChannel& channel : decoder.layout().channels)
        plane.means.push_back(channel.mean);
    if (decoder.isSimple())
        KVSCOPE_TRY(decoder.restoreNarrow(plane.narrow));
    else if (plane.isNarrow)
        KVSCOPE_TRY(decoder.finish(plane.narrow));
    else
        KVSCOPE_TRY(decoder.finish(plane.wide));
    return plane;
}

} // namespace kvscope
