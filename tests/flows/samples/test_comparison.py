"""The verb that shows which method suits one's pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.errors import UsageError
from flows.formats.pictures import decode
from flows.job import Job
from flows.run import run
from flows.samples import comparison
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


def one_picture(job: Job, target: Path) -> Job:
    return job.model_copy(update={"source": f"{job.source}/0000.png", "target": str(target)})


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_one_picture_and_a_path_that_ends_as_one_are_compared_in_one_file(job, tmp_path, suffix):
    file = tmp_path / f"side{suffix}"
    for _ in range(2):  # it is a comparison's own, and may be drawn again
        rows = compare(one_picture(job, file), ["telea"], lambda _: None)
        assert decode(file.read_bytes()).image.shape[1] > 3 * 128
        assert file.read_bytes()[:1] == {".png": b"\x89", ".jpg": b"\xff"}[suffix]
        written = (tmp_path / f"side{suffix}.cleanplate/comparison.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in written] == rows


def test_a_file_that_no_comparison_has_written_is_not_overwritten(job, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = tmp_path / "masks/0001.png.png"  # as people name masks
    mask.write_bytes(b"by hand")
    with pytest.raises(UsageError, match=r"0001\.png\.png in .*masks is not a comparison, and is not overwritten"):
        compare(job.model_copy(update={"target": str(mask.parent)}), ["telea"], lambda _: None)
    with pytest.raises(UsageError, match=r"exists already and is not a Cleanplate result"):
        compare(one_picture(job, mask), ["telea"], lambda _: None)
    assert [file.read_bytes() for file in mask.parent.iterdir()] == [b"by hand"]


def test_the_result_of_a_run_is_not_overwritten_by_a_comparison(job, tmp_path):
    clean = one_picture(job, tmp_path / "clean.png").model_copy(update={"method": "telea", "verify": False})
    run(clean)
    before = (tmp_path / "clean.png").read_bytes()
    with pytest.raises(UsageError, match=r"clean\.png is not a comparison, and is not overwritten"):
        compare(clean, ["telea"], lambda _: None)
    assert (tmp_path / "clean.png").read_bytes() == before


def test_nor_the_other_way_round(job, tmp_path):
    one = one_picture(job, tmp_path / "side.png")
    compare(one, ["telea"], lambda _: None)
    before = (tmp_path / "side.png").read_bytes()
    with pytest.raises(UsageError, match=r"side\.png is not as Cleanplate wrote it"):
        run(one.model_copy(update={"method": "telea", "verify": False}))
    assert (tmp_path / "side.png").read_bytes() == before


def test_a_comparison_goes_on_where_an_earlier_one_was_and_keeps_what_it_said_of_other_pictures(job, tmp_path):
    compare(job, ["telea"], lambda _: None)
    compare(job.model_copy(update={"limit": 1}), ["blending"], lambda _: None)
    written = (tmp_path / "compared/comparison.jsonl").read_text().splitlines()
    rows = [(row["source"], row["method"]) for row in map(json.loads, written)]
    assert rows == [("0001.png", "telea"), ("0000.png", "blending")]
    compare(job, ["telea"], lambda _: None)


def test_one_that_was_interrupted_is_drawn_again_by_the_same_command(job, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "IN_MEMORY", 1)
    monkeypatch.setattr(comparison, "with_effects", failing_after(1, comparison.with_effects))
    with pytest.raises(KeyboardInterrupt):
        compare(job, ["telea"], lambda _: None)
    assert (tmp_path / "compared/0000.png.png").exists()
    monkeypatch.undo()
    compare(job, ["telea"], lambda _: None)


def failing_after(times: int, work):
    """What does its work so often, and is interrupted then."""
    left = [times]

    def done(*given):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return work(*given)

    return done


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


def test_a_picture_without_a_place_for_its_files_gets_a_line(job, tmp_path):
    (tmp_path / "scenes/images/0000.png.png").mkdir()
    (tmp_path / "scenes/images/0001.png").rename(tmp_path / "scenes/images/0000.png.png/0001.png")
    said: list[str] = []
    compare(job.model_copy(update={"masks": "", "box": ["10,10,40,40"]}), ["telea"], said.append)
    assert any(line.startswith("0000.png: failed (its files would collide with the folder") for line in said)
