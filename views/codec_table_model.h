// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"

#include <QAbstractTableModel>
#include <QPointer>

#include <vector>

namespace kvscope::views {

/// Layer x (K, V or latent): what the current plan does to each, with the bits a value and the error that it gives.
class CodecTableModel : public QAbstractTableModel {
    Q_OBJECT

public:
    enum Role {
        /// QString: the setting in a few letters.
        SettingRole = Qt::UserRole,
        /// double: bits a value, everything included; invalid while unknown.
        BitsRole,
        /// double: headline error; invalid while unknown.
        ErrorRole,
        /// bool: whether bits and error belong to the setting shown.
        CurrentRole,
    };

    explicit CodecTableModel(CodecSession& session, QObject* parent = nullptr);

    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;
    /// Understands what strengthFromText reads, and names of presets.
    bool setData(const QModelIndex& index, const QVariant& value, int role) override;

    /// The cell's layer and kind.
    [[nodiscard]] LayerKind cellAt(const QModelIndex& index) const;
    [[nodiscard]] bool holds(LayerKind cell) const;
    [[nodiscard]] QModelIndex indexOf(LayerKind cell) const;
    /// Gives cells a setting as typed: one edit. A text that is not understood is refused.
    Result<void> enter(const QString& text, const std::vector<LayerKind>& cells);
    /// Tells views that the numbers may have changed.
    void refresh();

private:
    struct Cell {
        bool exists = false;
        QString setting;
        QString description;
        QVariant bits;
        QVariant error;
        bool current = false;
        EncodeTotals totals;
    };
    [[nodiscard]] bool isCell(const QModelIndex& index) const;
    [[nodiscard]] Cell make(LayerKind cell) const;
    [[nodiscard]] QString toolTip(const Cell& cell, PlaneKind kind) const;

    QPointer<CodecSession> session_;
    std::vector<PlaneKind> kinds_;
    int layers_;
    std::vector<Cell> cells_;
};

} // namespace kvscope::views
