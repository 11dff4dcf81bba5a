# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify every fixture against its expected values by loading it anew with the producer's own library; makes nothing.

    python3 check_fixtures.py             all of them; those whose library is missing are named and skipped
    python3 check_fixtures.py --readme    also write the tables of README.md from the expected files
"""
import argparse
import hashlib
import json
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
        found = {"K": [canonical(arrays[n], axes, expected) for n in keys], "V": [canonical(arrays[n], axes, expected) for n in values]}
        return [found[p["kind"]][p["layer"]][p["batch"], 0, 0] for p in expected["planes"]]
    found = {"K": canonical(arrays[keys[0]], axes, expected), "V": canonical(arrays[values[0]], axes, expected)}
    return [found[p["kind"]][p["batch"], p["layer"], 0] for p in expected["planes"]]


def check_npy(path, expected):
    return from_named({"": as_float(np.load(path), expected["dtype"])}, expected)


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
    cache = load(path, weights_only=False)
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
        planes.append(torch.einsum("htd->thd", t[p["batch"], :, first:first + count]).reshape(count, -1).numpy())
    return planes


def check_llamacpp(path, expected):
    sys.path.insert(0, str(GOLDEN / "llamacpp"))
    try:
        import make_llamacpp
    except (ImportError, RuntimeError) as e:
        raise Skipped(str(e)) from e
    release = tuple(int(n) for n in expected["producer"].split()[-1].split("."))
    state = make_llamacpp.State(path, release < (0, 3, 17), release >= (0, 3, 16))
    found = [state.sequence(s)[1] for s in expected["sequences"]]
    return [found[p["batch"]][p["layer"]]["KV".index(p["kind"])] for p in expected["planes"]]


CHECKS = {"npy": check_npy, "npz": check_npz, "safetensors": check_safetensors, "torch": check_torch, "llama.cpp": check_llamacpp}


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
            rows.append(f"| `{name}` | {e['producer']} | {e['about']} ({e['dtype']}, {e['layout']}) |".replace("<", "&lt;"))
        begin, end = f"<!-- table {folder.name} -->", "<!-- end -->"
        if begin in text and rows:
            head, tail = text.split(begin, 1)
            tail = tail.split(end, 1)[1]
            text = head + begin + "\n\n| fixture | producer | what it exercises |\n|---|---|---|\n" + "\n".join(rows) + "\n\n" + end + tail
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
        except Skipped as why:
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
