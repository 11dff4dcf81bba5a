// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/unit/stats_test_data.h"

#include <QTest>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>

namespace kvscope::testing {

using Json = nlohmann::json;

/// Numbers that numpy computed from a dump, and the dump.
struct GoldenDump {
    Json golden;
    KvCache cache;
};

inline std::filesystem::path testData() {
    const char* folder = std::getenv("KVSCOPE_TEST_DATA");
    return folder != nullptr ? std::filesystem::path(folder)
                             : std::filesystem::path(KVSCOPE_SOURCE_DIR) / ".." / "shared" / "data";
}

/// The dump of a golden file: "small" lies beside it, others in the test data; nothing when that is not there.
inline std::optional<GoldenDump> loadGolden(const std::string& name, DType dtype = DType::F32) {
    std::ifstream file(goldenStats() / (name + ".stats.json"));
    const Json golden = Json::parse(file, nullptr, false);
    if (golden.is_discarded())
        return std::nullopt;
    const auto folder = name == "small" ? goldenStats() : testData() / "dumps";
    auto cache = loadStories(folder / golden["dump"].get<std::string>(), folder / golden["kpre"].get<std::string>(),
                             golden["layers"].get<std::int64_t>(), golden["kv_heads"].get<std::int64_t>(), dtype);
    if (!cache)
        return std::nullopt;
    return GoldenDump{golden, *cache};
}

/// Rows for every golden dump; used in _data functions.
inline void addGoldenRows() {
    QTest::addColumn<QString>("name");
    for (const char* name : {"small", "stories260K.story_a", "stories260K.story_b"})
        QTest::addRow("%s", name) << QString(name);
}

/// The scope of a kind as the golden files name them.
struct GoldenKind {
    const char* name;
    PlaneKind kind;
    bool beforeRope;
};
inline constexpr std::array kGoldenKinds{GoldenKind{"K", PlaneKind::Key, false},
                                         GoldenKind{"V", PlaneKind::Value, false},
                                         GoldenKind{"Kpre", PlaneKind::Key, true}};

/// Whether two numbers agree to 1e-6 relative, or to 1e-6 of `scale` for numbers that cancel (means, skewness).
inline bool near(double actual, double expected, double scale = 0) {
    return std::fabs(actual - expected) <= 1e-6 * std::max(std::fabs(expected), scale);
}

} // namespace kvscope::testing

/// Compares with the place and both numbers in the message.
#define KVSCOPE_NEAR(actual, expected, scale)                                                                          \
    do {                                                                                                               \
        const double kvscopeActual = (actual);                                                                         \
        const double kvscopeExpected = (expected);                                                                     \
        QVERIFY2(kvscope::testing::near(kvscopeActual, kvscopeExpected, scale),                                        \
                 qPrintable(QStringLiteral("%1: %2, expected %3")                                                      \
                                .arg(#actual)                                                                          \
                                .arg(kvscopeActual, 0, 'g', 12)                                                        \
                                .arg(kvscopeExpected, 0, 'g', 12)));                                                   \
    } while (false)
