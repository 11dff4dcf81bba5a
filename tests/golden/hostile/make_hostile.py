# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and malicious files.  python3 make_hostile.py

No producer writes these: they are put together byte by byte. hostile.json lists each with what is wrong and what a reader must do:
    error    refuse with a message
    bounded  refuse, or open it; in either case within a few hundred MB and a few seconds
    open     a control: well-formed, put together by the same functions
The code inside pickles would create a file named KVSCOPE_HOSTILE_RAN in the working directory: no reader may let that happen.
"""
import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent
LISTED = []
COMMAND = b"touch KVSCOPE_HOSTILE_RAN"
U32, U64 = (lambda v: struct.pack("<I", v)), (lambda v: struct.pack("<Q", v))


def write(name, data, about, must="error"):
    (HERE / name).write_bytes(data)
    LISTED.append({"file": name, "format": name.rsplit(".", 1)[1], "must": must, "about": about})


# --- npy ---

def npy(shape, descr="'<f4'", order="False", data=b"", version=1, header=None, length=None):
    header = header if header is not None else f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
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
    write("version9.npy", npy("(3, 2, 4, 5, 8)", data=bytes(3840)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09", 1), "unknown version 9")
    write("shape_past_63_bits.npy", npy("(4294967296, 4294967296, 2)", data=bytes(64)), "the product of the shape is 2^65")
    write("shape_wraps_to_zero.npy", npy("(4611686018427387904, 4, 3, 4, 8)", data=bytes(64)), "the product of the shape is 0 modulo 2^64")
    write("shape_wraps_to_small.npy", npy("(3, 6148914691236517206, 2, 2, 8)", data=bytes(256)), "3 * 6148914691236517206 is 2 modulo 2^64, so that the product seems to be 64")
    write("bytes_wrap.npy", npy("(2305843009213693954, 2)", descr="'<f4'", data=bytes(16)), "elements fit 64 bits, bytes are 16 modulo 2^64")
    write("shape_400_digits.npy", npy("(1" + "0" * 400 + ", 2)", data=bytes(64)), "a dimension of 401 digits")
    write("negative_dimension.npy", npy("(3, 2, -4, 5, 8)", data=bytes(3840)), "a negative dimension")
    write("zero_tokens.npy", npy("(3, 2, 4, 0, 8)"), "no tokens: nothing to show")
    write("scalar.npy", npy("()", data=bytes(4)), "shape (): not a cache")
    write("rank_40.npy", npy("(" + "1, " * 39 + "4)", data=bytes(16)), "40 dimensions")
    write("complex.npy", npy("(3, 2, 4, 5, 8)", descr="'<c8'", data=bytes(7680)), "complex numbers")
    write("structured.npy", npy("(3, 2, 4, 5, 8)", descr="[('a', '<f4')]", data=bytes(3840)), "structured dtype")
    write("strings.npy", npy("(3, 2, 4, 5, 8)", descr="'<U1'", data=bytes(3840)), "text dtype")
    write("header_is_code.npy", npy(None, header=b"__import__('os').system('" + COMMAND + b"')", data=bytes(64)), "a Python expression where the header belongs")
    write("header_nested.npy", npy(None, header=b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"(" * 8000 + b")" * 8000 + b"}", data=bytes(64)), "a shape nested 8,000 deep")
    write("header_missing_shape.npy", npy(None, header=b"{'descr': '<f4', 'fortran_order': False, }", data=bytes(64)), "no shape")
    write("header_not_closed.npy", npy(None, header=b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 4", data=bytes(64)), "the dictionary is not closed")
    write("object_pickle.npy", npy("(1,)", descr="'|O'", data=reduce_pickle("os", "system")), "object array: its data is a pickle that runs a command")


# --- pickle ---

def text(s):
    s = s.encode()
    return b"X" + U32(len(s)) + s


def integer(v):
    if 0 <= v < 256:
        return b"K" + bytes([v])
    if -2**31 <= v < 2**31:
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
    return (glob("torch._utils", "_rebuild_tensor_v2") + tup(storage(**of), integer(offset), tup(*map(integer, size)), tup(*map(integer, stride)), b"\x89",
                                                          glob("collections", "OrderedDict") + b")R") + b"R")


def torch_zip(pickled, storages={"0": bytes(256)}, compress=zipfile.ZIP_STORED, drop=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as z:
        for name, data in [("data.pkl", pickled), ("byteorder", b"little"), *((f"data/{k}", v) for k, v in storages.items()), ("version", b"3\n")]:
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
    return head + program(body) + pickle.dumps(list(keys), 2) + b"".join(struct.pack("<q", c) + s for c, s in zip(counts, storages))


def pair(body):
    """one layer (K, V) whose tensors are both `body`"""
    return tup(body, body)


def one_layer(body):
    """past_key_values of one layer"""
    return tup(pair(body))


def make_torch():
    good = tup(pair(tensor()), pair(tensor()))
    old = tup(pair(tensor(legacy=True)), pair(tensor(legacy=True)))
    half = bytes(range(60)) * 5
    write("control.pt", torch_zip(program(good), {"0": half[:256]}), "well-formed", "open")
    write("control_legacy.pt", torch_legacy(old, storages=(half[:256],)), "well-formed, legacy", "open")
    write("os_system.pt", torch_zip(reduce_pickle("os", "system")), "REDUCE of os.system")
    write("posix_system.pt", torch_zip(reduce_pickle("posix", "system")), "REDUCE of posix.system")
    write("eval.pt", torch_zip(reduce_pickle("builtins", "eval", text("__import__('os').system('" + COMMAND.decode() + "')"))), "REDUCE of builtins.eval")
    write("eval_py2.pt", torch_zip(reduce_pickle("__builtin__", "eval", text("open('KVSCOPE_HOSTILE_RAN','w')"))), "REDUCE of __builtin__.eval (Python 2's name)")
    write("getattr_chain.pt", torch_zip(program(glob("builtins", "getattr") + tup(glob("os", "path"), text("os")) + b"R")), "REDUCE of builtins.getattr")
    write("unknown_reduce.pt", torch_zip(program(glob("somewhere.evil", "Thing") + tup(good) + b"R")), "REDUCE of an unknown global around a good cache")
    write("stack_global_system.pt", torch_zip(b"\x80\x04" + b"\x8c\x02os" + b"\x8c\x06system" + b"\x93" + b"(" + text(COMMAND.decode()) + b"tR."), "STACK_GLOBAL (protocol 4) of os.system")
    write("inst_system.pt", torch_zip(b"(" + text(COMMAND.decode()) + b"ios\nsystem\n."), "INST (protocol 0) of os.system")
    write("obj_system.pt", torch_zip(b"\x80\x02(" + glob("os", "system") + text(COMMAND.decode()) + b"o."), "OBJ of os.system")
    write("newobj_system.pt", torch_zip(program(glob("os", "system") + tup(text(COMMAND.decode())) + b"\x81")), "NEWOBJ of os.system")
    write("build_setstate.pt", torch_zip(program(glob("somewhere.evil", "Thing") + b")\x81" + b"}" + text("__setstate__") + glob("os", "system") + b"s" + b"b" + text(COMMAND.decode()) + b"b")), "BUILD that plants a __setstate__")
    write("extension_registry.pt", torch_zip(b"\x80\x02\x82\x01."), "EXT1: a code of the extension registry")
    write("cyclic_list.pt", torch_zip(program(b"]q\x00h\x00a")), "a list that holds itself")
    write("cyclic_layers.pt", torch_zip(program(b"]q\x00" + b"(" + pair(tensor()) + b"h\x00e")), "a list of layers that also holds itself")
    write("cyclic_dict.pt", torch_zip(program(b"}q\x00" + text("past_key_values") + b"h\x00s")), "a dict whose past_key_values is itself")
    write("billion_laughs.pt", torch_zip(program(b"]q\x00" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40)))), "lists of two references to the last: 2^40 leaves from 41 lists")
    write("tensor_laughs.pt", torch_zip(program(tensor() + b"q\x00" + b"".join(b"(" + (b"h" + bytes([i])) * 10 + b"tq" + bytes([i + 1]) for i in range(12)))), "tuples of ten references: 10^12 tensors")
    write("deep_lists.pt", torch_zip(program(b"]" * 100000 + b"a" * 99999), compress=zipfile.ZIP_DEFLATED), "lists nested 100,000 deep (data.pkl deflated)")
    write("deep_tuples.pt", torch_zip(program(b")" + b"\x85" * 100000), compress=zipfile.ZIP_DEFLATED), "tuples nested 100,000 deep (data.pkl deflated)")
    write("memo_giant.pt", torch_zip(program(b"]r" + U32(0xFFFFFFFF))), "LONG_BINPUT into memo slot 2^32 - 1")
    write("memo_unknown.pt", torch_zip(program(b"h\x07")), "BINGET of a slot never filled")
    write("text_giant.pt", torch_zip(b"\x80\x02X" + U32(0xFFFFFFF0) + b"abc."), "BINUNICODE of 4 GiB")
    write("text_giant8.pt", torch_zip(b"\x80\x04\x8d" + U64(2**63) + b"abc."), "BINUNICODE8 of 2^63 bytes")
    write("long_giant.pt", torch_zip(b"\x80\x02\x8b" + U32(0x7FFFFFFF) + b"abc."), "LONG4 of 2 GiB")
    write("long_negative.pt", torch_zip(b"\x80\x02\x8b" + U32(0xFFFFFFFF) + b"abc."), "LONG4 of -1 bytes")
    write("frame_giant.pt", torch_zip(b"\x80\x04\x95" + U64(2**64 - 1) + b"]."), "FRAME of 2^64 - 1 bytes", "bounded")
    write("stack_underflow.pt", torch_zip(program(b"R")), "REDUCE on an empty stack")
    write("mark_missing.pt", torch_zip(program(b"t")), "TUPLE without a MARK")
    write("pop_below_mark.pt", torch_zip(program(b"(0000]")), "POP through the MARK and below it")
    write("no_stop.pt", torch_zip(b"\x80\x02]"), "no STOP")
    write("unknown_opcode.pt", torch_zip(program(b"\xff")), "an opcode that does not exist")
    write("protocol_200.pt", torch_zip(b"\x80\xc8]."), "pickle protocol 200")
    write("empty_pickle.pt", torch_zip(b""), "data.pkl of no bytes")
    write("no_data_pkl.pt", torch_zip(b"", drop=("data.pkl",)), "a zip without data.pkl")
    write("storage_missing.pt", torch_zip(program(one_layer(tensor(key="17")))), "a tensor of a storage that the zip lacks")
    write("storage_lies.pt", torch_zip(program(one_layer(tensor(count=2**40, size=(1, 2, 2**35, 8), stride=(2**39, 2**38, 8, 1))))), "a storage that says 2^40 elements and holds 64")
    write("storage_traversal.pt", torch_zip(program(one_layer(tensor(key="../../../etc/passwd")))), "a storage key with ../")
    write("size_past_storage.pt", torch_zip(program(one_layer(tensor(size=(1, 2, 8, 8))))), "a tensor of 128 elements over a storage of 64")
    write("offset_past_storage.pt", torch_zip(program(one_layer(tensor(offset=60)))), "an offset that leaves 4 elements")
    write("offset_negative.pt", torch_zip(program(one_layer(tensor(offset=-8)))), "a negative storage offset")
    write("stride_negative.pt", torch_zip(program(one_layer(tensor(stride=(64, 32, 8, -1))))), "a negative stride")
    write("stride_overflow.pt", torch_zip(program(one_layer(tensor(stride=(64, 32, 2**62, 1))))), "size * stride past 2^63")
    write("size_overflow.pt", torch_zip(program(one_layer(tensor(size=(2**31, 2**31, 2**31, 8), stride=(0, 0, 0, 1))))), "the product of the sizes is 2^96, strides of 0")
    write("expanded.pt", torch_zip(program(one_layer(tensor(size=(1, 2, 2**40, 8), stride=(64, 32, 0, 1))))), "2^44 elements by a stride of 0 over a storage of 64", "bounded")
    write("rank_mismatch.pt", torch_zip(program(one_layer(tensor(stride=(8, 1))))), "four sizes, two strides")
    write("size_is_text.pt", torch_zip(program(one_layer(glob("torch._utils", "_rebuild_tensor_v2") + tup(storage(), integer(0), text("big"), tup(integer(1)), b"\x89", b"N") + b"R"))), "sizes that are a text")
    write("few_arguments.pt", torch_zip(program(one_layer(glob("torch._utils", "_rebuild_tensor_v2") + tup(storage()) + b"R"))), "_rebuild_tensor_v2 of one argument")
    write("persid_not_tuple.pt", torch_zip(program(integer(3) + b"Q")), "a persistent id that is a number")
    write("zero_tokens.pt", torch_zip(program(one_layer(tensor(size=(1, 2, 0, 8))))), "tensors of no tokens")
    write("no_layers.pt", torch_zip(program(glob("transformers.cache_utils", "DynamicCache") + b")\x81}" + text("layers") + b"]sb")), "a DynamicCache of no layers")
    write("not_a_cache.pt", torch_zip(program(b"}" + text("lr") + integer(3) + b"s")), "a dict without any tensor")
    write("pickle_bomb.pt", torch_zip(program(b"]" + b"0]" * 8_000_000), compress=zipfile.ZIP_DEFLATED), "data.pkl of 16 MB of no use, deflated to 16 kB", "bounded")
    write("legacy_truncated.pt", torch_legacy(old)[:-100], "legacy: 100 bytes short")
    write("legacy_count_lies.pt", torch_legacy(old, counts=(2**62,)), "legacy: a storage says 2^62 elements")
    write("legacy_count_negative.pt", torch_legacy(old, counts=(-1,)), "legacy: a storage of -1 elements")
    write("legacy_key_missing.pt", torch_legacy(one_layer(tensor(key="5", legacy=True))), "legacy: the storage of the tensors is not among the keys")
    write("legacy_wrong_magic.pt", torch_legacy(old, magic=0x1950A86A20F9469CFC6D), "legacy: the magic number is one off")
    write("legacy_os_system.pt", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + reduce_pickle("os", "system"), "legacy: the second pickle runs a command")
    write("plain_pickle.pt", reduce_pickle("os", "system"), "a plain pickle that runs a command")


# --- zip ---

def entry(name, compressed, size, crc, method=8, flags=0, offset=0, stored=None):
    """(local header + data, central record) of one member"""
    name = name.encode()
    packed = len(compressed) if stored is None else stored
    common = struct.pack("<HHHHHIII", 20, flags, method, 0, 33, crc, packed & 0xFFFFFFFF, size & 0xFFFFFFFF)
    local = b"PK\x03\x04" + common + struct.pack("<HH", len(name), 0) + name + compressed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name
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
    write("truncated.npz", good[:len(good) // 2], "half the file: no central directory")
    write("truncated_directory.npz", good[:-30], "ends inside the central directory's end")
    write("bad_crc.npz", archive([member("kv.npy", array, crc=12345)]), "the CRC does not match the data")
    write("bad_deflate.npz", archive([{**member("kv.npy", array), "compressed": b"\xff\x00garbage that is not deflate\xff" * 4}]), "the compressed data is not deflate")
    write("offset_past_end.npz", archive([member("kv.npy", array, offset=1 << 30)]), "a local header at 1 GiB")
    write("offset_overlap_directory.npz", archive([member("kv.npy", array, stored=1 << 20)]), "compressed data that reaches past the end")
    write("count_lies.npz", archive([member("kv.npy", array)], count=65535), "65,535 entries announced, one there", "bounded")
    write("encrypted.npz", archive([member("kv.npy", array, flags=1)]), "marked as encrypted")
    write("method_unknown.npz", archive([member("kv.npy", array, method=77)]), "compression method 77")
    write("traversal.npz", archive([member("../../../../tmp/KVSCOPE_HOSTILE_RAN.npy", array)]), "a name that climbs out of the folder; nothing may be written", "bounded")
    write("duplicate_names.npz", archive([member("kv.npy", array), member("kv.npy", array[:-1280] + bytes(1280))]), "two members of one name", "bounded")
    write("no_arrays.npz", archive([member("readme.txt", b"nothing here")]), "no .npy inside")
    write("empty.npz", archive([]), "an empty zip")
    zeros = npy("(8, 2, 256, 8, 128)", data=bytes(16 << 20))
    write("bomb_honest.npz", archive([member("kv.npy", zeros)]), "16 MiB of zeros in 16 kB, all sizes true", "bounded")
    write("bomb_small_size.npz", archive([member("kv.npy", zeros, size=4096)]), "says 4096 bytes, inflates to 16 MiB; the array's header says 16 MiB")
    write("bomb_small_array.npz", archive([member("kv.npy", npy("(2, 2, 4, 5, 8)") + bytes(16 << 20), size=2688)]), "says 2688 bytes and an array of 2560, inflates to 16 MiB", "bounded")
    write("promise_8_gib.npz", archive([member("kv.npy", npy("(32, 2, 8, 32768, 128)", data=bytes(1000)), size=0xFFFFFFF0)]), "promises GiBs in zip and array, holds 1000 bytes")
    kernel = member("layer_0_key.npy", npy("(1, 8, 4096, 128)", data=bytes(16 << 20)))
    names = [f"layer_{i}_{n}.npy" for i in range(100) for n in ("key", "value")]
    local, _ = entry(**kernel)
    directory = b"".join(entry(**{**kernel, "name": n})[1] for n in names)
    write("overlapping_members.npz", local + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(local), 0),
          "200 members that share one stream of 16 MiB: 3.1 GiB from 29 kB (their names differ from the local header's)")


# --- safetensors ---

def safetensors(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return U64(len(raw) if length is None else length) + raw + data


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
    write("header_past_end.safetensors", safetensors({"kv": one_tensor()}, data, length=1 << 20), "the header's length points past the end")
    write("header_giant.safetensors", safetensors({"kv": one_tensor()}, data, length=2**63), "a header of 2^63 bytes")
    write("header_all_ones.safetensors", safetensors({"kv": one_tensor()}, data, length=2**64 - 1), "a header of 2^64 - 1 bytes: 8 + length wraps to 7")
    write("header_empty.safetensors", safetensors(b""), "a header of no bytes")
    write("header_no_tensors.safetensors", safetensors({}), "no tensors")
    write("header_not_json.safetensors", safetensors(b"{kv: nothing}", data), "not JSON")
    write("header_not_object.safetensors", safetensors(b"[1, 2, 3]", data), "JSON, but a list")
    write("header_nested.safetensors", safetensors(b"[" * 40000), "JSON nested 40,000 deep")
    write("header_bad_utf8.safetensors", safetensors(b'{"k\xff\xfev": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}}', data), "a name that is not UTF-8")
    write("overlapping.safetensors", safetensors({"layers.0.k": one_tensor(0, 2560, (1, 5, 16, 16)), "layers.0.v": one_tensor(1280, 3840, (1, 5, 16, 16))}, data[:3840]), "two tensors share 1280 bytes")
    write("same_bytes.safetensors", safetensors({f"layers.{i}.{n}": one_tensor(0, 5120, (1, 5, 32, 16)) for i in range(8) for n in "kv"}, data), "16 tensors over the same bytes")
    write("hole.safetensors", safetensors({"layers.0.k": one_tensor(0, 2048, (1, 8, 8, 16)), "layers.0.v": one_tensor(3072, 5120, (1, 8, 8, 16))}, data), "a hole of 1024 bytes between two tensors", "bounded")
    write("offsets_past_end.safetensors", safetensors({"kv": one_tensor(end=1 << 40, shape=(2**20, 2, 8, 256, 128))}, data), "offsets of 1 TiB that agree with the shape")
    write("offsets_reversed.safetensors", safetensors({"kv": one_tensor(5120, 0)}, data), "end before begin")
    write("offsets_negative.safetensors", safetensors({"kv": one_tensor(-5120, 0)}, data), "a negative offset")
    write("offsets_wrap.safetensors", safetensors({"kv": one_tensor(2**64 - 2560, 2560)}, data), "begin 2^64 - 2560, end 2560: the difference is 5120 modulo 2^64")
    write("offsets_fraction.safetensors", safetensors(b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120.5]}}', data), "an offset of 5120.5")
    write("offsets_one.safetensors", safetensors(b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0]}}', data), "one offset")
    write("shape_disagrees.safetensors", safetensors({"kv": one_tensor(shape=(2, 2, 5, 8, 32))}, data), "the shape needs twice the bytes")
    write("shape_wraps.safetensors", safetensors({"kv": one_tensor(shape=(2**32, 2**32, 2560))}, data), "the product of the shape is 0 modulo 2^64")
    write("shape_bytes_wrap.safetensors", safetensors({"kv": one_tensor(shape=(2**63 + 2560,))}, data), "elements * 2 is 5120 modulo 2^64")
    write("shape_negative.safetensors", safetensors({"kv": one_tensor(shape=(-2, -2, 5, 8, 16))}, data), "negative dimensions whose product is right")
    write("shape_huge_number.safetensors", safetensors(b'{"kv": {"dtype": "F16", "shape": [1e300, 2], "data_offsets": [0, 5120]}}', data), "a dimension of 1e300")
    write("shape_is_text.safetensors", safetensors(b'{"kv": {"dtype": "F16", "shape": "2,2,5,8,16", "data_offsets": [0, 5120]}}', data), "the shape is a text")
    write("zero_tokens.safetensors", safetensors({"kv": one_tensor(0, 0, (2, 2, 0, 8, 16))}), "no tokens")
    write("dtype_unknown.safetensors", safetensors({"kv": one_tensor(dtype="F3")}, data), "unknown dtype F3")
    write("dtype_missing.safetensors", safetensors({"kv": {"shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}}, data), "no dtype")
    write("names_twice.safetensors", safetensors(b'{"kv": {"dtype": "F16", "shape": [2, 2, 5, 8, 16], "data_offsets": [0, 5120]}, "kv": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}', data), "one name twice", "bounded")
    write("metadata_not_text.safetensors", safetensors({"__metadata__": {"a": [1, 2, {"b": None}]}, "kv": one_tensor()}, data), "metadata that is not text", "bounded")
    write("rank_1.safetensors", safetensors({"kv": one_tensor(shape=(2560,))}, data), "a flat tensor: not a cache")
    write("many_names.safetensors", safetensors(("{" + ",".join(f'"t{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(100)) + "}").encode()), "100 empty tensors")


# --- llama.cpp ---

def make_llamacpp():
    good = (GOLDEN / "llamacpp" / "v0.3.36" / "session.f16.tiny.bin").read_bytes()
    # Two tokens. Where things stand: token count 8, architecture length 20, streams 29, cells 33, first cell's sequences 41, V transposed 61, layers 65, type 69, row bytes 73.
    assert good[24:29] == b"llama" and struct.unpack_from("<IIiQ", good, 61) == (0, 2, 1, 128)

    def patched(at, form, value):
        return good[:at] + struct.pack("<" + form, value) + good[at + struct.calcsize("<" + form):]

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
    write("cells_zero.ggsn.bin", good[:33] + U32(0), "no cells")
    write("sequences_giant.ggsn.bin", patched(41, "I", 0x40000000), "a cell of 2^30 sequences: 4 * count wraps 32 bits")
    write("layers_giant.ggsn.bin", patched(65, "I", 0xFFFFFFFF), "2^32 - 1 layers")
    write("layers_zero.ggsn.bin", patched(65, "I", 0), "no layers")
    write("type_unknown.ggsn.bin", patched(69, "i", 999), "ggml type 999")
    write("type_negative.ggsn.bin", patched(69, "i", -1), "ggml type -1")
    write("row_giant.ggsn.bin", patched(73, "Q", 2**63), "rows of 2^63 bytes: 2 cells of them are 0 bytes modulo 2^64")
    write("row_zero.ggsn.bin", patched(73, "Q", 0), "rows of no bytes")
    write("row_odd.ggsn.bin", patched(73, "Q", 127), "rows of 127 bytes of f16")
    write("v_trans_7.ggsn.bin", patched(61, "I", 7), "a transposition flag of 7")


# --- LMCache, folders, side files ---

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
    write("format_binary.data", lmcache((3072, 4, 6, 3072, 0, 0, 0)), "format 4: compressed by LMCache's own codec, not values")
    write("shape_negative.data", lmcache((3072, 1, 3, -2, -3, 8, 32)), "negative dimensions whose product is right")
    write("shape_zero.data", lmcache((0, 1, 3, 2, 3, 0, 32), b""), "no tokens")
    write("shape_giant.data", lmcache((3072, 1, 3, 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)), "the product of the shape is almost 2^124")
    write("shape_wraps.data", lmcache((3072, 1, 3, 2**30, 2**30, 2**30, 2**30)), "the product of the shape is 0 modulo 2^64")


def folder(name, files, about, must="error"):
    for file, data in files.items():
        (HERE / name / file).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name / file).write_bytes(data)
    LISTED.append({"file": name, "format": "folder", "must": must, "about": about})


def layer(shape=(2, 5, 32), dtype="F16", name="kv_cache", size=None):
    count = 1
    for d in shape:
        count *= d
    size = count * 2 if size is None else size
    return safetensors({name: {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]}}, (bytes(range(64)) * (size // 64 + 1))[:size])


def make_folders():
    names = [f"model.layers.{i}.self_attn.attn.safetensors" for i in range(3)]
    folder("folder_control", {n: layer() for n in names}, "three layers, well-formed", "open")
    folder("folder_missing_layer", {names[0]: layer(), names[2]: layer()}, "layers 0 and 2: layer 1 is missing", "bounded")
    folder("folder_lengths", {names[0]: layer(), names[1]: layer((2, 7, 32)), names[2]: layer()}, "layers of 5, 7 and 5 tokens", "bounded")
    folder("folder_damaged_layer", {names[0]: layer(), names[1]: layer()[:-20], names[2]: layer()}, "the second layer is cut short: the message must name that file")
    folder("folder_not_layers", {"readme.txt": b"nothing here", "notes.json": b"{}"}, "no dump inside")
    folder("folder_two_contexts", {f"{h}/{n}": layer() for h in ("0" * 32, "f" * 32) for n in names}, "two contexts in one folder: which one?", "bounded")
    folder("folder_shards_disagree", {f"rank_{r}/{'a' * 32}/{n}": layer((2, 5 + r, 16)) for r in range(2) for n in names}, "shards of 5 and 6 tokens")
    folder("folder_shard_missing", {**{f"rank_0/{'a' * 32}/{n}": layer((2, 5, 16)) for n in names}, **{f"rank_1/{'a' * 32}/{n}": layer((2, 5, 16)) for n in names[:2]}}, "the second worker lacks layer 2")
    key = "model@1@0@{:x}@bfloat16.data"
    folder("folder_chunks_disagree", {key.format(1): lmcache(), key.format(2): lmcache((2048, 1, 3, 2, 2, 8, 32), bytes(2048))}, "chunks of 3 and 2 layers")
    folder("folder_chunk_dtypes", {key.format(1): lmcache(), key.format(2): lmcache((3072, 1, 2, 2, 3, 8, 32))}, "chunks of bf16 and fp16", "bounded")
    good = layer((2, 9, 4, 2, 8), name="model.layers.0.self_attn.attn.kv_cache")
    for name, table, about in (("index", [7, 2, 9], "a block index of 9 of 9 blocks"), ("negative", [7, -1, 0], "a block index of -1"), ("short", [7, 2], "two blocks of 4 for 12 tokens"),
                               ("empty", [], "an empty table"), ("huge", [7, 2, 2**62], "a block index of 2^62")):
        side = json.dumps({"block_size": 4, "block_table": table, "tokens": 12}).encode()
        folder(f"paged_{name}", {"paged.safetensors": good, "paged.safetensors.block_table.json": side}, f"block table: {about}")
    cache = (GOLDEN / "transformers" / "v5.23.0" / "with_config" / "cache.pt").read_bytes()
    for name, text_, about in (("nested", "[" * 40000, "a config.json nested 40,000 deep"), ("not_json", "rope_theta = 10000", "a config.json that is not JSON"),
                               ("wrong_types", '{"rope_theta": "a lot", "head_dim": [8], "num_key_value_heads": {}}', "values of the wrong types"),
                               ("absurd", '{"rope_theta": -1, "head_dim": 0, "num_key_value_heads": 99999999999999999999, "num_attention_heads": 0}', "a negative theta, no heads, a number past 2^63"),
                               ("disagrees", '{"rope_theta": 10000.0, "head_dim": 8, "num_key_value_heads": 7, "num_hidden_layers": 99}', "heads and layers that are not the dump's")):
        folder(f"config_{name}", {"cache.pt": cache, "config.json": text_.encode()}, f"{about}: the dump beside it still opens, with a note", "bounded")


def main():
    make_npy()
    make_torch()
    make_zip()
    make_safetensors()
    make_llamacpp()
    make_lmcache()
    make_folders()
    (HERE / "hostile.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in LISTED) + "\n]\n")
    print(len(LISTED), "files and folders,", sum(p.stat().st_size for p in HERE.rglob("*") if p.is_file()), "bytes")


main()
