# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged llama.cpp states, LMCache chunks, folders and side files."""

import json
import struct

from hostile_list import GOLDEN, u32, folder, write
from hostile_safetensors import safetensors


def make_llamacpp():
    good = (GOLDEN / "llamacpp" / "v0.3.36" / "session.f16.tiny.bin").read_bytes()
    # Two tokens. Where things stand: token count 8, architecture length 20, streams 29, cells 33, first cell's sequences 41, V transposed 61, layers 65, type 69, row bytes 73.
    assert good[24:29] == b"llama" and struct.unpack_from("<IIiQ", good, 61) == (0, 2, 1, 128)

    def patched(at, form, value):
        return good[:at] + struct.pack("<" + form, value) + good[at + struct.calcsize("<" + form) :]

    write("control.ggsn.bin", good, "well-formed session", "open")
    for at in (4, 10, 22, 31, 45, 63, 76, 100, len(good) - 1):
        write(f"truncated_{at}.ggsn.bin", good[:at], f"session cut after {at} bytes")
    write("trailing.ggsn.bin", good + bytes(5), "five bytes too many", "bounded")
    write("version.ggsn.bin", patched(4, "I", 77), "session version 77")
    write("tokens_giant.ggsn.bin", patched(8, "I", 0xFFFFFFFF), "2^32 - 1 tokens")
    write("arch_giant.ggsn.bin", patched(20, "I", 0xFFFFFFF0), "an architecture name of 4 GiB")
    write("streams_giant.ggsn.bin", patched(29, "I", 0xFFFFFFFF), "2^32 - 1 streams")
    write("streams_zero.ggsn.bin", patched(29, "I", 0), "no stream")
    write("cells_giant.ggsn.bin", patched(33, "I", 0xFFFFFFFF), "2^32 - 1 cells")
    write("cells_zero.ggsn.bin", good[:33] + u32(0), "no cells")
    write("sequences_giant.ggsn.bin", patched(41, "I", 0x40000000), "a cell of 2^30 sequences: 4 * count wraps 32 bits")
    write("layers_giant.ggsn.bin", patched(65, "I", 0xFFFFFFFF), "2^32 - 1 layers")
    write("layers_zero.ggsn.bin", patched(65, "I", 0), "no layers")
    write("type_unknown.ggsn.bin", patched(69, "i", 999), "ggml type 999")
    write("type_negative.ggsn.bin", patched(69, "i", -1), "ggml type -1")
    write("row_giant.ggsn.bin", patched(73, "Q", 2**63), "rows of 2^63 bytes: 2 cells of them are 0 bytes modulo 2^64")
    write("row_zero.ggsn.bin", patched(73, "Q", 0), "rows of no bytes")
    write("row_odd.ggsn.bin", patched(73, "Q", 127), "rows of 127 bytes of f16")
    write("v_trans_7.ggsn.bin", patched(61, "I", 7), "a transposition flag of 7")


def lmcache(values=(3072, 1, 3, 2, 3, 8, 32), data=bytes(range(64)) * 48):
    return struct.pack("<7i", *values) + data


def make_lmcache():
    write("control.data", lmcache(), "well-formed chunk: length, format, dtype, [2,3,8,32] of bf16", "open")
    write("metadata_short.data", lmcache()[:20], "ends inside the 28 bytes of metadata")
    write("metadata_only.data", lmcache()[:28], "metadata and no values")
    write("truncated.data", lmcache()[:-9], "nine bytes short")
    write("length_negative.data", lmcache((-1, 1, 3, 2, 3, 8, 32)), "length -1")
    write("length_lies.data", lmcache((2**31 - 1, 1, 3, 2, 3, 8, 32)), "length 2 GiB - 1")
    write("length_disagrees.data", lmcache((3070, 1, 3, 2, 3, 8, 32)), "length 3070, shape 3072 bytes")
    write("dtype_unknown.data", lmcache((3072, 1, 99, 2, 3, 8, 32)), "dtype 99")
    write("format_unknown.data", lmcache((3072, 77, 3, 2, 3, 8, 32)), "format 77")
    write(
        "format_binary.data",
        lmcache((3072, 4, 6, 3072, 0, 0, 0)),
        "format 4: compressed by LMCache's own codec, not values",
    )
    write("shape_negative.data", lmcache((3072, 1, 3, -2, -3, 8, 32)), "negative dimensions whose product is right")
    write("shape_zero.data", lmcache((0, 1, 3, 2, 3, 0, 32), b""), "no tokens")
    write(
        "shape_giant.data",
        lmcache((3072, 1, 3, 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)),
        "the product of the shape is almost 2^124",
    )
    write(
        "shape_wraps.data",
        lmcache((3072, 1, 3, 2**30, 2**30, 2**30, 2**30)),
        "the product of the shape is 0 modulo 2^64",
    )


def layer(shape=(2, 5, 32), dtype="F16", name="kv_cache", size=None):
    count = 1
    for d in shape:
        count *= d
    size = count * 2 if size is None else size
    return safetensors(
        {name: {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]}},
        (bytes(range(64)) * (size // 64 + 1))[:size],
    )


def make_folders():
    names = [f"model.layers.{i}.self_attn.attn.safetensors" for i in range(3)]
    folder("folder_control", {n: layer() for n in names}, "three layers, well-formed", "open")
    folder(
        "folder_missing_layer", {names[0]: layer(), names[2]: layer()}, "layers 0 and 2: layer 1 is missing", "bounded"
    )
    folder(
        "folder_lengths",
        {names[0]: layer(), names[1]: layer((2, 7, 32)), names[2]: layer()},
        "layers of 5, 7 and 5 tokens",
        "bounded",
    )
    folder(
        "folder_damaged_layer",
        {names[0]: layer(), names[1]: layer()[:-20], names[2]: layer()},
        "the second layer is cut short: the message must name that file",
    )
    folder("folder_not_layers", {"readme.txt": b"nothing here", "notes.json": b"{}"}, "no dump inside")
    folder(
        "folder_two_contexts",
        {f"{h}/{n}": layer() for h in ("0" * 32, "f" * 32) for n in names},
        "two contexts in one folder: which one?",
        "bounded",
    )
    folder(
        "folder_shards_disagree",
        {f"rank_{r}/{'a' * 32}/{n}": layer((2, 5 + r, 16)) for r in range(2) for n in names},
        "shards of 5 and 6 tokens",
    )
    folder(
        "folder_shard_missing",
        {
            **{f"rank_0/{'a' * 32}/{n}": layer((2, 5, 16)) for n in names},
            **{f"rank_1/{'a' * 32}/{n}": layer((2, 5, 16)) for n in names[:2]},
        },
        "the second worker lacks layer 2",
    )
    key = "model@1@0@{:x}@bfloat16.data"
    folder(
        "folder_chunks_disagree",
        {key.format(1): lmcache(), key.format(2): lmcache((2048, 1, 3, 2, 2, 8, 32), bytes(2048))},
        "chunks of 3 and 2 layers",
    )
    folder(
        "folder_chunk_dtypes",
        {key.format(1): lmcache(), key.format(2): lmcache((3072, 1, 2, 2, 3, 8, 32))},
        "chunks of bf16 and fp16",
        "bounded",
    )
    good = layer((2, 9, 4, 2, 8), name="model.layers.0.self_attn.attn.kv_cache")
    for name, table, about in (
        ("index", [7, 2, 9], "a block index of 9 of 9 blocks"),
        ("negative", [7, -1, 0], "a block index of -1"),
        ("short", [7, 2], "two blocks of 4 for 12 tokens"),
        ("empty", [], "an empty table"),
        ("huge", [7, 2, 2**62], "a block index of 2^62"),
    ):
        side = json.dumps({"block_size": 4, "block_table": table, "tokens": 12}).encode()
        folder(
            f"paged_{name}",
            {"paged.safetensors": good, "paged.safetensors.block_table.json": side},
            f"block table: {about}",
        )
    cache = (GOLDEN / "transformers" / "v5.23.0" / "with_config" / "cache.pt").read_bytes()
    for name, text_, about in (
        ("nested", "[" * 40000, "a config.json nested 40,000 deep"),
        ("not_json", "rope_theta = 10000", "a config.json that is not JSON"),
        (
            "wrong_types",
            '{"rope_theta": "a lot", "head_dim": [8], "num_key_value_heads": {}}',
            "values of the wrong types",
        ),
        (
            "absurd",
            '{"rope_theta": -1, "head_dim": 0, "num_key_value_heads": 99999999999999999999, "num_attention_heads": 0}',
            "a negative theta, no heads, a number past 2^63",
        ),
        (
            "disagrees",
            '{"rope_theta": 10000.0, "head_dim": 8, "num_key_value_heads": 7, "num_hidden_layers": 99}',
            "heads and layers that are not the dump's",
        ),
    ):
        folder(
            f"config_{name}",
            {"cache.pt": cache, "config.json": text_.encode()},
            f"{about}: the dump beside it still opens, with a note",
            "bounded",
        )
