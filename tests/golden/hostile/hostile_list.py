# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hostile files go, and the list of them."""

import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent
LISTED = []
COMMAND = b"touch KVSCOPE_HOSTILE_RAN"


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def write(name, data, about, must="error"):
    (HERE / name).write_bytes(data)
    LISTED.append({"file": name, "format": name.rsplit(".", 1)[1], "must": must, "about": about})


def folder(name, files, about, must="error"):
    for file, data in files.items():
        (HERE / name / file).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name / file).write_bytes(data)
    LISTED.append({"file": name, "format": "folder", "must": must, "about": about})


def write_list():
    (HERE / "hostile.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in LISTED) + "\n]\n")
