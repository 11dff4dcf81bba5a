// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/kvz_writer.h"
#include "core/codec/presets.h"
#include "core/store/encoded_context.h"
#include "core/stream/fetch.h"
#include "core/stream/sender.h"
#include "tests/unit/codec_cache.h"

#include <QTemporaryDir>

#include <string>
#include <vector>

namespace kvscope::testing {

/// Values of a plane as stored.
inline std::vector<std::byte> nativeOf(const KvCache& cache, PlaneId plane) {
    const PlaneGeometry* shape = cache.geometry().find(plane);
    std::vector<std::byte> bytes(static_cast<std::size_t>(shape->values() * sizeOf(shape->dtype)));
    if (!cache.readNative(plane, tokenRange(0, shape->tokens), bytes))
        bytes.clear();
    return bytes;
}

inline bool sameNative(const KvCache& a, const KvCache& b) {
    if (!(a.geometry().allPlanes() == b.geometry().allPlanes()))
        return false;
    for (const PlaneId plane : a.geometry().allPlanes()) {
        const auto left = nativeOf(a, plane);
        if (left.empty() || left != nativeOf(b, plane))
            return false;
    }
    return true;
}

/// A seeded cache encoded at three levels into a file of a folder of its own.
class EncodedFile {
public:
    explicit EncodedFile(const KvCache& cache, std::vector<std::string> presets = {"kvz-high", "kvz-medium", "kvz-low"},
                         std::int64_t chunkTokens = 64) {
        std::vector<CodecPlan> plans;
        for (const std::string& name : presets) {
            auto plan = makePreset(name, cache);
            plan->chunkTokens = chunkTokens;
            plans.push_back(std::move(*plan));
        }
        ThreadPool pool;
        EncodeOptions options;
        options.measureAttention = false;
        if (const auto written = writeKvz(path(), cache, plans, pool, options); written)
            file_ = *KvzFile::open(*openFile(path()));
    }

    [[nodiscard]] std::string path() const { return folder_.filePath("seeded.kvz").toStdString(); }
    [[nodiscard]] std::string folder() const { return folder_.path().toStdString(); }
    [[nodiscard]] const KvzFilePtr& file() const { return file_; }
    [[nodiscard]] ContextShelfPtr shelf() const { return *openShelf(path()); }

private:
    QTemporaryDir folder_;
    KvzFilePtr file_;
};

/// Fetches from senders on this machine.
inline FetchOptions fetchFrom(std::initializer_list<const Sender*> senders, const std::string& policy) {
    FetchOptions options;
    for (const Sender* sender : senders)
        options.senders.push_back({"127.0.0.1", sender->port()});
    options.policy = policy;
    options.chunkTokens = 128;
    return options;
}

} // namespace kvscope::testing
