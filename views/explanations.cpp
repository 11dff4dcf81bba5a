// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/explanations.h"

#include <QComboBox>
#include <QCoreApplication>

namespace kvscope::views {

namespace {

/// Property of a box: what it is for.
constexpr auto kHelp = "help";

QString tr(const char* text) {
    return QCoreApplication::translate("Explanations", text);
}

} // namespace

void explainChoice(QComboBox* box, const QString& help) {
    box->setProperty(kHelp, help);
    QObject::connect(box, &QComboBox::currentIndexChanged, box, [box] { explainChoice(box); });
    explainChoice(box);
}

void explainChoice(QComboBox* box) {
    QStringList parts{box->property(kHelp).toString()};
    const QString choice = box->currentData(Qt::ToolTipRole).toString();
    if (!choice.isEmpty())
        parts << QStringLiteral("%1: %2").arg(box->currentText(), choice);
    box->setToolTip(parts.join(u'\n'));
}

namespace explain {

QString delta() {
    return tr(
        "Delta: a token's value minus that of an earlier token, channel by channel. Where neighbouring tokens are "
        "alike, deltas are small and cheap to code.");
}

QString anchor() {
    return tr("Anchor: the first token of each group of 10. CacheGen keeps it and codes the other nine as differences "
              "from it, so that they decode in parallel.");
}

QString varianceRatio() {
    return tr(
        "Variance of the values divided by the variance of their deltas (CacheGen's figure 3). Above 1 the deltas "
        "are narrower than the values: the delta helps. Below 1 it hurts.");
}

QString entropy() {
    return tr("Entropy: the fewest bits a value that an ideal coder needs, after CacheGen's quantiser with 32 bins (31 "
              "symbols, scaled to the largest value of each token).");
}

QString kurtosis() {
    return tr("Excess kurtosis: how heavy the tails are. 0 for a Gaussian, 3 for a Laplace distribution; a few extreme "
              "values make it large.");
}

QString rms() {
    return tr("Root mean square: the square root of the mean of the squared values.");
}

QString outlier() {
    return tr("Outlier: one value far above the others of its plane (one layer's K or V). Measured everywhere as its "
              "magnitude divided by the root mean square (rms) of all values of the plane.");
}

QString outlierRatio() {
    return tr("The rms of the largest channel divided by that of the median channel of the same plane. Large where a "
              "few channels are large throughout, at every token.");
}

QString rope() {
    return tr("RoPE (rotary position embedding) turns pairs of K's channels by an angle that grows with the position. "
              "Before RoPE, K is what the model computed for the token itself.");
}

QString plane() {
    return tr("Plane: the matrix of K or of V of one layer, tokens by channels.");
}

QString fits() {
    return tr("The Gaussian and the Laplace distribution that make the values most likely. The better one has the "
              "larger mean log-likelihood.");
}

QString symbolTable() {
    return tr("Symbol table: how often each quantised value occurs among those that share the table. An entropy coder "
              "takes its code lengths from it, and the decoder needs it too: the more tables, the better each fits and "
              "the more of them have to be stored.");
}

QString of(MapKind map) {
    switch (map) {
    case MapKind::LayerToken:
        return tr("One row a layer, one column a token; a cell sums up all channels.");
    case MapKind::HeadToken:
        return tr("One row a KV head of the selected layer, one column a token.");
    case MapKind::TokenChannel:
        return tr("One row a channel of the selected layer (or head), one column a token: the plane "
                  "itself.");
    case MapKind::LayerChannel:
        return tr("One row a layer, one column a channel; a cell sums up all tokens.");
    }
    return {};
}

QString of(Quantity quantity) {
    switch (quantity) {
    case Quantity::Value:
        return tr("The values as stored.");
    case Quantity::Magnitude:
        return tr("The values without their sign.");
    case Quantity::DeltaPrevious:
        return tr("Each value minus that of the token before, in the same channel.");
    case Quantity::DeltaAnchor:
        return tr("Each value minus that of the anchor: the first token of its group of 10, as "
                  "CacheGen codes it.");
    case Quantity::ChannelDeviation:
        return tr("Each value minus the mean of its channel over all tokens.");
    case Quantity::KeyBeforeRope:
        return tr("Keys with the rotary position embedding (RoPE) undone.");
    }
    return {};
}

QString of(Reduction reduction) {
    switch (reduction) {
    case Reduction::Rms:
        return tr("Root mean square of the values under a cell.");
    case Reduction::MaxAbs:
        return tr("Largest magnitude under a cell: hides no outlier.");
    case Reduction::Mean:
        return tr("Average of the values under a cell.");
    case Reduction::Min:
        return tr("Smallest value under a cell.");
    case Reduction::Max:
        return tr("Largest value under a cell.");
    case Reduction::Std:
        return tr("Standard deviation of the values under a cell.");
    case Reduction::SignedRms:
        return tr("Root mean square of the values under a cell, with the sign of their average: how large and in "
                  "which direction.");
    }
    return {};
}

QString of(PlanView view) {
    switch (view) {
    case PlanView::None:
        break;
    case PlanView::Decoded:
        return tr("What comes back after encoding with the codec's current plan; in the colours of the values as "
                  "stored.");
    case PlanView::Error:
        return tr("Decoded minus original under the codec's current plan.");
    case PlanView::Bits:
        return tr("What the codec's current plan spends on each value, everything included.");
    case PlanView::Wipe:
        return tr("The values as stored, decoded, and their error side by side; drag the borders.");
    }
    return {};
}

QString of(PlaneKind kind) {
    switch (kind) {
    case PlaneKind::Key:
        return tr("Keys. A plane is one layer's matrix of tokens by channels.");
    case PlaneKind::Value:
        return tr("Values. A plane is one layer's matrix of tokens by channels.");
    case PlaneKind::Latent:
        return tr("MLA's compressed keys and values with the shared rotary key.");
    case PlaneKind::Query:
        return tr("Queries that the dump recorded beside the cache.");
    case PlaneKind::KeyBeforeRope:
        return tr("Keys before RoPE that the dump recorded beside the cache.");
    }
    return {};
}

} // namespace explain

} // namespace kvscope::views
