// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workspace.h"

#include "app/overview_cache.h"
#include "core/kv/strided_cache.h"
#include "views/codec_session.h"
#include "views/run_async.h"
#include "views/stream_session.h"

#include <QUndoCommand>

#include <chrono>

namespace kvscope::app {

namespace {

/// Selections that follow one another this fast (a drag, held arrow keys) are one undo step.
constexpr auto kMergeWindow = std::chrono::milliseconds(400);

class SelectionCommand final : public QUndoCommand {
public:
    SelectionCommand(views::SelectionModel& model, const views::Selection& before, const views::Selection& after)
        : QUndoCommand(QObject::tr("selection"))
        , model_(model)
        , before_(before)
        , after_(after)
        , made_(std::chrono::steady_clock::now()) {}

    [[nodiscard]] int id() const override { return 1; }
    void undo() override { model_.reset(before_); }
    void redo() override { model_.reset(after_); }

    bool mergeWith(const QUndoCommand* other) override {
        const auto& next = static_cast<const SelectionCommand&>(*other);
        if (next.made_ - made_ > kMergeWindow)
            return false;
        after_ = next.after_;
        made_ = next.made_;
        return true;
    }

private:
    views::SelectionModel& model_;
    views::Selection before_;
    views::Selection after_;
    std::chrono::steady_clock::time_point made_;
};

} // namespace

struct Workspace::Opening {
    std::filesystem::path path;
    OpenOptions options;
    Slot slot = Slot::Main;
    std::stop_source stop;
    Progress progress;
};

Workspace::Workspace(QObject* parent)
    : QObject(parent) {
    connect(&selection_, &views::SelectionModel::edited, this,
            [this](const views::Selection& before, const views::Selection& after) {
                undo_.push(new SelectionCommand(selection_, before, after));
            });
    progressTimer_.setInterval(100);
    connect(&progressTimer_, &QTimer::timeout, this, [this] {
        if (opening_)
            emit openingProgress(opening_->progress.fraction());
    });
}

Workspace::~Workspace() {
    cancelOpening();
}

views::Document* Workspace::document(Slot slot) const {
    return slots_[static_cast<std::size_t>(slot)].document.get();
}

const std::vector<LayoutCandidate>& Workspace::layouts(Slot slot) const {
    return slots_[static_cast<std::size_t>(slot)].layouts;
}

const DumpLevels& Workspace::levels(Slot slot) const {
    return slots_[static_cast<std::size_t>(slot)].levels;
}

const DumpSequences& Workspace::sequences(Slot slot) const {
    return slots_[static_cast<std::size_t>(slot)].sequences;
}

const OpenOptions& Workspace::options(Slot slot) const {
    return slots_[static_cast<std::size_t>(slot)].options;
}

void Workspace::open(const std::filesystem::path& path, const OpenOptions& options, Slot slot) {
    cancelOpening();
    opening_ = std::make_shared<Opening>();
    opening_->path = path;
    opening_->options = options;
    opening_->slot = slot;
    emit openingStarted(QString::fromStdString(path.filename().string()));
    progressTimer_.start();
    views::runAsync(
        pool_, this,
        [opening = opening_] {
            return openDump(opening->path, opening->options, JobControl{opening->stop.get_token(), &opening->progress});
        },
        [this, opening = opening_](Result<OpenedDump> result) { finish(opening, std::move(result)); });
}

views::Document* Workspace::show(const KvCache& cache) {
    cancelOpening();
    Opened opened;
    opened.document = std::make_unique<views::Document>(cache, pool_);
    install(Slot::Main, std::move(opened));
    return document(Slot::Main);
}

void Workspace::cancelOpening() {
    if (!opening_)
        return;
    opening_->stop.request_stop();
    opening_.reset();
    progressTimer_.stop();
    emit openingFinished();
}

bool Workspace::isOpening() const {
    return opening_ != nullptr;
}

void Workspace::close(Slot slot) {
    // Without a main dump there is nothing to compare with: the other one takes its place.
    Opened next;
    if (slot == Slot::Main)
        next = std::move(slots_[static_cast<std::size_t>(Slot::Compared)]);
    slots_[static_cast<std::size_t>(Slot::Compared)] = {};
    if (slot == Slot::Main)
        install(Slot::Main, std::move(next));
    else
        install(Slot::Compared, {});
}

void Workspace::finish(const std::shared_ptr<Opening>& opening, Result<OpenedDump> result) {
    if (opening != opening_)
        return;
    opening_.reset();
    progressTimer_.stop();
    emit openingFinished();
    const QString path = QString::fromStdString(opening->path.string());
    if (!result) {
        emit failed(result.error(), path);
        return;
    }
    Opened opened;
    opened.document = std::make_unique<views::Document>(result->cache, pool_, overviewOptions());
    opened.layouts = std::move(result->layouts);
    opened.levels = std::move(result->levels);
    opened.sequences = std::move(result->sequences);
    opened.options = opening->options;
    const Slot slot = document(Slot::Main) == nullptr ? Slot::Main : opening->slot;
    install(slot, std::move(opened));
    emit this->opened(path);
}

void Workspace::install(Slot slot, Opened opened) {
    // The old documents live until the views have let go of them.
    const Opened old = std::exchange(slots_[static_cast<std::size_t>(slot)], std::move(opened));
    const auto oldDifference = std::move(difference_);
    updateDifference();
    if (slot == Slot::Main) {
        undo_.clear();
        selectDefault();
        if (auto* main = document(Slot::Main)) {
            views::CodecSession::of(*main).setUndoStack(&undo_);
            views::StreamSession::of(*main).setUndoStack(&undo_);
        }
    }
    for (const Slot one : {Slot::Main, Slot::Compared}) {
        auto* document = this->document(one);
        const auto* other = this->document(one == Slot::Main ? Slot::Compared : Slot::Main);
        if (document != nullptr)
            views::CodecSession::of(*document).setHeldOut(other != nullptr ? std::optional(other->cache())
                                                                           : std::nullopt);
    }
    emit documentsChanged();
}

void Workspace::updateDifference() {
    differenceError_.reset();
    const auto* main = document(Slot::Main);
    const auto* compared = document(Slot::Compared);
    if (main == nullptr || compared == nullptr)
        return;
    auto cache = makeDifferenceCache(main->cache(), compared->cache());
    if (cache)
        difference_ = std::make_unique<views::Document>(*cache, pool_);
    else
        differenceError_ = cache.error();
}

void Workspace::selectDefault() {
    const auto* main = document(Slot::Main);
    if (main == nullptr)
        return;
    const auto& geometry = main->cache().geometry();
    views::Selection selection;
    const auto kinds = geometry.kinds();
    if (!kinds.empty())
        selection.kind = kinds.front();
    const std::int64_t middle = geometry.layerCount() / 2;
    selection.layers = layerRange(middle, middle + 1);
    selection_.reset(selection);
}

} // namespace kvscope::app
