"""The segments before the pixels of a JPEG: its size and sampling, and the markers that go into a changed one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from flows.formats.exif import PREFIX
from flows.formats.metadata import Metadata

SOI, COM, ADOBE, CAPTIONS = b"\xff\xd8", 0xFE, 0xEE, 0xED
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15, without the tables in that range
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length and content
JFIF, XMP, ICC = b"JFIF\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
JFIF_END = 12  # bytes with the resolution; a preview may follow
MOST = 65533  # bytes of a segment's content at most


@dataclass(frozen=True)
class Frame:
    """Size in pixels, bits, and the blocks of each component in an MCU, across and down."""

    width: int
    height: int
    bits: int
    sampling: tuple[tuple[int, int], ...]

    @property
    def mcu(self) -> tuple[int, int]:
        """The size of an MCU of all components in pixels, across and down."""
        across, down = zip(*self.sampling, strict=True)
        return 8 * max(across), 8 * max(down)

    def block(self, component: int) -> tuple[int, int]:
        """The size in pixels that a block of a component covers, across and down."""
        (across, down), (width, height) = self.sampling[component], self.mcu
        return width // across, height // down


def frame(data: bytes) -> Frame:
    """The frame of a JPEG. Raises ValueError if it has no sensible one."""
    for marker, content in segments(data):
        if marker in FRAMES and len(content) >= 6:
            bits, height, width, count = struct.unpack_from(">BHHB", content)
            factors = content[7 : 7 + 3 * count : 3]
            if count and len(factors) == count and all(one & 15 and one >> 4 for one in factors):
                return Frame(width, height, bits, tuple((one >> 4, one & 15) for one in factors))
    raise ValueError("its header gives no size")


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG before its first scan."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0xFF, 0x00):
            at += 1  # fill bytes, or garbage that decoders skip
            continue
        marker = data[at + 1]
        if marker in (0xD9, 0xDA):
            return
        if marker in ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def with_markers(written: bytes, source: bytes, metadata: Metadata) -> bytes:
    """A JPEG without markers (tables and pixels), with the markers of its source that are kept, in their order."""
    said = _said(metadata)
    parts: list[tuple[str | None, bytes]] = []
    for marker, content in segments(source):
        kind = _kind(marker, content)
        if kind in said:
            parts.append((kind, said.pop(kind)))
        elif kind == "JFIF":  # without the preview after the resolution
            parts.append((kind, segment(marker, content[:JFIF_END] + b"\0\0")))
        elif kind == "Adobe" or (kind == "comment" and metadata.comment is not None):
            parts.append((kind, segment(marker, content)))
    place = next((k for k, (kind, _) in enumerate(parts) if kind not in ("JFIF", "Exif")), len(parts))
    parts[place:place] = said.items()  # markers that the source did not have
    return SOI + b"".join(part for _, part in parts) + written[len(SOI) :]


def segment(marker: int, content: bytes) -> bytes:
    """A whole segment: marker, length and content, at most 65,533 bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _said(metadata: Metadata) -> dict[str | None, bytes]:
    """The segments that are written from its metadata, by kind."""
    said: dict[str | None, bytes] = {}
    if metadata.exif:
        said["Exif"] = _split(0xE1, PREFIX, metadata.exif)
    if metadata.xmp:
        said["XMP"] = segment(0xE1, XMP + metadata.xmp)
    if metadata.icc:
        room = MOST - len(ICC) - 2
        count = -(-len(metadata.icc) // room)
        pieces = [metadata.icc[room * k : room * (k + 1)] for k in range(count)]
        said["ICC"] = b"".join(segment(0xE2, ICC + bytes((k + 1, count)) + one) for k, one in enumerate(pieces))
    if metadata.captions:
        said["captions"] = metadata.captions
    return said


def _split(marker: int, prefix: bytes, content: bytes) -> bytes:
    room = MOST - len(prefix)
    return b"".join(segment(marker, prefix + content[at : at + room]) for at in range(0, len(content), room))


def _kind(marker: int, content: bytes) -> str | None:
    """The kind of a segment; None for one that does not go into a changed picture, such as previews."""
    if marker == 0xE1:
        return "Exif" if content.startswith(PREFIX) else "XMP" if content.startswith(XMP) else None
    if marker == 0xE2:
        return "ICC" if content.startswith(ICC) else None
    if marker == 0xE0:
        return "JFIF" if content.startswith(JFIF) and len(content) >= JFIF_END else None
    return {ADOBE: "Adobe", COM: "comment", CAPTIONS: "captions"}.get(marker)
