# SPDX-License-Identifier: GPL-3.0-or-later
"""K before and after RoPE: half-split pairs by transformers' own code, interleaved pairs by torch's complex numbers.  python3 make_rope.py

rope.json: cases of {pairs, theta, head_dim, rotary_dim, rope (as in config.json), positions, before, after}; before and after are [position][channel] of one head,
after computed by the producer. transformers takes the angle in float32, so its values are good to (1e-6 + 2.5e-7 * position) of the largest |before|. rotary_dim < head_dim: only the first channels turn.
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


def add(
    pairs,
    theta,
    head_dim,
    before,
    after,
    rope=None,
    rotary_dim=None,
    producer=f"transformers {transformers.__version__}",
):
    CASES.append(
        {
            "producer": producer,
            "pairs": pairs,
            "theta": theta,
            "head_dim": head_dim,
            "rotary_dim": rotary_dim or head_dim,
            "rope": rope,
            "positions": POSITIONS,
            "before": [[float(f"{v:.9g}") for v in row] for row in before.tolist()],
            "after": [[float(f"{v:.9g}") for v in row] for row in after.tolist()],
        }
    )


def half_split(theta, head_dim, parameters=None):
    x = torch.from_numpy(np.random.default_rng(head_dim).standard_normal((len(POSITIONS), head_dim)).astype(np.float32))
    config = LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        max_position_embeddings=131072,
        rope_parameters={"rope_type": "default", "rope_theta": theta, **(parameters or {})},
    )
    cos, sin = LlamaRotaryEmbedding(config)(x[None], torch.tensor([POSITIONS]))
    _, k = apply_rotary_pos_emb(x[None, None], x[None, None], cos, sin)
    add("half-split", theta, head_dim, x, k[0, 0], config.rope_parameters)


def interleaved(theta, head_dim, rotary_dim=None):
    rotary_dim = rotary_dim or head_dim
    x = torch.from_numpy(
        np.random.default_rng(head_dim + 1).standard_normal((len(POSITIONS), head_dim)).astype(np.float32)
    )
    angle = torch.outer(
        torch.tensor(POSITIONS, dtype=torch.float64),
        theta ** (-torch.arange(0, rotary_dim, 2, dtype=torch.float64) / rotary_dim),
    )
    turned = torch.view_as_real(
        torch.view_as_complex(x[:, :rotary_dim].double().reshape(len(POSITIONS), -1, 2))
        * torch.polar(torch.ones_like(angle), angle)
    ).flatten(1)
    add(
        "interleaved",
        theta,
        head_dim,
        x,
        torch.cat([turned.float(), x[:, rotary_dim:]], 1),
        rotary_dim=rotary_dim,
        producer=f"torch {torch.__version__.split('+')[0]}, complex numbers in float64",
    )


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
interleaved(10000.0, 8)
interleaved(10000.0, 64)
interleaved(10000.0, 16, 8)
(HERE / "rope.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES) + "\n]\n")
