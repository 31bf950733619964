"""The region that annotations cover: their polygons, runs and boxes become one mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from flows.annotations.runs import mask_of_runs
from flows.settings.values import FAR

FINE = 4  # bits of the place between two pixels that OpenCV draws polygons with


class NoArea(ValueError):
    """A piece of an annotation that covers nothing, such as a polygon of two corners."""


@dataclass(frozen=True)
class Region:
    """The annotations of one picture; `sizes` (width, height) are the picture's, according to their file."""

    annotations: tuple[dict[str, Any], ...]
    sizes: tuple[tuple[int, int], ...]
    key: str

    def mask(self, width: int, height: int) -> tuple[np.ndarray, str | None]:
        """H×W bool, the union of all, for a picture of that size; and a message about pieces without an area.

        Those are left out. Raises ValueError that names a faulty annotation, or if none has an area.
        """
        for size in self.sizes:
            if size != (width, height):
                turned = size == (height, width)
                why = "its EXIF turns it, or the file's sizes are swapped" if turned else "they must be the same"
                raise ValueError(
                    f"the file says {size[0]}×{size[1]} pixels, the upright picture has {width}×{height}; {why}"
                )
        whole, empty = np.zeros((height, width), bool), []
        for annotation in self.annotations:
            try:
                covered, without = _covered(annotation, height, width)
            except ValueError as error:
                raise ValueError(f"annotation {annotation.get('id')}: {error}") from error
            whole |= covered
            empty += [f"annotation {annotation.get('id')}: {reason}" for reason in without]
        if empty and not whole.any():
            raise ValueError(empty[0])
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        return whole, f"left out, since it covers nothing: {empty[0]}{more}" if empty else None


def _covered(annotation: Mapping[str, Any], height: int, width: int) -> tuple[np.ndarray, list[str]]:
    """H×W bool of one annotation: its runs or polygons, or its box if it has neither; and the pieces that are empty."""
    drawn, mask, empty = annotation.get("segmentation"), np.zeros((height, width), np.uint8), []
    if drawn and isinstance(drawn, dict):
        runs = mask_of_runs(drawn, height, width)
        return runs, [] if runs.any() else ["its runs cover no pixel"]
    if drawn and not isinstance(drawn, list):
        raise ValueError(f"its segmentation is {drawn!r:.40}, not polygons or runs")
    for piece in _pieces(drawn) if drawn else [annotation.get("bbox")]:
        try:
            corners = _polygon(piece) if drawn else _box(piece)
            if (corners.max(axis=0) < 0).any() or (corners.min(axis=0) > (width, height)).any():
                raise NoArea("a piece of it lies outside the picture")
            # COCO counts from a pixel's corner, OpenCV from its centre; it also draws the outline, half a pixel out.
            cv2.fillPoly(mask, [np.round((corners - 0.5) * (1 << FINE)).astype(np.int32)], 1, shift=FINE)
        except NoArea as error:
            empty.append(str(error))
    return mask.astype(bool), empty


def _pieces(drawn: list[Any]) -> list[Any]:
    """The polygons of an annotation; some tools write a single one without its own brackets."""
    return [drawn] if all(_is_number(one) for one in drawn) else drawn


def _polygon(piece: Any) -> np.ndarray:
    """The corners of a polygon, N×2. Raises NoArea for a line or a point, ValueError for anything else."""
    if not isinstance(piece, list) or len(piece) % 2 or not all(_is_number(one) for one in piece):
        raise ValueError(f"a polygon is a list of numbers x, y, x, y, ..., not {piece!r:.40}")
    corners = np.asarray(piece, np.float64).reshape(-1, 2)
    if len(corners) < 3:
        raise NoArea(f"a polygon has at least three corners, and one of these has {len(corners)}")
    x, y = (corners - corners[0]).T
    # A line drawn back and forth has no area; a figure of eight, whose halves cancel out, has one.
    longest = corners[np.argmax(x * x + y * y)] - corners[0]
    if not np.abs(longest[0] * y - longest[1] * x).any():
        raise NoArea("one of its polygons is flat")
    return corners


def _box(box: Any) -> np.ndarray:
    """The corners of a box (left, top, width, height), 4×2. Raises NoArea for one that is missing, empty or flat."""
    if not box:
        raise NoArea("it has neither an outline nor a box")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(one) for one in box):
        raise ValueError(f"a box is a list left, top, width, height, not {box!r:.40}")
    left, top, across, down = box
    if across <= 0 or down <= 0:
        raise NoArea(f"its box is {across:g} wide and {down:g} high")
    right, bottom = left + across, top + down
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < FAR
