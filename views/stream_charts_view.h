// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stream/stream_sweeps.h"
#include "views/chart_data.h"
#include "views/exportable.h"
#include "views/selection.h"
#include "views/statistics_table.h"
#include "views/stream_session.h"

#include <QPointer>
#include <QTimer>
#include <QWidget>

#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

class QComboBox;
class QStackedWidget;
class QToolButton;

namespace kvscope::views {

class ChartPanel;
class ChartWidget;
class RegimeChart;

/// Streaming over a range of settings: first token, missed SLOs and quality of every strategy by bandwidth and by
/// context length, the map of the fastest way, and the distribution over many starting points of the trace. Computed
/// on the pool; a newer setting stops what is under way.
class StreamChartsView : public QWidget, public ExportableView {
    Q_OBJECT

public:
    enum class Chart : std::uint8_t { Ttft, Violations, Quality, Regimes, Distribution };
    enum class Axis : std::uint8_t { Bandwidth, Context };

    /// Starting points of the distribution, and of each place of a sweep over a trace that changes.
    static constexpr int kStarts = 1000;
    static constexpr int kSweepStarts = 16;

    StreamChartsView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);
    ~StreamChartsView() override;

    void setChart(Chart chart);
    void setAxis(Axis axis);
    [[nodiscard]] Chart chart() const;
    [[nodiscard]] Axis axis() const;
    [[nodiscard]] ChartWidget& lines() const { return *lines_; }
    [[nodiscard]] RegimeChart& regimes() const { return *regimes_; }
    [[nodiscard]] ChartPanel& panel() const { return *panel_; }

    [[nodiscard]] QString exportName() const override;
    void paintTo(QPainter& painter, const QRectF& target) override;
    [[nodiscard]] QString toCsv() const override;
    [[nodiscard]] bool isReady() const override;

    [[nodiscard]] QSize sizeHint() const override { return {1000, 420}; }

protected:
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    /// What is computed together.
    enum class Kind : std::uint8_t { Bandwidth, Context, Regimes, Distribution };
    struct Computed {
        StreamSettings settings;
        Kind kind = Kind::Bandwidth;
        std::optional<StreamSweep> sweep;
        std::optional<RegimeMap> regimes;
        std::optional<std::vector<TtftDistribution>> distributions;
    };
    struct Running {
        std::stop_source stop;
        Progress progress;
    };

    [[nodiscard]] Kind kind() const;
    [[nodiscard]] bool isCurrent() const;
    void requestSoon();
    void request();
    static Result<Computed> compute(Computed job, const StreamRates& rates, const StreamInput& input,
                                    const StreamSetup& setup, const JobControl& control);
    void finish(Result<Computed> result);
    void stop();
    void display();
    void showState();
    [[nodiscard]] ChartData sweepChart(const StreamSweep& sweep) const;
    [[nodiscard]] ChartData distributionChart(const std::vector<TtftDistribution>& distributions) const;
    [[nodiscard]] StatisticsTable numbers() const;
    [[nodiscard]] QString sentence() const;

    QPointer<StreamSession> session_;
    QComboBox* chart_;
    QComboBox* axis_;
    QToolButton* cancel_;
    QStackedWidget* pages_;
    ChartWidget* lines_;
    RegimeChart* regimes_;
    ChartPanel* panel_;
    std::optional<Computed> computed_;
    std::shared_ptr<Running> running_;
    bool cancelled_ = false;
    QString error_;
    QTimer requestTimer_;
    QTimer progressTimer_;
};

} // namespace kvscope::views
