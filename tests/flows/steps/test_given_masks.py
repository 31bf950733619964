"""Masks of one's own in a run: read by their kind, joined where there are several, and the run says what it took."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.run import run
from flows.settings.job_file import job_of
from tests.flows.small import HEIGHT, WIDTH, Following, image, mask, mask_in, rows, small

ROOT = Path(__file__).parents[3]
OTHER = mask(2, 2, 4, 4)
LABELS = mask() * np.uint8(8) + OTHER * np.uint8(15)


def drawn(place: Path, pixels: np.ndarray, name: str = "p00.png.png") -> None:
    (place / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(place / "masks" / name)


@pytest.mark.parametrize(
    ("labels", "meant"), [([], mask() | OTHER), ([8], mask()), ([15], OTHER), ([8, 15], LABELS > 0)]
)
def test_labels_that_are_chosen_are_removed_and_no_others(tmp_path, labels, meant):
    drawn(tmp_path, LABELS)
    job = small(tmp_path, 1, mask_label=labels)
    assert run(job).done == {"removed": 1}
    assert (mask_in(job.target, "p00.png") == meant).all()


def test_a_label_that_no_pixel_has_is_said(tmp_path):
    drawn(tmp_path, LABELS)
    job = small(tmp_path, 1, mask_label=[7, 9])
    run(job)
    assert rows(job.target)["p00.png"]["reason"] == "no pixel of its mask has the label 7 or 9"


def test_other_labels_make_only_the_pictures_due_that_have_them_in_their_wish(tmp_path):
    drawn(tmp_path, LABELS)
    job = small(tmp_path, 2)
    run(job)
    assert run(job).done == {}
    assert run(job.model_copy(update={"mask_label": [8]})).tried == 2
    assert (mask_in(job.target, "p00.png") == mask()).all()


def test_labels_are_the_same_in_flags_a_job_file_and_the_flow(tmp_path):
    from flows.remove_objects import remove_objects

    (tmp_path / "j.toml").write_text('masks = "m"\nmask_label = [8, 15]\nmask_alpha = "clear"\n')
    (tmp_path / "one.toml").write_text('masks = "m"\nmask_label = 8\n')
    assert job_of(str(tmp_path / "j.toml"), {}).mask_label == [8, 15]
    assert job_of(str(tmp_path / "one.toml"), {}).mask_label == [8]
    parameters = inspect.signature(remove_objects.fn).parameters
    assert "int | list[int]" in str(parameters["mask_label"].annotation)
    properties = remove_objects.parameters.properties
    assert properties["mask_label"]["anyOf"] == [{"type": "integer"}, {"items": {"type": "integer"}, "type": "array"}]
    assert properties["mask_alpha"]["enum"] == ["opaque", "clear"]


def test_labels_are_given_on_the_command_line_one_by_one(tmp_path):
    drawn(tmp_path, LABELS)
    job = small(tmp_path, 1)
    flags = ["--masks", job.masks, "--mask-label", "8", "--mask-label", "15", "--method", "telea", "--no-verify", "-q"]
    command = [sys.executable, "-m", "flows", "run", job.source, job.target, "--model", "bundled", *flags]
    assert subprocess.run(command, cwd=ROOT, timeout=120).returncode == 0
    assert (mask_in(job.target, "p00.png") == (LABELS > 0)).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"masks": "m", "mask_label": [-1]}, "a label of a mask is a whole number"),
        ({"masks": "m", "mask_label": ["cat"]}, "valid integer"),
        ({"masks": "m", "mask_alpha": "both"}, "'opaque' or 'clear'"),
        ({"text": ["dog"], "mask_label": [3]}, "need masks"),
        ({"text": ["dog"], "mask_alpha": "clear"}, "need masks"),
    ],
)
def test_what_cannot_be_a_label_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Job(**settings)


@pytest.mark.parametrize(("alpha", "meant"), [("opaque", mask()), ("clear", ~mask())])
def test_a_cut_out_as_a_mask_is_its_alpha_channel_and_the_run_says_so_once(tmp_path, alpha, meant):
    for number in range(2):
        drawn(tmp_path, np.dstack([image(), mask() * np.uint8(255)]), f"p0{number}.png.png")
    job, watch = small(tmp_path, 2, mask_alpha=alpha, max_area=1), Following()
    run(job, watch)
    assert (mask_in(job.target, "p00.png") == meant).all()
    assert len([said for said in watch.said if f"alpha channel: {alpha} is removed" in said]) == 1
    assert all("alpha channel" in row["reason"] for row in rows(job.target).values())


def test_several_masks_of_a_picture_are_joined(tmp_path):
    drawn(tmp_path, mask() * np.uint8(255), "p00_1.png")
    drawn(tmp_path, OTHER * np.uint8(1), "p00_dog.png")
    (tmp_path / "masks/p00").mkdir()
    (tmp_path / "masks/p00/third.png").write_bytes(encode_mask(mask(18, 20, 3, 3)))
    job = small(tmp_path, 0)
    small_source(tmp_path)
    assert run(job).done == {"removed": 1}
    assert (mask_in(job.target, "p00.png") == mask() | OTHER | mask(18, 20, 3, 3)).all()


def small_source(place: Path) -> None:
    (place / "in").mkdir()
    Image.fromarray(image()).save(place / "in/p00.png")


def test_one_of_several_masks_that_does_not_fit_fails_its_picture_and_is_named(tmp_path):
    drawn(tmp_path, mask() * np.uint8(255), "p00_1.png")
    drawn(tmp_path, np.zeros((HEIGHT, WIDTH + 1), np.uint8), "p00_2.png")
    small_source(tmp_path)
    job = small(tmp_path, 0, max_failures=1)
    assert run(job).done == {"failed": 1}
    assert "p00_2.png is 33×24 pixels" in rows(job.target)["p00.png"]["reason"]


def test_a_picture_as_a_mask_is_refused_with_a_row(tmp_path):
    noise: Any = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    drawn(tmp_path, noise)
    job = small(tmp_path, 1, max_failures=1)
    assert run(job).done == {"failed": 1}
    assert "colours are a picture's" in rows(job.target)["p00.png"]["reason"]


@pytest.mark.parametrize("flags", [["--masks", "other"], ["--prompts", "p.jsonl"]])
def test_where_nothing_matches_the_exit_code_is_2_and_nothing_is_touched(tmp_path, flags):
    drawn(tmp_path, LABELS)
    job = small(tmp_path, 2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mask-a.png").write_bytes(encode_mask(mask()))
    (tmp_path / "p.jsonl").write_text('{"file_name": "a.jpg", "points": [[5, 5]]}\n')
    flags = [flags[0], str(tmp_path / flags[1]), "--method", "telea", "-q"]
    command = [sys.executable, "-m", "flows", "run", job.source, job.target, "--model", "bundled", *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "p00.png" in ended.stderr
    assert ("mask-a.png" if flags[0] == "--masks" else "a.jpg") in ended.stderr
    assert not Path(job.target).exists()
