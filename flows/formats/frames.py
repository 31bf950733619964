"""Other contents of a picture's file: previews, gain and depth maps, further pictures."""

from __future__ import annotations

import re
import struct

from PIL import Image

from flows.formats.png import end_of
from flows.formats.provenance import tells_of_video

MP_ENTRIES = 0xB002  # of CIPA DC-007 (MPO): a JPEG that holds others
PREVIEW, UNSAID = "Large Thumbnail", "Undefined"  # UNSAID is what gain maps are (Ultra HDR, ISO 21496-1)
VIDEO = "the video in it was left out, with the metadata about it"
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # any marker of a JPEG but those within a scan
MAPS = "its gain or depth map was left out, since it shows what was removed"


def container(opened: Image.Image) -> str:
    """The container of an opened picture; a JPEG that holds others is a JPEG."""
    return "JPEG" if opened.format == "MPO" else opened.format or "PNG"


def left_out(opened: Image.Image) -> str | None:
    """A message about what is left out beside a changed picture; None for nothing.

    Raises ValueError for further pictures in their own right: pages, frames of an animation, other views.
    """
    if opened.format == "MPO":
        entries = opened.mpinfo[MP_ENTRIES][1:]  # type: ignore[attr-defined]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in entries]
        if all(kind.startswith((PREVIEW, UNSAID)) for kind in kinds):
            return MAPS if any(kind.startswith(UNSAID) for kind in kinds) else None
    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"it holds {frames} frames or pages; only single pictures can be changed")
    return MAPS if opened.info.get("aux") or opened.info.get("depth_images") else None


def behind(opened: Image.Image, data: bytes) -> str | None:
    """A message about what is left out behind a changed picture, such as a video; None for nothing.

    `left_out` speaks of several pictures in one file.
    """
    if tells_of_video(opened.info.get("xmp")):
        return VIDEO
    end = len(data)
    if opened.format == "PNG":
        end = end_of(data)
    elif opened.format == "JPEG":
        end = _jpeg_end(data)
    elif opened.format == "WEBP":
        end = 8 + struct.unpack_from("<I", data, 4)[0]
    more = data[end:].strip(b"\0\r\n")  # padding, and line ends that a transfer as text adds
    return f"{len(data) - end} bytes after its end were left out" if more else None


def _jpeg_end(data: bytes) -> int:
    """The end of a JPEG; the end of the file if it has none."""
    at = 2
    while found := MARKER.search(data, at):
        at = found.end()
        if data[at - 1] == 0xD9:
            return at
        if data[at - 1] not in (0x01, 0xD8) and at + 2 <= len(data):
            at += max(2, struct.unpack_from(">H", data, at)[0])
    return len(data)
