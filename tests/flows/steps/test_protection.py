"""What is protected is never touched: not by a mask that is found or given, nor by one that grows."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.errors import UsageError
from flows.formats.pictures import decode
from flows.job import Job
from flows.outcome import Outcome
from flows.run import run
from flows.steps import ladder
from flows.steps.ladder import Masked
from flows.steps.protection import spare
from flows.steps.verdicts import Verdict
from masks import Found, dilate
from masks.bundled import BUNDLED

CLIPSEG = f"clipseg:{BUNDLED / 'clipseg'}"  # its weights are here; what finds is another, below
COLOURS = {"magenta": [255, 0, 255], "green": [0, 255, 0]}


@pytest.fixture(autouse=True)
def by_colour(monkeypatch):
    """A segmenter that finds what is of the colour that a phrase names."""

    def segment(images, prompts):
        found = [(i == COLOURS[p.text]).all(axis=2) for i, p in zip(images, prompts, strict=True)]
        return [Found(mask, 0.9, ((0, 0, 1, 1),) if mask.any() else ()) for mask in found]

    monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: segment)


@pytest.fixture
def pictures(tmp_path, picture) -> Path:
    """Beside the magenta thing of a.png lies a green one; in b.png there is none; c.png holds a green thing alone."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        image = picture(100, 160)
        if name != "c":
            image[30:60, 40:80] = COLOURS["magenta"]
        if name != "b":
            image[30:60, 82:120] = COLOURS["green"]
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    return tmp_path


def job(pictures: Path, **settings) -> Job:
    usual = {"model": "bundled", "method": "telea", "segmenter": CLIPSEG, "text": "magenta", "protect": "green"}
    return Job(source=str(pictures / "in"), target=str(pictures / "out"), **usual | settings)


def row(pictures: Path, name: str) -> dict:
    rows = map(json.loads, (pictures / "out/metadata.jsonl").read_text().splitlines())
    return {one["source"]: one for one in rows}[name]


def mask(pictures: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(pictures / f"out/masks/{name}.png")) > 0


def green(pictures: Path, name: str) -> np.ndarray:
    return (np.asarray(Image.open(pictures / "in" / name)) == COLOURS["green"]).all(axis=2)


def test_a_mask_ends_before_what_is_protected_and_its_row_says_so(pictures):
    run(job(pictures, dilate=12))
    reach = dilate(green(pictures, "a.png"), 4)
    assert not (mask(pictures, "a.png") & reach).any()
    assert mask(pictures, "b.png")[green(pictures, "a.png")].any()  # where nothing is protected, it goes farther
    before, after = (np.asarray(Image.open(pictures / d / "a.png")) for d in ("in", "out/images"))
    assert (before[reach] == after[reach]).all()
    assert "of what was found is protected (green)" in row(pictures, "a.png")["reason"]
    assert "protected" not in row(pictures, "b.png")["reason"]


def test_where_all_that_was_found_is_protected_there_is_nothing_to_remove_and_the_row_says_why(pictures):
    run(job(pictures, text="green"))
    assert row(pictures, "a.png")["status"] == "nothing found"
    assert row(pictures, "a.png")["reason"] == "all that was found is protected (green)"
    assert (pictures / "out/images/a.png").read_bytes() == (pictures / "in/a.png").read_bytes()


def test_a_given_mask_is_held_back_too(pictures):
    given = np.zeros((100, 160), np.uint8)
    given[20:70, 30:130] = 255
    Image.fromarray(given).save(pictures / "mask.png")
    run(job(pictures, text=[], masks=str(pictures / "mask.png")))
    assert (mask(pictures, "a.png") == ((given > 0) & ~dilate(green(pictures, "a.png"), 4))).all()
    assert (mask(pictures, "b.png") == (given > 0)).all()


def test_a_mask_that_grows_for_another_attempt_stays_out_of_what_is_protected(pictures):
    run(job(pictures, dilate=4), masks_only=True)
    one = Masked(Outcome("a.png", "masked"), decode((pictures / "in/a.png").read_bytes()), mask(pictures, "a.png"))
    reach = dilate(green(pictures, "a.png"), 4)
    free, held = one, Masked(one.outcome, one.picture, one.mask, reach)
    for widen in (ladder.grown, ladder.hulled):
        assert (widen(free).mask & reach).any()
        assert not (widen(held).mask & reach).any()
        assert (widen(held).mask == widen(free).mask & ~reach).all()


def test_every_attempt_at_a_doubtful_picture_leaves_what_is_protected_alone(pictures, monkeypatch):
    """The second step knows what is protected from the first, also in a run of its own."""
    monkeypatch.setattr("flows.steps.attempts.judge", lambda *_: Verdict(2.0, ("a judge who is never content",)))
    run(job(pictures), masks_only=True)
    run(job(pictures, tries=6))
    attempts = [*(pictures / "out/.cleanplate/attempts/a.png").glob("*.mask.png")]
    assert attempts
    before, after = (np.asarray(Image.open(pictures / d / "a.png")) for d in ("in", "out/images"))
    reach = dilate(green(pictures, "a.png"), 4)
    assert (before[reach] == after[reach]).all()
    for attempt in attempts:
        assert not (np.asarray(Image.open(attempt))[reach] > 0).any()


def test_another_thing_to_protect_is_another_job(pictures):
    run(job(pictures))
    with pytest.raises(ValueError, match=r"protect: \['green'\] then, \[\] now"):
        run(job(pictures, protect=[]))


def test_a_segmenter_that_hears_no_text_cannot_protect_and_nothing_is_touched(pictures):
    with pytest.raises(UsageError, match="'sam' takes no text"):
        run(job(pictures, text=[], point="50,40", segmenter="sam"))
    assert not (pictures / "out").exists()


def test_nothing_is_left_to_paint_around_a_thing_that_is_protected_whole():
    found = np.zeros((80, 120), bool)
    found[30:50, 20:40] = found[30:50, 80:100] = True  # two things, of which one is protected
    protected = dilate(found & (np.arange(120) < 60), 4)
    left, said = spare(found, 12, protected, ["dog"])
    assert (left == dilate(found & (np.arange(120) >= 60), 12) & ~protected).all()
    assert said == "50% of what was found is protected (dog)"
    assert not spare(found & protected, 12, protected, ["dog"])[0].any()
