# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny random models as GGUF files, and what their K and V must be: forward passes in float64 by numpy."""

from pathlib import Path

import gguf
import numpy as np

VOCAB, EPS, THETA = 64, 1e-5, 10000.0


def norm(x, weight):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPS) * weight


def write_gguf(path, arch, weights, settings):
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(128)
    w.add_layer_norm_rms_eps(EPS)
    w.add_rope_freq_base(THETA)
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("no_vocab")
    for name, value in settings.items():
        getattr(w, f"add_{name}")(value)
    for name, value in weights.items():
        w.add_tensor(name, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def feed_forward(random, i, dim, ff):
    return {
        f"blk.{i}.ffn_norm.weight": np.ones(dim, np.float32),
        f"blk.{i}.ffn_gate.weight": random(ff, dim),
        f"blk.{i}.ffn_up.weight": random(ff, dim),
        f"blk.{i}.ffn_down.weight": random(dim, ff),
    }


def drawing(seed):
    rng = np.random.default_rng(seed)
    return lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1]) * 1.5).astype(np.float32)


class Llama:
    """A tiny random Llama: its GGUF file, and what its K and V must be."""

    def __init__(self, folder, layers, heads, kv_heads, head_dim, seed):
        self.layers, self.heads, self.kv_heads, self.head_dim, self.dim, self.ff = (
            layers,
            heads,
            kv_heads,
            head_dim,
            heads * head_dim,
            64,
        )
        rng = np.random.default_rng(seed)
        dim, kv = self.dim, kv_heads * head_dim

        def random(rows, columns):
            return (rng.standard_normal((rows, columns)) / np.sqrt(columns) * 1.5).astype(np.float32)

        self.weights = {
            "token_embd.weight": random(VOCAB, dim) * 8,
            "output_norm.weight": np.ones(dim, np.float32),
            "output.weight": random(VOCAB, dim),
        }
        for i in range(layers):
            self.weights.update(
                {
                    f"blk.{i}.attn_norm.weight": rng.uniform(0.5, 1.5, dim).astype(np.float32),
                    f"blk.{i}.attn_q.weight": random(dim, dim),
                    f"blk.{i}.attn_k.weight": random(kv, dim),
                    f"blk.{i}.attn_v.weight": random(kv, dim),
                    f"blk.{i}.attn_output.weight": random(dim, dim),
                    f"blk.{i}.ffn_norm.weight": rng.uniform(0.5, 1.5, dim).astype(np.float32),
                    f"blk.{i}.ffn_gate.weight": random(self.ff, dim),
                    f"blk.{i}.ffn_up.weight": random(self.ff, dim),
                    f"blk.{i}.ffn_down.weight": random(dim, self.ff),
                }
            )
        self.path = str(Path(folder) / f"llama_{head_dim}.gguf")
        write_gguf(
            self.path,
            "llama",
            self.weights,
            {
                "embedding_length": dim,
                "block_count": layers,
                "feed_forward_length": self.ff,
                "head_count": heads,
                "head_count_kv": kv_heads,
                "rope_dimension_count": head_dim,
            },
        )

    def rope(self, x, positions):
        """[token][head][dim], pairs (2i, 2i+1)"""
        angle = np.asarray(positions, float)[:, None] * THETA ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
        out = np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c
        return out

    def forward(self, tokens, positions):
        """float64 K (after RoPE) and V of every layer: [layer][2][token][channel]. Tokens attend to those of lower or equal position in the list."""
        w = {n: v.astype(np.float64) for n, v in self.weights.items()}
        positions = np.asarray(positions)
        count = len(tokens)

        x, planes = w["token_embd.weight"][tokens], []
        for i in range(self.layers):
            h = norm(x, w[f"blk.{i}.attn_norm.weight"])
            q = self.rope((h @ w[f"blk.{i}.attn_q.weight"].T).reshape(count, self.heads, -1), positions)
            k = self.rope((h @ w[f"blk.{i}.attn_k.weight"].T).reshape(count, self.kv_heads, -1), positions)
            v = (h @ w[f"blk.{i}.attn_v.weight"].T).reshape(count, self.kv_heads, -1)
            planes.append([k.reshape(count, -1), v.reshape(count, -1)])
            group = self.heads // self.kv_heads
            scores = np.einsum("qhd,khd->hqk", q, k.repeat(group, 1)) / np.sqrt(self.head_dim)
            scores = np.where(positions[None, None, :] <= positions[None, :, None], scores, -np.inf)
            p = np.exp(scores - scores.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            x = (
                x
                + np.einsum("hqk,khd->qhd", p, v.repeat(group, 1)).reshape(count, -1)
                @ w[f"blk.{i}.attn_output.weight"].T
            )
            h = norm(x, w[f"blk.{i}.ffn_norm.weight"])
            gate = h @ w[f"blk.{i}.ffn_gate.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w[f"blk.{i}.ffn_up.weight"].T)) @ w[f"blk.{i}.ffn_down.weight"].T
        return np.array(planes)


class Gemma2:
    """Four layers, the even ones with a sliding window of 4; half-split pairs. first_layer gives K and V of layer 0 in float64."""

    kv_heads, head_dim = 2, 16

    def __init__(self, folder):
        dim, ff, random = 64, 64, drawing(3)
        self.path = str(Path(folder) / "gemma2.gguf")
        self.weights = {"token_embd.weight": random(VOCAB, dim), "output_norm.weight": np.ones(dim, np.float32)}
        for i in range(4):
            self.weights.update(
                {
                    f"blk.{i}.attn_norm.weight": np.ones(dim, np.float32),
                    f"blk.{i}.attn_q.weight": random(64, dim),
                    f"blk.{i}.attn_k.weight": random(32, dim),
                    f"blk.{i}.attn_v.weight": random(32, dim),
                    f"blk.{i}.attn_output.weight": random(dim, 64),
                    f"blk.{i}.post_attention_norm.weight": np.ones(dim, np.float32),
                    f"blk.{i}.post_ffw_norm.weight": np.ones(dim, np.float32),
                    **feed_forward(random, i, dim, ff),
                }
            )
        write_gguf(
            self.path,
            "gemma2",
            self.weights,
            {
                "embedding_length": dim,
                "block_count": 4,
                "feed_forward_length": ff,
                "head_count": 4,
                "head_count_kv": 2,
                "key_length": 16,
                "value_length": 16,
                "sliding_window": 4,
                "attn_logit_softcapping": 50.0,
                "final_logit_softcapping": 30.0,
            },
        )

    def first_layer(self, tokens, positions):
        x = norm(self.weights["token_embd.weight"].astype(np.float64)[tokens], 1)
        k, v = (x @ self.weights[f"blk.0.attn_{n}.weight"].astype(np.float64).T for n in "kv")
        k = k.reshape(len(x), 2, 16)
        angle = np.asarray(positions, float)[:, None, None] * THETA ** (-np.arange(8) / 8)
        a, b, c, s = k[..., :8], k[..., 8:], np.cos(angle), np.sin(angle)
        return np.concatenate([a * c - b * s, a * s + b * c], -1).reshape(len(x), -1), v


class Qwen2VL:
    """Two layers with M-RoPE (half-split pairs; for text the same as plain RoPE): each cell carries an extension."""

    kv_heads, head_dim = 1, 16

    def __init__(self, folder):
        dim, ff, random = 32, 32, drawing(5)
        self.path = str(Path(folder) / "qwen2vl.gguf")
        self.weights = {
            "token_embd.weight": random(VOCAB, dim),
            "output_norm.weight": np.ones(dim, np.float32),
            "output.weight": random(VOCAB, dim),
        }
        for i in range(2):
            self.weights.update(
                {
                    f"blk.{i}.attn_norm.weight": np.ones(dim, np.float32),
                    f"blk.{i}.attn_output.weight": random(dim, dim),
                    **feed_forward(random, i, dim, ff),
                }
            )
            for n, rows in (("q", dim), ("k", 16), ("v", 16)):
                self.weights.update(
                    {f"blk.{i}.attn_{n}.weight": random(rows, dim), f"blk.{i}.attn_{n}.bias": random(rows)}
                )
        write_gguf(
            self.path,
            "qwen2vl",
            self.weights,
            {
                "embedding_length": dim,
                "block_count": 2,
                "feed_forward_length": ff,
                "head_count": 2,
                "head_count_kv": 1,
                "rope_dimension_sections": [2, 3, 3, 0],
            },
        )

    def first_layer(self, tokens, positions):
        w = {n: v.astype(np.float64) for n, v in self.weights.items()}
        x = norm(w["token_embd.weight"][tokens], 1)
        k, v = (x @ w[f"blk.0.attn_{n}.weight"].T + w[f"blk.0.attn_{n}.bias"] for n in "kv")
        angle = np.asarray(positions, float)[:, None] * THETA ** (-np.arange(8) / 8)
        a, b, c, s = k[:, :8], k[:, 8:], np.cos(angle), np.sin(angle)
        return np.concatenate([a * c - b * s, a * s + b * c], -1), v


class DeepSeek:
    """Two dense layers with multi-head latent attention: a row of K is 24 channels of latent, then 8 of rotary key (interleaved pairs). There is no V."""

    kv_heads, head_dim = 1, 32

    def __init__(self, folder):
        dim, ff, random = 64, 64, drawing(4)
        self.path = str(Path(folder) / "deepseek2.gguf")
        self.weights = {"token_embd.weight": random(VOCAB, dim), "output_norm.weight": np.ones(dim, np.float32)}
        for i in range(2):
            self.weights.update(
                {
                    f"blk.{i}.attn_norm.weight": np.ones(dim, np.float32),
                    f"blk.{i}.attn_q_a.weight": random(12, dim),
                    f"blk.{i}.attn_q_a_norm.weight": np.ones(12, np.float32),
                    f"blk.{i}.attn_q_b.weight": random(2 * 24, 12),
                    f"blk.{i}.attn_kv_a_mqa.weight": random(32, dim),
                    f"blk.{i}.attn_kv_a_norm.weight": np.ones(24, np.float32),
                    f"blk.{i}.attn_k_b.weight": random(2, 24, 16),
                    f"blk.{i}.attn_v_b.weight": random(2, 16, 24),
                    f"blk.{i}.attn_output.weight": random(dim, 32),
                    **feed_forward(random, i, dim, ff),
                }
            )
        write_gguf(
            self.path,
            "deepseek2",
            self.weights,
            {
                "embedding_length": dim,
                "block_count": 2,
                "feed_forward_length": ff,
                "head_count": 2,
                "head_count_kv": 1,
                "key_length": 32,
                "value_length": 24,
                "key_length_mla": 24,
                "value_length_mla": 16,
                "q_lora_rank": 12,
                "kv_lora_rank": 24,
                "rope_dimension_count": 8,
                "leading_dense_block_count": 2,
                "expert_count": 2,
                "expert_used_count": 1,
                "expert_shared_count": 1,
                "expert_feed_forward_length": 16,
                "expert_weights_scale": 1.0,
            },
        )

    def first_layer(self, tokens, positions):
        x = norm(self.weights["token_embd.weight"].astype(np.float64)[tokens], 1)
        kv = x @ self.weights["blk.0.attn_kv_a_mqa.weight"].astype(np.float64).T
        angle = np.asarray(positions, float)[:, None] * THETA ** (-np.arange(4) / 4)
        a, b, c, s = kv[:, 24::2], kv[:, 25::2], np.cos(angle), np.sin(angle)
        return (
            np.concatenate([norm(kv[:, :24], 1), np.stack([a * c - b * s, a * s + b * c], -1).reshape(len(x), 8)], -1),
            None,
        )
