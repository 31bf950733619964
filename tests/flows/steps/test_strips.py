"""Strips (original | mask | result): also of pictures that were finished before, and never of an earlier result."""

from pathlib import Path

import numpy as np
import pytest

import flows.run as running
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.portions import Steps
from flows.run import run
from tests.flows.small import WIDTH, Following, image, mask, put, small


def panels(job: Job, name: str) -> list[np.ndarray]:
    """The original, the mask and the result that a strip shows."""
    shown = decode((Path(job.target) / "strips" / name).read_bytes()).image
    return [shown[:, left : left + WIDTH] for left in (0, WIDTH + 4, 2 * WIDTH + 8)]


def published(job: Job, name: str) -> np.ndarray:
    return decode((Path(job.target) / "images" / name).read_bytes()).image


def written(file: Path) -> tuple[int, int]:
    """Which file it is, and when it was written."""
    return file.stat().st_ino, file.stat().st_mtime_ns


def strips(job: Job) -> list[str]:
    return sorted(file.name for file in (Path(job.target) / "strips").glob("*"))


def test_finished_pictures_get_their_strips_without_being_painted_again(tmp_path, monkeypatch):
    before = small(tmp_path)
    run(before)
    files = {file: written(file) for file in (tmp_path / "out/images").iterdir()}
    watch = Following()

    def painting(*_):
        raise AssertionError("painted again")

    summary = run(before.model_copy(update={"concat": True}), watch, Steps(remove=painting))
    assert summary.tried == 0
    assert "drew 4 strips of pictures that were finished before" in watch.said
    assert {file: written(file) for file in files} == files
    later = before.model_copy(update={"target": str(tmp_path / "at once"), "concat": True})
    run(later)
    assert strips(before) == strips(later) == ["p00.png", "p01.png", "p02.png", "p03.png"]
    for name in strips(before):
        assert np.array_equal(np.stack(panels(before, name)), np.stack(panels(later, name)))
        original, white, result = panels(before, name)
        assert np.array_equal(original, image(int(name[1:3])))
        assert np.array_equal(white[..., 0] > 0, mask())
        assert np.array_equal(result, published(before, name))


def test_strips_that_are_there_are_left_as_they_are_and_one_that_was_removed_comes_back(tmp_path):
    job = small(tmp_path, concat=True)
    run(job)
    (tmp_path / "out/strips/p01.png").unlink()
    seen = written(tmp_path / "out/strips/p00.png")
    run(job)
    assert strips(job) == ["p00.png", "p01.png", "p02.png", "p03.png"]
    assert written(tmp_path / "out/strips/p00.png") == seen


def test_a_picture_whose_result_is_another_gets_no_strip_and_is_named(tmp_path):
    job, watch = small(tmp_path), Following()
    run(job)
    file = tmp_path / "out/images/p02.png"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1  # of the same size, so that it is taken for finished
    file.write_bytes(data)
    assert run(job.model_copy(update={"concat": True}), watch).tried == 0
    assert strips(job) == ["p00.png", "p01.png", "p03.png"]
    assert any(line.startswith("no strip for 1 finished picture, such as p02.png") for line in watch.said)


def test_pictures_with_nothing_to_remove_have_no_strip(tmp_path):
    job, watch = small(tmp_path, 2), Following()
    (tmp_path / "masks/p00.png.png").write_bytes(encode_mask(np.zeros_like(mask())))
    run(job)
    run(job.model_copy(update={"concat": True}), watch)
    assert strips(job) == ["p01.png"]


def test_a_strip_of_an_earlier_result_does_not_stay_when_its_picture_is_painted_again(tmp_path):
    job = small(tmp_path, concat=True)
    run(job)
    (tmp_path / "in/p00.png").write_bytes(encode_image(image(50)))
    assert run(job.model_copy(update={"concat": False})).done["removed"] == 1
    assert strips(job) == ["p01.png", "p02.png", "p03.png"]
    run(job)
    assert np.array_equal(panels(job, "p00.png")[0], image(50))


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_strips_of_converted_and_of_lossy_pictures_show_what_was_written(tmp_path, suffix):
    put(tmp_path, "q.png")
    (tmp_path / "in/q.png").rename(tmp_path / f"in/q.{suffix}")
    kind = {"jpg": "JPEG", "webp": "WEBP"}[suffix]
    (tmp_path / f"in/q.{suffix}").write_bytes(encode_image(image(), kind))
    (tmp_path / "masks/q.png.png").rename(tmp_path / f"masks/q.{suffix}.png")
    job = small(tmp_path, 0, format="png")
    run(job)
    run(job.model_copy(update={"concat": True}))
    assert strips(job) == [f"q.{suffix}"]
    assert np.abs(panels(job, f"q.{suffix}")[2].astype(int) - published(job, "q.png")).mean() < 12


def test_an_interrupted_run_draws_no_more_strips(tmp_path, monkeypatch):
    job = small(tmp_path)
    run(job)
    monkeypatch.setattr(running, "interrupted", lambda: True)
    run(job.model_copy(update={"concat": True}))
    assert strips(job) == []


def test_an_animation_of_what_is_finished_takes_the_model_and_the_run_says_what_to_type(tmp_path):
    job, watch = small(tmp_path, 2), Following()
    run(job)
    run(job.model_copy(update={"gif": True}), watch)
    assert any(
        line.startswith("no animation of 2 pictures finished before, such as p00.png")
        and "--existing overwrite" in line
        for line in watch.said
    )
