// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/kvz_export_dialog.h"

#include "app/screen_fit.h"
#include "core/codec/presets.h"
#include "views/number_format.h"
#include "views/run_async.h"

#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QSettings>
#include <QVBoxLayout>

#include <algorithm>

namespace kvscope::app {

namespace {

constexpr int kTickMs = 80;
constexpr auto kFolder = "kvzFolder";
/// Place in plans_ of a row; -1 for presets.
constexpr int kPlanRole = Qt::UserRole;
/// Name of a row's preset.
constexpr int kNameRole = Qt::UserRole + 1;

QString describe(const KvzReport& report, const QString& path) {
    QStringList levels;
    for (const EncodeReport& level : report.levels) {
        const EncodeTotals all = level.totals();
        levels << KvzExportDialog::tr("%1: %2, %3 bits a value, %4\u00d7 smaller than 16 bit")
                      .arg(QString::fromStdString(level.plan.name), QLocale().formattedDataSize(all.bytes()),
                           views::formatNumber(all.bitsPerValue(), 3), views::formatNumber(all.ratio(), 3));
    }
    return KvzExportDialog::tr("Wrote %1, %2.\n%3")
        .arg(path, QLocale().formattedDataSize(report.fileBytes), levels.join(QLatin1Char('\n')));
}

/// The plans of the presets, then the others; all with the chunks of the first of the others, where there is one.
Result<std::vector<CodecPlan>> plansFor(const KvCache& cache, const std::vector<std::string>& names,
                                        std::vector<CodecPlan> others, const std::stop_token& stop) {
    std::vector<CodecPlan> plans;
    for (const std::string& name : names) {
        KVSCOPE_ASSIGN(CodecPlan plan, makePreset(name, cache, JobControl{stop, nullptr}));
        plans.push_back(std::move(plan));
    }
    // A level is found by its name.
    for (CodecPlan& plan : others) {
        const std::string base = plan.name.empty() ? "plan" : plan.name;
        plan.name = base;
        for (int i = 2; std::ranges::find(plans, plan.name, &CodecPlan::name) != plans.end(); ++i)
            plan.name = base + " (" + std::to_string(i) + ")";
        plans.push_back(std::move(plan));
    }
    return plans;
}

} // namespace

KvzExportDialog::KvzExportDialog(views::Document& document, QWidget* parent)
    : QDialog(parent)
    , document_(&document)
    , levels_(new QListWidget)
    , path_(new QLineEdit)
    , message_(new QLabel)
    , progress_(new QProgressBar)
    , start_(new QPushButton)
    , open_(new QPushButton(tr("&Open it"))) {
    const CacheInfo& info = document.cache().info();
    setWindowTitle(tr("Export %1 encoded").arg(QString::fromStdString(info.name)));
    auto* rows = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    levels_->setObjectName(QStringLiteral("kvzLevels"));
    levels_->setToolTip(tr("Each level is the whole dump encoded with one plan; a receiver or a reader takes one"));
    form->addRow(tr("&Levels"), levels_);
    auto* text = new QLabel(hasText(info) ? tr("The tokens themselves go with it (%1): the level \"text\", below all "
                                               "others, from which a model computes K and V again.")
                                                .arg(QLocale().formattedDataSize(textBytes(info)))
                                          : tr("The dump has no tokens, so that the file will have no text level."));
    text->setWordWrap(true);
    form->addRow(tr("Text"), text);
    auto* target = new QHBoxLayout;
    path_->setObjectName(QStringLiteral("kvzPath"));
    auto* choose = new QPushButton(tr("&Choose ..."));
    choose->setAutoDefault(false);
    target->addWidget(path_, 1);
    target->addWidget(choose);
    auto* file = new QLabel(tr("&File"));
    file->setBuddy(path_);
    form->addRow(file, target);
    rows->addLayout(form, 1);
    message_->setObjectName(QStringLiteral("kvzMessage"));
    message_->setWordWrap(true);
    message_->setTextFormat(Qt::PlainText);
    message_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    rows->addWidget(message_);
    auto* bar = new QHBoxLayout;
    progress_->setRange(0, 1000);
    progress_->setTextVisible(false);
    open_->setAutoDefault(false);
    start_->setDefault(true);
    start_->setObjectName(QStringLiteral("kvzStart"));
    bar->addWidget(progress_, 1);
    bar->addStretch();
    bar->addWidget(open_);
    bar->addWidget(start_);
    rows->addLayout(bar);
    connect(choose, &QPushButton::clicked, this, &KvzExportDialog::choosePath);
    connect(start_, &QPushButton::clicked, this, [this] { isRunning() ? stop() : start(); });
    connect(open_, &QPushButton::clicked, this, [this] { emit openRequested(written_); });
    connect(path_, &QLineEdit::textChanged, this, &KvzExportDialog::showState);
    connect(levels_, &QListWidget::itemChanged, this, &KvzExportDialog::showState);
    ticker_.setInterval(kTickMs);
    connect(&ticker_, &QTimer::timeout, this, &KvzExportDialog::showState);
    connect(document_, &QObject::destroyed, this, &QWidget::close);
    fillLevels();
    const QFileInfo source(QString::fromStdString(info.path.string()));
    const QString folder = QSettings().value(QLatin1String(kFolder), source.absolutePath()).toString();
    const QString base = source.completeBaseName().isEmpty() ? tr("dump") : source.completeBaseName();
    setPath(QDir(folder).filePath(base + QStringLiteral(".kvz")));
    say({}, false);
    showState();
    resizeWithinScreen(*this, {560, 460});
}

KvzExportDialog::~KvzExportDialog() {
    if (running_)
        running_->stop.request_stop();
}

void KvzExportDialog::fillLevels() {
    const views::CodecSession& session = views::CodecSession::of(*document_);
    const auto add = [&](const QString& text, const QString& name, int plan, const QString& help) {
        auto* item = new QListWidgetItem(text, levels_);
        item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
        item->setCheckState(plan == 0 ? Qt::Checked : Qt::Unchecked);
        item->setData(kPlanRole, plan);
        item->setData(kNameRole, name);
        item->setToolTip(help);
    };
    for (std::size_t slot = 0; slot < session.planCount(); ++slot) {
        const QString name = QString::fromStdString(session.plan(slot).name);
        plans_.push_back(session.plan(slot));
        add(slot == 0 ? tr("%1, the tuned plan").arg(name)
                      : tr("%1, pinned as %2").arg(name, views::CodecSession::letter(slot)),
            name, static_cast<int>(slot), {});
    }
    for (const PresetInfo& preset : presets()) {
        const QString name = QString::fromStdString(preset.name);
        const bool listed =
            std::ranges::any_of(plans_, [&](const CodecPlan& plan) { return plan.name == preset.name; });
        if (preset.inPanel && !listed)
            add(name, name, -1, QString::fromStdString(preset.explanation));
    }
    if (plans_.empty() && levels_->count() > 0)
        levels_->item(0)->setCheckState(Qt::Checked);
    levels_->setCurrentRow(0);
}

void KvzExportDialog::setPath(const QString& path) {
    path_->setText(path);
}

void KvzExportDialog::setLevels(const QStringList& names) {
    for (int row = 0; row < levels_->count(); ++row) {
        QListWidgetItem* item = levels_->item(row);
        item->setCheckState(names.contains(item->data(kNameRole).toString()) ? Qt::Checked : Qt::Unchecked);
    }
}

void KvzExportDialog::choosePath() {
    const QString path =
        QFileDialog::getSaveFileName(this, tr("Export encoded cache"), path_->text(), tr("KVScope containers (*.kvz)"));
    if (!path.isEmpty())
        setPath(path.endsWith(QLatin1String(".kvz")) ? path : path + QStringLiteral(".kvz"));
}

void KvzExportDialog::start() {
    if (isRunning() || !document_)
        return;
    std::vector<std::string> names;
    std::vector<CodecPlan> plans;
    for (int row = 0; row < levels_->count(); ++row) {
        const QListWidgetItem* item = levels_->item(row);
        if (item->checkState() != Qt::Checked)
            continue;
        const int plan = item->data(kPlanRole).toInt();
        if (plan >= 0)
            plans.push_back(plans_[static_cast<std::size_t>(plan)]);
        else
            names.push_back(item->data(kNameRole).toString().toStdString());
    }
    if (names.empty() && plans.empty()) {
        say(tr("There is no level to write. Check one or several."), true);
        return;
    }
    running_ = std::make_shared<Running>();
    running_->path = path_->text();
    written_.clear();
    say({}, false);
    views::runAsync(
        document_->pool(), this,
        [cache = document_->cache(), &pool = document_->pool(), names, plans,
         running = running_]() -> Result<KvzReport> {
            const std::filesystem::path path = running->path.toStdString();
            KVSCOPE_ASSIGN(const auto all, plansFor(cache, names, plans, running->stop.get_token()));
            EncodeOptions options;
            options.measureError = false;
            return writeKvz(path, cache, all, pool, options, JobControl{running->stop.get_token(), &running->progress});
        },
        [this](Result<KvzReport> report) { finish(std::move(report)); });
    ticker_.start();
    showState();
}

void KvzExportDialog::stop() {
    if (running_)
        running_->stop.request_stop();
}

void KvzExportDialog::finish(Result<KvzReport> report) {
    const auto running = std::exchange(running_, nullptr);
    ticker_.stop();
    if (report) {
        written_ = running->path;
        QSettings().setValue(QLatin1String(kFolder), QFileInfo(written_).absolutePath());
        say(describe(*report, written_), false);
    } else if (report.error().kind == Error::Kind::Cancelled) {
        say(tr("Stopped; no file was written, and one that was there before is as it was."), false);
    } else {
        say(QString::fromStdString(report.error().message()), true);
    }
    showState();
}

void KvzExportDialog::showState() {
    start_->setText(isRunning() ? tr("&Stop") : tr("&Export"));
    start_->setEnabled(isRunning() || path_->text().endsWith(QLatin1String(".kvz")));
    start_->setToolTip(start_->isEnabled() ? QString() : tr("The name of the file must end in .kvz"));
    progress_->setVisible(isRunning());
    if (running_)
        progress_->setValue(static_cast<int>(running_->progress.fraction() * 1000));
    open_->setVisible(!written_.isEmpty() && !isRunning());
    levels_->setEnabled(!isRunning());
    path_->setEnabled(!isRunning());
}

QString KvzExportDialog::message() const {
    return message_->text();
}

void KvzExportDialog::say(const QString& text, bool error) {
    message_->setText(error ? QStringLiteral("\u26a0 ") + text : text);
    message_->setVisible(!text.isEmpty());
}

} // namespace kvscope::app
