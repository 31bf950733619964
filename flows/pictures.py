"""Bytes to pictures and back: decodes strictly, and encodes a changed picture as what it was, metadata included."""

from __future__ import annotations

import io
import math
import struct
import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from flows.png import encode_png

SUFFIXES = frozenset([".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif"])
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF")  # JPEG opens MPO too
ORIENTATION = 0x0112
# Too many pixels are refused here, where Pillow warns, since what is done about warnings is one for all threads.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# In a TIFF, EXIF shares its directory with the tags that lay out the pixels; these alone describe the picture.
DESCRIPTIVE = frozenset({269, 270, 271, 272, 285, 305, 306, 315, 316, 700, 33432, 33723, 34665, 34853})


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
    opened, upright, extras = _opened(data)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    whole = np.array(upright if upright.mode == mode else upright.convert(mode))
    alpha = whole[..., 3].copy() if mode == "RGBA" else None
    grey = upright.mode in ("1", "L", "LA")
    return Picture(np.ascontiguousarray(whole[..., :3]), alpha, grey, opened.format or "PNG", extras)


def encode(picture: Picture, image: np.ndarray) -> bytes:
    """`image` (H×W×3 uint8) in the container of `picture`, with its alpha and metadata."""
    if picture.format != "PNG" or (picture.grey and picture.alpha is not None):  # which OpenCV does not write
        return _by_pillow(picture, image, picture.alpha)
    corner = (slice(1), slice(1))
    like = _by_pillow(picture, image[corner], None if picture.alpha is None else picture.alpha[corner])
    return encode_png(_grey(image) if picture.grey else image, picture.alpha, like)


def as_kept(picture: Picture, image: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) as `encode` will show it: grey where the picture is."""
    return np.repeat(_grey(image)[..., None], 3, axis=2) if picture.grey else image


def encode_image(image: np.ndarray, container: str = "PNG") -> bytes:
    """An image (H×W×3 uint8) in a container, without metadata."""
    return encode(Picture(image, None, False, container), image)


def encode_gif(frames: list[np.ndarray], durations: list[int]) -> bytes:
    """Frames (H×W×3 uint8 of one size) as a GIF that loops for ever; each is shown for its milliseconds.

    What a frame leaves as it was is transparent in it, and so neither flickers nor takes any of its 256 colours.
    """
    shown = [_in_colours(frames[0], 256), *(_changes(*pair) for pair in pairwise(frames))]
    out = io.BytesIO()
    shown[0].save(out, "GIF", save_all=True, append_images=shown[1:], duration=durations, loop=0, disposal=1)
    return out.getvalue()


def encode_mask(mask: np.ndarray) -> bytes:
    """A mask (H×W bool) as 8-bit PNG, 255 = remove."""
    return encode_png(mask * np.uint8(255))


def decode_mask(data: bytes) -> np.ndarray:
    """A mask, H×W bool, from any picture: what is brighter than mid grey and not transparent is to be removed."""
    _, upright, _ = _opened(data)
    if upright.mode == "L" and not upright.has_transparency_data:  # as all that are written here
        return np.asarray(upright) > 127
    whole = np.asarray(upright.convert("RGBA"))
    red, green, blue, alpha = np.moveaxis(whole, 2, 0)
    return (np.maximum(np.maximum(red, green), blue) > 127) & (alpha > 127)  # max(axis=2) takes twelve times as long


def mask_in_white(mask: np.ndarray) -> np.ndarray:
    """A mask (H×W bool) to be looked at, H×W×3 uint8."""
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)


def strip(panels: list[np.ndarray], gap: int = 4) -> np.ndarray:
    """Panels H×W×3 uint8 of one height beside each other, on white."""
    white = np.full((panels[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, white)][:-1], axis=1)


def suffix_of(name: str) -> str:
    return Path(name).suffix.lower()


def _changes(before: np.ndarray, frame: np.ndarray) -> Image.Image:
    """`frame` in 255 colours of its own where it differs from the one `before` (both H×W×3 uint8), else transparent."""
    changed = (frame != before).any(axis=2)
    colours = _in_colours(frame[changed][None] if changed.any() else frame[:1, :1], 255)
    indices = np.full(changed.shape, 255, np.uint8)
    indices[changed] = np.asarray(colours)[0][: changed.sum()]
    shown = Image.fromarray(indices)
    shown.putpalette(colours.getpalette() or [])
    shown.info["transparency"] = 255
    return shown


def _in_colours(image: np.ndarray, count: int) -> Image.Image:
    """`image` (H×W×3 uint8) in `count` colours of its own. Not dithered: the specks would show more than the bands."""
    area = image.shape[0] * image.shape[1]
    # Median cut, the default, spends its colours on large areas and loses a highlight. Means move until 1% still do.
    return Image.fromarray(image).quantize(count, Image.Quantize.MAXCOVERAGE, kmeans=max(1, area // 100))


def _opened(data: bytes) -> tuple[Image.Image, Image.Image, dict[str, Any]]:
    """A picture with its pixels loaded, the same upright, and what to keep when it is written."""
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        _refuse(opened, data)
        opened.load()
        turned = opened.getexif().get(ORIENTATION, 1) != 1
        upright = ImageOps.exif_transpose(opened) if turned else opened
        return opened, upright, _extras(opened, upright.info)
    except (UnsupportedPicture, BrokenPicture):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenPicture(f"too many pixels: {error}") from error
    except Exception as error:  # Pillow raises seven kinds for bad input, of every sort
        raise BrokenPicture(_reason(data, error)) from error


def _by_pillow(picture: Picture, image: np.ndarray, alpha: np.ndarray | None) -> bytes:
    shown = Image.fromarray(_grey(image) if picture.grey else image)
    if alpha is not None:
        shown.putalpha(Image.fromarray(alpha))
    out = io.BytesIO()
    shown.save(out, picture.format, **picture.extras, **_encoder(picture.format))
    return out.getvalue()


def _grey(image: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) as H×W: grey pixels stay exactly as they were, being the luma of equal channels."""
    return np.asarray(Image.fromarray(image).convert("L"))


def _encoder(container: str) -> dict[str, Any]:
    settings: dict[str, dict[str, Any]] = {
        "PNG": {"compress_level": 1},  # three times as fast as the default, a tenth larger
        "WEBP": {"lossless": True, "exact": True},
        "AVIF": {"quality": 95},
    }
    return settings.get(container, {})


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


def _extras(opened: Image.Image, upright: dict[Any, Any]) -> dict[str, Any]:
    """Encoder arguments that keep colour profile, EXIF, XMP, text, resolution and JPEG quantisation."""
    extras: dict[str, Any] = {key: opened.info[key] for key in ("icc_profile", "dpi") if opened.info.get(key)}
    if upright.get("xmp"):
        extras["xmp"] = upright["xmp"]  # whose orientation was reset with the pixels'
    exif = _exif(opened)
    if exif:
        extras["exif"] = exif
    if opened.format == "JPEG":
        extras["qtables"] = opened.quantization  # type: ignore[attr-defined]
        extras["subsampling"] = _subsampling(opened)
        extras["progressive"] = bool(opened.info.get("progressive"))
    if opened.format == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in getattr(opened, "text", {}).items():
            if key == "XML:com.adobe.xmp":
                text.add_itxt(key, str(upright.get(key, value)))
            elif key != "Raw profile type exif":  # written as EXIF proper
                text.add_text(key, value)
        extras["pnginfo"] = text
        extras.pop("xmp", None)
    if opened.format == "TIFF" and opened.info.get("compression") in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        extras["compression"] = opened.info["compression"]
    return extras


def _exif(opened: Image.Image) -> Image.Exif | None:
    """EXIF without orientation (applied to the pixels) and without the preview, which would show what was removed."""
    try:
        exif = opened.getexif()
        if not exif:
            return None
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1  # applied; said, because readers without it would look for another in the XMP
        if opened.format == "TIFF":
            for tag in set(exif) - DESCRIPTIVE:
                del exif[tag]
        for ifd in (0x8769, 0x8825):
            exif.get_ifd(ifd)  # loads the camera's and the place's tags, so that they are written back
        exif.tobytes()
        return exif
    except (SyntaxError, ValueError, KeyError, TypeError, OSError, struct.error):
        return None  # a broken EXIF block cannot be written back; the pixels are fine


def _subsampling(opened: Image.Image) -> int:
    from PIL import JpegImagePlugin

    sampling = JpegImagePlugin.get_sampling(opened)
    return sampling if sampling >= 0 else 0


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not a picture of a known format (JPEG, PNG, WebP, TIFF, BMP, AVIF, GIF)"
    return f"it cannot be decoded: {error}"
