"""One picture to one file: the file appears whole, follows its picture's row, and is never somebody else's."""

import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from flows.cli.main import main
from flows.errors import EnvironmentFault, UsageError
from flows.formats.difference import outside
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.places.bucket import Bucket
from flows.places.disk import Disk
from flows.places.folders import open_folders
from flows.places.one_file import records_place
from flows.records.card import standing
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import look, run
from tests.flows.small import Following, image, mask, rows

SETTINGS = {"model": "bundled", "method": "telea", "verify": False}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name, drawn in (("mask", mask()), ("small", mask(2, 3, 4, 6))):
        (tmp_path / f"{name}.png").write_bytes(encode_mask(drawn))
    put("dog.png")


def put(name: str, number: int = 0) -> None:
    Path(name).write_bytes(encode_image(image(number), Path(name).suffix[1:].upper().replace("JPG", "JPEG")))


def job(target: str = "clean.png", source: str = "dog.png", **settings) -> Job:
    return Job(**SETTINGS | {"source": source, "target": target, "masks": "../mask.png"} | settings)


def everything() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def test_one_picture_and_the_name_of_a_picture_give_one_file_with_its_records_beside_it():
    assert run(job()).counts == {"removed": 1}
    assert sorted(os.listdir()) == ["clean.png", "clean.png.cleanplate", "dog.png"]
    records = Path("clean.png.cleanplate")
    assert {"masks", "metadata.jsonl", "report.html", ".cleanplate", "job.toml"} <= {*os.listdir(records)}
    before, after = decode(Path("dog.png").read_bytes()), Path("clean.png").read_bytes()
    assert (decode(after).image != before.image).any()
    painted = decode((records / "masks/dog.png.png").read_bytes()).image[..., 0] > 0
    assert outside(before, painted, after, 10**6) == 0
    assert after == (records / rows(records)["dog.png"]["file_name"]).read_bytes()


def test_a_second_run_finds_it_finished_and_touches_nothing():
    run(job())
    seen = os.stat("clean.png").st_ino, os.stat("clean.png").st_mtime_ns
    summary = run(job())
    assert (summary.tried, summary.counts) == (0, {"removed": 1})
    assert (os.stat("clean.png").st_ino, os.stat("clean.png").st_mtime_ns) == seen


def test_the_file_comes_back_without_another_look_at_its_picture():
    run(job())
    was = Path("clean.png").read_bytes()
    os.remove("clean.png")
    assert run(job()).tried == 0
    assert Path("clean.png").read_bytes() == was


def test_a_changed_source_or_overwriting_replaces_the_file():
    run(job())
    first = Path("clean.png").read_bytes()
    put("dog.png", 40)
    assert run(job()).done["removed"] == 1
    second = Path("clean.png").read_bytes()
    assert second != first
    run(job(masks="../small.png", existing="overwrite"))
    assert Path("clean.png").read_bytes() not in (first, second)


@pytest.mark.parametrize("dry", [False, True])
def test_a_file_that_is_not_ours_is_refused_and_nothing_is_touched(dry):
    Path("clean.png").write_bytes(b"by hand")
    before = everything()
    with pytest.raises(UsageError, match=r"clean.png exists already and is not a Cleanplate result"):
        (look(job(), Following()) if dry else run(job()))
    assert everything() == before
    assert not Path("clean.png.cleanplate").exists()


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("existing", ["skip", "overwrite"])
def test_a_result_that_somebody_painted_on_is_kept(existing, dry):
    run(job())
    with open("clean.png", "r+b") as file:  # in place, as some editors write
        file.write(b"by hand")
    by_hand = Path("clean.png").read_bytes()
    put("dog.png", 40)
    changed = job(existing=existing)
    with pytest.raises(UsageError, match=r"clean.png is not as Cleanplate wrote it"):
        (look(changed, Following()) if dry else run(changed))
    assert Path("clean.png").read_bytes() == by_hand
    assert run(job("other.png")).counts == {"removed": 1}


def test_a_file_painted_on_while_the_run_goes_on_is_kept():
    run(job())
    put("dog.png", 40)

    class Painting(Following):
        def did(self, outcome):
            Path("clean.png").write_bytes(b"by hand")

    with pytest.raises(EnvironmentFault, match="was changed while the run went on"):
        run(job(), Painting())
    assert Path("clean.png").read_bytes() == b"by hand"


def test_a_link_in_the_place_of_the_file_is_refused_and_not_written_through():
    put("other.png", 7)
    os.symlink("other.png", "clean.png")
    before = everything()
    with pytest.raises(UsageError, match="exists already"):
        run(job())
    assert everything() == before
    os.remove("clean.png")
    run(job())
    shutil.move("clean.png", "moved.png")
    os.symlink("moved.png", "clean.png")
    with pytest.raises(UsageError, match="not as Cleanplate wrote it"):
        run(job())
    os.remove("clean.png")
    os.symlink("nowhere.png", "clean.png")
    with pytest.raises(UsageError, match="not as Cleanplate wrote it"):
        run(job())
    assert not Path("nowhere.png").exists()


@pytest.mark.parametrize(
    "spelling", ["dog.png", "./dog.png", "sub/../dog.png", "link.png", "hard.png", "linked/dog.png"]
)
def test_the_source_itself_is_no_target_however_it_is_spelt(spelling, tmp_path):
    Path("sub").mkdir()
    os.symlink("dog.png", "link.png")
    os.symlink(tmp_path / "here", "linked")
    os.link("dog.png", "hard.png")
    before = Path("dog.png").read_bytes()
    for target in (spelling, f"{spelling}.cleanplate"):
        with pytest.raises(UsageError, match="is the source itself"):
            run(job(target))
    if spelling == "link.png":
        with pytest.raises(UsageError, match="is the source itself"):
            run(job("dog.png", spelling))
    assert Path("dog.png").read_bytes() == before
    assert not list(Path().glob("*.cleanplate"))


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [("dog.png", "clean.jpg", "JPEG"), ("dog.jpg", "clean.webp", "WEBP"), ("dog.jpg", "clean.PNG", "PNG"),
     ("dog.jpg", "clean.jpeg", "JPEG"), ("dog.tif", "clean.tiff", "TIFF"), ("dog.bmp", "clean.bmp", "BMP")],
)  # fmt: skip
def test_the_suffix_of_the_file_is_the_container_that_it_is_written_as(source, target, kind):
    if source.endswith(("tif", "bmp")):
        assert cv2.imwrite(source, image())
    else:
        put(source)
    run(job(target, source))
    assert decode(Path(target).read_bytes()).format == kind
    row = rows(f"{target}.cleanplate")[source]
    assert row["status"] == "removed"
    assert run(job(target, source)).tried == 0


@pytest.mark.parametrize(
    "target", ["clean.bmp", "clean.avif", "clean.tiff", "clean.gif", "clean.jp2", "clean.heic", "clean.pdf"]
)
def test_a_container_that_nothing_is_converted_to_is_refused_in_words(target):
    with pytest.raises(UsageError, match=r"a \.png is not written as \.\w+; end the name in \.png, or in"):
        run(job(target))
    assert os.listdir() == ["dog.png"]


def test_a_format_that_says_another_thing_than_the_suffix_is_refused():
    with pytest.raises(UsageError, match=r"--format webp and the target clean.png contradict each other"):
        run(job(format="webp"))
    run(job("clean.webp", format="webp"))
    assert decode(Path("clean.webp").read_bytes()).format == "WEBP"


def test_a_folder_with_the_name_of_a_picture_stays_a_folder():
    Path("clean.png").mkdir()
    run(job())
    assert Path("clean.png/images/dog.png").exists()
    assert not Path("clean.png.cleanplate").exists()
    run(job("made.png/"))  # said to be one
    assert Path("made.png/images/dog.png").exists()


def test_a_folder_of_pictures_has_a_folder_for_its_target():
    Path("in").mkdir()
    put("in/a.png")
    run(job("cleaned.png", "in"))
    assert Path("cleaned.png/images/a.png").exists()


def test_a_failed_picture_leaves_no_file_and_no_earlier_result():
    run(job())
    Path("dog.png").write_bytes(Path("dog.png").read_bytes()[:200])
    summary = run(job())
    assert (summary.counts, summary.exit_code) == ({"failed": 1}, 1)
    assert not Path("clean.png").exists()
    put("dog.png")
    assert run(job()).counts == {"removed": 1}
    assert Path("clean.png").exists()


def test_a_picture_that_fails_at_once_leaves_no_file():
    Path("dog.png").write_bytes(b"no picture")
    assert run(job()).counts == {"failed": 1}
    assert sorted(os.listdir()) == ["clean.png.cleanplate", "dog.png"]


def test_a_picture_without_anything_to_remove_is_copied_or_left_out_as_asked():
    Path("masks").mkdir()
    Path("masks/dog.png").write_bytes(encode_mask(np.zeros_like(mask())))
    assert run(job(masks="masks")).counts == {"nothing found": 1}
    assert Path("clean.png").read_bytes() == Path("dog.png").read_bytes()
    assert run(job("none.png", masks="masks", nothing_found="skip")).counts == {"skipped": 1}
    assert not Path("none.png").exists()


def test_what_could_only_be_copied_as_it_is_fails_where_the_file_is_another_format():
    from PIL import Image

    frames = [Image.fromarray(image(number)) for number in (0, 30)]
    frames[0].save("dog.gif", save_all=True, append_images=frames[1:])
    same, other = run(job("clean.gif", "dog.gif")), run(job("clean.png", "dog.gif"))
    assert same.counts == {"unsupported": 1}
    assert Path("clean.gif").read_bytes() == Path("dog.gif").read_bytes()
    assert (other.counts, Path("clean.png").exists()) == ({"failed": 1}, False)
    assert "clean.png is another format" in rows("clean.png.cleanplate")["dog.gif"]["reason"]


def test_a_run_killed_between_the_row_and_the_file_is_gone_on_with(monkeypatch):
    run(job())
    put("dog.png", 40)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flows.finish.deliver", killed)
        with pytest.raises(KeyboardInterrupt):
            run(job())
    assert run(job()).tried == 0
    assert Path("clean.png").read_bytes() == Path("clean.png.cleanplate/images/dog.png").read_bytes()


def test_a_run_killed_behind_the_file_is_gone_on_with(monkeypatch):
    run(job())
    put("dog.png", 40)
    remember = Manifest.remember

    def killed(self, key, value):
        if key == "delivered" and Path("clean.png").read_bytes() != first:
            raise KeyboardInterrupt
        remember(self, key, value)

    first = Path("clean.png").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "remember", killed)
        with pytest.raises(KeyboardInterrupt):
            run(job())
    put("dog.png", 70)
    with monkeypatch.context() as patched:  # and the next as well, behind its row
        patched.setattr("flows.finish.deliver", lambda *_: None)
        run(job())
    assert run(job()).tried == 0
    assert Path("clean.png").read_bytes() == Path("clean.png.cleanplate/images/dog.png").read_bytes()


def test_a_file_that_cannot_be_written_leaves_the_earlier_one_whole(monkeypatch):
    run(job())
    first = Path("clean.png").read_bytes()
    put("dog.png", 40)
    write = Disk.write

    def full(self, relative, data):
        if relative == "clean.png":
            raise EnvironmentFault("the disk is full")
        write(self, relative, data)

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "write", full)
        with pytest.raises(EnvironmentFault):
            run(job())
    assert Path("clean.png").read_bytes() == first
    assert run(job()).tried == 0
    assert Path("clean.png").read_bytes() != first


def test_a_result_of_another_picture_is_refused():
    put("cat.png", 30)
    run(job())
    before = Path("clean.png").read_bytes()
    for existing in ("skip", "overwrite"):
        with pytest.raises(UsageError, match=r"clean.png is the result of dog.png; give another target for cat.png"):
            run(job(source="cat.png", existing=existing))
    assert Path("clean.png").read_bytes() == before


def test_without_its_manifest_the_file_is_still_ours_by_its_records():
    run(job())
    shutil.rmtree("clean.png.cleanplate/.cleanplate")
    assert run(job()).counts == {"removed": 1}
    shutil.rmtree("clean.png.cleanplate")
    with pytest.raises(UsageError, match="exists already"):
        run(job())


def test_two_runs_for_one_file_do_not_meet():
    with Manifest(Path("clean.png.cleanplate")), pytest.raises(Busy):
        run(job())


def test_a_whole_folder_is_what_shards_copies_and_pruning_are_for():
    for settings in ({"shard": "1/2"}, {"copy_others": True}, {"prune": True}):
        with pytest.raises(UsageError):
            run(job(**settings))
    assert os.listdir() == ["dog.png"]


def test_masks_first_and_the_file_later():
    run(job(), masks_only=True)
    assert not Path("clean.png").exists()
    drawn = mask(2, 3, 4, 6)
    Path("clean.png.cleanplate/masks/dog.png.png").write_bytes(encode_mask(drawn))
    run(Job(**SETTINGS, source="dog.png", target="clean.png"))
    changed = (decode(Path("clean.png").read_bytes()).image != decode(Path("dog.png").read_bytes()).image).any(axis=2)
    assert changed.any()
    assert not (changed & ~drawn).any()


def test_a_dry_run_says_what_it_would_do_and_makes_nothing():
    watch = Following()
    assert look(job(), watch).counts == {"to do": 1, "finished": 0}
    assert os.listdir() == ["dog.png"]
    run(job())
    assert look(job(), watch).counts == {"to do": 0, "finished": 1}


@pytest.mark.parametrize("target", ["clean.png", "clean.png.cleanplate", "clean.png.cleanplate/"])
def test_every_verb_takes_the_file_or_the_folder_of_its_records(target, capsys):
    flags = ["--masks", "../mask.png", "--model", "bundled", "--method", "telea", "--no-verify"]
    assert cleanplate("run", "dog.png", target, *flags, "--no-flow") == 0
    assert "report: clean.png.cleanplate/report.html" in capsys.readouterr().err
    assert cleanplate("status", target) == 0
    assert "1  removed" in capsys.readouterr().out
    assert cleanplate("review", target) == 0
    assert capsys.readouterr().out.strip() == "clean.png.cleanplate/report.html"
    Path("decisions.jsonl").write_text('{"file_name": "dog.png", "review": "reject"}\n')
    assert cleanplate("review", target, "--apply", "decisions.jsonl") == 0
    capsys.readouterr()
    before = Path("clean.png").read_bytes()
    assert cleanplate("redo", target, "--dilate", "3") == 0
    assert "report: clean.png.cleanplate/report.html" in capsys.readouterr().err
    assert Path("clean.png").read_bytes() != before
    assert cleanplate("run", "dog.png", target, *flags, "--no-flow") == 0
    assert cleanplate("export", target, "given") == 0
    assert Path("given/images/dog.png").read_bytes() == Path("clean.png").read_bytes()


def test_the_next_step_that_status_names_works(capsys):
    flags = ["--masks", "../mask.png", "--method", "telea", "--no-verify"]
    assert cleanplate("masks", "dog.png", "clean.png", *flags, "--model", "bundled") == 0
    capsys.readouterr()
    assert cleanplate("status", "clean.png") == 0
    step = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    assert cleanplate(*step.split()[2:], "--no-flow") == 0
    assert Path("clean.png").exists()


def test_a_verb_that_is_given_any_other_picture_says_what_is_missing(capsys):
    for verb in (["status"], ["review"], ["redo"], ["export"]):
        assert cleanplate(*verb, "dog.png", *(["given"] if verb == ["export"] else [])) == 2
        assert "dog.png.cleanplate" in capsys.readouterr().err


def test_redo_replaces_the_file_and_a_failed_redo_leaves_it():
    run(job())
    first = Path("clean.png").read_bytes()
    apply(Path("clean.png.cleanplate"), [Decision("dog.png", "reject", "again")])
    redo(Path("clean.png.cleanplate"), given={"dilate": 3})
    second = Path("clean.png").read_bytes()
    assert second != first
    apply(Path("clean.png.cleanplate"), [Decision("dog.png", "reject", "again")])
    redo(Path("clean.png.cleanplate"), given={"max_area": 0.001})
    assert Path("clean.png").read_bytes() == second


def test_the_records_beside_files_are_no_pictures_of_their_folder():
    run(job())
    assert open_folders(".", "../out").names() == ["clean.png", "dog.png"]
    Path("notes.cleanplate").mkdir()  # anybody's
    put("notes.cleanplate/cat.png")
    assert open_folders(".", "../out").names() == ["clean.png", "dog.png", "notes.cleanplate/cat.png"]


@pytest.mark.parametrize("kind", ["s3", "memory"])
def test_a_file_in_a_store_is_made_of_one_in_a_store_and_never_over_anothers(kind, request, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "caches"))
    root = request.getfixturevalue("s3_bucket") if kind == "s3" else f"memory://{tmp_path.name}"
    store = Bucket(root)
    store.write("dog.png", Path("dog.png").read_bytes())
    far = job(f"{root}/clean.png", f"{root}/dog.png")
    assert run(far).counts == {"removed": 1}
    run(job())
    result = Path("clean.png").read_bytes()
    assert store.read("clean.png") == result
    assert store.has("clean.png.cleanplate/metadata.jsonl")
    assert run(far).tried == 0
    assert records_place(f"{root}/clean.png") == f"{root}/clean.png.cleanplate"
    assert standing(records_place(f"{root}/clean.png")).counts == {"removed": 1}
    store.remove("clean.png")
    assert run(far).tried == 0
    assert store.read("clean.png") == result
    store.write("clean.png", b"by hand")
    store.write("other.png", b"by hand")
    with pytest.raises(UsageError, match="not as Cleanplate wrote it"):
        run(far)
    with pytest.raises(UsageError, match="exists already"):
        run(job(f"{root}/other.png", f"{root}/dog.png"))
    with pytest.raises(UsageError, match="is the source itself"):
        run(job(f"{root}/dog.png", f"{root}/dog.png"))
    assert store.read("clean.png") == store.read("other.png") == b"by hand"


def cleanplate(*words: str) -> int:
    with pytest.MonkeyPatch.context() as typed:
        typed.setattr(sys, "argv", ["cleanplate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)
