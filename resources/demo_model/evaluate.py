# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a trained model with transformers and writes evaluation.json beside it.

    python3 evaluate.py [--work FOLDER] [--model FOLDER] [--quick]

Held-out bits per byte against zstd -19 and 5-gram models, pass keys by length, what quantising the cache costs, the
statistics of the cache, generated samples. All seeds are fixed. Needs the data that corpus.py and build_tokenizer.py
left in the work folder, and the zstd command.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

import baselines
import cache_statistics
import capture
import dump
import settings
from quantised_cache import QuantisedCache
from tasks import Tasks

SEED = 20_240
BATCH = 8
BITS = (8, 4, 3, 2)
PROMPTS = (
    "In the beginning",
    "The old warrior looked at the dark forest and said,",
    "def read_lines(path):\n    ",
    "To install the package, use the command",
)


class Evaluation:
    """One model, its held-out data, and the sizes of the measurements."""

    def __init__(self, work: Path, folder: Path, quick: bool) -> None:
        self.work, self.quick = work, quick
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.folder = folder
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.context = self.model.config.max_position_embeddings
        self.held_out = json.loads((work / "held_out.json").read_text(encoding="utf-8"))
        self.tasks = Tasks(self.tokenizer, np.load(work / "held_out.npy"))
        # Every character of a byte-level token stands for one byte.
        self.token_bytes = np.array(
            [len(self.tokenizer.id_to_token(i)) for i in range(self.tokenizer.get_vocab_size())]
        )

    @torch.no_grad()
    def losses(self, windows: list[list[int]], bits: dict | None = None) -> np.ndarray:
        """Nats of every token but the first, [window, length - 1]; `bits` as QuantisedCache takes them."""
        result = []
        for first in range(0, len(windows), BATCH):
            ids = torch.tensor(windows[first : first + BATCH])
            cache = {} if bits is None else {"past_key_values": QuantisedCache(bits)}
            logits = self.model(ids, use_cache=bits is not None, **cache).logits[:, :-1]
            result.append(
                functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
                .view(len(ids), -1)
                .numpy()
            )
        return np.concatenate(result)

    def text_bits(self, documents: list[str]) -> tuple[float, int]:
        """Code length of the documents in bits, and their bytes: windows of the whole context that overlap by half,
        so that all but the first tokens of a document are predicted from at least half a context."""
        windows, scored = [], []
        step = self.context // 2
        for document in documents:
            ids = [settings.BOS_ID] + self.tokenizer.encode(document, add_special_tokens=False).ids
            for first in range(0, max(1, len(ids) - step), step):
                window = ids[first : first + self.context]
                begin = 0 if first == 0 else step - 1
                scored.append((begin, len(window) - 1))
                windows.append(window + [settings.EOS_ID] * (self.context - len(window)))
        losses = self.losses(windows)
        nats = sum(float(row[begin:end].sum()) for row, (begin, end) in zip(losses, scored))
        return nats / math.log(2), sum(len(d.encode()) for d in documents)

    def compression(self) -> dict:
        """Bits per byte of the model, by kind of text, and of what it is compared with."""
        result = {}
        total_bits = total_bytes = 0.0
        for kind, documents in self.held_out.items():
            bits, size = self.text_bits(documents)
            result[f"model, {kind}"] = bits / size
            total_bits += bits
            total_bytes += size
        result["model"] = total_bits / total_bytes
        result["held_out_bytes"] = int(total_bytes)
        train, held_out = self.work / "train.txt", self.work / "held_out.txt"
        result["zstd -19"] = baselines.zstd_bytes(held_out) * 8 / total_bytes
        result["zstd -19, training text as prefix"] = baselines.zstd_bytes(held_out, train) * 8 / total_bytes
        letters = [np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in (train, held_out)]
        result["5-gram, bytes"] = baselines.NGram(letters[0], 5, 256).bits_of(letters[1]) / total_bytes
        tokens = [np.load(self.work / f"{name}.npy") for name in ("train", "held_out")]
        vocabulary = self.tokenizer.get_vocab_size()
        result["5-gram, tokens"] = baselines.NGram(tokens[0], 5, vocabulary).bits_of(tokens[1]) / total_bytes
        return result

    def recalled(self, samples: list, bits: dict | None = None) -> float:
        """Share of samples of which greedy decoding gives the whole key: every digit is the most likely token after
        the ones before it."""
        right = 0
        with torch.no_grad():
            for first in range(0, len(samples), BATCH):
                some = samples[first : first + BATCH]
                cache = {} if bits is None else {"past_key_values": QuantisedCache(bits)}
                guesses = self.model(
                    torch.tensor([s.ids[:-1] for s in some]), use_cache=bits is not None, **cache
                ).logits.argmax(-1)
                for sample, guess in zip(some, guesses):
                    begin, end = sample.answer
                    right += guess[begin - 1 : end - 1].tolist() == sample.ids[begin:end]
        return right / len(samples)

    def passkeys(self, length: int, count: int, text_filler: bool, seed: int = SEED) -> list:
        generator = random.Random(seed + length + text_filler)
        return [self.tasks.passkey(length, generator, text_filler, exact=True) for _ in range(count)]

    def recall(self) -> list[dict]:
        """Pass keys by length and filler, at random depths."""
        count = 16 if self.quick else 100
        lengths = [n for n in (96, 128, 192, 256, 384, 512) if n <= self.context]
        rows = []
        for length in lengths:
            row = {"tokens": length}
            for name, text_filler in (("grass", False), ("text", True)):
                samples = self.passkeys(length, count, text_filler)
                row[name] = self.recalled(samples)
                row[f"{name}_bytes"] = round(
                    sum(self.token_bytes[s.ids[1:-1]].sum() for s in samples) / count
                )
            row["samples"] = count
            rows.append(row)
        return rows

    def generation_agrees(self) -> bool:
        """Whether model.generate, token by token with its cache, answers as the single pass over the sample does."""
        for sample in self.passkeys(min(128, self.context), 4, False, seed=SEED + 1):
            begin, end = sample.answer
            prompt = torch.tensor([sample.ids[:begin]])
            said = self.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=end - begin, do_sample=False
            )
            stepped = said[0, begin:].tolist() == sample.ids[begin:end]
            if stepped != (self.recalled([sample]) == 1.0):
                return False
        return True

    def quantisation(self) -> list[dict]:
        """Bits per byte and pass keys at 128 tokens with K, V or both quantised, in all layers and in each alone."""
        count, windows_wanted = (8, 4) if self.quick else (60, 24)
        ids = [
            i
            for kind in self.held_out.values()
            for text in kind
            for i in self.tokenizer.encode(text, add_special_tokens=False).ids
        ]
        starts = np.linspace(0, len(ids) - self.context, windows_wanted).astype(int)
        windows = [[settings.BOS_ID] + ids[s : s + self.context - 1] for s in starts]
        size = sum(int(self.token_bytes[w[1:]].sum()) for w in windows)
        samples = [
            s for filler in (False, True) for s in self.passkeys(min(128, self.context), count // 2, filler)
        ]
        layers = range(self.model.config.num_hidden_layers)
        rows = []

        def measure(kind: str, layer: int | None, bits: int | None) -> None:
            chosen = layers if layer is None else [layer]
            plan = None if bits is None else {(i, k): bits for i in chosen for k in kind}
            nats = float(self.losses(windows, plan).sum())
            rows.append(
                {
                    "kind": kind,
                    "layer": layer,
                    "bits": bits,
                    "bits_per_byte": nats / math.log(2) / size,
                    "passkey": self.recalled(samples, plan),
                }
            )
            print("  ", rows[-1], flush=True)

        measure("", None, None)
        for bits in BITS[1:3] if self.quick else BITS:
            for kind in ("K", "V", "KV"):
                measure(kind, None, bits)
            for layer in (layers[:1] if self.quick else layers):
                for kind in ("K", "V"):
                    measure(kind, layer, bits)
        return rows

    def page(self) -> dict:
        """The same for a text that is in the repository, so that another program can check its figures against these:
        nats over the first `context` tokens of held_out_page.txt (the first token, <s>, is not scored)."""
        text = settings.HELD_OUT_PAGE.read_text(encoding="utf-8")
        ids = self.tokenizer.encode(text).ids[: self.context]
        layers = range(self.model.config.num_hidden_layers)
        rows = [{"kind": "", "bits": None, "nats": float(self.losses([ids]).sum())}]
        for bits in BITS:
            for kind in ("K", "V", "KV"):
                plan = {(i, k): bits for i in layers for k in kind}
                rows.append({"kind": kind, "bits": bits, "nats": float(self.losses([ids], plan).sum())})
        return {"tokens": len(ids), "bytes": int(self.token_bytes[ids[1:]].sum()), "rows": rows}

    def statistics(self) -> dict:
        """Statistics of the caches that dump.py writes (same texts, float32, whole context)."""
        model, tokenizer = capture.load(self.folder)
        return {
            name: cache_statistics.of_capture(capture.run(model, ids))
            for name, ids in dump.texts(tokenizer, self.context).items()
        }

    def samples(self) -> list[dict]:
        """Continuations at temperature 0.7 with fixed seeds."""
        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        result = []
        for prompt in PROMPTS:
            torch.manual_seed(SEED)
            said = self.model.generate(
                **tokenizer(prompt, return_tensors="pt", return_token_type_ids=False),
                do_sample=True,
                temperature=0.7,
                top_k=40,
                max_new_tokens=20 if self.quick else 90,
            )
            text = tokenizer.decode(said[0], skip_special_tokens=True)
            result.append({"prompt": prompt, "continuation": text[len(prompt) :]})
        return result


def main() -> None:
    options = settings.parser(__doc__.split("\n")[0])
    options.add_argument("--model", type=Path, help="folder of the model (default WORK/model)")
    options.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = arguments.model or arguments.work / "model"
    started = time.monotonic()
    evaluation = Evaluation(arguments.work, folder, arguments.quick)
    result = {
        "seed": SEED,
        "weights_sha256": settings.digest(folder / "model.safetensors"),
        "context": evaluation.context,
        "bytes_per_token": sum(len(d.encode()) for k in evaluation.held_out.values() for d in k)
        / len(evaluation.tasks.text),
    }
    for name in (
        "compression",
        "recall",
        "generation_agrees",
        "quantisation",
        "page",
        "statistics",
        "samples",
    ):
        result[name] = getattr(evaluation, name)()
        if name != "quantisation":
            print(name, json.dumps(result[name], indent=1), flush=True)
    result["sources"] = json.loads((arguments.work / "manifest.json").read_text())
    result["training"] = json.loads((arguments.work / "training.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"evaluated in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
