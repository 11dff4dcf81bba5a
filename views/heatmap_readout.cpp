// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_readout.h"

#include "views/chart_parts.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QPainter>

#include <algorithm>

namespace kvscope::views {

namespace {

constexpr int kMargin = 6;
constexpr int kDigits = 7;
const QString kDot = QStringLiteral(" · ");

QString text(std::string_view view) {
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

/// "64 tokens × 32 channels": what a delivered cell covers of the plane.
QString extentOf(const CellReading& reading, const PlaneGeometry& plane) {
    const CellQuery& query = reading.query;
    const auto counted = [](std::int64_t from, std::int64_t step, std::int64_t end, const QString& one,
                            const QString& many) {
        const std::int64_t count = std::max<std::int64_t>(0, std::min(step, end - from / step * step));
        return QStringLiteral("%1 %2").arg(formatCount(count), count == 1 ? one : many);
    };
    const auto tokens = [&](std::int64_t from, std::int64_t step) {
        return counted(from, step, plane.tokens, QStringLiteral("token"), QStringLiteral("tokens"));
    };
    const auto channels = [&](std::int64_t from, std::int64_t step, std::int64_t end) {
        return counted(from, step, end, QStringLiteral("channel"), QStringLiteral("channels"));
    };
    const QString by = QStringLiteral(" × ");
    switch (query.spec.map) {
    case MapKind::LayerToken: {
        const QString layers = query.step.rows > 1 ? QStringLiteral("%1 layers × ").arg(query.step.rows) : QString();
        return layers + tokens(query.column, query.step.columns) + by + channels(0, plane.channels(), plane.channels());
    }
    case MapKind::HeadToken:
        return tokens(query.column, query.step.columns) + by +
               channels(0, plane.headDim * query.step.rows, plane.channels());
    case MapKind::TokenChannel:
        return tokens(query.column, query.step.columns) + by +
               channels(query.row, query.step.rows, query.spec.head ? plane.headDim : plane.channels());
    case MapKind::LayerChannel:
        return tokens(0, plane.tokens) + by + channels(query.column, query.step.columns, plane.channels());
    }
    return {};
}

} // namespace

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
        parts << QStringLiteral("%1%2: min %3, max %4, mean %5, rms %6")
                     .arg(reading.exact ? QString() : QStringLiteral("≈ "), extentOf(reading, *plane), number(cell.min),
                          number(cell.max), number(cell.mean), number(cell.rms));
    }
    return parts.join(kDot);
}

HeatmapReadout::HeatmapReadout(QWidget* parent)
    : QWidget(parent) {
    setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    setAccessibleName(tr("Cell under the crosshair"));
}

QSize HeatmapReadout::sizeHint() const {
    return {300, 2 * QFontMetrics(chartFont(*this)).lineSpacing() + 4};
}

QSize HeatmapReadout::minimumSizeHint() const {
    return {0, sizeHint().height()};
}

void HeatmapReadout::setReading(const QString& place, const QString& values) {
    if (place == place_ && values == values_)
        return;
    place_ = place;
    values_ = values;
    setAccessibleDescription(place_ + u'\n' + values_);
    setToolTip(place_.isEmpty() ? QString() : place_ + u'\n' + values_);
    update();
}

void HeatmapReadout::setClipped(const QString& text) {
    clipped_ = text;
    update();
}

void HeatmapReadout::setProgress(const QString& text) {
    if (text == progress_)
        return;
    progress_ = text;
    update();
}

void HeatmapReadout::paintEvent(QPaintEvent* /*event*/) {
    QPainter painter(this);
    const Theme theme = Theme::from(palette());
    const QFont font = chartFont(*this);
    const QFontMetrics metrics(font);
    painter.fillRect(rect(), theme.background);
    painter.setFont(font);
    const int line = metrics.lineSpacing();
    const auto draw = [&](int top, const QString& left, const QString& right) {
        const QRect area(kMargin, top, width() - 2 * kMargin, line);
        const int rightWidth = std::min(metrics.horizontalAdvance(right) + 4, area.width() / 2);
        painter.setPen(theme.dim);
        painter.drawText(area, Qt::AlignRight | Qt::AlignVCenter,
                         metrics.elidedText(right, Qt::ElideRight, rightWidth));
        painter.setPen(theme.text);
        const int leftWidth = area.width() - (right.isEmpty() ? 0 : rightWidth + 12);
        painter.drawText(area, Qt::AlignLeft | Qt::AlignVCenter, metrics.elidedText(left, Qt::ElideRight, leftWidth));
    };
    draw(2, place_, clipped_);
    draw(2 + line, values_, progress_);
}

} // namespace kvscope::views
