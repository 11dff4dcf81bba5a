// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/statistics_table.h"
#include "views/stream_session.h"

#include <QPointer>
#include <QWidget>

class QComboBox;
class QLabel;
class QSpinBox;

namespace kvscope::views {

/// What follows from the runs beside their times: the predicted error's share of each layer for the run in focus, the
/// bandwidth where compressing stops paying for each form, and what comes of several contexts on one link.
class StreamOutputs : public QWidget {
    Q_OBJECT

public:
    enum class Page : std::uint8_t { Layers, BreakEven, Shared };
    static constexpr int kMostContexts = 16;

    explicit StreamOutputs(StreamSession& session, QWidget* parent = nullptr);

    void setPage(Page page);
    [[nodiscard]] Page page() const;
    [[nodiscard]] StatisticsTableView& table() const { return *table_; }
    [[nodiscard]] QString text() const;

protected:
    void showEvent(QShowEvent* event) override;

private:
    void refresh();

    QPointer<StreamSession> session_;
    QComboBox* page_;
    QSpinBox* contexts_;
    QLabel* text_;
    StatisticsTableView* table_;
    int shownColumns_ = 0;
};

/// Predicted error of each layer as streamed, and its share.
StatisticsTable layerErrorTable(const StreamRow& run, const StreamInput& input);
/// Bits per second below which each form pays against 16 bit: decoded chunk after chunk, and while bytes arrive.
StatisticsTable breakEvenTable(const StreamInput& input, const StreamSetup& setup, double bandwidthScale);
/// The same context requested `contexts` times at once over one link, each under the strategy.
StatisticsTable sharedLinkTable(const StreamInput& input, const StreamSetup& setup, const std::string& policy,
                                int contexts);

} // namespace kvscope::views
