// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/single_chart_view.h"

#include <optional>
#include <vector>

namespace kvscope::views {

/// Bits a symbol of each channel of the selected layer: the order-0 entropy of the symbols that the current plan makes,
/// and what its coder spends with its table, everything included.
class EntropyView : public SingleChartView {
    Q_OBJECT

public:
    EntropyView(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    [[nodiscard]] bool isReady() const override;
    [[nodiscard]] QString exportName() const override;

    /// One plane, summed up over its chunks, in bits a symbol.
    struct Channels {
        std::vector<double> spent;
        /// Empty where the plan's coder has no symbols (lossless and byte coders).
        std::vector<double> entropy;
        double meanSpent = 0;
        double meanEntropy = 0;
    };
    /// Nothing while the plane is not encoded.
    [[nodiscard]] std::optional<Channels> channelsOf(PlaneKind kind) const;

protected:
    [[nodiscard]] std::vector<StatisticsService::Job> neededJobs() const override;
    [[nodiscard]] std::optional<double> ownProgress() const override;
    [[nodiscard]] QString ownError() const override;
    void display() override;
    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    [[nodiscard]] StatisticsTable numbers() const;
    [[nodiscard]] std::vector<PlaneId> planes() const;

    QPointer<CodecSession> session_;
};

} // namespace kvscope::views
