// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/offline_plan.h"

#include <algorithm>
#include <cmath>

namespace kvscope {

namespace {

constexpr double kSameLoss = 1e-12;

} // namespace

OfflinePlanner::OfflinePlanner(const StreamInput& input, const StreamSetup& setup, Cost cost)
    : input_(input)
    , setup_(setup)
    , cost_(cost) {
    const std::size_t chunks = input.chunkCount();
    const LinkPath& first = setup.link.paths.front();
    idsArrive_ = transferBytes(first, setup.link.seed, 0, first.rttSeconds / 2, input.idBytes(), 0).receiveEnd;
    prefillBefore_.assign(1, 0.0);
    for (std::size_t i = 0; i < chunks; ++i) {
        prefillBefore_.push_back(prefillBefore_.back() +
                                 setup.compute.prefillSeconds(static_cast<double>(input.tokensBefore(i)),
                                                              static_cast<double>(input.tokens(i))));
    }
    const std::size_t most = std::clamp<std::size_t>(8192 / chunks, 32, 512);
    suffixes_.resize(chunks + 1);
    suffixes_[chunks].push_back({});
    std::vector<Point> points;
    for (std::size_t k = chunks; k-- > 0;) {
        points.clear();
        for (std::size_t c = 1; c < input.candidateCount(); ++c) {
            const double price = costOf(k, c);
            const double loss = input.loss(k, c);
            const auto& rest = suffixes_[k + 1];
            for (std::size_t i = 0; i < rest.size(); ++i)
                points.push_back({rest[i].cost + price, rest[i].loss + loss, static_cast<std::uint32_t>(i),
                                  static_cast<std::uint32_t>(c)});
        }
        prune(points, most);
        suffixes_[k] = points;
    }
}

double OfflinePlanner::costOf(std::size_t chunk, std::size_t candidate) const {
    const ChunkOption& option = input_.option(chunk, candidate);
    if (!cost_.withDecoding)
        return option.bytes;
    const bool level = input_.candidates()[candidate].form == ChunkForm::Level;
    const double speed = level ? setup_.compute.decodeBytesPerSecond : setup_.compute.unpackBytesPerSecond;
    return std::max(option.bytes, option.decodedBytes / speed * cost_.bytesPerSecond);
}

void OfflinePlanner::prune(std::vector<Point>& points, std::size_t most) const {
    if (points.size() > 2 * most) {
        // Too many to keep: of those that lose about the same the cheapest. Losing least has a place of its own.
        const auto [least, greatest] = std::ranges::minmax(points, {}, &Point::loss);
        const double scale = static_cast<double>(most) / std::max(greatest.loss - least.loss, 1e-300);
        std::vector<Point> kept(most + 1, Point{kNever, 0, 0, 0});
        for (const Point& point : points) {
            const double above = std::max(0.0, point.loss - least.loss - kSameLoss) * scale;
            Point& best = kept[std::min(most, static_cast<std::size_t>(std::ceil(above)))];
            if (point.cost < best.cost)
                best = point;
        }
        points.clear();
        for (auto point = kept.rbegin(); point != kept.rend(); ++point) {
            if (point->cost < kNever)
                points.push_back(*point);
        }
    } else {
        std::ranges::sort(points, [](const Point& a, const Point& b) {
            return a.loss != b.loss ? a.loss > b.loss : a.cost > b.cost;
        });
    }
    // By falling loss: what costs no less than a later one that loses no more can go.
    double cheapest = kNever;
    std::size_t size = points.size();
    for (std::size_t i = points.size(); i-- > 0;) {
        if (points[i].cost < cheapest) {
            cheapest = points[i].cost;
            points[--size] = points[i];
        }
    }
    points.erase(points.begin(), points.begin() + static_cast<std::ptrdiff_t>(size));
}

double OfflinePlanner::budget(double arriveBy) const {
    double bytes = -input_.idBytes();
    for (const LinkPath& path : setup_.link.paths) {
        const double begin = path.rttSeconds / 2;
        const double end = arriveBy - path.rttSeconds / 2;
        if (end > begin)
            bytes += (1 - path.lossRate) * path.trace->bytesBetween(begin + path.traceStart, end + path.traceStart);
    }
    return bytes;
}

double OfflinePlanner::arrives(double cost) const {
    if (setup_.link.paths.size() == 1) {
        const LinkPath& path = setup_.link.paths.front();
        const double bytes = (cost + input_.idBytes()) / (1 - path.lossRate);
        const double begin = path.rttSeconds / 2 + path.traceStart;
        return path.trace->timeWhenThrough(begin, bytes) - path.traceStart + path.rttSeconds / 2;
    }
    double low = 0;
    double high = 1;
    while (budget(high) < cost && high < BandwidthTrace::kMaxSeconds)
        high *= 2;
    if (high >= BandwidthTrace::kMaxSeconds)
        return kNever;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (budget(middle) < cost ? low : high) = middle;
    }
    return high;
}

std::vector<std::size_t> OfflinePlanner::bestBy(double deadline, double tail) const {
    const std::size_t chunks = input_.chunkCount();
    const double most = budget(deadline - tail);
    std::size_t bestPrefix = kNoIndex;
    const Point* best = nullptr;
    double bestTime = kNever;
    for (std::size_t k = 0; k <= chunks; ++k) {
        if (k > 0 && computedAt(k) > deadline)
            break;
        const auto& points = suffixes_[k];
        const auto above = std::ranges::upper_bound(points, most, {}, &Point::cost);
        if (k < chunks && above == points.begin())
            continue;
        const Point& point = k < chunks ? *(above - 1) : points.front();
        const bool better = best == nullptr || point.loss < best->loss - kSameLoss;
        if (!better && point.loss > best->loss + kSameLoss)
            continue;
        const double time = std::max(k > 0 ? computedAt(k) : 0.0, k < chunks ? arrives(point.cost) + tail : 0.0);
        if (better || time < bestTime) {
            bestPrefix = k;
            best = &point;
            bestTime = time;
        }
    }
    if (best == nullptr)
        return {};
    std::vector<std::size_t> plan(bestPrefix, StreamInput::textCandidate());
    for (std::size_t k = bestPrefix; k < chunks; ++k) {
        plan.push_back(best->candidate);
        best = &suffixes_[k + 1][best->rest];
    }
    return plan;
}

double OfflinePlanner::earliest(double tail) const {
    const std::size_t chunks = input_.chunkCount();
    // Recomputing takes longer with each chunk, sending shorter: the best is where they cross.
    const auto computed = [&](std::size_t k) { return k > 0 ? computedAt(k) : 0.0; };
    const auto arrived = [&](std::size_t k) { return k < chunks ? arrives(suffixes_[k].front().cost) + tail : 0.0; };
    std::size_t low = 0;
    std::size_t high = chunks;
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (computed(middle) >= arrived(middle))
            high = middle;
        else
            low = middle + 1;
    }
    double best = std::max(computed(low), arrived(low));
    if (low > 0)
        best = std::min(best, std::max(computed(low - 1), arrived(low - 1)));
    return best;
}

} // namespace kvscope
