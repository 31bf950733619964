"""Bytes to pictures and back, with everything a picture carries."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from flows.formats.drawings import strip
from flows.formats.encoding import encode
from flows.formats.mask_files import decode_mask, encode_mask
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import decode, measure
from flows.formats.png import chunk

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def saved(image: Image.Image, container: str, **how) -> bytes:
    out = io.BytesIO()
    image.save(out, container, **how)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


LOSSLESS = [(c, m) for c in ("PNG", "WEBP", "TIFF", "BMP") for m in ("RGB", "RGBA", "L", "LA", "P", "1")]


@pytest.mark.parametrize(("container", "mode"), [case for case in LOSSLESS if case != ("BMP", "LA")])  # BMP has no LA
def test_lossless_pictures_come_back_with_equal_pixels(container, mode):
    image = Image.fromarray(np.dstack([NOISE, NOISE[..., 0]]), "RGBA").convert(mode)
    how = {"lossless": True, "exact": True} if container == "WEBP" else {}
    data = saved(image, container, **how)
    picture = decode(data)
    again = decode(encode(picture, picture.image))
    assert (again.image == picture.image).all()
    assert (again.alpha is None) == (picture.alpha is None)
    assert picture.alpha is None or (again.alpha == picture.alpha).all()
    assert opened(encode(picture, picture.image)).format == container


def test_a_jpeg_keeps_its_tables_and_subsampling_so_its_size_stays_in_class():
    across, down = np.meshgrid(np.arange(200), np.arange(120))
    smooth = np.dstack([across, down, across // 2 + down // 2]).astype(np.uint8)
    data = saved(Image.fromarray(smooth), "JPEG", quality=83, subsampling=2)
    picture = decode(data)
    written = encode(picture, picture.image)
    assert opened(written).quantization == opened(data).quantization
    assert abs(len(written) - len(data)) < 0.1 * len(data)
    assert np.abs(decode(written).image.astype(int) - picture.image).mean() < 1


def test_a_grey_jpeg_stays_grey():
    picture = decode(saved(Image.fromarray(NOISE[..., 0]), "JPEG"))
    assert opened(encode(picture, picture.image)).mode == "L"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_seen_upright_and_written_as_it_was_stored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    upright = Image.fromarray(NOISE)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    picture = decode(saved(stored, "PNG", exif=exif))
    assert (picture.image == NOISE).all()
    written = opened(encode(picture, picture.image))
    assert (np.asarray(written) == np.asarray(stored)).all()
    assert written.getexif()[0x0112] == orientation
    assert written.getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_is_measured_upright_without_its_pixels(container, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(NOISE), container, exif=exif)
    assert measure(data) == decode(data).image.shape[:2]
    if container in ("JPEG", "PNG"):
        assert measure(data[: len(data) * 2 // 3]) == measure(data)


def test_a_png_is_measured_upright_also_where_that_stands_behind_its_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(NOISE), "PNG")
    told = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert measure(data) == (24, 40)
    assert measure(data[:-12] + told + data[-12:]) == (40, 24)


def test_a_picture_whose_header_is_refused_is_not_measured():
    with pytest.raises(BrokenPicture, match="too many pixels"):
        measure(saved(Image.fromarray(NOISE), "PNG"), max_pixels=9)
    with pytest.raises(UnsupportedPicture, match="palette"):
        measure(saved(Image.fromarray(NOISE), "GIF"))
    with pytest.raises(BrokenPicture, match="empty"):
        measure(b"")


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("also_in_exif", [True, False])
def test_an_orientation_held_in_xmp_does_not_turn_the_picture_twice(container, also_in_exif):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    how = {"xmp": xmp}
    if container == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        how = {"pnginfo": text}
    if also_in_exif:
        exif = Image.Exif()
        exif[0x0112] = 6
        how["exif"] = exif
    picture = decode(saved(Image.fromarray(NOISE), container, **how))
    assert picture.image.shape == (40, 24, 3)
    assert measure(saved(Image.fromarray(NOISE), container, **how)) == (40, 24)
    assert decode(encode(picture, picture.image)).image.shape == (40, 24, 3)


@pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_colour_profile_and_camera_data_are_kept(container):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x9003: "2026:11:21 07:00:00"}
    exif[0x8825] = {0x0001: "N"}
    picture = decode(saved(Image.fromarray(NOISE), container, icc_profile=profile, exif=exif.tobytes(), dpi=(300, 300)))
    written = opened(encode(picture, picture.image))
    assert written.info["icc_profile"] == profile
    assert written.getexif()[0x010F] == "Maker"
    assert written.getexif().get_ifd(0x8769)[0x9003] == "2026:11:21 07:00:00"
    assert written.getexif().get_ifd(0x8825)[0x0001] == "N"
    if container != "WEBP":
        assert round(float(written.info["dpi"][0])) == 300


def test_the_embedded_preview_is_dropped_since_it_shows_what_was_removed():
    preview = saved(Image.fromarray(NOISE).resize((16, 10)), "JPEG")
    plain = saved(Image.fromarray(NOISE), "JPEG")
    block = _exif_with_preview(preview)
    data = plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:]
    assert preview in data
    picture = decode(data)
    written = encode(picture, picture.image)
    assert preview not in written
    assert opened(written).getexif()[0x010F] == "Maker"


def _exif_with_preview(preview: bytes) -> bytes:
    """A big-endian EXIF block: a maker in IFD0, and IFD1 with a JPEG preview."""

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value.to_bytes(4, "big")

    first, second = 8, 8 + 2 + 12 + 4 + 6
    maker = second - 6
    ifd0 = (1).to_bytes(2, "big") + entry(0x010F, 2, 6, maker) + second.to_bytes(4, "big") + b"Maker\0"
    begin = second + 2 + 2 * 12 + 4
    ifd1 = (2).to_bytes(2, "big") + entry(0x0201, 4, 1, begin) + entry(0x0202, 4, 1, len(preview)) + bytes(4)
    return b"Exif\0\0MM\0*" + first.to_bytes(4, "big") + ifd0 + ifd1 + preview


def test_png_text_is_kept():
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a street")
    picture = decode(saved(Image.fromarray(NOISE), "PNG", pnginfo=text))
    assert opened(encode(picture, picture.image)).text["Title"] == "a street"


def test_a_broken_exif_block_costs_no_picture():
    data = saved(Image.fromarray(NOISE), "JPEG")
    broken = data[:2] + b"\xff\xe1\x00\x10Exif\x00\x00MM\x00*\xff\xff\xff\xff" + data[2:]
    picture = decode(broken)
    assert (picture.image == decode(data).image).all()
    assert decode(encode(picture, picture.image)).image.shape == NOISE.shape


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(saved(Image.fromarray(NOISE[..., 0].astype(np.int32)), "TIFF"), "narrow", id="32-bit grey"),
        pytest.param(saved(Image.fromarray(NOISE).convert("CMYK"), "JPEG"), "CMYK", id="CMYK"),
        pytest.param(saved(Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF"), "narrow", id="float"),
        pytest.param(saved(Image.fromarray(NOISE).convert("P"), "GIF"), "palette", id="GIF"),
        pytest.param(
            saved(Image.fromarray(NOISE), "TIFF", save_all=True, append_images=[Image.fromarray(NOISE)]),
            "2 frames or pages",
            id="pages",
        ),
        pytest.param(
            saved(Image.fromarray(NOISE), "PNG", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
            "2 frames or pages",
            id="animated",
        ),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused_with_the_reason(data, reason):
    with pytest.raises(UnsupportedPicture, match=reason):
        decode(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not a picture"),
        (saved(Image.fromarray(NOISE), "PNG")[:-60], "cannot be decoded"),
        (saved(Image.fromarray(NOISE), "JPEG")[:-200], "cannot be decoded"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG"],
)
def test_what_cannot_be_decoded_says_why(data, reason):
    with pytest.raises(BrokenPicture, match=reason):
        decode(data)


def test_a_decompression_bomb_is_refused_before_it_is_decoded_and_the_limit_can_be_raised(monkeypatch):
    data = saved(Image.fromarray(NOISE), "PNG")
    area = NOISE.shape[0] * NOISE.shape[1]
    assert decode(data, max_pixels=area).image.shape == NOISE.shape
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(BrokenPicture, match=f"too many pixels.*--max-pixels {area}"):
        decode(data, max_pixels=area - 1)


def test_masks_are_black_and_white_and_come_back_equal():
    mask = NOISE[..., 0] > 128
    assert (decode_mask(encode_mask(mask)) == mask).all()
    assert set(np.unique(np.asarray(opened(encode_mask(mask))))) == {0, 255}


def test_transparent_white_is_not_mask():
    white = np.full((4, 4, 4), 255, np.uint8)
    white[:2, :, 3] = 0
    assert decode_mask(saved(Image.fromarray(white), "PNG")).sum() == 8


def test_a_strip_puts_panels_beside_each_other():
    assert strip([NOISE, NOISE]).shape == (24, 84, 3)
