"""PNG by OpenCV, three times as fast as Pillow's fastest and no larger, with metadata put in as whole chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADED = len(SIGNATURE) + 25  # bytes of a file's signature and of its first chunk, IHDR
OF_COLOUR = frozenset({b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI"})
XMP = b"XML:com.adobe.xmp"
TELLING = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
EXIF_AS_TEXT = (b"Raw profile type exif", b"Raw profile type APP1")  # by ImageMagick; may hold a preview


def encode_png(image: np.ndarray, alpha: np.ndarray | None = None, chunks: Iterable[bytes] = ()) -> bytes:
    """`image` (H×W×3 RGB, or H×W grey without alpha) with `alpha` (H×W), and `chunks` after its header.

    All uint8, or all uint16. Raises ValueError for what OpenCV does not write.
    """
    try:
        done, data = cv2.imencode(".png", _ordered(image, alpha))  # no parameters: any would turn its fast way off
    except cv2.error as error:
        raise ValueError(f"it cannot be written as PNG: {error}") from error
    if not done:
        raise ValueError("it cannot be written as PNG")
    return spliced(data.tobytes(), chunks)


def spliced(plain: bytes, chunks: Iterable[bytes]) -> bytes:
    """A PNG with chunks put in after its header."""
    return b"".join([plain[:HEADED], *chunks, plain[HEADED:]])


def chunk(kind: bytes, content: bytes) -> bytes:
    """A whole chunk: length, kind, content and check sum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def xmp_chunk(xmp: bytes) -> bytes:
    return chunk(b"iTXt", XMP + bytes(5) + xmp)  # not compressed, no language, no translated key


def described(data: bytes) -> list[bytes]:
    """The chunks of a PNG that go on being true when its pixels change: colour, resolution, text; not EXIF and XMP.

    A chunk's own name says whether it may be copied (W3C PNG, 5.4): its first letter is small where it may be left
    out, its fourth where it does not depend on the pixels. What tells of colour does not, and is listed.
    """
    kept = []
    for kind, whole in _chunks(data):
        copied = kind[0] & 0x20 and (kind[3] & 0x20 or kind in OF_COLOUR)
        key = whole[8:].partition(b"\0")[0] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        if copied and kind != b"eXIf" and key not in (XMP, *EXIF_AS_TEXT):
            kept.append(whole)
    return kept


def tells_late(data: bytes) -> bool:
    """Whether a PNG says something of its picture behind the pixels."""
    all_kinds = [kind for kind, _ in _chunks(data)]
    return b"IDAT" in all_kinds and not TELLING.isdisjoint(all_kinds[all_kinds.index(b"IDAT") :])


def kinds(chunks: Iterable[bytes]) -> set[bytes]:
    return {one[4:8] for one in chunks}


def _ordered(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The channels as OpenCV orders them: grey, BGR or BGRA."""
    if image.ndim == 2:
        return image
    if alpha is None:
        return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA)
    ordered[..., 3] = alpha
    return ordered


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk of a PNG: its kind, and the whole of it (length, kind, content and check sum)."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at : at + length + 12]
        at += length + 12
