// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/model_config.h"
#include "core/io/side_files.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = kvscope::fuzz::sourceOf({data, size});
    const auto config = kvscope::readModelConfig(*bytes);
    if (config) {
        for (const std::int64_t headDim : {1, 7, 64})
            for (const auto& rope : config->ropes(5, headDim))
                if (rope && rope->rotaryDim() > headDim)
                    std::abort();
    }
    const auto tokens = kvscope::readTokensJson(*bytes);
    if (tokens && !tokens->ids.empty() && !tokens->texts.empty() && tokens->ids.size() != tokens->texts.size())
        std::abort();
    return 0;
}
