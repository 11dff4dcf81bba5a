// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/live_fetch.h"
#include "views/stream_session.h"

#include <QDialog>
#include <QTimer>

#include <memory>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QSpinBox;

namespace kvscope::views {
class TimelineCanvas;
}

namespace kvscope::app {

/// Fetches a context from one or two senders, wherever they run, and shows it coming: what is measured, with the
/// simulation of the same strategy over the bandwidth that was seen laid over it. What has arrived in the end, whole or
/// in part, can be opened and kept. Stands beside the window; closing it ends the fetch.
class FetchDialog : public QDialog {
    Q_OBJECT

public:
    explicit FetchDialog(ThreadPool& pool, QWidget* parent = nullptr);
    ~FetchDialog() override;

    [[nodiscard]] const views::LiveFetch& fetch() const { return fetch_; }
    [[nodiscard]] views::StreamSession& session() { return session_; }
    /// What is said below: how it goes, or what went wrong.
    [[nodiscard]] QString message() const;
    /// Writes what has arrived as a .kvz, off the window's thread.
    void keepAs(const QString& path);

signals:
    /// What was fetched is to be opened.
    void openRequested(const std::shared_ptr<const kvscope::Fetched>& fetched,
                       const kvscope::views::ShownTransfer& shown);

private:
    void makeForm(QFormLayout& form);
    void start();
    void begin();
    void move();
    void finish();
    void showState();
    void say(const QString& text, bool error);
    void showRun(const Timeline& timeline, bool underWay);
    [[nodiscard]] Result<FetchOptions> options() const;

    ThreadPool& pool_;
    views::StreamSession session_;
    views::LiveFetch fetch_;
    QTimer ticker_;
    FetchOptions asked_;
    bool keeping_ = false;
    QLineEdit* senders_;
    QLineEdit* context_;
    QComboBox* policy_;
    QDoubleSpinBox* slo_;
    QSpinBox* chunk_;
    QCheckBox* text_;
    QDoubleSpinBox* prefill_;
    QCheckBox* openAtEnd_;
    views::TimelineCanvas* canvas_;
    QLabel* message_;
    QProgressBar* progress_;
    QPushButton* keep_;
    QPushButton* open_;
    QPushButton* start_;
};

/// What is shown of a fetch in timelines; `text`: chunks might have come as such.
views::ShownTransfer shownTransfer(const Fetched& fetched, bool text);

} // namespace kvscope::app
