# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the quantisers of CacheGen's released code on the golden input and compares with cachegen*.npy.

    python3 run_cachegen.py [CHECKOUT]       CHECKOUT: a clone of UChi-JCL/CacheGen at 6bed34c; without it one is made in a temporary folder

The functions are taken out of the sources as they are (the modules around them want a GPU), nothing of them is kept. Wants numpy,
ml_dtypes and torch.
"""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from make_quantised import HERE, TYPES, inputs

REPOSITORY = "https://github.com/UChi-JCL/CacheGen"
COMMIT = "6bed34ca9d495289955ed754cf2ad0c43346ee48"
SERDE = "LMCache/lmcache/storage_backend/serde"
TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def take(path, *names):
    """the functions of a source file, without their decorators"""
    tree = ast.parse(path.read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in found:
        node.decorator_list = []
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
    scope = {"torch": torch}
    exec(compile(ast.Module(found, []), str(path), "exec"), scope)
    return [scope[name] for name in names]


def main(checkout):
    (quantise,) = take(checkout / SERDE / "cachegen_encoder.py", "torch_quant_vectorized")
    (dequantise,) = take(checkout / SERDE / "cachegen_decoder.py", "do_dequantize")
    baseline, unbaseline = take(checkout / "src" / "utils.py", "torch_quant", "torch_dequant")
    wrong = 0

    def compare(name, kind, symbols, values):
        nonlocal wrong
        at = list(TYPES).index(kind)
        golden = np.load(HERE / f"{name}.symbols.npy")[at], np.load(HERE / f"{name}.values.npy")[at]
        # The last token is all zeros, where the released code divides by zero.
        same = [np.array_equal(a[:, :-1], b[:, :-1]) for a, b in zip(golden, (symbols, values))]
        wrong += not all(same)
        print(f"{name} {kind}: symbols {'equal' if same[0] else 'DIFFER'}, values {'equal' if same[1] else 'DIFFER'}")

    for kind, x in inputs().items():
        kv = torch.from_numpy(x).to(TORCH[kind])
        for bins in (32, 16, 12):
            each = torch.full((2,), float(bins))
            q, largest = quantise(each, kv)
            values = dequantise(q.float(), each, largest)
            compare(f"cachegen{bins}", kind, q.to(torch.int64).numpy(), values.float().numpy())
        if kind == "f16":
            q, largest = baseline(256, kv)
            values = unbaseline(256, q.to(torch.float16), largest)
            compare("cachegen256", kind, q.to(torch.int64).numpy() + 127, values.float().numpy())
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", COMMIT], check=True)
        sys.exit(main(Path(folder)))
