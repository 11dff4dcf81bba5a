# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of pickles and of torch's two containers, put together byte by byte."""

import io
import pickle
import struct
import zipfile

from hostile_list import COMMAND, u32


def text(s):
    s = s.encode()
    return b"X" + u32(len(s)) + s


def integer(v):
    if 0 <= v < 256:
        return b"K" + bytes([v])
    if -(2**31) <= v < 2**31:
        return b"J" + struct.pack("<i", v)
    raw = v.to_bytes(v.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tup(*parts):
    return b"(" + b"".join(parts) + b"t"


def reduce_pickle(module, name, argument=None):
    return b"\x80\x02" + glob(module, name) + tup(argument or text(COMMAND.decode())) + b"R."


def storage(key="0", kind="FloatStorage", count=64, legacy=False):
    view = [b"N"] if legacy else []
    return tup(text("storage"), glob("torch", kind), text(key), text("cpu"), integer(count), *view) + b"Q"


def tensor(size=(1, 2, 4, 8), stride=(64, 32, 8, 1), offset=0, **of):
    return (
        glob("torch._utils", "_rebuild_tensor_v2")
        + tup(
            storage(**of),
            integer(offset),
            tup(*map(integer, size)),
            tup(*map(integer, stride)),
            b"\x89",
            glob("collections", "OrderedDict") + b")R",
        )
        + b"R"
    )


def torch_zip(pickled, storages={"0": bytes(256)}, compress=zipfile.ZIP_STORED, drop=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as z:
        for name, data in [
            ("data.pkl", pickled),
            ("byteorder", b"little"),
            *((f"data/{k}", v) for k, v in storages.items()),
            ("version", b"3\n"),
        ]:
            if name not in drop:
                info = zipfile.ZipInfo(f"hostile/{name}")
                info.compress_type = compress
                z.writestr(info, data)
    return out.getvalue()


def program(body):
    return b"\x80\x02" + body + b"."


def torch_legacy(body, keys=("0",), storages=(bytes(256),), counts=(64,), magic=0x1950A86A20F9469CFC6C, protocol=1001):
    system = {"protocol_version": protocol, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(v, 2) for v in (magic, protocol, system))
    return (
        head
        + program(body)
        + pickle.dumps(list(keys), 2)
        + b"".join(struct.pack("<q", c) + s for c, s in zip(counts, storages))
    )


def pair(body):
    """one layer (K, V) whose tensors are both `body`"""
    return tup(body, body)


def one_layer(body):
    """past_key_values of one layer"""
    return tup(pair(body))
