// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli.h"

#include "app/cli_options.h"

#include <QCoreApplication>

#include <algorithm>
#include <array>

namespace kvscope::app {

namespace {

constexpr std::array<std::string_view, 12> kCommands{"inspect", "convert", "encode", "decode", "sweep", "synth",
                                                     "bench",   "stream",  "store",  "serve",  "fetch", "render"};

void printHelp() {
    print(QObject::tr(
        "Usage:\n"
        "  kvscope [FILE|FOLDER ...]             the window; a second dump is compared with the first\n"
        "  kvscope inspect FILE                  geometry, dtype, layout, statistics of every layer\n"
        "  kvscope convert FILE -o OUT           to .npy, .npz, .safetensors or raw; fp16 or bf16; RoPE "
        "undone or applied\n"
        "  kvscope encode FILE -o OUT.kvz --preset NAME[,NAME...] | --plan PLAN.json\n"
        "                                        one file with a level for each preset or plan; --append\n"
        "  kvscope decode IN.kvz -o OUT          a level of it as .npy, .npz, .safetensors or raw\n"
        "  kvscope sweep FILE... --presets all   every method on every dump: bits, errors, speed\n"
        "  kvscope synth -o OUT                  a synthetic dump of any size with realistic statistics\n"
        "  kvscope bench [IN]                    how fast this machine decodes, for stream and fetch to reckon with\n"
        "  kvscope stream IN                     how a context of that dump streams under every policy\n"
        "  kvscope store IN.kvz -o STORE         into a folder or Redis (redis://HOST:PORT), for many to share\n"
        "  kvscope serve FILE.kvz|FOLDER|STORE   chunks of any level to whoever fetches them\n"
        "  kvscope fetch HOST:PORT [HOST:PORT]   a context over the network, decoded while it arrives\n"
        "  kvscope render FILE --view NAME -o OUT.png|.svg|.pdf|.csv\n"
        "\n"
        "  kvscope COMMAND --help                the options of a command\n"
        "  kvscope --version\n"
        "\n"
        "Every command but render takes --json. Exit code 1: bad input; 2: bad usage.\n"));
}

} // namespace

bool isCommand(std::string_view argument) {
    return std::find(kCommands.begin(), kCommands.end(), argument) != kCommands.end() || argument == "--help" ||
           argument == "-h" || argument == "--version" || argument == "help";
}

int runCommand(int argc, char** argv) {
    const std::string_view command = argv[1];
    if (command == "render")
        return runRender(argc, argv);
    const QCoreApplication application(argc, argv);
    QStringList arguments = QCoreApplication::arguments();
    arguments.removeFirst();
    if (command == "inspect")
        return runInspect(arguments);
    if (command == "convert")
        return runConvert(arguments);
    if (command == "encode")
        return runEncode(arguments);
    if (command == "decode")
        return runDecode(arguments);
    if (command == "sweep")
        return runSweep(arguments);
    if (command == "synth")
        return runSynth(arguments);
    if (command == "bench")
        return runBench(arguments);
    if (command == "stream")
        return runStream(arguments);
    if (command == "store")
        return runStore(arguments);
    if (command == "serve")
        return runServe(arguments);
    if (command == "fetch")
        return runFetch(arguments);
    if (command == "--version")
        print(QStringLiteral("kvscope %1\n").arg(QCoreApplication::applicationVersion()));
    else
        printHelp();
    return kExitDone;
}

} // namespace kvscope::app
