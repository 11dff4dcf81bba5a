// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/stats/scope.h"
#include "views/document.h"
#include "views/selection.h"

#include <QStringList>
#include <QWidget>

#include <vector>

class QComboBox;
class QLabel;
class QTreeWidget;
class QTreeWidgetItem;

namespace kvscope::views {

/// What is in a dump: its facts and notes, and the tree of layers, kinds and heads; choosing an item selects it
/// everywhere.
class Navigator : public QWidget {
    Q_OBJECT

public:
    Navigator(Document* document, SelectionModel* selection, QWidget* parent = nullptr);

    /// Offers the sequences of a file of which one at a time is shown.
    void setSequences(const QStringList& names, int shown);

signals:
    void sequenceChosen(int index);

private:
    void fillTree();
    void applyCurrent(const QTreeWidgetItem* item);
    void followSelection();
    /// Asks for the statistics of every layer, and says what is unexpected in them.
    void lookForSurprises();
    void showSurprises();
    [[nodiscard]] std::vector<StatisticsScope> layerScopes() const;

    Document* document_;
    SelectionModel* selection_;
    QTreeWidget* tree_;
    QComboBox* sequences_;
    QLabel* surprises_;
    /// The sequence whose values were last looked through.
    SequenceIndex surprisesOf_;
    bool following_ = false;
};

/// The facts of a dump as people say them: {name, value} pairs, in the order to show them.
QList<QPair<QString, QString>> describe(const KvCache& cache);

} // namespace kvscope::views
