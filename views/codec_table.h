// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_table_model.h"
#include "views/selection.h"

#include <QPointer>
#include <QTableView>
#include <QTimer>

#include <optional>
#include <vector>

namespace kvscope::views {

/// The table of settings. Typing gives a value to all selected cells; dragging the grip at the left of a cell up or
/// down (or [ and ]) makes them finer or coarser, one undo step a drag; Ctrl+D copies the first selected row down.
class CodecTable : public QTableView {
    Q_OBJECT

public:
    CodecTable(CodecSession& session, SelectionModel& selection, QWidget* parent = nullptr);

    [[nodiscard]] CodecTableModel& cells() const { return *model_; }
    /// The selected cells; the current one when none is.
    [[nodiscard]] std::vector<LayerKind> selectedCells() const;
    /// The cell whose stages an editor shows.
    [[nodiscard]] std::optional<LayerKind> currentCell() const;
    /// Planes of the layers on the screen.
    [[nodiscard]] std::vector<PlaneId> visiblePlanes() const;
    /// Gives the selected cells what was typed.
    void enter(const QString& text);
    void copyDown();
    /// Makes the selected cells coarser (finer when negative) by so many notches.
    void nudge(int notches);
    /// Where the grip of a cell is, in the viewport.
    [[nodiscard]] QRect gripOf(const QModelIndex& index) const;
    /// Marks the layer that the rest of the window shows.
    void followSelection();

signals:
    void cellsSelected();
    /// What was entered cannot be done.
    void refused(const kvscope::Error& error);

protected:
    bool event(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void keyReleaseEvent(QKeyEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

private:
    struct Drag {
        int startY = 0;
        int notches = 0;
        CodecPlan before;
        std::vector<LayerKind> cells;
    };
    /// Gives every column what its settings need, and an even share of the rest.
    void fitColumns();
    void selectLayerOfCurrent();
    void copyToClipboard() const;

    QPointer<CodecSession> session_;
    QPointer<SelectionModel> selection_;
    CodecTableModel* model_;
    std::optional<Drag> drag_;
    bool following_ = false;
    QTimer fitTimer_;
};

} // namespace kvscope::views
