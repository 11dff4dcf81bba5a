// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/timeline_view.h"

#include "views/chart_parts.h"
#include "views/loopback_run.h"
#include "views/number_format.h"
#include "views/statistics_table.h"
#include "views/stream_outputs.h"
#include "views/timeline_canvas.h"
#include "views/timeline_controls.h"
#include "views/timeline_why.h"
#include "views/transfer_bar.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QProgressBar>
#include <QSplitter>
#include <QTabWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

TimelineView::TimelineView(Document* document, SelectionModel* selection, QWidget* parent)
    : QWidget(parent)
    , session_(&StreamSession::of(*document))
    , selection_(selection)
    , controls_(new TimelineControls(*session_))
    , canvas_(new TimelineCanvas(*session_))
    , why_(new TimelineWhy(*session_))
    , outputs_(new StreamOutputs(*session_))
    , summary_(new StatisticsTableView)
    , tabs_(new QTabWidget)
    , error_(new QLabel)
    , progress_(new QProgressBar)
    , cancel_(new QToolButton)
    , real_(new QToolButton)
    , transfer_(new TransferBar(*session_)) {
    setFocusProxy(canvas_);
    auto* paint = new QCheckBox(tr("&Paint"));
    paint->setObjectName(QStringLiteral("paint"));
    connect(paint, &QCheckBox::toggled, canvas_, &TimelineCanvas::setPainting);
    controls_->add(paint,
                   tr("Dragging over the bandwidth paints it; otherwise it moves points (Shift does the other)"));
    auto* estimates = new QCheckBox(tr("Es&timates"));
    estimates->setObjectName(QStringLiteral("estimates"));
    estimates->setChecked(true);
    connect(estimates, &QCheckBox::toggled, canvas_, &TimelineCanvas::setEstimates);
    controls_->add(estimates, tr("Show the bandwidth that the strategy in focus reckoned with at each decision"));
    real_->setObjectName(QStringLiteral("streamForReal"));
    real_->setText(tr("Stream for &real"));
    connect(real_, &QToolButton::clicked, this, [this] {
        if (session_)
            LoopbackRun::of(*session_).start();
    });
    controls_->add(real_, tr("Encode the open dump, serve it on a socket of this machine with this bandwidth, fetch it "
                             "from there under the strategy in focus, and lay the simulation over what is measured"));
    connect(&LoopbackRun::of(*session_), &LoopbackRun::changed, this, &TimelineView::showState);
    connect(&LoopbackRun::of(*session_), &LoopbackRun::finished, this, &TimelineView::showState);

    error_->setObjectName(QStringLiteral("streamError"));
    error_->setWordWrap(true);
    error_->setTextFormat(Qt::PlainText);
    error_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    error_->hide();
    progress_->setRange(0, 1000);
    progress_->setTextVisible(false);
    progress_->setFixedHeight(4);
    progress_->setAccessibleName(tr("Progress of measuring the dump's levels"));
    cancel_->setObjectName(QStringLiteral("streamCancel"));
    cancel_->setAutoRaise(true);
    connect(cancel_, &QToolButton::clicked, this, [this] {
        if (session_ && session_->isCancelled())
            session_->resume();
        else if (session_)
            session_->cancel();
    });

    summary_->setObjectName(QStringLiteral("summary"));
    summary_->setAccessibleName(tr("What each strategy took"));
    tabs_->setObjectName(QStringLiteral("streamTabs"));
    tabs_->setDocumentMode(true);
    tabs_->addTab(summary_, tr("S&ummary"));
    tabs_->setTabToolTip(0, tr("First token, bytes, predicted error and seconds of compute of each strategy"));
    tabs_->addTab(why_, tr("&Why this level?"));
    tabs_->setTabToolTip(1, tr("The decision behind the chosen chunk"));
    tabs_->addTab(outputs_, tr("&More"));
    tabs_->setTabToolTip(2, tr("The predicted error's share by layer, where compressing stops paying, and several "
                               "contexts on one link"));
    auto* split = new QSplitter(Qt::Horizontal);
    split->addWidget(canvas_);
    split->addWidget(tabs_);
    split->setStretchFactor(0, 5);
    split->setStretchFactor(1, 2);
    split->setChildrenCollapsible(true);
    split->setCollapsible(0, false);
    split->setSizes({800, 560});

    auto* rows = new QVBoxLayout(this);
    rows->setContentsMargins(6, 4, 6, 4);
    rows->setSpacing(4);
    rows->addWidget(controls_);
    rows->addWidget(error_);
    auto* state = new QHBoxLayout;
    state->addWidget(progress_, 1);
    state->addWidget(cancel_);
    rows->addLayout(state);
    rows->addWidget(transfer_);
    rows->addWidget(split, 1);

    connect(canvas_, &TimelineCanvas::chunkPicked, this, [this](std::size_t chunk) {
        selectTokensOf(chunk);
        showWhy();
    });
    connect(session_, &StreamSession::changed, this, [this] {
        if (!LoopbackRun::of(*session_).isRunning())
            refused_.clear();
        showSummaryTable();
        showState();
    });
    connect(session_, &StreamSession::progressed, this, &TimelineView::showState);
    connect(session_, &StreamSession::failed, this, [this](const Error& error) {
        refused_ = QString::fromStdString(error.message());
        showState();
    });
    connect(summary_, &StatisticsTableView::rowActivated, this, [this](int row) {
        if (row >= 0 && row < static_cast<int>(session_->rows().size())) {
            const StreamRow& run = session_->rows()[static_cast<std::size_t>(row)];
            session_->setFocus(run.name, run.measured);
        }
    });
    showSummaryTable();
    showState();
}

QString TimelineView::errorText() const {
    return error_->isHidden() ? QString() : error_->text();
}

void TimelineView::showSummary() {
    tabs_->setCurrentIndex(0);
}

void TimelineView::showSummaryTable() {
    const bool first = summary_->table().rows.empty();
    summary_->setTable(streamSummary(*session_));
    if (first)
        summary_->resizeColumnsToContents();
}

void TimelineView::showWhy() {
    tabs_->setCurrentIndex(1);
}

void TimelineView::showOutputs() {
    tabs_->setCurrentIndex(2);
}

void TimelineView::selectTokensOf(std::size_t chunk) {
    if (!selection_ || !session_)
        return;
    Selection next = selection_->current();
    const TokenRange tokens = session_->tokensOf(chunk);
    next.tokens = tokens.empty() ? std::nullopt : std::optional(tokens);
    selection_->select(next);
}

void TimelineView::showState() {
    if (!session_)
        return;
    real_->setEnabled(LoopbackRun::of(*session_).canStart());
    const bool measuring = session_->isMeasuring();
    const bool stopped = session_->isCancelled() && session_->rates() == nullptr;
    progress_->setVisible(measuring && !stopped);
    progress_->setValue(static_cast<int>(session_->progress() * 1000));
    cancel_->setVisible(measuring || stopped);
    cancel_->setText(stopped ? tr("Go on") : tr("Stop"));
    cancel_->setToolTip(stopped ? tr("Measure the dump's levels") : tr("Stop measuring the dump's levels"));
    QString message = refused_;
    if (message.isEmpty() && session_->error() != nullptr)
        message = QString::fromStdString(session_->error()->message());
    error_->setText(message.isEmpty() ? QString() : QStringLiteral("\u26a0 ") + message);
    error_->setVisible(!message.isEmpty());
}

bool TimelineView::isReady() const {
    return isVisible() && session_ && session_->isIdle() &&
           (!session_->rows().empty() || session_->error() != nullptr || session_->isCancelled());
}

QString TimelineView::exportName() const {
    return QStringLiteral("timeline");
}

void TimelineView::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    const QFont font = chartFont(*this);
    painter.fillRect(target, theme.background);
    QRectF rest = target.adjusted(4, 4, -4, -4);
    if (!errorText().isEmpty()) {
        painter.setFont(font);
        painter.setPen(theme.accent);
        QRectF used;
        painter.drawText(rest, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, errorText(), &used);
        rest.setTop(used.bottom() + 6);
    }
    const StatisticsTable table = streamSummary(*session_);
    const double line = QFontMetricsF(font).height() * 1.35;
    const double tableHeight = line * static_cast<double>(table.rows.size() + 1);
    // The numbers below, where the timelines keep most of the room.
    if (!table.rows.empty() && tableHeight < rest.height() * 0.36) {
        const QRectF below(rest.left(), rest.bottom() - tableHeight, rest.width(), tableHeight);
        rest.setBottom(below.top() - 10);
        paintTable(painter, below, table, theme, font);
    }
    canvas_->pictureFor(rest).paint(painter);
}

QString TimelineView::toCsv() const {
    StatisticsTable table;
    table.columns = {{tr("strategy"), {}, {}},
                     {tr("measured"), {}, {}},
                     {tr("projected"), {}, {}},
                     {tr("chunk"), {}, {}},
                     {tr("first token"), {}, {}},
                     {tr("tokens"), {}, {}},
                     {tr("form"), {}, {}},
                     {tr("chosen"), tr("s"), {}},
                     {tr("send begin"), tr("s"), {}},
                     {tr("send end"), tr("s"), {}},
                     {tr("received"), tr("s"), {}},
                     {tr("decode begin"), tr("s"), {}},
                     {tr("decode end"), tr("s"), {}},
                     {tr("recompute begin"), tr("s"), {}},
                     {tr("recompute end"), tr("s"), {}},
                     {tr("ready"), tr("s"), {}},
                     {tr("wire"), tr("bytes"), {}},
                     {tr("error"), {}, {}},
                     {tr("reason"), {}, {}}};
    const StreamInput* input = session_->input();
    if (input == nullptr)
        return table.toCsv();
    const auto when = [](const Interval& interval, double value) {
        return interval.empty() || !std::isfinite(value) ? QVariant() : QVariant(value);
    };
    for (const StreamRow& row : session_->rows()) {
        for (std::size_t i = 0; i < row.timeline.chunks.size(); ++i) {
            const ChunkTimes& chunk = row.timeline.chunks[i];
            const bool known = chunk.candidate < input->candidateCount();
            const bool decided = chunk.decision < row.timeline.decisions.size();
            const std::string_view reason =
                decided ? row.timeline.decisions[chunk.decision].reason : std::string_view();
            table.rows.push_back(
                {QString::fromStdString(row.name), row.measured ? tr("yes") : tr("no"),
                 input->projected() ? tr("yes") : tr("no"), static_cast<qlonglong>(i),
                 static_cast<qlonglong>(input->tokensBefore(i)), static_cast<qlonglong>(input->tokens(i)),
                 known ? QVariant(QString::fromStdString(input->candidates()[chunk.candidate].name)) : QVariant(),
                 decided ? QVariant(chunk.queued) : QVariant(), when(chunk.send, chunk.send.begin),
                 when(chunk.send, chunk.send.end), when(chunk.receive, chunk.receive.end),
                 when(chunk.decode, chunk.decode.begin), when(chunk.decode, chunk.decode.end),
                 when(chunk.recompute, chunk.recompute.begin), when(chunk.recompute, chunk.recompute.end),
                 chunk.ready < kNever ? QVariant(chunk.ready) : QVariant(), chunk.wireBytes,
                 known ? QVariant(input->option(i, chunk.candidate).error) : QVariant(),
                 QString::fromUtf8(reason.data(), static_cast<qsizetype>(reason.size()))});
        }
    }
    return table.toCsv();
}

void TimelineView::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (session_)
        session_->want(this);
    showState();
}

void TimelineView::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    if (session_)
        session_->release(this);
}

} // namespace kvscope::views
