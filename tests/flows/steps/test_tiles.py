"""A job that looks at parts of its pictures: with selection, region and protection, in rows, flags and settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.job import Job
from flows.ledger.target_settings import OtherSettings
from flows.run import run
from masks import Found
from masks.bundled import BUNDLED
from masks.prompts import TextPrompt
from masks.selection import distinct

COLOURS = {"magenta": [255, 0, 255], "lime": [0, 255, 0]}
PLACES = {(20, 30): 10, (150, 290): 12, (330, 500): 14}  # top, left: side


@pytest.fixture(autouse=True)
def short_sighted(monkeypatch):
    """A segmenter that sees the thing of a colour's name only in pictures below 300 pixels a side."""

    def find(image, prompt):
        colour = COLOURS[prompt.text] if isinstance(prompt, TextPrompt) else COLOURS["magenta"]
        mask = (image == colour).all(axis=2) & (max(image.shape) < 300)
        return Found(mask, 0.8, tuple(one.box for one in distinct(Found(mask)))) if mask.any() else Found(mask)

    monkeypatch.setattr(
        "flows.steps.find_masks.load_segmenter",
        lambda *_: lambda images, prompts: [find(*pair) for pair in zip(images, prompts, strict=True)],
    )


@pytest.fixture
def pictures(tmp_path, picture) -> Path:
    (tmp_path / "in").mkdir()
    image = picture(400, 600)
    for (top, left), side in PLACES.items():
        image[top : top + side, left : left + side] = COLOURS["magenta"]
    Image.fromarray(image).save(tmp_path / "in/a.png")
    return tmp_path


def row(pictures: Path, **settings) -> dict:
    usual = {"model": "bundled", "method": "telea", "segmenter": f"clipseg:{BUNDLED / 'clipseg'}", "text": "magenta"}
    usual |= {"verify": False, "dilate": 0}
    run(Job(source=str(pictures / "in"), target=str(pictures / "out"), **usual | settings))
    return json.loads("".join((pictures / "out" / name).read_text() for name in ("metadata.jsonl", "failures.jsonl")))


def masked(pictures: Path) -> set[tuple[int, int]]:
    mask = np.asarray(Image.open(pictures / "out/masks/a.png.png")) > 0
    found = {place for place, side in PLACES.items() if mask[place] and mask[place[0] + side - 1, place[1] + side - 1]}
    assert mask.sum() == sum(PLACES[place] ** 2 for place in found)
    return found


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, {*PLACES}),
        ({"largest": 1}, {(330, 500)}),
        ({"except_largest": True}, {(20, 30), (150, 290)}),
        ({"region": "0,50,100%,100%"}, {(150, 290), (330, 500)}),
        ({"max_count": 3}, {*PLACES}),
        ({"protect": ["lime"]}, {*PLACES}),
    ],
)
def test_what_is_found_in_parts_is_chosen_among_as_any_find(pictures, settings, places):
    assert row(pictures, tiles=4, **settings)["status"] == "removed"
    assert masked(pictures) == places


def test_looked_at_whole_the_same_picture_shows_nothing(pictures):
    assert row(pictures)["status"] == "nothing found"


def test_a_picture_with_more_finds_in_its_parts_than_allowed_is_left_to_a_person(pictures):
    told = row(pictures, tiles=4, max_count=2)
    assert (told["status"], told["reason"][:20]) == ("skipped", "3 objects were found")


def test_what_is_protected_is_looked_for_in_parts_too(pictures):
    image = np.array(Image.open(pictures / "in/a.png"))
    image[150:162, 290:302] = COLOURS["lime"]
    Image.fromarray(image).save(pictures / "in/a.png")
    mask = pictures / "mask.png"
    Image.fromarray(np.full((400, 600), 0, np.uint8)).save(mask)
    given = np.zeros((400, 600), np.uint8)
    given[140:170, 280:310] = 255
    Image.fromarray(given).save(mask)
    assert row(pictures, tiles=4, text=[], masks=str(mask), protect=["lime"])["status"] == "removed"
    left = np.asarray(Image.open(pictures / "out/masks/a.png.png")) > 0
    assert left.any()
    assert not left[150:162, 290:302].any()


def test_a_picture_of_many_parts_is_not_taken_for_one_that_hangs(pictures, monkeypatch):
    told: list[int] = []
    monkeypatch.setattr("flows.steps.find_masks.extend_deadline", told.append)
    monkeypatch.setattr("masks.tiles.TOGETHER", 4)
    row(pictures, tiles=4)  # twelve parts
    assert told == [1] * (1 + 3)


def test_another_number_of_parts_is_another_job(pictures):
    row(pictures, tiles=4)
    with pytest.raises(OtherSettings, match="tiles: 4 then, 5 now"):
        row(pictures, tiles=5)


def test_a_row_of_prompts_that_speaks_of_tiles_is_told_whose_setting_it_is(pictures):
    rows = pictures / "prompts.jsonl"
    rows.write_text(json.dumps({"file_name": "a.png", "text": "magenta", "tiles": 4}))
    with pytest.raises(ValueError, match='line 1: "tiles" is a setting of the whole job'):
        row(pictures, text=[], prompts=str(rows))
