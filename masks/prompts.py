"""Prompts, and the finds of segmenters. Coordinates are pixels of the upright image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from masks.morphology import outline


@dataclass(frozen=True)
class TextPrompt:
    """A phrase that names what to find, such as "red ball"; every instance of it is meant.

    `threshold` (0..1) is the least score of a find; None means the segmenter's own.
    """

    text: str
    threshold: float | None = None

    def __post_init__(self):
        if not self.text.strip():
            raise ValueError("a text prompt needs a phrase, such as 'red ball'")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"a threshold lies between 0 and 1, as in 'dog@0.4', not {self.threshold:g}")

    @classmethod
    def parse(cls, text: str) -> TextPrompt:
        """A phrase, or a phrase with a threshold of its own: "dog@0.4". Only a number after the last @ counts."""
        phrase, at, number = text.rpartition("@")
        if at and re.fullmatch(r"\s*-?(\d+(\.\d+)?|\.\d+)\s*", number):
            return cls(phrase.strip(), float(number))
        return cls(text)


@dataclass(frozen=True)
class PointPrompt:
    """Points (x, y, label) for one object: label 1 is on it, 0 on something that is not meant."""

    points: tuple[tuple[float, float, int], ...]

    def __post_init__(self):
        object.__setattr__(self, "points", tuple(_point(point) for point in self.points))
        if not any(label == 1 for _, _, label in self.points):
            raise ValueError("a point prompt needs at least one point on the object (label 1)")


@dataclass(frozen=True)
class BoxPrompt:
    """A box (left, top, right, bottom) around one object."""

    box: tuple[float, float, float, float]

    def __post_init__(self):
        if len(self.box) != 4 or not (self.box[0] < self.box[2] and self.box[1] < self.box[3] and _finite(self.box)):
            raise ValueError(f"a box is left, top, right, bottom with left < right and top < bottom, not {self.box}")


Prompt = TextPrompt | PointPrompt | BoxPrompt


def threshold_of(prompt: Prompt, usual: float) -> float:
    """The least score of a find, 0..1: the prompt's own threshold, else the usual one."""
    own = prompt.threshold if isinstance(prompt, TextPrompt) else None
    return usual if own is None else own


@dataclass(frozen=True)
class Instance:
    """One object of a find: `mask` h×w bool, cropped to the object's box, with its corner at `left`, `top` (pixels)."""

    left: int
    top: int
    mask: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Instance:
        """The instance of a mask (H×W bool) that is not empty."""
        left, top, right, bottom = (int(side) for side in outline(mask))
        return cls(left, top, mask[top:bottom, left:right].copy())

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns of the whole picture that `mask` covers."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in the whole picture."""
        rows, columns = self.place
        return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)

    def within(self, part: tuple[slice, slice]) -> Instance | None:
        """Its part within some rows and columns of the picture, or None."""
        (rows, columns), (own_rows, own_columns) = part, self.place
        top, bottom = max(rows.start, own_rows.start), min(rows.stop, own_rows.stop)
        left, right = max(columns.start, own_columns.start), min(columns.stop, own_columns.stop)
        if top >= bottom or left >= right:
            return None
        cut = self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]
        if not cut.any():
            return None
        inner = Instance.of(cut)
        return Instance(inner.left + left, inner.top + top, inner.mask)


@dataclass(frozen=True)
class Found:
    """A segmenter's result: `mask` H×W bool, `score` 0..1 (0 when nothing was found), `boxes` one per instance.

    `instances` are the objects that make up the mask, if the segmenter tells them apart; otherwise it is empty.
    """

    mask: np.ndarray
    score: float = 0.0
    boxes: tuple[tuple[float, float, float, float], ...] = field(default=())
    instances: tuple[Instance, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.mask.any())


class Segmenter(Protocol):
    """Anything of this shape fits: one Found per image, for one prompt each."""

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]: ...


def outside(prompt: Prompt, image: np.ndarray) -> str | None:
    """A message about points or a box outside an image (H×W×3); None if they are inside."""
    height, width = image.shape[:2]
    if isinstance(prompt, PointPrompt):
        for x, y, _ in prompt.points:
            if not (0 <= x < width and 0 <= y < height):
                return f"point {x:g},{y:g} lies outside the picture of {width}×{height} pixels"
    elif isinstance(prompt, BoxPrompt):
        left, top, right, bottom = prompt.box
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            return f"box {prompt.box} lies outside the picture of {width}×{height} pixels"
    return None


def nothing(image: np.ndarray) -> Found:
    """The find for an image (H×W×3) without the object."""
    return Found(np.zeros(image.shape[:2], bool))


def all_of(image: np.ndarray, objects: list[tuple[Instance, float]]) -> Found:
    """Objects of an image (H×W×3), each with its score 0..1, as one find. Its score is the lowest of them."""
    if not objects:
        return nothing(image)
    whole = np.zeros(image.shape[:2], bool)
    for one, _ in objects:
        whole[one.place] |= one.mask
    instances = tuple(one for one, _ in objects)
    return Found(whole, min(score for _, score in objects), tuple(one.box for one in instances), instances)


def union(found: list[Found]) -> Found:
    """Several finds in one image as one: their masks joined, the lowest score of those that found something."""
    hits = [f for f in found if f]
    if not hits:
        return found[0]
    mask = np.any([f.mask for f in hits], axis=0)
    told = all(f.instances for f in hits)  # otherwise a part of the mask would belong to no instance
    instances = tuple(one for f in hits for one in f.instances) if told else ()
    return Found(mask, min(f.score for f in hits), tuple(box for f in hits for box in f.boxes), instances)


def _point(point) -> tuple[float, float, int]:
    if len(point) == 2 and _finite(point):
        return (*point, 1)
    if len(point) == 3 and point[2] in (0, 1) and _finite(point):
        return tuple(point)
    raise ValueError(f"a point is x, y or x, y, label with label 1 (object) or 0 (background), not {point}")


def _finite(numbers) -> bool:
    return all(math.isfinite(number) for number in numbers)
