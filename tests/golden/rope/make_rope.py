# SPDX-License-Identifier: GPL-3.0-or-later
"""K before and after RoPE: half-split pairs by transformers' own code, interleaved pairs by torch's complex numbers.  python3 make_rope.py

rope.json: cases of {pairs, theta, head_dim, rotary_dim, configs, positions, before, after}; before and after are [position][channel] of one head. configs are the same
rotation as config.json says it: as transformers 5 writes it (rope_parameters) and as it was before (rope_theta, rope_scaling). transformers takes the angle in float32, so its
values are good to (1e-6 + 2.5e-7 * position) of the largest |before|. rotary_dim < head_dim: only the first channels turn.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

HERE = Path(__file__).resolve().parent
POSITIONS = [0, 1, 2, 7, 63, 500, 4095]
CASES = []
TRANSFORMERS = f"transformers {transformers.__version__}"


def rounded(rows):
    return [[float(f"{v:.9g}") for v in row] for row in rows.tolist()]


def add(producer, pairs, theta, head_dim, before, after, configs=(), rotary_dim=None):
    CASES.append(
        {
            "producer": producer,
            "pairs": pairs,
            "theta": theta,
            "head_dim": head_dim,
            "rotary_dim": rotary_dim or head_dim,
            "configs": list(configs),
            "positions": POSITIONS,
            "before": rounded(before),
            "after": rounded(after),
        }
    )


def random(seed, head_dim):
    x = np.random.default_rng(seed).standard_normal((len(POSITIONS), head_dim))
    return torch.from_numpy(x.astype(np.float32))


def half_split(theta, head_dim, scaling=None, positions=131072):
    x = random(head_dim, head_dim)
    parameters = {"rope_type": "default", "rope_theta": theta, **(scaling or {})}
    sizes = {"hidden_size": head_dim, "num_attention_heads": 1, "max_position_embeddings": positions}
    config = LlamaConfig(**sizes, rope_parameters=dict(parameters))
    cos, sin = LlamaRotaryEmbedding(config)(x[None], torch.tensor([POSITIONS]))
    _, k = apply_rotary_pos_emb(x[None, None], x[None, None], cos, sin)
    common = {"model_type": "llama", **sizes, "num_hidden_layers": 1, "head_dim": head_dim}
    configs = [{**common, "rope_parameters": parameters}, {**common, "rope_theta": theta, "rope_scaling": scaling}]
    add(TRANSFORMERS, "half-split", theta, head_dim, x, k[0, 0], configs)


def interleaved(theta, head_dim, rotary_dim=None):
    rotary_dim = rotary_dim or head_dim
    x = random(head_dim + 1, head_dim)
    frequencies = theta ** (-torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim)
    angle = torch.outer(torch.tensor(POSITIONS, dtype=torch.float64), frequencies)
    pairs = torch.view_as_complex(x[:, :rotary_dim].double().reshape(len(POSITIONS), -1, 2))
    turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(1)
    after = torch.cat([turned.float(), x[:, rotary_dim:]], 1)
    producer = f"torch {torch.__version__.split('+')[0]}, complex numbers in float64"
    add(producer, "interleaved", theta, head_dim, x, after, rotary_dim=rotary_dim)


half_split(10000.0, 8)
half_split(500000.0, 64)
half_split(1000000.0, 16)
half_split(10000.0, 16, {"rope_type": "linear", "factor": 4.0})
half_split(
    500000.0,
    32,
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
)
half_split(1000000.0, 32, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768})
half_split(
    10000.0,
    16,
    {
        "rope_type": "longrope",
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "short_factor": [1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 2.5],
        "long_factor": [1.0, 1.2, 1.6, 3.0, 8.0, 20.0, 40.0, 60.0],
    },
)
interleaved(10000.0, 8)
interleaved(10000.0, 64)
interleaved(10000.0, 16, 8)
(HERE / "rope.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES) + "\n]\n")
