# SPDX-License-Identifier: GPL-3.0-or-later
"""The safetensors library's own files, by its torch and numpy front ends.  python3 make_safetensors.py"""

import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import HEAD_DIM, KV_HEADS, expect, lkhtd, lkthd, plane, planes_of, real_kv  # noqa: E402

HERE = Path(__file__).resolve().parent
PRODUCER = f"safetensors {safetensors.__version__}, torch {torch.__version__.split('+')[0]}"
KV = real_kv(17)
F16 = KV.astype(np.float16)
TORCH = torch.from_numpy(KV)
BHTD = torch.from_numpy(lkhtd(KV))[:, :, None]  # [L][2][1][H][T][D]


def f32(t):
    return t.float().numpy()


def fixture(name, values, about, dtype, layout, needs=(), **more):
    expect(
        HERE / name,
        format="safetensors",
        producer=PRODUCER,
        about=about,
        dtype=dtype,
        layout=layout,
        planes=planes_of(values) if isinstance(values, np.ndarray) else values,
        needs=needs,
        **more,
    )


def per_layer(name, pattern, parts, dtype, torch_dtype, about, metadata=None):
    """One tensor [1,H,T,D] a layer and kind. parts: names of K and of V in the pattern."""
    stored = BHTD.to(torch_dtype)
    names = [(pattern.format(i, n), stored[i, k].contiguous()) for i in range(3) for k, n in enumerate(parts)]
    save_file(dict(names), HERE / name, metadata)
    fixture(name, f32(TORCH.to(torch_dtype)), about, dtype, "perlayer BHTD", names=[n for n, _ in names])


save_numpy({"kv": lkthd(F16)}, HERE / "f16.stacked.lkthd.safetensors")
fixture("f16.stacked.lkthd.safetensors", F16, "one tensor kv [L,2,T,H,D]", "f16", "L2THD")
save_numpy(
    {"kv_cache": lkhtd(KV[:, :, :9])},
    HERE / "f32.stacked.lkhtd.safetensors",
    {"model": "stories260K", "dtype": "float32"},
)
fixture(
    "f32.stacked.lkhtd.safetensors", KV[:, :, :9], "one tensor kv_cache [L,2,H,T,D], with __metadata__", "f32", "L2HTD"
)
save_file({"kv_chunk": TORCH.bfloat16()}, HERE / "bf16.kv_chunk.safetensors", {"format": "pt"})
fixture(
    "bf16.kv_chunk.safetensors",
    f32(TORCH.bfloat16()),
    "LMCache of 2024: one tensor kv_chunk, here [L,2,T,C]",
    "bf16",
    "L2TC",
    ["kv_heads"],
)
save_file(
    {"kv_chunk": TORCH.bfloat16().reshape(3, 2, 17, KV_HEADS, HEAD_DIM)},
    HERE / "bf16.kv_chunk.lkthd.safetensors",
    {"format": "pt"},
)
fixture(
    "bf16.kv_chunk.lkthd.safetensors", f32(TORCH.bfloat16()), "LMCache of 2024: kv_chunk [L,2,T,H,D]", "bf16", "L2THD"
)
per_layer(
    "bf16.layer_N.key.safetensors",
    "layer_{}.{}",
    ("key", "value"),
    "bf16",
    torch.bfloat16,
    "layer_<i>.key / layer_<i>.value",
)
per_layer("f16.layers.N.k.safetensors", "layers.{}.{}", ("k", "v"), "f16", torch.float16, "layers.<i>.k / layers.<i>.v")
per_layer(
    "f16.past_key_values.safetensors",
    "past_key_values.{}.{}",
    ("key", "value"),
    "f16",
    torch.float16,
    "past_key_values.<i>.key / .value (the ONNX export habit)",
    {"format": "pt"},
)
per_layer(
    "f16.self_attn.safetensors",
    "model.layers.{}.self_attn.{}",
    ("k_cache", "v_cache"),
    "f16",
    torch.float16,
    "model.layers.<i>.self_attn.k_cache / .v_cache",
)
per_layer(
    "f16.key_cache.N.safetensors",
    "{1}.{0}",
    ("key_cache", "value_cache"),
    "f16",
    torch.float16,
    "key_cache.<i> / value_cache.<i>",
)
per_layer(
    "f16.present.safetensors",
    "present.{}.{}",
    ("key", "value"),
    "f16",
    torch.float16,
    "present.<i>.key / .value (ONNX outputs)",
)
per_layer("f16.keys_N.safetensors", "{1}_{0}", ("keys", "values"), "f16", torch.float16, "keys_<i> / values_<i>")

# Layers 0 to 10: safetensors lists the tensors by size and name, so layer 10 stands before layer 2.
eleven = np.concatenate([KV, KV[::-1], KV, KV[:2]])[:, :, :6].astype(np.float16)
save_numpy(
    {f"cache.layer.{i}.{n}": lkthd(eleven)[i, k] for i in range(11) for k, n in enumerate(("keys", "values"))},
    HERE / "f16.naturalorder.safetensors",
)
fixture(
    "f16.naturalorder.safetensors",
    eleven,
    "11 layers: cache.layer.<i>.keys / .values [T,H,D]; 10 comes after 9",
    "f16",
    "perlayer THD",
)

# Layers of different heads, head dimension and length (a model with sliding windows), with the positions that are held.
ragged, tensors = [], {}
for i, (heads, dim, tokens, first) in enumerate([(4, 8, 17, 0), (2, 16, 9, 8), (1, 32, 17, 0), (8, 4, 5, 12)]):
    for k, n in enumerate(("key", "value")):
        x = KV[i % 3, k, first : first + tokens].astype(np.float16)
        ragged.append(plane(i, "KV"[k], x, heads, dim, first_position=first))
        tensors[f"layers.{i}.{n}"] = np.ascontiguousarray(x.reshape(tokens, heads, dim).transpose(1, 0, 2))[None]
save_numpy(tensors, HERE / "f16.ragged.safetensors")
fixture(
    "f16.ragged.safetensors",
    ragged,
    "layers of 4, 2, 1 and 8 heads of 8, 16, 32 and 4 channels and 17, 9, 17 and 5 tokens; the first positions 0, 8, 0, 12 are not in the file",
    "f16",
    "perlayer BHTD",
    ["first_position"],
)

# fp8 with the scales that vLLM checkpoints name k_scale and v_scale: value = fp8 * scale.
for kind, name in ((torch.float8_e4m3fn, "e4m3"), (torch.float8_e5m2, "e5m2")):
    limit = torch.finfo(kind).max
    tensors, planes = {}, []
    for i in range(3):
        for k, n in enumerate("kv"):
            scale = (TORCH[i, k].abs().max() / limit).float()
            q = (BHTD[i, k] / scale).clamp(-limit, limit).to(kind)
            tensors[f"layers.{i}.{n}"] = q.contiguous()
            tensors[f"layers.{i}.{n}_scale"] = scale
            back = (q.float() * scale)[0].permute(1, 0, 2).reshape(17, -1)
            planes.append(plane(i, "KV"[k], back.numpy(), KV_HEADS, HEAD_DIM))
    save_file(tensors, HERE / f"{name}.scaled.safetensors")
    fixture(
        f"{name}.scaled.safetensors",
        planes,
        f"float8_{name} [1,H,T,D] with a float32 scalar layers.<i>.k_scale / .v_scale: value = fp8 * scale",
        f"f8_{name}",
        "perlayer BHTD",
    )
    # Every one of the 256 codes once, NaN and infinities with it, as a stacked tensor without scales.
    codes = torch.arange(256, dtype=torch.uint8).reshape(1, 2, 8, 2, 8).view(kind)
    save_file({"kv": codes}, HERE / f"{name}.allcodes.safetensors")
    fixture(
        f"{name}.allcodes.safetensors",
        planes_of(codes.float().numpy().reshape(1, 2, 8, 16), 2, 8),
        f"the 256 codes of float8_{name} in order [1,2,8,2,8], no scale",
        f"f8_{name}",
        "L2THD",
    )

# Scale for each head: [1,H,1,1], K and V in one stacked tensor of their own.
limit = torch.finfo(torch.float8_e4m3fn).max
keys, values = BHTD[:, 0], BHTD[:, 1]
tensors, back = {}, []
for n, t in (("keys", keys), ("values", values)):
    scale = t.abs().amax((3, 4), keepdim=True) / limit
    tensors[n] = (t / scale).clamp(-limit, limit).to(torch.float8_e4m3fn).contiguous()
    tensors[f"{n}_scale"] = scale.contiguous()
    back.append((tensors[n].float() * scale)[:, 0].permute(0, 2, 1, 3).reshape(3, 17, -1).numpy())
save_file(tensors, HERE / "e4m3.headscale.safetensors")
fixture(
    "e4m3.headscale.safetensors",
    np.stack(back, 1),
    "keys, values [L,1,H,T,D] float8_e4m3 with keys_scale, values_scale [L,1,H,1,1]: value = fp8 * scale of its head",
    "f8_e4m3",
    "LBHTD",
)
