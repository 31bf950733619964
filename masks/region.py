"""The region of a picture to search: a box in pixels or in shares of its sides."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from masks.prompts import Found, nothing


@dataclass(frozen=True)
class Region:
    """A box (left, top, right, bottom); each side is pixels, or with `relative` a share (0..1) of width or height."""

    sides: tuple[float, float, float, float]
    relative: tuple[bool, bool, bool, bool] = (False, False, False, False)

    @classmethod
    def parse(cls, text: str) -> Region:
        """From "x0,y0,x1,y1", each a number of pixels or a share such as 50%. Raises ValueError for anything else."""
        parts = [part.strip() for part in text.split(",")]
        relative = tuple(part.endswith("%") for part in parts)
        try:
            numbers = [float(part.removesuffix("%")) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not all(0 <= number < math.inf for number in numbers):
            raise ValueError(f"a region is x0,y0,x1,y1 in pixels or shares, such as 0,50%,100%,100%, not {text!r}")
        if any(share and number > 100 for number, share in zip(numbers, relative, strict=True)):
            raise ValueError(f"a share of the picture's side is at most 100%, not as in {text!r}")
        sides = tuple(number / 100 if share else number for number, share in zip(numbers, relative, strict=True))
        for low, high in ((0, 2), (1, 3)):
            if relative[low] == relative[high] and sides[low] >= sides[high]:
                raise ValueError(f"a region has x0 < x1 and y0 < y1, unlike {text!r}")
        return cls((sides[0], sides[1], sides[2], sides[3]), (relative[0], relative[1], relative[2], relative[3]))

    def of(self, image: np.ndarray) -> tuple[slice, slice]:
        """The rows and columns of an image (H×W or H×W×3) in the region. Raises ValueError if there are none."""
        height, width = image.shape[:2]
        left, top, right, bottom = (
            side * whole if share else side
            for side, share, whole in zip(self.sides, self.relative, (width, height, width, height), strict=True)
        )
        rows = slice(min(height, math.floor(top)), min(height, math.ceil(bottom)))
        columns = slice(min(width, math.floor(left)), min(width, math.ceil(right)))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(f"the region holds no pixel of the picture, which is {width}×{height} pixels")
        return rows, columns


def placed(found: Found, image: np.ndarray, part: tuple[slice, slice]) -> Found:
    """A find in a part (rows, columns) of an image, in pixels of the whole image."""
    whole = nothing(image)
    if not found:
        return whole
    rows, columns = part
    whole.mask[rows, columns] = found.mask
    x, y = columns.start, rows.start
    boxes = tuple((left + x, top + y, right + x, bottom + y) for left, top, right, bottom in found.boxes)
    moved = tuple(replace(one, left=one.left + x, top=one.top + y) for one in found.instances)
    return Found(whole.mask, found.score, boxes, moved)


def cut_off(found: Found, part: tuple[slice, slice]) -> Found:
    """A find clipped to a part (rows, columns) of its image, with its boxes and instances."""
    mask = np.zeros_like(found.mask)
    mask[part] = found.mask[part]
    if not mask.any():
        return nothing(mask)
    whole = [one.within(part) for one in found.instances]
    instances = tuple(one for one in whole if one is not None)
    return Found(mask, found.score, tuple(one.box for one in instances) or found.boxes, instances)
