# SPDX-License-Identifier: GPL-3.0-or-later
"""Session and sequence states that llama.cpp itself saved after decoding with tiny random models.

    python3 make_llamacpp.py        with llama-cpp-python 0.3.9, 0.3.16, 0.3.20 or 0.3.36 and gguf installed; writes v<version>/

LLAMA_CPP_LIB_PATH may point llama-cpp-python at a library that was built apart from it.
The expected values are parsed from the state by state.py, and then compared with the K and V that a float64 numpy forward pass of the same model
(tiny_models.py) gives, so that a wrong reading of the layout cannot pass.
"""

import ctypes
import sys
import tempfile
from pathlib import Path

import llama_cpp as ll
import numpy as np
from state import BF16, F16, F32, IQ4_NL, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TYPES, State, unrotate
from tiny_models import THETA, DeepSeek, Gemma2, Llama, Qwen2VL

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import expect, plane  # noqa: E402

VERSION = tuple(int(n) for n in ll.__version__.split("."))
HERE = Path(__file__).resolve().parent / f"v{ll.__version__}"
PRODUCER = f"llama.cpp of llama-cpp-python {ll.__version__}"
TOLERANCE = {
    F32: 2e-5,
    F16: 3e-3,
    BF16: 2e-2,
    Q8_0: 2e-2,
    Q5_0: 1.5e-1,
    Q5_1: 1.5e-1,
    Q4_0: 3e-1,
    Q4_1: 3e-1,
    IQ4_NL: 3e-1,
}
TOKENS = [5, 41, 17, 9, 33, 60, 2, 28, 11, 50, 7]


class Context:
    def __init__(self, model, type_k=F16, type_v=F16, flash=True, sequences=1, unified=True, cells=64):
        mp = ll.llama_model_default_params()
        mp.use_mmap, mp.n_gpu_layers = False, 0
        self.model = ll.llama_model_load_from_file(model.path.encode(), mp)
        assert self.model
        cp = ll.llama_context_default_params()
        cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = cells, 64, 64, 1, 1
        cp.type_k, cp.type_v, cp.n_seq_max = type_k, type_v, sequences
        if hasattr(cp, "flash_attn_type"):
            cp.flash_attn_type = int(flash)
        else:
            cp.flash_attn = flash
        if hasattr(cp, "kv_unified"):
            cp.kv_unified = unified
        self.context = ll.llama_init_from_model(self.model, cp)
        assert self.context

    def decode(self, tokens, first=0, sequences=(0,)):
        batch = ll.llama_batch_init(len(tokens), 0, max(1, len(sequences)))
        batch.n_tokens = len(tokens)
        for i, t in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = (
                t,
                first + i,
                len(sequences),
                i == len(tokens) - 1,
            )
            for j, s in enumerate(sequences):
                batch.seq_id[i][j] = s
        assert ll.llama_decode(self.context, batch) == 0
        ll.llama_batch_free(batch)

    def remove(self, sequence, begin, end):
        if hasattr(ll, "llama_memory_seq_rm"):
            assert ll.llama_memory_seq_rm(ll.llama_get_memory(self.context), sequence, begin, end)
        else:
            assert ll.llama_kv_self_seq_rm(self.context, sequence, begin, end)

    def save_session(self, path, tokens):
        assert ll.llama_state_save_file(
            self.context, str(path).encode(), (ctypes.c_int32 * len(tokens))(*tokens), len(tokens)
        )

    def save_sequence(self, path, sequence, tokens):
        assert ll.llama_state_seq_save_file(
            self.context, str(path).encode(), sequence, (ctypes.c_int32 * len(tokens))(*tokens), len(tokens)
        )

    def close(self):
        ll.llama_free(self.context)
        ll.llama_model_free(self.model)


def close(found, wanted, tolerance):
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def record(path, model, contents, about, outputs=VERSION < (0, 3, 17), rotated=(False, False), layers_checked=99):
    """contents: sequence -> (tokens, positions) as they are in the cache"""
    state = State(path, outputs, VERSION >= (0, 3, 16))
    planes, unrotated = [], []
    for batch, (number, (tokens, positions)) in enumerate(contents.items()):
        found_positions, kv = state.sequence(number)
        assert found_positions == sorted(positions)
        wanted = model.forward(tokens, positions)[:, :, np.argsort(positions)]
        for i, pair in enumerate(kv):
            for k, x in enumerate(pair):
                tolerance = 2 * max(
                    TOLERANCE[t]
                    for t in ((state.type_k, state.type_v) if i else (state.type_k, state.type_v)[k : k + 1])
                )
                if rotated[k]:
                    back = unrotate(x, model.head_dim, k == 0)
                    assert close(back, wanted[i, k], tolerance) and not close(x, wanted[i, k], tolerance)
                    rng = np.random.default_rng(i)
                    unrotated += [
                        [i, "KV"[k], int(t), int(c), repr(float(back[t, c]))]
                        for t, c in zip(rng.integers(len(back), size=6), rng.integers(back.shape[1], size=6))
                    ]
                elif i < layers_checked:
                    assert close(x, wanted[i, k], tolerance), (
                        path.name,
                        i,
                        k,
                        np.abs(x - wanted[i, k]).max(),
                        np.abs(wanted[i, k]).max(),
                    )
                planes.append(plane(i, "KV"[k], x, model.kv_heads, model.head_dim, batch, found_positions[0]))
                planes[-1]["positions"] = found_positions
    more = (
        {
            "unrotated": {
                "blocks": "K: largest 64 * 2^j dividing head_dim; V: 64",
                "tolerance": 1e-5,
                "probes": unrotated,
            }
        }
        if unrotated
        else {}
    )
    expect(
        path,
        format="llama.cpp",
        producer=PRODUCER,
        about=about,
        dtype=f"K {TYPES[state.type_k]}, V {TYPES[state.type_v]}",
        layout="[T,C]" + (", V transposed" if state.v_trans else ""),
        planes=planes,
        needs=["kv_heads"] + (["rotation"] if any(rotated) else []),
        file="session" if state.session else "sequence",
        version=state.version,
        tokens_ids=state.tokens,
        sequences=list(contents),
        v_trans=state.v_trans,
        streams=len(state.streams),
        outputs=state.outputs,
        rope={"theta": THETA, "pairs": "interleaved"},
        **more,
    )
    print(path.parent.name, path.name, path.stat().st_size, "outputs", state.outputs)


def simple(name, model, about, sequence=False, rotated=(False, False), **options):
    c = Context(model, **options)
    c.decode(TOKENS[:8])
    for i in range(8, len(TOKENS)):
        c.decode(TOKENS[i : i + 1], i)
    path = HERE / name
    if sequence:
        c.save_sequence(path, 0, TOKENS)
    else:
        c.save_session(path, TOKENS)
    c.close()
    record(path, model, {0: (TOKENS, list(range(len(TOKENS))))}, about, rotated=rotated)


def special(name, model, about, memories, kinds, order, sequence=False, extension=0, **options):
    """Two memories, no V, or cells with an extension. order: the model's layers in the order of the file."""
    c = Context(model, **options)
    c.decode(TOKENS[:8])
    for i in range(8, len(TOKENS)):
        c.decode(TOKENS[i : i + 1], i)
    path = HERE / name
    (c.save_sequence(path, 0, TOKENS) if sequence else c.save_session(path, TOKENS))
    c.close()
    state = State(path, False, True, memories, has_v="V" in kinds, extension=extension)
    layers = [(s, kv) for s in state.streams for kv in s["kv"]]
    assert len(layers) == len(order)
    planes = []
    for i, ((stream, kv), number) in enumerate(zip(layers, order)):
        positions = [p for p, _ in stream["cells"]]
        assert positions == sorted(positions)
        if number == 0:
            for x, wanted in zip(kv, model.first_layer([TOKENS[p] for p in positions], positions)):
                assert close(x, wanted, 2 * TOLERANCE[F16]), (name, np.abs(x - wanted).max())
        for kind, x in zip(kinds, kv):
            planes.append(plane(i, kind, x, model.kv_heads, model.head_dim, 0, positions[0]))
            planes[-1].update(positions=positions, model_layer=number)
    expect(
        path,
        format="llama.cpp",
        producer=PRODUCER,
        about=about,
        dtype="f16",
        layout="[T,C]" + (", V transposed" if state.v_trans and state.has_v else ""),
        planes=planes,
        needs=["kv_heads"],
        file="session" if state.session else "sequence",
        version=state.version,
        tokens_ids=state.tokens,
        sequences=[0],
        v_trans=state.v_trans,
        memories=memories,
        has_v=state.has_v,
        cell_extension=extension,
        streams=len(state.streams),
        outputs=0,
    )
    print(path.parent.name, name, path.stat().st_size, [p["x"].shape[0] if "x" in p else p["tokens"] for p in planes])


def make(folder):
    a = Llama(folder, layers=2, heads=4, kv_heads=2, head_dim=32, seed=1)
    b = Llama(folder, layers=2, heads=2, kv_heads=1, head_dim=64, seed=2)
    HERE.mkdir(exist_ok=True)
    newest = VERSION >= (0, 3, 36)
    simple("session.f16.bin", a, "flash attention on")
    simple("session.f16.vtrans.bin", a, "flash attention off: V transposed", flash=False)
    simple("sequence.f16.bin", a, "sequence file, flash attention on", sequence=True)
    simple("sequence.f16.vtrans.bin", a, "sequence file, V transposed", sequence=True, flash=False)
    if newest:
        simple("session.f32.vtrans.bin", a, "V transposed", type_k=F32, type_v=F32, flash=False)
        simple("session.bf16.bin", a, "flash attention on", type_k=BF16, type_v=BF16)
        simple(
            "session.q8_0.bin",
            a,
            "quantised; head_dim 32 is no multiple of 64, so not rotated",
            type_k=Q8_0,
            type_v=Q8_0,
        )
        simple("session.q4_0.bin", a, "quantised; head_dim 32, so not rotated", type_k=Q4_0, type_v=Q4_0)
        simple("session.q5_0.q5_1.bin", a, "K q5_0, V q5_1", type_k=Q5_0, type_v=Q5_1)
        simple("session.iq4_nl.q4_1.bin", a, "K iq4_nl, V q4_1", type_k=IQ4_NL, type_v=Q4_1)
        simple(
            "sequence.q8_0.f16.vtrans.bin",
            a,
            "K quantised, V f16 transposed, not rotated",
            sequence=True,
            type_k=Q8_0,
            flash=False,
        )
    if VERSION >= (0, 3, 20):
        simple(
            "session.q8_0.rotated.bin",
            b,
            "head_dim 64: K and V rotated by Hadamard matrices; the planes are as stored, `unrotated` has probes of what they mean",
            rotated=(True, True),
            type_k=Q8_0,
            type_v=Q8_0,
        )
    if newest:
        simple(
            "sequence.q4_0.rotated.bin",
            b,
            "head_dim 64: K and V rotated",
            sequence=True,
            rotated=(True, True),
            type_k=Q4_0,
            type_v=Q4_0,
        )
        simple(
            "session.q8_0.f16.rotated.bin",
            b,
            "head_dim 64: K quantised and rotated, V f16 and not rotated",
            rotated=(True, False),
            type_k=Q8_0,
        )
    if VERSION >= (0, 3, 16):
        # Two sequences with a common beginning: every cell of one stream names its sequences.
        c = Context(a, sequences=2)
        c.decode(TOKENS[:4], sequences=(0, 1))
        c.decode(TOKENS[4:7], 4, (0,))
        c.decode([44, 13], 4, (1,))
        c.save_session(HERE / "session.f16.unified2.bin", TOKENS[:7])
        c.close()
        contents = {0: (TOKENS[:7], list(range(7))), 1: (TOKENS[:4] + [44, 13], list(range(6)))}
        record(
            HERE / "session.f16.unified2.bin",
            a,
            contents,
            "two sequences in one stream, the first four cells shared by both (batch = sequence)",
        )
        c = Context(a, sequences=2, unified=False, flash=False)
        c.decode(TOKENS[:7], 0, (0,))
        c.decode(TOKENS[:4] + [44, 13], 0, (1,))
        c.save_session(HERE / "session.f16.streams2.vtrans.bin", TOKENS[:7])
        c.save_sequence(HERE / "sequence.f16.streams2.bin", 1, TOKENS[:4] + [44, 13])
        c.close()
        record(HERE / "session.f16.streams2.vtrans.bin", a, contents, "two sequences in two streams, V transposed")
        record(
            HERE / "sequence.f16.streams2.bin",
            a,
            {1: contents[1]},
            "the second of two sequences of a context with two streams: the first stream has no cells",
        )
    if VERSION >= (0, 3, 20):
        m, size = Qwen2VL(folder), 12 if newest else 8
        special(
            "session.f16.mrope.bin",
            m,
            f"Qwen2-VL (M-RoPE): every cell carries {size} bytes more between the number of its sequences and their ids",
            1,
            ["K", "V"],
            [0, 1],
            extension=size,
        )
        special(
            "sequence.f16.mrope.bin",
            m,
            f"the same as a sequence file: {size} bytes more a cell",
            1,
            ["K", "V"],
            [0, 1],
            sequence=True,
            extension=size,
        )
    if newest:
        g, d = Gemma2(folder), DeepSeek(folder)
        two = "Gemma 2, sliding windows of 4 on layers 0 and 2: two memories, first the full layers 1 and 3, then 0 and 2 (planes are in the file's order, model_layer is the model's)"
        special("session.f16.windows.bin", g, two, 2, ["K", "V"], [1, 3, 0, 2])
        special(
            "sequence.f16.windows.vtrans.bin",
            g,
            two + "; cells outside the window are left out; V transposed",
            2,
            ["K", "V"],
            [1, 3, 0, 2],
            sequence=True,
            flash=False,
        )
        special(
            "session.f16.mla.bin",
            d,
            "DeepSeek 2 (MLA): one latent plane a layer, 24 channels of latent, then 8 of rotary key; no V part at all",
            1,
            ["latent"],
            [0, 1],
        )
        special(
            "sequence.f16.mla.vtrans.bin",
            d,
            "the same as a sequence file, with the transposition flag set although there is no V",
            1,
            ["latent"],
            [0, 1],
            sequence=True,
            flash=False,
        )
        c = Context(a)
        c.decode(TOKENS[:2])
        c.save_session(HERE / "session.f16.tiny.bin", TOKENS[:2])
        c.close()
        record(HERE / "session.f16.tiny.bin", a, {0: (TOKENS[:2], [0, 1])}, "two tokens")
        # Cells 2 to 4 are freed and taken again by tokens that come later, so slots are not in the order of positions.
        c = Context(a, type_k=F32, type_v=F32, cells=64)
        c.decode(TOKENS[:8])
        c.remove(0, 2, 5)
        for i in range(8, 11):
            c.decode(TOKENS[i : i + 1], i)
        c.save_session(HERE / "session.f32.slots.bin", TOKENS)
        c.close()
        kept = [0, 1, 5, 6, 7, 8, 9, 10]
        record(
            HERE / "session.f32.slots.bin",
            a,
            {0: ([TOKENS[i] for i in kept], kept)},
            "positions 2 to 4 were removed and their slots taken by 8 to 10: cells are not in the order of positions, and positions have a gap; planes are by position",
            layers_checked=1,
        )


if __name__ == "__main__":
    if "-v" not in sys.argv:
        silence = ll.llama_log_callback(lambda *_: None)
        ll.llama_log_set(silence, None)
    ll.llama_backend_init()
    with tempfile.TemporaryDirectory() as scratch:
        make(scratch)
