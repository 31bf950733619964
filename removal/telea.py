"""Removal without weights: the hole is grown over from its edge (Telea 2004). Smooth; for thin marks and comparison."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from removal.crop import Crop

RADIUS = 5  # pixels of known surroundings that a filled pixel is averaged from


@dataclass(frozen=True)
class Telea:
    """Fills crops of any size; 512 keeps the fast marching quick on large pictures."""

    resolution: int = 512

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """One patch R×R×3 uint8 per crop. Draws nothing at random, so the seeds do not matter."""
        return [cv2.inpaint(crop.image, crop.mask.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA) for crop in crops]
