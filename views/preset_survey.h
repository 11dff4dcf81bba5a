// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/result.h"
#include "core/codec/encode_job.h"
#include "core/codec/presets.h"
#include "views/codec_session.h"

#include <QObject>
#include <QString>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace kvscope::views {

/// Measures every preset of the panel on a session's dump, one plane after the other in the background, while some view
/// wants it and the session has nothing more urgent to do. Big dumps are measured on some of their layers.
class PresetSurvey : public QObject {
    Q_OBJECT

public:
    /// Dumps above this are measured on evenly spaced layers of about so many bytes together.
    static constexpr std::int64_t kMostBytes = std::int64_t{128} << 20;

    struct Point {
        PresetInfo info;
        MeasuredPlan measured;
    };

    explicit PresetSurvey(CodecSession& session);
    ~PresetSurvey() override;

    void want(const QObject* who);
    void release(const QObject* who);
    /// Stops until somebody asks again by start().
    void cancel();
    void start();
    [[nodiscard]] bool isCancelled() const { return cancelled_; }
    /// Every preset is measured or has failed, or it was cancelled.
    [[nodiscard]] bool isDone() const;
    [[nodiscard]] double progress() const;
    /// The preset at work; empty when none is.
    [[nodiscard]] QString atWork() const;

    /// In the order of presets(), those measured so far.
    [[nodiscard]] const std::vector<Point>& points() const { return points_; }
    /// Presets that do not fit the dump, with the reason.
    [[nodiscard]] const std::map<std::string, Error>& failures() const { return failures_; }
    /// The layers measured, and whether these are all.
    [[nodiscard]] const std::vector<LayerIndex>& layers() const { return layers_; }
    [[nodiscard]] bool isWhole() const;

    /// The session has nothing (more urgent) to do.
    void resume();
    void pause();

signals:
    /// A preset was measured or failed.
    void changed();

private:
    void next();
    void makePlan();
    void encodeNextPlane();
    void finishPlane(Result<EncodedPlaneResult> result);
    void settle(std::optional<Error> error);
    void add(const PlaneReport& report);

    CodecSession& session_;
    std::set<const QObject*> interested_;
    std::vector<PresetInfo> presets_;
    std::vector<LayerIndex> layers_;
    std::vector<PlaneId> planes_;
    std::size_t index_ = 0;
    std::size_t plane_ = 0;
    std::optional<CodecPlan> plan_;
    MeasuredPlan sums_;
    std::vector<Point> points_;
    std::map<std::string, Error> failures_;
    std::shared_ptr<std::stop_source> running_;
    bool paused_ = true;
    bool cancelled_ = false;
};

} // namespace kvscope::views
