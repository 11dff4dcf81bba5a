// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/plan_edit.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <set>
#include <sstream>

namespace kvscope {

namespace {

constexpr double kLeastStep = 1.0 / 4096;
constexpr double kMostStep = 64;
constexpr double kNotchesPerOctave = 10;

template <class... Visitors> struct Overloaded : Visitors... { using Visitors::operator()...; };
template <class... Visitors> Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string shortest(double number) {
    std::ostringstream out;
    out.precision(3);
    out << number;
    return out.str();
}

int toInt(double value, int least, int most) {
    return static_cast<int>(std::lround(std::clamp(value, static_cast<double>(least), static_cast<double>(most))));
}

int leastBits(const Uniform& quantiser) {
    return quantiser.symmetric ? 2 : 1;
}

/// Steps that differ by less than a notch of rounding read alike in a table; three digits are enough for people.
double threeDigits(double step) {
    const double scale = std::pow(10.0, 2 - std::floor(std::log10(step)));
    return std::clamp(std::round(step * scale) / scale, kLeastStep, kMostStep);
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string shortForm(const Quantiser& quantiser) {
    return std::visit(
        Overloaded{
            [](const Lossless&) { return std::string(); },
            [](const MaxAbsBins& q) { return std::to_string(q.bins) + " bins"; },
            [](const Uniform& q) {
                constexpr std::array kAxes{"", "/chan", "/head", "/plane"};
                return std::to_string(q.bits) + "b" + kAxes[static_cast<std::size_t>(q.axis)] +
                       (q.group > 0 ? " g" + std::to_string(q.group) : std::string());
            },
            [](const BlockNorm& q) { return std::to_string(q.bits) + "b block " + std::to_string(q.block); },
            [](const Float8& q) { return std::string(q.format == Float8::Format::E4M3 ? "fp8 e4m3" : "fp8 e5m2"); },
            [](const Kivi& q) { return "KIVI " + std::to_string(q.bits) + "b g" + std::to_string(q.group); },
            [](const AnchorDelta& q) { return "anchor " + shortest(q.step) + "\u03c3"; },
            [](const Step& q) { return shortest(q.step) + "\u03c3"; }},
        quantiser);
}

std::string shortForm(EntropyCoder coder, bool lossless, int effort) {
    switch (coder) {
    case EntropyCoder::Raw:
        return lossless ? "raw" : "";
    case EntropyCoder::Zlib:
        return "zlib-" + std::to_string(effort);
    case EntropyCoder::Lz4:
        return "lz4";
    case EntropyCoder::Zstd:
        return "zstd-" + std::to_string(effort);
    case EntropyCoder::ShuffleZstd:
        return "shuffle+zstd";
    case EntropyCoder::Gear:
        return "gear";
    case EntropyCoder::GearDelta:
        return "gear+delta";
    case EntropyCoder::Huffman:
        return "Huffman";
    case EntropyCoder::Arithmetic:
        return "arith";
    case EntropyCoder::ContextRans:
        return "ctx rANS";
    case EntropyCoder::Cabac:
        return "CABAC";
    case EntropyCoder::Kvz:
        return "kvz";
    }
    return {};
}

} // namespace

std::vector<PlaneSegment> segmentsOf(const CodecPlan& plan, LayerKind cell, std::int64_t tokens) {
    std::set<std::int64_t> cuts{0};
    for (const PlanRule& rule : plan.rules) {
        if (!rule.layers.contains(cell.layer) || !rule.kinds.contains(cell.kind))
            continue;
        for (const TokenIndex end : {rule.tokens.begin, rule.tokens.end}) {
            if (end.value < tokens)
                cuts.insert(end.value);
        }
    }
    std::vector<PlaneSegment> segments;
    for (auto cut = cuts.begin(); cut != cuts.end(); ++cut) {
        const TokenIndex end(std::next(cut) == cuts.end() ? kOpenEnd : *std::next(cut));
        const Pipeline& pipeline = plan.pipelineFor(cell.layer, cell.kind, *cut / plan.chunkTokens);
        if (!segments.empty() && segments.back().pipeline == pipeline)
            segments.back().tokens.end = end;
        else
            segments.push_back({{TokenIndex(*cut), end}, pipeline});
    }
    return segments;
}

void setSegments(CodecPlan& plan, LayerKind cell, std::span<const PlaneSegment> segments) {
    for (const PlaneSegment& segment : segments)
        plan.set({cell.layer, cell.layer + 1}, {cell.kind}, segment.tokens, segment.pipeline);
}

void adjust(CodecPlan& plan, std::span<const LayerKind> cells, const std::function<Pipeline(const Pipeline&)>& change,
            TokenRange tokens) {
    const CodecPlan before = plan;
    for (const LayerKind cell : cells) {
        for (const PlaneSegment& segment : segmentsOf(before, cell)) {
            const TokenRange range = segment.tokens.intersected(tokens);
            if (!range.empty())
                plan.set({cell.layer, cell.layer + 1}, {cell.kind}, range, change(segment.pipeline));
        }
    }
    plan = canonical(plan);
}

CodecPlan withChunkTokens(CodecPlan plan, std::int64_t chunkTokens) {
    const auto rounded = [chunkTokens](TokenIndex token) {
        if (token.value == kOpenEnd)
            return token;
        return TokenIndex((token.value + chunkTokens / 2) / chunkTokens * chunkTokens);
    };
    plan.chunkTokens = chunkTokens;
    for (PlanRule& rule : plan.rules)
        rule.tokens = {rounded(rule.tokens.begin), rounded(rule.tokens.end)};
    std::erase_if(plan.rules, [](const PlanRule& rule) { return rule.tokens.empty(); });
    return plan;
}

std::optional<Strength> strengthOf(const Pipeline& pipeline) {
    using Unit = Strength::Unit;
    using Maybe = std::optional<Strength>;
    return std::visit(Overloaded{[](const Lossless&) -> Maybe { return {}; }, [](const Float8&) -> Maybe { return {}; },
                                 [](const MaxAbsBins& q) -> Maybe {
                                     return Strength{Unit::Bins, static_cast<double>(q.bins)};
                                 },
                                 [](const Uniform& q) -> Maybe {
                                     return Strength{Unit::Bits, static_cast<double>(q.bits)};
                                 },
                                 [](const BlockNorm& q) -> Maybe {
                                     return Strength{Unit::Bits, static_cast<double>(q.bits)};
                                 },
                                 [](const Kivi& q) -> Maybe {
                                     return Strength{Unit::Bits, static_cast<double>(q.bits)};
                                 },
                                 [](const AnchorDelta& q) -> Maybe {
                                     return Strength{Unit::Step, q.step};
                                 },
                                 [](const Step& q) -> Maybe {
                                     return Strength{Unit::Step, q.step};
                                 }},
                      pipeline.quantiser);
}

Result<Pipeline> withStrength(const Pipeline& pipeline, Strength strength) {
    const auto own = strengthOf(pipeline);
    if (strength.unit == Strength::Unit::Bits && (!own || own->unit != Strength::Unit::Bits)) {
        if (!(strength.value >= 0.05 && strength.value <= 16))
            return fail("is " + shortest(strength.value) + " bits, outside 0.05..16", "quantiser",
                        "Choose a value from 0.05 to 16");
        return withBits(pipeline, strength.value);
    }
    if (!own || own->unit != strength.unit)
        return fail("has no " + std::string(strength.unit == Strength::Unit::Bins ? "bins" : "step"), "quantiser",
                    "Type a number of bits, or choose another quantiser first");
    if (strength.unit != Strength::Unit::Step && strength.value != std::round(strength.value))
        return fail("is " + shortest(strength.value) + ", not a whole number",
                    strength.unit == Strength::Unit::Bins ? "quantiser.bins" : "quantiser.bits", "Type a whole number");
    Pipeline changed = pipeline;
    // Numbers too large for an int are outside every range that validate() allows.
    const int whole = toInt(strength.value, -1, 1 << 20);
    std::visit(Overloaded{[](Lossless&) {}, [](Float8&) {}, [&](MaxAbsBins& q) { q.bins = whole; },
                          [&](Uniform& q) { q.bits = whole; }, [&](BlockNorm& q) { q.bits = whole; },
                          [&](Kivi& q) { q.bits = whole; }, [&](AnchorDelta& q) { q.step = strength.value; },
                          [&](Step& q) { q.step = strength.value; }},
               changed.quantiser);
    KVSCOPE_TRY(validate(changed));
    return changed;
}

Pipeline withBits(const Pipeline& pipeline, double bits) {
    Pipeline changed = pipeline;
    const auto steps = [&] {
        changed.clipSigmas.reset();
        changed.quantiser = Step{threeDigits(gaussianStep(bits))};
        changed.predictor = Predictor::Best;
        changed.coder = EntropyCoder::Kvz;
    };
    std::visit(Overloaded{[&](const Lossless&) { steps(); }, [&](const Float8&) { steps(); },
                          [&](MaxAbsBins q) {
                              q.bins = toInt(std::exp2(bits), 4, 256);
                              changed.quantiser = q;
                          },
                          [&](Uniform q) {
                              q.bits = toInt(bits, leastBits(q), 16);
                              changed.quantiser = q;
                          },
                          [&](BlockNorm q) {
                              q.bits = toInt(bits, 2, 16);
                              changed.quantiser = q;
                          },
                          [&](Kivi q) {
                              q.bits = toInt(bits, 1, 8);
                              changed.quantiser = q;
                          },
                          [&](AnchorDelta q) {
                              q.step = threeDigits(gaussianStep(bits));
                              changed.quantiser = q;
                          },
                          [&](Step q) {
                              q.step = threeDigits(gaussianStep(bits));
                              changed.quantiser = q;
                          }},
               Quantiser(pipeline.quantiser));
    return changed;
}

Pipeline coarser(const Pipeline& pipeline, int notches) {
    const auto own = strengthOf(pipeline);
    if (!own)
        return pipeline;
    switch (own->unit) {
    case Strength::Unit::Bits:
        return withBits(pipeline, own->value - notches);
    case Strength::Unit::Bins:
        return withBits(pipeline, std::log2(own->value) - notches);
    case Strength::Unit::Step:
        break;
    }
    const double step =
        threeDigits(std::clamp(own->value * std::exp2(notches / kNotchesPerOctave), kLeastStep, kMostStep));
    Pipeline changed = pipeline;
    if (auto* anchor = std::get_if<AnchorDelta>(&changed.quantiser))
        anchor->step = step;
    if (auto* plain = std::get_if<Step>(&changed.quantiser))
        plain->step = step;
    return changed;
}

double gaussianBits(double step) {
    // Beyond 9 sigma nothing is left; below 1/256 sigma the density is flat within a step.
    if (step < 1.0 / 256)
        return 2.0471 - std::log2(step);
    const auto above = [](double x) { return 0.5 * std::erfc(x / std::sqrt(2.0)); };
    const auto cost = [](double p) { return p > 0 ? -p * std::log2(p) : 0.0; };
    double bits = cost(1 - 2 * above(step / 2));
    for (int i = 0; (i + 0.5) * step < 9; ++i)
        bits += 2 * cost(above((i + 0.5) * step) - above((i + 1.5) * step));
    return bits;
}

double gaussianStep(double bits) {
    double fine = 1.0 / (1 << 15);
    double coarse = 12;
    const double wanted = std::clamp(bits, 0.0, 16.0);
    for (int i = 0; i < 60; ++i) {
        const double middle = std::sqrt(fine * coarse);
        (gaussianBits(middle) > wanted ? fine : coarse) = middle;
    }
    return std::sqrt(fine * coarse);
}

Result<Strength> strengthFromText(std::string_view text) {
    const std::string_view whole = trimmed(text);
    Strength strength;
    const auto [end, problem] = std::from_chars(whole.data(), whole.data() + whole.size(), strength.value);
    const auto refused = [&] {
        return fail("\"" + std::string(whole) + "\" is not understood", "value",
                    "Type bits (3), a step in sigma (0.45s), bins (32 bins) or the name of a preset");
    };
    if (problem != std::errc() || !std::isfinite(strength.value))
        return refused();
    const std::string_view unit = trimmed(whole.substr(static_cast<std::size_t>(end - whole.data())));
    if (unit.empty() || unit == "b" || unit == "bit" || unit == "bits")
        strength.unit = Strength::Unit::Bits;
    else if (unit == "bins" || unit == "bin")
        strength.unit = Strength::Unit::Bins;
    else if (unit == "s" || unit == "sigma" || unit == "\u03c3")
        strength.unit = Strength::Unit::Step;
    else
        return refused();
    return strength;
}

std::string toText(Strength strength) {
    constexpr std::array kUnits{" bits", " bins", "s"};
    return shortest(strength.value) + kUnits[static_cast<std::size_t>(strength.unit)];
}

std::string shortForm(const Pipeline& pipeline) {
    const bool lossless = std::holds_alternative<Lossless>(pipeline.quantiser);
    std::string text;
    const auto add = [&text](const std::string& part) {
        if (!part.empty())
            text += (text.empty() ? "" : " ") + part;
    };
    if (pipeline.transform == Transform::RopeInverse)
        add("unroped");
    if (pipeline.transform == Transform::Hadamard)
        add("Hadamard");
    if (pipeline.clipSigmas)
        add("clip");
    const std::string coder = shortForm(pipeline.coder, lossless, pipeline.effort);
    if (lossless && pipeline.coder == EntropyCoder::Kvz)
        add("kvz lossless");
    else if (pipeline.coder == EntropyCoder::Kvz)
        add("kvz " + shortForm(pipeline.quantiser) + (pipeline.effort < kTrellisEffort ? " fast" : ""));
    else {
        add(shortForm(pipeline.quantiser));
        add(coder);
    }
    return text;
}

} // namespace kvscope
