// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_bars.h"
#include "views/heatmap_pane.h"
#include "views/number_format.h"
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
    pendingReveal_ = selection.place();
    selection_->select(selection);
    // Also where the value was selected before and the pointer has gone elsewhere since.
    selection_->clearHover();
    revealPending();
}

void HeatmapPane::revealPending() {
    const auto map = shownMap();
    if (!pendingReveal_ || !map || *map != wanted_)
        return;
    const Hover place = *std::exchange(pendingReveal_, std::nullopt);
    if (const auto cell = placeOf(place, *map, document_->cache().geometry()).cell)
        plot_->reveal(*cell);
}

void HeatmapPane::selectEverything() {
    Selection selection = selection_->current();
    selection.head.reset();
    selection.channels.reset();
    selection.tokens.reset();
    selection_->select(selection);
}

void HeatmapPane::openFind() {
    // One bar at a time: two would leave a low map no room.
    goTo_->hide();
    find_->open();
    search(find_->text());
}

void HeatmapPane::search(const QString& text) {
    lookFor(text, true);
    emit searched(text);
}

void HeatmapPane::endSearch() {
    if (searchText_.isEmpty())
        return;
    lookFor({}, false);
    emit searched({});
}

void HeatmapPane::markTokens(const QString& text) {
    if (text.isEmpty())
        find_->hide();
    lookFor(text, false);
}

void HeatmapPane::lookFor(const QString& text, bool go) {
    const int ticket = ++searches_;
    if (text != searchText_)
        reachedSlot_.reset();
    searchText_ = text;
    if (document_ == nullptr || text.isEmpty()) {
        adoptMatches({}, false);
        return;
    }
    runAsync(
        document_->pool(), this, [tokens = tokens_, text] { return findTokens(tokens, text); },
        [this, ticket, go](std::vector<TokenMatch> matches) {
            if (ticket == searches_)
                adoptMatches(std::move(matches), go);
        });
}

void HeatmapPane::adoptMatches(std::vector<TokenMatch> matches, bool go) {
    currentMatch_ = -1;
    plot_->strip().setMatches(std::move(matches), -1);
    plot_->setGuide(std::nullopt);
    find_->setCount(-1, static_cast<int>(plot_->strip().matches().size()));
    if (go && !plot_->strip().matches().empty())
        goToMatch(0);
    else if (reachedSlot_)
        markCurrent(*reachedSlot_);
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void HeatmapPane::markCurrent(std::int64_t slot) {
    reachedSlot_ = slot;
    const auto matches = plot_->strip().matches();
    const auto found =
        std::find_if(matches.begin(), matches.end(), [slot](const TokenMatch& match) { return match.begin == slot; });
    currentMatch_ = found == matches.end() ? -1 : static_cast<int>(found - matches.begin());
    plot_->strip().setMatches(matches, currentMatch_);
    find_->setCount(currentMatch_, static_cast<int>(matches.size()));
    plot_->replot(QCustomPlot::rpQueuedReplot);
}

void HeatmapPane::findStep(int step) {
    const auto count = static_cast<int>(plot_->strip().matches().size());
    if (count > 0)
        goToMatch((currentMatch_ + step + count) % count);
}

void HeatmapPane::goToMatch(int index) {
    const TokenMatch match = plot_->strip().matches()[static_cast<std::size_t>(index)];
    markCurrent(match.begin);
    const PlotView view = plot_->view();
    const auto row = static_cast<std::int64_t>(std::lround(std::max(0.0, view.rows.center())));
    plot_->reveal({match.begin, plot_->crosshair() ? plot_->crosshair()->row : row});
    plot_->setGuide(match.begin);
    emit matchReached(match.begin);
}

void HeatmapPane::goToPlace(LayerIndex layer, ChannelIndex channel, TokenIndex token) {
    if (document_ == nullptr)
        return;
    const PlaneId id{layer, shownKind(), wanted_.sequence};
    const PlaneGeometry* plane = document_->cache().geometry().find(id);
    const auto kind = kvscope::nameOf(id.kind);
    const QString name =
        tr("%1 of layer %2").arg(QString::fromUtf8(kind.data(), qsizetype(kind.size())), formatCount(layer.value));
    if (plane == nullptr || plane->values() == 0) {
        goTo_->showProblem(tr("The dump holds no %1.").arg(name));
    } else if (token.value >= plane->tokens) {
        goTo_->showProblem(tr("%1 has tokens 0 to %2 only.").arg(name, formatCount(plane->tokens - 1)));
    } else if (channel.value >= plane->channels()) {
        goTo_->showProblem(tr("%1 has channels 0 to %2 only.").arg(name, formatCount(plane->channels() - 1)));
    } else {
        goTo_->showProblem({});
        showCell(id, token, channel);
    }
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
    find_->hide();
    endSearch();
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
    } else if (event->key() == Qt::Key_B && event->modifiers() == Qt::NoModifier) {
        openBrush();
    } else if (event->key() == Qt::Key_Escape) {
        find_->hide();
        endSearch();
        selectEverything();
    } else {
        QWidget::keyPressEvent(event);
    }
}

} // namespace kvscope::views
