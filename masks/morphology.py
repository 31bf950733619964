"""Mask arithmetic with OpenCV on boolean arrays."""

from __future__ import annotations

import math

import numpy as np

LEAST_RADIUS = 4  # pixels: a relative dilation always covers the blended edge of an object and its contact shadow
SMALL_RADIUS = 16  # pixels up to which OpenCV's dilation is quicker: its time grows with the disc's area
ROUNDING = 0.05  # pixels: the error of OpenCV's float32 distances is certainly below this


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Grow a mask (H×W bool) by a disc of `radius` pixels; 0 leaves it as it is. The input is not changed."""
    import cv2

    if radius < 0:
        raise ValueError(f"dilation is 0 pixels or more, not {radius}")
    if radius == 0 or not mask.any():
        return mask.copy()
    if radius >= _diagonal(mask):
        return np.ones_like(mask)
    top, bottom, left, right = _box(mask, radius)
    inside = mask[top:bottom, left:right]
    grown = np.zeros_like(mask)
    if radius <= SMALL_RADIUS:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        grown[top:bottom, left:right] = cv2.dilate(inside.astype(np.uint8), disc) > 0
    else:
        grown[top:bottom, left:right] = _within(inside, radius)
    return grown


def _within(mask: np.ndarray, radius: int) -> np.ndarray:
    """The dilation of a mask by OpenCV's disc of `radius`, in a time that hardly depends on the radius.

    The disc is a circle whose rows are rounded, half a pixel at most. Well inside and outside, the distance to the mask
    decides; in between, the few pixels of the disc's edge do.
    """
    import cv2

    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown = distance <= radius
    y, x = np.nonzero((distance > radius - ROUNDING) & (distance <= radius + 0.5 + ROUNDING))
    padded = np.pad(mask, radius)
    reached = np.zeros(len(y), bool)
    for down, right in _edge_of_disc(radius):
        reached |= padded[y + (radius + down), x + (radius + right)]
    grown[y, x] = reached
    return grown


def _edge_of_disc(radius: int) -> np.ndarray:
    """The offsets (N×2, down and right of the centre) in OpenCV's disc that lie no farther in than `_within` asks."""
    down = np.arange(-radius, radius + 1)
    last = np.rint(np.sqrt(radius**2 - down**2)).astype(int)
    first = np.ceil(np.sqrt(np.maximum((radius - 2 * ROUNDING) ** 2 - down**2, 0))).astype(int)
    halves = [(dy, dx) for dy, low, high in zip(down, first, last, strict=True) for dx in range(low, high + 1)]
    return np.array([(dy, side * dx) for dy, dx in halves for side in ((-1, 1) if dx else (1,))])


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of a mask (H×W bool), such as the speckles that a segmenter leaves."""
    import cv2

    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = mask.astype(np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled > 0


def hull(mask: np.ndarray) -> np.ndarray:
    """The convex hull of every object of a mask (H×W bool); objects whose hulls touch become one."""
    import cv2

    while True:
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        hulls = mask.copy()
        for outline in outlines:
            _fill_convex(hulls, cv2.convexHull(outline)[:, 0].astype(int))
        if (hulls == mask).all():
            return hulls
        mask = hulls


def _fill_convex(mask: np.ndarray, corners: np.ndarray) -> None:
    """Set the pixels of `mask` within a convex polygon (N×2, x and y).

    Exact, where OpenCV draws edges a little outside the polygon, so that the hull of a hull would be larger again.
    """
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    first, last = np.full(bottom - top + 1, right), np.full(bottom - top + 1, left)  # column of each row
    np.minimum.at(first, corners[:, 1] - top, corners[:, 0])
    np.maximum.at(last, corners[:, 1] - top, corners[:, 0])
    for edge in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (x, y), (end, stop) = sorted(edge, key=lambda corner: corner[1])
        if y < stop:
            rows = np.arange(stop - y + 1)
            aside = rows * (end - x)  # in units of 1 / (stop - y) pixels
            first[rows + y - top] = np.minimum(first[rows + y - top], x - (-aside // (stop - y)))
            last[rows + y - top] = np.maximum(last[rows + y - top], x + aside // (stop - y))
    columns = np.arange(left, right + 1)
    mask[top : bottom + 1, left : right + 1] |= (columns >= first[:, None]) & (columns <= last[:, None])


def dilation_radius(dilation: int | str, mask: np.ndarray) -> int:
    """Pixels for a dilation given as pixels (12, "12") or as a share of the object's size ("10%").

    An object's size is the square root of its area; for several objects in one mask, the mean. No radius exceeds the
    mask's diagonal, at which everything is covered. Raises ValueError for anything else.
    """
    value, relative = parse_dilation(dilation)
    if relative:
        value = max(LEAST_RADIUS, value / 100 * _object_size(mask)) if value and mask.any() else 0
    return round(min(value, _diagonal(mask)))


def _diagonal(mask: np.ndarray) -> int:
    return math.ceil(math.hypot(*mask.shape))


def parse_dilation(dilation: int | str) -> tuple[float, bool]:
    """(12, False) for 12 pixels, (10, True) for 10%. Raises ValueError for anything else."""
    text = str(dilation).strip()
    relative = text.endswith("%")
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf or (not relative and value != int(value)):
        raise ValueError(f"dilation is a number of pixels such as 12, or a share such as 10%, not {dilation!r}")
    return value, relative


def _object_size(mask: np.ndarray) -> float:
    import cv2

    top, bottom, left, right = _box(mask, 0)
    inside = mask[top:bottom, left:right].astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
    sizes = np.sqrt(areas[areas >= areas[-1] / 20])  # crumbs are not objects
    return float(sizes.mean())


def _box(mask: np.ndarray, margin: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(side) for side in outline(mask))
    height, width = mask.shape
    return max(0, top - margin), min(height, bottom + margin), max(0, left - margin), min(width, right + margin)


def outline(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
