// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/view_catalogue.h"

#include "views/channel_view.h"
#include "views/correlation_view.h"
#include "views/distribution_view.h"
#include "views/layer_charts_view.h"
#include "views/position_view.h"

#include <QCoreApplication>

namespace kvscope::app {

namespace {

template <class View> QWidget* make(views::Document* document, views::SelectionModel* selection) {
    return new View(document, selection);
}

QString tr(const char* text) {
    return QCoreApplication::translate("ViewCatalogue", text);
}

} // namespace

const QList<ViewEntry>& viewCatalogue() {
    static const QList<ViewEntry> entries{
        {QStringLiteral("distribution"), tr("Distribution"), tr("Histograms of values and of their deltas, with fits"),
         QKeySequence(tr("Alt+1")), make<views::DistributionView>},
        {QStringLiteral("layers"), tr("Layers"),
         tr("Statistics of every layer; does the delta help, where is the entropy"), QKeySequence(tr("Alt+2")),
         make<views::LayerChartsView>},
        {QStringLiteral("channels"), tr("Channels"), tr("Mean, spread and kurtosis of every channel; outlier channels"),
         QKeySequence(tr("Alt+3")), make<views::ChannelView>},
        {QStringLiteral("correlation"), tr("Correlation"), tr("How alike neighbouring tokens are, by distance"),
         QKeySequence(tr("Alt+4")), make<views::CorrelationView>},
        {QStringLiteral("positions"), tr("Positions"), tr("Statistics by token position: sinks and recency"),
         QKeySequence(tr("Alt+5")), make<views::PositionView>},
    };
    return entries;
}

} // namespace kvscope::app
