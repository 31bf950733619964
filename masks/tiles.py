"""Small things in large pictures: overlapping parts are searched as well as the whole, and the finds are merged.

The slicing of SAHI (Akyon et al. 2022, arXiv 2202.06934), without that library, which wraps its own detectors and
merges boxes or masks of the whole picture's size. Here every find is a mask cropped to its object, and only the area
that two views share decides whether they found the same thing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from masks.prompts import Found, Instance, Prompt, Segmenter, TextPrompt
from masks.selection import distinct, shared

Part = tuple[slice, slice]  # rows and columns of a picture

LARGE = 12_000_000  # pixels from which "auto" searches parts
SEEN = 1333  # pixels of the longer side that detectors such as Grounding DINO scale a picture to
LEAST = 128  # pixels of a part's side; no network here takes fewer
OVERLAP = 0.2  # of a part's side: a thing of that size is complete in one of them
TOGETHER = 16  # parts that are looked at together
SAME = 0.5  # of the smaller of two finds, within both views: with this much in common they are one thing


@dataclass(frozen=True)
class Sight:
    """A thing as it was found in a part of a picture, in pixels of the whole; `score` 0..1 is that of the part."""

    part: Part
    thing: Instance
    score: float


class Tiled:
    """A segmenter that also looks for text in parts of every picture. Points and boxes do not need that.

    `parts` is how many there are along the longer side (as many along the other as make them square); "auto" takes
    what `segment` can see at full size, in pictures of 12 megapixels or more.
    """

    def __init__(self, segment: Segmenter, parts: int | Literal["auto"]):
        self.segment, self.parts = segment, parts

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each. TOGETHER parts at a time are in memory."""
        found = list(self.segment(images, prompts))
        phrases: dict[int, list[int]] = {}
        for k, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
            if isinstance(prompt, TextPrompt):
                phrases.setdefault(id(image), []).append(k)
        for rows in phrases.values():
            image = images[rows[0]]
            parts = parts_of(image, self.parts)
            if len(parts) > 1:
                looked = self._look(image, parts, [prompts[k] for k in rows])
                for k, closer in zip(rows, looked, strict=True):
                    found[k] = _merged(found[k], closer)
        return found

    def _look(self, image: np.ndarray, parts: list[Part], phrases: list[Prompt]) -> list[list[Sight]]:
        """What each phrase finds in the parts of an image. A part goes in once, however many phrases there are."""
        sights: list[list[Sight]] = [[] for _ in phrases]
        for first in range(0, len(parts), TOGETHER):
            some = parts[first : first + TOGETHER]
            cuts = [np.ascontiguousarray(image[part]) for part in some]
            answers = iter(self.segment([cut for cut in cuts for _ in phrases], phrases * len(cuts)))
            for part in some:
                for own in sights:
                    own += _sights(part, next(answers))
        return sights


def parts_of(image: np.ndarray, parts: int | Literal["auto"]) -> list[Part]:
    """Overlapping parts (rows, columns) that cover an image (H×W×3); a single one for the image as a whole."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if parts == "auto":
        parts = math.ceil(longer / SEEN) if height * width >= LARGE else 1
    side = max(longer / parts, LEAST)
    rows, columns = (_stretches(size, max(1, round(size / side))) for size in (height, width))
    return [(row, column) for row in rows for column in columns]


def _stretches(size: int, count: int) -> list[slice]:
    """`count` stretches of equal length that cover `size` pixels; neighbours share OVERLAP of it."""
    length = math.ceil(size / (count - (count - 1) * OVERLAP))
    starts = [round(k * (size - length) / max(1, count - 1)) for k in range(count)]
    return [slice(start, start + length) for start in starts]


def _sights(part: Part, found: Found) -> list[Sight]:
    """Every object of a find in a part of a picture, in pixels of the whole."""
    rows, columns = part
    moved = [replace(one, left=one.left + columns.start, top=one.top + rows.start) for one in distinct(found)]
    return [Sight(part, one, found.score) for one in moved]


def _merged(whole: Found, closer: list[Sight]) -> Found:
    """Everything that was found in a picture and its parts, each thing once. The score is the lowest of all finds."""
    height, width = whole.mask.shape
    sights = [*_sights((slice(0, height), slice(0, width)), whole), *closer]
    if not closer:
        return whole
    things = tuple(_joined(some) for some in _groups(sights))
    mask = np.zeros((height, width), bool)
    for thing in things:
        mask[thing.place] |= thing.mask
    return Found(mask, min(one.score for one in sights), tuple(thing.box for thing in things), things)


def _groups(sights: list[Sight]) -> list[list[Instance]]:
    """The finds of the same thing, together."""
    group = [*range(len(sights))]
    for k, sight in enumerate(sights):
        for other in range(k):
            if group[other] != group[k] and _are_one(sight, sights[other]):
                group = [group[k] if each == group[other] else each for each in group]
    return [
        [sight.thing for sight, of in zip(sights, group, strict=True) if of == which] for which in dict.fromkeys(group)
    ]


def _are_one(sight: Sight, other: Sight) -> bool:
    """True if two views found the same thing: within both views, most of the smaller find lies in the other.

    A view is trusted to tell its own finds apart.
    """
    if sight.part == other.part or not _near(sight.thing, other.thing):
        return False
    common = (_common(sight.part[0], other.part[0]), _common(sight.part[1], other.part[1]))
    first, second = sight.thing.within(common), other.thing.within(common)
    if first is None or second is None:
        return False
    return shared(first, second) > SAME * min(first.area, second.area)


def _near(one: Instance, other: Instance) -> bool:
    """True if the boxes of two finds have pixels in common."""
    (rows, columns), (other_rows, other_columns) = one.place, other.place
    return _length(_common(rows, other_rows)) > 0 and _length(_common(columns, other_columns)) > 0


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _length(stretch: slice) -> int:
    return stretch.stop - stretch.start


def _joined(some: list[Instance]) -> Instance:
    """Several finds of one thing, joined: all their pixels."""
    if len(some) == 1:
        return some[0]
    left, top = min(one.left for one in some), min(one.top for one in some)
    right = max(one.place[1].stop for one in some)
    mask = np.zeros((max(one.place[0].stop for one in some) - top, right - left), bool)
    for one in some:
        rows, columns = one.place
        mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] |= one.mask
    return Instance(left, top, mask)
