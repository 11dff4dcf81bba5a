// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/timeline_why.h"

#include "views/number_format.h"
#include "views/timeline_picture.h"

#include <QHeaderView>
#include <QLabel>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

QString fromView(std::string_view text) {
    return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

QString nameOf(const Candidate& candidate) {
    const QString name = QString::fromStdString(candidate.name);
    return candidate.form == ChunkForm::Level ? TimelineWhy::tr("level %1: %2").arg(candidate.level).arg(name) : name;
}

/// What a bandwidth rests on, in the words of the table and of the sentence above it.
QString basisText(RateBasis basis) {
    switch (basis) {
    case RateBasis::Chunks:
        break;
    case RateBasis::Given:
        return TimelineWhy::tr("given");
    case RateBasis::Ids:
        return TimelineWhy::tr("token ids");
    case RateBasis::Assumed:
        return TimelineWhy::tr("assumed");
    case RateBasis::Future:
        return TimelineWhy::tr("seen ahead");
    }
    return TimelineWhy::tr("measured");
}

QString basisSentence(RateBasis basis) {
    switch (basis) {
    case RateBasis::Chunks:
        break;
    case RateBasis::Given:
        return TimelineWhy::tr("known before the request");
    case RateBasis::Ids:
        return TimelineWhy::tr("measured while the token ids came: no chunk had yet");
    case RateBasis::Assumed:
        return TimelineWhy::tr("assumed: nothing had come on this path yet");
    case RateBasis::Future:
        return TimelineWhy::tr("read from the trace ahead of time");
    }
    return TimelineWhy::tr("measured");
}

/// The decision that gave the chunk its form, else the last one about it; null where there was none.
const Decision* decisionOf(const Timeline& run, std::size_t chunk) {
    if (chunk >= run.chunks.size())
        return nullptr;
    if (const std::size_t index = run.chunks[chunk].decision; index < run.decisions.size())
        return &run.decisions[index];
    const Decision* last = nullptr;
    for (const Decision& decision : run.decisions) {
        if (decision.chunk == chunk)
            last = &decision;
    }
    return last;
}

StatisticsTable candidatesOf(const StreamInput& input, const Timeline& run, const Decision& decision) {
    StatisticsTable table;
    table.columns = {
        {TimelineWhy::tr("Form"), {}, TimelineWhy::tr("How the chunk could have come")},
        {TimelineWhy::tr("First token"), TimelineWhy::tr("s"),
         TimelineWhy::tr("When the first token was expected with this form, from the request")},
        {TimelineWhy::tr("In time"), {}, TimelineWhy::tr("Whether meeting the SLO could be counted on")},
        {TimelineWhy::tr("Rests on"),
         {},
         TimelineWhy::tr("Where the bandwidth reckoned with comes from: measured while chunks came, measured on the "
                         "token ids before any chunk had come, given, or assumed; text rests on the prefill's speed. "
                         "In brackets what the strategy did not weigh: reckoned as if all that remained came in this "
                         "form")},
        {TimelineWhy::tr("Size"), TimelineWhy::tr("MB"), TimelineWhy::tr("Of this chunk in this form")},
        {TimelineWhy::tr("Error"), {}, TimelineWhy::tr("Predicted, as a share of the signal's energy")}};
    const auto weighed = run.consideredBy(decision);
    for (std::size_t candidate = 0; candidate < input.candidateCount(); ++candidate) {
        // What was weighed last for this form counts.
        const Considered* found = nullptr;
        for (const Considered& considered : weighed) {
            if (considered.candidate == candidate)
                found = &considered;
        }
        const bool chosen = candidate == decision.candidate;
        const ChunkOption& option = input.option(decision.chunk, candidate);
        std::vector<QVariant> row;
        row.emplace_back((chosen ? QStringLiteral("\u25b6 ") : QString()) + nameOf(input.candidates()[candidate]));
        if (found != nullptr) {
            const bool isText = candidate == StreamInput::textCandidate();
            const QString basis = isText ? TimelineWhy::tr("prefill") : basisText(decision.basis);
            row.emplace_back(std::isfinite(found->predictedFinish) ? QVariant(found->predictedFinish)
                                                                   : QVariant(TimelineWhy::tr("never")));
            row.emplace_back(found->meetsSlo ? TimelineWhy::tr("yes") : TimelineWhy::tr("no"));
            row.emplace_back(found->weighed ? basis : TimelineWhy::tr("(%1)").arg(basis));
        } else {
            row.emplace_back(TimelineWhy::tr("not offered"));
            row.emplace_back(QString());
            row.emplace_back(QString());
        }
        row.emplace_back(option.bytes / 1e6);
        row.emplace_back(option.error);
        table.rows.push_back(std::move(row));
    }
    return table;
}

QString sentence(const StreamSession& session, const StreamRow& run, std::size_t chunk, const Decision& decision) {
    const StreamInput& input = *session.input();
    QStringList lines;
    lines << TimelineWhy::tr("%1, chunk %2 (tokens %3 to %4): %5, chosen %6 after the request.")
                 .arg(QString::fromStdString(run.name))
                 .arg(chunk)
                 .arg(formatCount(input.tokensBefore(chunk)), formatCount(input.tokensBefore(chunk + 1) - 1),
                      nameOf(input.candidates()[decision.candidate]), formatSeconds(decision.seconds));
    lines << TimelineWhy::tr("Why: %1.").arg(fromView(decision.reason));
    const QString rate = TimelineWhy::tr("%1, %2").arg(formatRate(decision.forecast), basisSentence(decision.basis));
    lines << (decision.estimate > 0
                  ? TimelineWhy::tr("It reckoned with %1.").arg(rate)
                  : TimelineWhy::tr("It went by no estimate of the bandwidth; the forecasts rest on %1.").arg(rate));
    if (std::ranges::any_of(run.timeline.consideredBy(decision), [](const Considered& one) { return !one.weighed; }))
        lines << TimelineWhy::tr("Forms in brackets it did not weigh.");
    const Timeline& timeline = run.timeline;
    const auto transfers = std::ranges::count(timeline.abandoned, chunk, &AbandonedTransfer::chunk);
    if (transfers > 0)
        lines << TimelineWhy::tr("A transfer of it was given up before.");
    if (session.secondCurve() != nullptr && timeline.chunks[chunk].path < 2)
        lines << (timeline.chunks[chunk].path == 0 ? TimelineWhy::tr("It came on the first path.")
                                                   : TimelineWhy::tr("It came on the second path."));
    if (timeline.chunks[chunk].ready < kNever)
        lines << TimelineWhy::tr("It was ready at %1.").arg(formatSeconds(timeline.chunks[chunk].ready));
    else
        lines << (run.underWay ? TimelineWhy::tr("It is not there yet.") : TimelineWhy::tr("It never arrived."));
    if (input.candidates()[decision.candidate].form == ChunkForm::Text)
        lines << TimelineWhy::tr("The computation is simulated.");
    if (session.document() != nullptr && session.tokensOf(chunk).empty())
        lines << TimelineWhy::tr("The cache that is open lacks its tokens.");
    if (input.projected())
        lines << TimelineWhy::tr("Sizes and errors are projected.");
    return lines.join(QLatin1Char(' '));
}

} // namespace

TimelineWhy::TimelineWhy(StreamSession& session, QWidget* parent)
    : QWidget(parent)
    , session_(&session)
    , text_(new QLabel)
    , table_(new StatisticsTableView) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    text_->setObjectName(QStringLiteral("why"));
    text_->setWordWrap(true);
    text_->setTextFormat(Qt::PlainText);
    text_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    table_->setObjectName(QStringLiteral("whyTable"));
    table_->setAccessibleName(tr("Every form that the chunk could have had"));
    table_->setSortingEnabled(false);
    layout->addWidget(text_);
    layout->addWidget(table_, 1);
    connect(&session, &StreamSession::changed, this, &TimelineWhy::refresh);
    connect(&session, &StreamSession::focusChanged, this, &TimelineWhy::refresh);
    refresh();
}

QString TimelineWhy::text() const {
    return text_->text();
}

void TimelineWhy::refresh() {
    if (!session_)
        return;
    const StreamRow* run = session_->focusRow();
    const auto chunk = session_->chunk();
    const Decision* decision = run != nullptr && chunk ? decisionOf(run->timeline, *chunk) : nullptr;
    table_->setVisible(decision != nullptr);
    if (decision == nullptr) {
        text_->setText(chunk ? tr("Nothing was decided about this chunk.")
                             : tr("Click a chunk to see why it came in its form: every form it could have had, and "
                                  "when the first token was expected with each."));
        return;
    }
    text_->setText(sentence(*session_, *run, *chunk, *decision));
    table_->setTable(candidatesOf(*session_->input(), run->timeline, *decision));
    table_->resizeColumnsToContents();
}

StatisticsTable streamSummary(const StreamSession& session) {
    const auto tr = [](const char* text) { return TimelineWhy::tr(text); };
    StatisticsTable table;
    table.columns = {
        {tr("Strategy"), {}, tr("In the order of their first tokens")},
        {tr("TTFT"), tr("s"), tr("Time to first token: from the request to the first generated token")},
        {tr("SLO"), {}, tr("Whether the first token comes in time")},
        {tr("Bytes"), tr("MB"), tr("On the wire: ids, chunks, and what was sent in vain")},
        {tr("Error"), {}, tr("Predicted for the assembled cache, as a share of the signal's energy")},
        {tr("Compute"), tr("s"), tr("Seconds of prefill (simulated)")},
        {tr("Quality"), {}, tr("1 minus the mean relative rms error of the chunks; 1: nothing lost")},
        {tr("Decoding"), tr("s"), tr("Seconds of decoding")},
        {tr("Regret"), tr("s"), tr("First token later than the oracle's; negative: earlier, at a lower quality")},
        {tr("Margin"), tr("s"), tr("Time left to the SLO; negative: late by so much")},
        {tr("Level"), {}, tr("Mean number of the level, 0 the finest, of chunks that came as levels")}};
    const StreamRow* oracle = session.row("oracle");
    for (const StreamRow& row : session.rows()) {
        const Timeline& run = row.timeline;
        std::vector<QVariant> cells;
        cells.emplace_back(QString::fromStdString(row.name) + (row.measured ? tr(" measured") : QString()));
        cells.emplace_back(run.complete() ? QVariant(run.ttft)
                                          : QVariant(row.underWay ? tr("under way") : tr("never")));
        cells.emplace_back(row.underWay ? QVariant() : QVariant(run.meetsSlo() ? tr("met") : tr("missed")));
        cells.emplace_back(run.wireBytes / 1e6);
        cells.emplace_back(row.underWay ? QVariant() : QVariant(run.error));
        cells.emplace_back(run.computeSeconds);
        cells.emplace_back(row.underWay ? QVariant() : QVariant(run.quality));
        cells.emplace_back(run.decodeSeconds);
        cells.emplace_back(oracle != nullptr && run.complete() ? QVariant(regretOf(run, oracle->timeline).seconds)
                                                               : QVariant());
        cells.emplace_back(run.complete() ? QVariant(run.margin()) : QVariant());
        cells.emplace_back(std::isfinite(run.meanLevel) ? QVariant(run.meanLevel) : QVariant());
        table.rows.push_back(std::move(cells));
        table.rowExplanations.push_back(row.adaptive ? tr("chooses a form for each chunk")
                                                     : tr("every chunk in the same form"));
    }
    return table;
}

} // namespace kvscope::views
