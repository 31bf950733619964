"""Edits of a mask by hand: strokes of a brush, regions, and found objects that are not meant. Arrays in, arrays out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from flows.messages.counts import many

MOST_EDITS, MOST_OBJECTS, MOST_POINTS = 2_000, 200, 100_000  # of one picture
MOST_PAINT = 2e10  # pixels that its brushes go over, more than once where they do: some seconds
LARGEST = 5_000.0  # pixels of a brush's radius
NEAR = 0.02  # of the longer side: a click may miss an object by this much


@dataclass(frozen=True)
class Edit:
    """One change to a mask, in pixels of the upright picture.

    A `brush` paints a line of `radius` through `points`; a `region` is a box, given by its first and last corner; an
    `object` is the connected part of the mask at a point, which goes. With `erase` brush and region take away.
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    radius: float = 0.0
    erase: bool = False

    def row(self) -> dict[str, Any]:
        """The edit as decisions give it."""
        if self.kind == "object":
            return {"object": [*self.points[0]]}
        erase = {"erase": True} if self.erase else {}
        if self.kind == "region":
            return {"region": [*self.points[0], *self.points[1]]} | erase
        return {"brush": [[*point] for point in self.points], "radius": self.radius} | erase


def read_edits(rows: Any) -> tuple[Edit, ...]:
    """The edits of a decision. Raises ValueError, with a message, for invalid ones."""
    if not isinstance(rows, list) or len(rows) > MOST_EDITS:
        raise ValueError(f'"mask" is a list of up to {MOST_EDITS} edits')
    edits = tuple(map(_edit, rows))
    if sum(len(edit.points) for edit in edits) > MOST_POINTS:
        raise ValueError(f'"mask" has more than {MOST_POINTS} points')
    if sum(edit.kind == "object" for edit in edits) > MOST_OBJECTS:
        raise ValueError(f'"mask" has more than {MOST_OBJECTS} objects')
    if sum(len(edit.points) * (2 * edit.radius) ** 2 for edit in edits) > MOST_PAINT:
        raise ValueError('"mask" paints too much: use a region, or fewer points of a large brush')
    return edits


def edited(mask: np.ndarray, edits: Iterable[Edit]) -> np.ndarray:
    """A mask (H×W bool) after these edits, in order. Raises ValueError if there is no object at a point."""
    made = mask.astype(np.uint8)
    for edit in edits:
        if edit.kind == "object":
            made[_object(made, *edit.points[0])] = 0
        elif edit.kind == "region":
            _fill_region(made, edit)
        else:
            _draw_line(made, edit)
    return made.astype(bool)


def outside(edit: Edit, width: int, height: int) -> bool:
    """True if an edit touches no pixel of a picture of that size."""
    reach = edit.radius if edit.kind == "brush" else 0.0
    (left, top), (right, bottom) = (tuple(pick(axis) for axis in zip(*edit.points, strict=True)) for pick in (min, max))
    return left - reach >= width or top - reach >= height or right + reach < 0 or bottom + reach < 0


def _edit(row: Any) -> Edit:
    kinds = [kind for kind in ("brush", "region", "object") if isinstance(row, dict) and kind in row]
    if len(kinds) != 1:
        raise ValueError('an edit of a mask is an object with "brush", "region" or "object"')
    (kind,), erase = kinds, row.get("erase", False)
    if not isinstance(erase, bool):
        raise ValueError(f'"erase" is true or false, not {erase!r}')
    if kind == "object":
        return Edit(kind, (_point(row[kind]),))
    if kind == "region":
        left, top, right, bottom = _numbers(row[kind], 4)
        if not (left < right and top < bottom):
            raise ValueError(f"region {row[kind]} is empty: it is left, top, right, bottom")
        return Edit(kind, ((left, top), (right, bottom)), erase=erase)
    points, (radius,) = row[kind], _numbers([row.get("radius")], 1)
    if not isinstance(points, list) or not points:
        raise ValueError('"brush" is a list of points')
    if not 0 < radius <= LARGEST:
        raise ValueError(f'"radius" is above 0 and at most {LARGEST:g} pixels, not {radius:g}')
    return Edit(kind, tuple(map(_point, points)), radius, erase)


def _point(value: Any) -> tuple[float, float]:
    x, y = _numbers(value, 2)
    return x, y


def _numbers(values: Any, count: int) -> list[float]:
    if not isinstance(values, list) or len(values) != count or not all(map(_is_number, values)):
        raise ValueError(f"{values!r} is not {many(count, 'number')} of a picture's size")
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) < 1e6


def _fill_region(made: np.ndarray, edit: Edit) -> None:
    (left, top), (right, bottom) = edit.points
    rows = slice(max(0, math.floor(top)), max(0, math.ceil(bottom)))
    made[rows, max(0, math.floor(left)) : max(0, math.ceil(right))] = not edit.erase


def _draw_line(made: np.ndarray, edit: Edit) -> None:
    points = np.floor(np.array(edit.points)).astype(np.int32)
    value, radius = int(not edit.erase), max(0, round(edit.radius))
    if len(points) > 1:
        cv2.polylines(made, [points.reshape(-1, 1, 2)], False, value, max(1, 2 * radius))
    for x, y in points.tolist():  # round at the ends and at every turn
        cv2.circle(made, (x, y), radius, value, cv2.FILLED)


def _object(made: np.ndarray, x: float, y: float) -> np.ndarray:
    """The object (H×W bool) that a point is on, or so near that it was meant."""
    _, labels = cv2.connectedComponents(made, connectivity=8)
    height, width = made.shape
    reach = max(8, round(NEAR * max(height, width)))
    left, top = max(0, math.floor(x) - reach), max(0, math.floor(y) - reach)
    near = labels[top : max(0, math.floor(y) + reach + 1), left : max(0, math.floor(x) + reach + 1)]
    rows, columns = np.nonzero(near)
    if not len(rows):
        raise ValueError(f"there is no object at {x:g},{y:g} of its mask")
    closest = np.argmin((columns + left - x) ** 2 + (rows + top - y) ** 2)
    return labels == near[rows[closest], columns[closest]]
