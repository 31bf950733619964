"""Removal without weights: the hole is grown over from its edge (Telea 2004). Smooth; for thin marks and comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from removal.checkpoints.choice import Checkpoint, Choice
from removal.crops.crop import bounds, check

TELEA = Choice("telea", Checkpoint(""), "telea", "asked for; uses no weights")
RADIUS = 5  # pixels of known surroundings that a filled pixel is averaged from


@dataclass(frozen=True)
class TeleaRemover:
    """Fills each hole at full size, in a window just larger than the mask."""

    choice: Choice = TELEA
    steps: None = None
    strength: None = None

    def __call__(self, images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
        """images: H×W×3 uint8, masks: H×W bool. Nothing is drawn at random, so the seeds do not matter."""
        check(images, masks, seeds)
        return [_fill(image, mask) for image, mask in zip(images, masks, strict=True)]

    def process(self, image: np.ndarray, mask: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """The result alone, since nothing is denoised."""
        yield from self([image], [mask], [seed])


def _fill(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
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
