"""The one place where image and mask arrays become tensors, and tensors images again."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from removal.painting.blank import refuse_nan


def to_tensors(images: list[np.ndarray], device: torch.device | str = "cpu") -> torch.Tensor:
    """N×3×H×W float, 0..1, of N images H×W×3 uint8 of one size. They travel to the device as bytes, and back."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255


def to_images(tensors: torch.Tensor) -> list[np.ndarray]:
    """The reverse: images H×W×3 uint8 from N×3×H×W, 0..1; rounded, not cut. Raises Blank for NaN."""
    refuse_nan(bool(torch.isfinite(tensors).all()))
    arrays = (tensors.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return list(arrays.contiguous().cpu().numpy())


def to_latent_masks(masks: list[np.ndarray], cell: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """N×1×H×W float, 0 or 1, of N masks H×W bool: 1 for every whole latent cell of `cell`² pixels that a mask touches.

    Max-pooling, because nearest sampling (diffusers' own) loses lines thinner than a cell.
    """
    pixels = torch.from_numpy(np.stack(masks)).to(device).float()[:, None]
    return F.interpolate(F.max_pool2d(pixels, cell), scale_factor=float(cell), mode="nearest")
