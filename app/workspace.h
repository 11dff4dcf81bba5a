// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/thread_pool.h"
#include "core/io/open_dump.h"
#include "views/document.h"
#include "views/selection.h"

#include <QObject>
#include <QString>
#include <QTimer>
#include <QUndoStack>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>

namespace kvscope::app {

/// The open dumps of one window: the main one, optionally one to compare with, and then their difference; the selection
/// that all views share; and the undo stack. Opening runs on the pool; a failure leaves everything as it was.
class Workspace : public QObject {
    Q_OBJECT

public:
    enum class Slot : std::uint8_t { Main, Compared };

    explicit Workspace(QObject* parent = nullptr);
    ~Workspace() override;

    [[nodiscard]] ThreadPool& pool() { return pool_; }
    [[nodiscard]] views::SelectionModel& selection() { return selection_; }
    [[nodiscard]] QUndoStack& undoStack() { return undo_; }

    /// The open document of a slot, or null.
    [[nodiscard]] views::Document* document(Slot slot) const;
    /// Main minus compared; null unless both are open and of one shape family.
    [[nodiscard]] views::Document* difference() const { return difference_.get(); }
    /// Why two open dumps have no difference; null where they have one.
    [[nodiscard]] const Error* differenceError() const { return differenceError_ ? &*differenceError_ : nullptr; }
    /// How the main dump could be read otherwise.
    [[nodiscard]] const std::vector<LayoutCandidate>& layouts(Slot slot) const;
    /// The levels of the file of a slot; none unless it is a .kvz.
    [[nodiscard]] const DumpLevels& levels(Slot slot) const;
    /// The sequences of the file of a slot where one at a time is opened; none where all are.
    [[nodiscard]] const DumpSequences& sequences(Slot slot) const;
    /// What the dump of a slot was opened with.
    [[nodiscard]] const OpenOptions& options(Slot slot) const;

    /// Starts opening; ends in `opened` or `failed`. A new request for a slot cancels the one under way.
    void open(const std::filesystem::path& path, const OpenOptions& options, Slot slot);
    /// Makes a cache that comes from no file the main dump; returns its document.
    views::Document* show(const KvCache& cache);
    /// Cancels what is being opened.
    void cancelOpening();
    [[nodiscard]] bool isOpening() const;
    /// Closes a slot.
    void close(Slot slot);

signals:
    void openingStarted(const QString& name);
    /// Progress of the opening in [0, 1]; 0 when unknown.
    void openingProgress(double fraction);
    void openingFinished();
    /// Documents changed: views of old ones are gone once this returns.
    void documentsChanged();
    void opened(const QString& path);
    void failed(const kvscope::Error& error, const QString& path);

private:
    struct Opened {
        std::unique_ptr<views::Document> document;
        std::vector<LayoutCandidate> layouts;
        DumpLevels levels;
        DumpSequences sequences;
        OpenOptions options;
    };
    struct Opening;

    void finish(const std::shared_ptr<Opening>& opening, Result<OpenedDump> result);
    void install(Slot slot, Opened opened);
    void updateDifference();
    void selectDefault();

    ThreadPool pool_{0, ThreadPool::Priority::Background};
    views::SelectionModel selection_;
    QUndoStack undo_;
    std::array<Opened, 2> slots_;
    std::unique_ptr<views::Document> difference_;
    std::optional<Error> differenceError_;
    std::shared_ptr<Opening> opening_;
    QTimer progressTimer_;
};

} // namespace kvscope::app
