"""The one command that trains everything, run whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from masks import sam
from masks.bundled import sums as segmenters_sums
from masks.clipseg import ClipSegSegmenter
from masks.prompts import PointPrompt, TextPrompt
from removal import load_remover
from removal.bundled import sums
from removal.bundled.scenes import scene
from removal.weights.networks import Weights

STAGES = ("autoencoder", "early", "inpainting", "control", "base", "style", "sam", "clipseg")


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the talk of a quick training of everything."""
    work = tmp_path_factory.mktemp("training")
    command = [sys.executable, "-m", "tests.training", "--quick", "--work", str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return work, done.stdout


def test_it_tells_the_stage_the_loss_and_the_time_left(quick):
    _, talk = quick
    for number, name in enumerate(STAGES, 1):
        assert f"{name}: stage {number} of {len(STAGES)}" in talk
        assert f"{name}: step " in talk
    assert " left" in talk


def test_it_leaves_checkpoints_that_load_and_remove(quick):
    work, _ = quick
    one = scene(3)
    for name, method in (("base", "blending"), ("style", "blending"), ("inpainting", "inpainting")):
        remove = load_remover(str(work / "checkpoints/removal/bundled" / name), device="cpu", steps=2)
        assert remove.choice.method == method
        (result,) = remove([one.image], [one.mask], seeds=[0])
        assert (result[~one.mask] == one.image[~one.mask]).all()
        assert (result[one.mask] != one.image[one.mask]).any()


def test_it_leaves_what_the_comparison_at_equal_steps_needs(quick):
    work, _ = quick
    for name, method in (("parent", "blending"), ("control", "blending"), ("inpainting-equal", "inpainting")):
        assert load_remover(str(work / name), device="cpu", steps=2).choice.method == method


def test_it_leaves_segmenters_that_load_and_find(quick):
    work, _ = quick
    folder, one = work / "checkpoints/masks/bundled", scene(3)
    by_point = sam.load(str(folder / "sam"), "cpu")
    (found,) = by_point([one.image], [PointPrompt(((*one.point, 1),))])
    assert found.mask.shape == one.mask.shape
    by_text = ClipSegSegmenter(Weights(str(folder / "clipseg"), offline=True), "cpu", 0.5)
    (found,) = by_text([one.image], [TextPrompt("red ball")])
    assert found.mask.dtype == np.bool_


def test_it_leaves_losses_and_hashes_beside_the_weights(quick):
    work, _ = quick
    folder = work / "checkpoints/removal/bundled"
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows} == set(STAGES)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    for room in (folder, work / "checkpoints/masks/bundled"):
        assert subprocess.run(check, cwd=room, capture_output=True).returncode == 0
        listed = {line.split("  ")[1] for line in (room / "SHA256SUMS").read_text().splitlines()}
        there = {f.relative_to(room).as_posix() for f in room.rglob("*") if f.suffix in (".safetensors", ".pth")}
        assert listed == there != set()


def test_it_keeps_a_quick_run_out_of_the_package(quick):
    sums.check(Path(sums.__file__).parent / "inpainting")
    segmenters_sums.check()
