// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/coder_cabac.h"

#include "core/codec/range_coder.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

constexpr int kTreeBits = 9;
/// Of symbols past nine bits the class is the top six.
constexpr int kClassBits = 6;
constexpr std::uint16_t kEven = 2048;

/// How often zero was seen of late, in 4096ths; two speeds of adaptation, averaged.
struct Chance {
    std::uint16_t fast = kEven;
    std::uint16_t slow = kEven;

    [[nodiscard]] std::uint32_t zero() const {
        return std::clamp<std::uint32_t>((static_cast<std::uint32_t>(fast) + slow) / 2, 16, 4080);
    }
    void see(unsigned bit) {
        const int target = bit == 0 ? 4095 : 0;
        fast = static_cast<std::uint16_t>(fast + (target - fast) / 16);
        slow = static_cast<std::uint16_t>(slow + (target - slow) / 128);
    }
};

/// The decisions of one grid: code(bit, chance) codes a bit or, where it decodes, returns it.
class Decisions {
public:
    explicit Decisions(const SymbolGrid& grid)
        : bits_(grid.bits())
        , treeBits_(std::min(bits_, kTreeBits))
        , classShift_(bits_ > kTreeBits ? bits_ - kClassBits : 0)
        , chances_(static_cast<std::size_t>((grid.alphabet - 1) >> classShift_) + 1,
                   std::vector<Chance>(std::size_t{1} << treeBits_)) {}

    /// Codes `symbol` after the symbol `before`; returns what was coded.
    template <class Code> std::uint16_t code(std::uint16_t before, std::uint16_t symbol, const Code& codeBit) {
        auto& tree = chances_[std::min<std::size_t>(before >> classShift_, chances_.size() - 1)];
        std::size_t node = 1;
        for (int bit = bits_ - 1; bit >= bits_ - treeBits_; --bit) {
            Chance& chance = tree[node];
            const unsigned coded = codeBit(static_cast<unsigned>(symbol >> bit & 1), chance.zero());
            chance.see(coded);
            node = node << 1 | coded;
        }
        auto value = static_cast<unsigned>(node - (std::size_t{1} << treeBits_));
        for (int bit = bits_ - treeBits_ - 1; bit >= 0; --bit)
            value = value << 1 | codeBit(static_cast<unsigned>(symbol >> bit & 1), kEven);
        return static_cast<std::uint16_t>(value);
    }

private:
    int bits_;
    int treeBits_;
    int classShift_;
    std::vector<std::vector<Chance>> chances_;
};

/// The symbol that the one at `i` depends on.
std::uint16_t symbolBefore(const SymbolGrid& grid, std::size_t i) {
    const auto channels = static_cast<std::size_t>(grid.channels);
    if (i >= channels)
        return grid.symbols[i - channels];
    return i > 0 ? grid.symbols[i - 1] : std::uint16_t{0};
}

} // namespace

Result<void> cabacEncode(const SymbolGrid& grid, CodeSink& sink) {
    Decisions decisions(grid);
    RangeEncoder coder;
    sink.channelBits.resize(static_cast<std::size_t>(grid.channels));
    for (std::size_t i = 0; i < grid.symbols.size(); ++i) {
        double bits = 0;
        decisions.code(symbolBefore(grid, i), grid.symbols[i], [&](unsigned bit, std::uint32_t zero) {
            coder.encodeBit(bit, zero);
            bits -= std::log2((bit == 0 ? zero : 4096.0 - zero) / 4096.0);
            return bit;
        });
        sink.channelBits[i % sink.channelBits.size()] += static_cast<float>(bits);
    }
    putBlock(sink.payload, coder.finish());
    return {};
}

Result<void> cabacDecode(CodeSource& source, SymbolGrid& grid) {
    KVSCOPE_ASSIGN(const auto payload, source.payload.block());
    Decisions decisions(grid);
    RangeDecoder coder(payload);
    for (std::size_t i = 0; i < grid.symbols.size(); ++i)
        grid.symbols[i] = decisions.code(symbolBefore(grid, i), 0,
                                         [&](unsigned, std::uint32_t zero) { return coder.decodeBit(zero); });
    if (!coder.usedAll())
        return source.payload.broken("does not end with the chunk's last value");
    return {};
}

} // namespace kvscope
