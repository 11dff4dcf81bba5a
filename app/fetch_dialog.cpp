// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/fetch_dialog.h"

#include "app/form_rows.h"
#include "core/stream/trace_shapes.h"
#include "views/run_async.h"
#include "views/timeline_canvas.h"
#include "views/timeline_picture.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QRegularExpression>
#include <QSettings>
#include <QSpinBox>
#include <QVBoxLayout>

#include <algorithm>

namespace kvscope::app {

namespace {

constexpr int kFrameMs = 33;
constexpr auto kLastSenders = "fetchSenders";

/// Until anything has been seen of the network, the simulation has nothing to go by.
std::shared_ptr<const BandwidthTrace> unknownLink() {
    return std::make_shared<const BandwidthTrace>(*constantTrace(1e9));
}

/// Pieces in which chunks come: encoded chunks of all planes.
int piecesOf(const ContextInput& input, const KvzDirectory* directory) {
    if (directory == nullptr || directory->levels.empty())
        return 1;
    const auto& level = directory->levels.back();
    return static_cast<int>(
        std::clamp<std::size_t>(partsOf(level, input.tokensOf(0)).size(), std::size_t{1}, std::size_t{1024}));
}

/// What a chunk took to decode says how fast this machine decodes; nothing where nothing was decoded.
std::optional<double> decodeSpeed(const Timeline& timeline, const StreamInput& input) {
    double bytes = 0;
    double seconds = 0;
    for (std::size_t i = 0; i < timeline.chunks.size(); ++i) {
        const ChunkTimes& chunk = timeline.chunks[i];
        // What came at once was decoded at full speed; what trickled in was not.
        if (chunk.candidate >= input.candidateCount() || chunk.decode.empty())
            continue;
        const double own = std::max(chunk.decode.end - std::max(chunk.decode.begin, chunk.receive.end), 1e-5);
        bytes += input.option(i, chunk.candidate).decodedBytes;
        seconds += own;
    }
    return seconds > 0 ? std::optional(bytes / seconds) : std::nullopt;
}

views::ShownTransfer shownTransfer(const ContextInput& input, const KvzDirectory* directory, const Timeline& timeline,
                                   std::vector<views::SeenPath> seen, bool text) {
    views::ShownTransfer shown;
    shown.text = text;
    shown.input = std::make_shared<const StreamInput>(input.input);
    const QString what = seen.size() > 1
                             ? FetchDialog::tr("%1, as fetched from two senders; the curve is the bandwidth "
                                               "that was seen of the first, both are simulated")
                             : FetchDialog::tr("%1, as fetched; the bandwidth is what was seen");
    shown.caption = what.arg(QString::fromStdString(input.input.source()));
    shown.seen = std::move(seen);
    if (shown.seen.empty())
        shown.seen.push_back({unknownLink(), 0});
    shown.decodePieces = piecesOf(input, directory);
    shown.decodeBytesPerSecond = decodeSpeed(timeline, input.input).value_or(1e9);
    return shown;
}

} // namespace

views::ShownTransfer shownTransfer(const Fetched& fetched, bool text) {
    views::ShownTransfer shown =
        shownTransfer(fetched.input, &fetched.directory, fetched.timeline, views::seenPaths(fetched), text);
    shown.places = fetched.places();
    return shown;
}

FetchDialog::FetchDialog(ThreadPool& pool, QWidget* parent)
    : QDialog(parent)
    , pool_(pool)
    , session_(pool)
    , fetch_(pool)
    , senders_(new QLineEdit)
    , context_(new QLineEdit)
    , policy_(new QComboBox)
    , slo_(new QDoubleSpinBox)
    , chunk_(new QSpinBox)
    , text_(new QCheckBox(tr("may come as &text, computed at")))
    , prefill_(new QDoubleSpinBox)
    , openAtEnd_(new QCheckBox(tr("Open it when it is there")))
    , canvas_(new views::TimelineCanvas(session_))
    , message_(new QLabel)
    , progress_(new QProgressBar)
    , keep_(new QPushButton(tr("&Keep as .kvz ...")))
    , open_(new QPushButton(tr("&Open it")))
    , start_(new QPushButton) {
    setWindowTitle(tr("Fetch a cache"));
    auto* rows = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    makeForm(*form);
    rows->addLayout(form);
    canvas_->setEmptyText(tr("The chunks are shown here as they come."));
    rows->addWidget(canvas_, 1);
    message_->setObjectName(QStringLiteral("fetchMessage"));
    message_->setWordWrap(true);
    message_->setTextFormat(Qt::PlainText);
    message_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    rows->addWidget(message_);
    auto* bar = new QHBoxLayout;
    progress_->setRange(0, 1000);
    progress_->setTextVisible(false);
    progress_->setAccessibleName(tr("Progress of the fetch"));
    openAtEnd_->setObjectName(QStringLiteral("fetchOpenAtEnd"));
    openAtEnd_->setChecked(true);
    keep_->setObjectName(QStringLiteral("fetchKeep"));
    open_->setObjectName(QStringLiteral("fetchOpen"));
    start_->setObjectName(QStringLiteral("fetchStart"));
    keep_->setAutoDefault(false);
    open_->setAutoDefault(false);
    start_->setDefault(true);
    bar->addWidget(openAtEnd_);
    bar->addWidget(progress_, 1);
    bar->addStretch();
    bar->addWidget(keep_);
    bar->addWidget(open_);
    bar->addWidget(start_);
    rows->addLayout(bar);

    connect(start_, &QPushButton::clicked, this, [this] { fetch_.isRunning() ? fetch_.cancel() : start(); });
    connect(open_, &QPushButton::clicked, this, [this] {
        if (fetch_.fetched() != nullptr)
            emit openRequested(fetch_.fetched(), shownTransfer(*fetch_.fetched(), asked_.text));
    });
    connect(keep_, &QPushButton::clicked, this, [this] {
        const QString path =
            QFileDialog::getSaveFileName(this, tr("Keep what was fetched"), {}, tr("KVScope containers (*.kvz)"));
        if (!path.isEmpty())
            keepAs(path.endsWith(QLatin1String(".kvz")) ? path : path + QStringLiteral(".kvz"));
    });
    connect(&fetch_, &views::LiveFetch::begun, this, &FetchDialog::begin);
    connect(&fetch_, &views::LiveFetch::moved, this, &FetchDialog::move);
    connect(&fetch_, &views::LiveFetch::noted, this, [this](const QString& text) { say(text, false); });
    connect(&fetch_, &views::LiveFetch::finished, this, &FetchDialog::finish);
    connect(&session_, &views::StreamSession::failed, this,
            [this](const Error& error) { say(QString::fromStdString(error.message()), true); });
    ticker_.setInterval(kFrameMs);
    connect(&ticker_, &QTimer::timeout, this, [this] {
        progress_->setValue(static_cast<int>(fetch_.progress() * 1000));
        const auto elapsed = fetch_.elapsed();
        if (!elapsed || session_.transfer() == nullptr)
            return;
        session_.player().setEnd(std::max(*elapsed, session_.player().end()));
        session_.player().setPosition(*elapsed);
    });
    say(tr("The other side runs: kvscope serve FILE.kvz"), false);
    showState();
    resize(860, 640);
}

FetchDialog::~FetchDialog() {
    // Its end is not for a dialog that is going.
    disconnect(&fetch_, nullptr, this, nullptr);
}

void FetchDialog::makeForm(QFormLayout& form) {
    senders_->setObjectName(QStringLiteral("fetchSenders"));
    senders_->setText(QSettings().value(QLatin1String(kLastSenders), QStringLiteral("127.0.0.1:7878")).toString());
    addFormRow(form, tr("&From"), senders_,
               tr("HOST:PORT of a sender; of two that hold the same context, with a space between"));
    context_->setObjectName(QStringLiteral("fetchContext"));
    context_->setPlaceholderText(tr("the only one that it has"));
    addFormRow(form, tr("Conte&xt"), context_, tr("Name of the context where the sender has several"));
    policy_->setObjectName(QStringLiteral("fetchPolicy"));
    policy_->setEditable(true);
    policy_->addItems({QStringLiteral("kvscope"), QStringLiteral("cachegen"), QStringLiteral("cachegen-code"),
                       QStringLiteral("kvz-high"), QStringLiteral("kvz-medium"), QStringLiteral("kvz-low"),
                       QStringLiteral("8-bit"), QStringLiteral("raw"), QStringLiteral("text")});
    policy_->setMinimumContentsLength(14);
    slo_->setObjectName(QStringLiteral("fetchSlo"));
    slo_->setRange(views::StreamSession::kLeastSlo, views::StreamSession::kMostSlo);
    slo_->setDecimals(2);
    slo_->setSingleStep(0.1);
    slo_->setValue(2);
    slo_->setPrefix(tr("SLO "));
    slo_->setSuffix(tr(" s"));
    slo_->setAccessibleName(tr("Target for the first token"));
    chunk_->setObjectName(QStringLiteral("fetchChunk"));
    chunk_->setRange(16, 1'048'576);
    chunk_->setValue(1024);
    chunk_->setGroupSeparatorShown(true);
    chunk_->setPrefix(tr("chunks of "));
    chunk_->setSuffix(tr(" tokens"));
    chunk_->setAccessibleName(tr("Tokens a chunk"));
    addFormRow(
        form, tr("Strate&gy"), beside({policy_, slo_, chunk_}),
        tr("What chooses each chunk's form: a level by its name, or one that adapts; the target for the first token; "
           "and how long chunks are"));
    text_->setObjectName(QStringLiteral("fetchText"));
    prefill_->setRange(1, 1e7);
    prefill_->setDecimals(0);
    prefill_->setValue(ComputeModel().prefillTokensPerSecond);
    prefill_->setGroupSeparatorShown(true);
    prefill_->setSuffix(tr(" tokens/s"));
    prefill_->setAccessibleName(tr("Tokens a second that a model would compute"));
    prefill_->setEnabled(false);
    connect(text_, &QCheckBox::toggled, prefill_, &QWidget::setEnabled);
    addFormRow(
        form, tr("Chunks"), beside({text_, prefill_}),
        tr("The computation is simulated: it takes the time that it would, and the values of those chunks are missing "
           "in what is opened; their tokens are there"));
}

Result<FetchOptions> FetchDialog::options() const {
    FetchOptions options;
    static const QRegularExpression kBetween(QStringLiteral("[\\s,;]+"));
    const QStringList senders = senders_->text().split(kBetween, Qt::SkipEmptyParts);
    if (senders.isEmpty() || senders.size() > 2)
        return fail("one or two senders are needed", "From", "Write HOST:PORT, such as 127.0.0.1:7878");
    for (const QString& sender : senders) {
        KVSCOPE_ASSIGN(SenderAddress address, parseSenderAddress(sender.toStdString()));
        options.senders.push_back(std::move(address));
    }
    options.context = context_->text().trimmed().toStdString();
    options.policy = policy_->currentText().trimmed().toStdString();
    options.sloSeconds = slo_->value();
    options.chunkTokens = chunk_->value();
    options.text = text_->isChecked();
    options.compute.prefillTokensPerSecond = prefill_->value();
    return options;
}

void FetchDialog::start() {
    auto options = this->options();
    if (!options)
        return say(QString::fromStdString(options.error().message()), true);
    QSettings().setValue(QLatin1String(kLastSenders), senders_->text());
    asked_ = *options;
    session_.leaveTransfer();
    session_.player().rewind();
    say(tr("Connecting to %1 ...").arg(senders_->text()), false);
    fetch_.start(std::move(*options));
    ticker_.start();
    showState();
}

void FetchDialog::begin() {
    views::StreamSettings settings = session_.settings();
    settings.sloSeconds = asked_.sloSeconds;
    settings.compute.prefillTokensPerSecond = asked_.compute.prefillTokensPerSecond;
    (void)session_.edit(tr("SLO"), settings);
    session_.showTransfer(shownTransfer(*fetch_.context(), nullptr, {}, {}, asked_.text));
    session_.setFocus(asked_.policy, true);
    showRun(fetch_.timeline(), true);
    say(tr("%1: receiving %2 from %3")
            .arg(QString::fromStdString(asked_.policy), QString::fromStdString(fetch_.context()->input.source()),
                 senders_->text()),
        false);
}

void FetchDialog::move() {
    if (session_.transfer() == nullptr)
        return;
    session_.setSeen(fetch_.seen());
    showRun(fetch_.timeline(), true);
}

void FetchDialog::showRun(const Timeline& timeline, bool underWay) {
    session_.setMeasured(asked_.policy, timeline, underWay);
}

void FetchDialog::finish() {
    ticker_.stop();
    const auto fetched = fetch_.fetched();
    const Error* problem = fetch_.problem();
    session_.player().rewind();
    if (fetched != nullptr) {
        session_.showTransfer(shownTransfer(*fetched, asked_.text));
        session_.setFocus(asked_.policy, true);
        showRun(fetched->timeline, false);
    }
    const std::size_t held = fetched != nullptr ? fetched->heldChunks().size() : 0;
    const std::size_t all = fetched != nullptr ? fetched->input.input.chunkCount() : 0;
    if (problem == nullptr) {
        say(tr("First token after %1, target %2: %3. %4 of %5 chunks with values, %6 received, %7 connections made "
               "again.")
                .arg(views::formatSeconds(fetched->timeline.ttft), views::formatSeconds(asked_.sloSeconds),
                     fetched->timeline.meetsSlo() ? tr("met") : tr("missed"))
                .arg(held)
                .arg(all)
                .arg(QLocale().formattedDataSize(static_cast<qint64>(fetched->timeline.wireBytes)))
                .arg(fetched->reconnects),
            false);
    } else {
        const bool stopped = problem->kind == Error::Kind::Cancelled;
        QString text = stopped ? tr("Stopped.") : QString::fromStdString(problem->message());
        if (held > 0)
            text += QLatin1Char(' ') +
                    tr("%1 of %2 chunks had arrived and are kept, marked as partial.").arg(held).arg(all);
        say(text, !stopped);
    }
    const auto texts = fetched == nullptr ? 0
                                          : std::ranges::count(fetched->timeline.chunks, StreamInput::textCandidate(),
                                                               &ChunkTimes::candidate);
    if (texts > 0) {
        const auto& tokens = fetched->directory.info.tokens;
        const bool known = std::ranges::any_of(
            tokens, [](const CacheTokens& some) { return !some.ids.empty() || !some.texts.empty(); });
        message_->setText(message_->text() + QLatin1Char(' ') +
                          (known ? tr("%1 came as text: their tokens are here, computing their values was simulated.")
                                 : tr("%1 came as text, but the sender knows no tokens; computing was simulated."))
                              .arg(texts));
    }
    showState();
    if (held > 0 && openAtEnd_->isChecked())
        emit openRequested(fetched, shownTransfer(*fetched, asked_.text));
}

void FetchDialog::keepAs(const QString& path) {
    const auto fetched = fetch_.fetched();
    if (fetched == nullptr || keeping_)
        return;
    keeping_ = true;
    showState();
    views::runAsync(
        pool_, this, [fetched, path] { return std::make_shared<Result<void>>(fetched->writeKvz(path.toStdString())); },
        [this, path](const std::shared_ptr<Result<void>>& written) {
            keeping_ = false;
            if (*written)
                say(tr("Kept in %1.").arg(path), false);
            else
                say(tr("%1. What was fetched is still here: keep it elsewhere.")
                        .arg(QString::fromStdString(written->error().message())),
                    true);
            showState();
        });
}

void FetchDialog::showState() {
    const bool running = fetch_.isRunning();
    for (QWidget* widget : std::initializer_list<QWidget*>{senders_, context_, policy_, slo_, chunk_, text_})
        widget->setEnabled(!running);
    prefill_->setEnabled(!running && text_->isChecked());
    start_->setText(running ? tr("&Stop") : tr("Fetch"));
    progress_->setVisible(running);
    const bool any = !running && fetch_.fetched() != nullptr && !fetch_.fetched()->heldChunks().empty();
    open_->setVisible(any);
    keep_->setVisible(any);
    keep_->setEnabled(!keeping_);
}

QString FetchDialog::message() const {
    return message_->text();
}

void FetchDialog::say(const QString& text, bool error) {
    message_->setText(error ? QStringLiteral("\u26a0 ") + text : text);
}

} // namespace kvscope::app
