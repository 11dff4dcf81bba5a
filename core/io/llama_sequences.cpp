// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/llama_sequences.h"

#include <algorithm>
#include <map>

namespace kvscope {

namespace {

/// More planes than this are not shown as a batch.
constexpr std::size_t kMaxBatchPlanes = 1 << 16;
constexpr std::size_t kListed = 16;

using SlotsBySequence = std::map<std::int64_t, std::vector<LlamaSlot>>;

/// The slots of every sequence of a memory, in the order of positions (cells of one position stay in their order).
SlotsBySequence slotsOf(const LlamaMemory& memory, bool anonymous) {
    SlotsBySequence found;
    for (std::size_t s = 0; s < memory.streams.size(); ++s) {
        const auto& stream = memory.streams[s];
        for (std::size_t c = 0; c < stream.cells.size(); ++c) {
            const auto& cell = stream.cells[c];
            const LlamaSlot slot{cell.position, s, static_cast<std::int64_t>(c)};
            if (anonymous)
                found[0].push_back(slot);
            for (std::size_t i = 0; i < cell.sequenceCount; ++i) {
                const std::int64_t id = stream.sequences[cell.sequenceBegin + i];
                if (!anonymous)
                    found[id].push_back(slot);
            }
        }
    }
    for (auto& [id, slots] : found)
        std::stable_sort(slots.begin(), slots.end(),
                         [](const LlamaSlot& a, const LlamaSlot& b) { return a.position < b.position; });
    return found;
}

bool samePositions(const std::vector<LlamaSlot>& a, const std::vector<LlamaSlot>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const LlamaSlot& x, const LlamaSlot& y) { return x.position == y.position; });
}

std::string listed(const SlotsBySequence& sequences) {
    std::string text;
    std::size_t count = 0;
    for (const auto& [id, slots] : sequences) {
        if (++count > kListed)
            return text + ", ...";
        text += (text.empty() ? "" : ", ") + std::to_string(id) + " (" + std::to_string(slots.size()) + " tokens)";
    }
    return text;
}

} // namespace

Result<LlamaSequences> chooseSequences(const LlamaState& state, std::optional<std::int64_t> wanted,
                                       const std::string& where, std::vector<CacheNote>& notes) {
    // Sequence files of mid 2025 name no sequence in their cells.
    bool anonymous = true;
    for (const auto& memory : state.memories) {
        for (const auto& stream : memory.streams)
            anonymous = anonymous && stream.sequences.empty();
    }
    std::vector<SlotsBySequence> all;
    for (const auto& memory : state.memories)
        all.push_back(slotsOf(memory, anonymous));
    const auto& first = all.front();
    if (wanted && !first.contains(*wanted))
        return fail("has no sequence " + std::to_string(*wanted) + "; it holds " + listed(first), where,
                    "Choose one of these");
    if (first.empty())
        return fail("its tokens belong to no sequence", where, "The file is damaged");
    bool batch = !wanted;
    for (const auto& sequences : all) {
        batch = batch && sequences.size() == first.size();
        for (const auto& [id, slots] : sequences)
            batch = batch && samePositions(slots, sequences.begin()->second);
    }
    std::size_t layers = 0;
    for (const auto& memory : state.memories) {
        for (const auto& stream : memory.streams)
            layers = std::max(layers, stream.keys.size());
    }
    batch = batch && first.size() <= kMaxBatchPlanes / std::max<std::size_t>(layers, 1);
    LlamaSequences chosen;
    if (batch) {
        for (const auto& [id, slots] : first)
            chosen.ids.push_back(id);
    } else {
        const auto longest = std::max_element(
            first.begin(), first.end(), [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
        chosen.ids = {wanted.value_or(longest->first)};
    }
    if (chosen.ids.size() < first.size()) {
        for (const auto& [id, slots] : first) {
            if (id == chosen.ids.front())
                chosen.choice.shown = chosen.choice.all.size();
            chosen.choice.all.push_back({id, static_cast<std::int64_t>(slots.size())});
        }
        notes.push_back({CacheNote::Severity::Info, "The file holds " + std::to_string(first.size()) +
                                                        " sequences of different positions: " + listed(first) +
                                                        ". Sequence " + std::to_string(chosen.ids.front()) +
                                                        " is shown; another can be chosen"});
    }
    for (auto& sequences : all) {
        auto& ofMemory = chosen.slots.emplace_back();
        for (const auto id : chosen.ids)
            ofMemory.push_back(std::move(sequences[id]));
    }
    return chosen;
}

} // namespace kvscope
