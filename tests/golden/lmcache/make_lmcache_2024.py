# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunk folders as the LMCache of 2024 left them on a local disk, BY DESCRIPTION: its releases cannot be had any more.  python3 make_lmcache_2024.py

One safetensors file a chunk, although named .pt, holding one tensor kv_chunk: [L,2,T,H,D] for keys that begin with vllm, [L,2,H,T,D] for huggingface.
File name: format@model@world size@worker@hash.pt with / in the model's name written as -. The hash is sha256(the hash before as hex text, then the chunk's
token ids as int64 little-endian); the first hash before is the empty text.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import expect, lkhtd, lkthd, planes_of, real_kv  # noqa: E402

HERE = Path(__file__).resolve().parent
MODEL, CHUNK = "karpathy/stories260K", 8
TOKENS = np.array([1, 403, 407, 261, 378, 31, 19, 285, 401, 12, 77, 260, 331, 45, 400, 9, 8, 111, 290, 5, 64], "<i8")

for form in ("vllm", "huggingface"):
    folder = HERE / f"disk2024.bf16.{form}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kv, keys, before = real_kv(len(TOKENS)), [], ""
    for at in range(0, len(TOKENS), CHUNK):
        before = hashlib.sha256(before.encode() + TOKENS[at : at + CHUNK].tobytes()).hexdigest()
        keys.append(f"{form}@{MODEL}@1@0@{before}")
        part = kv[:, :, at : at + CHUNK]
        save_file(
            {"kv_chunk": torch.from_numpy((lkthd if form == "vllm" else lkhtd)(part)).bfloat16().contiguous()},
            folder / (keys[-1].replace("/", "-") + ".pt"),
        )
    (folder / "context.json").write_text(
        json.dumps({"model": MODEL, "chunk_size": CHUNK, "token_ids": TOKENS.tolist(), "keys_in_order": keys}, indent=1)
        + "\n"
    )
    shape = "[L,2,T,H,D]" if form == "vllm" else "[L,2,H,T,D]"
    expect(
        folder,
        format="lmcache folder",
        producer=f"by description of LMCache 2024, safetensors {safetensors.__version__}",
        dtype="bf16",
        layout=f"chunks {shape}",
        about=f"safetensors files named .pt, tensor kv_chunk {shape}; keys are a chain of SHA-256 over int64 token ids",
        planes=planes_of(torch.from_numpy(kv).bfloat16().float().numpy()),
        needs=["order"],
        keys_in_order=keys,
    )
