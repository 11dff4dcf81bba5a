// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/regime_chart.h"

#include "views/chart_parts.h"
#include "views/number_format.h"
#include "views/timeline_picture.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace kvscope::views {

namespace {

constexpr double kLegend = 22;
constexpr double kRing = 7;
/// Contours of the time saved, seconds.
constexpr std::array kContours{0.01, 0.1, 1.0, 10.0, 100.0};

QBrush brushOf(Regime regime, const Theme& theme) {
    const QColor colour = regime == Regime::Compressed ? theme.kind(PlaneKind::Latent)
                          : regime == Regime::Raw      ? theme.kind(PlaneKind::Key)
                                                       : theme.kind(PlaneKind::Value);
    QColor pale = colour;
    pale.setAlpha(theme.dark ? 120 : 110);
    return pale;
}

/// Where a value lies between two others, 0 to 1.
double between(double level, double a, double b) {
    return a == b ? 0.5 : std::clamp((level - a) / (b - a), 0.0, 1.0);
}

} // namespace

QString nameOf(Regime regime) {
    switch (regime) {
    case Regime::Text:
        return RegimeChart::tr("text");
    case Regime::Compressed:
        return RegimeChart::tr("compressed");
    case Regime::Raw:
        return RegimeChart::tr("raw");
    }
    return {};
}

RegimeChart::RegimeChart(QWidget* parent)
    : QWidget(parent) {
    setObjectName(QStringLiteral("regimeChart"));
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAccessibleName(tr("Regime map"));
    setAccessibleDescription(tr("Which of text, compressed and raw is the fastest by bandwidth and context length"));
}

void RegimeChart::setMap(RegimeMap map) {
    map_ = std::move(map);
    cursor_.reset();
    update();
}

void RegimeChart::setCurrent(double bitsPerSecond, double tokens) {
    currentRate_ = bitsPerSecond;
    currentTokens_ = tokens;
    update();
}

QRectF RegimeChart::plotArea(const QRectF& target) const {
    const QFontMetricsF metrics(chartFont(*this));
    const double left = metrics.horizontalAdvance(QStringLiteral("131,072")) + metrics.height() + 16;
    return target.adjusted(left, kLegend + 4, -14, -2.4 * metrics.height() - 6);
}

QPointF RegimeChart::place(const QRectF& plot, double bitsPerSecond, double tokens) const {
    const auto share = [](const std::vector<double>& axis, double value) {
        return std::log(value / axis.front()) / std::log(axis.back() / axis.front());
    };
    return {plot.left() + plot.width() * share(map_.rates, bitsPerSecond),
            plot.bottom() - plot.height() * share(map_.contexts, tokens)};
}

QPointF RegimeChart::pointAt(double bitsPerSecond, double tokens) const {
    return map_.cells.empty() ? QPointF() : place(plotArea(rect()), bitsPerSecond, tokens);
}

std::optional<RegimeChart::Cursor> RegimeChart::cellAt(const QPointF& position) const {
    const QRectF plot = plotArea(rect());
    if (map_.cells.empty() || !plot.contains(position))
        return std::nullopt;
    const auto nearest = [](double share, std::size_t count) {
        return static_cast<std::size_t>(std::lround(share * static_cast<double>(count - 1)));
    };
    return Cursor{nearest((position.x() - plot.left()) / plot.width(), map_.rates.size()),
                  nearest((plot.bottom() - position.y()) / plot.height(), map_.contexts.size())};
}

QString RegimeChart::describe(const Cursor& cell) const {
    const RegimeCell& at = map_.at(cell.rate, cell.context);
    return tr("%1, %2 tokens: %3 is the fastest by %4.\nFirst token: text %5, compressed %6, raw %7")
        .arg(formatRate(map_.rates[cell.rate]), formatCount(std::llround(map_.contexts[cell.context])),
             nameOf(at.fastest()), formatSeconds(at.saved()), formatSeconds(at.ttft[0]), formatSeconds(at.ttft[1]),
             formatSeconds(at.ttft[2]));
}

QString RegimeChart::toolTipAt(const QPointF& position) const {
    const auto cell = cellAt(position);
    return cell ? describe(*cell) : QString();
}

void RegimeChart::paintCells(QPainter& painter, const QRectF& plot, const Theme& theme) const {
    const auto columns = static_cast<double>(map_.rates.size() - 1);
    const auto rows = static_cast<double>(map_.contexts.size() - 1);
    for (std::size_t context = 0; context < map_.contexts.size(); ++context) {
        for (std::size_t rate = 0; rate < map_.rates.size(); ++rate) {
            const double x = plot.left() + plot.width() * (static_cast<double>(rate) - 0.5) / columns;
            const double y = plot.bottom() - plot.height() * (static_cast<double>(context) + 0.5) / rows;
            // On whole pixels: neither gaps nor darker seams between cells.
            const QRectF cell(QPointF(std::round(x), std::round(y)),
                              QPointF(std::round(x + plot.width() / columns), std::round(y + plot.height() / rows)));
            painter.fillRect(cell.intersected(plot), brushOf(map_.at(rate, context).fastest(), theme));
        }
    }
}

void RegimeChart::paintContours(QPainter& painter, const QRectF& plot, const Theme& theme,
                                std::vector<QRectF> taken) const {
    painter.setRenderHint(QPainter::Antialiasing);
    const QFontMetricsF metrics(painter.font());
    const auto value = [this](std::size_t rate, std::size_t context) {
        return std::log10(std::clamp(map_.at(rate, context).saved(), 1e-6, 1e6));
    };
    const auto at = [&](double rate, double context) {
        return QPointF(plot.left() + plot.width() * rate / static_cast<double>(map_.rates.size() - 1),
                       plot.bottom() - plot.height() * context / static_cast<double>(map_.contexts.size() - 1));
    };
    for (const double seconds : kContours) {
        const double level = std::log10(seconds);
        std::vector<QLineF> lines;
        for (std::size_t c = 0; c + 1 < map_.contexts.size(); ++c) {
            for (std::size_t r = 0; r + 1 < map_.rates.size(); ++r) {
                // Not along the edges of regions, where nothing is saved.
                const Regime regime = map_.at(r, c).fastest();
                if (map_.at(r + 1, c).fastest() != regime || map_.at(r, c + 1).fastest() != regime ||
                    map_.at(r + 1, c + 1).fastest() != regime)
                    continue;
                const auto x = static_cast<double>(r);
                const auto y = static_cast<double>(c);
                const std::array corner{value(r, c), value(r + 1, c), value(r + 1, c + 1), value(r, c + 1)};
                // Crossings of the cell's four sides, in order around it.
                std::vector<QPointF> crossings;
                const auto cross = [&](double a, double b, QPointF from, QPointF to) {
                    if ((a < level) != (b < level))
                        crossings.push_back(from + (to - from) * between(level, a, b));
                };
                cross(corner[0], corner[1], at(x, y), at(x + 1, y));
                cross(corner[1], corner[2], at(x + 1, y), at(x + 1, y + 1));
                cross(corner[2], corner[3], at(x + 1, y + 1), at(x, y + 1));
                cross(corner[3], corner[0], at(x, y + 1), at(x, y));
                for (std::size_t i = 0; i + 1 < crossings.size(); i += 2)
                    lines.emplace_back(crossings[i], crossings[i + 1]);
            }
        }
        painter.setPen(QPen(theme.text, 1));
        for (const QLineF& line : lines)
            painter.drawLine(line);
        // The value where there is room for it, at most a few times a level.
        const QString text = seconds < 1 ? tr("%1 ms").arg(seconds * 1e3) : tr("%1 s").arg(seconds);
        int written = 0;
        for (std::size_t i = lines.size() / 4; i < lines.size() && written < 3;
             i += std::max<std::size_t>(1, lines.size() / 12)) {
            QRectF box(0, 0, metrics.horizontalAdvance(text) + 6, metrics.height());
            box.moveCenter(lines[i].center());
            if (!plot.adjusted(2, 2, -2, -2).contains(box) || std::ranges::any_of(taken, [&](const QRectF& other) {
                    return other.adjusted(-30, -8, 30, 8).intersects(box);
                }))
                continue;
            taken.push_back(box);
            ++written;
            QColor back = theme.background;
            back.setAlpha(215);
            painter.fillRect(box, back);
            painter.setPen(theme.text);
            painter.drawText(box, Qt::AlignCenter, text);
            painter.setPen(QPen(theme.text, 1));
        }
    }
}

void RegimeChart::paintAxes(QPainter& painter, const QRectF& plot, const Theme& theme) const {
    const QFontMetricsF metrics(painter.font());
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setPen(theme.dim);
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(plot);
    painter.setPen(theme.text);
    double last = plot.left() - 100;
    const auto decades = static_cast<int>(std::floor(std::log10(map_.rates.back() * 1.001)));
    for (int power = 6; power <= decades; ++power) {
        const double decade = std::pow(10.0, power);
        for (const double part : {1.0, 2.0, 5.0}) {
            const double rate = decade * part;
            if (rate < map_.rates.front() * 0.999 || rate > map_.rates.back() * 1.001)
                continue;
            const double x = place(plot, rate, map_.contexts.front()).x();
            painter.drawLine(QPointF(x, plot.bottom()), QPointF(x, plot.bottom() + 4));
            const QString text = formatNumber(rate / 1e9, 3);
            const double width = metrics.horizontalAdvance(text);
            if (x - width / 2 < last + 10)
                continue;
            last = x + width / 2;
            painter.drawText(QRectF(x - 40, plot.bottom() + 5, 80, metrics.height()), Qt::AlignCenter, text);
        }
    }
    painter.drawText(QRectF(plot.left(), plot.bottom() + 6 + metrics.height(), plot.width(), metrics.height()),
                     Qt::AlignCenter, tr("bandwidth (Gbit/s)"));
    double lastY = plot.bottom() + 100;
    const auto doublings = static_cast<int>(std::floor(std::log2(map_.contexts.back() * 1.001)));
    for (int power = 7; power <= doublings; ++power) {
        const double tokens = std::exp2(power);
        if (tokens < map_.contexts.front() * 0.999)
            continue;
        const double y = place(plot, map_.rates.front(), tokens).y();
        painter.drawLine(QPointF(plot.left() - 4, y), QPointF(plot.left(), y));
        if (lastY - y < metrics.height() + 2)
            continue;
        lastY = y;
        painter.drawText(QRectF(plot.left() - 90, y - metrics.height() / 2, 84, metrics.height()),
                         Qt::AlignRight | Qt::AlignVCenter, formatCount(std::llround(tokens)));
    }
    painter.save();
    painter.translate(plot.left() - metrics.horizontalAdvance(QStringLiteral("131,072")) - 10, plot.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-plot.height() / 2, -metrics.height(), plot.height(), metrics.height()), Qt::AlignCenter,
                     tr("context (tokens)"));
    painter.restore();
}

void RegimeChart::paintLegend(QPainter& painter, const QRectF& target, const Theme& theme) const {
    const QFontMetricsF metrics(painter.font());
    double x = target.left() + 10;
    const double middle = target.top() + kLegend / 2;
    const auto write = [&](const QString& text) {
        painter.setPen(theme.text);
        painter.drawText(QPointF(x, middle + metrics.ascent() / 2 - 1), text);
        x += metrics.horizontalAdvance(text) + 16;
    };
    write(tr("fastest:"));
    for (const Regime regime : {Regime::Text, Regime::Compressed, Regime::Raw}) {
        painter.fillRect(QRectF(x, middle - 6, 18, 12), theme.background);
        painter.fillRect(QRectF(x, middle - 6, 18, 12), brushOf(regime, theme));
        x += 23;
        write(nameOf(regime));
    }
    painter.setPen(theme.text);
    painter.drawLine(QPointF(x, middle), QPointF(x + 18, middle));
    x += 23;
    write(tr("time saved against the next one"));
}

std::vector<RegimeChart::RegionName> RegimeChart::regionNames(const QRectF& plot, const QFont& font) const {
    std::vector<RegionName> names;
    for (const Regime regime : {Regime::Text, Regime::Compressed, Regime::Raw}) {
        QPointF sum;
        double count = 0;
        for (std::size_t c = 0; c < map_.contexts.size(); ++c) {
            for (std::size_t r = 0; r < map_.rates.size(); ++r) {
                if (map_.at(r, c).fastest() == regime) {
                    sum += place(plot, map_.rates[r], map_.contexts[c]);
                    ++count;
                }
            }
        }
        if (count * 40 < static_cast<double>(map_.cells.size()))
            continue;
        const QString text = nameOf(regime);
        const QFontMetricsF metrics(font);
        QRectF box(0, 0, metrics.horizontalAdvance(text) + 12, metrics.height() + 4);
        box.moveCenter(sum / count);
        names.push_back({text, box});
    }
    return names;
}

void RegimeChart::paintTo(QPainter& painter, const QRectF& target) const {
    const Theme theme = Theme::from(palette());
    painter.save();
    painter.setFont(chartFont(*this));
    painter.fillRect(target, theme.background);
    if (map_.cells.empty()) {
        painter.setPen(theme.dim);
        painter.drawText(target, Qt::AlignCenter, tr("Simulating text, compressed and raw ..."));
        painter.restore();
        return;
    }
    const QRectF plot = plotArea(target);
    paintCells(painter, plot, theme);
    painter.save();
    painter.setClipRect(plot, Qt::IntersectClip);
    QFont bold = painter.font();
    bold.setBold(true);
    const std::vector<RegionName> names = regionNames(plot, bold);
    std::vector<QRectF> taken;
    for (const RegionName& name : names)
        taken.push_back(name.box);
    const QPointF now = currentRate_ > 0 && currentTokens_ > 0 ? place(plot, currentRate_, currentTokens_) : QPointF();
    taken.push_back(QRectF(-kRing, -kRing, 2 * kRing, 2 * kRing).translated(now));
    paintContours(painter, plot, theme, std::move(taken));
    painter.setFont(bold);
    for (const RegionName& name : names) {
        QColor back = theme.background;
        back.setAlpha(225);
        painter.setPen(Qt::NoPen);
        painter.setBrush(back);
        painter.drawRoundedRect(name.box, 4, 4);
        painter.setPen(theme.text);
        painter.drawText(name.box, Qt::AlignCenter, name.text);
    }
    painter.restore();
    paintAxes(painter, plot, theme);
    paintLegend(painter, target, theme);
    painter.setRenderHint(QPainter::Antialiasing);
    if (plot.contains(now)) {
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(theme.background, 5));
        painter.drawEllipse(now, kRing, kRing);
        painter.setPen(QPen(theme.accent, 2.5));
        painter.drawEllipse(now, kRing, kRing);
    }
    painter.restore();
}

void RegimeChart::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    paintTo(painter, rect());
    const Theme theme = Theme::from(palette());
    if (cursor_) {
        const QPointF at = pointAt(map_.rates[cursor_->rate], map_.contexts[cursor_->context]);
        painter.setPen(QPen(theme.text, 1, Qt::DashLine));
        const QRectF plot = plotArea(rect());
        painter.drawLine(QPointF(at.x(), plot.top()), QPointF(at.x(), plot.bottom()));
        painter.drawLine(QPointF(plot.left(), at.y()), QPointF(plot.right(), at.y()));
    }
    if (hasFocus()) {
        painter.setPen(theme.selection);
        painter.setBrush(Qt::NoBrush);
        painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
    }
}

void RegimeChart::mouseReleaseEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton)
        return;
    if (const auto cell = cellAt(event->position()))
        emit picked(map_.rates[cell->rate], std::round(map_.contexts[cell->context]));
}

void RegimeChart::keyPressEvent(QKeyEvent* event) {
    if (map_.cells.empty()) {
        QWidget::keyPressEvent(event);
        return;
    }
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        if (cursor_)
            emit picked(map_.rates[cursor_->rate], std::round(map_.contexts[cursor_->context]));
        return;
    }
    Cursor next = cursor_.value_or(Cursor{map_.rates.size() / 2, map_.contexts.size() / 2});
    if (event->key() == Qt::Key_Left && next.rate > 0)
        --next.rate;
    else if (event->key() == Qt::Key_Right && next.rate + 1 < map_.rates.size())
        ++next.rate;
    else if (event->key() == Qt::Key_Down && next.context > 0)
        --next.context;
    else if (event->key() == Qt::Key_Up && next.context + 1 < map_.contexts.size())
        ++next.context;
    else {
        QWidget::keyPressEvent(event);
        return;
    }
    cursor_ = next;
    update();
    const QPointF at = pointAt(map_.rates[next.rate], map_.contexts[next.context]);
    QToolTip::showText(mapToGlobal(at.toPoint()), describe(next), this);
}

void RegimeChart::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange)
        update();
}

bool RegimeChart::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        const QString text = toolTipAt(help->pos());
        if (text.isEmpty())
            QToolTip::hideText();
        else
            QToolTip::showText(help->globalPos(), text, this);
        return true;
    }
    return QWidget::event(event);
}

} // namespace kvscope::views
