# SPDX-License-Identifier: GPL-3.0-or-later
"""numpy's own .npy and .npz files.  python3 make_numpy.py"""

import json
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import (
    HEAD_DIM,
    KV_HEADS,
    expect,
    from_bf16_bits,
    lkhtd,
    lkthd,
    plane,
    planes_of,
    real_kv,
    to_bf16_bits,
)  # noqa: E402

HERE = Path(__file__).resolve().parent
PRODUCER = f"numpy {np.__version__}"
KV = real_kv(15)
SHORT = real_kv(9)
F16 = KV.astype(np.float16)
BF16 = to_bf16_bits(KV)


def fixture(name, values, about, dtype, layout, needs=(), **more):
    expect(
        HERE / name,
        format=name.rsplit(".", 1)[1],
        producer=PRODUCER,
        about=about,
        dtype=dtype,
        layout=layout,
        planes=planes_of(values) if isinstance(values, np.ndarray) else values,
        needs=needs,
        **more,
    )


def versioned(name, array, version):
    with open(HERE / name, "wb") as f:
        np.lib.format.write_array(f, array, version=version)


def dated(name):
    """numpy's zip entries have the fixed date 1980-01-01 already; fail loudly if that ever changes"""
    with zipfile.ZipFile(HERE / name) as z:
        assert all(i.date_time == (1980, 1, 1, 0, 0, 0) for i in z.infolist())


np.save(HERE / "f16.lkhtd.npy", lkhtd(F16))
fixture("f16.lkhtd.npy", F16, "Hugging Face order in one tensor", "f16", "L2HTD")
np.save(HERE / "f32.lkthd.npy", lkthd(KV))
fixture("f32.lkthd.npy", KV, "CacheGen order", "f32", "L2THD")
np.save(HERE / "f64.lktc.npy", SHORT.astype(np.float64) * (1 + 2**-30))
fixture(
    "f64.lktc.npy",
    SHORT.astype(np.float64) * (1 + 2**-30),
    "float64 that float32 does not hold exactly; heads merged",
    "f64",
    "L2TC",
    ["kv_heads"],
)
np.save(HERE / "f16.lktc.fortran.npy", np.asfortranarray(F16))
fixture("f16.lktc.fortran.npy", F16, "fortran_order: True", "f16", "L2TC", ["kv_heads"])
np.save(HERE / "f32.lkhtd.fortran.npy", np.asfortranarray(lkhtd(SHORT)))
fixture("f32.lkhtd.fortran.npy", SHORT, "fortran_order: True", "f32", "L2HTD")
np.save(HERE / "f32.lkthd.bigendian.npy", lkthd(SHORT).astype(">f4"))
fixture("f32.lkthd.bigendian.npy", SHORT, "descr '>f4'", "f32", "L2THD")
np.save(HERE / "f16.lkthd.bigendian.npy", lkthd(F16).astype(">f2"))
fixture("f16.lkthd.bigendian.npy", F16, "descr '>f2'", "f16", "L2THD")
versioned("f16.lkthd.header2.npy", lkthd(F16), (2, 0))
fixture("f16.lkthd.header2.npy", F16, "header version 2.0: 4-byte header length", "f16", "L2THD")
versioned("f16.lkthd.header3.npy", lkthd(F16), (3, 0))
fixture("f16.lkthd.header3.npy", F16, "header version 3.0: utf-8", "f16", "L2THD")
np.save(HERE / "bf16.uint16.lkthd.npy", lkthd(BF16))
fixture(
    "bf16.uint16.lkthd.npy",
    from_bf16_bits(BF16),
    "bf16 bits kept as uint16, as numpy has no bf16",
    "bf16",
    "L2THD",
    ["dtype"],
)
np.save(HERE / "bf16.mldtypes.lkthd.npy", lkthd(KV).astype(ml_dtypes.bfloat16))
fixture(
    "bf16.mldtypes.lkthd.npy",
    KV.astype(ml_dtypes.bfloat16),
    f"ml_dtypes {ml_dtypes.__version__} bfloat16: numpy writes descr '<V2', a void of 2 bytes",
    "bf16",
    "L2THD",
    ["dtype"],
)
int8 = np.clip(np.rint(KV * 4), -127, 127).astype(np.int8)
np.save(HERE / "i8.lkthd.npy", lkthd(int8))
fixture("i8.lkthd.npy", int8, "int8 without a scale: the values are the integers", "i8", "L2THD")
uint8 = (int8.astype(np.int16) + 128).astype(np.uint8)
np.save(HERE / "u8.lkthd.npy", lkthd(uint8))
fixture("u8.lkthd.npy", uint8, "uint8 without a scale: the values are the integers", "u8", "L2THD")
two = np.stack([KV[:, :, :11], KV[:, :, 4:15]], 2).astype(np.float16)
np.save(
    HERE / "f16.lkbhtd.npy",
    np.ascontiguousarray(two.reshape(3, 2, 2, 11, KV_HEADS, HEAD_DIM).transpose(0, 1, 2, 4, 3, 5)),
)
fixture("f16.lkbhtd.npy", planes_of(two[:, :, 0]) + planes_of(two[:, :, 1], batch=1), "batch of 2", "f16", "L2BHTD")
strange = F16.copy()
strange[0, 0, 3, 5], strange[0, 0, 4, 5], strange[0, 1, 7, 1], strange[1, 0, 2, 2], strange[1, 0, 2, 3] = (
    np.nan,
    np.inf,
    -np.inf,
    6e-8,
    -3e-5,
)
strange[2, 1] = 0
np.save(HERE / "f16.lkthd.strange.npy", lkthd(strange))
fixture(
    "f16.lkthd.strange.npy",
    strange,
    "one NaN, one +Inf, one -Inf, two denormals of fp16 and an all-zero V of the last layer",
    "f16",
    "L2THD",
    counts={
        "nan": 1,
        "inf": 2,
        "all_zero_planes": [[2, "V"]],
        "denormal_f16": int(((strange != 0) & (np.abs(strange.astype(np.float32)) < 2**-14)).sum()),
    },
)
np.save(HERE / "model_fp16.f32.lkthd.npy", lkthd(SHORT))
fixture("model_fp16.f32.lkthd.npy", SHORT, "the name says fp16, the file is float32", "f32", "L2THD")
np.save(HERE / "f16values.f32.lkthd.npy", lkthd(F16[:, :, :9]).astype(np.float32))
fixture("f16values.f32.lkthd.npy", F16[:, :, :9], "float32 file whose every value is an fp16 value", "f32", "L2THD")

for name, values, about, dtype, layout, offset in (
    ("f16.lkthd.raw", F16, "headerless: ndarray.tofile", "f16", "L2THD", 0),
    (
        "bf16.klhtd.offset100.raw",
        from_bf16_bits(BF16),
        "headerless, 100 bytes of something else first",
        "bf16",
        "2LHTD",
        100,
    ),
):
    with open(HERE / name, "wb") as f:
        f.write(bytes(range(100))[:offset])
        (lkthd(F16) if dtype == "f16" else np.ascontiguousarray(lkhtd(BF16).transpose(1, 0, 2, 3, 4))).tofile(f)
    expect(
        HERE / name,
        format="raw",
        producer=PRODUCER,
        about=about,
        dtype=dtype,
        layout=layout,
        planes=planes_of(values),
        offset=offset,
        needs=["dtype", "layout", "layers", "kv_heads", "head_dim"] + (["offset"] if offset else []),
    )

# Headerless values with the sidecar that core/io/RAW_SIDECAR.md describes.
two32 = np.stack([SHORT[:, :, :7], SHORT[:, :, 2:9]])  # [S][L][2][T][C]
(HERE / "sidecar.f32be.raw").write_bytes(b"sixteen bytes ok" + two32.transpose(1, 2, 0, 3, 4).astype(">f4").tobytes())
(HERE / "sidecar.f32be.raw.json").write_text(
    json.dumps(
        {
            "dtype": "f32",
            "byte_order": "big",
            "axes": "LXSTC",
            "batch": 2,
            "layers": 3,
            "heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "tokens": 7,
            "offset": 16,
            "first_position": 100,
            "rope": {"theta": 10000, "pairing": "interleaved"},
            "model": "stories260K",
        },
        indent=1,
    )
    + "\n"
)
expect(
    HERE / "sidecar.f32be.raw",
    format="raw with sidecar",
    producer=PRODUCER,
    about="big-endian float32 after 16 bytes, batch of 2, first position 100; the sidecar tells all",
    dtype="f32",
    layout="L2STC",
    planes=[{**p, "first_position": 100} for b in range(2) for p in planes_of(two32[b], batch=b)],
)
parts = [(4, 8, 9, 0), (2, 16, 5, 4), (1, 8, 9, 0)]  # heads, dimension, tokens, first position of each layer
ragged, raw = [], b""
for i, (h, d, t, first) in enumerate(parts):
    for k in range(2):
        x = SHORT[i, k, first : first + t, : h * d].astype(np.float16)
        ragged.append(plane(i, "KV"[k], x, h, d, first_position=first))
        raw += np.ascontiguousarray(x.reshape(t, h, d).transpose(1, 0, 2)).tobytes()
(HERE / "sidecar.ragged.raw").write_bytes(raw)
(HERE / "sidecar.ragged.raw.json").write_text(
    json.dumps(
        {
            "dtype": "f16",
            "axes": "LXHTD",
            "layers": 3,
            "heads": 4,
            "head_dim": 8,
            "tokens": 9,
            "rope": None,
            "layer_overrides": [
                {"layer": 1, "heads": 2, "head_dim": 16, "tokens": 5, "first_position": 4},
                {"layer": 2, "heads": 1},
            ],
        },
        indent=1,
    )
    + "\n"
)
expect(
    HERE / "sidecar.ragged.raw",
    format="raw with sidecar",
    producer=PRODUCER,
    about="layers of different heads, dimension, length and first position, by layer_overrides",
    dtype="f16",
    layout="L2HTD",
    planes=ragged,
)

heads = lkhtd(KV)[:, :, None]  # [L][2][B=1][H][T][D]
np.savez(
    HERE / "stored.perlayer.npz",
    **{f"layer_{i}_{n}": heads[i, k].astype(np.float16) for i in range(3) for k, n in enumerate(("key", "value"))},
)
fixture(
    "stored.perlayer.npz", F16, "np.savez (stored): layer_<i>_key, layer_<i>_value [1,H,T,D]", "f16", "perlayer BHTD"
)
np.savez_compressed(
    HERE / "deflated.perlayer.npz",
    **{f"{n}_{i}": heads[i, k, 0].astype(np.float16) for i in range(3) for k, n in enumerate(("key", "value"))},
)
fixture(
    "deflated.perlayer.npz", F16, "np.savez_compressed (deflated): key_<i>, value_<i> [H,T,D]", "f16", "perlayer HTD"
)
eleven = np.concatenate([KV, KV[::-1], KV, KV[:2]])[:, :, :6].astype(np.float16)
np.savez_compressed(
    HERE / "deflated.naturalorder.npz",
    **{f"layers.{i}.{n}": eleven[i, k] for i in sorted(range(11), key=str) for k, n in enumerate("kv")},
)
fixture(
    "deflated.naturalorder.npz",
    eleven,
    "11 layers, stored in the order 0, 1, 10, 2, ...: layers.<i>.k, layers.<i>.v [T,C]; layers.10 comes after layers.9",
    "f16",
    "perlayer TC",
    ["kv_heads"],
)
np.savez(HERE / "stored.stacked.npz", kv=lkhtd(F16))
fixture("stored.stacked.npz", F16, "np.savez: one array kv [L,2,H,T,D]", "f16", "L2HTD")
np.savez_compressed(HERE / "deflated.stacked.npz", kv=lkthd(SHORT))
fixture("deflated.stacked.npz", SHORT, "np.savez_compressed: one array kv [L,2,T,H,D], float32", "f32", "L2THD")
np.savez_compressed(
    HERE / "deflated.keysvalues.npz",
    keys=lkthd(KV)[:, 0].astype(np.float16),
    values=lkthd(KV)[:, 1].astype(np.float16),
    tokens=np.arange(15, dtype=np.int64) * 7 % 512,
)
fixture(
    "deflated.keysvalues.npz",
    F16,
    "two arrays keys, values [L,T,H,D] and token ids",
    "f16",
    "LTHD",
    tokens_ids=[int(i) * 7 % 512 for i in range(15)],
)
np.savez_compressed(HERE / "deflated.arr0.npz", lkthd(F16))
fixture("deflated.arr0.npz", F16, "np.savez_compressed with a positional array: arr_0", "f16", "L2THD")
np.savez(
    HERE / "stored.bf16uint16.npz",
    **{f"layer_{i}_{n}": to_bf16_bits(heads[i, k]) for i in range(3) for k, n in enumerate(("key", "value"))},
)
fixture(
    "stored.bf16uint16.npz",
    from_bf16_bits(BF16),
    "bf16 bits as uint16, per layer [1,H,T,D]",
    "bf16",
    "perlayer BHTD",
    ["dtype"],
)
for path in HERE.glob("*.npz"):
    dated(path.name)
