# SPDX-License-Identifier: GPL-3.0-or-later
"""The Llama that is trained: parameters are named and laid out as transformers' LlamaForCausalLM has them.

Training with a module of our own is several times faster on a CPU than with the one of transformers; that both
compute the same is checked by export() on every export.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import settings
from settings import Shape

QUERY_BLOCK = 128


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE, half-split: channel i is paired with channel i + head_dim / 2."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.hidden, shape.query_heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.query_heads * shape.head_dim, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = x.shape
        kv, head = self.shape.kv_heads, self.shape.head_dim
        group = self.shape.query_heads // kv
        q = rotate(self.q_proj(x).view(batch, length, kv, group, head).permute(0, 2, 3, 1, 4), cos, sin)
        k = rotate(self.k_proj(x).view(batch, length, kv, head).transpose(1, 2), cos, sin).reshape(
            batch * kv, length, head
        )
        v = self.v_proj(x).view(batch, length, kv, head).transpose(1, 2).reshape(batch * kv, length, head)
        outputs = []
        for first in range(0, length, QUERY_BLOCK):
            # A block of queries sees no key behind its end. The queries that share a KV head are stacked along time,
            # so that K and V are never repeated.
            end = min(first + QUERY_BLOCK, length)
            block = q[:, :, :, first:end].reshape(batch * kv, group * (end - first), head)
            scores = (block @ k[:, :end].transpose(1, 2)).view(batch * kv, group, end - first, end)
            weights = (scores / math.sqrt(head) + mask[first:end, :end]).softmax(-1).to(v.dtype)
            out = weights.view(batch * kv, group * (end - first), end) @ v[:, :end]
            outputs.append(out.view(batch, kv * group, end - first, head))
        out = torch.cat(outputs, 2) if len(outputs) > 1 else outputs[0]
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, kv * group * head))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Token ids [batch, length] to logits [batch, length, vocab]; output and input embeddings are one matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.5 / math.sqrt(parameter.shape[1])
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    scale /= math.sqrt(2 * shape.layers)
                nn.init.normal_(parameter, std=0.03 if "embed" in name else scale)
        angles = torch.outer(
            torch.arange(shape.context),
            shape.rope_theta ** (torch.arange(0, shape.head_dim, 2) / -shape.head_dim),
        )
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf"), device=ids.device).triu(1)
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        return functional.linear(self.norm(x), self.embed_tokens.weight)


def config_of(shape: Shape) -> dict:
    """config.json as transformers reads it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "_name_or_path": "kvscope-demo",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.query_heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_theta,
        "rope_scaling": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": settings.BOS_ID,
        "eos_token_id": settings.EOS_ID,
        "torch_dtype": "float16",
    }


def export(model: Llama, folder: Path) -> None:
    """Writes config.json, generation_config.json and model.safetensors (fp16), then loads them back with
    transformers and raises if the logits are not those of this model."""
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"model.{name}": value.detach().half().contiguous() for name, value in model.state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_of(model.shape), indent=2) + "\n")
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": settings.BOS_ID, "eos_token_id": settings.EOS_ID}, indent=2) + "\n"
    )

    ids = torch.randint(
        2, model.shape.vocab, (2, model.shape.context), generator=torch.Generator().manual_seed(1)
    )
    rounded = Llama(model.shape)
    rounded.load_state_dict({name: value.half().float() for name, value in model.state_dict().items()})
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(ids).logits
        worst = (rounded(ids) - theirs).abs().max().item()
    if worst > 1e-2:
        raise RuntimeError(f"transformers computes other logits from {folder}: they differ by {worst}")
