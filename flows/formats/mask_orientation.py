"""The orientation of a mask without a tag, for a picture that is stored turned."""

from __future__ import annotations

import cv2
import numpy as np

from flows.formats.orientation import upright
from flows.formats.pictures import orientation_of

SIDE, LEVELS = 16, 15  # of an outline: parts across and down, and levels of each
SURE = 2  # one way must be so many times as similar as the other


def as_given(mask: np.ndarray, data: bytes, shape: tuple[int, ...], orientation: int) -> np.ndarray:
    """A person's mask (H×W bool, read from `data`) for an upright picture of that shape, turned upright.

    Without a tag it counts as upright if its size fits, else as stored like the picture.
    """
    ways = _ways(mask, data, shape, orientation)
    return ways[0] if ways else mask


def as_corrected(
    mask: np.ndarray, data: bytes, shape: tuple[int, ...], orientation: int, ours: str | None
) -> np.ndarray:
    """A mask of the target, upright; one that lost its tag in an editor is turned to resemble `ours`, an outline."""
    ways = _ways(mask, data, shape, orientation)
    if ours is None or len(ways) < 2 or np.array_equal(ways[0], ways[1]):
        return ways[0] if ways else mask
    far, near = sorted((_distance(outline(way), ours), k) for k, way in enumerate(ways))[::-1]
    if not far[0] or far[0] < SURE * near[0]:
        raise ValueError(
            f"it has lost the orientation tag of its picture ({orientation}) and matches the mask that was found "
            "equally well both ways up; save it with that tag, or remove it to have it found again"
        )
    return ways[near[1]]


def outline(mask: np.ndarray) -> str:
    """The share that an upright mask (H×W bool) covers of each of 16×16 parts, as 256 hex digits; 0 is nothing."""
    shares = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return "".join(f"{level:x}" for level in np.ceil(shares.clip(0, 1) * LEVELS).astype(int).ravel())


def _ways(mask: np.ndarray, data: bytes, shape: tuple[int, ...], orientation: int) -> list[np.ndarray]:
    """The possible orientations of a mask: its tag's, else upright and as its picture is stored."""
    if orientation == 1 or orientation_of(data, mask.size, as_mask=True) is not None:
        ways = [mask]
    else:
        ways = [mask, np.ascontiguousarray(upright(mask, orientation))]
    return [way for way in ways if way.shape == shape[:2]]


def _distance(one: str, other: str) -> int:
    return sum(abs(int(a, 16) - int(b, 16)) for a, b in zip(one, other, strict=True))
