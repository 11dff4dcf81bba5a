# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and malicious .safetensors files."""

import json

from hostile_list import GOLDEN, u64, write


def safetensors(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(raw) if length is None else length) + raw + data


def make_safetensors():
    good = (GOLDEN / "safetensors" / "f16.stacked.lkthd.safetensors").read_bytes()

    def one_tensor(begin=0, end=5120, shape=(2, 2, 5, 8, 16), dtype="F16"):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}

    data = bytes(range(64)) * 80
    write("control.safetensors", safetensors({"kv": one_tensor()}, data), "well-formed", "open")
    write("empty.safetensors", b"", "no byte at all")
    write("length_only.safetensors", good[:8], "ends after the header's length")
    write("truncated_header.safetensors", good[:40], "ends inside the header")
    write("truncated_data.safetensors", good[:-7], "seven bytes short")
    write(
        "header_past_end.safetensors",
        safetensors({"kv": one_tensor()}, data, length=1 << 20),
        "the header's length points past the end",
    )
    write("header_giant.safetensors", safetensors({"kv": one_tensor()}, data, length=2**63), "a header of 2^63 bytes")
    write(
        "header_all_ones.safetensors",
        safetensors({"kv": one_tensor()}, data, length=2**64 - 1),
        "a header of 2^64 - 1 bytes: 8 + length wraps to 7",
    )
    write("header_empty.safetensors", safetensors(b""), "a header of no bytes")
    write("header_no_tensors.safetensors", safetensors({}), "no tensors")
    write("header_not_json.safetensors", safetensors(b"{kv: nothing}", data), "not JSON")
    write("header_not_object.safetensors", safetensors(b"[1, 2, 3]", data), "JSON, but a list")
    write("header_nested.safetensors", safetensors(b"[" * 40000), "JSON nested 40,000 deep")
    write(
        "header_bad_utf8.safetensors",
        safetensors(b'{"k\xff\xfev": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}}', data),
        "a name that is not UTF-8",
    )
    write(
        "overlapping.safetensors",
        safetensors(
            {"layers.0.k": one_tensor(0, 2560, (1, 5, 16, 16)), "layers.0.v": one_tensor(1280, 3840, (1, 5, 16, 16))},
            data[:3840],
        ),
        "two tensors share 1280 bytes",
    )
    write(
        "same_bytes.safetensors",
        safetensors({f"layers.{i}.{n}": one_tensor(0, 5120, (1, 5, 32, 16)) for i in range(8) for n in "kv"}, data),
        "16 tensors over the same bytes",
    )
    write(
        "hole.safetensors",
        safetensors(
            {"layers.0.k": one_tensor(0, 2048, (1, 8, 8, 16)), "layers.0.v": one_tensor(3072, 5120, (1, 8, 8, 16))},
            data,
        ),
        "a hole of 1024 bytes between two tensors",
        "bounded",
    )
    write(
        "offsets_past_end.safetensors",
        safetensors({"kv": one_tensor(end=1 << 40, shape=(2**20, 2, 8, 256, 128))}, data),
        "offsets of 1 TiB that agree with the shape",
    )
    write("offsets_reversed.safetensors", safetensors({"kv": one_tensor(5120, 0)}, data), "end before begin")
    write("offsets_negative.safetensors", safetensors({"kv": one_tensor(-5120, 0)}, data), "a negative offset")
    write(
        "offsets_wrap.safetensors",
        safetensors({"kv": one_tensor(2**64 - 2560, 2560)}, data),
        "begin 2^64 - 2560, end 2560: the difference is 5120 modulo 2^64",
    )
    write(
        "offsets_fraction.safetensors",
        safetensors(b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120.5]}}', data),
        "an offset of 5120.5",
    )
    write(
        "offsets_one.safetensors",
        safetensors(b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0]}}', data),
        "one offset",
    )
    write(
        "shape_disagrees.safetensors",
        safetensors({"kv": one_tensor(shape=(2, 2, 5, 8, 32))}, data),
        "the shape needs twice the bytes",
    )
    write(
        "shape_wraps.safetensors",
        safetensors({"kv": one_tensor(shape=(2**32, 2**32, 2560))}, data),
        "the product of the shape is 0 modulo 2^64",
    )
    write(
        "shape_bytes_wrap.safetensors",
        safetensors({"kv": one_tensor(shape=(2**63 + 2560,))}, data),
        "elements * 2 is 5120 modulo 2^64",
    )
    write(
        "shape_negative.safetensors",
        safetensors({"kv": one_tensor(shape=(-2, -2, 5, 8, 16))}, data),
        "negative dimensions whose product is right",
    )
    write(
        "shape_huge_number.safetensors",
        safetensors(b'{"kv": {"dtype": "F16", "shape": [1e300, 2], "data_offsets": [0, 5120]}}', data),
        "a dimension of 1e300",
    )
    write(
        "shape_is_text.safetensors",
        safetensors(b'{"kv": {"dtype": "F16", "shape": "2,2,5,8,16", "data_offsets": [0, 5120]}}', data),
        "the shape is a text",
    )
    write("zero_tokens.safetensors", safetensors({"kv": one_tensor(0, 0, (2, 2, 0, 8, 16))}), "no tokens")
    write("dtype_unknown.safetensors", safetensors({"kv": one_tensor(dtype="F3")}, data), "unknown dtype F3")
    write(
        "dtype_missing.safetensors",
        safetensors({"kv": {"shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}}, data),
        "no dtype",
    )
    write(
        "names_twice.safetensors",
        safetensors(
            b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}, "kv": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}',
            data,
        ),
        "one name twice",
        "bounded",
    )
    write(
        "metadata_not_text.safetensors",
        safetensors({"__metadata__": {"a": [1, 2, {"b": None}]}, "kv": one_tensor()}, data),
        "metadata that is not text",
        "bounded",
    )
    write("rank_1.safetensors", safetensors({"kv": one_tensor(shape=(2560,))}, data), "a flat tensor: not a cache")
    write(
        "many_names.safetensors",
        safetensors(
            (
                "{" + ",".join(f'"t{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(100)) + "}"
            ).encode()
        ),
        "100 empty tensors",
    )
