// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/simulator.h"

#include "core/stream/stream_run.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

namespace kvscope {

namespace {

/// What comes next, in the order in which events of the same moment are handled.
enum class Event { IdsArrived, Ready, Computed, Arrived, Resend, PathFree, Look, None };

class Simulation {
public:
    Simulation(std::span<const SharedContext> contexts, const StreamSetup& setup)
        : setup_(setup)
        , asks_(setup.receiverAsks && contexts.size() == 1) {
        const auto faults = contexts.size() == 1 ? std::span<const Fault>(setup.faults) : std::span<const Fault>();
        for (std::size_t i = 0; i < setup.link.paths.size(); ++i)
            paths_[i].freeAt = setup.link.paths[i].rttSeconds / 2;
        for (const SharedContext& context : contexts)
            runs_.emplace_back(*context.input, setup, *context.policy, context.name, runs_.size(), faults, paths(),
                               asks_);
        for (StreamRun& run : runs_) {
            run.sendIds(paths_[0]);
            for (std::size_t i = 0; setup.receiverAsks && i < setup.link.paths.size(); ++i) {
                const double rtt = setup.link.paths[i].rttSeconds;
                if (asks_)
                    // All senders but the first are greeted when it is known what there is.
                    paths_[i].lookAt = run.nextIds() + (i > 0 ? rtt : 0);
                else
                    paths_[i].freeAt = std::max(paths_[i].freeAt, run.nextIds() + rtt / 2);
            }
        }
    }

    std::vector<Timeline> run() {
        while (step()) {
        }
        std::vector<Timeline> timelines;
        timelines.reserve(runs_.size());
        for (StreamRun& run : runs_)
            timelines.push_back(run.finish());
        return timelines;
    }

private:
    std::span<PathState> paths() { return std::span(paths_).first(setup_.link.paths.size()); }

    bool step() {
        double at = kNever;
        Event event = Event::None;
        std::size_t index = 0;
        const auto offer = [&](double time, Event kind, std::size_t i) {
            if (time < at || (time == at && kind < event && time < kNever)) {
                at = time;
                event = kind;
                index = i;
            }
        };
        bool unfinished = false;
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            const StreamRun& run = runs_[i];
            if (run.done())
                continue;
            unfinished = true;
            offer(run.nextIds(), Event::IdsArrived, i);
            offer(run.nextReady(), Event::Ready, i);
            offer(run.nextComputed(), Event::Computed, i);
            offer(run.nextArrival(), Event::Arrived, i);
            offer(run.nextResend(), Event::Resend, i);
        }
        if (!unfinished)
            return false;
        for (std::size_t p = 0; p < paths().size(); ++p) {
            if (asks_) {
                offer(paths_[p].nextBegin(), Event::PathFree, p);
                offer(paths_[p].lookAt, Event::Look, p);
            } else if (!paths_[p].waiting) {
                offer(paths_[p].freeAt, Event::PathFree, p);
            }
        }
        switch (event) {
        case Event::None:
            return false;
        case Event::PathFree:
            if (asks_)
                runs_.front().beginAsked(index, at);
            else
                serve(index, at);
            break;
        case Event::Look:
            paths_[index].lookAt = runs_.front().look(index, at);
            paths_[index].waiting = paths_[index].lookAt == kNever;
            break;
        case Event::IdsArrived:
            runs_[index].noteIds(at);
            break;
        case Event::Ready:
            runs_[index].becomeReady(at);
            wakePaths(at);
            break;
        case Event::Computed:
            runs_[index].finishRecompute(at);
            wakePaths(at);
            break;
        case Event::Arrived:
            runs_[index].arrive(at);
            if (asks_)
                wakePaths(at);
            break;
        case Event::Resend:
            runs_[index].makeResendDue(at);
            wakePaths(at);
            break;
        }
        return true;
    }

    /// Paths that found nothing to send ask again; a sender that decides hears of it half a round trip later.
    void wakePaths(double now) {
        for (std::size_t p = 0; p < paths().size(); ++p) {
            if (!paths_[p].waiting)
                continue;
            paths_[p].waiting = false;
            if (asks_)
                paths_[p].lookAt = now;
            else
                paths_[p].freeAt = std::max(paths_[p].freeAt, now + setup_.link.paths[p].rttSeconds / 2);
        }
    }

    /// Gives a free path to the context that has had the fewest bytes and has something to send.
    void serve(std::size_t path, double now) {
        PathState& state = paths_[path];
        if (state.lastRun < runs_.size())
            runs_[state.lastRun].noteSent(state.lastSent, now);
        state.lastRun = kNoIndex;
        order_.clear();
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            if (!runs_[i].done())
                order_.push_back(i);
        }
        if (order_.size() > 1)
            std::ranges::stable_sort(order_, {}, [&](std::size_t i) { return runs_[i].sentBytes(); });
        for (const std::size_t i : order_) {
            if (runs_[i].sendNext(path, now)) {
                state.lastRun = i;
                return;
            }
        }
        state.waiting = true;
    }

    const StreamSetup& setup_;
    /// The receiver asks for chunks.
    const bool asks_;
    std::deque<StreamRun> runs_;
    std::array<PathState, 2> paths_;
    std::vector<std::size_t> order_;
};

} // namespace

Result<void> validate(const StreamSetup& setup) {
    KVSCOPE_TRY(validate(setup.link));
    KVSCOPE_TRY(validate(setup.compute));
    if (!(setup.sloSeconds > 0 && setup.sloSeconds < 1e9))
        return fail("the target for the first token must be positive", "stream");
    for (const Fault& fault : setup.faults) {
        if (!(fault.seconds >= 0 && fault.seconds < 1e9))
            return fail("a delay must not be negative", "stream");
    }
    return {};
}

Timeline simulate(const StreamInput& input, const StreamSetup& setup, Policy& policy, std::string name) {
    const std::array contexts{SharedContext{&input, &policy, std::move(name)}};
    return std::move(Simulation(contexts, setup).run().front());
}

std::vector<Timeline> simulateShared(std::span<const SharedContext> contexts, const StreamSetup& setup) {
    return Simulation(contexts, setup).run();
}

} // namespace kvscope
