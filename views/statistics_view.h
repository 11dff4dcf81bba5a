// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/chart_panel.h"
#include "views/exportable.h"
#include "views/selection.h"
#include "views/statistics_jobs.h"

#include <QPointer>
#include <QTimer>
#include <QWidget>

#include <optional>
#include <vector>

namespace kvscope::views {

/// What all statistics views share: they ask for numbers while they are visible, show what has arrived, say how far the
/// rest is, and show errors in place.
class StatisticsView : public QWidget, public ExportableView {
    Q_OBJECT

public:
    StatisticsView(Document* document, SelectionModel* selection, QWidget* parent);

    [[nodiscard]] bool isReady() const override;
    /// Says over the charts which of several dumps they are of ("A"); without a role only pictures name the dump.
    virtual void setCaption(const QString& role);
    [[nodiscard]] QString summary() const { return panel_->summary(); }
    [[nodiscard]] ChartPanel& panel() const { return *panel_; }

protected:
    /// Takes the charts; called once by the constructor of the view.
    void setContent(QWidget* content);
    /// What the view needs for its present settings, most urgent first.
    [[nodiscard]] virtual std::vector<StatisticsService::Job> neededJobs() const = 0;
    /// Shows what is there.
    virtual void display() = 0;

    /// How far work is that the view waits for beside its jobs, in [0, 1]; nothing when there is none.
    [[nodiscard]] virtual std::optional<double> ownProgress() const { return {}; }
    /// Why that work failed; empty when it did not.
    [[nodiscard]] virtual QString ownError() const { return {}; }
    /// Shows progress and errors.
    void showState();

    /// Settings or the selection changed: asks for what is needed now and shows what is there.
    void refresh();

    [[nodiscard]] const KvCache& cache() const { return cache_; }
    [[nodiscard]] const Document& document() const { return *document_; }
    [[nodiscard]] SelectionModel& selectionModel() const { return *selection_; }
    [[nodiscard]] const Selection& selection() const { return selection_->current(); }
    /// A result, or null while it is not there.
    template <class T> [[nodiscard]] const T* result(const std::string& key) const {
        return service_ ? service_->find<T>(key) : nullptr;
    }
    /// Changes the selected layer (and kind) everywhere.
    void selectLayer(LayerIndex layer);

    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    KvCache cache_;
    QPointer<Document> document_;
    QPointer<SelectionModel> selection_;
    QPointer<StatisticsService> service_;
    ChartPanel* panel_ = nullptr;
    std::vector<std::string> wanted_;
    QTimer displayTimer_;
};

} // namespace kvscope::views
