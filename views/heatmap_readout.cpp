// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_readout.h"

#include "views/chart_parts.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QPainter>
#include <QResizeEvent>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr int kMargin = 6;
constexpr int kDigits = 7;
// From this width on, place and value have the state of the picture beside them.
constexpr int kWide = 860;
// From here on they need three lines, below four.
constexpr int kMedium = 440;
const QString kDot = QStringLiteral(" · ");

QString text(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

/// "1 token", "64 tokens"
QString counted(std::int64_t count, const QString& one, const QString& many) {
    return QStringLiteral("%1 %2").arg(formatCount(count), count == 1 ? one : many);
}

/// How many of `end` rows or columns the cell of a step over `from` covers.
std::int64_t covered(std::int64_t from, std::int64_t step, std::int64_t end) {
    return std::max<std::int64_t>(0, std::min(step, end - from / step * step));
}

/// Greedy lines of parts that fit into a width; a part alone may be wider.
QStringList flow(const QStringList& parts, const QFontMetrics& metrics, int width) {
    QStringList lines;
    for (const QString& part : parts) {
        const QString longer = lines.isEmpty() ? QString() : lines.back() + kDot + part;
        if (!lines.isEmpty() && metrics.horizontalAdvance(longer) <= width)
            lines.back() = longer;
        else
            lines << part;
    }
    return lines;
}

} // namespace

QString cellExtent(const MapSpec& spec, const CellStep& step, const PlaneGeometry& plane, std::int64_t column,
                   std::int64_t row) {
    const auto tokens = [](std::int64_t count) {
        return counted(count, QStringLiteral("token"), QStringLiteral("tokens"));
    };
    const auto channels = [](std::int64_t count) {
        return counted(count, QStringLiteral("channel"), QStringLiteral("channels"));
    };
    const QString by = QStringLiteral(" × ");
    switch (spec.map) {
    case MapKind::LayerToken: {
        const QString layers = step.rows > 1 ? QStringLiteral("%1 layers × ").arg(step.rows) : QString();
        return layers + tokens(covered(column, step.columns, plane.tokens)) + by + channels(plane.channels());
    }
    case MapKind::HeadToken:
        return tokens(covered(column, step.columns, plane.tokens)) + by +
               channels(covered(0, plane.headDim * step.rows, plane.channels()));
    case MapKind::TokenChannel:
        return tokens(covered(column, step.columns, plane.tokens)) + by +
               channels(covered(row, step.rows, spec.head ? plane.headDim : plane.channels()));
    case MapKind::LayerChannel: {
        const QString layers = step.rows > 1 ? QStringLiteral("%1 layers × ").arg(step.rows) : QString();
        return layers + tokens(plane.tokens) + by + channels(covered(column, step.columns, plane.channels()));
    }
    }
    return {};
}

QString describePlace(const CellReading& reading, const TokenAxis& tokens) {
    const MapSpec& spec = reading.query.spec;
    QStringList parts{text(kvscope::nameOf(spec.kind)), QStringLiteral("layer %1").arg(reading.layer.value)};
    const PlaneGeometry* plane = tokens.cache().geometry().find(PlaneId{reading.layer, spec.kind, spec.sequence});
    if (plane == nullptr)
        return parts.join(kDot) + kDot + QStringLiteral("no such plane");
    if (reading.channel) {
        parts << QStringLiteral("head %1").arg(plane->headOf(*reading.channel).value)
              << QStringLiteral("channel %1").arg(formatCount(reading.channel->value));
    }
    if (reading.token) {
        QString token = QStringLiteral("token %1").arg(formatCount(reading.token->value));
        const std::string stored = tokens.cache().tokenText(spec.sequence, plane->position(*reading.token));
        if (!stored.empty())
            token += QStringLiteral(" “%1”").arg(displayText(stored));
        const std::int64_t position = plane->position(*reading.token);
        if (position != reading.token->value)
            token += QStringLiteral(" (position %1)").arg(formatCount(position));
        parts << token;
    } else if (spec.map != MapKind::LayerChannel) {
        parts << QStringLiteral("no token %1").arg(formatCount(reading.query.column));
    }
    return parts.join(kDot);
}

QString describeValues(const CellReading& reading, const KvCache& cache) {
    const MapSpec& spec = reading.query.spec;
    const PlaneGeometry* plane = cache.geometry().find(PlaneId{reading.layer, spec.kind, spec.sequence});
    if (plane == nullptr || (reading.cell.count == 0 && !reading.cell.hasNonFinite))
        return QStringLiteral("outside the plane");
    QStringList parts;
    const bool single = spec.map == MapKind::TokenChannel || reading.query.channel.has_value();
    if (reading.stored) {
        const QString name = single ? QStringLiteral("value") : QStringLiteral("largest value");
        if (spec.quantity == Quantity::Value || !reading.quantity) {
            parts << QStringLiteral("%1 %2").arg(name, formatNumber(static_cast<double>(*reading.stored), kDigits));
        } else {
            parts << QStringLiteral("%1 %2").arg(text(kvscope::nameOf(spec.quantity)),
                                                 formatNumber(static_cast<double>(*reading.quantity), kDigits))
                  << QStringLiteral("stored %1").arg(formatNumber(static_cast<double>(*reading.stored), kDigits));
        }
    }
    const Cell& cell = reading.cell;
    if (cell.hasNonFinite)
        parts << QStringLiteral("NaN or infinity inside");
    if (cell.count > 1) {
        const auto number = [](float value) { return formatNumber(static_cast<double>(value), 4); };
        parts << cellExtent(spec, reading.query.step, *plane, reading.query.column, reading.query.row)
              << QStringLiteral("%1%2 to %3")
                     .arg(reading.exact ? QString() : QStringLiteral("≈ "), number(cell.min), number(cell.max))
              << QStringLiteral("mean %1").arg(number(cell.mean)) << QStringLiteral("rms %1").arg(number(cell.rms));
    }
    return parts.join(kDot);
}

HeatmapReadout::HeatmapReadout(QWidget* parent)
    : QWidget(parent) {
    setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    setAccessibleName(tr("Cell under the crosshair"));
}

int HeatmapReadout::lineCount() const {
    // Wide panes have the state of the picture beside place and value, narrow ones below.
    return width() >= kWide || compact_ ? 2 : width() >= kMedium ? 4 : 5;
}

void HeatmapReadout::setCompact(bool compact) {
    if (compact == compact_)
        return;
    compact_ = compact;
    updateGeometry();
    update();
}

QSize HeatmapReadout::sizeHint() const {
    return {300, lineCount() * QFontMetrics(chartFont(*this)).lineSpacing() + 4};
}

QSize HeatmapReadout::minimumSizeHint() const {
    return {0, sizeHint().height()};
}

void HeatmapReadout::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    if (event->size().width() != event->oldSize().width())
        updateGeometry();
}

void HeatmapReadout::setReading(const QString& place, const QString& values) {
    if (place == place_ && values == values_)
        return;
    place_ = place;
    values_ = values;
    setAccessibleDescription(place_ + u'\n' + values_);
    updateToolTip();
    update();
}

void HeatmapReadout::setClipped(const QString& text, const QString& explanation) {
    clipped_ = text;
    explanation_ = explanation;
    updateToolTip();
    update();
}

void HeatmapReadout::setProgress(const QString& text) {
    if (text == progress_)
        return;
    progress_ = text;
    update();
}

void HeatmapReadout::updateToolTip() {
    QStringList parts{place_, values_, explanation_};
    parts.removeAll(QString());
    setToolTip(parts.join(u'\n'));
}

std::vector<HeatmapReadout::Line> HeatmapReadout::lines() const {
    const QFontMetrics metrics(chartFont(*this));
    const int room = width() - 2 * kMargin;
    if (width() >= kWide)
        return {{place_, clipped_}, {values_, progress_}};
    const QStringList places = place_.split(kDot, Qt::SkipEmptyParts);
    const QStringList values = values_.split(kDot, Qt::SkipEmptyParts);
    QStringList texts = flow(places, metrics, room) + flow(values, metrics, room);
    const qsizetype textLines = lineCount() - 1;
    if (texts.size() > textLines)
        texts = flow(places + values, metrics, room);
    if (texts.size() > textLines)
        texts = texts.mid(0, textLines - 1) << texts.mid(textLines - 1).join(kDot);
    std::vector<Line> lines;
    // What the cells are goes to a line of its own where it has no room behind their number.
    const qsizetype each = clipped_.indexOf(QStringLiteral(", "));
    if (!compact_ && texts.size() < textLines && each > 0 && metrics.horizontalAdvance(clipped_) > room) {
        texts.resize(textLines - 1);
        for (const QString& text : texts)
            lines.push_back({text, {}});
        lines.push_back({clipped_.left(each + 1), progress_});
        lines.push_back({clipped_.mid(each + 2), {}});
        return lines;
    }
    texts.resize(textLines);
    for (const QString& text : texts)
        lines.push_back({text, {}});
    lines.push_back({clipped_, progress_});
    return lines;
}

void HeatmapReadout::paintEvent(QPaintEvent* /*event*/) {
    QPainter painter(this);
    const Theme theme = Theme::from(palette());
    const QFont font = chartFont(*this);
    const QFontMetrics metrics(font);
    painter.fillRect(rect(), theme.background);
    painter.setFont(font);
    const int height = metrics.lineSpacing();
    int top = 2;
    const auto all = lines();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const QRect area(kMargin, top, width() - 2 * kMargin, height);
        const int rightWidth = std::min(metrics.horizontalAdvance(all[i].right) + 4, area.width() / 2);
        painter.setPen(theme.dim);
        painter.drawText(area, Qt::AlignRight | Qt::AlignVCenter,
                         metrics.elidedText(all[i].right, Qt::ElideRight, rightWidth));
        const int leftWidth = area.width() - (all[i].right.isEmpty() ? 0 : rightWidth + 12);
        // Below each other, the state of the picture is told from what lies under the crosshair by its colour.
        const bool hint = i == 0 && place_.isEmpty() && !clipped_.isEmpty();
        const bool state = all.size() > 2 && clipped_.contains(all[i].left);
        painter.setPen(hint || state ? theme.dim : theme.text);
        painter.drawText(area, Qt::AlignLeft | Qt::AlignVCenter,
                         metrics.elidedText(hint ? tr("Point at a cell to read it; a click selects it.") : all[i].left,
                                            Qt::ElideRight, leftWidth));
        top += height;
    }
}

} // namespace kvscope::views
