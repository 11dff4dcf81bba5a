// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_table.h"
#include "views/stream_session.h"

#include <QPointer>
#include <QWidget>

class QLabel;

namespace kvscope::views {

/// "Why this level?": the decision behind the chosen chunk of the run in focus, with every candidate of that moment,
/// the predicted first token with it, and the one that was chosen.
class TimelineWhy : public QWidget {
    Q_OBJECT

public:
    explicit TimelineWhy(StreamSession& session, QWidget* parent = nullptr);

    [[nodiscard]] QString text() const;
    [[nodiscard]] StatisticsTableView& table() const { return *table_; }

private:
    void refresh();

    QPointer<StreamSession> session_;
    QLabel* text_;
    StatisticsTableView* table_;
};

/// What each strategy took: first token, bytes, predicted error, seconds of compute.
StatisticsTable streamSummary(const StreamSession& session);

} // namespace kvscope::views
