"""Pictures to bytes: a changed picture in its own container, or the one asked for, with its metadata."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from flows.formats.bmp import encode_bmp
from flows.formats.deep import deepened
from flows.formats.exif import PREFIX
from flows.formats.jpeg_segments import with_markers
from flows.formats.jpeg_splice import spliced
from flows.formats.jpeg_workers import Unspliceable
from flows.formats.metadata import LOSSY_QUALITY, Metadata
from flows.formats.orientation import stored
from flows.formats.picture import Picture, UnsupportedPicture
from flows.formats.pictures import decode
from flows.formats.png import chunk, described, encode_png, kinds, xmp_chunk
from flows.formats.provenance import BY_ALGORITHM, BY_MODEL, UNTRAINED, with_provenance
from flows.formats.tiff import encode_tiff

CONVERTED = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
JPEG_QUALITY = 95
JPEG_XMP = 65504  # bytes that fit into the single segment for XMP
PLAIN: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 90}}


def changed(picture: Picture, image: np.ndarray) -> tuple[bytes, str | None]:
    """`picture` with the pixels of `image` (H×W×3 uint8), and a message about how it was written, if any.

    A JPEG keeps its coefficients in every unchanged block; if they cannot be kept, the message says so.
    """
    if picture.source is None:
        return encode(picture, image), None
    told = picture.source, picture.image, image, picture.orientation
    try:
        return with_markers(spliced(*told), picture.source, picture.metadata), None
    except Unspliceable as error:
        return encode(picture, image), f"re-encoded as a whole, which changes every pixel a little: {error}"


def encode(picture: Picture, image: np.ndarray) -> bytes:
    """`image` (H×W×3 uint8) in the container of `picture`, with its alpha, depth and metadata, encoded as a whole."""
    if picture.format == "BMP" and picture.alpha is not None:
        return encode_bmp(image, picture.alpha, picture.metadata.dpi)
    if picture.format not in ("PNG", "TIFF"):
        return _by_pillow(picture, image)
    colours = _grey(image) if picture.grey else image
    pixels, alpha = (colours, picture.alpha) if picture.deep is None else deepened(picture, image, colours)
    whole = stored(pixels if alpha is None else np.dstack([pixels, alpha]), picture.orientation)
    if picture.format == "TIFF":
        metadata = picture.metadata
        packed = bool(metadata.encoder_options.get("compression"))
        return encode_tiff(whole, metadata.tags, metadata.xmp, metadata.icc, metadata.dpi, packed)
    return encode_png(whole, _chunks(picture))


def converted(picture: Picture, container: str = "same", quality: int | None = None) -> Picture:
    """`picture` as one of a container png, jpeg or webp (`same`: its own), its lossy encoder at `quality` 1..100.

    Raises UnsupportedPicture where that cannot hold its transparency or its depth.
    """
    to = CONVERTED.get(container, picture.format)
    if to == "JPEG" and picture.alpha is not None:
        raise UnsupportedPicture("it has transparent pixels, which a JPEG cannot hold; ask for png or webp")
    if picture.deep is not None and to not in ("PNG", picture.format):
        raise UnsupportedPicture(f"its pixels have more than 8 bits, which {to} cannot hold; ask for png")
    encoder_options, lossless = _encoder_options(picture, to, quality)
    exif = picture.metadata.tags.tobytes() if picture.metadata.tags and to != "TIFF" else picture.metadata.exif
    source = picture.source if encoder_options is picture.metadata.encoder_options and to == picture.format else None
    metadata = replace(picture.metadata, encoder_options=encoder_options, lossless=lossless, exif=exif)
    return replace(picture, format=to, metadata=metadata, source=source)


def reencoded(data: bytes, container: str, quality: int | None) -> bytes:
    """A picture's bytes in that container; the same bytes if it has it. Raises as `decode` and `converted` do."""
    if container == "same":
        return data
    picture = decode(data)
    other = converted(picture, container, quality)
    return data if other.format == picture.format else encode(other, picture.image)


def marked(picture: Picture, method: str | None) -> Picture:
    """`picture` with an XMP that says that a part was painted by this method, if there is room for it."""
    said = with_provenance(picture.metadata.xmp, BY_ALGORITHM if method in UNTRAINED else BY_MODEL)
    if picture.format == "JPEG" and len(said) > JPEG_XMP:
        return picture
    return replace(picture, metadata=replace(picture.metadata, xmp=said))


def as_kept(picture: Picture, image: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) as `encode` will show it: grey where the picture is."""
    return np.repeat(_grey(image)[..., None], 3, axis=2) if picture.grey else image


def encode_image(image: np.ndarray, container: str = "PNG") -> bytes:
    """An image (H×W×3 uint8) in a container, without metadata."""
    return encode(Picture(image, None, False, container, Metadata(encoder_options=PLAIN.get(container, {}))), image)


def _encoder_options(picture: Picture, to: str, quality: int | None) -> tuple[dict[str, Any], bool]:
    """The encoder's settings, and True if it keeps every pixel: lossless stays lossless unless asked otherwise."""
    metadata = picture.metadata
    if to == picture.format:
        if metadata.lossless or quality is None:
            return metadata.encoder_options, metadata.lossless
        options = {key: value for key, value in metadata.encoder_options.items() if key != "qtables"}
        return options | {"quality": quality}, False
    if to == "JPEG":
        return {"quality": quality or JPEG_QUALITY, "subsampling": 0}, False
    if to == "WEBP" and not (metadata.lossless and quality is None):
        return {"quality": quality or LOSSY_QUALITY, "exact": True}, False
    return PLAIN.get(to, {}), True


def _by_pillow(picture: Picture, image: np.ndarray) -> bytes:
    shown = Image.fromarray(_stored(_grey(image) if picture.grey else image, picture))
    if picture.alpha is not None:
        shown.putalpha(Image.fromarray(_stored(picture.alpha, picture)))
    out = io.BytesIO()
    shown.save(out, picture.format, **_arguments(picture))
    return out.getvalue()


def _stored(pixels: np.ndarray, picture: Picture) -> np.ndarray:
    return np.ascontiguousarray(stored(pixels, picture.orientation))


def _arguments(picture: Picture) -> dict[str, Any]:
    """The metadata that Pillow writes into a container."""
    metadata, of = picture.metadata, picture.format
    given: dict[str, Any] = {"icc_profile": metadata.icc, "dpi": metadata.dpi}
    if of != "BMP":
        exif = (PREFIX if of == "JPEG" else b"") + metadata.exif if metadata.exif else None
        given |= {"exif": exif, "xmp": metadata.xmp}
    if of == "JPEG":
        given |= {"comment": metadata.comment, "extra": metadata.captions}
    given |= metadata.encoder_options
    return {key: value for key, value in given.items() if value is not None and value != b""}


def _chunks(picture: Picture) -> list[bytes]:
    """The chunks of a PNG: its own, with EXIF and XMP, or those that Pillow makes of another container's metadata."""
    metadata = picture.metadata
    there = kinds(metadata.chunks)
    info = PngImagePlugin.PngInfo()
    if metadata.comment:
        info.add_itxt("Comment", metadata.comment.decode("utf-8", "replace"))
    given = {
        "icc_profile": metadata.icc if not there & {b"iCCP"} else None,
        "dpi": metadata.dpi if not there & {b"pHYs"} else None,
    }
    out = io.BytesIO()
    Image.new("L", (1, 1)).save(out, "PNG", pnginfo=info, **{key: value for key, value in given.items() if value})
    exif = [chunk(b"eXIf", metadata.exif)] if metadata.exif else []
    return [*metadata.chunks, *described(out.getvalue()), *exif, *([xmp_chunk(metadata.xmp)] if metadata.xmp else [])]


def _grey(image: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) as H×W: grey pixels stay exactly as they were, as the luma of equal channels."""
    return np.asarray(Image.fromarray(image).convert("L"))
