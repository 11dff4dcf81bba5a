// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/codec/plan.h"
#include "core/io/open_dump.h"

#include <QCommandLineParser>
#include <QJsonObject>
#include <QString>

#include <cstdio>
#include <optional>

namespace kvscope::app {

inline constexpr int kExitDone = 0;
inline constexpr int kExitBadInput = 1;
inline constexpr int kExitBadUsage = 2;

/// Adds what says how a dump is to be read: --axes, --dtype, --layers, --heads, --head-dim, --tokens, --offset,
/// --sequence, --level, --rope-theta, --rope-pairs, --hadamard, --order, --config.
void addOpenOptions(QCommandLineParser& parser);

/// Reads them; nothing, after a line on stderr, when a value makes no sense.
std::optional<OpenOptions> openOptionsFrom(const QCommandLineParser& parser);

/// A whole number of at least `least` from an option; nothing, after a line on stderr, when it is not one.
std::optional<std::int64_t> wholeNumber(const QCommandLineParser& parser, const QString& option, std::int64_t least);

/// A positive finite number from an option; nothing, after a line on stderr, when it is not one.
std::optional<double> positiveNumber(const QCommandLineParser& parser, const QString& option);

/// A share from an option in percent; nothing, after a line on stderr, when it is not one.
std::optional<double> percentage(const QCommandLineParser& parser, const QString& option);

/// Parses arguments after the command's name. Returns an exit code when the command is to end here (help, wrong
/// options).
std::optional<int> parseArguments(QCommandLineParser& parser, const QStringList& arguments);

/// One line on stderr; returns the exit code that goes with it.
int complain(const QString& text, int code = kExitBadInput);
int complain(const Error& error);

/// A plan from a JSON file, which gets the file's name where it has none.
Result<CodecPlan> readPlanFile(const QString& path);

/// UTF-8 on stdout.
void print(const QString& text);
void print(const QJsonObject& json);

/// The commands; arguments[0] is the command's name.
int runInspect(const QStringList& arguments);
int runRender(int argc, char** argv);
int runConvert(const QStringList& arguments);
int runSynth(const QStringList& arguments);
int runStream(const QStringList& arguments);
int runStore(const QStringList& arguments);
int runServe(const QStringList& arguments);
int runFetch(const QStringList& arguments);
int runEncode(const QStringList& arguments);
int runDecode(const QStringList& arguments);
int runSweep(const QStringList& arguments);
int runBench(const QStringList& arguments);

} // namespace kvscope::app
