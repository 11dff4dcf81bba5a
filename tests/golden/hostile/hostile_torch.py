# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and malicious torch files."""

import pickle
import zipfile

from hostile_list import COMMAND, u32, u64, write
from pickle_pieces import (
    glob,
    integer,
    one_layer,
    pair,
    program,
    reduce_pickle,
    storage,
    tensor,
    text,
    torch_legacy,
    torch_zip,
    tup,
)


def make_torch():
    good = tup(pair(tensor()), pair(tensor()))
    old = tup(pair(tensor(legacy=True)), pair(tensor(legacy=True)))
    half = bytes(range(60)) * 5
    write("control.pt", torch_zip(program(good), {"0": half[:256]}), "well-formed", "open")
    write("control_legacy.pt", torch_legacy(old, storages=(half[:256],)), "well-formed, legacy", "open")
    write("os_system.pt", torch_zip(reduce_pickle("os", "system")), "REDUCE of os.system")
    write("posix_system.pt", torch_zip(reduce_pickle("posix", "system")), "REDUCE of posix.system")
    write(
        "eval.pt",
        torch_zip(reduce_pickle("builtins", "eval", text("__import__('os').system('" + COMMAND.decode() + "')"))),
        "REDUCE of builtins.eval",
    )
    write(
        "eval_py2.pt",
        torch_zip(reduce_pickle("__builtin__", "eval", text("open('KVSCOPE_HOSTILE_RAN','w')"))),
        "REDUCE of __builtin__.eval (Python 2's name)",
    )
    write(
        "getattr_chain.pt",
        torch_zip(program(glob("builtins", "getattr") + tup(glob("os", "path"), text("os")) + b"R")),
        "REDUCE of builtins.getattr",
    )
    write(
        "unknown_reduce.pt",
        torch_zip(program(glob("somewhere.evil", "Thing") + tup(good) + b"R")),
        "REDUCE of an unknown global around a good cache",
    )
    write(
        "stack_global_system.pt",
        torch_zip(b"\x80\x04" + b"\x8c\x02os" + b"\x8c\x06system" + b"\x93" + b"(" + text(COMMAND.decode()) + b"tR."),
        "STACK_GLOBAL (protocol 4) of os.system",
    )
    write(
        "inst_system.pt", torch_zip(b"(" + text(COMMAND.decode()) + b"ios\nsystem\n."), "INST (protocol 0) of os.system"
    )
    write(
        "obj_system.pt",
        torch_zip(b"\x80\x02(" + glob("os", "system") + text(COMMAND.decode()) + b"o."),
        "OBJ of os.system",
    )
    write(
        "newobj_system.pt",
        torch_zip(program(glob("os", "system") + tup(text(COMMAND.decode())) + b"\x81")),
        "NEWOBJ of os.system",
    )
    write(
        "build_setstate.pt",
        torch_zip(
            program(
                glob("somewhere.evil", "Thing")
                + b")\x81"
                + b"}"
                + text("__setstate__")
                + glob("os", "system")
                + b"s"
                + b"b"
                + text(COMMAND.decode())
                + b"b"
            )
        ),
        "BUILD that plants a __setstate__",
    )
    write("extension_registry.pt", torch_zip(b"\x80\x02\x82\x01."), "EXT1: a code of the extension registry")
    write("cyclic_list.pt", torch_zip(program(b"]q\x00h\x00a")), "a list that holds itself")
    write(
        "cyclic_layers.pt",
        torch_zip(program(b"]q\x00" + b"(" + pair(tensor()) + b"h\x00e")),
        "a list of layers that also holds itself",
    )
    write(
        "cyclic_dict.pt",
        torch_zip(program(b"}q\x00" + text("past_key_values") + b"h\x00s")),
        "a dict whose past_key_values is itself",
    )
    write(
        "billion_laughs.pt",
        torch_zip(
            program(
                b"]q\x00"
                + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
            )
        ),
        "lists of two references to the last: 2^40 leaves from 41 lists",
    )
    write(
        "tensor_laughs.pt",
        torch_zip(
            program(
                tensor()
                + b"q\x00"
                + b"".join(b"(" + (b"h" + bytes([i])) * 10 + b"tq" + bytes([i + 1]) for i in range(12))
            )
        ),
        "tuples of ten references: 10^12 tensors",
    )
    write(
        "deep_lists.pt",
        torch_zip(program(b"]" * 100000 + b"a" * 99999), compress=zipfile.ZIP_DEFLATED),
        "lists nested 100,000 deep (data.pkl deflated)",
    )
    write(
        "deep_tuples.pt",
        torch_zip(program(b")" + b"\x85" * 100000), compress=zipfile.ZIP_DEFLATED),
        "tuples nested 100,000 deep (data.pkl deflated)",
    )
    write("memo_giant.pt", torch_zip(program(b"]r" + u32(0xFFFFFFFF))), "LONG_BINPUT into memo slot 2^32 - 1")
    write("memo_unknown.pt", torch_zip(program(b"h\x07")), "BINGET of a slot never filled")
    write("text_giant.pt", torch_zip(b"\x80\x02X" + u32(0xFFFFFFF0) + b"abc."), "BINUNICODE of 4 GiB")
    write("text_giant8.pt", torch_zip(b"\x80\x04\x8d" + u64(2**63) + b"abc."), "BINUNICODE8 of 2^63 bytes")
    write("long_giant.pt", torch_zip(b"\x80\x02\x8b" + u32(0x7FFFFFFF) + b"abc."), "LONG4 of 2 GiB")
    write("long_negative.pt", torch_zip(b"\x80\x02\x8b" + u32(0xFFFFFFFF) + b"abc."), "LONG4 of -1 bytes")
    write("frame_giant.pt", torch_zip(b"\x80\x04\x95" + u64(2**64 - 1) + b"]."), "FRAME of 2^64 - 1 bytes", "bounded")
    write("stack_underflow.pt", torch_zip(program(b"R")), "REDUCE on an empty stack")
    write("mark_missing.pt", torch_zip(program(b"t")), "TUPLE without a MARK")
    write("pop_below_mark.pt", torch_zip(program(b"(0000]")), "POP through the MARK and below it")
    write("no_stop.pt", torch_zip(b"\x80\x02]"), "no STOP")
    write("unknown_opcode.pt", torch_zip(program(b"\xff")), "an opcode that does not exist")
    write("protocol_200.pt", torch_zip(b"\x80\xc8]."), "pickle protocol 200")
    write("empty_pickle.pt", torch_zip(b""), "data.pkl of no bytes")
    write("no_data_pkl.pt", torch_zip(b"", drop=("data.pkl",)), "a zip without data.pkl")
    write(
        "storage_missing.pt",
        torch_zip(program(one_layer(tensor(key="17")))),
        "a tensor of a storage that the zip lacks",
    )
    write(
        "storage_lies.pt",
        torch_zip(program(one_layer(tensor(count=2**40, size=(1, 2, 2**35, 8), stride=(2**39, 2**38, 8, 1))))),
        "a storage that says 2^40 elements and holds 64",
    )
    write(
        "storage_traversal.pt",
        torch_zip(program(one_layer(tensor(key="../../../etc/passwd")))),
        "a storage key with ../",
    )
    write(
        "size_past_storage.pt",
        torch_zip(program(one_layer(tensor(size=(1, 2, 8, 8))))),
        "a tensor of 128 elements over a storage of 64",
    )
    write(
        "offset_past_storage.pt", torch_zip(program(one_layer(tensor(offset=60)))), "an offset that leaves 4 elements"
    )
    write("offset_negative.pt", torch_zip(program(one_layer(tensor(offset=-8)))), "a negative storage offset")
    write("stride_negative.pt", torch_zip(program(one_layer(tensor(stride=(64, 32, 8, -1))))), "a negative stride")
    write(
        "stride_overflow.pt",
        torch_zip(program(one_layer(tensor(stride=(64, 32, 2**62, 1))))),
        "size * stride past 2^63",
    )
    write(
        "size_overflow.pt",
        torch_zip(program(one_layer(tensor(size=(2**31, 2**31, 2**31, 8), stride=(0, 0, 0, 1))))),
        "the product of the sizes is 2^96, strides of 0",
    )
    write(
        "expanded.pt",
        torch_zip(program(one_layer(tensor(size=(1, 2, 2**40, 8), stride=(64, 32, 0, 1))))),
        "2^44 elements by a stride of 0 over a storage of 64",
        "error",
    )
    write("rank_mismatch.pt", torch_zip(program(one_layer(tensor(stride=(8, 1))))), "four sizes, two strides")
    write(
        "size_is_text.pt",
        torch_zip(
            program(
                one_layer(
                    glob("torch._utils", "_rebuild_tensor_v2")
                    + tup(storage(), integer(0), text("big"), tup(integer(1)), b"\x89", b"N")
                    + b"R"
                )
            )
        ),
        "sizes that are a text",
    )
    write(
        "few_arguments.pt",
        torch_zip(program(one_layer(glob("torch._utils", "_rebuild_tensor_v2") + tup(storage()) + b"R"))),
        "_rebuild_tensor_v2 of one argument",
    )
    write("persid_not_tuple.pt", torch_zip(program(integer(3) + b"Q")), "a persistent id that is a number")
    write("zero_tokens.pt", torch_zip(program(one_layer(tensor(size=(1, 2, 0, 8))))), "tensors of no tokens")
    write(
        "no_layers.pt",
        torch_zip(program(glob("transformers.cache_utils", "DynamicCache") + b")\x81}" + text("layers") + b"]sb")),
        "a DynamicCache of no layers",
    )
    write("not_a_cache.pt", torch_zip(program(b"}" + text("lr") + integer(3) + b"s")), "a dict without any tensor")
    write(
        "pickle_bomb.pt",
        torch_zip(program(b"]" + b"0]" * 8_000_000), compress=zipfile.ZIP_DEFLATED),
        "data.pkl of 16 MB of no use, deflated to 16 kB",
        "bounded",
    )
    write("legacy_truncated.pt", torch_legacy(old)[:-100], "legacy: 100 bytes short")
    write("legacy_count_lies.pt", torch_legacy(old, counts=(2**62,)), "legacy: a storage says 2^62 elements")
    write("legacy_count_negative.pt", torch_legacy(old, counts=(-1,)), "legacy: a storage of -1 elements")
    write(
        "legacy_key_missing.pt",
        torch_legacy(one_layer(tensor(key="5", legacy=True))),
        "legacy: the storage of the tensors is not among the keys",
    )
    write(
        "legacy_wrong_magic.pt", torch_legacy(old, magic=0x1950A86A20F9469CFC6D), "legacy: the magic number is one off"
    )
    write(
        "legacy_os_system.pt",
        pickle.dumps(0x1950A86A20F9469CFC6C, 2) + reduce_pickle("os", "system"),
        "legacy: the second pickle runs a command",
    )
    write("plain_pickle.pt", reduce_pickle("os", "system"), "a plain pickle that runs a command")
