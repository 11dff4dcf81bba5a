// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encode_report.h"
#include "core/codec/plan.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <set>
#include <sstream>

namespace kvscope {

namespace {

using nlohmann::ordered_json;

constexpr std::array<const char*, kAllByteParts.size()> kPartNames{"payload", "tables", "scales", "exceptions",
                                                                   "header"};

ordered_json orNull(const std::optional<double>& number) {
    return number && std::isfinite(*number) ? ordered_json(*number) : ordered_json();
}

ordered_json errorToJson(const TensorErrorSums& sums) {
    const TensorError error = sums.result();
    ordered_json out;
    out["mae"] = error.meanAbs;
    out["mse"] = error.meanSquared;
    out["max"] = error.max;
    out["relative_l2"] = orNull(error.relativeL2);
    out["nmse"] = orNull(error.nmse);
    out["nmse_centred"] = orNull(error.nmseCentred);
    out["cosine"] = orNull(error.cosine);
    out["snr_db"] = orNull(error.snrDb);
    out["psnr_db"] = orNull(error.psnrDb);
    out["mismatches"] = error.mismatches;
    return out;
}

ordered_json partsToJson(const PartBytes& parts) {
    ordered_json out;
    for (const BytePart part : kAllByteParts)
        out[kPartNames[static_cast<std::size_t>(part)]] = parts[part];
    return out;
}

ordered_json totalsToJson(const EncodeTotals& totals) {
    ordered_json out;
    out["values"] = totals.values;
    out["dump_bytes"] = totals.dumpBytes;
    out["bytes"] = totals.bytes();
    out["parts"] = partsToJson(totals.parts);
    out["bits_per_value"] = totals.bitsPerValue();
    out["ratio"] = totals.ratio();
    out["ratio_to_dump"] = totals.ratioToDump();
    out["published_bytes"] = totals.publishedBytes;
    out["published_bits_per_value"] = totals.publishedBitsPerValue();
    out["published_ratio"] = totals.publishedRatio();
    out["entropy_bits_per_value"] = orNull(totals.entropyPerValue());
    out["encode_gbps"] = orNull(totals.encodeGBps());
    out["decode_gbps"] = orNull(totals.decodeGBps());
    if (totals.hasError)
        out["error"] = errorToJson(totals.error);
    return out;
}

EncodeTotals totalsOf(const PlaneReport& plane) {
    EncodeTotals totals;
    totals.add(plane);
    return totals;
}

ordered_json chunkToJson(const ChunkReport& chunk) {
    ordered_json out;
    out["tokens"] = {chunk.tokens.begin.value, chunk.tokens.end.value};
    out["pipeline"] = chunk.pipeline;
    out["parts"] = partsToJson(chunk.parts);
    out["published_bytes"] = chunk.publishedBytes;
    out["entropy_bits"] = orNull(chunk.entropyBits);
    out["channel_bits"] = chunk.channelBits;
    out["channel_entropy_bits"] = chunk.channelEntropyBits;
    return out;
}

ordered_json planeToJson(const PlaneReport& plane, bool detailed) {
    ordered_json out;
    out["sequence"] = plane.plane.sequence.value;
    out["layer"] = plane.plane.layer.value;
    out["kind"] = nameOf(plane.plane.kind);
    out["heads"] = plane.heads;
    out["head_dim"] = plane.headDim;
    out["tokens"] = plane.tokens;
    out["dtype"] = nameOf(plane.dtype);
    ordered_json& pipelines = out["pipelines"] = ordered_json::array();
    for (const Pipeline& pipeline : plane.pipelines)
        pipelines.push_back(describe(pipeline));
    out.update(totalsToJson(totalsOf(plane)));
    if (plane.hasError) {
        ordered_json& heads = out["heads_error"] = ordered_json::array();
        for (const TensorErrorSums& head : plane.headErrors)
            heads.push_back(errorToJson(head));
    }
    if (!detailed)
        return out;
    ordered_json& chunks = out["chunks"] = ordered_json::array();
    for (const ChunkReport& chunk : plane.chunks)
        chunks.push_back(chunkToJson(chunk));
    if (plane.hasError) {
        out["channel_error_energy"] = plane.channelErrorEnergy;
        out["channel_energy"] = plane.channelEnergy;
        out["channel_centred_energy"] = plane.channelCentredEnergy;
        out["token_error_energy"] = plane.tokenErrorEnergy;
        out["token_energy"] = plane.tokenEnergy;
    }
    return out;
}

/// A number for CSV: shortest text that keeps nine digits; empty where there is none.
std::string cell(const std::optional<double>& number) {
    if (!number || !std::isfinite(*number))
        return {};
    std::ostringstream out;
    out.precision(9);
    out << *number;
    return out.str();
}

} // namespace

std::string toJson(const EncodeReport& report, bool detailed) {
    ordered_json out;
    out["dump"] = report.dump;
    out["plan"] = ordered_json::parse(toJson(report.plan), nullptr, false);
    out["seconds"] = report.seconds;
    out["prefill_tokens_per_second"] = orNull(report.prefillTokensPerSecond);
    out["encode_time_to_prefill"] = orNull(report.encodeTimeToPrefill());
    std::set<PlaneKind> kinds;
    std::set<LayerIndex> layers;
    for (const PlaneReport& plane : report.planes) {
        kinds.insert(plane.plane.kind);
        layers.insert(plane.plane.layer);
    }
    out["weighted"] = totalsToJson(report.totals());
    for (const PlaneKind kind : kinds)
        out["kinds"][std::string(nameOf(kind))] = totalsToJson(report.totals(kind));
    ordered_json& planes = out["planes"] = ordered_json::array();
    for (const PlaneReport& plane : report.planes)
        planes.push_back(planeToJson(plane, detailed));
    ordered_json& attention = out["attention"] = ordered_json::array();
    for (const AttentionError& error : report.attention) {
        ordered_json entry;
        entry["sequence"] = error.sequence.value;
        entry["layer"] = error.layer.value;
        entry["queries"] = error.queries;
        entry["relative"] = error.relative;
        entry["keys_only"] = error.keysOnly;
        entry["values_only"] = error.valuesOnly;
        attention.push_back(std::move(entry));
    }
    return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string toCsv(const EncodeReport& report) {
    std::string out = "sequence,layer,kind,tokens,channels,values,dump_bytes,bytes";
    for (const char* part : kPartNames)
        out += std::string(",") + part;
    out +=
        ",bits_per_value,ratio,ratio_to_dump,published_bytes,published_bits_per_value,entropy_bits_per_value,mae,mse,"
        "max,relative_l2,nmse,nmse_centred,cosine,snr_db,encode_gbps,decode_gbps\n";
    for (const PlaneReport& plane : report.planes) {
        const EncodeTotals totals = totalsOf(plane);
        const TensorError error = totals.error.result();
        const auto measured = [&](std::optional<double> value) { return plane.hasError ? value : std::nullopt; };
        out += std::to_string(plane.plane.sequence.value) + "," + std::to_string(plane.plane.layer.value) + "," +
               std::string(nameOf(plane.plane.kind)) + "," + std::to_string(plane.tokens) + "," +
               std::to_string(plane.channels()) + "," + std::to_string(totals.values) + "," +
               std::to_string(totals.dumpBytes) + "," + std::to_string(totals.bytes());
        for (const BytePart part : kAllByteParts)
            out += "," + std::to_string(totals.parts[part]);
        for (const auto& value :
             {std::optional(totals.bitsPerValue()), std::optional(totals.ratio()), std::optional(totals.ratioToDump())})
            out += "," + cell(value);
        out += "," + std::to_string(totals.publishedBytes) + "," + cell(totals.publishedBitsPerValue()) + "," +
               cell(totals.entropyPerValue());
        for (const auto& value :
             {measured(error.meanAbs), measured(error.meanSquared), measured(error.max), error.relativeL2, error.nmse,
              error.nmseCentred, error.cosine, error.snrDb, totals.encodeGBps(), totals.decodeGBps()})
            out += "," + cell(value);
        out += "\n";
    }
    return out;
}

} // namespace kvscope
