// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/stream_input.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope {

Result<StreamInput> StreamInput::make(Parts parts) {
    const std::string where = parts.source.empty() ? "stream" : parts.source;
    constexpr std::size_t kMaxChunks = 1'000'000;
    constexpr std::int64_t kMaxTokens = std::int64_t{1} << 40;
    if (parts.tokens.empty() || parts.tokens.size() > kMaxChunks)
        return fail("there must be between one and a million chunks", where);
    if (parts.candidates.size() < 2 || parts.candidates.front().form != ChunkForm::Text ||
        std::ranges::count(parts.candidates, ChunkForm::Text, &Candidate::form) != 1)
        return fail("the candidates must be text and at least one other form", where);
    if (parts.candidates.size() > 64 || parts.options.size() != parts.tokens.size() * parts.candidates.size())
        return fail("the table of sizes does not fit chunks and candidates", where);
    for (const std::int64_t tokens : parts.tokens) {
        if (tokens < 1 || tokens > kMaxTokens / static_cast<std::int64_t>(parts.tokens.size()))
            return fail("a chunk has no tokens, or too many", where);
    }
    const auto amount = [](double value) { return value >= 0 && value < 1e18; };
    for (const ChunkOption& option : parts.options) {
        if (!amount(option.bytes) || !amount(option.error) || !amount(option.decodedBytes))
            return fail("a size or an error is negative or not a number", where);
    }
    if (parts.idBytes && !amount(*parts.idBytes))
        return fail("the size of the token ids is negative or not a number", where);
    for (std::size_t chunk = 0; chunk < parts.tokens.size(); ++chunk) {
        if (parts.options[chunk * parts.candidates.size()].bytes != 0)
            return fail("text has bytes of its own", where, "token ids come with the answer to the request");
    }
    return StreamInput(std::move(parts));
}

StreamInput::StreamInput(Parts parts)
    : parts_(std::move(parts)) {
    const std::size_t chunks = chunkCount();
    const std::size_t columns = candidateCount();
    tokensBefore_.assign(chunks + 1, 0);
    bytesBefore_.assign((chunks + 1) * columns, 0);
    loss_.assign(chunks * columns, 0);
    for (std::size_t i = 0; i < chunks; ++i) {
        tokensBefore_[i + 1] = tokensBefore_[i] + tokens(i);
        for (std::size_t c = 0; c < columns; ++c)
            bytesBefore_[(i + 1) * columns + c] = bytesBefore_[i * columns + c] + option(i, c).bytes;
    }
    const auto total = static_cast<double>(totalTokens());
    for (std::size_t i = 0; i < chunks; ++i) {
        for (std::size_t c = 0; c < columns; ++c) {
            const double rms = std::min(1.0, std::sqrt(option(i, c).error));
            loss_[i * columns + c] = rms * static_cast<double>(tokens(i)) / total;
        }
    }
    for (std::size_t c = 0; c < columns; ++c) {
        if (parts_.candidates[c].form == ChunkForm::Level)
            levels_.push_back(c);
    }
    std::ranges::sort(levels_, {}, [&](std::size_t c) { return parts_.candidates[c].level; });
}

std::optional<std::size_t> StreamInput::find(ChunkForm form) const {
    const auto found = std::ranges::find(parts_.candidates, form, &Candidate::form);
    if (found == parts_.candidates.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - parts_.candidates.begin());
}

double StreamInput::rawBytes() const {
    const auto raw = find(ChunkForm::Raw);
    return raw ? bytesBefore(*raw, chunkCount()) : 0;
}

} // namespace kvscope
