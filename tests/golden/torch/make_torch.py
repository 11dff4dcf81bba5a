# SPDX-License-Identifier: GPL-3.0-or-later
"""torch.save'd tensors, tuples, lists and dicts, in the zip format and in the one before torch 1.6.

python3 make_torch.py        with torch 2.x; with torch 1.13 (Debian 12's python3-torch) a few of them, into v1.13/
"""

import collections
import sys
import zipfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import HEAD_DIM, KV_HEADS, expect, lkhtd, lkthd, plane, planes_of, real_kv  # noqa: E402

OLD = torch.__version__.startswith("1.")
HERE = Path(__file__).resolve().parent / ("v1.13" if OLD else "")
KEPT_OLD = ("tuples.bf16.pt", "tuples.bf16.legacy.pt", "views.f16.pt", "dict.f16.context.pt", "statedict.f16.pt")
PRODUCER = f"torch {torch.__version__.split('+')[0]}"
KV = real_kv(9)
F32 = torch.from_numpy(KV)
BHTD = torch.from_numpy(lkhtd(KV))[:, :, None]  # [L][2][1][H][T][D]
LAYERS = range(3)


def save(name, value, planes, about, dtype, layout, needs=(), **options):
    if OLD and name not in KEPT_OLD:
        return
    HERE.mkdir(exist_ok=True)
    torch.save(value, HERE / name, **options)
    legacy = options.get("_use_new_zipfile_serialization") is False
    assert zipfile.is_zipfile(HERE / name) != legacy
    expect(
        HERE / name,
        format="torch",
        producer=PRODUCER,
        about=about,
        dtype=dtype,
        layout=layout,
        planes=planes,
        needs=needs,
        container="legacy" if legacy else "zip",
        **({"pickle_protocol": options["pickle_protocol"]} if "pickle_protocol" in options else {}),
    )


def values(dtype):
    return planes_of(F32.to(dtype).float().numpy())


def pairs(dtype):
    return tuple((BHTD[i, 0].to(dtype).contiguous(), BHTD[i, 1].to(dtype).contiguous()) for i in LAYERS)


LEGACY = {"_use_new_zipfile_serialization": False}
for suffix, options in (("", {}), (".legacy", LEGACY)):
    save(
        f"tensor.f16.lkhtd{suffix}.pt",
        torch.from_numpy(lkhtd(KV)).half(),
        values(torch.float16),
        "one tensor [L,2,H,T,D]",
        "f16",
        "L2HTD",
        **options,
    )
    save(
        f"tuples.bf16{suffix}.pt",
        pairs(torch.bfloat16),
        values(torch.bfloat16),
        "tuple of (K, V) tuples, [1,H,T,D] each: past_key_values of old",
        "bf16",
        "perlayer BHTD",
        **options,
    )

    # Everything is a view of one storage laid out [token][layer][K,V][head][channel], which starts at an offset of 7 elements.
    storage = torch.zeros(7 + KV.size, dtype=torch.float16)
    storage[7:] = F32.half().permute(2, 0, 1, 3).reshape(-1)
    whole = storage[7:].view(9, 3, 2, KV_HEADS, HEAD_DIM)
    views = tuple((whole[:, i, 0].permute(1, 0, 2)[None], whole[:, i, 1].permute(1, 0, 2)[None]) for i in LAYERS)
    assert all(not t.is_contiguous() and t.storage_offset() >= 7 for pair in views for t in pair)
    save(
        f"views.f16{suffix}.pt",
        views,
        values(torch.float16),
        "tuple of tuples whose six tensors are strided views, at offsets, of one shared storage",
        "f16",
        "perlayer BHTD",
        **options,
    )

save(
    "tensor.f32.lkthd.pth",
    torch.from_numpy(lkthd(KV)),
    values(torch.float32),
    "one tensor [L,2,T,H,D], extension .pth",
    "f32",
    "L2THD",
)
save(
    "tensor.f64.lktc.pt",
    F32.double(),
    values(torch.float64),
    "one tensor [L,2,T,C] in float64",
    "f64",
    "L2TC",
    ["kv_heads"],
)
save(
    "tensor.bf16.klthd.pt",
    torch.from_numpy(lkthd(KV)).transpose(0, 1).contiguous().bfloat16(),
    values(torch.bfloat16),
    "one tensor [2,L,T,H,D]",
    "bf16",
    "2LTHD",
)
save(
    "tensor.f16.transposed.pt",
    F32.half().transpose(2, 3).contiguous().transpose(2, 3),
    values(torch.float16),
    "one tensor [L,2,T,C] that is a transposed view: strides (.., 1, T)",
    "f16",
    "L2TC",
    ["kv_heads"],
)
save(
    "tuples.f16.protocol4.pt",
    pairs(torch.float16),
    values(torch.float16),
    "tuple of tuples, pickle protocol 4: frames, STACK_GLOBAL, MEMOIZE",
    "f16",
    "perlayer BHTD",
    pickle_protocol=4,
)
save(
    "tuples.f16.protocol5.legacy.pt",
    pairs(torch.float16),
    values(torch.float16),
    "legacy container, pickle protocol 5",
    "f16",
    "perlayer BHTD",
    pickle_protocol=5,
    **LEGACY,
)
save(
    "list.f16.stackedpairs.pt",
    [BHTD[i].half() for i in LAYERS],
    values(torch.float16),
    "list of one tensor [2,1,H,T,D] a layer: views of one storage",
    "f16",
    "perlayer 2BHTD",
)
save(
    "list.f16.keysvalues.pt",
    [[k for k, _ in pairs(torch.float16)], [v for _, v in pairs(torch.float16)]],
    values(torch.float16),
    "list of two lists: the keys of all layers, the values of all layers",
    "f16",
    "[K, V] perlayer BHTD",
)
save(
    "dict.f16.caches.pt",
    {"key_cache": [k for k, _ in pairs(torch.float16)], "value_cache": [v for _, v in pairs(torch.float16)]},
    values(torch.float16),
    "dict of two lists key_cache, value_cache",
    "f16",
    "perlayer BHTD",
)
save(
    "dict.f16.layers.pt",
    {f"layer_{i}": {"key": k, "value": v} for i, (k, v) in enumerate(pairs(torch.float16))},
    values(torch.float16),
    "dict layer_N of dicts key, value",
    "f16",
    "perlayer BHTD",
)
save(
    "dict.f16.context.pt",
    {
        "model": "stories260K",
        "config": {"num_hidden_layers": 3, "num_key_value_heads": 4, "head_dim": 8, "rope_theta": 10000.0},
        "input_ids": torch.tensor([[1, 403, 407, 261, 378, 31, 19, 285, 401]]),
        "attention_mask": torch.ones(1, 9, dtype=torch.bool),
        "past_key_values": pairs(torch.float16),
        "created": None,
        "shape": torch.Size([3, 2, 1, 4, 9, 8]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
    },
    values(torch.float16),
    "dict with past_key_values beside token ids, a bool mask, a config, torch.Size, torch.dtype and torch.device",
    "f16",
    "perlayer BHTD",
)
state = collections.OrderedDict(
    (f"static_cache.{n}_cache_{i}", t)
    for i, pair in enumerate(pairs(torch.float16))
    for n, t in zip(("key", "value"), pair)
)
state._metadata = collections.OrderedDict([("", {"version": 1})])
save(
    "statedict.f16.pt",
    state,
    values(torch.float16),
    "OrderedDict with _metadata, as a module's state_dict: static_cache.key_cache_N",
    "f16",
    "perlayer BHTD",
)
save(
    "parameters.f16.pt",
    [tuple(torch.nn.Parameter(t) for t in pair) for pair in pairs(torch.float16)],
    values(torch.float16),
    "list of tuples of torch.nn.Parameter: _rebuild_parameter",
    "f16",
    "perlayer BHTD",
)
save(
    "batch2.f16.pt",
    tuple(
        (torch.cat([BHTD[i, 0], BHTD[i, 0].flip(2)]).half(), torch.cat([BHTD[i, 1], BHTD[i, 1].flip(2)]).half())
        for i in LAYERS
    ),
    values(torch.float16) + planes_of(F32.half().float().numpy()[:, :, ::-1], batch=1),
    "tuple of tuples, batch of 2",
    "f16",
    "perlayer BHTD",
)

# Storages and devices of a GPU, as most dumps have them: torch's own registry tags the storages, the device object is real.
tagged = torch.serialization._package_registry.copy()
torch.serialization.register_package(
    1, lambda storage: "cuda:0", lambda storage, location: storage if location == "cuda:0" else None
)
for suffix, options in (("", {}), (".legacy", LEGACY)):
    save(
        f"cuda.bf16{suffix}.pt",
        {"past_key_values": pairs(torch.bfloat16), "device": torch.device("cuda", 0)},
        values(torch.bfloat16),
        "storages at cuda:0 and a device object cuda:0, as a dump made on a GPU has",
        "bf16",
        "perlayer BHTD",
        **options,
    )
torch.serialization._package_registry[:] = tagged

for kind, name in () if OLD else ((torch.float8_e4m3fn, "e4m3"), (torch.float8_e5m2, "e5m2")):
    limit = torch.finfo(kind).max
    scales = [[(BHTD[i, k].abs().max() / limit).item() for k in range(2)] for i in LAYERS]
    quantised = tuple(
        tuple((BHTD[i, k] / torch.tensor(scales[i][k])).clamp(-limit, limit).to(kind).contiguous() for k in range(2))
        for i in LAYERS
    )
    back = [
        plane(
            i,
            "KV"[k],
            (quantised[i][k].float() * torch.tensor(scales[i][k]))[0].permute(1, 0, 2).reshape(9, -1).numpy(),
            KV_HEADS,
            HEAD_DIM,
        )
        for i in LAYERS
        for k in range(2)
    ]
    save(
        f"dict.{name}.scales.pt",
        {
            "past_key_values": quantised,
            "k_scale": torch.tensor([s[0] for s in scales]),
            "v_scale": torch.tensor([s[1] for s in scales]),
        },
        back,
        f"float8_{name} tuples of tuples with k_scale, v_scale [L] float32: value = fp8 * scale of its layer",
        f"f8_{name}",
        "perlayer BHTD",
    )
    save(
        f"tuples.{name}.pt",
        quantised,
        [
            plane(i, "KV"[k], quantised[i][k].float()[0].permute(1, 0, 2).reshape(9, -1).numpy(), KV_HEADS, HEAD_DIM)
            for i in LAYERS
            for k in range(2)
        ],
        f"float8_{name} tuples of tuples without scales",
        f"f8_{name}",
        "perlayer BHTD",
    )
