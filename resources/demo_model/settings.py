# SPDX-License-Identifier: GPL-3.0-or-later
"""What every script of the demo model has to agree on: shape, folders, special tokens.

The work folder (downloads, token arrays, checkpoints) lies outside the repository; set
KVSCOPE_DEMO_WORK or give --work to move it.
"""

import argparse
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL_DIR = HERE.parent / "models" / "kvscope-demo"
DUMP_DIR = HERE.parent.parent / "sample_dumps"
HELD_OUT_PAGE = HERE / "held_out_page.txt"

BOS = "<s>"
EOS = "</s>"
SPECIAL_TOKENS = [BOS, EOS]
BOS_ID, EOS_ID = 0, 1


@dataclass(frozen=True)
class Shape:
    """Geometry of the Llama; the defaults are what is shipped."""

    vocab: int = 1024
    hidden: int = 192
    feed_forward: int = 512
    layers: int = 6
    query_heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    context: int = 512
    rope_theta: float = 10000.0


SHIPPED = Shape()
QUICK = Shape(
    vocab=512, hidden=64, feed_forward=128, layers=6, query_heads=8, kv_heads=4, head_dim=32, context=128
)


def shape_of(quick: bool) -> Shape:
    """The shape that is shipped, or the small one of --quick (same number of layers and KV channels)."""
    return QUICK if quick else SHIPPED


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all scripts share."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = Path(os.environ.get("KVSCOPE_DEMO_WORK", Path.home() / ".cache" / "kvscope-demo"))
    result.add_argument(
        "--work", type=Path, default=default, help="folder for downloads, data and checkpoints"
    )
    result.add_argument(
        "--quick", action="store_true", help="tiny model, tiny data: the whole chain in two minutes"
    )
    return result


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
