# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of ggml's quantised types and the values that the gguf package (numpy) decodes them to.

    python3 make_ggml.py        writes blocks.json; needs gguf and numpy
"""
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

BLOCKS = 6
HALVES = {"Q4_0": 1, "Q4_1": 2, "Q5_0": 1, "Q5_1": 2, "Q8_0": 1, "IQ4_NL": 1}  # scale, or scale and minimum

rng = np.random.default_rng(7)
out = {"producer": f"gguf {version('gguf')}, numpy {np.__version__}", "types": []}
for name, halves in HALVES.items():
    kind = GGMLQuantizationType[name]
    values, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    factors = rng.normal(0, 0.2, (BLOCKS, halves)).astype(np.float16)
    factors[0] = np.float16(6e-8)  # a denormal
    blocks[:, : 2 * halves] = factors.view(np.uint8).reshape(BLOCKS, 2 * halves)
    decoded = quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)
    assert decoded.size == BLOCKS * values
    out["types"].append({"name": name, "id": int(kind), "block_values": values, "block_bytes": size,
                         "blocks": blocks.tobytes().hex(), "values": [float(v) for v in decoded]})
Path(__file__).with_name("blocks.json").write_text(json.dumps(out, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
