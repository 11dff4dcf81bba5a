// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/statistics_view.h"

#include <QVBoxLayout>

namespace kvscope::views {

namespace {
constexpr int kBurstMs = 40;
}

StatisticsView::StatisticsView(Document* document, SelectionModel* selection, QWidget* parent)
    : QWidget(parent)
    , cache_(document->cache())
    , document_(document)
    , selection_(selection)
    , service_(&StatisticsService::of(*document)) {
    connect(selection, &SelectionModel::changed, this, [this] {
        if (isVisible())
            refresh();
    });
    // Layers arrive in bursts; drawing once a burst is enough.
    displayTimer_.setSingleShot(true);
    displayTimer_.setInterval(kBurstMs);
    connect(&displayTimer_, &QTimer::timeout, this, [this] {
        if (isVisible()) {
            display();
            showState();
        }
    });
    connect(service_, &StatisticsService::changed, this, [this] {
        if (isVisible() && !displayTimer_.isActive())
            displayTimer_.start();
    });
    connect(service_, &StatisticsService::progressed, this, [this] {
        if (isVisible())
            showState();
    });
}

void StatisticsView::setContent(QWidget* content) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    panel_ = new ChartPanel(content, this);
    layout->addWidget(panel_);
    setCaption({});
}

void StatisticsView::setCaption(const QString& role) {
    const CacheInfo& info = cache_.info();
    QString name = QString::fromStdString(info.name);
    if (info.synthetic)
        name += tr(" (synthetic)");
    panel_->setCaption(role.isEmpty() ? name : tr("%1: %2").arg(role, name), !role.isEmpty());
}

bool StatisticsView::isReady() const {
    return isVisible() && service_ && service_->isIdle(this) && !displayTimer_.isActive();
}

void StatisticsView::refresh() {
    if (!document_ || !service_ || !selection_ || !isVisible())
        return;
    auto jobs = neededJobs();
    wanted_.clear();
    for (const auto& job : jobs)
        wanted_.push_back(job.key);
    service_->want(this, std::move(jobs));
    display();
    showState();
}

void StatisticsView::showState() {
    if (!service_)
        return;
    if (service_->isIdle(this))
        panel_->setProgress(ownProgress());
    else
        panel_->setProgress(service_->progress(this));
    QString message = ownError();
    for (const auto& key : wanted_) {
        if (const Error* error = service_->error(key)) {
            message = QString::fromStdString(error->message());
            break;
        }
    }
    panel_->setError(message);
}

void StatisticsView::selectLayer(LayerIndex layer) {
    Selection next = selection();
    next.layers = LayerRange{layer, layer + 1};
    selection_->select(next);
}

void StatisticsView::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    refresh();
}

void StatisticsView::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    if (service_)
        service_->want(this, {});
}

} // namespace kvscope::views
