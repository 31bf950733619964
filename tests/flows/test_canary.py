"""A sample of a folder stops a run that would spoil the rest, and costs nothing of a run that would not."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flows.canary import split
from flows.errors import TooManyFailures
from flows.job import Job
from flows.records import card as cards
from flows.review.decisions import Decision, apply
from flows.run import run
from removal import Checkpoint, Choice


class Paint:
    """A remover that fills the holes of some pictures (by their first pixel) strangely, and of some not at all."""

    choice, steps, strength = Choice("bundled", Checkpoint(""), "inpainting", "for a reason"), 4, 1.0

    def __init__(self, strange: set[int], failing: set[int]):
        self.strange, self.failing, self.painted = strange, failing, []

    def __call__(self, images, masks, seeds):
        return [self.paint(image.copy(), mask) for image, mask in zip(images, masks, strict=True)]

    def paint(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        picture = int(image[0, 0, 0])
        if picture in self.failing:
            raise RuntimeError("cannot paint this")
        self.painted.append(picture)
        image[mask] = (255, 0, 255) if picture in self.strange else 96
        return image


@pytest.fixture
def runs(tmp_path, picture, monkeypatch):
    """A function that runs a job over ten pictures, of which some come out strangely or fail."""
    (tmp_path / "source").mkdir()
    for number in range(10):
        image = picture(40, 60) // 16 + 91
        image[0, 0] = number
        Image.fromarray(image).save(tmp_path / "source" / f"{number}.png")
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def go(strange=(), failing=(), **settings) -> Paint:
        painter = Paint(set(strange), set(failing))
        monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: painter)
        places = {"source": "source", "target": "out", "masks": "mask.png"}
        job = Job(**{key: str(tmp_path / name) for key, name in places.items()}, model="bundled", **settings)
        try:
            painter.summary = run(job, painter.watch)
        except TooManyFailures as error:
            painter.stopped = str(error)
        return painter

    Paint.watch, Paint.stopped = Listens(), None
    return go


class Listens:
    def __init__(self):
        self.said: list[str] = []

    def begin(self, total, finished): ...
    def did(self, outcome): ...

    def say(self, message):
        self.said.append(message)


SAMPLE = [1, 5, 8]  # of ten, spread


def rows(tmp_path: Path) -> set[str]:
    return {json.loads(line)["source"] for line in (tmp_path / "out/metadata.jsonl").read_text().splitlines()}


def test_a_sample_that_comes_out_well_is_done_first_and_then_the_rest(runs):
    painter = runs(canary=3)
    assert painter.painted == [*SAMPLE, 0, 2, 3, 4, 6, 7, 9]
    assert "of a sample of 3 pictures 0 failed and 0 are doubtful" in painter.watch.said


@pytest.mark.parametrize(("strange", "failing"), [({1, 5}, ()), ((), {1, 5}), ({1}, {8})])
def test_too_much_trouble_with_the_sample_stops_the_run_and_its_results_stay(runs, tmp_path, strange, failing):
    painter = runs(strange, failing, canary=3, max_failures="34%")
    assert {*painter.painted, *failing} == set(SAMPLE)
    assert "more than --max-failures 34% allows" in painter.stopped
    assert rows(tmp_path) == {f"{number}.png" for number in painter.painted}


def test_as_much_trouble_as_is_allowed_does_not_stop_it(runs):
    assert runs({1}, canary=3, max_failures="34%").summary.done == {"removed": 10}


def test_without_a_sample_doubtful_results_stop_nothing(runs):
    painter = runs(set(range(10)))
    assert (painter.stopped, painter.summary.doubtful) == (None, 10)


def test_to_go_on_nevertheless_takes_the_same_run_without_a_sample(runs):
    runs({1, 5}, canary=3)
    painter = runs({1, 5})
    assert painter.painted == [0, 2, 3, 4, 6, 7, 9]
    assert painter.summary.counts == {"removed": 10}


def test_what_is_finished_is_in_no_sample(runs):
    runs(limit=7)
    assert runs(canary=2).painted == [7, 9, 8]


@given(st.integers(0, 60), st.integers(0, 70))
def test_a_sample_and_the_rest_are_every_name_once_and_the_sample_is_spread(names, count):
    everything = [f"{number:03}" for number in range(names)]
    parts = split(everything, count)
    assert sorted(name for part in parts for name in part) == everything
    if 0 < count < names:
        sample = [int(name) for name in parts[0]]
        assert len(sample) == count
        gaps = np.diff([-sample[0] - 1, *sample])
        assert gaps.max(initial=0) <= 2 * names / count + 1


def test_how_many_wait_for_review_is_told_until_they_are_reviewed(runs, tmp_path):
    runs({1, 2, 3})
    out = tmp_path / "out"
    found = cards.standing(out)
    assert (found.doubtful, found.to_review) == (3, 3)
    assert cards.next_steps(out, found) == [f"cleanplate review {out}"]
    apply(out, [Decision("1.png", "accept"), Decision("2.png", "reject")])
    found = cards.standing(out)
    assert (found.to_review, found.rejected) == (1, 1)
    assert cards.next_steps(out, found)[1] == f"cleanplate redo {out} --only rejected"


@pytest.mark.parametrize("wrong", ["report.html", "javascript:alert(1)", "https://a b", "https://a)(b"])
def test_only_an_address_is_linked(wrong):
    with pytest.raises(ValueError, match="where the report can be read"):
        Job(report_url=wrong)
