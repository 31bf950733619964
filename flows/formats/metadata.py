"""Metadata that is kept of a picture: colour profile, EXIF, XMP, text, resolution, encoder settings."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, JpegImagePlugin

from flows.formats import exif, provenance
from flows.formats.containers import av1, webp_is_lossless, without_thumbnails
from flows.formats.frames import container
from flows.formats.orientation import STEPS, TAG
from flows.formats.png import described

# In a TIFF, EXIF shares its directory with the tags that lay out the pixels; only these describe the picture, its
# caption and its camera, or (from 33550 on) the place on the ground that it shows.
DESCRIPTIVE = frozenset({269, 270, 271, 272, 285, 305, 306, 315, 316, 33432, 33723, 34665, 34853})
GEOGRAPHIC = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50844})
LOSSY_QUALITY = 90  # of formats whose files do not record their settings: WebP, AVIF, HEIC


@dataclass(frozen=True)
class Metadata:
    """Metadata that goes back into the file of a changed picture; `encoder_options` are Pillow's for its container."""

    icc: bytes | None = None
    exif: bytes | None = None  # the bare block
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    captions: bytes = b""  # a JPEG's segment APP13, as it stands in the file
    chunks: tuple[bytes, ...] = ()  # of a PNG
    tags: Image.Exif | None = None  # of a TIFF
    encoder_options: dict[str, Any] = field(default_factory=dict)
    lossless: bool = True


def stored_orientation(opened: Image.Image) -> int:
    """The orientation of a picture by its EXIF, else by its XMP; 1 if neither makes sense.

    Loads the pixels of a PNG, since EXIF may follow them; those of a TIFF are upright once they are loaded.
    """
    orientation = opened.getexif().get(TAG, 1)
    return orientation if orientation in STEPS else 1


def read_metadata(opened: Image.Image, orientation: int, data: bytes) -> Metadata:
    """The metadata of a picture, from Pillow's image before it was turned, the stored orientation, and the bytes."""
    info = opened.info
    encoder_options, lossless = _encoder_options(opened, data)
    of = container(opened)
    xmp = info.get("xmp")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=_exif(opened, orientation),
        xmp=provenance.without_previews(xmp) if xmp else None,
        dpi=info.get("dpi"),
        comment=info.get("comment") if of == "JPEG" else None,
        captions=_captions(opened),
        chunks=tuple(described(data)) if of == "PNG" else (),
        tags=_tags(opened, orientation) if of == "TIFF" else None,
        encoder_options=encoder_options,
        lossless=lossless,
    )


def _encoder_options(opened: Image.Image, data: bytes) -> tuple[dict[str, Any], bool]:
    """Pillow's settings to write such a picture again, and True if that keeps every pixel."""
    match container(opened):
        case "JPEG":
            sampling = JpegImagePlugin.get_sampling(opened)
            tables = {"qtables": opened.quantization}  # type: ignore[attr-defined]
            progressive = bool(opened.info.get("progressive"))
            return {**tables, "subsampling": max(sampling, 0), "progressive": progressive}, False
        case "WEBP" if webp_is_lossless(data):
            return {"lossless": True, "exact": True}, True
        case "WEBP":
            return {"quality": LOSSY_QUALITY, "exact": True}, False
        case "AVIF":
            return {"quality": LOSSY_QUALITY, "subsampling": av1(data).sampling}, False
        case "HEIF":
            return {"quality": LOSSY_QUALITY, "chroma": opened.info.get("chroma", 420)}, False
        case "TIFF" if opened.info.get("compression", "raw") != "raw":
            return {"compression": "deflate"}, True
    return {}, True


def _exif(opened: Image.Image, orientation: int) -> bytes | None:
    """The EXIF block without previews. Of a broken block only the orientation, if Pillow turned the picture by it."""
    if opened.format == "TIFF":
        return None  # a TIFF's tags are its EXIF
    block = opened.info.get("exif")
    if block is None and "Raw profile type exif" in opened.info:  # ImageMagick's way of storing it in a PNG
        block = opened.getexif().tobytes()
    clean = exif.without_previews(block) if block and block != exif.PREFIX else None
    told_by_it = bool(block) or not provenance.is_readable(opened.info.get("xmp"))
    return exif.saying(orientation) if clean is None and orientation != 1 and told_by_it else clean


def _tags(opened: Image.Image, orientation: int) -> Image.Exif | None:
    """The tags of a TIFF that do not lay out its pixels. None if they cannot be written back."""
    try:
        tags = opened.getexif()
        for tag in set(tags) - DESCRIPTIVE - GEOGRAPHIC:
            del tags[tag]
        tags[TAG] = orientation  # which Pillow removes when it turns the pixels
        for ifd in (0x8769, 0x8825):
            tags.get_ifd(ifd)  # loads the camera's and the place's tags, so that they are written back
        tags.tobytes()
        return tags
    except (SyntaxError, ValueError, KeyError, TypeError, OSError, struct.error):
        return None


def _captions(opened: Image.Image) -> bytes:
    """The IPTC captions of a JPEG, as segments to write."""
    held = [content for name, content in getattr(opened, "applist", []) if name == "APP13"]
    clean = [segment for content in held if (segment := without_thumbnails(content))]
    return b"".join(b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment for segment in clean)
