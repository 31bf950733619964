"""Facts that only the bytes of a container tell: lossless or not, depth, colour space, sampling."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SAMPLINGS = {(0, 0): "4:4:4", (1, 0): "4:2:2", (1, 1): "4:2:0"}
SRGB = ({1, 2}, {1, 2, 6, 13})  # primaries and transfer of sRGB, or unsaid (ITU-T H.273); the 8-bit curves are alike
THUMBNAILS = (0x0409, 0x040C)  # previews among Photoshop's resources


@dataclass(frozen=True)
class Av1:
    """An AVIF's depth, colour space and sampling."""

    bits: int
    sampling: str
    srgb: bool


def webp_is_lossless(data: bytes) -> bool:
    """True if a WebP is lossless: it has a chunk VP8L, a lossy one VP8."""
    return any(kind == b"VP8L" for kind in _riff(data))


def av1(data: bytes) -> Av1:
    """An AVIF's facts: depth and sampling from the box av1C, the colour space from nclx in colr (ISO/IEC 23000-22)."""
    at = data.find(b"av1C") + 6
    flags = data[at] if 6 <= at < len(data) else 0x0C
    bits = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    sampling = "4:0:0" if flags & 0x10 else SAMPLINGS.get((flags >> 3 & 1, flags >> 2 & 1), "4:2:0")
    colour = data.find(b"colrnclx")
    told = struct.unpack_from(">HH", data, colour + 8) if 0 <= colour <= len(data) - 12 else (1, 13)
    return Av1(bits, sampling, all(one in known for one, known in zip(told, SRGB, strict=True)))


def without_thumbnails(resources: bytes) -> bytes:
    """A Photoshop segment of a JPEG (APP13: captions, keywords, copyright) without its previews; b"" for a broken one.

    Each resource is "8BIM", its number, a name and its content, both of even length (Photoshop's file format, 2019).
    """
    head, at, kept = b"Photoshop 3.0\0", 14, []
    if not resources.startswith(head):
        return b""
    try:
        while resources[at : at + 4] == b"8BIM":
            (number,) = struct.unpack_from(">H", resources, at + 4)
            content = at + 6 + (resources[at + 6] + 2) // 2 * 2
            end = content + 4 + (struct.unpack_from(">I", resources, content)[0] + 1) // 2 * 2
            if number not in THUMBNAILS:
                kept.append(resources[at:end])
            at = end
    except (struct.error, IndexError):
        return b""
    return head + b"".join(kept) if kept else b""


def _riff(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        yield data[at : at + 4]
        at += 8 + (struct.unpack_from("<I", data, at + 4)[0] + 1) // 2 * 2
