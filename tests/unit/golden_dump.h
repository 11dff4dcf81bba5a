// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/io/open_dump.h"

#include <QCryptographicHash>
#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QString>

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvscope::test {

inline QString goldenFolder(const char* format) {
    return QStringLiteral(KVSCOPE_SOURCE_DIR "/tests/golden/") + format;
}

/// Folder of extra data, or empty when it is not there.
inline QString extraData() {
    const QString said = qEnvironmentVariable("KVSCOPE_TEST_DATA");
    const QString folder = said.isEmpty() ? QStringLiteral(KVSCOPE_SOURCE_DIR "/../shared/data") : said;
    return QDir(folder).exists() ? folder : QString();
}

inline QJsonObject readJsonObject(const QString& path) {
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return {};
    return QJsonDocument::fromJson(file.readAll()).object();
}

/// SHA-256 of a plane as float32 [token][channel], NaN as the quiet NaN 0x7fc00000.
inline std::optional<QString> planeHash(const KvCache& cache, PlaneId id) {
    const PlaneGeometry* plane = cache.geometry().find(id);
    if (plane == nullptr)
        return std::nullopt;
    std::vector<float> values(static_cast<std::size_t>(plane->values()));
    if (!cache.readRows(id, tokenRange(0, plane->tokens), values))
        return std::nullopt;
    for (float& value : values)
        value = std::isnan(value) ? std::bit_cast<float>(0x7FC00000U) : value;
    QCryptographicHash hash(QCryptographicHash::Sha256);
    hash.addData(QByteArrayView(reinterpret_cast<const char*>(values.data()),
                                static_cast<qsizetype>(values.size() * sizeof(float))));
    return QString::fromLatin1(hash.result().toHex());
}

/// Compares a cache with the planes of an expected.json; returns what differs, or nothing.
inline QString differenceFromExpected(const KvCache& cache, const QJsonObject& expected) {
    const KvGeometry& geometry = cache.geometry();
    if (geometry.sequences != expected["batch"].toInt())
        return QString("batch %1, expected %2").arg(geometry.sequences).arg(expected["batch"].toInt());
    if (geometry.layerCount() != expected["layers"].toInt())
        return QString("%1 layers, expected %2").arg(geometry.layerCount()).arg(expected["layers"].toInt());
    const QJsonArray planes = expected["planes"].toArray();
    for (const auto& value : planes) {
        const QJsonObject want = value.toObject();
        const QString kindName = want["kind"].toString();
        const PlaneKind kind = kindName == "K"   ? PlaneKind::Key
                               : kindName == "V" ? PlaneKind::Value
                                                 : PlaneKind::Latent;
        const PlaneId id{LayerIndex(want["layer"].toInt()), kind, SequenceIndex(want["batch"].toInt())};
        const QString name = QString("layer %1 %2 of %3").arg(id.layer.value).arg(kindName).arg(id.sequence.value);
        const PlaneGeometry* plane = geometry.find(id);
        if (plane == nullptr)
            return name + " is missing";
        if (plane->tokens != want["tokens"].toInt() || plane->heads != want["kv_heads"].toInt() ||
            plane->headDim != want["head_dim"].toInt())
            return name + QString(": %1 tokens, %2 heads of %3 instead of %4, %5, %6")
                              .arg(plane->tokens)
                              .arg(plane->heads)
                              .arg(plane->headDim)
                              .arg(want["tokens"].toInt())
                              .arg(want["kv_heads"].toInt())
                              .arg(want["head_dim"].toInt());
        const bool open = expected["needs"].toArray().contains("first_position");
        if (!open && plane->position(TokenIndex(0)) != want["first_position"].toInt())
            return name + QString(": starts at position %1").arg(plane->position(TokenIndex(0)));
        if (planeHash(cache, id) != want["sha256"].toString())
            return name + ": other values";
    }
    if (static_cast<qsizetype>(geometry.allPlanes().size()) < planes.size())
        return "planes are missing";
    return {};
}

} // namespace kvscope::test
