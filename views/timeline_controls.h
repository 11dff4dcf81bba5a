// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/stream_session.h"

#include <QPointer>
#include <QWidget>

#include <functional>
#include <optional>

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QSlider;
class QSpinBox;
class QToolButton;

namespace kvscope::views {

class FlowLayout;

/// The row of controls of a stream session: play and speed, bandwidth, SLO, what is streamed and over what.
class TimelineControls : public QWidget {
    Q_OBJECT

public:
    /// Positions of the bandwidth's slider, from the least to the most rate, evenly in its logarithm.
    static constexpr int kSliderSteps = 1200;

    explicit TimelineControls(StreamSession& session, QWidget* parent = nullptr);

    /// Adds a control that carries its own text.
    void add(QWidget* control, const QString& explanation);

    /// Gives the link a second path, or takes it away.
    void toggleSecondPath();
    /// Asks for a trace file.
    void openTraceFile();
    /// Reads a trace file off the window's thread; it becomes the bandwidth's shape, with the mean as it is.
    void loadTrace(const QString& path);

protected:
    void changeEvent(QEvent* event) override;
    /// Space plays from the slider and the boxes for numbers too: they have no use for it.
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void addLabelled(const QString& label, QWidget* control, const QString& explanation);
    void makePlayer();
    void makeBandwidth();
    void makeContext();
    void makeNetwork();
    QWidget* makeMore();
    void makeSecondPath(QFormLayout& form);
    void setSecond(const QString& what, const std::function<void(SecondPath&)>& set);
    void showSecond(const std::optional<SecondPath>& second);
    void chooseNetwork(const QString& id);
    void change(const QString& what, const std::function<void(StreamSettings&)>& set);
    void showSettings();
    void showPlayer();

    QPointer<StreamSession> session_;
    FlowLayout* row_;
    QToolButton* rewind_;
    QToolButton* play_;
    /// Whether the buttons show that it plays; nothing before they have a sign.
    std::optional<bool> shownPlaying_;
    QComboBox* speed_;
    QLabel* position_;
    QSlider* slider_;
    QDoubleSpinBox* rate_;
    QDoubleSpinBox* slo_;
    QComboBox* model_;
    QSpinBox* context_;
    QSpinBox* chunk_;
    QComboBox* network_;
    QDoubleSpinBox* rtt_;
    QDoubleSpinBox* loss_;
    QDoubleSpinBox* jitter_;
    QCheckBox* second_;
    QDoubleSpinBox* secondRate_;
    QComboBox* secondNetwork_;
    QDoubleSpinBox* secondRtt_;
    QDoubleSpinBox* start_;
    QSpinBox* seed_;
    QDoubleSpinBox* prefill_;
    QDoubleSpinBox* decode_;
    QDoubleSpinBox* contention_;
    QSpinBox* pieces_;
    QCheckBox* known_;
};

} // namespace kvscope::views
