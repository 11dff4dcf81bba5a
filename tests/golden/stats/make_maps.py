# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden cells of heatmaps, computed with numpy in float64 from small.kv.npy.  python3 make_maps.py

small.maps.json: `cells` lists [map, kind, quantity, layer, column, row, column step, row step, min, max, mean, rms, count]. A cell of steps (a, b) covers the
columns [column*a, column*a + a) and rows [row*b, row*b + b) of the full map, clipped to it. Maps (x by y): LayerToken token by layer, HeadToken token by head of one
layer, TokenChannel token by channel of one layer, LayerChannel channel by layer. Quantities: Value; Magnitude |x|; DeltaPrevious x[t] - x[t-1], 0 at the first token;
DeltaAnchor x[t] - x[first of its group of 10], 0 at the anchors; ChannelDeviation x - mean of the channel over the tokens of the plane; KeyBeforeRope K with the rotation
of interleaved pairs taken back (theta 10000).
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
HEADS, DIM = 4, 8


def before_rope(k):
    x = k.reshape(*k.shape[:2], HEADS, DIM // 2, 2)
    angle = np.arange(k.shape[1])[:, None] * 10000.0 ** (-2.0 * np.arange(DIM // 2) / DIM)
    c, s = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    return np.stack([x[..., 0] * c + x[..., 1] * s, x[..., 1] * c - x[..., 0] * s], -1).reshape(k.shape)


def quantities(x, kind):
    tokens = np.arange(x.shape[1])
    found = {
        "Value": x,
        "Magnitude": np.abs(x),
        "DeltaPrevious": x - x[:, np.maximum(tokens - 1, 0)],
        "DeltaAnchor": x - x[:, tokens // 10 * 10],
        "ChannelDeviation": x - x.mean(1, keepdims=True),
    }
    if kind == "K":
        found["KeyBeforeRope"] = before_rope(x)
    return found


def maps(x):
    """name -> (layer or None, array [y][x][summarised])"""
    layers, tokens, channels = x.shape
    yield "LayerToken", 0, x
    yield "LayerChannel", 0, x.transpose(0, 2, 1)
    for layer in (0, layers - 1):
        yield "HeadToken", layer, x[layer].reshape(tokens, HEADS, DIM).transpose(1, 0, 2)
        yield "TokenChannel", layer, x[layer].T[:, :, None]


kv = np.load(HERE / "small.kv.npy").astype(np.float64)
rng = np.random.default_rng(12)
lines = []
for k, kind in enumerate("KV"):
    for quantity, x in quantities(kv[:, k], kind).items():
        for name, layer, full in maps(x):
            rows, columns = full.shape[:2]
            for a, b, count in ((1, 1, 3), (8, 1, 1), (4, 2, 1), (64, 4, 1)):
                for _ in range(count):
                    c, r = int(rng.integers((columns + a - 1) // a)), int(rng.integers((rows + b - 1) // b))
                    v = full[r * b : (r + 1) * b, c * a : (c + 1) * a]
                    numbers = [float(f"{n:.9g}") for n in (v.min(), v.max(), v.mean(), np.sqrt((v**2).mean()))]
                    lines.append(json.dumps([name, kind, quantity, layer, c, r, a, b, *numbers, v.size]))
(HERE / "small.maps.json").write_text(
    f'{{"dump": "small.kv.npy", "made_with": "numpy {np.__version__}", "cells": [\n' + ",\n".join(lines) + "\n]}\n"
)
print(len(lines), "cells")
