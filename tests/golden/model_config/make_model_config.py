# SPDX-License-Identifier: GPL-3.0-or-later
"""Inverse frequencies and attention factors that transformers derives from model configurations.  python3 make_model_config.py"""
import json
from pathlib import Path

import transformers
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = Path(__file__).resolve().parent
BASE = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 512,
        "max_position_embeddings": 131072, "vocab_size": 32, "intermediate_size": 8}
CASES = {
    "plain": {"rope_theta": 10000.0},
    "theta": {"rope_theta": 500000.0, "head_dim": 128},
    "linear": {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "llama3": {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                        "original_max_position_embeddings": 8192}},
    "yarn": {"rope_theta": 1000000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}},
    "yarn_mscale": {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32,
                                                            "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 0.707}},
    "yarn_attention": {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096,
                                                               "attention_factor": 1.25}},
    "yarn_partial": {"model_type": "glm4", "head_dim": 64, "partial_rotary_factor": 0.5, "rope_interleave": False, "rope_theta": 10000.0,
                     "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4096}},
}

out = {"producer": f"transformers {transformers.__version__}", "cases": {}}
for name, more in CASES.items():
    fields = {**BASE, **more}
    config = AutoConfig.for_model(**json.loads(json.dumps(fields)))
    rotary = LlamaRotaryEmbedding(config)
    out["cases"][name] = {"config": fields, "head_dim": config.head_dim, "inverse_frequencies": rotary.inv_freq.double().tolist(),
                          "attention_factor": float(rotary.attention_scaling)}
(HERE / "rope.json").write_text(json.dumps(out, indent=1) + "\n")
