"""Every format through the whole job: what comes out is what went in, outside the hole and beside the pixels."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import exifread
import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from flows.formats import heic, jpeg_workers
from flows.formats.encoding import encode, marked
from flows.formats.exif import without_previews
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import SUFFIXES, decode
from flows.formats.png import chunk
from flows.formats.provenance import BY_ALGORITHM, BY_MODEL, IPTC, RDF, with_provenance
from flows.formats.provenance import without_previews as without_previews_in_xmp
from flows.job import Job
from flows.places.source import survey
from flows.run import run

RANDOM = np.random.default_rng(5)
ACROSS, DOWN = np.meshgrid(np.arange(64), np.arange(48))
SCENE = np.dstack([ACROSS * 4, DOWN * 5, ACROSS + DOWN]).astype(np.uint8) ^ RANDOM.integers(0, 8, (48, 64, 3), np.uint8)
ALPHA = (ACROSS * 3 + 40).astype(np.uint8)
HOLE = np.zeros((48, 64), bool)
HOLE[16:30, 20:40] = True
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAID = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:source>an archive</dc:source>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def exif() -> Image.Exif:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x013B] = "Maker", "Model 1", "José"
    block[0x8769] = {0x9003: "2026:11:21 07:00:00", 0x829A: 0.005, 0x927C: bytes(range(64)), 0x8827: 400}
    block[0x8825] = {1: "N", 2: (48.0, 12.0, 30.5)}
    return block


def saved(image: Image.Image, container: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, container, **how)
    return out.getvalue()


def coloured(alpha: bool = False) -> Image.Image:
    return Image.fromarray(np.dstack([SCENE, ALPHA]) if alpha else SCENE)


def spliced(plain: bytes, chunks: list[bytes]) -> bytes:
    """A PNG with chunks put in after its header."""
    return b"".join([plain[:33], *chunks, plain[33:]])


def png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a street, Steps: 20")
    text.add_itxt("Author", "José", lang="es", tkey="Autor")
    text.add_itxt("XML:com.adobe.xmp", SAID.decode())
    whole = saved(coloured(True), "PNG", pnginfo=text, exif=exif(), dpi=(300, 200))
    return spliced(whole, [chunk(b"gAMA", (45455).to_bytes(4, "big")), chunk(b"cHRM", bytes(range(32)))])


def photoshop(*resources: tuple[int, bytes]) -> bytes:
    parts = [b"8BIM" + number.to_bytes(2, "big") + bytes(2) + len(held).to_bytes(4, "big") + held + bytes(len(held) % 2)
             for number, held in resources]  # fmt: skip
    content = b"Photoshop 3.0\0" + b"".join(parts)
    return b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content


CAPTION = b"\x1c\x02\x78\x00\x0dby the harbour"[:-1] + b"r"
THUMBNAIL = b"\xff\xd8\xff\xe0 a preview of it \xff\xd9"


def jpeg() -> bytes:
    return saved(
        coloured(), "JPEG", quality=91, subsampling=1, progressive=True, exif=exif(), xmp=SAID, icc_profile=PROFILE,
        dpi=(240, 240), comment=b"by hand", extra=photoshop((0x0404, CAPTION), (0x040C, THUMBNAIL)),
    )  # fmt: skip


def tiff() -> bytes:
    tags = exif()
    tags[700], tags[33550], tags[34737] = SAID, (0.5, 0.5, 0.0), "WGS 84|"
    return saved(coloured(True), "TIFF", exif=tags.tobytes(), icc_profile=PROFILE, dpi=(150, 150))


WHOLE = {"exif": exif(), "xmp": SAID, "icc_profile": PROFILE}
FILES: dict[str, Callable[[], bytes]] = {
    "photo.jpg": jpeg,
    "photo.png": png,
    "exact.webp": lambda: saved(coloured(True), "WEBP", lossless=True, exact=True, **WHOLE),
    "small.webp": lambda: saved(coloured(True), "WEBP", quality=80, **WHOLE),
    "photo.tif": tiff,
    "photo.bmp": lambda: saved(coloured(), "BMP", dpi=(96, 96)),
    "photo.avif": lambda: saved(coloured(), "AVIF", quality=90, subsampling="4:4:4", **WHOLE),
}
if heic.opening():
    FILES["photo.heic"] = lambda: saved(
        coloured(), "HEIF", quality=90, chroma=444, **WHOLE | {"exif": exif().tobytes()}
    )
LOSSLESS = {"photo.png", "exact.webp", "photo.tif", "photo.bmp"}


@dataclass(frozen=True)
class Ran:
    before: bytes
    after: bytes
    row: dict[str, Any]
    name: str

    @property
    def opened(self) -> tuple[Image.Image, Image.Image]:
        first, second = (Image.open(io.BytesIO(data)) for data in (self.before, self.after))
        first.load()
        second.load()
        return first, second


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """The job over one file and its mask; what came out of it."""
    done: dict[Any, Ran] = {}

    def through(name: str, data: bytes, mask: np.ndarray = HOLE, **settings: Any) -> Ran:
        key = (name, zlib.crc32(data), *sorted(settings.items()))
        if key not in done:
            root = tmp_path_factory.mktemp("run")
            done[key] = cleaned(root, name, data, mask, **settings)
        return done[key]

    return through


def cleaned(root: Path, name: str, data: bytes, mask: np.ndarray, **settings: Any) -> Ran:
    (root / "in").mkdir()
    (root / "in" / name).write_bytes(data)
    (root / "mask.png").write_bytes(encode_mask(mask))
    where = {"source": str(root / "in"), "target": str(root / "out"), "masks": str(root / "mask.png")}
    job = Job(**{**where, "method": "telea", **settings})
    rows: list[Any] = []

    class Watch:
        def begin(self, total: int, finished: int) -> None: ...
        def say(self, message: str) -> None: ...
        def did(self, outcome: Any) -> None:
            rows.append(outcome.row())

    run(job, Watch())
    published = root / "out" / rows[0]["file_name"]
    return Ran(data, published.read_bytes(), rows[0], published.name)


@pytest.mark.parametrize("name", FILES)
def test_every_pixel_outside_the_mask_is_the_sources_and_the_hole_is_filled(ran, name):
    done = ran(name, FILES[name]())
    assert done.row["status"] == "removed"
    first, second = decode(done.before), decode(done.after)
    assert (first.alpha is None) == (second.alpha is None)
    assert first.alpha is None or (first.alpha == second.alpha).all()
    difference = np.abs(first.image.astype(int) - second.image)
    assert difference[HOLE].mean() > 5
    if name in LOSSLESS:
        assert done.row["outside_max_diff"] == 0
        assert difference[~HOLE].max() == 0
    else:
        far = cv2.erode((~HOLE).astype(np.uint8), np.ones((33, 33))).astype(bool)  # beyond the codec's own blocks
        assert difference[far].mean() < 3


@pytest.mark.parametrize("name", FILES)
def test_the_container_and_its_kind_stay(ran, name):
    done = ran(name, FILES[name]())
    first, second = done.opened
    assert (second.format, second.mode) == (first.format, first.mode)
    assert (b"VP8L" in done.after) == (b"VP8L" in done.before)
    assert second.info.get("compression") == first.info.get("compression")
    if second.format == "JPEG":
        assert second.quantization == first.quantization
        assert second.info["progressive"] == first.info["progressive"]
    if second.format == "AVIF":
        assert _sampling(done.after) == _sampling(done.before) == "4:4:4"


def _sampling(data: bytes) -> str:
    flags = data[data.index(b"av1C") + 6]
    return {0: "4:4:4", 2: "4:2:2", 3: "4:2:0"}[flags >> 2 & 3]


@pytest.mark.parametrize("name", [name for name in FILES if name != "photo.bmp"])
def test_an_independent_reader_finds_the_same_exif(ran, name):
    done = ran(name, FILES[name]())
    before, after = (_exif(data) for data in (done.before, done.after))
    assert before
    assert before.items() <= after.items()
    assert {"Image Make", "EXIF DateTimeOriginal", "EXIF ExposureTime", "EXIF MakerNote", "GPS GPSLatitude"} <= set(
        after
    )


def _exif(data: bytes) -> dict[str, str]:
    """As the package exifread, which knows nothing of Pillow, sees it; what lays out a TIFF's pixels left out."""
    block = Image.open(io.BytesIO(data)).info.get("exif", b"")
    found = exifread.process_file(io.BytesIO(data if data[:2] in (b"II", b"MM") else block.removeprefix(b"Exif\0\0")))
    moved = (
        "Strip",
        "Offset",
        "RowsPer",
        "ImageWidth",
        "Bits",
        "Compression",
        "PlanarConf",
        "JPEGIF",
        "ApplicationN",
        "GPSInfo",
    )
    return {key: str(value) for key, value in found.items() if not any(word in key for word in moved)}


@pytest.mark.parametrize("name", [name for name in FILES if name != "photo.bmp"])
def test_profile_resolution_and_text_are_the_sources(ran, name):
    first, second = ran(name, FILES[name]()).opened
    told = ("icc_profile", "dpi", "comment", "parameters", "Author", "gamma", "chromaticity")
    assert {key: first.info.get(key) for key in told} == {key: second.info.get(key) for key in told}
    assert b"<dc:source>an archive</dc:source>" in second.info["xmp"]


def test_a_bitmap_keeps_its_resolution(ran):
    first, second = ran("photo.bmp", FILES["photo.bmp"]()).opened
    assert second.info["dpi"] == pytest.approx(first.info["dpi"])


def test_a_tiff_keeps_its_place_on_the_ground(ran):
    first, second = ran("photo.tif", FILES["photo.tif"]()).opened
    for tag in (33550, 34737):
        assert second.tag_v2[tag] == first.tag_v2[tag]


def test_a_jpeg_keeps_its_captions_but_not_photoshops_preview(ran):
    done = ran("photo.jpg", FILES["photo.jpg"]())
    assert done.opened[1].info["photoshop"] == {0x0404: CAPTION}
    assert THUMBNAIL in done.before
    assert THUMBNAIL not in done.after


def test_chunks_of_a_png_that_do_not_depend_on_its_pixels_are_kept_byte_for_byte():
    own = [chunk(b"prVt", b"kept"), chunk(b"prVW", b"a preview: not safe to copy"), chunk(b"tIME", bytes(7))]
    data = spliced(saved(coloured(), "PNG"), own)
    picture = decode(data)
    written = encode(picture, picture.image)
    assert [one in written for one in own] == [True, False, False]


def test_maker_notes_and_unknown_tags_stay_where_they_are():
    block = exif().tobytes().removeprefix(b"Exif\0\0")
    assert without_previews(block) == block


@pytest.mark.parametrize("order", ["<", ">"])
def test_previews_go_from_maker_notes_too(order):
    notes = b"note " + b"\xff\xd8\xff\xe1\0\x10Exif \xff\xd8\xff\xd9 in" + b"\xff\xda scan \xff\xd9" + b" after"
    block = Image.Exif()
    block.endian = order
    block[0x0112] = 6
    block[0x8769] = {0x927C: notes}
    before = block.tobytes().removeprefix(b"Exif\0\0")
    after = without_previews(before)
    assert len(after) == len(before)
    assert b"scan" in before
    assert b"scan" not in after
    read = Image.Exif()
    read.load(after)
    assert read[0x0112] == 6
    assert read.get_ifd(0x8769)[0x927C] == b"note " + bytes(len(notes) - 11) + b" after"


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_packed_tiff_stays_packed_with_its_camera_and_every_pixel(mode, compression):
    how = {"compression": compression, "dpi": (72, 72)}
    data = saved(coloured(True).convert(mode), "TIFF", **how)
    picture = decode(data)
    with_camera = decode(tiff())
    written = encode(
        replace(picture, metadata=replace(with_camera.metadata, encoder_options=picture.metadata.encoder_options)),
        picture.image,
    )
    again = Image.open(io.BytesIO(written))
    assert (np.asarray(again) == np.asarray(Image.open(io.BytesIO(data)))).all()
    assert again.info["compression"] == "tiff_adobe_deflate"
    assert again.getexif().get_ifd(0x8769)[0x9003] == "2026:11:21 07:00:00"
    assert cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2] == (48, 64)


DEEP = (SCENE.astype(np.uint16) << 8) | RANDOM.integers(0, 256, SCENE.shape, np.uint16)
DEEP_ALPHA = np.dstack([DEEP, DEEP[..., 0] ^ 0x5A5A])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("pixels", [DEEP[..., 0], DEEP, DEEP_ALPHA, DEEP >> 4], ids=["grey", "RGB", "RGBA", "12-bit"])
def test_sixteen_bits_stay_sixteen_and_every_one_outside_the_mask(ran, suffix, pixels):
    data = cv2.imencode(suffix, _bgr(pixels))[1].tobytes()
    done = ran(f"deep{suffix}", data)
    assert (done.row["status"], done.row["outside_max_diff"]) == ("removed", 0)
    after = cv2.imdecode(np.frombuffer(done.after, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (after.dtype, after.shape) == (np.uint16, pixels.shape)
    assert (after[~HOLE] == _bgr(pixels)[~HOLE]).all()
    assert (after[HOLE] != _bgr(pixels)[HOLE]).mean() > 0.5
    assert abs(after[HOLE].mean() / pixels[HOLE].mean() - 1) < 0.5


def _bgr(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_sixteen_bits_are_turned_as_eight_are(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    turned = chunk(b"eXIf", block.tobytes().removeprefix(b"Exif\0\0"))
    deep, plain = (spliced(cv2.imencode(".png", _bgr(pixels))[1].tobytes(), [turned]) for pixels in (DEEP, SCENE))
    assert (decode(deep).image == decode(plain).image).all()
    assert (decode(deep).deep >> 8 == decode(plain).image).all()


def test_a_big_endian_tiff_of_sixteen_bits_is_read_as_it_is():
    short, long, strip = 3, 4, 8 + 2 + 8 * 12 + 4  # where its only strip begins, behind a directory of 8 entries
    tags = [(256, short, 2), (257, short, 1), (258, short, 16), (259, short, 1), (262, short, 1), (273, long, strip)]
    tags += [(278, short, 1), (279, long, 4)]
    told = {short: lambda value: struct.pack(">HH", value, 0), long: lambda value: struct.pack(">I", value)}
    entries = [struct.pack(">HHI", tag, kind, 1) + told[kind](value) for tag, kind, value in tags]
    data = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + b"".join(entries) + bytes(4) + b"\x12\x34\xff\x01"
    assert decode(data).deep.tolist() == [[0x1234, 0xFF01]]


CONVERSIONS = [(name, to) for name in ("photo.jpg", "photo.tif", "exact.webp", "small.webp") for to in ("png", "webp")]


@pytest.mark.parametrize(("name", "to"), [*CONVERSIONS, ("photo.bmp", "jpeg"), ("photo.avif", "jpeg")])
def test_a_picture_becomes_what_format_says_with_what_it_carried(ran, name, to):
    done = ran(name, FILES[name](), format=to)
    suffix = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}[to]
    assert done.row["source"] == name
    assert done.row["file_name"] == f"images/{Path(name).stem}{suffix}"
    first, second = done.opened
    assert second.format == to.upper()
    assert second.info.get("icc_profile") == first.info.get("icc_profile")
    if name != "photo.bmp":
        assert second.getexif().get_ifd(0x8769)[0x9003] == "2026:11:21 07:00:00"
        assert b"an archive" in second.info["xmp"]
    if to == "png" or (name in LOSSLESS and to == "webp"):
        before, after = decode(done.before), decode(done.after)
        assert (after.image[~HOLE] == before.image[~HOLE]).all()
        assert before.alpha is None or (after.alpha == before.alpha).all()


def test_a_jpeg_that_is_asked_for_has_all_of_its_colours(ran):
    done = ran("photo.png", spliced(saved(coloured(), "PNG"), []), format="jpeg")
    assert JpegImagePlugin.get_sampling(done.opened[1]) == 0  # 4:4:4


@pytest.mark.parametrize("name", ["photo.jpg", "small.webp", "photo.avif"])
def test_the_difference_outside_the_mask_is_that_of_the_bytes_that_were_written(ran, name):
    done = ran(name, FILES[name]())
    difference = np.abs(decode(done.before).image.astype(int) - decode(done.after).image)
    if name == "photo.jpg":  # 4:2:2: beyond the MCUs of 16×8 pixels that the hole touches, and a pixel around
        difference[15:33, 15:49] = 0
        assert done.row["outside_max_diff"] == difference.max() == 0
    else:
        assert done.row["outside_max_diff"] == difference[~HOLE].max() > 0


def test_a_jpeg_whose_coefficients_cannot_be_kept_is_encoded_anew_with_its_sampling_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(jpeg_workers, "library", lambda: None)
    noise = np.random.default_rng(1).integers(0, 256, SCENE.shape, np.uint8)  # which encoding clips anew each time
    data = saved(Image.fromarray(noise), "JPEG", quality=91, subsampling=2)
    done = cleaned(tmp_path, "photo.jpg", data, HOLE)
    assert "re-encoded as a whole" in done.row["reason"]
    assert done.row["outside_max_diff"] > 0
    assert JpegImagePlugin.get_sampling(done.opened[1]) == 2


def test_quality_makes_a_jpeg_smaller(ran):
    sizes = [len(ran("photo.jpg", FILES["photo.jpg"](), quality=quality).after) for quality in (20, 60, 95)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_transparency_is_not_lost_in_a_jpeg_but_the_picture_left_as_it_is(ran):
    done = ran("photo.png", FILES["photo.png"](), format="jpeg")
    assert (done.row["status"], done.row["file_name"], done.after) == ("unsupported", "images/photo.png", done.before)
    assert "transparent" in done.row["reason"]


def test_nothing_found_is_converted_too_and_what_is_one_already_stays_byte_for_byte(ran):
    nothing = np.zeros_like(HOLE)
    for name, to, suffix in (("photo.bmp", "png", ".png"), ("photo.jpg", "jpeg", ".jpg")):
        done = ran(name, FILES[name](), nothing, format=to)
        assert (done.row["status"], done.row["file_name"]) == ("nothing found", f"images/photo{suffix}")
        assert (done.after == done.before) == (name == "photo.jpg")
        assert (decode(done.after).image == decode(done.before).image).all()


def test_two_pictures_that_would_become_one_are_refused_before_anything_is_written(tmp_path):
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes(FILES[f"photo{name[1:]}"]())
    (tmp_path / "mask.bin").write_bytes(encode_mask(HOLE))
    job = Job(source=str(tmp_path), target=str(tmp_path) + "-out", masks=str(tmp_path / "mask.bin"), format="png")
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png would both become a\.png"):
        run(job)
    assert not Path(job.target).exists()


def test_another_format_leaves_nothing_of_the_one_before(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(FILES["photo.jpg"]())
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    for to in ("same", "webp"):
        where = {"source": str(tmp_path / "in"), "target": str(tmp_path / "out"), "masks": str(tmp_path / "mask.png")}
        run(Job(**where, method="telea", format=to, existing="overwrite", concat=True))
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["a.webp"]
    assert run(Job(**where, method="telea", format="webp")).tried == 0


@pytest.mark.parametrize("name", [name for name in FILES if name != "photo.bmp"])
def test_a_changed_picture_says_that_a_part_of_it_was_painted(ran, name):
    said = ran(name, FILES[name]()).opened[1].info["xmp"]
    assert _source_types(said) == [BY_ALGORITHM]
    assert SAID[SAID.index(b"<dc:source>") : SAID.index(b"</rdf:Description>")] in said
    assert ran(name, FILES[name](), provenance=False).opened[1].info["xmp"] == SAID


@pytest.mark.parametrize("method", ["inpainting", "blending", "controlnet"])
def test_it_says_so_of_a_model_where_that_painted(method):
    picture = decode(FILES["photo.png"]())
    written = Image.open(io.BytesIO(encode(marked(picture, method), picture.image)))
    assert _source_types(written.info["xmp"]) == [BY_MODEL]


def _source_types(xmp: bytes) -> list[str]:
    tree = ElementTree.fromstring(xmp)
    tags = [tag for tag in tree.iter() if tag.tag.endswith("}Description")]
    return [value for tag in tags for key, value in tag.attrib.items() if key == f"{{{IPTC}}}DigitalSourceType"]


CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@pytest.mark.parametrize(
    "told",
    [
        f'<r:Description r:about="uuid:1" i:DigitalSourceType="{CAMERA}"/>',
        f'<r:Description r:about="uuid:1"><i:DigitalSourceType>{CAMERA}</i:DigitalSourceType></r:Description>',
        f"<r:Description r:about='uuid:1'><i:DigitalSourceType r:resource='{CAMERA}'/></r:Description>",
    ],
)
def test_provenance_takes_the_place_of_what_was_said_before_whatever_the_prefixes(told):
    xmp = f'<m:xmpmeta xmlns:m="adobe:ns:meta/"><r:RDF xmlns:r="{RDF}" xmlns:i="{IPTC}">{told}</r:RDF></m:xmpmeta>'
    said = with_provenance(xmp.encode())
    assert _source_types(said) == [BY_MODEL]
    assert CAMERA.encode() not in said
    assert with_provenance(said).count(BY_MODEL.encode()) == 1
    subjects = [tag.get(f"{{{RDF}}}about") for tag in ElementTree.fromstring(said).iter(f"{{{RDF}}}Description")]
    assert subjects == ["uuid:1"] * len(subjects)


@pytest.mark.parametrize("broken", [b"<x", b"\xff\xfe", b"<a/>", b""])
def test_provenance_is_told_even_where_the_xmp_was_broken(broken):
    assert _source_types(with_provenance(broken)) == [BY_MODEL]


def test_previews_in_xmp_go():
    picture = b"<xmp:Thumbnails><rdf:Alt>/9j/4AAQ</rdf:Alt></xmp:Thumbnails>"
    xmp = SAID.replace(b"<dc:source>", picture + b"<dc:source>").replace(b"xmlns:dc", b'xmlns:xmp="x" xmlns:dc', 1)
    assert b"9j" in xmp
    assert without_previews_in_xmp(xmp) == xmp.replace(picture, b"")


@pytest.mark.parametrize("repeated", ["tags", "strips"])
def test_an_exif_block_that_tells_of_its_previews_again_and_again_holds_nothing_up(repeated):
    tags, strips = (30_000, 100_000) if repeated == "tags" else (1, 400_000)
    places = struct.pack("<HHII", 0x0111, 4, strips, 10_000_000), struct.pack("<HHII", 0x0117, 4, strips, 10_000_000)
    block = bytearray(b"II*\0" + struct.pack("<IHI", 8, 0, 14) + struct.pack("<H", 2 * tags) + b"".join(places) * tags)
    block += b"x" * (10_000_000 - len(block)) + struct.pack("<I", 5_000_000) * strips
    done = threading.Event()
    threading.Thread(target=lambda: without_previews(bytes(block)) and done.set(), daemon=True).start()
    assert done.wait(30)  # not a time that is promised: with a square it would be hours


def several(kind: int, **how: Any) -> bytes:
    """A JPEG that holds a smaller one of some kind behind it (CIPA DC-007), as Pillow writes it but for the kind."""
    small = Image.fromarray(SCENE[::4, ::4])
    data = saved(coloured(), "MPO", save_all=True, append_images=[small], **how)
    at = data.index(b"MPF\0")
    entries = data.index(struct.pack("<HHI", 0xB002, 7, 32), at)
    (begin,) = struct.unpack_from("<I", data, entries + 8)
    second = at + 4 + begin + 16
    return data[:second] + struct.pack("<I", kind) + data[second + 4 :]


@pytest.mark.parametrize(("kind", "said"), [(0x010001, False), (0, True)])
def test_a_jpeg_with_a_preview_or_a_gain_map_is_cleaned_and_they_go(ran, kind, said):
    data = several(kind, quality=90)
    done = ran("photo.jpg", data)
    assert done.row["status"] == "removed"
    assert ("gain or depth map" in done.row["reason"]) == said
    assert done.opened[1].format == "JPEG"
    assert done.after.count(b"\xff\xd8\xff") < data.count(b"\xff\xd8\xff")


def test_a_jpeg_of_two_views_is_left_as_it_is(ran):
    data = several(0x020002, quality=90)
    done = ran("photo.jpg", data)
    assert (done.row["status"], done.after) == ("unsupported", data)


def test_without_its_library_a_heic_gets_a_row_that_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.places.survey.SUFFIXES", SUFFIXES - heic.SUFFIXES)
    (tmp_path / "a.HEIC").write_bytes(b"whatever")
    assert survey(tmp_path).rejected == {"a.HEIC": heic.MISSING}
