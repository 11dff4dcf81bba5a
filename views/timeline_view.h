// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/exportable.h"
#include "views/selection.h"
#include "views/stream_session.h"

#include <QPointer>
#include <QWidget>

class QLabel;
class QProgressBar;
class QTabWidget;
class QToolButton;

namespace kvscope::views {

class StatisticsTableView;
class StreamOutputs;
class TimelineCanvas;
class TimelineControls;
class TimelineWhy;
class TransferBar;

/// How the context streams under every strategy, beside one another on one axis of time, with the bandwidth to be
/// dragged, a summary, and the reasons for each chunk's form.
class TimelineView : public QWidget, public ExportableView {
    Q_OBJECT

public:
    TimelineView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] StreamSession& session() const { return *session_; }
    [[nodiscard]] TimelineCanvas& canvas() const { return *canvas_; }
    [[nodiscard]] TimelineControls& controls() const { return *controls_; }
    [[nodiscard]] TimelineWhy& why() const { return *why_; }
    [[nodiscard]] TransferBar& transfer() const { return *transfer_; }
    [[nodiscard]] StreamOutputs& outputs() const { return *outputs_; }
    [[nodiscard]] StatisticsTableView& summary() const { return *summary_; }
    /// The error that is shown; empty when there is none.
    [[nodiscard]] QString errorText() const;
    void showSummary();
    void showWhy();
    /// Error by layer, break-even bandwidths, contexts that share the link.
    void showOutputs();

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;
    [[nodiscard]] bool isReady() const override;

    [[nodiscard]] QSize sizeHint() const override { return {1200, 460}; }

protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    void showState();
    void showSummaryTable();
    void selectTokensOf(std::size_t chunk);

    QPointer<StreamSession> session_;
    QPointer<SelectionModel> selection_;
    TimelineControls* controls_;
    TimelineCanvas* canvas_;
    TimelineWhy* why_;
    StreamOutputs* outputs_;
    StatisticsTableView* summary_;
    QTabWidget* tabs_;
    QLabel* error_;
    QProgressBar* progress_;
    QToolButton* cancel_;
    QToolButton* real_;
    TransferBar* transfer_;
    QString refused_;
};

} // namespace kvscope::views
