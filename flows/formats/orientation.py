"""The eight orientations of EXIF: pixels as they are stored, and upright, as they are seen."""

from __future__ import annotations

import numpy as np

TAG = 0x0112
LYING = (5, 6, 7, 8)  # orientations that swap width and height
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

# How an upright picture is stored: mirrored left to right, top to bottom, and then transposed.
STEPS = {
    1: (False, False, False),
    2: (True, False, False),
    3: (True, True, False),
    4: (False, True, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}


def stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of upright pixels (H×W or H×W×C) as stored with that orientation."""
    sideways, over, transposed = STEPS[orientation]
    turned = _mirrored(pixels, sideways, over)
    return turned.swapaxes(0, 1) if transposed else turned


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of stored pixels, upright: the inverse of `stored`."""
    sideways, over, transposed = STEPS[orientation]
    return _mirrored(pixels.swapaxes(0, 1) if transposed else pixels, sideways, over)


def stored_box(box: Box, shape: tuple[int, ...], orientation: int) -> Box:
    """A box of an upright picture in the coordinates of the stored one. `shape`: height and width, upright."""
    (left, top, right, bottom), (height, width) = box, shape[:2]
    sideways, over, transposed = STEPS[orientation]
    left, right = (width - right, width - left) if sideways else (left, right)
    top, bottom = (height - bottom, height - top) if over else (top, bottom)
    return (top, left, bottom, right) if transposed else (left, top, right, bottom)


def _mirrored(pixels: np.ndarray, sideways: bool, over: bool) -> np.ndarray:
    return pixels[:: -1 if over else 1, :: -1 if sideways else 1]
