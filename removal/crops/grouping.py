"""Divides a mask into groups that one crop can show well: objects far apart get a crop each, neighbours share one."""

from __future__ import annotations

import cv2
import numpy as np

from removal.crops.crop import bounds

MOST = 64  # parts of one image; each is a pass of the model
GROWTH = 1.25  # two parts join when their common crop is at most so much larger than the larger of their own
COMPONENTS = 256  # specks are joined by a coarser grid until there are no more than this


def group(mask: np.ndarray, resolution: int, context: float) -> np.ndarray:
    """The number of each masked pixel's part: H×W uint8, 0 outside the mask, parts from 1 on.

    A crop that holds everything at the model's own resolution is never divided, since that would gain nothing.
    """
    parts, grid = np.zeros(mask.shape, np.uint8), max(1, resolution // 8)
    if not mask.any():
        return parts
    top, bottom, left, right = bounds(mask)
    top, left = top // grid * grid, left // grid * grid
    inside = mask[top:bottom, left:right]  # a photo is large, and an object in it small
    numbers, boxes = _components(inside, grid)
    boxes += np.array([left, top, -left, -top])
    belongs = np.arange(len(boxes))
    while len(boxes) > 1:
        sides = _side(boxes, resolution, context, mask.shape)
        together = np.minimum(boxes[:, None], boxes[None])  # left, top and the negatives of right, bottom
        growth = _side(together, resolution, context, mask.shape) / np.maximum(sides[:, None], sides[None])
        np.fill_diagonal(growth, np.inf)
        first, second = sorted(int(k) for k in np.unravel_index(growth.argmin(), growth.shape))
        if growth[first, second] > GROWTH and len(boxes) <= MOST:
            break
        boxes[first] = together[first, second]
        boxes = np.delete(boxes, second, axis=0)
        belongs[belongs == second] = first
        belongs[belongs > second] -= 1
    found = np.concatenate([[0], belongs + 1]).astype(np.uint8)[numbers][: bottom - top, : right - left]
    parts[top:bottom, left:right] = found * inside
    return parts


def _components(mask: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """(component of each pixel, from 1 on; boxes N×4 as left, top, -right, -bottom), on cells of `grid` pixels."""
    while True:
        rows, columns = (-(-length // grid) for length in mask.shape)
        padded = np.zeros((rows * grid, columns * grid), np.uint8)
        padded[: mask.shape[0], : mask.shape[1]] = mask
        cells = padded.reshape(rows, grid, columns, grid).max(axis=(1, 3))
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
        if count - 1 <= COMPONENTS:
            break
        grid *= 2
    left, top, width, height = (stats[1:, k] * grid for k in range(4))
    boxes = np.stack([left, top, -(left + width), -(top + height)], axis=1)
    return np.repeat(np.repeat(numbers, grid, axis=0), grid, axis=1), boxes


def _side(boxes: np.ndarray, resolution: int, context: float, shape: tuple[int, ...]) -> np.ndarray:
    """Sides of the crops that `removal.crops.crop.cut` would take around boxes …×4."""
    longest = np.maximum(-boxes[..., 2] - boxes[..., 0], -boxes[..., 3] - boxes[..., 1])
    return np.minimum(np.maximum(context * longest, resolution), np.maximum(min(shape), longest))
