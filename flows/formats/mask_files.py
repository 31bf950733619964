"""Masks as files: H×W bool, True = remove. Written as 8-bit PNG with 255 there; read as people draw and export them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from flows.formats import mask_values
from flows.formats.deep import GREY, is_deep, read_deep
from flows.formats.exif import saying
from flows.formats.orientation import stored
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import open_upright
from flows.formats.png import chunk, encode_png
from flows.job import MAX_PIXELS

LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")  # lossy containers, which may change the values of labels
TINT = 24  # difference between the channels of a grey in such a container
BY_ALPHA = "its mask is the alpha channel: {} is removed (--mask-alpha {} turns that)"


@dataclass(frozen=True)
class DrawnMask:
    """A mask made by a person: H×W bool, and a message about how it was read, if any."""

    mask: np.ndarray
    told: str | None = None


def encode_mask(mask: np.ndarray, orientation: int = 1) -> bytes:
    """An upright mask (H×W bool) as 8-bit PNG, 255 = remove, stored with that orientation of EXIF and its tag."""
    tag = [chunk(b"eXIf", saying(orientation))] if orientation != 1 else []
    return encode_png(stored(mask * np.uint8(255), orientation), tag)


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A mask, H×W bool, from any picture, as `read_mask` reads it. Raises BrokenPicture for anything else."""
    return read_mask(data, max_pixels=max_pixels).mask


def read_mask(
    data: bytes, labels: tuple[int, ...] = (), clear: bool = False, max_pixels: int = MAX_PIXELS
) -> DrawnMask:
    """A mask from any picture, by its values (see `mask_values`); an alpha channel with a shape is the mask.

    `labels` are the values of a label map that are meant; `clear` takes what is clear in an alpha channel, not what is
    opaque. Raises BrokenPicture, with the values, for a picture that is no mask.
    """
    try:
        opened, upright = open_upright(data, max_pixels, as_mask=True)
        alpha = None if labels else _alpha(opened, upright, data)
        if alpha is not None and (opaque := mask_values.of_alpha(alpha)) is not None:
            taken = ("clear", "opaque") if clear else ("opaque", "clear")
            return DrawnMask(~opaque if clear else opaque, BY_ALPHA.format(*taken))
        return DrawnMask(_meant(opened, upright, data, labels))
    except (UnsupportedPicture, ValueError) as error:
        raise BrokenPicture(f"no mask can be read from it: {error}") from error


def taken_by_alpha(reason: str | None) -> str | None:
    """A row's reason for a mask that was an alpha channel; None for any other."""
    said = (reason or "").split("; ")
    return next((part for part in said if part.startswith(BY_ALPHA.partition(":")[0])), None)


def mask_area(mask: np.ndarray) -> float:
    """The share of the picture that a mask (H×W bool) covers, as rows give it."""
    return round(int(np.count_nonzero(mask)) / mask.size, 6)


def _alpha(opened: Image.Image, upright: Image.Image, data: bytes) -> np.ndarray | None:
    """The alpha channel, H×W uint8 or uint16, or the one of a transparent colour; None without any."""
    if not upright.has_transparency_data:
        return None
    if is_deep(opened, data):
        deep = read_deep(opened, data)
        return deep[..., 3] if deep.ndim == 3 and deep.shape[2] == 4 else None
    return np.asarray(upright.getchannel("A") if "A" in upright.getbands() else upright.convert("RGBA").getchannel("A"))


def _meant(opened: Image.Image, upright: Image.Image, data: bytes, labels: tuple[int, ...]) -> np.ndarray:
    """The mask of a picture without a shape in its alpha channel: by its palette, numbers, greys or colours."""
    lossy = opened.format in LOSSY
    if upright.mode == "P":
        index = np.asarray(upright)
        return mask_values.of_labels(index, labels) if labels else mask_values.of_palette(index, _colours(upright))
    if upright.mode in ("I", "F"):
        numbers = _whole(np.asarray(upright))
        top = 255 if numbers.max() <= 255 else 65535
        if labels or numbers.max() > top:
            return mask_values.of_labels(numbers, labels) if labels else mask_values.of_codes(numbers)
        return mask_values.of_greys(numbers.astype(np.uint16), top)
    channels = _channels(opened, upright, data)
    tint = _tint(channels)
    if labels:
        return mask_values.of_labels(mask_values.codes_of(channels) if tint else channels[0], labels)
    if tint > (TINT if lossy else 0):
        return mask_values.of_colours(channels, lossy)
    grey = np.maximum(np.maximum(*channels[:2]), channels[2]) if tint else channels[0]
    return mask_values.of_greys(grey, np.iinfo(grey.dtype).max, lossy)


def _channels(opened: Image.Image, upright: Image.Image, data: bytes) -> tuple[np.ndarray, ...]:
    """Red, green and blue, each H×W uint8 or uint16; three times the same for a grey picture."""
    if is_deep(opened, data) and upright.mode not in ("L", "LA"):
        deep = read_deep(opened, data)
        return tuple(np.moveaxis(deep[..., :3], 2, 0)) if deep.ndim == 3 else (deep,) * 3
    if upright.mode in ("1", "L", "LA", *GREY):
        grey = np.asarray(upright if upright.mode != "LA" else upright.getchannel("L"))
        return (grey.astype(np.uint8 if upright.mode != "I;16" and upright.mode not in GREY else np.uint16),) * 3
    if upright.mode in ("RGB", "RGBA", "RGBX", "PA"):
        return tuple(np.moveaxis(np.asarray(upright.convert("RGB")), 2, 0))
    raise ValueError(f"its pixels are {upright.mode}; save it as greys or RGB")


def _tint(channels: tuple[np.ndarray, ...]) -> int:
    """The largest difference between the channels of a pixel."""
    red, *others = channels
    if all(one is red for one in others):
        return 0
    return max(int(np.abs(red.astype(np.int32) - one).max()) for one in others)


def _colours(upright: Image.Image) -> np.ndarray:
    """A palette, 256×3 uint8; black where it has fewer colours."""
    told = np.array(upright.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return np.concatenate([told, np.zeros((256 - len(told), 3), np.uint8)])


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Integers from 0 on, from integers or floats; floats up to 1, and fractions up to 255, are scaled to 16 bits."""
    if not np.isfinite(numbers).all() or numbers.min() < 0:
        raise ValueError("its values are not all numbers from 0 on")
    if (numbers == np.round(numbers)).all():
        return numbers.astype(np.int64)
    if numbers.max() > 255:
        raise ValueError(f"its values are fractions up to {numbers.max():g}; a mask's go up to 1 or 255")
    return np.round(numbers.astype(np.float64) * 65535 / (1 if numbers.max() <= 1 else 255)).astype(np.int64)
