// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/sweep.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace kvscope {

namespace {

using nlohmann::ordered_json;

constexpr double kBitsPerByte = 8;

/// Bits a value without the tables that a decoder could have learnt beforehand.
double bitsWithoutTables(const EncodeTotals& totals) {
    if (totals.values == 0)
        return 0;
    return kBitsPerByte * static_cast<double>(totals.bytes() - totals.parts[BytePart::Tables]) /
           static_cast<double>(totals.values);
}

std::string number(double value, int decimals) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    return text.data();
}

std::string significant(const std::optional<double>& value) {
    if (!value || !std::isfinite(*value))
        return {};
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.4g", *value);
    return text.data();
}

std::string precise(const std::optional<double>& value) {
    if (!value || !std::isfinite(*value))
        return {};
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.9g", *value);
    return text.data();
}

std::optional<double> headline(PlaneKind kind, const TensorError& error) {
    return kind == PlaneKind::Value ? error.nmse : error.nmseCentred;
}

const EncodeTotals* totalsOf(const SweepRow& row, PlaneKind kind) {
    const auto found = row.kinds.find(kind);
    return found == row.kinds.end() ? nullptr : &found->second;
}

/// The kind that stands in the first columns: K, or the latent plane where there is no K.
PlaneKind firstKind(const SweepRow& row) {
    return row.kinds.contains(PlaneKind::Key) ? PlaneKind::Key : PlaneKind::Latent;
}

using Cells = std::vector<std::string>;

Cells textCells(const SweepRow& row) {
    if (!row.problem.empty())
        return {row.method, row.problem};
    Cells cells{row.method,
                number(row.all.bitsPerValue(), 3),
                number(row.all.ratio(), 2),
                number(row.all.ratioToDump(), 2),
                number(row.all.publishedBitsPerValue(), 3),
                number(bitsWithoutTables(row.all), 3),
                row.all.entropyPerValue() ? number(*row.all.entropyPerValue(), 3) : std::string("-")};
    for (const PlaneKind kind : {firstKind(row), PlaneKind::Value}) {
        const EncodeTotals* totals = totalsOf(row, kind);
        if (totals == nullptr) {
            cells.insert(cells.end(), 5, "-");
            continue;
        }
        const TensorError error = totals->error.result();
        cells.push_back(number(totals->bitsPerValue(), 3));
        cells.push_back(significant(headline(kind, error)));
        cells.push_back(error.cosine ? number(*error.cosine, 6) : std::string("-"));
        cells.push_back(significant(error.meanAbs));
        cells.push_back(significant(error.max));
    }
    cells.push_back(row.attention ? significant(row.attention) : "-");
    const auto speed = [](const std::optional<double>& gbps) { return gbps ? number(*gbps, 3) : std::string("-"); };
    cells.push_back(speed(row.all.encodeGBps()));
    cells.push_back(speed(row.all.decodeGBps()));
    cells.push_back(row.timeToPrefill ? significant(row.timeToPrefill) : "-");
    cells.push_back(row.lossless ? "lossless" : row.passed ? "passed" : "failed");
    return cells;
}

const Cells& textTitles() {
    static const Cells titles{"method",   "bits",     "ratio",       "to dump", "published", "no tables",
                              "entropy",  "K bits",   "NMSEc",       "cos",     "MAE",       "max",
                              "V bits",   "NMSE",     "cos",         "MAE",     "max",       "attention",
                              "enc GB/s", "dec GB/s", "enc/prefill", "strict"};
    return titles;
}

/// Columns wide enough for their cells; the first is flush left, the others flush right.
std::string table(const std::vector<Cells>& lines) {
    std::vector<std::size_t> widths(textTitles().size());
    for (const Cells& line : lines) {
        if (line.size() != widths.size())
            continue;
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    }
    std::string out;
    for (const Cells& line : lines) {
        if (line.size() != widths.size()) {
            out += line.front() + std::string(widths[0] - std::min(widths[0], line.front().size()), ' ') + "  " +
                   line.back() + "\n";
            continue;
        }
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::string gap(widths[i] - line[i].size(), ' ');
            out += i == 0 ? line[i] + gap : "  " + gap + line[i];
        }
        out += "\n";
    }
    return out;
}

std::string title(const SweepRow& row) {
    std::string text = row.dump.empty() ? "all dumps" : row.dump;
    if (!row.corpus.empty())
        text += ", corpus " + row.corpus;
    if (!row.run.empty())
        text += ", run " + row.run;
    return text;
}

std::string toTables(std::span<const SweepRow> rows) {
    std::string out;
    for (auto row = rows.begin(); row != rows.end();) {
        const std::string heading = title(*row);
        std::vector<Cells> lines{textTitles()};
        for (; row != rows.end() && title(*row) == heading; ++row)
            lines.push_back(textCells(*row));
        out += heading + "\n" + table(lines) + "\n";
    }
    return out;
}

/// A field of CSV: quoted where it needs to be.
std::string field(const std::string& text) {
    if (text.find_first_of(",\"\n") == std::string::npos)
        return text;
    std::string quoted = "\"";
    for (const char c : text)
        quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

std::string csvTotals(const EncodeTotals& totals) {
    const TensorError error = totals.error.result();
    std::string out = "," + std::to_string(totals.values) + "," + std::to_string(totals.bytes()) + "," +
                      std::to_string(totals.publishedBytes) + "," +
                      std::to_string(totals.bytes() - totals.parts[BytePart::Tables]);
    const auto measured = [&](std::optional<double> value) { return totals.hasError ? value : std::nullopt; };
    for (const auto& value : {std::optional(totals.bitsPerValue()), std::optional(totals.ratio()),
                              std::optional(totals.ratioToDump()), totals.entropyPerValue(), measured(error.meanAbs),
                              measured(error.meanSquared), measured(error.max), error.relativeL2, error.nmse,
                              error.nmseCentred, error.cosine, error.snrDb, totals.encodeGBps(), totals.decodeGBps()})
        out += "," + precise(value);
    return out;
}

std::string toCsvLines(std::span<const SweepRow> rows) {
    std::string out;
    for (const SweepRow& row : rows) {
        const std::string start =
            field(row.corpus) + "," + field(row.run) + "," + field(row.dump) + "," + field(row.method);
        const std::string verdict = row.lossless ? "lossless" : row.passed ? "passed" : "failed";
        if (!row.problem.empty()) {
            out += start + ",," + field(row.problem) + std::string(20, ',') + "\n";
            continue;
        }
        const std::string end = "," + precise(row.attention) + "," + precise(row.timeToPrefill) + "\n";
        for (const auto& [kind, totals] : row.kinds)
            out += start + "," + std::string(nameOf(kind)) + "," + verdict + csvTotals(totals) + end;
        out += start + ",all," + verdict + csvTotals(row.all) + end;
    }
    return out;
}

ordered_json orNull(const std::optional<double>& value) {
    return value && std::isfinite(*value) ? ordered_json(*value) : ordered_json();
}

ordered_json totalsToJson(const EncodeTotals& totals) {
    ordered_json out;
    out["values"] = totals.values;
    out["dump_bytes"] = totals.dumpBytes;
    out["bytes"] = totals.bytes();
    out["published_bytes"] = totals.publishedBytes;
    out["table_bytes"] = totals.parts[BytePart::Tables];
    out["bits_per_value"] = totals.bitsPerValue();
    out["published_bits_per_value"] = totals.publishedBitsPerValue();
    out["bits_per_value_without_tables"] = bitsWithoutTables(totals);
    out["ratio"] = totals.ratio();
    out["ratio_to_dump"] = totals.ratioToDump();
    out["entropy_bits_per_value"] = orNull(totals.entropyPerValue());
    const TensorError error = totals.error.result();
    out["mae"] = error.meanAbs;
    out["mse"] = error.meanSquared;
    out["max"] = error.max;
    out["relative_l2"] = orNull(error.relativeL2);
    out["nmse"] = orNull(error.nmse);
    out["nmse_centred"] = orNull(error.nmseCentred);
    out["cosine"] = orNull(error.cosine);
    out["snr_db"] = orNull(error.snrDb);
    out["mismatches"] = error.mismatches;
    out["encode_gbps"] = orNull(totals.encodeGBps());
    out["decode_gbps"] = orNull(totals.decodeGBps());
    return out;
}

ordered_json rowToJson(const SweepRow& row) {
    ordered_json out;
    out["corpus"] = row.corpus;
    out["run"] = row.run;
    if (!row.dump.empty())
        out["dump"] = row.dump;
    out["method"] = row.method;
    if (!row.problem.empty()) {
        out["problem"] = row.problem;
        return out;
    }
    out["lossless"] = row.lossless;
    out["passed"] = row.passed;
    for (const auto& [kind, totals] : row.kinds)
        out["kinds"][std::string(nameOf(kind))] = totalsToJson(totals);
    out["weighted"] = totalsToJson(row.all);
    out["attention"] = orNull(row.attention);
    out["encode_time_to_prefill"] = orNull(row.timeToPrefill);
    return out;
}

ordered_json rowsToJson(std::span<const SweepRow> rows) {
    ordered_json list = ordered_json::array();
    for (const SweepRow& row : rows)
        list.push_back(rowToJson(row));
    return list;
}

} // namespace

std::string sweepToText(std::span<const SweepRow> rows, std::span<const SweepRow> groups, SweepFormat format) {
    switch (format) {
    case SweepFormat::Text:
        return toTables(rows) + toTables(groups);
    case SweepFormat::Csv:
        return "corpus,run,dump,method,kind,verdict,values,bytes,published_bytes,bytes_without_tables,bits_per_value,"
               "ratio,ratio_to_dump,entropy_bits_per_value,mae,mse,max,relative_l2,nmse,nmse_centred,cosine,snr_db,"
               "encode_gbps,decode_gbps,attention,encode_time_to_prefill\n" +
               toCsvLines(rows) + toCsvLines(groups);
    case SweepFormat::Json: {
        ordered_json out;
        out["rows"] = rowsToJson(rows);
        out["groups"] = rowsToJson(groups);
        return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    }
    }
    return {};
}

} // namespace kvscope
