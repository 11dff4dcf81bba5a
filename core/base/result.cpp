// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/result.h"

namespace kvscope {

std::string Error::message() const {
    std::string text = where.empty() ? what : where + ": " + what;
    if (!advice.empty())
        text += ". " + advice;
    return text;
}

} // namespace kvscope
