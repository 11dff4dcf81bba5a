// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_panel.h"

#include "core/codec/presets.h"
#include "views/chart_parts.h"
#include "views/chart_widget.h"
#include "views/codec_plan_bar.h"
#include "views/codec_stage_editor.h"
#include "views/codec_summary.h"
#include "views/codec_table.h"
#include "views/equal_error.h"
#include "views/flow_layout.h"
#include "views/number_format.h"
#include "views/theme.h"

#include <QComboBox>
#include <QFile>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QPainter>
#include <QSaveFile>
#include <QSettings>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QStandardItemModel>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace kvscope::views {

namespace {

/// Charts lower than this say nothing.
constexpr double kLeastChartHeight = 160;
/// A plan is a page of text; what is much larger is not one.
constexpr qint64 kMostPlanBytes = qint64{16} << 20;

QToolButton* makeButton(const QString& name, const QString& text, const QString& help) {
    auto* button = new QToolButton;
    button->setObjectName(name);
    button->setText(text);
    button->setToolTip(help);
    button->setFocusPolicy(Qt::TabFocus);
    return button;
}

QString filter() {
    return CodecPanel::tr("Codec plans (*.json);;All files (*)");
}

} // namespace

CodecPanel::CodecPanel(Document* document, SelectionModel* selection, QWidget* parent)
    : CodecView(document, selection, parent)
    , controls_(new FlowLayout(nullptr, 5))
    , plans_(new CodecPlanBar(session()))
    , summary_(new CodecSummary)
    , table_(new CodecTable(session(), *selection))
    , stages_(new CodecStageEditor) {
    rows()->addLayout(controls_);
    rows()->addWidget(plans_);
    rows()->addWidget(summary_);
    addState();
    rows()->addWidget(table_, 1);
    rows()->addWidget(stages_);
    makeControls();
    makeFileButtons();
    table_->setToolTip(tr("Type bits (3), a step (0.45s) or a preset for the selected cells; drag the arrows at the "
                          "left of a cell, or press [ and ], for finer and coarser; Ctrl+D copies down"));
    setFocusProxy(table_);
    connect(table_, &CodecTable::cellsSelected, this, &CodecPanel::showStages);
    connect(table_, &CodecTable::refused, this, &CodecPanel::refuse);
    connect(stages_, &CodecStageEditor::edited, this, &CodecPanel::editStages);
}

void CodecPanel::makeControls() {
    presets_ = new QComboBox;
    presets_->setObjectName(QStringLiteral("presets"));
    presets_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    presets_->setMinimumContentsLength(14);
    presets_->setToolTip(tr("Named plans; each says what it does when you point at it"));
    presets_->setAccessibleName(tr("Presets"));
    std::optional<PresetFamily> family;
    for (const PresetInfo& preset : kvscope::presets()) {
        if (!preset.inPanel)
            continue;
        if (family && *family != preset.family)
            presets_->insertSeparator(presets_->count());
        family = preset.family;
        presets_->addItem(QString::fromStdString(preset.name));
        presets_->setItemData(presets_->count() - 1, QString::fromStdString(preset.explanation), Qt::ToolTipRole);
    }
    presets_->setCurrentText(QString::fromLatin1(CodecSession::kFirstPreset));
    controls_->addWidget(presets_);
    load_ = makeButton(QStringLiteral("loadPreset"), tr("Load"), tr("Make the preset the current plan"));
    apply_ = makeButton(QStringLiteral("applyPreset"), tr("To cells"),
                        tr("Give the preset's settings to the selected cells of the table alone"));
    controls_->addWidget(load_);
    controls_->addWidget(apply_);
    connect(load_, &QToolButton::clicked, this, [this] { session().loadPreset(presets_->currentText()); });
    connect(apply_, &QToolButton::clicked, this,
            [this] { session().applyPreset(presets_->currentText(), table_->selectedCells()); });

    const auto addSpin = [this](const QString& name, const QString& label, const QString& suffix, int least, int most,
                                const QString& help) {
        auto* spin = new QSpinBox;
        spin->setObjectName(name);
        spin->setRange(least, most);
        spin->setSuffix(suffix);
        spin->setKeyboardTracking(false);
        spin->setToolTip(help);
        spin->setAccessibleName(label);
        auto* pair = new QWidget;
        auto* row = new QHBoxLayout(pair);
        row->setContentsMargins(0, 0, 0, 0);
        row->setSpacing(3);
        auto* text = new QLabel(label);
        text->setBuddy(spin);
        text->setToolTip(help);
        row->addWidget(text);
        row->addWidget(spin);
        controls_->addWidget(pair);
        return spin;
    };
    chunk_ = addSpin(QStringLiteral("chunkTokens"), tr("Chunk"), tr(" tokens"), 1, static_cast<int>(kMaxChunkTokens),
                     tr("Tokens of a chunk: what can be read, sent and decoded by itself"));
    chunk_->setValue(static_cast<int>(kDefaultChunkTokens));
    connect(chunk_, &QSpinBox::valueChanged, this, [this](int tokens) {
        if (session().planCount() == 0)
            return;
        if (const auto done =
                session().edit(tr("chunks of %1 tokens").arg(tokens), withChunkTokens(session().plan(), tokens));
            !done)
            refuse(done.error());
    });
    prefill_ = addSpin(QStringLiteral("prefill"), tr("Prefill"), tr(" tok/s"), 1, 10'000'000,
                       tr("Tokens a second that the model's prefill computes, to compare encoding with"));
    prefill_->setValue(static_cast<int>(session().prefillTokensPerSecond()));
    connect(prefill_, &QSpinBox::valueChanged, this, [this](int rate) { session().setPrefillTokensPerSecond(rate); });
}

void CodecPanel::makeFileButtons() {
    auto* open = makeButton(QStringLiteral("openPlan"), tr("Open\u2026"), tr("Read a plan from a JSON file"));
    auto* save = makeButton(QStringLiteral("savePlan"), tr("Save\u2026"), tr("Write the current plan as JSON"));
    controls_->addWidget(open);
    controls_->addWidget(save);
    connect(open, &QToolButton::clicked, this, [this] {
        const QString folder = QSettings().value(QStringLiteral("planFolder")).toString();
        const QString path = QFileDialog::getOpenFileName(this, tr("Open a plan"), folder, filter());
        if (!path.isEmpty())
            openPlan(path);
    });
    connect(save, &QToolButton::clicked, this, [this] {
        if (session().planCount() == 0)
            return;
        const QString folder = QSettings().value(QStringLiteral("planFolder")).toString();
        const QString name = QString::fromStdString(session().plan().name) + QStringLiteral(".json");
        const QString path =
            QFileDialog::getSaveFileName(this, tr("Save the plan"), folder + QLatin1Char('/') + name, filter());
        if (!path.isEmpty())
            savePlan(path);
    });
    for (const bool forward : {false, true}) {
        auto* button = makeButton(forward ? QStringLiteral("redoEdit") : QStringLiteral("undoEdit"),
                                  forward ? tr("Redo") : tr("Undo"),
                                  forward ? tr("Make the change again") : tr("Take back the last change"));
        controls_->addWidget(button);
        connect(button, &QToolButton::clicked, this, [this, forward] {
            if (forward)
                session().undoStack().redo();
            else
                session().undoStack().undo();
        });
    }
}

void CodecPanel::openPlan(const QString& path) {
    const auto unreadable = [&](const QString& why) {
        refuse({tr("cannot be read: %1").arg(why).toStdString(), path.toStdString(),
                tr("Choose a plan written by KVScope").toStdString(), Error::Kind::System});
    };
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly)) {
        unreadable(file.errorString());
        return;
    }
    if (file.size() > kMostPlanBytes) {
        unreadable(tr("it is larger than a plan can be"));
        return;
    }
    auto plan = planFromJson(file.readAll().toStdString(), path.toStdString());
    if (!plan) {
        refuse(plan.error());
        return;
    }
    QSettings().setValue(QStringLiteral("planFolder"), QFileInfo(path).absolutePath());
    if (plan->name.empty())
        plan->name = QFileInfo(path).completeBaseName().toStdString();
    if (const auto done = session().edit(tr("open plan"), std::move(*plan)); !done)
        refuse(done.error());
}

void CodecPanel::savePlan(const QString& path) {
    QSaveFile file(path);
    const QByteArray text = QByteArray::fromStdString(toJson(session().plan())) + '\n';
    if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size() || !file.commit()) {
        refuse({tr("cannot be written: %1").arg(file.errorString()).toStdString(), path.toStdString(),
                tr("Choose a folder that you may write to").toStdString(), Error::Kind::System});
        return;
    }
    QSettings().setValue(QStringLiteral("planFolder"), QFileInfo(path).absolutePath());
}

void CodecPanel::refuse(const Error& error) {
    showError(QString::fromStdString(error.message()));
}

CodecSession::Interest CodecPanel::interest() const {
    return {.pinned = false, .first = table_->visiblePlanes()};
}

void CodecPanel::display() {
    const bool there = session().planCount() > 0;
    for (QWidget* widget : std::initializer_list<QWidget*>{apply_, chunk_, table_})
        widget->setEnabled(there);
    if (there) {
        const QSignalBlocker quiet(chunk_);
        chunk_->setValue(static_cast<int>(session().plan().chunkTokens));
    }
    table_->cells().refresh();
    table_->followSelection();
    auto figures = summaryFigures(session().report(), session().kinds());
    if (const auto gain = gainOverPresets(session()))
        figures.push_back(
            {tr("%1 %").arg(formatNumber(-100 * gain->share, 2)),
             tr("of size at the error of %1").arg(QString::fromStdString(gain->against)),
             tr("The plan is %1: bits a value against what the preset would need there.").arg(toText(*gain)),
             QStringLiteral("gain")});
    summary_->setFigures(std::move(figures), !session().isComplete());
    showStages();
}

void CodecPanel::showStages() {
    Shown shown;
    const auto cells = table_->selectedCells();
    const auto current = table_->currentCell();
    if (current && session().planCount() > 0) {
        const CodecPlan& plan = session().plan();
        shown.pipeline = plan.pipelineFor(current->layer, current->kind, 0);
        shown.various = std::ranges::any_of(cells, [&](LayerKind cell) {
            const auto segments = segmentsOf(plan, cell);
            return segments.size() > 1 || segments.front().pipeline != *shown.pipeline;
        });
        shown.title = cells.size() > 1
                          ? tr("Stages of %n cells", nullptr, static_cast<int>(cells.size()))
                          : tr("Stages of layer %1 %2").arg(current->layer.value).arg(kindText(current->kind));
    } else {
        shown.title = tr("Select cells to edit their stages");
    }
    if (shownStages_ == shown)
        return;
    stages_->setPipeline(shown.pipeline, shown.title, shown.various);
    shownStages_ = std::move(shown);
}

void CodecPanel::editStages(const QString& what, const std::function<void(Pipeline&)>& change) {
    const auto done =
        session().adjustCells(what, table_->selectedCells(), [&change](Pipeline pipeline) -> Result<Pipeline> {
            change(pipeline);
            return pipeline;
        });
    if (!done)
        stages_->showError(done.error());
}

StatisticsTable CodecPanel::numbers(bool readable) const {
    StatisticsTable table;
    table.columns = {{tr("Layer"), {}, {}},
                     {tr("Kind"), {}, {}},
                     {tr("Setting"), {}, {}},
                     {tr("Bits"), tr("a value"), explain::bitsPerValue()},
                     {tr("Ratio"), tr("to 16 bit"), explain::ratio()},
                     {tr("Error"), tr("NMSEc of K, NMSE of V"), {}}};
    if (!readable) {
        table.columns.push_back({tr("Cosine"), {}, {}});
        table.columns.push_back({tr("Largest error"), {}, {}});
        for (const BytePart part : kAllByteParts)
            table.columns.push_back({nameOf(part), tr("bytes"), explain::bytePart(part)});
    }
    for (LayerIndex layer(0); layer.value < geometry().layerCount(); ++layer) {
        for (const PlaneKind kind : session().kinds()) {
            const QModelIndex index = table_->cells().indexOf({layer, kind});
            const EncodeTotals totals = session().report().totals(layer, kind);
            if (totals.values == 0)
                continue;
            std::vector<QVariant> row{static_cast<qlonglong>(layer.value),
                                      kindText(kind),
                                      index.data(CodecTableModel::SettingRole),
                                      totals.bitsPerValue(),
                                      totals.ratio(),
                                      totals.hasError ? QVariant(headlineError(kind, totals.error)) : QVariant()};
            if (!readable) {
                const TensorError error = totals.error.result();
                row.push_back(error.cosine ? QVariant(*error.cosine) : QVariant());
                row.emplace_back(error.max);
                for (const BytePart part : kAllByteParts)
                    row.emplace_back(static_cast<qlonglong>(totals.parts[part]));
            }
            table.rows.push_back(std::move(row));
        }
    }
    return table;
}

QString CodecPanel::exportName() const {
    return tr("codec plan");
}

void CodecPanel::paintTo(QPainter& painter, const QRectF& target) {
    const Theme theme = Theme::from(palette());
    painter.fillRect(target, theme.background);
    QRectF rest = paintError(painter, plans_->paintTo(painter, target.adjusted(8, 6, -8, -6)));
    rest = summary_->paintTo(painter, rest.adjusted(4, 0, -4, 0)).adjusted(0, 8, 0, 0);
    const StatisticsTable table = numbers(true);
    const QFont font = chartFont(*this);
    paintTable(painter, rest, table, theme, font);
    // What room is left under the table shows the same figures as charts.
    const double tableHeight = (static_cast<double>(table.rows.size()) + 1) * (QFontMetricsF(font).height() + 3) + 16;
    rest.adjust(-4, tableHeight, 4, 0);
    if (rest.height() < kLeastChartHeight)
        return;
    for (const bool error : {false, true}) {
        ChartWidget chart;
        chart.setPalette(palette());
        chart.setData(layerChart(error));
        chart.paintTo(
            painter, QRectF(rest.left() + (error ? rest.width() / 2 : 0), rest.top(), rest.width() / 2, rest.height()));
    }
}

ChartData CodecPanel::layerChart(bool error) const {
    ChartData chart;
    chart.xTitle = tr("layer");
    chart.yTitle = error ? tr("error (NMSEc of K, NMSE of V)") : tr("bits/value");
    chart.xIndex = true;
    chart.fromZero = !error;
    chart.yLog = error;
    chart.emptyText = tr("Encoding\u2026");
    for (const PlaneKind kind : session().kinds()) {
        ChartSeries series;
        series.name = kindText(kind);
        series.kind = kind;
        series.markers = true;
        for (LayerIndex layer(0); layer.value < geometry().layerCount(); ++layer) {
            const EncodeTotals totals = session().report().totals(layer, kind);
            const double value = error ? headlineError(kind, totals.error) : totals.bitsPerValue();
            if (totals.values == 0 || (error && value <= 0))
                continue;
            series.x.push_back(static_cast<double>(layer.value));
            series.y.push_back(value);
        }
        if (!series.x.empty())
            chart.series.push_back(std::move(series));
    }
    if (error && chart.series.empty() && session().isComplete())
        chart.emptyText = tr("every bit comes back");
    return chart;
}

QString CodecPanel::toCsv() const {
    return numbers(false).toCsv();
}

} // namespace kvscope::views
