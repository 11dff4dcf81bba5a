# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounding of float32 to the 16- and 8-bit types, and what every 8-bit code means.  python3 make_dtypes.py

dtypes.json: `rounding` lists [float32 bits, f16 bits, bf16 bits, e4m3 bits, e5m2 bits], all hexadecimal: f16 by numpy, the others by ml_dtypes, and all
checked against torch (e4m3 up to 464: past that ml_dtypes makes NaN and torch 448). NaN results are any NaN. `decode` gives the float32 bits of all 256 codes of e4m3 (the "fn" variety without infinities) and e5m2.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import torch

HERE = Path(__file__).resolve().parent
E4M3, E5M2, BF16 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.bfloat16


def inputs():
    special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        65504.0,
        65519.996,
        65520.0,
        -65520.0,
        65536.0,
        1e9,
        -1e30,
        3.4028235e38,
        3.3895314e38,
        3.3961775e38,
        3.396178e38,
        2**-14,
        2**-14 * (1 - 2**-11),
        2**-24,
        2**-25,
        2**-25 * 1.0001,
        2**-26,
        6e-8,
        1e-40,
        1e-45,
        448.0,
        464.0,
        464.1,
        479.9,
        480.0,
        57344.0,
        61439.0,
        61440.0,
        2**-9,
        2**-10,
        2**-10 * 1.001,
        2**-16,
        2**-17,
        2**-17 * 1.001,
    ]
    x = np.array(special, np.float32)
    # Exact halves between neighbouring f16 and bf16 values, and their float32 neighbours.
    rng = np.random.default_rng(4)
    f16 = rng.integers(0, 0x7BFF, 24).astype(np.uint16)
    half = (
        f16.view(np.float16).astype(np.float64) + (f16 + 1).astype(np.uint16).view(np.float16).astype(np.float64)
    ) / 2
    bf16 = (rng.integers(0, 0x7F7F, 24).astype(np.uint32) << 16) | 0x8000
    e4m3 = np.arange(0, 0x7D, 5).astype(np.uint8)
    half8 = (e4m3.view(E4M3).astype(np.float64) + (e4m3 + 1).astype(np.uint8).view(E4M3).astype(np.float64)) / 2
    ties = np.concatenate([half.astype(np.float32), bf16.view(np.float32), half8.astype(np.float32)])
    around = np.concatenate([ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf)), -ties])
    return np.concatenate([x, around, rng.standard_normal(32).astype(np.float32)])


def bits(x, kind):
    return [f"{v:0{2 * x.dtype.itemsize}x}" for v in x.view(kind).tolist()]


with np.errstate(over="ignore"):
    x = inputs()
    f16, bf, e4, e5 = x.astype(np.float16), x.astype(BF16), x.astype(E4M3), x.astype(E5M2)
    tensor = torch.from_numpy(x)
    for kind, found in ((torch.float16, f16), (torch.bfloat16, bf), (torch.float8_e5m2, e5), (torch.float8_e4m3fn, e4)):
        theirs, ours = tensor.to(kind).float().numpy(), found.astype(np.float32)
        differ = ~((theirs == ours) | (np.isnan(theirs) & np.isnan(ours)))
        # Past 464 ml_dtypes makes NaN of e4m3 and torch the largest value, 448.
        allowed = np.abs(x) > 464 if kind == torch.float8_e4m3fn else np.zeros(len(x), bool)
        assert not (differ & ~allowed).any(), kind
codes = np.arange(256, dtype=np.uint8)
result = {
    "made_with": f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}",
    "rounding": list(
        zip(bits(x, np.uint32), bits(f16, np.uint16), bits(bf, np.uint16), bits(e4, np.uint8), bits(e5, np.uint8))
    ),
    "decode": {
        "e4m3": bits(codes.view(E4M3).astype(np.float32), np.uint32),
        "e5m2": bits(codes.view(E5M2).astype(np.float32), np.uint32),
    },
}
(HERE / "dtypes.json").write_text(
    json.dumps(result, separators=(",", ":")).replace("],[", "],\n[").replace('"decode"', '\n"decode"') + "\n"
)
