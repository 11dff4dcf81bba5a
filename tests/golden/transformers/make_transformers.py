# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches that tiny, randomly initialised models of transformers really computed, saved by torch.save.

    python3 make_transformers.py        with transformers 5.23, 4.56, 4.46 or 4.40 installed; writes v<version>/

The expected values are read from the live cache before it is saved: [B,H,T,D] of every layer, unused slots of static caches cut off.
"""

import logging
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import expect, plane  # noqa: E402

VERSION = tuple(int(n) for n in transformers.__version__.split(".")[:2])
HERE = Path(__file__).resolve().parent / f"v{transformers.__version__}"
PRODUCER = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
NAMES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=64,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
TOKENS = 13


def model(kind, dtype, **config):
    torch.manual_seed(20)
    config = getattr(transformers, f"{kind}Config" if kind != "Gemma3" else "Gemma3TextConfig")(**{**SIZES, **config})
    config._attn_implementation = "eager"
    net = getattr(transformers, f"{kind}ForCausalLM")(config).to(dtype).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith(("k_proj.weight", "v_proj.weight", "embed_tokens.weight", "kv_a_proj_with_mqa.weight")):
                p.mul_(12)  # so that keys and values are of order one
    return net, config


def run(net, tokens, past=None, batch=1, steps=1):
    """A prefill, then steps - 1 single tokens, as generate() does."""
    ids = torch.tensor(np.random.default_rng(3).integers(3, 64, (batch, tokens)))
    prefill = tokens - (steps - 1)
    parts = [ids[:, :prefill]] + [ids[:, i : i + 1] for i in range(prefill, tokens)]
    at = 0
    with torch.no_grad():
        for part in parts:
            position = torch.arange(at, at + part.shape[1])
            extra = {"cache_position": position} if VERSION < (5, 0) and not isinstance(past, tuple) else {}
            past = net(part, past_key_values=past, use_cache=True, **extra).past_key_values
            at += part.shape[1]
    # 4.40 takes a cache apart into tuples when it hands it back.
    return transformers.DynamicCache.from_legacy_cache(past) if isinstance(past, tuple) else past


def tensors(cache):
    if isinstance(cache, (tuple, list)):
        return [(k, v) for k, v in cache]
    if hasattr(cache, "layers"):
        return [(layer.keys, layer.values) for layer in cache.layers]
    if hasattr(cache, "key_cache"):
        return list(zip(cache.key_cache, cache.value_cache))
    raise TypeError(type(cache))


def expected_planes(cache, held):
    """held: for each layer (first slot, slots, first position)"""
    planes = []
    batch = tensors(cache)[0][0].shape[0]
    for b in range(batch):
        for i, (k, v) in enumerate(tensors(cache)):
            first, count, position = held[i]
            for name, t in (("K", k), ("V", v)):
                heads, dim = t.shape[1], t.shape[3]
                x = t[b, :, first : first + count].float().permute(1, 0, 2).reshape(count, heads * dim)
                planes.append(plane(i, name, x.numpy(), heads, dim, b, position))
    return planes


def save(name, cache, held, about, dtype, legacy=False, **more):
    HERE.mkdir(exist_ok=True)
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    planes = expected_planes(cache, held)
    torch.save(cache, path, _use_new_zipfile_serialization=not legacy)
    expect(
        path,
        format="torch",
        producer=PRODUCER,
        about=about,
        dtype=NAMES[dtype],
        layout="perlayer BHTD",
        planes=planes,
        container="legacy" if legacy else "zip",
        held_slots=[list(h[:2]) for h in held],
        **more,
    )
    print(name, path.stat().st_size)


def whole(cache):
    return [(0, k.shape[2], 0) for k, _ in tensors(cache)]


def static_cache(net, config, length, dtype):
    if VERSION >= (4, 56):
        return transformers.StaticCache(config=config, max_cache_len=length)
    config.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if VERSION >= (4, 46):
        return transformers.StaticCache(config=config, batch_size=1, max_cache_len=length, device="cpu", dtype=dtype)
    return transformers.StaticCache(config=config, max_batch_size=1, max_cache_len=length, device="cpu", dtype=dtype)


def llama():
    net, config = model("Llama", torch.float32, num_hidden_layers=3)
    cache = run(net, TOKENS, past=transformers.DynamicCache() if VERSION < (5, 0) else None, steps=4)
    save(
        "llama.dynamic.f32.pt",
        cache,
        whole(cache),
        "DynamicCache of a Llama with 2 KV heads of 4: prefill and 3 decoded tokens",
        torch.float32,
    )
    net, config = model("Llama", torch.float16, num_hidden_layers=3)
    cache = run(net, TOKENS, past=transformers.DynamicCache() if VERSION < (5, 0) else None)
    if not isinstance(cache, torch.nn.Module):  # of a module the legacy container would hold the source text as well
        save(
            "llama.dynamic.f16.legacy.pt",
            cache,
            whole(cache),
            "DynamicCache in the legacy container",
            torch.float16,
            legacy=True,
        )
    if VERSION >= (4, 56):
        where = "inside rope_parameters" if VERSION >= (5, 0) else "at the top"
        save(
            "with_config/cache.pt",
            cache,
            whole(cache),
            f"DynamicCache with the model's config.json beside it (rope_theta 10000 {where})",
            torch.float16,
        )
        config.save_pretrained(HERE / "with_config")
    if VERSION < (4, 50):
        legacy = cache.to_legacy_cache()
        save("llama.tuples.f16.pt", legacy, whole(legacy), "to_legacy_cache(): tuple of (K, V)", torch.float16)
    net, config = model("Llama", torch.bfloat16, num_hidden_layers=2, num_key_value_heads=1)
    cache = run(net, TOKENS, past=transformers.DynamicCache() if VERSION < (5, 0) else None, batch=2)
    save("llama.mqa.batch2.bf16.pt", cache, whole(cache), "DynamicCache, one KV head (MQA), batch of 2", torch.bfloat16)


def static():
    if VERSION < (4, 46):
        return  # 4.40 takes no static cache from outside
    net, config = model("Llama", torch.float16, num_hidden_layers=2)
    cache = static_cache(net, config, 24, torch.float16)
    run(net, TOKENS, past=cache, steps=3)
    slots = tensors(cache)[0][0].shape[2]
    assert all((k[:, :, TOKENS:] == 0).all() and (k[:, :, TOKENS - 1] != 0).any() for k, _ in tensors(cache))
    save(
        "llama.static.f16.pt",
        cache,
        [(0, TOKENS, 0)] * 2,
        f"StaticCache of {slots} slots, {TOKENS} used, the rest zero",
        torch.float16,
        padding=slots - TOKENS,
    )


def windows():
    window = 8
    if VERSION >= (4, 56):
        net, _ = model("Mistral", torch.float16, num_hidden_layers=2, sliding_window=window)
        cache = run(net, TOKENS + 6, steps=4)
        save(
            "mistral.sliding.f16.pt",
            cache,
            [(0, window - 1, TOKENS + 6 - (window - 1))] * 2,
            "DynamicCache with a sliding window of 8 on every layer: the last 7 of 19 tokens are kept",
            torch.float16,
        )
    if VERSION >= (4, 46):
        net, config = model("Gemma2", torch.float16, num_hidden_layers=3, sliding_window=window, head_dim=8)
        kinds = [i % 2 == 0 for i in range(3)]  # sliding, full, sliding
        if VERSION >= (4, 56):
            cache = run(net, TOKENS + 6, steps=4)
            held = [(0, window - 1, TOKENS + 6 - (window - 1)) if s else (0, TOKENS + 6, 0) for s in kinds]
            save(
                "gemma2.dynamic.f16.pt",
                cache,
                held,
                "layers of different lengths: 7 (window of 8), 19, 7",
                torch.float16,
            )
            dynamic = [t for pair in tensors(cache) for t in pair]
            cache = static_cache(net, config, 24, torch.float16)
            run(net, TOKENS + 6, past=cache, steps=4)
            full = [t for pair in tensors(cache) for t in pair]
            for s, a, b in zip([k for k in kinds for _ in range(2)], dynamic, full):
                assert torch.equal(a, b[:, :, -7:] if s else b[:, :, : TOKENS + 6])
            save(
                "gemma2.static.f16.pt",
                cache,
                [(0, window, TOKENS + 6 - window) if s else (0, TOKENS + 6, 0) for s in kinds],
                "StaticCache: sliding layers hold the last 8 tokens, the full layer 24 slots with 19 used",
                torch.float16,
            )
            cache = static_cache(net, config, 24, torch.float16)
            run(net, 5, past=cache, steps=2)
            save(
                "gemma2.static.short.f16.pt",
                cache,
                [(0, 5, 0)] * 3,
                "StaticCache with 5 tokens: sliding layers 8 slots with 5 used, the full layer 24 slots with 5 used",
                torch.float16,
            )
        else:
            cache = transformers.HybridCache(config, batch_size=1, max_cache_len=24, device="cpu", dtype=torch.float16)
            run(net, 5, past=cache)
            save(
                "gemma2.hybrid.f16.pt",
                cache,
                [(0, 5, 0)] * 3,
                "HybridCache with 5 tokens: sliding layers of 8 slots, full of 24",
                torch.float16,
            )
            cache = transformers.HybridCache(config, batch_size=1, max_cache_len=24, device="cpu", dtype=torch.float16)
            run(net, TOKENS + 6, past=cache, steps=4)
            save(
                "gemma2.hybrid.rolled.f16.pt",
                cache,
                [(0, window, TOKENS + 6 - window) if s else (0, TOKENS + 6, 0) for s in kinds],
                "HybridCache with 19 tokens: sliding layers hold the last 8, the full layer 24 slots with 19 used",
                torch.float16,
            )
    if VERSION >= (4, 56):
        net, _ = model(
            "Gemma3",
            torch.bfloat16,
            num_hidden_layers=4,
            sliding_window=window,
            head_dim=8,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
        )
        cache = run(net, TOKENS, steps=2)
        save(
            "gemma3.dynamic.bf16.pt",
            cache,
            [(0, window - 1, TOKENS - (window - 1))] * 3 + [(0, TOKENS, 0)],
            "three windowed layers of 7 tokens, then a full one of 13",
            torch.bfloat16,
        )


def latent():
    if VERSION < (5, 0):
        return
    net, config = model(
        "DeepseekV3",
        torch.float16,
        num_hidden_layers=2,
        num_key_value_heads=4,
        moe_intermediate_size=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=2,
        kv_lora_rank=16,
        q_lora_rank=12,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=6,
        n_shared_experts=1,
    )
    cache = run(net, TOKENS)
    save(
        "deepseek.latent.f16.pt",
        cache,
        whole(cache),
        "MLA: `keys` [1,1,13,16] is the compressed latent (kv_lora_rank 16), `values` [1,1,13,4] the rotary key shared by all heads",
        torch.float16,
        mla={"kv_lora_rank": 16, "qk_rope_head_dim": 4},
    )


logging.disable(logging.WARNING)
llama()
static()
windows()
latent()
