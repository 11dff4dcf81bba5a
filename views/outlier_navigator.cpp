// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/outlier_navigator.h"

#include "views/run_async.h"

#include <algorithm>
#include <new>

namespace kvscope::views {

namespace {

constexpr std::int64_t kListed = 200;

} // namespace

OutlierNavigator::OutlierNavigator(Document* document, QObject* parent)
    : QObject(parent)
    , document_(document) {}

OutlierNavigator::~OutlierNavigator() {
    stop_.request_stop();
}

void OutlierNavigator::setScope(PlaneKind kind, Quantity quantity, SequenceIndex sequence) {
    if (kind == kind_ && quantity == quantity_ && sequence == sequence_)
        return;
    cancel();
    kind_ = kind;
    quantity_ = quantity;
    sequence_ = sequence;
    outliers_.clear();
    current_ = -1;
    known_ = false;
}

void OutlierNavigator::cancel() {
    stop_.request_stop();
    computing_ = false;
}

void OutlierNavigator::step(int direction) {
    if (known_)
        go(direction);
    else if (!computing_)
        compute(direction);
}

void OutlierNavigator::compute(int direction) {
    computing_ = true;
    stop_ = std::stop_source();
    progress_ = std::make_shared<Progress>();
    using Found = Result<std::vector<Outlier>>;
    runAsync(
        document_->pool(), this,
        [cache = document_->cache(), kind = kind_, quantity = quantity_, sequence = sequence_,
         &pool = document_->pool(), stop = stop_.get_token(), progress = progress_]() -> Found {
            try {
                return findOutliers(cache, kind, quantity, kListed, pool, JobControl{stop, progress.get()}, sequence);
            } catch (const std::bad_alloc&) {
                return fail("not enough memory to look for outliers", {}, "Close other dumps.", Error::Kind::System);
            }
        },
        [this, direction, stop = stop_.get_token()](Found found) {
            if (stop.stop_requested())
                return;
            computing_ = false;
            if (!found) {
                emit failed(found.error());
                return;
            }
            outliers_ = std::move(*found);
            known_ = true;
            go(direction);
        });
}

void OutlierNavigator::go(int direction) {
    if (outliers_.empty()) {
        emit nothingFound();
        return;
    }
    const auto count = static_cast<int>(outliers_.size());
    current_ = current_ < 0 && direction > 0 ? 0 : (std::max(current_, 0) + direction + count) % count;
    emit reached(outliers_[static_cast<std::size_t>(current_)], current_, count);
}

} // namespace kvscope::views
