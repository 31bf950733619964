"""Which of what was found is removed: by size, by number, by place, or everything but it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from flows.job import Job
from flows.run import run
from masks import Found, PointPrompt
from masks.bundled import BUNDLED
from masks.prompts import Instance

CLIPSEG = f"clipseg:{BUNDLED / 'clipseg'}"  # its weights are here; what finds is another, below
MAGENTA = [255, 0, 255]
SQUARES = {(10, 10): 8, (10, 100): 20, (60, 30): 14}  # top, left: side
SEEN: list[tuple[int, int]] = []


@pytest.fixture(autouse=True)
def by_colour(monkeypatch):
    """A segmenter that finds what is magenta, square by square; a point finds all of it, as one thing."""

    def segment(images, prompts):
        SEEN.extend(image.shape[:2] for image in images)
        return [
            _find((i == MAGENTA).all(axis=2), isinstance(p, PointPrompt)) for i, p in zip(images, prompts, strict=True)
        ]

    SEEN.clear()
    monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: segment)


def _find(mask: np.ndarray, whole: bool) -> Found:
    if not mask.any():
        return Found(mask)
    return Found(mask, 0.9, (), (Instance.of(mask),) if whole else ())


@pytest.fixture
def pictures(tmp_path, picture) -> Path:
    (tmp_path / "in").mkdir()
    image = picture(100, 160)
    for (top, left), side in SQUARES.items():
        image[top : top + side, left : left + side] = MAGENTA
    Image.fromarray(image).save(tmp_path / "in/a.png")
    return tmp_path


def row(pictures: Path, **settings) -> dict:
    usual = {"model": "bundled", "method": "telea", "segmenter": CLIPSEG, "text": "magenta", "verify": False}
    run(Job(source=str(pictures / "in"), target=str(pictures / "out"), **usual | {"dilate": 0} | settings))
    lines = [(pictures / "out" / name).read_text() for name in ("metadata.jsonl", "failures.jsonl")]
    return json.loads("".join(lines))


def masked(pictures: Path) -> set[tuple[int, int]]:
    """The corners of the squares that were masked."""
    mask = np.asarray(Image.open(pictures / "out/masks/a.png.png")) > 0
    found = {place for place, side in SQUARES.items() if mask[place] and mask[place[0] + side - 1, place[1] + side - 1]}
    assert mask.sum() == sum(SQUARES[place] ** 2 for place in found)
    return found


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, {(10, 10), (10, 100), (60, 30)}),
        ({"largest": 1}, {(10, 100)}),
        ({"largest": 2}, {(10, 100), (60, 30)}),
        ({"except_largest": True}, {(10, 10), (60, 30)}),
        ({"min_area": 0.01}, {(10, 100), (60, 30)}),
        ({"region": "0,0,50%,100%"}, {(10, 10), (60, 30)}),
        ({"region": "0,0,80,50", "largest": 1}, {(10, 10)}),
    ],
)
def test_only_what_was_selected_is_masked_and_the_row_says_how_much_was_left_out(pictures, settings, places):
    made = row(pictures, **settings)
    assert masked(pictures) == places
    assert made["objects"] in (len(places), None)
    if len(places) < 3 and "region" not in settings:
        assert made["reason"].startswith(f"left out: {3 - len(places)} of 3 finds")


def test_a_picture_with_more_finds_than_allowed_is_left_to_a_person(pictures):
    made = row(pictures, max_count=2)
    assert made["status"] == "skipped"
    assert "3 objects were found" in made["reason"]
    assert not (pictures / "out/images/a.png").exists()
    assert run(Job(**json.loads(json.dumps(made_with(pictures))))).done == {}


def made_with(pictures: Path) -> dict:
    usual = {"model": "bundled", "method": "telea", "segmenter": CLIPSEG, "text": "magenta", "verify": False}
    return {"source": str(pictures / "in"), "target": str(pictures / "out"), "dilate": 0, "max_count": 2, **usual}


def test_text_is_looked_for_in_the_region_alone_and_a_points_object_ends_at_its_sides(pictures):
    row(pictures, region="0,0,80,50")
    assert SEEN == [(50, 80)]
    row(pictures, text=[], point="105,15", region="0,0,80,50", existing="overwrite", segmenter="bundled")
    assert SEEN[-1] == (100, 160)
    assert masked(pictures) == {(10, 10)}


def test_a_region_beside_the_picture_fails_the_picture_with_its_size(pictures):
    made = row(pictures, region="500,0,600,50", max_failures="100%")
    assert made["status"] == "failed"
    assert "160×100" in made["reason"]


def test_everything_but_what_was_found_goes_and_what_stays_is_not_touched(pictures):
    made = row(pictures, invert=True, largest=1, dilate="auto")
    mask = np.asarray(Image.open(pictures / "out/masks/a.png.png")) > 0
    assert not mask[10:30, 100:120].any()
    assert mask.sum() == 100 * 160 - 400
    before, after = (np.asarray(Image.open(pictures / place / "a.png")) for place in ("in", "out/images"))
    assert (before[10:30, 100:120] == after[10:30, 100:120]).all()
    assert made["status"] == "removed"
    assert made["outside_max_diff"] == 0


def test_of_an_inverted_mask_the_largest_area_is_that_of_what_stays(pictures):
    made = row(pictures, invert=True, max_area=0.02, max_failures="100%")
    assert made["status"] == "failed"
    assert "what stays covers 4% of the picture" in made["reason"]


@pytest.mark.parametrize("setting", [{"largest": 1}, {"region": "0,0,5,5"}, {"invert": True}, {"max_count": 1}])
def test_given_masks_are_used_as_they_are_and_a_selection_beside_them_is_refused(setting):
    with pytest.raises(ValidationError, match="masks and annotations are used as they are"):
        Job(source="a", target="b", masks="m", **setting)


def test_a_picture_s_own_row_says_which_of_its_finds_are_meant(pictures):
    asked = {"file_name": "a.png", "text": "magenta", "largest": 1, "region": "0,0,50%,100%"}
    (pictures / "prompts.jsonl").write_text(json.dumps(asked) + "\n")
    row(pictures, text=[], prompts=str(pictures / "prompts.jsonl"), min_area=0.0001)
    assert masked(pictures) == {(60, 30)}
    asked["largest"] = 2
    (pictures / "prompts.jsonl").write_text(json.dumps(asked) + "\n")
    row(pictures, text=[], prompts=str(pictures / "prompts.jsonl"), min_area=0.0001)
    assert masked(pictures) == {(60, 30), (10, 10)}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"largest": -1}, r'"largest": .*greater than or equal to 0, not -1'),
        ({"largest": "2"}, r'"largest": .*integer, not \'2\''),
        ({"region": "1,2,3"}, '"region": a region is x0,y0,x1,y1'),
        ({"min_area": 2}, '"min_area": .*less than 1'),
        ({"invert": True}, '"invert" is a setting of the whole job'),
    ],
)
def test_a_row_s_selection_that_cannot_be_is_refused_with_its_line(pictures, said, words):
    (pictures / "prompts.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "magenta"} | said) + "\n")
    with pytest.raises(ValueError, match=rf"line 1: {words}"):
        row(pictures, text=[], prompts=str(pictures / "prompts.jsonl"))
