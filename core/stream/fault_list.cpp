// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/fault_list.h"

#include <algorithm>
#include <utility>

namespace kvscope {

FaultList::FaultList(std::vector<SenderFault> faults)
    : faults_(std::move(faults)) {}

void FaultList::add(const SenderFault& fault) {
    const std::scoped_lock lock(mutex_);
    faults_.push_back(fault);
}

void FaultList::remove(const SenderFault& fault) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = std::ranges::find(faults_, fault); found != faults_.end())
        faults_.erase(found);
}

std::optional<SenderFault> FaultList::take(std::size_t chunk) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find(faults_, chunk, &SenderFault::chunk);
    if (found == faults_.end())
        return std::nullopt;
    const SenderFault fault = *found;
    faults_.erase(found);
    return fault;
}

} // namespace kvscope
