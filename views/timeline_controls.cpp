// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/timeline_controls.h"

#include "core/stream/model_geometry.h"
#include "core/stream/trace_presets.h"
#include "core/stream/trace_reader.h"
#include "core/stream/trace_shapes.h"
#include "views/flow_layout.h"
#include "views/number_format.h"
#include "views/player_icon.h"
#include "views/rate_scale.h"
#include "views/run_async.h"
#include "views/timeline_picture.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QEvent>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QMenu>
#include <QSignalBlocker>
#include <QSlider>
#include <QSpinBox>
#include <QToolButton>
#include <QWidgetAction>

#include <algorithm>
#include <cmath>

namespace kvscope::views {

namespace {

constexpr double kTraceSeconds = 600;
/// Added to the seed for what is drawn for the second path.
constexpr std::uint64_t kSecondDraw = 1000;
const QString kFileEntry = QStringLiteral("file");
const QString kDrawnEntry = QStringLiteral("drawn");

constexpr RateScale kRates{StreamSession::kLeastRate, StreamSession::kMostRate, TimelineControls::kSliderSteps};

QDoubleSpinBox* makeBox(const char* name, double least, double most, int decimals, double step, const QString& suffix) {
    auto* box = new QDoubleSpinBox;
    box->setObjectName(QLatin1String(name));
    box->setRange(least, most);
    box->setDecimals(decimals);
    box->setSingleStep(step);
    box->setSuffix(suffix);
    box->setKeyboardTracking(false);
    return box;
}

QSpinBox* makeCountBox(const char* name, int least, int most, int step) {
    auto* box = new QSpinBox;
    box->setObjectName(QLatin1String(name));
    box->setRange(least, most);
    box->setSingleStep(step);
    box->setGroupSeparatorShown(true);
    box->setKeyboardTracking(false);
    return box;
}

void put(QDoubleSpinBox& box, double value) {
    const QSignalBlocker quiet(box);
    box.setValue(value);
}

void put(QSpinBox& box, std::int64_t value) {
    const QSignalBlocker quiet(box);
    box.setValue(static_cast<int>(value));
}

QString fromView(std::string_view text) {
    return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

} // namespace

TimelineControls::TimelineControls(StreamSession& session, QWidget* parent)
    : QWidget(parent)
    , session_(&session)
    , row_(new FlowLayout(this)) {
    row_->setContentsMargins(0, 0, 0, 0);
    makePlayer();
    makeBandwidth();
    makeContext();
    makeNetwork();
    for (QWidget* control : std::initializer_list<QWidget*>{slider_, rate_, slo_, context_, chunk_})
        control->installEventFilter(this);
    connect(&session, &StreamSession::changed, this, &TimelineControls::showSettings);
    connect(&session.player(), &StreamPlayer::positionChanged, this, &TimelineControls::showPlayer);
    connect(&session.player(), &StreamPlayer::stateChanged, this, &TimelineControls::showPlayer);
    showSettings();
    showPlayer();
}

void TimelineControls::add(QWidget* control, const QString& explanation) {
    control->setToolTip(explanation);
    row_->addWidget(control);
}

void TimelineControls::addLabelled(const QString& label, QWidget* control, const QString& explanation) {
    auto* pair = new QWidget;
    auto* layout = new QHBoxLayout(pair);
    layout->setContentsMargins(0, 0, 4, 0);
    layout->setSpacing(4);
    auto* text = new QLabel(label);
    text->setBuddy(control);
    text->setToolTip(explanation);
    control->setToolTip(explanation);
    QString plain = label;
    control->setAccessibleName(plain.remove(QLatin1Char('&')));
    layout->addWidget(text);
    layout->addWidget(control);
    row_->addWidget(pair);
}

void TimelineControls::change(const QString& what, const std::function<void(StreamSettings&)>& set) {
    if (!session_)
        return;
    StreamSettings next = session_->settings();
    set(next);
    if (!session_->edit(what, next))
        showSettings();
}

void TimelineControls::makePlayer() {
    rewind_ = new QToolButton;
    rewind_->setObjectName(QStringLiteral("rewind"));
    rewind_->setAccessibleName(tr("Back to the request"));
    connect(rewind_, &QToolButton::clicked, this, [this] {
        if (session_)
            session_->player().rewind();
    });
    add(rewind_, tr("Back to the request (Home)"));
    play_ = new QToolButton;
    play_->setObjectName(QStringLiteral("play"));
    connect(play_, &QToolButton::clicked, this, [this] {
        if (session_)
            session_->player().toggle();
    });
    add(play_, tr("Play the run: chunks arrive, the heatmaps fill; the bandwidth may be pulled meanwhile (Space)"));
    speed_ = new QComboBox;
    for (const double speed : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0})
        speed_->addItem(tr("%1\u00d7").arg(speed), speed);
    speed_->setAccessibleName(tr("Speed of playing"));
    connect(speed_, &QComboBox::activated, this, [this] {
        if (session_)
            session_->player().setSpeed(speed_->currentData().toDouble());
    });
    add(speed_, tr("How fast a run is played; 0.1\u00d7 makes two seconds last twenty"));
    position_ = new QLabel;
    position_->setObjectName(QStringLiteral("position"));
    position_->setMinimumWidth(position_->fontMetrics().horizontalAdvance(QStringLiteral("00.000 s ")));
    add(position_, tr("Seconds from the request"));
}

void TimelineControls::makeBandwidth() {
    auto* pair = new QWidget;
    auto* layout = new QHBoxLayout(pair);
    layout->setContentsMargins(0, 0, 4, 0);
    layout->setSpacing(4);
    slider_ = new QSlider(Qt::Horizontal);
    slider_->setObjectName(QStringLiteral("bandwidthSlider"));
    slider_->setRange(0, kSliderSteps);
    slider_->setSingleStep(10);
    slider_->setPageStep(100);
    slider_->setMinimumWidth(150);
    slider_->setAccessibleName(tr("Bandwidth"));
    rate_ =
        makeBox("bandwidth", StreamSession::kLeastRate / 1e9, StreamSession::kMostRate / 1e9, 3, 0.5, tr(" Gbit/s"));
    rate_->setAccessibleName(tr("Bandwidth in Gbit/s"));
    const QString help = tr("Mean bandwidth of the trace. While a run is played: the bandwidth from now on; what was "
                            "before stays.");
    slider_->setToolTip(help);
    rate_->setToolTip(help);
    auto* label = new QLabel(tr("&Bandwidth"));
    label->setBuddy(rate_);
    layout->addWidget(label);
    layout->addWidget(slider_);
    layout->addWidget(rate_);
    row_->addWidget(pair);
    connect(slider_, &QSlider::sliderPressed, this, [this] {
        if (session_)
            session_->beginStroke(tr("bandwidth"));
    });
    connect(slider_, &QSlider::sliderReleased, this, [this] {
        if (session_)
            session_->endStroke();
    });
    connect(slider_, &QSlider::valueChanged, this, [this](int position) {
        if (session_)
            session_->setBandwidth(kRates.rateAt(position));
    });
    connect(rate_, &QDoubleSpinBox::valueChanged, this, [this](double rate) {
        if (session_)
            session_->setBandwidth(rate * 1e9);
    });
    slo_ = makeBox("slo", StreamSession::kLeastSlo, StreamSession::kMostSlo, 2, 0.1, tr(" s"));
    connect(slo_, &QDoubleSpinBox::valueChanged, this, [this](double seconds) {
        change(tr("SLO"), [seconds](StreamSettings& settings) { settings.sloSeconds = seconds; });
    });
    addLabelled(tr("&SLO"), slo_, tr("Service-level objective: the first token should come within so long"));
}

void TimelineControls::makeContext() {
    model_ = new QComboBox;
    for (const ModelGeometry& model : modelGeometries())
        model_->addItem(fromView(model.name), fromView(model.id));
    model_->addItem(tr("the dump as it is"), QString());
    model_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    model_->setMinimumContentsLength(13);
    connect(model_, &QComboBox::activated, this, [this] {
        change(tr("model"), [this](StreamSettings& settings) {
            settings.model = model_->currentData().toString().toStdString();
            if (const ModelGeometry* model = findModelGeometry(settings.model))
                settings.compute.attentionShare = model->attentionShare;
        });
    });
    addLabelled(tr("Project&ed to"), model_,
                tr("Projected: the bits a value measured on the open dump, level by level and by depth, applied to "
                   "this model's layers, heads and widths. Sizes and errors are predictions, not measurements."));
    context_ = makeCountBox("context", 1, 16'777'216, 1024);
    connect(context_, &QSpinBox::valueChanged, this, [this](int tokens) {
        change(tr("context"), [tokens](StreamSettings& settings) { settings.contextTokens = tokens; });
    });
    addLabelled(tr("C&ontext"), context_, tr("Tokens of the projected context"));
    chunk_ = makeCountBox("chunk", 16, 1'048'576, 256);
    connect(chunk_, &QSpinBox::valueChanged, this, [this](int tokens) {
        change(tr("chunk"), [tokens](StreamSettings& settings) { settings.chunkTokens = tokens; });
    });
    addLabelled(tr("C&hunk"), chunk_, tr("Tokens a chunk: each comes in a form of its own"));
}

void TimelineControls::makeNetwork() {
    network_ = new QComboBox;
    network_->addItem(tr("constant"), QStringLiteral("constant"));
    for (const TracePreset& preset : tracePresets()) {
        network_->addItem(fromView(preset.name), fromView(preset.id));
        network_->setItemData(network_->count() - 1, fromView(preset.origin), Qt::ToolTipRole);
    }
    network_->addItem(tr("sine"), QStringLiteral("sine"));
    network_->addItem(tr("ramp down"), QStringLiteral("ramp"));
    network_->addItem(tr("random walk"), QStringLiteral("walk"));
    network_->addItem(tr("drawn by hand"), kDrawnEntry);
    network_->addItem(tr("trace file ..."), kFileEntry);
    network_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    network_->setMinimumContentsLength(9);
    connect(network_, &QComboBox::activated, this, [this] { chooseNetwork(network_->currentData().toString()); });
    addLabelled(tr("&Network"), network_,
                tr("Shape of the bandwidth over time; the slider sets its mean. Files: Mahimahi, Pensieve, CSV, "
                   "CacheGen. Draw one in the plot."));
    auto* more = new QToolButton;
    more->setObjectName(QStringLiteral("more"));
    more->setText(tr("&More"));
    more->setPopupMode(QToolButton::InstantPopup);
    auto* menu = new QMenu(more);
    auto* action = new QWidgetAction(menu);
    action->setDefaultWidget(makeMore());
    menu->addAction(action);
    more->setMenu(menu);
    add(more, tr("Link and computer: round trip, loss, jitter, a second path, speeds of prefill and of decoding"));
}

QWidget* TimelineControls::makeMore() {
    auto* panel = new QWidget;
    auto* form = new QFormLayout(panel);
    const auto row = [form](const QString& label, QWidget* control, const QString& help) {
        control->setToolTip(help);
        control->setAccessibleName(label);
        form->addRow(label, control);
        form->labelForField(control)->setToolTip(help);
    };
    const auto onBox = [this](QDoubleSpinBox* box, const QString& what, auto set) {
        connect(box, &QDoubleSpinBox::valueChanged, this, [this, what, set](double value) {
            change(what, [set, value](StreamSettings& settings) { set(settings, value); });
        });
    };
    rtt_ = makeBox("rtt", 0, 10000, 1, 5, tr(" ms"));
    onBox(rtt_, tr("round trip"), [](StreamSettings& s, double value) { s.rttSeconds = value / 1e3; });
    row(tr("Round trip"), rtt_, tr("Time for a packet to the sender and back"));
    loss_ = makeBox("loss", 0, 90, 3, 0.1, tr(" %"));
    onBox(loss_, tr("loss"), [](StreamSettings& s, double value) { s.lossRate = value / 100; });
    row(tr("Loss"), loss_, tr("Share of packets of 1,500 bytes that are lost and sent again"));
    jitter_ = makeBox("jitter", 0, 10000, 1, 1, tr(" ms"));
    onBox(jitter_, tr("jitter"), [](StreamSettings& s, double value) { s.jitterSeconds = value / 1e3; });
    row(tr("Jitter"), jitter_, tr("Standard deviation of the extra delay of a chunk"));
    makeSecondPath(*form);
    start_ = makeBox("start", 0, 1e6, 2, 1, tr(" s"));
    onBox(start_, tr("start"), [](StreamSettings& s, double value) { s.traceStart = value; });
    row(tr("Start in the trace"), start_, tr("Where in the trace the request is made"));
    seed_ = makeCountBox("seed", 0, 1'000'000'000, 1);
    connect(seed_, &QSpinBox::valueChanged, this, [this](int seed) {
        change(tr("seed"), [seed](StreamSettings& s) { s.seed = static_cast<std::uint64_t>(seed); });
    });
    row(tr("Seed"), seed_, tr("Draws loss, jitter and random traces; equal seeds give equal runs"));
    prefill_ = makeBox("prefill", 1, 1e7, 0, 500, tr(" tokens/s"));
    prefill_->setGroupSeparatorShown(true);
    onBox(prefill_, tr("prefill"), [](StreamSettings& s, double value) { s.compute.prefillTokensPerSecond = value; });
    row(tr("Prefill"), prefill_, tr("Prompt tokens a second, as a mean over 16,384 tokens; later ones cost more"));
    decode_ = makeBox("decode", 0.01, 10000, 2, 1, tr(" GB/s"));
    onBox(decode_, tr("decoding"),
          [](StreamSettings& s, double value) { s.compute.decodeBytesPerSecond = value * 1e9; });
    row(tr("Decoding"), decode_, tr("Speed of decoding levels, bytes of 16-bit values a second"));
    pieces_ = makeCountBox("pieces", 1, 1024, 1);
    connect(pieces_, &QSpinBox::valueChanged, this, [this](int pieces) {
        change(tr("decoding"), [pieces](StreamSettings& s) { s.compute.decodePieces = pieces; });
    });
    row(tr("Decoded in pieces"), pieces_, tr("A chunk is decoded in so many pieces while the next piece arrives"));
    contention_ = makeBox("contention", 0, 99, 1, 5, tr(" %"));
    onBox(contention_, tr("contention"),
          [](StreamSettings& s, double value) { s.compute.gpuContention = value / 100; });
    row(tr("Decoding slows prefill by"), contention_,
        tr("Share of the prefill's speed that decoding takes while it runs"));
    known_ = new QCheckBox(tr("Bandwidth is known before"));
    connect(known_, &QCheckBox::toggled, this, [this](bool on) {
        change(tr("knowledge of the bandwidth"), [on](StreamSettings& s) { s.bandwidthKnown = on; });
    });
    known_->setToolTip(tr("Strategies know the bandwidth at the request, as from a transfer before"));
    form->addRow(known_);
    return panel;
}

void TimelineControls::makeSecondPath(QFormLayout& form) {
    second_ = new QCheckBox(tr("Second pa&th"));
    second_->setObjectName(QStringLiteral("secondPath"));
    second_->setToolTip(tr("Another network beside the first, or a second sender that holds the same context: each "
                           "chunk comes on the path that is free. Loss and jitter are the same on both"));
    connect(second_, &QCheckBox::toggled, this, [this](bool on) {
        change(on ? tr("second path") : tr("one path"), [this, on](StreamSettings& settings) {
            settings.second.reset();
            if (on) {
                settings.second.emplace();
                settings.second->rttSeconds = secondRtt_->value() / 1e3;
                if (const auto trace = constantTrace(secondRate_->value() * 1e9))
                    settings.second->trace = std::make_shared<const BandwidthTrace>(*trace);
            }
        });
    });
    form.addRow(second_);
    const auto row = [&form](const QString& label, QWidget* control, const QString& help) {
        control->setToolTip(help);
        control->setAccessibleName(tr("Second path: %1").arg(label));
        form.addRow(label, control);
        form.labelForField(control)->setToolTip(help);
        form.labelForField(control)->setContentsMargins(20, 0, 0, 0);
    };
    secondRate_ = makeBox("secondBandwidth", StreamSession::kLeastRate / 1e9, StreamSession::kMostRate / 1e9, 3, 0.5,
                          tr(" Gbit/s"));
    secondRate_->setValue(2);
    connect(secondRate_, &QDoubleSpinBox::valueChanged, this, [this](double rate) {
        setSecond(tr("bandwidth of the second path"), [rate](SecondPath& second) {
            if (const auto scaled = second.trace->scaledToMean(rate * 1e9))
                second.trace = std::make_shared<const BandwidthTrace>(*scaled);
        });
    });
    row(tr("its bandwidth"), secondRate_, tr("Mean bandwidth of the second path; the slider sets the first one's"));
    secondNetwork_ = new QComboBox;
    secondNetwork_->setObjectName(QStringLiteral("secondNetwork"));
    secondNetwork_->addItem(tr("constant"), QStringLiteral("constant"));
    for (const TracePreset& preset : tracePresets())
        secondNetwork_->addItem(fromView(preset.name), fromView(preset.id));
    connect(secondNetwork_, &QComboBox::activated, this, [this] {
        const QString id = secondNetwork_->currentData().toString();
        setSecond(tr("network of the second path"), [&](SecondPath& second) {
            const double mean = second.trace->meanBitsPerSecond();
            const TracePreset* preset = findTracePreset(id.toStdString());
            // Another draw than that of the first path.
            const auto trace = preset == nullptr
                                   ? constantTrace(mean)
                                   : presetTrace(*preset, mean, kTraceSeconds, session_->settings().seed + kSecondDraw);
            if (trace)
                second.trace = std::make_shared<const BandwidthTrace>(*trace);
        });
    });
    row(tr("its network"), secondNetwork_, tr("Shape of the second path's bandwidth over time"));
    secondRtt_ = makeBox("secondRtt", 0, 10000, 1, 5, tr(" ms"));
    secondRtt_->setValue(SecondPath{}.rttSeconds * 1e3);
    connect(secondRtt_, &QDoubleSpinBox::valueChanged, this, [this](double value) {
        setSecond(tr("round trip of the second path"),
                  [value](SecondPath& second) { second.rttSeconds = value / 1e3; });
    });
    row(tr("its round trip"), secondRtt_, tr("Time for a packet to the second sender and back"));
}

void TimelineControls::toggleSecondPath() {
    second_->toggle();
}

void TimelineControls::setSecond(const QString& what, const std::function<void(SecondPath&)>& set) {
    change(what, [&set](StreamSettings& settings) {
        if (settings.second)
            set(*settings.second);
    });
}

void TimelineControls::showSecond(const std::optional<SecondPath>& second) {
    {
        const QSignalBlocker quiet(second_);
        second_->setChecked(second.has_value());
    }
    for (QWidget* control : std::initializer_list<QWidget*>{secondRate_, secondNetwork_, secondRtt_})
        control->setEnabled(second.has_value());
    if (!second)
        return;
    put(*secondRate_, second->trace->meanBitsPerSecond() / 1e9);
    put(*secondRtt_, second->rttSeconds * 1e3);
    const QSignalBlocker quiet(secondNetwork_);
    secondNetwork_->setCurrentIndex(
        std::max(0, secondNetwork_->findText(QString::fromStdString(second->trace->name()))));
}

void TimelineControls::chooseNetwork(const QString& id) {
    if (!session_)
        return;
    const double mean = session_->bandwidth();
    const auto take = [this](const QString& what, const Result<BandwidthTrace>& trace) {
        if (trace)
            session_->setTrace(what, *trace);
        else
            emit session_->failed(trace.error());
    };
    if (id == kFileEntry) {
        openTraceFile();
    } else if (id == QLatin1String("constant")) {
        take(tr("constant bandwidth"), constantTrace(mean));
    } else if (id == QLatin1String("sine")) {
        const auto trace = sineTrace(mean, mean * 0.8, 1.0);
        take(tr("sine"), trace);
    } else if (id == QLatin1String("ramp")) {
        const auto trace = rampTrace(1.8 * mean, 0.2 * mean, 2.0, 40);
        take(tr("ramp"), trace);
    } else if (id == QLatin1String("walk")) {
        RandomWalk walk;
        walk.meanBitsPerSecond = mean;
        walk.seed = session_->settings().seed;
        take(tr("random walk"), randomWalkTrace(walk));
    } else if (const TracePreset* preset = findTracePreset(id.toStdString())) {
        take(fromView(preset->name), presetTrace(*preset, mean, kTraceSeconds, session_->settings().seed));
    }
    showSettings();
}

void TimelineControls::openTraceFile() {
    const QString path = QFileDialog::getOpenFileName(
        this, tr("Open a bandwidth trace"), {},
        tr("Bandwidth traces (*.trace *.txt *.csv *.log *.jsonl *.up *.down);;All files (*)"));
    if (!path.isEmpty())
        loadTrace(path);
    else
        showSettings();
}

void TimelineControls::loadTrace(const QString& path) {
    if (!session_)
        return;
    runAsync(
        session_->pool(), this, [path] { return openTrace(path.toStdString()); },
        [this](const Result<BandwidthTrace>& trace) {
            if (!session_)
                return;
            if (!trace) {
                emit session_->failed(trace.error());
            } else if (const auto scaled = trace->scaledToMean(session_->bandwidth()); scaled) {
                session_->setTrace(tr("trace"), *scaled);
            } else {
                emit session_->failed(scaled.error());
            }
            showSettings();
        });
}

void TimelineControls::showSettings() {
    if (!session_)
        return;
    const StreamSettings& settings = session_->settings();
    const double rate = session_->bandwidth();
    {
        const QSignalBlocker quiet(slider_);
        if (!slider_->isSliderDown())
            slider_->setValue(kRates.positionOf(rate));
    }
    put(*rate_, rate / 1e9);
    rate_->setToolTip(tr("%1 GB/s. Mean bandwidth of the trace; while a run is played, the bandwidth from now on")
                          .arg(formatNumber(rate / 8e9, 4)));
    put(*slo_, settings.sloSeconds);
    {
        const QSignalBlocker quiet(model_);
        model_->setCurrentIndex(std::max(0, model_->findData(QString::fromStdString(settings.model))));
    }
    put(*context_, settings.contextTokens);
    context_->setEnabled(!settings.model.empty());
    put(*chunk_, settings.chunkTokens);
    {
        const QSignalBlocker quiet(network_);
        const QString name = QString::fromStdString(settings.trace->name());
        int index = network_->findData(name);
        if (index < 0)
            index = network_->findText(name);
        if (index < 0) {
            // A file that was read: its name is the choice until another is made.
            const QString kOpened = QStringLiteral("opened");
            index = network_->findData(kOpened);
            if (index < 0) {
                network_->insertItem(network_->count() - 1, name, kOpened);
                index = network_->findData(kOpened);
            }
            network_->setItemText(index, name);
        }
        network_->setCurrentIndex(index);
    }
    put(*rtt_, settings.rttSeconds * 1e3);
    put(*loss_, settings.lossRate * 100);
    put(*jitter_, settings.jitterSeconds * 1e3);
    showSecond(settings.second);
    put(*start_, settings.traceStart);
    put(*seed_, static_cast<std::int64_t>(settings.seed));
    put(*prefill_, settings.compute.prefillTokensPerSecond);
    put(*decode_, settings.compute.decodeBytesPerSecond / 1e9);
    put(*contention_, settings.compute.gpuContention * 100);
    put(*pieces_, std::int64_t{settings.compute.decodePieces});
    const QSignalBlocker quiet(known_);
    known_->setChecked(settings.bandwidthKnown);
}

void TimelineControls::showPlayer() {
    if (!session_)
        return;
    const StreamPlayer& player = session_->player();
    const bool playing = player.isPlaying();
    if (shownPlaying_ != playing) {
        shownPlaying_ = playing;
        play_->setIcon(playerIcon(palette(), playing ? PlayerSign::Pause : PlayerSign::Play));
        rewind_->setIcon(playerIcon(palette(), PlayerSign::Rewind));
        play_->setAccessibleName(playing ? tr("Pause") : tr("Play"));
    }
    position_->setText(tr("%1 s").arg(player.position(), 0, 'f', 3));
    const int index = speed_->findData(player.speed());
    if (index >= 0)
        speed_->setCurrentIndex(index);
}

bool TimelineControls::eventFilter(QObject* watched, QEvent* event) {
    if (session_ && (event->type() == QEvent::KeyPress || event->type() == QEvent::ShortcutOverride)) {
        const auto* key = static_cast<QKeyEvent*>(event);
        if (key->key() == Qt::Key_Space && key->modifiers() == Qt::NoModifier) {
            if (event->type() == QEvent::KeyPress && !key->isAutoRepeat())
                session_->player().toggle();
            event->accept();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

void TimelineControls::changeEvent(QEvent* event) {
    if (event->type() == QEvent::PaletteChange) {
        shownPlaying_.reset();
        showPlayer();
    }
    QWidget::changeEvent(event);
}

} // namespace kvscope::views
