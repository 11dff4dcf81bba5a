// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvscope {

/// In which form a chunk of a context can reach the receiver.
enum class ChunkForm : std::uint8_t {
    Text,     ///< its token ids, to be recomputed
    Raw,      ///< 16-bit values as they are
    EightBit, ///< quantised to 8 bit
    Level     ///< encoded at one of the levels
};

/// One column of the choice that a policy has for each chunk.
struct Candidate {
    ChunkForm form = ChunkForm::Level;
    /// Number of the level, 0 the finest; only for levels.
    int level = 0;
    /// What people call it.
    std::string name;
    /// Predicted error of each layer (NMSE); empty where nothing is lost or nothing is known by layer.
    std::vector<double> layerError;
};

/// What one chunk costs as one candidate.
struct ChunkOption {
    /// Bytes on the wire; 0 for text, whose ids come with the answer to the request.
    double bytes = 0;
    /// Predicted error: share of the signal's energy (NMSE), 0 where nothing is lost.
    double error = 0;
    /// Bytes of 16-bit output that a decoder writes.
    double decodedBytes = 0;
};

/// What can be streamed: the chunks of a context and what each costs as each candidate. Immutable.
class StreamInput {
public:
    struct Parts {
        /// Text first, then from the best to the smallest.
        std::vector<Candidate> candidates;
        /// Tokens of each chunk, in order.
        std::vector<std::int64_t> tokens;
        /// [chunk][candidate].
        std::vector<ChunkOption> options;
        /// Whether sizes and errors were projected from another dump and geometry; shown beside every number.
        bool projected = false;
        /// Bytes that come before everything else (token ids and sizes); absent: 4 a token.
        std::optional<double> idBytes;
        /// What it is, for people: file or model, and context length.
        std::string source;
    };

    /// Checks that the first candidate is text and the only one, that at least one other is there, and that counts fit,
    /// sizes and errors are finite and not negative. At most a million chunks.
    static Result<StreamInput> make(Parts parts);

    [[nodiscard]] std::size_t chunkCount() const { return parts_.tokens.size(); }
    [[nodiscard]] std::size_t candidateCount() const { return parts_.candidates.size(); }
    [[nodiscard]] std::span<const Candidate> candidates() const { return parts_.candidates; }
    [[nodiscard]] static constexpr std::size_t textCandidate() { return 0; }
    /// The first candidate of a form, if there is one.
    [[nodiscard]] std::optional<std::size_t> find(ChunkForm form) const;
    /// Candidates that are levels, finest first.
    [[nodiscard]] std::span<const std::size_t> levels() const { return levels_; }

    [[nodiscard]] std::int64_t tokens(std::size_t chunk) const { return parts_.tokens[chunk]; }
    [[nodiscard]] std::int64_t totalTokens() const { return tokensBefore_.back(); }
    /// Tokens of all chunks before one (chunk may be chunkCount()).
    [[nodiscard]] std::int64_t tokensBefore(std::size_t chunk) const { return tokensBefore_[chunk]; }
    [[nodiscard]] const ChunkOption& option(std::size_t chunk, std::size_t candidate) const {
        return parts_.options[chunk * candidateCount() + candidate];
    }
    /// Bytes of all chunks before one as a candidate (chunk may be chunkCount()).
    [[nodiscard]] double bytesBefore(std::size_t candidate, std::size_t chunk) const {
        return bytesBefore_[chunk * candidateCount() + candidate];
    }
    /// What a chunk loses as a candidate: relative rms error times its share of the tokens. The sum over a context's
    /// chunks is 1 - quality.
    [[nodiscard]] double loss(std::size_t chunk, std::size_t candidate) const {
        return loss_[chunk * candidateCount() + candidate];
    }
    /// Bytes of the context in 16 bit: those of its raw candidate, 0 without one.
    [[nodiscard]] double rawBytes() const;
    [[nodiscard]] bool projected() const { return parts_.projected; }
    [[nodiscard]] const std::string& source() const { return parts_.source; }
    /// Bytes of all token ids and sizes, which come before everything else.
    [[nodiscard]] double idBytes() const { return parts_.idBytes.value_or(4.0 * static_cast<double>(totalTokens())); }

private:
    explicit StreamInput(Parts parts);

    Parts parts_;
    std::vector<std::int64_t> tokensBefore_;
    std::vector<double> bytesBefore_;
    std::vector<double> loss_;
    std::vector<std::size_t> levels_;
};

} // namespace kvscope
