"""The verb that shows which method suits one's pictures."""

import json

import numpy as np
import pytest

from flows.errors import UsageError
from flows.formats.pictures import decode
from flows.job import Job
from flows.samples.comparison import CAPTION, _column, _words, compare
from flows.samples.scenes import write_scenes
from removal.verify import Fit


@pytest.fixture
def job(tmp_path) -> Job:
    write_scenes(tmp_path / "scenes", count=2, seed=12)
    (tmp_path / "scenes/images/broken.png").write_bytes(b"no picture")
    return Job(
        source=str(tmp_path / "scenes/images"),
        target=str(tmp_path / "compared"),
        masks=str(tmp_path / "scenes/masks"),
        model="bundled-base",
        steps=2,
        device="cpu",
    )


def test_every_picture_gets_a_column_per_method_and_a_row_of_figures(job, tmp_path):
    said: list[str] = []
    rows = compare(job, ["auto", "blending", "telea"], said.append)
    assert [(row["source"], row["method"]) for row in rows] == [
        (f"000{k}.png", method) for method in ("auto", "blending", "telea") for k in range(2)
    ]
    assert all(row["seconds"] > 0 and row["seam"] > 0 for row in rows)
    written = (tmp_path / "compared/comparison.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == rows
    drawn = decode((tmp_path / "compared/0000.png.png").read_bytes()).image
    original = decode((tmp_path / "scenes/images/0000.png").read_bytes()).image
    columns = np.hsplit(drawn, 5)  # original, mask and three methods
    assert (columns[0][:128, :128] == original).all()
    for column in columns[2:]:
        assert (column[:128, :128] != original).any()
        assert (column[128:] < 100).any()  # the words under it
    assert any("broken.png: failed" in line for line in said)
    assert not (tmp_path / "compared/broken.png.png").exists()
    assert not (tmp_path / "compared/masks").exists()


def test_a_method_that_the_model_cannot_take_is_refused_before_anything_is_drawn(job, tmp_path):
    with pytest.raises(UsageError, match="use --method blending"):
        compare(job, ["telea", "inpainting"], lambda _: None)
    assert not (tmp_path / "compared").exists()


def test_a_column_says_in_words_whether_the_patch_fits():
    fine, odd = Fit(0.0, 1.2, 1.0), Fit(0.123, 1.0, 0.1)
    assert _words("telea", "telea", fine, 0.12) == (
        "telea, 0.1 s", "fits its surroundings: doubt 0.10 (above 1 it is doubtful)",
    )  # fmt: skip
    title, said = _words("auto", "lama", odd, 2.0)
    assert title == "auto: lama, 2.0 s"
    assert said == "doubtful: 12% of the hole has colours that are nowhere around it"


def test_the_longest_words_fit_under_the_narrowest_column():
    longest = max((f"doubtful: {reason}" for reason in Fit(0.99, 99.9, 0.1, 4.0).reasons), key=len)
    drawn = _column(np.zeros((40, 20, 3), np.uint8), "auto: patchmatch, 100.0 s", longest)
    words = (drawn[40:] < 128).any(axis=2)
    assert words[: CAPTION - 2].any()
    assert not words[CAPTION - 2 :].any()
    assert not words[:, -4:].any()
