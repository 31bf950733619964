"""Small pictures for the review page: before, after and mask, cut around the mask; kept in .cleanplate/report/."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from flows.encoding import encode
from flows.faults import raise_if_environment
from flows.folder import PRIVATE, Folder
from flows.mask_files import decode_mask
from flows.metadata import Kept
from flows.pictures import BrokenPicture, Picture, UnsupportedPicture, decode
from flows.pipeline import ahead, threads
from flows.records import Outcome, digest

REPORT = f"{PRIVATE}/report"
KINDS = {"before": "jpg", "after": "jpg", "mask": "png"}
SIDE = 480  # pixels of the longer side at most
AROUND = 2.0  # window side as a multiple of the mask's box, as --context cuts for the model
LEAST = 0.3  # of the picture's own side; a window on less would not show where it is
MASK_COLOUR = (255, 0, 128)  # rare in photographs

Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the upright picture


@dataclass(frozen=True)
class Thumbnails:
    """The small pictures of one row: the window that they show, and the path below the target of each kind."""

    window: Window
    paths: dict[str, str]


def keep(
    folder: Folder,
    outcome: Outcome,
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> None:
    """Write the thumbnails of a row: images H×W×3 uint8, mask H×W bool, whichever there are. Older ones go."""
    whole = next((one for one in (before, after, mask) if one is not None), None)
    if whole is None:
        return
    window = window_of(mask, *whole.shape[:2])
    owner, version = _key(outcome.row())
    for kind, image in (("before", before), ("after", after), ("mask", mask)):
        place = f"{REPORT}/{kind}/{owner[:2]}"
        path = f"{owner}.{version}.{'-'.join(map(str, window))}.{KINDS[kind]}"
        for old in _listed(folder, place):
            if old.startswith(owner) and (image is None or old != path):
                folder.remove(f"{place}/{old}")
        if image is not None:
            folder.write(f"{place}/{path}", _encoded(_small(image, window)))


def find(folder: Folder) -> dict[str, dict[str, str]]:
    """The thumbnails that a target has: paths by kind, by owner; for `of`."""
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        for part in _listed(folder, f"{REPORT}/{kind}"):
            for name in _listed(folder, f"{REPORT}/{kind}/{part}"):
                found.setdefault(name.partition(".")[0], {})[kind] = f"{REPORT}/{kind}/{part}/{name}"
    return found


def of(found: Mapping[str, dict[str, str]], row: Mapping[str, Any]) -> Thumbnails | None:
    """Those of a row, unless they show another result than the row's own."""
    owner, version = _key(row)
    paths = {kind: path for kind, path in found.get(owner, {}).items() if f"/{owner}.{version}." in path}
    if not paths:
        return None
    left, top, right, bottom = map(int, next(iter(paths.values())).split(".")[-2].split("-"))
    return Thumbnails((left, top, right, bottom), paths)


def identity(row: Mapping[str, Any]) -> str:
    """Names a picture together with the result that it has now; a decision is on both."""
    return ".".join(_key(row))


def make(folder: Folder, rows: Iterable[Mapping[str, Any]]) -> None:
    """Thumbnails from the files that are there, for rows without: of an older run, or under masks alone."""
    with threads() as pool:
        for _ in ahead(pool, partial(_make, folder), rows, 8):
            pass


def window_of(mask: np.ndarray | None, height: int, width: int) -> Window:
    """What a thumbnail shows: the surroundings of the mask (H×W bool), or everything without one."""
    if mask is None or not mask.any():
        return 0, 0, width, height
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = AROUND * max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    left, right = _span(int(columns[0]), int(columns[-1]) + 1, side, width)
    top, bottom = _span(int(rows[0]), int(rows[-1]) + 1, side, height)
    return left, top, right, bottom


def _span(first: int, last: int, side: float, limit: int) -> tuple[int, int]:
    wanted = min(limit, round(max(side, LEAST * limit)))
    start = min(max(0, (first + last - wanted) // 2), limit - wanted)
    return start, start + wanted


def _small(image: np.ndarray, window: Window) -> np.ndarray:
    left, top, right, bottom = window
    cut = image[top:bottom, left:right]
    cut = cut * np.uint8(255) if cut.dtype == bool else cut
    scale = min(1.0, SIDE / max(cut.shape[:2]))
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA) if scale < 1 else cut


def _encoded(small: np.ndarray) -> bytes:
    """A JPEG of an image, or of a mask a PNG that colours what is masked and lets the rest through."""
    if small.ndim == 2:
        colour = np.full((*small.shape, 3), MASK_COLOUR, np.uint8)
        return encode(Picture(colour, small, False, "PNG"), colour)
    image = np.ascontiguousarray(small)
    quality = {"quality": 80} if max(small.shape) > SIDE // 2 else {"quality": 95, "subsampling": 0}
    return encode(Picture(image, None, False, "JPEG", Kept(how=quality)), image)


def _make(folder: Folder, row: Mapping[str, Any]) -> None:
    outcome = Outcome(**{key: row.get(key) for key in Outcome.__dataclass_fields__})  # type: ignore[arg-type]
    after, mask, before = (read(folder, outcome) for read in (_after, _mask, _before))
    shapes = {one.shape[:2] for one in (after, mask, before) if one is not None}
    if len(shapes) == 1:  # others are not of one picture: somebody changed a file
        keep(folder, outcome, before, after, mask)


def _after(folder: Folder, outcome: Outcome) -> np.ndarray | None:
    return _image(folder.path(outcome.file_name).read_bytes) if outcome.file_name else None


def _mask(folder: Folder, outcome: Outcome) -> np.ndarray | None:
    if not outcome.mask_file_name:
        return None
    try:
        return decode_mask(folder.mask(outcome.source).read_bytes())
    except (BrokenPicture, UnsupportedPicture, OSError) as error:
        raise_if_environment(error)
        return None


def _before(folder: Folder, outcome: Outcome) -> np.ndarray | None:
    if folder.source == folder.target or outcome.status not in ("removed", "masked", "failed"):
        return None  # the source is not known, or what is in images/ is the original

    def same() -> bytes:
        data = folder.read(outcome.source)
        if hashlib.sha256(data).hexdigest() != outcome.sha256_in:
            raise BrokenPicture("it is another picture by now")
        return data

    return _image(same)


def _image(read: Any) -> np.ndarray | None:
    try:
        return decode(read()).image
    except (BrokenPicture, UnsupportedPicture, OSError) as error:
        raise_if_environment(error)
        return None


def _listed(folder: Folder, relative: str) -> Iterator[str]:
    try:
        yield from os.listdir(folder.path(relative))
    except (FileNotFoundError, NotADirectoryError):
        return


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return digest(row["source"]), digest([row.get(key) for key in ("sha256_in", "sha256_out", "mask_area")])[:8]
