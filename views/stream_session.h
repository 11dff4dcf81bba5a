// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/policy.h"
#include "core/stream/timeline.h"
#include "views/document.h"
#include "views/live_fetch.h"
#include "views/stream_player.h"
#include "views/stream_rates.h"
#include "views/stream_settings.h"

#include <QObject>
#include <QPointer>
#include <QString>
#include <QTimer>
#include <QUndoStack>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace kvscope::views {

/// One run that is shown: a strategy's simulation, or what was measured on a real link.
struct StreamRow {
    std::string name;
    Timeline timeline;
    /// Chooses by what it sees, or is the bound for those that do; the others send every chunk in one form.
    bool adaptive = false;
    bool measured = false;
    /// More of it is still to come.
    bool underWay = false;
};

/// A context that is really sent: shown, and simulated, in place of the projected one.
struct ShownTransfer {
    std::shared_ptr<const StreamInput> input;
    /// What it is, for people.
    QString caption;
    /// Real bandwidth and prefill for one of the settings': below 1, a small dump takes as long as what it stands for.
    double bandwidthScale = 1;
    double prefillScale = 1;
    /// Whether chunks may come as text, to be recomputed.
    bool text = true;
    /// What this machine's decoder does, and in how many pieces a chunk comes.
    double decodeBytesPerSecond = 1e9;
    int decodePieces = 4;
    /// Where each chunk's tokens lie in the document, empty where it lacks them; without places by proportion.
    std::vector<TokenRange> places;
    /// The links as they were seen, where the senders are not ours; empty: that of the settings.
    std::vector<SeenPath> seen;

    /// The compute model of such a transfer where the settings have `entered`.
    [[nodiscard]] ComputeModel compute(const ComputeModel& entered) const;
};

/// Streaming one document's context under every strategy: the dump's measured rates, the settings, and the runs that
/// follow from them, anew at each change. Edits are undo steps. Lives on the window's thread; measuring the dump, and
/// simulating contexts of very many chunks, happen on the pool.
class StreamSession : public QObject {
    Q_OBJECT

public:
    /// Range of the mean bandwidth, bits per second.
    static constexpr double kLeastRate = 0.1e9;
    static constexpr double kMostRate = 400e9;
    /// Range of the SLO, seconds.
    static constexpr double kLeastSlo = 0.05;
    static constexpr double kMostSlo = 600;
    /// Contexts of more chunks are simulated on the pool.
    static constexpr std::size_t kMostChunksInFrame = 256;
    static constexpr const char* kFirstRow = "kvscope";

    /// The document's session; made on first use and owned by the document. Costs nothing until a view wants it.
    static StreamSession& of(Document& document);

    explicit StreamSession(Document& document);
    /// A session that shows transfers alone.
    explicit StreamSession(ThreadPool& pool, QObject* parent = nullptr);
    ~StreamSession() override;

    /// Null for one that shows transfers alone.
    [[nodiscard]] Document* document() const { return document_; }
    [[nodiscard]] ThreadPool& pool() const { return pool_; }
    /// Edits become commands of this stack; before it is set, of one of the session's own.
    void setUndoStack(QUndoStack* stack);
    [[nodiscard]] QUndoStack& undoStack() const { return *undo_; }

    [[nodiscard]] const StreamSettings& settings() const { return settings_; }
    /// Replaces the settings: one undo step, or part of the stroke under way. Refuses what cannot be simulated.
    Result<void> edit(const QString& what, const StreamSettings& settings);
    /// Edits from here to endStroke (a mouse drag) are one undo step.
    void beginStroke(const QString& what);
    void endStroke();
    [[nodiscard]] bool inStroke() const { return stroke_.has_value(); }

    /// What the bandwidth slider shows and sets, bits per second: the trace's mean, times the last pull's factor.
    [[nodiscard]] double bandwidth() const;
    /// Before the start (position 0) and after the end (which it leaves for the start): the trace's mean, pulls are
    /// forgotten. While a run is played or paused: from the position on, what was before stays.
    void setBandwidth(double bitsPerSecond);
    /// Another shape; pulls are forgotten.
    void setTrace(const QString& what, BandwidthTrace trace);
    /// The bandwidth from the request on, as simulated.
    [[nodiscard]] const BandwidthTrace& bandwidthCurve() const {
        return transfer_ != nullptr && !transfer_->seen.empty() ? *transfer_->seen.front().trace : *curve_;
    }
    /// That of the link's second path, or of the second sender; null without one.
    [[nodiscard]] const BandwidthTrace* secondCurve() const;
    /// bandwidthCurve() as the shape to be edited: pulls and start become part of it.
    void editCurve(const QString& what, const Result<BandwidthTrace>& curve);

    /// Codec presets that contexts stream in, the finest first.
    [[nodiscard]] const std::vector<std::string>& levels() const { return levels_; }

    /// Measures the dump while somebody wants it; forgotten when `who` is destroyed.
    void want(const QObject* who);
    void release(const QObject* who);
    /// Stops measuring until resume().
    void cancel();
    void resume();
    [[nodiscard]] bool isCancelled() const { return cancelled_; }
    /// Measuring has not ended, and nobody stopped it.
    [[nodiscard]] bool isMeasuring() const { return measuring_ != nullptr; }
    /// Share done in [0, 1].
    [[nodiscard]] double progress() const;
    /// Nothing is being measured or simulated.
    [[nodiscard]] bool isIdle() const { return measuring_ == nullptr && simulating_ == 0; }
    /// Why there are no runs; null when there are, or will be.
    [[nodiscard]] const Error* error() const { return error_ ? &*error_ : nullptr; }

    /// What was measured; null until it is.
    [[nodiscard]] const StreamRates* rates() const { return rates_.get(); }
    [[nodiscard]] std::shared_ptr<const StreamRates> sharedRates() const { return rates_; }
    /// What is streamed, and its surroundings; null and empty until the dump is measured.
    [[nodiscard]] const StreamInput* input() const { return input_.get(); }
    [[nodiscard]] std::shared_ptr<const StreamInput> sharedInput() const { return input_; }
    [[nodiscard]] const StreamSetup& setup() const { return setup_; }
    /// All runs, the earliest first token first.
    [[nodiscard]] const std::vector<StreamRow>& rows() const { return rows_; }
    /// The run of that name that was simulated (or measured); null when there is none.
    [[nodiscard]] const StreamRow* row(const std::string& name, bool measured = false) const;
    /// Milliseconds that the latest simulation of all strategies took.
    [[nodiscard]] double simulationMs() const { return simulationMs_; }

    /// Shows a context that is really sent and simulates that one, until leaveTransfer() or until another model,
    /// context or chunk is chosen. What was measured before is forgotten.
    void showTransfer(ShownTransfer transfer);
    /// The links of the transfer as they have been seen by now.
    void setSeen(std::vector<SeenPath> seen);
    void leaveTransfer();
    /// What is shown in place of the projected context; null when nothing is.
    [[nodiscard]] const ShownTransfer* transfer() const { return transfer_.get(); }
    /// The surroundings of a run as they are simulated: setup(), or what they come to for the transfer.
    [[nodiscard]] StreamSetup effectiveSetup() const;

    /// Shows a run that was measured on a real link among the simulated ones, until the next with that name; its
    /// candidates must be those of input().
    void setMeasured(const std::string& name, Timeline timeline, bool underWay = false);
    void clearMeasured();

    /// The run in focus: its arrivals fill the heatmap.
    [[nodiscard]] const std::string& focusName() const { return focus_; }
    [[nodiscard]] bool focusIsMeasured() const { return focusMeasured_; }
    [[nodiscard]] const StreamRow* focusRow() const { return row(focus_, focusMeasured_); }
    void setFocus(const std::string& name, bool measured = false);
    /// The chunk of the run in focus that is explained.
    [[nodiscard]] std::optional<std::size_t> chunk() const { return chunk_; }
    void setChunk(std::optional<std::size_t> chunk);
    /// The dump's tokens that stand for a chunk: those of a context that was fetched (none where it did not come), else
    /// the context's positions in proportion.
    [[nodiscard]] TokenRange tokensOf(std::size_t chunk) const;

    [[nodiscard]] StreamPlayer& player() { return player_; }
    [[nodiscard]] const StreamPlayer& player() const { return player_; }

signals:
    /// Settings or runs are others.
    void changed();
    /// Another run or chunk is in focus.
    void focusChanged();
    /// Measuring got further, began or ended.
    void progressed();
    /// An edit was refused.
    void failed(const kvscope::Error& error);

private:
    class Command;
    struct Measuring;
    struct Stroke {
        QString what;
        StreamSettings before;
    };

    void apply(const StreamSettings& settings);
    void measure();
    /// Measures the plan that is being tuned, if it is another than the one measured last.
    void measureTuned();
    /// Runs a measurement on the pool and takes its rates.
    void run(std::function<Result<StreamRates>(const JobControl&)> work, bool presets);
    void project();
    void adoptInput(std::shared_ptr<const StreamInput> input);
    void simulate();
    void adopt(std::vector<Timeline> timelines, double milliseconds);
    void arrange();
    [[nodiscard]] Result<void> checkEditable(const StreamSettings& settings) const;
    [[nodiscard]] Result<StreamInput> makeInput(const StreamSettings& settings) const;

    StreamSession(Document* document, ThreadPool& pool, QObject* parent);

    Document* document_;
    ThreadPool& pool_;
    QPointer<QUndoStack> undo_;
    std::vector<std::string> levels_{"kvz-high", "kvz-medium", "kvz-low"};
    StreamSettings settings_;
    std::shared_ptr<const BandwidthTrace> curve_;
    StreamSetup setup_;
    std::optional<Stroke> stroke_;
    std::set<const QObject*> wanted_;
    std::shared_ptr<Measuring> measuring_;
    bool cancelled_ = false;
    /// With the tuned plan, and of the presets alone.
    std::shared_ptr<const StreamRates> rates_;
    std::shared_ptr<const StreamRates> presetRates_;
    /// hashOf the tuned plan that rates_ know.
    std::optional<std::uint64_t> tuned_;
    QTimer tunedLater_;
    std::shared_ptr<const StreamInput> input_;
    std::vector<PolicyName> policies_;
    /// What is shown: those that were simulated and those that were measured.
    std::vector<StreamRow> rows_;
    std::vector<StreamRow> simulated_;
    std::vector<StreamRow> measured_;
    std::shared_ptr<const ShownTransfer> transfer_;
    std::optional<Error> error_;
    /// Simulations on the pool that have not come back, and the number of the newest.
    int simulating_ = 0;
    int generation_ = 0;
    double simulationMs_ = 0;
    std::string focus_ = kFirstRow;
    bool focusMeasured_ = false;
    std::optional<std::size_t> chunk_;
    StreamPlayer player_;
    QTimer ticker_;
};

} // namespace kvscope::views
