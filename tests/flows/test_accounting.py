"""Every input is accounted for: what people point the job at, each with the end it comes to. One run over all of it."""

from __future__ import annotations

import ctypes
import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from flows.job import Job
from flows.run import run
from tests.flows.small import HEIGHT, WIDTH, Following, encode_mask, image, mask, rows

PIXELS = image()
RGB = Image.fromarray(PIXELS)
GREY = RGB.convert("L")
NO_PICTURE = "not a picture of a known format"
WHOLE = ("removed",)
EITHER = ("removed", "unsupported")  # never narrowed: changed as it is, or copied as it was


@dataclass(frozen=True)
class Kind:
    """A thing in a source folder: how it is made (bytes, or something that makes a path), and how it may end."""

    made: bytes | Callable[[Path], Any]
    ends: tuple[str, ...]
    because: str = ""
    name: str = ""


def saved(picture: Image.Image, container: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, container, **options)
    return out.getvalue()


def exif(**tags: Any) -> Image.Exif:
    made = Image.Exif()
    for tag, value in {"orientation": 1, **tags}.items():
        made[{"orientation": 0x0112, "software": 0x0131}[tag]] = value
    return made


def of(kind: Any) -> Image.Image:
    """One channel, in another type."""
    return Image.fromarray(PIXELS[..., 0].astype(kind))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))


BOMB = png_header(60_000, 60_000) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
PNG, JPEG = saved(RGB, "PNG"), saved(RGB, "JPEG", quality=95)
MPO = saved(RGB, "MPO", save_all=True, append_images=[Image.fromarray(PIXELS // 2)])
FRAMES = {"save_all": True, "append_images": [Image.fromarray(PIXELS // 2)], "duration": 100}


def text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "x" * 3_000_000, zip=True)
    return saved(RGB, "PNG", pnginfo=info)


def link_to(target: str | Path) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bound_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # such a path must be short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


ODD_MODES = {
    "RGBA": (RGB.convert("RGBA"), WHOLE),
    "with a half transparent alpha": (Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "RGBA"), WHOLE),
    "grey": (GREY, WHOLE),
    "grey with alpha": (GREY.convert("LA"), WHOLE),
    "palette": (RGB.quantize(32), EITHER),
    "1-bit": (GREY.point(lambda v: 255 * (v > 128)).convert("1"), EITHER),
    "16-bit grey": (Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), EITHER),
}

LOSSY = ("AVIF",)  # which says by how much the rest of the picture differs

KINDS: dict[str, Kind] = {
    # not whole
    "empty": Kind(b"", ("failed",), "the file is empty"),
    "one byte": Kind(b"\x89", ("failed",), NO_PICTURE),
    "text": Kind(b"hello, I am a text", ("failed",), NO_PICTURE),
    "zeros": Kind(bytes(5000), ("failed",), NO_PICTURE),
    "an HTML error page": Kind(b"<!DOCTYPE html><title>404</title>", ("failed",), NO_PICTURE, "d.jpg"),
    "a PDF": Kind(b"%PDF-1.7\n%\xe2\xe3\n", ("failed",), NO_PICTURE),
    "an EPS, which would run PostScript": Kind(b"%!PS-Adobe-3.0 EPSF-3.0\n", ("failed",), NO_PICTURE),
    "a Git LFS pointer": Kind(b"version https://git-lfs.github.com/spec/v1\n", ("failed",), "not a picture", "l.jpg"),
    "PNG cut in its header": Kind(PNG[:20], ("failed",), ""),
    "PNG cut in its pixels": Kind(PNG[: len(PNG) // 2], ("failed",), "cannot be decoded"),
    "PNG with a wrong check sum": Kind(PNG[:30] + b"!!!!" + PNG[34:], ("failed",), "begins like a PNG, and is damaged"),
    "JPEG cut in its header": Kind(JPEG[:30], ("failed",), "", "e.jpg"),
    "JPEG cut in its pixels": Kind(JPEG[:-100], ("failed",), "cannot be decoded", "f.jpg"),
    "TIFF cut": Kind(saved(RGB, "TIFF")[:200], ("failed",), "", "g.tif"),
    "BMP cut": Kind(saved(RGB, "BMP")[:-500], ("failed",), "cannot be decoded", "h.bmp"),
    "WebP cut": Kind(saved(RGB, "WEBP")[:-40], ("failed",), "", "i.webp"),
    "AVIF cut": Kind(saved(RGB, "AVIF")[:-40], ("failed",), "", "j.avif"),
    "GIF cut": Kind(saved(RGB.quantize(16), "GIF")[:60], ("failed", "unsupported"), "", "k.gif"),
    "only a JPEG's magic bytes": Kind(b"\xff\xd8\xff\xe0", ("failed",), "", "m.jpg"),
    # bombs
    "decompression bomb": Kind(BOMB, ("failed",), "--max-pixels 3600000000"),
    "bomb by its header alone": Kind(png_header(2**20, 2**20) + chunk(b"IDAT", b""), ("failed",), "too many pixels"),
    "text bomb": Kind(text_bomb(), ("removed",)),  # what unpacks to so much is kept as it lies, unread
    # whole, but not to be narrowed
    "animated GIF": Kind(saved(RGB.quantize(16), "GIF", **FRAMES), ("unsupported",), "2 frames", "n.gif"),
    "GIF": Kind(saved(RGB.quantize(16), "GIF"), ("unsupported",), "palette", "o.gif"),
    "animated WebP": Kind(saved(RGB, "WEBP", **FRAMES), ("unsupported",), "2 frames", "p.webp"),
    "animated PNG": Kind(saved(RGB, "PNG", **FRAMES), ("unsupported",), "2 frames"),
    "TIFF of two pages": Kind(saved(RGB, "TIFF", **FRAMES), ("unsupported",), "2 frames or pages", "q.tif"),
    "CMYK": Kind(saved(RGB.convert("CMYK"), "JPEG"), ("unsupported",), "CMYK", "r.jpg"),
    "LAB": Kind(saved(RGB.convert("LAB"), "TIFF"), ("unsupported",), "LAB", "s.tif"),
    "float": Kind(saved(of(np.float32), "TIFF"), ("unsupported",), "narrow", "t.tif"),
    "32-bit integers": Kind(saved(of(np.int32), "TIFF"), ("unsupported",), "narrow", "u.tif"),
    # whole
    **{f"{mode} PNG": Kind(saved(picture, "PNG"), ends) for mode, (picture, ends) in ODD_MODES.items()},
    "JPEG": Kind(JPEG, WHOLE, name="v.JPEG"),
    "grey JPEG": Kind(saved(GREY, "JPEG"), WHOLE, name="w.jfif"),
    "progressive JPEG": Kind(saved(RGB, "JPEG", progressive=True), WHOLE, name="x.jpg"),
    "WebP": Kind(saved(RGB, "WEBP", lossless=True), WHOLE, name="y.webp"),
    "AVIF": Kind(saved(RGB, "AVIF"), EITHER, name="z.avif"),
    "BMP": Kind(saved(RGB, "BMP"), WHOLE, name="aa.bmp"),
    "TIFF": Kind(saved(RGB, "TIFF", compression="tiff_lzw"), WHOLE, name="ab.TIFF"),
    "PNG called JPEG": Kind(PNG, WHOLE, name="ac.jpg"),
    "JPEG called PNG": Kind(JPEG, WHOLE, name="ad.png"),
    "two pictures in one file": Kind(PNG + PNG, WHOLE),
    "PNG with rubbish after its end": Kind(PNG + b"\0" * 999, WHOLE),
    "JPEG with rubbish after its end": Kind(JPEG + b"\0" * 999, WHOLE, name="ae.jpg"),
    "MPO, a camera's two pictures": Kind(MPO, ("removed", "unsupported"), name="af.jpg"),
    "broken ICC profile": Kind(saved(RGB, "PNG", icc_profile=b"not a profile"), WHOLE),
    "broken EXIF": Kind(saved(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02rubbish"), WHOLE, name="ag.jpg"),
    "EXIF that points behind its end": Kind(
        saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\xff\xff"), WHOLE, name="ah.jpg"
    ),
    **{
        f"EXIF orientation {turn}": Kind(
            saved(RGB if turn < 5 else RGB.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif(orientation=turn)),
            WHOLE,
            name=f"turn{turn}.jpg",
        )
        for turn in range(1, 9)
    },
    "EXIF orientation 99": Kind(saved(RGB, "JPEG", exif=exif(orientation=99)), WHOLE, name="ai.jpg"),
    # of another size than the one mask for all
    "1×1": Kind(saved(RGB.resize((1, 1)), "PNG"), ("failed",), "they must be the same"),
    "1×20000": Kind(saved(RGB.resize((1, 20_000)), "PNG"), ("failed",), "they must be the same"),
    "20000×1": Kind(saved(RGB.resize((20_000, 1)), "PNG"), ("failed",), "they must be the same"),
    # names
    "spaces": Kind(PNG, WHOLE, name="  a  b .png"),
    "a newline": Kind(PNG, WHOLE, name="new\nline.png"),
    "quotes": Kind(PNG, WHOLE, name="it's \"quoted\" `x` $(y).png"),
    "emoji": Kind(PNG, WHOLE, name="\N{CAT FACE}\N{ZERO WIDTH JOINER}.png"),
    "not UTF-8": Kind(PNG, WHOLE, name=os.fsdecode(b"caf\xe9.png")),
    "right to left": Kind(PNG, WHOLE, name="\u202egnp.png"),
    "HTML": Kind(PNG, WHOLE, name="<img src=x onerror=alert(1)>.png"),
    "a leading dash": Kind(PNG, WHOLE, name="--masks.png"),
    "backslashes": Kind(PNG, WHOLE, name="a\\..\\b.png"),
    "a percent sign": Kind(PNG, WHOLE, name="100%s {name}.png"),
    "255 characters": Kind(PNG, ("failed",), "too long", name="x" * 251 + ".png"),
    "240 characters": Kind(PNG, WHOLE, name="y" * 236 + ".png"),
    "beside its namesake, a.png": Kind(PNG, WHOLE, name="same/a.png"),
    "beside its namesake, a.jpg": Kind(JPEG, WHOLE, name="same/a.jpg"),
    "beside its namesake, A.JPG": Kind(JPEG, WHOLE, name="same/A.JPG"),
    "beside its namesake, a.png.png": Kind(PNG, WHOLE, name="same/a.png.png"),
    "forty folders down": Kind(PNG, WHOLE, name="/".join(["deep"] * 40) + "/a.png"),
    # no files
    "a folder": Kind(lambda path: path.mkdir(), ("skipped",), "it is a folder", name="dir.jpg"),
    "in a folder called like a picture": Kind(PNG, WHOLE, name="other.jpg/a.png"),
    "a pipe": Kind(lambda path: os.mkfifo(path), ("skipped",), "a pipe", name="pipe.jpg"),
    "a socket": Kind(bound_socket, ("skipped",), "a socket", name="socket.jpg"),
    "a link to a picture": Kind(link_to("v.JPEG"), ("skipped",), "it is a link", name="link.jpg"),
    "a link out of the tree": Kind(link_to("/etc/hostname"), ("skipped",), "it is a link", name="out.png"),
    "a link to nothing": Kind(link_to("nothing"), ("skipped",), "it is a link", name="dangling.png"),
    "a link to itself": Kind(link_to("loop.png"), ("skipped",), "it is a link", name="loop.png"),
    "a link to the folder above": Kind(link_to(".."), ("skipped",), "it is a link", name="up.png"),
}  # fmt: skip
for number, (said, kind) in enumerate([*KINDS.items()]):
    if not kind.name:
        KINDS[said] = Kind(kind.made, kind.ends, kind.because, f"{number:03}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """All kinds in one folder, run twice."""
    place = tmp_path_factory.mktemp("all")
    (place / "mask.png").write_bytes(encode_mask(mask()))
    for kind in KINDS.values():
        path = place / "in" / kind.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.made) if isinstance(kind.made, bytes) else kind.made(path)
    (place / "in" / "notes.txt").write_text("no picture")
    (place / "in" / ".hidden.png").write_bytes(PNG)
    (place / "in" / "loop").symlink_to(".")
    following = Following()
    run(job(place), following)
    (place / "said").write_text("\n".join(following.said), errors="backslashreplace")
    assert run(job(place)).tried == 0
    return place


def job(place: Path) -> Job:
    places = {"source": str(place / "in"), "target": str(place / "out"), "masks": str(place / "mask.png")}
    return Job(**places, model="bundled", method="telea", verify=False, max_failures=1000)


def test_there_are_enough_kinds_and_no_two_of_a_name():
    assert len(KINDS) >= 60
    assert len({kind.name for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize("said", KINDS)
def test_every_kind_of_input_ends_with_a_reason_or_a_result(place, said, monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1 << 22)  # Pillow's own bound is below what one of them holds
    kind = KINDS[said]
    row = rows(place / "out")[kind.name]
    assert row["status"] in kind.ends, row["reason"]
    assert kind.because in (row["reason"] or "")
    result = place / "out" / "images" / kind.name
    if row["status"] == "removed":
        assert ImageOps.exif_transpose(Image.open(result)).size == (WIDTH, HEIGHT)
        assert (row["outside_max_diff"] == 0) is (said not in LOSSY)
    elif row["status"] == "unsupported":
        assert result.read_bytes() == kind.made
    else:
        assert row["reason"]
        assert not result.is_file()


def test_rows_and_failures_are_what_is_called_like_a_picture_and_nothing_else(place):
    listed = rows(place / "out")
    assert set(listed) == {kind.name for kind in KINDS.values()} | {"other.jpg"}
    images = place / "out" / "images"
    there = {f"images/{path.relative_to(images)}" for path in images.rglob("*") if path.is_file()}
    assert {row["file_name"] for row in listed.values() if row["file_name"]} == there


def test_what_was_left_out_is_said(place):
    said = (place / "said").read_text()
    assert "left out, such as dangling.png: it is a link" in said
    assert "not followed: 1 link to folders, such as loop" in said


def test_the_source_is_as_it_was(place):
    for kind in KINDS.values():
        path = place / "in" / kind.name
        if isinstance(kind.made, bytes):
            assert path.read_bytes() == kind.made
        else:
            assert path.is_dir() or not path.is_file() or path.is_symlink()


def test_a_picture_that_vanishes_while_the_run_goes_on_is_a_failure_with_its_reason(tmp_path):
    class Vanishing(Following):
        def begin(self, total, finished):
            (tmp_path / "in" / "b.png").unlink()

    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(PNG)
    (tmp_path / "mask.png").write_bytes(encode_mask(mask()))
    following = Vanishing()
    run(job(tmp_path), following)
    assert [(row.source, row.status) for row in following.rows] == [("b.png", "failed"), ("a.png", "removed")] or [
        (row.source, row.status) for row in following.rows
    ] == [("a.png", "removed"), ("b.png", "failed")]
    assert "is no longer there" in rows(tmp_path / "out")["b.png"]["reason"]


RUN = """
import sys
from flows.run import run
from flows.job import Job
print(dict(run(Job.model_validate_json(sys.argv[1])).done))
"""


def like_anybody() -> None:
    """Root loses its right to read what it may not (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH); others have none."""
    if os.getuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, from the next program on


def test_a_picture_that_may_not_be_read_is_a_failure_with_its_reason(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(PNG)
    (tmp_path / "in" / "a.png").chmod(0)
    (tmp_path / "mask.png").write_bytes(encode_mask(mask()))
    given = [sys.executable, "-c", RUN, job(tmp_path).model_dump_json(exclude_unset=True)]
    ended = subprocess.run(
        given, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120, preexec_fn=like_anybody
    )
    assert ended.stdout.strip() == "{'failed': 1, 'removed': 1}", ended.stderr
    assert "cannot be read: Permission denied" in rows(tmp_path / "out")["a.png"]["reason"]


def test_a_picture_that_changes_while_it_is_read_is_left_to_the_next_run(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    (tmp_path / "mask.png").write_bytes(encode_mask(mask()))
    real = os.fstat
    looks = []

    def growing(handle):
        seen = real(handle)
        looks.append(handle)
        if len(looks) == 1:
            with (tmp_path / "in" / "a.png").open("ab") as file:
                file.write(b"more")
        return seen

    monkeypatch.setattr("flows.places.source.os.fstat", growing)
    run(job(tmp_path))
    assert "changed while it was read" in rows(tmp_path / "out")["a.png"]["reason"]
    monkeypatch.undo()
    assert run(job(tmp_path)).done == {"removed": 1}


def test_a_picture_whose_place_a_pipe_takes_does_not_hang_the_run(tmp_path):
    class Replacing(Following):
        def begin(self, total, finished):
            (tmp_path / "in" / "a.png").unlink()
            os.mkfifo(tmp_path / "in" / "a.png")

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    (tmp_path / "mask.png").write_bytes(encode_mask(mask()))
    run(job(tmp_path), Replacing())
    assert rows(tmp_path / "out")["a.png"]["reason"] == "it is no longer a file"
    run(job(tmp_path))
    assert "a pipe" in rows(tmp_path / "out")["a.png"]["reason"]
