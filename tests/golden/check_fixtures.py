# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify every fixture against its expected values by loading it anew with the producer's own library; makes nothing.

python3 check_fixtures.py             all of them; those whose library is missing are named and skipped
python3 check_fixtures.py --readme    also write the tables of README.md from the expected files
"""

import argparse
import hashlib
import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent


class Skipped(Exception):
    pass


def canonical(array, axes, expected):
    """An array whose axes are named by letters (L layer, 2 K/V, B batch, H head, T token, D, C) -> planes by (batch, layer, kind)."""
    axes = list(axes)
    assert array.ndim == len(axes), (array.shape, axes)
    for missing in [a for a in "BL2" if a not in axes]:
        array, axes = array[None], [missing, *axes]
    rest = ["T", "H", "D"] if "H" in axes else ["T", "C"]
    array = array.transpose([axes.index(a) for a in ["B", "L", "2", *rest]])
    return array.reshape(*array.shape[:4], -1)


def as_float(array, dtype):
    if dtype == "bf16" and array.dtype.itemsize == 2 and array.dtype.kind in "uV":
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def numbered(names):
    return sorted(names, key=lambda n: int(re.findall(r"\d+", n)[-1]))


def from_named(arrays, expected):
    """name -> array, already float32; scales applied before"""
    arrays = {n: a for n, a in arrays.items() if n != "tokens"}
    layout = expected["layout"]
    if len(arrays) == 1:
        (array,) = arrays.values()
        full = canonical(array, layout, expected)
        return [full[p["batch"], p["layer"], "KV".index(p["kind"])] for p in expected["planes"]]
    keys = [n for n in arrays if re.search(r"(^|[^a-z])k(eys?)?([^a-z]|_cache|$)", n.replace("past_key_values", ""))]
    values = [n for n in arrays if n not in keys]
    axes = layout.removeprefix("perlayer ")
    if axes != layout:
        keys, values = numbered(keys), numbered(values)
        found = {
            "K": [canonical(arrays[n], axes, expected) for n in keys],
            "V": [canonical(arrays[n], axes, expected) for n in values],
        }
        return [found[p["kind"]][p["layer"]][p["batch"], 0, 0] for p in expected["planes"]]
    found = {"K": canonical(arrays[keys[0]], axes, expected), "V": canonical(arrays[values[0]], axes, expected)}
    return [found[p["kind"]][p["batch"], p["layer"], 0] for p in expected["planes"]]


def check_npy(path, expected):
    return from_named({"": as_float(np.load(path), expected["dtype"])}, expected)


def check_raw(path, expected):
    p = expected["planes"][0]
    size = {"L": expected["layers"], "2": 2, "T": p["tokens"], "H": p["kv_heads"], "D": p["head_dim"]}
    x = np.fromfile(path, {"f16": np.float16, "bf16": np.uint16}[expected["dtype"]], offset=expected["offset"])
    return from_named({"": as_float(x.reshape([size[a] for a in expected["layout"]]), expected["dtype"])}, expected)


def check_sidecar(path, expected):
    side = json.loads(path.with_name(path.name + ".json").read_text())
    kind = {"f32": "f4", "f16": "f2"}[side["dtype"]]
    x = np.fromfile(path, (">" if side.get("byte_order") == "big" else "<") + kind, offset=side.get("offset", 0))
    if "layer_overrides" not in side:
        x = x.reshape(side["layers"], 2, side["batch"], side["tokens"], -1)
        return [x[p["layer"], "KV".index(p["kind"]), p["batch"]] for p in expected["planes"]]
    planes, at = [], 0
    for p in expected["planes"]:
        sizes = {**side, **next((o for o in side["layer_overrides"] if o["layer"] == p["layer"]), {})}
        shape = (sizes["heads"], sizes["tokens"], sizes["head_dim"])
        planes.append(x[at : at + np.prod(shape)].reshape(shape).transpose(1, 0, 2).reshape(shape[1], -1))
        at += np.prod(shape)
    assert at == len(x)
    return planes


def check_npz(path, expected):
    with np.load(path) as z:
        return from_named({n: as_float(z[n], expected["dtype"]) if n != "tokens" else z[n] for n in z.files}, expected)


def check_safetensors(path, expected):
    try:
        from safetensors.torch import load_file
    except ImportError as e:
        raise Skipped(str(e)) from e
    tensors = load_file(path)
    arrays = {}
    for name, t in tensors.items():
        if name.endswith("_scale"):
            continue
        x = t.float()
        if f"{name}_scale" in tensors:
            x = x * tensors[f"{name}_scale"]
        arrays[name] = x.numpy()
    return from_named(arrays, expected)


def check_torch(path, expected):
    try:
        import torch
        from torch import load
    except ImportError as e:
        raise Skipped(str(e)) from e
    saver = expected["producer"].split(",")[0]
    if saver.startswith("transformers"):
        try:
            from transformers import __version__ as installed
        except ImportError as e:
            raise Skipped(str(e)) from e
        if saver.split()[1] != installed:
            raise Skipped(f"needs {saver}")
    if path.suffix == ".pkl":
        pairs = pickle.loads(path.read_bytes())
        cache = [[x if isinstance(x, torch.Tensor) else torch.tensor(x.astype(np.float32)) for x in p] for p in pairs]
    else:
        cache = load(path, weights_only=False, map_location="cpu")
    # A model's whole output is a dict; an encoder-decoder's cache holds the one of its self-attention.
    cache = getattr(cache, "past_key_values", cache)
    cache = getattr(cache, "self_attention_cache", cache)
    if expected["layout"] != "perlayer BHTD" and isinstance(cache, torch.Tensor):
        return from_named({"": cache.float().numpy()}, expected)
    scales = {}
    if isinstance(cache, dict):
        scales = {"K": cache.get("k_scale"), "V": cache.get("v_scale")}
        if "past_key_values" in cache:
            cache = cache["past_key_values"]
        elif "key_cache" in cache:
            cache = list(zip(cache["key_cache"], cache["value_cache"]))
        else:
            flat = [t for v in cache.values() for t in (v.values() if isinstance(v, dict) else [v])]
            cache = list(zip(flat[::2], flat[1::2]))
    elif expected["layout"].startswith("[K, V]"):
        cache = list(zip(*cache))
    elif hasattr(cache, "layers"):
        cache = [(layer.keys, layer.values) for layer in cache.layers]
    elif hasattr(cache, "key_cache"):
        cache = list(zip(cache.key_cache, cache.value_cache))
    planes = []
    for p in expected["planes"]:
        t = cache[p["layer"]]["KV".index(p["kind"])].float().detach()
        if scales.get(p["kind"]) is not None:
            t = t * scales[p["kind"]][p["layer"]]
        first, count = expected["held_slots"][p["layer"]] if "held_slots" in expected else (0, t.shape[2])
        planes.append(torch.einsum("htd->thd", t[p["batch"], :, first : first + count]).reshape(count, -1).numpy())
    return planes


def check_llamacpp(path, expected):
    sys.path.insert(0, str(GOLDEN / "llamacpp"))
    from state import State

    release = tuple(int(n) for n in expected["producer"].split()[-1].split("."))
    state = State(
        path,
        release < (0, 3, 17),
        release >= (0, 3, 16),
        expected.get("memories", 1),
        expected.get("has_v", True),
        expected.get("cell_extension", 0),
    )
    if "memories" in expected:
        layers = [kv for stream in state.streams for kv in stream["kv"]]
        return [layers[p["layer"]]["KV".index(p["kind"]) if state.has_v else 0] for p in expected["planes"]]
    found = [state.sequence(s)[1] for s in expected["sequences"]]
    return [found[p["batch"]][p["layer"]]["KV".index(p["kind"])] for p in expected["planes"]]


def check_lmcache(folder, expected):
    """By the description of the files: 28 bytes of i32 length, format, dtype, four dimensions, then raw bytes; or raw bytes alone."""
    if expected["producer"].startswith("by description of LMCache 2024"):
        try:
            from safetensors.torch import load_file
        except ImportError as e:
            raise Skipped(str(e)) from e
        chunks = [
            load_file(folder / (key.replace("/", "-") + ".pt"))["kv_chunk"].float() for key in expected["keys_in_order"]
        ]
        chunks = [c.permute(0, 1, 3, 2, 4) if "[L,2,H" in expected["layout"] else c for c in chunks]
        whole = np.concatenate([c.flatten(3).numpy() for c in chunks], 2)
        return [whole[p["layer"], "KV".index(p["kind"])] for p in expected["planes"]]
    types = {"f16": (2, np.float16), "bf16": (3, np.uint16), "f32": (4, np.float32)}
    code, numpy_type = types[expected["dtype"]]
    shapes = {}
    for key in expected["keys_in_order"]:
        (file,) = [
            f
            for f in folder.iterdir()
            if f.name.rsplit(".", 1)[0].replace("-SEP-", "/") in (key, key.replace("/", "-"))
        ]
        raw = file.read_bytes()
        length, form, dtype, *shape = np.frombuffer(raw[:28], "<i4").tolist()
        if "layers" in expected["needs"]:
            x = np.frombuffer(raw, numpy_type).reshape(2, expected["layers"], -1, expected["planes"][0]["channels"])
        else:
            assert length == len(raw) - 28 and dtype in (code, 1 if code == 2 else code) and form in (1, 2, 6), key
            x = np.frombuffer(raw[28:], numpy_type).reshape([d for d in shape if d])
        parts = key.split("@")
        if x.ndim == 3:  # [T, 2, C] of one layer
            shapes.setdefault((0, int(parts[-1])), []).append(x.transpose(1, 0, 2))
        else:
            worker = int(parts[-3 if parts[-1] in ("half", "bfloat16") else -2])
            for layer in range(x.shape[1]):
                shapes.setdefault((worker, layer), []).append(x[:, layer])
    workers = 1 + max(w for w, _ in shapes)
    planes = []
    for p in expected["planes"]:
        whole = np.concatenate([np.concatenate(shapes[w, p["layer"]], 1) for w in range(workers)], 2)
        planes.append(as_float(whole[0 if p["kind"] == "latent" else "KV".index(p["kind"])], expected["dtype"]))
    return planes


def split_pair(x, shape, kind, head_dim):
    """K or V [T,C] of one layer's [2,T,C], [T,H,2D] or, latent, [T,C]"""
    if kind == "latent":
        return x
    if shape == "[T,H,2D]":
        return (x[:, :, :head_dim] if kind == "K" else x[:, :, head_dim:]).reshape(len(x), -1)
    return x["KV".index(kind)]


def check_vllm(folder, expected):
    try:
        from safetensors.torch import load_file
    except ImportError as e:
        raise Skipped(str(e)) from e
    ranks = sorted(folder.glob("rank_*")) or [folder]
    planes = []
    for p in expected["planes"]:
        parts = []
        for rank in ranks:
            x = (
                load_file(rank / expected["inner_folder"] / f"model.layers.{p['layer']}.self_attn.attn.safetensors")[
                    "kv_cache"
                ]
                .float()
                .numpy()
            )
            parts.append(split_pair(x, expected["layout"].split("layer ")[-1], p["kind"], p["head_dim"]))
        planes.append(np.concatenate(parts, 1))
    return planes


def check_paged(path, expected):
    try:
        from safetensors.torch import load_file
        from torch import load
    except ImportError as e:
        raise Skipped(str(e)) from e
    layers = load(path)["kv_cache"] if path.suffix == ".pt" else [x for _, x in sorted(load_file(path).items())]
    layout, size = expected["layout"], expected["block_size"]
    planes = []
    for p in expected["planes"]:
        x, k = layers[p["layer"]].float().numpy(), "KV".index(p["kind"])
        if layout == "[num_blocks, H, block_size, 2D]":
            x = x[..., k * p["head_dim"] : (k + 1) * p["head_dim"]].transpose(0, 2, 1, 3)
        else:
            x = x[:, k] if layout.startswith("[num_blocks, 2") else x[k]
        planes.append(
            np.stack([x[expected["block_table"][t // size], t % size].reshape(-1) for t in range(expected["tokens"])])
        )
    return planes


CHECKS = {
    "npy": check_npy,
    "npz": check_npz,
    "raw": check_raw,
    "raw with sidecar": check_sidecar,
    "safetensors": check_safetensors,
    "torch": check_torch,
    "pickle": check_torch,
    "llama.cpp": check_llamacpp,
    "lmcache folder": check_lmcache,
    "vllm folder": check_vllm,
    "paged": check_paged,
}


def check(path):
    expected = json.loads(path.read_text())
    fixture = path.with_name(path.name.removesuffix(".expected.json"))
    if expected["format"] not in CHECKS:
        raise Skipped(f"no independent check for format {expected['format']}")
    planes = CHECKS[expected["format"]](fixture, expected)
    whole = hashlib.sha256()
    assert len(planes) == len(expected["planes"])
    for i, (x, p) in enumerate(zip(planes, expected["planes"])):
        x = np.ascontiguousarray(x, "<f4").copy()
        x[np.isnan(x)] = np.nan
        assert x.shape == (p["tokens"], p["channels"]) and p["channels"] == p["kv_heads"] * p["head_dim"], (i, x.shape)
        for t, c, value in p["probes"]:
            assert repr(float(x[t, c])) == value, (i, t, c, value, x[t, c])
        raw = x.tobytes()
        assert hashlib.sha256(raw).hexdigest() == p["sha256"], f"plane {i}"
        whole.update(raw)
    assert whole.hexdigest() == expected["sha256"], "whole"


def tables():
    text = (GOLDEN / "README.md").read_text()
    for folder in sorted(p for p in GOLDEN.iterdir() if p.is_dir()):
        rows = []
        for path in sorted(folder.rglob("*.expected.json")):
            e = json.loads(path.read_text())
            name = path.relative_to(folder).as_posix().removesuffix(".expected.json")
            rows.append(
                f"| `{name}` | {e['producer']} | {e['about']} ({e['dtype']}, {e['layout']}) |".replace("<", "&lt;")
            )
        begin, end = f"<!-- table {folder.name} -->", "<!-- end -->"
        if begin in text and rows:
            head, tail = text.split(begin, 1)
            tail = tail.split(end, 1)[1]
            text = (
                head
                + begin
                + "\n\n| fixture | producer | what it exercises |\n|---|---|---|\n"
                + "\n".join(rows)
                + "\n\n"
                + end
                + tail
            )
    (GOLDEN / "README.md").write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--readme", action="store_true")
    args = parser.parse_args()
    good, failed, skipped = 0, 0, []
    for path in sorted(GOLDEN.rglob("*.expected.json")):
        name = path.relative_to(GOLDEN).as_posix()
        try:
            check(path)
            good += 1
        except (Skipped, ModuleNotFoundError) as why:
            skipped.append(f"{name}: {why}")
        except Exception as e:  # noqa: BLE001 - every failure is a failed fixture, named
            failed += 1
            print(f"FAILED {name}: {type(e).__name__} {e}")
    print(*skipped, sep="\n")
    print(f"{good} passed, {failed} failed, {len(skipped)} skipped")
    if args.readme:
        tables()
    return 1 if failed else 0


sys.exit(main())
