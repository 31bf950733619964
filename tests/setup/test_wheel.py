"""What is in the wheel that people install, and what is not."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEARNS = re.compile(r"\.backward\(|torch\.optim|\.train\(\)|requires_grad_\(True\)")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from this checkout by its own build backend."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling comes with the extra `dev`")
    (built,) = builders.WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"flows", "masks", "removal"}


def test_the_wheel_has_no_training_code(wheel):
    sources = [name for name in wheel.namelist() if name.endswith(".py")]
    assert len(sources) > 100
    assert not [name for name in sources if LEARNS.search(wheel.read(name).decode())]
    assert not [name for name in sources if "train" in name.split("/")[-1]]


def test_the_wheel_has_the_bundled_weights_their_hashes_and_what_draws_scenes(wheel):
    names = set(wheel.namelist())
    for room in ("removal/bundled", "masks/bundled"):
        lines = wheel.read(f"{room}/SHA256SUMS").decode().splitlines()
        assert {f"{room}/{line.split('  ')[1]}" for line in lines} <= names
    assert {f"removal/bundled/{name}.py" for name in ("scenes", "things", "backgrounds", "night")} <= names
