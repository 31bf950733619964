"""What lies beside and behind the pixels: packed text, videos, bytes behind the end, palettes, alpha in a BMP."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from flows.formats.encoding import encode, reencoded
from flows.formats.pictures import decode
from flows.formats.png import XMP, chunk, end_of
from flows.formats.png_packed import MOST, OF_PILLOW, OF_PILLOW_IN_ALL
from flows.run import run
from tests.flows.small import image, put, rows, small

LARGE = 3 << 20  # bytes, of which Pillow would unpack no more than one
CAMERA = "http://ns.google.com/photos/1.0/camera/"
TELLS = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description rdf:about="" xmlns:g="{CAMERA}" xmlns:d="urn:d"{{}} d:kept="yes"/></rdf:RDF></x:xmpmeta>'
)


def png(*chunks: bytes, behind: bool = False) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image()).save(out, "PNG")
    data = out.getvalue()
    at = end_of(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


def kept_of(data: bytes) -> bytes:
    """The picture as it is written again, opened by Pillow without its limits and by OpenCV."""
    picture = decode(data)
    written = encode(picture, picture.image)
    assert (cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR_RGB) == image()).all()
    assert (picture.image == image()).all()
    return written


PACKED = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(LARGE))),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0en\0Kommentar\0" + zlib.compress(b"x" * LARGE)),
    "iCCP": chunk(b"iCCP", b"wide\0\0" + zlib.compress(bytes(range(256)) * (LARGE // 256))),
    "many": b"".join(chunk(b"zTXt", b"k%d\0\0" % k + zlib.compress(bytes(900_000))) for k in range(75)),
    "plain": b"".join(chunk(b"tEXt", b"k%d\0" % k + b"y" * 900_000) for k in range(80)),
}


def test_pillow_reads_as_much_as_is_left_to_it():
    assert OF_PILLOW <= PngImagePlugin.MAX_TEXT_CHUNK
    assert OF_PILLOW_IN_ALL <= PngImagePlugin.MAX_TEXT_MEMORY


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_a_png_with_much_packed_text_or_a_large_profile_is_read_and_keeps_it_as_it_is(packed, behind):
    assert packed in kept_of(png(packed, behind=behind)).replace(b"IDAT", b"")
    assert decode(png(packed, behind=behind)).left_out is None


def test_a_large_packed_xmp_is_kept_and_says_what_was_painted(tmp_path):
    xmp = TELLS.format(f' d:more="{"z" * LARGE}"').encode()
    data = png(chunk(b"iTXt", XMP + b"\0\1\0\0\0" + zlib.compress(xmp)))
    assert decode(data).metadata.xmp == xmp
    assert xmp in kept_of(data)
    too_large = png(chunk(b"iTXt", XMP + b"\0\1\0\0\0" + zlib.compress(bytes(MOST + 1))))
    assert decode(too_large).left_out == "its XMP of over 64 MB was left out"
    assert XMP not in kept_of(too_large)


def test_a_large_profile_goes_along_into_another_container():
    profile = bytes(range(256)) * (LARGE // 256)
    data = png(chunk(b"iCCP", b"wide\0\0" + zlib.compress(profile)))
    assert Image.open(io.BytesIO(reencoded(data, "webp", None))).info["icc_profile"] == profile


def test_a_damaged_chunk_behind_the_pixels_does_not_come_into_the_result():
    damaged = chunk(b"tEXt", b"Title\0a street")[:-1] + b"?"
    written = kept_of(png(damaged, behind=True))
    assert b"a street" not in written
    Image.open(io.BytesIO(written)).verify()


def behind_of(container: str, more: bytes, **how: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image()).save(out, container, **how)
    return out.getvalue() + more


@pytest.mark.parametrize(("container", "how"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
@pytest.mark.parametrize(
    "more", [b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 9, b"PK\3\4" * 50, chunk(b"tEXt", b"a\0b")]
)
def test_bytes_behind_the_end_do_not_come_into_the_result_and_the_row_says_that_they_went(
    tmp_path, container, how, more
):
    suffix = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}[container]
    put(tmp_path, f"a.{suffix}")
    data = behind_of(container, more, **how)
    (tmp_path / "in" / f"a.{suffix}").write_bytes(data)
    run(small(tmp_path, pictures=0))
    row = rows(tmp_path / "out")[f"a.{suffix}"]
    assert row["status"] == "removed"
    assert f"{len(more)} bytes after its end were left out" in row["reason"]
    written = (tmp_path / "out/images" / f"a.{suffix}").read_bytes()
    assert more not in written
    Image.open(io.BytesIO(written)).load()


@pytest.mark.parametrize("padding", [b"", bytes(512), b"\r\n"])
def test_padding_behind_the_end_is_not_worth_a_word(padding):
    for container in ("PNG", "JPEG", "WEBP"):
        assert decode(behind_of(container, padding)).left_out is None


@pytest.mark.parametrize("flag", [' g:MotionPhoto="1" g:MotionPhotoVersion="1"', ' g:MicroVideo="1"'])
def test_a_motion_photos_flag_goes_with_its_video_and_the_row_says_so(tmp_path, flag):
    put(tmp_path, "a.jpg")
    video = b"\0\0\0\x18ftypmp42" + bytes(5000)
    data = behind_of("JPEG", video, quality=95, xmp=TELLS.format(flag).encode())
    (tmp_path / "in/a.jpg").write_bytes(data)
    run(small(tmp_path, pictures=0))
    row = rows(tmp_path / "out")["a.jpg"]
    assert "the video in it was left out" in row["reason"]
    written = (tmp_path / "out/images/a.jpg").read_bytes()
    assert b'd:kept="yes"' in written
    assert not [word for word in (b"MotionPhoto", b"MicroVideo", b"ftyp") if word in written]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["1", "P"])
def test_a_picture_of_two_colours_or_with_a_palette_becomes_grey_or_rgb_where_it_is_painted_on(tmp_path, mode, suffix):
    stored = Image.fromarray(image()).convert(mode)
    put(tmp_path, f"a.{suffix}")
    stored.save(tmp_path / "in" / f"a.{suffix}")
    run(small(tmp_path, pictures=0))
    row = rows(tmp_path / "out")[f"a.{suffix}"]
    assert (row["status"], row["outside_max_diff"]) == ("removed", 0)
    after = Image.open(tmp_path / "out/images" / f"a.{suffix}")
    assert after.mode == {"1": "L", "P": "RGB"}[mode]


def with_alpha() -> tuple[np.ndarray, bytes]:
    """A BMP with alpha by OpenCV, which writes a header of version 5."""
    alpha = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (24, 1))
    return alpha, cv2.imencode(".bmp", np.dstack([image()[..., ::-1], alpha]))[1].tobytes()


def test_a_bmp_keeps_its_alpha_as_two_other_readers_see_it(tmp_path):
    alpha, data = with_alpha()
    put(tmp_path, "a.bmp")
    (tmp_path / "in/a.bmp").write_bytes(data)
    run(small(tmp_path, pictures=0))
    assert rows(tmp_path / "out")["a.bmp"]["outside_max_diff"] == 0
    written = (tmp_path / "out/images/a.bmp").read_bytes()
    assert (np.asarray(Image.open(io.BytesIO(written)))[..., 3] == alpha).all()
    by_opencv = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (by_opencv[..., 3] == alpha).all()
    assert struct.unpack_from("<I", written, 2)[0] == len(written)


def test_a_bmp_with_alpha_keeps_its_resolution():
    alpha, data = with_alpha()
    told = data[:38] + struct.pack("<ii", 3780, 3780) + data[46:]
    picture = decode(told)
    again = decode(encode(picture, picture.image))
    assert again.metadata.dpi == pytest.approx((96, 96), abs=0.1)
    assert (again.alpha == alpha).all()
