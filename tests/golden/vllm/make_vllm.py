# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that vLLM's example connector wrote, and paged blocks in vLLM's shapes.

    python3 make_vllm.py SOURCE        SOURCE: an unpacked vllm 0.10.2 or 0.33.0 (its .py files are enough); torch and safetensors installed

The connector's own code (slot mapping, extraction, folder and file names, saving) runs on the CPU; the rest of vLLM, which it only imports, is replaced by
empty classes. The connector keeps whole blocks and leaves out the last token, as it does in vLLM: of 21 tokens in blocks of 4 it saves 20.
The paged blocks are put together here after vLLM's shapes, because vLLM itself never writes them to a file.
"""

import importlib.util
import json
import shutil
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import safetensors
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import HEAD_DIM, KV_HEADS, expect, plane, planes_of, real_kv  # noqa: E402

HERE = Path(__file__).resolve().parent
TOKENS = [1, 403, 407, 261, 378, 31, 19, 285, 401, 12, 77, 260, 331, 45, 400, 9, 8, 111, 290, 5, 64]
BLOCK, BLOCKS = 4, 9
BLOCK_TABLE = [7, 2, 5, 0, 8, 3]
SAVED = 20
KV = torch.from_numpy(real_kv(21))
LAYER = "model.layers.{}.self_attn.attn"


class Anything(types.ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {"__init__": lambda self, *a, **k: None})
        setattr(self, name, made)
        return made


class Stubs:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "vllm" else None

    def create_module(self, spec):
        module = Anything(spec.name)
        module.__path__ = []
        if spec.name == "vllm.logger":
            module.init_logger = lambda name: SimpleNamespace(info=lambda *a: None, warning=lambda *a: None)
        if spec.name == "vllm.utils.gpu_sync_debug":
            import contextlib

            module.gpu_sync_allowed = contextlib.nullcontext
        if spec.name == "vllm.utils.hashing":
            import hashlib

            module.safe_hash = hashlib.md5
        return module

    def exec_module(self, module):
        pass


def load(source):
    folder = Path(source) / "vllm" / "distributed" / "kv_transfer" / "kv_connector" / "v1"
    path = next(p for p in (folder / "example_connector.py", folder / "shared_storage_connector.py") if p.exists())
    sys.meta_path.insert(0, Stubs())
    spec = importlib.util.spec_from_file_location("connector", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["connector"] = module
    spec.loader.exec_module(module)
    return module, path.name == "example_connector.py"


def connector(module, newer, folder):
    """An instance as vLLM's constructor leaves it, with one request to store."""
    made = object.__new__(module.ExampleConnector if newer else module.SharedStorageConnector)
    made._block_size, made._storage_path = BLOCK, str(folder)
    meta = (module.ExampleConnectorMetadata if newer else module.SharedStorageConnectorMetadata)()
    meta.add_request(token_ids=TOKENS, block_ids=BLOCK_TABLE, block_size=BLOCK, is_store=True, mm_hashes=[])
    made._get_connector_metadata = lambda: meta
    return made


def paged(layer_values, order, filler):
    """[token][...] values in blocks of 4 at the places of the block table; order: permutation of (block, slot, rest)"""
    blocks = filler.clone()
    for i in range(len(layer_values)):
        blocks[BLOCK_TABLE[i // BLOCK], i % BLOCK] = layer_values[i]
    return order(blocks)


def noise(shape, dtype):
    return torch.from_numpy(np.random.default_rng(9).standard_normal(shape)).to(dtype)


def older_layer(i, dtype, heads):
    """[2, blocks, block, H, D]"""
    n = len(heads)
    return torch.stack(
        [
            paged(
                KV[i, k].reshape(21, KV_HEADS, HEAD_DIM)[:, heads].to(dtype),
                lambda b: b,
                noise((BLOCKS, BLOCK, n, HEAD_DIM), dtype),
            )
            for k in range(2)
        ]
    )


def newer_layer(i, dtype, heads):
    """[blocks, H, block, 2D]: K and V of a head side by side"""
    n = len(heads)
    kv = torch.cat([KV[i, k].reshape(21, KV_HEADS, HEAD_DIM)[:, heads] for k in range(2)], -1).to(dtype)
    return paged(kv, lambda b: b.transpose(1, 2).contiguous(), noise((BLOCKS, BLOCK, n, 2 * HEAD_DIM), dtype))


def values(dtype, tokens):
    return KV[:, :, :tokens].to(dtype).float().numpy()


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def only(folder):
    (inside,) = [p for p in folder.iterdir() if p.is_dir()]
    return inside


def connectors(source):
    module, newer = load(source)
    version = "0.33.0" if newer else "0.10.2"
    producer = f"connector of vllm {version}, safetensors {safetensors.__version__}"
    layer, shape = (newer_layer, "[T,H,2D]") if newer else (older_layer, "[2,T,C]")
    mla = sys.modules[
        "vllm.model_executor.layers.attention.mla_attention" if newer else "vllm.v1.attention.backends.mla.common"
    ].MLACommonMetadata()
    plain = SimpleNamespace()

    folder = fresh(f"v{version}.bf16")
    made = connector(module, newer, folder)
    for i in range(3):
        made.save_kv_layer(LAYER.format(i), layer(i, torch.bfloat16, range(KV_HEADS)), plain)
    inside = only(folder)
    expect(
        folder,
        format="vllm folder",
        producer=producer,
        about=f"{inside.name[:6]}.../{LAYER.format('N')}.safetensors, one tensor kv_cache {shape}",
        dtype="bf16",
        layout=shape,
        planes=planes_of(values(torch.bfloat16, SAVED)),
        needs=[] if newer else ["kv_heads"],
        inner_folder=inside.name,
    )

    # Eleven layers: N = 10 sorts before 2 by name.
    folder = fresh(f"v{version}.f16.11layers")
    made = connector(module, newer, folder)
    for i in range(11):
        made.save_kv_layer(LAYER.format(i), layer(i % 3, torch.float16, [i % KV_HEADS]), plain)
    planes = [
        plane(
            i,
            "KV"[k],
            values(torch.float16, SAVED)[i % 3, k, :, i % KV_HEADS * HEAD_DIM : (i % KV_HEADS + 1) * HEAD_DIM],
            1,
            HEAD_DIM,
        )
        for i in range(11)
        for k in range(2)
    ]
    expect(
        folder,
        format="vllm folder",
        producer=producer,
        about="eleven layers of one KV head: natural order of the names",
        dtype="f16",
        layout=shape,
        planes=planes,
        needs=[] if newer else ["kv_heads"],
        inner_folder=only(folder).name,
    )

    folder = fresh(f"v{version}.f16.tp2")
    for rank in range(2):
        made = connector(module, newer, folder / f"rank_{rank}")
        for i in range(3):
            made.save_kv_layer(LAYER.format(i), layer(i, torch.float16, range(2 * rank, 2 * rank + 2)), plain)
    expect(
        folder,
        format="vllm folder",
        producer=producer,
        about="two tensor-parallel workers, each with its own storage path rank_N and two of the four heads",
        dtype="f16",
        layout=f"rank_N/hash/layer {shape}",
        planes=planes_of(values(torch.float16, SAVED)),
        needs=["kv_heads"],
        inner_folder=only(folder / "rank_0").name,
    )

    folder = fresh(f"v{version}.bf16.mla")
    made = connector(module, newer, folder)
    for i in range(3):
        latent = paged(
            KV[i, 0].bfloat16(), lambda b: b[:, None] if newer else b, noise((BLOCKS, BLOCK, 32), torch.bfloat16)
        )
        made.save_kv_layer(LAYER.format(i), latent.contiguous(), mla)
    expect(
        folder,
        format="vllm folder",
        producer=producer,
        about="MLA: kv_cache [T, latent + rotary], here 24 + 8 channels",
        dtype="bf16",
        layout="[T,C]",
        planes=[plane(i, "latent", values(torch.bfloat16, SAVED)[i, 0], 1, 32) for i in range(3)],
        inner_folder=only(folder).name,
    )


def blocks():
    producer = f"by description of vllm 0.10.2 and 0.33.0, safetensors {safetensors.__version__}"
    side = {"block_size": BLOCK, "block_table": BLOCK_TABLE, "tokens": 21}
    # "2,blocks": FlashAttention's shape of vLLM up to 0.10; "blocks,2": FlashInfer's, and FlashAttention's of some releases after.
    for name, dtype, about, layer in (
        (
            "paged.2blocks.f16",
            torch.float16,
            "[2, num_blocks, block_size, H, D] a layer",
            lambda i: older_layer(i, torch.float16, range(KV_HEADS)),
        ),
        (
            "paged.blocks2.f16",
            torch.float16,
            "[num_blocks, 2, block_size, H, D] a layer",
            lambda i: older_layer(i, torch.float16, range(KV_HEADS)).transpose(0, 1).contiguous(),
        ),
        (
            "paged.bhnc.f16",
            torch.float16,
            "[num_blocks, H, block_size, 2D] a layer (vllm 0.33)",
            lambda i: newer_layer(i, torch.float16, range(KV_HEADS)),
        ),
    ):
        path = HERE / f"{name}.safetensors"
        safetensors.torch.save_file({f"{LAYER.format(i)}.kv_cache": layer(i) for i in range(2)}, path)
        (HERE / f"{name}.safetensors.block_table.json").write_text(json.dumps(side) + "\n")
        expect(
            path,
            format="paged",
            producer=producer,
            about=f"{about}; 9 blocks of 4 slots, 6 in use (others hold noise); the side file has the block table and the number of tokens",
            dtype="f16",
            layout=about.split(" a layer")[0],
            planes=planes_of(values(dtype, 21)[:2]),
            needs=["block_table"],
            **side,
        )
    stacked = torch.stack([older_layer(i, torch.float16, range(KV_HEADS)) for i in range(2)])
    path = HERE / "paged.tensors.f16.pt"
    torch.save(
        {
            "kv_cache": stacked,
            "block_table": torch.tensor([BLOCK_TABLE], dtype=torch.int32),
            "seq_lens": torch.tensor([21], dtype=torch.int32),
        },
        path,
    )
    expect(
        path,
        format="paged",
        producer=f"by description of vllm 0.10.2, torch {torch.__version__.split('+')[0]}",
        about="[L, 2, num_blocks, block_size, H, D] with block_table [1, 6] and seq_lens [1] as tensors of the same file",
        dtype="f16",
        layout="[L, 2, num_blocks, block_size, H, D]",
        planes=planes_of(values(torch.float16, 21)[:2]),
        **side,
    )


if __name__ == "__main__":
    connectors(sys.argv[1])
    blocks()
