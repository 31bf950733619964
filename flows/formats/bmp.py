"""BMP with alpha, which Pillow writes without saying which bytes are the alpha, so that no reader finds it."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

V4, BITFIELDS = 108, 3
MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)  # of red, green, blue and alpha in a pixel of 32 bits
SRGB = 0x73524742
INCHES = 39.3701  # inches in a metre: a BMP gives pixels per metre


def encode_bmp(image: np.ndarray, alpha: np.ndarray, dpi: Any = None) -> bytes:
    """H×W×3 uint8 RGB and H×W uint8 as a 32-bit BMP with a version 4 header, which declares the alpha."""
    height, width = alpha.shape
    pixels = np.dstack([image[..., ::-1], alpha])[::-1].tobytes()  # the lowest row first, blue first
    per_metre = [round(one * INCHES) for one in (dpi or (0, 0))]
    header = struct.pack("<IiiHHIIiiII", V4, width, height, 1, 32, BITFIELDS, len(pixels), *per_metre, 0, 0)
    header += struct.pack("<5I", *MASKS, SRGB) + bytes(48)  # end points and gamma, unused with sRGB
    begins = 14 + len(header)
    return struct.pack("<2sIHHI", b"BM", begins + len(pixels), 0, 0, begins) + header + pixels
