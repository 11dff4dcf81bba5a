# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and malicious .npy and .npz files."""

import struct
import zlib

from hostile_list import COMMAND, GOLDEN, write
from pickle_pieces import reduce_pickle


def npy(shape, descr="'<f4'", order="False", data=b"", version=1, header=None, length=None):
    header = (
        header if header is not None else f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    )
    size = 2 if version == 1 else 4
    header += b" " * (-(6 + 2 + size + len(header) + 1) % 64) + b"\n"
    length = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if size == 2 else "<I", length) + header + data


def make_npy():
    good = (GOLDEN / "numpy" / "f16.lkhtd.npy").read_bytes()
    write("control.npy", npy("(3, 2, 4, 5, 8)", data=bytes(range(64)) * 60), "well-formed", "open")
    write("empty.npy", b"", "no byte at all")
    write("magic_only.npy", good[:6], "ends after the magic")
    write("truncated_header.npy", good[:40], "ends inside the header")
    write("truncated_data.npy", good[:-5], "five bytes short")
    write("header_past_end.npy", npy("(3, 2, 4, 5, 8)", length=65535), "the header's length points past the end")
    write("header_giant.npy", npy("(3, 2, 4, 5, 8)", version=2, length=0xFFFFFFFF), "header length 4 GiB - 1")
    write(
        "version9.npy",
        npy("(3, 2, 4, 5, 8)", data=bytes(3840)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09", 1),
        "unknown version 9",
    )
    write(
        "shape_past_63_bits.npy", npy("(4294967296, 4294967296, 2)", data=bytes(64)), "the product of the shape is 2^65"
    )
    write(
        "shape_wraps_to_zero.npy",
        npy("(4611686018427387904, 4, 3, 4, 8)", data=bytes(64)),
        "the product of the shape is 0 modulo 2^64",
    )
    write(
        "shape_wraps_to_small.npy",
        npy("(3, 6148914691236517206, 2, 2, 8)", data=bytes(256)),
        "3 * 6148914691236517206 is 2 modulo 2^64, so that the product seems to be 64",
    )
    write(
        "bytes_wrap.npy",
        npy("(2305843009213693954, 2)", descr="'<f4'", data=bytes(16)),
        "elements fit 64 bits, bytes are 16 modulo 2^64",
    )
    write("shape_400_digits.npy", npy("(1" + "0" * 400 + ", 2)", data=bytes(64)), "a dimension of 401 digits")
    write("negative_dimension.npy", npy("(3, 2, -4, 5, 8)", data=bytes(3840)), "a negative dimension")
    write("zero_tokens.npy", npy("(3, 2, 4, 0, 8)"), "no tokens: nothing to show")
    write("scalar.npy", npy("()", data=bytes(4)), "shape (): not a cache")
    write("rank_40.npy", npy("(" + "1, " * 39 + "4)", data=bytes(16)), "40 dimensions")
    write("complex.npy", npy("(3, 2, 4, 5, 8)", descr="'<c8'", data=bytes(7680)), "complex numbers")
    write("structured.npy", npy("(3, 2, 4, 5, 8)", descr="[('a', '<f4')]", data=bytes(3840)), "structured dtype")
    write("strings.npy", npy("(3, 2, 4, 5, 8)", descr="'<U1'", data=bytes(3840)), "text dtype")
    write(
        "header_is_code.npy",
        npy(None, header=b"__import__('os').system('" + COMMAND + b"')", data=bytes(64)),
        "a Python expression where the header belongs",
    )
    write(
        "header_nested.npy",
        npy(
            None,
            header=b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"(" * 8000 + b")" * 8000 + b"}",
            data=bytes(64),
        ),
        "a shape nested 8,000 deep",
    )
    write(
        "header_missing_shape.npy",
        npy(None, header=b"{'descr': '<f4', 'fortran_order': False, }", data=bytes(64)),
        "no shape",
    )
    write(
        "header_not_closed.npy",
        npy(None, header=b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 4", data=bytes(64)),
        "the dictionary is not closed",
    )
    write(
        "object_pickle.npy",
        npy("(1,)", descr="'|O'", data=reduce_pickle("os", "system")),
        "object array: its data is a pickle that runs a command",
    )


def entry(name, compressed, size, crc, method=8, flags=0, offset=0, stored=None):
    """(local header + data, central record) of one member"""
    name = name.encode()
    packed = len(compressed) if stored is None else stored
    common = struct.pack("<HHHHHIII", 20, flags, method, 0, 33, crc, packed & 0xFFFFFFFF, size & 0xFFFFFFFF)
    local = b"PK\x03\x04" + common + struct.pack("<HH", len(name), 0) + name + compressed
    central = (
        b"PK\x01\x02"
        + struct.pack("<H", 20)
        + common
        + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset)
        + name
    )
    return local, central


def archive(members, count=None):
    """members: keyword arguments of entry"""
    body, directory = b"", b""
    for m in members:
        local, central = entry(**{"offset": len(body), **m})
        body += local
        directory += central
    count = len(members) if count is None else count
    return body + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)


def deflate(data):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    return c.compress(data) + c.flush()


def member(name, data, **over):
    return {"name": name, "compressed": deflate(data), "size": len(data), "crc": zlib.crc32(data), **over}


def make_zip():
    good = (GOLDEN / "numpy" / "stored.perlayer.npz").read_bytes()
    array = npy("(2, 2, 4, 5, 8)", data=bytes(range(64)) * 40)
    write("control.npz", archive([member("kv.npy", array)]), "well-formed", "open")
    write("truncated.npz", good[: len(good) // 2], "half the file: no central directory")
    write("truncated_directory.npz", good[:-30], "ends inside the central directory's end")
    write("bad_crc.npz", archive([member("kv.npy", array, crc=12345)]), "the CRC does not match the data")
    write(
        "bad_deflate.npz",
        archive([{**member("kv.npy", array), "compressed": b"\xff\x00garbage that is not deflate\xff" * 4}]),
        "the compressed data is not deflate",
    )
    write("offset_past_end.npz", archive([member("kv.npy", array, offset=1 << 30)]), "a local header at 1 GiB")
    write(
        "offset_overlap_directory.npz",
        archive([member("kv.npy", array, stored=1 << 20)]),
        "compressed data that reaches past the end",
    )
    write(
        "count_lies.npz",
        archive([member("kv.npy", array)], count=65535),
        "65,535 entries announced, one there",
        "bounded",
    )
    write("encrypted.npz", archive([member("kv.npy", array, flags=1)]), "marked as encrypted")
    write("method_unknown.npz", archive([member("kv.npy", array, method=77)]), "compression method 77")
    write(
        "traversal.npz",
        archive([member("../../../../tmp/KVSCOPE_HOSTILE_RAN.npy", array)]),
        "a name that climbs out of the folder; nothing may be written",
        "bounded",
    )
    write(
        "duplicate_names.npz",
        archive([member("kv.npy", array), member("kv.npy", array[:-1280] + bytes(1280))]),
        "two members of one name",
        "bounded",
    )
    write("no_arrays.npz", archive([member("readme.txt", b"nothing here")]), "no .npy inside")
    write("empty.npz", archive([]), "an empty zip")
    zeros = npy("(8, 2, 256, 8, 128)", data=bytes(16 << 20))
    write("bomb_honest.npz", archive([member("kv.npy", zeros)]), "16 MiB of zeros in 16 kB, all sizes true", "bounded")
    write(
        "bomb_small_size.npz",
        archive([member("kv.npy", zeros, size=4096)]),
        "says 4096 bytes, inflates to 16 MiB; the array's header says 16 MiB",
    )
    write(
        "bomb_small_array.npz",
        archive([member("kv.npy", npy("(2, 2, 4, 5, 8)") + bytes(16 << 20), size=2688)]),
        "says 2688 bytes and an array of 2560, inflates to 16 MiB",
        "bounded",
    )
    write(
        "promise_8_gib.npz",
        archive([member("kv.npy", npy("(32, 2, 8, 32768, 128)", data=bytes(1000)), size=0xFFFFFFF0)]),
        "promises GiBs in zip and array, holds 1000 bytes",
    )
    kernel = member("layer_0_key.npy", npy("(1, 8, 4096, 128)", data=bytes(16 << 20)))
    names = [f"layer_{i}_{n}.npy" for i in range(100) for n in ("key", "value")]
    local, _ = entry(**kernel)
    directory = b"".join(entry(**{**kernel, "name": n})[1] for n in names)
    write(
        "overlapping_members.npz",
        local
        + directory
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(local), 0),
        "200 members that share one stream of 16 MiB: 3.1 GiB from 29 kB (their names differ from the local header's)",
    )
