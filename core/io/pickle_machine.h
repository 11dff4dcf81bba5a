// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/pickle.h"
#include "core/io/sequential_reader.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvscope {

/// What bounds a stream, besides its own size.
struct PickleLimits {
    static constexpr std::size_t kNodes = 2'000'000;
    static constexpr std::int64_t kOperations = 16'000'000;
    static constexpr std::size_t kCopiedItems = 16'000'000;
    static constexpr std::uint64_t kTextBytes = 256ULL * 1024 * 1024;
    static constexpr std::int64_t kLine = 16LL * 1024 * 1024;
};

/// Runs a pickle stream as Python would, except that nothing is called: see readPickle.
class PickleMachine {
public:
    PickleMachine(const ByteSource& source, std::int64_t offset)
        : input_(source, offset) {}

    Result<PickleTree> run();

private:
    [[nodiscard]] std::string here() const { return " at byte " + std::to_string(at_); }
    [[nodiscard]] tl::unexpected<Error> damaged(const std::string& what) const {
        return fail("the pickle " + what + here(), input_.name(), "The file is damaged or no pickle");
    }
    [[nodiscard]] tl::unexpected<Error> tooLarge(const std::string& what) const {
        return fail("the pickle " + what, input_.name(),
                    "Save the tensors without the objects around them to view them");
    }

    PickleId add(PickleNode node) {
        textBytes_ += node.text.size();
        tree_.nodes.push_back(std::move(node));
        return static_cast<PickleId>(tree_.nodes.size() - 1);
    }
    Result<void> push(PickleNode node) {
        stack_.push_back(add(std::move(node)));
        return {};
    }
    Result<void> pushId(PickleId id) {
        stack_.push_back(id);
        return {};
    }
    /// The lowest stack slot above the last mark.
    [[nodiscard]] std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
    Result<PickleId> pop() {
        if (stack_.size() <= floor())
            return damaged("takes a value from an empty stack");
        const auto id = stack_.back();
        stack_.pop_back();
        return id;
    }
    /// Everything above the last mark, which is removed.
    Result<std::vector<PickleId>> popToMark() {
        if (marks_.empty())
            return damaged("ends a group that was not begun");
        const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<PickleId> items(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        marks_.pop_back();
        return items;
    }
    Result<PickleId> top() const {
        if (stack_.size() <= floor())
            return damaged("looks at an empty stack");
        return stack_.back();
    }
    PickleNode& node(PickleId id) { return tree_.nodes[id]; }

    Result<void> step(std::uint8_t code);
    Result<void> stepValue(std::uint8_t code);
    Result<void> stepText(std::uint8_t code);
    Result<void> stepContainer(std::uint8_t code);
    Result<void> stepMemo(std::uint8_t code);
    Result<void> stepObject(std::uint8_t code);

    Result<void> pushInteger(std::int64_t value) { return push({.kind = PickleKind::Integer, .integer = value}); }
    Result<void> pushLong(std::uint64_t bytes);
    Result<void> pushDecimal(std::string_view digits);
    Result<void> pushText(std::uint64_t bytes);
    Result<void> pushBytes(std::uint64_t bytes);
    Result<void> pushTuple(std::size_t count);
    Result<void> remember(std::uint64_t key);
    Result<void> recall(std::uint64_t key);
    Result<std::uint64_t> decimalKey();
    Result<void> extend(PickleId list, std::span<const PickleId> items);
    Result<void> setEntries(PickleId dict, std::span<const PickleId> entries);
    Result<void> pushGlobal(std::string module, std::string name);
    Result<void> call(PickleId callee, PickleId arguments);
    Result<void> pushResult(const std::string& name, std::vector<PickleId> arguments);
    /// Bounds the work of calls that copy a shared container over and over.
    Result<void> countCopies(std::size_t count) {
        copied_ += count;
        if (copied_ > PickleLimits::kCopiedItems)
            return tooLarge("copies more than " + std::to_string(PickleLimits::kCopiedItems) + " values");
        return {};
    }
    [[nodiscard]] std::vector<PickleId> pairsOf(PickleId list) const;

    SequentialReader input_;
    PickleTree tree_;
    std::vector<PickleId> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, PickleId> memo_;
    std::uint64_t textBytes_ = 0;
    std::size_t copied_ = 0;
    std::int64_t at_ = 0;
    PickleId none_ = kNoPickleValue;
    PickleId false_ = kNoPickleValue;
    PickleId true_ = kNoPickleValue;
};

} // namespace kvscope
