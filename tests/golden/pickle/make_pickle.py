# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain pickles of arrays and tensors, and torch.save'd objects around caches.  python3 make_pickle.py

Plain pickles of tensors hold addresses as storage keys: they differ from run to run.
"""
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.modeling_outputs import CausalLMOutputWithPast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import expect, lkhtd, planes_of, real_kv  # noqa: E402

HERE = Path(__file__).resolve().parent
PYTHON = f"Python {sys.version.split()[0]}, numpy {np.__version__}, torch {torch.__version__.split('+')[0]}"
KV = real_kv(9).astype(np.float16).astype(np.float32)
BHTD = lkhtd(KV)[:, :, None]  # [L][2][1][H][T][D]
PAIRS = [tuple(BHTD[i, k].astype(np.float16) for k in range(2)) for i in range(3)]
TENSORS = tuple(tuple(torch.from_numpy(x) for x in pair) for pair in PAIRS)


def describe(name, about):
    expect(HERE / name, format="pickle" if name.endswith(".pkl") else "torch", producer=PYTHON, about=about, dtype="f16",
           layout="perlayer BHTD", planes=planes_of(KV))


def dump(name, value, protocol, about):
    (HERE / name).write_bytes(pickle.dumps(value, protocol=protocol))
    describe(name, about)


dump("numpy.protocol2.pkl", PAIRS, 2, "list of tuples of float16 arrays: _reconstruct, bytes through _codecs.encode")
dump("numpy.protocol4.pkl", PAIRS, 4, "list of tuples of float16 arrays")
dump("numpy.protocol5.pkl", PAIRS, 5, "list of tuples of float16 arrays: _frombuffer")
dump("numpy.fortran.bigendian.pkl", [tuple(np.asfortranarray(x.astype(">f2")) for x in p) for p in PAIRS], 4,
     "arrays in Fortran order with big-endian values")
dump("torch.protocol2.pkl", TENSORS, 2, "tuples of torch tensors, pickled without torch.save: _load_from_bytes")
dump("torch.protocol5.pkl", TENSORS, 5, "tuples of torch tensors, pickled without torch.save: _load_from_bytes")

cache = transformers.DynamicCache()
for i, (k, v) in enumerate(TENSORS):
    cache.update(k, v, i)
cross = transformers.DynamicCache()
for i, (k, v) in enumerate(TENSORS):
    cross.update(torch.ones(1, 4, 3, 8), torch.ones(1, 4, 3, 8), i)
torch.save(transformers.EncoderDecoderCache(cache, cross), HERE / "encoderdecoder.pt")
describe("encoderdecoder.pt", "EncoderDecoderCache: its self-attention part is the cache")
torch.save(CausalLMOutputWithPast(logits=torch.zeros(1, 9, 4), past_key_values=cache), HERE / "output.pt")
describe("output.pt", "a model's whole output: logits and past_key_values")

config = transformers.LlamaConfig(hidden_size=32, num_attention_heads=4, num_key_value_heads=4, num_hidden_layers=3)
quantised = transformers.QuantizedCache("fp8", config)
for i, (k, v) in enumerate(TENSORS):
    quantised.update(k.float(), v.float(), i)
stored = np.stack([np.stack([(x.float() * scale)[0].permute(1, 0, 2).reshape(9, -1).numpy() for x, scale in (layer._quantized_keys, layer._quantized_values)])
                   for layer in quantised.layers])
torch.save(quantised, HERE / "quantised.fp8.pt")
expect(HERE / "quantised.fp8.pt", format="torch", producer=PYTHON + f", transformers {transformers.__version__}", dtype="f8_e4m3", layout="perlayer BHTD",
       about="QuantizedCache of the backend fp8: (float8_e4m3fn tensor, scale) pairs", planes=planes_of(stored))

# The zip format of a big-endian machine: the same pickle, swapped storages, and the member byteorder.
torch.save(TENSORS, HERE / "little.pt")
with zipfile.ZipFile(HERE / "little.pt") as little, zipfile.ZipFile(HERE / "bigendian.pt", "w") as big:
    for member in little.infolist():
        data = little.read(member)
        if "/data/" in member.filename:
            data = np.frombuffer(data, "<u2").astype(">u2").tobytes()
        big.writestr(zipfile.ZipInfo(member.filename), b"big" if member.filename.endswith("byteorder") else data)
(HERE / "little.pt").unlink()
assert all(torch.equal(a, b) for p, q in zip(torch.load(HERE / "bigendian.pt"), TENSORS) for a, b in zip(p, q))
describe("bigendian.pt", "tuples of tensors, byteorder big (checked by torch.load)")
