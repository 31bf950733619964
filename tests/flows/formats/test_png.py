"""PNG by our own encoder: the same pixels and the same metadata as Pillow would write."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from flows.formats import png
from flows.formats.encoding import encode, encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.picture import Picture
from flows.formats.pictures import decode
from flows.formats.png import described, encode_png

RANDOM = np.random.default_rng(3)
NOISE = RANDOM.integers(0, 256, (24, 40, 4), dtype=np.uint8)
RGB, ALPHA = np.ascontiguousarray(NOISE[..., :3]), NOISE[..., 3]
SHAPES = [(1, 1), (1, 9), (9, 1), (7, 13), (31, 8), (256, 255)]


def checked(data: bytes) -> Image.Image:
    """A PNG as Pillow sees it, after every check sum in it was found right."""
    Image.open(io.BytesIO(data)).verify()
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "PNG"
    opened.load()
    return opened


@pytest.fixture
def everything() -> bytes:
    """A PNG by Pillow with all that a picture may carry."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x9003: "2026:11:21 07:00:00"}
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a street")
    text.add_text("Comment", "long " * 500, zip=True)
    text.add_itxt("Author", "Jos\u00e9", lang="es", tkey="Autor")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "PNG", exif=exif, pnginfo=text, icc_profile=profile, dpi=(300, 200))
    return out.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_the_pixels_come_back_equal(shape, mode, channels):
    pixels = RANDOM.integers(0, 256, (*shape, channels), dtype=np.uint8)
    opened = checked(encode_png(pixels[..., 0] if channels == 1 else pixels))
    assert opened.mode == mode
    assert (np.asarray(opened).reshape(pixels.shape) == pixels).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_pixels_come_back_equal_by_another_library(shape, channels):
    pixels = RANDOM.integers(0, 65536, (*shape, channels), dtype=np.uint16)
    data = encode_png(pixels[..., 0] if channels == 1 else pixels)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).reshape(pixels.shape)
    assert read.dtype == np.uint16
    assert (read[..., [*range(channels)] if channels == 1 else [2, 1, 0, 3][:channels]] == pixels).all()


def test_grey_deep_pixels_with_alpha_come_back_equal():
    pixels = RANDOM.integers(0, 65536, (7, 5, 2), dtype=np.uint16)
    data = encode_png(pixels)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # as BGRA
    assert (read[..., [0, 3]] == pixels).all()


def test_pixels_of_more_bytes_than_a_chunk_holds_are_in_several(monkeypatch):
    monkeypatch.setattr(png, "PART", 100)
    data = encode_png(NOISE)
    assert data.count(b"IDAT") > 10
    assert (np.asarray(checked(data)) == NOISE).all()


@pytest.mark.parametrize("colour", ["plain", "gradient"])
def test_smooth_pixels_come_back_equal(colour):
    image = np.full((64, 80, 3), 77, np.uint8)
    if colour == "gradient":
        image += np.mgrid[0:64, 0:80].sum(axis=0)[..., None].astype(np.uint8)
    assert (np.asarray(checked(encode_image(image))) == image).all()


@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_a_picture_keeps_all_that_is_said_of_it(everything, grey, alpha):
    picture = replace(decode(everything), grey=grey, alpha=alpha)
    pixels = Image.fromarray(RGB).convert("L" if grey else "RGB")
    if alpha is not None:
        pixels.putalpha(Image.fromarray(alpha))
    before, written = checked(everything), checked(encode(picture, RGB))
    assert written.mode == pixels.mode
    assert (np.asarray(written) == np.asarray(pixels)).all()
    assert written.info == before.info
    assert written.text == before.text
    assert {"Title", "Comment", "Author", "XML:com.adobe.xmp"} <= set(written.text)
    assert {"icc_profile", "exif", "dpi"} <= set(written.info)
    assert written.getexif().get_ifd(0x8769)[0x9003] == "2026:11:21 07:00:00"


def test_what_belongs_to_the_pixels_of_another_picture_is_not_taken_over():
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG", transparency=(1, 2, 3), dpi=(72, 72))
    written = checked(encode_png(RGB, chunks=described(out.getvalue())))
    assert "transparency" not in written.info
    assert round(written.info["dpi"][0]) == 72


def test_a_picture_without_metadata_gets_none():
    assert checked(encode(Picture(RGB, None, False, "PNG"), RGB)).info == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_is_grey_of_8_bits_whatever_its_size(shape):
    mask = RANDOM.random(shape) > 0.5
    opened = checked(encode_mask(mask))
    assert opened.mode == "L"
    assert (np.asarray(opened) == mask * 255).all()


def test_it_is_no_larger_than_pillows_fastest(picture):
    image = picture(300, 400)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=1)
    assert len(encode_image(image)) <= len(out.getvalue())


def test_an_image_is_not_changed_by_writing_it(picture):
    image = picture(20, 30)
    before = image.copy()
    encode_png(image)
    assert (image == before).all()


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="cannot be written as PNG"):
        encode_png(np.zeros((0, 0, 3), np.uint8))
