// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_stage_editor.h"

#include "views/flow_layout.h"
#include "views/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSpinBox>
#include <QVBoxLayout>

#include <array>

namespace kvscope::views {

namespace {

/// Wider than any range, so that what cannot be is said where it is typed.
constexpr int kMostWhole = 1 << 20;
constexpr double kMostReal = 1e6;

struct Choice {
    const char* name;
    const char* explanation;
};

constexpr std::array kTransforms{
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "none"), ""},
    Choice{
        QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "undo RoPE"),
        QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                          "Turns K back by its rotary embedding, so that channels keep their level over the tokens")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Hadamard"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                             "Spreads outlier channels over their head (head dimension a power of two)")},
};
constexpr std::array kQuantisers{
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "lossless"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Every bit is kept")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "max-abs bins"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "CacheGen's: one scale for each token")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "uniform"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "n bits, one scale for each group of values")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "block-norm"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "n bits in blocks, the largest values kept exactly")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "fp8"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Eight-bit floating point")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "KIVI"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                             "K by channel and V by token in groups, the last tokens kept in 16 bit")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "anchor + delta"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                             "The CacheGen paper's: the first token of a group, the others as differences to it")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "step"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "KVScope's: one step size for the whole plane")},
};
constexpr std::array kPredictors{
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "none"), ""},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "channel mean"), ""},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "anchor"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "The first token of each group of ten")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "token before"), ""},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "best"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                             "Whichever takes the fewest bits, for each channel (kvz coder)")},
};
constexpr std::array kCoders{
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "raw"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Symbols packed at their bits, no entropy coding")},
    Choice{"zlib", ""},
    Choice{"lz4", ""},
    Choice{"zstd", ""},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "shuffle + zstd"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Bytes of equal significance together, then zstd")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "gear"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                             "Sign and exponent apart from the mantissa, zstd on each")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "gear + delta"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "Gear after subtracting the token before")},
    Choice{"Huffman", ""},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "arithmetic"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "One static table for each channel")},
    Choice{QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "context rANS"),
           QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor", "The table depends on the symbol before")},
    Choice{"CABAC", ""},
    Choice{"kvz", QT_TRANSLATE_NOOP("kvscope::views::CodecStageEditor",
                                    "KVScope's: a table class for each channel, 32 lanes")},
};

template <std::size_t N> QComboBox* makeCombo(const char* name, const std::array<Choice, N>& choices) {
    auto* combo = new QComboBox;
    combo->setObjectName(QString::fromLatin1(name));
    for (const Choice& choice : choices) {
        combo->addItem(CodecStageEditor::tr(choice.name));
        if (*choice.explanation != '\0')
            combo->setItemData(combo->count() - 1, CodecStageEditor::tr(choice.explanation), Qt::ToolTipRole);
    }
    return combo;
}

Quantiser defaultQuantiser(int index) {
    constexpr std::array<Quantiser (*)(), 8> kMake{
        [] { return Quantiser(Lossless{}); },    [] { return Quantiser(MaxAbsBins{}); },
        [] { return Quantiser(Uniform{}); },     [] { return Quantiser(BlockNorm{}); },
        [] { return Quantiser(Float8{}); },      [] { return Quantiser(Kivi{}); },
        [] { return Quantiser(AnchorDelta{}); }, [] { return Quantiser(Step{}); },
    };
    static_assert(kMake.size() == std::variant_size_v<Quantiser> && kMake.size() == kQuantisers.size());
    return kMake[static_cast<std::size_t>(index)]();
}

/// A predictor that does not go with what was chosen beside it gives way; it is not what the user asked for.
void letPredictorGiveWay(Pipeline& pipeline) {
    const auto valid = validate(pipeline);
    if (!valid && valid.error().where == "predictor")
        pipeline.predictor = Predictor::None;
}

} // namespace

CodecStageEditor::CodecStageEditor(QWidget* parent)
    : QWidget(parent)
    , title_(new QLabel)
    , error_(new QLabel) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(3);
    title_->setTextFormat(Qt::PlainText);
    layout->addWidget(title_);
    row_ = new FlowLayout(nullptr, 6);
    layout->addLayout(row_);
    error_->setObjectName(QStringLiteral("stageError"));
    error_->setWordWrap(true);
    error_->setTextFormat(Qt::PlainText);
    error_->hide();
    layout->addWidget(error_);
    makeStages();
    setPipeline({}, {}, false);
}

void CodecStageEditor::addField(const QString& name, const QString& label, QWidget* editor,
                                const QString& explanation) {
    auto* pair = new QWidget(this);
    auto* row = new QHBoxLayout(pair);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(3);
    if (!label.isEmpty()) {
        auto* text = new QLabel(label, pair);
        text->setBuddy(editor);
        text->setToolTip(explanation);
        row->addWidget(text);
    }
    row->addWidget(editor);
    editor->setToolTip(explanation);
    editor->setAccessibleName(label);
    editor->setAccessibleDescription(explanation);
    row_->addWidget(pair);
    editors_.insert(name, editor);
    pairs_.insert(name, pair);
}

QSpinBox* CodecStageEditor::addWhole(const QString& name, const QString& label, const QString& explanation,
                                     std::function<void(Quantiser&, int)> set) {
    auto* spin = new QSpinBox;
    spin->setObjectName(name);
    spin->setRange(0, kMostWhole);
    spin->setKeyboardTracking(false);
    spin->setMaximumWidth(spin->fontMetrics().averageCharWidth() * 12);
    addField(name, label, spin, explanation);
    connect(spin, &QSpinBox::valueChanged, this, [this, label, set = std::move(set)](int value) {
        send(tr("%1 %2").arg(label).arg(value), [&](Pipeline& pipeline) { set(pipeline.quantiser, value); });
    });
    return spin;
}

QDoubleSpinBox* CodecStageEditor::addReal(const QString& name, const QString& label, const QString& unit,
                                          const QString& explanation, std::function<void(Quantiser&, double)> set) {
    auto* spin = new QDoubleSpinBox;
    spin->setObjectName(name);
    spin->setDecimals(4);
    spin->setRange(0, kMostReal);
    spin->setSingleStep(0.01);
    spin->setSuffix(unit);
    spin->setKeyboardTracking(false);
    spin->setMaximumWidth(spin->fontMetrics().averageCharWidth() * 14);
    addField(name, label, spin, explanation);
    connect(spin, &QDoubleSpinBox::valueChanged, this, [this, label, set = std::move(set)](double value) {
        send(tr("%1 %2").arg(label).arg(value), [&](Pipeline& pipeline) { set(pipeline.quantiser, value); });
    });
    return spin;
}

void CodecStageEditor::makeStages() {
    transform_ = makeCombo("transform", kTransforms);
    addField(QStringLiteral("transform"), tr("Transform"), transform_,
             tr("What is done to the rows before anything else"));
    connect(transform_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("transform"), [&](Pipeline& pipeline) { pipeline.transform = static_cast<Transform>(index); });
    });

    clip_ = new QCheckBox(tr("Clip at"));
    clip_->setObjectName(QStringLiteral("clip"));
    clip_->setToolTip(tr("Sets values beyond so many standard deviations of their channel to that bound"));
    clipSigmas_ = new QDoubleSpinBox;
    clipSigmas_->setObjectName(QStringLiteral("clip_sigmas"));
    clipSigmas_->setRange(0, kMostReal);
    clipSigmas_->setSingleStep(0.5);
    clipSigmas_->setSuffix(tr(" \u03c3"));
    clipSigmas_->setKeyboardTracking(false);
    clipSigmas_->setMaximumWidth(clipSigmas_->fontMetrics().averageCharWidth() * 12);
    auto* clip = new QWidget;
    auto* row = new QHBoxLayout(clip);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(3);
    row->addWidget(clip_);
    row->addWidget(clipSigmas_);
    addField(QStringLiteral("clip_sigmas"), QString(), clip, clip_->toolTip());
    const auto sendClip = [this] {
        clipSigmas_->setEnabled(clip_->isChecked());
        const auto bound = clip_->isChecked() ? std::optional(clipSigmas_->value()) : std::nullopt;
        send(tr("clip"), [&](Pipeline& pipeline) { pipeline.clipSigmas = bound; });
    };
    connect(clip_, &QCheckBox::toggled, this, sendClip);
    connect(clipSigmas_, &QDoubleSpinBox::valueChanged, this, sendClip);

    quantiser_ = makeCombo("quantiser", kQuantisers);
    addField(QStringLiteral("quantiser"), tr("Quantiser"), quantiser_, tr("How values become whole numbers"));
    connect(quantiser_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("quantiser"), [&](Pipeline& pipeline) {
            if (static_cast<int>(pipeline.quantiser.index()) != index)
                pipeline.quantiser = defaultQuantiser(index);
            letPredictorGiveWay(pipeline);
        });
    });
    makeParameters();

    predictor_ = makeCombo("predictor", kPredictors);
    addField(QStringLiteral("predictor"), tr("Predictor"), predictor_, tr("What a symbol is expressed against"));
    connect(predictor_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("predictor"), [&](Pipeline& pipeline) { pipeline.predictor = static_cast<Predictor>(index); });
    });
    coder_ = makeCombo("coder", kCoders);
    addField(QStringLiteral("coder"), tr("Coder"), coder_, tr("How symbols become bytes"));
    connect(coder_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("coder"), [&](Pipeline& pipeline) {
            pipeline.coder = static_cast<EntropyCoder>(index);
            letPredictorGiveWay(pipeline);
        });
    });
    effort_ = new QSpinBox;
    effort_->setObjectName(QStringLiteral("effort"));
    effort_->setRange(0, kMostWhole);
    effort_->setKeyboardTracking(false);
    effort_->setMaximumWidth(effort_->fontMetrics().averageCharWidth() * 10);
    addField(
        QStringLiteral("effort"), tr("Level"), effort_,
        tr("Level of zlib (1 to 9) or zstd (1 to 19); of kvz in steps: 1 is faster, 2 and above searches trellises, "
           "some 4 % smaller at equal error"));
    connect(effort_, &QSpinBox::valueChanged, this, [this](int value) {
        send(tr("level %1").arg(value), [&](Pipeline& pipeline) { pipeline.effort = value; });
    });
}

void CodecStageEditor::makeParameters() {
    addReal(QStringLiteral("quantiser.step"), tr("Step"), tr(" \u03c3"),
            tr("Step size in standard deviations: of the plane about its channels' means (step), of its differences "
               "(anchor + delta)"),
            [](Quantiser& quantiser, double value) {
                if (auto* step = std::get_if<Step>(&quantiser))
                    step->step = value;
                if (auto* anchor = std::get_if<AnchorDelta>(&quantiser))
                    anchor->step = value;
            });
    addWhole(QStringLiteral("quantiser.bits"), tr("Bits"), tr("Bits of a symbol, before entropy coding"),
             [](Quantiser& quantiser, int value) {
                 if (auto* uniform = std::get_if<Uniform>(&quantiser))
                     uniform->bits = value;
                 if (auto* block = std::get_if<BlockNorm>(&quantiser))
                     block->bits = value;
                 if (auto* kivi = std::get_if<Kivi>(&quantiser))
                     kivi->bits = value;
             });
    addWhole(QStringLiteral("quantiser.bins"), tr("Bins"), tr("Steps between the largest negative and positive value"),
             [](Quantiser& quantiser, int value) {
                 if (auto* bins = std::get_if<MaxAbsBins>(&quantiser))
                     bins->bins = value;
             });
    axis_ = new QComboBox;
    axis_->setObjectName(QStringLiteral("quantiser.axis"));
    axis_->addItems({tr("token"), tr("channel"), tr("head"), tr("plane")});
    addField(QStringLiteral("quantiser.axis"), tr("Scale a"), axis_, tr("Which values share one scale"));
    connect(axis_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("scale axis"), [&](Pipeline& pipeline) {
            if (auto* uniform = std::get_if<Uniform>(&pipeline.quantiser))
                uniform->axis = static_cast<ScaleAxis>(index);
        });
    });
    addWhole(QStringLiteral("quantiser.group"), tr("Group"),
             tr("Values (anchor: tokens) of a group; 0 for all together"), [](Quantiser& quantiser, int value) {
                 if (auto* uniform = std::get_if<Uniform>(&quantiser))
                     uniform->group = value;
                 if (auto* kivi = std::get_if<Kivi>(&quantiser))
                     kivi->group = value;
                 if (auto* anchor = std::get_if<AnchorDelta>(&quantiser))
                     anchor->group = value;
             });
    symmetric_ = new QCheckBox(tr("symmetric"));
    symmetric_->setObjectName(QStringLiteral("quantiser.symmetric"));
    addField(QStringLiteral("quantiser.symmetric"), QString(), symmetric_,
             tr("Around zero; otherwise between the smallest and the largest value, with a zero point"));
    connect(symmetric_, &QCheckBox::toggled, this, [this](bool on) {
        send(tr("symmetric"), [&](Pipeline& pipeline) {
            if (auto* uniform = std::get_if<Uniform>(&pipeline.quantiser))
                uniform->symmetric = on;
        });
    });
    addWhole(QStringLiteral("quantiser.block"), tr("block"), tr("Values of a block"),
             [](Quantiser& quantiser, int value) {
                 if (auto* block = std::get_if<BlockNorm>(&quantiser))
                     block->block = value;
             });
    addReal(QStringLiteral("quantiser.top_fraction"), tr("Kept exactly"), QString(),
            tr("Share of each block that is kept exactly (0.02 is 2 %)"), [](Quantiser& quantiser, double value) {
                if (auto* block = std::get_if<BlockNorm>(&quantiser))
                    block->topFraction = value;
            });
    format_ = new QComboBox;
    format_->setObjectName(QStringLiteral("quantiser.format"));
    format_->addItems({QStringLiteral("e4m3"), QStringLiteral("e5m2")});
    addField(QStringLiteral("quantiser.format"), tr("Format"), format_, tr("Bits of exponent and mantissa"));
    connect(format_, &QComboBox::currentIndexChanged, this, [this](int index) {
        send(tr("format"), [&](Pipeline& pipeline) {
            if (auto* float8 = std::get_if<Float8>(&pipeline.quantiser))
                float8->format = static_cast<Float8::Format>(index);
        });
    });
    addWhole(QStringLiteral("quantiser.residual"), tr("residual tokens"), tr("Last tokens, which stay in 16 bit"),
             [](Quantiser& quantiser, int value) {
                 if (auto* kivi = std::get_if<Kivi>(&quantiser))
                     kivi->residual = value;
             });
    addWhole(QStringLiteral("quantiser.anchor_bits"), tr("anchor bits"), tr("Bits of the first token of each group"),
             [](Quantiser& quantiser, int value) {
                 if (auto* anchor = std::get_if<AnchorDelta>(&quantiser))
                     anchor->anchorBits = value;
             });
}

void CodecStageEditor::showParameters(const Quantiser& quantiser) {
    QMap<QString, QVariant> values;
    if (const auto* bins = std::get_if<MaxAbsBins>(&quantiser))
        values = {{QStringLiteral("bins"), bins->bins}};
    if (const auto* uniform = std::get_if<Uniform>(&quantiser))
        values = {{QStringLiteral("bits"), uniform->bits},
                  {QStringLiteral("axis"), static_cast<int>(uniform->axis)},
                  {QStringLiteral("group"), uniform->group},
                  {QStringLiteral("symmetric"), uniform->symmetric}};
    if (const auto* block = std::get_if<BlockNorm>(&quantiser))
        values = {{QStringLiteral("bits"), block->bits},
                  {QStringLiteral("block"), block->block},
                  {QStringLiteral("top_fraction"), block->topFraction}};
    if (const auto* float8 = std::get_if<Float8>(&quantiser))
        values = {{QStringLiteral("format"), static_cast<int>(float8->format)}};
    if (const auto* kivi = std::get_if<Kivi>(&quantiser))
        values = {{QStringLiteral("bits"), kivi->bits},
                  {QStringLiteral("group"), kivi->group},
                  {QStringLiteral("residual"), kivi->residual}};
    if (const auto* anchor = std::get_if<AnchorDelta>(&quantiser))
        values = {{QStringLiteral("group"), anchor->group},
                  {QStringLiteral("anchor_bits"), anchor->anchorBits},
                  {QStringLiteral("step"), anchor->step}};
    if (const auto* step = std::get_if<Step>(&quantiser))
        values = {{QStringLiteral("step"), step->step}};

    const QString prefix = QStringLiteral("quantiser.");
    for (auto pair = pairs_.begin(); pair != pairs_.end(); ++pair) {
        if (!pair.key().startsWith(prefix))
            continue;
        const QVariant value = values.value(pair.key().mid(prefix.size()));
        pair.value()->setVisible(value.isValid());
        if (!value.isValid())
            continue;
        QWidget* editor = editors_.value(pair.key());
        if (auto* whole = qobject_cast<QSpinBox*>(editor))
            whole->setValue(value.toInt());
        else if (auto* real = qobject_cast<QDoubleSpinBox*>(editor))
            real->setValue(value.toDouble());
        else if (auto* combo = qobject_cast<QComboBox*>(editor))
            combo->setCurrentIndex(value.toInt());
        else if (auto* check = qobject_cast<QCheckBox*>(editor))
            check->setChecked(value.toBool());
    }
}

void CodecStageEditor::setPipeline(const std::optional<Pipeline>& pipeline, const QString& title, bool various) {
    clearError();
    setEnabled(pipeline.has_value());
    title_->setText(various ? tr("%1 (various; a change is made to all)").arg(title) : title);
    shown_ = pipeline.value_or(Pipeline{});
    filling_ = true;
    transform_->setCurrentIndex(static_cast<int>(shown_.transform));
    clip_->setChecked(shown_.clipSigmas.has_value());
    clipSigmas_->setEnabled(shown_.clipSigmas.has_value());
    clipSigmas_->setValue(shown_.clipSigmas.value_or(4));
    quantiser_->setCurrentIndex(static_cast<int>(shown_.quantiser.index()));
    showParameters(shown_.quantiser);
    predictor_->setCurrentIndex(static_cast<int>(shown_.predictor));
    coder_->setCurrentIndex(static_cast<int>(shown_.coder));
    effort_->setValue(shown_.effort);
    const bool levels = shown_.coder == EntropyCoder::Zlib || shown_.coder == EntropyCoder::Zstd ||
                        shown_.coder == EntropyCoder::ShuffleZstd || shown_.coder == EntropyCoder::Gear ||
                        shown_.coder == EntropyCoder::GearDelta ||
                        (shown_.coder == EntropyCoder::Kvz && std::holds_alternative<Step>(shown_.quantiser));
    pairs_.value(QStringLiteral("effort"))->setVisible(levels);
    filling_ = false;
}

void CodecStageEditor::send(const QString& what, const std::function<void(Pipeline&)>& change) {
    if (filling_)
        return;
    clearError();
    emit edited(what, change);
}

void CodecStageEditor::showError(const Error& error) {
    const QColor accent = Theme::from(palette()).accent;
    if (QWidget* editor = editors_.value(QString::fromStdString(error.where)))
        editor->setStyleSheet(QStringLiteral("border: 1px solid %1;").arg(accent.name()));
    error_->setText(QStringLiteral("\u26a0 ") + QString::fromStdString(error.message()));
    error_->show();
}

QString CodecStageEditor::errorText() const {
    return error_->isHidden() ? QString() : error_->text();
}

void CodecStageEditor::clearError() {
    for (QWidget* editor : editors_) {
        if (!editor->styleSheet().isEmpty())
            editor->setStyleSheet(QString());
    }
    error_->clear();
    error_->hide();
}

} // namespace kvscope::views
