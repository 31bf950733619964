"""PNG by zlib-ng, with metadata put in as whole chunks.

By hand, since encoding is most of the cost of a photo as PNG: Pillow's fastest takes four times as long for a file of
the same size, and OpenCV's fastest twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from zlib_ng import zlib_ng

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's colour type by channels: grey, with alpha, RGB, with alpha
SUB = 1
LEVEL = 2  # of zlib-ng; the first is slower with run-length matching
PART = 1 << 26  # bytes of pixels in a chunk, which can hold 2 GB
OF_COLOUR = frozenset({b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI"})
XMP = b"XML:com.adobe.xmp"
TELLING = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
EXIF_AS_TEXT = (b"Raw profile type exif", b"Raw profile type APP1")  # ImageMagick's; may hold a preview


def encode_png(pixels: np.ndarray, chunks: Iterable[bytes] = ()) -> bytes:
    """`pixels` (uint8 or uint16; H×W grey, H×W×2 with alpha, H×W×3 RGB, H×W×4 with alpha), `chunks` after the header.

    Raises ValueError without pixels.
    """
    if not pixels.size:
        raise ValueError("it cannot be written as PNG: it has no pixels")
    height, width = pixels.shape[:2]
    channels = pixels.size // (height * width)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, COLOURS[channels], 0, 0, 0)
    packer = zlib_ng.compressobj(LEVEL, zlib_ng.DEFLATED, 15, 9, zlib_ng.Z_RLE)
    packed = memoryview(packer.compress(_filtered(pixels, channels)) + packer.flush())
    parts = [chunk(b"IDAT", packed[first : first + PART]) for first in range(0, len(packed), PART)]
    return b"".join([SIGNATURE, chunk(b"IHDR", header), *chunks, *parts, chunk(b"IEND", b"")])


def _filtered(pixels: np.ndarray, channels: int) -> np.ndarray:
    """The rows after PNG's filter Sub: minus the pixel before, byte by byte, after the filter's number."""
    stored = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(len(pixels), -1)
    step = channels * pixels.itemsize
    rows = np.empty((len(stored), 1 + stored.shape[1]), np.uint8)
    rows[:, 0], rows[:, 1 : 1 + step] = SUB, stored[:, :step]
    np.subtract(stored[:, step:], stored[:, :-step], out=rows[:, 1 + step :])
    return rows


def chunk(kind: bytes, content: bytes | memoryview) -> bytes:
    """A whole chunk: length, kind, content and checksum."""
    summed = zlib_ng.crc32(content, zlib_ng.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", summed)])


def xmp_chunk(xmp: bytes) -> bytes:
    return chunk(b"iTXt", XMP + bytes(5) + xmp)  # not compressed, no language, no translated key


def described(data: bytes) -> list[bytes]:
    """The chunks of a PNG that stay true when its pixels change: colour, resolution, text; not EXIF and XMP.

    A chunk's own name says whether it may be copied (W3C PNG, 5.4): its first letter is small where it may be left out,
    its fourth where it does not depend on the pixels. The colour chunks do depend on them, and are listed here.
    """
    kept = []
    for kind, place in chunks_of(data):
        if not kind[0] & 0x20 or not (kind[3] & 0x20 or kind in OF_COLOUR) or kind == b"eXIf":
            continue
        whole = data[place]
        if zlib_ng.crc32(whole[4:-4]) != int.from_bytes(whole[-4:]):
            continue  # damaged; readers would reject the new file because of it
        key = whole[8:].partition(b"\0")[0] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        if key not in (XMP, *EXIF_AS_TEXT):
            kept.append(whole)
    return kept


def end_of(data: bytes) -> int:
    """The end of a PNG; there may be bytes after it."""
    return max((place.stop for _, place in chunks_of(data)), default=len(data))


def tells_late(data: bytes) -> bool:
    """True if a PNG has metadata after the pixels."""
    all_kinds = [kind for kind, _ in chunks_of(data)]
    return b"IDAT" in all_kinds and not TELLING.isdisjoint(all_kinds[all_kinds.index(b"IDAT") :])


def kinds(chunks: Iterable[bytes]) -> set[bytes]:
    return {one[4:8] for one in chunks}


def chunks_of(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Every whole chunk of a PNG up to its end: kind, and where all of it is (length, kind, content and checksum).

    Not the chunk itself, to avoid copying the pixels.
    """
    at = len(SIGNATURE)
    kind = b""
    while kind != b"IEND" and at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + length + 12
        if end > len(data):
            return
        yield kind, slice(at, end)
        at = end
