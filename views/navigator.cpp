// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/navigator.h"

#include "views/explanations.h"
#include "views/statistics_jobs.h"
#include "views/surprises.h"

#include <QComboBox>
#include <QFormLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLocale>
#include <QScrollArea>
#include <QSplitter>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace kvscope::views {

namespace {

// What can be read through in the background within a second or so.
constexpr std::int64_t kBytesReadUnasked = std::int64_t{256} << 20U;

enum Role { LayerRole = Qt::UserRole, KindRole, HeadRole, SequenceRole };

QString fromName(std::string_view name) {
    return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

/// "32", or "8 to 32" when layers differ.
QString spread(const KvGeometry& geometry, std::int64_t (*measure)(const PlaneGeometry&)) {
    std::set<std::int64_t> seen;
    for (const auto& layer : geometry.layers) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            if (const auto& plane = layer.plane(kind); plane && isCacheKind(kind))
                seen.insert(measure(*plane));
        }
    }
    const QLocale locale;
    if (seen.empty())
        return QStringLiteral("0");
    if (seen.size() == 1)
        return locale.toString(static_cast<qlonglong>(*seen.begin()));
    return QObject::tr("%1 to %2")
        .arg(locale.toString(static_cast<qlonglong>(*seen.begin())),
             locale.toString(static_cast<qlonglong>(*seen.rbegin())));
}

QString storageName(const KvGeometry& geometry) {
    std::set<QString> names;
    for (const auto& layer : geometry.layers) {
        for (const PlaneKind kind : kAllPlaneKinds) {
            if (const auto& plane = layer.plane(kind); plane && isCacheKind(kind))
                names.insert(plane->storage.empty() ? fromName(nameOf(plane->dtype))
                                                    : QString::fromStdString(plane->storage));
        }
    }
    return QStringList(names.begin(), names.end()).join(QStringLiteral(", "));
}

QString ropeText(const KvCache& cache) {
    for (std::int64_t layer = 0; layer < cache.geometry().layerCount(); ++layer) {
        if (const Rope* rope = cache.rope(LayerIndex(layer)))
            return QObject::tr("%1 dimensions, %2")
                .arg(rope->rotaryDim())
                .arg(rope->pairing == Rope::Pairing::HalfSplit ? QObject::tr("half-split pairs")
                                                               : QObject::tr("interleaved pairs"));
    }
    return QObject::tr("unknown (put the model's config.json beside the dump)");
}

/// What a fact of describe() means; empty where its name says it.
QString explanationOf(const QString& name) {
    const std::array explanations{
        std::pair(QObject::tr("Layout"), QObject::tr("Order in which the file has the axes, the outermost first.")),
        std::pair(QObject::tr("KV heads"), QObject::tr("Heads of K and V in a layer; queries may have more and share "
                                                       "them (GQA).")),
        std::pair(QObject::tr("Head dim"), QObject::tr("Values of one token in one head. Channels of a plane: KV heads "
                                                       "times head dimension.")),
        std::pair(QObject::tr("Stored as"), QObject::tr("Type of the values in the file.")),
        std::pair(QObject::tr("Cache size"), QObject::tr("Bytes of K and V as stored, without headers.")),
        std::pair(QObject::tr("RoPE"), explain::rope())};
    const auto found = std::find_if(explanations.begin(), explanations.end(),
                                    [&name](const auto& entry) { return entry.first == name; });
    return found == explanations.end() ? QString() : found->second;
}

} // namespace

QList<QPair<QString, QString>> describe(const KvCache& cache) {
    const KvGeometry& geometry = cache.geometry();
    const CacheInfo& info = cache.info();
    const QLocale locale;
    QList<QPair<QString, QString>> facts;
    if (!info.model.empty())
        facts.append({QObject::tr("Model"), QString::fromStdString(info.model)});
    if (info.synthetic)
        facts.append({QObject::tr("Origin"), QObject::tr("SYNTHETIC: made by a generator, not by a model")});
    facts.append({QObject::tr("Format"), QString::fromStdString(info.format)});
    if (!info.layout.empty())
        facts.append({QObject::tr("Layout"), QString::fromStdString(info.layout)});
    if (geometry.sequences > 1)
        facts.append({QObject::tr("Batch"), QObject::tr("%1 sequences").arg(geometry.sequences)});
    facts.append({QObject::tr("Layers"), locale.toString(static_cast<qlonglong>(geometry.layerCount()))});
    facts.append({QObject::tr("KV heads"), spread(geometry, [](const PlaneGeometry& plane) { return plane.heads; })});
    facts.append({QObject::tr("Head dim"), spread(geometry, [](const PlaneGeometry& plane) { return plane.headDim; })});
    facts.append({QObject::tr("Tokens"), spread(geometry, [](const PlaneGeometry& plane) { return plane.tokens; })});
    facts.append({QObject::tr("Stored as"), storageName(geometry)});
    facts.append({QObject::tr("Cache size"), locale.formattedDataSize(geometry.cacheBytes())});
    facts.append({QObject::tr("RoPE"), ropeText(cache)});
    return facts;
}

Navigator::Navigator(Document* document, SelectionModel* selection, QWidget* parent)
    : QWidget(parent)
    , document_(document)
    , selection_(selection)
    , tree_(new QTreeWidget(this))
    , sequences_(new QComboBox)
    , surprises_(new QLabel) {
    const CacheInfo& info = document->cache().info();
    auto* facts = new QWidget;
    auto* form = new QFormLayout(facts);
    form->setContentsMargins(6, 6, 6, 6);
    form->setVerticalSpacing(2);
    form->setHorizontalSpacing(8);
    auto* title = new QLabel(QString::fromStdString(info.name));
    title->setWordWrap(true);
    title->setTextInteractionFlags(Qt::TextSelectableByMouse);
    title->setToolTip(QString::fromStdString(info.path.string()));
    QFont bold = title->font();
    bold.setBold(true);
    title->setFont(bold);
    form->addRow(title);
    sequences_->setObjectName(QStringLiteral("sequences"));
    sequences_->setAccessibleName(tr("Sequence"));
    sequences_->setToolTip(tr("The file holds sequences of different positions; one at a time is shown"));
    sequences_->hide();
    form->addRow(sequences_);
    connect(sequences_, &QComboBox::activated, this, &Navigator::sequenceChosen);
    for (const auto& [name, value] : describe(document->cache())) {
        auto* label = new QLabel(value);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        auto* term = new QLabel(name);
        term->setToolTip(explanationOf(name));
        label->setToolTip(explanationOf(name));
        form->addRow(term, label);
    }
    for (const CacheNote& note : info.notes) {
        auto* label = new QLabel(
            (note.severity == CacheNote::Severity::Warning ? QStringLiteral("\u26A0 ") : QStringLiteral("\u2139 ")) +
            QString::fromStdString(note.text));
        label->setObjectName(QStringLiteral("note"));
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        form->addRow(label);
    }
    surprises_->setObjectName(QStringLiteral("surprises"));
    surprises_->setWordWrap(true);
    surprises_->setTextInteractionFlags(Qt::TextSelectableByMouse);
    surprises_->hide();
    form->addRow(surprises_);
    auto* scroll = new QScrollArea;
    scroll->setWidget(facts);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);

    tree_->setObjectName(QStringLiteral("layerTree"));
    tree_->setAccessibleName(tr("Layers, planes and heads"));
    tree_->setHeaderLabels({tr("Plane"), tr("Shape")});
    tree_->headerItem()->setToolTip(0, explain::plane());
    tree_->headerItem()->setToolTip(1, tr("Tokens \u00d7 channels: how many tokens the plane holds, and values of each "
                                          "(heads times head dimension)."));
    tree_->header()->setStretchLastSection(false);
    tree_->header()->setSectionResizeMode(0, QHeaderView::Stretch);
    tree_->header()->setSectionResizeMode(1, QHeaderView::ResizeToContents);
    tree_->setIndentation(14);
    tree_->setUniformRowHeights(true);
    setMinimumWidth(200);

    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(scroll);
    splitter->addWidget(tree_);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(splitter);

    fillTree();
    connect(tree_, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (!following_ && item != nullptr)
            applyCurrent(item);
    });
    connect(selection_, &SelectionModel::changed, this, &Navigator::followSelection);
    connect(&StatisticsService::of(*document_), &StatisticsService::changed, this, &Navigator::showSurprises);
    connect(selection_, &SelectionModel::changed, this, [this] {
        if (selection_->current().sequence != surprisesOf_)
            lookForSurprises();
    });
    followSelection();
    lookForSurprises();
}

void Navigator::lookForSurprises() {
    surprisesOf_ = selection_->current().sequence;
    StatisticsService& service = StatisticsService::of(*document_);
    const KvCache& cache = document_->cache();
    // A large dump is not read for this alone: it says what the statistics that were asked for have seen.
    if (cache.geometry().cacheBytes() <= kBytesReadUnasked) {
        std::vector<StatisticsService::Job> jobs;
        for (const StatisticsScope& scope : layerScopes())
            jobs.push_back(statisticsJob(*document_, scope));
        service.want(this, std::move(jobs));
    }
    showSurprises();
}

std::vector<StatisticsScope> Navigator::layerScopes() const {
    std::vector<StatisticsScope> scopes;
    const KvCache& cache = document_->cache();
    const SequenceIndex sequence = selection_->current().sequence;
    for (const KindChoice choice : choicesOf(cache)) {
        if (choice.beforeRope)
            continue;
        for (const LayerIndex layer : layersOf(cache, choice, sequence))
            scopes.push_back(layerScope(choice, layer, sequence));
    }
    return scopes;
}

void Navigator::showSurprises() {
    StatisticsService& service = StatisticsService::of(*document_);
    std::vector<const PlaneStatistics*> planes;
    for (const StatisticsScope& scope : layerScopes()) {
        if (const auto* found = service.find<CacheStatistics>(statisticsKey(scope))) {
            for (const PlaneStatistics& plane : found->planes)
                planes.push_back(&plane);
        }
    }
    QStringList lines = surprisesIn(planes);
    for (QString& line : lines)
        line.prepend(QStringLiteral("\u2139 "));
    surprises_->setText(lines.join(u'\n'));
    surprises_->setVisible(!lines.isEmpty());
}

void Navigator::setSequences(const QStringList& names, int shown) {
    sequences_->clear();
    sequences_->addItems(names);
    sequences_->setCurrentIndex(shown);
    sequences_->setVisible(names.size() > 1);
}

void Navigator::fillTree() {
    const KvGeometry& geometry = document_->cache().geometry();
    const QLocale locale;
    QList<QTreeWidgetItem*> roots;
    for (std::int64_t sequence = 0; sequence < geometry.sequences; ++sequence) {
        for (std::int64_t layer = 0; layer < geometry.layerCount(); ++layer) {
            const QString name = geometry.sequences > 1 ? tr("Sequence %1, layer %2").arg(sequence).arg(layer)
                                                        : tr("Layer %1").arg(layer);
            auto* layerItem = new QTreeWidgetItem({name, QString()});
            layerItem->setData(0, LayerRole, static_cast<qlonglong>(layer));
            layerItem->setData(0, SequenceRole, static_cast<qlonglong>(sequence));
            for (const PlaneKind kind : kAllPlaneKinds) {
                const PlaneGeometry* plane = geometry.find({LayerIndex(layer), kind, SequenceIndex(sequence)});
                if (plane == nullptr)
                    continue;
                auto* planeItem = new QTreeWidgetItem(
                    layerItem,
                    {fromName(nameOf(kind)), QStringLiteral("%1 \u00d7 %2")
                                                 .arg(locale.toString(static_cast<qlonglong>(plane->tokens)),
                                                      locale.toString(static_cast<qlonglong>(plane->channels())))});
                planeItem->setData(0, LayerRole, static_cast<qlonglong>(layer));
                planeItem->setData(0, SequenceRole, static_cast<qlonglong>(sequence));
                planeItem->setData(0, KindRole, static_cast<int>(kind));
                for (std::int64_t head = 0; plane->heads > 1 && head < plane->heads; ++head) {
                    auto* headItem = new QTreeWidgetItem(
                        planeItem,
                        {tr("Head %1").arg(head), QStringLiteral("%1 \u00d7 %2")
                                                      .arg(locale.toString(static_cast<qlonglong>(plane->tokens)),
                                                           locale.toString(static_cast<qlonglong>(plane->headDim)))});
                    headItem->setData(0, LayerRole, static_cast<qlonglong>(layer));
                    headItem->setData(0, SequenceRole, static_cast<qlonglong>(sequence));
                    headItem->setData(0, KindRole, static_cast<int>(kind));
                    headItem->setData(0, HeadRole, static_cast<qlonglong>(head));
                }
            }
            roots.append(layerItem);
        }
    }
    tree_->addTopLevelItems(roots);
}

void Navigator::applyCurrent(const QTreeWidgetItem* item) {
    Selection selection = selection_->current();
    const auto layer = item->data(0, LayerRole).toLongLong();
    selection.layers = layerRange(layer, layer + 1);
    selection.sequence = SequenceIndex(item->data(0, SequenceRole).toLongLong());
    if (const QVariant kind = item->data(0, KindRole); kind.isValid())
        selection.kind = static_cast<PlaneKind>(kind.toInt());
    const QVariant head = item->data(0, HeadRole);
    selection.head = head.isValid() ? std::optional(HeadIndex(head.toLongLong())) : std::nullopt;
    selection.channels.reset();
    selection_->select(selection);
}

void Navigator::followSelection() {
    const Selection& selection = selection_->current();
    const auto index = selection.sequence.value * document_->cache().geometry().layerCount() + selection.layer().value;
    QTreeWidgetItem* layerItem = tree_->topLevelItem(static_cast<int>(index));
    if (layerItem == nullptr)
        return;
    QTreeWidgetItem* target = layerItem;
    for (int i = 0; i < layerItem->childCount(); ++i) {
        QTreeWidgetItem* plane = layerItem->child(i);
        if (static_cast<PlaneKind>(plane->data(0, KindRole).toInt()) != selection.kind)
            continue;
        target = plane;
        if (selection.head && selection.head->value < plane->childCount())
            target = plane->child(static_cast<int>(selection.head->value));
    }
    // An item that the user chose stays current when it says the same as the selection (a layer without a kind).
    if (const auto* current = tree_->currentItem(); current == layerItem && !selection.head)
        return;
    following_ = true;
    tree_->setCurrentItem(target);
    following_ = false;
}

} // namespace kvscope::views
