// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/codec_session.h"

#include <QObject>
#include <QPointer>
#include <QTimer>

#include <map>
#include <memory>
#include <set>

namespace kvscope::views {

/// What the current plan makes of a document, as documents that a heatmap can show: the decoded values, the error
/// (decoded minus original) and the bits a value. While somebody wants them the plan is encoded, and as planes finish,
/// new documents take the place of the old ones; planes that were never encoded are not in them. Lives on the window's
/// thread.
class PlanMaps : public QObject {
    Q_OBJECT

public:
    enum class Side : std::uint8_t { Decoded, Error, Bits };

    /// The document's maps; made on first use and owned by the document.
    static PlanMaps& of(Document& document);

    explicit PlanMaps(Document& document);

    [[nodiscard]] CodecSession* session() const { return session_; }
    /// Asks for the maps, with these planes first; forgotten when `who` is destroyed.
    void want(const QObject* who, std::vector<PlaneId> first);
    void release(const QObject* who);

    /// The latest of a side; null while nothing is encoded. Keep it as long as it is shown.
    [[nodiscard]] std::shared_ptr<Document> document(Side side);
    /// Whether document() holds the whole plan as it is now, or as much of it as there will be.
    [[nodiscard]] bool isCurrent() const;

signals:
    /// There are other documents.
    void changed();

private:
    void update();
    void updateSoon();
    void tell();

    Document& document_;
    QPointer<CodecSession> session_;
    std::map<const QObject*, std::vector<PlaneId>> wanted_;
    std::shared_ptr<const KvCache> decoded_;
    std::map<Side, std::shared_ptr<Document>> documents_;
    QTimer timer_;
};

} // namespace kvscope::views
