# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols and values of the published quantisers, computed from their formulas with numpy (and torch where it has the format).

    python3 make_quantised.py                writes <method>.symbols.npy and <method>.values.npy
    python3 make_quantised.py --check        computes them anew and compares

Input: ../stats/small.kv.npy (float32 [3][K,V][53][32], 4 heads of 8 channels), layer 1, the first 16 tokens, and an all-zero token after
them, as float32 and rounded to float16 and bfloat16. Every array is [f32, f16, bf16][K, V][17 tokens][32 channels].
<method>.bytes.npy ([f32, f16, bf16][K, V] int64): bytes by CacheGen's own accounting.
Symbols are uint16. Values are the float32 that the dequantiser gives. Arithmetic is float32 unless a method says otherwise; ties to even.
Wants numpy, ml_dtypes; torch checks the eight-bit floats where it is there.
"""

import argparse
import sys
from pathlib import Path

import ml_dtypes
import numpy as np

HERE = Path(__file__).resolve().parent
F = np.float32
TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
TOKENS, HEAD_DIM = 16, 8


def inputs():
    kv = np.load(HERE.parent / "stats" / "small.kv.npy")[1, :, :TOKENS]
    kv = np.concatenate([kv, np.zeros_like(kv[:, :1])], axis=1)
    return {name: kv.astype(kind).astype(F) for name, kind in TYPES.items()}


def rounded_up(x, kind):
    """the smallest value of the type that is at least x (x >= 0)"""
    if kind is np.float32:
        return x
    y = x.astype(kind)
    up = (y.view(np.uint16) + np.uint16(1)).view(kind)
    return np.where(y.astype(F) >= x, y.astype(F), up.astype(F)).astype(F)


def cachegen(x, kind, bins):
    """q = round(x * (M / s) + M), value (q - M) / M * s; s the largest magnitude of the token over all heads"""
    m = F(bins // 2 - 1)
    s = np.abs(x).max(axis=-1, keepdims=True)
    safe = np.where(s > 0, s, F(1))
    factor = np.where(s > 0, m / safe, F(0)).astype(F)
    q = np.rint(x * factor + m)
    return q, ((q - m) / m * s).astype(F)


def cachegen_8bit(x, kind, bins=256):
    """the baseline: q = round(x * (1 / s * M)) in the type of an fp16 cache, symbol q + M"""
    if kind is not np.float16:
        return cachegen(x, kind, bins)
    h, m = np.float16, np.float16(bins // 2 - 1)
    x = x.astype(h)
    s = np.abs(x).max(axis=-1, keepdims=True)
    inverse = (F(1) / np.where(s > 0, s, h(1)).astype(F)).astype(h)
    factor = np.where(s > 0, inverse * m, h(0)).astype(h)
    q = np.rint(x * factor)
    return q.astype(F) + F(m), ((q / m).astype(h) * s).astype(h).astype(F)


def half(kind):
    """what 16-bit scales are stored in"""
    return ml_dtypes.bfloat16 if kind is ml_dtypes.bfloat16 else np.float16


def symmetric_groups(x, kind, bits, group):
    """groups along the channels of a token: scale = max|x| / (2^(b-1) - 1), rounded to 16 bits (float32 above 8 bits a value)"""
    top = F(2 ** (bits - 1) - 1)
    g = x.reshape(*x.shape[:-1], -1, group)
    s = np.abs(g).max(axis=-1, keepdims=True) / top
    if bits <= 8:
        s = s.astype(half(kind)).astype(F)
    q = np.where(s > 0, np.clip(np.rint(g / np.where(s > 0, s, F(1))), -top, top), F(0)).astype(F)
    return (q + top).reshape(x.shape), (q * s).reshape(x.shape)


def asymmetric(x, kind, bits, axis):
    """one group along the axis: zero = min, scale = (max - min) / (2^b - 1), both rounded to 16 bits"""
    top = F(2**bits - 1)
    low, high = x.min(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True)
    z = low.astype(half(kind)).astype(F)
    s = ((high - low) / top).astype(half(kind)).astype(F)
    q = np.where(s > 0, np.clip(np.rint((x - z) / np.where(s > 0, s, F(1))), 0, top), F(0)).astype(F)
    return q, (q * s + z).astype(F)


def kivi(x, kind, bits, group=8, residual=4):
    """KIVI: K along the tokens of a channel, V along the channels of a token; the last tokens stay in 16 bits (symbol 0 here)"""
    q, v = np.zeros_like(x), x.astype(half(kind)).astype(F)
    end = x.shape[1] - residual
    for at in range(0, end, group):
        part = slice(at, min(at + group, end))
        q[0, part], v[0, part] = asymmetric(x[0, part], kind, bits, 0)
    for at in range(0, x.shape[2], group):
        part = slice(at, at + group)
        q[1, :end, part], v[1, :end, part] = asymmetric(x[1, :end, part], kind, bits, 1)
    return q, v


def block_norm(x, kind, bits, block, top):
    """per block of a token: the largest max(1, floor(top * block)) kept, the rest over their largest magnitude rounded up to 16 bits"""
    m = F(2 ** (bits - 1) - 1)
    count = max(1, int(top * block))
    q, v = np.zeros_like(x), np.zeros_like(x)
    for index in np.ndindex(*x.shape[:-1]):
        for at in range(0, x.shape[-1], block):
            values = x[index][at : at + block].copy()
            kept = np.argsort(-np.abs(values), kind="stable")[:count]
            exact = values[kept]
            values[kept] = 0
            s = rounded_up(np.abs(values).max().reshape(1), half(kind))[0]
            factor = m / s if s > 0 else F(0)
            symbols = np.rint(values * factor + m)
            out = (symbols - m) / m * s
            out[kept] = exact
            q[index][at : at + block], v[index][at : at + block] = symbols, out
    return q, v


def anchor_delta(x, kind, step, group=10):
    """CacheGen's paper: the first token of each group of 10 in 8 bits as cachegen() has it; the others as their difference from what
    that comes back as, in steps of `step` standard deviations of the plane's differences from anchors; beyond 127 steps exact"""
    q, v = np.zeros_like(x), np.zeros_like(x)
    anchors = np.arange(0, x.shape[1], group)
    others = np.array([t for t in range(x.shape[1]) if t % group])
    for plane in range(len(x)):
        rows = x[plane].astype(np.float64)
        sigma = (rows[others] - rows[others // group * group]).std()
        s = F(step) * F(sigma)
        q[plane, anchors], v[plane, anchors] = cachegen(x[plane, anchors], kind, 256)
        base = v[plane, others // group * group]
        n = np.rint((x[plane, others] - base) / s)
        kept = np.abs(n) > 127
        most = np.abs(n[~kept]).max()
        q[plane, others] = np.where(kept, F(0), n) + most
        v[plane, others] = np.where(kept, x[plane, others], base + n * s)
    return q, v


def clip(x, kind, sigmas):
    """values beyond so many standard deviations of their channel set to that bound, in the type of the cache (no symbols)"""
    rows = x.astype(np.float64)
    mean = rows.mean(axis=1, keepdims=True).astype(F)
    reach = F(sigmas) * rows.std(axis=1, keepdims=True).astype(F)
    clipped = np.clip(x, mean - reach, mean + reach)
    return np.zeros_like(x), np.where(clipped == x, x, clipped.astype(kind).astype(F))


def float8(x, kind, dtype, largest):
    """each token over the least power of two that brings its largest magnitude into range; symbols are the bits"""
    peak = np.abs(x).max(axis=-1, keepdims=True).astype(np.float64)
    exponent = np.zeros(peak.shape, int)
    for index in np.ndindex(*peak.shape):
        if peak[index] > 0:
            e = -140
            while peak[index] > largest * 2.0**e:
                e += 1
            exponent[index] = e
    scale = np.exp2(exponent.astype(np.float64)).astype(F)
    scaled = x / scale
    coded = scaled.astype(dtype)
    try:
        import torch

        name = {ml_dtypes.float8_e4m3fn: torch.float8_e4m3fn, ml_dtypes.float8_e5m2: torch.float8_e5m2}[dtype]
        other = torch.from_numpy(np.ascontiguousarray(scaled)).to(name).view(torch.uint8).numpy()
        assert np.array_equal(other, coded.view(np.uint8)), "torch rounds otherwise"
    except ImportError:
        pass
    return coded.view(np.uint8), coded.astype(F) * scale


def hadamard(x):
    """orthonormal Walsh-Hadamard transform of each head: sums and differences at distance 1, 2, 4, then 1 / sqrt(d)"""
    y = x.reshape(*x.shape[:-1], -1, HEAD_DIM).copy()
    matrix = np.array([[1.0]])
    while len(matrix) < HEAD_DIM:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    expected = y.astype(np.float64) @ matrix / np.sqrt(HEAD_DIM)
    distance = 1
    while distance < HEAD_DIM:
        pairs = y.reshape(*y.shape[:-1], -1, 2, distance)
        a, b = pairs[..., 0, :].copy(), pairs[..., 1, :].copy()
        pairs[..., 0, :], pairs[..., 1, :] = a + b, a - b
        distance *= 2
    y = (y * F(1 / np.sqrt(HEAD_DIM))).astype(F)
    assert np.allclose(y, expected, atol=1e-5)
    return y.reshape(x.shape)


def hadamard_int8(x, kind):
    """rotated, then 8 bits a token (scales 16 bit), then rotated back"""
    q, v = symmetric_groups(hadamard(x), kind, 8, x.shape[-1])
    return q, hadamard(v)


METHODS = {
    "cachegen32": lambda x, kind: cachegen(x, kind, 32),
    "cachegen16": lambda x, kind: cachegen(x, kind, 16),
    "cachegen12": lambda x, kind: cachegen(x, kind, 12),
    "cachegen256": cachegen_8bit,
    "int4.group8": lambda x, kind: symmetric_groups(x, kind, 4, 8),
    "int4.group32": lambda x, kind: symmetric_groups(x, kind, 4, 32),
    "uniform8": lambda x, kind: symmetric_groups(x, kind, 8, 32),
    "uniform10": lambda x, kind: symmetric_groups(x, kind, 10, 32),
    "anchor.half": lambda x, kind: anchor_delta(x, kind, 0.5),
    "anchor.fine": lambda x, kind: anchor_delta(x, kind, 0.01),
    "clip": lambda x, kind: clip(x, kind, 1.25),
    "kivi2": lambda x, kind: kivi(x, kind, 2),
    "kivi4": lambda x, kind: kivi(x, kind, 4),
    "block10": lambda x, kind: block_norm(x, kind, 10, 32, 0.0625),
    "block4": lambda x, kind: block_norm(x, kind, 4, 16, 0.02),
    "e4m3": lambda x, kind: float8(x, kind, ml_dtypes.float8_e4m3fn, 448.0),
    "e5m2": lambda x, kind: float8(x, kind, ml_dtypes.float8_e5m2, 57344.0),
    "hadamard.int8": hadamard_int8,
}


def released_bytes(symbols, bins, value_size):
    """what CacheGen's released container counts for one plane in one call: cumulative table int16[33] and a stream with its int32 length
    for each channel, and the largest magnitudes; the 8-bit baseline stores a byte a value"""
    tokens, channels = symbols.shape
    if bins > 64:
        return tokens * channels + tokens * value_size
    total = tokens * value_size
    for column in symbols.T:
        counts = np.bincount(column, minlength=32)
        table = [(65535 - 32) * int(counts[:i].sum()) // tokens + i for i in range(32)] + [65536]
        low, high, bits, pending = 0, 2**32 - 1, 0, 0
        for symbol in column:
            span = high - low + 1
            low, high = low + (span * table[symbol] >> 16), low + (span * table[symbol + 1] >> 16) - 1
            while True:
                if high < 2**31 or low >= 2**31:
                    bits, pending = bits + 1 + pending, 0
                    low, high = low * 2 % 2**32, (high * 2 + 1) % 2**32
                elif low >= 2**30 and high < 3 * 2**30:
                    pending += 1
                    low, high = 2 * low - 2**31, 2 * high - 2**31 + 1
                else:
                    break
        # One more bit and the pending ones, then whole bytes.
        total += 33 * 2 + 4 + -(-(bits + pending + 2) // 8)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    wrong = 0

    def keep(path, array):
        nonlocal wrong
        if args.check:
            same = path.exists() and np.array_equal(np.load(path), array)
            wrong += not same
            print(path.name, "agrees" if same else "DIFFERS")
        else:
            np.save(path, array)

    for name, method in METHODS.items():
        made = [method(x, TYPES[kind]) for kind, x in inputs().items()]
        symbols = np.stack([q for q, _ in made]).astype(np.uint16)
        values = np.stack([v for _, v in made]).astype(F)
        for suffix, array in (("symbols", symbols), ("values", values)):
            keep(HERE / f"{name}.{suffix}.npy", array)
        if name.startswith("cachegen"):
            sizes = [[released_bytes(plane, int(name[8:]), 4 if kind == "f32" else 2) for plane in pair] for kind, pair in zip(TYPES, symbols)]
            keep(HERE / f"{name}.bytes.npy", np.array(sizes, np.int64))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
