// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace kvscope {

/// Something that goes wrong on purpose with one chunk, the next time that it is sent.
struct SenderFault {
    enum class Kind : std::uint8_t {
        Lose,    ///< takes its time on the link but never arrives
        Corrupt, ///< arrives with flipped bits
        Delay,   ///< it and all behind it arrive `seconds` late
        Drop     ///< the connection is cut in the middle of it
    };
    Kind kind = Kind::Lose;
    std::size_t chunk = 0;
    double seconds = 0;

    bool operator==(const SenderFault&) const = default;
};

/// Faults that wait for their chunks. Senders of one context may share a list: each fault then strikes once, whoever
/// sends its chunk. Safe to use from any thread.
class FaultList {
public:
    FaultList() = default;
    explicit FaultList(std::vector<SenderFault> faults);

    void add(const SenderFault& fault);
    /// Takes a fault back that has not struck.
    void remove(const SenderFault& fault);
    /// The fault that strikes a chunk now, if one waits for it.
    [[nodiscard]] std::optional<SenderFault> take(std::size_t chunk);

private:
    std::mutex mutex_;
    std::vector<SenderFault> faults_;
};

} // namespace kvscope
