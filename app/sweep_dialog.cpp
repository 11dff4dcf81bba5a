// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/sweep_dialog.h"

#include "app/screen_fit.h"
#include "core/codec/pipeline_json.h"
#include "core/codec/presets.h"
#include "views/codec_view.h"
#include "views/number_format.h"
#include "views/run_async.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDir>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QGroupBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QSaveFile>
#include <QSettings>
#include <QSpinBox>
#include <QTableWidget>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace kvscope::app {

namespace {

constexpr int kRefreshMs = 100;
constexpr auto kFolder = "sweepFolder";
enum DumpColumn { kName, kCorpus, kRun, kRole, kDumpColumns };

QStringList presetNames(bool panelOnly) {
    QStringList names;
    for (const PresetInfo& preset : presets()) {
        if (!panelOnly || preset.inPanel)
            names << QString::fromStdString(preset.name);
    }
    return names;
}

/// The names typed, or those that the entry stands for; an error names the first that is not known.
Result<QStringList> methodsFrom(const QComboBox& box) {
    const QVariant known = box.findText(box.currentText()) == box.currentIndex() ? box.currentData() : QVariant();
    if (known.isValid())
        return known.toStringList();
    QStringList names;
    for (const QString& name : box.currentText().split(QLatin1Char(','), Qt::SkipEmptyParts)) {
        KVSCOPE_TRY(findPreset(name.trimmed().toStdString()));
        names << name.trimmed();
    }
    return names;
}

QString kindName(PlaneKind kind) {
    return views::kindText(kind);
}

QVariant orNothing(const std::optional<double>& value) {
    return value ? QVariant(*value) : QVariant();
}

/// One line of the results; K, V or latent figures stand under the same headings for all dumps of a sort.
std::vector<QVariant> cellsOf(const SweepRow& row, const std::vector<PlaneKind>& kinds, const QString& role) {
    std::vector<QVariant> cells{QString::fromStdString(row.dump), QString::fromStdString(row.corpus),
                                QString::fromStdString(row.run), role, QString::fromStdString(row.method)};
    if (!row.problem.empty()) {
        cells.emplace_back(QObject::tr("does not fit"));
        return cells;
    }
    cells.emplace_back(row.passed ? QObject::tr("passed") : QObject::tr("failed"));
    cells.emplace_back(row.all.bitsPerValue());
    cells.emplace_back(row.all.ratio());
    cells.emplace_back(row.all.publishedRatio());
    for (const PlaneKind kind : kinds) {
        const auto found = row.kinds.find(kind);
        if (found == row.kinds.end()) {
            cells.resize(cells.size() + 4);
            continue;
        }
        const EncodeTotals& totals = found->second;
        const TensorError error = totals.error.result();
        cells.emplace_back(totals.bitsPerValue());
        cells.emplace_back(headlineError(kind, totals.error));
        cells.push_back(orNothing(error.cosine));
        cells.emplace_back(error.meanAbs);
    }
    cells.push_back(orNothing(row.attention));
    cells.push_back(orNothing(row.all.encodeGBps()));
    cells.push_back(orNothing(row.all.decodeGBps()));
    cells.push_back(row.timeToPrefill ? QVariant(100 * *row.timeToPrefill) : QVariant());
    return cells;
}

views::StatisticsTable tableOf(const std::vector<std::pair<const SweepRow*, QString>>& rows) {
    std::vector<PlaneKind> kinds;
    for (const auto& [row, role] : rows) {
        for (const auto& [kind, totals] : row->kinds) {
            if (std::ranges::find(kinds, kind) == kinds.end())
                kinds.push_back(kind);
        }
    }
    std::ranges::sort(kinds);
    views::StatisticsTable table;
    table.columns = {
        {QObject::tr("Dump"), {}, {}},
        {QObject::tr("Corpus"), {}, QObject::tr("Which texts; dumps of one corpus and run are summed up")},
        {QObject::tr("Run"), {}, {}},
        {QObject::tr("Role"), {}, QObject::tr("Dumps held out are not looked at by the search")},
        {QObject::tr("Method"), {}, {}},
        {QObject::tr("Strict"), {}, QObject::tr("Whether every kind keeps to the thresholds")},
        {QObject::tr("Bits"), QObject::tr("a value"), views::explain::bitsPerValue()},
        {QObject::tr("Ratio"), QObject::tr("to 16 bit"), views::explain::ratio()},
        {QObject::tr("As published"), QObject::tr("ratio to 16 bit"),
         QObject::tr("By the published method's own accounting, which may leave out what a decoder needs")}};
    for (const PlaneKind kind : kinds) {
        const QString name = kindName(kind) + QLatin1Char(' ');
        table.columns.push_back({name + QObject::tr("bits"), QObject::tr("a value"), views::explain::bitsPerValue()});
        table.columns.push_back({name + views::errorName(kind), {}, views::explain::headlineError(kind)});
        table.columns.push_back({name + QObject::tr("cosine"), {}, QObject::tr("Of values and decoded values")});
        table.columns.push_back({name + QObject::tr("MAE"), {}, QObject::tr("Mean absolute error")});
    }
    table.columns.push_back({QObject::tr("Attention"), QObject::tr("relative error"),
                             QObject::tr("Of the attention output, root mean square over layers; empty where the dump "
                                         "has no queries")});
    table.columns.push_back({QObject::tr("Encode"), QObject::tr("GB/s a core"), {}});
    table.columns.push_back({QObject::tr("Decode"), QObject::tr("GB/s a core"), {}});
    table.columns.push_back({QObject::tr("Encoding"), QObject::tr("% of prefill"),
                             QObject::tr("Time to encode against the prefill of the same tokens at the rate above")});
    for (const auto& [row, role] : rows) {
        table.rows.push_back(cellsOf(*row, kinds, role));
        table.rowExplanations.push_back(QString::fromStdString(row->problem));
    }
    return table;
}

QString bestText(const QString& name, const std::optional<SearchResult>& search) {
    if (!search)
        return {};
    QStringList kinds;
    for (const auto& [kind, best] : search->kinds)
        kinds << QObject::tr("%1 %2 bits a value: %3")
                     .arg(kindName(kind), views::formatNumber(best.bitsPerValue, 3),
                          QString::fromStdString(kvscope::describe(best.pipeline)));
    return QObject::tr("Smallest %1 that passes (%2 tried): %3.")
        .arg(name)
        .arg(search->tried)
        .arg(kinds.isEmpty() ? QObject::tr("none") : kinds.join(QStringLiteral("; ")));
}

QDoubleSpinBox* thresholdBox(const QString& name, double value, double most, int decimals) {
    auto* box = new QDoubleSpinBox;
    box->setObjectName(name);
    box->setDecimals(decimals);
    box->setRange(0, most);
    box->setSingleStep(std::pow(10.0, 1 - decimals));
    box->setValue(value);
    return box;
}

} // namespace

SweepDialog::SweepDialog(ThreadPool& pool, QWidget* parent)
    : QDialog(parent)
    , pool_(pool) {
    setWindowTitle(tr("Sweep: methods over dumps"));
    auto* rows = new QVBoxLayout(this);
    auto* top = new QHBoxLayout;
    top->addWidget(makeDumps(), 3);
    top->addWidget(makeOptions(), 2);
    rows->addLayout(top);
    rows->addWidget(makeResults(), 1);
    ticker_.setInterval(kRefreshMs);
    connect(&ticker_, &QTimer::timeout, this, [this] {
        showRows();
        showState();
    });
    showRows();
    showState();
    resizeWithinScreen(*this, {1180, 720});
}

SweepDialog::~SweepDialog() {
    if (running_)
        running_->stop.request_stop();
}

QWidget* SweepDialog::makeDumps() {
    auto* box = new QGroupBox(tr("Dumps"));
    auto* rows = new QVBoxLayout(box);
    dumps_ = new QTableWidget(0, kDumpColumns);
    dumps_->setObjectName(QStringLiteral("sweepDumps"));
    dumps_->setHorizontalHeaderLabels({tr("Dump"), tr("Corpus"), tr("Run"), tr("Role")});
    dumps_->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
    dumps_->horizontalHeader()->setSectionResizeMode(kName, QHeaderView::Stretch);
    dumps_->verticalHeader()->hide();
    dumps_->setSelectionBehavior(QAbstractItemView::SelectRows);
    dumps_->setTabKeyNavigation(false);
    dumps_->setMinimumHeight(110);
    dumps_->setToolTip(tr("Corpus and run can be typed over; dumps that have both in common are summed up"));
    rows->addWidget(dumps_);
    auto* buttons = new QHBoxLayout;
    const auto addButton = [&](const QString& text, const QString& help, auto act) {
        auto* button = new QPushButton(text);
        button->setToolTip(help);
        button->setAutoDefault(false);
        connect(button, &QPushButton::clicked, this, act);
        buttons->addWidget(button);
    };
    addButton(tr("&Add files ..."), tr("Dumps of any format; folders name corpus and run"), [this] {
        const QString folder = QSettings().value(QLatin1String(kFolder)).toString();
        addFiles(QFileDialog::getOpenFileNames(this, tr("Dumps for the sweep"), folder));
    });
    addButton(
        tr("&Manifest ..."), tr(R"(A JSON file {"dumps": [{"file": "a.npy", "corpus": "news", "run": "1"}]})"), [this] {
            const QString folder = QSettings().value(QLatin1String(kFolder)).toString();
            const QString path = QFileDialog::getOpenFileName(this, tr("Manifest"), folder, tr("Manifests (*.json)"));
            if (!path.isEmpty())
                addManifest(path);
        });
    addButton(tr("&Remove"), tr("Take the selected dumps off the list"), [this] { removeSelected(); });
    buttons->addStretch();
    rows->addLayout(buttons);
    return box;
}

QWidget* SweepDialog::makeOptions() {
    auto* box = new QGroupBox(tr("Methods and thresholds"));
    auto* form = new QFormLayout(box);
    methods_ = new QComboBox;
    methods_->setObjectName(QStringLiteral("sweepMethods"));
    methods_->setEditable(true);
    methods_->setInsertPolicy(QComboBox::NoInsert);
    methods_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    methods_->setMinimumContentsLength(24);
    methods_->setToolTip(tr("Choose a set, or type names of presets with commas between"));
    methods_->addItem(tr("methods of the codec panel"), presetNames(true));
    methods_->addItem(tr("all methods, with all comparison coders"), presetNames(false));
    methods_->addItem(tr("none"), QStringList());
    form->addRow(tr("M&ethods"), methods_);
    auto* also = new QVBoxLayout;
    withPlan_ = new QCheckBox(tr("the tuned &plan"));
    withPlan_->setToolTip(tr("Also try the current plan of the codec panel"));
    search_ = new QCheckBox(tr("sear&ch the smallest that passes"));
    search_->setObjectName(QStringLiteral("sweepSearch"));
    search_->setToolTip(tr("Over bits, block size and top-k of block-norm, and over the step of kvz"));
    also->addWidget(withPlan_);
    also->addWidget(search_);
    form->addRow(tr("Also"), also);
    const StrictThresholds strict;
    cosine_ = thresholdBox(QStringLiteral("sweepCosine"), strict.cosine, 1, 6);
    keyMae_ = thresholdBox(QStringLiteral("sweepKeyMae"), strict.keyMae, 1e6, 4);
    valueMae_ = thresholdBox(QStringLiteral("sweepValueMae"), strict.valueMae, 1e6, 4);
    const QString strictly = tr("What every dump must keep to, K and V each, to be marked passed");
    for (const auto& [text, spin] :
         {std::pair(tr("Strict: cosine \u2265"), cosine_), std::pair(tr("K MAE \u2264"), keyMae_),
          std::pair(tr("V MAE \u2264"), valueMae_)}) {
        spin->setToolTip(strictly);
        form->addRow(text, spin);
    }
    prefill_ = new QSpinBox;
    prefill_->setRange(1, 10'000'000);
    prefill_->setValue(8000);
    prefill_->setSuffix(tr(" tokens/s"));
    prefill_->setToolTip(tr("What the model's prefill computes, to compare the time of encoding with"));
    form->addRow(tr("Pre&fill"), prefill_);
    return box;
}

QWidget* SweepDialog::makeResults() {
    auto* box = new QWidget;
    auto* rows = new QVBoxLayout(box);
    rows->setContentsMargins(0, 0, 0, 0);
    auto* bar = new QHBoxLayout;
    start_ = new QPushButton;
    start_->setObjectName(QStringLiteral("sweepStart"));
    start_->setDefault(true);
    progress_ = new QProgressBar;
    progress_->setRange(0, 1000);
    progress_->setObjectName(QStringLiteral("sweepProgress"));
    save_ = new QPushButton(tr("&Save results ..."));
    save_->setToolTip(tr("As text, CSV or JSON"));
    save_->setAutoDefault(false);
    bar->addWidget(start_);
    bar->addWidget(progress_, 1);
    bar->addWidget(save_);
    rows->addLayout(bar);
    message_ = new QLabel;
    message_->setObjectName(QStringLiteral("sweepMessage"));
    message_->setWordWrap(true);
    message_->setTextFormat(Qt::PlainText);
    message_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    rows->addWidget(message_);
    table_ = new views::StatisticsTableView;
    table_->setObjectName(QStringLiteral("sweepResults"));
    rows->addWidget(table_, 1);
    connect(start_, &QPushButton::clicked, this, [this] { isRunning() ? stop() : start(); });
    connect(save_, &QPushButton::clicked, this, [this] {
        const QString folder = QSettings().value(QLatin1String(kFolder)).toString();
        const QString path =
            QFileDialog::getSaveFileName(this, tr("Save results"), folder + QStringLiteral("/sweep.csv"),
                                         tr("CSV (*.csv);;JSON (*.json);;Text (*.txt)"));
        if (!path.isEmpty())
            save(path);
    });
    return box;
}

void SweepDialog::list(Listed dump, const QString& name, const QString& corpus, const QString& run, bool heldOut) {
    const int row = dumps_->rowCount();
    dumps_->insertRow(row);
    auto* item = new QTableWidgetItem(name);
    item->setFlags(item->flags() & ~Qt::ItemIsEditable);
    item->setToolTip(dump.path);
    dumps_->setItem(row, kName, item);
    dumps_->setItem(row, kCorpus, new QTableWidgetItem(corpus));
    dumps_->setItem(row, kRun, new QTableWidgetItem(run));
    auto* role = new QComboBox;
    role->addItems({tr("tuned on"), tr("held out")});
    role->setCurrentIndex(heldOut ? 1 : 0);
    role->setToolTip(
        tr("Held out: the same methods and the configurations found by the search are tried on it, but the "
           "search does not look at it"));
    dumps_->setCellWidget(row, kRole, role);
    listed_.push_back(std::move(dump));
    showState();
}

void SweepDialog::addDump(const KvCache& cache, bool heldOut) {
    const CacheInfo& info = cache.info();
    const QString path = QString::fromStdString(info.path.string());
    QDir folder = QFileInfo(path).absoluteDir();
    const QString run = path.isEmpty() ? QString() : folder.dirName();
    const bool hasAbove = !path.isEmpty() && folder.cdUp() && !folder.isRoot();
    list({cache, path}, QString::fromStdString(info.name), hasAbove ? folder.dirName() : QString(), run, heldOut);
}

void SweepDialog::addFiles(const QStringList& paths) {
    for (const QString& path : paths) {
        const QFileInfo file(path);
        QDir folder = file.absoluteDir();
        const QString run = folder.dirName();
        const bool hasAbove = folder.cdUp() && !folder.isRoot();
        list({std::nullopt, path}, file.fileName(), hasAbove ? folder.dirName() : QString(), run, false);
        QSettings().setValue(QLatin1String(kFolder), file.absolutePath());
    }
}

void SweepDialog::addManifest(const QString& path) {
    start_->setEnabled(false);
    say(tr("Reading %1 \u2026").arg(path), false);
    views::runAsync(
        pool_, this, [path] { return readSweepManifest(path, {}); },
        [this](Result<std::vector<SweepDump>> dumps) {
            if (!dumps) {
                say(QString::fromStdString(dumps.error().message()), true);
                showState();
                return;
            }
            say({}, false);
            for (SweepDump& dump : *dumps)
                list({dump.cache, QString::fromStdString(dump.cache.info().path.string())},
                     QString::fromStdString(dump.name), QString::fromStdString(dump.corpus),
                     QString::fromStdString(dump.run), false);
            showState();
        });
}

void SweepDialog::removeSelected() {
    const auto selected = dumps_->selectionModel()->selectedRows();
    std::vector<int> rows;
    for (const QModelIndex& index : selected)
        rows.push_back(index.row());
    std::ranges::sort(rows, std::greater<>());
    for (const int row : rows) {
        dumps_->removeRow(row);
        listed_.erase(listed_.begin() + row);
    }
    showState();
}

void SweepDialog::setPlan(const std::optional<CodecPlan>& plan) {
    plan_ = plan;
    withPlan_->setEnabled(plan.has_value());
    withPlan_->setChecked(plan.has_value());
    if (plan)
        withPlan_->setText(tr("the tuned &plan (%1)").arg(QString::fromStdString(plan->name)));
}

void SweepDialog::start() {
    if (isRunning() || listed_.empty())
        return;
    const auto methods = methodsFrom(*methods_);
    if (!methods) {
        say(QString::fromStdString(methods.error().message()), true);
        return;
    }
    running_ = std::make_shared<Running>();
    rows_.clear();
    outcome_.reset();
    say({}, false);
    progress_->setFormat(tr("opening"));
    SweepRequest request;
    request.presets = *methods;
    if (withPlan_->isChecked() && plan_)
        request.plans.push_back(*plan_);
    request.search = search_->isChecked();
    request.options.thresholds = {cosine_->value(), keyMae_->value(), valueMae_->value()};
    request.options.prefillTokensPerSecond = prefill_->value();
    // What the sweep says from its thread is taken on the window's, while it is still wanted.
    const auto tell = [dialog = QPointer<SweepDialog>(this), running = running_](auto say) {
        QMetaObject::invokeMethod(
            QCoreApplication::instance(),
            [dialog, running, say = std::move(say)] {
                if (dialog && dialog->running_ == running)
                    say(*dialog);
            },
            Qt::QueuedConnection);
    };
    request.options.rowDone = [tell](const SweepRow& row) { tell([row](SweepDialog& dialog) { dialog.take(row); }); };
    request.stage = [tell](const QString& stage) {
        tell([stage](SweepDialog& dialog) { dialog.progress_->setFormat(stage + QStringLiteral(", %p %")); });
    };
    struct Place {
        Listed dump;
        std::string name;
        std::string corpus;
        std::string run;
        bool heldOut = false;
    };
    std::vector<Place> places;
    for (int row = 0; row < dumps_->rowCount(); ++row) {
        const auto text = [&](int column) { return dumps_->item(row, column)->text().toStdString(); };
        const auto* role = qobject_cast<const QComboBox*>(dumps_->cellWidget(row, kRole));
        places.push_back({listed_[static_cast<std::size_t>(row)], text(kName), text(kCorpus), text(kRun),
                          role != nullptr && role->currentIndex() == 1});
    }
    const auto work = [request = std::move(request), places = std::move(places), running = running_,
                       &pool = pool_]() mutable -> Result<SweepOutcome> {
        const JobControl job{running->stop.get_token(), &running->progress};
        for (const Place& place : places) {
            std::optional<KvCache> cache = place.dump.cache;
            if (!cache) {
                KVSCOPE_ASSIGN(OpenedDump opened,
                               openDump(place.dump.path.toStdString(), {}, JobControl{job.stop, nullptr}));
                cache = std::move(opened.cache);
            }
            (place.heldOut ? request.heldOut : request.dumps)
                .push_back({std::move(*cache), place.name, place.corpus, place.run});
        }
        return runSweepRequest(request, pool, job);
    };
    views::runAsync(pool_, this, work, [this, running = running_](Result<SweepOutcome> outcome) {
        if (running_ == running)
            finish(std::move(outcome));
    });
    ticker_.start();
    showRows();
    showState();
}

void SweepDialog::stop() {
    if (running_)
        running_->stop.request_stop();
}

void SweepDialog::take(const SweepRow& row) {
    rows_.push_back(row);
}

void SweepDialog::finish(Result<SweepOutcome> outcome) {
    running_.reset();
    ticker_.stop();
    if (outcome) {
        outcome_ = std::move(*outcome);
        const auto passed = std::ranges::count_if(
            outcome_->rows, [](const SweepRow& row) { return row.passed && row.problem.empty(); });
        QStringList sentences{tr("%1 of %2 pass.").arg(passed).arg(outcome_->rows.size())};
        for (const QString& best :
             {bestText(tr("block-norm"), outcome_->blockNorm), bestText(tr("kvz step"), outcome_->kvz)}) {
            if (!best.isEmpty())
                sentences << best;
        }
        say(sentences.join(QLatin1Char('\n')), false);
    } else if (outcome.error().kind == Error::Kind::Cancelled) {
        say(tr("Stopped; what was measured before stays."), false);
    } else {
        say(QString::fromStdString(outcome.error().message()), true);
    }
    showRows();
    showState();
}

void SweepDialog::showRows() {
    std::vector<std::pair<const SweepRow*, QString>> shown;
    std::vector<SweepRow> groups;
    if (outcome_) {
        for (const SweepRow& row : outcome_->rows)
            shown.emplace_back(&row, QString());
        groups = groupRows(outcome_->rows);
        for (SweepRow& group : groups) {
            group.dump = tr("all of the run").toStdString();
            shown.emplace_back(&group, tr("sum"));
        }
        for (const SweepRow& row : outcome_->heldOut)
            shown.emplace_back(&row, tr("held out"));
    } else {
        for (const SweepRow& row : rows_)
            shown.emplace_back(&row, QString());
    }
    if (isRunning() && !shown.empty() && shown.size() == table_->table().rows.size())
        return;
    table_->setTable(tableOf(shown));
    table_->resizeColumnsToContents();
}

void SweepDialog::showState() {
    start_->setText(isRunning() ? tr("S&top") : tr("S&tart"));
    start_->setEnabled(isRunning() || !listed_.empty());
    progress_->setVisible(isRunning());
    if (running_)
        progress_->setValue(static_cast<int>(running_->progress.fraction() * 1000));
    save_->setEnabled(outcome_.has_value() || (!isRunning() && !rows_.empty()));
}

QString SweepDialog::message() const {
    return message_->text();
}

void SweepDialog::say(const QString& text, bool error) {
    message_->setText(error ? QStringLiteral("\u26a0 ") + text : text);
    message_->setVisible(!text.isEmpty());
}

void SweepDialog::save(const QString& path) {
    const QString suffix = QFileInfo(path).suffix().toLower();
    const SweepFormat format = suffix == QLatin1String("csv")    ? SweepFormat::Csv
                               : suffix == QLatin1String("json") ? SweepFormat::Json
                                                                 : SweepFormat::Text;
    SweepOutcome partial;
    partial.rows = rows_;
    const QByteArray text = sweepText(outcome_ ? *outcome_ : partial, format).toUtf8();
    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size() || !file.commit()) {
        say(tr("%1 cannot be written: %2. Choose a folder that you may write to.").arg(path, file.errorString()), true);
        return;
    }
    QSettings().setValue(QLatin1String(kFolder), QFileInfo(path).absolutePath());
    say(tr("Saved %1.").arg(path), false);
}

} // namespace kvscope::app
