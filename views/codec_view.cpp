// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_view.h"

#include "views/chart_parts.h"
#include "views/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QProgressBar>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace kvscope::views {

namespace {
/// The first change is drawn at once; of those that follow within a frame or two, only the last.
constexpr qint64 kBurstMs = 15;
/// Docks behind others are shown for a moment while the window is laid out; that is no reason to encode.
constexpr int kSettleMs = 60;
} // namespace

CodecView::CodecView(Document* document, SelectionModel* selection, QWidget* parent)
    : QWidget(parent)
    , session_(&CodecSession::of(*document))
    , selection_(selection)
    , geometry_(document->cache().geometry())
    , rows_(new QVBoxLayout(this)) {
    rows_->setContentsMargins(6, 4, 6, 4);
    rows_->setSpacing(4);
    displayTimer_.setSingleShot(true);
    connect(&displayTimer_, &QTimer::timeout, this, &CodecView::refresh);
    connect(session_, &CodecSession::changed, this, &CodecView::refreshSoon);
    connect(session_, &CodecSession::plansChanged, this, [this] {
        refused_.clear();
        refreshSoon();
    });
    connect(session_, &CodecSession::progressed, this, [this] {
        if (isVisible())
            showState();
    });
    connect(session_, &CodecSession::failed, this,
            [this](const Error& error) { showError(QString::fromStdString(error.message())); });
    connect(selection, &SelectionModel::changed, this, &CodecView::refreshSoon);
}

void CodecView::addState() {
    auto* row = new QHBoxLayout;
    row->setSpacing(6);
    error_ = new QLabel;
    error_->setObjectName(QStringLiteral("codecError"));
    error_->setWordWrap(true);
    error_->setTextFormat(Qt::PlainText);
    error_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    error_->hide();
    rows_->addWidget(error_);
    progress_ = new QProgressBar;
    progress_->setTextVisible(false);
    progress_->setRange(0, 1000);
    progress_->setFixedHeight(4);
    progress_->setAccessibleName(tr("Progress of the encoding"));
    cancel_ = new QToolButton;
    cancel_->setObjectName(QStringLiteral("codecCancel"));
    cancel_->setFocusPolicy(Qt::TabFocus);
    cancel_->setAutoRaise(true);
    for (QWidget* widget : {static_cast<QWidget*>(progress_), static_cast<QWidget*>(cancel_)}) {
        QSizePolicy policy = widget->sizePolicy();
        policy.setRetainSizeWhenHidden(true);
        widget->setSizePolicy(policy);
    }
    row->addWidget(progress_, 1);
    row->addWidget(cancel_);
    rows_->addLayout(row);
    connect(cancel_, &QToolButton::clicked, this, [this] {
        if (isWorkCancelled())
            resumeWork();
        else
            cancelWork();
        showState();
    });
}

bool CodecView::isReady() const {
    return isVisible() && session_ && !share() && !displayTimer_.isActive();
}

QString CodecView::errorText() const {
    return error_ != nullptr && !error_->isHidden() ? error_->text() : QString();
}

std::optional<double> CodecView::share() const {
    if (session_->isIdle(this))
        return {};
    return session_->progress(this);
}

void CodecView::refresh() {
    if (!session_ || !selection_ || !isVisible())
        return;
    session_->want(this, interest());
    display();
    showState();
    sinceShown_.start();
}

void CodecView::refreshSoon() {
    if (isVisible() && !displayTimer_.isActive())
        displayTimer_.start(
            sinceShown_.isValid() ? static_cast<int>(std::max<qint64>(0, kBurstMs - sinceShown_.elapsed())) : 0);
}

void CodecView::showError(const QString& text) {
    refused_ = text;
    showState();
}

void CodecView::showState() {
    if (!session_ || progress_ == nullptr)
        return;
    const auto done = share();
    const bool stopped = isWorkCancelled();
    progress_->setVisible(done.has_value() && !stopped);
    if (done)
        progress_->setValue(static_cast<int>(*done * 1000));
    cancel_->setVisible(done.has_value() || stopped);
    cancel_->setText(stopped ? tr("Go on") : tr("Stop"));
    cancel_->setToolTip(stopped ? tr("Go on encoding where it was stopped")
                                : tr("Stop encoding; what is done already stays"));
    QString message = refused_;
    for (std::size_t slot = 0; message.isEmpty() && slot < std::max<std::size_t>(1, session_->planCount()); ++slot) {
        if (const Error* error = session_->error(slot))
            message = QString::fromStdString(error->message());
    }
    error_->setText(message.isEmpty() ? QString() : QStringLiteral("\u26a0 ") + message);
    error_->setVisible(!message.isEmpty());
}

QRectF CodecView::paintError(QPainter& painter, const QRectF& target) const {
    const QString text = errorText();
    if (text.isEmpty())
        return target;
    painter.save();
    painter.setFont(chartFont(*this));
    painter.setPen(Theme::from(palette()).accent);
    QRectF used;
    painter.drawText(target, Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, text, &used);
    painter.restore();
    return target.adjusted(0, used.height() + 6, 0, 0);
}

void CodecView::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    displayTimer_.start(kSettleMs);
}

void CodecView::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    if (session_)
        session_->release(this);
}

QColor planColour(const QPalette& palette, std::size_t slot) {
    return Theme::from(palette).series(static_cast<int>(slot));
}

QString planTitle(const CodecSession& session, std::size_t slot) {
    return CodecSession::letter(slot) + QLatin1Char(' ') + QString::fromStdString(session.plan(slot).name);
}

QString errorName(PlaneKind kind) {
    return kind == PlaneKind::Value ? QStringLiteral("NMSE") : QStringLiteral("NMSEc");
}

QString kindText(PlaneKind kind) {
    const std::string_view name = nameOf(kind);
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

QString explain::bitsPerValue() {
    return CodecView::tr(
        "All bytes that a decoder needs, tables, scales and headers included, divided by the number of "
        "values.");
}

QString explain::ratio() {
    return CodecView::tr("How many times smaller than 16 bits a value, everything included.");
}

QString explain::headlineError(PlaneKind kind) {
    return kind == PlaneKind::Value
               ? CodecView::tr("NMSE: energy of the error over the energy of the values. 0.01 is 1 %.")
               : CodecView::tr("NMSEc: energy of the error over the energy of the values about their channel's mean (a "
                               "constant offset of K cancels in the softmax). 0.01 is 1 %.");
}

QString explain::bytePart(BytePart part) {
    switch (part) {
    case BytePart::Payload:
        return CodecView::tr("The coded values");
    case BytePart::Tables:
        return CodecView::tr("Symbol tables that the entropy decoder needs");
    case BytePart::Scales:
        return CodecView::tr("Scales, zero points and means");
    case BytePart::Exceptions:
        return CodecView::tr("Values kept exactly: outliers, NaN, infinities, residual tokens");
    case BytePart::Header:
        return CodecView::tr("Sizes and everything else");
    }
    return {};
}

QString nameOf(BytePart part) {
    switch (part) {
    case BytePart::Payload:
        return CodecView::tr("payload");
    case BytePart::Tables:
        return CodecView::tr("tables");
    case BytePart::Scales:
        return CodecView::tr("scales");
    case BytePart::Exceptions:
        return CodecView::tr("exceptions");
    case BytePart::Header:
        return CodecView::tr("headers");
    }
    return {};
}

} // namespace kvscope::views
