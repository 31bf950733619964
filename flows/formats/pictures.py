"""Bytes to pictures: opens strictly, upright, and refuses pictures that would be narrowed or are damaged."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from flows.formats import heic, png_packed
from flows.formats.containers import Av1, av1
from flows.formats.deep import GREY, is_deep, read_deep, view_of
from flows.formats.frames import behind, container, left_out
from flows.formats.metadata import read_metadata, stored_orientation
from flows.formats.orientation import LYING, STEPS, TAG
from flows.formats.picture import BrokenPicture, Picture, UnsupportedPicture
from flows.formats.png import tells_late
from flows.job import MAX_PIXELS

CONTAINERS = {
    **dict.fromkeys([".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"], "JPEG"), **dict.fromkeys([".tif", ".tiff"], "TIFF"),
    ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".avif": "AVIF", ".gif": "GIF",
    **dict.fromkeys(heic.SUFFIXES if heic.installed() else [], "HEIF"),
}  # fmt: skip
# By hand, since Pillow's own list has .mpg, .h5 and .eps.
SUFFIXES = frozenset(CONTAINERS)
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF")  # JPEG opens MPO too
Image.MAX_IMAGE_PIXELS = None  # `_refuse` checks the size before decoding; Pillow's limit is global to all threads
STARTS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
}
T = TypeVar("T")


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a whole picture. Raises UnsupportedPicture or BrokenPicture; never narrows or fills in silently."""
    opened, upright, orientation = _not_broken(lambda: _loaded(data, max_pixels), data)
    of, without = container(opened), _left_out(opened, data)
    beside = _not_broken(lambda: read_metadata(opened, orientation, data), data)
    if is_deep(opened, data):
        deep = _deep(opened, data)
        return Picture(*view_of(deep), deep.ndim == 2, of, beside, deep, without, None, orientation)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    whole = np.array(upright if upright.mode == mode else upright.convert(mode))
    alpha = whole[..., 3].copy() if mode == "RGBA" else None
    grey = upright.mode in ("1", "L", "LA")
    source = data if of == "JPEG" else None
    return Picture(np.ascontiguousarray(whole[..., :3]), alpha, grey, of, beside, None, without, source, orientation)


def _left_out(opened: Image.Image, data: bytes) -> str | None:
    """A message about what is left out beside a changed picture; None for nothing."""
    said = [left_out(opened), png_packed.shown(data).left_out, behind(opened, data)]
    return "; ".join(filter(None, said)) or None


def open_upright(data: bytes, max_pixels: int = MAX_PIXELS, as_mask: bool = False) -> tuple[Image.Image, Image.Image]:
    """A picture with its pixels loaded, as stored and upright. Raises UnsupportedPicture or BrokenPicture.

    A picture that is only read `as_mask` may have pixels that could not be written again.
    """
    opened, upright, _ = _not_broken(lambda: _loaded(data, max_pixels, as_mask), data)
    return opened, upright


def orientation_of(data: bytes, max_pixels: int = MAX_PIXELS, as_mask: bool = False) -> int | None:
    """The orientation in a picture's tags, 1 to 8; None if they have none. Raises as `open_upright` does."""

    def looking() -> int | None:
        opened = _opened(data, max_pixels, as_mask)
        whole = opened.format == "PNG" and tells_late(data)
        # Not by the method of a PNG, which loads the pixels, since EXIF may follow them.
        orientation = (opened.getexif() if whole else Image.Image.getexif(opened)).get(TAG)
        return orientation if orientation in STEPS else None

    return _not_broken(looking, data)


def measure(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an upright picture, in most containers from the header alone.

    Raises UnsupportedPicture or BrokenPicture for a faulty header; the pixels may still be broken.
    """

    def measuring() -> tuple[int, int]:
        opened = _opened(data, max_pixels)
        if opened.format not in ("JPEG", "PNG", "WEBP") or (opened.format == "PNG" and tells_late(data)):
            upright = open_upright(data, max_pixels)[1]
            return upright.height, upright.width
        # Not by the method of a PNG, which loads the pixels, since EXIF may follow them.
        turned = Image.Image.getexif(opened).get(TAG) in LYING
        return (opened.width, opened.height) if turned else (opened.height, opened.width)

    return _not_broken(measuring, data)


def container_of(name: str) -> str:
    """The container of a name's suffix."""
    return CONTAINERS[suffix_of(name)]


def suffix_of(name: str) -> str:
    return Path(name).suffix.lower()


def _opened(data: bytes, max_pixels: int, as_mask: bool = False) -> Image.Image:
    """A picture without its pixels loaded. Raises UnsupportedPicture if its header rules it out."""
    read = png_packed.shown(data)
    more = heic.opening() if data[4:8] == b"ftyp" else ()
    opened = Image.open(io.BytesIO(read.data), formats=(*FORMATS, *more))
    opened.info |= {key: value for key, value in (("icc_profile", read.icc), ("xmp", read.xmp)) if value}
    _refuse(opened, max_pixels)
    if not as_mask:
        _refuse_narrowing(opened, data)
    return opened


def _loaded(data: bytes, max_pixels: int, as_mask: bool = False) -> tuple[Image.Image, Image.Image, int]:
    """A picture with its pixels, the same upright, and the orientation it is stored with."""
    opened = _opened(data, max_pixels, as_mask)
    orientation = stored_orientation(opened)  # before loading, when Pillow turns a TIFF
    opened.load()
    return opened, ImageOps.exif_transpose(opened) if stored_orientation(opened) != 1 else opened, orientation


def _refuse(opened: Image.Image, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:
        raise BrokenPicture(
            f"too many pixels: {opened.width}×{opened.height} (--max-pixels {opened.width * opened.height} allows them)"
        )
    try:
        left_out(opened)
    except ValueError as error:
        raise UnsupportedPicture(str(error)) from error


def _refuse_narrowing(opened: Image.Image, data: bytes) -> None:
    deep = is_deep(opened, data)
    if opened.mode not in ("RGB", "RGBA", "L", "LA", "P", "1", "PA", *(GREY if deep else ())):
        raise UnsupportedPicture(f"its pixels are {opened.mode}; changing them would narrow them to 8-bit RGB")
    if opened.format == "TIFF" and not deep and max(opened.tag_v2.get(258, (8,))) > 8:  # type: ignore[attr-defined]
        raise UnsupportedPicture("its pixels have more than 8 bits; changing them would narrow them")
    if opened.format == "AVIF":
        _refuse_avif(av1(data))
    if (bits := opened.info.get("bit_depth", 8)) > 8:  # of a HEIC
        raise UnsupportedPicture(f"its pixels have {bits} bits; changing them would narrow them to 8")
    if opened.format == "GIF":
        raise UnsupportedPicture("a GIF's palette cannot hold a repainted patch exactly")


def _refuse_avif(told: Av1) -> None:
    if told.bits > 8:
        raise UnsupportedPicture(f"its pixels have {told.bits} bits; changing them would narrow them to 8")
    if not told.srgb:
        raise UnsupportedPicture("its colour space is given outside a profile and would be lost on writing")


def _deep(opened: Image.Image, data: bytes) -> np.ndarray:
    try:
        return read_deep(opened, data)
    except ValueError as error:
        raise UnsupportedPicture(f"{error}; changing them would narrow them to 8") from error


def _not_broken(work: Callable[[], T], data: bytes) -> T:
    try:
        return work()
    except (UnsupportedPicture, BrokenPicture):
        raise
    except Exception as error:  # Pillow raises seven kinds of exceptions for bad input
        raise BrokenPicture(_reason(data, error)) from error


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        if container := next((name for start, name in STARTS.items() if data.startswith(start)), None):
            return f"it begins like a {container}, and is damaged"
        return "it is not a picture of a known format (JPEG, PNG, WebP, TIFF, BMP, AVIF, GIF, HEIC)"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return f"it cannot be decoded: {error}"
