// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/pipeline.h"

#include <QMap>
#include <QWidget>

#include <functional>
#include <optional>
#include <vector>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QSpinBox;

namespace kvscope::views {

class FlowLayout;

/// Edits the stages of a pipeline field by field. What a user changes goes out as a change of that stage alone, so that
/// it can be made to several cells whose other stages differ.
class CodecStageEditor : public QWidget {
    Q_OBJECT

public:
    explicit CodecStageEditor(QWidget* parent = nullptr);

    /// Shows a pipeline (none: the editor is disabled) and clears the error. `various` marks that other cells of the
    /// selection have other settings.
    void setPipeline(const std::optional<Pipeline>& pipeline, const QString& title, bool various);
    /// Shows why a change was refused, at the field that the error names.
    void showError(const Error& error);
    [[nodiscard]] QString errorText() const;

signals:
    /// The user changed a stage; `change` does it to a pipeline.
    void edited(const QString& what, const std::function<void(kvscope::Pipeline&)>& change);

private:
    /// A field by the name that validate() gives it, e.g. "quantiser.bits".
    void addField(const QString& name, const QString& label, QWidget* editor, const QString& explanation);
    QSpinBox* addWhole(const QString& name, const QString& label, const QString& explanation,
                       std::function<void(Quantiser&, int)> set);
    QDoubleSpinBox* addReal(const QString& name, const QString& label, const QString& unit, const QString& explanation,
                            std::function<void(Quantiser&, double)> set);
    void makeStages();
    void makeParameters();
    void showParameters(const Quantiser& quantiser);
    void send(const QString& what, const std::function<void(Pipeline&)>& change);
    void clearError();

    FlowLayout* row_;
    QLabel* title_;
    QLabel* error_;
    QComboBox* transform_;
    QCheckBox* clip_;
    QDoubleSpinBox* clipSigmas_;
    QComboBox* quantiser_;
    QComboBox* axis_;
    QCheckBox* symmetric_;
    QComboBox* format_;
    QComboBox* predictor_;
    QComboBox* coder_;
    QSpinBox* effort_;
    /// By field name: the editor, and the pair of label and editor.
    QMap<QString, QWidget*> editors_;
    QMap<QString, QWidget*> pairs_;
    Pipeline shown_;
    bool filling_ = false;
};

} // namespace kvscope::views
