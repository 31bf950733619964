"""A method that takes shadows away too: what it changed is the mask, and nobody's word is overruled by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.formats.mask_files import decode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.review.redo import redo
from flows.run import run
from flows.samples.comparison import compare
from flows.steps.verdicts import Verdict
from masks import Found
from masks.bundled import BUNDLED
from removal import Checkpoint, Choice
from removal.crops.remover import CropRemover

CLIPSEG = f"clipseg:{BUNDLED / 'clipseg'}"  # its weights are here; what finds is another, below
OBJECT, SHADOW, GREEN, GROUND = (255, 0, 255), (30, 30, 30), (0, 255, 0), (120, 140, 110)
THING, SHADE = (slice(30, 50), slice(40, 60)), (slice(48, 56), slice(60, 90))


class Shadowless:
    """Paints ground over what is masked and over every shadow, and says where that was; it keeps what it was given."""

    resolution, steps, strength = 96, 1, None

    def __init__(self) -> None:
        self.masks: list[np.ndarray] = []

    def __call__(self, crops, seeds):
        self.masks += [crop.mask for crop in crops]
        return [self.patch(crop) for crop in crops]

    def by_step(self, crops, seeds, batches):
        yield self(crops, seeds)

    def patch(self, crop) -> np.ndarray:
        shadow = crop.image.astype(int).max(axis=2) < 60
        painted = np.where((crop.mask | shadow)[..., None], np.uint8(GROUND), crop.image)
        return np.dstack([painted, shadow.astype(np.uint8) * 255])


@pytest.fixture
def paint(monkeypatch) -> Shadowless:
    own = Shadowless()
    choice = Choice("osor", Checkpoint("here", "sdxl", 9, method="osor"), "osor", "made for it")
    for place in ("steps.remove_masked", "samples.comparison"):
        monkeypatch.setattr(f"flows.{place}.load_remover", lambda *_, **__: CropRemover(choice, own, 2.0, 4))
    return own


@pytest.fixture(autouse=True)
def by_colour(monkeypatch):
    """A segmenter that finds what is of the colour that a phrase names."""
    colours = {"magenta": OBJECT, "green": GREEN}

    def segment(images, prompts):
        near = [np.abs(i.astype(int) - colours[p.text]).max(axis=2) < 60 for i, p in zip(images, prompts, strict=True)]
        return [Found(mask, 0.9, ((0, 0, 1, 1),) if mask.any() else ()) for mask in near]

    monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: segment)


def scene() -> np.ndarray:
    image = np.full((96, 128, 3), GROUND, np.uint8)
    image[::2, ::3] += 4
    image[THING], image[SHADE] = OBJECT, SHADOW
    return image


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    Image.fromarray(scene()).save(tmp_path / "in" / "a.png")
    return tmp_path


def job(place: Path, **settings) -> Job:
    usual = {"source": str(place / "in"), "target": str(place / "out"), "model": "bundled", "segmenter": CLIPSEG}
    return Job(**usual | {"text": "magenta", "dilate": 4, "verify": False} | settings)


def row(place: Path, file: str = "metadata.jsonl") -> dict:
    (line,) = (place / "out" / file).read_text().splitlines()
    return json.loads(line)


def mask(place: Path, name: str = "a.png") -> np.ndarray:
    return decode_mask((place / f"out/masks/{name}.png").read_bytes())


def pixels(place: Path, name: str = "a.png") -> tuple[np.ndarray, np.ndarray]:
    """Before and after, upright."""
    before, after = ((place / folder / name).read_bytes() for folder in ("in", "out/images"))
    return decode(before).image, decode(after).image


def shaded(image: np.ndarray) -> bool:
    return bool((image[SHADE].astype(int).max(axis=2) < 60).mean() > 0.5)


def test_the_shadow_goes_and_stands_in_the_mask_and_its_row_and_nothing_else_changes(place, paint):
    run(job(place))
    before, after = pixels(place)
    assert not shaded(after)
    assert mask(place)[SHADE].all()
    assert (after[~mask(place)] == before[~mask(place)]).all()
    said = row(place)
    assert said["mask_area"] == round(mask(place).mean(), 6)
    assert said["outside_max_diff"] == 0
    assert said["method"] == "osor"
    assert "its shadow or reflection went too: its mask grew by 1." in said["reason"]


def test_what_is_protected_is_neither_changed_nor_in_the_mask(place, paint):
    image = scene()
    image[44:60, 70:80] = GREEN
    Image.fromarray(image).save(place / "in" / "a.png")
    run(job(place, protect="green"))
    before, after = pixels(place)
    kept = (before == GREEN).all(axis=2)
    assert (after[kept] == GREEN).all()
    assert not mask(place)[kept].any()
    assert not mask(place)[48:56, 66:84].any()  # with its margin
    assert mask(place)[48:56, 62:64].all()


def test_a_second_run_does_nothing(place, paint):
    run(job(place))
    painted = len(paint.masks)
    run(job(place))
    assert len(paint.masks) == painted


def test_a_picture_that_is_done_again_starts_from_what_was_found_and_not_from_the_grown_mask(place, paint):
    run(job(place))
    grown = mask(place)
    run(job(place, existing="overwrite"))
    assert (paint.masks[0] == paint.masks[1]).all()
    assert (mask(place) == grown).all()


def test_a_shadow_that_somebody_takes_out_of_the_mask_stays(place, paint):
    run(job(place))
    edited = mask(place)
    edited[SHADE] = False
    edited[THING] = True
    Image.fromarray(edited).save(place / "out/masks/a.png.png")
    run(job(place))
    before, after = pixels(place)
    assert (after[SHADE] == before[SHADE])[~edited[SHADE]].all()
    assert (after[THING] != OBJECT).any()
    assert (mask(place) == edited).all()
    assert row(place)["segmenter"] == "by hand"
    assert "shadow" not in row(place)["reason"]


def test_a_mask_that_was_corrected_before_the_run_is_painted_as_it_is(place, paint):
    run(job(place), masks_only=True)
    edited = mask(place)
    edited[60:64, 40:60] = True
    Image.fromarray(edited).save(place / "out/masks/a.png.png")
    run(job(place))
    before, after = pixels(place)
    assert (mask(place) == edited).all()
    assert (after[~edited] == before[~edited]).all()


def test_masks_that_nobody_touched_grow_in_the_run_that_uses_them(place, paint):
    run(job(place), masks_only=True)
    assert not mask(place)[SHADE].all()
    run(job(place))
    assert mask(place)[SHADE].all()


def test_a_mask_that_would_grow_over_max_area_is_refused(place, paint):
    run(job(place, max_area=0.07, max_failures="100%"))
    said = row(place, "failures.jsonl")
    assert said["status"] == "failed"
    assert "with its shadow or reflection its mask would cover 8% of the picture" in said["reason"]
    assert not (place / "out/images/a.png").exists()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_jpeg_keeps_what_the_grown_mask_does_not_touch_and_its_strip_shows_that_mask(place, paint, orientation):
    (place / "in" / "a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(scene())
    stored = {1: turned, 3: turned.rotate(180), 6: turned.rotate(90, expand=True)}[orientation]
    stored.save(place / "in" / "a.jpg", quality=95, subsampling=0, exif=exif)
    run(job(place, concat=True))
    said = row(place)
    assert (said["status"], said["outside_max_diff"]) == ("removed", 0)
    before, after = pixels(place, "a.jpg")
    assert shaded(before)
    assert not shaded(after)
    strip = np.asarray(Image.open(place / "out/strips/a.jpg").convert("L"))
    shown = strip[:, strip.shape[1] // 3 : 2 * strip.shape[1] // 3]
    assert (shown[50:54, 64:86] > 128).all()


def test_a_turned_mask_that_grew_is_known_again_after_an_editor_lost_its_tag(place, paint):
    (place / "in" / "a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 3
    centred = np.roll(scene(), (8, 14), (0, 1))  # of the object alone nobody could tell which way up it is
    Image.fromarray(centred).rotate(180).save(place / "in" / "a.jpg", quality=95, subsampling=0, exif=exif)
    run(job(place))
    file = place / "out/masks/a.jpg.png"
    with Image.open(file) as opened:
        stored = np.asarray(opened)
    upright = stored[::-1, ::-1].copy()
    upright[2:4, 2:4] = 255
    Image.fromarray(upright).save(file)  # upright, and without a tag
    run(job(place))
    assert row(place)["status"] == "removed"
    assert not shaded(np.roll(pixels(place, "a.jpg")[1], (-8, -14), (0, 1)))
    assert (decode_mask(file.read_bytes()) == (upright > 0)).all()


def test_every_attempt_starts_from_the_same_mask_and_is_archived_with_its_own(place, paint, monkeypatch):
    monkeypatch.setattr("flows.steps.attempts.judge", lambda *_: Verdict(2.0, ("for a test",)))
    run(job(place, verify=True, tries=2))
    assert len(paint.masks) == 2
    assert (paint.masks[0] == paint.masks[1]).all()
    (archived,) = (place / "out/.cleanplate/attempts/a.png").glob("*.mask.png")
    assert (decode_mask(archived.read_bytes()) == mask(place)).all()


def test_done_again_because_it_is_doubtful_it_starts_from_what_is_found(place, paint, monkeypatch):
    monkeypatch.setattr("flows.steps.attempts.judge", lambda *_: Verdict(2.0, ("for a test",)))
    run(job(place, verify=True))
    redo(place / "out", frozenset({"doubtful"}))
    assert (paint.masks[0] == paint.masks[1]).all()
    assert mask(place)[SHADE].all()


def test_where_the_rest_goes_nothing_of_what_stays_does(place, paint, monkeypatch):
    image, thing = scene(), np.zeros((96, 128), bool)
    image[34:46, 44:56] = SHADOW  # on what is to stay
    thing[THING] = True
    Image.fromarray(image).save(place / "in" / "a.png")
    found = Found(thing, 0.9, ((40, 30, 60, 50),))
    monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: lambda images, _: [found] * len(images))
    run(job(place, invert=True, dilate=0, max_area=0.9))
    before, after = pixels(place)
    assert row(place)["status"] == "removed"
    assert (after[THING] == before[THING]).all()
    assert not mask(place)[THING].any()
    assert "shadow" not in row(place)["reason"]


def test_a_comparison_keeps_what_is_protected_too(place, paint):
    image = scene()
    image[44:60, 70:80] = GREEN
    Image.fromarray(image).save(place / "in" / "a.png")
    compare(job(place, protect="green", target=str(place / "side")), ["auto"], lambda _: None)
    shown = np.asarray(Image.open(place / "side/a.png.png").convert("RGB"))
    column = shown.shape[1] // 3
    assert (shown[44:60, 2 * column + 70 : 2 * column + 80] == GREEN).all()


def test_the_process_and_comparisons_show_it_too(place, paint):
    run(job(place, gif=True))
    assert (place / "out/process/a.png.gif").exists()
    said: list[str] = []
    compare(job(place, target=str(place / "side")), ["auto"], said.append)
    shown = np.asarray(Image.open(place / "side/a.png.png").convert("RGB"))
    column = shown.shape[1] // 3
    assert shaded(shown[:96, :128])
    assert not shaded(shown[:96, 2 * column : 2 * column + 128])


def test_no_attempt_grows_a_mask_that_somebody_made_by_hand(place, paint, monkeypatch):
    run(job(place))
    edited = np.zeros((96, 128), bool)
    edited[THING] = True
    file = place / "out/masks/a.png.png"
    Image.fromarray(edited).save(file)
    drawn = file.read_bytes()
    monkeypatch.setattr(
        "flows.steps.attempts.judge", lambda _, mask, *more: Verdict(2.0 - mask.mean(), ("for a test",))
    )
    run(job(place, verify=True, tries=5, existing="overwrite"))
    assert (mask(place) == edited).all()
    assert file.read_bytes() == drawn
    assert row(place)["segmenter"] == "by hand"
