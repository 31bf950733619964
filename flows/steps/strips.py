"""Strips: original, mask and result side by side, also of pictures that an earlier run finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial

import cv2
import numpy as np

from flows.errors import raise_if_environment
from flows.formats.drawings import mask_in_white, strip
from flows.formats.encoding import encode_image
from flows.formats.mask_files import decode_mask
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import container_of, decode
from flows.job import Job
from flows.outcome import Outcome
from flows.places.folders import Folders
from flows.places.layout import files_of
from flows.places.target import Target
from flows.threads.interrupts import until_interrupted
from flows.threads.pipeline import ahead, threads


def draw(target: Target, name: str, image: np.ndarray, mask: np.ndarray, result: np.ndarray) -> None:
    """Write strips/NAME: `image` and `result` (H×W×3 uint8) with `mask` (H×W bool) between them."""
    shown = encode_image(strip([image, mask_in_white(mask), result]), container_of(name))
    target.write(files_of(name).strip, shown)


def draw_missing(job: Job, folders: Folders, finished: Iterable[Outcome]) -> tuple[int, list[str]]:
    """Draw the strips of finished pictures that have none, from their files; nothing is painted again.

    Returns how many, and the names of pictures whose files are no longer their rows', which get no strip.
    """
    lacking = (
        row for row in finished if row.status == "removed" and not folders.target.has(files_of(row.source).strip)
    )
    drawn, others = 0, []
    with threads() as pool:
        for name, could in ahead(pool, partial(_draw_finished, job, folders), until_interrupted(lacking), 2):
            drawn += could
            if not could:
                others.append(name)
    return drawn, others


def _draw_finished(job: Job, folders: Folders, row: Outcome) -> tuple[str, bool]:
    name = row.source
    try:
        original, mask, result = (
            folders.source.read(name),
            folders.target.read(folders.target.mask(name)),
            folders.target.read(str(row.file_name)),
        )
        for data, sha in ((original, row.sha256_in), (mask, row.sha256_mask), (result, row.sha256_out)):
            if sha is not None and hashlib.sha256(data).hexdigest() != sha:
                return name, False
        image, painted = (decode(data, job.max_pixels).image for data in (original, result))
        draw(folders.target, name, image, decode_mask(mask, job.max_pixels), painted)
    except (BrokenPicture, UnsupportedPicture, OSError, ValueError, MemoryError, cv2.error) as error:
        raise_if_environment(error)
        return name, False
    return name, True
