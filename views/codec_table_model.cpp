// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_table_model.h"

#include "core/codec/presets.h"
#include "views/codec_view.h"
#include "views/number_format.h"

#include <algorithm>

namespace kvscope::views {

CodecTableModel::CodecTableModel(CodecSession& session, QObject* parent)
    : QAbstractTableModel(parent)
    , session_(&session)
    , kinds_(session.kinds())
    , layers_(static_cast<int>(session.document().cache().geometry().layerCount()))
    , cells_(kinds_.size() * static_cast<std::size_t>(layers_)) {
    for (int row = 0; row < layers_; ++row) {
        for (int column = 0; column < columnCount(); ++column)
            cells_[static_cast<std::size_t>(row) * kinds_.size() + static_cast<std::size_t>(column)].exists =
                holds(cellAt(index(row, column)));
    }
}

int CodecTableModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : layers_;
}

int CodecTableModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(kinds_.size());
}

bool CodecTableModel::isCell(const QModelIndex& index) const {
    return index.isValid() && index.model() == this && index.row() < rowCount() && index.column() < columnCount();
}

LayerKind CodecTableModel::cellAt(const QModelIndex& index) const {
    return {LayerIndex(index.row()), kinds_[static_cast<std::size_t>(index.column())]};
}

bool CodecTableModel::holds(LayerKind cell) const {
    return session_ && session_->document().cache().geometry().find(cell.layer, cell.kind) != nullptr;
}

QModelIndex CodecTableModel::indexOf(LayerKind cell) const {
    const auto kind = std::ranges::find(kinds_, cell.kind);
    if (kind == kinds_.end() || cell.layer.value < 0 || cell.layer.value >= layers_)
        return {};
    return index(static_cast<int>(cell.layer.value), static_cast<int>(kind - kinds_.begin()));
}

CodecTableModel::Cell CodecTableModel::make(LayerKind at) const {
    Cell cell;
    cell.exists = holds(at);
    if (!cell.exists || session_->planCount() == 0)
        return cell;
    const std::int64_t tokens = session_->document().cache().geometry().find(at.layer, at.kind)->tokens;
    const auto segments = segmentsOf(session_->plan(), at, tokens);
    QStringList descriptions;
    for (const PlaneSegment& segment : segments) {
        QString line = QString::fromStdString(describe(segment.pipeline));
        if (segments.size() > 1)
            line = tr("tokens %1 to %2: %3")
                       .arg(formatCount(segment.tokens.begin.value),
                            formatCount(std::min(segment.tokens.end.value, tokens) - 1), line);
        descriptions << line;
    }
    cell.setting = segments.size() == 1 ? QString::fromStdString(shortForm(segments.front().pipeline))
                                        : tr("%n settings", nullptr, static_cast<int>(segments.size()));
    cell.description = descriptions.join(QLatin1Char('\n'));
    cell.totals = session_->report().totals(at.layer, at.kind);
    cell.current = true;
    for (const PlaneId plane : session_->planes()) {
        if (plane.layer == at.layer && plane.kind == at.kind)
            cell.current = cell.current && session_->isCurrent(0, plane);
    }
    if (cell.totals.values > 0) {
        cell.bits = cell.totals.bitsPerValue();
        if (cell.totals.hasError)
            cell.error = headlineError(at.kind, cell.totals.error);
    }
    return cell;
}

void CodecTableModel::refresh() {
    if (!session_)
        return;
    // Only rows that changed are repainted.
    for (int row = 0; row < layers_; ++row) {
        bool changed = false;
        for (int column = 0; column < columnCount(); ++column) {
            Cell& old = cells_[static_cast<std::size_t>(row) * kinds_.size() + static_cast<std::size_t>(column)];
            Cell next = make(cellAt(index(row, column)));
            changed = changed || next.setting != old.setting || next.description != old.description ||
                      next.bits != old.bits || next.error != old.error || next.current != old.current;
            old = std::move(next);
        }
        if (changed)
            emit dataChanged(index(row, 0), index(row, columnCount() - 1));
    }
}

QString CodecTableModel::toolTip(const Cell& cell, PlaneKind kind) const {
    QStringList lines{cell.description};
    if (!cell.bits.isValid()) {
        lines << tr("not encoded yet");
        return lines.join(QLatin1Char('\n'));
    }
    const EncodeTotals& totals = cell.totals;
    lines << tr("%1 bits a value, %2\u00d7 smaller than 16 bit")
                 .arg(formatNumber(totals.bitsPerValue()), formatNumber(totals.ratio(), 3));
    if (totals.hasError) {
        const TensorError error = totals.error.result();
        lines << tr("%1 %2, cosine %3, largest error %4")
                     .arg(errorName(kind), formatNumber(headlineError(kind, totals.error), 3),
                          formatNumber(error.cosine.value_or(1), 6), formatNumber(error.max, 3));
    }
    QStringList parts;
    for (const BytePart part : kAllByteParts) {
        if (totals.parts[part] > 0)
            parts << tr("%1 %2 bytes").arg(nameOf(part), formatCount(totals.parts[part]));
    }
    lines << parts.join(tr(", "));
    if (!cell.current)
        lines << tr("these are the figures from before the last change");
    return lines.join(QLatin1Char('\n'));
}

QVariant CodecTableModel::data(const QModelIndex& index, int role) const {
    if (!isCell(index))
        return {};
    const Cell& cell =
        cells_[static_cast<std::size_t>(index.row()) * kinds_.size() + static_cast<std::size_t>(index.column())];
    if (!cell.exists)
        return {};
    switch (role) {
    case Qt::DisplayRole: {
        QStringList parts{cell.setting};
        if (cell.bits.isValid())
            parts << tr("%1 bits").arg(formatNumber(cell.bits.toDouble(), 3, true));
        if (cell.error.isValid())
            parts << formatNumber(cell.error.toDouble(), 3);
        return parts.join(QStringLiteral(" \u00b7 "));
    }
    case Qt::EditRole: {
        if (!session_ || session_->planCount() == 0)
            return QString();
        const LayerKind at = cellAt(index);
        const auto strength = strengthOf(session_->plan().pipelineFor(at.layer, at.kind, 0));
        return strength ? QString::fromStdString(toText(*strength)) : QString();
    }
    case Qt::ToolTipRole:
        return toolTip(cell, kinds_[static_cast<std::size_t>(index.column())]);
    case SettingRole:
        return cell.setting;
    case BitsRole:
        return cell.bits;
    case ErrorRole:
        return cell.error;
    case CurrentRole:
        return cell.current;
    default:
        return {};
    }
}

QVariant CodecTableModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation == Qt::Vertical) {
        if (role == Qt::DisplayRole)
            return section;
        return role == Qt::ToolTipRole ? QVariant(tr("Layer %1").arg(section)) : QVariant();
    }
    if (section < 0 || section >= columnCount())
        return {};
    const PlaneKind kind = kinds_[static_cast<std::size_t>(section)];
    if (role == Qt::DisplayRole)
        return tr("%1: setting, bits/value, %2").arg(kindText(kind), errorName(kind));
    if (role == Qt::ToolTipRole)
        return tr("What is done to each layer's %1.\nBits a value: %2\n%3")
            .arg(kindText(kind), explain::bitsPerValue(), explain::headlineError(kind));
    return {};
}

Qt::ItemFlags CodecTableModel::flags(const QModelIndex& index) const {
    if (!isCell(index) || !holds(cellAt(index)))
        return Qt::NoItemFlags;
    return Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsEditable;
}

bool CodecTableModel::setData(const QModelIndex& index, const QVariant& value, int role) {
    return role == Qt::EditRole && isCell(index) && enter(value.toString(), {cellAt(index)}).has_value();
}

Result<void> CodecTableModel::enter(const QString& text, const std::vector<LayerKind>& cells) {
    const QString trimmed = text.trimmed();
    if (!session_ || trimmed.isEmpty() || cells.empty())
        return {};
    const auto strength = strengthFromText(trimmed.toStdString());
    if (!strength) {
        if (!findPreset(trimmed.toStdString()))
            return tl::unexpected<Error>(strength.error());
        session_->applyPreset(trimmed, cells);
        return {};
    }
    return session_->adjustCells(
        tr("%1 for %n cell(s)", nullptr, static_cast<int>(cells.size())).arg(QString::fromStdString(toText(*strength))),
        cells, [&](const Pipeline& pipeline) { return withStrength(pipeline, *strength); });
}

} // namespace kvscope::views
