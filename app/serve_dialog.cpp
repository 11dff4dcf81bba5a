// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/serve_dialog.h"

#include "app/form_rows.h"
#include "views/own_levels.h"
#include "views/timeline_picture.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSlider>
#include <QSpinBox>
#include <QTableWidget>
#include <QVBoxLayout>

namespace kvscope::app {

namespace {

constexpr int kTickMs = 250;
constexpr int kUsualPort = 7878;
constexpr double kFaultDelay = 0.5;
enum What : int { OwnLevels, Place };

} // namespace

ServeDialog::ServeDialog(ThreadPool& pool, views::Document* document, const QString& file, QWidget* parent)
    : QDialog(parent)
    , pool_(pool)
    , document_(document)
    , file_(file)
    , server_(pool)
    , what_(new QComboBox)
    , path_(new QLineEdit)
    , choose_(new QPushButton(tr("&Choose ...")))
    , address_(new QComboBox)
    , port_(new QSpinBox)
    , slider_(new QSlider(Qt::Horizontal))
    , rate_(new QDoubleSpinBox)
    , unlimited_(new QCheckBox(tr("as &fast as it goes")))
    , rtt_(new QDoubleSpinBox)
    , loss_(new QDoubleSpinBox)
    , jitter_(new QDoubleSpinBox)
    , fault_(new QComboBox)
    , chunk_(new QSpinBox)
    , inject_(new QPushButton(tr("Let it &happen")))
    , receivers_(new QTableWidget(0, 2))
    , sent_(new QLabel)
    , message_(new QLabel)
    , progress_(new QProgressBar)
    , start_(new QPushButton) {
    setWindowTitle(tr("Serve a cache"));
    auto* rows = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    makeSource(*form);
    makeLink(*form);
    makeFaults(*form);
    rows->addLayout(form);
    receivers_->setObjectName(QStringLiteral("serveReceivers"));
    receivers_->setAccessibleName(tr("Receivers that are connected"));
    receivers_->setHorizontalHeaderLabels({tr("Receiver"), tr("Asked last for")});
    receivers_->horizontalHeader()->setStretchLastSection(true);
    receivers_->setColumnWidth(0, 200);
    receivers_->verticalHeader()->hide();
    receivers_->setEditTriggers(QAbstractItemView::NoEditTriggers);
    receivers_->setSelectionMode(QAbstractItemView::NoSelection);
    rows->addWidget(receivers_, 1);
    sent_->setObjectName(QStringLiteral("serveSent"));
    rows->addWidget(sent_);
    message_->setObjectName(QStringLiteral("serveMessage"));
    message_->setWordWrap(true);
    message_->setTextFormat(Qt::PlainText);
    message_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    rows->addWidget(message_);
    auto* bar = new QHBoxLayout;
    progress_->setRange(0, 1000);
    progress_->setTextVisible(false);
    progress_->setAccessibleName(tr("Progress of encoding"));
    start_->setObjectName(QStringLiteral("serveStart"));
    start_->setDefault(true);
    bar->addWidget(progress_, 1);
    bar->addStretch();
    bar->addWidget(start_);
    rows->addLayout(bar);

    connect(start_, &QPushButton::clicked, this, [this] {
        if (server_.state() == views::LiveServer::State::Stopped)
            return start();
        server_.stop();
        say(tr("Stopped."), false);
    });
    connect(&server_, &views::LiveServer::stateChanged, this, &ServeDialog::showState);
    connect(&server_, &views::LiveServer::receiversChanged, this, &ServeDialog::showReceivers);
    connect(&server_, &views::LiveServer::serving, this, [this] {
        say(tr("Serving on %1:%2. Fetch it with: kvscope fetch %1:%2")
                .arg(address_->currentData().toString())
                .arg(server_.port()),
            false);
        applyRate();
    });
    connect(&server_, &views::LiveServer::troubled, this, [this](const QString& text) { say(text, true); });
    connect(&server_, &views::LiveServer::failed, this,
            [this](const Error& error) { say(QString::fromStdString(error.message()), true); });
    ticker_.setInterval(kTickMs);
    connect(&ticker_, &QTimer::timeout, this, &ServeDialog::tick);
    say({}, false);
    showState();
    showReceivers();
    resize(620, 560);
}

void ServeDialog::makeSource(QFormLayout& form) {
    what_->setObjectName(QStringLiteral("serveWhat"));
    if (document_)
        what_->addItem(file_.isEmpty() ? tr("%1, encoded at each level of the timelines")
                                             .arg(QString::fromStdString(document_->cache().info().name))
                                       : tr("%1, the levels that it has").arg(file_),
                       What::OwnLevels);
    what_->addItem(tr("a .kvz file, a folder of them, or a store"), What::Place);
    what_->setMinimumContentsLength(24);
    what_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    addFormRow(form, tr("&What"), what_, tr("What receivers can ask for, chunk by chunk, at any of its levels"));
    path_->setObjectName(QStringLiteral("servePath"));
    path_->setPlaceholderText(tr("FILE.kvz, FOLDER or redis://HOST:PORT"));
    path_->setAccessibleName(tr("File, folder or store"));
    choose_->setAutoDefault(false);
    connect(choose_, &QPushButton::clicked, this, &ServeDialog::choosePath);
    connect(what_, &QComboBox::currentIndexChanged, this, &ServeDialog::showState);
    connect(path_, &QLineEdit::textChanged, this, &ServeDialog::showState);
    addFormRow(form, tr("&Place"), beside({path_, choose_}),
               tr("A .kvz file, a folder of such files, a chunk store, or the URL of a Redis store"));
}

void ServeDialog::makeLink(QFormLayout& form) {
    address_->setObjectName(QStringLiteral("serveAddress"));
    address_->addItem(tr("this machine alone (127.0.0.1)"), QStringLiteral("127.0.0.1"));
    address_->addItem(tr("all networks (0.0.0.0)"), QStringLiteral("0.0.0.0"));
    port_->setObjectName(QStringLiteral("servePort"));
    port_->setRange(0, 65535);
    port_->setValue(kUsualPort);
    port_->setSpecialValueText(tr("any free one"));
    port_->setAccessibleName(tr("Port"));
    addFormRow(
        form, tr("&Address"), beside({address_, port_}),
        tr("Where to listen. The protocol has no passwords: on all networks anybody who reaches this machine can fetch "
           "the cache"));
    slider_->setObjectName(QStringLiteral("serveSlider"));
    slider_->setRange(0, kRates.steps);
    slider_->setPageStep(100);
    slider_->setAccessibleName(tr("Bandwidth"));
    rate_->setObjectName(QStringLiteral("serveRate"));
    rate_->setRange(kRates.least / 1e9, kRates.most / 1e9);
    rate_->setDecimals(3);
    rate_->setSuffix(tr(" Gbit/s"));
    rate_->setKeyboardTracking(false);
    rate_->setAccessibleName(tr("Bandwidth in Gbit/s"));
    unlimited_->setObjectName(QStringLiteral("serveUnlimited"));
    unlimited_->setChecked(true);
    addFormRow(form, tr("&Bandwidth"), beside({slider_, rate_, unlimited_}),
               tr("Shared by all receivers; takes effect at once, on bytes that are under way too"));
    setRate(4e9);
    connect(slider_, &QSlider::valueChanged, this, [this](int position) {
        unlimited_->setChecked(false);
        setRate(kRates.rateAt(position));
        applyRate();
    });
    connect(rate_, &QDoubleSpinBox::valueChanged, this, [this](double rate) {
        unlimited_->setChecked(false);
        setRate(rate * 1e9);
        applyRate();
    });
    connect(unlimited_, &QCheckBox::toggled, this, &ServeDialog::applyRate);
    rtt_->setObjectName(QStringLiteral("serveRtt"));
    rtt_->setRange(0, 10000);
    rtt_->setDecimals(1);
    rtt_->setSuffix(tr(" ms"));
    rtt_->setAccessibleName(tr("Round trip"));
    loss_->setObjectName(QStringLiteral("serveLoss"));
    loss_->setRange(0, 90);
    loss_->setDecimals(3);
    loss_->setPrefix(tr("loss "));
    loss_->setSuffix(tr(" %"));
    loss_->setAccessibleName(tr("Loss"));
    jitter_->setObjectName(QStringLiteral("serveJitter"));
    jitter_->setRange(0, 10000);
    jitter_->setDecimals(1);
    jitter_->setPrefix(tr("jitter "));
    jitter_->setSuffix(tr(" ms"));
    jitter_->setAccessibleName(tr("Jitter"));
    for (QDoubleSpinBox* box : {rtt_, loss_, jitter_}) {
        box->setKeyboardTracking(false);
        connect(box, &QDoubleSpinBox::valueChanged, this, &ServeDialog::applyDelays);
    }
    addFormRow(form, tr("&Round trip"), beside({rtt_, loss_, jitter_}),
               tr("Added to the network's own: the round trip, the share of packets of 1,500 bytes that are lost and "
                  "sent again, and the deviation of a chunk's delay; they hold for chunks that are sent from then on"));
}

void ServeDialog::makeFaults(QFormLayout& form) {
    using Kind = SenderFault::Kind;
    fault_->setObjectName(QStringLiteral("serveFault"));
    fault_->addItem(tr("lose"), static_cast<int>(Kind::Lose));
    fault_->addItem(tr("corrupt"), static_cast<int>(Kind::Corrupt));
    fault_->addItem(tr("delay by 0.5 s"), static_cast<int>(Kind::Delay));
    fault_->addItem(tr("drop the connection at"), static_cast<int>(Kind::Drop));
    chunk_->setObjectName(QStringLiteral("serveFaultChunk"));
    chunk_->setRange(0, 1'000'000);
    chunk_->setPrefix(tr("chunk "));
    chunk_->setAccessibleName(tr("Chunk"));
    inject_->setObjectName(QStringLiteral("serveInject"));
    inject_->setAutoDefault(false);
    connect(inject_, &QPushButton::clicked, this, &ServeDialog::inject);
    addFormRow(form, tr("Fau&lt"), beside({fault_, chunk_, inject_}),
               tr("Goes wrong once, the next time that a receiver asks for the chunk"));
}

void ServeDialog::choosePath() {
    const QString path =
        QFileDialog::getOpenFileName(this, tr("Serve a file"), path_->text(), tr("KVScope containers (*.kvz)"));
    if (!path.isEmpty())
        path_->setText(path);
}

views::LiveServer::Source ServeDialog::source() const {
    if (what_->currentData().toInt() == What::Place || !file_.isEmpty()) {
        const QString place = what_->currentData().toInt() == What::Place ? path_->text() : file_;
        return [where = place.toStdString()](const JobControl&) { return openShelf(where); };
    }
    const views::OwnLevelsRequest request = views::ownLevelsFor(views::StreamSession::of(*document_));
    return [cache = document_->cache(), request, &pool = pool_](const JobControl& job) -> Result<ContextShelfPtr> {
        KVSCOPE_ASSIGN(const views::OwnLevels levels, views::encodeOwnLevels(cache, request, pool, job));
        return levels.shelf;
    };
}

void ServeDialog::start() {
    if (what_->currentData().toInt() == What::OwnLevels && !document_)
        return say(tr("The dump has been closed. Choose a file or a store."), true);
    SenderOptions options;
    options.bind = address_->currentData().toString().toStdString();
    options.port = static_cast<std::uint16_t>(port_->value());
    options.rttSeconds = rtt_->value() / 1e3;
    options.lossRate = loss_->value() / 100;
    options.jitterSeconds = jitter_->value() / 1e3;
    if (!unlimited_->isChecked())
        options.bitsPerSecond = rate_->value() * 1e9;
    say({}, false);
    lastBytes_ = 0;
    server_.start(source(), options);
}

void ServeDialog::setRate(double bitsPerSecond) {
    const QSignalBlocker quietSlider(slider_);
    const QSignalBlocker quietBox(rate_);
    if (!slider_->isSliderDown())
        slider_->setValue(kRates.positionOf(bitsPerSecond));
    rate_->setValue(bitsPerSecond / 1e9);
}

void ServeDialog::applyRate() {
    server_.setRate(unlimited_->isChecked() ? std::nullopt : std::optional(rate_->value() * 1e9));
}

void ServeDialog::applyDelays() {
    server_.setDelays(rtt_->value() / 1e3, loss_->value() / 100, jitter_->value() / 1e3, SenderOptions().seed);
}

void ServeDialog::inject() {
    const auto kind = static_cast<SenderFault::Kind>(fault_->currentData().toInt());
    server_.inject(
        {kind, static_cast<std::size_t>(chunk_->value()), kind == SenderFault::Kind::Delay ? kFaultDelay : 0});
    say(tr("The next receiver that asks for chunk %1 will see it: %2.").arg(chunk_->value()).arg(fault_->currentText()),
        false);
}

void ServeDialog::showState() {
    using State = views::LiveServer::State;
    const State state = server_.state();
    const bool stopped = state == State::Stopped;
    const bool place = what_->currentData().toInt() == What::Place;
    for (QWidget* widget : std::initializer_list<QWidget*>{what_, address_, port_})
        widget->setEnabled(stopped);
    path_->setEnabled(stopped && place);
    choose_->setEnabled(stopped && place);
    inject_->setEnabled(state == State::Serving);
    start_->setText(stopped ? tr("&Serve") : tr("&Stop"));
    start_->setEnabled(!stopped || !place || !path_->text().isEmpty());
    progress_->setVisible(state == State::Preparing);
    if (stopped)
        ticker_.stop();
    else
        ticker_.start();
    if (state == State::Preparing)
        say(tr("Preparing what is served ..."), false);
    tick();
}

void ServeDialog::tick() {
    progress_->setValue(static_cast<int>(server_.progress() * 1000));
    const std::int64_t bytes = server_.sentBytes();
    const double rate = static_cast<double>(bytes - lastBytes_) * 8e3 / kTickMs;
    lastBytes_ = bytes;
    sent_->setText(tr("Sent %1, now %2").arg(QLocale().formattedDataSize(bytes), views::formatRate(rate)));
    sent_->setVisible(server_.state() == views::LiveServer::State::Serving);
}

void ServeDialog::showReceivers() {
    const auto& receivers = server_.receivers();
    receivers_->setRowCount(static_cast<int>(receivers.size()));
    int row = 0;
    for (const auto& [who, what] : receivers) {
        receivers_->setItem(row, 0, new QTableWidgetItem(QString::fromStdString(who)));
        receivers_->setItem(row, 1, new QTableWidgetItem(what));
        ++row;
    }
}

QString ServeDialog::message() const {
    return message_->text();
}

void ServeDialog::say(const QString& text, bool error) {
    message_->setText(error ? QStringLiteral("\u26a0 ") + text : text);
    message_->setVisible(!text.isEmpty());
}

} // namespace kvscope::app
