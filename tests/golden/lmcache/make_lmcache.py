# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunk files that LMCache's own storage code wrote, on the CPU.

    PYTHONHASHSEED=0 python3 make_lmcache.py        with lmcache 0.5.6 and torch installed

The keys come from its ChunkedTokenDatabase (each chunk's hash includes the hash of the chunks before it), the files from its FSConnector (metadata and raw
bytes) and its LocalDiskBackend (raw bytes alone). Chunks of 8 tokens; 21 tokens, so the last chunk is short. context.json beside the files holds the token
ids and the keys in their order.
"""

import asyncio
import json
import os
import shutil
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import HEAD_DIM, KV_HEADS, expect, plane, planes_of, real_kv  # noqa: E402

import lmcache  # noqa: E402,F401 - sets the devices up before the rest
from lmcache.v1.config import LMCacheEngineConfig  # noqa: E402
from lmcache.v1.memory_allocators.ad_hoc_memory_allocator import AdHocMemoryAllocator  # noqa: E402
from lmcache.v1.memory_management import MemoryFormat  # noqa: E402
from lmcache.v1.metadata import LMCacheMetadata  # noqa: E402
from lmcache.v1.storage_backend.connector.fs_connector import FSConnector  # noqa: E402
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend  # noqa: E402
from lmcache.v1.storage_backend.local_disk_backend import LocalDiskBackend  # noqa: E402
from lmcache.v1.token_database import ChunkedTokenDatabase  # noqa: E402

HERE = Path(__file__).resolve().parent
PRODUCER = f"lmcache {version('lmcache')}"
CHUNK, MODEL = 8, "karpathy/stories260K"
KV = torch.from_numpy(real_kv(21))  # [L][2][T][C]
TOKENS = [1, 403, 407, 261, 378, 31, 19, 285, 401, 12, 77, 260, 331, 45, 400, 9, 8, 111, 290, 5, 64]
NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}


def metadata(dtype, heads=KV_HEADS, workers=1, worker=0, mla=False):
    shape = (3, 1 if mla else 2, CHUNK, heads, 32 if mla else HEAD_DIM)
    return LMCacheMetadata(
        model_name=MODEL,
        world_size=workers,
        local_world_size=workers,
        worker_id=worker,
        local_worker_id=worker,
        kv_dtype=dtype,
        kv_shape=shape,
        use_mla=mla,
        chunk_size=CHUNK,
    )


def chunks(config, meta):
    return [(begin, end, key) for begin, end, key in ChunkedTokenDatabase(config, meta).process_tokens(TOKENS)]


def settings(**more):
    return LMCacheEngineConfig.from_defaults(
        chunk_size=CHUNK, save_unfull_chunk=True, local_cpu=False, pre_caching_hash_algorithm="builtin", **more
    )


class Store:
    def __init__(self, kind, folder, meta, **extra):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.config = settings(
            **extra, **({"local_disk": str(folder), "max_local_disk_size": 1} if kind == "disk" else {})
        )
        self.memory = LocalCPUBackend(self.config, meta, "cpu", memory_allocator=AdHocMemoryAllocator("cpu"))
        self.kind = kind
        if kind == "disk":
            self.store = LocalDiskBackend(self.config, self.loop, self.memory, "cpu")
        else:
            self.store = FSConnector(self.loop, self.memory, self.config, base_paths_str=str(folder))

    def put(self, key, values, form):
        obj = self.memory.memory_allocator.allocate(values.shape, values.dtype, form)
        obj.tensor.copy_(values)
        if self.kind == "disk":
            self.store.submit_put_task(key, obj)
            deadline = time.monotonic() + 20
            while not self.store.contains(key):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        else:
            asyncio.run_coroutine_threadsafe(self.store.put(key, obj), self.loop).result(20)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def context(folder, keys, **more):
    (folder / "context.json").write_text(
        json.dumps({"model": MODEL, "chunk_size": CHUNK, "token_ids": TOKENS, "keys_in_order": keys, **more}, indent=1)
        + "\n"
    )


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def describe(folder, planes, about, dtype, layout, needs, keys, **more):
    files = sorted(p.name for p in folder.iterdir() if p.suffix in (".data", ".pt"))
    print(folder.name, files[:2], [(folder / f).stat().st_size for f in files][:3])
    expect(
        folder,
        format="lmcache folder",
        producer=PRODUCER,
        about=about,
        dtype=NAMES[dtype],
        layout=layout,
        planes=planes,
        needs=needs,
        keys_in_order=keys,
        **more,
    )


def whole(name, kind, dtype, about, needs, save_meta=True):
    """One file a chunk: [2, L, T, C]"""
    meta = metadata(dtype)
    folder = fresh(name)
    store = Store(kind, folder, meta, **({} if save_meta else {"extra_config": {"save_chunk_meta": False}}))
    values = KV.to(dtype)
    keys = []
    for begin, end, key in chunks(store.config, meta):
        store.put(key, values[:, :, begin:end].transpose(0, 1).contiguous(), MemoryFormat.KV_2LTD)
        keys.append(key.to_string())
    store.close()
    context(folder, keys)
    describe(folder, planes_of(values.float().numpy()), about, dtype, "chunks [2,L,T,C]", needs, keys)


def layerwise(name, dtype):
    """One file a chunk and layer: [T, 2, C], keys with the layer's number"""
    meta = metadata(dtype)
    folder = fresh(name)
    store = Store("fs", folder, meta, use_layerwise=True)
    values = KV.to(dtype)
    keys = []
    for begin, end, key in chunks(store.config, meta):
        for i, layer_key in enumerate(key.split_layers(3)):
            store.put(layer_key, values[i, :, begin:end].transpose(0, 1).contiguous(), MemoryFormat.KV_T2D)
            keys.append(layer_key.to_string())
    store.close()
    context(folder, keys)
    describe(
        folder,
        planes_of(values.float().numpy()),
        "one file a chunk and layer, 28 bytes of metadata, then [T,2,C]",
        dtype,
        "chunks and layers [T,2,C]",
        ["kv_heads", "order"],
        keys,
    )


def tensor_parallel(name, dtype):
    """Two workers, each with half of the heads"""
    folder = fresh(name)
    values = KV.to(dtype)
    half = KV_HEADS // 2 * HEAD_DIM
    keys = []
    for worker in range(2):
        meta = metadata(dtype, KV_HEADS // 2, 2, worker)
        store = Store("fs", folder, meta)
        for begin, end, key in chunks(store.config, meta):
            store.put(
                key,
                values[:, :, begin:end, worker * half : (worker + 1) * half].transpose(0, 1).contiguous(),
                MemoryFormat.KV_2LTD,
            )
            keys.append(key.to_string())
        store.close()
    context(folder, keys)
    describe(
        folder,
        planes_of(values.float().numpy()),
        "two workers (world size 2), heads 0-1 and 2-3: to be merged by head",
        dtype,
        "chunks [2,L,T,C/2] of 2 workers",
        ["kv_heads", "order"],
        keys,
    )


def latent(name, dtype):
    meta = metadata(dtype, 1, mla=True)
    folder = fresh(name)
    store = Store("fs", folder, meta)
    values = KV[:, 0].to(dtype)  # [L][T][32]: 24 of latent and 8 of rotary key, say
    keys = []
    for begin, end, key in chunks(store.config, meta):
        store.put(key, values[None, :, begin:end].contiguous(), MemoryFormat.KV_MLA_FMT)
        keys.append(key.to_string())
    store.close()
    context(folder, keys)
    planes = [plane(i, "latent", values[i].float().numpy(), 1, 32) for i in range(3)]
    describe(
        folder,
        planes,
        "MLA: format KV_MLA_FMT, one latent plane a layer, [1,L,T,C]",
        dtype,
        "chunks [1,L,T,C]",
        ["order"],
        keys,
    )


assert os.environ.get("PYTHONHASHSEED") == "0", "run with PYTHONHASHSEED=0: the keys are Python hashes"
whole(
    "fs.bf16",
    "fs",
    torch.bfloat16,
    "FSConnector: 28 bytes of metadata, then [2,L,T,C]; three chunks of 8, 8 and 5 tokens",
    ["kv_heads", "order"],
)
whole(
    "fs.f16.nometa",
    "fs",
    torch.float16,
    "FSConnector with save_chunk_meta off: raw bytes alone",
    ["layers", "kv_heads", "order"],
    save_meta=False,
)
whole(
    "disk.f16",
    "disk",
    torch.float16,
    "LocalDiskBackend: raw bytes alone in files named .pt that are no pickles",
    ["layers", "kv_heads", "order"],
)
layerwise("fs.f16.layerwise", torch.float16)
tensor_parallel("fs.f16.tp2", torch.float16)
latent("fs.bf16.mla", torch.bfloat16)
