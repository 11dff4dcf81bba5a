// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/position_view.h"

#include "views/chart_widget.h"
#include "views/number_format.h"

#include <QCheckBox>
#include <QComboBox>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

double valueOf(PositionView::Statistic statistic, const TokenBucket& bucket) {
    switch (statistic) {
    case PositionView::Statistic::Rms:
        return bucket.rms;
    case PositionView::Statistic::Norm:
        return bucket.meanNorm;
    case PositionView::Statistic::MaxAbs:
        return bucket.maxAbs;
    case PositionView::Statistic::Cosine:
        return bucket.cosineToMean;
    }
    return 0;
}

} // namespace

PositionView::PositionView(Document* document, SelectionModel* selection, QWidget* parent)
    : SingleChartView(document, selection, parent)
    , statistic_(new QComboBox)
    , logarithmic_(new QCheckBox(tr("Logarithmic positions"))) {
    statistic_->setObjectName(QStringLiteral("statistic"));
    statistic_->addItem(tr("rms"));
    statistic_->addItem(tr("norm"));
    statistic_->addItem(tr("max-abs"));
    statistic_->addItem(tr("cosine to the mean token"));
    statistic_->setItemData(0, explain::rms(), Qt::ToolTipRole);
    statistic_->setItemData(1, tr("Euclidean length of a token's row; attention sinks have small V and unusual K"),
                            Qt::ToolTipRole);
    statistic_->setItemData(3,
                            tr("How alike a token is to the mean of all tokens of the layer: 1 same direction, 0 "
                               "unrelated, -1 opposite"),
                            Qt::ToolTipRole);
    panel().addControl(statistic_, tr("What is shown of each token"));
    logarithmic_->setObjectName(QStringLiteral("log"));
    panel().addControl(logarithmic_,
                       tr("Spread out the first tokens, where attention sinks are; position 0 is drawn at 1"));
    connect(statistic_, &QComboBox::currentIndexChanged, this, &PositionView::refresh);
    connect(logarithmic_, &QCheckBox::toggled, this, &PositionView::refresh);
    connect(&chart(), &ChartWidget::picked, this, &PositionView::selectToken);
    connect(&panel().table(), &StatisticsTableView::rowActivated, this, [this](int row) {
        selectToken(panel().table().table().rows[static_cast<std::size_t>(row)].front().toDouble() +
                    (logarithmic_->isChecked() ? 1 : 0));
    });
}

PositionView::Statistic PositionView::statistic() const {
    return static_cast<Statistic>(statistic_->currentIndex());
}

void PositionView::setStatistic(Statistic statistic) {
    statistic_->setCurrentIndex(static_cast<int>(statistic));
}

std::vector<StatisticsService::Job> PositionView::neededJobs() const {
    return selectedLayerJobs(&profileJob);
}

const TokenProfile* PositionView::profileOf(KindChoice choice) const {
    return ofSelectedLayer<TokenProfile>(&profileKey, choice);
}

void PositionView::selectToken(double position) {
    const std::int64_t first = std::llround(position) - (logarithmic_->isChecked() ? 1 : 0);
    for (const KindChoice choice : choices()) {
        const TokenProfile* profile = profileOf(choice);
        if (profile == nullptr)
            continue;
        for (const TokenBucket& bucket : profile->buckets) {
            if (!bucket.tokens.contains(TokenIndex(first)))
                continue;
            Selection next = selection();
            next.tokens = bucket.tokens;
            selectionModel().select(next);
            return;
        }
    }
}

QString PositionView::sentence() const {
    QStringList parts;
    for (const KindChoice choice : choices()) {
        const TokenProfile* profile = profileOf(choice);
        if (profile == nullptr || profile->buckets.size() < 3)
            continue;
        std::vector<double> norms;
        for (const TokenBucket& bucket : profile->buckets)
            norms.push_back(bucket.meanNorm);
        const double first = norms.front();
        const auto middle = norms.begin() + static_cast<std::ptrdiff_t>(norms.size() / 2);
        std::nth_element(norms.begin(), middle, norms.end());
        if (*middle > 0)
            parts << tr("%1 %2\u00d7").arg(choice.name(), formatNumber(first / *middle, 3));
    }
    return parts.isEmpty() ? QString()
                           : tr("Layer %1, norm of the first token against the median token: %2.")
                                 .arg(formatCount(selection().layer().value), parts.join(tr(", ")));
}

StatisticsTable PositionView::tableOf() const {
    StatisticsTable table;
    table.columns = {{tr("First token"), {}, tr("Slot of the first token summarised in the row")},
                     {tr("Tokens"), {}, {}},
                     {tr("Plane"), {}, explain::plane()},
                     {tr("Rms"), {}, explain::rms()},
                     {tr("Mean norm"), {}, {}},
                     {tr("Largest norm"), {}, {}},
                     {tr("Max-abs"), {}, {}},
                     {tr("Cosine to mean token"), {}, {}},
                     {tr("NaN or infinite"), {}, {}}};
    for (const KindChoice choice : choices()) {
        const TokenProfile* profile = profileOf(choice);
        if (profile == nullptr)
            continue;
        for (const TokenBucket& bucket : profile->buckets)
            table.rows.push_back({static_cast<qlonglong>(bucket.tokens.begin.value),
                                  static_cast<qlonglong>(bucket.tokens.size()), choice.name(), bucket.rms,
                                  bucket.meanNorm, bucket.maxNorm, bucket.maxAbs, bucket.cosineToMean,
                                  static_cast<qlonglong>(bucket.nonFinite)});
    }
    return table;
}

void PositionView::display() {
    const bool logarithmic = logarithmic_->isChecked();
    ChartData chart;
    chart.xTitle = logarithmic ? tr("token position + 1") : tr("token position");
    chart.yTitle = statistic_->currentText();
    chart.xIndex = true;
    chart.xLog = logarithmic;
    chart.fromZero = true;
    chart.emptyText = tr("Computing\u2026");
    const int shift = logarithmic ? 1 : 0;
    const SequenceIndex sequence = selection().sequence;
    chart.xName = [cache = cache(), id = PlaneId{selection().layer(), selection().kind, sequence}, shift](double x) {
        const TokenIndex token(static_cast<std::int64_t>(x) - shift);
        QString name = tr("token %1").arg(formatCount(token.value));
        const PlaneGeometry* plane = cache.geometry().find(id);
        if (plane == nullptr || token.value < 0 || token.value >= plane->tokens)
            return name;
        const std::int64_t position = plane->position(token);
        if (position != token.value)
            name += tr(" at position %1").arg(formatCount(position));
        const QString text = QString::fromStdString(cache.tokenText(id.sequence, position));
        return text.isEmpty() ? name : name + QStringLiteral(" \u201c") + text + QStringLiteral("\u201d");
    };
    for (const KindChoice choice : choices()) {
        const TokenProfile* profile = profileOf(choice);
        // RoPE turns pairs of channels and so keeps the norm of every token: one line says both.
        const bool sameAsStored =
            choice.beforeRope && (statistic() == Statistic::Rms || statistic() == Statistic::Norm);
        if (profile == nullptr || sameAsStored)
            continue;
        ChartSeries series;
        series.name = choice.name();
        series.kind = choice.colourKind();
        series.look = choice.lineLook();
        for (const TokenBucket& bucket : profile->buckets) {
            series.x.push_back(static_cast<double>(bucket.tokens.begin.value + shift));
            series.y.push_back(valueOf(statistic(), bucket));
        }
        chart.series.push_back(std::move(series));
    }
    if (const auto& tokens = selection().tokens; tokens && tokens->size() == 1)
        chart.selected = static_cast<double>(tokens->begin.value + shift);
    this->chart().setData(std::move(chart), true);
    panel().setSummary(sentence());
    panel().setTable([this] { return tableOf(); });
}

QString PositionView::exportName() const {
    return tr("token positions layer %1").arg(selection().layer().value);
}

} // namespace kvscope::views
