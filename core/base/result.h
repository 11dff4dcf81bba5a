// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <tl/expected.hpp>

#include <string>
#include <utility>

namespace kvscope {

/// Why something failed: what happened, where (file, byte offset, field), and what the user can do about it.
struct Error {
    enum class Kind {
        Input,    ///< the data or the request is wrong
        System,   ///< the machine refused (file, memory, permission)
        Cancelled ///< the user or a newer request stopped the job
    };

    std::string what;
    std::string where;
    std::string advice;
    Kind kind = Kind::Input;

    /// One line: "where: what. advice".
    [[nodiscard]] std::string message() const;
};

/// A value, or the reason why there is none.
template <class T> using Result = tl::expected<T, Error>;

/// Makes the failure side of a Result.
inline tl::unexpected<Error> fail(std::string what, std::string where = {}, std::string advice = {},
                                  Error::Kind kind = Error::Kind::Input) {
    return tl::unexpected<Error>(Error{std::move(what), std::move(where), std::move(advice), kind});
}

/// The failure of a job that was asked to stop.
inline tl::unexpected<Error> cancelled() {
    return fail("cancelled", {}, {}, Error::Kind::Cancelled);
}

} // namespace kvscope

#define KVSCOPE_CONCAT_INNER(a, b) a##b
#define KVSCOPE_CONCAT(a, b) KVSCOPE_CONCAT_INNER(a, b)

/// Evaluates a Result<void> (or any Result) and returns its error from the enclosing function.
#define KVSCOPE_TRY(expression)                                                                                        \
    do {                                                                                                               \
        if (auto kvscopeResult = (expression); !kvscopeResult)                                                         \
            return tl::unexpected<::kvscope::Error>(std::move(kvscopeResult.error()));                                 \
    } while (false)

/// Declares a variable from a Result, or returns its error: KVSCOPE_ASSIGN(const auto size, file.size());
#define KVSCOPE_ASSIGN(declaration, expression)                                                                        \
    auto KVSCOPE_CONCAT(kvscopeResult, __LINE__) = (expression);                                                       \
    if (!KVSCOPE_CONCAT(kvscopeResult, __LINE__))                                                                      \
        return tl::unexpected<::kvscope::Error>(std::move(KVSCOPE_CONCAT(kvscopeResult, __LINE__).error()));           \
    declaration = std::move(*KVSCOPE_CONCAT(kvscopeResult, __LINE__))
