# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the shipped model and dumps with nothing but the standard library, and the scripts by running them in small.

    python3 test_quick.py

What needs torch or transformers is skipped with a message where they are missing.
"""

import hashlib
import importlib.util
import json
import math
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "resources" / "demo_model"
MODEL = ROOT / "resources" / "models" / "kvscope-demo"
DUMPS = ROOT / "sample_dumps"
ELEMENT_BYTES = {"F16": 2, "BF16": 2, "I32": 4}

MISSING = [
    name
    for name in ("numpy", "torch", "transformers", "tokenizers", "safetensors")
    if importlib.util.find_spec(name) is None
]
MISSING += [name for name in ("zstd",) if shutil.which(name) is None]
needs_torch = unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")


def safetensors_header(path: Path) -> dict:
    """The header of a .safetensors file, after checking that its tensors fill the file exactly."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    end = 0
    for entry in sorted(header.values(), key=lambda e: e["data_offsets"][0]):
        begin, stop = entry["data_offsets"]
        assert begin == end, "a gap between tensors"
        assert (
            stop - begin == math.prod(entry["shape"]) * ELEMENT_BYTES[entry["dtype"]]
        ), "shape and size disagree"
        end = stop
    assert 8 + size + end == len(data), "bytes after the last tensor"
    return header


def expected_shapes(config: dict) -> dict[str, list[int]]:
    """Names and shapes of a Llama's tensors, from its configuration."""
    hidden, feed_forward = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "input_layernorm.weight": [hidden],
            layer + "post_attention_layernorm.weight": [hidden],
            layer + "self_attn.q_proj.weight": [queries, hidden],
            layer + "self_attn.k_proj.weight": [keys, hidden],
            layer + "self_attn.v_proj.weight": [keys, hidden],
            layer + "self_attn.o_proj.weight": [hidden, queries],
            layer + "mlp.gate_proj.weight": [feed_forward, hidden],
            layer + "mlp.up_proj.weight": [feed_forward, hidden],
            layer + "mlp.down_proj.weight": [hidden, feed_forward],
        }
    return shapes


class ModelFolder:
    """Checks that hold for any model folder that the scripts write."""

    def check_model(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        header = safetensors_header(folder / "model.safetensors")
        self.assertEqual({name: entry["shape"] for name, entry in header.items()}, expected_shapes(config))
        self.assertTrue(config["tie_word_embeddings"])
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        ids = list(tokenizer["model"]["vocab"].values()) + [t["id"] for t in tokenizer["added_tokens"]]
        self.assertEqual(set(ids), set(range(config["vocab_size"])))
        self.assertEqual(tokenizer["model"]["vocab"].get("<s>", 0), config["bos_token_id"])
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        self.assertEqual(json.loads((folder / "evaluation.json").read_text())["weights_sha256"], digest)
        self.assertIn(digest, (folder / "README.md").read_text(encoding="utf-8"))

    def check_dumps(self, folder: Path, digest: str) -> None:
        config = json.loads((folder / "config.json").read_text())
        layers, heads, dim = (config[k] for k in ("num_hidden_layers", "num_key_value_heads", "head_dim"))
        self.assertIn(digest, (folder / "README.md").read_text(encoding="utf-8"))
        tokens = {}
        for path in folder.glob("*.tokens.json"):
            said = json.loads(path.read_text(encoding="utf-8"))
            self.assertEqual(len(said["ids"]), len(said["text"]))
            self.assertTrue(all(0 <= i < config["vocab_size"] for i in said["ids"]))
            tokens[path.name.removesuffix(".tokens.json")] = len(said["ids"])
        self.assertEqual(len(tokens), 5)
        self.assertEqual(max(tokens.values()), config["max_position_embeddings"])

        for name in ("prose.safetensors", "code-bf16.safetensors"):
            header = safetensors_header(folder / name)
            self.assertEqual(header["token_ids"]["shape"], [tokens[name]])
            for i in range(layers):
                for kind in ("key", "value"):
                    self.assertEqual(header[f"layers.{i}.{kind}"]["shape"], [1, heads, tokens[name], dim])
        prose = safetensors_header(folder / "prose.safetensors")
        self.assertEqual(
            prose["layers.0.query"]["shape"],
            [1, config["num_attention_heads"], tokens["prose.safetensors"], dim],
        )
        self.assertEqual(prose["layers.0.key_before_rope"]["shape"], prose["layers.0.key"]["shape"])
        self.assertEqual(
            safetensors_header(folder / "code-bf16.safetensors")["layers.0.key"]["dtype"], "BF16"
        )

        side = json.loads((folder / "prose-raw.bin.json").read_text())
        self.assertEqual(side["axes"], "LXTHD")
        self.assertEqual(
            [side[k] for k in ("layers", "tokens", "heads", "head_dim")],
            [layers, tokens["prose-raw.bin"], heads, dim],
        )
        self.assertEqual(
            (folder / "prose-raw.bin").stat().st_size, layers * 2 * tokens["prose-raw.bin"] * heads * dim * 2
        )
        for name, members in (("code.npz", {"keys.npy", "values.npy"}), ("passkey.pt", set())):
            with zipfile.ZipFile(folder / name) as archive:
                self.assertIsNone(archive.testzip())
                self.assertLessEqual(members, set(archive.namelist()))


@unittest.skipUnless((MODEL / "model.safetensors").exists(), "the model is not in this tree")
class Shipped(ModelFolder, unittest.TestCase):
    def test_model_files_agree(self):
        self.check_model(MODEL)

    def test_model_is_what_was_asked_for(self):
        config = json.loads((MODEL / "config.json").read_text())
        self.assertEqual(config["model_type"], "llama")
        self.assertGreaterEqual(config["num_hidden_layers"], 6)
        self.assertGreaterEqual(config["num_key_value_heads"] * config["head_dim"], 128)
        self.assertLess(config["num_key_value_heads"], config["num_attention_heads"])
        self.assertGreaterEqual(config["max_position_embeddings"], 512)
        self.assertLessEqual((MODEL / "model.safetensors").stat().st_size, 16_000_000)

    def test_measured_quality(self):
        measured = json.loads((MODEL / "evaluation.json").read_text())
        compression = measured["compression"]
        for other in ("zstd -19", "5-gram, bytes", "5-gram, tokens"):
            self.assertLess(compression["model"], compression[other], other)
        at_128 = next(row for row in measured["recall"] if row["tokens"] == 128)
        self.assertGreaterEqual(min(at_128["grass"], at_128["text"]), 0.9)
        self.assertTrue(measured["generation_agrees"])

    def test_dumps(self):
        digest = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
        self.check_dumps(DUMPS, digest)
        sizes = [path.stat().st_size for path in DUMPS.iterdir()]
        self.assertLessEqual(max(sizes), 2_000_000)
        self.assertLessEqual(sum(sizes), 8_000_000)
        self.assertEqual((DUMPS / "config.json").read_bytes(), (MODEL / "config.json").read_bytes())

    @needs_torch
    def test_transformers_generates_readable_text(self):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModelForCausalLM.from_pretrained(
            MODEL, dtype=torch.float32
        )
        ids = tokenizer(
            "And the king said unto the people,", return_tensors="pt", return_token_type_ids=False
        )
        self.assertEqual(ids["input_ids"][0, 0].item(), model.config.bos_token_id)
        said = tokenizer.decode(
            model.generate(**ids, max_new_tokens=40, do_sample=False)[0], skip_special_tokens=True
        )
        known = set((SCRIPTS / "held_out_page.txt").read_text(encoding="utf-8").lower().split())
        known |= set("unto shall thou thee lord god king people said".split())
        words = said.lower().split()
        self.assertGreater(sum(word.strip(".,;:") in known for word in words), len(words) / 2, said)


@needs_torch
class Scripts(ModelFolder, unittest.TestCase):
    def setUp(self):
        sys.path.insert(0, str(SCRIPTS))
        self.addCleanup(sys.path.remove, str(SCRIPTS))

    def test_quick_chain(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                [sys.executable, SCRIPTS / "quick.py", "--work", folder], capture_output=True, text=True
            )
            self.assertEqual(run.returncode, 0, run.stdout[-2000:] + run.stderr[-4000:])
            published = Path(folder) / "published"
            self.check_model(published)
            digest = hashlib.sha256((published / "model.safetensors").read_bytes()).hexdigest()
            self.check_dumps(Path(folder) / "dumps", digest)

    def test_a_stopped_training_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:

            def script(name: str, *options: str) -> str:
                return subprocess.run(
                    [sys.executable, SCRIPTS / f"{name}.py", "--quick", "--work", folder, *options],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout

            script("corpus")
            script("build_tokenizer")
            script("train", "--tokens", "4096")
            self.assertIn("goes on from step 4,", script("train", "--tokens", "6144"))
            self.assertEqual(json.loads((Path(folder) / "training.json").read_text())["steps"], 6)

    def test_five_gram_probabilities_add_up_to_one(self):
        import numpy as np
        from baselines import NGram

        model = NGram(np.random.default_rng(1).integers(0, 7, 300).astype(np.uint16), 3, 8)
        for context in ([1, 2], [7, 7], [0, 6]):
            before = model.bits_of(np.array(context, dtype=np.uint16))
            total = sum(
                2 ** (before - model.bits_of(np.array([*context, i], dtype=np.uint16))) for i in range(8)
            )
            self.assertAlmostEqual(total, 1.0, places=9)

    def test_quantiser_keeps_its_bound(self):
        import torch
        from quantised_cache import quantise_per_token

        x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(1))
        for bits in (2, 4, 8):
            y = quantise_per_token(x, bits)
            step = (x.amax((1, 3), keepdim=True) - x.amin((1, 3), keepdim=True)) / (2**bits - 1)
            self.assertTrue(bool(((x - y).abs() <= step / 2 + 1e-6).all()))
            self.assertLessEqual(y[0, :, 0].unique().numel(), 2**bits)

    def test_quantised_cache_reaches_the_model(self):
        import torch
        from model import config_of
        from quantised_cache import QuantisedCache
        from settings import QUICK
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(1)
        model = LlamaForCausalLM(LlamaConfig(**config_of(QUICK))).eval().float()
        ids = torch.arange(2, 18)[None]
        with torch.no_grad():
            plain = model(ids).logits
            self.assertTrue(
                torch.allclose(
                    model(ids, past_key_values=QuantisedCache({}), use_cache=True).logits, plain, atol=1e-5
                )
            )
            for plan in ({(0, "K"): 2}, {(5, "V"): 2}):
                self.assertGreater(
                    (model(ids, past_key_values=QuantisedCache(plan), use_cache=True).logits - plain)
                    .abs()
                    .max(),
                    1e-5,
                )

    def test_tasks_fill_their_length_and_mark_the_answer(self):
        import random
        import numpy as np
        from build_tokenizer import build
        from tasks import PASSKEY_FRAME_TEXT, Tasks

        tokenizer = build([PASSKEY_FRAME_TEXT * 3], 400)
        tasks = Tasks(tokenizer, np.arange(2, 400, dtype=np.uint16).repeat(3))
        rng = random.Random(1)
        for name in ("plain_text", "copy", "key_value", "passkey", "counting", "brackets"):
            for length in (64, 128, 300):
                sample = getattr(tasks, name)(length, rng)
                self.assertEqual((len(sample.ids), len(sample.weights)), (length + 1, length), name)
        for filler in (False, True):
            sample = tasks.passkey(200, rng, text_filler=filler, exact=True)
            begin, end = sample.answer
            key = tokenizer.decode(sample.ids[begin:end])
            self.assertRegex(key, r"^\d{5}$")
            self.assertIn(f"The pass key is {key}. Remember it.", tokenizer.decode(sample.ids[:begin]))
            self.assertTrue(
                tokenizer.decode(sample.ids[:begin]).endswith("What is the pass key? The pass key is ")
            )


if __name__ == "__main__":
    unittest.main(verbosity=2)
