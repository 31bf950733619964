"""The original is kept: a folder in which that picture equals its source, until somebody decides otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.export.delivery import export
from flows.ledger.manifest import Manifest
from flows.page import report
from flows.places.layout import files_of
from flows.records import card as cards
from flows.review.decisions import apply, read_decisions
from flows.review.redo import redo
from flows.run import run
from tests.flows.small import HEIGHT, WIDTH, delivered, rows, small


@pytest.fixture
def target(tmp_path) -> Path:
    run(small(tmp_path, 2, concat=True))
    return tmp_path / "out"


def decide(target: Path, review: str | None = "keep", name: str = "p00.png", **decision) -> list[str]:
    """Apply one decision. Returns what is said of it."""
    said: list[str] = []
    line = {"file_name": name, "review": review} | decision
    apply(target, read_decisions(json.dumps(line)), said.append)
    return said


def everything(target: Path) -> dict[str, bytes]:
    """What is published or shown of it, but for the page."""
    places = ("images", "masks", "strips")
    return {
        str(file.relative_to(target)): file.read_bytes()
        for place in places
        for file in sorted((target / place).rglob("*"))
        if file.is_file()
    }


def test_nothing_is_kept_of_a_run_that_was_interrupted_and_why_is_said(target):
    (target / "job.toml").unlink()
    before = everything(target)
    assert ["was interrupted; finish it with the same command" in said for said in decide(target)] == [True]
    assert everything(target) == before


def test_the_picture_equals_its_source_and_its_row_says_why(target, tmp_path):
    assert decide(target, note="the sign belongs there") == []
    assert (target / "images/p00.png").read_bytes() == (tmp_path / "in/p00.png").read_bytes()
    assert (target / "images/p01.png").read_bytes() != (tmp_path / "in/p01.png").read_bytes()
    row = rows(target)["p00.png"]
    assert (row["status"], row["review"], row["note"]) == ("nothing found", "accept", "the sign belongs there")
    assert row["reason"] == "the original is kept, as decided in the review"
    assert (row["file_name"], row["sha256_out"]) == ("images/p00.png", row["sha256_in"])
    unsaid = (
        "mask_file_name",
        "mask_area",
        "model",
        "method",
        "seed",
        "dilate",
        "verdict",
        "doubt",
        "outside_max_diff",
    )
    assert {row[key] for key in unsaid} == {None}
    assert not (target / "masks/p00.png.png").exists()
    assert not (target / "strips/p00.png").exists()


def test_neither_a_run_nor_a_redo_does_it_again(target, tmp_path):
    decide(target)
    assert run(small(tmp_path, 2, concat=True)).tried == 0
    assert redo(target).tried == 0
    assert rows(target)["p00.png"]["review"] == "accept"


def test_it_is_accepted_when_the_accepted_are_exported(target, tmp_path):
    decide(target)
    export(target, tmp_path / "given", accepted=True)
    assert [file.name for file in (tmp_path / "given/images").iterdir()] == ["p00.png"]


@pytest.mark.parametrize("review", [None, "accept", "reject"])
def test_another_decision_puts_the_result_back_file_by_file(target, tmp_path, review):
    before, row = everything(target), rows(target)["p00.png"]
    decide(target)
    decide(target, note="still kept")
    decide(target, review)
    assert everything(target) == before
    assert rows(target)["p00.png"] == row | {"review": review}
    assert run(small(tmp_path, 2, concat=True)).tried == 0
    assert redo(target).tried == (review == "reject")


def test_a_mask_that_was_edited_before_is_edited_still_when_the_result_is_back(target, tmp_path):
    decide(target, "reject", mask=[{"region": [0, 0, 4, 4]}])
    drawn = (target / "masks/p00.png.png").read_bytes()
    decide(target)
    decide(target, "reject")
    assert (target / "masks/p00.png.png").read_bytes() == drawn
    assert run(small(tmp_path, 2, concat=True)).done == {"removed": 1}
    assert rows(target)["p00.png"]["segmenter"] == "by hand"


def test_a_picture_that_failed_is_in_the_folder_as_it_was_and_fails_again_when_that_is_taken_back(tmp_path):
    job = small(tmp_path, 1, max_area=0.01, max_failures="100%")
    run(job)
    target = tmp_path / "out"
    before = rows(target)["p00.png"]
    assert before["status"] == "failed"
    decide(target)
    assert (target / "images/p00.png").read_bytes() == (tmp_path / "in/p00.png").read_bytes()
    assert run(job).exit_code == 0
    decide(target, None)
    assert not (target / "images/p00.png").exists()
    assert rows(target)["p00.png"] == before


def test_a_picture_that_was_skipped_is_in_the_folder_when_its_original_is_kept(tmp_path):
    Image.new("L", (WIDTH, HEIGHT)).save(Path(small(tmp_path, 1).masks) / "p00.png.png")
    job = small(tmp_path, 1, nothing_found="skip")
    run(job)
    before = rows(tmp_path / "out")["p00.png"]
    assert before["status"] == "skipped"
    decide(tmp_path / "out")
    assert (tmp_path / "out/images/p00.png").read_bytes() == (tmp_path / "in/p00.png").read_bytes()
    assert run(job).tried == 0
    decide(tmp_path / "out", None)
    assert rows(tmp_path / "out")["p00.png"] == before


def test_masks_that_wait_can_be_passed_over(tmp_path):
    job = small(tmp_path, 2)
    run(job, masks_only=True)
    decide(tmp_path / "out")
    assert run(job).done == {"removed": 1}
    assert (tmp_path / "out/images/p00.png").read_bytes() == (tmp_path / "in/p00.png").read_bytes()


def test_of_what_is_the_original_already_it_is_an_acceptance(tmp_path):
    Image.new("L", (WIDTH, HEIGHT)).save(Path(small(tmp_path, 1).masks) / "p00.png.png")
    run(small(tmp_path, 1))
    before = rows(tmp_path / "out")["p00.png"]
    decide(tmp_path / "out")
    assert rows(tmp_path / "out")["p00.png"] == before | {"review": "accept"}


def test_a_converted_target_holds_the_original_converted(tmp_path):
    job = small(tmp_path, 1, format="jpeg")
    run(job)
    decide(tmp_path / "out")
    kept = Image.open(tmp_path / "out/images/p00.jpg")
    assert kept.format == "JPEG"
    assert np.abs(np.asarray(kept).astype(int) - np.asarray(Image.open(tmp_path / "in/p00.png"))).max() < 20
    assert run(job).tried == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda source: source.unlink(), "cannot be kept"),
        (lambda source: Image.new("RGB", (9, 9)).save(source), "another picture by now"),
        (
            lambda source: source.parent.rename(source.parent.with_name("gone")),
            "the original of 'p00.png' cannot be kept",
        ),
    ],
)
def test_without_the_original_nothing_changes_and_that_is_said(target, tmp_path, spoil, words):
    before, row = everything(target), rows(target)["p00.png"]
    spoil(tmp_path / "in/p00.png")
    (said,) = decide(target)
    assert words in said
    assert said.startswith("decisions, line 1: ")
    assert said.endswith("left out")
    assert (everything(target), rows(target)["p00.png"]) == (before, row)


def test_without_the_source_the_result_still_comes_back(target, tmp_path):
    before = everything(target)
    decide(target)
    (tmp_path / "in").rename(tmp_path / "gone")
    assert decide(target, "accept") == []
    assert everything(target) == before


def test_one_file_to_one_file_is_the_original_while_that_is_kept(tmp_path):
    from flows.places.one_file import records_place, to_one_file

    small(tmp_path, 1)
    one = {"source": str(tmp_path / "in/p00.png"), "masks": str(tmp_path / "masks/p00.png.png")}
    job = to_one_file(small(tmp_path, 1, **one, target=str(tmp_path / "done.png")))
    run(job)
    painted = (tmp_path / "done.png").read_bytes()
    records = Path(records_place(str(tmp_path / "done.png")))
    decide(records)
    assert (tmp_path / "done.png").read_bytes() == (tmp_path / "in/p00.png").read_bytes()
    decide(records, None)
    assert (tmp_path / "done.png").read_bytes() == painted


def test_the_page_shows_it_as_kept_and_alone(target):
    decide(target)
    page = report.rewrite(target).read_text()
    found = json.loads(page.split('id="rows">')[1].split("</script>")[0])
    (entry,) = [entry for entry in found if entry["source"] == "p00.png"]
    assert (entry["review"], "after" in entry, "mask" in entry) == ("keep", True, False)


def test_a_manifest_that_is_lost_is_built_with_what_was_kept(target, tmp_path):
    decide(target)
    for file in (target / ".cleanplate").glob("manifest*"):
        file.unlink()
    assert run(small(tmp_path, 2, concat=True)).tried == 0
    assert rows(target)["p00.png"]["review"] == "accept"


def test_nothing_of_it_stays_when_the_picture_is_pruned(target, tmp_path):
    decide(target)
    (tmp_path / "in/p00.png").unlink()
    run(small(tmp_path, 0, prune=True, concat=True))
    assert not (target / files_of("p00.png").decided).exists()
    assert [row["source"] for row in cards.read_rows(target)] == ["p01.png"]


def test_a_source_that_changes_is_done_as_ever(target, tmp_path):
    decide(target)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "in/p00.png")
    assert run(small(tmp_path, 2, concat=True)).done == {"removed": 1}
    row = rows(target)["p00.png"]
    assert (row["status"], row["review"]) == ("removed", None)
    with Manifest(target) as manifest:
        assert manifest.outcome("p00.png").reason == row["reason"]
    assert decide(target, "accept") == []
    assert delivered(target)["images/p00.png"] == row["sha256_out"]
