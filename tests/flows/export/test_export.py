"""What is exported is what its rows say, and shows nobody what was removed where that is asked."""

import base64
import errno
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence, UnidentifiedImageError

from flows.cli.main import app
from flows.errors import EnvironmentFault, UsageError
from flows.export.delivery import export
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import run

OBJECT = (0, 255, 0)  # the only green there is
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF")


@pytest.fixture
def target(tmp_path, picture) -> Path:
    """A target with everything in it: JPEG with an EXIF thumbnail, PNG, strips, an animation, attempts, reviews.

    a/0.jpg and a/1.png are accepted, 2.png was rejected and done again, 3.png holds nothing, 4.png is broken, 5.gif is
    an animation that cannot be changed.
    """
    source, masks = tmp_path / "source", tmp_path / "masks"
    for place in (source / "a", masks / "a"):
        place.mkdir(parents=True)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    image = picture(60, 80) // 8 + 91
    image[25:35, 35:45] = OBJECT
    shown = Image.fromarray(image)
    thumbnail = io.BytesIO()
    shown.save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"x"
    exif_bytes = _with_thumbnail(exif.tobytes(), thumbnail.getvalue())
    shown.save(source / "a/0.jpg", quality=95, subsampling=0, exif=exif_bytes)
    for name in ("a/1.png", "2.png"):
        shown.save(source / name)
    Image.fromarray(picture(60, 80)).save(source / "3.png")
    (source / "4.png").write_bytes(b"broken")
    shown.save(source / "5.gif", save_all=True, append_images=[Image.fromarray(picture(60, 80))])
    for name in ("a/0.png", "a/1.png", "2.png", "5.png"):
        Image.fromarray(mask).save(masks / name)
    job = Job(
        source=str(source), target=str(tmp_path / "out"), masks=str(masks), model="bundled", method="telea", concat=True
    )
    run(job)
    out = tmp_path / "out"
    (out / "process/a").mkdir(parents=True)
    shown.save(out / "process/a/1.png.gif")
    apply(out, [Decision("a/0.jpg", "accept"), Decision("a/1.png", "accept", "good"), Decision("2.png", "reject")])
    redo(out, frozenset({"rejected"}), {"dilate": 3})
    assert (out / ".cleanplate/attempts/2.png/1.png").exists()
    return out


def _with_thumbnail(exif: bytes, thumbnail: bytes) -> bytes:
    """EXIF whose second directory holds a JPEG, as cameras write it."""
    header, body = exif[:6], bytearray(exif[6:])
    order = "<" if body[:2] == b"II" else ">"
    number = {"<": "little", ">": "big"}[order]
    first = int.from_bytes(body[4:8], number)
    link = first + 2 + 12 * int.from_bytes(body[first : first + 2], number)
    second, at = len(body), len(body) + 2 + 2 * 12 + 4
    body[link : link + 4] = second.to_bytes(4, number)

    def entry(tag: int, value: int) -> bytes:
        return tag.to_bytes(2, number) + (4).to_bytes(2, number) + (1).to_bytes(4, number) + value.to_bytes(4, number)

    body += (2).to_bytes(2, number) + entry(0x0201, at) + entry(0x0202, len(thumbnail)) + bytes(4) + thumbnail
    return header + bytes(body)


def pictures_in(data: bytes) -> list[np.ndarray]:
    """Every picture that begins anywhere in some bytes, with all its frames; those in data URLs too."""
    found = []
    for begins in (at.start() for beginning in BEGINNINGS for at in re.finditer(re.escape(beginning), data)):
        try:
            opened = Image.open(io.BytesIO(data[begins:]))
            found += [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(opened)]
        except (UnidentifiedImageError, OSError, SyntaxError):
            continue
    for encoded in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data):
        found += pictures_in(base64.b64decode(encoded))
    return found


def shows_the_object(image: np.ndarray) -> bool:
    red, green, blue = np.moveaxis(image.astype(int), 2, 0)
    return bool(((green > 170) & (red < 90) & (blue < 90)).any())


def showing(place: Path) -> set[str]:
    """The files that show what was removed."""
    files = [file for file in place.rglob("*") if file.is_file()]
    return {
        file.relative_to(place).as_posix()
        for file in files
        if any(shows_the_object(image) for image in pictures_in(file.read_bytes()))
    }


def rows(place: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (place / "metadata.jsonl").read_text().splitlines())}


def test_the_scan_itself_finds_an_object_wherever_it_is_shown(target, tmp_path):
    assert "a/0.jpg" in showing(tmp_path / "source")
    data = (tmp_path / "source/a/0.jpg").read_bytes()
    assert len([image for image in pictures_in(data) if shows_the_object(image)]) == 2  # itself and its thumbnail
    export(target, tmp_path / "all")
    shown = showing(tmp_path / "all")
    assert {"strips/a/0.jpg", "strips/a/1.png", "process/a/1.png.gif", "report.html", "images/5.gif"} <= shown
    assert not shown & {"images/a/0.jpg", "images/a/1.png", "images/2.png"}


def test_without_originals_no_file_shows_what_was_removed(target, tmp_path):
    assert export(target, tmp_path / "public", originals=False) == 4
    assert showing(tmp_path / "public") == set()
    kept = {file.relative_to(tmp_path / "public").as_posix() for file in (tmp_path / "public").rglob("*.*")}
    assert {"images/a/0.jpg", "images/a/1.png", "images/2.png", "images/3.png", "masks/a/0.jpg.png"} <= kept
    assert not [name for name in kept if "attempts" in name or "manifest" in name or "/before/" in name]
    text = b"".join(file.read_bytes() for file in (tmp_path / "public").rglob("*") if file.is_file())
    assert str(tmp_path / "source").encode() not in text


def test_what_is_exported_has_the_rows_and_names_that_it_had(target, tmp_path):
    export(target, tmp_path / "all")
    before, after = rows(target), rows(tmp_path / "all")
    assert after == {name: row for name, row in before.items() if row["file_name"]}
    for row in after.values():
        assert (tmp_path / "all" / row["file_name"]).read_bytes() == (target / row["file_name"]).read_bytes()
    assert "`source`" in (tmp_path / "all/README.md").read_text()


def test_only_what_somebody_accepted(target, tmp_path):
    assert export(target, tmp_path / "good", accepted=True) == 2
    assert set(rows(tmp_path / "good")) == {"a/0.jpg", "a/1.png"}
    pictures = {file.name for kind in ("images", "masks") for file in (tmp_path / "good" / kind).rglob("*.*")}
    assert pictures == {"0.jpg", "1.png", "0.jpg.png", "1.png.png"}


def test_a_picture_that_is_not_the_one_of_its_row_is_said_and_left_out(target, tmp_path):
    said = []
    (target / "images/a/1.png").write_bytes((tmp_path / "source/a/1.png").read_bytes())
    (target / "images/a/0.jpg").unlink()
    assert export(target, tmp_path / "public", originals=False, say=said.append) == 2
    assert showing(tmp_path / "public") == set()
    assert sorted(line.split(" is left out: ")[0] for line in said) == ["a/0.jpg", "a/1.png"]
    pytest.importorskip("pyarrow")
    assert export(target, tmp_path / "files", originals=False, parquet=True) == 2
    assert showing(tmp_path / "files") == set()


def test_an_export_that_cannot_be_written_leaves_nothing(target, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flows.export.delivery.review.write", full)
    before = {file.name for file in tmp_path.iterdir()}
    with pytest.raises(EnvironmentFault, match="No space left"):
        export(target, tmp_path / "new")
    assert {file.name for file in tmp_path.iterdir()} == before


def test_what_is_there_already_is_not_mixed_with_an_export(target, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for dest, words in (("full", "holds something"), ("out/inside", "overlap"), (".", "holds something")):
        with pytest.raises(UsageError, match=words):
            export(target, tmp_path / dest)
    assert export(target, tmp_path / "empty", accepted=True) == 2
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_what_has_no_end_or_no_result_or_nothing_accepted_is_not_exported(target, tmp_path):
    with pytest.raises(UsageError, match="holds no Cleanplate result"):
        export(tmp_path / "source", tmp_path / "new")
    apply(target, [Decision("a/0.jpg"), Decision("a/1.png")])
    with pytest.raises(UsageError, match="nothing to export that was accepted"):
        export(target, tmp_path / "new", accepted=True)
    with Manifest(target) as manifest:
        manifest.mark_records_stale()
        with pytest.raises(Busy):
            export(target, tmp_path / "new")
    with pytest.raises(UsageError, match="did not finish"):
        export(target, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_exports(target, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        app(["export", str(target), str(tmp_path / "public"), "--accepted", "--no-originals", "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["pictures"] == 2
    assert not (tmp_path / "public/strips").exists()
