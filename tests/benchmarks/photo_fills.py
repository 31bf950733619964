"""Holes of photos filled well and badly, on purpose and not: what a judge is tried on."""

from __future__ import annotations

import cv2
import numpy as np

from removal.fills import patchmatch, telea
from removal.quality import ring_mean
from tests.benchmarks.photos import Covered

SHARE = 0.62  # of the object's size has what is pasted into a filled hole


def fills(one: Covered, other: np.ndarray) -> dict[str, np.ndarray]:
    """The photo with its hole filled in every way; `other` (H×W×3 uint8) is a photo to paste from."""
    filled = patchmatch.fill(one.image, one.mask)
    radius = float(np.sqrt(one.mask.sum() / np.pi))
    pasted = cv2.resize(other, one.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    made = {
        "truth": one.truth,
        "patchmatch": filled,
        "telea": telea.fill(one.image, one.mask),
        "mean of the ring": ring_mean(one.image, one.mask),
        "softened": cv2.GaussianBlur(filled, (0, 0), 1.2),
        "blurred": cv2.GaussianBlur(filled, (0, 0), radius / 6),
        "object left": one.image,
        "another object": _inside(one, filled, np.roll(pasted, (40, 70), (0, 1))),
        "a copy of something salient": _inside(one, filled, _moved_to_hole(one, _salient(one, radius))),
        "a place beside it": _moved_to_hole(one, _beside(one, radius)),
    }
    return {name: np.where(one.mask[..., None], result, one.truth) for name, result in made.items()}


def _inside(one: Covered, filled: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The filled photo with a smaller silhouette of the object, cut from `source`."""
    y, x = _centre(one)
    smaller = np.array([[SHARE, 0, x * (1 - SHARE)], [0, SHARE, y * (1 - SHARE)]])
    thing = cv2.warpAffine(one.object.astype(np.uint8), smaller, one.image.shape[1::-1]) > 0
    return np.where(thing[..., None], source, filled)


def _moved_to_hole(one: Covered, place: tuple[int, int]) -> np.ndarray:
    y, x = _centre(one)
    return np.roll(one.truth, (y - place[0], x - place[1]), (0, 1))


def _salient(one: Covered, radius: float) -> tuple[int, int]:
    """Where the photo differs most from what is around the hole."""
    lab = cv2.cvtColor(one.truth, cv2.COLOR_RGB2LAB).astype(np.float32)
    near = _within(one, radius)
    distance = np.linalg.norm(lab - lab[near & ~one.mask].mean(axis=0), axis=2)
    return _best(one, radius, cv2.GaussianBlur(distance, (0, 0), radius / 2), near)


def _beside(one: Covered, radius: float) -> tuple[int, int]:
    """The place whose rim is most like that of the hole, outside it."""
    rim = (_within(one, 4) & ~one.mask).astype(np.float32)
    rows, columns = (np.flatnonzero(rim.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    weight = np.dstack([np.ascontiguousarray(rim[box])] * 3)
    errors = cv2.matchTemplate(
        one.truth.astype(np.float32), one.truth[box].astype(np.float32), cv2.TM_SQDIFF, mask=weight
    )
    score = np.full(one.mask.shape, -np.inf, np.float32)
    y, x = _centre(one)
    top, left = y - rows[0], x - columns[0]
    score[top : top + errors.shape[0], left : left + errors.shape[1]] = -errors
    return _best(one, radius, score, _within(one, 1.6 * radius))


def _best(one: Covered, radius: float, score: np.ndarray, without: np.ndarray) -> tuple[int, int]:
    inner = np.zeros_like(one.mask)
    margin = int(radius)
    inner[margin:-margin, margin:-margin] = True
    y, x = np.unravel_index(np.where(inner & ~without, score, -np.inf).argmax(), score.shape)
    return int(y), int(x)


def _centre(one: Covered) -> tuple[int, int]:
    y, x = (int(places.mean()) for places in np.nonzero(one.object))
    return y, x


def _within(one: Covered, pixels: float) -> np.ndarray:
    return cv2.distanceTransform((~one.mask).astype(np.uint8), cv2.DIST_L2, 5) <= pixels
