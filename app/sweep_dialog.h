// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "app/sweep_run.h"
#include "views/statistics_table.h"

#include <QDialog>
#include <QPointer>
#include <QTimer>

#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QTableWidget;

namespace kvscope::app {

/// The table of methods over one or many dumps: which dumps and methods, the strict thresholds, rows as they come, what
/// passed, the smallest configurations that pass, and all of it as text, CSV or JSON. Works beside the window.
class SweepDialog : public QDialog {
    Q_OBJECT

public:
    explicit SweepDialog(ThreadPool& pool, QWidget* parent = nullptr);
    ~SweepDialog() override;

    /// Lists a dump that is open already.
    void addDump(const KvCache& cache, bool heldOut);
    /// Lists files, which are opened when the sweep begins.
    void addFiles(const QStringList& paths);
    /// Lists the dumps of a manifest (see readSweepManifest).
    void addManifest(const QString& path);
    /// The plan that is tuned, tried where its box is checked.
    void setPlan(const std::optional<CodecPlan>& plan);

    void start();
    void stop();
    [[nodiscard]] bool isRunning() const { return running_ != nullptr; }
    /// The rows so far: of each dump, then of each group, then of the dumps held out.
    [[nodiscard]] const views::StatisticsTable& results() const { return table_->table(); }
    [[nodiscard]] QString message() const;
    /// Writes the results as the ending says: .csv, .json, or text.
    void save(const QString& path);

private:
    struct Listed {
        /// Absent while only the path is known.
        std::optional<KvCache> cache;
        QString path;
    };
    struct Running {
        std::stop_source stop;
        Progress progress;
    };

    QWidget* makeDumps();
    QWidget* makeOptions();
    QWidget* makeResults();
    void list(Listed dump, const QString& name, const QString& corpus, const QString& run, bool heldOut);
    void removeSelected();
    void take(const SweepRow& row);
    void finish(Result<SweepOutcome> outcome);
    void showRows();
    void showState();
    void say(const QString& text, bool error);

    ThreadPool& pool_;
    std::vector<Listed> listed_;
    std::optional<CodecPlan> plan_;
    std::shared_ptr<Running> running_;
    std::vector<SweepRow> rows_;
    std::optional<SweepOutcome> outcome_;
    QTimer ticker_;
    QTableWidget* dumps_;
    QComboBox* methods_;
    QCheckBox* withPlan_;
    QCheckBox* search_;
    QDoubleSpinBox* cosine_;
    QDoubleSpinBox* keyMae_;
    QDoubleSpinBox* valueMae_;
    QSpinBox* prefill_;
    QPushButton* start_;
    QPushButton* save_;
    QProgressBar* progress_;
    QLabel* message_;
    views::StatisticsTableView* table_;
};

} // namespace kvscope::app
