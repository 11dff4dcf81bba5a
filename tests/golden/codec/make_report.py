#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of an encode report, computed by numpy alone.

Two layers of a seeded cache (2 KV heads of 8 channels, 4 query heads, 70 tokens) are quantised as CacheGen's released
code does with 16 bins; the errors of what comes back are computed in float64. Run: python3 make_report.py
Wants numpy 2 (any 1.2x gives the same bytes).
"""
import json
import pathlib

import numpy as np

LAYERS, HEADS, QUERY_HEADS, DIM, TOKENS, BINS = 2, 2, 4, 8, 70, 16
HERE = pathlib.Path(__file__).parent


def quantise(rows):
    """CacheGen: one scale a token over all channels, symbols rint(x * M / s + M), in the precision of the input."""
    most = BINS // 2 - 1
    scale = np.abs(rows).max(axis=1, keepdims=True)
    symbols = np.rint(rows.astype(np.float64) * most / scale + most)
    return ((symbols - most) / most * scale).astype(np.float32)


def errors(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    e = y - x
    energy = (x * x).sum()
    centred = ((x - x.mean(axis=0)) ** 2).sum()
    return {
        "mae": np.abs(e).mean(),
        "mse": (e * e).mean(),
        "max": np.abs(e).max(),
        "relative_l2": np.sqrt((e * e).sum() / energy),
        "nmse": (e * e).sum() / energy,
        "nmse_centred": (e * e).sum() / centred,
        "cosine": (x * y).sum() / np.sqrt(energy * (y * y).sum()),
        "snr_db": 10 * np.log10(energy / (e * e).sum()),
    }


def attention(q, k, v, rows):
    """Outputs [row][query head][dim] of causal attention for some query rows."""
    out = np.zeros((len(rows), QUERY_HEADS, DIM))
    for i, row in enumerate(rows):
        for head in range(QUERY_HEADS):
            part = slice(head // (QUERY_HEADS // HEADS) * DIM, (head // (QUERY_HEADS // HEADS) + 1) * DIM)
            scores = k[: row + 1, part].astype(np.float64) @ q[row, head * DIM : (head + 1) * DIM] / np.sqrt(DIM)
            weights = np.exp(scores - scores.max())
            out[i, head] = weights / weights.sum() @ v[: row + 1, part].astype(np.float64)
    return out


def main():
    random = np.random.default_rng(20260301)
    spread = np.exp(random.normal(0, 0.7, HEADS * DIM))
    planes = []
    for _ in range(LAYERS):
        keys = random.normal(0, 1, (TOKENS, HEADS * DIM)) * spread + random.normal(0, 2, HEADS * DIM)
        values = random.normal(0, 0.3, (TOKENS, HEADS * DIM))
        queries = random.normal(0, 0.5, (TOKENS, QUERY_HEADS * DIM))
        planes.append([plane.astype(np.float32) for plane in (keys, values, queries)])
    cache = np.stack([np.stack(plane[:2]) for plane in planes])
    np.save(HERE / "report.kv.npy", cache)
    np.save(HERE / "report.q.npy", np.stack([plane[2] for plane in planes]))

    rows = [(i + 1) * TOKENS // 7 - 1 for i in range(7)]
    golden = {"bins": BINS, "planes": [], "attention": []}
    both = {"K": [], "V": []}
    for layer, (keys, values, queries) in enumerate(planes):
        decoded = {}
        for kind, plane in (("K", keys), ("V", values)):
            decoded[kind] = quantise(plane)
            both[kind].append((plane, decoded[kind]))
            e = decoded[kind].astype(np.float64) - plane
            golden["planes"].append(
                {
                    "layer": layer,
                    "kind": kind,
                    "error": errors(plane, decoded[kind]),
                    "heads": [
                        errors(plane[:, h * DIM : (h + 1) * DIM], decoded[kind][:, h * DIM : (h + 1) * DIM])
                        for h in range(HEADS)
                    ],
                    "channel_error_energy": (e * e).sum(axis=0).tolist(),
                    "token_error_energy": (e * e).sum(axis=1).tolist(),
                }
            )
        exact = attention(queries, keys, values, rows)
        norm = np.sqrt((exact**2).sum())
        distance = lambda k, v: np.sqrt(((attention(queries, k, v, rows) - exact) ** 2).sum()) / norm
        golden["attention"].append(
            {
                "relative": distance(decoded["K"], decoded["V"]),
                "keys_only": distance(decoded["K"], values),
                "values_only": distance(keys, decoded["V"]),
            }
        )
    golden["kinds"] = {
        kind: {
            "mae": np.concatenate([np.abs(y.astype(np.float64) - x).ravel() for x, y in pairs]).mean(),
            "max": max(np.abs(y.astype(np.float64) - x).max() for x, y in pairs),
        }
        for kind, pairs in both.items()
    }
    (HERE / "report.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
