// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/live_server.h"
#include "views/rate_scale.h"
#include "views/stream_session.h"

#include <QDialog>
#include <QPointer>
#include <QTimer>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QSlider;
class QSpinBox;
class QTableWidget;

namespace kvscope::app {

/// Serves the open dump, a .kvz, a folder or a store to receivers on this machine or others, with the bandwidth under
/// the mouse. Stands beside the window; closing it ends the serving.
class ServeDialog : public QDialog {
    Q_OBJECT

public:
    /// Bandwidths that the slider reaches, bits per second.
    static constexpr views::RateScale kRates{1e6, 400e9, 1400};

    /// `document` may be null: then only files and stores can be served. `file` is the .kvz that the document was read
    /// from, empty where it was not.
    ServeDialog(ThreadPool& pool, views::Document* document, const QString& file, QWidget* parent = nullptr);

    [[nodiscard]] const views::LiveServer& server() const { return server_; }
    /// What is said below: where it listens, or what went wrong.
    [[nodiscard]] QString message() const;

private:
    void makeSource(QFormLayout& form);
    void makeLink(QFormLayout& form);
    void makeFaults(QFormLayout& form);
    void choosePath();
    void start();
    void setRate(double bitsPerSecond);
    void applyRate();
    void applyDelays();
    void inject();
    void showState();
    void showReceivers();
    void tick();
    void say(const QString& text, bool error);
    [[nodiscard]] views::LiveServer::Source source() const;

    ThreadPool& pool_;
    QPointer<views::Document> document_;
    QString file_;
    views::LiveServer server_;
    QTimer ticker_;
    std::int64_t lastBytes_ = 0;
    QComboBox* what_;
    QLineEdit* path_;
    QPushButton* choose_;
    QComboBox* address_;
    QSpinBox* port_;
    QSlider* slider_;
    QDoubleSpinBox* rate_;
    QCheckBox* unlimited_;
    QDoubleSpinBox* rtt_;
    QDoubleSpinBox* loss_;
    QDoubleSpinBox* jitter_;
    QComboBox* fault_;
    QSpinBox* chunk_;
    QPushButton* inject_;
    QTableWidget* receivers_;
    QLabel* sent_;
    QLabel* message_;
    QProgressBar* progress_;
    QPushButton* start_;
};

} // namespace kvscope::app
