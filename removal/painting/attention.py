"""Hole attention: inside a hole nothing is copied from the hole itself, only from what surrounds it.

"Self-rectifying attention" of EraDiff (Liu et al. 2025, arXiv 2503.07026, §4.2): in every self-attention layer the
tokens of the hole do not attend to each other, so that an early blob cannot feed on itself and become an object. Needs
no training and no further evaluation of the UNet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F


class HoleAttention:
    """An attention processor for diffusers' self-attention layers. `holes` is N×1×h×w, 1 in the latent cells to paint.

    The batch may hold the pictures several times over, as guidance does. A picture whose hole covers every token of a
    layer is left alone there: it has nothing else to attend to.
    """

    def __init__(self, holes: torch.Tensor):
        self.holes = holes
        self.by_tokens: dict[int, torch.Tensor] = {}
        self.somewhere: dict[int, bool] = {}  # whether any picture has a hole there; asking a GPU waits for it

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states=None, attention_mask=None, **_: Any
    ) -> torch.Tensor:
        batch, tokens, _ = hidden_states.shape
        query, key, value = heads(attn, hidden_states)
        attended = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        hole = self.tokens(tokens).to(query.device).repeat(batch // len(self.holes), 1)
        if self.somewhere[tokens]:
            outside = torch.zeros(batch, 1, 1, tokens, dtype=query.dtype, device=query.device)
            outside.masked_fill_(hole[:, None, None], -torch.inf)
            from_outside = F.scaled_dot_product_attention(query, key, value, attn_mask=outside, scale=attn.scale)
            attended = torch.where(hole[:, None, :, None], from_outside, attended)
        return joined(attn, attended)

    def tokens(self, tokens: int) -> torch.Tensor:
        """N×tokens bool: which tokens of a layer touch the hole (max-pooled, so that thin ones count)."""
        if tokens not in self.by_tokens:
            height, width = self.holes.shape[-2:]
            times = round((height * width / tokens) ** 0.5)
            pooled = F.max_pool2d(self.holes.float(), times, ceil_mode=True).flatten(1) > 0.5
            self.by_tokens[tokens] = pooled & ~pooled.all(dim=1, keepdim=True)
            self.somewhere[tokens] = bool(self.by_tokens[tokens].any())
        return self.by_tokens[tokens]


def heads(attn: Any, hidden_states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values of a self-attention layer, each batch×heads×tokens×width."""
    layers = (attn.to_q, attn.to_k, attn.to_v)
    return tuple(layer(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer in layers)


def joined(attn: Any, attended: torch.Tensor) -> torch.Tensor:
    """The layer's output, batch×tokens×width, from what its heads attended to."""
    out = attended.transpose(1, 2).flatten(2)
    for layer in attn.to_out:
        out = layer(out)
    return out / attn.rescale_output_factor


@contextlib.contextmanager
def hole_attention(unet: Any, holes: torch.Tensor) -> Iterator[None]:
    """Within it, the self-attention layers of `unet` are those of `HoleAttention`; afterwards they are as before."""
    before = unet.attn_processors
    ours = HoleAttention(holes)
    unet.set_attn_processor({name: ours if ".attn1." in name else old for name, old in before.items()})
    try:
        yield
    finally:
        unet.set_attn_processor(before)
