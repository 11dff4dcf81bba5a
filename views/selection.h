// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/index.h"
#include "core/kv/geometry.h"

#include <QObject>

#include <optional>

namespace kvscope::views {

/// The cell under the mouse, apart from the selection.
struct Hover {
    PlaneKind kind = PlaneKind::Key;
    SequenceIndex sequence;
    LayerIndex layer;
    std::optional<ChannelIndex> channel;
    std::optional<TokenIndex> token;

    bool operator==(const Hover&) const = default;
};

/// What the user looks at: one immutable value that all views share. With the plan it is the session, the undo step and
/// the deep link.
struct Selection {
    PlaneKind kind = PlaneKind::Key;
    SequenceIndex sequence;
    LayerRange layers{LayerIndex(0), LayerIndex(1)};
    std::optional<HeadIndex> head;
    std::optional<ChannelRange> channels;
    std::optional<TokenRange> tokens;

    bool operator==(const Selection&) const = default;

    /// The layer that single-layer views show.
    [[nodiscard]] LayerIndex layer() const { return layers.begin; }
    /// Where the selected value lies when it is exactly one: one layer, one token, one channel.
    [[nodiscard]] std::optional<Hover> place() const;
};

/// The selection and the hover of one session. Views read it, ask for changes, and follow `changed`; the owner turns
/// every user's change (`edited`) into an undo step. The hover goes along with a selection of one value: it moves to a
/// value just selected, and leaves one that is selected no more.
class SelectionModel : public QObject {
    Q_OBJECT

public:
    explicit SelectionModel(QObject* parent = nullptr);

    [[nodiscard]] const Selection& current() const { return current_; }
    [[nodiscard]] const std::optional<Hover>& hover() const { return hover_; }

    /// Sets the selection without an undo step (used by undo itself and when a dump is opened).
    void reset(const Selection& selection);
    /// A change that the user made: emits `edited` (old, new) and `changed` unless nothing differs.
    void select(const Selection& selection);
    void setHover(std::optional<Hover> hover);
    /// The pointer is over nothing: the hover goes back to the selected value, if it is one.
    void clearHover();

signals:
    void changed(const kvscope::views::Selection& selection);
    void edited(const kvscope::views::Selection& before, const kvscope::views::Selection& after);
    void hoverChanged();

private:
    void moveHover(const Selection& before);

    Selection current_;
    std::optional<Hover> hover_;
};

} // namespace kvscope::views
