"""Removes the colour offset of a patch, as measured on the ring around its hole.

A pipeline's output differs in tone from the image even where it was given (the autoencoder's loss, and the drift of
denoising); pasted into a smooth background that offset shows as a ghost in the mask's shape. The offset known on the
ring is carried into the hole by a membrane, as in Pérez, Gangnet & Blake 2003, "Poisson Image Editing".
"""

from __future__ import annotations

import cv2
import numpy as np

GRID = 64  # the membrane is solved on this many cells a side: an offset has no finer detail
RING = 1 / 40  # width of the ring, of the crop's side
LARGEST = 48.0  # levels; a larger difference is other content rather than tone
ROUNDS = 80


def match_ring(image: np.ndarray, mask: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """`patch` with the tone of `image` around the hole; all R×R×3 uint8, mask R×R bool. Other pixels are arbitrary."""
    if mask.all() or not mask.any():
        return patch
    side = mask.shape[0]
    width = max(2, round(side * RING))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    ring = ((cv2.dilate(mask.astype(np.uint8), disc) > 0) & ~mask).astype(np.float32)
    offset = np.clip(image.astype(np.float32) - patch, -LARGEST, LARGEST) * ring[..., None]
    cells = min(GRID, side)
    known, weight = (cv2.resize(a, (cells, cells), interpolation=cv2.INTER_AREA) for a in (offset, ring))
    hole = cv2.resize(mask.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA) > 0.5
    carried = _membrane(known, weight, hole, sigma=width / side * cells / 2)
    carried = cv2.resize(carried, (side, side), interpolation=cv2.INTER_LINEAR)
    return (np.clip(patch + carried, 0, 255) + 0.5).astype(np.uint8)


def _membrane(known: np.ndarray, weight: np.ndarray, hole: np.ndarray, sigma: float) -> np.ndarray:
    """The smoothest surface G×G×3 over the hole that meets the ring's offsets, which are averaged over `sigma` cells.

    `known` holds offsets times `weight`. Starts from a wide average, so that few rounds are left for the relaxation.
    """
    edge, start = _average(known, weight, sigma), _average(known, weight, GRID / 6)
    inside = hole[..., None]
    surface = np.where(inside, start, edge)
    for _ in range(ROUNDS):
        surface = np.where(inside, cv2.blur(surface, (3, 3)), edge)
    return surface


def _average(known: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    blurred, share = cv2.GaussianBlur(known, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
    return blurred / np.maximum(share, 1e-6)[..., None]
