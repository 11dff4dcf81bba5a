// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap_plot.h"

#include "views/chart_parts.h"
#include "views/integer_ticker.h"
#include "views/theme.h"

#include <QApplication>
#include <QStyleHints>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

// Zooming in ends when this few cells fill an axis.
constexpr double kFewestCells = 4;
constexpr double kWheelFactor = 0.8;
// Wheel turns and key presses closer than this are one step of the history.
constexpr qint64 kCoalesceMs = 700;
// A revealed cell is shown at least this wide and high where the map is that large.
constexpr double kRevealPixels = 12;

} // namespace

HeatmapPlot::HeatmapPlot(QWidget* parent)
    : QCustomPlot(parent)
    , heatmap_(new HeatmapPlottable(xAxis, yAxis))
    , strip_(nullptr)
    , ground_(new HeatmapGround(this, *heatmap_))
    , overlay_(*this)
    , message_(new QCPItemText(this)) {
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setMinimumSize(160, 110);
    setAccessibleName(tr("Heatmap"));
    yAxis->setRangeReversed(true);
    for (QCPAxis* axis : {xAxis, yAxis}) {
        axis->grid()->setVisible(false);
        axis->setTickLengthIn(0);
        axis->setTickLengthOut(4);
        axis->setSubTickLengthIn(0);
        axis->setSubTickLengthOut(2);
        axis->setLabelPadding(2);
    }
    axisRect()->setupFullAxesBox(false);
    for (QCPAxis* axis : {xAxis2, yAxis2}) {
        axis->setTicks(false);
        axis->setTickLabels(false);
    }
    axisRect()->setMinimumMargins(QMargins(4, 3, 8, 4));
    connect(this, &QCustomPlot::afterLayout, this, &HeatmapPlot::fitColumnTitle);

    plotLayout()->insertRow(0);
    strip_ = new TokenStrip(this, xAxis);
    plotLayout()->addElement(0, 0, strip_);
    plotLayout()->setRowSpacing(0);

    message_->position->setType(QCPItemPosition::ptAxisRectRatio);
    message_->position->setCoords(0.5, 0.5);
    message_->setPositionAlignment(Qt::AlignCenter);
    message_->setVisible(false);

    layer(QStringLiteral("overlay"))->setMode(QCPLayer::lmLogical);
    mPaintBuffers = {QSharedPointer<MapBuffer>::create(viewport().size(), bufferDevicePixelRatio())};
    setupPaintBuffers();
    setAxisOffsets(0, 0);
    applyTheme();
}

void HeatmapPlot::applyTheme() {
    const Theme theme = Theme::from(palette());
    setBackground(QBrush(theme.background));
    // What lies outside a ragged plane shows the grid's colour; no map contains it.
    ground_->setColours(theme.background, theme.grid);
    const QFont font = chartFont(*this);
    for (QCPAxis* axis : axisRect()->axes()) {
        const QColor line = hasFocus() ? theme.selection : theme.dim;
        axis->setBasePen(QPen(line, 1));
        axis->setTickPen(QPen(theme.dim, 1));
        axis->setSubTickPen(QPen(theme.dim, 1));
        axis->setTickLabelColor(theme.text);
        axis->setLabelColor(theme.text);
        axis->setTickLabelFont(font);
        axis->setLabelFont(font);
    }
    message_->setColor(theme.dim);
    message_->setFont(this->font());
    replot(rpQueuedReplot);
}

void HeatmapPlot::setMap(const MapShape& shape, bool keepView, bool wheelZoomsRows) {
    const bool sameColumns = shape.columns == shape_.columns;
    const bool sameRows = shape.rows == shape_.rows;
    shape_ = shape;
    wheelZoomsRows_ = wheelZoomsRows;
    if (!keepView || !sameColumns || !sameRows)
        history_.clear();
    PlotView view = homeView();
    if (keepView && sameColumns)
        view.columns = xAxis->range();
    if (keepView && sameRows)
        view.rows = yAxis->range();
    if (crosshair_ && (crosshair_->column >= shape.columns || crosshair_->row >= shape.rows))
        setCrosshair(std::nullopt);
    setView(view, false);
}

void HeatmapPlot::setAxisTitles(const QString& columns, const QString& shortColumns, const QString& rows) {
    columnTitle_ = columns;
    shortColumnTitle_ = shortColumns;
    yAxis->setLabel(rows);
    fitColumnTitle();
}

void HeatmapPlot::fitColumnTitle() {
    const bool fits = QFontMetrics(xAxis->labelFont()).horizontalAdvance(columnTitle_) <= axisRect()->width();
    xAxis->setLabel(fits ? columnTitle_ : shortColumnTitle_);
}

void HeatmapPlot::setAxisOffsets(std::int64_t columns, std::int64_t rows) {
    xAxis->setTicker(QSharedPointer<IntegerTicker>::create(columns));
    yAxis->setTicker(QSharedPointer<IntegerTicker>::create(rows));
    fitTicks(size());
}

void HeatmapPlot::fitTicks(const QSize& size) {
    constexpr int kColumnLabel = 62;
    constexpr int kRowLabel = 34;
    constexpr int kMost = 12;
    xAxis->ticker()->setTickCount(std::clamp(size.width() / kColumnLabel - 1, 2, kMost));
    yAxis->ticker()->setTickCount(std::clamp(size.height() / kRowLabel - 1, 2, kMost));
}

void HeatmapPlot::paintEvent(QPaintEvent* event) {
    if (!qFuzzyCompare(bufferDevicePixelRatio(), devicePixelRatioF())) {
        // Another screen: the base class makes buffers for its pixels and plots again.
        QCustomPlot::paintEvent(event);
        return;
    }
    QCPPainter painter(this);
    for (const auto& buffer : mPaintBuffers)
        buffer->draw(&painter);
    overlay_.paint(&painter);
}

void HeatmapPlot::draw(QCPPainter* painter) {
    QCustomPlot::draw(painter);
    overlay_.paint(painter);
}

void HeatmapPlot::resizeEvent(QResizeEvent* event) {
    fitTicks(size());
    QCustomPlot::resizeEvent(event);
}

void HeatmapPlot::setMessage(const QString& message) {
    if (message_->text() == message && message_->visible() == !message.isEmpty())
        return;
    message_->setText(message);
    message_->setVisible(!message.isEmpty());
    replot(rpQueuedReplot);
}

PlotView HeatmapPlot::view() const {
    return {xAxis->range(), yAxis->range()};
}

PlotView HeatmapPlot::homeView() const {
    return {QCPRange(-0.5, static_cast<double>(std::max<std::int64_t>(shape_.columns, 1)) - 0.5),
            QCPRange(-0.5, static_cast<double>(std::max<std::int64_t>(shape_.rows, 1)) - 0.5)};
}

QCPRange HeatmapPlot::limited(const QCPRange& range, std::int64_t extent) const {
    const auto most = static_cast<double>(std::max<std::int64_t>(extent, 1));
    const double size = std::clamp(range.size(), std::min(kFewestCells, most), most);
    const double lower = std::clamp(range.center() - size / 2, -0.5, most - 0.5 - size);
    return {lower, lower + size};
}

void HeatmapPlot::setView(const PlotView& view, bool remembered) {
    const PlotView inside{limited(view.columns, shape_.columns), limited(view.rows, shape_.rows)};
    if (inside == this->view())
        return;
    if (remembered)
        history_.remember(this->view());
    xAxis->setRange(inside.columns);
    yAxis->setRange(inside.rows);
    replot(rpQueuedReplot);
    emit viewChanged();
}

void HeatmapPlot::goHome() {
    setView(homeView(), true);
}

void HeatmapPlot::goBack() {
    if (const auto view = history_.back(this->view()))
        setView(*view, false);
}

void HeatmapPlot::goForward() {
    if (const auto view = history_.forward(this->view()))
        setView(*view, false);
}

void HeatmapPlot::rememberView() {
    if (!sinceRemembered_.isValid() || sinceRemembered_.elapsed() > kCoalesceMs)
        history_.remember(view());
    sinceRemembered_.start();
}

void HeatmapPlot::zoomAbout(const QPointF& pixel, double factor, bool columns, bool rows) {
    const auto scaled = [factor](const QCPRange& range, double centre) {
        return QCPRange(centre + (range.lower - centre) * factor, centre + (range.upper - centre) * factor);
    };
    PlotView to = view();
    if (columns && (factor < 1 ? to.columns.size() > kFewestCells : true))
        to.columns = scaled(to.columns, xAxis->pixelToCoord(pixel.x()));
    if (rows && (factor < 1 ? to.rows.size() > kFewestCells : true))
        to.rows = scaled(to.rows, yAxis->pixelToCoord(pixel.y()));
    rememberView();
    setView(to, false);
}

void HeatmapPlot::zoom(double factor) {
    const QPointF centre = crosshair_ && axisRect()->rect().contains(pixelOf(*crosshair_).toPoint())
                               ? pixelOf(*crosshair_)
                               : QPointF(axisRect()->rect().center());
    zoomAbout(centre, factor, true, wheelZoomsRows_);
}

void HeatmapPlot::reveal(const MapCell& cell) {
    PlotView to = view();
    const auto fit = [](QCPRange range, double centre, int pixels) {
        const double size = std::min(range.size(), pixels / kRevealPixels);
        if (size < range.size() || centre < range.lower + size * 0.05 || centre > range.upper - size * 0.05)
            return QCPRange(centre - size / 2, centre + size / 2);
        return range;
    };
    to.columns = fit(to.columns, static_cast<double>(cell.column), axisRect()->width());
    if (wheelZoomsRows_)
        to.rows = fit(to.rows, static_cast<double>(cell.row), axisRect()->height());
    setView(to, true);
}

void HeatmapPlot::setCrosshair(std::optional<MapCell> cell) {
    if (cell && (cell->column < 0 || cell->row < 0 || cell->column >= shape_.columns || cell->row >= shape_.rows))
        cell.reset();
    if (cell == crosshair_)
        return;
    crosshair_ = cell;
    overlay_.setCrosshair(cell ? std::optional(cellAround(*cell)) : std::nullopt);
    overlay_.redraw();
}

void HeatmapPlot::setGuide(std::optional<std::int64_t> column) {
    const auto place = column ? std::optional(static_cast<double>(*column)) : std::nullopt;
    if (place == overlay_.guide())
        return;
    overlay_.setGuide(place);
    overlay_.redraw();
}

void HeatmapPlot::setMark(std::optional<MapCell> cell) {
    if (cell && (cell->column < 0 || cell->row < 0 || cell->column >= shape_.columns || cell->row >= shape_.rows))
        cell.reset();
    const auto at = cell
                        ? std::optional(QRectF(static_cast<double>(cell->column), static_cast<double>(cell->row), 1, 1))
                        : std::nullopt;
    if (at == overlay_.mark())
        return;
    overlay_.setMark(at);
    overlay_.redraw();
}

void HeatmapPlot::setSelectionFrame(std::optional<QRectF> cells) {
    if (cells == overlay_.selection())
        return;
    overlay_.setSelection(cells);
    overlay_.redraw();
}

QRectF HeatmapPlot::cellAround(const MapCell& cell) const {
    const CellStep step = heatmap_->visibleCells(devicePixelRatioF()).step;
    const std::int64_t column = cell.column / step.columns * step.columns;
    const std::int64_t row = cell.row / step.rows * step.rows;
    return {static_cast<double>(column), static_cast<double>(row),
            static_cast<double>(std::min(step.columns, shape_.columns - column)),
            static_cast<double>(std::min(step.rows, shape_.rows - row))};
}

std::optional<MapCell> HeatmapPlot::cellAt(const QPointF& pixel) const {
    if (!axisRect()->rect().contains(pixel.toPoint()))
        return std::nullopt;
    const MapCell cell{static_cast<std::int64_t>(std::floor(xAxis->pixelToCoord(pixel.x()) + 0.5)),
                       static_cast<std::int64_t>(std::floor(yAxis->pixelToCoord(pixel.y()) + 0.5))};
    if (cell.column < 0 || cell.row < 0 || cell.column >= shape_.columns || cell.row >= shape_.rows)
        return std::nullopt;
    return cell;
}

QPointF HeatmapPlot::pixelOf(const MapCell& cell) const {
    return {xAxis->coordToPixel(static_cast<double>(cell.column)), yAxis->coordToPixel(static_cast<double>(cell.row))};
}

void HeatmapPlot::pan(const QPointF& pixels, const PlotView& from) {
    const double perColumn = from.columns.size() / std::max(1, axisRect()->width());
    const double perRow = from.rows.size() / std::max(1, axisRect()->height());
    setView({from.columns - pixels.x() * perColumn, from.rows - pixels.y() * perRow}, false);
}

QRectF HeatmapPlot::bandTo(const QPointF& pixel) const {
    return QRectF(pressed_, pixel).normalized().intersected(QRectF(axisRect()->rect()));
}

void HeatmapPlot::finishBand(const QPointF& pixel) {
    const QRectF band = bandTo(pixel);
    overlay_.setRubberBand(std::nullopt);
    if (gesture_ == Gesture::Box) {
        const PlotView to{QCPRange(xAxis->pixelToCoord(band.left()), xAxis->pixelToCoord(band.right())),
                          QCPRange(yAxis->pixelToCoord(band.top()), yAxis->pixelToCoord(band.bottom()))};
        if (band.width() > 2 && band.height() > 2)
            setView(to, true);
    } else if (shape_.columns > 0 && shape_.rows > 0) {
        const auto cellNear = [this](const QPointF& corner) {
            const auto inside = [](double value, std::int64_t extent) {
                return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::floor(value + 0.5)), 0, extent - 1);
            };
            return MapCell{inside(xAxis->pixelToCoord(corner.x()), shape_.columns),
                           inside(yAxis->pixelToCoord(corner.y()), shape_.rows)};
        };
        emit cellsPicked(cellAround(cellNear(band.topLeft())).united(cellAround(cellNear(band.bottomRight()))));
    }
    overlay_.redraw();
}

void HeatmapPlot::mousePressEvent(QMouseEvent* event) {
    pressed_ = event->position();
    pressedView_ = view();
    gesture_ = Gesture::None;
    if (!axisRect()->rect().contains(pressed_.toPoint()))
        return;
    gesture_ = Gesture::Pending;
    if (event->button() == Qt::RightButton || event->modifiers().testFlag(Qt::ControlModifier))
        pendingGesture_ = Gesture::Box;
    else if (event->modifiers().testFlag(Qt::ShiftModifier))
        pendingGesture_ = Gesture::Select;
    else
        pendingGesture_ = Gesture::Pan;
    event->accept();
}

void HeatmapPlot::mouseMoveEvent(QMouseEvent* event) {
    const QPointF moved = event->position() - pressed_;
    if (gesture_ == Gesture::Pending && moved.manhattanLength() >= QGuiApplication::styleHints()->startDragDistance()) {
        gesture_ = pendingGesture_;
        if (gesture_ == Gesture::Pan)
            history_.remember(pressedView_);
    }
    if (gesture_ == Gesture::Pan) {
        pan(moved, pressedView_);
        return;
    }
    if (gesture_ == Gesture::Box || gesture_ == Gesture::Select) {
        overlay_.setRubberBand(bandTo(event->position()));
        overlay_.redraw();
        return;
    }
    setCrosshair(cellAt(event->position()));
    emit crosshairMoved();
}

void HeatmapPlot::mouseReleaseEvent(QMouseEvent* event) {
    if (gesture_ == Gesture::Box || gesture_ == Gesture::Select) {
        finishBand(event->position());
    } else if (gesture_ == Gesture::Pending && event->button() == Qt::LeftButton) {
        if (const auto cell = cellAt(event->position()))
            emit cellsPicked(cellAround(*cell));
    }
    gesture_ = Gesture::None;
}

void HeatmapPlot::mouseDoubleClickEvent(QMouseEvent* event) {
    event->accept();
    if (axisRect()->rect().contains(event->position().toPoint()))
        goHome();
}

void HeatmapPlot::wheelEvent(QWheelEvent* event) {
    const QPointF position = event->position();
    const QRect area = axisRect()->rect();
    const QPoint turned = event->angleDelta();
    event->accept();
    if (event->modifiers().testFlag(Qt::ShiftModifier) || std::abs(turned.x()) > std::abs(turned.y())) {
        const double distance = turned.x() != 0 ? turned.x() : turned.y();
        rememberView();
        pan(QPointF(distance / 120.0 * area.width() / 10, 0), view());
        return;
    }
    if (turned.y() == 0)
        return;
    const bool overRows = position.x() < area.left();
    const bool overColumns = position.y() > area.bottom();
    zoomAbout(position, std::pow(kWheelFactor, turned.y() / 120.0), !overRows,
              overRows || (!overColumns && wheelZoomsRows_));
}

void HeatmapPlot::moveCrosshair(int columns, int rows) {
    if (shape_.columns <= 0 || shape_.rows <= 0)
        return;
    const PlotView visible = view();
    const CellStep step = heatmap_->visibleCells(devicePixelRatioF()).step;
    MapCell cell{static_cast<std::int64_t>(std::lround(visible.columns.center())),
                 static_cast<std::int64_t>(std::lround(visible.rows.center()))};
    if (crosshair_) {
        cell = {crosshair_->column + columns * step.columns, crosshair_->row + rows * step.rows};
    }
    cell.column = std::clamp<std::int64_t>(cell.column, 0, shape_.columns - 1);
    cell.row = std::clamp<std::int64_t>(cell.row, 0, shape_.rows - 1);
    setCrosshair(cell);
    // The window follows a crosshair that leaves it.
    PlotView to = visible;
    const auto follow = [](QCPRange& range, double at) {
        if (at < range.lower)
            range = QCPRange(at - 0.5, at - 0.5 + range.size());
        else if (at > range.upper)
            range = QCPRange(at + 0.5 - range.size(), at + 0.5);
    };
    follow(to.columns, static_cast<double>(cell.column));
    follow(to.rows, static_cast<double>(cell.row));
    setView(to, false);
    emit crosshairMoved();
}

void HeatmapPlot::keyPressEvent(QKeyEvent* event) {
    const int stride = event->modifiers().testFlag(Qt::ShiftModifier) ? 10 : 1;
    const bool alt = event->modifiers().testFlag(Qt::AltModifier);
    switch (event->key()) {
    case Qt::Key_Left:
        alt ? goBack() : moveCrosshair(-stride, 0);
        return;
    case Qt::Key_Right:
        alt ? goForward() : moveCrosshair(stride, 0);
        return;
    case Qt::Key_Up:
        moveCrosshair(0, -stride);
        return;
    case Qt::Key_Down:
        moveCrosshair(0, stride);
        return;
    case Qt::Key_PageUp:
    case Qt::Key_PageDown:
        rememberView();
        pan(QPointF((event->key() == Qt::Key_PageUp ? 0.9 : -0.9) * axisRect()->width(), 0), view());
        return;
    case Qt::Key_Plus:
    case Qt::Key_Equal:
        zoom(kWheelFactor);
        return;
    case Qt::Key_Minus:
        zoom(1 / kWheelFactor);
        return;
    case Qt::Key_Backspace:
        goBack();
        return;
    case Qt::Key_Home:
        goHome();
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_Space:
        if (crosshair_)
            emit cellsPicked(cellAround(*crosshair_));
        return;
    default:
        QCustomPlot::keyPressEvent(event);
    }
}

void HeatmapPlot::leaveEvent(QEvent* event) {
    if (gesture_ == Gesture::None)
        emit pointerLeft();
    QCustomPlot::leaveEvent(event);
}

void HeatmapPlot::changeEvent(QEvent* event) {
    QCustomPlot::changeEvent(event);
    switch (event->type()) {
    case QEvent::PaletteChange:
    case QEvent::ApplicationPaletteChange:
    case QEvent::FontChange:
    case QEvent::StyleChange:
        applyTheme();
        break;
    default:
        break;
    }
}

void HeatmapPlot::focusInEvent(QFocusEvent* event) {
    QCustomPlot::focusInEvent(event);
    applyTheme();
}

void HeatmapPlot::focusOutEvent(QFocusEvent* event) {
    QCustomPlot::focusOutEvent(event);
    applyTheme();
}

} // namespace kvscope::views
