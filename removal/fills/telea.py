"""The hole is grown over from its edge (Telea 2004), by OpenCV. Smooth; for thin marks and comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from removal.crops.crop import bounds

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.fills.remover import Fill
    from removal.options import Options

RADIUS = 5  # pixels of known surroundings that a filled pixel is averaged from


def load(checkpoint: Checkpoint, options: Options) -> Fill:
    """Nothing to load, and nothing to set."""
    return fill


def fill(image: np.ndarray, mask: np.ndarray, avoid: np.ndarray | None = None) -> np.ndarray:
    """`image` (H×W×3 uint8) with its masked pixels (H×W bool) filled, in a window just larger than the mask.

    `avoid` does not matter, since nothing is copied from elsewhere: a hole takes the colours at its edge.
    """
    result = image.copy()
    if not mask.any():
        return result
    top, bottom, left, right = bounds(mask)
    margin = 2 * RADIUS
    window = np.s_[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    hole = np.ascontiguousarray(mask[window])
    filled = cv2.inpaint(np.ascontiguousarray(image[window]), hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    result[window][hole] = filled[hole]
    return result
