// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_summary.h"

#include "views/chart_parts.h"
#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QFontInfo>
#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace kvscope::views {

namespace {

constexpr int kGap = 10;

QString bytesText(std::int64_t bytes) {
    const auto value = static_cast<double>(bytes);
    if (bytes >= std::int64_t{1} << 30)
        return CodecView::tr("%1 GiB").arg(formatNumber(std::ldexp(value, -30), 3, true));
    if (bytes >= std::int64_t{1} << 20)
        return CodecView::tr("%1 MiB").arg(formatNumber(std::ldexp(value, -20), 3, true));
    if (bytes >= 1024)
        return CodecView::tr("%1 KiB").arg(formatNumber(std::ldexp(value, -10), 3, true));
    return CodecView::tr("%1 bytes").arg(bytes);
}

QString times(double ratio) {
    return formatNumber(ratio, 3, true) + QStringLiteral("\u00d7");
}

QString keyOf(const SummaryFigure& figure) {
    return figure.key.isEmpty() ? figure.caption : figure.key;
}

/// Figures at the places that they had before, with those of before that are not among them.
std::vector<SummaryFigure> withThoseBefore(std::vector<SummaryFigure> figures,
                                           const std::vector<SummaryFigure>& before) {
    std::vector<SummaryFigure> merged;
    for (const SummaryFigure& old : before) {
        const auto found = std::ranges::find(figures, keyOf(old), keyOf);
        if (found == figures.end()) {
            merged.push_back(old);
            continue;
        }
        merged.push_back(std::move(*found));
        figures.erase(found);
    }
    std::ranges::move(figures, std::back_inserter(merged));
    return merged;
}

} // namespace

std::vector<SummaryFigure> summaryFigures(const EncodeReport& report, const std::vector<PlaneKind>& kinds) {
    const auto tr = [](const char* text) { return CodecView::tr(text); };
    std::vector<SummaryFigure> figures;
    const EncodeTotals all = report.totals();
    if (all.values == 0)
        return figures;
    figures.push_back({bytesText(all.bytes()), tr("encoded"),
                       tr("%1 bytes, everything that a decoder needs included; the dump has %2")
                           .arg(formatCount(all.bytes()), formatCount(all.dumpBytes))});
    figures.push_back({formatNumber(all.bitsPerValue(), 3, true), tr("bits/value"), explain::bitsPerValue()});
    figures.push_back({times(all.ratio()), tr("smaller than 16 bit"), explain::ratio()});
    if (std::abs(all.ratioToDump() / all.ratio() - 1) > 1e-9)
        figures.push_back({times(all.ratioToDump()), tr("smaller than the dump"),
                           tr("Against the bytes of the dump at its own type.")});
    for (const PlaneKind kind : kinds) {
        const EncodeTotals totals = report.totals(kind);
        if (totals.values > 0 && totals.hasError)
            figures.push_back({formatNumber(headlineError(kind, totals.error), 3),
                               kindText(kind) + QLatin1Char(' ') + errorName(kind), explain::headlineError(kind)});
    }
    if (all.hasError) {
        const auto cosine = all.error.result().cosine;
        if (cosine)
            figures.push_back({formatNumber(*cosine, 6), tr("cosine"),
                               tr("Cosine of the angle between the values and what comes back, all kinds together.")});
    }
    if (const auto entropy = all.entropyPerValue())
        figures.push_back(
            {tr("%1 bits").arg(formatNumber(*entropy, 3, true)), tr("order-0 entropy"),
             tr("Order-0 entropy of the symbols, channel by channel, in bits a value: what an ideal coder "
                "with a table for each channel and no side information would need. A coder that also uses what rows "
                "have in common can be below it.")});
    if (std::abs(all.publishedRatio() - all.ratio()) > 0.005 * all.ratio())
        figures.push_back({times(all.publishedRatio()), tr("as published"),
                           tr("The ratio by the published method's own accounting, %1 bits a value, which counts other "
                              "things than all that a decoder needs.")
                               .arg(formatNumber(all.publishedBitsPerValue(), 3))});
    if (const auto speed = all.encodeGBps())
        figures.push_back({tr("%1 GB/s").arg(formatNumber(*speed, 3)), tr("encode, a core"),
                           tr("Bytes of the dump encoded a second of processor time (GB: 10^9 bytes).")});
    if (const auto speed = all.decodeGBps())
        figures.push_back({tr("%1 GB/s").arg(formatNumber(*speed, 3)), tr("decode, a core"),
                           tr("Bytes of the dump decoded a second of processor time (GB: 10^9 bytes).")});
    if (const auto share = report.encodeTimeToPrefill())
        figures.push_back(
            {tr("%1 %").arg(formatNumber(*share * 100, 3)),
             tr("of prefill at %1 tok/s").arg(formatCount(std::llround(report.prefillTokensPerSecond.value_or(0)))),
             tr("Encoding time on one core as a share of the time in which the prefill computes the same "
                "tokens at %1 tokens/s.")
                 .arg(formatNumber(report.prefillTokensPerSecond.value_or(0))),
             QStringLiteral("prefill")});
    return figures;
}

CodecSummary::CodecSummary(QWidget* parent)
    : QWidget(parent) {
    setObjectName(QStringLiteral("codecSummary"));
    QSizePolicy policy(QSizePolicy::Preferred, QSizePolicy::Minimum);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
    setAccessibleName(tr("Summary of the current plan"));
}

void CodecSummary::setFigures(std::vector<SummaryFigure> figures, bool pending) {
    if (pending)
        figures = withThoseBefore(std::move(figures), figures_);
    const bool moved = figures.size() != figures_.size();
    figures_ = std::move(figures);
    pending_ = pending;
    QStringList spoken;
    for (const SummaryFigure& figure : figures_)
        spoken << figure.caption + QLatin1Char(' ') + figure.value;
    setAccessibleDescription(spoken.join(QStringLiteral(", ")));
    if (moved)
        updateGeometry();
    update();
}

QFont CodecSummary::valueFont() const {
    QFont font = chartFont(*this);
    font.setPixelSize(font.pixelSize() + 2);
    font.setBold(true);
    return font;
}

QFont CodecSummary::captionFont() const {
    return chartFont(*this);
}

CodecSummary::Layout CodecSummary::layoutFor(double width) const {
    const QFontMetricsF values(valueFont());
    const QFontMetricsF captions(captionFont());
    const auto need = [&](const SummaryFigure& figure) {
        return std::max(values.horizontalAdvance(figure.value), captions.horizontalAdvance(figure.caption)) + kGap;
    };
    // Room for what figures usually say, so that columns stand still while they change.
    const double usual = need({QStringLiteral("0.000000"), tr("smaller than the dump"), {}, {}});
    const int columns = std::max(1, static_cast<int>((width + kGap) / usual));
    const double columnWidth = std::min((width + kGap) / columns, 1.5 * usual);
    const double rowHeight = values.height() + captions.height() + 4;
    Layout layout;
    int column = 0;
    int row = 0;
    for (const SummaryFigure& figure : figures_) {
        const int span = std::clamp(static_cast<int>(std::ceil(need(figure) / columnWidth)), 1, columns);
        if (column + span > columns) {
            column = 0;
            ++row;
        }
        layout.cells.emplace_back(column * columnWidth, row * rowHeight, span * columnWidth, rowHeight);
        column += span;
    }
    layout.height = (row + 1) * rowHeight;
    return layout;
}

int CodecSummary::heightForWidth(int width) const {
    if (figures_.empty())
        return static_cast<int>(QFontMetricsF(captionFont()).height()) + 4;
    return static_cast<int>(std::ceil(layoutFor(width).height));
}

QSize CodecSummary::sizeHint() const {
    return {420, heightForWidth(std::max(200, width()))};
}

QSize CodecSummary::minimumSizeHint() const {
    return {200, heightForWidth(std::max(200, width()))};
}

QRectF CodecSummary::paintTo(QPainter& painter, const QRectF& target) const {
    const Theme theme = Theme::from(palette());
    const Layout layout = layoutFor(target.width());
    QColor text = theme.text;
    if (pending_)
        text.setAlpha(130);
    painter.save();
    painter.translate(target.topLeft());
    for (std::size_t i = 0; i < figures_.size(); ++i) {
        const QRectF& cell = layout.cells[i];
        painter.setFont(valueFont());
        painter.setPen(text);
        const double valueHeight = QFontMetricsF(painter.font()).height();
        painter.drawText(QRectF(cell.left(), cell.top(), cell.width(), valueHeight), Qt::AlignLeft | Qt::AlignVCenter,
                         figures_[i].value);
        painter.setFont(captionFont());
        painter.setPen(theme.dim);
        painter.drawText(cell.adjusted(0, valueHeight, 0, -4), Qt::AlignLeft | Qt::AlignVCenter, figures_[i].caption);
    }
    painter.restore();
    return target.adjusted(0, layout.height, 0, 0);
}

bool CodecSummary::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const Layout layout = layoutFor(width());
        for (std::size_t i = 0; i < figures_.size(); ++i) {
            if (layout.cells[i].contains(help->pos())) {
                QToolTip::showText(help->globalPos(), figures_[i].explanation, this);
                return true;
            }
        }
        QToolTip::hideText();
        return true;
    }
    return QWidget::event(event);
}

void CodecSummary::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    if (!figures_.empty()) {
        paintTo(painter, rect());
        return;
    }
    painter.setFont(captionFont());
    painter.setPen(Theme::from(palette()).dim);
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, tr("Nothing encoded yet"));
}

} // namespace kvscope::views
