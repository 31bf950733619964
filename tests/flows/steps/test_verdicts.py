"""The verdict on a result, in its row and wherever a run is counted."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image

from flows.cli.progress import Terminal
from flows.job import Job
from flows.outcome import Outcome
from flows.records import card as cards
from flows.run import SILENT, run
from flows.steps.verdicts import Verdict
from removal import Checkpoint, Choice

HOLE = np.zeros((80, 100), bool)
HOLE[20:50, 30:60] = True


class Paint:
    """A remover that leaves the picture as it is, and in the holes of some pictures one colour."""

    choice, steps, strength = Choice("bundled", Checkpoint(""), "inpainting", "for a reason"), 4, 1.0

    def __init__(self, colour: tuple[int, int, int], pictures: set[int]):
        self.colour, self.pictures = colour, pictures

    def __call__(self, images, masks, seeds):
        return [self.paint(image.copy(), mask) for image, mask in zip(images, masks, strict=True)]

    def paint(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if int(image[0, 0, 0]) in self.pictures:
            image[mask] = self.colour
        return image


@pytest.fixture
def cleaned(tmp_path, picture, monkeypatch):
    """A function that runs a job over three pictures, grey or in colour, of which some get a hole in one colour."""

    def clean(colour=(255, 0, 255), pictures=(1,), grey=False, watch=SILENT, **settings) -> dict[str, dict]:
        source = tmp_path / ("grey" if grey else "coloured")
        if not source.exists():
            source.mkdir()
            for number in range(3):
                image = picture(80, 100) // 16 + 91  # all colours about 98
                image[0, 0] = number
                Image.fromarray(image).convert("L" if grey else "RGB").save(source / f"{number}.png")
            Image.fromarray(HOLE).save(tmp_path / "mask.png")
        monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: Paint(colour, set(pictures)))
        places = {"source": str(source), "target": str(tmp_path / "out"), "masks": str(tmp_path / "mask.png")}
        run(Job(**places, model="bundled", **settings), watch)
        lines = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
        return {row["source"]: row for row in map(json.loads, lines)}

    return clean


def test_every_row_says_whether_it_is_gone_and_a_doubtful_one_why(cleaned):
    rows = cleaned()
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "0.png": "gone",
        "1.png": "doubtful",
        "2.png": "gone",
    }
    assert rows["0.png"]["reason"] == "for a reason"
    assert rows["1.png"]["reason"].startswith("for a reason; doubtful: ")
    assert "% of the hole has colours that are nowhere around it" in rows["1.png"]["reason"]
    assert {row["status"] for row in rows.values()} == {"removed"}


@pytest.mark.parametrize("settings", [{"verify": False}, {"prompt": "a magenta bench"}])
def test_what_is_not_judged_has_no_verdict(cleaned, settings):
    rows = cleaned(**settings)
    assert {row["verdict"] for row in rows.values()} == {None}
    assert {row["reason"] for row in rows.values()} == {"for a reason"}


def test_whether_results_are_judged_may_change_between_two_runs(cleaned):
    cleaned()
    rows = cleaned(verify=False)
    assert rows["1.png"]["verdict"] == "doubtful"


def test_a_grey_picture_is_judged_in_the_grey_that_is_published(cleaned):
    """This red is as bright as what is around the hole: strange in colour, and in grey not to be seen."""
    red = (222, 42, 60)
    assert cleaned(colour=red)["1.png"]["verdict"] == "doubtful"
    assert cleaned(colour=red, grey=True, existing="overwrite")["1.png"]["reason"] == "for a reason"


@pytest.mark.parametrize(("doubt", "word"), [(0, "gone"), (1, "gone"), (1.001, "doubtful"), (7, "doubtful")])
def test_up_to_a_doubt_of_1_it_is_gone(doubt, word):
    verdict = Verdict(doubt)
    assert (verdict.word, verdict.doubtful) == (word, word == "doubtful")


def test_doubtful_results_are_counted_beside_the_removed_ones():
    assert cards.in_words({"removed": 7, "failed": 1}, 2) == "1 failed, 7 removed (2 doubtful)"
    assert cards.in_words({"removed": 7, "failed": 1}, 0) == "1 failed, 7 removed"
    assert cards.in_words({}, 0) == "no pictures"


def test_the_card_and_the_standing_of_a_target_count_its_doubtful_results(cleaned, tmp_path):
    cleaned(pictures=(0, 2))
    found = cards.standing(tmp_path / "out")
    assert (found.counts, found.doubtful, found.failures) == ({"removed": 3}, 2, [])
    assert "| removed (2 doubtful) | 3 |" in (tmp_path / "out" / "README.md").read_text()


def test_a_run_says_on_the_terminal_which_are_doubtful_and_how_many(cleaned, capsys):
    with Terminal(verbose=True) as terminal:
        cleaned(watch=terminal)
        terminal.conclude("out", 3, {"removed": 3}, 1)
    said = capsys.readouterr().err.splitlines()
    assert said[-4] == "removed: 0.png"
    assert said[-3].startswith("removed: 1.png (for a reason; doubtful: ")
    assert said[-1] == "out: 3 removed (1 doubtful)"


def test_the_live_counts_name_doubtful_ones_too():
    terminal = Terminal(quiet=True)
    for verdict in ("gone", "doubtful", None):
        terminal.did(Outcome("x.png", "removed", verdict=verdict))
    assert terminal._counts() == "3 removed (1 doubtful)"


def test_a_second_run_still_counts_what_an_earlier_one_doubted(cleaned, tmp_path):
    cleaned()
    again = run(Job.model_validate(tomllib.loads((tmp_path / "out" / "job.toml").read_text())))
    assert (again.tried, again.doubtful) == (0, 1)
