"""The segmenter looks at every result again, where it had been asked: is the object still, or again, there?"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.formats.encoding import encode_image
from flows.formats.pictures import decode
from flows.job import Job
from flows.outcome import Outcome
from flows.run import run
from flows.samples.scenes import write_scenes
from flows.steps.ladder import Masked
from flows.steps.redetect import look_again
from flows.steps.verdicts import Redetection, judge
from masks import Found, dilate
from removal import Checkpoint, Choice, load_remover
from removal.verify import fit

DILATED = 3


def masked(image: np.ndarray, mask: np.ndarray, **asked) -> Masked:
    """A picture whose mask was found by what was asked, and dilated."""
    found = Outcome("x.png", "masked", segmenter="bundled", dilate=DILATED, **asked)
    return Masked(found, decode(encode_image(image)), mask)


def asked_by(kind: str, scene) -> dict:
    return {"text": [scene.target.text]} if kind == "text" else {"points": [[*scene.point, 1]]}


@pytest.fixture
def finds(monkeypatch):
    """A function that puts a segmenter in the place of the bundled one: it finds what is magenta, and counts."""

    def put(trouble: Exception | None = None) -> list:
        looks: list = []

        def segment(images, prompts):
            looks.extend(prompts)
            if trouble:
                raise trouble
            return [Found((image == [255, 0, 255]).all(axis=2), 0.9) for image in images]

        monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: segment)
        return looks

    return put


@pytest.mark.parametrize("kind", ["text", "points"])
def test_the_bundled_segmenter_finds_every_object_that_is_still_there_and_none_that_is_gone(scenes, kind):
    some = [masked(s.image, dilate(s.object, DILATED), **asked_by(kind, s)) for s in scenes]
    job = Job(model="bundled", device="cpu")
    still = look_again(job, some, [s.image for s in scenes])
    gone = look_again(job, some, [s.truth for s in scenes])
    assert min(again.doubt for again in still) > 1
    assert max(again.doubt for again in gone) < 0.1
    assert all("the object is still there" in again.reason for again in still)


def test_the_verdict_tells_failed_removals_from_good_ones(scenes):
    """Area under the curve, on what the bundled checkpoints really paint and on objects that were pasted back."""
    scenes = scenes[:4]
    some = [masked(s.image, dilate(s.mask, 2), **asked_by(("text", "points")[k % 2], s)) for k, s in enumerate(scenes)]
    job = Job(model="bundled", device="cpu")
    images, masks = [s.image for s in scenes], [one.mask for one in some]
    good = load_remover("bundled", device="cpu")(images, masks, list(range(len(scenes))))

    def doubts(results: list[np.ndarray]) -> np.ndarray:
        looked = zip(results, masks, look_again(job, some, results), strict=True)
        return np.array([judge(result, mask, again).doubt for result, mask, again in looked])

    removed, left = doubts(good), doubts(images)
    assert (left[:, None] > removed).mean() >= 0.9
    assert (left > 1).all()


@pytest.fixture
def plate() -> np.ndarray:
    y, x = np.mgrid[0:120, 0:160]
    return np.stack([90 + x % 7, 100 + y % 5, 110 + (x + y) % 6], axis=-1).astype(np.uint8)


def disc(x: int, y: int, radius: int = 12) -> np.ndarray:
    rows, columns = np.mgrid[0:120, 0:160]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def painted(plate: np.ndarray, *where: np.ndarray) -> np.ndarray:
    image = plate.copy()
    for place in where:
        image[place] = (255, 0, 255)
    return image


def look(image, mask, result, **asked) -> Redetection | None:
    return look_again(Job(model="bundled"), [masked(image, mask, **asked)], [result])[0]


def test_the_same_thing_elsewhere_is_not_meant(plate, finds):
    finds()
    image, mask = painted(plate, disc(40, 60), disc(75, 60)), dilate(disc(40, 60), DILATED)
    assert look(image, mask, painted(plate, disc(75, 60)), text=["red ball"]).doubt == 0


def test_one_of_several_objects_that_stayed_is_doubted_as_much_as_one_alone(plate, finds):
    finds()
    places = [disc(30, 60), disc(80, 60), disc(130, 60)]
    mask = dilate(places[0] | places[1] | places[2], DILATED)
    again = look(painted(plate, *places), mask, painted(plate, places[1]), text=["red ball"])
    assert again.share > 0.9
    again = look(painted(plate, *places), mask, painted(plate, places[1]), boxes=[[68, 48, 93, 73]])
    assert again.overlap > 0.9


def test_what_a_point_finds_in_other_colours_must_have_more_of_the_objects_shape():
    assert Redetection(overlap=0.3, same=1.0).doubt > 1
    assert Redetection(overlap=0.3, same=0.0).doubt < 1
    assert Redetection(overlap=0.6, same=0.0).doubt > 1


def test_it_is_asked_in_pixels_of_what_it_looks_at(plate, finds):
    looks = finds()
    mask = dilate(disc(110, 70), DILATED)
    look(painted(plate, disc(110, 70)), mask, plate, points=[[110, 70, 1], [3, 3, 0]], boxes=[[90, 50, 159, 119]])
    point, box = looks
    left, top = 110 - 15 - 32, 70 - 15 - 32  # the mask's radius, and half of the least side that is looked at
    assert point.points == ((110 - left, 70 - top, 1),)
    assert box.box == (90 - left, 50 - top, 2 * 15 + 1 + 64, 2 * 15 + 1 + 64)


def test_a_given_mask_is_looked_at_by_nobody_again(plate, finds):
    looks = finds()
    one = masked(painted(plate, disc(40, 60)), disc(40, 60))
    given = Masked(Outcome("x.png", "masked", segmenter="given", text=["red ball"]), one.picture, one.mask)
    assert look_again(Job(model="bundled"), [given], [one.picture.image]) == [None]
    assert looks == []


@pytest.mark.parametrize("settings", [{"verify": False}, {"prompt": "a magenta bench"}])
def test_where_nobody_judges_nobody_looks(plate, finds, settings):
    looks = finds()
    one = masked(painted(plate, disc(40, 60)), disc(40, 60), text=["red ball"])
    assert look_again(Job(model="bundled", **settings), [one], [one.picture.image]) == [None]
    assert looks == []


def test_a_result_that_cannot_be_looked_at_is_judged_by_whether_it_fits(plate, finds):
    finds(trouble=RuntimeError("no"))
    image, mask = painted(plate, disc(40, 60)), disc(40, 60)
    assert look(image, mask, plate, text=["red ball"]) is None
    assert judge(plate, mask, None).doubt == fit(plate, mask).doubt


def test_the_judge_who_doubts_more_is_believed_and_both_say_why(plate):
    mask = disc(40, 60)
    alone, strange = judge(plate, mask), judge(painted(plate, mask), mask)
    assert judge(plate, mask, Redetection(share=0.9, same=1.0)).reasons == (
        "the object is still there (90% of its place, says the segmenter)",
    )
    assert judge(plate, mask, Redetection()).doubt == alone.doubt
    both = judge(painted(plate, mask), mask, Redetection(share=0.9))
    assert both.doubt == max(strange.doubt, 4.5)
    assert len(both.reasons) == 1 + len(strange.reasons)


class Leaves:
    """A remover that leaves every second picture as it is, and cleans the others."""

    choice, steps, strength = Choice("bundled", Checkpoint(""), "inpainting", "for a reason"), 4, 1.0

    def __init__(self, truth: dict[bytes, np.ndarray]):
        self.truth = truth

    def __call__(self, images, masks, seeds):
        return [self.truth.get(image.tobytes(), image) for image in images]


@pytest.fixture
def half_left(tmp_path, monkeypatch) -> Path:
    """Four scenes, and a remover that leaves the objects of the last two."""
    write_scenes(tmp_path / "scenes", count=4, seed=21)

    def pixels(kind: str, name: str) -> np.ndarray:
        return np.asarray(Image.open(tmp_path / "scenes" / kind / name))

    truth = {pixels("images", name).tobytes(): pixels("truth", name) for name in ("0000.png", "0001.png")}
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: Leaves(truth))
    return tmp_path


def rows(target: Path) -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (target / "metadata.jsonl").read_text().splitlines())}


def test_a_run_doubts_the_objects_that_it_left_and_its_rows_say_so(half_left):
    places = {"source": "scenes/images", "target": "out", "prompts": "scenes/prompts.jsonl"}
    job = Job(**{key: str(half_left / name) for key, name in places.items()}, model="bundled", device="cpu", dilate=6)
    assert run(job).doubtful == 2
    for name, row in rows(half_left / "out").items():
        left = name in ("0002.png", "0003.png")
        assert row["verdict"] == ("doubtful" if left else "gone")
        assert (row["doubt"] > 1) == left
        assert ("the object is still there" in row["reason"]) == left
        assert row["score"] > 0.5  # the find's own


def test_a_run_with_given_masks_loads_no_segmenter(half_left, monkeypatch):
    monkeypatch.setattr("flows.steps.find_masks.load_segmenter", lambda *_: pytest.fail("loaded"))
    places = {"source": "scenes/images", "target": "out", "masks": "scenes/masks"}
    job = Job(**{key: str(half_left / name) for key, name in places.items()}, model="bundled", device="cpu")
    assert run(job).done == {"removed": 4}
