// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tests/unit/zip_writer.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace kvscope::test {

/// A .npy file of format version 1, written out by hand.
inline Bytes npyFile(const std::string& descr, const std::vector<std::int64_t>& shape, const Bytes& data,
                     bool fortran = false) {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (";
    for (const std::int64_t size : shape)
        header += std::to_string(size) + ",";
    header += "), }\n";
    Bytes out = bytesOf("\x93NUMPY");
    appendLittle(out, 1, 1);
    appendLittle(out, 0, 1);
    appendLittle(out, header.size(), 2);
    appendText(out, header);
    out.insert(out.end(), data.begin(), data.end());
    return out;
}

/// float32 values as bytes.
inline Bytes floatBytes(const std::vector<float>& values) {
    Bytes out(values.size() * sizeof(float));
    if (!values.empty())
        std::memcpy(out.data(), values.data(), out.size());
    return out;
}

struct SafetensorsEntry {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    Bytes data;
};

/// A safetensors file, written out by hand.
inline Bytes safetensorsFile(const std::vector<SafetensorsEntry>& entries, const std::string& metadata = {}) {
    std::string header = "{";
    if (!metadata.empty())
        header += "\"__metadata__\":" + metadata + ",";
    std::size_t offset = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        header += (i == 0 ? "\"" : ",\"") + entries[i].name + "\":{\"dtype\":\"" + entries[i].dtype + "\",\"shape\":[";
        for (std::size_t j = 0; j < entries[i].shape.size(); ++j)
            header += (j == 0 ? "" : ",") + std::to_string(entries[i].shape[j]);
        header += "],\"data_offsets\":[" + std::to_string(offset) + "," +
                  std::to_string(offset + entries[i].data.size()) + "]}";
        offset += entries[i].data.size();
    }
    header += "}";
    Bytes out;
    appendLittle(out, header.size(), 8);
    appendText(out, header);
    for (const SafetensorsEntry& entry : entries)
        out.insert(out.end(), entry.data.begin(), entry.data.end());
    return out;
}

} // namespace kvscope::test
