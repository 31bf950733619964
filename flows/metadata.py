"""What is kept of a picture beside its pixels: colour profile, EXIF, XMP, text, resolution, JPEG quantisation."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image, PngImagePlugin

ORIENTATION = 0x0112
# In a TIFF, EXIF shares its directory with the tags that lay out the pixels; these alone describe the picture.
DESCRIPTIVE = frozenset({269, 270, 271, 272, 285, 305, 306, 315, 316, 700, 33432, 33723, 34665, 34853})


def kept(opened: Image.Image, upright: dict[Any, Any]) -> dict[str, Any]:
    """Encoder arguments that keep colour profile, EXIF, XMP, text, resolution and JPEG quantisation."""
    extras: dict[str, Any] = {key: opened.info[key] for key in ("icc_profile", "dpi") if opened.info.get(key)}
    if upright.get("xmp"):
        extras["xmp"] = upright["xmp"]  # whose orientation was reset with the pixels'
    exif = _exif(opened)
    if exif:
        extras["exif"] = exif
    if opened.format == "JPEG":
        extras["qtables"] = opened.quantization  # type: ignore[attr-defined]
        extras["subsampling"] = _subsampling(opened)
        extras["progressive"] = bool(opened.info.get("progressive"))
    if opened.format == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in getattr(opened, "text", {}).items():
            if key == "XML:com.adobe.xmp":
                text.add_itxt(key, str(upright.get(key, value)))
            elif key != "Raw profile type exif":  # written as EXIF proper
                text.add_text(key, value)
        extras["pnginfo"] = text
        extras.pop("xmp", None)
    if opened.format == "TIFF" and opened.info.get("compression") in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        extras["compression"] = opened.info["compression"]
    return extras


def _exif(opened: Image.Image) -> Image.Exif | None:
    """EXIF without orientation (applied to the pixels) and without the preview, which would show what was removed."""
    try:
        exif = opened.getexif()
        if not exif:
            return None
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1  # applied; said, because readers without it would look for another in the XMP
        if opened.format == "TIFF":
            for tag in set(exif) - DESCRIPTIVE:
                del exif[tag]
        for ifd in (0x8769, 0x8825):
            exif.get_ifd(ifd)  # loads the camera's and the place's tags, so that they are written back
        exif.tobytes()
        return exif
    except (SyntaxError, ValueError, KeyError, TypeError, OSError, struct.error):
        return None  # a broken EXIF block cannot be written back; the pixels are fine


def _subsampling(opened: Image.Image) -> int:
    from PIL import JpegImagePlugin

    sampling = JpegImagePlugin.get_sampling(opened)
    return sampling if sampling >= 0 else 0
