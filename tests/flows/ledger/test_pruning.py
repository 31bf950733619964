"""--prune leaves nothing of a picture that went away: every byte below the target is searched for it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.outcome import digest
from flows.places.folders import open_folders
from flows.places.layout import STAGE, files_of
from flows.places.target import Target
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import run
from flows.steps import protection
from tests.flows.export.test_export import OBJECT, showing, shows_the_object
from tests.flows.small import Following, image, mask, put, rows, small

SECRET = "train/secret.png"


def of_the_secret(place: Path) -> set[str]:
    """The files below a folder that show the picture, say its name, or are called after it."""
    files = [file for file in place.rglob("*") if file.is_file()]
    words = (b"secret", digest(SECRET).encode())
    told = {
        file
        for file in files
        if any(word in file.read_bytes() + os.fsencode(file.relative_to(place)) for word in words)
    }
    return showing(place) | {file.relative_to(place).as_posix() for file in told}


@pytest.fixture
def job(tmp_path) -> Job:
    """A target with everything that there can be of train/secret.png, which alone is green."""
    green = image()
    green[:] = OBJECT
    put(tmp_path, "train/p.png", 1)
    put(tmp_path, SECRET)
    (tmp_path / "in" / SECRET).write_bytes(encode_image(green))
    job = small(tmp_path, concat=True)
    run(job)
    out = tmp_path / "out"
    apply(out, [Decision(SECRET, "reject", "no", ((12.0, 10.0, 1.0),))])
    redo(out, frozenset({"rejected"}), {"dilate": 2, "masks": job.masks})
    folders, files = open_folders(job.source, job.target), files_of(SECRET)
    protection.remember(folders.target, SECRET, mask())
    folders.target.write(files.process, encode_image(green))
    folders.target.write(files.pending_mask, encode_mask(mask()))
    for path in (files.image, files.mask, files.strip, f"{files.attempts}/9.png", f"{files.thumbnails['before']}x.jpg"):
        folders.target.write(f"{STAGE}/{path}", encode_image(green))
    folders.target.write(f"images/train/.cleanplate-{'0' * 8}.part", encode_image(green))
    with Manifest(out) as manifest:
        manifest.mark_records_stale()  # as a run that died leaves it
    shown = of_the_secret(out)
    assert {files.image, files.mask, files.strip, files.process, files.protected, "report.html"} <= shown
    assert {f"{files.attempts}/1.png", ".cleanplate/manifest.sqlite"} <= shown
    assert {start.rpartition("/")[0].split("/")[2] for start in files.thumbnails.values()} == {
        "before",
        "after",
        "mask",
    }
    assert [name for name in shown if "report/after" in name]
    return job


def test_nothing_below_the_target_shows_or_names_a_picture_that_was_pruned(job, tmp_path):
    (tmp_path / "in" / SECRET).unlink()
    following = Following()
    assert run(job.model_copy(update={"prune": True}), following).tried == 0
    assert any("removed the results of 1 picture no longer in" in said for said in following.said)
    assert of_the_secret(tmp_path / "out") == set()
    assert len(rows(job.target)) == 5
    assert (tmp_path / "out/images/train/p.png").exists()


def test_nothing_is_left_of_a_folder_of_which_all_pictures_were_pruned(job, tmp_path):
    for name in ("p.png", "secret.png"):
        (tmp_path / "in/train" / name).unlink()
    run(job.model_copy(update={"prune": True}))
    assert not list((tmp_path / "out").rglob("train*"))


def test_what_was_in_progress_when_a_run_died_is_pruned_without_a_row(job, tmp_path):
    with Manifest(tmp_path / "out") as manifest:
        manifest.file.execute("delete from pictures where name = ?", (os.fsencode(SECRET),))
        manifest.file.execute("insert into flights values (?, 0, 0, 1)", (os.fsencode(SECRET),))
        manifest.file.commit()
    (tmp_path / "in" / SECRET).unlink()
    run(job.model_copy(update={"prune": True}))
    assert of_the_secret(tmp_path / "out") == set()


def test_a_prune_that_is_killed_is_ended_by_the_next(job, tmp_path, monkeypatch):
    (tmp_path / "in" / SECRET).unlink()
    whole = Target.remove

    def killed(folder, relative):
        if relative == files_of(SECRET).mask:
            raise KeyboardInterrupt
        whole(folder, relative)

    monkeypatch.setattr(Target, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        run(job.model_copy(update={"prune": True}))
    monkeypatch.setattr(Target, "remove", whole)
    assert of_the_secret(tmp_path / "out")
    run(job.model_copy(update={"prune": True}))
    assert of_the_secret(tmp_path / "out") == set()


def test_a_shard_prunes_what_is_its_own(tmp_path):
    job = small(tmp_path)
    for part in ("1/2", "2/2"):
        run(job.model_copy(update={"shard": part}))
    (tmp_path / "in/p02.png").unlink()
    for part in ("1/2", "2/2"):
        run(job.model_copy(update={"shard": part, "prune": True}))
    assert not list((tmp_path / "out").rglob("*p02*"))


def test_the_picture_shown_is_green_and_no_other_is(tmp_path):
    assert not any(shows_the_object(image(number)) for number in range(6))
    Image.fromarray(np.full((8, 8, 3), OBJECT, np.uint8)).save(tmp_path / "a.jpg")
    assert showing(tmp_path) == {"a.jpg"}
