// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

/// The input is a plan in JSON. What is accepted must be valid, must read back, and must have one canonical form.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kvscope;
    const auto plan = planFromJson({reinterpret_cast<const char*>(data), size}, "input");
    if (!plan) {
        if (plan.error().what.empty())
            std::abort();
        return 0;
    }
    const CodecPlan shortest = canonical(*plan);
    const auto again = planFromJson(toJson(*plan), "again");
    if (!validate(*plan) || !validate(shortest) || !again || hashOf(*again) != hashOf(*plan) ||
        !(canonical(shortest) == shortest))
        std::abort();
    return 0;
}
