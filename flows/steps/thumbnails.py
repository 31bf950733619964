"""Small pictures for the review page: before, after and mask, cut around the mask; kept in .cleanplate/report/."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from flows.errors import raise_if_environment
from flows.formats.encoding import encode
from flows.formats.mask_files import decode_mask
from flows.formats.metadata import Metadata
from flows.formats.picture import BrokenPicture, Picture, UnsupportedPicture
from flows.formats.pictures import decode
from flows.outcome import Outcome, digest
from flows.places.layout import REPORT, STAGE, THUMBNAILS, files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.threads.pipeline import ahead, threads

SIDE = 480  # pixels of the longer side at most
AROUND = 2.0  # window side as a multiple of the mask's box, as --context cuts for the model
LEAST = 0.3  # of the picture's own side; a smaller window would not show where it is
MASK_COLOUR = (255, 0, 128)  # rare in photographs

Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the upright picture


@dataclass(frozen=True)
class Thumbnails:
    """The small pictures of one row: the window that they show, and the path below the target of each kind.

    `middle` is the mask's horizontal centre in the window, in percent from the left.
    """

    window: Window
    middle: int
    paths: dict[str, str]


def keep(
    target: Target,
    outcome: Outcome,
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    icc: bytes | None = None,
) -> None:
    """Write the thumbnails of a row from the given images (H×W×3 uint8) and mask (H×W bool). Older ones are removed.

    `icc` is the colour profile of the images: without it they would differ from the picture that the page zooms into.
    """
    whole = next((one for one in (before, after, mask) if one is not None), None)
    if whole is None:
        return
    window = window_of(mask, *whole.shape[:2])
    version, shown = _version(outcome.row()), "-".join(map(str, (*window, _middle(mask, window))))
    files, made = files_of(outcome.source), {}
    for kind, image in (("before", before), ("after", after), ("mask", mask)):
        if image is not None:
            made[f"{files.thumbnails[kind]}{version}.{shown}.{THUMBNAILS[kind]}"] = _encoded(_small(image, window), icc)
    target.remove_thumbnails(files, but=made)
    for path, data in made.items():
        target.write(path, data)


def adopt(target: Target, source: str) -> None:
    """Replace a picture's thumbnails by the staged ones of its redo."""
    files = files_of(source)
    target.remove_thumbnails(files)
    for start in files.staged().thumbnails.values():
        place, _, owner = start.rpartition("/")
        for new in target.below(place):
            if new.startswith(owner):
                target.move(f"{place}/{new}", f"{place.removeprefix(f'{STAGE}/')}/{new}")


def find(target: Target) -> dict[str, dict[str, str]]:
    """The thumbnails of a target: paths by kind, by owner; for `of`."""
    found: dict[str, dict[str, str]] = {}
    for kind in THUMBNAILS:
        for name in target.below(f"{REPORT}/{kind}"):
            owner = name.rpartition("/")[2].partition(".")[0]
            found.setdefault(owner, {})[kind] = f"{REPORT}/{kind}/{name}"
    return found


def of(found: Mapping[str, dict[str, str]], row: Mapping[str, Any]) -> Thumbnails | None:
    """The thumbnails of a row, or None if they show another result."""
    owner, version = digest(row["source"]), _version(row)
    paths = {kind: path for kind, path in found.get(owner, {}).items() if f"/{owner}.{version}." in path}
    if not paths:
        return None
    left, top, right, bottom, middle = map(int, next(iter(paths.values())).split(".")[-2].split("-"))
    return Thumbnails((left, top, right, bottom), middle, paths)


def identity(row: Mapping[str, Any]) -> str:
    """An identifier of a picture with its present result; a decision is about both."""
    return f"{digest(row['source'])}.{_version(row)}"


def make(target: Target, rows: Iterable[Mapping[str, Any]], source: Source | None = None) -> None:
    """Make thumbnails from the files that are there, for rows without: of an older run, or of masks alone.

    Those of originals need a `source` on this machine.
    """
    with threads() as pool:
        for _ in ahead(pool, partial(_make, target, source), rows, 8):
            pass


def window_of(mask: np.ndarray | None, height: int, width: int) -> Window:
    """The part that a thumbnail shows: the surroundings of the mask (H×W bool), or everything without one."""
    if mask is None or not mask.any():
        return 0, 0, width, height
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = AROUND * max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    left, right = _span(int(columns[0]), int(columns[-1]) + 1, side, width)
    top, bottom = _span(int(rows[0]), int(rows[-1]) + 1, side, height)
    return left, top, right, bottom


def _middle(mask: np.ndarray | None, window: Window) -> int:
    if mask is None or not mask.any():
        return 50
    columns = np.flatnonzero(mask.any(axis=0))
    return round(100 * ((columns[0] + columns[-1] + 1) / 2 - window[0]) / (window[2] - window[0]))


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


def _encoded(small: np.ndarray, icc: bytes | None) -> bytes:
    """An image as JPEG, or a mask as PNG that is coloured inside the mask and transparent outside."""
    if small.ndim == 2:
        colour = np.full((*small.shape, 3), MASK_COLOUR, np.uint8)
        return encode(Picture(colour, small, False, "PNG"), colour)
    image = np.ascontiguousarray(small)
    encoder_options = {"quality": 80} if max(small.shape) > SIDE // 2 else {"quality": 95, "subsampling": "4:4:4"}
    return encode(Picture(image, None, False, "JPEG", Metadata(encoder_options=encoder_options, icc=icc)), image)


def _make(target: Target, source: Source | None, row: Mapping[str, Any]) -> None:
    outcome = Outcome(**{key: row.get(key) for key in Outcome.__dataclass_fields__})  # type: ignore[arg-type]
    before, after = _opened(lambda: _original(source, outcome)), _opened(lambda: _result(target, outcome))
    mask = _mask(target, outcome)
    was, now = (one.image if one else None for one in (before, after))
    sizes = {one.shape[:2] for one in (was, now, mask) if one is not None}
    if len(sizes) == 1:  # otherwise somebody changed a file, and they are not of one picture
        keep(target, outcome, was, now, mask, profile(after or before))


def profile(picture: Picture | None) -> bytes | None:
    """The colour profile for a picture's RGB image; None for a grey picture, whose profile would not fit."""
    return picture.metadata.icc if picture and not picture.grey else None


def _result(target: Target, outcome: Outcome) -> bytes | None:
    return target.read(outcome.file_name) if outcome.file_name else None


def _original(source: Source | None, outcome: Outcome) -> bytes | None:
    if source is None or source.root is None or outcome.status not in ("removed", "masked", "failed"):
        return None  # the source is out of reach, or what is in images/ is the original
    if outcome.sha256_in is None:
        return None  # it could not be read, or has more bytes than fit into memory
    data = source.read(outcome.source)
    return data if hashlib.sha256(data).hexdigest() == outcome.sha256_in else None  # it may have changed


def _opened(read: Callable[[], bytes | None]) -> Picture | None:
    try:
        data = read()
        return decode(data) if data else None
    except (BrokenPicture, UnsupportedPicture, OSError, MemoryError) as error:
        raise_if_environment(error)
        return None


def _mask(target: Target, outcome: Outcome) -> np.ndarray | None:
    try:
        return decode_mask(target.read(target.mask(outcome.source))) if outcome.mask_file_name else None
    except (BrokenPicture, UnsupportedPicture, OSError, MemoryError) as error:
        raise_if_environment(error)
        return None


def _version(row: Mapping[str, Any]) -> str:
    return digest([row.get(key) for key in ("sha256_in", "sha256_out", "mask_area")])[:8]
