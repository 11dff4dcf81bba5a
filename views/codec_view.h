// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"
#include "views/exportable.h"
#include "views/selection.h"

#include <QColor>
#include <QElapsedTimer>
#include <QPointer>
#include <QTimer>
#include <QWidget>

#include <optional>

class QLabel;
class QProgressBar;
class QToolButton;
class QVBoxLayout;

namespace kvscope::views {

/// What all views of the codec share: while one is visible the session encodes what it needs; it shows what has
/// arrived, says how far the rest is, lets the user stop it, and shows errors in place.
class CodecView : public QWidget, public ExportableView {
    Q_OBJECT

public:
    CodecView(Document* document, SelectionModel* selection, QWidget* parent);

    [[nodiscard]] bool isReady() const override;
    /// The error that is shown; empty when there is none.
    [[nodiscard]] QString errorText() const;

protected:
    /// The rows of the view; the last one added with a stretch gets the room.
    [[nodiscard]] QVBoxLayout* rows() const { return rows_; }
    /// Adds progress bar, cancel button and error line to the rows, at this place.
    void addState();
    [[nodiscard]] CodecSession& session() const { return *session_; }
    [[nodiscard]] bool hasSession() const { return session_ != nullptr; }
    [[nodiscard]] SelectionModel& selectionModel() const { return *selection_; }
    [[nodiscard]] const KvGeometry& geometry() const { return geometry_; }

    /// What the session shall encode for this view.
    [[nodiscard]] virtual CodecSession::Interest interest() const { return {}; }
    /// Shows what is there.
    virtual void display() = 0;
    /// How far the view's work is in [0, 1]; nothing when all is done.
    [[nodiscard]] virtual std::optional<double> share() const;
    virtual void cancelWork() { session_->cancel(); }
    virtual void resumeWork() { session_->resume(); }
    [[nodiscard]] virtual bool isWorkCancelled() const { return session_->isCancelled(); }

    /// Asks for what is needed now and shows what is there, when visible.
    void refresh();
    /// Soon, once for many calls.
    void refreshSoon();
    void showError(const QString& text);
    void showState();
    /// Draws the error, if there is one, and returns what is left of the rectangle.
    [[nodiscard]] QRectF paintError(QPainter& painter, const QRectF& target) const;

    void showEvent(QShowEvent* event) override;
    void hideEvent(QHideEvent* event) override;

private:
    QPointer<CodecSession> session_;
    QPointer<SelectionModel> selection_;
    KvGeometry geometry_;
    QVBoxLayout* rows_;
    QProgressBar* progress_ = nullptr;
    QToolButton* cancel_ = nullptr;
    QLabel* error_ = nullptr;
    /// Of what the user did last; goes with the next change.
    QString refused_;
    QTimer displayTimer_;
    QElapsedTimer sinceShown_;
};

/// The colour of a plan's slot, the same in all views.
QColor planColour(const QPalette& palette, std::size_t slot);
/// "A kvz-medium".
QString planTitle(const CodecSession& session, std::size_t slot);
/// "NMSEc" for K and latent, "NMSE" for V.
QString errorName(PlaneKind kind);
/// "K", "V", "latent".
QString kindText(PlaneKind kind);

/// Explanations of terms, for tooltips.
namespace explain {
QString bitsPerValue();
QString ratio();
QString headlineError(PlaneKind kind);
QString bytePart(BytePart part);
} // namespace explain
/// "payload", "tables", "scales", "exceptions", "headers".
QString nameOf(BytePart part);

} // namespace kvscope::views
