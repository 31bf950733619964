"""Compressed metadata of a PNG: profile, XMP, text. Chunks that Pillow would refuse are hidden from it.

Pillow unpacks no more than 1 MB of such a chunk, and gives up on the whole picture where there is more; colour profiles
and the XMP of much edited pictures are larger. A profile and an XMP are unpacked here, within bounds; other large
chunks are not read at all, and are copied as they are.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from flows.formats.png import SIGNATURE, XMP, chunks_of

READ = frozenset({b"iCCP", b"tEXt", b"zTXt", b"iTXt"})  # chunks that Pillow unpacks in full
PROFILE, XMP_PACKET = "colour profile", "XMP"
OF_PILLOW, OF_PILLOW_IN_ALL = 1 << 20, 64 << 20  # Pillow's limits in bytes: unpacked from one chunk, and for all text
MOST = 64 << 20  # bytes of a profile or an XMP once unpacked


@dataclass(frozen=True)
class Shown:
    """A PNG that Pillow can open, with the profile and XMP hidden from it (None: it sees them itself).

    `left_out` says that an XMP is too large to be kept.
    """

    data: bytes
    icc: bytes | None = None
    xmp: bytes | None = None
    left_out: str | None = None


def shown(data: bytes) -> Shown:
    """A PNG without the chunks that Pillow would refuse; the same bytes if there are none."""
    if not data.startswith(SIGNATURE):
        return Shown(data)
    hidden: list[slice] = []
    found: dict[str, bytes | None] = {}
    total = 0
    for kind, place in chunks_of(data):
        if kind not in READ:
            continue
        content = data[place.start + 8 : place.stop - 4]
        packed = _packed(kind, content)
        name = PROFILE if kind == b"iCCP" else XMP_PACKET if content.startswith(XMP + b"\0") else ""
        if total <= OF_PILLOW_IN_ALL:  # beyond this, chunks are not unpacked to learn their size
            size = len(content) if packed is None else len(_unpacked(packed, OF_PILLOW))
            total += size
            small = packed is None or size <= OF_PILLOW
            if small and total <= OF_PILLOW_IN_ALL:
                continue
        hidden.append(place)
        if name and name not in found:
            whole = _plain(content) if packed is None else _unpacked(packed, MOST)
            found[name] = None if len(whole) > MOST else whole
    if not hidden:
        return Shown(data)
    lost = found.get(XMP_PACKET, b"") is None  # a profile is then copied unread
    said = f"its XMP of over {MOST >> 20} MB was left out" if lost else None
    return Shown(_without(data, hidden), found.get(PROFILE), found.get(XMP_PACKET), said)


def _packed(kind: bytes, content: bytes) -> bytes | None:
    """The compressed part of a chunk's content (W3C PNG, 11.3); None if it has none."""
    _, _, rest = content.partition(b"\0")
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] != b"\1"):
        return None
    return _plain(content) if kind == b"iTXt" else rest[1:]


def _plain(content: bytes) -> bytes:
    """The text of an iTXt chunk, after key, flag, method, language and translated key."""
    return content.partition(b"\0")[2][2:].split(b"\0", 2)[-1]


def _unpacked(packed: bytes, most: int) -> bytes:
    """The unpacked bytes, cut after `most` + 1; none if they are broken."""
    try:
        return zlib.decompressobj().decompress(packed, most + 1)
    except zlib.error:
        return b""


def _without(data: bytes, places: list[slice]) -> bytes:
    kept, at = [], 0
    for place in places:
        kept.append(data[at : place.start])
        at = place.stop
    return b"".join([*kept, data[at:]])
