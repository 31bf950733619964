"""Masks edited on the page: the edits are applied to the mask as it was found, and the result is written to masks/."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flows.formats.mask_files import decode_mask, encode_mask
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import orientation_of
from flows.job import MAX_PIXELS
from flows.outcome import Outcome
from flows.places.layout import files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.review.mask_edits import Edit, edited, outside
from flows.steps import thumbnails

PAINTABLE = ("removed", "masked", "nothing found", "failed")


def edit(target: Target, source: Callable[[], Source | None], outcome: Outcome, edits: Sequence[Edit]) -> None:
    """Write the mask of a picture after these edits, which replace all earlier edits.

    Without edits, it is the found mask again. A later run or redo uses it like one made by hand. `source` opens the
    originals, if they can be reached. Raises ValueError, with a message, for a mask that cannot be edited.
    """
    files = files_of(outcome.source)
    base = _base(target, outcome)
    if not edits:
        if target.has(files.edits):
            target.write(files.mask, base) if base else target.remove(files.mask)
            forget(target, outcome.source)
        return
    if outcome.status not in PAINTABLE or not outcome.width or not outcome.height:
        raise ValueError(f"{outcome.source!r} is {outcome.status}, and has no mask to edit")
    if lost := next((one for one in edits if outside(one, outcome.width, outcome.height)), None):
        raise ValueError(f"{json.dumps(lost.row())[:80]} lies outside {outcome.source!r}")
    orientation = _orientation(target, source, outcome, base)
    data = encode_mask(edited(_decoded(outcome, base), edits), orientation)
    if base:
        target.write(files.mask_before, base)
    written = target.write(files.mask, data)
    told = {"of": thumbnails.identity(outcome.row()), "written": written, "edits": [one.row() for one in edits]}
    target.write(files.edits, json.dumps(told).encode())


def forget(target: Target, name: str) -> None:
    """Forget that a mask was edited; it stays as it is."""
    for path in (files_of(name).edits, files_of(name).mask_before):
        target.remove(path)


def _base(target: Target, outcome: Outcome) -> bytes | None:
    """The mask to edit: the one before earlier edits, unless somebody has changed it since in another way."""
    files = files_of(outcome.source)
    there = target.read(files.mask) if target.has(files.mask) else None
    told = _told(target, files.edits)
    if told.get("of") != thumbnails.identity(outcome.row()) or told.get("written") != _sha256(there):
        forget(target, outcome.source)
        return there
    return target.read(files.mask_before) if target.has(files.mask_before) else None


def _told(target: Target, path: str) -> dict[str, Any]:
    try:
        told = json.loads(target.read(path))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _decoded(outcome: Outcome, data: bytes | None) -> np.ndarray:
    shape = outcome.height or 0, outcome.width or 0
    if data is None:
        return np.zeros(shape, bool)
    try:
        mask = decode_mask(data, max(MAX_PIXELS, shape[0] * shape[1]))
    except BrokenPicture as error:
        raise ValueError(f"the mask of {outcome.source!r} cannot be read: {error}") from error
    if mask.shape != shape:
        raise ValueError(f"the mask of {outcome.source!r} is not of the picture's size")
    return mask


def _orientation(target: Target, source: Callable[[], Source | None], outcome: Outcome, base: bytes | None) -> int:
    """The stored orientation of a mask, which is its picture's."""
    if base is not None:
        return orientation_of(base, MAX_PIXELS, as_mask=True) or 1
    try:
        if outcome.file_name:
            return orientation_of(target.read(outcome.file_name)) or 1
        if (originals := source()) is None:
            raise FileNotFoundError("its source is not there")
        return orientation_of(originals.read(outcome.source)) or 1
    except (OSError, BrokenPicture, UnsupportedPicture) as error:
        raise ValueError(f"{outcome.source!r} cannot be read, so how it is turned is not known: {error}") from error


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
