// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/welcome_page.h"

#include "app/recent_files.h"

#include <QFileInfo>
#include <QGridLayout>
#include <QLabel>
#include <QListWidget>
#include <QPushButton>

namespace kvscope::app {

namespace {

void fill(QListWidget* list, const QStringList& files) {
    list->clear();
    for (const QString& path : files) {
        auto* item = new QListWidgetItem(QFileInfo(path).fileName(), list);
        item->setToolTip(path);
        item->setData(Qt::UserRole, path);
    }
    list->setEnabled(!files.isEmpty());
    if (files.isEmpty())
        new QListWidgetItem(QObject::tr("none yet"), list);
    else
        list->setCurrentRow(0);
}

} // namespace

WelcomePage::WelcomePage(QWidget* parent)
    : QWidget(parent)
    , samples_(new QListWidget(this))
    , recent_(new QListWidget(this)) {
    auto* title = new QLabel(tr("Drop a KV-cache dump here"), this);
    QFont large = title->font();
    large.setPointSizeF(large.pointSizeF() * 1.9);
    title->setFont(large);
    title->setAlignment(Qt::AlignCenter);
    auto* formats =
        new QLabel(tr("NumPy .npy .npz, safetensors, PyTorch .pt .pth, llama.cpp states, KVScope .kvz,\n"
                      "raw with a JSON sidecar, or a folder of them (vLLM, LMCache, tensor-parallel shards)"),
                   this);
    formats->setAlignment(Qt::AlignCenter);
    auto* open = new QPushButton(tr("&Open a file ..."), this);
    auto* openFolder = new QPushButton(tr("Open a &folder ..."), this);
    auto* samplesTitle = new QLabel(tr("&Samples"), this);
    auto* recentTitle = new QLabel(tr("&Recent"), this);
    samplesTitle->setBuddy(samples_);
    recentTitle->setBuddy(recent_);
    samples_->setObjectName(QStringLiteral("samples"));
    samples_->setAccessibleName(tr("Sample dumps"));
    recent_->setObjectName(QStringLiteral("recent"));
    recent_->setAccessibleName(tr("Recent dumps"));

    auto* grid = new QGridLayout(this);
    grid->setRowStretch(0, 1);
    grid->addWidget(title, 1, 1, 1, 2);
    grid->addWidget(formats, 2, 1, 1, 2);
    grid->addWidget(open, 3, 1);
    grid->addWidget(openFolder, 3, 2);
    grid->addWidget(samplesTitle, 4, 1);
    grid->addWidget(recentTitle, 4, 2);
    grid->addWidget(samples_, 5, 1);
    grid->addWidget(recent_, 5, 2);
    grid->setRowStretch(5, 2);
    grid->setRowStretch(6, 1);
    grid->setColumnStretch(0, 1);
    grid->setColumnStretch(1, 2);
    grid->setColumnStretch(2, 2);
    grid->setColumnStretch(3, 1);
    grid->setVerticalSpacing(10);

    connect(open, &QPushButton::clicked, this, &WelcomePage::openRequested);
    connect(openFolder, &QPushButton::clicked, this, &WelcomePage::openFolderRequested);
    for (QListWidget* list : {samples_, recent_}) {
        const auto choose = [this](const QListWidgetItem* item) {
            const QString path = item->data(Qt::UserRole).toString();
            if (!path.isEmpty())
                emit fileChosen(path);
        };
        connect(list, &QListWidget::itemClicked, this, choose);
        connect(list, &QListWidget::itemActivated, this, choose);
    }
    refresh();
}

void WelcomePage::refresh() {
    fill(samples_, sampleDumps());
    fill(recent_, recentFiles());
}

} // namespace kvscope::app
