"""Given masks and annotations: read, joined, and used as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from flows.formats.mask_files import read_mask
from flows.formats.mask_orientation import as_given
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.job import Job
from flows.places.sizes import read_picture
from flows.requests.request import Request
from flows.steps.mask_limits import EMPTY
from masks import Found
from masks.prompts import nothing, union

Drawn = tuple[np.ndarray, str | None]  # a mask, and a message about how it was read


def read(
    job: Job, request: Request, width: int, height: int, orientation: int = 1
) -> tuple[Found | Exception, str | None]:
    """The given mask for an upright picture of that size, stored with that orientation, and a message about how it was
    read; an exception if it is invalid.
    """
    drawn, told = [], []
    for reading, where in _given(job, request, width, height, orientation):
        try:
            mask, said = reading()
        except (BrokenPicture, UnsupportedPicture, OSError, MemoryError, ValueError) as error:
            return ValueError(f"its mask {where} cannot be read: {error}"), None
        if mask.shape != (height, width):
            size = f"{mask.shape[1]}×{mask.shape[0]} pixels, the upright picture {width}×{height}"
            return ValueError(f"its mask {where} is {size}; they must be the same"), None
        drawn.append(Found(mask, 1.0) if mask.any() else nothing(mask))
        told.append(said)
    return union(drawn), "; ".join(dict.fromkeys(filter(None, told))) or None


def why_empty(request: Request) -> str:
    """The reason why a readable mask is empty."""
    return f"no pixel of its mask has the label {' or '.join(map(str, request.labels))}" if request.labels else EMPTY


def _given(
    job: Job, request: Request, width: int, height: int, orientation: int
) -> Iterator[tuple[Callable[[], Drawn], Path | str]]:
    """A reader for each mask of a picture, and the mask's path."""
    if request.region is not None:
        yield partial(request.region.mask, width, height), f"in {job.coco}"
    for file in request.masks:
        yield partial(_of_file, file, request, job.max_pixels, (height, width), orientation), file


def _of_file(file: Path, request: Request, max_pixels: int, shape: tuple[int, int], orientation: int) -> Drawn:
    data = read_picture(file, max_pixels)
    found = read_mask(data, request.labels, request.clear, max_pixels)
    return as_given(found.mask, data, shape, orientation), found.told
