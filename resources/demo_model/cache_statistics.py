# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of K and V that tell a big model's cache from a small one's."""

import numpy as np

from capture import Capture


def planes(x: np.ndarray) -> np.ndarray:
    """[layer, token, head, channel] to [layer, token, merged channel], float64."""
    return x.reshape(*x.shape[:2], -1).astype(np.float64)


def outlier_ratio(plane: np.ndarray) -> float:
    """Largest RMS of a channel over the median channel's RMS."""
    rms = np.sqrt((plane**2).mean(0))
    return float(rms.max() / np.median(rms))


def delta_variance_ratio(plane: np.ndarray) -> float:
    """Var(x) / Var(x_t - x_{t-1}), variances about each channel's mean, summed over channels: above 1 deltas help."""
    return float(plane.var(0).sum() / np.diff(plane, axis=0).var(0).sum())


def anchor_variance_ratio(plane: np.ndarray, group: int = 10) -> float:
    """As above, with deltas against the first token of each group of ten (CacheGen)."""
    deltas = plane - plane[np.arange(len(plane)) // group * group]
    return float(plane.var(0).sum() / np.delete(deltas, np.s_[::group], axis=0).var(0).sum())


def symbols(plane: np.ndarray, bins: int = 32) -> np.ndarray:
    """CacheGen's quantiser: per token, max-abs, bins - 1 symbols."""
    half = bins // 2 - 1
    scale = np.abs(plane).max(1, keepdims=True).clip(1e-30)
    return np.rint(plane * half / scale + half).astype(np.int64)


def entropy(values: np.ndarray) -> float:
    """Bits per symbol of an array's own histogram."""
    share = np.bincount(values.ravel()) / values.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def entropy_per_channel(coded: np.ndarray) -> float:
    """Mean over channels of the entropy of each channel's own histogram."""
    return float(np.mean([entropy(coded[:, c]) for c in range(coded.shape[1])]))


def far_outliers(plane: np.ndarray) -> float:
    """Share of values further than six sigma from the plane's mean."""
    return float((np.abs(plane - plane.mean()) > 6 * plane.std()).mean())


def sink_mass(attention: np.ndarray, sinks: int = 1) -> np.ndarray:
    """Per layer: share of the attention that later queries (from the 17th on) spend on the first tokens."""
    return attention[:, :, 16:, :sinks].sum(-1).mean((1, 2))


def of_capture(capture: Capture) -> dict:
    """All of them: per kind the mean over layers and the range."""
    result = {}
    for name, array in (
        ("K", capture.keys),
        ("K before RoPE", capture.keys_before_rope),
        ("V", capture.values),
    ):
        layers = planes(array)
        rows = {
            "outlier_ratio": outlier_ratio,
            "delta_variance_ratio": delta_variance_ratio,
            "anchor_variance_ratio": anchor_variance_ratio,
            "far_outlier_share": far_outliers,
            "entropy_one_table": lambda p: entropy(symbols(p)),
            "entropy_per_channel": lambda p: entropy_per_channel(symbols(p)),
        }
        result[name] = {key: [measure(layer) for layer in layers] for key, measure in rows.items()}
    result["sink_mass_first_token"] = sink_mass(capture.attention).tolist()
    result["sink_mass_first_four"] = sink_mass(capture.attention, 4).tolist()
    return result
