# SPDX-License-Identifier: GPL-3.0-or-later
"""A transformers cache that stores K and V with few bits, to measure what that costs.

The quantiser (per token, all heads of a layer merged into one vector of channels): with lo and hi the smallest and
largest of the token's channels and s = (hi - lo) / (2**bits - 1), x becomes lo + s * round((x - lo) / s), in float32.
K is quantised after RoPE, as it is cached. A token's own K and V are quantised before it attends to them, so one pass
over a text gives what token-by-token decoding would.
"""

import torch
from torch import Tensor
from transformers import DynamicCache


def quantise_per_token(x: Tensor, bits: int) -> Tensor:
    """[batch, heads, tokens, head_dim] through the quantiser above and back."""
    low = x.amin((1, 3), keepdim=True)
    step = ((x.amax((1, 3), keepdim=True) - low) / (2**bits - 1)).clamp_min(1e-12)
    return low + step * torch.round((x - low) / step)


class QuantisedCache(DynamicCache):
    """bits: (layer, "K" or "V") -> number of bits; what is not named stays as it is."""

    def __init__(self, bits: dict[tuple[int, str], int]) -> None:
        super().__init__()
        self.bits = bits

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        if (layer_idx, "K") in self.bits:
            key_states = quantise_per_token(key_states, self.bits[layer_idx, "K"])
        if (layer_idx, "V") in self.bits:
            value_states = quantise_per_token(value_states, self.bits[layer_idx, "V"])
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)
