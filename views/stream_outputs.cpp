// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/stream_outputs.h"

#include "core/stream/oracle.h"
#include "views/timeline_picture.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSpinBox>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

namespace kvscope::views {

namespace {

QString tr(const char* text) {
    return StreamOutputs::tr(text);
}

QString textOf(std::string_view name) {
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

/// The mean of the bandwidth over the time that matters, bits per second.
double meanRate(const StreamSetup& setup) {
    double bytes = 0;
    for (const LinkPath& path : setup.link.paths)
        bytes += path.trace->bytesBetween(path.traceStart, path.traceStart + setup.sloSeconds);
    return bytes * 8 / setup.sloSeconds;
}

} // namespace

StatisticsTable layerErrorTable(const StreamRow& run, const StreamInput& input) {
    StatisticsTable table;
    table.columns = {{tr("Layer"), {}, {}},
                     {tr("Error"), {}, tr("Predicted for the layer as streamed, as a share of its signal's energy")},
                     {tr("Share"), tr("%"), tr("Of the error of all layers"), true}};
    const std::vector<double> errors = errorByLayer(run.timeline, input);
    const double sum = std::accumulate(errors.begin(), errors.end(), 0.0);
    for (std::size_t layer = 0; layer < errors.size(); ++layer) {
        table.rows.push_back(
            {static_cast<qlonglong>(layer), errors[layer], sum > 0 ? QVariant(100 * errors[layer] / sum) : QVariant()});
    }
    return table;
}

StatisticsTable breakEvenTable(const StreamInput& input, const StreamSetup& setup, double bandwidthScale) {
    StatisticsTable table;
    table.columns = {
        {tr("Form"), {}, {}},
        {tr("Pays now"), {}, tr("At the mean bandwidth until the SLO")},
        {tr("Ratio"), {}, tr("Bytes in 16 bit over bytes in this form, side information included")},
        {tr("Serial"), tr("Gbit/s"),
         tr("Where a chunk is decoded only after all of it has come, compressing pays below decoding speed times "
            "(ratio - 1) / ratio")},
        {tr("Pipelined"), tr("Gbit/s"),
         tr("Where it is decoded while it comes, compressing pays below decoding speed")}};
    const double raw = input.rawBytes();
    const double rate = meanRate(setup);
    for (std::size_t c = 0; c < input.candidateCount(); ++c) {
        const Candidate& form = input.candidates()[c];
        const double bytes = input.bytesBefore(c, input.chunkCount());
        if (form.form == ChunkForm::Text || form.form == ChunkForm::Raw || !(raw > 0) || !(bytes > 0))
            continue;
        const double ratio = raw / bytes;
        const double decode =
            form.form == ChunkForm::EightBit ? setup.compute.unpackBytesPerSecond : setup.compute.decodeBytesPerSecond;
        const double serial = breakEvenSerial(decode, ratio);
        const double pipelined = breakEvenPipelined(decode, ratio);
        const QString verdict = rate < serial ? tr("yes") : rate < pipelined ? tr("only pipelined") : tr("no");
        table.rows.push_back(
            {textOf(form.name), verdict, ratio, serial / bandwidthScale / 1e9, pipelined / bandwidthScale / 1e9});
    }
    return table;
}

StatisticsTable sharedLinkTable(const StreamInput& input, const StreamSetup& setup, const std::string& policy,
                                int contexts) {
    StatisticsTable table;
    table.columns = {{tr("Context"), {}, {}},
                     {tr("TTFT"), tr("s"), tr("First token of that context while the others are on the link too")},
                     {tr("SLO"), {}, {}},
                     {tr("Bytes"), tr("MB"), {}},
                     {tr("Quality"), {}, {}},
                     {tr("Compute"), tr("s"), tr("Each receiver has a machine of its own")}};
    const auto names = policiesFor(input);
    const auto name = std::ranges::find(names, policy, &PolicyName::name);
    if (name == names.end() || name->kind == PolicyName::Kind::Oracle)
        return table;
    std::vector<std::unique_ptr<Policy>> policies;
    std::vector<SharedContext> all;
    for (int i = 0; i < contexts; ++i) {
        policies.push_back(makePolicy(*name));
        all.push_back({&input, policies.back().get(), policy});
    }
    int number = 1;
    for (const Timeline& run : simulateShared(all, setup))
        table.rows.push_back({static_cast<qlonglong>(number++), run.complete() ? QVariant(run.ttft) : tr("never"),
                              run.meetsSlo() ? tr("met") : tr("missed"), run.wireBytes / 1e6, run.quality,
                              run.computeSeconds});
    return table;
}

StreamOutputs::StreamOutputs(StreamSession& session, QWidget* parent)
    : QWidget(parent)
    , session_(&session)
    , page_(new QComboBox)
    , contexts_(new QSpinBox)
    , text_(new QLabel)
    , table_(new StatisticsTableView) {
    auto* rows = new QVBoxLayout(this);
    rows->setContentsMargins(4, 4, 4, 4);
    auto* top = new QHBoxLayout;
    page_->setObjectName(QStringLiteral("outputsPage"));
    page_->setAccessibleName(tr("What is shown"));
    page_->addItems({tr("Error by layer"), tr("Break-even bandwidth"), tr("Contexts on one link")});
    contexts_->setObjectName(QStringLiteral("outputsContexts"));
    contexts_->setAccessibleName(tr("Contexts that share the link"));
    contexts_->setRange(1, kMostContexts);
    contexts_->setValue(4);
    contexts_->setSuffix(tr(" contexts"));
    top->addWidget(page_, 1);
    top->addWidget(contexts_);
    rows->addLayout(top);
    text_->setObjectName(QStringLiteral("outputsText"));
    text_->setWordWrap(true);
    text_->setTextFormat(Qt::PlainText);
    rows->addWidget(text_);
    table_->setObjectName(QStringLiteral("outputsTable"));
    table_->setAccessibleName(tr("Numbers"));
    rows->addWidget(table_, 1);
    connect(page_, &QComboBox::currentIndexChanged, this, &StreamOutputs::refresh);
    connect(contexts_, &QSpinBox::valueChanged, this, &StreamOutputs::refresh);
    connect(&session, &StreamSession::changed, this, &StreamOutputs::refresh);
    connect(&session, &StreamSession::focusChanged, this, &StreamOutputs::refresh);
}

void StreamOutputs::setPage(Page page) {
    page_->setCurrentIndex(static_cast<int>(page));
}

StreamOutputs::Page StreamOutputs::page() const {
    return static_cast<Page>(page_->currentIndex());
}

QString StreamOutputs::text() const {
    return text_->text();
}

void StreamOutputs::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    refresh();
}

void StreamOutputs::refresh() {
    // Behind another tab nothing is worked out on each move of the bandwidth.
    if (!isVisible())
        return;
    contexts_->setVisible(page() == Page::Shared);
    const StreamRow* run = session_ ? session_->focusRow() : nullptr;
    if (!session_ || session_->input() == nullptr || run == nullptr) {
        text_->clear();
        table_->setTable({});
        return;
    }
    const StreamInput& input = *session_->input();
    const double scale = session_->transfer() != nullptr ? session_->transfer()->bandwidthScale : 1;
    const QString projected = input.projected() ? tr(" Projected.") : QString();
    const QString name = QString::fromStdString(run->name) + (run->measured ? tr(" measured") : QString());
    StatisticsTable table;
    switch (page()) {
    case Page::Layers:
        table = layerErrorTable(*run, input);
        text_->setText(table.rows.empty() ? tr("Nothing is known of the layers' errors.")
                                          : tr("%1: predicted error by layer.").arg(name) + projected);
        break;
    case Page::BreakEven:
        table = breakEvenTable(input, session_->effectiveSetup(), scale);
        text_->setText(tr("Above these, sending 16 bit is faster.") + projected);
        break;
    case Page::Shared: {
        const bool oracle = run->name == "oracle";
        table = sharedLinkTable(input, session_->effectiveSetup(),
                                oracle ? std::string(StreamSession::kFirstRow) : run->name, contexts_->value());
        text_->setText(tr("%1 requests at once, each under %2, simulated.")
                           .arg(contexts_->value())
                           .arg(oracle ? QLatin1String(StreamSession::kFirstRow) : QString::fromStdString(run->name)) +
                       projected);
        break;
    }
    }
    const int columns = static_cast<int>(table.columns.size());
    table_->setTable(std::move(table));
    if (std::exchange(shownColumns_, columns) != columns)
        table_->resizeColumnsToContents();
}

} // namespace kvscope::views
