// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/encode_report.h"
#include "views/statistics_table.h"

#include <optional>
#include <vector>

namespace kvscope::views {

/// The rows of a report's table.
enum class ReportRows : std::uint8_t { Kinds, Layers, Heads, Channels };

/// Every figure of some values of a report: all of a kind, a plane, a head, a channel. Absent ones are not known for
/// so few values.
struct ReportLine {
    std::int64_t values = 0;
    /// Bytes of a head or channel are its share of those of its chunks.
    double bytes = 0;
    double dumpBytes = 0;
    std::optional<PartBytes> parts;
    std::optional<double> publishedBits;
    std::optional<double> entropy;
    std::optional<TensorError> error;
    std::optional<double> encodeGBps;
    std::optional<double> decodeGBps;
    /// Relative error of the attention output, root mean square over the layers.
    std::optional<double> attention;
    std::optional<double> timeToPrefill;
};

/// One figure of a line: its name, unit and meaning, and how it is read.
struct ReportFigure {
    StatisticsTable::Column column;
    std::optional<double> (*of)(const ReportLine& line);
    /// A whole number.
    bool isCount = false;
};
/// All figures of the codec's reports, those that people look at first in front.
const std::vector<ReportFigure>& reportFigures();

/// One kind of a report, or all weighted by their size.
ReportLine lineOf(const EncodeReport& report, std::optional<PlaneKind> kind);

/// A report and what to call it.
struct NamedReport {
    QString name;
    const EncodeReport* report = nullptr;
};

/// The figures down, and across each report's kinds and all of them weighted by their size; figures that no report has
/// are left out. Each row's explanation says what it means.
StatisticsTable reportSummaryTable(const std::vector<NamedReport>& reports, const std::vector<PlaneKind>& kinds);

/// A line for each layer and kind, or for each head or channel of one layer; columns without any figure are left out.
StatisticsTable reportTable(const std::vector<NamedReport>& reports, const std::vector<PlaneKind>& kinds,
                            ReportRows rows, std::optional<LayerIndex> layer);

} // namespace kvscope::views
