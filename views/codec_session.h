// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/codec/encode_job.h"
#include "core/codec/encode_report.h"
#include "core/codec/encode_results.h"
#include "core/codec/plan.h"
#include "core/codec/plan_edit.h"
#include "views/document.h"

#include <QElapsedTimer>
#include <QObject>
#include <QPointer>
#include <QString>
#include <QUndoStack>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

class QTimer;

namespace kvscope::views {

class PresetSurvey;

/// A plan that was measured on a dump, without its bytes.
struct MeasuredPlan {
    CodecPlan plan;
    /// hashOf(plan).
    std::uint64_t hash = 0;
    EncodeTotals keys;
    EncodeTotals values;
    EncodeTotals latents;
    EncodeTotals all;
};

/// The plans of one document: the current one, which the user tunes, and up to three pinned beside it, each encoded on
/// the pool while some view wants it. Every edit is an undo step; only planes that an edit touches are encoded again.
/// Slot 0 ("A") is the current plan, slots 1 to 3 ("B" to "D") are the pinned ones. Lives on the window's thread.
class CodecSession : public QObject {
    Q_OBJECT

public:
    static constexpr std::size_t kMaxPlans = 4;
    static constexpr const char* kFirstPreset = "kvz-medium";

    /// The document's session; made on first use and owned by the document. Costs nothing until a view wants it.
    static CodecSession& of(Document& document);

    explicit CodecSession(Document& document);
    ~CodecSession() override;

    [[nodiscard]] Document& document() const { return document_; }
    /// Edits become commands of this stack; before it is set, of one of the session's own.
    void setUndoStack(QUndoStack* stack);
    [[nodiscard]] QUndoStack& undoStack() const { return *undo_; }

    /// 0 until the first plan (preset kvz-medium) has been made, then 1 and one for each pinned plan.
    [[nodiscard]] std::size_t planCount() const { return plans_.size(); }
    [[nodiscard]] const CodecPlan& plan(std::size_t slot = 0) const { return plans_[slot]; }
    /// "A" to "D".
    static QString letter(std::size_t slot);

    /// Replaces the current plan: one undo step, or part of the stroke under way. Refuses invalid plans; the error
    /// names the field.
    Result<void> edit(const QString& what, CodecPlan plan);
    /// Paints: changes each pipeline of the cells within the token range (multiples of the plan's chunkTokens or open);
    /// nothing is changed when `change` refuses one of them or gives an invalid pipeline.
    Result<void> adjustCells(const QString& what, std::span<const LayerKind> cells,
                             const std::function<Result<Pipeline>(const Pipeline&)>& change,
                             TokenRange tokens = tokenRange(0, kOpenEnd));
    /// Edits from here to endStroke (a mouse drag) are one undo step.
    void beginStroke(const QString& what);
    void endStroke();
    [[nodiscard]] bool inStroke() const { return stroke_.has_value(); }
    /// Loads a preset as the current plan, or gives its pipelines to some cells alone. Presets look at the dump, so
    /// that this ends later, with plansChanged or failed.
    void loadPreset(const QString& name);
    void applyPreset(const QString& name, std::vector<LayerKind> cells);

    /// Keeps a copy of the current plan beside it, as an undo step; nothing when all four places are taken.
    void pin();
    void unpin(std::size_t slot);
    /// Makes a pinned plan the current one (the pinned copy stays).
    void makeCurrent(std::size_t slot);

    /// What a visible view needs encoded: the current plan always.
    struct Interest {
        /// Also the pinned plans.
        bool pinned = false;
        /// Planes on the screen, done first.
        std::vector<PlaneId> first;
    };
    /// Replaces what `who` wants; forgotten when it is destroyed. Nothing is encoded while nobody wants anything.
    void want(const QObject* who, Interest interest);
    void release(const QObject* who);

    /// Whether all that `who` wants is there, has failed, or was cancelled, and `changed` has said so.
    [[nodiscard]] bool isIdle(const QObject* who) const;
    /// Share of the planes that `who` wants that is done, in [0, 1].
    [[nodiscard]] double progress(const QObject* who) const;
    /// Stops encoding until the next edit or resume().
    void cancel();
    void resume();
    [[nodiscard]] bool isCancelled() const { return cancelled_; }
    /// Why the newest work of a slot failed; null when it did not.
    [[nodiscard]] const Error* error(std::size_t slot = 0) const;

    /// What has been measured of a slot's plan so far. After an edit the planes it touched keep their former figures
    /// until they are encoded again; isCurrent tells which are such.
    [[nodiscard]] const EncodeReport& report(std::size_t slot = 0) const;
    /// Whether the plane's figures and bytes belong to the plan as it is now.
    [[nodiscard]] bool isCurrent(std::size_t slot, PlaneId plane) const;
    /// Whether that holds for every plane.
    [[nodiscard]] bool isComplete(std::size_t slot = 0) const;
    /// All planes finished so far with their bytes, e.g. for makeDecodedCache.
    [[nodiscard]] EncodedPlanes encodedPlanes(std::size_t slot = 0) const;
    /// K, V and latent planes of the dump, by plane id.
    [[nodiscard]] const std::vector<PlaneId>& planes() const { return planes_; }
    /// The kinds of those planes.
    [[nodiscard]] const std::vector<PlaneKind>& kinds() const { return kinds_; }

    /// Every plan that was encoded whole in this session, the oldest first.
    [[nodiscard]] const std::vector<MeasuredPlan>& tried() const { return tried_; }
    /// The preset that was loaded or applied in this session as a plan of that hash; nothing where none was.
    [[nodiscard]] std::optional<QString> presetWith(std::uint64_t hash) const;
    /// All presets measured in the background, for comparison.
    [[nodiscard]] PresetSurvey& survey() const { return *survey_; }

    /// Tokens a second that the prefill of the same tokens would reach, for the cost of encoding beside it.
    [[nodiscard]] double prefillTokensPerSecond() const { return prefill_; }
    void setPrefillTokensPerSecond(double rate);

    /// Another dump, on which the plan is tried without being tuned to it; nothing while there is none.
    [[nodiscard]] const std::optional<KvCache>& heldOut() const { return heldOut_; }
    void setHeldOut(std::optional<KvCache> cache);
    /// Tells held-out dumps apart: another number for each.
    [[nodiscard]] int heldOutNumber() const { return heldOutNumber_; }

    /// Planes encoded since the start, to show that only what changed is encoded again.
    [[nodiscard]] std::int64_t planesEncoded() const { return planesEncoded_; }

signals:
    /// The current plan or the pinned ones changed.
    void plansChanged();
    void heldOutChanged();
    /// A plane of a slot has new figures and bytes.
    void planeFinished(std::size_t slot, kvscope::PlaneId plane);
    /// Something was measured or failed, or what is shown changed; at most once a turn of the event loop.
    void changed();
    /// A running job got further.
    void progressed();
    /// An edit or a preset was refused.
    void failed(const kvscope::Error& error);

private:
    class PlansCommand;
    struct Stroke {
        QString what;
        std::vector<CodecPlan> before;
    };
    struct Running;
    struct Task;

    void push(const QString& what, std::vector<CodecPlan> plans);
    void setPlans(std::vector<CodecPlan> plans);
    void makePlan(const QString& name, std::function<void(const CodecPlan&)> done);
    void prepareFirst();
    void startNext();
    [[nodiscard]] std::optional<Task> nextTask() const;
    void start(const Task& task);
    void finish(const Task& task, Result<EncodedPlaneResult> result);
    void stopIfUseless();
    void rememberTried();
    void notify();
    [[nodiscard]] bool wantsPinned() const;
    [[nodiscard]] std::vector<PlaneId> order() const;

    Document& document_;
    std::vector<PlaneId> planes_;
    std::vector<PlaneKind> kinds_;
    QPointer<QUndoStack> undo_;
    std::vector<CodecPlan> plans_;
    std::optional<Stroke> stroke_;
    EncodeResults results_;
    std::map<const QObject*, Interest> interests_;
    std::shared_ptr<Running> running_;
    /// Planes of the last edit, which are done before all others.
    std::vector<PlaneId> edited_;
    std::map<QString, CodecPlan> made_;
    std::stop_source making_;
    std::optional<Error> firstError_;
    bool preparing_ = false;
    bool cancelled_ = false;
    bool notified_ = false;
    double lastSeconds_ = 0;
    std::vector<MeasuredPlan> tried_;
    PresetSurvey* survey_;
    double prefill_ = 8000;
    std::optional<KvCache> heldOut_;
    int heldOutNumber_ = 0;
    std::int64_t planesEncoded_ = 0;
    QTimer* ticker_;
};

} // namespace kvscope::views
