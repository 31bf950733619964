"""EXIF blocks: previews are blanked in place, so that every other byte, maker notes included, stays as it is.

By hand, since Pillow rewrites a block and drops what it does not know, and piexif is unmaintained.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flows.formats.orientation import TAG

PREFIX = b"Exif\0\0"  # before a block in a JPEG; other containers hold it bare
PLACES = ((0x0201, 0x0202), (0x0111, 0x0117))  # offset and length of a preview: a JPEG, or plain strips
SHORT, LONG = 3, 4
PREVIEW = b"\xff\xd8\xff"  # the start of a JPEG; maker notes hold such previews too


def without_previews(block: bytes) -> bytes | None:
    """An EXIF block (bare) without previews, which may show a removed object; None for a broken block."""
    data = bytearray(block.removeprefix(PREFIX))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        first = _number(data, order, 4, LONG)
        end = _end(data, order, first)
        if second := _number(data, order, end, LONG):
            struct.pack_into(f"{order}I", data, end, 0)
            for begins, lengths in PLACES:
                _blank(data, order, second, begins, lengths)
        _blank_embedded(data)
    except (KeyError, struct.error):
        return None
    return bytes(data)


def saying(orientation: int) -> bytes:
    """A block (bare) with an orientation and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, TAG, SHORT, 1, orientation, 0, 0)


def _number(data: bytes | bytearray, order: str, at: int, kind: int) -> int:
    return struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", data, at)[0]


def _end(data: bytearray, order: str, directory: int) -> int:
    """The end of a directory's entries, where the offset of the next directory follows."""
    return directory + 2 + 12 * _number(data, order, directory, SHORT)


def _entries(data: bytearray, order: str, directory: int, tag: int) -> Iterator[int]:
    """The offsets of a tag's entries: tag, type, count and value, 12 bytes each."""
    for at in range(directory + 2, _end(data, order, directory), 12):
        if _number(data, order, at, SHORT) == tag:
            yield at


def _values(data: bytearray, order: str, directory: int, tag: int) -> list[int]:
    """The integers of a tag; of a tag that occurs more than once, those of the first."""
    at = next(_entries(data, order, directory, tag), None)
    if at is None:
        return []
    kind, count = _number(data, order, at + 2, SHORT), _number(data, order, at + 4, LONG)
    size = 2 if kind == SHORT else 4
    begin = at + 8 if size * count <= 4 else _number(data, order, at + 8, LONG)
    if begin + size * count > len(data):
        raise struct.error(f"tag {tag} lies outside")
    return [_number(data, order, begin + size * k, kind) for k in range(count)]


def _blank(data: bytearray, order: str, directory: int, begins: int, lengths: int) -> None:
    """Blank the strips of a preview; each byte once, however often they overlap."""
    places = zip(_values(data, order, directory, begins), _values(data, order, directory, lengths), strict=False)
    done = 0
    for begin, length in sorted(places):
        end = min(begin + length, len(data))
        if end == len(data) > begin > 8:
            del data[begin:]  # the usual case: the last thing in the block
        elif end > (first := max(begin, done)):
            data[first:end] = bytes(end - first)
        done = max(done, end)


def _blank_embedded(data: bytearray) -> None:
    """Blank every JPEG that lies anywhere in a block, up to its own end or the block's."""
    at = data.find(PREVIEW)
    while at >= 0:
        end = _jpeg_end(data, at)
        data[at:end] = bytes(end - at)
        at = data.find(PREVIEW, end)


def _jpeg_end(data: bytearray, at: int) -> int:
    """The end of a JPEG. Its segments are skipped, since a preview in one of them has an end of its own."""
    at += 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # until the scan begins
        at += 2 + _number(data, ">", at + 2, SHORT)
    end = data.find(b"\xff\xd9", at)
    return len(data) if end < 0 else end + 2
