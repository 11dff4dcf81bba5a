// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/encode_job.h"
#include "core/codec/plan_edit.h"
#include "core/kv/geometry.h"

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace kvscope {

using EncodedPlaneResultPtr = std::shared_ptr<const EncodedPlaneResult>;

/// What a plan does to one plane: same key, same bytes.
struct PlaneKey {
    std::int64_t chunkTokens = kDefaultChunkTokens;
    std::vector<PlaneSegment> segments;

    bool operator==(const PlaneKey&) const = default;
};
PlaneKey planeKey(const CodecPlan& plan, PlaneId plane, const KvGeometry& geometry);

/// Encoded planes of several plans of one dump, shared where the plans agree and kept for a while after no plan needs
/// them any more, so that undoing an edit costs nothing. Not safe to use from several threads.
class EncodeResults {
public:
    /// Bytes kept of results that no plan shows.
    static constexpr std::int64_t kKeptBytes = std::int64_t{256} << 20;

    EncodeResults(std::string dump, KvGeometry geometry, std::vector<PlaneId> planes,
                  std::int64_t keptBytes = kKeptBytes);

    /// Replaces the plans. Planes whose new result is not known yet keep showing what they showed.
    void setPlans(std::span<const CodecPlan> plans);
    /// Takes a result in; returns the plans (by index) that now show it.
    std::vector<std::size_t> put(PlaneId plane, const PlaneKey& key, EncodedPlaneResult result);
    /// Notes that a plane cannot be encoded so; it is not missing any more.
    void putError(PlaneId plane, const PlaneKey& key, const Error& error);

    [[nodiscard]] const PlaneKey& key(std::size_t plan, PlaneId plane) const;
    /// Whether some plan waits for this result.
    [[nodiscard]] bool isMissing(PlaneId plane, const PlaneKey& key) const;
    /// Neither there nor failed.
    [[nodiscard]] bool isMissing(std::size_t plan, PlaneId plane) const;
    /// Whether what the plane shows belongs to the plan as it is now.
    [[nodiscard]] bool isCurrent(std::size_t plan, PlaneId plane) const;
    [[nodiscard]] bool isComplete(std::size_t plan) const;
    /// What the plane shows; null before its first result.
    [[nodiscard]] EncodedPlaneResultPtr shown(std::size_t plan, PlaneId plane) const;
    [[nodiscard]] EncodedPlaneResultPtr find(PlaneId plane, const PlaneKey& key) const;
    [[nodiscard]] const Error* error(std::size_t plan) const;
    /// Of all that is shown; its `seconds` are those of one core that encodes alone.
    [[nodiscard]] const EncodeReport& report(std::size_t plan) const { return slots_[plan].report; }
    void setPrefillTokensPerSecond(std::optional<double> rate);
    [[nodiscard]] std::size_t planCount() const { return slots_.size(); }

private:
    struct Place {
        PlaneKey key;
        EncodedPlaneResultPtr shown;
        bool current = false;
        std::optional<Error> error;
    };
    struct Slot {
        std::map<PlaneId, Place> places;
        EncodeReport report;
    };
    struct Kept {
        PlaneId plane;
        PlaneKey key;
        EncodedPlaneResultPtr result;
        std::int64_t bytes = 0;
    };

    void show(Slot& slot, Place& place, EncodedPlaneResultPtr result, bool current);
    void dropOld();

    std::string dump_;
    KvGeometry geometry_;
    std::vector<PlaneId> planes_;
    std::int64_t keptBytes_;
    std::vector<Slot> slots_;
    /// The latest first.
    std::list<Kept> kept_;
    std::optional<double> prefill_;
};

} // namespace kvscope
