# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden statistics, computed with numpy in float64 from the values as they lie in the files.

    python3 make_stats.py                        the committed arrays small.kv.npy and small.kpre.npy
    python3 make_stats.py --slice                cut the committed arrays anew from the dumps
    python3 make_stats.py --dumps                the dumps of KVSCOPE_TEST_DATA as well

Each dump gives one <name>.stats.json. DEFINITIONS below is written into every file: it is what the numbers mean.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("KVSCOPE_TEST_DATA", HERE.parents[3] / "shared" / "data"))

HISTOGRAM_LOW, HISTOGRAM_HIGH, HISTOGRAM_BINS = -16.0, 16.0, 256
GROUP = 10
MAX_LAG = 32
BINS = 32
THETA = 10000.0

DEFINITIONS = {
    "input": "float32 array [layer][0=K 1=V][token][channel]; every number computed in float64 from those values, written with 10 significant digits",
    "kinds": "K, V: the planes of *.kv.npy (K after RoPE). Kpre: the planes of *.kpre.npy (K before RoPE)",
    "var, std": "population (divided by n, not n-1)",
    "skew": "m3 / m2^1.5, biased",
    "kurtosis": "excess: m4 / m2^2 - 3, biased",
    "rms": "sqrt(mean(x^2))",
    "mean_abs": "mean(|x|)",
    "outliers_N_sigma": "count of |x - mean| > N * std, mean and std over the plane",
    "channel": "the same moments over the tokens of one channel",
    "channel_outlier_ratio": "max over channels of the channel rms / median of the channel rms (even count: mean of the middle two)",
    "percentiles_abs": "of |x|, linear interpolation between order statistics at position p/100*(n-1)",
    "histogram": "counts in `bins` equal bins of [low, high]; bin = floor((x-low)/width), x == high counts in the last; below, above: outside",
    "token": "over the channels of one token (only in small.stats.json)",
    "delta_prev": "x[t] - x[t-1], t = 1..T-1, the differences taken in float64",
    "delta_anchor": "groups of 10 tokens from token 0; x[t] - x[first token of its group] for the tokens that are not a first (the last group may be short)",
    "variance_ratio": "var(x over the whole plane) / var(delta)",
    "correlation": "lag k = 1..32: xc = x - channel mean; sum_{t<T-k} xc[t]*xc[t+k] / sum_t xc[t]^2 for each channel, mean over the channels of nonzero variance",
    "correlation_unbiased": "the same with the numerator divided by T-k and the denominator by T",
    "quantised": "CacheGen: s = max|x| over the channels of one (layer, token); M = bins//2 - 1; q = rint((x*M)/s + M), ties to even; all-zero row: q = M",
    "entropy": "bits a value. Of one group: -sum p*log2(p) of its symbol counts. Of a grouping: mean of the group entropies weighted by group size",
    "entropy groupings": "plane: plane = all values of the plane, channel and token within the plane. Whole kind: all = one table over all layers; "
    "layer, channel, token = groups by that index alone, over the others; layer_channel, layer_token = by both",
    "symbol_counts": "how often each q = 0..2M occurs in the plane",
    "error": "e = y - x. mae = mean|e|, mse = mean(e^2), max = max|e|, rel_l2 = |e|/|x|, nmse = sum e^2/sum x^2, "
    "nmsec = sum e^2/sum (x - channel mean)^2, cosine = x.y/(|x||y|), snr_db = 10*log10(sum x^2/sum e^2)",
    "error fp16, bf16": "y = x rounded to nearest even to that type; bins32: y = (q-M)/M*s of `quantised`, in float64",
    "gaussian": "maximum likelihood: mu = mean, sigma = population std; nll = mean negative log likelihood in nats",
    "laplace": "maximum likelihood: mu = median, b = mean|x - median|; nll likewise",
    "rope_undone": "K of *.kv.npy with the rotation of interleaved pairs (2i, 2i+1) of each head taken back, angle = token * theta^(-2i/head_dim), in float64; "
    "max_abs_difference is against Kpre",
}


def bf16(x):
    """Nearest even, finite values only."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(np.float32)


def moments(x, axis=None):
    mean = x.mean(axis)
    d = x - (mean if axis is None else np.expand_dims(mean, axis))
    m2, m3, m4 = (d**2).mean(axis), (d**3).mean(axis), (d**4).mean(axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "mean": mean,
            "var": m2,
            "std": np.sqrt(m2),
            "min": x.min(axis),
            "max": x.max(axis),
            "rms": np.sqrt((x**2).mean(axis)),
            "mean_abs": np.abs(x).mean(axis),
            "skew": m3 / m2**1.5,
            "kurtosis": m4 / m2**2 - 3,
        }


def histogram(x):
    width = (HISTOGRAM_HIGH - HISTOGRAM_LOW) / HISTOGRAM_BINS
    inside = x[(x >= HISTOGRAM_LOW) & (x <= HISTOGRAM_HIGH)]
    index = np.minimum(np.floor((inside - HISTOGRAM_LOW) / width).astype(int), HISTOGRAM_BINS - 1)
    counts = np.bincount(index, minlength=HISTOGRAM_BINS)
    assert (counts == np.histogram(inside, HISTOGRAM_BINS, (HISTOGRAM_LOW, HISTOGRAM_HIGH))[0]).all()
    return {
        "low": HISTOGRAM_LOW,
        "high": HISTOGRAM_HIGH,
        "bins": HISTOGRAM_BINS,
        "counts": counts,
        "below": int((x < HISTOGRAM_LOW).sum()),
        "above": int((x > HISTOGRAM_HIGH).sum()),
    }


def fits(x):
    mu, sigma, median = x.mean(), x.std(), np.median(x)
    b = np.abs(x - median).mean()
    return {
        "gaussian": {"mu": mu, "sigma": sigma, "nll": 0.5 * np.log(2 * np.pi * sigma**2) + 0.5},
        "laplace": {"mu": median, "b": b, "nll": np.log(2 * b) + 1},
    }


def delta_prev(x):
    return x[1:] - x[:-1]


def delta_anchor(x):
    t = np.arange(len(x))
    anchor = t // GROUP * GROUP
    followers = t != anchor
    return x[followers] - x[anchor[followers]]


def delta_stats(x, d):
    return {**moments(d), "variance_ratio": x.var() / d.var(), "histogram": histogram(d), "fits": fits(d)}


def correlation(x, unbiased=False):
    xc = x - x.mean(0)
    energy = (xc**2).sum(0)
    xc, energy = xc[:, energy > 0], energy[energy > 0]
    tokens = len(x)
    out = []
    for k in range(1, min(MAX_LAG, tokens - 1) + 1):
        c = ((xc[:-k] * xc[k:]).sum(0) / energy).mean()
        out.append(c * tokens / (tokens - k) if unbiased else c)
    return out


def quantise(x):
    """x [token][channel] -> (symbols, dequantised)"""
    m = BINS // 2 - 1
    s = np.abs(x).max(1, keepdims=True)
    safe = np.where(s > 0, s, 1.0)
    q = np.where(s > 0, np.rint((x * m) / safe + m), m).astype(int)
    return q, (q - m) / m * s


def group_entropy(groups):
    """groups: integer array [group][member], all of one size"""
    total = 0.0
    for g in groups:
        n = np.bincount(g)
        p = n[n > 0] / g.size
        total += -(p * np.log2(p)).sum()
    return total / len(groups)


def error(x, y):
    e = y - x
    return {
        "mae": np.abs(e).mean(),
        "mse": (e**2).mean(),
        "max": np.abs(e).max(),
        "rel_l2": np.linalg.norm(e) / np.linalg.norm(x),
        "nmse": (e**2).sum() / (x**2).sum(),
        "nmsec": (e**2).sum() / ((x - x.mean(0)) ** 2).sum(),
        "cosine": (x * y).sum() / (np.linalg.norm(x) * np.linalg.norm(y)),
        "snr_db": 10 * np.log10((x**2).sum() / (e**2).sum()),
    }


def plane_stats(x32, with_tokens):
    x = x32.astype(np.float64)
    sigma, mean = x.std(), x.mean()
    channel, token = moments(x, 0), moments(x, 1)
    q, dequantised = quantise(x)
    return {
        **moments(x),
        **{f"outliers_{n}_sigma": int((np.abs(x - mean) > n * sigma).sum()) for n in (3, 4, 6)},
        "percentiles_abs": {str(p): np.percentile(np.abs(x), p) for p in (0.5, 50, 99.5)},
        "channel": {k: channel[k] for k in ("mean", "std", "rms", "kurtosis", "min", "max")},
        "channel_outlier_ratio": channel["rms"].max() / np.median(channel["rms"]),
        **({"token": {k: token[k] for k in ("mean", "std", "rms", "min", "max")}} if with_tokens else {}),
        "histogram": histogram(x),
        "fits": fits(x),
        "delta_prev": delta_stats(x, delta_prev(x)),
        "delta_anchor": delta_stats(x, delta_anchor(x)),
        "correlation": correlation(x),
        "correlation_unbiased": correlation(x, True),
        "symbol_counts": np.bincount(q.ravel(), minlength=BINS - 1),
        "entropy": {"plane": group_entropy([q.ravel()]), "channel": group_entropy(q.T), "token": group_entropy(q)},
        "error": {
            "fp16": error(x, x32.astype(np.float16).astype(np.float64)),
            "bf16": error(x, bf16(x32).astype(np.float64)),
            "bins32": error(x, dequantised),
        },
    }


def kind_entropy(planes):
    q = np.stack([quantise(p.astype(np.float64))[0] for p in planes])
    layers, tokens, channels = q.shape
    return {
        "all": group_entropy([q.ravel()]),
        "layer": group_entropy(q.reshape(layers, -1)),
        "channel": group_entropy(q.transpose(2, 0, 1).reshape(channels, -1)),
        "token": group_entropy(q.transpose(1, 0, 2).reshape(tokens, -1)),
        "layer_channel": group_entropy(q.transpose(0, 2, 1).reshape(layers * channels, -1)),
        "layer_token": group_entropy(q.reshape(layers * tokens, -1)),
    }


def undo_rope(k, head_dim, positions):
    layers, tokens, channels = k.shape
    x = k.astype(np.float64).reshape(layers, tokens, channels // head_dim, head_dim // 2, 2)
    angle = positions[:, None] * THETA ** (-2.0 * np.arange(head_dim // 2) / head_dim)
    c, s = np.cos(angle)[None, :, None, :], np.sin(angle)[None, :, None, :]
    a, b = x[..., 0], x[..., 1]
    return np.stack([a * c + b * s, b * c - a * s], -1).reshape(k.shape)


def plain(v):
    if isinstance(v, dict):
        return {k: plain(w) for k, w in v.items()}
    if isinstance(v, np.ndarray):
        return plain(v.tolist())
    if isinstance(v, (list, tuple)):
        return [plain(w) for w in v]
    v = v.item() if isinstance(v, np.generic) else v
    return float(f"{v:.10g}") if isinstance(v, float) else v


def make(kv_path, kpre_path, head_dim, out, with_tokens):
    kv, kpre = np.load(kv_path), np.load(kpre_path)
    kinds = {"K": kv[:, 0], "V": kv[:, 1], "Kpre": kpre}
    undone = undo_rope(kv[:, 0], head_dim, np.arange(kv.shape[2], dtype=np.float64))
    result = {
        "dump": kv_path.name,
        "kpre": kpre_path.name,
        "made_with": f"numpy {np.__version__}",
        "layers": kv.shape[0],
        "tokens": kv.shape[2],
        "kv_heads": kv.shape[3] // head_dim,
        "head_dim": head_dim,
        "definitions": DEFINITIONS,
        "planes": {kind: [plane_stats(p, with_tokens) for p in planes] for kind, planes in kinds.items()},
        "entropy": {kind: kind_entropy(planes) for kind, planes in kinds.items()},
        "rope_undone": {"theta": THETA, "pairs": "interleaved", "max_abs_difference": np.abs(undone - kpre).max()},
    }
    text = json.dumps(plain(result), separators=(",", ":"), allow_nan=False)
    out.write_text(text.replace('"planes":', '\n"planes":').replace('{"mean":', '\n{"mean":') + "\n")
    print(out.name, len(text), "bytes; rope undone to", result["rope_undone"]["max_abs_difference"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slice", action="store_true", help="cut small.*.npy anew from the dumps")
    parser.add_argument("--dumps", action="store_true", help="also the whole dumps of KVSCOPE_TEST_DATA")
    args = parser.parse_args()
    dumps = DATA / "dumps"
    if args.slice:
        # Layers 0, 2 and 4; 53 tokens, so that the last group of ten is short.
        np.save(HERE / "small.kv.npy", np.load(dumps / "stories260K.story_a.kv.npy")[::2, :, :53])
        np.save(HERE / "small.kpre.npy", np.load(dumps / "stories260K.story_a.kpre.npy")[::2, :53])
    make(HERE / "small.kv.npy", HERE / "small.kpre.npy", 8, HERE / "small.stats.json", True)
    if args.dumps:
        for path in sorted(dumps.glob("*.kv.npy")):
            name = path.name.removesuffix(".kv.npy")
            make(
                path,
                dumps / f"{name}.kpre.npy",
                json.loads((dumps / f"{name}.json").read_text())["head_dim"],
                HERE / f"{name}.stats.json",
                False,
            )


main()
