// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/codec_report.h"

#include "views/codec_view.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace kvscope::views {

namespace {

constexpr double kBitsPerByte = 8;
constexpr double kBitsOfHalf = 16;

QString tr(const char* text) {
    return CodecView::tr(text);
}

std::optional<double> ratio(double one, double other) {
    return other > 0 ? std::optional(one / other) : std::nullopt;
}

template <std::size_t Part> std::optional<double> bytesOf(const ReportLine& line) {
    return line.parts ? std::optional(static_cast<double>((*line.parts)[kAllByteParts[Part]])) : std::nullopt;
}

template <std::size_t Part> ReportFigure partFigure() {
    QString title = nameOf(kAllByteParts[Part]);
    title[0] = title[0].toUpper();
    return {{title, tr("bytes"), explain::bytePart(kAllByteParts[Part])}, &bytesOf<Part>, true};
}

template <std::optional<double> TensorError::*Field> std::optional<double> errorOf(const ReportLine& line) {
    return line.error ? (*line.error).*Field : std::nullopt;
}

template <double TensorError::*Field> std::optional<double> errorOf(const ReportLine& line) {
    // What is not known of a head or a channel is NaN.
    return line.error && !std::isnan((*line.error).*Field) ? std::optional((*line.error).*Field) : std::nullopt;
}

template <std::optional<double> ReportLine::*Field> std::optional<double> fieldOf(const ReportLine& line) {
    return line.*Field;
}

std::vector<ReportFigure> makeFigures() {
    const QString units = tr("unit of the values");
    return {
        {{tr("Bits"), tr("a value"), explain::bitsPerValue()},
         [](const ReportLine& line) { return ratio(kBitsPerByte * line.bytes, static_cast<double>(line.values)); }},
        {{tr("Ratio"), tr("to 16 bit"), explain::ratio()},
         [](const ReportLine& line) {
             return ratio(kBitsOfHalf / kBitsPerByte * static_cast<double>(line.values), line.bytes);
         }},
        {{tr("Ratio"), tr("to the dump"), tr("How many times smaller than the dump at its own type.")},
         [](const ReportLine& line) { return ratio(line.dumpBytes, line.bytes); }},
        {{tr("Order-0 entropy"), tr("bits a value"),
          tr("Order-0 entropy of the symbols, channel by channel: what an ideal coder with a table for each channel "
             "and no side information would need. A coder that also uses what rows have in common can be below it.")},
         &fieldOf<&ReportLine::entropy>},
        {{tr("As published"), tr("bits a value"),
          tr("By the published method's own accounting, which may count other things than all that a decoder needs.")},
         &fieldOf<&ReportLine::publishedBits>},
        {{tr("NMSEc"), {}, explain::headlineError(PlaneKind::Key)}, &errorOf<&TensorError::nmseCentred>},
        {{tr("NMSE"), {}, explain::headlineError(PlaneKind::Value)}, &errorOf<&TensorError::nmse>},
        {{tr("Cosine"), {}, tr("Cosine of the angle between the values and what comes back; 1 is the same direction.")},
         &errorOf<&TensorError::cosine>},
        {{tr("SNR"), QStringLiteral("dB"),
          tr("Signal to noise: ten times the logarithm of the energy of the values over that of the error; 20 dB is 1 "
             "% "
             "of the energy.")},
         &errorOf<&TensorError::snrDb>},
        {{tr("MAE"), units, tr("Mean absolute error.")}, &errorOf<&TensorError::meanAbs>},
        {{tr("MSE"), tr("its square"), tr("Mean squared error, in the square of the values' unit.")},
         &errorOf<&TensorError::meanSquared>},
        {{tr("Largest error"), units, tr("The largest absolute error of any value.")}, &errorOf<&TensorError::max>},
        {{tr("Relative L2"), {}, tr("Euclidean length of the error over that of the values: the square root of NMSE.")},
         &errorOf<&TensorError::relativeL2>},
        {{tr("Attention error"), tr("relative"),
          tr("How far the output of the attention moves, relative to its length, where the dump has queries: root mean "
             "square over the layers.")},
         &fieldOf<&ReportLine::attention>},
        {{tr("Bytes"), {}, tr("All that a decoder needs.")},
         [](const ReportLine& line) { return std::optional(line.bytes); },
         true},
        partFigure<0>(),
        partFigure<1>(),
        partFigure<2>(),
        partFigure<3>(),
        partFigure<4>(),
        {{tr("Dump"), tr("bytes"), tr("What the dump takes for the same values.")},
         [](const ReportLine& line) { return std::optional(line.dumpBytes); },
         true},
        {{tr("Encode"), tr("GB/s a core"),
          tr("Bytes of the dump encoded a second of processor time (GB: 10^9 bytes).")},
         &fieldOf<&ReportLine::encodeGBps>},
        {{tr("Decode"), tr("GB/s a core"),
          tr("Bytes of the dump decoded a second of processor time (GB: 10^9 bytes).")},
         &fieldOf<&ReportLine::decodeGBps>},
        {{tr("Encoding time"), tr("% of prefill"),
          tr("Encoding time as a share of the time in which the prefill, at the rate that was given, computes the same "
             "tokens.")},
         [](const ReportLine& line) {
             return line.timeToPrefill ? std::optional(100 * *line.timeToPrefill) : std::nullopt;
         }},
    };
}

ReportLine lineOf(const EncodeTotals& totals) {
    ReportLine line;
    line.values = totals.values;
    line.bytes = static_cast<double>(totals.bytes());
    line.dumpBytes = static_cast<double>(totals.dumpBytes);
    line.parts = totals.parts;
    if (totals.publishedBytes != totals.bytes())
        line.publishedBits = totals.publishedBitsPerValue();
    line.entropy = totals.entropyPerValue();
    if (totals.hasError)
        line.error = totals.error.result();
    line.encodeGBps = totals.encodeGBps();
    line.decodeGBps = totals.decodeGBps();
    return line;
}

/// Sums over the same head or channels of a plane's sequences.
struct Share {
    std::int64_t values = 0;
    double bits = 0;
    double dumpBytes = 0;
    double entropyBits = 0;
    bool hasEntropy = false;
    TensorErrorSums sums;
    double errorEnergy = 0;
    double energy = 0;
    double centredEnergy = 0;
    bool hasError = false;

    void addChannel(const PlaneReport& plane, std::size_t channel) {
        values += plane.tokens;
        dumpBytes += static_cast<double>(plane.dumpBytes) / static_cast<double>(plane.channels());
        for (const ChunkReport& chunk : plane.chunks) {
            if (channel < chunk.channelBits.size())
                bits += static_cast<double>(chunk.channelBits[channel]);
            if (channel < chunk.channelEntropyBits.size()) {
                entropyBits += static_cast<double>(chunk.channelEntropyBits[channel]);
                hasEntropy = true;
            }
        }
        if (!plane.hasError || channel >= plane.channelErrorEnergy.size())
            return;
        hasError = true;
        errorEnergy += plane.channelErrorEnergy[channel];
        energy += plane.channelEnergy[channel];
        centredEnergy += plane.channelCentredEnergy[channel];
    }

    /// The error follows from the sums of a head where there are such, else from the energies of a channel.
    [[nodiscard]] ReportLine line(bool ofHead) const {
        ReportLine out;
        out.values = values;
        out.bytes = bits / kBitsPerByte;
        out.dumpBytes = dumpBytes;
        if (hasEntropy)
            out.entropy = ratio(entropyBits, static_cast<double>(values));
        if (!hasError)
            return out;
        if (ofHead) {
            out.error = sums.result();
            return out;
        }
        TensorError error;
        error.count = values;
        error.meanAbs = std::nan("");
        error.max = std::nan("");
        error.meanSquared = errorEnergy / static_cast<double>(std::max<std::int64_t>(values, 1));
        error.nmse = ratio(errorEnergy, energy);
        error.nmseCentred = ratio(errorEnergy, centredEnergy);
        if (error.nmse)
            error.relativeL2 = std::sqrt(*error.nmse);
        if (error.nmse && *error.nmse > 0)
            error.snrDb = -10 * std::log10(*error.nmse);
        out.error = error;
        return out;
    }
};

/// The heads or channels of one layer's plane.
std::vector<ReportLine> partsOf(const EncodeReport& report, LayerIndex layer, PlaneKind kind, bool heads) {
    std::vector<Share> shares;
    for (const PlaneReport& plane : report.planes) {
        if (plane.plane.layer != layer || plane.plane.kind != kind || plane.headDim <= 0)
            continue;
        const auto channels = static_cast<std::size_t>(plane.channels());
        const auto headDim = static_cast<std::size_t>(plane.headDim);
        shares.resize(std::max(shares.size(), heads ? channels / headDim : channels));
        for (std::size_t channel = 0; channel < channels; ++channel)
            shares[heads ? channel / headDim : channel].addChannel(plane, channel);
        for (std::size_t head = 0; heads && head < std::min(plane.headErrors.size(), shares.size()); ++head)
            shares[head].sums.merge(plane.headErrors[head]);
    }
    std::vector<ReportLine> lines;
    std::ranges::transform(shares, std::back_inserter(lines),
                           [heads](const Share& share) { return share.line(heads); });
    return lines;
}

/// Leaves out columns from `first` on that hold nothing.
void dropEmptyColumns(StatisticsTable& table, std::size_t first) {
    for (std::size_t column = table.columns.size(); column-- > first;) {
        const bool used = std::ranges::any_of(table.rows, [column](const auto& row) { return row[column].isValid(); });
        if (used)
            continue;
        table.columns.erase(table.columns.begin() + static_cast<std::ptrdiff_t>(column));
        for (auto& row : table.rows)
            row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
    }
}

QVariant cell(const ReportFigure& figure, const ReportLine& line) {
    const auto value = figure.of(line);
    if (!value)
        return {};
    return figure.isCount ? QVariant(static_cast<qlonglong>(std::llround(*value))) : QVariant(*value);
}

} // namespace

const std::vector<ReportFigure>& reportFigures() {
    static const std::vector<ReportFigure> figures = makeFigures();
    return figures;
}

ReportLine lineOf(const EncodeReport& report, std::optional<PlaneKind> kind) {
    ReportLine line = lineOf(kind ? report.totals(*kind) : report.totals());
    if (kind)
        return line;
    line.timeToPrefill = report.encodeTimeToPrefill();
    if (!report.attention.empty()) {
        double sum = 0;
        for (const AttentionError& layer : report.attention)
            sum += layer.relative * layer.relative;
        line.attention = std::sqrt(sum / static_cast<double>(report.attention.size()));
    }
    return line;
}

StatisticsTable reportSummaryTable(const std::vector<NamedReport>& reports, const std::vector<PlaneKind>& kinds) {
    StatisticsTable table;
    table.columns = {{tr("Figure"), {}, {}}, {tr("Unit"), {}, {}}};
    std::vector<ReportLine> lines;
    for (const NamedReport& one : reports) {
        const QString before = reports.size() > 1 ? one.name + QLatin1Char(' ') : QString();
        for (const PlaneKind kind : kinds) {
            table.columns.push_back({before + kindText(kind), {}, one.name});
            lines.push_back(lineOf(*one.report, kind));
        }
        if (kinds.size() > 1) {
            table.columns.push_back({before + tr("weighted"), {}, tr("All kinds, weighted by their size")});
            lines.push_back(lineOf(*one.report, std::nullopt));
        } else if (!lines.empty()) {
            const ReportLine whole = lineOf(*one.report, std::nullopt);
            lines.back().attention = whole.attention;
            lines.back().timeToPrefill = whole.timeToPrefill;
        }
    }
    for (const ReportFigure& figure : reportFigures()) {
        std::vector<QVariant> row{figure.column.title, figure.column.unit};
        bool any = false;
        for (const ReportLine& line : lines) {
            row.push_back(line.values > 0 ? cell(figure, line) : QVariant());
            any = any || row.back().isValid();
        }
        if (!any)
            continue;
        table.rows.push_back(std::move(row));
        table.rowExplanations.push_back(figure.column.explanation);
    }
    return table;
}

StatisticsTable reportTable(const std::vector<NamedReport>& reports, const std::vector<PlaneKind>& kinds,
                            ReportRows rows, std::optional<LayerIndex> layer) {
    StatisticsTable table;
    const bool parts = rows == ReportRows::Heads || rows == ReportRows::Channels;
    table.columns = {{tr("Plan"), {}, {}}, {tr("Layer"), {}, {}}, {tr("Kind"), {}, {}}};
    if (parts)
        table.columns.push_back({rows == ReportRows::Heads ? tr("Head") : tr("Channel"), {}, {}});
    const std::size_t names = table.columns.size();
    for (const ReportFigure& figure : reportFigures())
        table.columns.push_back(figure.column);
    const auto add = [&table](std::vector<QVariant> row, const ReportLine& line) {
        for (const ReportFigure& figure : reportFigures())
            row.push_back(cell(figure, line));
        table.rows.push_back(std::move(row));
    };
    for (const NamedReport& one : reports) {
        std::set<LayerIndex> layers;
        for (const PlaneReport& plane : one.report->planes)
            layers.insert(plane.plane.layer);
        for (const LayerIndex index : layers) {
            if (layer && index != *layer)
                continue;
            for (const PlaneKind kind : kinds) {
                const EncodeTotals totals = one.report->totals(index, kind);
                if (totals.values == 0)
                    continue;
                const std::vector<QVariant> row{one.name, static_cast<qlonglong>(index.value), kindText(kind)};
                if (!parts) {
                    add(row, lineOf(totals));
                    continue;
                }
                qlonglong number = 0;
                for (const ReportLine& line : partsOf(*one.report, index, kind, rows == ReportRows::Heads)) {
                    std::vector<QVariant> named = row;
                    named.emplace_back(number++);
                    add(std::move(named), line);
                }
            }
        }
    }
    dropEmptyColumns(table, names);
    return table;
}

} // namespace kvscope::views
