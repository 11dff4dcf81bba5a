# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the whole chain in small, in about two minutes on two cores: corpus, tokenizer, training, evaluation, card, dumps.

    python3 quick.py [--work FOLDER]

Nothing is downloaded and nothing in the repository is touched: the results lie in FOLDER/published and FOLDER/dumps (a
temporary folder that is deleted, unless --work is given).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import settings


def chain(work: Path) -> None:
    """Runs the scripts one after the other as a user would; raises on the first that fails."""
    for script, options in (
        ("corpus", []),
        ("build_tokenizer", []),
        ("train", ["--workers", "2"]),
        ("evaluate", []),
        ("card", ["--out", str(work / "published")]),
        ("dump", ["--model", str(work / "published"), "--out", str(work / "dumps")]),
    ):
        started = time.monotonic()
        subprocess.run(
            [sys.executable, settings.HERE / f"{script}.py", "--quick", "--work", work, *options], check=True
        )
        print(f"-- {script}.py: {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--work", type=Path)
    arguments = options.parse_args()
    if arguments.work:
        chain(arguments.work)
        return
    with tempfile.TemporaryDirectory(prefix="kvscope-demo-") as folder:
        chain(Path(folder))


if __name__ == "__main__":
    main()
