# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes the caches in sample_dumps/ with transformers.

    python3 dump.py [--model FOLDER] [--out FOLDER] [--quick]

Three texts: a page of prose that was held out from training, source code (a script of this folder), and a pass key
prompt. Five dumps in four formats, each with the token texts beside it; config.json is the model's.
"""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import DynamicCache

import capture
import settings
from capture import Capture
from tasks import KEY_DIGITS, Tasks

SEED = 7
CODE = settings.HERE / "cache_statistics.py"


def texts(tokenizer, context: int) -> dict[str, list[int]]:
    """Token ids of the three texts, `context` tokens each, beginning with the model's first token."""
    backend: Tokenizer = tokenizer.backend_tokenizer
    result = {}
    for name, path in (("prose", settings.HELD_OUT_PAGE), ("code", CODE)):
        result[name] = backend.encode(path.read_text(encoding="utf-8")).ids[:context]
    tasks = Tasks(backend, np.array(result["prose"]))
    # The answer and the full stop are left off: what is kept is the cache at the moment when the model has to answer.
    sample = tasks.passkey(
        context + KEY_DIGITS, random.Random(SEED), text_filler=False, depth=0.5, exact=True
    )
    result["passkey"] = sample.ids[: sample.answer[0]]
    return result


def fp16(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.astype(np.float16))


def write_safetensors(
    path: Path, taken: Capture, ids: list[int], dtype: torch.dtype, everything: bool
) -> str:
    """Per layer K and V [1, kv head, token, channel]; with `everything` also queries and K before RoPE."""
    parts = {"key": taken.keys, "value": taken.values}
    if everything:
        parts |= {"query": taken.queries, "key_before_rope": taken.keys_before_rope}
    tensors = {
        f"layers.{i}.{name}": torch.from_numpy(layer).transpose(0, 1)[None].to(dtype).contiguous()
        for name, array in parts.items()
        for i, layer in enumerate(array)
    }
    tensors["token_ids"] = torch.tensor(ids, dtype=torch.int32)
    save_file(tensors, path, metadata={"format": "pt"})
    return f"layers.N.{{{', '.join(parts)}}} [1, head, token, channel] and token_ids, written by safetensors"


def write_npz(path: Path, taken: Capture) -> str:
    """keys and values [layer, kv head, token, channel]."""
    np.savez(
        path, keys=fp16(taken.keys.transpose(0, 2, 1, 3)), values=fp16(taken.values.transpose(0, 2, 1, 3))
    )
    return "keys and values [layer, head, token, channel], written by numpy.savez"


def write_cache(path: Path, taken: Capture) -> str:
    """The DynamicCache of transformers, as torch.save pickles it."""
    cache = DynamicCache()
    for i, layer in enumerate(taken.cache.layers):
        cache.update(layer.keys.half().contiguous(), layer.values.half().contiguous(), i)
    torch.save(cache, path)
    return "a transformers DynamicCache, written by torch.save"


def write_raw(path: Path, taken: Capture, theta: float) -> str:
    """Headerless little-endian fp16 [layer, K and V, token, kv head, channel] and a JSON file that says so."""
    both = np.stack([taken.keys, taken.values], 1)
    fp16(both).astype("<f2").tofile(path)
    path.with_name(path.name + ".json").write_text(
        json.dumps(
            {
                "dtype": "f16",
                "axes": "LXTHD",
                "layers": both.shape[0],
                "tokens": both.shape[2],
                "heads": both.shape[3],
                "head_dim": both.shape[4],
                "rope": {"theta": theta, "pairing": "half"},
                "model": "kvscope-demo",
            },
            indent=1,
        )
        + "\n"
    )
    return "fp16 values [layer, K and V, token, head, channel] without a header; the .json beside it says so"


def write_tokens(path: Path, tokenizer, ids: list[int]) -> None:
    """<dump>.tokens.json: the ids, and each token's text."""
    text = [tokenizer.decode([i]) for i in ids]
    path.with_name(path.name + ".tokens.json").write_text(
        json.dumps({"ids": ids, "text": text}, ensure_ascii=False) + "\n"
    )


def main() -> None:
    options = settings.parser(__doc__.split("\n")[0])
    options.add_argument("--model", type=Path, default=settings.MODEL_DIR)
    options.add_argument("--out", type=Path, default=settings.DUMP_DIR)
    arguments = options.parse_args()
    model, tokenizer = capture.load(arguments.model)
    context = model.config.max_position_embeddings
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.model / "config.json", arguments.out / "config.json")
    ids = texts(tokenizer, context)
    plan = (
        (
            "prose.safetensors",
            "prose",
            context // 2,
            lambda path, taken, tokens: write_safetensors(path, taken, tokens, torch.float16, True),
        ),
        ("code.npz", "code", context, lambda path, taken, tokens: write_npz(path, taken)),
        ("passkey.pt", "passkey", context, lambda path, taken, tokens: write_cache(path, taken)),
        (
            "prose-raw.bin",
            "prose",
            context,
            lambda path, taken, tokens: write_raw(path, taken, settings.SHIPPED.rope_theta),
        ),
        (
            "code-bf16.safetensors",
            "code",
            context * 3 // 4,
            lambda path, taken, tokens: write_safetensors(path, taken, tokens, torch.bfloat16, False),
        ),
    )
    lines = []
    for name, text, length, write in plan:
        tokens = ids[text][:length]
        path = arguments.out / name
        how = write(path, capture.run(model, tokens), tokens)
        write_tokens(path, tokenizer, tokens)
        dtype = "bf16" if "bf16" in name else "fp16"
        lines.append(f"| `{name}` | {ORIGIN[text]} | {len(tokens)} | {dtype} | {how} |")
        print(f"{name}: {path.stat().st_size} bytes, {len(tokens)} tokens")
    (arguments.out / "README.md").write_text(
        README.format(rows="\n".join(lines), digest=settings.digest(arguments.model / "model.safetensors"))
    )


ORIGIN = {
    "prose": "the opening of the campaign Descent Into Darkness (package wesnoth-1.16-did, GPL-2+), held out from training",
    "code": "`resources/demo_model/cache_statistics.py`",
    "passkey": "a pass key prompt up to the moment when the model has to answer",
}

README = """# Sample dumps

KV caches computed by the demo model (`resources/models/kvscope-demo`: Llama, 6 layers, 4 KV heads of 32 channels, RoPE
half-split, theta 10000) with transformers. K is after RoPE. Made by

    python3 resources/demo_model/dump.py

from the weights with SHA-256 `{digest}`.

| file | text | tokens | values | layout |
|---|---|---|---|---|
{rows}

`<dump>.tokens.json` holds the token ids and the text of each token; `config.json` is the model's own.
"""


if __name__ == "__main__":
    main()
