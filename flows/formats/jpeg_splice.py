"""A JPEG with only its repainted blocks encoded: all other coefficients stay those of the source, bit for bit."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from flows.formats.jpeg_segments import Frame, frame
from flows.formats.jpeg_worker import REQUEST, RUN
from flows.formats.jpeg_workers import Unspliceable, ask
from flows.formats.orientation import Box, stored, stored_box

BAND = 8  # rows of pixels compared at a time


def spliced(source: bytes, before: np.ndarray, after: np.ndarray, orientation: int = 1) -> bytes:
    """`source`, which decodes to `before` (H×W×3 uint8), with the blocks that differ in `after`.

    Both are upright; the JPEG is stored with that orientation of EXIF. The bytes hold tables and pixels; other markers
    are left out. Raises Unspliceable if that cannot be done.
    """
    try:
        told = frame(source)
    except ValueError as error:
        raise Unspliceable(str(error)) from error
    if (told.height, told.width) != stored(before, orientation).shape[:2]:
        raise Unspliceable(f"its header says {told.width}×{told.height} pixels")
    if told.bits != 8 or len(told.sampling) not in (1, 3):
        raise Unspliceable(f"it has {told.bits} bits and {len(told.sampling)} components")
    box = _on_grid(stored_box(_changed_box(before, after), before.shape, orientation), told)
    left, top, right, bottom = box
    was, crop = (np.ascontiguousarray(stored(one, orientation)[top:bottom, left:right]) for one in (before, after))
    runs = b"".join(RUN.pack(*run) for run in _runs(_differs(was, crop), box, told))
    pixels = (crop if len(told.sampling) == 3 else crop[..., 0]).tobytes()
    head = REQUEST.pack(left, top, right - left, bottom - top, len(source), len(runs) // RUN.size)
    return ask(b"".join([head, source, struct.pack("<Q", len(pixels)), pixels, runs]))


def touched(source: bytes, mask: np.ndarray, orientation: int = 1) -> Iterator[Box]:
    """Boxes around every MCU that an upright mask (H×W bool) touches, and one pixel more, in the JPEG as it is stored.

    That pixel may differ too, since decoders smooth colours across blocks. Raises ValueError as `frame` does.
    """
    across, down = frame(source).mcu
    mask = np.ascontiguousarray(stored(mask, orientation))
    for row in np.unique(np.flatnonzero(mask.any(axis=1)) // down * down).tolist():
        columns = np.flatnonzero(mask[row : row + down].any(axis=0)) // across
        for first, last in _stretches(np.unique(columns)):
            left, right = across * first - 1, across * (last + 1) + 1
            yield max(0, left), max(0, row - 1), min(right, mask.shape[1]), min(row + down + 1, mask.shape[0])


def _changed_box(before: np.ndarray, after: np.ndarray) -> Box:
    """The smallest box around all pixels that differ, in whole bands from top to bottom; a corner if none does."""
    bands = [slice(row, row + BAND) for row in range(0, len(before), BAND)]  # a band stays in the processor's cache
    differing = [band for band in bands if not np.array_equal(before[band], after[band])]
    if not differing:
        return 0, 0, 1, 1
    columns = np.flatnonzero(np.any([_differs(before[band], after[band]).any(axis=0) for band in differing], axis=0))
    return int(columns[0]), differing[0].start, int(columns[-1]) + 1, min(differing[-1].stop, len(before))


def _differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The pixels in which two images differ, H×W bool."""
    differs = before != after
    return differs[..., 0] | differs[..., 1] | differs[..., 2]  # any(axis=2) takes ten times as long


def _on_grid(box: Box, told: Frame) -> Box:
    """A box of whole MCUs, as far as the picture reaches."""
    left, top, right, bottom = box
    across, down = told.mcu
    right, bottom = -(-right // across) * across, -(-bottom // down) * down
    return left // across * across, top // down * down, min(right, told.width), min(bottom, told.height)


def _runs(changed: np.ndarray, box: Box, told: Frame) -> Iterator[tuple[int, int, int, int]]:
    """Component, row, first block and count, for each row of blocks with a changed pixel in a crop (H×W bool)."""
    for component in range(len(told.sampling)):
        across, down = told.block(component)
        blocks = _any(changed, across, down)
        for row, line in enumerate(blocks):
            for first, last in _stretches(np.flatnonzero(line)):
                yield component, box[1] // down + row, box[0] // across + first, last - first + 1


def _any(changed: np.ndarray, across: int, down: int) -> np.ndarray:
    """The blocks, each of so many pixels, that hold a True."""
    height, width = changed.shape
    padded = np.pad(changed, ((0, -height % down), (0, -width % across)))
    rows = np.asarray(padded.reshape(-1, down, padded.shape[1]).any(axis=1))
    return np.asarray(rows.reshape(len(rows), -1, across).any(axis=2))


def _stretches(numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive integers."""
    if numbers.size:
        for part in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
            yield int(part[0]), int(part[-1])
