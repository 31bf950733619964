"""A JPEG in which something was painted: beyond the painted blocks every coefficient is the source's."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from flows.formats import jpeg_workers
from flows.formats.encoding import changed, converted
from flows.formats.exif import saying
from flows.formats.jpeg_splice import spliced, touched
from flows.formats.jpeg_workers import Unspliceable
from flows.formats.orientation import stored
from flows.formats.pictures import BrokenPicture, UnsupportedPicture, decode
from tests.flows.jpeg_coefficients import Read

SAMPLINGS = {name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}") for name in ("411", "420", "422", "440", "444")}
SIZES = [(53, 75), (17, 9)]  # heights and widths, no multiples of any MCU
KINDS = {"baseline": {}, "progressive": {"PROGRESSIVE": 1}, "restarts": {"RST_INTERVAL": 2}}
KINDS["progressive, restarts"] = KINDS["progressive"] | KINDS["restarts"]


def photo(height: int, width: int) -> np.ndarray:
    """Something like a photo: soft colours with grain."""
    random = np.random.default_rng(height * width)
    soft = cv2.resize(
        random.integers(0, 225, (9, 11, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(soft + random.integers(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)


def by_opencv(image: np.ndarray, sampling: str, **how: int) -> bytes:
    """A JPEG of that sampling, which OpenCV really makes, where Pillow makes 4:2:0 of what it does not know."""
    flags = {"QUALITY": 88, "SAMPLING_FACTOR": SAMPLINGS[sampling], **how}
    done, data = cv2.imencode(
        ".jpg", image, [n for key, one in flags.items() for n in (getattr(cv2, f"IMWRITE_JPEG_{key}"), one)]
    )
    assert done
    return data.tobytes()


def by_pillow(image: Image.Image, **how) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **how)
    return out.getvalue()


def turned(data: bytes, orientation: int) -> bytes:
    """The same JPEG with an EXIF block that says how it is stored."""
    block = b"Exif\0\0" + saying(orientation)
    return data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]


def mask_of(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 3 + 5, width // 2 : width // 2 + 4] = True
    mask[-1, -1] = True  # in an MCU that reaches beyond the picture
    return mask


def painted(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, bytes]:
    """The picture, where something is painted, with what, and what was written of it."""
    picture = decode(data)
    mask = mask_of(*picture.image.shape[:2])
    image = picture.image.copy()
    image[mask] = 255 - image[mask] if picture.grey else (250, 10, 120)
    written, said = changed(picture, image)
    assert said is None
    return picture.image, mask, image, written


def blocks_differ(before: Read, after: Read, mask: np.ndarray) -> tuple[int, int]:
    """How many blocks differ that the mask does not touch, and how many that it does."""
    assert before.sampling == after.sampling
    outside = inside = 0
    for number, (h, v) in enumerate(before.sampling):
        across, down = 8 * before.most[0] // h, 8 * before.most[1] // v
        for row in range(-(-before.height // down)):
            for column in range(-(-before.width // across)):
                same = (before.blocks[number][row, column] == after.blocks[number][row, column]).all()
                hit = mask[row * down : (row + 1) * down, column * across : (column + 1) * across].any()
                outside, inside = outside + (not same and not hit), inside + (not same and hit)
    return outside, inside


def levels_beyond(data: bytes, before: np.ndarray, mask: np.ndarray, written: bytes) -> int:
    """The largest difference of a decoded pixel beyond the touched MCUs and the pixel beside them."""
    difference = cv2.absdiff(decode(written).image, before)
    as_stored = stored(difference, decode(data).orientation)
    for left, top, right, bottom in touched(data, mask, decode(data).orientation):
        as_stored[top:bottom, left:right] = 0
    return int(difference.max())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_no_coefficient_that_the_mask_does_not_touch_is_another_however_the_picture_is_turned(sampling, kind, size):
    plain = by_opencv(photo(*size), sampling, **KINDS[kind])
    was = Read(plain)
    for orientation in range(1, 9):
        data = turned(plain, orientation)
        before, mask, _, written = painted(data)
        now = Read(written)
        outside, inside = blocks_differ(was, now, stored(mask, orientation))
        assert not outside
        assert inside
        assert not levels_beyond(data, before, mask, written)
        assert (now.progressive, now.interval, now.quantisation) == (was.progressive, was.interval, was.quantisation)
        assert Image.open(io.BytesIO(written)).getexif()[0x0112] == orientation


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_size_of_whole_mcus_is_no_exception(sampling):
    data = by_opencv(photo(32, 64), sampling)
    _, mask, _, written = painted(data)
    assert blocks_differ(Read(data), Read(written), mask)[0] == 0


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_grey_and_rgb_jpegs_stay_what_they_are(mode, progressive):
    image = Image.fromarray(photo(53, 75)).convert(mode)
    data = by_pillow(image, progressive=progressive, quality=93, **{"keep_rgb": True} if mode == "RGB" else {})
    before, mask, _, written = painted(data)
    was, now = Read(data), Read(written)
    assert now.ids == was.ids == ([1] if mode == "L" else [*b"RGB"])
    assert blocks_differ(was, now, mask)[0] == 0
    assert not levels_beyond(data, before, mask, written)


def test_codes_that_were_made_for_the_picture_are_made_again_so_that_it_does_not_grow():
    data = by_pillow(Image.fromarray(photo(120, 200)), quality=80, optimize=True)
    _, mask, _, written = painted(data)
    assert blocks_differ(Read(data), Read(written), mask)[0] == 0
    assert len(written) < 1.05 * len(data)


def test_what_is_painted_looks_as_it_should():
    data = by_opencv(photo(80, 120), "444", QUALITY=95)
    picture = decode(data)
    image = picture.image.copy()
    image[20:60, 30:90] = (40, 160, 90)
    got = decode(changed(picture, image)[0]).image
    assert np.abs(got[24:56, 32:88].astype(int) - (40, 160, 90)).max() <= 2


def test_a_picture_on_which_nothing_was_painted_keeps_every_coefficient():
    data = by_opencv(photo(53, 75), "420")
    picture = decode(data)
    written, said = changed(picture, picture.image.copy())
    assert said is None
    assert all((one == other).all() for one, other in zip(Read(data).blocks, Read(written).blocks, strict=True))


def test_arithmetic_coding_stays_arithmetic_coding():
    data = arithmetic(by_opencv(photo(53, 75), "420"))
    before, mask, _, written = painted(data)
    assert b"\xff\xc9" in data[:1000]
    assert b"\xff\xc9" in written[:1000]
    assert not levels_beyond(data, before, mask, written)


def arithmetic(data: bytes) -> bytes:
    """The same coefficients in arithmetic coding, which no encoder at hand writes."""
    from ctypes import byref

    from flows.formats.libjpeg import Library

    turbo = Library(jpeg_workers.library() or "", lambda message: os._exit(1))
    with turbo.reading(data) as read:
        coefficients = turbo.coefficients(read)
        with turbo.writing(read) as record, turbo.into(record, 1 << 20) as written:
            record.arith_code, record.optimize_coding, record.write_JFIF_header = 1, 0, 1
            turbo.so.jpeg_write_coefficients(byref(record), coefficients)
            turbo.so.jpeg_finish_compress(byref(record))
            return written()


def test_markers_stay_in_their_order_and_previews_go():
    exif, profile = Image.Exif(), os.urandom(150_000)  # a profile of three segments
    exif[0x010E] = "a boat"
    plain = by_pillow(Image.fromarray(photo(53, 75)), exif=exif, icc_profile=profile, comment=b"hello", dpi=(300, 300))
    segments = [(marker, content) for marker, content in Read(plain).markers if marker != 0xDA]
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    extra = [(0xE0, b"JFXX\0\x10preview"), (0xE1, xmp), (0xE2, b"MPF\0preview"), (0xFE, b"another")]
    data = plain[:2] + b"".join(b"\xff%c" % m + (len(c) + 2).to_bytes(2) + c for m, c in extra) + plain[2:]
    written = painted(data)[3]
    told = [(marker, content) for marker, content in Read(written).markers if marker in (*range(0xE0, 0xF0), 0xFE)]
    assert [marker for marker, _ in told] == [0xE1, 0xFE, 0xE0, 0xE1, *[0xE2] * 3, 0xFE]
    assert [content for marker, content in told if marker == 0xE2] == [c for m, c in segments if m == 0xE2]
    opened = Image.open(io.BytesIO(written))
    assert opened.info["icc_profile"] == profile
    assert opened.getexif()[0x010E] == "a boat"
    assert opened.info["dpi"] == (300, 300)
    assert b"preview" not in written


def test_another_quality_is_another_encoding_and_no_splice():
    picture = converted(decode(by_opencv(photo(53, 75), "420")), "jpeg", 50)
    assert picture.source is None


def test_a_header_that_says_another_size_than_the_pixels_have_is_not_spliced():
    data = by_opencv(photo(53, 75), "420")
    with pytest.raises(Unspliceable, match="75×53"):
        spliced(data, np.zeros((53, 74, 3), np.uint8), np.ones((53, 74, 3), np.uint8))


def test_twelve_bits_are_refused_before_any_process_is_asked():
    data = by_opencv(photo(53, 75), "444")
    frame = data.index(b"\xff\xc0") + 4
    deep = data[:frame] + b"\x0c" + data[frame + 1 :]
    with pytest.raises((UnsupportedPicture, BrokenPicture)):
        decode(deep)
    with pytest.raises(Unspliceable, match="12 bits"):
        spliced(deep, np.zeros((53, 75, 3), np.uint8), np.ones((53, 75, 3), np.uint8))


def test_workers_end_with_the_process_that_started_them_even_where_that_is_killed():
    told = (
        "import io, sys, numpy as np; from PIL import Image; from flows.formats import jpeg_workers; "
        "from flows.formats.jpeg_splice import spliced; out = io.BytesIO(); "
        "Image.new('RGB', (16, 16)).save(out, 'JPEG'); black = np.zeros((16, 16, 3), np.uint8); "
        "spliced(out.getvalue(), black, black + 9); print(jpeg_workers._idle[0].process.pid, flush=True); "
        "sys.stdin.read()"
    )
    asked = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[3]}
    with subprocess.Popen([sys.executable, "-c", told], **asked) as run:
        worker = os.pidfd_open(int(run.stdout.readline()))
        run.kill()
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended


def test_an_error_of_the_library_is_told_and_the_next_picture_is_spliced_as_if_nothing_had_been():
    image = photo(53, 75)
    data = by_opencv(image, "420")
    cut = data[: data.index(b"\xff\xda")]  # its tables, and no pixels
    with pytest.raises(Unspliceable, match=r"(?i)jpeg"):
        spliced(cut + b"\xff\xd9", image, 255 - image)
    assert painted(data)


def test_a_library_that_is_none_is_told_with_its_path(monkeypatch, tmp_path):
    (tmp_path / "libjpeg.so").write_bytes(b"no library")
    monkeypatch.setattr(jpeg_workers, "_idle", [])
    monkeypatch.setattr(jpeg_workers, "library", lambda: str(tmp_path / "libjpeg.so"))
    picture = decode(by_opencv(photo(300, 400), "420", QUALITY=100))
    assert f"{tmp_path}/libjpeg.so cannot be used" in changed(picture, 255 - picture.image)[1]
    assert jpeg_workers._idle == []


def test_a_worker_that_dies_costs_one_picture_its_splice_and_the_row_says_so(monkeypatch):
    painted(by_opencv(photo(53, 75), "420"))
    os.kill(jpeg_workers._idle[-1].process.pid, signal.SIGSEGV)
    jpeg_workers._idle[-1].process.wait()
    picture = decode(by_opencv(photo(53, 75), "420"))
    written, said = changed(picture, 255 - picture.image)
    assert "re-encoded" in said
    assert "signal 11" in said
    assert np.abs(decode(written).image.astype(int) - (255 - picture.image)).mean() < 9
    painted(by_opencv(photo(53, 75), "420"))


def test_many_threads_write_what_one_writes():
    pictures = [by_opencv(photo(40 + 3 * k, 75), "420") for k in range(12)]
    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(lambda data: painted(data)[3], pictures)] == [painted(data)[3] for data in pictures]


def test_the_library_of_another_version_does_the_same(monkeypatch):
    """Version 8 lays out its records in another way; conda and some systems have it, and so do torchvision's wheels."""
    monkeypatch.setattr(jpeg_workers, "BROUGHT_BY", ("torchvision",))
    data = by_opencv(photo(53, 75), "411", PROGRESSIVE=1, RST_INTERVAL=2)
    here = painted(data)[3]
    monkeypatch.setattr(jpeg_workers, "_idle", [])
    monkeypatch.setattr(jpeg_workers, "library", jpeg_workers.library.__wrapped__)
    if "torchvision" not in (jpeg_workers.library() or ""):
        pytest.skip("this torchvision brings no libjpeg")
    assert painted(data)[3] == here
    for worker in jpeg_workers._idle:
        worker.end()
