"""Masks that are edited in a review: written where masks lie, used by what comes next, and taken back whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.formats.mask_files import decode_mask
from flows.ledger.manifest import Manifest
from flows.page import report
from flows.places.layout import files_of
from flows.records import card as cards
from flows.review.decisions import apply, read_decisions
from flows.review.redo import redo
from flows.run import run
from tests.flows.small import HEIGHT, WIDTH, delivered, mask, mask_in, rows, small

BRUSH = {"brush": [[2, 2], [6, 2]], "radius": 1}
OBJECT = {"object": [12, 10]}


@pytest.fixture
def target(tmp_path) -> Path:
    run(small(tmp_path, 2))
    return tmp_path / "out"


def decide(target: Path, said: list[str] | None = None, **decision) -> int:
    line = json.dumps({"file_name": "p00.png", "review": "reject"} | decision)
    return apply(target, read_decisions(line), (said if said is not None else []).append)


def test_an_edit_is_in_the_mask_file_and_a_redo_paints_under_it(target, tmp_path):
    assert decide(target, mask=[BRUSH]) == 1
    drawn = mask_in(target, "p00.png")
    assert drawn[2, 2:7].all()
    assert drawn[mask()].all()
    assert redo(target).done == {"removed": 1}
    row = rows(target)["p00.png"]
    assert (row["segmenter"], row["review"], row["attempt"]) == ("by hand", None, 2)
    assert (mask_in(target, "p00.png") == drawn).all()
    archived = target / ".cleanplate/attempts/p00.png"
    assert (archived / "1.png").exists()
    assert (decode_mask((archived / "1.mask.png").read_bytes()) == mask()).all()
    assert not (target / files_of("p00.png").decided).exists()
    assert run(small(tmp_path, 2)).tried == 0
    before, after = (np.asarray(Image.open(tmp_path / place / "p00.png")) for place in ("in", "out/images"))
    assert (before[2, 2:7] != after[2, 2:7]).any()
    assert (before[~drawn] == after[~drawn]).all()


def test_an_edit_after_a_killed_run_is_made_to_the_mask_it_left_pending_and_stays(target, tmp_path):
    files = files_of("p00.png")
    (target / files.pending_mask).parent.mkdir(parents=True, exist_ok=True)
    (target / files.mask).rename(target / files.pending_mask)  # as it is between a row's commit and the next sync
    assert decide(target, mask=[BRUSH]) == 1
    drawn = mask_in(target, "p00.png")
    assert drawn[2, 2:7].all()
    assert drawn[mask()].all()
    assert run(small(tmp_path, 2)).done == {"removed": 1}
    assert (mask_in(target, "p00.png") == drawn).all()
    assert rows(target)["p00.png"]["segmenter"] == "by hand"


def test_a_run_does_the_picture_under_its_edited_mask_too(target, tmp_path):
    decide(target, mask=[OBJECT, BRUSH])
    assert run(small(tmp_path, 2)).done == {"removed": 1}
    assert not (mask_in(target, "p00.png") & mask()).any()
    assert rows(target)["p00.png"]["segmenter"] == "by hand"


def test_masks_that_wait_to_be_painted_can_be_edited_first(tmp_path):
    job = small(tmp_path, 2)
    run(job, masks_only=True)
    decide(tmp_path / "out", review=None, mask=[BRUSH])
    drawn = mask_in(tmp_path / "out", "p00.png")
    assert run(job).done == {"removed": 2}
    assert (mask_in(tmp_path / "out", "p00.png") == drawn).all()
    assert drawn[2, 4]


def test_what_was_said_of_a_mask_that_is_painted_as_it_was_found_is_said_still(tmp_path):
    job = small(tmp_path, 2)
    run(job, masks_only=True)
    decide(tmp_path / "out", note="too small")
    decide(tmp_path / "out", file_name="p01.png", mask=[BRUSH])
    run(job)
    said = {name: (row["review"], row["note"]) for name, row in rows(tmp_path / "out").items()}
    assert said == {"p00.png": ("reject", "too small"), "p01.png": (None, None)}


def test_edits_replace_those_before_and_without_any_the_mask_is_as_it_was_found(target, tmp_path):
    found, files = (target / "masks/p00.png.png").read_bytes(), delivered(target)
    decide(target, mask=[BRUSH])
    decide(target, mask=[{"object": [12, 10]}])
    assert not mask_in(target, "p00.png").any()
    decide(target, review=None, mask=[])
    assert (target / "masks/p00.png.png").read_bytes() == found
    assert delivered(target) == files
    assert run(small(tmp_path, 2)).tried == 0
    assert not [file for file in (target / ".cleanplate/decided").rglob("*") if file.is_file()]


def test_a_decision_that_says_nothing_of_the_mask_leaves_its_edits_alone(target):
    decide(target, mask=[BRUSH])
    drawn = mask_in(target, "p00.png")
    decide(target, note="and look at the edge")
    assert (mask_in(target, "p00.png") == drawn).all()
    (entry,) = [entry for entry in entries(target) if entry["source"] == "p00.png"]
    assert entry["edits"] == [{"brush": [[2.0, 2.0], [6.0, 2.0]], "radius": 1.0}]


def entries(target: Path) -> list[dict]:
    page = report.rewrite(target).read_text()
    return json.loads(page.split('id="rows">')[1].split("</script>")[0])


def test_edits_of_a_result_that_is_no_more_are_not_shown(target):
    decide(target, mask=[BRUSH])
    redo(target)
    assert all("edits" not in entry for entry in entries(target))


def test_what_somebody_drew_in_an_editor_is_what_the_next_edits_begin_with(target):
    decide(target, mask=[BRUSH])
    drawn = np.zeros((HEIGHT, WIDTH), bool)
    drawn[20:, :5] = True
    Image.fromarray(drawn).save(target / "masks/p00.png.png")
    decide(target, mask=[{"region": [30, 0, 32, 2]}])
    drawn[:2, 30:] = True
    assert (mask_in(target, "p00.png") == drawn).all()
    decide(target, mask=[])
    assert mask_in(target, "p00.png").sum() == 20


def test_a_mask_is_drawn_where_nothing_was_found(tmp_path):
    job = small(tmp_path, 1)
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "masks" / "p00.png.png")
    run(job)
    target = tmp_path / "out"
    assert rows(target)["p00.png"]["status"] == "nothing found"
    decide(target, mask=[BRUSH])
    assert redo(target).done == {"removed": 1}
    assert mask_in(target, "p00.png")[2, 4]
    decide(target, mask=[])  # of the new result, which has none
    assert mask_in(target, "p00.png")[2, 4]


def test_a_drawn_mask_of_a_picture_that_had_none_goes_when_its_edits_do(tmp_path):
    Image.new("L", (WIDTH, HEIGHT)).save(put_masks(tmp_path) / "p00.png.png")
    run(small(tmp_path, 1))
    decide(tmp_path / "out", mask=[BRUSH])
    decide(tmp_path / "out", review=None, mask=[])
    assert not (tmp_path / "out/masks/p00.png.png").exists()
    assert run(small(tmp_path, 1)).tried == 0


def put_masks(place: Path) -> Path:
    small(place, 1)
    return place / "masks"


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("found", [True, False])
def test_edits_are_upright_and_the_mask_is_stored_as_its_picture_is(tmp_path, orientation, found):
    stored = np.full((30, 40, 3), 120, np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "in").mkdir()
    Image.fromarray(stored).save(tmp_path / "in" / "p00.png", exif=exif)
    size = (30, 40) if orientation in (6, 8) else (40, 30)
    given = Image.new("L", size)
    if found:
        given.paste(255, (20, 20, 25, 25))
    (tmp_path / "masks").mkdir()
    given.save(tmp_path / "masks" / "p00.png.png")
    run(small(tmp_path, 0))
    decide(tmp_path / "out", mask=[{"region": [1, 2, 9, 5]}])
    data = (tmp_path / "out/masks/p00.png.png").read_bytes()
    assert Image.open(tmp_path / "out/masks/p00.png.png").getexif()[0x0112] == orientation
    wanted = np.asarray(given) > 0
    wanted[2:5, 1:9] = True
    assert (decode_mask(data) == wanted).all()
    assert redo(tmp_path / "out").done == {"removed": 1}


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([{"region": [WIDTH, 0, WIDTH + 9, 9]}], "outside 'p00.png'"),
        ([{"brush": [[-9, -9]], "radius": 3}], "outside 'p00.png'"),
        ([{"object": [1, 1]}], "no object at 1,1"),
    ],
)
def test_what_cannot_be_done_to_a_mask_is_said_and_left_out(target, edits, words):
    said, before = [], delivered(target)
    assert decide(target, said, mask=edits, review="accept") == 0
    assert "decisions, line 1: " in said[0]
    assert words in said[0]
    assert delivered(target) == before
    assert rows(target)["p00.png"]["review"] is None


def test_clicks_and_edits_of_one_picture_are_refused_together():
    line = {"file_name": "a.png", "review": "reject", "points": [[1, 1, 1]], "mask": [BRUSH]}
    with pytest.raises(ValueError, match=r'decisions, line 1: "mask" says what goes'):
        read_decisions(json.dumps(line))


def test_a_mask_drawn_by_hand_holds_where_a_redo_looked_for_other_words_or_clicks_before(target, tmp_path):
    redo(target, frozenset({"rejected"}))
    decide(target, boxes=[[2, 2, 20, 20]])
    with Manifest(target) as manifest, manifest.file:  # as a redo of it by clicks, with a phrase besides, leaves it
        manifest.file.execute("update clicks set used = true")
        manifest.file.execute("insert into redone values (?, 2, ?)", (b"p00.png", json.dumps({"text": ["cat"]})))
    decide(target, mask=[BRUSH])
    assert redo(target).done == {"removed": 1}
    assert rows(target)["p00.png"]["segmenter"] == "by hand"
    assert mask_in(target, "p00.png")[2, 4]


def test_nothing_of_an_edited_mask_stays_of_a_picture_that_is_pruned(target, tmp_path):
    decide(target, mask=[BRUSH])
    assert [file.name for file in (target / files_of("p00.png").decided).iterdir()]
    (tmp_path / "in/p00.png").unlink()
    run(small(tmp_path, 0, prune=True))
    assert not (target / files_of("p00.png").decided).exists()
    assert [row["source"] for row in cards.read_rows(target)] == ["p01.png"]


def test_a_picture_that_is_only_copied_has_no_mask_to_edit(tmp_path):
    small(tmp_path, 1)
    Image.new("CMYK", (WIDTH, HEIGHT)).save(tmp_path / "in/c.jpg")
    said: list[str] = []
    run(replace_masks(tmp_path))
    line = {"file_name": "c.jpg", "mask": [BRUSH]}
    assert apply(tmp_path / "out", read_decisions(json.dumps(line)), said.append) == 0
    assert "'c.jpg' is unsupported, and has no mask to edit" in said[0]


def replace_masks(place: Path):
    job = small(place, 1)
    Image.fromarray(mask()).save(place / "one.png")
    return job.model_copy(update={"masks": str(place / "one.png")})


def test_edits_that_another_result_had_are_forgotten(target):
    decide(target, mask=[BRUSH])
    file = target / files_of("p00.png").edits
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"of": "another"}))
    decide(target, mask=[])
    assert not file.exists()
    assert mask_in(target, "p00.png")[2, 4]  # whoever drew it
