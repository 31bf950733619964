"""A method is one file and one row: here a file that nobody knows of until it has its row."""

from __future__ import annotations

import numpy as np
import pytest

from removal import METHODS, choose, load_remover
from removal.methods.table import Method
from removal.removers import _load

PAINTER = '''
"""Paints every hole in the level of its crop's seed."""

import numpy as np


class Painter:
    resolution, steps, strength = 16, 1, 1.0

    def __init__(self, checkpoint, options):
        self.checkpoint, self.options = checkpoint, options

    def __call__(self, crops, seeds):
        return [np.where(crop.mask[..., None], np.uint8(seed), crop.image) for crop, seed in zip(crops, seeds)]


def load(checkpoint, options):
    return Painter(checkpoint, options)
'''
FILL = '''
"""Fills every hole with black."""


def load(checkpoint, options):
    return lambda image, mask: image * ~mask[..., None]
'''


@pytest.fixture
def add(tmp_path, monkeypatch):
    """A function that writes a module of its own and gives it a row, as somebody who adds a method does."""
    monkeypatch.syspath_prepend(tmp_path)
    _load.cache_clear()

    def write(name: str, code: str, **row) -> None:
        (tmp_path / f"method_{name}.py").write_text(code)
        monkeypatch.setitem(METHODS, name, Method(f"method_{name}", **row))

    yield write
    _load.cache_clear()


def hole(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[10:20, 12:20] = True
    return mask


def test_a_method_that_paints_crops_is_a_file_and_a_row(add):
    add("level", PAINTER, channels=(4, 9))
    remove = load_remover("bundled", method="level", steps=3)
    image, mask = np.full((40, 50, 3), 77, np.uint8), hole(40, 50)
    image[mask] = 255
    (result,) = remove([image], [mask], [77])
    assert (result[mask] == 77).all()
    assert (result[~mask] == image[~mask]).all()
    assert (remove.choice.method, remove.choice.reason) == ("level", "asked for")
    assert (remove.paint.checkpoint.in_channels, remove.paint.options.steps) == (9, 3)


def test_a_fill_is_a_file_and_a_row_and_takes_no_checkpoint(add, picture, no_network):
    add("black", FILL)
    remove = load_remover("no-one/nothing", method="black")
    image, mask = picture(40, 50), hole(40, 50)
    (result,) = remove([image], [mask], [0])
    assert (result[mask] == 0).all()
    assert (result[~mask] == image[~mask]).all()
    assert (remove.choice.checkpoint.repo, remove.steps, remove.strength) == ("", None, None)
    assert [frame.tolist() for frame in remove.process(image, mask, 0)] == [result.tolist()]


def test_a_row_says_which_checkpoints_its_method_takes(add):
    add("level", PAINTER, channels=(9,), family="sdxl")
    assert choose("sdxl", "level").checkpoint.in_channels == 9
    with pytest.raises(ValueError, match="bundled has 9 input channels"):
        choose("bundled", "blending")
    with pytest.raises(ValueError, match=r"bundled-style has 4 input channels.*use --method blending"):
        choose("bundled-style", "level")
    with pytest.raises(ValueError, match="--method level goes with Stable Diffusion XL, and sd2 is of another kind"):
        choose("sd2", "level")


def test_every_row_has_a_file_that_loads_its_method():
    import importlib

    for row in METHODS.values():
        assert callable(importlib.import_module(row.module).load)


def test_the_job_takes_the_methods_of_the_table():
    from flows.job import Job

    assert Job.model_json_schema()["properties"]["method"]["enum"] == ["auto", *METHODS]
