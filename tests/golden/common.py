# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripts that make fixtures share: real K/V values, and the expected values beside a fixture.

<fixture>.expected.json says what a reader must find in <fixture>:
    format, producer, about   what wrote the file and what it exercises
    dtype, layout, batch      as stored
    needs                     what the file leaves open and the user (or a side file) must say
    planes                    in the order batch item, layer, K then V (or the one latent plane): kv_heads, head_dim, tokens, channels,
                              first_position, sha256 of the plane as float32 little-endian [token][channel], and probes [token, channel, value]
    sha256                    of all planes one after the other
A stored value becomes float32 by rounding to nearest even (only float64 needs it); fp8 and integers with a scale: float32(value) * float32(scale) in float32.
NaN is written as the quiet NaN 0x7fc00000.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent
KV_HEADS, HEAD_DIM = 4, 8


def real_kv(tokens=21):
    """float32 [3][K,V][tokens][32]: layers 0, 2, 4 of stories260K over story_a; 4 heads of 8; K after RoPE, interleaved pairs"""
    return np.ascontiguousarray(np.load(GOLDEN / "stats" / "small.kv.npy")[:, :, :tokens])


def lkthd(kv):
    return kv.reshape(*kv.shape[:3], KV_HEADS, HEAD_DIM)


def lkhtd(kv):
    return np.ascontiguousarray(lkthd(kv).transpose(0, 1, 3, 2, 4))


def to_bf16_bits(x):
    """float32 -> uint16, nearest even, finite values only"""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16_bits(u):
    return (np.asarray(u, np.uint16).astype(np.uint32) << 16).view(np.float32)


def plane(layer, kind, values, kv_heads, head_dim, batch=0, first_position=0):
    """values: [token][channel], any dtype"""
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(values).astype("<f4")
    x[np.isnan(x)] = np.nan
    assert x.ndim == 2 and x.shape[1] == kv_heads * head_dim, (x.shape, kv_heads, head_dim)
    return {
        "batch": batch,
        "layer": layer,
        "kind": kind,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "first_position": first_position,
        "x": x,
    }


def planes_of(kv, kv_heads=KV_HEADS, head_dim=HEAD_DIM, batch=0):
    """kv: [layer][K,V][token][channel]"""
    return [
        plane(layer, "KV"[k], kv[layer, k], kv_heads, head_dim, batch) for layer in range(len(kv)) for k in range(2)
    ]


def probes_of(x, seed):
    tokens, channels = x.shape
    if x.size == 0:
        return []
    rng = np.random.default_rng(seed)
    where = {(0, 0), (tokens - 1, channels - 1), (int(rng.integers(tokens)), int(rng.integers(channels)))}
    return [[t, c, repr(float(x[t, c]))] for t, c in sorted(where)]


def expect(fixture, *, format, producer, about, dtype, layout, planes, needs=(), **more):
    whole = hashlib.sha256()
    listed = []
    for i, p in enumerate(planes):
        x = p.pop("x")
        raw = x.tobytes()
        whole.update(raw)
        p.update(tokens=x.shape[0], channels=x.shape[1], sha256=hashlib.sha256(raw).hexdigest(), probes=probes_of(x, i))
        listed.append(p)
    head = {
        "format": format,
        "producer": producer,
        "about": about,
        "dtype": dtype,
        "layout": layout,
        "needs": list(needs),
        "batch": 1 + max(p["batch"] for p in listed),
        "layers": 1 + max(p["layer"] for p in listed),
        **more,
        "sha256": whole.hexdigest(),
    }
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
    text = (
        "{\n " + ",\n ".join(lines) + ',\n "planes": [\n  ' + ",\n  ".join(json.dumps(p) for p in listed) + "\n ]\n}\n"
    )
    path = Path(fixture)
    path.with_name(path.name + ".expected.json").write_text(text)
