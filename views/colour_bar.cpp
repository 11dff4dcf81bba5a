// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/colour_bar.h"

#include "views/chart_parts.h"
#include "views/number_format.h"

#include <QFontMetricsF>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>
#include <vector>

namespace kvscope::views {

namespace {

constexpr double kBarWidth = 14;
constexpr double kLeftMargin = 4;
constexpr double kTickLength = 4;
constexpr double kTriangleHeight = 8;
constexpr double kKeyShare = 0.04;
constexpr double kDragStrength = 2.0;
/// More numbers than a bar has room for.
constexpr int kMostTicks = 40;

/// Multiples of 1, 2 or 5 times a power of ten, about `count` of them.
std::vector<double> linearTicks(const ValueRange& range, int count) {
    const double rough = (range.upper - range.lower) / std::max(count, 1);
    if (!(rough > 0) || !std::isfinite(rough))
        return {};
    const double decade = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * decade;
    for (const double digit : {1.0, 2.0, 5.0}) {
        if (digit * decade >= rough) {
            step = digit * decade;
            break;
        }
    }
    std::vector<double> ticks;
    for (double i = std::ceil(range.lower / step); i * step <= range.upper; ++i)
        ticks.push_back(i * step);
    return ticks;
}

/// Zero and powers of ten of both signs, the large ones first so that they win where room is short.
std::vector<double> logTicks(const ValueRange& range) {
    std::vector<double> ticks{0};
    const double larger = std::max(std::abs(range.lower), std::abs(range.upper));
    if (!(larger > 0))
        return ticks;
    const double top = std::floor(std::log10(larger));
    for (int below = 0; below < 4; ++below) {
        ticks.push_back(std::pow(10.0, top - below));
        ticks.push_back(-ticks.back());
    }
    return ticks;
}

QRectF barRect(const QRectF& area, const QFont& font) {
    const double margin = QFontMetricsF(font).height() / 2 + kTriangleHeight + 2;
    return {area.left() + kLeftMargin, area.top() + margin, kBarWidth, std::max(10.0, area.height() - 2 * margin)};
}

std::vector<double> ticksOf(const ColourScale& scale, double height, const QFont& font) {
    const double lineHeight = QFontMetricsF(font).height();
    const auto candidates = scale.scaling() == Scaling::Linear
                                ? linearTicks(scale.range(), static_cast<int>(height / (2.2 * lineHeight)))
                                : logTicks(scale.range());
    // The ends are always labelled; what would touch a label is left out.
    std::vector<double> places{0, 1};
    std::vector<double> ticks;
    for (const double value : candidates) {
        const double place = scale.place(value);
        const bool free = std::all_of(places.begin(), places.end(), [&](double other) {
            return std::abs(place - other) * height >= 1.15 * lineHeight;
        });
        if (place > 0 && place < 1 && free) {
            places.push_back(place);
            ticks.push_back(value);
        }
    }
    return ticks;
}

/// Three digits, or as many more as tell the numbers of a narrow range apart.
QString labelOf(double value, const ColourScale& scale) {
    constexpr int kFewestDigits = 3;
    constexpr int kMostDigits = 7;
    const ValueRange& range = scale.range();
    const double ratio = std::max(std::abs(range.lower), std::abs(range.upper)) / (range.upper - range.lower);
    const double more = std::isfinite(ratio) && ratio > 1 ? std::floor(std::log10(ratio)) : 0;
    return formatNumber(value, static_cast<int>(std::min<double>(kFewestDigits + more, kMostDigits)));
}

double widestLabel(const ColourScale& scale, const QFont& font) {
    const QFontMetricsF metrics(font);
    double widest = metrics.horizontalAdvance(QStringLiteral("0.000"));
    std::vector<double> values = linearTicks(scale.range(), kMostTicks);
    values.push_back(scale.range().lower);
    values.push_back(scale.range().upper);
    for (const double value : values)
        widest = std::max(widest, metrics.horizontalAdvance(labelOf(value, scale)));
    return widest;
}

void paintTriangle(QPainter& painter, const QRectF& bar, bool upper, QRgb colour, const QColor& outline) {
    const double base = upper ? bar.top() - 1 : bar.bottom() + 1;
    const double tip = upper ? base - kTriangleHeight : base + kTriangleHeight;
    const QPolygonF shape({QPointF(bar.left(), base), QPointF(bar.right(), base), QPointF(bar.center().x(), tip)});
    painter.setBrush(QColor(colour));
    painter.setPen(outline);
    painter.drawPolygon(shape);
}

} // namespace

int colourBarWidth(const ColourBarContents& contents, const QFont& font) {
    const QFontMetricsF metrics(font);
    return static_cast<int>(std::ceil(kLeftMargin + kBarWidth + kTickLength + 3 + widestLabel(contents.scale, font) +
                                      4 + metrics.height() + 2));
}

void paintColourBar(QPainter& painter, const QRectF& area, const ColourBarContents& contents, const Theme& theme,
                    const QFont& font) {
    const ColourScale& scale = contents.scale;
    const QRectF bar = barRect(area, font);
    const QFontMetricsF metrics(font);
    const ColourTable colours = colourTable(scale.map());
    QImage gradient(1, kColourSteps, QImage::Format_RGB32);
    for (int i = 0; i < kColourSteps; ++i)
        gradient.setPixel(0, kColourSteps - 1 - i, colours[static_cast<std::size_t>(i)]);
    painter.save();
    painter.setFont(font);
    painter.drawImage(bar, gradient);
    painter.setRenderHint(QPainter::Antialiasing, true);
    const SpecialColours special = specialColours(scale.map());
    paintTriangle(painter, bar, true, special.above, theme.dim);
    // Magnitudes have nothing below 0, and so no colour for it.
    if (scale.range().lower != 0)
        paintTriangle(painter, bar, false, special.below, theme.dim);
    painter.setRenderHint(QPainter::Antialiasing, false);
    painter.setPen(theme.dim);
    painter.setBrush(Qt::NoBrush);
    painter.drawRect(bar);
    const double textLeft = bar.right() + kTickLength + 3;
    const double textWidth = widestLabel(scale, font) + 4;
    const auto label = [&](double value, double y) {
        painter.setPen(theme.dim);
        painter.drawLine(QPointF(bar.right(), y), QPointF(bar.right() + kTickLength, y));
        painter.setPen(theme.text);
        painter.drawText(QRectF(textLeft, y - metrics.height() / 2, textWidth, metrics.height()),
                         Qt::AlignLeft | Qt::AlignVCenter | Qt::TextSingleLine, labelOf(value, scale));
    };
    for (const double value : ticksOf(scale, bar.height(), font))
        label(value, bar.bottom() - scale.place(value) * bar.height());
    QFont bold = font;
    bold.setBold(contents.locked);
    painter.setFont(bold);
    label(scale.range().upper, bar.top());
    label(scale.range().lower, bar.bottom());
    painter.setFont(font);
    painter.save();
    painter.translate(textLeft + textWidth + metrics.height() / 2, area.center().y());
    painter.rotate(-90);
    const QString text = contents.locked ? contents.label + QStringLiteral(" (locked)") : contents.label;
    painter.drawText(QRectF(-area.height() / 2, -metrics.height() / 2, area.height(), metrics.height()),
                     Qt::AlignCenter | Qt::TextSingleLine, metrics.elidedText(text, Qt::ElideRight, area.height()));
    painter.restore();
    painter.restore();
}

ColourBar::ColourBar(QWidget* parent)
    : QWidget(parent)
    , edit_(new QLineEdit(this)) {
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAccessibleName(tr("Colour range"));
    setToolTip(tr("Colours from the lowest to the highest value. The small triangles are the colours of values beyond "
                  "the range.\nDrag an end to change the range, double-click it to type a number; double-click the "
                  "middle for the automatic range.\nKeys: Up and Down move the upper end, with Shift the lower; Enter "
                  "types; Delete is automatic."));
    edit_->hide();
    edit_->setAccessibleName(tr("End of the colour range"));
    edit_->installEventFilter(this);
    connect(edit_, &QLineEdit::editingFinished, edit_, &QLineEdit::hide);
    setFixedWidth(colourBarWidth(contents_, chartFont(*this)));
}

void ColourBar::setContents(ColourBarContents contents) {
    contents_ = std::move(contents);
    // Growing only keeps the picture beside the bar from trembling while an end is dragged.
    const int needed = colourBarWidth(contents_, chartFont(*this));
    if (dragged_ == End::None ? needed != width() : needed > width())
        setFixedWidth(needed);
    setAccessibleDescription(tr("%1, from %2 to %3")
                                 .arg(contents_.label, formatNumber(contents_.scale.range().lower),
                                      formatNumber(contents_.scale.range().upper)));
    update();
}

void ColourBar::paintEvent(QPaintEvent* /*event*/) {
    QPainter painter(this);
    const Theme theme = Theme::from(palette());
    painter.fillRect(rect(), theme.background);
    paintColourBar(painter, rect(), contents_, theme, chartFont(*this));
    if (hasFocus()) {
        painter.setPen(QPen(theme.selection, 1));
        painter.drawRect(barRect(rect(), chartFont(*this)).adjusted(-2, -2, 2, 2));
    }
}

ColourBar::End ColourBar::endAt(const QPointF& position) const {
    const QRectF bar = barRect(rect(), chartFont(*this));
    if (position.y() < bar.top() + bar.height() / 3)
        return End::Upper;
    return position.y() > bar.bottom() - bar.height() / 3 ? End::Lower : End::None;
}

ValueRange ColourBar::moved(const ValueRange& range, End end, double share) const {
    const double width = range.upper - range.lower;
    // The width changes by a factor, so that no drag can turn the range around.
    const double factor = std::exp(kDragStrength * (end == End::Upper ? share : -share));
    if (isDiverging(contents_.scale.map()) || range.lower == -range.upper)
        return {range.lower * factor, range.upper * factor};
    if (end == End::Upper)
        return {range.lower, range.lower + width * factor};
    return {range.upper - width * factor, range.upper};
}

void ColourBar::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton)
        return;
    setFocus(Qt::MouseFocusReason);
    dragged_ = endAt(event->position());
    pressed_ = event->position();
    pressedRange_ = contents_.scale.range();
}

void ColourBar::mouseMoveEvent(QMouseEvent* event) {
    if (!event->buttons().testFlag(Qt::LeftButton) || dragged_ == End::None) {
        setCursor(endAt(event->position()) == End::None ? Qt::ArrowCursor : Qt::SizeVerCursor);
        return;
    }
    const double share = (pressed_.y() - event->position().y()) / std::max(1, height());
    emit rangeChanging(moved(pressedRange_, dragged_, share));
}

void ColourBar::mouseReleaseEvent(QMouseEvent* event) {
    if (dragged_ == End::None || event->button() != Qt::LeftButton)
        return;
    const End end = std::exchange(dragged_, End::None);
    const double share = (pressed_.y() - event->position().y()) / std::max(1, height());
    if (share != 0)
        emit rangeEdited(moved(pressedRange_, end, share));
}

void ColourBar::mouseDoubleClickEvent(QMouseEvent* event) {
    dragged_ = End::None;
    const End end = endAt(event->position());
    if (end == End::None)
        emit automaticRequested();
    else
        startTyping(end);
}

void ColourBar::keyPressEvent(QKeyEvent* event) {
    const End end = event->modifiers().testFlag(Qt::ShiftModifier) ? End::Lower : End::Upper;
    switch (event->key()) {
    case Qt::Key_Up:
        emit rangeEdited(moved(contents_.scale.range(), end, kKeyShare));
        return;
    case Qt::Key_Down:
        emit rangeEdited(moved(contents_.scale.range(), end, -kKeyShare));
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_F2:
        startTyping(end);
        return;
    case Qt::Key_Delete:
        emit automaticRequested();
        return;
    default:
        break;
    }
    QWidget::keyPressEvent(event);
}

bool ColourBar::eventFilter(QObject* watched, QEvent* event) {
    if (watched != edit_ || event->type() != QEvent::KeyPress)
        return QWidget::eventFilter(watched, event);
    // Taken here: a line edit passes Enter on to its parent, which would start typing again.
    switch (static_cast<QKeyEvent*>(event)->key()) {
    case Qt::Key_Return:
    case Qt::Key_Enter:
        finishTyping();
        return true;
    case Qt::Key_Escape:
        typed_ = End::None;
        edit_->hide();
        setFocus();
        return true;
    default:
        return false;
    }
}

void ColourBar::startTyping(End end) {
    const QRectF bar = barRect(rect(), chartFont(*this));
    const double value = end == End::Upper ? contents_.scale.range().upper : contents_.scale.range().lower;
    typed_ = end;
    edit_->setText(QString::number(value, 'g', 6));
    const int lineHeight = edit_->sizeHint().height();
    const double centre = end == End::Upper ? bar.top() : bar.bottom();
    edit_->setGeometry(0, std::clamp(static_cast<int>(centre) - lineHeight / 2, 0, std::max(0, height() - lineHeight)),
                       width(), lineHeight);
    edit_->selectAll();
    edit_->show();
    edit_->setFocus();
}

void ColourBar::finishTyping() {
    bool isNumber = false;
    const double value = QString(edit_->text()).remove(u',').toDouble(&isNumber);
    const End end = std::exchange(typed_, End::None);
    edit_->hide();
    setFocus();
    if (!isNumber || !std::isfinite(value) || end == End::None)
        return;
    ValueRange range = contents_.scale.range();
    if (isDiverging(contents_.scale.map()))
        range = {-std::abs(value), std::abs(value)};
    else
        (end == End::Upper ? range.upper : range.lower) = value;
    if (range.lower < range.upper)
        emit rangeEdited(range);
}

void ColourBar::changeEvent(QEvent* event) {
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange)
        setFixedWidth(colourBarWidth(contents_, chartFont(*this)));
    QWidget::changeEvent(event);
}

} // namespace kvscope::views
