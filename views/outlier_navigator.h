// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/outliers.h"
#include "views/document.h"

#include <QObject>

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace kvscope::views {

/// Steps through the values of a dump that stand out most, by |value| / rms of their plane, largest first. The list is
/// computed on the pool when it is first asked for, and again when kind, quantity or sequence change.
class OutlierNavigator : public QObject {
    Q_OBJECT

public:
    explicit OutlierNavigator(Document* document, QObject* parent = nullptr);
    ~OutlierNavigator() override;

    /// What the list is about; a change forgets it.
    void setScope(PlaneKind kind, Quantity quantity, SequenceIndex sequence);
    [[nodiscard]] Quantity quantity() const { return quantity_; }
    /// Goes to the next (1) or previous (-1) outlier, around the ends; answers with `reached`, at once or when the list
    /// has been computed. The first step reaches the largest.
    void step(int direction);
    [[nodiscard]] bool isComputing() const { return computing_; }
    /// How far the list is, in [0, 1], while it is being computed.
    [[nodiscard]] double progress() const { return progress_->fraction(); }
    [[nodiscard]] const std::vector<Outlier>& outliers() const { return outliers_; }
    void cancel();

signals:
    /// `index` counts from 0, of `count` outliers.
    void reached(const kvscope::Outlier& outlier, int index, int count);
    /// The dump has no finite value that stands out.
    void nothingFound();
    void failed(const kvscope::Error& error);

private:
    void compute(int direction);
    void go(int direction);

    Document* document_;
    PlaneKind kind_ = PlaneKind::Key;
    Quantity quantity_ = Quantity::Value;
    SequenceIndex sequence_;
    std::vector<Outlier> outliers_;
    int current_ = -1;
    bool known_ = false;
    bool computing_ = false;
    std::stop_source stop_;
    std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
};

} // namespace kvscope::views
