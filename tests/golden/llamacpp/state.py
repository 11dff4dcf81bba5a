# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of LAYOUT.md read by numpy, apart from KVScope; quantised rows by the gguf package's own dequantisation."""

import struct
from pathlib import Path

import numpy as np

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, BF16 = 0, 1, 2, 3, 6, 7, 8, 20, 30
TYPES = {
    F32: "f32",
    F16: "f16",
    Q4_0: "q4_0",
    Q4_1: "q4_1",
    Q5_0: "q5_0",
    Q5_1: "q5_1",
    Q8_0: "q8_0",
    IQ4_NL: "iq4_nl",
    BF16: "bf16",
}


def values(raw, kind, rows):
    if kind == BF16:
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(rows, -1)
    if kind in (F32, F16):
        return np.frombuffer(raw, {F32: "<f4", F16: "<f2"}[kind]).astype(np.float32).reshape(rows, -1)
    data = np.frombuffer(raw, np.uint8).reshape(rows, -1)
    import gguf

    return gguf.quants.dequantize(data, gguf.GGMLQuantizationType(kind)).astype(np.float32)


class State:
    """The layout of LAYOUT.md for one file, read strictly to its last byte."""

    def __init__(self, path, outputs, streams, memories=1, has_v=True, extension=0):
        self.raw, self.at, self.has_v, self.extension = Path(path).read_bytes(), 0, has_v, extension
        magic, self.version = self.take("II")
        self.session = magic == 0x6767736E
        assert self.session or magic == 0x67677371
        self.tokens = list(self.take(f"{self.take('I')[0]}i"))
        self.outputs = 0
        if self.session:
            self.arch = self.take(f"{self.take('I')[0]}s")[0].decode()
            if outputs:
                self.outputs = self.take("I")[0]
                self.take(f"{self.outputs}i")
                self.logits = self.take("Q")[0]
                self.take(f"{self.logits}f")
                self.take(f"{self.take('Q')[0]}f")
        self.streams = [self.stream() for _ in range(memories) for _ in range(self.take("I")[0] if streams else 1)]
        assert self.at == len(self.raw), (self.at, len(self.raw))

    def take(self, form):
        found = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return found

    def block(self, size):
        self.at += size
        return self.raw[self.at - size : self.at]

    def stream(self):
        count = self.take("I")[0]
        cells = []
        if count == 0:
            return None
        for _ in range(count):
            position, sequences = self.take("iI")
            self.block(self.extension)
            cells.append((position, self.take(f"{sequences}i")))
        self.v_trans, layers = self.take("II")
        keys, vals = [], []
        for _ in range(layers):
            self.type_k, size = self.take("iQ")
            keys.append(values(self.block(size * count), self.type_k, count))
        for _ in range(layers if self.has_v else 0):
            if self.v_trans:
                self.type_v, _, channels = self.take("iII")
                size = {F32: 4, F16: 2, BF16: 2}[self.type_v]
                vals.append(values(self.block(size * channels * count), self.type_v, channels).T)
            else:
                self.type_v, size = self.take("iQ")
                vals.append(values(self.block(size * count), self.type_v, count))
        return {"cells": cells, "kv": [[k, v] for k, v in zip(keys, vals)] if self.has_v else [[k] for k in keys]}

    def sequence(self, number):
        """positions and [layer][2][token][channel] of one sequence, by position"""
        for s in filter(None, self.streams):
            mine = [i for i, (_, ids) in enumerate(s["cells"]) if number in ids or not ids]
            if mine:
                mine.sort(key=lambda i: s["cells"][i][0])
                return [s["cells"][i][0] for i in mine], [[x[mine] for x in pair] for pair in s["kv"]]
        raise AssertionError(f"no cells of sequence {number}")


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)


def unrotate(x, head_dim, largest):
    n = 64
    while largest and head_dim % (2 * n) == 0:
        n *= 2
    return (x.astype(np.float64).reshape(-1, n) @ hadamard(n)).reshape(x.shape)
