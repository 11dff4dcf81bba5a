# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the model over token ids with transformers and keeps what KVScope looks at."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb


def load(folder: Path):
    """The model (float32, eager attention, so that attention weights can be had) and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@dataclass(frozen=True)
class Capture:
    """float32 arrays [layer, token, head, channel]; keys and queries after RoPE unless said otherwise."""

    keys: np.ndarray
    values: np.ndarray
    keys_before_rope: np.ndarray
    queries: np.ndarray
    attention: np.ndarray
    """[layer, query head, query token, key token]"""
    cache: DynamicCache


@torch.no_grad()
def run(model, ids: list[int]) -> Capture:
    """One pass over the ids, batch 1."""
    config = model.config
    projected: dict[str, list[torch.Tensor]] = {"q_proj": [], "k_proj": []}
    hooks = [
        getattr(layer.self_attn, name).register_forward_hook(
            lambda module, inputs, output, name=name: projected[name].append(output)
        )
        for layer in model.model.layers
        for name in projected
    ]
    cache = DynamicCache()
    tokens = torch.tensor([ids])
    result = model(tokens, past_key_values=cache, output_attentions=True)
    for hook in hooks:
        hook.remove()

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.view(1, len(ids), -1, config.head_dim).transpose(1, 2)

    cos, sin = model.model.rotary_emb(projected["q_proj"][0], torch.arange(len(ids))[None])
    rotated = [
        apply_rotary_pos_emb(heads(q), heads(k), cos, sin)
        for q, k in zip(projected["q_proj"], projected["k_proj"])
    ]
    cached = torch.stack([layer.keys[0] for layer in cache.layers])
    if not torch.allclose(cached, torch.stack([k[0] for _, k in rotated]), atol=1e-4):
        raise RuntimeError("the cached keys are not the projected keys after RoPE")

    def array(tensors) -> np.ndarray:
        return torch.stack(list(tensors)).transpose(1, 2).contiguous().numpy()

    return Capture(
        array(layer.keys[0] for layer in cache.layers),
        array(layer.values[0] for layer in cache.layers),
        array(heads(k)[0] for k in projected["k_proj"]),
        array(q[0] for q, _ in rotated),
        torch.stack([a[0] for a in result.attentions]).numpy(),
        cache,
    )
