"""From a mask decoder's small logits to a mask of the picture's size, computed only where it can be True."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def upscaled(logits: torch.Tensor, height: int, width: int) -> np.ndarray:
    """The mask (height×width bool) of where logits (h×w, covering the whole picture) are above 0 once scaled up.

    The same as `interpolate(…, mode="bilinear", align_corners=False) > 0`, up to rounding, computed only in the mask's
    box, so that the cost depends on the object's size, even in a 12-megapixel picture.
    """
    mask = np.zeros((height, width), bool)
    above = logits > 0
    rows, columns = _taps(above.any(1), height), _taps(above.any(0), width)
    if rows is None or columns is None:
        return mask
    (top, low, high, down), (left, west, east, across) = rows, columns
    band = logits[:, west] * (1 - across) + logits[:, east] * across
    inside = band[low] * (1 - down)[:, None] + band[high] * down[:, None] > 0
    mask[top : top + len(low), left : left + len(west)] = inside.cpu().numpy()
    return mask


def _taps(above: torch.Tensor, size: int) -> tuple[int, torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """The pixels, of `size` along an axis, that a value above 0 reaches: the first of them, and for each the two values
    around it and the share of the second. None if there are none.
    """
    import torch

    length = len(above)
    pixels = torch.arange(size, dtype=torch.float32, device=above.device)
    at = ((pixels + 0.5) * (length / size) - 0.5).clamp(min=0)  # pixel centres on pixel centres, as torch does
    low = at.long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    reached = (above[low] | above[high]).nonzero()[:, 0]
    if not len(reached):
        return None
    box = slice(int(reached[0]), int(reached[-1]) + 1)
    return box.start, low[box], high[box], (at - low)[box]
