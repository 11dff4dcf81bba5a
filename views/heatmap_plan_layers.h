// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/plan_layer.h"
#include "views/wipe_handle.h"

#include <QObject>

#include <array>
#include <functional>
#include <memory>
#include <vector>

namespace kvscope::views {

/// What a heatmap shows of the current plan over the dump's own values: one side of it, or original, decoded values and
/// error beside one another with two handles between them.
class HeatmapPlanLayers : public QObject {
    Q_OBJECT

public:
    HeatmapPlanLayers(HeatmapPlot& plot, QObject* parent);
    ~HeatmapPlanLayers() override;

    /// The dump whose plan is shown; null for none.
    void setDocument(Document* document);
    /// Shows of a map what the settings ask for. The dump's own map gives its colours to the decoded values and its
    /// layers' rms to the error; without one yet (null) nothing is shown.
    void show(const HeatmapSettings& settings, const MapSpec& spec, const HeatmapColouring& own,
              const std::shared_ptr<const HeatmapOverview>& overview);
    void hide();

    /// The layer that covers the whole picture; null where none does.
    [[nodiscard]] PlanLayer* front() const;
    /// The layer whose scale the error's (or the bits') colour bar measures; null where only the dump's own is in use.
    [[nodiscard]] PlanLayer* measured() const;
    /// The decoded values or the bits as far as this view shows them or what follows from them; null otherwise.
    [[nodiscard]] std::shared_ptr<Document> shownDocument(PlanMaps::Side side) const;
    /// Left handle: original | decoded; right handle: decoded | error.
    [[nodiscard]] WipeHandle& handle(std::size_t index) const { return *handles_[index]; }
    [[nodiscard]] bool isReady() const;
    /// What keeps the plan from being on screen; empty when nothing does.
    [[nodiscard]] QString obstacle() const;
    /// How far the encoding is, for the status line; empty when it is done.
    [[nodiscard]] QString status() const;
    /// Starts loading what a larger picture needs; see PlanLayer::setExportTiles. `draw` draws the picture once.
    void prepare(const std::function<void()>& draw);
    void endExport();

signals:
    void changed();
    void failed(const kvscope::Error& error);

private:
    void arrange();
    /// Names what each part of a wipe shows, where there is room.
    void fitLabels();
    [[nodiscard]] PlanLayer& layer(PlanMaps::Side side) const { return *layers_[static_cast<std::size_t>(side)]; }
    [[nodiscard]] std::vector<PlanLayer*> wanted() const;

    HeatmapPlot& plot_;
    Document* document_ = nullptr;
    PlanView view_ = PlanView::None;
    std::array<std::unique_ptr<PlanLayer>, 3> layers_;
    std::array<WipeHandle*, 2> handles_;
    /// "original", "decoded", "error" over their parts.
    std::array<QCPItemText*, 3> labels_;
};

} // namespace kvscope::views
