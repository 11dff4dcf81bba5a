// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/open_dialog.h"

#include "app/screen_fit.h"
#include "core/io/axes.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QTableWidget>
#include <QVBoxLayout>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace kvscope::app {

namespace {

constexpr std::array kDtypes{DType::F16,    DType::BF16,   DType::F32, DType::F64,
                             DType::F8E4M3, DType::F8E5M2, DType::I8,  DType::U8};

QString textOf(const std::optional<std::int64_t>& number) {
    return number ? QString::number(*number) : QString();
}

std::optional<std::int64_t> numberOf(const QLineEdit* edit) {
    bool valid = false;
    const qlonglong number = edit->text().trimmed().toLongLong(&valid);
    return valid ? std::optional<std::int64_t>(number) : std::nullopt;
}

QLineEdit* numberField(const std::optional<std::int64_t>& value, const QString& name) {
    auto* edit = new QLineEdit(textOf(value));
    edit->setPlaceholderText(QObject::tr("from the file"));
    edit->setAccessibleName(name);
    return edit;
}

/// Each axis at most once, from the letters that OpenOptions::axes knows.
bool isAxes(const QString& text) {
    std::set<QChar> seen;
    return std::all_of(text.begin(), text.end(), [&](QChar letter) {
        return QStringLiteral("SLXHTDC").contains(letter) && seen.insert(letter).second;
    });
}

} // namespace

OpenDialog::OpenDialog(const QString& path, const OpenOptions& options, const std::vector<LayoutCandidate>& layouts,
                       bool isOpen, QWidget* parent)
    : QDialog(parent)
    , original_(options)
    , layouts_(new QTableWidget)
    , axes_(new QLineEdit(QString::fromStdString(options.axes.value_or(""))))
    , dtype_(new QComboBox)
    , layers_(numberField(options.layers, tr("Layers")))
    , heads_(numberField(options.heads, tr("KV heads")))
    , headDim_(numberField(options.headDim, tr("Head dimension")))
    , tokens_(numberField(options.tokens, tr("Tokens")))
    , offset_(numberField(options.offset, tr("Offset in bytes")))
    , sequence_(numberField(options.sequence, tr("Sequence")))
    , position_(numberField(options.firstPosition, tr("First position")))
    , theta_(new QLineEdit(options.ropeTheta ? QString::number(*options.ropeTheta) : QString()))
    , pairing_(new QComboBox)
    , hadamard_(new QComboBox)
    , config_(new QLineEdit(options.configPath ? QString::fromStdString(options.configPath->string()) : QString()))
    , problem_(new QLabel) {
    setWindowTitle(tr("How to read %1").arg(QFileInfo(path).fileName()));
    fillLayouts(layouts);

    axes_->setPlaceholderText(isOpen ? tr("from the file") : tr("needed where the file does not say, e.g. LXTHD"));
    axes_->setToolTip(
        tr("Axes from the outermost to the innermost: S sequence of the batch, L layer, X key/value, H head, T token, "
           "D dimension within the head, C channel (heads merged)"));
    if (!isOpen) {
        for (QLineEdit* edit : {layers_, heads_, headDim_, tokens_})
            edit->setPlaceholderText(tr("one of these four may follow from the file's size"));
    }
    dtype_->addItem(isOpen ? tr("from the file") : tr("as the file says (choose where it has no header)"));
    for (const DType dtype : kDtypes) {
        dtype_->addItem(QString::fromUtf8(nameOf(dtype).data()), static_cast<int>(dtype));
        if (options.dtype == dtype)
            dtype_->setCurrentIndex(dtype_->count() - 1);
    }
    offset_->setToolTip(tr("Bytes before the first value of raw data"));
    sequence_->setPlaceholderText(tr("all, or the longest"));
    sequence_->setToolTip(tr("Id of the sequence to open, where the sequences of a llama.cpp state differ in length"));
    position_->setPlaceholderText(isOpen ? tr("from the file") : tr("0"));
    position_->setToolTip(tr("Place of the first token in the text. RoPE turns K by positions; a dump of a later part "
                             "of a text starts after 0"));
    theta_->setPlaceholderText(tr("from the file or config.json"));
    theta_->setToolTip(tr("Base of the rotary position embedding; 10000 for Llama 2, 500000 for Llama 3"));
    pairing_->addItem(tr("from the file"));
    pairing_->addItem(tr("half-split (Hugging Face)"), static_cast<int>(Rope::Pairing::HalfSplit));
    pairing_->addItem(tr("interleaved (llama.cpp, GPT-J)"), static_cast<int>(Rope::Pairing::Interleaved));
    pairing_->setCurrentIndex(!options.ropePairing ? 0 : *options.ropePairing == Rope::Pairing::HalfSplit ? 1 : 2);
    pairing_->setToolTip(tr("Which two dimensions of a head RoPE turns together"));
    hadamard_->setObjectName(QStringLiteral("hadamard"));
    hadamard_->addItems({tr("not known"), tr("no: as stored"), tr("yes: undo it")});
    hadamard_->setCurrentIndex(!options.undoHadamard ? 0 : *options.undoHadamard ? 2 : 1);
    hadamard_->setToolTip(
        tr("llama.cpp can store quantised K and V rotated by a Hadamard matrix without saying so in the file"));
    config_->setPlaceholderText(tr("config.json beside the dump"));
    auto* browse = new QPushButton(tr("&Browse ..."));
    connect(browse, &QPushButton::clicked, this, [this, path] {
        const QString file = QFileDialog::getOpenFileName(this, tr("Model configuration"),
                                                          QFileInfo(path).absolutePath(), tr("config.json (*.json)"));
        if (!file.isEmpty())
            config_->setText(file);
    });
    auto* configRow = new QHBoxLayout;
    configRow->addWidget(config_, 1);
    configRow->addWidget(browse);

    auto* form = new QFormLayout;
    form->addRow(tr("&Axes"), axes_);
    form->addRow(QString(), makeExamples());
    form->addRow(tr("&Type of the values"), dtype_);
    form->addRow(tr("&Layers"), layers_);
    form->addRow(tr("KV &heads"), heads_);
    form->addRow(tr("Head &dimension"), headDim_);
    form->addRow(tr("To&kens"), tokens_);
    form->addRow(tr("&Offset (bytes)"), offset_);
    form->addRow(tr("Se&quence"), sequence_);
    form->addRow(tr("&First position"), position_);
    form->addRow(tr("&RoPE theta"), theta_);
    form->addRow(tr("RoPE &pairs"), pairing_);
    form->addRow(tr("Hada&mard rotation"), hadamard_);
    form->addRow(tr("Model configuration"), configRow);
    if (QFileInfo(path).isDir())
        form->addRow(tr("Order of the &files"), makeOrder(path));

    problem_->setObjectName(QStringLiteral("problem"));
    problem_->setWordWrap(true);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel);
    buttons->button(QDialogButtonBox::Ok)->setText(isOpen ? tr("Read again") : tr("Open"));
    connect(buttons, &QDialogButtonBox::accepted, this, &OpenDialog::acceptIfValid);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);

    auto* layout = new QVBoxLayout(this);
    layout->addWidget(layouts_);
    layout->addLayout(form);
    layout->addWidget(problem_);
    layout->addWidget(buttons);
    resizeWithinScreen(*this, {640, layouts.empty() ? 540 : 700});
}

void OpenDialog::fillLayouts(const std::vector<LayoutCandidate>& layouts) {
    layouts_->setVisible(!layouts.empty());
    layouts_->setObjectName(QStringLiteral("layouts"));
    layouts_->setAccessibleName(tr("Possible layouts"));
    layouts_->setColumnCount(4);
    layouts_->setHorizontalHeaderLabels({tr("Axes"), tr("Meaning"), tr("How sure"), tr("Why")});
    layouts_->setRowCount(static_cast<int>(layouts.size()));
    layouts_->setSelectionBehavior(QAbstractItemView::SelectRows);
    layouts_->setSelectionMode(QAbstractItemView::SingleSelection);
    layouts_->setEditTriggers(QAbstractItemView::NoEditTriggers);
    layouts_->verticalHeader()->hide();
    for (int row = 0; row < layouts_->rowCount(); ++row) {
        const LayoutCandidate& layout = layouts[static_cast<std::size_t>(row)];
        layouts_->setItem(row, 0, new QTableWidgetItem(QString::fromStdString(layout.axes)));
        layouts_->setItem(row, 1, new QTableWidgetItem(QString::fromStdString(describeAxes(layout.axes))));
        layouts_->setItem(row, 2, new QTableWidgetItem(tr("%1 %").arg(layout.confidence * 100, 0, 'f', 0)));
        layouts_->setItem(row, 3, new QTableWidgetItem(QString::fromStdString(layout.evidence)));
    }
    for (int column = 0; column + 1 < layouts_->columnCount(); ++column)
        layouts_->resizeColumnToContents(column);
    layouts_->verticalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    layouts_->horizontalHeader()->setStretchLastSection(true);
    connect(layouts_, &QTableWidget::itemSelectionChanged, this, [this] {
        if (const auto chosen = layouts_->selectedItems(); !chosen.isEmpty())
            axes_->setText(chosen.front()->text());
    });
}

QWidget* OpenDialog::makeOrder(const QString& folder) {
    order_ = new QListWidget;
    order_->setObjectName(QStringLiteral("order"));
    order_->setAccessibleName(tr("Files in the order of their tokens"));
    order_->setToolTip(
        tr("Drag the chunks into the order of their tokens; LMCache names them by hashes, which do not tell it"));
    order_->setDragDropMode(QAbstractItemView::InternalMove);
    QStringList names = QDir(folder).entryList(QDir::Files, QDir::Time | QDir::Reversed);
    for (auto name = original_.fileOrder.rbegin(); name != original_.fileOrder.rend(); ++name) {
        const qsizetype at = names.indexOf(QString::fromStdString(*name));
        if (at >= 0)
            names.move(at, 0);
    }
    initialOrder_ = names;
    order_->addItems(names);
    order_->setMaximumHeight(140);
    return order_;
}

QWidget* OpenDialog::makeExamples() {
    const std::array examples{
        std::pair("LXHTD", tr("layer, key/value, head, token, dimension: stacked Hugging Face caches")),
        std::pair("LXTHD", tr("layer, key/value, token, head, dimension: CacheGen, vLLM")),
        std::pair("XLTC", tr("key/value, layer, token, channel: heads merged")),
        std::pair("HTD", tr("one K or V of one layer: head, token, dimension"))};
    QStringList lines;
    for (const auto& [axes, meaning] : examples)
        lines << QStringLiteral("<a href=\"%1\">%1</a> %2").arg(QLatin1String(axes), meaning.toHtmlEscaped());
    auto* label = new QLabel(lines.join(QStringLiteral("<br>")));
    label->setObjectName(QStringLiteral("axesExamples"));
    label->setTextFormat(Qt::RichText);
    label->setTextInteractionFlags(Qt::LinksAccessibleByMouse | Qt::LinksAccessibleByKeyboard);
    connect(label, &QLabel::linkActivated, axes_, &QLineEdit::setText);
    return label;
}

bool OpenDialog::validate() {
    const auto refuse = [this](const QString& text, QWidget* field) {
        problem_->setText(text);
        field->setFocus();
        return false;
    };
    if (!isAxes(axes_->text().trimmed()))
        return refuse(tr("Axes are letters of SLXHTDC, each at most once, e.g. LXHTD"), axes_);
    for (QLineEdit* edit : {layers_, heads_, headDim_, tokens_, offset_, sequence_, position_}) {
        const QString text = edit->text().trimmed();
        const std::int64_t least = edit == offset_ || edit == sequence_ || edit == position_ ? 0 : 1;
        if (!text.isEmpty() && numberOf(edit).value_or(-1) < least)
            return refuse(
                tr("%1: \"%2\" is not a whole number of at least %3").arg(edit->accessibleName(), text).arg(least),
                edit);
    }
    bool valid = true;
    const double theta = theta_->text().trimmed().isEmpty() ? 1.0 : theta_->text().trimmed().toDouble(&valid);
    if (!valid || theta <= 0)
        return refuse(tr("RoPE theta must be a positive number, e.g. 10000"), theta_);
    return true;
}

void OpenDialog::acceptIfValid() {
    if (validate())
        accept();
}

OpenOptions OpenDialog::options() const {
    OpenOptions options = original_;
    const QString axes = axes_->text().trimmed();
    options.axes = axes.isEmpty() ? std::nullopt : std::optional(axes.toStdString());
    options.dtype =
        dtype_->currentIndex() == 0 ? std::nullopt : std::optional(static_cast<DType>(dtype_->currentData().toInt()));
    options.layers = numberOf(layers_);
    options.heads = numberOf(heads_);
    options.headDim = numberOf(headDim_);
    options.tokens = numberOf(tokens_);
    options.offset = numberOf(offset_);
    options.sequence = numberOf(sequence_);
    options.firstPosition = numberOf(position_);
    const QString theta = theta_->text().trimmed();
    options.ropeTheta = theta.isEmpty() ? std::nullopt : std::optional(theta.toDouble());
    options.ropePairing = pairing_->currentIndex() == 0
                              ? std::nullopt
                              : std::optional(static_cast<Rope::Pairing>(pairing_->currentData().toInt()));
    options.undoHadamard =
        hadamard_->currentIndex() == 0 ? std::nullopt : std::optional(hadamard_->currentIndex() == 2);
    if (order_ != nullptr) {
        QStringList names;
        for (int row = 0; row < order_->count(); ++row)
            names.append(order_->item(row)->text());
        if (names != initialOrder_) {
            options.fileOrder.clear();
            for (const QString& name : names)
                options.fileOrder.push_back(name.toStdString());
        }
    }
    const QString config = config_->text().trimmed();
    options.configPath = config.isEmpty() ? std::nullopt : std::optional<std::filesystem::path>(config.toStdString());
    return options;
}

} // namespace kvscope::app
