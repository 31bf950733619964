"""Masks as files: H×W bool, True = remove, as an 8-bit PNG with 255 there."""

from __future__ import annotations

import numpy as np

from flows.formats.deep import is_deep
from flows.formats.pictures import decode, open_upright
from flows.formats.png import encode_png
from flows.job import MAX_PIXELS


def encode_mask(mask: np.ndarray) -> bytes:
    """A mask (H×W bool) as 8-bit PNG, 255 = remove."""
    return encode_png(mask * np.uint8(255))


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A mask, H×W bool, from any picture: what is brighter than mid grey and not transparent is to be removed."""
    opened, upright = open_upright(data, max_pixels)
    if upright.mode == "L" and not upright.has_transparency_data:  # as all that are written here
        return np.asarray(upright) > 127
    if is_deep(opened, data):
        picture = decode(data, max_pixels)
        channels = [*np.moveaxis(picture.image, 2, 0), picture.alpha]
    else:
        channels = [*np.moveaxis(np.asarray(upright.convert("RGBA")), 2, 0)]
    red, green, blue, alpha = channels
    bright = np.maximum(np.maximum(red, green), blue) > 127  # max(axis=2) takes twelve times as long
    return bright if alpha is None else bright & (alpha > 127)


def mask_area(mask: np.ndarray) -> float:
    """The share of the picture that a mask (H×W bool) covers, as it stands in a row."""
    return round(np.count_nonzero(mask) / mask.size, 6)
