"""Fills a hole before it is encoded, so that nothing of the object is left for the latents to remember.

A denoising that starts below full noise keeps the coarse shape of what it starts from, and the autoencoder carries the
object's colour into the cells beside the hole. OpenCV's Telea fill (Telea 2004) knows neither object nor texture: a
smooth hint of the surroundings.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 128  # pixels; a hint needs no more, and the fill's time grows with the area
REACH = 3.0  # pixels, of the small picture
GREY = 127  # where the hole is everything


def prefill(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` (R×R×3 uint8) with the masked pixels (R×R bool) filled from around them; no other pixel changes."""
    if mask.all():
        return np.full_like(image, GREY)
    side = mask.shape[0]
    small = min(side, SIDE)
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    hole = cv2.resize(mask.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA) > 0
    hole = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8))  # the object's last blended pixels are no hint
    # OpenCV's fill reads the hole itself beside the picture's edge; there it finds one colour that tells nothing.
    shrunk[hole > 0] = shrunk[hole == 0].mean(axis=0) if (hole == 0).any() else GREY
    filled = cv2.resize(cv2.inpaint(shrunk, hole, REACH, cv2.INPAINT_TELEA), (side, side))
    return np.where(mask[..., None], filled, image)
