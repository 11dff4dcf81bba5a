# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunk files of the LMCache of mid 2025, whose keys are a chain of SHA-256 that can be checked from the token ids.

    python3 make_lmcache_030.py        with the sources of lmcache 0.3.0 on PYTHONPATH, and torch

Each key ends in sha256(the hash before, as hex text, then the chunk's token ids as uint32 little-endian); the first hash before is the empty text.
lmcache.c_ops (CUDA code) and infinistore (another store), not used on this path, are replaced by empty modules; nothing else is.
"""

import asyncio
import json
import shutil
import sys
import types
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import expect, planes_of, real_kv  # noqa: E402

for absent in ("lmcache.c_ops", "infinistore"):
    sys.modules[absent] = types.ModuleType(absent)
from lmcache.config import LMCacheEngineMetadata  # noqa: E402
from lmcache.v1.config import LMCacheEngineConfig  # noqa: E402
from lmcache.v1.memory_management import AdHocMemoryAllocator, MemoryFormat  # noqa: E402
from lmcache.v1.storage_backend.connector.fs_connector import FSConnector  # noqa: E402
from lmcache.v1.token_database import ChunkedTokenDatabase  # noqa: E402

HERE = Path(__file__).resolve().parent
MODEL = "karpathy/stories260K"
TOKENS = [1, 403, 407, 261, 378, 31, 19, 285, 401, 12, 77, 260, 331, 45, 400, 9, 8, 111, 290, 5, 64]


async def make(folder):
    values = torch.from_numpy(real_kv(21)).half()
    database = ChunkedTokenDatabase(
        LMCacheEngineConfig.from_defaults(chunk_size=8),
        LMCacheEngineMetadata(MODEL, 1, 0, "vllm", torch.half, (3, 2, 8, 4, 8)),
    )
    store = FSConnector(str(folder), asyncio.get_running_loop(), None)
    allocator = AdHocMemoryAllocator("cpu")
    keys = []
    for begin, end, key in database.process_tokens(torch.tensor(TOKENS)):
        obj = allocator.allocate(torch.Size([2, 3, end - begin, 32]), torch.half, MemoryFormat.KV_2LTD)
        obj.tensor.copy_(values[:, :, begin:end].transpose(0, 1))
        await store.put(key, obj)
        keys.append(key.to_string())
    (folder / "context.json").write_text(
        json.dumps({"model": MODEL, "chunk_size": 8, "token_ids": TOKENS, "keys_in_order": keys}, indent=1) + "\n"
    )
    expect(
        folder,
        format="lmcache folder",
        producer="lmcache 0.3.0",
        about="FSConnector: 28 bytes of metadata, then [2,L,T,C]; keys vllm@model@1@0@sha256, a chain over the token ids",
        dtype="f16",
        layout="chunks [2,L,T,C]",
        planes=planes_of(values.float().numpy()),
        needs=["kv_heads", "order"],
        keys_in_order=keys,
    )


target = HERE / "fs030.f16"
shutil.rmtree(target, ignore_errors=True)
target.mkdir()
asyncio.run(make(target))
