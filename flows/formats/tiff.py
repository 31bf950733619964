"""TIFF with its whole directory: Pillow's compressed TIFFs lose camera and place, and it cannot write 16-bit colour."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

DIRECTORIES = (0x8769, 0x8825)  # camera and place, which have directories of their own
XMP_TAG = 700
UNSIGNED, DEFLATE, DIFFERENCES, ALPHA_APART = 1, 8, 2, 2


def encode_tiff(
    pixels: np.ndarray, tags: Image.Exif | None, xmp: bytes | None, icc: bytes | None, dpi: Any, packed: bool
) -> bytes:
    """H×W, or H×W with 2 to 4 channels (grey or RGB, with or without alpha), uint8 or uint16, as one-strip TIFF."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    content = _strip(pixels, packed)
    layout: dict[int, Any] = {
        256: width, 257: height, 258: (8 * pixels.itemsize,) * channels, 259: DEFLATE if packed else 1,
        262: 2 if channels > 2 else 1, 273: 0, 277: channels, 278: height, 279: len(content), 284: 1,
        317: DIFFERENCES if packed else None, 338: ALPHA_APART if channels in (2, 4) else None,
        339: (UNSIGNED,) * channels, XMP_TAG: xmp, 34675: icc,
    }  # fmt: skip
    if dpi:
        layout |= {282: dpi[0], 283: dpi[1], 296: 2}
    directory = TiffImagePlugin.ImageFileDirectory_v2()  # little-endian; it moves the strip (273) to the end
    own = {tag: tags.get_ifd(tag) if tag in DIRECTORIES else tags[tag] for tag in tags or ()} if tags else {}
    for tag, value in (own | layout).items():
        if value is not None:
            directory[tag] = value
    out = io.BytesIO()
    directory.save(out)
    return out.getvalue() + content


def _strip(pixels: np.ndarray, packed: bool) -> bytes:
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    if not packed:
        return little.tobytes()
    little[:, 1:] = little[:, 1:] - little[:, :-1]  # neighbours are alike, so their differences compress better
    return zlib.compress(little.tobytes())
