// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_bars.h"
#include "views/heatmap_pane.h"
#include "views/run_async.h"
#include "views/token_search.h"

#include <QKeyEvent>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvscope::views {

void HeatmapPane::showCell(PlaneId plane, TokenIndex token, ChannelIndex channel) {
    if (document_ == nullptr || (settings_.kind && *settings_.kind != plane.kind))
        return;
    const PlaneGeometry* geometry = document_->cache().geometry().find(plane);
    if (geometry == nullptr || token.value >= geometry->tokens || channel.value >= geometry->channels())
        return;
    Selection selection = selection_->current();
    selection.kind = plane.kind;
    selection.sequence = plane.sequence;
    selection.layers = {plane.layer, plane.layer + 1};
    if (selection.head)
        selection.head = geometry->headOf(channel);
    selection.channels = ChannelRange{channel, channel + 1};
    selection.tokens = TokenRange{token, token + 1};
    pendingMark_ = PendingMark{plane, token, channel};
    selection_->select(selection);
    if (!loading_ || (shownMap() && *shownMap() == wanted_))
        applyPendingMark();
}

void HeatmapPane::applyPendingMark() {
    const auto map = shownMap();
    if (!pendingMark_ || !map || *map != wanted_)
        return;
    const PendingMark mark = *std::exchange(pendingMark_, std::nullopt);
    const Hover place{mark.plane.kind, mark.plane.sequence, mark.plane.layer, mark.channel, mark.token};
    const auto cell = placeOf(place, *map, document_->cache().geometry()).cell;
    if (!cell)
        return;
    plot_->reveal(*cell);
    plot_->setMark(*cell);
    markedChannel_ = mark.channel;
    plot_->setCrosshair(*cell);
    askForCell();
    selection_->setHover(place);
}

void HeatmapPane::clearMark() {
    pendingMark_.reset();
    plot_->setMark(std::nullopt);
}

void HeatmapPane::openFind() {
    find_->open();
    search(find_->text());
}

void HeatmapPane::search(const QString& text) {
    if (document_ == nullptr)
        return;
    runAsync(
        document_->pool(), this, [tokens = tokens_, text] { return findTokens(tokens, text); },
        [this, ticket = ++searches_](std::vector<TokenMatch> matches) {
            if (ticket != searches_)
                return;
            plot_->strip().setMatches(std::move(matches), -1);
            currentMatch_ = -1;
            if (plot_->strip().matches().empty()) {
                find_->setCount(-1, 0);
                plot_->replot(QCustomPlot::rpQueuedReplot);
            } else {
                goToMatch(0);
            }
        });
}

void HeatmapPane::findStep(int step) {
    const auto count = static_cast<int>(plot_->strip().matches().size());
    if (count > 0)
        goToMatch((currentMatch_ + step + count) % count);
}

void HeatmapPane::goToMatch(int index) {
    const auto matches = plot_->strip().matches();
    currentMatch_ = index;
    const TokenMatch& match = matches[static_cast<std::size_t>(index)];
    plot_->strip().setMatches(matches, index);
    find_->setCount(index, static_cast<int>(matches.size()));
    const PlotView view = plot_->view();
    const auto row = static_cast<std::int64_t>(std::lround(std::max(0.0, view.rows.center())));
    plot_->reveal({match.begin, plot_->crosshair() ? plot_->crosshair()->row : row});
    plot_->setGuide(match.begin);
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void HeatmapPane::openGoTo() {
    if (document_ == nullptr)
        return;
    const KvGeometry& geometry = document_->cache().geometry();
    const PlaneKind kind = shownKind();
    const Selection& selection = selection_->current();
    const auto& hover = selection_->hover();
    GoToBar::Place current{selection.layer().value, selection.channels ? selection.channels->begin.value : 0,
                           selection.tokens ? selection.tokens->begin.value : 0};
    if (hover)
        current = {hover->layer.value, hover->channel.value_or(ChannelIndex(current.channel)).value,
                   hover->token.value_or(TokenIndex(current.token)).value};
    goTo_->open({geometry.layerCount(), geometry.maxChannels(kind), geometry.maxTokens(kind)}, current);
}

void HeatmapPane::keyPressEvent(QKeyEvent* event) {
    if (event->matches(QKeySequence::Find)) {
        openFind();
    } else if (event->matches(QKeySequence::FindNext)) {
        findStep(1);
    } else if (event->matches(QKeySequence::FindPrevious)) {
        findStep(-1);
    } else if (event->key() == Qt::Key_G && event->modifiers() == Qt::NoModifier) {
        openGoTo();
    } else if (event->key() == Qt::Key_Escape) {
        Selection selection = selection_->current();
        selection.head.reset();
        selection.channels.reset();
        selection.tokens.reset();
        selection_->select(selection);
        clearMark();
    } else {
        QWidget::keyPressEvent(event);
    }
}

} // namespace kvscope::views
