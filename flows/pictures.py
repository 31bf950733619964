"""Bytes to pictures: opens strictly, upright, and refuses what would be narrowed or is not whole."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from flows.metadata import ORIENTATION, kept

SUFFIXES = frozenset([".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif"])
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF")  # JPEG opens MPO too
# Too many pixels are refused here, where Pillow warns, since what is done about warnings is one for all threads.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class UnsupportedPicture(Exception):
    """The picture is whole, but changing it would lose something; the message says what."""


class BrokenPicture(Exception):
    """The picture cannot be decoded; the message says why."""


@dataclass(frozen=True)
class Picture:
    """An upright picture: `image` H×W×3 uint8 RGB, `alpha` H×W uint8 or None, and what to keep when it is written."""

    image: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    format: str
    extras: dict[str, Any] = field(default_factory=dict)


def decode(data: bytes) -> Picture:
    """Decode a whole picture. Raises UnsupportedPicture or BrokenPicture; never narrows or fills in silently."""
    opened, upright, extras = open_upright(data)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    whole = np.array(upright if upright.mode == mode else upright.convert(mode))
    alpha = whole[..., 3].copy() if mode == "RGBA" else None
    grey = upright.mode in ("1", "L", "LA")
    return Picture(np.ascontiguousarray(whole[..., :3]), alpha, grey, opened.format or "PNG", extras)


def open_upright(data: bytes) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
    """A picture with its pixels loaded, the same upright, and what to keep when it is written.

    Raises UnsupportedPicture or BrokenPicture.
    """
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        _refuse(opened, data)
        opened.load()
        turned = opened.getexif().get(ORIENTATION, 1) != 1
        upright = ImageOps.exif_transpose(opened) if turned else opened
        return opened, upright, kept(opened, upright.info)
    except (UnsupportedPicture, BrokenPicture):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenPicture(f"too many pixels: {error}") from error
    except Exception as error:  # Pillow raises seven kinds for bad input, of every sort
        raise BrokenPicture(_reason(data, error)) from error


def suffix_of(name: str) -> str:
    return Path(name).suffix.lower()


def _refuse(opened: Image.Image, data: bytes) -> None:
    if opened.width * opened.height > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise BrokenPicture(f"too many pixels: {opened.width}×{opened.height}")
    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        raise UnsupportedPicture(f"it holds {frames} frames or pages; only single pictures can be changed")
    if opened.mode not in ("RGB", "RGBA", "L", "LA", "P", "1", "PA"):
        raise UnsupportedPicture(f"its pixels are {opened.mode}; changing them would narrow them to 8-bit RGB")
    if opened.format == "PNG" and len(data) > 24 and data[24] == 16:
        raise UnsupportedPicture("its pixels have 16 bits; changing them would narrow them to 8")
    if opened.format == "TIFF" and max(opened.tag_v2.get(258, (8,))) > 8:  # type: ignore[attr-defined]
        raise UnsupportedPicture("its pixels have more than 8 bits; changing them would narrow them")
    if opened.format == "GIF":
        raise UnsupportedPicture("a GIF's palette cannot hold a repainted patch exactly")


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not a picture of a known format (JPEG, PNG, WebP, TIFF, BMP, AVIF, GIF)"
    return f"it cannot be decoded: {error}"
