"""Selects among the objects that were found: the largest, those above a size, or everything but them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from masks.prompts import Found, Instance, nothing

SAME = 0.5  # two instances that overlap by this much (intersection over union) are the same object


@dataclass(frozen=True)
class Selection:
    """A selection among the finds of a picture. The default is all of them.

    `min_area` (share of the picture, 0..1) drops smaller ones; `except_largest` drops the largest find, which is the
    main subject; `largest` keeps that many of the rest (0: all). `max_count` (0: any number) is how many finds may be
    left once `min_area` has been applied. `invert` selects everything else.
    """

    largest: int = 0
    except_largest: bool = False
    min_area: float = 0.0
    max_count: int = 0
    invert: bool = False

    def __bool__(self) -> bool:
        return self != Selection()


class TooManyFound(Exception):
    """More objects than `max_count` allows: a person should look at the picture. `count` says how many there are."""

    def __init__(self, count: int, allowed: int):
        super().__init__(f"{count} objects were found, more than --max-count {allowed}; it is left to a person")
        self.count = count


def select(found: Found, selection: Selection) -> tuple[Found, str | None]:
    """The selected finds, and a message about those left out (None if none were).

    If all were left out, the result is an empty Found. Raises TooManyFound.
    """
    if not selection or not found:
        return found, None
    finds = sorted(distinct(found), key=lambda one: -one.area)
    kept = [one for one in finds if one.area >= selection.min_area * found.mask.size]
    if selection.max_count and len(kept) > selection.max_count:
        raise TooManyFound(len(kept), selection.max_count)
    kept = kept[1:] if selection.except_largest else kept
    kept = kept[: selection.largest or None]
    chosen = found if len(kept) == len(finds) else _of(found, kept)
    said = f"left out: {len(finds) - len(kept)} of {len(finds)} finds" if len(kept) < len(finds) else None
    if selection.invert and chosen:
        chosen = Found(~chosen.mask, chosen.score, chosen.boxes)
    return chosen, said


def distinct(found: Found) -> list[Instance]:
    """Every object of a find once, even if two phrases named it; connected areas if the segmenter has no instances."""
    told: list[Instance] = []
    for one in found.instances or _connected(found.mask):
        if not any(_overlap(one, other) > SAME for other in told):
            told.append(one)
    return told


def _of(found: Found, kept: list[Instance]) -> Found:
    if not kept:
        return nothing(found.mask)
    mask = np.zeros_like(found.mask)
    for one in kept:
        mask[one.place] |= one.mask
    return Found(mask, found.score, tuple(one.box for one in kept), tuple(kept))


def _connected(mask: np.ndarray) -> list[Instance]:
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    found = []
    for k in range(1, count):
        left, top, width, height = (int(side) for side in stats[k, :4])
        found.append(Instance(left, top, labels[top : top + height, left : left + width] == k))
    return found


def _overlap(one: Instance, other: Instance) -> float:
    """Intersection over union of two instances, 0..1."""
    both = shared(one, other)
    return both / (one.area + other.area - both) if both else 0.0


def shared(one: Instance, other: Instance) -> int:
    """The number of pixels that belong to both instances."""
    left, top = max(one.left, other.left), max(one.top, other.top)
    right = min(one.left + one.mask.shape[1], other.left + other.mask.shape[1])
    bottom = min(one.top + one.mask.shape[0], other.top + other.mask.shape[0])
    if left >= right or top >= bottom:
        return 0
    parts = (
        each.mask[top - each.top : bottom - each.top, left - each.left : right - each.left] for each in (one, other)
    )
    return int(np.count_nonzero(np.logical_and(*parts)))
