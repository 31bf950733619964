"""The levels of a mask: the values that fill areas, as opposed to the soft edges between them."""

from __future__ import annotations

import cv2
import numpy as np

AREA = 9  # pixels
SMALL = 32  # numbers below are classes and instances, however thin and scattered, never soft edges
NEAR = 1 / 16  # share of the span of all values: the least distance of two levels
STEEP = 1 / 32  # share of white: a step between two pixels too large for a gradient
FEW = 1 << 24  # the most values to keep a table of: those of 8-bit colours


def values_of(numbers: np.ndarray) -> np.ndarray:
    """The values that occur in integers from 0 on (H×W), in ascending order; usually quicker than np.unique."""
    if numbers.dtype in (np.uint8, np.uint16):
        size = np.iinfo(numbers.dtype).max + 1
        return np.flatnonzero(cv2.calcHist([np.ascontiguousarray(numbers)], [0], None, [size], [0, size]))
    if numbers.max() >= FEW:
        return np.unique(numbers)
    there = np.zeros(FEW, bool)
    there[numbers] = True
    return np.flatnonzero(there)


def levels_of(grey: np.ndarray) -> tuple[np.ndarray, bool]:
    """The values (of H×W uint8 or uint16) that fill areas, of 3×3 pixels at least; and True if all others, if there are
    any, are the steps of soft edges or what a JPEG leaves around edges.

    A thin line fills no area, but has only the background beside it, and is no step.
    """
    low, high = _lowest(grey), _highest(grey)
    area = _highest((low == high).astype(np.uint8)).astype(bool)
    size = np.iinfo(grey.dtype).max + 1
    filled, all_of = (np.bincount(some, minlength=size) for some in (grey[area], grey.ravel()))
    levels = np.flatnonzero((filled >= AREA) & (filled * 2 >= all_of))
    if grey.max() < SMALL:
        return levels, False
    rest = ~np.isin(grey, levels)
    line = (grey == high) & (low == (levels[0] if len(levels) else 0))
    return levels, bool(np.count_nonzero(rest & ~line) > np.count_nonzero(rest) / 2)


def apart(grey: np.ndarray, values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The levels without those next to a larger one, since a JPEG spreads a level over two values."""
    near = (int(values[-1]) - int(values[0])) * NEAR
    kept: list[int] = []
    for level in sorted(levels.tolist(), key=lambda level: -np.count_nonzero(grey == level)):
        if all(abs(level - other) > near for other in kept):
            kept.append(level)
    return np.array(sorted(kept), int)


def between_two(grey: np.ndarray, values: np.ndarray, levels: np.ndarray) -> float | None:
    """The middle between two levels if all other values are soft edges; None if they are not."""
    if len(levels) == 2:
        return float(levels[0] + levels[1]) / 2
    if len(levels) != 1:
        return None
    # Specks have no area; values neither near a level nor near an edge are a gradient.
    low, high = float(values[0]), float(values[-1])
    middle = (low + high) / 2
    side = (grey > middle).astype(np.uint8)
    edge = _highest(side, 7) != _lowest(side, 7)
    step = np.abs(grey - middle) < (high - low) / 4
    fewest = min(np.count_nonzero(side), np.count_nonzero(side == 0))
    return middle if np.count_nonzero(step & ~edge) <= fewest / 20 else None


def steps_are_steep(grey: np.ndarray, top: int) -> bool:
    """True if values mostly change from one pixel to the next by more than a gradient's do."""
    step = _highest(grey) - _lowest(grey)
    return bool(np.median(step[step > 0]) > top * STEEP)


def ranks(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The rank of every code, since OpenCV can compare those; arbitrary beyond 65536 codes, which are no labels."""
    if codes.dtype == np.uint8:
        return codes
    if values[-1] >= FEW:
        return (np.searchsorted(values, codes) & 0xFFFF).astype(np.uint16)
    place = np.zeros(FEW, np.uint16)
    place[values] = np.arange(len(values)) & 0xFFFF
    return place[codes]


def _lowest(grey: np.ndarray, side: int = 3) -> np.ndarray:
    return cv2.erode(grey, np.ones((side, side), np.uint8))


def _highest(grey: np.ndarray, side: int = 3) -> np.ndarray:
    return cv2.dilate(grey, np.ones((side, side), np.uint8))
