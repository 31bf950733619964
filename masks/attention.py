"""The attention of Segment Anything's encoder by PyTorch's fused kernel: the same numbers, less time and memory."""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class FusedAttention(nn.Module):
    """Wraps an `Attention` of segment-anything, whose own forward writes its N×N weights to memory three times.

    The decomposed relative positions (Li et al. 2022, MViTv2) become the kernel's bias, as in segment-anything-fast.
    """

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.plain = plain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B×H×W×C → B×H×W×C."""
        count, height, width, _ = x.shape
        split = self.plain.qkv(x).reshape(count, height * width, 3, self.plain.num_heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # each B×heads×HW×C
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=self._bias(q, height, width))
        return self.plain.proj(mixed.transpose(1, 2).reshape(count, height, width, -1))

    def _bias(self, q: torch.Tensor, height: int, width: int) -> torch.Tensor | None:
        if not self.plain.use_rel_pos:
            return None
        places = q.unflatten(2, (height, width))
        down = torch.einsum("bnhwc,hkc->bnhwk", places, get_rel_pos(height, height, self.plain.rel_pos_h))
        across = torch.einsum("bnhwc,wkc->bnhwk", places, get_rel_pos(width, width, self.plain.rel_pos_w))
        return (down[..., :, None] + across[..., None, :]).flatten(4).flatten(2, 3)


def fuse(encoder: nn.Module) -> None:
    """Make every block of an `ImageEncoderViT` use the fused kernel."""
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn)
