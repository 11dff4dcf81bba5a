// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plan_brush.h"

#include "core/codec/plan_edit.h"
#include "views/codec_session.h"
#include "views/number_format.h"

#include <QDoubleSpinBox>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QMouseEvent>
#include <QToolButton>

#include <algorithm>
#include <map>
#include <vector>

namespace kvscope::views {

namespace {
constexpr double kLeastBits = 0.5;
constexpr double kMostBits = 16;
constexpr double kFirstBits = 2;
} // namespace

PlanBrush::PlanBrush(HeatmapPlot* plot, QWidget* parent)
    : QWidget(parent)
    , plot_(plot)
    , bits_(new QDoubleSpinBox)
    , problem_(new QLabel) {
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(4, 1, 4, 1);
    auto* label = new QLabel(tr("&Paint"));
    label->setBuddy(bits_);
    bits_->setObjectName(QStringLiteral("paintBits"));
    bits_->setRange(kLeastBits, kMostBits);
    bits_->setSingleStep(0.5);
    bits_->setDecimals(2);
    bits_->setValue(kFirstBits);
    bits_->setSuffix(tr(" bits/value"));
    bits_->setToolTip(tr("About what the painted chunks shall cost before entropy coding: the number of bits of "
                         "quantisers that have one, or the step at which Gaussian values need so many"));
    problem_->setTextFormat(Qt::PlainText);
    problem_->setText(tr("Drag over layers and chunks"));
    problem_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    auto* done = new QToolButton;
    done->setText(tr("Done"));
    done->setToolTip(tr("Put the brush away (Escape)"));
    layout->addWidget(label);
    layout->addWidget(bits_);
    layout->addWidget(problem_, 1);
    layout->addWidget(done);
    connect(done, &QToolButton::clicked, this, &PlanBrush::close);
    hide();
}

void PlanBrush::setTarget(Document* document, const std::optional<MapSpec>& map) {
    if (document != document_ || map != map_)
        endStroke();
    document_ = document;
    map_ = map;
}

bool PlanBrush::canPaint() const {
    return document_ && map_ && map_->map == MapKind::LayerToken && isCacheKind(map_->kind);
}

void PlanBrush::open() {
    if (isOpen())
        return;
    plot_->installEventFilter(this);
    plot_->setCursor(Qt::CrossCursor);
    showProblem({});
    show();
    plot_->setFocus();
}

void PlanBrush::close() {
    if (!isOpen())
        return;
    endStroke();
    plot_->removeEventFilter(this);
    plot_->unsetCursor();
    plot_->overlay().setRubberBand(std::nullopt);
    plot_->overlay().redraw();
    hide();
    emit closed();
}

double PlanBrush::bits() const {
    return bits_->value();
}

void PlanBrush::setBits(double bits) {
    bits_->setValue(bits);
}

QString PlanBrush::problem() const {
    return canPaint() ? QString() : tr("Bits are painted on a map of layers by tokens of K, V or the latent");
}

void PlanBrush::showProblem(const QString& text) {
    problem_->setText(text.isEmpty() ? tr("Drag over layers and chunks; one drag is one undo step") : text);
    problem_->setToolTip(text);
}

void PlanBrush::paint(const MapCell& from, const MapCell& to) {
    CodecSession& session = CodecSession::of(*document_);
    if (session.planCount() == 0) {
        showProblem(tr("There is no plan yet; wait until the first one has been made"));
        return;
    }
    const std::int64_t chunk = session.plan().chunkTokens;
    const auto [firstLayer, lastLayer] = std::minmax(from.row, to.row);
    const auto [firstToken, lastToken] = std::minmax(from.column, to.column);
    // Layers with the same chunks to paint go together; a mouse that moves fast passes many chunks of one.
    std::map<std::int64_t, std::vector<LayerKind>> byChunk;
    const std::int64_t steps = std::max(lastLayer - firstLayer, (lastToken - firstToken) / chunk);
    for (std::int64_t step = 0; step <= steps; ++step) {
        const auto between = [step, steps](std::int64_t a, std::int64_t b) {
            return steps == 0 ? b : a + (b - a) * step / steps;
        };
        const std::int64_t layer = between(from.row, to.row);
        const std::int64_t at = between(from.column, to.column) / chunk;
        const PlaneGeometry* plane =
            document_->cache().geometry().find(PlaneId{LayerIndex(layer), map_->kind, map_->sequence});
        if (plane != nullptr && at * chunk < plane->tokens && painted_.insert({layer, at}).second)
            byChunk[at].push_back({LayerIndex(layer), map_->kind});
    }
    const double bits = bits_->value();
    for (const auto& [at, cells] : byChunk) {
        const auto done = session.adjustCells(
            tr("paint %1 bits").arg(formatNumber(bits)), cells,
            [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); },
            tokenRange(at * chunk, (at + 1) * chunk));
        if (!done) {
            showProblem(QString::fromStdString(done.error().message()));
            emit failed(done.error());
            return;
        }
    }
}

void PlanBrush::endStroke() {
    if (!last_)
        return;
    last_.reset();
    painted_.clear();
    if (document_)
        CodecSession::of(*document_).endStroke();
}

void PlanBrush::preview(const QPointF& pixel) {
    const auto cell = plot_->cellAt(pixel);
    std::optional<QRectF> frame;
    if (cell && canPaint() && CodecSession::of(*document_).planCount() > 0) {
        const std::int64_t chunk = CodecSession::of(*document_).plan().chunkTokens;
        const auto first = static_cast<double>(cell->column / chunk * chunk);
        const double x = plot_->xAxis->coordToPixel(first - 0.5);
        const double right = plot_->xAxis->coordToPixel(first + static_cast<double>(chunk) - 0.5);
        const double y = plot_->yAxis->coordToPixel(static_cast<double>(cell->row) - 0.5);
        const double bottom = plot_->yAxis->coordToPixel(static_cast<double>(cell->row) + 0.5);
        frame =
            QRectF(QPointF(x, y), QPointF(right, bottom)).normalized().intersected(QRectF(plot_->axisRect()->rect()));
    }
    plot_->overlay().setRubberBand(frame);
    plot_->overlay().redraw();
}

bool PlanBrush::eventFilter(QObject* watched, QEvent* event) {
    if (watched != plot_)
        return QWidget::eventFilter(watched, event);
    switch (event->type()) {
    case QEvent::MouseButtonPress: {
        const auto* mouse = static_cast<QMouseEvent*>(event);
        const auto cell = plot_->cellAt(mouse->position());
        if (mouse->button() != Qt::LeftButton || mouse->modifiers() != Qt::NoModifier || !cell)
            return false;
        if (!canPaint()) {
            showProblem(problem());
            return true;
        }
        showProblem({});
        plot_->setFocus();
        last_ = cell;
        CodecSession::of(*document_).beginStroke(tr("paint %1 bits").arg(formatNumber(bits_->value())));
        paint(*cell, *cell);
        return true;
    }
    case QEvent::MouseMove: {
        const QPointF at = static_cast<QMouseEvent*>(event)->position();
        preview(at);
        if (!last_)
            return false;
        if (const auto cell = plot_->cellAt(at)) {
            paint(*last_, *cell);
            last_ = cell;
        }
        return true;
    }
    case QEvent::MouseButtonRelease:
        if (!last_)
            return false;
        endStroke();
        return true;
    case QEvent::KeyPress: {
        const int key = static_cast<QKeyEvent*>(event)->key();
        if (key == Qt::Key_Escape) {
            close();
            return true;
        }
        if ((key != Qt::Key_Return && key != Qt::Key_Enter) || !plot_->crosshair() || !canPaint())
            return false;
        CodecSession::of(*document_).beginStroke(tr("paint %1 bits").arg(formatNumber(bits_->value())));
        last_ = plot_->crosshair();
        paint(*last_, *last_);
        endStroke();
        return true;
    }
    case QEvent::Leave:
        preview(QPointF(-1, -1));
        return false;
    default:
        return false;
    }
}

void PlanBrush::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_Escape)
        close();
    else
        QWidget::keyPressEvent(event);
}

} // namespace kvscope::views
