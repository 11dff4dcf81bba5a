// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/stream/trace_reader.h"

#include "core/base/byte_source.h"
#include "core/io/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace kvscope {

namespace {

constexpr std::int64_t kMaxFileBytes = 64 << 20;
constexpr std::size_t kMaxLines = 4'000'000;
constexpr double kPacketBits = 1500.0 * 8.0;
constexpr std::string_view kBlanks = " \t\r\f\v";

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// The lines that say something, each with its number.
class Lines {
public:
    explicit Lines(std::string_view text)
        : rest_(text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text) {}

    /// Moves to the next line that is neither empty nor a comment.
    bool next() {
        while (!rest_.empty()) {
            const auto end = rest_.find('\n');
            line_ = trimmed(rest_.substr(0, end));
            rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
            ++number_;
            if (!line_.empty() && line_.front() != '#')
                return true;
        }
        return false;
    }
    [[nodiscard]] std::string_view line() const { return line_; }
    [[nodiscard]] std::size_t number() const { return number_; }

private:
    std::string_view rest_;
    std::string_view line_;
    std::size_t number_ = 0;
};

std::string place(const std::string& name, const Lines& lines) {
    return name + ", line " + std::to_string(lines.number());
}

std::optional<double> parseNumber(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+'))
        text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
        return std::nullopt;
    return value;
}

/// A number that is neither negative nor above `most`.
Result<double> amount(std::string_view text, double most, const char* what, const std::string& name,
                      const Lines& lines) {
    const auto value = parseNumber(text);
    if (trimmed(text).empty())
        return fail(std::string(what) + " is missing", place(name, lines));
    if (!value) {
        return fail(std::string(what) + " is not a finite number: \"" + std::string(trimmed(text).substr(0, 40)) + '"',
                    place(name, lines));
    }
    if (*value < 0)
        return fail(std::string(what) + " is negative", place(name, lines));
    if (*value > most)
        return fail(std::string(what) + " is too large", place(name, lines));
    return *value;
}

/// Adds a rate, or lengthens the last stretch when the rate is the same.
void append(std::vector<TracePoint>& points, double seconds, double bitsPerSecond) {
    if (points.empty() || points.back().bitsPerSecond != bitsPerSecond)
        points.push_back({seconds, bitsPerSecond});
}

Result<BandwidthTrace> readMahimahi(Lines lines, const std::string& name) {
    std::vector<TracePoint> points;
    // Packets of the millisecond that ends at `stamp`; those stamped 0 pass in the first.
    std::int64_t stamp = 1;
    std::int64_t packets = 0;
    std::int64_t done = 0;
    const auto flush = [&] {
        if (packets == 0)
            return;
        if (stamp - 1 > done)
            append(points, 1e-3 * static_cast<double>(done), 0);
        append(points, 1e-3 * static_cast<double>(stamp - 1), static_cast<double>(packets) * kPacketBits / 1e-3);
        done = stamp;
        packets = 0;
    };
    std::int64_t before = 0;
    while (lines.next()) {
        std::int64_t value = 0;
        const auto text = lines.line();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size()) {
            return fail("not a time in whole milliseconds: \"" + std::string(text.substr(0, 40)) + '"',
                        place(name, lines));
        }
        if (value < 0)
            return fail("the time is negative", place(name, lines));
        if (static_cast<double>(value) > 1e3 * BandwidthTrace::kMaxSeconds)
            return fail("the time is too large", place(name, lines));
        if (value < before)
            return fail("the time is before that of the line above", place(name, lines), "Sort the lines");
        if (lines.number() > kMaxLines)
            return fail("the trace has more than 4 million lines", name);
        before = value;
        if (std::max<std::int64_t>(value, 1) != stamp) {
            flush();
            stamp = value;
        }
        ++packets;
    }
    if (packets == 0)
        return fail("the trace is empty", name);
    flush();
    return BandwidthTrace::make(std::move(points), 1e-3 * static_cast<double>(done), TraceEnd::Loop, name);
}

Result<BandwidthTrace> readPensieve(Lines lines, const std::string& name) {
    std::vector<TracePoint> points;
    double before = 0;
    bool first = true;
    while (lines.next()) {
        const auto text = lines.line();
        const auto gap = std::min(text.find_first_of(kBlanks), text.size());
        KVSCOPE_ASSIGN(const double seconds,
                       amount(text.substr(0, gap), BandwidthTrace::kMaxSeconds, "the time", name, lines));
        KVSCOPE_ASSIGN(const double mbit,
                       amount(text.substr(gap), BandwidthTrace::kMaxBitsPerSecond / 1e6, "the bandwidth", name, lines));
        if (lines.number() > kMaxLines)
            return fail("the trace has more than 4 million lines", name);
        // A first time of 0 ends an interval that has no length.
        if (!first && !(seconds > before))
            return fail("the time is not after that of the line above", place(name, lines), "Sort the lines");
        if (seconds > before)
            append(points, before, mbit * 1e6);
        before = seconds;
        first = false;
    }
    if (points.empty())
        return fail(first ? "the trace is empty" : "the trace has no interval", name);
    return BandwidthTrace::make(std::move(points), before, TraceEnd::Loop, name);
}

/// Bits per second of the unit that a CSV header names in its second column, if it names one.
double unitOf(std::string_view header) {
    std::string lower(header.substr(std::min(header.find_first_of(",;"), header.size())));
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    for (const char* separator : {"bit/s", "bps", "bits/s"}) {
        const auto at = lower.find(separator);
        if (at == std::string::npos)
            continue;
        switch (at > 0 ? lower[at - 1] : ' ') {
        case 'k':
            return 1e3;
        case 'm':
            return 1e6;
        case 'g':
            return 1e9;
        default:
            return 1;
        }
    }
    return 1e6;
}

/// Whether a first line names columns: it begins with a word that is no misspelt number.
bool isHeader(std::string_view line) {
    const char c = line.front();
    const bool word = c == '"' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const auto column = line.substr(0, line.find_first_of(",;"));
    return word && trimmed(column) != "nan" && trimmed(column) != "inf" && trimmed(column) != "NaN";
}

Result<BandwidthTrace> readCsv(Lines lines, const std::string& name) {
    std::vector<TracePoint> points;
    double unit = 1e6;
    double lastStep = 1.0;
    bool first = true;
    while (lines.next()) {
        const auto text = lines.line();
        if (std::exchange(first, false) && isHeader(text)) {
            unit = unitOf(text);
            continue;
        }
        const auto comma = std::min(text.find_first_of(",;"), text.size());
        const auto rest = text.substr(std::min(comma + 1, text.size()));
        KVSCOPE_ASSIGN(const double seconds,
                       amount(text.substr(0, comma), BandwidthTrace::kMaxSeconds / 2, "the time", name, lines));
        KVSCOPE_ASSIGN(const double rate,
                       amount(rest.substr(0, rest.find_first_of(",;")), BandwidthTrace::kMaxBitsPerSecond / unit,
                              "the bandwidth", name, lines));
        if (lines.number() > kMaxLines)
            return fail("the trace has more than 4 million lines", name);
        if (!points.empty()) {
            lastStep = seconds - points.back().seconds;
            if (!(lastStep > 0))
                return fail("the time is not after that of the line above", place(name, lines), "Sort the lines");
        }
        points.push_back({seconds, rate * unit});
    }
    if (points.empty())
        return fail("the trace is empty", name);
    // It begins with its first line, whatever that calls its time; the last rate lasts as long as the one before.
    const double origin = points.front().seconds;
    for (TracePoint& point : points)
        point.seconds -= origin;
    const double duration = points.back().seconds + lastStep;
    return BandwidthTrace::make(std::move(points), duration, TraceEnd::Loop, name);
}

Result<BandwidthTrace> readCacheGen(Lines lines, const std::string& name, const TraceReadOptions& options) {
    if (!(options.cacheGenSeconds > 0 && options.cacheGenSeconds <= 1e3))
        return fail("the time that each rate lasts is not between 0 and 1,000 seconds", name);
    std::vector<TracePoint> points;
    std::size_t line = 0;
    std::size_t rates = 0;
    for (; lines.next(); ++line) {
        if (options.cacheGenLine && *options.cacheGenLine != line)
            continue;
        KVSCOPE_ASSIGN(const auto json, parseJson(lines.line(), place(name, lines)));
        const auto* values = memberOf(json, "bw");
        if (values == nullptr || !values->is_array())
            return fail("there is no list \"bw\"", place(name, lines), "a line looks like {\"bw\": [1.5, 0.8]}");
        for (const auto& value : *values) {
            const double rate = value.is_number() ? value.get<double>() : std::nan("");
            if (!(rate >= 0 && rate <= BandwidthTrace::kMaxBitsPerSecond / 1e9)) {
                return fail("rate " + std::to_string(rates + 1) + " is negative, too large or not a number",
                            place(name, lines));
            }
            if (++rates > kMaxLines)
                return fail("the trace has more than 4 million rates", name);
            points.push_back({static_cast<double>(rates - 1) * options.cacheGenSeconds, rate * 1e9});
        }
    }
    if (points.empty())
        return fail(options.cacheGenLine ? "the trace has no such line, or it is empty" : "the trace is empty", name);
    return BandwidthTrace::make(std::move(points), static_cast<double>(rates) * options.cacheGenSeconds, TraceEnd::Loop,
                                name);
}

} // namespace

std::string_view nameOf(TraceFormat format) {
    constexpr std::array<std::string_view, 4> names{"Mahimahi", "Pensieve", "CSV", "CacheGen"};
    return names[static_cast<std::size_t>(format)];
}

TraceFormat guessTraceFormat(std::string_view text) {
    Lines lines(text);
    if (!lines.next())
        return TraceFormat::Csv;
    const auto line = lines.line();
    if (line.front() == '{')
        return TraceFormat::CacheGen;
    if (line.find_first_of(",;") != std::string_view::npos)
        return TraceFormat::Csv;
    return line.find_first_of(kBlanks) != std::string_view::npos ? TraceFormat::Pensieve : TraceFormat::Mahimahi;
}

Result<BandwidthTrace> readTrace(std::string_view text, const std::string& name, const TraceReadOptions& options) {
    const auto read = [&]() -> Result<BandwidthTrace> {
        switch (options.format.value_or(guessTraceFormat(text))) {
        case TraceFormat::Mahimahi:
            return readMahimahi(Lines(text), name);
        case TraceFormat::Pensieve:
            return readPensieve(Lines(text), name);
        case TraceFormat::Csv:
            return readCsv(Lines(text), name);
        case TraceFormat::CacheGen:
            return readCacheGen(Lines(text), name, options);
        }
        return fail("no such trace format", name);
    };
    try {
        return read();
    } catch (const std::bad_alloc&) {
        return fail("not enough memory to read the trace", name, {}, Error::Kind::System);
    }
}

Result<BandwidthTrace> openTrace(const std::filesystem::path& path, const TraceReadOptions& options) {
    KVSCOPE_ASSIGN(const auto file, openFile(path));
    if (file->size() > kMaxFileBytes)
        return fail("the trace is larger than 64 MiB", path.string());
    KVSCOPE_ASSIGN(const auto bytes, file->read(0, file->size()));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto isControl = [](char c) {
        return c >= 0 && c < ' ' && c != '\n' && kBlanks.find(c) == std::string_view::npos;
    };
    if (std::ranges::any_of(text, isControl))
        return fail("is not a text file", path.string(),
                    "Choose a Mahimahi, Pensieve, CSV or CacheGen trace of bandwidth");
    KVSCOPE_ASSIGN(const auto trace, readTrace(text, path.string(), options));
    return trace.withName(path.filename().string());
}

} // namespace kvscope
